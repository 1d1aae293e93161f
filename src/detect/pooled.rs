//! What the onsets of all series say of how rare one is: the ensemble's pool, taught live.
//!
//! Takes each live row's class and onset, gives the surprise by the pool as it stood when the batch
//! began. Onsets wait [`WAIT_MS`] and enter at fixed event times, by class, as counts: neither the
//! order of series nor a crash between changes what is learned. Three things keep faults from
//! making it insensitive: what an entity shows around a called departure is left out, each block's
//! counts are limited (see [`Pool`]), and what is learned moves a chance by [`MOST_TIMES`] at most
//! either way from the frozen default. Rates before and after are counted by each row's own word at
//! that time, so the comparison is honest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ensemble::{Age, Pool, Verdict};
use crate::model::alert::Subject;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{Anomaly, EntityRef, Time};

/// Onsets wait so long for a departure that would leave them out (ms).
const WAIT_MS: i64 = 15 * MINUTE_MS;
/// After a departure has ended its entity is left out for so long (ms), and before it began.
const AROUND_MS: i64 = 15 * MINUTE_MS;
/// By how many times a chance may be moved from the default.
pub(super) const MOST_TIMES: f32 = 3.0;
/// Levels at which rates are counted.
const LEVELS: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];
/// Onsets that must be nominal before a level is told in words.
const LEAST_NOMINAL: f64 = 20.0;
/// Days in which the counted rates fade to 1/e.
const MEMORY_DAYS: f64 = 4.0;

/// State of the learning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pooled {
    /// Made when the first rows are taught. Boxed: some dozens of KiB.
    pool: Option<Box<Pool>>,
    /// The boundary up to which was taught.
    taught: Time,
    /// Rows by class since then.
    rows: BTreeMap<u8, u32>,
    /// Onsets that wait, by entity, and how many of each.
    waiting: BTreeMap<EntityRef, BTreeMap<Onset, u32>>,
    /// Entities that are left out, and until when.
    hot: BTreeMap<EntityRef, Time>,
    since: Option<Time>,
    n_rows: u64,
    n_onsets: u64,
    n_left_out: u64,
    /// Rows, and onsets at each level by the default and as learned, by age; fading.
    counts: [Counts; Age::COUNT],
}

/// What was counted of series of one age, fading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Counts {
    rows: f64,
    before: [f64; LEVELS.len()],
    after: [f64; LEVELS.len()],
}

impl Counts {
    fn fade(&mut self, by: f64) {
        self.rows *= by;
        for n in self.before.iter_mut().chain(&mut self.after) {
            *n *= by;
        }
    }

    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        for (sum, n) in self.before.iter_mut().zip(other.before) {
            *sum += n;
        }
        for (sum, n) in self.after.iter_mut().zip(other.after) {
            *sum += n;
        }
    }

    fn rates(&self) -> Vec<PooledRate> {
        LEVELS
            .into_iter()
            .zip(self.before.into_iter().zip(self.after))
            .map(|(level, (before, after))| {
                let nominal = self.rows * level;
                let by = |n: f64| if nominal > 0.0 { n / nominal } else { 0.0 };
                PooledRate { level, nominal, before: by(before), after: by(after) }
            })
            .collect()
    }
}

/// An onset on its way into the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Onset {
    at: Time,
    class: u8,
    /// Its place in the pool.
    place: u8,
    /// How many of the levels it is beyond, by the default and as learned.
    before: u8,
    after: u8,
}

/// What the pool has learned, and what it is good for.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PooledReport {
    /// In a sentence.
    pub text: String,
    /// Whether surprises are told as learned; else they are only compared.
    pub live: bool,
    /// Since when it learns.
    pub since: Option<Time>,
    /// Rows and onsets that it learned from.
    pub n_rows: u64,
    /// Onsets among them.
    pub n_onsets: u64,
    /// Onsets that were left out because they belong to a called departure.
    pub n_left_out: u64,
    /// By how many times a chance may differ from the default at most.
    pub most_times: f64,
    /// Observed against nominal, by the default and as learned.
    pub rates: Vec<PooledRate>,
    /// The same by the age of series: fewer than 1,500 points known, fewer than 6,000, more.
    pub by_age: Vec<Vec<PooledRate>>,
}

/// Onsets at one level within the last days, without those of called departures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PooledRate {
    /// The nominal chance.
    pub level: f64,
    /// Onsets that are nominal among the rows.
    pub nominal: f64,
    /// Observed by nominal with the frozen default.
    pub before: f64,
    /// Observed by nominal as learned by then.
    pub after: f64,
}

/// The word of the ensemble on a row, before and after the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heard {
    class: u8,
    place: u8,
    /// `-ln p` of the onset by the frozen default; 0 where the row is none.
    pub default: f32,
    /// The same as learned.
    pub learned: f32,
}

impl Heard {
    /// The surprise of the onset; `None` where the row is none.
    pub(super) fn nats(&self, learned: bool) -> Option<f32> {
        (self.default > 0.0).then_some(if learned { self.learned } else { self.default })
    }
}

impl Pooled {
    /// What is heard of a row.
    pub(super) fn hear(&self, verdict: &Verdict) -> Heard {
        let class = verdict.class.index();
        let (Some(default), Some(own)) = (verdict.onset_nats(), verdict.told.onset_surprise) else {
            return Heard { class, ..Heard::default() };
        };
        let most = MOST_TIMES.ln();
        let learned = self.pool.as_ref().map_or(default, |pool| {
            pool.surprise(verdict.class, own).clamp(default - most, default + most).max(0.0)
        });
        Heard { class, place: Pool::place(own), default, learned }
    }

    /// Takes in a live row of an entity.
    pub(super) fn row(&mut self, entity: &EntityRef, at: Time, heard: &Heard) {
        let is_onset = heard.default > 0.0;
        if !self.hot.is_empty() && self.hot.contains_key(entity) {
            self.n_left_out += u64::from(is_onset);
            return;
        }
        *self.rows.entry(heard.class).or_default() += 1;
        if is_onset {
            let (before, after) = (beyond(heard.default), beyond(heard.learned));
            let onset = Onset { at, class: heard.class, place: heard.place, before, after };
            let waiting = match self.waiting.get_mut(entity) {
                Some(waiting) => waiting,
                None => self.waiting.entry(entity.clone()).or_default(),
            };
            *waiting.entry(onset).or_default() += 1;
        }
    }

    /// A batch is over: what was called leaves its entity out, and what has waited is taught when
    /// a boundary was passed.
    pub(super) fn close<'a>(&mut self, now: Time, faults: impl IntoIterator<Item = &'a Anomaly>) {
        for anomaly in faults {
            let Subject::Series { series } = &anomaly.subject else { continue };
            let until = anomaly.until.unwrap_or(anomaly.at).plus_ms(AROUND_MS);
            let hot = self.hot.entry(series.entity.clone()).or_insert(until);
            *hot = until.max(*hot);
            let from = anomaly.since.plus_ms(-AROUND_MS);
            if let Some(waiting) = self.waiting.get_mut(&series.entity) {
                waiting.retain(|onset, n| {
                    let stays = onset.at < from;
                    self.n_left_out += if stays { 0 } else { u64::from(*n) };
                    stays
                });
            }
        }
        let boundary = now.floor_to(WAIT_MS);
        if boundary > self.taught {
            self.teach(boundary);
        }
    }

    fn teach(&mut self, boundary: Time) {
        let first = self.since.is_none();
        self.since.get_or_insert(boundary);
        let days = if first { 0 } else { boundary.ms_since(self.taught) } as f64 / DAY_MS as f64;
        self.taught = boundary;
        self.hot.retain(|_, until| *until > boundary);
        let fade = (-days / MEMORY_DAYS).exp();
        for counts in &mut self.counts {
            counts.fade(fade);
        }
        let ripe = boundary.plus_ms(-WAIT_MS);
        let mut onsets: BTreeMap<u8, BTreeMap<u8, u32>> = BTreeMap::new();
        for waiting in self.waiting.values_mut() {
            while let Some(entry) = waiting.first_entry().filter(|e| e.key().at < ripe) {
                let (onset, n) = entry.remove_entry();
                *onsets.entry(onset.class).or_default().entry(onset.place).or_default() += n;
                self.n_onsets += u64::from(n);
                let counts = &mut self.counts[age_of(onset.class)];
                let (before, after) = (usize::from(onset.before), usize::from(onset.after));
                for count in &mut counts.before[..before.min(LEVELS.len())] {
                    *count += f64::from(n);
                }
                for count in &mut counts.after[..after.min(LEVELS.len())] {
                    *count += f64::from(n);
                }
            }
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        let rows = std::mem::take(&mut self.rows);
        let pool = self.pool.get_or_insert_with(|| Box::new(Pool::onsets()));
        for (class, n) in rows {
            self.n_rows += u64::from(n);
            self.counts[age_of(class)].rows += f64::from(n);
            let places = onsets.remove(&class).unwrap_or_default();
            pool.absorb(class, n, places);
        }
        // Of classes that had no rows since: their onsets waited longer than their rows.
        for (class, places) in onsets {
            pool.absorb(class, 0, places);
        }
    }

    /// What was learned; `live` says whether it is told.
    pub(super) fn report(&self, live: bool) -> PooledReport {
        let mut all = Counts::default();
        for counts in &self.counts {
            all.add(counts);
        }
        let rates = all.rates();
        let told =
            if live { "What it learned is told" } else { "What it learned is compared only" };
        let text = match rates.iter().rfind(|r| r.nominal >= LEAST_NOMINAL) {
            Some(rate) => format!(
                "The pool learned from {} onsets of {} points; {} onsets around called departures \
                 were left out. Of those that claim {:.0e}, {:.2} times as many as nominal came by \
                 its default and {:.2} times as learned. {told}.",
                self.n_onsets, self.n_rows, self.n_left_out, rate.level, rate.before, rate.after
            ),
            None => format!(
                "The pool learned from {} onsets of {} points so far: too few to compare. {told}.",
                self.n_onsets, self.n_rows
            ),
        };
        PooledReport {
            text,
            live,
            since: self.since,
            n_rows: self.n_rows,
            n_onsets: self.n_onsets,
            n_left_out: self.n_left_out,
            most_times: f64::from(MOST_TIMES),
            rates,
            by_age: self.counts.iter().map(Counts::rates).collect(),
        }
    }
}

/// The age of a class, by their numbers.
fn age_of(class: u8) -> usize {
    usize::from(class) % Age::COUNT
}

/// How many of the levels a surprise is beyond.
fn beyond(nats: f32) -> u8 {
    let nats = f64::from(nats);
    LEVELS.iter().filter(|level| nats >= -level.ln()).count() as u8
}

#[cfg(test)]
mod tests;
