//! Exponentially weighted mean and spread with a robust update.

use serde::{Deserialize, Serialize};

/// Tracks level and spread of a stream. One value can move neither by more than a clipped step
/// (Huber's ψ with the tuning constant below), so outliers fade instead of pulling.
///
/// After Gelper, Fried and Croux (2010), "Robust forecasting with exponential and Holt-Winters
/// smoothing".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RobustMean {
    level: f32,
    spread: f32,
    n: u32,
}

/// Residuals beyond this many standard deviations are clipped.
const CLIP: f64 = 2.0;

/// Mean of |x| of a standard normal variable is √(2/π); its inverse makes it a standard deviation.
/// Clipping at two standard deviations lowers that mean by 2.2 %, which the factor includes.
const ABS_TO_SIGMA: f64 = 1.281;

impl Default for RobustMean {
    fn default() -> Self {
        Self::new()
    }
}

impl RobustMean {
    /// One that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { level: 0.0, spread: 0.0, n: 0 }
    }

    /// Takes in a value with weight `alpha` (0 to 1); the first values weigh 1/n so that a young
    /// estimate is a plain mean. Values that are not finite are ignored.
    pub fn push(&mut self, value: f64, alpha: f64) {
        if !value.is_finite() {
            return;
        }
        self.n = self.n.saturating_add(1);
        if self.n == 1 {
            self.level = value as f32;
            return;
        }
        let alpha = alpha.max(1.0 / f64::from(self.n)).min(1.0);
        let residual = value - self.level();
        let sigma = self.sigma();
        // The first residuals set the scale; there is nothing to clip against before.
        let clipped = if self.n > 4 && sigma > 0.0 {
            residual.clamp(-CLIP * sigma, CLIP * sigma)
        } else {
            residual
        };
        self.level = (self.level() + alpha * clipped) as f32;
        let step = if self.n > 4 && sigma > 0.0 { clipped.abs() } else { residual.abs() };
        self.spread = (f64::from(self.spread) + alpha * (step - f64::from(self.spread))) as f32;
    }

    /// Level and spread of the sum of two streams that were counted apart.
    #[must_use]
    pub fn sum(&self, other: &Self) -> Self {
        Self {
            level: self.level + other.level,
            spread: self.spread.hypot(other.spread),
            n: self.n.max(other.n),
        }
    }

    /// The level; 0 before the first value.
    #[must_use]
    pub fn level(&self) -> f64 {
        f64::from(self.level)
    }

    /// The robust standard deviation; 0 before the second value.
    #[must_use]
    pub fn sigma(&self) -> f64 {
        f64::from(self.spread) * ABS_TO_SIGMA
    }

    /// How many values it has seen.
    #[must_use]
    pub fn n(&self) -> u32 {
        self.n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_level_and_survives_a_spike() {
        let mut mean = RobustMean::new();
        for i in 0..200 {
            mean.push(100.0 + f64::from(i % 7) - 3.0, 0.05);
        }
        let before = mean.level();
        mean.push(1e6, 0.05);
        mean.push(f64::NAN, 0.05);
        assert!((before - 100.0).abs() < 1.0);
        assert!((mean.level() - before).abs() < 0.5, "one spike moved it to {}", mean.level());
        for _ in 0..400 {
            mean.push(150.0, 0.05);
        }
        assert!((mean.level() - 150.0).abs() < 5.0, "a lasting shift is followed");
    }
}
