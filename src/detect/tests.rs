//! Detection end to end on made-up series: what must fire, what must not, and restores.

use proptest::prelude::*;

use super::*;
use crate::model::alert::Anomaly;
use crate::model::signal::{Direction, LogLine};
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{Batch, EntityRef, Indicator, Labels, Level, Point, Samples, Series, Time};

mod ahead;
mod kinds;
mod promises;
mod replicas;
mod seasons;
mod silence;
mod views;

pub(super) fn series(indicator: Indicator, unit: &str) -> Series {
    let entity = EntityRef::service("checkout");
    let labels = Labels::default();
    let metric = format!("{indicator:?} p99");
    Series {
        id: Series::identity("test", &metric, &entity, &labels),
        source: "test".into(),
        entity,
        metric,
        labels,
        indicator,
        unit: unit.into(),
        direction: if indicator == Indicator::Rate { Direction::Low } else { Direction::High },
        query: None,
        limit: None,
        step_ms: 15_000,
    }
}

fn start() -> Time {
    Time::parse("2026-11-02T00:00:00Z").expect("valid")
}

/// Noise without a generator: hash of the time, about −1 to 1.
fn noise(at: Time) -> f64 {
    let mut x = at.ms().unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 32;
    (x % 20_001) as f64 / 10_000.0 - 1.0
}

/// A shard with two weeks of `f` at five minutes, and the time at which live running starts.
fn taught(series: &Series, f: impl Fn(Time) -> f64) -> (Shard, Time) {
    let mut shard = Shard::new(Config::default());
    let end = start().plus_ms(14 * DAY_MS);
    let mut at = start();
    while at < end {
        let mut batch = Batch::new("test", at.plus_ms(DAY_MS));
        batch.backfill = true;
        let day_end = at.plus_ms(DAY_MS);
        let mut points = Vec::new();
        while at < day_end {
            points.push(Point { at, value: f(at) });
            at = at.plus_ms(5 * MINUTE_MS);
        }
        batch.metrics.push(Samples { series: series.clone(), points });
        assert_eq!(shard.observe(&batch), [], "back-fill raises nothing");
    }
    (shard, end)
}

fn live(shard: &mut Shard, series: &Series, at: Time, value: f64) -> Vec<Anomaly> {
    let mut batch = Batch::new("test", at);
    batch.metrics.push(Samples { series: series.clone(), points: vec![Point { at, value }] });
    shard.observe(&batch)
}

/// Runs live at 15 s for `minutes` and gives all that was said.
fn run(
    shard: &mut Shard,
    series: &Series,
    from: Time,
    minutes: i64,
    f: impl Fn(Time) -> f64,
) -> Vec<Anomaly> {
    (0..minutes * 4)
        .flat_map(|i| {
            let at = from.plus_ms(i * 15_000);
            live(shard, series, at, f(at))
        })
        .collect()
}

fn daily(at: Time) -> f64 {
    (at.ms() as f64 / DAY_MS as f64 * std::f64::consts::TAU).sin()
}

fn latency(at: Time) -> f64 {
    0.3 + 0.05 * daily(at) + 0.02 * noise(at)
}

#[test]
fn a_real_fault_fires_within_two_minutes_and_ends() {
    let s = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&s, latency);
    assert_eq!(run(&mut shard, &s, now, 60, latency), []);
    let fault = now.plus_ms(HOUR_MS);
    let said = run(&mut shard, &s, fault, 10, |at| latency(at) + 3.0);
    let first = said.first().expect("it fires");
    assert!(first.at.ms_since(fault) <= 120_000, "after {} ms", first.at.ms_since(fault));
    assert_eq!(first.since, fault);
    assert_eq!(first.detector, "seasonal/1");
    assert!(first.expected.high < 1.0 && first.score > 8.0, "{first:?}");
    let after = run(&mut shard, &s, fault.plus_ms(10 * MINUTE_MS), 5, latency);
    let last = after.last().expect("it ends");
    assert_eq!((last.id, last.until), (first.id, Some(fault.plus_ms(10 * MINUTE_MS - 15_000))));
    let alert = lifecycle::alert_of(last, 4.0);
    assert_eq!(alert.name(), "DurationHigh");
    let summary = alert.annotations.get("summary").expect("has one");
    assert!(summary.starts_with("checkout p99 3."), "{summary}");
}

#[test]
fn a_fault_widens_nothing_that_judges_it_and_a_confirmed_level_becomes_normal() {
    let s = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&s, latency);
    let fault = now.plus_ms(20 * MINUTE_MS);
    assert_eq!(run(&mut shard, &s, now, 20, latency), []);
    let hours: Vec<Time> = (-3..24).map(|h| fault.plus_ms(h * HOUR_MS)).collect();
    let bands = |shard: &Shard| -> Vec<_> {
        hours.iter().map(|at| shard.expected(s.id, *at).map(|b| (b.low, b.high))).collect()
    };
    let before = bands(&shard);
    let slower = |at| latency(at) + 0.5;
    let said = run(&mut shard, &s, fault, 23 * 60, slower);
    assert!(said.iter().all(|a| a.until.is_none() && a.since == fault), "one episode, under way");
    assert_eq!(bands(&shard), before, "the past is not redrawn and no hour ahead is widened");
    let later = fault.plus_ms(23 * HOUR_MS);
    let said = run(&mut shard, &s, later, 2 * 60, slower);
    let last = said.last().expect("it is told of its end");
    assert!(last.until.is_some() && last.why.contains("counts as normal"), "{}", last.why);
    let band = shard.expected(s.id, later.plus_ms(2 * HOUR_MS)).expect("known");
    assert!(band.low > 0.3 && (band.mid - 0.8).abs() < 0.15, "{band:?}");
}

#[test]
fn a_blip_shorter_than_the_hold_does_not_fire() {
    let s = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&s, latency);
    let blip = |at: Time| {
        let since = at.ms_since(now);
        latency(at) + if (600_000..645_000).contains(&since) { 2.0 } else { 0.0 }
    };
    assert_eq!(run(&mut shard, &s, now, 30, blip), []);
}

#[test]
fn a_nightly_batch_and_a_weekly_surge_do_not_fire() {
    let s = series(Indicator::Utilization, "1");
    let batch = |at: Time| {
        let minute = at.ms().rem_euclid(DAY_MS) / MINUTE_MS;
        let night = if (125..160).contains(&minute) { 0.6 } else { 0.0 };
        let friday = if (114..118).contains(&at.hour_of_week()) { 0.5 } else { 0.0 };
        0.3 + 0.05 * daily(at) + night + friday + 0.02 * noise(at)
    };
    let (mut shard, now) = taught(&s, batch);
    assert_eq!(run(&mut shard, &s, now, 7 * 24 * 60, batch), [], "a week without a word");
}

#[test]
fn noise_of_a_quiet_service_does_not_fire_and_more_noise_live_than_in_history_neither() {
    let s = series(Indicator::Errors, "1");
    let quiet = |at: Time| if noise(at) > 0.97 { 0.015 } else { 0.0 };
    let (mut shard, now) = taught(&s, |_| 0.0);
    assert_eq!(run(&mut shard, &s, now, 24 * 60, quiet), []);
    let d = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&d, |at| 0.3 + 0.01 * noise(at));
    assert_eq!(run(&mut shard, &d, now, 24 * 60, |at| 0.3 + 0.08 * noise(at)), []);
}

#[test]
fn traffic_that_stops_fires_low_and_a_rise_does_not() {
    let s = series(Indicator::Rate, "{request}/s");
    let traffic = |at: Time| 100.0 + 40.0 * daily(at) + 5.0 * noise(at);
    let (mut shard, now) = taught(&s, traffic);
    assert_eq!(run(&mut shard, &s, now, 20, |at| traffic(at) * 3.0), []);
    let said = run(&mut shard, &s, now.plus_ms(HOUR_MS), 5, |_| 0.0);
    assert_eq!(said.first().expect("fires").direction, Direction::Low);
}

#[test]
fn a_young_series_warms_up_and_then_sees_a_step() {
    let s = series(Indicator::Duration, "s");
    let mut shard = Shard::new(Config::default());
    let now = start();
    assert_eq!(
        run(&mut shard, &s, now, 5, |at| latency(at) * if noise(at) > 0.5 { 4.0 } else { 1.0 }),
        []
    );
    assert_eq!(run(&mut shard, &s, now.plus_ms(5 * MINUTE_MS), 60, latency), []);
    let said = run(&mut shard, &s, now.plus_ms(65 * MINUTE_MS), 5, |at| latency(at) + 2.0);
    assert!(matches!(said.first().expect("fires").detector.as_str(), "zscore/1" | "iqr/1"));
}

#[test]
fn silence_is_noticed_by_ticks_and_deafness_is_not_silence() {
    let s = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&s, latency);
    assert_eq!(run(&mut shard, &s, now, 10, latency), []);
    let silent = now.plus_ms(10 * MINUTE_MS);
    let said: Vec<Anomaly> =
        (0..60).flat_map(|i| shard.observe(&Batch::tick(silent.plus_ms(i * 10_000)))).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].why.contains("silent for"), "{}", said[0].why);
    let back = run(&mut shard, &s, silent.plus_ms(10 * MINUTE_MS), 1, latency);
    assert!(back.iter().any(|a| a.id == said[0].id && a.until.is_some()));

    let (mut deaf, now) = taught(&s, latency);
    assert_eq!(run(&mut deaf, &s, now, 10, latency), []);
    let later = now.plus_ms(2 * HOUR_MS);
    assert_eq!(deaf.observe(&Batch::tick(later)), [], "we were off, not they");
}

#[test]
fn a_lively_series_that_stands_still_is_told_of() {
    let s = series(Indicator::Usage, "By");
    let (mut shard, now) = taught(&s, |at| 1e9 + 1e7 * noise(at));
    assert_eq!(run(&mut shard, &s, now, 10, |at| 1e9 + 1e7 * noise(at)), []);
    let said = run(&mut shard, &s, now.plus_ms(10 * MINUTE_MS), 40, |_| 1e9);
    assert_eq!(said.first().expect("told").detector, "flatline/1");
}

fn line(at: Time, body: String) -> LogLine {
    let entity = EntityRef::service("orders");
    LogLine { at, entity, level: Level::Error, body, trace_id: None, attributes: Labels::default() }
}

#[test]
fn a_new_error_template_and_a_burst_are_told_once() {
    let mut shard = Shard::new(Config::default());
    let mut said = Vec::new();
    for second in 0..7_200_i64 {
        let at = start().plus_ms(second * 1_000);
        let mut batch = Batch::new("logs", at);
        if second % 20 == 0 {
            batch.logs.push(line(at, format!("retry {second} of payment call failed")));
        }
        if (3_600..3_700).contains(&second) {
            batch.logs.push(line(at, format!("no free connection in pool after {second} ms")));
        }
        if (5_400..5_460).contains(&second) {
            for _ in 0..3 {
                batch.logs.push(line(at, format!("retry {second} of payment call failed")));
            }
        }
        said.extend(shard.observe(&batch));
    }
    let mut seen = std::collections::BTreeSet::new();
    let begun: Vec<(&str, i64)> = said
        .iter()
        .filter(|a| seen.insert(a.id))
        .map(|a| (a.detector.as_str(), a.since.ms_since(start()) / 1_000))
        .collect();
    assert_eq!(begun.len(), 2, "{begun:?}");
    assert_eq!(begun[0], ("log-new/1", 3_600));
    assert_eq!(begun[1].0, "log-burst/1");
    assert_eq!(said.iter().filter(|a| a.until.is_some()).count(), 2, "both end");
}

#[test]
fn bad_points_are_counted_and_change_nothing() {
    let s = series(Indicator::Duration, "s");
    let mut shard = Shard::new(Config::default());
    live(&mut shard, &s, start(), 1.0);
    for (offset, value) in [(0, 2.0), (-60_000, 1.0)] {
        live(&mut shard, &s, start().plus_ms(offset), value);
    }
    let mut batch = Batch::new("test", start());
    let far = Point { at: start().plus_ms(HOUR_MS), value: 1.0 };
    let nan = Point { at: start().plus_ms(1_000), value: f64::NAN };
    batch.metrics.push(Samples { series: s.clone(), points: vec![far, nan] });
    shard.observe(&batch);
    assert_eq!(
        shard.counts(),
        Counts { judged: 1, late: 1, duplicate: 1, future: 1, not_finite: 1, ..Counts::default() }
    );
}

#[test]
fn the_state_of_a_series_stays_small() {
    let s = series(Indicator::Utilization, "1");
    let (mut shard, now) = taught(&s, |at| 0.4 + 0.01 * noise(at));
    run(&mut shard, &s, now, 120, |at| 0.4 + 0.01 * noise(at));
    // What is kept once, whatever the number of series: the watch over detectors.
    let mut empty = Shard::new(Config::default());
    empty.observe(&Batch::tick(start()));
    let bytes = shard.snapshot().len() - empty.snapshot().len();
    assert!(bytes < 10_000, "{bytes} bytes with a forecast and the ensemble, encoded");
}

#[test]
fn four_kibibytes_hold_a_mature_series_and_what_is_counted_is_what_is_there() {
    // One that is lively, and two with a limit, which have a forecast: a share, and a lively amount.
    let (slow, used) = (series(Indicator::Duration, "s"), series(Indicator::Utilization, "1"));
    let mut bytes = series(Indicator::Usage, "By");
    bytes.limit = Some(1e9);
    let share = |at| 0.4 + 0.01 * noise(at);
    let amount = |at| (1e9 * share(at)).round();
    for (shard, now) in [taught(&slow, latency), taught(&used, share), taught(&bytes, amount)] {
        holds_what_it_counts(shard, now);
    }
}

/// The state of its one series is within 4 KiB, and the snapshot says so too.
fn holds_what_it_counts(shard: Shard, _: Time) {
    let f = shard.footprint();
    assert!(f.state() <= 4_096.0, "{f:?}");
    // In a snapshot numbers take about as much room, and names are written once more or less.
    let empty = Shard::new(Config::default());
    let written = (shard.snapshot().len() - empty.snapshot().len()) as f64;
    let counted = f.state() + f.description;
    assert!(
        (0.7..1.2).contains(&(written / counted)),
        "{written} bytes written, {counted} counted"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_restored_shard_goes_on_as_if_nothing_happened(
        values in prop::collection::vec(-10.0_f64..1_000.0, 40..300),
        cut in 0_usize..300,
        gaps in prop::collection::vec(1_i64..40, 300),
    ) {
        let s = series(Indicator::Utilization, "1");
        let mut whole = Shard::new(Config::default());
        let mut parts = Shard::new(Config::default());
        let mut at = start();
        for (i, value) in values.iter().enumerate() {
            if i == cut {
                parts = Shard::restore(Config::default(), &parts.snapshot()).expect("reads its own");
            }
            at = at.plus_ms(gaps[i] * 15_000);
            prop_assert_eq!(live(&mut whole, &s, at, *value), live(&mut parts, &s, at, *value));
        }
        prop_assert_eq!(whole.snapshot(), parts.snapshot());
    }
}

#[tokio::test]
async fn the_stage_judges_the_journal_once_and_goes_on_from_its_snapshot() {
    use crate::bus::Bus;
    use crate::model::Alert;
    use crate::model::signal::ExternalAlert;
    use crate::store::{Filter, Store};
    use crate::telemetry::intake::Intake;
    use tokio_util::sync::CancellationToken;

    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let (bus, config) = (Bus::default(), Config::default());
    let intake = Intake::open(store.clone(), bus.clone()).await.expect("opens");
    let s = series(Indicator::Duration, "s");
    let shard = SharedShard::new(config.clone());
    let external = ExternalAlert {
        system: "alertmanager".into(),
        labels: [("alertname", "Slow"), ("service", "cart")].into_iter().collect(),
        annotations: Labels::default(),
        starts_at: start(),
        ends_at: None,
        generator_url: None,
        episode: None,
        said_at: None,
    };
    for round in 0..2_i64 {
        for i in 0..20 {
            let at = start().plus_ms((round * 20 + i) * 15_000);
            let mut batch = Batch::new("test", at);
            let points = vec![Point { at, value: 0.3 }];
            batch.metrics.push(Samples { series: s.clone(), points });
            batch.alerts.push(external.clone());
            intake.accept(batch).await.expect("is taken");
        }
        // Cancelled from the start: it judges what the journal holds, snapshots, and ends.
        let stop = CancellationToken::new();
        stop.cancel();
        let shard = if round == 0 { shard.clone() } else { SharedShard::new(config.clone()) };
        Detect::new(config.clone(), store.clone(), bus.clone(), intake.clone(), shard.clone())
            .run(stop)
            .await
            .expect("drains");
        assert_eq!(shard.figures().1.judged, (round as u64 + 1) * 20, "each batch once");
        assert_eq!(intake.backlog(), 0);
    }
    let alerts = store.read(|r| r.list::<Alert>(&Filter::all())).await.expect("reads");
    assert_eq!(alerts.len(), 1, "one condition, one alert");
    assert_eq!((alerts[0].n_reports, alerts[0].name()), (40, "Slow"));
}

#[test]
fn a_slow_leak_becomes_an_alert_long_before_the_limit() {
    let mut s = series(Indicator::Usage, "By");
    s.metric = "process.memory.usage".into();
    s.limit = Some(2e9);
    let memory = |at: Time| 7e8 + 1e8 * daily(at) + 1e7 * noise(at);
    let (mut shard, now) = taught(&s, memory);
    assert_eq!(run(&mut shard, &s, now, 60, memory), [], "no leak, no word");
    let leak = now.plus_ms(HOUR_MS);
    let rate = 6e7 / HOUR_MS as f64;
    let said =
        run(&mut shard, &s, leak, 12 * 60, |at| memory(at) + rate * at.ms_since(leak) as f64);
    let told = said.iter().find(|a| a.detector == "forecast/1").expect("a leak is told of");
    let after_h = told.at.ms_since(leak) as f64 / HOUR_MS as f64;
    assert!(after_h < 6.0, "after {after_h} h, of the 20 h it takes");
    assert!(told.why.contains("reaches its limit of 1.9 GiB in "), "{}", told.why);
    let alert = lifecycle::alert_of(told, 4.0);
    assert_eq!((alert.name(), alert.severity), ("LimitAhead", crate::model::Severity::Warning));
}

#[test]
fn other_systems_alerts_keep_their_identity_and_renewal_keeps_decisions() {
    use crate::model::signal::ExternalAlert;
    use crate::model::{AlertStatus, Severity};
    let external = ExternalAlert {
        system: "alertmanager".into(),
        labels: [("alertname", "PoolSaturated"), ("job", "orders:8080"), ("severity", "page")]
            .into_iter()
            .collect(),
        annotations: Labels::default(),
        starts_at: start(),
        ends_at: Some(start().plus_ms(HOUR_MS)),
        generator_url: None,
        episode: None,
        said_at: None,
    };
    let mut first = lifecycle::alert_of_external(&external, start().plus_ms(MINUTE_MS));
    assert_eq!(first.entity, EntityRef::service("orders"));
    assert_eq!(
        (first.indicator, first.severity),
        (Some(Indicator::Saturation), Severity::Critical)
    );
    assert_eq!(first.status, AlertStatus::Firing, "an end ahead is only a time-out");
    first.decision = Some("joined".into());
    let later = lifecycle::alert_of_external(&external, start().plus_ms(2 * HOUR_MS));
    assert_eq!(first.id, later.id);
    let renewed = lifecycle::renewed(first, later);
    assert_eq!((renewed.status, renewed.n_reports), (AlertStatus::Resolved, 2));
    assert_eq!(renewed.decision.as_deref(), Some("joined"));
    assert_eq!(renewed.known_at, Some(start().plus_ms(MINUTE_MS)), "its end is no news of it");
    let again = start().plus_ms(3 * HOUR_MS);
    let open = ExternalAlert { ends_at: None, ..external };
    let refired = lifecycle::renewed(renewed, lifecycle::alert_of_external(&open, again));
    assert_eq!((refired.status, refired.known_at), (AlertStatus::Firing, Some(again)));
}
