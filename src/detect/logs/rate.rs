//! One template of one entity: how often it comes, how regularly, and what is open about it.

use serde::{Deserialize, Serialize};

use crate::detect::share::{Share, Verdict, Window};
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Anomaly, Time};
use crate::stats::RobustMean;

/// Weight of one minute in the usual rate: about an hour of memory.
const ALPHA: f64 = 1.0 / 60.0;
/// Weight of one gap between lines in the usual gap.
const GAP_ALPHA: f64 = 1.0 / 32.0;
/// The share of one error in all lines must grow by this much.
const RISE: f64 = 0.01;
/// So many lines in a window, or fewer, are none in most.
const SELDOM: f64 = 0.5;
/// Gaps from which a template may be called regular.
const FEWEST_GAPS: u32 = 24;
/// Gaps from which a regular template is well established.
const ESTABLISHED_GAPS: u32 = 120;
/// Mean absolute deviation of the gaps, relative to their mean, up to which a template beats like a
/// clock. Arrivals at random have 2/e = 0.74, even ones within ±50 % have 0.25.
const REGULAR: f64 = 0.3;
/// For how long (ms) it must have come so, and how much longer all gaps may be on average than those
/// of late: what comes while a job runs or a fault lasts stops when that is over.
const KNOWN_MS: i64 = 6 * HOUR_MS;
const PAUSES: f64 = 1.3;
/// Gaps that a regular template may stay away.
const PATIENCE_GAPS: f64 = 5.0;
/// The least silence (ms) that is told of.
const PATIENCE_MS: f64 = 180_000.0;

/// Counts of one template.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rate {
    /// First line.
    pub(super) first: Time,
    /// First seen when it could have been known already.
    pub(super) is_new: bool,
    /// Minute that is being counted.
    pub(super) minute: i64,
    /// Lines in it.
    pub(super) count: u32,
    /// Lines in a usual minute.
    pub(super) usual: RobustMean,
    /// First line of the minute.
    pub(super) since: Time,
    /// Newest line.
    pub(super) last: Time,
    /// When it was last called unusual.
    pub(super) last_hot: Time,
    /// Some of its lines are warnings.
    pub(super) warns: bool,
    /// Trace of a recent line.
    pub(super) trace: Option<String>,
    beat: Beat,
    /// Lines in the longer window that shares are judged by, and their share of all lines.
    window: u32,
    share: Share,
    /// What is told of it and has not ended.
    pub(super) open: Option<Box<Anomaly>>,
    /// The first line in the longer window.
    #[serde(default)]
    window_first: Time,
}

/// Gaps between its lines.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Beat {
    mean_ms: f32,
    /// Mean absolute deviation (ms).
    spread_ms: f32,
    /// Longest of late (ms); fades by half in some 500 gaps.
    longest_ms: f32,
    n: u32,
    /// The line before the first gap.
    since: Time,
}

impl Rate {
    pub(super) fn new(at: Time, is_new: bool) -> Self {
        Self {
            first: at,
            is_new,
            minute: at.ms().div_euclid(MINUTE_MS),
            count: 0,
            usual: RobustMean::new(),
            since: at,
            last: at,
            last_hot: Time::MIN,
            warns: false,
            trace: None,
            beat: Beat::default(),
            window: 0,
            share: Share::default(),
            open: None,
            window_first: at,
        }
    }

    /// Counts a line; closes the minutes before it.
    pub(super) fn count(&mut self, at: Time, trace: Option<&str>) {
        let minute = at.ms().div_euclid(MINUTE_MS);
        if minute > self.minute {
            self.close_minute(minute, at);
        }
        self.count = self.count.saturating_add(1);
        if self.window == 0 {
            self.window_first = at;
        }
        self.window = self.window.saturating_add(1);
        if at > self.last {
            self.beat.push(self.last, at);
            self.last = at;
        }
        if let Some(trace) = trace {
            self.trace = Some(trace.chars().take(64).collect());
        }
    }

    /// Closes the counted minute and the silent ones after it.
    fn close_minute(&mut self, minute: i64, at: Time) {
        if self.open.is_none() {
            self.usual.push(f64::from(self.count), ALPHA);
            for _ in 0..(minute - self.minute - 1).clamp(0, 120) {
                self.usual.push(0.0, ALPHA);
            }
        }
        (self.minute, self.count, self.since) = (minute, 0, at);
    }

    /// Closes the longer window of `n` lines of any kind; `fewest` lines of its own below which no
    /// share is unusual.
    pub(super) fn close_window(&mut self, since: Time, n: u32, fewest: u32) -> Verdict {
        let hits = std::mem::take(&mut self.window);
        // What such a window usually has none of began with its first line.
        let seldom = self.share.usual() * f64::from(n) < SELDOM;
        let since = if seldom { self.window_first.max(since) } else { since };
        self.share.judge(Window { since, n, hits, fewest, rise: RISE, harmless: false })
    }

    /// How long (ms) it may stay away, when it comes like a clock; with whether that is well
    /// established.
    pub(super) fn patience_ms(&self) -> Option<(i64, bool)> {
        let beat = &self.beat;
        let (mean, spread) = (f64::from(beat.mean_ms), f64::from(beat.spread_ms));
        let length_ms = self.last.ms_since(beat.since);
        let overall = length_ms as f64 / f64::from(beat.n.max(1));
        let is_clock = beat.n >= FEWEST_GAPS && spread <= REGULAR * mean;
        (is_clock && length_ms >= KNOWN_MS && overall <= PAUSES * mean).then(|| {
            let most = (PATIENCE_GAPS * mean)
                .max(mean + 12.0 * spread)
                .max(2.0 * f64::from(beat.longest_ms))
                .max(PATIENCE_MS);
            (most as i64, beat.n >= ESTABLISHED_GAPS)
        })
    }

    /// The usual time between two lines (ms).
    pub(super) fn gap_ms(&self) -> i64 {
        self.beat.mean_ms as i64
    }

    /// Forgets how regularly it came: what writes it has changed.
    pub(super) fn forget_beat(&mut self) {
        self.beat = Beat::default();
    }

    /// Takes in what was counted of a template that turned out to be this one; gives an anomaly
    /// that has ended by it.
    pub(super) fn take_in(&mut self, mut from: Self, at: Time) -> Option<Anomaly> {
        let minute = from.minute.max(self.minute);
        for rate in [&mut from, &mut *self] {
            if rate.minute < minute {
                rate.close_minute(minute, at);
            }
        }
        self.first = self.first.min(from.first);
        // What was known in one wording is not new in another.
        self.is_new &= from.is_new;
        self.count = self.count.saturating_add(from.count);
        self.usual = self.usual.sum(&from.usual);
        self.since = self.since.min(from.since);
        self.last = self.last.max(from.last);
        self.last_hot = self.last_hot.max(from.last_hot);
        self.warns |= from.warns;
        self.trace = self.trace.take().or(from.trace);
        self.window_first = match (self.window, from.window) {
            (0, _) => from.window_first,
            (_, 0) => self.window_first,
            _ => self.window_first.min(from.window_first),
        };
        self.window = self.window.saturating_add(from.window);
        // Two streams of lines in one: what was regular in each is not in both.
        self.beat = Beat::default();
        if self.open.is_none() {
            self.open = from.open;
            return None;
        }
        let mut anomaly = *from.open?;
        (anomaly.at, anomaly.until) = (at, Some(from.last_hot.max(anomaly.since)));
        Some(anomaly)
    }
}

impl Beat {
    fn push(&mut self, before: Time, at: Time) {
        let gap = at.ms_since(before) as f32;
        self.n = self.n.saturating_add(1);
        self.longest_ms = (self.longest_ms * 0.9986).max(gap);
        if self.n == 1 {
            (self.since, self.mean_ms) = (before, gap);
            return;
        }
        let alpha = GAP_ALPHA.max(1.0 / f64::from(self.n)) as f32;
        let away = (gap - self.mean_ms).abs();
        self.mean_ms += alpha * (gap - self.mean_ms);
        self.spread_ms += alpha * (away - self.spread_ms);
    }
}
