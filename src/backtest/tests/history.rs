//! What is told of a made-up history, how it is judged, and what a change would mean.

use std::collections::BTreeMap;

use super::super::*;
use crate::detect;
use crate::model::signal::Direction;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{EntityRef, Indicator, Labels, Point, Samples, Series, Time};

const START: i64 = 1_790_000_000_000;

fn at(minutes: i64) -> Time {
    Time::from_ms(START).floor_to(HOUR_MS).plus_ms(minutes * MINUTE_MS)
}

/// Two days of a latency, a point a minute, six times as slow in the stretches given (minutes).
fn latency(service: &str, slow: &[(i64, i64)]) -> Samples {
    let entity = EntityRef::service(service);
    let labels = Labels::default();
    let metric = "latency p99";
    let series = Series {
        id: Series::identity("test", metric, &entity, &labels),
        source: "test".into(),
        entity,
        metric: metric.into(),
        labels,
        indicator: Indicator::Duration,
        unit: "s".into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: MINUTE_MS,
    };
    let points = (0..2 * 1_440).map(|i| {
        let noise = f64::from(u32::try_from((i * 7_919) % 101).expect("small")) / 101.0 - 0.5;
        let is_slow = slow.iter().any(|(from, to)| (*from..*to).contains(&i));
        let value = (0.2 + 0.02 * noise) * if is_slow { 6.0 } else { 1.0 };
        Point { at: at(i), value }
    });
    Samples { series, points: points.collect() }
}

fn told(tracks: &[Samples], setup: Setup) -> Outcome {
    let mut run = Run::new(setup, BTreeMap::new());
    Pace::new("test", at(0), at(600), MINUTE_MS).play(tracks, at(2 * 1_440), |b| run.take(b));
    run.finish()
}

fn truth(faults: &[(&str, i64, i64)]) -> Truth {
    let mut text = "series,from,to\n".to_owned();
    for (who, from, to) in faults {
        text.push_str(&format!("{who},{},{}\n", at(*from), at(*to)));
    }
    Truth::read(text.as_bytes()).expect("labels")
}

#[test]
fn a_slow_stretch_is_one_incident_and_what_lies_in_the_lesson_is_none() {
    let tracks = [latency("checkout", &[(100, 140), (2_000, 2_040)]), latency("cart", &[])];
    let outcome = told(&tracks, Setup { name: "now".into(), ..Setup::default() });
    assert_eq!(outcome.claims.len(), 1, "{:?}", outcome.claims);
    let claim = &outcome.claims[0];
    assert!(claim.anomaly.since >= at(1_999) && claim.told_at <= at(2_005), "{claim:?}");
    assert_eq!(outcome.incidents.len(), 1);
    assert_eq!(outcome.alerts[0].incident, Some(outcome.incidents[0].id));
    assert_eq!(outcome.n_series, 2);
    let picture = &outcome.pictures[0];
    assert!(picture.points.first().is_some_and(|p| p.at < at(1_950)), "what came before is drawn");
    assert!(picture.points.last().is_some_and(|p| p.at > at(2_040)), "what came after is drawn");
    assert!(picture.points.windows(2).all(|w| w[0].at < w[1].at));
}

#[test]
fn telling_is_held_against_labels_event_by_event() {
    let tracks = [latency("checkout", &[(1_200, 1_230), (2_000, 2_040)])];
    let outcome = told(&tracks, Setup::default());
    let faults = [("checkout", 2_000, 2_039), ("checkout latency p99", 2_600, 2_620)];
    let report =
        Report::new(Read { step_ms: MINUTE_MS, ..Read::default() }, vec![outcome], &truth(&faults));
    let score = report.sides[0].anomalies.as_ref().expect("there are labels");
    assert_eq!((score.n_faults, score.n_found, score.n_told, score.n_right), (2, 1, 2, 1));
    assert_eq!((score.recall, score.precision, score.f1), (Some(0.5), Some(0.5), Some(0.5)));
    assert!(score.latency_median_s.is_some_and(|s| (60.0..600.0).contains(&s)), "{score:?}");
    assert_eq!(score.missed.len(), 1);
    let incidents = report.sides[0].incidents.as_ref().expect("there are labels");
    assert_eq!((incidents.n_found, incidents.n_told), (1, 2));
}

#[test]
fn labels_say_what_is_wrong_with_them() {
    let said = |text: &str| Truth::read(text.as_bytes()).expect_err("it is wrong");
    insta::assert_snapshot!(said("series,start,end\n"), @"line 1: there is no column `from`; it needs series,from,to");
    insta::assert_snapshot!(said("series,from,to\na,2026-01-01,soon\n"), @"line 2: `soon` is no time");
    insta::assert_snapshot!(said("series,from,to\na,2026-01-02,2026-01-01\n"), @"line 2: it ends before it begins");
}

#[test]
fn two_configurations_are_told_apart() {
    let tracks = [latency("checkout", &[(1_500, 1_503), (2_000, 2_040)])];
    let quick = detect::Config { hold_s: 0, ..detect::Config::default() };
    let a = told(&tracks, Setup { name: "defaults".into(), ..Setup::default() });
    let b = told(&tracks, Setup { name: "quick".into(), detect: quick, ..Setup::default() });
    let read = Read { from: "history".into(), step_ms: MINUTE_MS, ..Read::default() };
    let report = Report::new(read, vec![a, b], &truth(&[("checkout", 2_000, 2_039)]));
    let difference = report.difference.as_ref().expect("there are two");
    assert!(difference.anomalies.only_a.is_empty(), "{difference:?}");
    assert!(difference.anomalies.both.iter().all(|p| p.earlier_ms <= 0), "{difference:?}");
    let text = report.text();
    assert!(text.contains("Difference of defaults (A) to quick (B)"), "{text}");
    let html = report.html(at(3_000));
    assert!(html.contains("<svg") && html.contains("The difference"));
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    let json = report.json();
    assert_eq!(json["configurations"][1]["name"], "quick");
    assert!(json["difference"]["incidents"]["both"].is_array());
}

#[test]
fn every_point_is_played_once_in_order_across_holes_and_stretches() {
    let mut track = latency("checkout", &[]);
    // A hole of forty days in the middle.
    for point in &mut track.points[1_440..] {
        point.at = point.at.plus_ms(40 * DAY_MS);
    }
    let (first, last) = (track.points[0].at, track.points[track.points.len() - 1].at);
    let mut seen = Vec::new();
    let mut ticks = 0_u32;
    let mut pace = Pace::new("test", first, at(100), MINUTE_MS);
    for until in [at(700), at(20_000), last] {
        pace.play(std::slice::from_ref(&track), until, |batch| {
            ticks += 1;
            assert_eq!(batch.backfill, batch.received_at < at(100));
            for point in batch.metrics.iter().flat_map(|s| &s.points) {
                assert!(point.at <= batch.received_at);
                assert!(batch.backfill || batch.received_at.ms_since(point.at) <= MINUTE_MS);
                seen.push(*point);
            }
        });
    }
    assert_eq!(seen, track.points);
    assert!(ticks < 2 * 1_440 + 31 * 60 + 10, "the hole is not ticked through: {ticks}");
}
