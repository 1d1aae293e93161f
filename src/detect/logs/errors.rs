//! How many of an entity's lines are errors, and how much it writes besides.

use serde::{Deserialize, Serialize};

use crate::detect::share::{Rise, Share, Verdict, Window};
use crate::detect::since::Since;
use crate::model::time::MINUTE_MS;
use crate::model::{Anomaly, Time};
use crate::stats::RobustMean;

/// Lines are counted over this (ms).
const WINDOW_MS: i64 = 2 * MINUTE_MS;
/// Weight of one window in the usual traffic: about three hours of memory.
const ALPHA: f64 = 1.0 / 90.0;
/// The share of errors must grow by this much.
const RISE: f64 = 0.05;
/// Lines that say little of the traffic.
const FEW: f64 = 20.0;

/// Counts of lines and of errors among them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Errors {
    since: Time,
    n: u32,
    failed: u32,
    /// Lines below error in a usual window: the traffic that errors are related to.
    others: RobustMean,
    share: Share,
    /// What is told and has not ended.
    pub(super) open: Option<Box<Anomaly>>,
    /// Since when more are errors.
    #[serde(default)]
    rose: Since,
}

impl Errors {
    /// Counts a line of the time `at`.
    pub(super) fn count(&mut self, is_error: bool, at: Time, now: Time) {
        self.rose.count(is_error, at);
        if self.since == Time::MIN {
            self.since = now;
        }
        self.n += 1;
        self.failed += u32::from(is_error);
    }

    /// How many times the usual traffic there is: lines below error in the window so far, against
    /// a usual one; at least 1.
    pub(super) fn traffic(&self) -> f64 {
        let others = f64::from(self.n - self.failed);
        if self.others.n() < 3 {
            return 1.0;
        }
        ((others + FEW) / (self.others.level() + FEW)).max(1.0)
    }

    /// Closes the window when its time has come; `None` when it goes on. `fewest` errors below
    /// which nothing is unusual.
    pub(super) fn close(&mut self, now: Time, fewest: u32) -> Option<Verdict> {
        if self.since == Time::MIN || now.ms_since(self.since) < WINDOW_MS {
            return None;
        }
        let (since, n, hits) = (self.since, self.n, self.failed);
        let window = Window { since, n, hits, fewest, rise: RISE, harmless: false };
        let verdict = match self.share.judge(window) {
            Verdict::Unusual(rise) => {
                Verdict::Unusual(Rise { since: self.rose.of(&rise, now), ..rise })
            }
            other => other,
        };
        if matches!(verdict, Verdict::Usual(_)) {
            self.others.push(f64::from(n - hits), ALPHA);
        }
        (self.since, self.n, self.failed) = (now, 0, 0);
        Some(verdict)
    }
}
