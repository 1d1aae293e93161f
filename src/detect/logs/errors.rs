//! The share of an entity's lines that are errors, against its own past.

use serde::{Deserialize, Serialize};

use crate::model::time::MINUTE_MS;
use crate::model::{Anomaly, Time};
use crate::stats::RobustMean;

/// Lines are counted over this (ms).
const WINDOW_MS: i64 = 2 * MINUTE_MS;
/// Weight of one window in what is usual: about three hours of memory.
const ALPHA: f64 = 1.0 / 90.0;
/// Windows from which the past can be judged by.
const WARM: u32 = 15;
/// From how many standard deviations of a binomial count a share is unusual.
const LEAST_Z: f64 = 8.0;
/// The same in robust standard deviations of the entity's own past scores.
const SIGMAS: f64 = 6.0;
/// A share must grow by this factor and this much.
const RATIO: f64 = 2.0;
const RISE: f64 = 0.05;
/// Windows in a row that must be unusual, and that must be usual again.
const HOLD: u8 = 2;

/// Counts of lines and of errors among them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Errors {
    since: Time,
    n: u32,
    errors: u32,
    /// Lines below error in a usual window: the traffic that errors are related to.
    pub(super) others: RobustMean,
    share: RobustMean,
    score: RobustMean,
    hot: u8,
    calm: u8,
    hot_since: Time,
    /// What is told and has not ended.
    pub(super) open: Option<Box<Anomaly>>,
}

/// What a closed window says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Share {
    /// As usual; `true` for so long that what was open has ended.
    Usual(bool),
    /// Too many errors for long enough.
    Unusual(Rise),
}

/// A rise of the share of errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rise {
    /// Since when.
    pub(super) since: Time,
    /// Errors in the window.
    pub(super) errors: u32,
    /// Their share of all lines.
    pub(super) share: f64,
    /// The usual share.
    pub(super) usual: f64,
    /// The share from which it is unusual.
    pub(super) most: f64,
    /// Standard deviations of a binomial count.
    pub(super) z: f64,
}

impl Errors {
    /// Counts a line.
    pub(super) fn count(&mut self, is_error: bool, now: Time) {
        if self.since == Time::MIN {
            self.since = now;
        }
        self.n += 1;
        self.errors += u32::from(is_error);
    }

    /// How many times the usual traffic there is: lines below error in the window so far, against
    /// a usual one; at least 1. Few lines say little.
    pub(super) fn traffic(&self) -> f64 {
        const FEW: f64 = 20.0;
        let others = f64::from(self.n - self.errors);
        if self.others.n() < 3 {
            return 1.0;
        }
        ((others + FEW) / (self.others.level() + FEW)).max(1.0)
    }

    /// Closes the window when its time has come; `None` when it goes on. `fewest` errors below
    /// which nothing is unusual.
    pub(super) fn close(&mut self, now: Time, fewest: u32) -> Option<Share> {
        if self.since == Time::MIN || now.ms_since(self.since) < WINDOW_MS {
            return None;
        }
        let (n, errors) = (f64::from(self.n), f64::from(self.errors));
        // Half an error and one line more: no share is quite 0.
        let usual = self.share.level();
        let expected = (usual * n).max(0.5);
        let z = (errors - expected) / (expected * (1.0 - usual).max(0.05)).sqrt();
        let share = if n > 0.0 { errors / n } else { 0.0 };
        let most = (RATIO * usual).max(usual + RISE);
        let limit = LEAST_Z.max(self.score.level() + SIGMAS * self.score.sigma());
        let warm = self.share.n() >= WARM;
        let unusual = warm && self.errors >= fewest && share > most && z > limit;
        if unusual {
            if self.hot == 0 {
                self.hot_since = self.since;
            }
            (self.hot, self.calm) = (self.hot.saturating_add(1), 0);
        } else {
            (self.hot, self.calm) = (0, self.calm.saturating_add(1));
            if n > 0.0 {
                self.share.push(share, ALPHA);
                self.score.push(z, ALPHA);
            }
            self.others.push(n - errors, ALPHA);
        }
        let (since, errors) = (self.hot_since, self.errors);
        (self.since, self.n, self.errors) = (now, 0, 0);
        Some(if self.hot >= HOLD {
            Share::Unusual(Rise { since, errors, share, usual, most, z })
        } else {
            Share::Usual(self.calm >= HOLD)
        })
    }
}
