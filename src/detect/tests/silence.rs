//! Silence: what it says of an entity, of an open departure, and of what is kept.

use super::*;

/// Ticks every ten seconds for `minutes` and gives all that was said.
fn ticks(shard: &mut Shard, from: Time, minutes: i64) -> Vec<Anomaly> {
    (0..minutes * 6).flat_map(|i| shard.observe(&Batch::tick(from.plus_ms(i * 10_000)))).collect()
}

#[test]
fn a_dead_service_stays_missing_until_it_speaks_or_is_taken_for_removed() {
    let s = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&s, latency);
    assert_eq!(run(&mut shard, &s, now, 10, latency), []);
    let silent = now.plus_ms(10 * MINUTE_MS);
    let said = ticks(&mut shard, silent, 8 * 60);
    assert_eq!(said.len(), 1, "eight hours of silence are no recovery: {said:?}");
    let mut back = shard.clone();

    // Our own restart is no recovery of theirs.
    let deaf = silent.plus_ms(9 * HOUR_MS);
    assert_eq!(ticks(&mut back, deaf, 10), []);
    let spoken = run(&mut back, &s, deaf.plus_ms(10 * MINUTE_MS), 1, latency);
    assert_eq!(spoken.len(), 1);
    assert_eq!((spoken[0].id, spoken[0].until.is_some()), (said[0].id, true));
    assert!(!spoken[0].why.contains("removed"), "{}", spoken[0].why);
    assert!(!spoken[0].unseen, "it was heard again");

    let ended = ticks(&mut shard, silent.plus_ms(8 * HOUR_MS), 20 * 60);
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].id, said[0].id);
    let after_h = ended[0].until.expect("ended").ms_since(silent) / HOUR_MS;
    assert!((23..=24).contains(&after_h), "after {after_h} h");
    assert!(ended[0].why.contains("taken for removed"), "{}", ended[0].why);
    assert!(ended[0].unseen, "nobody saw it recover");
    let told = crate::detect::lifecycle::alert_of(&ended[0], 4.0);
    assert!(told.ended_unseen(), "{:?}", told.annotations);
}

#[test]
fn a_new_version_with_other_labels_is_no_silence() {
    let old = series(Indicator::Duration, "s");
    let mut new = old.clone();
    new.labels = [("version", "2")].into_iter().collect();
    new.id = Series::identity("test", &new.metric, &new.entity, &new.labels);
    let (mut shard, now) = taught(&old, latency);
    run(&mut shard, &old, now, 10, latency);
    // Slow enough that the new series is still young when the old one is past its patience.
    let said: Vec<Anomaly> = (1..=15)
        .flat_map(|i| {
            let at = now.plus_ms((10 + i) * MINUTE_MS);
            live(&mut shard, &new, at, latency(at))
        })
        .collect();
    assert_eq!(said, []);
}

/// A departure of a series that then vanishes, while `others` of the same source go on for ten
/// minutes; gives the departure's id, when the series spoke last, and what was said after that.
fn vanished(others: &[Series]) -> (Anomaly, Time, Vec<Anomaly>) {
    let s = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&s, latency);
    run(&mut shard, &s, now, 10, latency);
    let speak = |shard: &mut Shard, s: &[Series], at: Time, value: f64| {
        let mut batch = Batch::new("test", at);
        for series in s {
            let points = vec![Point { at, value }];
            batch.metrics.push(Samples { series: series.clone(), points });
        }
        shard.observe(&batch)
    };
    let (mut said, fault) = (Vec::new(), now.plus_ms(10 * MINUTE_MS));
    let mut at = fault;
    for _ in 0..40 {
        at = at.plus_ms(15_000);
        said.extend(speak(&mut shard, std::slice::from_ref(&s), at, latency(at) + 3.0));
        said.extend(speak(&mut shard, others, at.plus_ms(1_000), 0.3));
    }
    let open = said.pop().expect("it is told of");
    let last = at;
    let mut after = Vec::new();
    for _ in 0..40 {
        at = at.plus_ms(15_000);
        after.extend(speak(&mut shard, others, at, 0.3));
    }
    (open, last, after)
}

fn other(service: &str, metric: &str) -> Series {
    let mut s = series(Indicator::Duration, "s");
    (s.entity, s.metric) = (EntityRef::service(service), metric.to_owned());
    s.id = Series::identity("test", &s.metric, &s.entity, &s.labels);
    s
}

#[test]
fn a_departure_ends_when_its_signal_is_gone_and_does_not_claim_recovery() {
    let (open, last, after) = vanished(&[other("checkout", "calls")]);
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!(after[0].id, open.id);
    let until = after[0].until.expect("it ended");
    assert!((180_000..=210_000).contains(&until.ms_since(last)), "{until:?} after {last:?}");
    let since = format!("is gone since {} UTC", last.clock_text());
    assert!(after[0].why.contains(&since), "{}", after[0].why);
    assert!(after[0].why.ends_with("Whether it recovered is not known."), "{}", after[0].why);
}

#[test]
fn an_entity_that_is_missing_takes_over_its_open_departures() {
    let (open, _, after) = vanished(&[other("cart", "calls")]);
    let said: Vec<(&str, bool)> =
        after.iter().map(|a| (a.detector.as_str(), a.until.is_some())).collect();
    assert_eq!(said, [("missing/1", false), ("seasonal/1", true)], "no gap between them");
    assert_eq!(after[1].id, open.id);
}

#[test]
fn a_gone_signal_ends_its_forecast_and_a_silent_source_ends_nothing() {
    let mut s = series(Indicator::Usage, "By");
    s.limit = Some(2e9);
    let memory = |at: Time| 7e8 + 1e8 * daily(at) + 1e7 * noise(at);
    let (mut shard, now) = taught(&s, memory);
    let rate = 6e7 / HOUR_MS as f64;
    let said = run(&mut shard, &s, now, 6 * 60, |at| memory(at) + rate * at.ms_since(now) as f64);
    let open = said.iter().rfind(|a| a.detector == "forecast/1").expect("a leak is told of");
    let silent = now.plus_ms(6 * HOUR_MS);
    let neighbour = other("checkout", "calls");
    let after = run(&mut shard.clone(), &neighbour, silent, 10, |_| 0.3);
    let end = after.iter().find(|a| a.id == open.id).expect("it ends");
    assert!(end.until.is_some() && end.why.contains("is gone since"), "{}", end.why);

    // With five series of which none speaks, it is the source that is missing.
    let all: Vec<Series> = (0..5).map(|i| other("cart", &format!("calls {i}"))).collect();
    for i in 0..40 {
        let mut batch = Batch::new("test", silent.plus_ms(i * 15_000 - 14_000));
        for o in all.iter().chain([&s]) {
            let at = batch.received_at;
            let points = vec![Point { at, value: if o.id == s.id { 1.06e9 } else { 0.3 } }];
            batch.metrics.push(Samples { series: o.clone(), points });
        }
        let said = shard.observe(&batch);
        assert!(said.iter().all(|a| a.id != open.id || a.until.is_none()), "stays open");
    }
    let blind = ticks(&mut shard, silent.plus_ms(10 * MINUTE_MS), 60);
    assert!(blind.iter().any(|a| a.subject.entity().attribute() == "nightjar.source"));
    assert!(blind.iter().all(|a| a.id != open.id), "{blind:?}");
}

#[test]
fn ten_thousand_short_lived_series_do_not_grow_the_state() {
    let steady = other("checkout", "calls");
    let mut shard = Shard::new(Config::default());
    let (mut n, mut sizes) = (0, Vec::new());
    // Ten days; every 100 s one or two series are born, say one word and log one error.
    for i in 0..8_640_i64 {
        let at = start().plus_ms(i * 100_000);
        let mut batch = Batch::new("test", at);
        let points = vec![Point { at, value: 0.3 }];
        batch.metrics.push(Samples { series: steady.clone(), points: points.clone() });
        while n * 8_640 < i * 10_000 {
            n += 1;
            let pod = format!("pod-{n}");
            batch.metrics.push(Samples { series: other(&pod, "calls"), points: points.clone() });
            if n % 10 == 0 {
                let mut error = line(at, "request failed".to_owned());
                error.entity = EntityRef::service(&pod);
                batch.logs.push(error);
            }
        }
        shard.observe(&batch);
        if i % 864 == 863 {
            sizes.push(shard.snapshot().len());
        }
    }
    assert!(n >= 9_990, "{n} series");
    let (second, last) = (sizes[1], sizes[9]);
    assert!(last * 10 < second * 11, "{sizes:?}");
    assert!(shard.n_series() < 1_100, "{} series", shard.n_series());
    assert!(shard.counts().series_dropped > 8_900, "{:?}", shard.counts());
}

#[test]
fn a_long_break_of_ours_and_slow_teaching_forget_nothing() {
    let s = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&s, latency);
    assert_eq!(ticks(&mut shard, now.plus_ms(3 * DAY_MS), 60), []);
    assert_eq!(shard.n_series(), 1, "we were off, not they");

    // History of two weeks ago that comes a day at a time, between ticks.
    let old = other("cart", "calls");
    let mut at = now.plus_ms(3 * DAY_MS + HOUR_MS);
    for day in 0..14 {
        let mut batch = Batch::new("test", at);
        batch.backfill = true;
        let points = vec![Point { at: start().plus_ms(day * DAY_MS), value: 0.3 }];
        batch.metrics.push(Samples { series: old.clone(), points });
        shard.observe(&batch);
        ticks(&mut shard, at, 20);
        at = at.plus_ms(20 * MINUTE_MS);
    }
    assert_eq!((shard.n_series(), shard.counts().judged), (2, 14 * 288 + 14));
    ticks(&mut shard, at, 25 * 60);
    assert_eq!(shard.n_series(), 0, "a day of silence while we hear");
}

#[test]
fn a_snapshot_from_before_series_were_dropped_is_read() {
    use std::collections::BTreeMap;
    let none = BTreeMap::<String, u8>::new();
    let logs = (Some(start()), none.clone());
    let missing = (start(), start(), none);
    let state =
        (1_u16, start(), BTreeMap::<u64, u8>::new(), logs, missing, (7_u64, 1_u64, 0_u64, 0, 0));
    let bytes = rmp_serde::to_vec(&state).expect("encodes");
    let shard = Shard::restore(Config::default(), &bytes).expect("reads it");
    assert_eq!((shard.counts().judged, shard.counts().series_dropped), (7, 0));
}
