//! The feedback controller: from what was asked and what was told to how rare an episode must be.
//!
//! Proportional and integral (Åström and Hägglund 2006, "Advanced PID Control", ch. 3): the
//! integral of told less asked moves the rate aimed at, within bounds and not while the threshold
//! stands at its floor (anti-windup by clamping and conditional integration); a leaky bucket of
//! what was told lately raises the threshold by a few nats at most. Bounded both ways, so that a
//! bad day neither blinds the detectors nor floods people.

use serde::{Deserialize, Serialize};

/// How fast an excess is corrected, per day.
const GAIN: f64 = 0.5;
/// Bounds of the correction of the rate aimed at: a half and three times what was asked.
const LEAST: f64 = 0.5;
const MOST: f64 = 3.0;
/// Most nats by which the bucket raises the threshold.
const BUCKET_NATS: f64 = 4.0;

/// State of the controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Control {
    /// Told less asked, in days of budget.
    integral: f64,
    /// Told lately beyond what leaks away at the rate asked for.
    bucket: f64,
}

impl Control {
    /// The rate a day to aim at.
    pub(super) fn aim(&self, asked: f64) -> f64 {
        asked * self.factor()
    }

    /// The correction of what was asked.
    pub(super) fn factor(&self) -> f64 {
        (-GAIN * self.integral).exp().clamp(LEAST, MOST)
    }

    /// Nats by which a burst raises the threshold.
    pub(super) fn burst(&self, asked: f64) -> f64 {
        let allowed = (asked / 2.0).max(3.0);
        ((self.bucket - allowed).max(0.0) / allowed).min(BUCKET_NATS)
    }

    /// An ordinary episode was told.
    pub(super) fn told(&mut self) {
        self.bucket += 1.0;
    }

    /// Time went on by `days`, in which so many were told; `floored` says that the threshold stood
    /// at its floor: more could not have been told.
    pub(super) fn step(&mut self, asked: f64, days: f64, told: f64, floored: bool) {
        self.bucket = (self.bucket - asked * days).max(0.0);
        let error = told / asked - days;
        if floored && error < 0.0 {
            // What is missing is not to be had; an excess from before still fades.
            self.integral = self.integral.min((self.integral + error).max(0.0));
            return;
        }
        let (low, high) = (-MOST.ln() / GAIN, -LEAST.ln() / GAIN);
        self.integral = (self.integral + error).clamp(low, high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_halves_the_aim_at_most_and_is_forgiven() {
        let mut control = Control::default();
        control.step(10.0, 1.0 / 24.0, 500.0, false);
        assert_eq!(control.aim(10.0), 5.0);
        let mut days = 0.0;
        while control.aim(10.0) < 9.0 {
            control.step(10.0, 1.0 / 24.0, 5.0 / 24.0, false);
            days += 1.0 / 24.0;
        }
        assert!((1.0..4.0).contains(&days), "{days} days");
    }

    #[test]
    fn what_is_not_to_be_had_does_not_wind_up() {
        let mut control = Control::default();
        for _ in 0..500 {
            control.step(10.0, 1.0 / 24.0, 0.0, true);
        }
        assert_eq!(control.aim(10.0), 10.0);
        for _ in 0..500 {
            control.step(10.0, 1.0 / 24.0, 0.0, false);
        }
        assert!((control.aim(10.0) - 30.0).abs() < 1e-9);
    }

    #[test]
    fn a_burst_raises_the_threshold_by_little_and_leaks_away() {
        let mut control = Control::default();
        for _ in 0..3 {
            control.told();
        }
        assert_eq!(control.burst(10.0), 0.0);
        for _ in 0..1_000 {
            control.told();
        }
        assert_eq!(control.burst(10.0), BUCKET_NATS);
        control.step(10.0, 120.0, 0.0, false);
        assert_eq!(control.burst(10.0), 0.0);
    }
}
