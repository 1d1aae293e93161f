//! How likely a service is to follow what it depends on: by how often it did, else by its calls. Pure.
//!
//! With k of n times, and a prior of the strength s and the mean m, the chance is that of
//! Beta(s·m + k, s·(1 − m) + n − k), with the mean (s·m + k) / (s + n) (the beta-binomial model of Gelman
//! et al., *Bayesian Data Analysis*, 3rd ed., chapter 2). The prior's mean is what its calls say, else the
//! share of all that followed here in earlier incidents, (1 + K) / (2 + N), a half where there were none.

use crate::diagnose::calls::Calls;
use crate::model::follower::Expected;

/// Strength `s` of the prior, in times. Set beforehand.
const STRENGTH: f64 = 2.0;
/// By its calls alone nobody is told to follow more surely than so: whether it can do without an answer
/// shows in no span. Fitted with the next on simulated faults (`benches/README.md`).
const MOST_BY_CALLS: f64 = 0.75;
/// Share of the requests hurt with which a service follows in 63 % of the cases (1 − 1/e) of those.
const HURT: f64 = 0.03;
/// No chance is told as certain: bounds of it.
const BOUNDS: (f64, f64) = (0.01, 0.99);
/// Steps of the grid on which quantiles are looked for.
const STEPS: u32 = 400;

/// What the calls to something in trouble say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ByCalls {
    /// Share of the caller's requests that call it.
    pub(super) share: f64,
    /// Share of these calls that are worse than before.
    pub(super) hurt: f64,
}

impl ByCalls {
    /// The share of calls that are worse is that of those that fail beyond what did before, or the
    /// share of the time they take that was added, if they became slow.
    pub(super) fn of(calls: &Calls, share: f64) -> Self {
        let ratio = |n: u64, of: u64| n as f64 / of.max(1) as f64;
        let before = ratio(calls.n_failed_before, calls.n_before);
        let failed = (ratio(calls.n_failed, calls.n) - before) / (1.0 - before).max(0.01);
        let slower = if calls.slow() { 1.0 - calls.mean_before_ms / calls.mean_ms } else { 0.0 };
        let hurt = if calls.failing() { failed.max(slower) } else { slower };
        Self { share: share.clamp(0.0, 1.0), hurt: hurt.clamp(0.0, 1.0) }
    }

    /// The chance: nearly as good as sure once more than a few requests in a hundred are hurt, up to
    /// what calls alone can say.
    pub(super) fn chance(self) -> f64 {
        let hurt = self.share * self.hurt;
        (MOST_BY_CALLS * (1.0 - (-hurt / HURT).exp())).max(BOUNDS.0)
    }
}

/// The chance of who followed in `k` of `n` times, with its 80 % interval.
pub(super) fn of_times((k, n): (u32, u32), prior: f64) -> Expected {
    let prior = prior.clamp(BOUNDS.0, BOUNDS.1);
    let (a, b) =
        (STRENGTH * prior + f64::from(k), STRENGTH * (1.0 - prior) + f64::from(n.max(k) - k));
    let [low, high] = quantiles(a, b, [0.1, 0.9]);
    bounded(Expected { mean: a / (a + b), low, high })
}

/// Within what is told, and the mean within its interval.
pub(super) fn bounded(e: Expected) -> Expected {
    let within = |v: f64| v.clamp(BOUNDS.0, BOUNDS.1);
    let mean = within(e.mean);
    Expected { mean, low: within(e.low).min(mean), high: within(e.high).max(mean) }
}

/// Quantiles of Beta(a, b), ascending, by its density at the middle of each step.
fn quantiles<const N: usize>(a: f64, b: f64, at: [f64; N]) -> [f64; N] {
    let middle = |i: u32| (f64::from(i) + 0.5) / f64::from(STEPS);
    let log = |i: u32| (a - 1.0) * middle(i).ln() + (b - 1.0) * (1.0 - middle(i)).ln();
    let greatest = (0..STEPS).map(log).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = (0..STEPS).map(|i| (log(i) - greatest).exp()).collect();
    let all: f64 = weights.iter().sum();
    at.map(|q| {
        let mut left = q * all;
        let i = weights.iter().position(|w| {
            left -= w;
            left <= 0.0
        });
        middle(i.unwrap_or(STEPS as usize - 1) as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_drawn_towards_the_prior_and_told_with_their_interval() {
        let four = of_times((4, 6), 0.5);
        assert!((four.mean - 5.0 / 8.0).abs() < 1e-12);
        // Beta(5, 3): 0.40 and 0.83 by its tables.
        assert!((four.low - 0.40).abs() < 0.01 && (four.high - 0.83).abs() < 0.01, "{four:?}");
        let none = of_times((0, 0), 0.3);
        assert!((none.mean - 0.3).abs() < 1e-12 && none.low < 0.05 && none.high > 0.7);
        let many = of_times((400, 600), 0.5);
        assert!(many.high - many.low < 0.06);
        assert!(of_times((50, 50), 0.99).mean <= 0.99 && of_times((0, 90), 0.01).low >= 0.01);
    }

    #[test]
    fn calls_that_are_as_ever_hurt_nobody() {
        let calls = |n_failed: u64, mean_ms: f64| Calls {
            n: 100,
            n_failed,
            mean_ms,
            n_before: 100,
            n_failed_before: 0,
            mean_before_ms: 10.0,
        };
        let by = |calls: Calls, share: f64| ByCalls::of(&calls, share).chance();
        assert!(by(calls(0, 10.0), 1.0) <= 0.01);
        assert!(by(calls(50, 10.0), 1.0) > 0.7);
        assert!(by(calls(0, 900.0), 1.0) > 0.7);
        assert!(by(calls(50, 10.0), 0.02) < by(calls(50, 10.0), 0.4));
        assert!((ByCalls::of(&calls(30, 10.0), 2.0).hurt - 0.3).abs() < 1e-12);
    }
}
