//! A sketch of durations from which quantiles follow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Ratio of two bucket bounds: a quantile is right within 5 %.
const GAMMA: f64 = 1.1;
/// Shortest and longest duration told apart (ms).
const RANGE_MS: (f64, f64) = (0.01, 1e7);

/// Counts in buckets of equal width on a logarithmic scale (Masson, Rim and Lee 2019, "DDSketch: a
/// fast and fully-mergeable quantile sketch with relative-error guarantees"); at most 218 buckets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sketch {
    buckets: BTreeMap<i16, f32>,
}

impl Sketch {
    /// Counts a duration in milliseconds; what is not a number is ignored.
    pub(super) fn count(&mut self, ms: f64) {
        if ms.is_finite() {
            let bucket = (ms.clamp(RANGE_MS.0, RANGE_MS.1).ln() / GAMMA.ln()).ceil();
            *self.buckets.entry(bucket as i16).or_default() += 1.0;
        }
    }

    /// Takes in another sketch, after what it holds was made to weigh `keep` (0 to 1) of what it did.
    pub(super) fn take_in(&mut self, other: &Self, keep: f64) {
        for weight in self.buckets.values_mut() {
            *weight *= keep as f32;
        }
        for (bucket, weight) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += weight;
        }
        self.buckets.retain(|_, weight| *weight > 1e-3);
    }

    /// The `q` quantile (0 to 1) in milliseconds; `None` when it is empty.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let all: f64 = self.buckets.values().map(|w| f64::from(*w)).sum();
        let mut below = 0.0;
        for (bucket, weight) in &self.buckets {
            below += f64::from(*weight);
            if below >= q.clamp(0.0, 1.0) * all {
                // The middle of the bucket, by ratio.
                return Some(GAMMA.powf(f64::from(*bucket) - 0.5));
            }
        }
        self.buckets.keys().next_back().map(|b| GAMMA.powf(f64::from(*b) - 0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_five_percent_and_old_counts_fade() {
        let mut sketch = Sketch::default();
        for ms in 1..=1_000 {
            sketch.count(f64::from(ms));
        }
        sketch.count(f64::NAN);
        for (q, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = sketch.quantile(q).expect("not empty");
            assert!((found / exact - 1.0).abs() <= 0.06, "{q}: {found}");
        }
        let mut later = Sketch::default();
        (0..100).for_each(|_| later.count(5_000.0));
        for _ in 0..10 {
            sketch.take_in(&later, 0.5);
        }
        assert!(sketch.quantile(0.5).expect("not empty") > 4_500.0);
        assert_eq!(Sketch::default().quantile(0.5), None);
    }
}
