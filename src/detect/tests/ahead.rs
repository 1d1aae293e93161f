//! Forecasts through a whole shard: what wanders heads for no limit, and what is at its limit is told as
//! that.

use super::*;
use crate::stats::Draws;

fn pool() -> Series {
    let mut s = series(Indicator::Utilization, "1");
    s.metric = "db.client.connections.utilization".into();
    s.id = Series::identity(&s.source, &s.metric, &s.entity, &s.labels);
    s
}

fn forecasts(said: &[Anomaly]) -> Vec<&Anomaly> {
    said.iter().filter(|a| a.detector == "forecast/1").collect()
}

/// Connections in use of a pool of 20, by minute: they come at random and are kept for half an hour.
fn wandering(minutes: usize) -> Vec<f64> {
    let (mut draws, mut taken) = (Draws::new(5), 8.0_f64);
    (0..minutes)
        .map(|_| {
            let (mut come, mut go) = (0.0, 0.0);
            let mut waited = draws.exponential();
            while waited < 8.0 / 30.0 {
                (come, waited) = (come + 1.0, waited + draws.exponential());
            }
            for _ in 0..taken as usize {
                go += f64::from(u8::from(draws.uniform() < 1.0 / 30.0));
            }
            taken = (taken + come - go).clamp(0.0, 19.0);
            taken / 20.0
        })
        .collect()
}

#[test]
fn a_pool_that_wanders_by_a_few_connections_heads_for_no_limit() {
    let s = pool();
    let all = wandering(18 * 1_440);
    let at = |t: Time| all[(t.ms_since(start()) / MINUTE_MS) as usize];
    let (mut shard, now) = taught(&s, at);
    let said = run(&mut shard, &s, now, 4 * 1_440, at);
    let told: Vec<_> = forecasts(&said).iter().map(|a| &a.why).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_limit_that_is_reached_is_told_as_reached() {
    let s = pool();
    let calm = |t: Time| 0.3 + 0.01 * noise(t);
    let (mut shard, now) = taught(&s, calm);
    // A third of the pool an hour.
    let leak = |t: Time| (calm(t) + 0.3 * t.ms_since(now) as f64 / HOUR_MS as f64).min(1.0);
    let said = run(&mut shard, &s, now, 4 * 60, leak);
    let told = forecasts(&said);
    let summary =
        |a: &Anomaly| lifecycle::alert_of(a, 4.0).annotations.get("summary").map(str::to_owned);
    let (first, last) = (told.first().expect("a leak is told of"), told.last().expect("as before"));
    assert!(first.value < 1.0 && first.why.contains("it reaches its limit of"), "{}", first.why);
    assert!(summary(first).is_some_and(|s| s.ends_with("heading for its limit")));
    assert!(last.value >= 1.0 && last.why.contains("its limit of"), "{}", last.why);
    assert!(!last.why.contains("heads for") && !last.why.contains("it reaches"), "{}", last.why);
    assert!(summary(last).is_some_and(|s| s.ends_with(", at its limit")), "{:?}", summary(last));

    // What jumped there heads for nothing.
    let (mut shard, now) = taught(&s, calm);
    let full = |t: Time| if t.ms_since(now) < HOUR_MS { calm(t) } else { 1.0 };
    let said = run(&mut shard, &s, now, 4 * 60, full);
    assert!(!said.is_empty(), "those who judge levels see it");
    assert!(forecasts(&said).is_empty(), "{:?}", forecasts(&said)[0].why);
}

#[test]
fn what_stands_at_its_limit_is_not_over() {
    let s = pool();
    let calm = |t: Time| 0.3 + 0.01 * noise(t);
    let (mut shard, now) = taught(&s, calm);
    let since = |t: Time| t.ms_since(now) as f64 / HOUR_MS as f64;
    // Full after three hours, for a day; then it is emptied.
    let leak =
        |t: Time| if since(t) < 27.0 { (calm(t) + 0.25 * since(t)).min(1.0) } else { calm(t) };
    let said = run(&mut shard, &s, now, 27 * 60, leak);
    let full = forecasts(&said);
    assert!(!full.is_empty());
    let ended: Vec<_> = full.iter().filter(|a| a.until.is_some()).map(|a| &a.why).collect();
    assert!(ended.is_empty(), "{ended:?}");
    let last = full.last().expect("some");
    assert!(last.why.ends_with("is at its limit of 100 %."), "{}", last.why);
    assert!(now.plus_ms(26 * HOUR_MS) < last.at, "it is told until then");
    let said = run(&mut shard, &s, now.plus_ms(27 * HOUR_MS), 120, leak);
    let last = forecasts(&said).last().copied().expect("its end").clone();
    assert!(last.until.is_some() && last.why.contains("no longer heads for"), "{}", last.why);
}

#[test]
fn what_was_told_of_a_limit_that_is_none_any_more_is_over() {
    let s = pool();
    let calm = |t: Time| 0.3 + 0.01 * noise(t);
    let (mut shard, now) = taught(&s, calm);
    let leak = |t: Time| calm(t) + 0.2 * t.ms_since(now) as f64 / HOUR_MS as f64;
    let said = run(&mut shard, &s, now, 150, leak);
    assert!(forecasts(&said).last().is_some_and(|a| a.until.is_none()));
    // A newer version, or another source, says that it counts what failed.
    let errors = Series { indicator: Indicator::Errors, ..s };
    let said = run(&mut shard, &errors, now.plus_ms(150 * MINUTE_MS), 30, leak);
    let told = forecasts(&said);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].until.is_some() && told[0].why.ends_with("no known limit any more."));
}
