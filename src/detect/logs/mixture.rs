//! Whether an entity's lines are mixed as usual: the distribution over its templates, against its
//! own past.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Anomaly, Time};
use crate::stats::RobustMean;
use crate::templates::{Merge, TemplateId};

/// A window is at least so long (ms), and so many lines.
const WINDOW_MS: i64 = 5 * MINUTE_MS;
const FEWEST_LINES: u32 = 100;
/// A window that has too few lines by then is given up (ms).
const LONGEST_MS: i64 = HOUR_MS;
/// Windows from which the past can be judged by.
const WARM: u32 = 24;
/// Weight of one window in what is usual, and while something is open.
const ALPHA: f64 = 1.0 / 24.0;
const ALPHA_OPEN: f64 = 1.0 / 240.0;
/// The least divergence (bits, 0 to 1) that matters.
const LEAST: f64 = 0.1;
/// Robust standard deviations above the entity's usual divergence.
const SIGMAS: f64 = 8.0;
/// The least of those (bits).
const LEAST_SIGMA: f64 = 0.005;
/// Windows in a row that must be unusual.
const HOLD: u8 = 2;

/// Counts of lines by template, and what they usually are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Mixture {
    window: BTreeMap<TemplateId, u32>,
    n: u32,
    since: Time,
    /// Usual shares; they add up to 1.
    usual: BTreeMap<TemplateId, f32>,
    /// Divergence of windows from what was usual then.
    spread: RobustMean,
    hot: u8,
    /// First line of the first unusual window.
    hot_since: Time,
    /// What is told and has not ended.
    pub(super) open: Option<Box<Anomaly>>,
}

/// A window that was closed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Closed {
    /// As usual.
    Usual,
    /// Unusual for long enough.
    Changed(Change),
}

/// How a mixture changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Since when.
    pub(super) since: Time,
    /// Jensen-Shannon divergence from what is usual (bits, 0 to 1), less what counting brings.
    pub(super) divergence: f64,
    /// The usual divergence.
    pub(super) usual: f64,
    /// From where it is unusual.
    pub(super) most: f64,
    /// The template that adds most to it, with its share now and usually.
    pub(super) template: TemplateId,
    /// Its share in the window.
    pub(super) share: f64,
    /// Its usual share.
    pub(super) usual_share: f64,
}

impl Mixture {
    /// Counts a line.
    pub(super) fn count(&mut self, id: TemplateId, at: Time) {
        if self.n == 0 {
            self.since = at;
        }
        self.n += 1;
        *self.window.entry(id).or_default() += 1;
    }

    /// Two templates turned out to be one.
    pub(super) fn fold(&mut self, merge: Merge) {
        if let Some(n) = self.window.remove(&merge.from) {
            *self.window.entry(merge.into).or_default() += n;
        }
        if let Some(share) = self.usual.remove(&merge.from) {
            *self.usual.entry(merge.into).or_default() += share;
        }
    }

    /// A template had to make room.
    pub(super) fn forget(&mut self, id: TemplateId) {
        self.n -= self.window.remove(&id).unwrap_or(0);
        self.usual.remove(&id);
    }

    /// What writes the lines has changed: another mixture is to be learned.
    pub(super) fn relearn(&mut self) {
        (self.spread, self.hot) = (RobustMean::new(), 0);
    }

    /// Closes the window when it is long enough; `None` when it goes on.
    pub(super) fn close(&mut self, now: Time) -> Option<Closed> {
        let length = now.ms_since(self.since);
        if self.n == 0 || length < WINDOW_MS {
            return None;
        }
        if self.n < FEWEST_LINES {
            if length >= LONGEST_MS {
                (self.n, self.hot) = (0, 0);
                self.window.clear();
            }
            return None;
        }
        let change = self.measure();
        let warm = self.spread.n() >= WARM;
        let unusual = warm && change.divergence > change.most;
        if unusual {
            if self.hot == 0 {
                self.hot_since = self.since;
            }
            self.hot = self.hot.saturating_add(1);
        } else {
            self.hot = 0;
        }
        self.learn(unusual, change.divergence);
        let change = Change { since: self.hot_since, ..change };
        Some(if self.hot >= HOLD { Closed::Changed(change) } else { Closed::Usual })
    }

    /// The divergence of the window from what is usual (Lin 1991, "Divergence measures based on
    /// the Shannon entropy"), less its expectation when nothing has changed: (k − 1) / (8 n ln 2)
    /// for k templates and n lines, as twice n times a Kullback-Leibler divergence is χ² with k − 1
    /// degrees of freedom and the one by Jensen and Shannon is a quarter of it for small changes.
    fn measure(&self) -> Change {
        let part = |share: f64, middle: f64| {
            if share > 0.0 { 0.5 * share * (share / middle).log2() } else { 0.0 }
        };
        let (mut divergence, mut most, mut kinds) = (0.0, 0.0, 0.0);
        let (mut template, mut shares) = (0, (0.0, 0.0));
        for id in
            self.window.keys().chain(self.usual.keys().filter(|i| !self.window.contains_key(i)))
        {
            let share = f64::from(self.window.get(id).copied().unwrap_or(0)) / f64::from(self.n);
            let usual = f64::from(self.usual.get(id).copied().unwrap_or(0.0));
            let middle = f64::midpoint(share, usual);
            let term = part(share, middle) + part(usual, middle);
            divergence += term;
            kinds += 1.0;
            if term > most {
                (most, template, shares) = (term, *id, (share, usual));
            }
        }
        let by_chance = (kinds - 1.0) / (8.0 * f64::from(self.n) * std::f64::consts::LN_2);
        let usual = self.spread.level().max(0.0);
        Change {
            since: self.since,
            divergence: (divergence - by_chance).max(0.0),
            usual,
            most: LEAST.max(usual + SIGMAS * self.spread.sigma().max(LEAST_SIGMA)),
            template,
            share: shares.0,
            usual_share: shares.1,
        }
    }

    /// Learns the window's shares and how far it was away, and begins the next one.
    fn learn(&mut self, unusual: bool, divergence: f64) {
        let first = self.usual.is_empty();
        let young = 1.0 / (f64::from(self.spread.n()) + 2.0);
        let alpha = match unusual {
            _ if first => 1.0,
            // What stays is usual in the end.
            true => ALPHA_OPEN,
            false => ALPHA.max(young),
        } as f32;
        for share in self.usual.values_mut() {
            *share *= 1.0 - alpha;
        }
        for (id, n) in std::mem::take(&mut self.window) {
            *self.usual.entry(id).or_default() += alpha * n as f32 / self.n as f32;
        }
        self.usual.retain(|_, share| *share > 1e-6);
        if !unusual && !first {
            self.spread.push(divergence, ALPHA);
        }
        self.n = 0;
    }
}
