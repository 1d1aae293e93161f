//! Whether what detectors read is what they used to read: the population stability index.
//!
//! `Σ (a − e) ln(a / e)` over the shares of bins, lately (`a`) and before (`e`) (Siddiqi 2006,
//! "Credit Risk Scorecards"; its sampling properties: Yurdakul 2018, "Statistical Properties of
//! Population Stability Index"). Below 0.1 is stable, from 0.25 on another population. A change of
//! inputs alone demotes nobody: a detector may be calibrated on the new ones too.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is looked at, each in bins.
const FEATURES: [&str; 3] = ["departure", "step", "repeats"];
const BINS: usize = 12;
/// Hours that are "lately".
const HOURS: usize = 24;
/// Hours in which what was before fades to 1/e, and least hours of it.
const MEMORY_HOURS: f64 = 14.0 * 24.0;
const LEAST_HOURS: u32 = 24;
/// From here on inputs are another population.
pub(super) const SHIFTED: f64 = 0.25;

/// Counts of an hour by feature and bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts([[u32; BINS]; FEATURES.len()]);

impl Counts {
    /// One row: its distance from the usual level in spreads, the time since the row before, and
    /// whether it repeats that row's value.
    pub(super) fn count(&mut self, departure: f64, step_ms: i64, repeats: bool) {
        let middle = (BINS / 2) as f64;
        // Half octaves of the departure around 1, octaves of the step around a minute.
        let departure = (2.0 * departure.abs().max(1e-9).log2() + middle).clamp(0.0, 11.0);
        let step = ((step_ms.max(1) as f64 / 60_000.0).log2() + middle).clamp(0.0, 11.0);
        let departure = if departure.is_nan() { 0 } else { departure as usize };
        for (feature, bin) in
            [departure, step as usize, usize::from(repeats)].into_iter().enumerate()
        {
            self.0[feature][bin] = self.0[feature][bin].saturating_add(1);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sums, counts) in self.0.iter_mut().zip(&other.0) {
            for (sum, n) in sums.iter_mut().zip(counts) {
                *sum = sum.saturating_add(*n);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.0[0].iter().all(|n| *n == 0)
    }
}

/// How far one input is from what it was.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Stability {
    /// Which input: `departure` (distance from the usual level in spreads), `step` (time between
    /// points) or `repeats` (the value before once more).
    pub input: String,
    /// The index; `None` until two days are known.
    pub index: Option<f64>,
}

/// The inputs of one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Inputs {
    lately: VecDeque<Counts>,
    before: [[f64; BINS]; FEATURES.len()],
    hours_before: u32,
}

impl Inputs {
    /// An hour is over.
    pub(super) fn close(&mut self, hour: Counts) {
        if hour.is_empty() {
            return;
        }
        self.lately.push_back(hour);
        if self.lately.len() <= HOURS {
            return;
        }
        let Some(old) = self.lately.pop_front() else { return };
        let keep = (-1.0 / MEMORY_HOURS).exp();
        for (sums, counts) in self.before.iter_mut().zip(&old.0) {
            for (sum, n) in sums.iter_mut().zip(counts) {
                *sum = *sum * keep + f64::from(*n);
            }
        }
        self.hours_before = self.hours_before.saturating_add(1);
    }

    /// The index of each input.
    pub(super) fn stability(&self) -> Vec<Stability> {
        let known = self.hours_before >= LEAST_HOURS && self.lately.len() == HOURS;
        FEATURES
            .iter()
            .enumerate()
            .map(|(feature, name)| Stability {
                input: (*name).to_owned(),
                index: known.then(|| self.index(feature)),
            })
            .collect()
    }

    fn index(&self, feature: usize) -> f64 {
        let mut lately = [0.0; BINS];
        for hour in &self.lately {
            for (sum, n) in lately.iter_mut().zip(hour.0[feature]) {
                *sum += f64::from(n);
            }
        }
        let share = |counts: &[f64; BINS]| {
            // Half a row in each bin: an empty one has no logarithm.
            let total: f64 = counts.iter().sum::<f64>() + 0.5 * BINS as f64;
            counts.map(|n| (n + 0.5) / total)
        };
        let (now, then) = (share(&lately), share(&self.before[feature]));
        now.iter().zip(then).map(|(a, e)| (a - e) * (a / e).ln()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(scale: f64, step_ms: i64) -> Counts {
        let mut counts = Counts::default();
        for i in 0..500 {
            counts.count(scale * f64::from(i % 40) / 20.0, step_ms, i % 7 == 0);
        }
        counts
    }

    #[test]
    fn the_same_inputs_are_stable_and_others_are_told_by_name() {
        let mut inputs = Inputs::default();
        for _ in 0..30 {
            inputs.close(hour(1.0, 15_000));
        }
        assert!(inputs.stability().iter().all(|s| s.index.is_none()), "too young to say");
        for _ in 0..60 {
            inputs.close(hour(1.0, 15_000));
        }
        assert!(inputs.stability().iter().all(|s| s.index.is_some_and(|i| i < 0.01)));
        for _ in 0..24 {
            inputs.close(hour(1.0, 60_000));
        }
        let shifted: Vec<String> = inputs
            .stability()
            .into_iter()
            .filter(|s| s.index.is_some_and(|i| i >= SHIFTED))
            .map(|s| s.input)
            .collect();
        assert_eq!(shifted, ["step"]);
    }

    #[test]
    fn any_number_has_a_bin() {
        let mut counts = Counts::default();
        for value in [f64::NAN, f64::INFINITY, -0.0, 1e300, -1e300] {
            counts.count(value, i64::MIN, false);
            counts.count(value, i64::MAX, true);
        }
        assert_eq!(counts.0.map(|bins| bins.iter().sum::<u32>()), [10; 3]);
    }
}
