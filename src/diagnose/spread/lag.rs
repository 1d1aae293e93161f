//! How long after what it depends on a service follows, and what it says that it did not yet. Pure.
//!
//! Lags are log-logistic (Bennett 1983, "Log-logistic regression models for survival data", *Applied
//! Statistics* 32): with the median m and the standard deviation σ of the logarithms, the share that
//! has not followed after t is S(t) = 1 / (1 + (t/m)^β), β = π / (√3·σ). The median is that of what was
//! seen; σ² = (ν·σ₀² + Σ(ln x − ln m)²) / (ν + n − 1), drawn towards a prior's, and is told for one more
//! lag, which lies further from a median of few: times 1 + 1/n.
//!
//! Not all follow. With the chance p at first, the chance that one that did not follow within t still
//! does is p·S(t) / (1 − p + p·S(t)): Bayes' rule on the cure model, a mixture of those who follow
//! sooner or later and those who never do (Boag 1949, *Journal of the Royal Statistical Society* B 11;
//! Berkson and Gage 1952).

use std::f64::consts::PI;

use crate::model::Time;
use crate::model::follower::{FollowLag, LagBasis};
use crate::model::time::{DAY_MS, SECOND_MS};
use crate::stats;

/// Standard deviation of the logarithms before anything was seen, and for how many lags that counts:
/// one time in ten comes after more than two and a half times the median. Set beforehand.
const PRIOR_SIGMA: f64 = 0.8;
const PRIOR_LAGS: f64 = 3.0;
/// Shorter lags (ms) are not told apart: series have a step, and detectors look a few times a minute.
const LEAST_MS: i64 = 15 * SECOND_MS;
/// No time further away (ms) is told.
const MOST_MS: f64 = 30.0 * DAY_MS as f64;
/// The interval that is told reaches from one time in ten to nine.
const TAIL: f64 = 0.1;

/// The spread of lags, of which at least one was seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lags {
    median_ms: f64,
    shape: f64,
    n: u32,
    basis: LagBasis,
}

impl Lags {
    /// Of the lags (ms) seen; `None` without any.
    pub(super) fn of(seen: &[i64], basis: LagBasis) -> Option<Self> {
        let logs: Vec<f64> = seen.iter().map(|ms| ((*ms).max(LEAST_MS) as f64).ln()).collect();
        let mid = stats::median(&logs)?;
        let n = logs.len() as f64;
        let squares: f64 = logs.iter().map(|x| (x - mid).powi(2)).sum();
        let variance =
            (PRIOR_LAGS * PRIOR_SIGMA.powi(2) + squares) / (PRIOR_LAGS + n - 1.0) * (1.0 + 1.0 / n);
        let shape = PI / (3.0 * variance).sqrt();
        Some(Self { median_ms: mid.exp(), shape, n: logs.len() as u32, basis })
    }

    /// The same over several hops, where they were seen from one to the next.
    pub(super) fn over(self, hops: u32) -> Self {
        let own = self.basis == LagBasis::History;
        let hops = if own { 1.0 } else { f64::from(hops.max(1)) };
        Self { median_ms: self.median_ms * hops, ..self }
    }

    /// Half of those that follow do so sooner (ms).
    pub(super) fn median_ms(&self) -> f64 {
        self.median_ms
    }

    /// The share of those that follow which has not after `ms`: 1 at 0, falling to 0.
    pub(super) fn waiting(&self, ms: i64) -> f64 {
        1.0 / (1.0 + (ms.max(0) as f64 / self.median_ms).powf(self.shape))
    }

    /// When (ms after the other) the share `q` (above 0, below 1) of those has followed that had not
    /// after `elapsed_ms`.
    pub(super) fn by(&self, q: f64, elapsed_ms: i64) -> f64 {
        let left = (self.waiting(elapsed_ms) * (1.0 - q)).max(f64::MIN_POSITIVE);
        self.median_ms * (1.0 / left - 1.0).powf(1.0 / self.shape)
    }

    /// Median and 80 % interval from the other's onset on, whatever has elapsed.
    pub(super) fn told(&self) -> FollowLag {
        let ms = |q: f64| self.by(q, 0).round() as i64;
        FollowLag {
            median_ms: self.median_ms.round() as i64,
            low_ms: ms(TAIL),
            high_ms: ms(1.0 - TAIL),
            n: self.n,
            basis: self.basis,
        }
    }
}

impl Lags {
    /// Of those that had not followed `elapsed_ms` after `since`: when half of them have, and one in ten
    /// and nine in ten.
    pub(super) fn when(&self, since: Time, elapsed_ms: i64) -> (Time, (Time, Time)) {
        let at = |q: f64| since.plus_ms(self.by(q, elapsed_ms).min(MOST_MS) as i64);
        (at(0.5), (at(TAIL), at(1.0 - TAIL)))
    }
}

/// The chance that one still follows of whom the share `waiting` of those who follow is left, where it
/// was `chance` at first.
pub(super) fn still(chance: f64, waiting: f64) -> f64 {
    let yes = chance * waiting;
    if yes <= 0.0 { 0.0 } else { yes / (1.0 - chance + yes) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::time::MINUTE_MS;

    #[test]
    fn who_did_not_follow_in_its_time_is_less_and_less_likely_to() {
        let seen: Vec<i64> = [2, 3, 3, 6].iter().map(|m| m * MINUTE_MS).collect();
        let lags = Lags::of(&seen, LagBasis::History).expect("seen");
        let told = lags.told();
        assert_eq!(told.median_ms, 3 * MINUTE_MS);
        assert!((70_000..120_000).contains(&told.low_ms), "{told:?}");
        assert!((250_000..500_000).contains(&told.high_ms), "{told:?}");
        let at = |minutes: i64| still(2.0 / 3.0, lags.waiting(minutes * MINUTE_MS));
        assert!((at(0) - 2.0 / 3.0).abs() < 1e-12);
        // At the median half of those that follow are left: ⅓ / (⅓ + ⅓).
        assert!((at(3) - 0.5).abs() < 1e-9);
        assert!(at(20) < 0.06, "{}", at(20));
        // What is left comes later than it would have.
        assert!((lags.by(0.5, 0) - 180_000.0).abs() < 1e-6);
        assert!(lags.by(0.5, 3 * MINUTE_MS) > 4.0 * 60_000.0);
    }

    #[test]
    fn one_lag_is_told_with_a_wide_range_and_none_is_none() {
        let one = Lags::of(&[3 * MINUTE_MS], LagBasis::Spread).expect("seen").told();
        assert!(one.low_ms < MINUTE_MS && one.high_ms > 9 * MINUTE_MS, "{one:?}");
        let many = Lags::of(&[3 * MINUTE_MS; 30], LagBasis::History).expect("seen").told();
        assert!(many.high_ms - many.low_ms < one.high_ms - one.low_ms);
        assert!(Lags::of(&[0], LagBasis::Site).expect("seen").told().median_ms > 0);
        assert_eq!(Lags::of(&[], LagBasis::Site), None);
        let over =
            |basis| Lags::of(&[3 * MINUTE_MS], basis).expect("seen").over(2).told().median_ms;
        assert_eq!(over(LagBasis::Site), 6 * MINUTE_MS);
        assert_eq!(over(LagBasis::History), 3 * MINUTE_MS);
    }

    proptest! {
        #[test]
        fn chances_and_times_stay_in_bounds(
            seen in prop::collection::vec(0_i64..100_000_000, 1..20),
            elapsed in -1_000_i64..1_000_000_000, chance in 0.0_f64..=1.0, q in 0.01_f64..0.99,
        ) {
            let lags = Lags::of(&seen, LagBasis::History).expect("seen");
            let left = still(chance, lags.waiting(elapsed));
            prop_assert!((0.0..=chance + 1e-12).contains(&left));
            let by = lags.by(q, elapsed);
            prop_assert!(by.is_finite() && by >= elapsed as f64 * (1.0 - 1e-6) - 1.0, "{}", by);
        }
    }
}
