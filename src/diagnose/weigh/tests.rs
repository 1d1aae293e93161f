//! The weighing as a whole, on scenes made by hand.

use super::*;

/// Entry, shop and store, called in this order, and a bystander that the shop calls too.
const NAMES: [&str; 4] = ["entry", "shop", "store", "bystander"];

fn noise(i: i64, salt: usize) -> f64 {
    1.0 + 0.02 * ((i as f64 + 17.0 * salt as f64) * 12.9898).sin()
}

fn series(service: usize, metric: &str, value: impl Fn(i64) -> f64) -> Measured {
    let points = (-40..5)
        .map(|i| (i as f64 * 60.0 + 20.0, value(i) * noise(i, service + metric.len())))
        .collect();
    let (kind, outgoing) = kind::read(metric);
    Measured {
        service,
        name: (metric.to_owned(), "avg".to_owned()),
        unit: String::new(),
        kind,
        outgoing,
        points,
    }
}

fn scene() -> Scene {
    Scene {
        services: NAMES.map(str::to_owned).to_vec(),
        calls: vec![(0, 1), (1, 2), (1, 3)],
        step: 60.0,
        ..Scene::default()
    }
}

fn first(scene: Scene) -> (String, Verdict) {
    let services = scene.services.clone();
    let verdict = weigh(scene);
    (services[verdict.ranked[0].service].clone(), verdict)
}

fn after(i: i64, before: f64, since: f64) -> f64 {
    if i >= 0 { since } else { before }
}

#[test]
fn latency_that_a_callee_brings_is_the_callees() {
    let mut scene = scene();
    for (service, base) in [(0, 0.30), (1, 0.20), (2, 0.05)] {
        scene.series.push(series(service, "latency", |i| after(i, base, base + 0.4)));
        scene.series.push(series(service, "requests", |_| 100.0));
    }
    scene.series.push(series(3, "latency", |_| 0.02));
    scene.symptom = Some((0, Some(Kind::Latency)));
    let (name, verdict) = first(scene);
    assert_eq!(name, "store", "{verdict:#?}");
    assert!(verdict.conclusive && verdict.ranked[0].confidence > 0.6);
    let all: f64 = verdict.ranked[0].parts.iter().map(|p| p.contribution).sum();
    assert!((all - verdict.ranked[0].score).abs() < 1e-9, "a score is the sum of its parts");
    let part = verdict.ranked[0].parts.iter().find(|p| p.name == "latency").expect("it is slow");
    assert_eq!(
        part.why,
        "its latency (avg) rose from 0.05 to 0.45, 392 times as far as its past goes"
    );
}

#[test]
fn where_nothing_departs_nothing_stands_out() {
    let mut scene = scene();
    for service in 0..4 {
        scene.series.push(series(service, "latency", |_| 0.1));
        scene.series.push(series(service, "cpu", |_| 40.0));
    }
    let verdict = weigh(scene);
    assert!(!verdict.conclusive, "{verdict:#?}");
    let all: f64 = verdict.ranked.iter().map(|w| w.confidence).sum();
    assert!(all < 0.9, "none of them is as likely as one of them: {all}");
}

#[test]
fn an_innocents_earlier_trouble_does_not_move_the_onset() {
    let early = |i: i64| if i >= -7 { 0.5 } else { 0.1 };
    let mut scene = scene();
    // It has more series than all others together, and was slow for minutes already.
    for metric in ["latency", "latency_p90", "latency_p99"] {
        scene.series.push(series(3, metric, early));
    }
    scene.series.push(series(2, "memory", |i| after(i, 40.0, 90.0)));
    let (name, verdict) = first(scene.clone());
    assert_eq!((name.as_str(), verdict.onset), ("store", 0.0), "{verdict:#?}");
    // Where another one is slow since the alert, each has one voice.
    scene.series.push(series(2, "latency", |i| after(i, 0.1, 0.5)));
    let (name, verdict) = first(scene.clone());
    assert_eq!((name.as_str(), verdict.onset), ("store", 0.0), "{verdict:#?}");
    // Two that began together tell it without a symptom, and its service alone with one.
    let late = |i: i64| if i >= -3 { 0.5 } else { 0.1 };
    scene.series.clear();
    scene.series.push(series(2, "latency", late));
    assert_eq!(weigh(scene.clone()).onset, 0.0);
    scene.symptom = Some((2, None));
    assert_eq!(weigh(scene.clone()).onset, -160.0);
    scene.symptom = None;
    scene.series.push(series(1, "latency", late));
    assert_eq!(weigh(scene).onset, -160.0);
}

#[test]
fn a_late_alert_does_not_hide_the_onset() {
    let mut scene = scene();
    for (service, base) in [(0, 0.30), (1, 0.20), (2, 0.05)] {
        scene.series.push(series(service, "latency", |i| after(i + 3, base, base + 0.4)));
    }
    let (name, verdict) = first(scene);
    assert_eq!(name, "store");
    assert!((-200.0..=-120.0).contains(&verdict.onset), "{}", verdict.onset);
}

#[test]
fn a_change_speaks_for_who_was_changed() {
    let mut scene = scene();
    for service in [1, 2] {
        scene.series.push(series(service, "cpu", |i| after(i, 20.0, 60.0)));
    }
    let (_, before) = first(scene.clone());
    scene.changes.push(Made { service: 1, at: -60.0, title: "deploy 2.1".into() });
    let (name, verdict) = first(scene);
    assert_eq!(name, "shop");
    assert!(verdict.ranked[0].confidence > before.ranked[0].confidence);
    let why = &verdict.ranked[0].parts.iter().find(|p| p.name == "change").expect("its part").why;
    assert_eq!(why, "deploy 2.1, 60 s before the onset");
}

/// A request: the entry calls the shop, which calls the store unless `cut`, and waits for it.
fn request(scene: &mut Scene, at: f64, way: f64, cut: bool) {
    let start = scene.spans.len();
    let mut span = |parent: Option<usize>, service, name, at, seconds| {
        let failed = false;
        scene.spans.push(Span { parent, service, name, at, seconds, failed });
    };
    let store = if cut { 0.0 } else { 0.010 + way };
    span(None, 0, 0, at, 0.030 + store);
    span(Some(start), 0, 1, at + 0.005, 0.020 + store);
    span(Some(start + 1), 1, 2, at + 0.006, 0.018 + store);
    span(Some(start + 2), 1, 3, at + 0.007, 0.002);
    if !cut {
        span(Some(start + 2), 1, 4, at + 0.010, store);
        span(Some(start + 4), 2, 5, at + 0.010 + way / 2.0, 0.008);
    }
}

fn traced(way: f64, cut: bool) -> Scene {
    let mut scene = scene();
    scene.names =
        ["GET /", "call shop", "serve", "check", "call store", "read"].map(str::to_owned).to_vec();
    for i in -30_i32..30 {
        let is_late = i >= 0;
        let way = if is_late { way } else { 0.001 };
        request(&mut scene, f64::from(i) * 2.0 + 0.5, way, is_late && cut);
    }
    scene
}

#[test]
fn time_on_the_way_to_a_service_is_told_from_its_own() {
    let (name, verdict) = first(traced(0.3, false));
    assert_eq!(name, "store", "{verdict:#?}");
    let parts = &verdict.ranked[0].parts;
    let way = parts.iter().find(|p| p.name == "way").expect("its way is slow");
    assert!(way.why.contains("from shop to store"), "{}", way.why);
    assert!(!parts.iter().any(|p| p.name == "own_time"));
}

#[test]
fn a_step_that_requests_no_longer_take_is_the_fault_of_who_took_it() {
    let (name, verdict) = first(traced(0.001, true));
    assert_eq!(name, "shop", "{verdict:#?}");
    let steps = verdict.ranked[0].parts.iter().find(|p| p.name == "steps").expect("they differ");
    assert_eq!(
        steps.why,
        "of 30 requests to serve since the onset 0 took the step call store; before, 30 of 30 did"
    );
}

#[test]
fn lines_without_a_span_tell_by_their_rate() {
    let mut scene = scene();
    scene.templates = vec!["served <*>".into(), "no connection to <*>".into()];
    for i in -300..300 {
        let at = f64::from(i);
        let line = |service, template, is_error| Line {
            service,
            span: None,
            templates: vec![template],
            at,
            is_error,
        };
        scene.lines.push(line(0, 0, false));
        if i >= 0 && i % 5 == 0 {
            scene.lines.push(line(2, 1, true));
        }
    }
    let (name, verdict) = first(scene);
    assert_eq!(name, "store", "{verdict:#?}");
}

#[test]
fn the_same_scene_gives_the_same_verdict() {
    assert_eq!(weigh(traced(0.3, false)), weigh(traced(0.3, false)));
    assert!(weigh(Scene::default()).ranked.is_empty());
}
