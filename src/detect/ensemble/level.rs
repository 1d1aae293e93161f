//! A robust running level and spread.

use serde::{Deserialize, Serialize};

/// Exponentially weighted level and mean absolute deviation with clipped steps (Gelper, Fried and
/// Croux 2010, "Robust forecasting with exponential and Holt-Winters smoothing"): one value moves
/// neither by more than a bounded step, so outliers fade instead of pulling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Level {
    mean: f64,
    spread: f32,
    n: f32,
}

/// Residuals beyond this many mean absolute deviations are clipped.
const CLIP: f64 = 4.0;

impl Level {
    /// Takes in a finite value with weight `alpha`, at least 1/n so that a young level is a mean.
    pub(super) fn push(&mut self, value: f64, alpha: f32) {
        self.n += 1.0;
        if self.n <= 1.0 {
            self.mean = value;
            return;
        }
        let alpha = f64::from(alpha.max(1.0 / self.n));
        let spread = f64::from(self.spread);
        let residual = value - self.mean;
        let step = if self.n > 8.0 && spread > 0.0 {
            residual.clamp(-CLIP * spread, CLIP * spread)
        } else {
            residual
        };
        self.mean += alpha * step;
        self.spread = (spread + alpha * (step.abs() - spread)) as f32;
        self.n = self.n.min(1e6);
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
