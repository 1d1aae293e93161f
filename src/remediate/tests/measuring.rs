//! Whether a run helped: figures, noise, gaps.

use crate::model::action::Effect;
use crate::model::alert::Band;
use crate::model::signal::Direction;
use crate::model::{EntityRef, Indicator, Labels, Point, Series, Time};
use crate::remediate::verify::{Measured, judge};
use proptest::prelude::*;

const STEP_MS: i64 = 15_000;
const N: i64 = 8;

fn at(n: i64) -> Time {
    Time::parse("2026-11-20T03:00:00Z").expect("valid").plus_ms(n * STEP_MS)
}

/// Eight points each side with a noise of two percent of `level`.
fn points(from: i64, level: f64) -> Vec<Point> {
    (from..from + N)
        .map(|n| Point { at: at(n), value: level * (1.0 + 0.01 * (n.rem_euclid(3) as f64)) })
        .collect()
}

/// The signal: 95th percentile of orders, in seconds, every 15 s.
pub(super) fn series() -> Series {
    let entity = EntityRef::service("orders");
    let labels = Labels::default();
    Series {
        id: Series::identity("s", "p95", &entity, &labels),
        source: "s".into(),
        entity,
        metric: "p95".into(),
        labels,
        indicator: Indicator::Duration,
        unit: "s".into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: STEP_MS,
    }
}

fn measured(before: f64, after: f64, expected: Option<Band>) -> Measured {
    Measured {
        series: series(),
        before: points(0, before),
        after: points(N, after),
        window: (at(N), at(2 * N)),
        expected,
    }
}

/// What is expected of it.
pub(super) const BAND: Band = Band { low: 0.05, mid: 0.1, high: 0.2 };

#[test]
fn the_measurement_tells_help_from_none_and_harm() {
    for (before, after, expected, effect) in [
        (4.0, 0.15, Some(BAND), Effect::Helped),
        (4.0, 1.0, Some(BAND), Effect::Helped),
        (4.0, 3.6, Some(BAND), Effect::NoChange),
        (4.0, 9.0, Some(BAND), Effect::Worse),
        (0.1, 0.1, Some(BAND), Effect::NoChange),
        (0.1, 4.0, Some(BAND), Effect::Worse),
        (4.0, 0.1, None, Effect::Unmeasured),
    ] {
        let outcome = judge(&measured(before, after, expected), Time::MIN);
        assert_eq!(outcome.effect, effect, "{before} to {after}: {}", outcome.text);
    }
    insta::assert_snapshot!(
        judge(&measured(4.0, 0.1, Some(BAND)), Time::MIN).text,
        @"Helped: p95 of orders was 4 s and is 101 ms, inside its band again (expected 50 ms to 200 ms; 8 points over 2 min from 03:02:00 UTC)."
    );
    insta::assert_snapshot!(
        judge(&measured(4.0, 3.9, Some(BAND)), Time::MIN).text,
        @"No change: p95 of orders was 4 s and is 3.9 s (expected 50 ms to 200 ms; 8 points over 2 min from 03:02:00 UTC)."
    );
}

#[test]
fn signals_that_are_bad_when_low_are_judged_from_below() {
    let low = |before, after| {
        let mut m = measured(before, after, Some(Band { low: 90.0, mid: 100.0, high: 110.0 }));
        m.series.direction = Direction::Low;
        judge(&m, Time::MIN).effect
    };
    assert_eq!(low(20.0, 100.0), Effect::Helped);
    assert_eq!(low(80.0, 20.0), Effect::Worse);
    assert_eq!(low(100.0, 300.0), Effect::NoChange, "much is not bad here");
}

#[test]
fn a_signal_that_fell_silent_is_unmeasured_and_never_unchanged_or_helped() {
    let gap = |cut: fn(&mut Measured)| {
        let mut m = measured(4.0, 0.1, Some(BAND));
        cut(&mut m);
        let outcome = judge(&m, Time::MIN);
        assert_eq!(outcome.effect, Effect::Unmeasured, "{}", outcome.text);
        outcome.text
    };
    let none = gap(|m| m.after.clear());
    assert_eq!(
        none,
        "Not measured: p95 of orders: 0 of about 8 points came in the 2 min after it. A signal that \
         was not read is not taken for unchanged."
    );
    assert!(gap(|m| m.after.truncate(3)).contains("3 of about 8 points"));
    assert!(gap(|m| m.before.truncate(2)).contains("2 points from before"));
    let died = gap(|m| m.after.truncate(5));
    assert!(died.contains("no point came in the last third of the 2 min"), "{died}");
    let late = gap(|m| drop(m.after.drain(..4)));
    assert!(late.contains("in the first third"), "{late}");
    let not_numbers = gap(|m| m.after.iter_mut().for_each(|p| p.value = f64::NAN));
    assert!(not_numbers.contains("0 of about 8"), "{not_numbers}");
}

#[test]
fn noise_is_not_taken_for_help() {
    let mut m = measured(0.22, 0.19, Some(BAND));
    for (n, p) in m.before.iter_mut().chain(&mut m.after).enumerate() {
        p.value += if n % 2 == 0 { 0.15 } else { -0.15 };
    }
    let outcome = judge(&m, Time::MIN);
    assert_eq!(outcome.effect, Effect::NoChange, "{}", outcome.text);
    assert!(outcome.text.contains("within its noise"), "{}", outcome.text);
}

proptest! {
    #[test]
    fn any_points_give_a_judgement_and_help_only_nearer_to_the_band(
        before in proptest::collection::vec(proptest::num::f64::ANY, 0..20),
        after in proptest::collection::vec(proptest::num::f64::ANY, 0..20),
    ) {
        let mut m = measured(1.0, 1.0, Some(BAND));
        let put = |values: &[f64], from: i64| -> Vec<Point> {
            values.iter().zip(from..).map(|(v, n)| Point { at: at(n), value: *v }).collect()
        };
        m.before = put(&before, -20);
        m.after = put(&after, N);
        let outcome = judge(&m, Time::MIN);
        let away = |v: f64| (v - BAND.high).max(0.0);
        if let (Some(was), Some(is)) = (outcome.before, outcome.after) {
            match outcome.effect {
                Effect::Helped => prop_assert!(away(is) < away(was)),
                Effect::Worse => prop_assert!(away(is) > away(was)),
                _ => {}
            }
        }
        prop_assert!(outcome.text.ends_with('.'));
    }
}
