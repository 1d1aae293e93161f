//! The engine on the shop's world. That it agrees with the real Prometheus, query by query, is
//! shown in `tests/it/promql.rs`; here stands what must hold for any query, and what only the
//! shop has.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::find::Wanted;
use super::*;
use crate::demo::scenario::Operation;
use crate::demo::series::catalogue;
use crate::demo::world::{Event, What};

fn noon() -> Time {
    Time::parse("2026-11-18T12:00:00Z").expect("valid")
}

fn after(seconds: i64) -> Time {
    noon().plus_ms(seconds * 1_000)
}

/// A shop of a day, to which nothing happened.
fn engine() -> Engine {
    let world = World::new(7, after(-86_400));
    Engine { world, series: Arc::new(catalogue(7)), now: noon() }
}

fn vector(engine: &Engine, query: &str, at: Time) -> Vec<Answer> {
    match engine.instant(query, at) {
        Ok(Instant::Vector(rows)) => rows,
        other => panic!("{query}: {other:?}"),
    }
}

fn only(engine: &Engine, query: &str, at: Time) -> f64 {
    let rows = vector(engine, query, at);
    assert_eq!(rows.len(), 1, "{query}: {rows:?}");
    rows[0].points[0].1
}

/// Queries of every kind that has its own code.
const QUERIES: [&str; 12] = [
    "node_load1",
    "sum by (service) (rate(http_requests_total[1m]))",
    "histogram_quantile(0.95, sum by (le) (rate(grpc_server_handling_seconds_bucket[5m])))",
    "avg_over_time(node_load1[10m])",
    "max_over_time(sum(node_load1)[10m:1m])",
    "db_client_connections_usage / ignoring (state) group_left () db_client_connections_max",
    "node_load1 > 0.6 or node_load1 offset 1h",
    "topk(2, node_load1)",
    "count_values(\"v\", up)",
    "absent(node_load1 > 0.6)",
    "increase(kube_pod_container_status_restarts_total[10m])",
    "time() - timestamp(node_load1)",
];

#[test]
fn a_range_is_its_instants() {
    let engine = engine();
    // More times than are evaluated at once.
    let (n, step_ms) = (CHUNK as i64 + 40, 7_000);
    let since = noon().plus_ms(-n * step_ms);
    for query in QUERIES {
        let rows = engine.range(query, since, noon(), step_ms).expect(query);
        for i in [0, 1, CHUNK as i64 - 1, CHUNK as i64, n] {
            let at = since.plus_ms(i * step_ms);
            let mut of_range: Vec<(Labels, f64)> = rows
                .iter()
                .filter_map(|r| {
                    let point = r.points.iter().find(|(t, _)| *t == at)?;
                    Some((r.labels.clone(), point.1))
                })
                .collect();
            let mut of_instant: Vec<(Labels, f64)> =
                vector(&engine, query, at).into_iter().map(|r| (r.labels, r.points[0].1)).collect();
            of_range.sort_by(|a, b| a.0.cmp(&b.0));
            of_instant.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(of_range.len(), of_instant.len(), "{query} at {at}");
            for (a, b) in of_range.iter().zip(&of_instant) {
                assert_eq!(a.0, b.0, "{query} at {at}");
                // Running sums end elsewhere in their digits.
                assert!((a.1 - b.1).abs() <= 1e-9 * b.1.abs().max(1.0), "{query}: {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn rates_are_what_the_world_does() {
    let engine = engine();
    let truth = engine.world.frame(crate::demo::world::frame::Place::Node(0), noon(), false);
    let query = r#"rate(node_cpu_seconds_total{instance="node-1:9100",cpu="0",mode="user"}[1m])"#;
    let rate = only(&engine, query, noon());
    let user = truth[crate::demo::world::frame::item::USER];
    assert!((rate / user - 1.0).abs() < 0.1, "{rate} {user}");
    let increase = only(&engine, &query.replace("rate(", "increase("), noon());
    assert!((increase - 60.0 * rate).abs() < 1e-9);
    // The total of a counter grows by its rate.
    let total = query.trim_start_matches("rate(").trim_end_matches("[1m])");
    let grown = only(&engine, total, noon()) - only(&engine, total, after(-60));
    assert!((grown / increase - 1.0).abs() < 0.2, "{grown} {increase}");
}

#[test]
fn nothing_is_known_of_the_future_or_of_before_the_beginning() {
    let engine = engine();
    assert_eq!(vector(&engine, "up", after(1)), []);
    assert_eq!(vector(&engine, "up", after(-86_401)), []);
    assert!(!vector(&engine, "up", after(-86_400)).is_empty());
    assert_eq!(only(&engine, "absent(up)", after(1)), 1.0);
    let rows = engine.range("sum(up)", after(-60), after(60), 30_000).expect("answers");
    let times: Vec<i64> = rows[0].points.iter().map(|(t, _)| t.ms_since(noon())).collect();
    assert_eq!(times, [-60_000, -30_000, 0]);
}

#[test]
fn ranges_are_refused_as_prometheus_does() {
    let engine = engine();
    let range = |points: i64| engine.range("1", noon().plus_ms(-points), noon(), 1);
    assert_eq!(range(MAX_POINTS).expect("as many as may be")[0].points.len(), 11_001);
    for (refused, words) in [
        (range(MAX_POINTS + 1), "exceeded maximum resolution of 11,000 points"),
        (engine.range("1", noon(), after(-1), 1_000), "end timestamp must not be before start"),
        (engine.range("1", noon(), noon(), 0), "zero or negative query resolution"),
        (engine.range("up[5m]", noon(), noon(), 1_000), "\"range vector\" for range query"),
        (engine.range("\"a\"", noon(), noon(), 1_000), "\"string\" for range query"),
        (engine.range("sum(", noon(), noon(), 1_000), "parse error"),
    ] {
        match refused {
            Err(QueryError::BadData(text)) => assert!(text.contains(words), "{text}"),
            other => panic!("{words}: {other:?}"),
        }
    }
}

fn wanted(selectors: &[&str], since: Option<i64>, until: Option<i64>) -> Wanted {
    Wanted {
        selectors: selectors.iter().map(|&s| s.to_owned()).collect(),
        since: since.map(after),
        until: until.map(after),
    }
}

#[test]
fn what_is_there_follows_selectors() {
    let engine = engine();
    let values = |label: &str, selectors: &[&str]| -> Vec<String> {
        let found = engine.label_values(label, &wanted(selectors, None, None));
        found.expect("a selector").into_iter().collect()
    };
    assert_eq!(values("instance", &["node_load1"]).len(), 4);
    assert_eq!(values("pool_name", &[]), ["auth-db", "catalog-db", "orders-db"]);
    assert_eq!(values("mode", &["node_cpu_seconds_total{mode=~\"i.*\"}"]), ["idle", "iowait"]);
    assert_eq!(
        values("__name__", &["{service=\"orders\",__name__=~\"up|.*_max\"}", "node_load1"]),
        ["db_client_connections_max", "node_load1", "up"]
    );
    assert_eq!(values("nothing", &[]), [""; 0]);
    let names = engine.label_names(&wanted(&["node_load1"], None, None)).expect("a selector");
    let expected = ["__name__", "instance", "job", "node"];
    assert_eq!(names, BTreeSet::from(expected.map(str::to_owned)));
    assert!(engine.label_names(&wanted(&["nothing"], None, None)).expect("valid").is_empty());
    let sets = engine.label_sets(&wanted(&["node_load1", "node_load1"], None, None));
    assert_eq!(sets.expect("a selector").len(), 4, "each series once");
    for bad in ["{}", "sum(up)", "up[5m]", "up{", ""] {
        let refused = engine.label_sets(&wanted(&[bad], None, None));
        assert!(matches!(refused, Err(QueryError::BadData(t)) if t.contains("match[]")), "{bad}");
    }
    assert!(engine.label_values("a-b", &wanted(&[], None, None)).is_err());
}

#[test]
fn what_is_there_follows_time() {
    let mut engine = engine();
    let to = Operation::Move { service: "search".into(), to: "node-3".into() };
    engine.world.record(Event { at: after(-3_600), what: What::Operate(to), key: None });
    let nodes = |since: Option<i64>, until: Option<i64>| -> Vec<String> {
        let selectors = ["container_memory_working_set_bytes{container=\"search\"}"];
        let found = engine.label_values("node", &wanted(&selectors, since, until));
        found.expect("a selector").into_iter().collect()
    };
    assert_eq!(nodes(None, None), ["node-2", "node-3"]);
    assert_eq!(nodes(None, Some(-3_601)), ["node-2"]);
    assert_eq!(nodes(Some(-3_600), None), ["node-3"]);
    assert_eq!(nodes(Some(-3_601), Some(-3_600)), ["node-2", "node-3"]);
    assert_eq!(nodes(Some(1), None), [""; 0], "the future");
    assert_eq!(nodes(None, Some(-86_401)), [""; 0], "before the beginning");
    assert_eq!(nodes(Some(-60), Some(-120)), [""; 0], "the wrong way round");
    // A query sees the same.
    let at =
        |s| vector(&engine, "container_memory_working_set_bytes{container=\"search\"}", after(s));
    let on = |rows: Vec<Answer>| -> BTreeSet<String> {
        rows.iter().filter_map(|r| r.labels.get("node").map(str::to_owned)).collect()
    };
    assert_eq!(on(at(-3_601)), BTreeSet::from(["node-2".to_owned()]));
    assert_eq!(on(at(-3_600)), BTreeSet::from(["node-3".to_owned()]));
}

#[test]
fn answers_are_json_whatever_stands_in_them() {
    let engine = engine();
    for query in [
        "vector(1) / 0",
        "vector(0) / 0",
        "-1 / 0",
        "\"a \\\"quoted\\\" \\\\ text\"",
        "label_replace(vector(1), \"a\", \"\\\"\\\\$1\", \"\", \".*\")",
        "up[1m]",
    ] {
        let text = answer::instant(&engine.instant(query, noon()).expect(query), noon());
        let value: serde_json::Value = serde_json::from_str(&text).expect(&text);
        assert!(value["resultType"].is_string(), "{text}");
    }
    assert_eq!(answer::number(f64::NEG_INFINITY), "-Inf");
    assert_eq!(answer::number(1e21), "1000000000000000000000");
    let (status, text) = answer::failure(&QueryError::Execution("a \"b\"".into()));
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((status, &value["error"]), (422, &serde_json::json!("a \"b\"")));
}

fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "up",
        "node_load1",
        "sum",
        "rate",
        "(",
        ")",
        "[5m]",
        "[5m:1m]",
        "{job=\"a\"}",
        "by (job)",
        "+",
        "/",
        "> bool",
        "and",
        "or",
        "offset 5m",
        "@ 0",
        "1",
        "-",
        ",",
        "\"a\"",
        "NaN",
        "Inf",
        "histogram_quantile(0.9, ",
        "label_replace(",
        "topk(2, ",
        "on (job) group_left ()",
        "{",
        "quantile_over_time(2, ",
        "absent_over_time(",
        "predict_linear(",
        "[1h]",
        "1e400",
        "atan2",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_query_panics(pieces in prop::collection::vec(piece(), 1..9), noise in ".{0,20}") {
        let engine = engine();
        for query in [pieces.join(" "), pieces.concat(), noise] {
            let at_once = engine.instant(&query, noon());
            let over = engine.range(&query, after(-120), noon(), 60_000);
            if let Ok(answered) = &at_once {
                let text = answer::instant(answered, noon());
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
            if let (Err(QueryError::BadData(text)), true) = (&over, at_once.is_ok()) {
                prop_assert!(text.contains("for range query"), "{}: {}", query, text);
            }
        }
    }
}
