//! What the ensemble promises for any input: it survives it, goes on after a restore as if nothing
//! had happened, does not care in which order the series of an entity come, nor for the unit of a
//! series, and as far as its parts promise it nor for where its zero lies.

use proptest::prelude::*;

use super::super::Verdict;
use super::super::track::{Track, VIEW_NAMES, VIEWS};
use super::{Entity, noise};

/// Which parts are the same, up to rounding, when a constant is added to a series. The parts on a
/// linear grid are not: its levels lie on multiples of their width from zero, where most metrics
/// end, so that a constant moves values across their edges. All are the same when a series is
/// multiplied by a power of two.
const SHIFTS: [bool; VIEWS] =
    [false, false, false, false, false, false, false, false, false, true, true];

/// Values as they come from outside: ordinary, special and extreme.
fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -10.0_f64..1_000.0,
        2 => any::<f64>(),
        2 => prop::sample::select(vec![0.0, -0.0, 7.0, f64::MAX, f64::MIN, 5e-324, -2e-310]),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

/// Times relative to the one before, in ms: forwards, at once, back, a long gap, and absurd.
fn any_step() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 1_i64..600_000,
        1 => Just(0_i64),
        1 => -600_000_i64..0,
        1 => 86_400_000_i64..864_000_000,
        1 => any::<i64>(),
    ]
}

/// Rows of two series.
fn any_rows(most: usize) -> impl Strategy<Value = Vec<(i64, [f64; 2])>> {
    prop::collection::vec((any_step(), [any_value(), any_value()]), 1..most)
}

/// Rows ahead of others, so that what is young does not hide what is old.
fn grown(columns: usize) -> (Entity, i64) {
    let (mut entity, mut state) = (Entity::new(columns), 5);
    let mut at = 1_700_000_000_000;
    for _ in 0..300 {
        at += 60_000;
        let row: Vec<f64> = (0..columns).map(|_| noise(&mut state)).collect();
        entity.push(at, &row);
    }
    (entity, at)
}

fn is_finite(v: &Verdict) -> bool {
    let judged = &v.judgement;
    let told = &v.told;
    (0.0..=1.0).contains(&v.score)
        && judged.surprises.iter().all(|s| s.is_finite() && *s >= 0.0)
        && judged.evidence.is_finite()
        && judged.departure.is_finite()
        && judged.expected.is_finite()
        && told.evidence.is_finite()
        && told.row_surprise.is_finite()
        && told.onset_surprise.is_none_or(f32::is_finite)
        && v.onset_nats().is_none_or(f32::is_finite)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_values_and_times_give_finite_verdicts(rows in any_rows(600)) {
        let (mut entity, mut at) = grown(2);
        for (step, row) in rows {
            at = at.saturating_add(step);
            let verdict = entity.push(at, &row);
            prop_assert_eq!(verdict.is_none(), row.iter().all(|v| !v.is_finite()));
            prop_assert!(verdict.is_none_or(|v| is_finite(&v)), "{:?} at {}: {:?}", row, at, verdict);
        }
    }

    #[test]
    fn a_restore_anywhere_changes_nothing(rows in any_rows(300), cut in 0_usize..300) {
        let (mut whole, mut at) = grown(2);
        let mut parts = whole.clone();
        for (i, (step, row)) in rows.into_iter().enumerate() {
            if i == cut {
                let bytes = rmp_serde::to_vec(&parts).expect("numbers only");
                parts = rmp_serde::from_slice(&bytes).expect("just written");
            }
            at = at.saturating_add(step);
            prop_assert_eq!(whole.push(at, &row), parts.push(at, &row), "row {}", i);
        }
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn the_order_of_series_does_not_matter(rows in any_rows(300)) {
        let mut at = 1_700_000_000_000_i64;
        let (mut one, mut other) = (Entity::new(2), Entity::new(2));
        for (step, row) in rows {
            at = at.saturating_add(step);
            // The sums of two numbers are the same in both orders, to the last bit.
            let (a, b) = (one.push(at, &row), other.push(at, &[row[1], row[0]]));
            prop_assert_eq!(a.map(|v| v.score), b.map(|v| v.score));
            prop_assert_eq!(a.map(|v| v.told), b.map(|v| v.told));
        }
    }

    #[test]
    fn a_power_of_two_changes_nothing(by in -40_i32..40, seed in 1_u64..1_000_000) {
        let factor = 2.0_f64.powi(by);
        let (mut plain, mut scaled) = (Entity::new(1), Entity::new(1));
        let mut state = seed;
        for i in 0..1_500_i64 {
            let value = 3.0 + noise(&mut state) + if i > 1_200 { 2.0 } else { 0.0 };
            let at = 1_700_000_000_000 + i * 60_000;
            let (a, b) = (plain.push(at, &[value]), scaled.push(at, &[value * factor]));
            prop_assert_eq!(a.map(|v| v.score), b.map(|v| v.score), "row {}", i);
            let all = |v: Option<Verdict>| v.map(|v| v.judgement.surprises);
            prop_assert_eq!(all(a), all(b), "row {}", i);
        }
    }

    #[test]
    fn parts_that_promise_it_do_not_care_where_zero_is(by in -1_000_i32..1_000, seed in 1_u64..1_000_000) {
        let (mut plain, mut moved) = (Track::default(), Track::default());
        let mut state = seed;
        let mut unlike = [0_u32; VIEWS];
        for i in 0..1_500_i64 {
            let value = noise(&mut state) + if i > 1_200 { 0.7 } else { 0.0 };
            let at = 1_700_000_000_000 + i * 60_000;
            let (a, b) = (plain.push(at, value), moved.push(at, value + f64::from(by)));
            for (part, (a, b)) in a.surprises.into_iter().zip(b.surprises).enumerate() {
                unlike[part] += u32::from((a - b).abs() > 0.01);
            }
        }
        for (part, promised) in SHIFTS.into_iter().enumerate() {
            // A value on the edge of a bin may fall on either side by its rounding: at most 36 rows
            // in 3,000 such series.
            prop_assert!(!promised || unlike[part] < 60, "{}: {}", VIEW_NAMES[part], unlike[part]);
        }
    }
}
