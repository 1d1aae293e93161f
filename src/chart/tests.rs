//! The picture of one incident, pinned; hostile words; sizes of the PNG.

use super::*;
use crate::model::time::SECOND_MS;

fn at(minute: i64) -> Time {
    Time::parse("2026-11-21T07:00:00Z").unwrap().plus_ms(minute * MINUTE_MS)
}

fn band(low: f64, high: f64) -> Band {
    Band { low, mid: f64::midpoint(low, high), high }
}

/// A signal that was near 90 ms and is near 4.5 s from 07:20, with a hole from 07:10 to 07:13.
fn chart() -> Chart {
    let points = (0..=40)
        .filter(|m| !(10..13).contains(m))
        .map(|m| {
            let wobble = f64::from((m * 7 % 5) as u8) * 0.01;
            Point { at: at(m), value: if m < 20 { 0.09 + wobble } else { 4.5 + wobble * 10.0 } }
        })
        .collect();
    let mark = |m, kind, text: &str| Mark { at: at(m), kind, text: text.into() };
    Chart {
        title: "orders · http.server.request.duration p95".into(),
        unit: "s".into(),
        since: at(0),
        until: at(40),
        step_ms: MINUTE_MS,
        points,
        bands: vec![(at(0), band(0.02, 0.4)), (at(40), band(0.03, 0.5))],
        limit: None,
        marks: vec![
            mark(18, MarkKind::Change, "orders 4.7.2: raise worker concurrency"),
            mark(20, MarkKind::Onset, "onset"),
            mark(36, MarkKind::Run, "orders restore-concurrency"),
        ],
    }
}

/// One element a line, without what never changes.
fn elements(svg: &str) -> String {
    svg.replace("><", ">\n<").lines().skip(1).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_chart_shows_line_band_onset_change_and_run() {
    insta::assert_snapshot!(elements(&svg(&chart(), Theme::Light)), @r##"
    <title>orders · http.server.request.duration p95 from 2026-11-21 07:00 UTC to 2026-11-21 07:40 UTC, 4.5 s at the end</title>
    <rect width="860" height="300" fill="#ffffff"/>
    <text x="16.0" y="22.0" fill="#1c2430" font-size="13">orders · http.server.request.duration p95</text>
    <line x1="72" x2="846" y1="268.0" y2="268.0" stroke="#e4e8ed"/>
    <text x="64.0" y="272.0" fill="#5d6875" text-anchor="end">0 s</text>
    <line x1="72" x2="846" y1="232.6" y2="232.6" stroke="#e4e8ed"/>
    <text x="64.0" y="236.6" fill="#5d6875" text-anchor="end">1 s</text>
    <line x1="72" x2="846" y1="197.1" y2="197.1" stroke="#e4e8ed"/>
    <text x="64.0" y="201.1" fill="#5d6875" text-anchor="end">2 s</text>
    <line x1="72" x2="846" y1="161.7" y2="161.7" stroke="#e4e8ed"/>
    <text x="64.0" y="165.7" fill="#5d6875" text-anchor="end">3 s</text>
    <line x1="72" x2="846" y1="126.3" y2="126.3" stroke="#e4e8ed"/>
    <text x="64.0" y="130.3" fill="#5d6875" text-anchor="end">4 s</text>
    <line x1="72" x2="846" y1="90.9" y2="90.9" stroke="#e4e8ed"/>
    <text x="64.0" y="94.9" fill="#5d6875" text-anchor="end">5 s</text>
    <line x1="72.0" x2="72.0" y1="268" y2="272" stroke="#5d6875"/>
    <text x="72.0" y="286.0" fill="#5d6875" text-anchor="middle">07:00</text>
    <line x1="265.5" x2="265.5" y1="268" y2="272" stroke="#5d6875"/>
    <text x="265.5" y="286.0" fill="#5d6875" text-anchor="middle">07:10</text>
    <line x1="459.0" x2="459.0" y1="268" y2="272" stroke="#5d6875"/>
    <text x="459.0" y="286.0" fill="#5d6875" text-anchor="middle">07:20</text>
    <line x1="652.5" x2="652.5" y1="268" y2="272" stroke="#5d6875"/>
    <text x="652.5" y="286.0" fill="#5d6875" text-anchor="middle">07:30</text>
    <line x1="846.0" x2="846.0" y1="268" y2="272" stroke="#5d6875"/>
    <text x="846.0" y="286.0" fill="#5d6875" text-anchor="end">UTC</text>
    <polygon points="72.0 253.8 846.0 250.3 846.0 266.9 72.0 267.3" fill="#2456c7" fill-opacity="0.14"/>
    <text x="76.0" y="248.8" fill="#5d6875" stroke="#ffffff" stroke-width="3" stroke-linejoin="round" paint-order="stroke">expected 20 ms to 400 ms</text>
    <line x1="459.0" x2="459.0" y1="42" y2="268" stroke="#c22f3d" stroke-dasharray="4 3"/>
    <line x1="420.3" x2="420.3" y1="58" y2="268" stroke="#8f5700"/>
    <line x1="768.6" x2="768.6" y1="74" y2="268" stroke="#1a6b43"/>
    <path d="M72.0 264.8h0L91.3 264.1L110.7 263.4L130.1 264.5L149.4 263.7L168.8 264.8L188.1 264.1L207.4 263.4L226.8 264.5L246.2 263.7M323.6 264.5h0L342.9 263.7L362.2 264.8L381.6 264.1L400.9 263.4L420.3 264.5L439.6 263.7" fill="none" stroke="#2456c7" stroke-width="1.8" stroke-linecap="round"/>
    <path d="M439.6 263.7L459.0 108.6L478.4 101.5L497.7 94.4L517.0 105.0L536.4 98.0L555.8 108.6L575.1 101.5L594.5 94.4L613.8 105.0L633.1 98.0L652.5 108.6L671.9 101.5L691.2 94.4L710.5 105.0L729.9 98.0L749.2 108.6L768.6 101.5L788.0 94.4L807.3 105.0L826.6 98.0L846.0 108.6" fill="none" stroke="#c22f3d" stroke-width="1.8" stroke-linecap="round"/>
    <circle cx="459.0" cy="42" r="4" fill="#c22f3d"/>
    <text x="468.0" y="46.0" fill="#c22f3d" stroke="#ffffff" stroke-width="3" stroke-linejoin="round" paint-order="stroke">07:20:00 onset</text>
    <path d="M420.3 53l5 5l-5 5l-5 -5z" fill="#8f5700"/>
    <text x="429.3" y="62.0" fill="#8f5700" stroke="#ffffff" stroke-width="3" stroke-linejoin="round" paint-order="stroke">07:18:00 orders 4.7.2: raise worker concurrency</text>
    <path d="M764.6 69l9 5l-9 5z" fill="#1a6b43"/>
    <text x="759.6" y="78.0" fill="#1a6b43" stroke="#ffffff" stroke-width="3" stroke-linejoin="round" paint-order="stroke" text-anchor="end">07:36:00 orders restore-concurrency</text>
    </svg>
    "##);
}

#[test]
fn a_dark_chart_differs_in_colours_only() {
    let (light, dark) = (svg(&chart(), Theme::Light), svg(&chart(), Theme::Dark));
    let plain = |svg: &str| {
        let colour = regex::Regex::new("#[0-9a-f]{6}").unwrap();
        colour.replace_all(svg, "#").into_owned()
    };
    assert_ne!(light, dark);
    assert_eq!(plain(&light), plain(&dark));
}

#[test]
fn words_from_telemetry_stay_words() {
    let hostile = "\"><script>alert(1)</script><x y='\u{0}\u{1b}&amp;";
    let mut chart = chart();
    chart.title = hostile.into();
    chart.unit = hostile.into();
    chart.marks[0].text = hostile.into();
    let drawn = svg(&chart, Theme::Light);
    assert!(!drawn.contains("<script"), "{drawn}");
    assert!(!drawn.contains("y='"), "{drawn}");
    assert!(drawn.contains("&lt;script&gt;alert(1)"));
    png(&drawn, 1.0).expect("it is still well-formed");
}

#[test]
fn a_png_has_the_size_that_was_asked_for_and_words_in_it() {
    let size = |bytes: &[u8]| {
        let picture = resvg::tiny_skia::Pixmap::decode_png(bytes).expect("it decodes");
        let dark = picture.pixels().iter().filter(|p| p.red() < 0x60).count();
        (picture.width(), picture.height(), dark)
    };
    let with_words = svg(&chart(), Theme::Light);
    let (width, height, dark) = size(&png(&with_words, 2.0).unwrap());
    assert_eq!((width, height), (2 * WIDTH, 2 * HEIGHT));
    // Without the font the words would be missing, without an error.
    let text = regex::Regex::new("<text.*?</text>").unwrap();
    let (_, _, without) = size(&png(&text.replace_all(&with_words, ""), 2.0).unwrap());
    assert!(dark > without + 2_000, "{dark} dark pixels, {without} of them not words");
}

#[test]
fn long_ranges_keep_their_extremes_and_stay_small() {
    let mut chart = chart();
    let n = 14 * 24 * 240;
    chart.until = chart.since.plus_ms(n * 15 * SECOND_MS);
    chart.step_ms = 15 * SECOND_MS;
    chart.marks.clear();
    let value = |i| if i == 40_000 { 9.0 } else { 1.0 + f64::from((i % 100) as u8) / 1e3 };
    chart.points = (0..n)
        .map(|i| Point { at: chart.since.plus_ms(i * 15 * SECOND_MS), value: value(i) })
        .collect();
    let drawn = svg(&chart, Theme::Light);
    assert!(drawn.len() < 100_000, "{} bytes", drawn.len());
    // The one extreme point reaches the top of the plot less its margin.
    assert!(drawn.contains("94.4"), "the peak of 9 is drawn");
}

#[test]
fn nothing_that_is_odd_in_the_values_breaks_the_picture() {
    for values in [vec![], vec![0.0], vec![5.0, 5.0], vec![-1e300, 1e300], vec![f64::NAN, 1.0]] {
        let mut chart = chart();
        chart.points =
            values.iter().zip(0..).map(|(value, m)| Point { at: at(m), value: *value }).collect();
        chart.bands.clear();
        let drawn = svg(&chart, Theme::Dark);
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{values:?}: {drawn}");
        png(&drawn, 1.0).expect("it is drawn");
    }
}

#[test]
fn crowded_marks_never_overlap() {
    let mut chart = chart();
    chart.marks = (0..12)
        .map(|m| Mark {
            at: at(m * 3),
            kind: MarkKind::Change,
            text: "a change with a rather long title that says much".into(),
        })
        .collect();
    let drawn = svg(&chart, Theme::Light);
    let said = drawn.matches("a change with").count() - drawn.matches("<title>a change").count();
    assert!((3..12).contains(&said), "{said} of 12 marks have room for words");
    assert_eq!(drawn.matches("l5 5l-5 5l-5 -5z").count(), 12);
}

#[test]
fn evidence_gives_a_chart_with_the_changes_nearest_to_the_onset_and_the_runs() {
    let evidence: Evidence = serde_json::from_value(serde_json::json!({
        "id": crate::model::EvidenceId::derive(at(0), &["x"]), "incident": null, "at": at(40),
        "summary": "", "source": "shop", "query": "", "since": at(0), "until": at(40),
        "finding": {
            "kind": "metric", "before": 0.1, "after": 4.5, "onset": at(20),
            "expected": { "low": 0.0, "mid": 0.1, "high": 0.3 },
            "points": chart().points,
            "series": {
                "id": "00000000000000a1", "source": "shop", "entity": "service.name=orders",
                "metric": "duration p95", "labels": {}, "indicator": "duration", "unit": "s",
                "direction": "high", "query": null, "limit": null, "step_ms": MINUTE_MS,
            },
        },
    }))
    .expect("evidence");
    let change = |minute: i64| -> Change {
        serde_json::from_value(serde_json::json!({
            "id": crate::model::ChangeId::derive(at(minute), &["c"]), "kind": "deploy",
            "entity": "service.name=orders", "at": at(minute), "title": format!("c{minute}"),
            "version": null, "previous": null, "author": null, "url": null, "source": "webhook",
            "status": "success", "attributes": {},
        }))
        .expect("a change")
    };
    let changes: Vec<Change> = [-5, 1, 3, 5, 7, 9, 11, 13, 90].map(change).into();
    let chart = of_evidence(&evidence, &changes, &[]).expect("a chart");
    let said: Vec<&str> = chart.marks.iter().map(|m| m.text.as_str()).collect();
    // Those outside the range and, of too many, the furthest from the onset are left out.
    let expected =
        ["orders c3", "orders c5", "orders c7", "orders c9", "orders c11", "orders c13", "onset"];
    assert_eq!(said, expected);
    assert_eq!(chart.bands.len(), 1, "one band holds for the whole range");
    assert_eq!(chart.title, "orders · duration p95");
}

#[test]
fn an_incidents_chart_ends_half_an_hour_after_it_or_now() {
    let hour = |from: i64, to: i64| (at(from), at(to));
    assert_eq!(range(at(0), None, at(25)), hour(-60, 25));
    assert_eq!(range(at(0), Some(at(20)), at(600)), hour(-60, 50));
    assert_eq!(range(at(0), Some(at(20)), at(30)), hour(-60, 30));
}

#[test]
fn an_axis_without_a_unit_has_it_in_the_title() {
    let mut chart = chart();
    chart.unit = "{cpu}".into();
    assert!(svg(&chart, Theme::Light).contains("duration p95 (cpu)</text>"));
    chart.unit = "By".into();
    assert!(svg(&chart, Theme::Light).contains("duration p95</text>"));
}
