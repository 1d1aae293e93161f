//! What is usual for a series: how often it has left its band before, and how badly. A series that
//! does so daily by its own nature is told of only when it is worse than that.
//!
//! Nothing here makes a fault normal: a departure that is worse than the usual ones, by lasting or
//! by size, is called, what its own past has not seen the like of too, and error ratios, availability
//! and traffic are never excused.

use serde::{Deserialize, Serialize};

use crate::model::Time;
use crate::model::time::DAY_MS;

/// Octaves of severity told apart.
const BINS: usize = 12;
/// Days in which what was fades to 1/e.
const MEMORY_DAYS: f64 = 14.0;
/// Days that a rate is taken over at least: some departures in a row are no habit.
const LEAST_DAYS: f64 = 3.0;

/// Departures so far, fading, by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Usual {
    by_severity: [f32; BINS],
    /// Event time watched, fading alike, in days.
    days: f32,
    at: Time,
}

/// How bad a departure is: octaves of its size in bands times its length in holds.
pub(super) fn severity(times_threshold: f64, holds: f64) -> f64 {
    times_threshold.max(1.0).log2() + holds.max(1.0).log2()
}

impl Usual {
    /// Lets time go on; a gap longer than a day counts as one.
    fn fade(&mut self, now: Time) {
        let known = self.at > Time::MIN;
        let days = if known { now.ms_since(self.at).clamp(0, DAY_MS) } else { 0 } as f64;
        let days = days / DAY_MS as f64;
        let stays = (-days / MEMORY_DAYS).exp() as f32;
        for n in &mut self.by_severity {
            *n *= stays;
        }
        self.days = self.days * stays + days as f32;
        self.at = self.at.max(now);
    }

    /// Takes in a departure that is over.
    pub(super) fn learn(&mut self, now: Time, severity: f64) {
        self.fade(now);
        self.by_severity[(severity.max(0.0) as usize).min(BINS - 1)] += 1.0;
    }

    /// The severity up to which departures come more often than `per_day`; `None` while none do.
    pub(super) fn limit(&self, per_day: f64) -> Option<f64> {
        let days = f64::from(self.days).max(LEAST_DAYS);
        let mut sum = 0.0;
        for (bin, n) in self.by_severity.iter().enumerate().rev() {
            sum += f64::from(*n);
            if sum > per_day.max(0.0) * days {
                return Some((bin + 1) as f64);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_daily_is_usual_and_worse_is_not() {
        let mut usual = Usual::default();
        let at = |hours: i64| Time::from_ms(1_793_577_600_000 + hours * DAY_MS / 24);
        usual.learn(at(0), severity(3.0, 4.0));
        usual.learn(at(2), severity(3.0, 4.0));
        assert_eq!(usual.limit(1.0), None, "twice is no habit");
        for day in 1..12 {
            usual.learn(at(24 * day), severity(3.0, 4.0));
            usual.learn(at(24 * day + 9), severity(2.0, 2.0));
        }
        let limit = usual.limit(1.0).expect("twice a day is");
        assert!(severity(2.0, 3.0) < limit && severity(4.0, 8.0) > limit, "{limit}");
        assert_eq!(usual.limit(3.0), None);
        for day in 0..60 {
            usual.fade(at(24 * (12 + day)));
        }
        assert_eq!(usual.limit(0.2), None, "habits are forgotten");
    }
}
