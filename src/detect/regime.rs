//! A change of regime: a series that has been unlike its profile for most of a day, by level, by
//! scale or by its rhythm, after a migration for instance. It is told once, when it departs first;
//! what it shows then counts as normal after `adopt_after_h`.

use serde::{Deserialize, Serialize};

use crate::model::Time;
use crate::model::time::HOUR_MS;

/// Hours before it is said that this is no fault that comes and goes.
const LEAST_HOURS: u16 = 5;
/// Hours after which a departure that came with few others is over.
const FEW_HOURS: u16 = 6;
/// By how many octaves a further departure must be further out than the first to be told of.
const WORSE: f64 = 1.0;

/// Hours since a departure was called.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Regime {
    /// When it began.
    pub(super) since: Time,
    hour: i64,
    n_hours: u16,
    /// Of them, those of which most points departed.
    n_off: u16,
    /// Points of the running hour, and those that departed.
    points: (u32, u32),
    /// How far out the worst was that was told, in octaves beyond the edge of its band.
    size: f32,
}

impl Regime {
    pub(super) fn new(since: Time) -> Self {
        let hour = since.ms().div_euclid(HOUR_MS);
        Self { since, hour, n_hours: 0, n_off: 0, points: (1, 1), size: 0.0 }
    }

    /// Goes on by a point.
    pub(super) fn step(&mut self, at: Time, departing: bool) {
        let hour = at.ms().div_euclid(HOUR_MS);
        if hour > self.hour {
            // Hours without a point are none: a gap says nothing.
            self.hour = hour;
            let (n, n_departing) = std::mem::take(&mut self.points);
            self.n_hours = self.n_hours.saturating_add(1);
            self.n_off = self.n_off.saturating_add(u16::from(2 * n_departing > n));
        }
        self.points.0 = self.points.0.saturating_add(1);
        self.points.1 = self.points.1.saturating_add(u32::from(departing));
    }

    /// A called departure was so far out, in octaves.
    pub(super) fn note(&mut self, size: f64) {
        self.size = self.size.max(size as f32);
    }

    /// Whether it was a fault that is over.
    pub(super) fn is_over(&self) -> bool {
        self.n_hours >= FEW_HOURS && 3 * self.n_off < self.n_hours
    }

    /// Whether most hours depart: three in five.
    pub(super) fn lasts(&self) -> bool {
        5 * self.n_off > 3 * self.n_hours
    }

    /// Whether what was told already covers a departure of this size, however long it lasts.
    pub(super) fn covers(&self, size: f64) -> bool {
        self.n_hours >= LEAST_HOURS && self.lasts() && size < f64::from(self.size) + WORSE
    }

    /// Whether what it shows counts as normal from now on.
    pub(super) fn is_due(&self, after_h: u32) -> bool {
        u32::from(self.n_hours) >= after_h && self.lasts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(hours: i64, departs: impl Fn(i64) -> bool) -> Regime {
        let since = Time::from_ms(500_000 * HOUR_MS);
        let mut regime = Regime::new(since);
        regime.note(3.0);
        for quarter in 1..=4 * hours {
            regime.step(since.plus_ms(quarter * HOUR_MS / 4), departs(quarter / 4));
        }
        regime
    }

    #[test]
    fn most_of_a_day_is_a_regime_and_an_hour_is_not() {
        let fault = after(8, |h| h < 2);
        assert!(fault.is_over() && !fault.covers(1.0));
        let rhythm = after(24, |h| h % 4 > 0);
        assert!(!rhythm.is_over() && rhythm.is_due(24) && !rhythm.is_due(25), "{rhythm:?}");
        assert!(rhythm.covers(3.5) && !rhythm.covers(4.5));
        assert!(!after(24, |h| h % 2 > 0 && h < 16).is_due(24));
    }
}
