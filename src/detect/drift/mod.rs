//! The watch over the detectors themselves: several versions run side by side on the same data.
//!
//! Takes the rows that each version judged and the episodes that it would tell of, gives which of
//! them people are told of. Each version has a budget of its own, so that they are compared at the
//! same number a day. A version is live or in shadow: in shadow it does everything and nobody is
//! told. Its calibration (`calibration`) and its inputs (`inputs`) are looked at by the hour; a
//! live version whose p-values no longer hold goes to shadow and says so, and comes back when they
//! do. When no other version is live, its critical, strong episodes are told all the same: a site
//! is never left without any detector. What two versions told is compared (`compare`).
//!
//! Pure and in event time: the same rows and offers give the same answers, before and after a
//! restore.

mod calibration;
mod compare;
mod config;
mod inputs;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use calibration::Rate;
pub use compare::{Apart, Comparison, PairDay};
pub use config::Config;
pub use inputs::Stability;
pub use report::{News, Report, VersionReport};

use super::budget::{self, Admission, Budget, Lane, Offer};
use super::pooled::Heard;
use crate::model::time::HOUR_MS;
use crate::model::{EntityRef, Time};
use calibration::{Calibration, Rows};
use compare::{Pair, Told};
use inputs::{Counts, Inputs};

/// News that are kept.
const NEWS: usize = 32;

/// Whether people are told what a version says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// People are told.
    Live,
    /// It runs on the same data, is counted and compared, and nobody is told.
    Shadow,
}

/// Who put a version where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The program: this is where it begins.
    Start,
    /// The rule that looks at its calibration.
    Rule,
    /// A person; the rule does not undo it.
    Person,
}

/// A row that a version judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    /// `-ln` of the chance that a row begins such an episode, where this one does.
    pub onset_surprise: Option<f64>,
    /// Distance from the usual level in spreads.
    pub departure: f64,
    /// Time since the row before, in ms.
    pub step_ms: i64,
    /// Whether it repeats that row's value.
    pub repeats: bool,
    /// What the pool heard of it.
    pub heard: Heard,
}

/// Rows on their way to a version: counting needs no look-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    rows: Rows,
    inputs: Counts,
}

impl Tally {
    /// One row.
    pub fn count(&mut self, row: &Row) {
        self.rows.count(row.onset_surprise);
        self.inputs.count(row.departure, row.step_ms, row.repeats);
    }

    fn add(&mut self, other: &Self) {
        self.rows.add(&other.rows);
        self.inputs.add(&other.inputs);
    }
}

/// The answer to an offer of a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// What its budget says.
    pub admission: Admission,
    /// Whether people are told: admitted, and the version is live.
    pub told: bool,
}

/// Settings that an offer is held against.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Of the budget; each version has the same.
    pub budget: &'a budget::Config,
    /// Of the watch.
    pub drift: &'a Config,
}

/// All versions and their comparisons.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    now: Time,
    hour: Time,
    versions: BTreeMap<String, Version>,
    pairs: BTreeMap<(String, String), Pair>,
    news: Vec<News>,
}

/// All that is known of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Version {
    stage: Stage,
    by: By,
    since: Time,
    why: String,
    tally: Tally,
    calibration: Calibration,
    inputs: Inputs,
    budget: Budget,
    /// Hours on end that it drifts (positive) or holds (negative).
    streak: i32,
    shifted: bool,
}

impl Watch {
    /// Makes a version known; it begins at `stage` and stays where it was afterwards.
    pub fn know(&mut self, name: &str, stage: Stage, now: Time) {
        if self.versions.contains_key(name) {
            return;
        }
        for other in self.versions.keys() {
            let names =
                if other.as_str() < name { (other.as_str(), name) } else { (name, other.as_str()) };
            let key = (names.0.to_owned(), names.1.to_owned());
            self.pairs.insert(key, Pair::new(now));
        }
        let version = Version {
            stage,
            by: By::Start,
            since: now,
            why: "It began so.".into(),
            tally: Tally::default(),
            calibration: Calibration::default(),
            inputs: Inputs::default(),
            budget: Budget::default(),
            streak: 0,
            shifted: false,
        };
        self.versions.insert(name.to_owned(), version);
    }

    /// Takes in rows that a known version judged.
    pub fn absorb(&mut self, name: &str, tally: &Tally) {
        if let Some(version) = self.versions.get_mut(name) {
            version.tally.add(tally);
        }
    }

    /// A known version saw an onset that it would not tell of by itself: its budget learns what is
    /// ordinary.
    pub fn learn(&mut self, settings: Settings<'_>, name: &str, onset: (Time, &EntityRef, f64)) {
        self.tick(settings, onset.0);
        if let Some(version) = self.versions.get_mut(name) {
            version.budget.learn(settings.budget, onset.0, onset.1, onset.2);
        }
    }

    /// Whether people hear what a version says; one that is not known is not heard.
    #[must_use]
    pub fn is_live(&self, name: &str) -> bool {
        self.versions.get(name).is_some_and(|v| v.stage == Stage::Live)
    }

    /// A known version would tell of an episode; says whether people are told. An unknown version
    /// is in shadow from then on.
    pub fn offer(&mut self, settings: Settings<'_>, name: &str, offer: &Offer<'_>) -> Said {
        self.tick(settings, offer.at);
        self.know(name, Stage::Shadow, offer.at);
        let alone = !self.versions.values().any(|v| v.stage == Stage::Live);
        let version = self.versions.get_mut(name).expect("it was made known just now");
        let admission = version.budget.offer(settings.budget, offer);
        let live = match version.stage {
            Stage::Live => true,
            Stage::Shadow => alone && version.by == By::Rule && admission.lane == Lane::Reserved,
        };
        if matches!(admission.lane, Lane::Ordinary | Lane::Reserved) {
            let told = Told {
                at: self.now,
                entity: offer.entity,
                what: offer.what,
                surprise: offer.surprise,
            };
            for ((first, second), pair) in &mut self.pairs {
                if first == name || second == name {
                    pair.told(&told, second == name);
                }
            }
        }
        Said { told: admission.told && live, admission }
    }

    /// Time went on: by the hour each version is judged.
    pub fn tick(&mut self, settings: Settings<'_>, now: Time) {
        if now <= self.now {
            return;
        }
        self.now = now;
        for ((first, second), pair) in &mut self.pairs {
            pair.tick(now, (first, second));
        }
        for version in self.versions.values_mut() {
            version.budget.tick(settings.budget, now);
        }
        let hour = now.floor_to(HOUR_MS);
        if hour <= self.hour {
            return;
        }
        let first = self.hour == Time::MIN;
        self.hour = hour;
        if first {
            return;
        }
        let mut news = Vec::new();
        for (name, version) in &mut self.versions {
            version.close_hour();
            news.extend(version.review(settings.drift, name, now));
        }
        for one in news {
            self.tell(one);
        }
    }

    /// A person moves a version; says whether there is such a version and it moved.
    pub fn place(&mut self, name: &str, stage: Stage, by: &str, reason: &str) -> bool {
        let now = self.now;
        let Some(version) = self.versions.get_mut(name) else { return false };
        if version.stage == stage && version.by == By::Person {
            return false;
        }
        let why = if reason.is_empty() {
            format!("{by} moved it.")
        } else {
            format!("{by} moved it: {}.", reason.trim_end_matches('.'))
        };
        let moved = version.moves(name, stage, By::Person, (now, why));
        self.tell(moved);
        true
    }

    fn tell(&mut self, news: News) {
        self.news.insert(0, news);
        self.news.truncate(NEWS);
    }

    /// What a version's budget holds.
    #[must_use]
    pub fn budget(&self, name: &str) -> Option<&Budget> {
        self.versions.get(name).map(|v| &v.budget)
    }

    /// The newest event time heard of.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The first live version, else the first of all.
    #[must_use]
    pub fn leading(&self) -> Option<&str> {
        let live = self.versions.iter().find(|(_, v)| v.stage == Stage::Live);
        live.or_else(|| self.versions.iter().next()).map(|(name, _)| name.as_str())
    }
}

impl Version {
    fn close_hour(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        self.calibration.close(tally.rows);
        self.inputs.close(tally.inputs);
    }

    /// Judges the version by what is known of it; gives what people should hear.
    fn review(&mut self, config: &Config, name: &str, now: Time) -> Vec<News> {
        let mut news = Vec::new();
        let shifted: Vec<Stability> = self
            .inputs
            .stability()
            .into_iter()
            .filter(|s| s.index.is_some_and(|i| i >= inputs::SHIFTED))
            .collect();
        if !shifted.is_empty() && !self.shifted {
            news.push(News {
                at: now,
                version: name.to_owned(),
                stage: self.stage,
                text: report::shifted(&shifted),
            });
        }
        self.shifted = !shifted.is_empty();
        let rates = self.calibration.rates();
        let judged = rates.iter().any(|r| r.enough);
        let off = rates.iter().find(|r| report::is_off(r, config.most_ratio)).copied();
        self.streak = match (judged, off.is_some()) {
            (false, _) => 0,
            (true, true) => self.streak.max(0) + 1,
            (true, false) => self.streak.min(0) - 1,
        };
        let long = |hours: u32| i32::try_from(hours).unwrap_or(i32::MAX);
        if let Some(rate) = off
            && self.stage == Stage::Live
            && self.by != By::Person
            && config.demote
            && self.streak >= long(config.demote_after_h)
        {
            let why = report::drifts(&rate, config, self.streak);
            news.push(self.moves(name, Stage::Shadow, By::Rule, (now, why)));
        } else if self.stage == Stage::Shadow
            && self.by == By::Rule
            && -self.streak >= long(config.promote_after_h)
        {
            let why = report::holds(&rates, -self.streak);
            news.push(self.moves(name, Stage::Live, By::Rule, (now, why)));
        }
        news
    }

    fn moves(&mut self, name: &str, stage: Stage, by: By, (now, why): (Time, String)) -> News {
        (self.stage, self.by, self.since) = (stage, by, now);
        self.why.clone_from(&why);
        let verb = match stage {
            Stage::Live => "is live",
            Stage::Shadow => "is in shadow: it is compared, and nobody is told what it finds",
        };
        News { at: now, version: name.to_owned(), stage, text: format!("{name} {verb}. {why}") }
    }
}
