//! A robust running level and spread.

use serde::{Deserialize, Serialize};

use super::sketch::{greater, smaller};
use crate::detect::apart::Former;

/// Exponentially weighted level and mean absolute deviation with clipped steps (Gelper, Fried and
/// Croux 2010, "Robust forecasting with exponential and Holt-Winters smoothing"): one value moves
/// neither by more than a bounded step, so outliers fade instead of pulling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Level {
    mean: f64,
    spread: f32,
    /// An older form has the number of values here.
    n: Former,
}

/// Residuals beyond this many mean absolute deviations are clipped.
const CLIP: f64 = 4.0;

impl Level {
    /// Takes in the `n`th value, which is finite, with weight `alpha`: 1/n of a young level, so that
    /// it is a mean.
    #[inline]
    pub(super) fn push(&mut self, n: u32, value: f64, alpha: f64) {
        if n <= 1 {
            self.mean = value;
            return;
        }
        let spread = f64::from(self.spread);
        let residual = value - self.mean;
        let step = if n > 8 && spread > 0.0 {
            smaller(greater(residual, -CLIP * spread), CLIP * spread)
        } else {
            residual
        };
        self.mean += alpha * step;
        self.spread = (spread + alpha * (step.abs() - spread)) as f32;
    }

    /// The level.
    #[must_use]
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// The mean absolute deviation.
    #[must_use]
    pub(super) fn spread(&self) -> f32 {
        self.spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_form_is_read() {
        let old = rmp_serde::to_vec(&(1.5_f64, 2.0_f32, 30.0_f32)).expect("numbers only");
        let level: Level = rmp_serde::from_slice(&old).expect("reads");
        assert_eq!(level, Level { mean: 1.5, spread: 2.0, n: Former });
        let new = rmp_serde::to_vec(&level).expect("numbers only");
        assert_eq!(rmp_serde::from_slice::<Level>(&new).expect("reads"), level);
    }
}
