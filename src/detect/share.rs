//! A share of counted things (failed of all calls, errors of all lines), against its own past.

use serde::{Deserialize, Serialize};

use crate::model::Time;
use crate::stats::RobustMean;

/// Weight of one window in what is usual.
const ALPHA: f64 = 1.0 / 90.0;
/// Windows from which the past can be judged by.
const WARM: u32 = 15;
/// Windows from which it is known what is usual.
const YOUNG: u32 = 5;
/// From how many standard deviations of a binomial count a share is unusual.
const LEAST_Z: f64 = 8.0;
/// The same in robust standard deviations of its own past scores: calls and lines come in clumps,
/// and a daily rhythm moves shares, more than independent draws would.
const SIGMAS: f64 = 6.0;
/// A share must grow by this factor.
const RATIO: f64 = 2.0;
/// Windows in a row that must be unusual, and that must be usual again.
const HOLD: u8 = 2;

/// What is usual of a share, and whether it is so now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Share {
    usual: RobustMean,
    score: RobustMean,
    hot: u8,
    calm: u8,
    hot_since: Time,
}

/// What a window says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// As usual; `true` for so long that what was open has ended.
    Usual(bool),
    /// Unusual, not for long enough yet.
    Doubtful,
    /// Too large for long enough.
    Unusual(Rise),
}

/// A share that rose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rise {
    /// Since when.
    pub(super) since: Time,
    /// The share in the window.
    pub(super) share: f64,
    /// The usual share.
    pub(super) usual: f64,
    /// The share from which it is unusual.
    pub(super) most: f64,
    /// Standard deviations of a binomial count.
    pub(super) z: f64,
}

/// Counts of a closed window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// When it began.
    pub(super) since: Time,
    /// All.
    pub(super) n: u32,
    /// Those that are counted.
    pub(super) hits: u32,
    /// Hits below which nothing is unusual.
    pub(super) fewest: u32,
    /// A share must grow by this much.
    pub(super) rise: f64,
    /// Something else says that a rise would not matter.
    pub(super) harmless: bool,
}

impl Share {
    /// The usual share.
    pub(super) fn usual(&self) -> f64 {
        self.usual.level()
    }

    /// Judges a window, and learns it where it is usual.
    pub(super) fn judge(&mut self, window: Window) -> Verdict {
        let (n, hits) = (f64::from(window.n), f64::from(window.hits));
        let usual = self.usual.level();
        // Half a hit is expected at least: no share is quite 0.
        let expected = (usual * n).max(0.5);
        let z = (hits - expected) / (expected * (1.0 - usual).max(0.05)).sqrt();
        let share = if n > 0.0 { hits / n } else { 0.0 };
        let most = (RATIO * usual).max(usual + window.rise);
        let limit = LEAST_Z.max(self.score.level() + SIGMAS * self.score.sigma());
        let warm = self.usual.n() >= WARM;
        let much = window.hits >= window.fewest && share > most && z > limit;
        if !(warm && much && !window.harmless) {
            (self.hot, self.calm) = (0, self.calm.saturating_add(1));
            if n > 0.0 {
                // A score is one only where it is known what is usual.
                if self.usual.n() >= YOUNG {
                    self.score.push(z, ALPHA);
                }
                self.usual.push(share, ALPHA);
            }
            return Verdict::Usual(self.calm >= HOLD);
        }
        if self.hot == 0 {
            self.hot_since = window.since;
        }
        (self.hot, self.calm) = (self.hot.saturating_add(1), 0);
        if self.hot < HOLD {
            return Verdict::Doubtful;
        }
        Verdict::Unusual(Rise { since: self.hot_since, share, usual, most, z })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(share: &mut Share, minute: i64, n: u32, hits: u32) -> Verdict {
        let since = Time::from_ms(1_700_000_000_000 + minute * 60_000);
        share.judge(Window { since, n, hits, fewest: 5, rise: 0.05, harmless: false })
    }

    #[test]
    fn a_rise_is_told_after_two_windows_and_chance_is_not() {
        let mut share = Share::default();
        for minute in 0..200 {
            let hits = [1, 0, 2, 1, 1, 3, 0, 1][minute as usize % 8];
            assert!(matches!(judged(&mut share, minute, 100, hits), Verdict::Usual(_)));
        }
        assert!((share.usual.level() - 0.011).abs() < 0.004, "{}", share.usual.level());
        // Ten times as many of ten times as many are no larger share.
        assert!(matches!(judged(&mut share, 200, 1_000, 12), Verdict::Usual(_)));
        assert_eq!(judged(&mut share, 201, 100, 30), Verdict::Doubtful);
        let Verdict::Unusual(rise) = judged(&mut share, 202, 100, 32) else { panic!("it is told") };
        assert_eq!(rise.since.ms(), 1_700_000_000_000 + 201 * 60_000);
        assert!(rise.share == 0.32 && rise.z > 20.0, "{rise:?}");
        assert_eq!(judged(&mut share, 203, 100, 1), Verdict::Usual(false));
        assert_eq!(judged(&mut share, 204, 100, 1), Verdict::Usual(true));
    }
}
