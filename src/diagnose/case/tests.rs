//! Reading of cases, right and wrong.

use super::*;
use crate::diagnose::weigh::weigh;

fn head() -> String {
    r#"{"alert_time": 1000000, "services": ["web", "db"],
        "symptom": {"service": "web", "metric": "latency"}}"#
        .to_owned()
}

fn rows(slow: f64) -> String {
    let mut text = "time,web|latency|avg,\"db|latency|avg\",other|cpu\n".to_owned();
    for i in -20_i32..4 {
        let wave = 0.001 * f64::from(i.rem_euclid(5));
        let added = if i >= 0 { slow } else { 0.0 };
        let at = 1_000_000 + i * 60 + 10;
        text += &format!("{at},{},{},\n", 0.2 + wave + added, 0.05 + wave + added);
    }
    text
}

fn texts() -> Texts {
    Texts {
        case: head(),
        topology: Some(r#"[["web","db"],["db","db"],["x","web"]]"#.into()),
        metrics: Some(rows(0.5)),
        ..Texts::default()
    }
}

#[test]
fn a_case_is_read_and_its_cause_comes_first() {
    let scene = read(&texts()).expect("a right case");
    assert_eq!(scene.calls, [(0, 1)]);
    assert_eq!((scene.series.len(), scene.step), (2, 60.0));
    assert_eq!(scene.symptom, Some((0, Some(Kind::Latency))));
    let verdict = weigh(scene);
    assert_eq!(verdict.ranked[0].service, 1, "{verdict:#?}");
}

#[test]
fn records_are_read_and_joined() {
    let texts = Texts {
        case: head(),
        traces: Some(
            "{\"trace_id\":\"a\",\"span_id\":\"1\",\"parent\":null,\"service\":\"web\",\"name\":\"GET\",\
             \"start\":1000001.5,\"duration\":0.2,\"status\":\"ERROR\"}\n\n\
             {\"trace_id\":\"a\",\"span_id\":\"2\",\"parent\":\"1\",\"service\":\"db\",\"name\":\"read\",\
             \"start\":1000001.6,\"duration\":0.1,\"status\":null}\n"
                .into(),
        ),
        logs: Some(
            "{\"ts\":1000001.61,\"service\":\"db\",\"level\":\"ERROR\",\"msg\":\"row 17 is locked\",\
             \"trace_id\":\"a\",\"span_id\":\"2\",\"logger\":\"Rows#41\"}\n"
                .into(),
        ),
        events: Some(
            "{\"ts\":\"1970-01-12T13:46:00Z\",\"service\":\"db\",\"title\":\"deploy 7\"}\n".into(),
        ),
        ..Texts::default()
    };
    let scene = read(&texts).expect("a right case");
    assert_eq!((scene.spans[1].parent, scene.spans[0].failed), (Some(0), true));
    assert_eq!(scene.calls, [(0, 1)], "spans tell who calls whom");
    let line = &scene.lines[0];
    assert_eq!((line.span, line.is_error, line.templates.len()), (Some(1), true, 2));
    assert_eq!((scene.changes[0].service, scene.changes[0].at), (1, -40.0));
}

#[test]
fn what_is_wrong_is_named_with_file_and_line() {
    let with = |change: fn(&mut Texts)| {
        let mut texts = texts();
        change(&mut texts);
        read(&texts).expect_err("it is wrong").to_string()
    };
    let said = [
        with(|t| t.case = "{}".into()),
        with(|t| t.case = r#"{"alert_time":1,"services":[]}"#.into()),
        with(|t| t.case = r#"{"alert_time":1,"services":["a","a"]}"#.into()),
        with(|t| t.topology = Some("[[1,2]]".into())),
        with(|t| t.metrics = Some("time,latency\n1,2\n".into())),
        with(|t| t.metrics = Some("time,web|cpu\nsoon,2\n".into())),
        with(|t| t.metrics = Some("time,web|cpu\n1,2,3\n".into())),
        with(|t| t.metrics = Some("time,web|cpu\n2,2\n1,2\n".into())),
        with(|t| t.traces = Some("{\"service\":\"web\"}\n".into())),
        with(|t| t.logs = Some("\n[1]\n".into())),
        with(|t| t.events = Some("{\n".into())),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    case.json, line 1: missing field `alert_time` at line 1 column 2; expected is an object with `alert_time` in Unix seconds and the list `services`.
    case.json: `services` is empty: there is nobody to rank.
    case.json: `services` names a twice.
    topology.json, line 1: invalid type: integer `1`, expected a string at line 1 column 3; expected is a list of pairs of caller and callee.
    metrics.csv, line 1: the column latency is not named as `service|metric` or `service|metric|unit`.
    metrics.csv, line 2: the first field is no time in Unix seconds.
    metrics.csv, line 2: 3 fields where the head has 2.
    metrics.csv, line 3: rows are not in order of time.
    traces.ndjson, line 1: `start` is no time in Unix seconds.
    logs.ndjson, line 2: a JSON object is expected on every line.
    events.ndjson, line 1: no JSON: EOF while parsing an object at line 1 column 1.
    ");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(case in ".{0,80}", metrics in ".{0,120}", lines in ".{0,120}") {
        for case in [case, head()] {
            let lines = Some(lines.clone());
            let texts = Texts {
                case,
                topology: lines.clone(),
                metrics: Some(metrics.clone()),
                traces: lines.clone(),
                logs: lines.clone(),
                events: lines,
            };
            let _ = read(&texts).map(weigh);
        }
    }
}
