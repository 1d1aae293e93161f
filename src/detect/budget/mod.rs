//! The alert budget: about how many anomalies a day people are told of.
//!
//! Takes every episode of every entity with its surprise (`-ln p`), gives whether it is told of
//! and why. What is tested is an entity within a quarter of an hour, not a point: ten thousand
//! series at a point a minute are 14.4 million points a day and some ten thousand such tests. The
//! threshold follows from the pooled distribution of their surprises (`pool`), so that as many
//! lie above as were asked for, corrected by what was really told (`control`). An entity that
//! was told of before today needs a rarer episode: its p-value counts for as many tests
//! (Bonferroni). Critical, strong episodes pass in a reserved lane, whatever was spent, and are
//! counted. Beside it stands the false-discovery rate (`fdr`).
//!
//! Pure and in event time: the same offers give the same admissions, before and after a restore.

mod config;
mod control;
mod fdr;
mod ledger;
mod pool;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use config::Config;
pub use ledger::{DAYS as KEPT_DAYS, Day, Near, Recent, Spent};

use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{EntityRef, Time};
use control::Control;
use fdr::Fdr;
use ledger::Ledger;
use pool::{Pool, Tail};

/// One test: what an entity shows within this time (ms).
const TEST_MS: i64 = 15 * MINUTE_MS;
/// What is told of an entity goes on while it is strong again within this time (ms), and ends at
/// the latest after that.
const GOES_ON_MS: i64 = 30 * MINUTE_MS;
const LONGEST_MS: i64 = 6 * HOUR_MS;
/// The threshold is computed anew this often (ms).
const REFRESH_MS: i64 = 5 * MINUTE_MS;
/// Event time without a word beyond which a gap is not counted as time heard (ms).
const GAP_MS: i64 = 2 * HOUR_MS;
/// Days in which what is known of the pool fades to 1/e.
const MEMORY_DAYS: f64 = 4.0;
/// Days in which what false ones are estimated by does.
const LATELY_DAYS: f64 = 0.5;
/// Days in which what was told of an entity fades to 1/e.
const ENTITY_DAYS: f64 = 1.0;
/// The pool needs this much event time (days) before a rate is more than a guess.
const LEAST_HEARD_DAYS: f64 = 1.0 / 24.0;

/// Event time (days) within which a pool is young.
const YOUNG_DAYS: f64 = 0.9;

/// An episode that asks to be told of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer<'a> {
    /// Event time of the onset.
    pub at: Time,
    /// Whose.
    pub entity: &'a EntityRef,
    /// What departs, for people: the metric's name.
    pub what: &'a str,
    /// `-ln` of the chance that a point of a quiet series begins such an episode; for a departure
    /// that was called its size and length are weighed in too.
    pub surprise: f64,
    /// Whether it would be critical; then it passes if it is strong enough (`strong_p`).
    pub critical: bool,
}

/// Which way an episode went.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Told, on the budget.
    Ordinary,
    /// Told, because it is critical and strong.
    Reserved,
    /// Told, as part of what is told of the entity already; costs nothing.
    Joined,
    /// Not told: others were rarer.
    Held,
    /// Not told: such things happen to quiet series.
    Usual,
}

/// The answer to an offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// Whether people are told.
    pub told: bool,
    /// Which way it went.
    pub lane: Lane,
    /// The surprise that was needed, in nats.
    pub threshold: f64,
    /// Why, in a sentence with figures.
    pub why: String,
}

/// All state of the budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    now: Time,
    /// Event time heard, fading as the pool does, in days.
    heard_days: f64,
    stepped_at: Time,
    refreshed_at: Time,
    /// What the pool held then.
    refreshed_n: f64,
    /// Told since the last step, on the budget and in the reserved lane.
    n_ordinary: f64,
    n_reserved: f64,
    pool: Pool,
    control: Control,
    fdr: Fdr,
    ledger: Ledger,
    /// The rate aimed at as a surprise, and the ordinary episodes' tail of late, as last computed.
    threshold: f64,
    null: Option<Tail>,
    entities: BTreeMap<EntityRef, Standing>,
    /// The pool of about a day: what false ones are estimated by, so that a site that changes fast
    /// is not held against what it was.
    #[serde(default)]
    lately: Pool,
}

/// What is known of one entity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Standing {
    test: Option<Test>,
    /// Since when and up to when it is told of.
    told_since: Option<Time>,
    told_at: Time,
    /// How often it was told of, fading over a day.
    n_told: f64,
}

/// An entity's test under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Test {
    since: Time,
    surprise: f64,
    /// The highest threshold it was held against.
    threshold: f64,
    told: bool,
    /// With what weight it is in the pool.
    weight: f64,
}

impl Budget {
    /// Learns an onset that nobody asks to tell of: most are, and they say what is ordinary.
    pub fn learn(&mut self, config: &Config, at: Time, entity: &EntityRef, surprise: f64) {
        self.tick(config, at);
        let needed = self.needed(config, entity);
        self.enter(entity, finite(surprise), (needed, 1.0));
    }

    /// Judges an episode, and learns it. Offers should come in the order of time; one that is late
    /// counts as made now. What is not a number is as little surprising as can be.
    pub fn offer(&mut self, config: &Config, offer: &Offer<'_>) -> Admission {
        self.tick(config, offer.at);
        let surprise = finite(offer.surprise);
        let needed = self.needed(config, offer.entity);
        let is_strong = offer.critical && surprise >= config.strong();
        // A burst of the same cause teaches little about other days, and what has a lane of its
        // own takes nothing from the ordinary one.
        let weight = match () {
            () if is_strong => 0.0,
            () if config.is_on() && surprise >= self.threshold => {
                (-self.control.burst(config.anomalies_per_day)).exp()
            }
            () => 1.0,
        };
        self.enter(offer.entity, surprise, (needed, weight));
        let (now, least) = (self.now, config.least());
        let standing = self.entities.entry(offer.entity.clone()).or_default();
        let lane = match () {
            () if standing.told_since.is_some() && surprise >= least => Lane::Joined,
            () if is_strong => Lane::Reserved,
            () if surprise >= needed => Lane::Ordinary,
            () if surprise >= least => Lane::Held,
            () => Lane::Usual,
        };
        let told = !matches!(lane, Lane::Held | Lane::Usual);
        if let Some(test) = &mut standing.test {
            test.told |= told;
        }
        if told && (surprise >= needed || is_strong) {
            standing.told_at = now;
        }
        if matches!(lane, Lane::Ordinary | Lane::Reserved) {
            standing.told_since = Some(now);
            standing.n_told += 1.0;
            if lane == Lane::Ordinary {
                self.control.told();
                self.n_ordinary += 1.0;
            } else {
                self.n_reserved += 1.0;
            }
        }
        let within = self.ledger.spent_within_day(now);
        self.ledger.note(now, offer, surprise, lane, needed);
        let why = why(config, surprise, needed, lane, within);
        Admission { told, lane, threshold: needed, why }
    }

    /// The surprise that an episode of an entity needs now.
    fn needed(&self, config: &Config, entity: &EntityRef) -> f64 {
        let least = config.least();
        if !config.is_on() {
            return least;
        }
        // Within the first day the pool says little: all is told until the day's number is.
        let asked = config.anomalies_per_day;
        if self.heard() < YOUNG_DAYS && self.ledger.spent_within_day(self.now) < asked {
            return least;
        }
        let n_told = self.entities.get(entity).map_or(0.0, |s| s.n_told);
        (self.threshold + self.control.burst(asked) + n_told.ln_1p()).max(least)
    }

    /// Puts an onset into its entity's test and into the pool.
    fn enter(&mut self, entity: &EntityRef, surprise: f64, (needed, weight): (f64, f64)) {
        let now = self.now;
        let standing = self.entities.entry(entity.clone()).or_default();
        let fresh = Test { since: now, surprise: -1.0, threshold: needed, told: false, weight };
        let test = standing.test.get_or_insert(fresh);
        test.threshold = test.threshold.max(needed);
        if surprise > test.surprise {
            if test.surprise >= 0.0 {
                self.pool.unlearn(test.surprise, test.weight);
                self.lately.unlearn(test.surprise, test.weight);
            }
            (test.surprise, test.weight) = (surprise, weight);
            self.pool.learn(surprise, weight);
            self.lately.learn(surprise, weight);
        }
    }

    /// Time went on.
    pub fn tick(&mut self, config: &Config, now: Time) {
        if self.now == Time::MIN {
            (self.stepped_at, self.refreshed_at) = (now, now);
            self.threshold = config.least();
        }
        self.now = now.max(self.now);
        let now = self.now;
        if now.ms_since(self.stepped_at) >= HOUR_MS {
            self.step(config);
        }
        // A young pool changes faster than the clock.
        let grown = self.pool.n() > 1.25 * self.refreshed_n + 1.0;
        if grown || now.ms_since(self.refreshed_at) >= REFRESH_MS || self.null.is_none() {
            self.close_tests();
            self.refresh(config);
        }
    }

    /// An hour has passed: everything fades, and the controller hears what was told.
    fn step(&mut self, config: &Config) {
        let passed = self.now.ms_since(self.stepped_at);
        // The bot was not there: nothing was tested in that time.
        let heard = passed.min(GAP_MS) as f64 / DAY_MS as f64;
        self.stepped_at = self.now;
        let days = passed as f64 / DAY_MS as f64;
        let fade = (-heard / MEMORY_DAYS).exp();
        self.pool.fade(fade);
        self.lately.fade((-heard / LATELY_DAYS).exp());
        self.fdr.fade(fade);
        self.heard_days = self.heard_days * fade + heard;
        let entity_fade = (-days / ENTITY_DAYS).exp();
        self.entities.retain(|_, standing| {
            standing.n_told *= entity_fade;
            standing.test.is_some() || standing.told_since.is_some() || standing.n_told > 0.05
        });
        if config.is_on() {
            let asked = config.anomalies_per_day;
            // An outage is counted, and yet it is not paid for by all other days.
            let counted =
                self.n_ordinary + self.n_reserved.min((config.reserved_share * asked).max(1.0));
            let floored = self.threshold <= config.least();
            self.control.step(asked, heard, counted, floored);
        }
        (self.n_ordinary, self.n_reserved) = (0.0, 0.0);
        self.ledger.forget(self.now);
    }

    /// Ends the tests whose time is over, in the order of entities.
    fn close_tests(&mut self) {
        let null = self.null.unwrap_or_else(|| self.lately.null());
        for standing in self.entities.values_mut() {
            if standing.test.as_ref().is_some_and(|t| self.now.ms_since(t.since) >= TEST_MS)
                && let Some(test) = standing.test.take()
            {
                let p = self.lately.p(test.surprise, &null);
                self.fdr.test(p, self.lately.p(test.threshold, &null), test.told);
            }
            let over = standing.told_since.is_some_and(|since| {
                self.now.ms_since(standing.told_at) >= GOES_ON_MS
                    || self.now.ms_since(since) >= LONGEST_MS
            });
            if over {
                standing.told_since = None;
            }
        }
    }

    /// Computes the threshold anew.
    fn refresh(&mut self, config: &Config) {
        (self.refreshed_at, self.refreshed_n) = (self.now, self.pool.n());
        self.null = Some(self.lately.null());
        self.threshold = if config.is_on() {
            self.needed_for(config, self.control.aim(config.anomalies_per_day))
        } else {
            config.least()
        };
    }

    /// The surprise that so many episodes a day exceed; never below the floor.
    fn needed_for(&self, config: &Config, per_day: f64) -> f64 {
        let rate = self.tests_per_day();
        if rate <= per_day {
            return config.least();
        }
        self.pool.level(per_day / rate).max(config.least())
    }

    /// Tests a day, as lately seen.
    fn tests_per_day(&self) -> f64 {
        self.pool.n() / self.heard().max(LEAST_HEARD_DAYS)
    }

    /// Event time heard, fading as the pool does, in days.
    fn heard(&self) -> f64 {
        self.heard_days + self.now.ms_since(self.stepped_at) as f64 / DAY_MS as f64
    }

    /// How the budget stands.
    #[must_use]
    pub fn spent(&self, config: &Config) -> Spent {
        let asked = config.anomalies_per_day;
        let next = self.needed_for(config, self.control.aim(asked + 1.0));
        Spent {
            asked_per_day: asked,
            now: self.now,
            threshold: self.threshold,
            threshold_p: (-self.threshold).exp(),
            next_threshold: if config.is_on() { next } else { self.threshold },
            tests_per_day: self.tests_per_day(),
            expected_per_day: self.tests_per_day() * self.pool.above(self.threshold),
            correction: self.control.factor(),
            burst_nats: if config.is_on() { self.control.burst(asked) } else { 0.0 },
            false_ratio: self.fdr.estimate(),
            bounded_ratio: self.fdr.would_share(),
            bounded_level: fdr::LEVEL,
            last_day: self.ledger.last_day(self.now),
            days: self.ledger.days(),
            recent: self.ledger.recent(),
        }
    }

    /// What the next units would buy: the strongest episodes of the last day that were held back,
    /// at most `n`, the strongest first.
    #[must_use]
    pub fn next(&self, n: usize) -> Vec<Near> {
        let rate = self.tests_per_day();
        let factor = self.control.factor();
        self.ledger.near(
            self.now,
            n,
            |surprise, extra| rate * self.pool.above((surprise - extra).max(0.0)) / factor,
            self.threshold,
        )
    }
}

/// A surprise that can be counted with.
fn finite(surprise: f64) -> f64 {
    if surprise.is_nan() { 0.0 } else { surprise.clamp(0.0, 1e6) }
}

fn why(config: &Config, surprise: f64, needed: f64, lane: Lane, within_day: f64) -> String {
    let p = |nats: f64| format!("{:.1e}", (-nats).exp());
    let (has, needs) = (p(surprise), p(needed));
    let asked = config.anomalies_per_day;
    match lane {
        Lane::Ordinary if !config.is_on() => {
            format!("Weighed like a chance of {has}; without a budget all below {needs} is told.")
        }
        Lane::Ordinary => {
            format!(
                "Weighed like a chance of {has}; about {asked} a day are told at {needs} or rarer."
            )
        }
        Lane::Reserved => format!(
            "Weighed like a chance of {has} and critical: told in the reserved lane, though {within_day} were \
             told within a day and {needs} is needed for about {asked} a day."
        ),
        Lane::Joined => {
            format!("Weighed like a chance of {has}; it joins what is told of the entity already.")
        }
        Lane::Held => format!(
            "Held back: weighed like a chance of {has}; {needs} or rarer is needed for about {asked} a day, and \
             {within_day} were told within a day."
        ),
        Lane::Usual => {
            format!(
                "Weighed like a chance of {has}: such things happen to quiet series; {needs} is needed."
            )
        }
    }
}
