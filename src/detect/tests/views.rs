//! Each view has a series on which it speaks, and no other view does.
//!
//! Not here: `zscore/1` and `iqr/1` judge the same window and only speak when they agree, so that
//! one of the two is told of (`a_young_series_warms_up_and_then_sees_a_step`); `peers/1` stands in
//! `replicas`, `forecast/1` in `a_slow_leak_becomes_an_alert_long_before_the_limit`, `missing/1` in
//! `silence`, and the views of logs, spans, objectives and heartbeats in their own modules.

use std::collections::BTreeSet;

use super::*;
use crate::model::Severity;

/// Evenly spread between 0 and 1, by time alone.
fn uniform(at: Time) -> f64 {
    (noise(at) / 2.0 + 0.5).clamp(1e-4, 1.0 - 1e-4)
}

/// Standard normal, by time alone (Box and Muller 1958).
fn normal(at: Time) -> f64 {
    let turn = uniform(at.plus_ms(7)) * std::f64::consts::TAU;
    (-2.0 * uniform(at).ln()).sqrt() * turn.cos()
}

/// How many events a point holds when `mean` are usual (Knuth's product of uniforms).
fn events(at: Time, mean: f64) -> f64 {
    let (mut n, mut left) = (0, uniform(at));
    while left > (-mean).exp() && n < 100 {
        n += 1;
        left *= uniform(at.plus_ms(n));
    }
    n as f64
}

/// Two days of usual minutes live, then `hours` of `fault`; gives what was said of each, once an
/// episode.
fn days(
    series: &Series,
    usual: impl Fn(Time) -> f64 + Copy,
    fault: impl Fn(Time) -> f64,
    hours: i64,
) -> (Vec<Anomaly>, Vec<Anomaly>) {
    let (mut shard, now) = taught(series, usual);
    let mut minutes = |from: Time, n: i64, f: &dyn Fn(Time) -> f64| -> Vec<Anomaly> {
        let at = |i: i64| from.plus_ms(i * MINUTE_MS);
        (0..n).flat_map(|i| live(&mut shard, series, at(i), f(at(i)))).collect()
    };
    let before = minutes(now, 2 * 1_440, &usual);
    (before, minutes(now.plus_ms(2 * DAY_MS), hours * 60, &fault))
}

fn who(said: &[Anomaly]) -> Vec<&str> {
    let who: BTreeSet<&str> = said.iter().map(|a| a.detector.as_str()).collect();
    who.into_iter().collect()
}

/// That before a fault nothing was said, and in it one view spoke; gives its first word.
fn only(view: &str, (before, said): (Vec<Anomaly>, Vec<Anomaly>)) -> Anomaly {
    assert_eq!(before, [], "nothing is said of what is usual");
    assert_eq!(who(&said), [view], "{said:#?}");
    said[0].clone()
}

#[test]
fn a_level_that_an_hour_never_shows_is_the_profiles_alone() {
    let s = series(Indicator::Duration, "s");
    only("seasonal/1", days(&s, latency, |at| latency(at) + 2.0, 1));
}

#[test]
fn a_rate_of_rare_events_that_lasts_is_the_counts_alone() {
    let s = series(Indicator::Saturation, "{error}");
    let usual = |at: Time| events(at, 0.02);
    // One in four minutes: no point is more than the odd one of before.
    let often = |at: Time| f64::from(u8::from(at.ms() / MINUTE_MS % 4 == 0));
    let told = only("counts/1", days(&s, usual, often, 2));
    assert!(told.expected.mid < 0.04 && told.value > 0.15, "{told:?}");
    assert!(told.grounds.is_some(), "its own past is asked too");
    insta::assert_snapshot!(told.why.split(" By its own past").next().expect("a sentence"), @"Saturation p99: 0.25 events a point on average of the newest (at worst 0.25); 0 to 0.22 is expected by the rate that they come at, 4.4 standard deviations or their equivalent at worst, since 00:28:00 UTC (counts/1).");
    let (before, once) = days(&s, usual, |at| if at.ms() % HOUR_MS == 0 { 3.0 } else { 0.0 }, 1);
    assert_eq!((before, once), (vec![], vec![]), "one event is no anomaly");
}

#[test]
fn odds_that_grow_fivefold_below_what_hurts_are_the_shares_alone() {
    let s = Series { direction: Direction::Low, ..series(Indicator::Availability, "1") };
    let success = |at: Time, bad: f64| 1.0 - bad * (1.0 + 0.2 * normal(at)).max(0.1);
    let told = only("ratio/1", days(&s, |at| success(at, 0.001), |at| success(at, 0.005), 1));
    assert!((told.expected.mid - 0.999).abs() < 2e-4 && told.value < 0.997, "{told:?}");
    assert!(told.expected.high <= 1.0, "nothing is expected beyond the bound");
    assert_eq!(lifecycle::alert_of(&told, 4.0).name(), "ShareUnusual");
    insta::assert_snapshot!(told.why.split(" By its own past").next().expect("a sentence"), @"Availability p99: 99.63 % on average of the newest points (at worst 99.63 %); 99.70 % to 100 % is expected by its usual odds at this time, 4.8 standard deviations or their equivalent at worst, since 00:04:00 UTC (ratio/1).");
}

#[test]
fn noise_that_grows_or_vanishes_is_the_spreads_alone() {
    let s = series(Indicator::Usage, "By");
    let value = |at: Time, wide: f64| 1e9 + 1e8 * daily(at) + wide * 4e6 * normal(at);
    for wide in [3.0, 0.2] {
        let told = only("spread/1", days(&s, |at| value(at, 1.0), |at| value(at, wide), 2));
        let alert = lifecycle::alert_of(&told, 4.0);
        assert_eq!((alert.name(), alert.severity), ("NoiseChanged", Severity::Info));
        assert_eq!(told.direction == Direction::High, wide > 1.0);
    }
}

#[test]
fn the_steps_of_a_fault_are_not_told_of_as_noise_in_its_wake() {
    let s = series(Indicator::Duration, "s");
    let fault = |at: Time| {
        let since = at.ms_since(start().plus_ms(16 * DAY_MS));
        latency(at) * if (0..40 * MINUTE_MS).contains(&since) { 6.0 } else { 1.0 }
    };
    only("seasonal/1", days(&s, latency, fault, 3));
}

#[test]
fn a_lively_series_that_stands_still_is_the_flatlines_alone() {
    let s = series(Indicator::Usage, "By");
    let value = |at: Time| 1e9 + 1e7 * normal(at);
    only("flatline/1", days(&s, value, |_| 1e9, 1));
}

/// One metric of two at a service, as its samples come; `comes` says whether one does.
fn two_metrics(comes: impl Fn(i64) -> bool) -> Vec<Anomaly> {
    let (one, mut other) = (series(Indicator::Duration, "s"), series(Indicator::Usage, "By"));
    other.metric = "memory".into();
    other.id = Series::identity("test", &other.metric, &other.entity, &other.labels);
    let mut shard = Shard::new(Config::default());
    let mut said = Vec::new();
    for i in 0..900 {
        let at = start().plus_ms(i * 15_000);
        let mut batch = Batch::new("test", at);
        let sample =
            |s: &Series, value| Samples { series: s.clone(), points: vec![Point { at, value }] };
        batch.metrics.push(sample(&other, 1e9 + 1e7 * noise(at)));
        if comes(i) {
            batch.metrics.push(sample(&one, latency(at)));
        }
        said.extend(shard.observe(&batch));
    }
    said
}

#[test]
fn samples_that_stop_while_their_entity_speaks_are_the_gaps_alone() {
    let said = two_metrics(|i| !(400..500).contains(&i));
    assert_eq!(who(&said), ["gap/1"], "{said:#?}");
    assert_eq!(said.len(), 2, "told once, and its end");
    assert!(said[1].until.is_some() && !said[1].unseen);
    let alert = lifecycle::alert_of(&said[0], 4.0);
    assert_eq!((alert.name(), alert.severity), ("SamplesStopped", Severity::Info));
    insta::assert_snapshot!(said[0].why, @"No samples of Duration p99 of checkout came for 3 min, since 01:39:45 UTC, though they used to come every 15 s and other data of checkout still comes.");
}

#[test]
fn samples_at_another_interval_are_the_intervals_alone_and_become_usual() {
    let said = two_metrics(|i| i < 400 || i % 4 == 0);
    assert_eq!(who(&said), ["interval/1"], "{said:#?}");
    assert!(said.len() == 2 && said[1].until.is_some(), "after an hour it is usual: {said:#?}");
    insta::assert_snapshot!(said[0].why, @"The samples of Duration p99 of checkout come every 60 s since 01:40:00 UTC, though they used to come every 15 s: windows and sums over a number of samples reach over another time.");
}

#[test]
fn what_skewed_values_show_by_nature_is_no_news_and_a_shift_of_them_is() {
    let s = series(Indicator::Duration, "s");
    let value = |at: Time| 0.2 * (0.9 * normal(at)).exp();
    // By so much more, not so many times: the noise stays as it is.
    let (before, said) = days(&s, value, |at| value(at) + 1.2, 1);
    assert_eq!(before, [], "tails are its nature");
    // The bands must agree; which of them is the loudest is chance.
    assert!(said.iter().all(|a| matches!(a.detector.as_str(), "quantile/1" | "seasonal/1")));
    assert!(!said.is_empty());
}

#[test]
fn intervals_of_two_entities_that_change_one_after_the_other_are_two_findings() {
    let mut shard = Shard::new(Config::default());
    let names = ["checkout", "cart"];
    let mut said = Vec::new();
    for i in 0..700_i64 {
        let at = start().plus_ms(i * 15_000);
        let mut batch = Batch::new("test", at);
        for (n, name) in names.iter().enumerate() {
            let mut s = series(Indicator::Duration, "s");
            s.entity = EntityRef::service(*name);
            s.id = Series::identity(&s.source, &s.metric, &s.entity, &s.labels);
            // A few lost samples shortly before are no rhythm of their own.
            let is_lost = i % 40 == 7;
            let changed = i >= 500 + 80 * n as i64;
            let comes = if changed { i % 4 == 0 } else { !is_lost };
            if comes {
                let points = vec![Point { at, value: latency(at) }];
                batch.metrics.push(Samples { series: s, points });
            }
        }
        said.extend(shard.observe(&batch));
    }
    assert_eq!(who(&said), ["interval/1"], "{said:#?}");
    let of: Vec<&str> = said.iter().map(|a| a.subject.entity().name()).collect();
    assert_eq!(of, names);
}

#[test]
fn weak_signals_of_an_entity_at_the_same_time_are_the_roll_ups_alone() {
    let all: Vec<Series> = (0..8)
        .map(|i| {
            let mut s = Series { step_ms: 60_000, ..series(Indicator::Duration, "s") };
            s.metric = format!("signal {i}");
            s.id = Series::identity(&s.source, &s.metric, &s.entity, &s.labels);
            s
        })
        .collect();
    let value = |i: usize, at: Time| 0.3 + 0.02 * normal(at.plus_ms(100 * i as i64));
    let mut shard = Shard::new(Config::default());
    for day in 0..14 {
        let begin = start().plus_ms(day * DAY_MS);
        let mut batch = Batch::new("test", begin.plus_ms(DAY_MS));
        batch.backfill = true;
        let times = || (0..288).map(|k| begin.plus_ms(k * 5 * MINUTE_MS));
        batch.metrics = (0..8)
            .map(|i| {
                let points = times().map(|at| Point { at, value: value(i, at) }).collect();
                Samples { series: all[i].clone(), points }
            })
            .collect();
        assert_eq!(shard.observe(&batch), []);
    }
    let mut said = Vec::new();
    let fault = start().plus_ms(16 * DAY_MS);
    for minute in 0..2 * 1_440 + 60 {
        let at = start().plus_ms(14 * DAY_MS + minute * MINUTE_MS);
        let mut batch = Batch::new("test", at);
        let more = if at >= fault { 0.07 } else { 0.0 };
        batch.metrics = (0..8)
            .map(|i| {
                let points = vec![Point { at, value: value(i, at) + more }];
                Samples { series: all[i].clone(), points }
            })
            .collect();
        said.extend(shard.observe(&batch));
    }
    let told = only("rollup/1", (vec![], said));
    assert!(told.since >= fault && told.since.ms_since(fault) < 30 * MINUTE_MS, "{told:?}");
    assert!(told.why.contains("none of them by enough"), "{}", told.why);
}
