//! Known lags are found, unrelated series are told apart, and the interval holds what it promises.

use super::*;
use crate::stats::Draws;

/// Series made of draws.
struct Dice(Draws);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Draws::new(seed))
    }

    /// A series that remembers: each value is `memory` of the one before, with variance 1.
    fn remembering(&mut self, n: usize, memory: f64) -> Vec<f64> {
        let (mut v, fresh) = (self.0.normal(), (1.0 - memory * memory).sqrt());
        (0..n)
            .map(|_| {
                v = memory * v + fresh * self.0.normal();
                v
            })
            .collect()
    }
}

/// A level that lasts.
fn bump(series: &mut [f64], from: usize, length: usize, by: f64) {
    for v in series.iter_mut().skip(from).take(length) {
        *v += by;
    }
}

const DAY: usize = 720;
const MOST: usize = 15;
/// Series made for each rate: few, since this is a debug build; 300 gave the same.
const TRIES: u64 = 40;

#[test]
fn orders_that_fall_after_a_latency_rose_are_found_with_their_lag() {
    let mut dice = Dice::new(1);
    let (mut slow, mut orders) = (dice.remembering(DAY, 0.6), dice.remembering(DAY, 0.6));
    bump(&mut slow, 600, 20, 6.0);
    bump(&mut orders, 606, 20, -5.0);
    let found = following(&slow, &orders, MOST).expect("enough points");
    assert!(found.is_significant(), "{found:?}");
    assert!((5..=7).contains(&found.lag) && found.r < -0.4, "{found:?}");
    assert!(found.interval.0 < found.r && found.r < found.interval.1 && found.interval.1 < 0.0);
    // The unit that either is told in does not matter, nor do missing points.
    let scaled: Vec<f64> = slow.iter().map(|v| 1e6 + 250.0 * v).collect();
    let again = following(&scaled, &orders, MOST).expect("enough points");
    assert!(again.lag == found.lag && (again.r - found.r).abs() < 1e-6);
    let holes: Vec<f64> =
        orders.iter().enumerate().map(|(i, v)| if i % 7 == 0 { f64::NAN } else { *v }).collect();
    assert!(following(&slow, &holes, MOST).is_some_and(|f| f.is_significant()));
}

#[test]
fn one_move_each_within_reach_is_no_proof_where_history_is_short() {
    let mut dice = Dice::new(2);
    let (mut x, mut y) = (dice.remembering(90, 0.3), dice.remembering(90, 0.3));
    bump(&mut x, 60, 12, 8.0);
    bump(&mut y, 66, 12, -8.0);
    assert!(following(&x, &y, MOST).is_none_or(|f| !f.is_significant()));
}

#[test]
fn unrelated_series_are_seldom_told_of() {
    let mut told = [0; 3];
    for seed in 0..TRIES {
        let mut dice = Dice::new(1_000 + seed);
        for (kind, told) in told.iter_mut().enumerate() {
            let memory = [0.0, 0.9, 0.9][kind];
            let (mut x, mut y) = (dice.remembering(DAY, memory), dice.remembering(DAY, memory));
            if kind == 2 {
                // Each has moments of its own.
                for s in [&mut x, &mut y] {
                    for _ in 0..3 {
                        let from = (dice.0.uniform() * DAY as f64) as usize;
                        bump(s, from, 20, 6.0);
                    }
                }
            }
            *told += u64::from(following(&x, &y, MOST).is_some_and(|f| f.is_significant()));
        }
    }
    // 5 % of 40 are 2, and 6 lie three standard deviations above.
    assert!(told.iter().all(|n| *n <= 6), "{told:?} of {TRIES}");
}

#[test]
fn the_interval_covers_the_truth() {
    for (memory, truth) in [(0.0, -0.7_f64), (0.8, -0.7), (0.8, 0.4), (0.95, -0.7)] {
        let mut covered = 0;
        for seed in 0..TRIES {
            let mut dice = Dice::new(5_000 + seed);
            let (x, own) = (dice.remembering(DAY, memory), dice.remembering(DAY, memory));
            let mix = |i: usize| {
                let led = if i >= 6 { x[i - 6] } else { 0.0 };
                truth * led + (1.0 - truth * truth).sqrt() * own[i]
            };
            let y: Vec<f64> = (0..DAY).map(mix).collect();
            let found = following(&x, &y, MOST).expect("enough points");
            let (low, high) = found.interval;
            covered += u64::from(low <= truth && truth <= high);
        }
        // 95 % of 40 are 38, and 34 lie three standard deviations below.
        assert!(covered >= 34, "memory {memory}, truth {truth}: {covered} of {TRIES}");
    }
}

#[test]
fn what_can_not_be_compared_gives_nothing() {
    assert_eq!(following(&[1.0; 200], &[1.0; 200], MOST), None, "neither moves");
    assert_eq!(following(&[1.0; 10], &[1.0; 10], 2), None);
    assert_eq!(following(&[f64::NAN; 200], &[f64::INFINITY; 200], MOST), None);
    let mut dice = Dice::new(3);
    let x = dice.remembering(200, 0.2);
    assert_eq!(following(&x, &x[1..], MOST), None);
}

proptest::proptest! {
    #[test]
    fn any_values_give_a_correlation_or_nothing(
        pairs in proptest::collection::vec((proptest::num::f64::ANY, proptest::num::f64::ANY), 60..140),
        most in 0..60_usize,
    ) {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        if let Some(found) = following(&x, &y, most) {
            proptest::prop_assert!((-1.0..=1.0).contains(&found.r) && found.lag <= most);
            proptest::prop_assert!(found.interval.0 <= found.interval.1);
            proptest::prop_assert!(found.p > 0.0 && found.p <= 1.0 && found.n_effective.is_finite());
        }
    }
}
