//! What was told and what was held back, for people and for the controller.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Lane, Offer};
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{EntityRef, Time};

/// Days kept.
pub const DAYS: i64 = 35;
/// Episodes kept of each kind.
const KEPT: usize = 64;

/// How the budget stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Spent {
    /// Anomalies a day that were asked for; 0: no budget.
    pub asked_per_day: f64,
    /// Event time.
    pub now: Time,
    /// The surprise (`-ln p`) that an episode needs, and the same as a chance.
    pub threshold: f64,
    /// The chance that one point of a quiet series begins an episode that is told.
    pub threshold_p: f64,
    /// The threshold if one more a day were asked for.
    pub next_threshold: f64,
    /// Tests a day: entities with an episode of any strength, by quarters of an hour.
    pub tests_per_day: f64,
    /// How many of them a day exceed the threshold, as lately seen.
    pub expected_per_day: f64,
    /// By how much the rate aimed at differs from the one asked for, to make up for what was told.
    pub correction: f64,
    /// Nats by which a burst raises the threshold now.
    pub burst_nats: f64,
    /// Estimated share of false ones among what was told (SAFFRON's estimate, fading memory).
    pub false_ratio: Option<f64>,
    /// Of as many as were told, how many LORD++ would have told with false ones bounded by
    /// `bounded_level`.
    pub bounded_ratio: Option<f64>,
    /// The bound that LORD++ keeps.
    pub bounded_level: f64,
    /// The last 24 hours.
    pub last_day: Day,
    /// Each day in UTC, the oldest first.
    pub days: Vec<Day>,
    /// What was told lately, the newest first.
    pub recent: Vec<Recent>,
}

/// Counts of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Day {
    /// When it began.
    pub since: Time,
    /// Told on the budget.
    pub ordinary: u64,
    /// Told in the reserved lane.
    pub reserved: u64,
    /// Told as part of what was told already.
    pub joined: u64,
    /// Held back by the budget.
    pub held: u64,
}

impl Day {
    fn add(&mut self, other: &Self) {
        self.ordinary += other.ordinary;
        self.reserved += other.reserved;
        self.joined += other.joined;
        self.held += other.held;
    }
}

/// An episode that was told of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recent {
    /// When.
    pub at: Time,
    /// Whose.
    pub entity: EntityRef,
    /// What departed.
    pub what: String,
    /// Its surprise in nats.
    pub surprise: f64,
    /// On the budget or in the reserved lane.
    pub lane: Lane,
}

/// An episode that was held back.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Near {
    /// When.
    pub at: Time,
    /// Whose.
    pub entity: EntityRef,
    /// What departed.
    pub what: String,
    /// Its surprise in nats.
    pub surprise: f64,
    /// The surprise that was needed at that time.
    pub needed: f64,
    /// How many a day would have to be asked for so that it were told, as things stand now.
    pub would_need_per_day: f64,
}

/// Counts by the hour, and the newest and strongest episodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    hours: VecDeque<Day>,
    told: VecDeque<Recent>,
    held: Vec<Missed>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Missed {
    at: Time,
    entity: EntityRef,
    what: String,
    surprise: f64,
    needed: f64,
}

impl Ledger {
    /// Keeps an answer.
    pub(super) fn note(
        &mut self,
        now: Time,
        offer: &Offer<'_>,
        surprise: f64,
        lane: Lane,
        needed: f64,
    ) {
        let hour = now.floor_to(HOUR_MS);
        if self.hours.back().is_none_or(|last| last.since != hour) {
            self.hours.push_back(Day { since: hour, ..Day::default() });
        }
        let Some(counts) = self.hours.back_mut() else { return };
        match lane {
            Lane::Ordinary => counts.ordinary += 1,
            Lane::Reserved => counts.reserved += 1,
            Lane::Joined => counts.joined += 1,
            Lane::Held => counts.held += 1,
            Lane::Usual => {}
        }
        let (entity, what) = (offer.entity, offer.what);
        match lane {
            Lane::Ordinary | Lane::Reserved => {
                // An entity that is told of now is no longer missed.
                self.held.retain(|m| m.entity != *entity || now.ms_since(m.at) >= HOUR_MS);
                self.told.push_front(Recent {
                    at: now,
                    entity: entity.clone(),
                    what: what.to_owned(),
                    surprise,
                    lane,
                });
                self.told.truncate(KEPT);
            }
            Lane::Held => self.miss(Missed {
                at: now,
                entity: entity.clone(),
                what: what.to_owned(),
                surprise,
                needed,
            }),
            Lane::Joined | Lane::Usual => {}
        }
    }

    /// Keeps what was held back, once an hour and entity, the strongest.
    fn miss(&mut self, missed: Missed) {
        let now = missed.at;
        let same = |m: &&mut Missed| m.entity == missed.entity && now.ms_since(m.at) < HOUR_MS;
        if let Some(old) = self.held.iter_mut().find(same) {
            if missed.surprise > old.surprise {
                *old = missed;
            }
            return;
        }
        if self.held.len() >= KEPT {
            self.held.retain(|m| now.ms_since(m.at) < DAY_MS);
        }
        if self.held.len() < KEPT {
            self.held.push(missed);
            return;
        }
        let weakest = self.held.iter_mut().min_by(|a, b| a.surprise.total_cmp(&b.surprise));
        if let Some(weakest) = weakest.filter(|w| w.surprise < missed.surprise) {
            *weakest = missed;
        }
    }

    /// How many were told within the last day.
    pub(super) fn spent_within_day(&self, now: Time) -> f64 {
        let day = self.last_day(now);
        (day.ordinary + day.reserved) as f64
    }

    /// The last 24 hours, in whole hours.
    pub(super) fn last_day(&self, now: Time) -> Day {
        let since = now.plus_ms(-DAY_MS);
        let mut day = Day { since, ..Day::default() };
        for hour in self.hours.iter().rev().take_while(|h| h.since > since) {
            day.add(hour);
        }
        day
    }

    /// Days in UTC, the oldest first.
    pub(super) fn days(&self) -> Vec<Day> {
        let mut days: Vec<Day> = Vec::new();
        for hour in &self.hours {
            let since = hour.since.floor_to(DAY_MS);
            match days.last_mut().filter(|d| d.since == since) {
                Some(day) => day.add(hour),
                None => days.push(Day { since, ..*hour }),
            }
        }
        days
    }

    /// What was told lately, the newest first.
    pub(super) fn recent(&self) -> Vec<Recent> {
        self.told.iter().cloned().collect()
    }

    /// The strongest that were held back within a day; `rate` says how many a day are at least as
    /// surprising, less what the entity had to show beyond the threshold of all.
    pub(super) fn near(
        &self,
        now: Time,
        n: usize,
        rate: impl Fn(f64, f64) -> f64,
        threshold: f64,
    ) -> Vec<Near> {
        let mut all: Vec<&Missed> =
            self.held.iter().filter(|m| now.ms_since(m.at) < DAY_MS).collect();
        let short = |m: &Missed| m.needed - m.surprise;
        all.sort_by(|a, b| short(a).total_cmp(&short(b)).then_with(|| a.at.cmp(&b.at)));
        all.truncate(n);
        all.into_iter()
            .map(|m| Near {
                at: m.at,
                entity: m.entity.clone(),
                what: m.what.clone(),
                surprise: m.surprise,
                needed: m.needed,
                would_need_per_day: rate(m.surprise, (m.needed - threshold).max(0.0)),
            })
            .collect()
    }

    /// Forgets what is older than is shown.
    pub(super) fn forget(&mut self, now: Time) {
        let oldest = now.plus_ms(-DAYS * DAY_MS);
        while self.hours.front().is_some_and(|h| h.since < oldest) {
            self.hours.pop_front();
        }
        self.held.retain(|m| now.ms_since(m.at) < DAY_MS);
    }
}
