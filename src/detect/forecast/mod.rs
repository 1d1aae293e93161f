//! The forecast: when a series with a limit will reach it, told days before, in spite of rhythms,
//! noise and restarts, with an interval and a chance whose truth is measured (benches/forecast).
//!
//! Two looks: the slow one each hour over three weeks of hourly means, the fast one each five
//! minutes over eight hours, where a rise is plain (a Mann-Kendall test gates it) and further than the
//! series goes up and down anyway (`swings`). Both draw futures from the same bank of trends
//! (`filter`).

mod changes;
mod codes;
mod expiry;
mod filter;
mod memory;
mod outlook;
mod recent;
mod refill;
mod season;
mod swings;
#[cfg(test)]
mod tests;
mod words;

use std::cell::OnceCell;

use serde::{Deserialize, Deserializer, Serialize};

use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Indicator, Point, Series, Time};
use crate::stats::{Trend, median, median_and_sigma, theil_sen, time_to_limit};

pub use memory::Memory;
pub use outlook::{Outlook, Question, Rhythm, outlook};
pub use refill::Refills;

pub(in crate::detect) use expiry::{EXPIRY, Expiring, is_expiry};
use outlook::looked;
use recent::{KEPT, Recent};
use swings::{WITHIN, is_step};
pub(in crate::detect) use words::{sentence, span};

/// One value of the fast look is kept for each of these.
const BUCKET_MS: i64 = 5 * MINUTE_MS;
/// Windows of the fast look, as (buckets, stride): one, three and eight hours of 12 to 48 points.
const WINDOWS: [(usize, usize); 3] = [(12, 1), (36, 1), (96, 2)];
/// A window says nothing of times further ahead than this many of its lengths.
const REACH: f64 = 8.0;
/// Least Mann-Kendall statistic: residuals of one day are correlated, so 2 would be far too little.
const LEAST_Z: f64 = 4.0;
/// Half width of the slope's interval in standard deviations: 95 %, doubled for correlation.
const INTERVAL_Z: f64 = 3.92;
/// Least rise over the window as a share of the limit.
const LEAST_RISE: f64 = 0.04;
/// A fall by this share of the limit between two buckets is a restart: the past is another process.
const RESTART: f64 = 0.15;
/// Hours of history before anything is said.
const YOUNG: usize = 72;
/// Chance from which the slow look speaks, and below which it is silent again.
const SPEAKS: f64 = 0.75;
const SILENT: f64 = 0.5;
/// Chance from which the fast look speaks: its gate has asked for more than chance already.
const PLAIN: f64 = 0.5;
/// Looks in a row that must warn: the hour of a step has a mean between, and looks like a slope.
const LASTING: i16 = 3;
/// How sure it must be that it rises at all.
const RISES: f64 = 0.95;

/// State of the forecast of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Forecast {
    memory: Memory,
    /// Means of five minutes beyond what is usual, oldest first; NaN where a bucket had no value.
    recent: Recent,
    #[serde(deserialize_with = "place")]
    bucket: i32,
    sum: f32,
    n: u32,
    /// What the last slow look said, while it warns.
    slow: Option<Box<Warning>>,
    /// Slow looks in a row that warned.
    #[serde(deserialize_with = "short")]
    slow_streak: i16,
    /// Evaluations in a row with (positive) or without (negative) a crossing.
    #[serde(deserialize_with = "short")]
    pub(super) streak: i16,
}

/// Before the first bucket.
const NO_BUCKET: i32 = i32::MIN;

/// A bucket since the epoch in four bytes, which reach for twenty thousand years.
fn bucket_of(bucket: i64) -> i32 {
    bucket.clamp(NO_BUCKET.into(), i32::MAX.into()) as i32
}

/// Older forms have it in eight bytes.
fn place<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    i64::deserialize(from).map(bucket_of)
}

/// Older forms have it in four bytes.
fn short<'de, D: Deserializer<'de>>(from: D) -> Result<i16, D::Error> {
    i64::deserialize(from).map(|n| n.clamp(i16::MIN.into(), i16::MAX.into()) as i16)
}

/// A limit ahead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Warning {
    /// When it is reached.
    pub(super) outlook: Outlook,
    /// The limit.
    pub(super) limit: f64,
    /// How plain it is, as a score.
    pub(super) score: f64,
    /// Since when it rises.
    pub(super) since: Time,
}

/// What a forecast says after a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// No bucket closed, or there is too little past.
    Nothing,
    /// No limit in sight.
    Clear,
    /// A limit ahead.
    Ahead(Warning),
}

/// The limit of a series: what is known of it, or 1 for a utilisation ratio.
pub(super) fn limit_of(series: &Series) -> Option<f64> {
    // A processor is busy and idle again; it is not used up as memory and disks are. No more are
    // failed requests, of which there can't be more than all.
    if series.metric.contains("cpu") || series.indicator == Indicator::Errors {
        return None;
    }
    let implied =
        (series.indicator == Indicator::Utilization).then_some(match series.unit.as_str() {
            "%" => 100.0,
            _ => 1.0,
        });
    series.limit.filter(|l| l.is_finite() && *l > 0.0).or(implied)
}

impl Forecast {
    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.slow.as_ref().map_or(0, |_| size_of::<Warning>())
    }

    /// One that knows nothing, for a limit (> 0).
    pub(super) fn new(limit: f64) -> Self {
        Self {
            memory: Memory::new(limit),
            recent: Recent::new(),
            bucket: NO_BUCKET,
            sum: 0.0,
            n: 0,
            slow: None,
            slow_streak: 0,
            streak: 0,
        }
    }

    /// Takes in a point; says what the trend says when a bucket closes. `season` gives the usual
    /// level of a time, where it is known. Without a horizon it only learns: two weeks of back-fill
    /// are four thousand buckets a series.
    pub(super) fn push(
        &mut self,
        point: Point,
        season: &dyn Fn(Time) -> Option<f64>,
        limit: f64,
        horizon_h: Option<f64>,
    ) -> Said {
        let hour = point.at.ms().div_euclid(HOUR_MS);
        let closed = self.memory.push(hour, point.value, limit);
        if let Some(horizon_h) = horizon_h.filter(|_| closed && self.memory.len() >= YOUNG) {
            self.look_slowly(point.at, limit, horizon_h);
        }
        let Some(usual) = season(point.at) else { return Said::Nothing };
        let bucket = bucket_of(point.at.ms().div_euclid(BUCKET_MS));
        let mut said = Said::Nothing;
        if bucket > self.bucket {
            if self.n > 0 {
                self.close(limit);
                if let Some(horizon_h) = horizon_h {
                    let fast = self.look_fast(point.at, season, limit, horizon_h);
                    let lasts = self.slow_streak >= LASTING;
                    let slow = || self.slow.as_deref().cloned().filter(|_| lasts);
                    said = fast.or_else(slow).map_or(Said::Clear, Said::Ahead);
                }
            }
            if self.bucket != NO_BUCKET {
                let missed = i64::from(bucket) - i64::from(self.bucket) - 1;
                for _ in 0..missed.min(KEPT as i64) {
                    self.recent.push(f32::NAN);
                }
            }
            (self.bucket, self.sum, self.n) = (bucket, 0.0, 0);
        }
        self.sum += (point.value - usual) as f32;
        self.n += 1;
        said
    }

    fn close(&mut self, limit: f64) {
        let residual = self.sum / self.n as f32;
        let fell = self
            .recent
            .iter()
            .rev()
            .find(|r| !r.is_nan())
            .is_some_and(|last| last - f64::from(residual) > RESTART * limit);
        if fell {
            self.recent.clear();
            // It was found before the fall; whether the rise goes on behind it is seen in hours that hold no
            // part of what was before.
            (self.slow, self.slow_streak) = (None, 0);
        }
        self.recent.push(residual);
    }

    /// The look over three weeks.
    fn look_slowly(&mut self, at: Time, limit: f64, horizon_h: f64) {
        let values = self.memory.values();
        let question = Question {
            // Points reach it before their hourly mean does.
            limit: limit - self.memory.excess().clamp(0.0, limit / 2.0),
            horizon: horizon_h as usize,
            step_h: 1.0,
            first: self.memory.first(),
            least: SILENT,
            began: None,
        };
        let least = if self.slow.is_some() { SILENT } else { SPEAKS };
        let found = warned_of(&values, &question, least);
        self.slow_streak = if found.is_some() { self.slow_streak.saturating_add(1) } else { 0 };
        self.slow = found.map(|outlook| {
            // A trend as old as the memory has no beginning that could be told.
            let begun = outlook.hours < values.len() as f64 / 2.0;
            let since =
                if begun { at.plus_ms(-((outlook.hours * HOUR_MS as f64) as i64)) } else { at };
            let since = self.slow.as_ref().map_or(since, |w| w.since);
            Box::new(Warning { score: 4.0 + 4.0 * outlook.chance, outlook, limit, since })
        });
    }

    /// The look over the last hours, where something rises plainly.
    fn look_fast(
        &self,
        at: Time,
        season: &dyn Fn(Time) -> Option<f64>,
        limit: f64,
        horizon_h: f64,
    ) -> Option<Warning> {
        let rest: Vec<f64> = self.recent.iter().collect();
        let usual = |h: f64| season(at.plus_ms((h * HOUR_MS as f64) as i64)).unwrap_or(0.0);
        // Most windows ask nothing of the past.
        let swings = OnceCell::new();
        let is_news = |hours: f64, trend: &Trend| {
            let swings = swings.get_or_init(|| self.memory.swings());
            swings.is_news(hours, trend.slope * hours, trend.intercept + usual(0.0))
        };
        let (hours, z, start) = plain_rise(&rest, limit, horizon_h, (&usual, &is_news))?;
        let step_h = BUCKET_MS as f64 / HOUR_MS as f64;
        let horizon = (horizon_h.min(REACH * hours) / step_h) as usize;
        // Residuals hold no rhythm; what is to come does.
        let first = -(rest.len() as i64);
        let known = |h: f64| if h < 0.0 { 0.0 } else { usual(h) };
        let since = rise_began(&rest, start, at);
        let began = Some((at.ms_since(since) / BUCKET_MS) as usize);
        // Points reach it before their mean does; of five minutes less so than of an hour.
        let limit_of_means = limit - (WITHIN * self.memory.excess()).clamp(0.0, limit / 4.0);
        let question =
            Question { limit: limit_of_means, horizon, step_h, first, least: PLAIN, began };
        let habit = self.memory.refills(limit);
        let now = rest.last().copied().filter(|r| r.is_finite()).map(|r| r + usual(0.0));
        if now.is_some_and(|v| habit.ends_before(limit, v)) {
            return None;
        }
        let mut outlook = outlook(&rest, &question, &Rhythm::Known(&known), Some(&habit))?;
        // It is reached at some time within the step that is named.
        outlook.earliest_h = outlook.earliest_h.map(|h| h - step_h);
        outlook.expected_h = outlook.expected_h.map(|h| h - step_h / 2.0);
        if outlook.chance < PLAIN || outlook.expected_h.is_none() {
            return None;
        }
        Some(Warning { outlook: Outlook { hours, ..outlook }, limit, score: z, since })
    }
}

/// What hourly values (oldest first, NaN where there was none) warn of: a limit that is likely reached
/// within the horizon (from the chance `least` on, 0 to 1) by what surely rises.
///
/// Peaks one behind the other look like what fills up and is emptied, as a dip does that is over, and they
/// pull a trend up for hours. That some do makes what is ahead no less certain (without them intervals
/// hold less of what came), but no limit is told that only they lead to.
#[must_use]
pub fn warned_of(values: &[f64], question: &Question, least: f64) -> Option<Outlook> {
    let warns = |o: &Outlook| o.chance >= least && o.rises >= RISES && o.expected_h.is_some();
    let found = outlook(values, question, &Rhythm::Found, None).filter(warns)?;
    let (without, lasting) = refill::without_passing(values, question.limit, question.first);
    let stands = lasting.len() == refill::falls(values, question.limit).len()
        || looked(&without, lasting, question, &Rhythm::Found, None).is_some_and(|o| warns(&o));
    stands.then_some(found)
}

/// What is usual so many hours from now.
type Usual<'a> = &'a dyn Fn(f64) -> f64;
/// Whether a trend over so many hours is none that comes and goes.
type IsNews<'a> = &'a dyn Fn(f64, &Trend) -> bool;

/// Whether residuals rise plainly towards the limit, beyond what `is_news` knows as usual: hours of the longest window that sees it (it
/// has the steadiest slope), its Mann-Kendall statistic and where it starts.
fn plain_rise(
    rest: &[f64],
    limit: f64,
    horizon_h: f64,
    (usual, is_news): (Usual<'_>, IsNews<'_>),
) -> Option<(f64, f64, usize)> {
    let mut best = None;
    for (length, stride) in WINDOWS {
        let hours = length as f64 * BUCKET_MS as f64 / HOUR_MS as f64;
        let end = rest.len();
        // The longest window needs only be nearly full: a leak is judged by what there is.
        if end < length * 9 / 10 {
            break;
        }
        let start = end.saturating_sub(length);
        let points: Vec<(f64, f64)> = (start..end)
            .rev()
            .step_by(stride)
            .map(|i| {
                let x = (i as f64 - end as f64 + 0.5) * BUCKET_MS as f64 / HOUR_MS as f64;
                (x, rest[i])
            })
            .filter(|(_, y)| y.is_finite())
            .collect();
        let ordered: Vec<(f64, f64)> = points.into_iter().rev().collect();
        if ordered.len() < length / stride * 3 / 4 {
            continue;
        }
        // Most windows rise by nothing: a look at both ends spares the slopes of all pairs.
        let quarter = ordered.len() / 4;
        let level = |part: &[(f64, f64)]| {
            median(&part.iter().map(|(_, y)| *y).collect::<Vec<_>>()).unwrap_or(0.0)
        };
        let rise = level(&ordered[ordered.len() - quarter..]) - level(&ordered[..quarter]);
        if rise < LEAST_RISE * limit / 2.0 {
            continue;
        }
        let Some(trend) = theil_sen(&ordered, INTERVAL_Z) else { continue };
        let recent = theil_sen(&ordered[ordered.len() / 2..], INTERVAL_Z);
        let goes_on = recent.is_some_and(|r| r.slope > 0.4 * trend.slope);
        if trend.z >= LEAST_Z
            && trend.slope_low > 0.0
            && trend.slope * hours >= LEAST_RISE * limit
            && goes_on
            && time_to_limit(
                &trend,
                trend.intercept,
                limit,
                (horizon_h.min(REACH * hours), 0.25),
                usual,
            )
            .is_some()
            && is_news(hours, &trend)
            && !is_step(&ordered)
        {
            best = Some((hours, trend.z, start));
        }
    }
    best
}

/// When the rise began: after the last bucket that lay at the level of the window's first eighth.
/// A window is as long as it is; dating a rise back to its start would put the onset before the
/// change that caused it.
fn rise_began(rest: &[f64], start: usize, at: Time) -> Time {
    let window = &rest[start..];
    let first: Vec<f64> =
        window[..=window.len() / 8].iter().copied().filter(|r| r.is_finite()).collect();
    let (level, sigma) = median_and_sigma(&first).unwrap_or((f64::NEG_INFINITY, 0.0));
    let last = window.iter().rfind(|r| r.is_finite()).copied().unwrap_or(level);
    // A tenth of the way up is above the noise of any window that passed the tests above.
    let edge = level + (3.0 * sigma).max(0.1 * (last - level));
    let begun = window.iter().rposition(|r| *r <= edge).map_or(0, |i| i + 1);
    at.plus_ms(-((window.len() - begun) as i64) * BUCKET_MS)
}
