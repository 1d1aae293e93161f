//! Two versions on the same live data: who told of what, and who was earlier.
//!
//! What one version tells of an entity is matched with what the other tells of it within half an
//! hour; what stays without a match then was told by one alone.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{EntityRef, Time};

/// How far apart two versions may tell of the same (ms).
const MATCH_MS: i64 = 30 * MINUTE_MS;
/// Days, leads and disagreements that are kept.
const DAYS: usize = 35;
const LEADS: usize = 256;
const APART: usize = 32;
/// Most that may wait for a match.
const WAITING: usize = 4_096;

/// Counts of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PairDay {
    /// When it began.
    pub since: Time,
    /// Told by both.
    pub both: u64,
    /// Told by the first alone.
    pub first_only: u64,
    /// Told by the second alone.
    pub second_only: u64,
}

/// An episode that one version told of and the other did not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Apart {
    /// When.
    pub at: Time,
    /// Whose.
    pub entity: EntityRef,
    /// What departed.
    pub what: String,
    /// The version that told.
    pub by: String,
    /// Its surprise in nats.
    pub surprise: f64,
}

/// How two versions compare.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    /// The first version.
    pub first: String,
    /// The second.
    pub second: String,
    /// Since when both run.
    pub since: Time,
    /// Told by both, by the first alone, by the second alone.
    pub both: u64,
    /// Told by the first alone.
    pub first_only: u64,
    /// Told by the second alone.
    pub second_only: u64,
    /// Told by both, of all that either told (Jaccard's index).
    pub agreement: Option<f64>,
    /// By how many minutes the second was earlier, in the median of what both told; negative:
    /// later.
    pub second_earlier_min: Option<f64>,
    /// Of what both told, how often the second was earlier, and how often the first was.
    pub second_earlier: u64,
    /// How often the first was earlier.
    pub first_earlier: u64,
    /// By day, the oldest first.
    pub days: Vec<PairDay>,
    /// The newest disagreements, the newest first.
    pub apart: Vec<Apart>,
}

/// The comparison of two versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pair {
    since: Time,
    waiting: Vec<Waiting>,
    days: VecDeque<PairDay>,
    /// By how many ms the second was earlier.
    leads: VecDeque<i64>,
    apart: VecDeque<Apart>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Waiting {
    at: Time,
    entity: EntityRef,
    what: String,
    surprise: f64,
    second: bool,
}

/// What a version told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) at: Time,
    pub(super) entity: &'a EntityRef,
    pub(super) what: &'a str,
    pub(super) surprise: f64,
}

impl Pair {
    pub(super) fn new(since: Time) -> Self {
        Self { since, ..Self::default() }
    }

    /// One of the two told of something.
    pub(super) fn told(&mut self, told: &Told<'_>, second: bool) {
        let other =
            self.waiting.iter().position(|w| w.second != second && w.entity == *told.entity);
        if let Some(at) = other {
            let other = self.waiting.remove(at);
            let lead = told.at.ms_since(other.at);
            self.leads.push_back(if second { -lead } else { lead });
            if self.leads.len() > LEADS {
                self.leads.pop_front();
            }
            self.day(other.at).both += 1;
            return;
        }
        if self.waiting.len() >= WAITING {
            let oldest = self.waiting.remove(0);
            self.alone(oldest, ("", ""));
        }
        self.waiting.push(Waiting {
            at: told.at,
            entity: told.entity.clone(),
            what: told.what.to_owned(),
            surprise: told.surprise,
            second,
        });
    }

    /// Time went on: what has waited long enough was told by one alone.
    pub(super) fn tick(&mut self, now: Time, names: (&str, &str)) {
        while self.waiting.first().is_some_and(|w| now.ms_since(w.at) > MATCH_MS) {
            let waited = self.waiting.remove(0);
            self.alone(waited, names);
        }
    }

    fn alone(&mut self, waited: Waiting, (first, second): (&str, &str)) {
        let day = self.day(waited.at);
        if waited.second {
            day.second_only += 1;
        } else {
            day.first_only += 1;
        }
        let by = if waited.second { second } else { first };
        self.apart.push_front(Apart {
            at: waited.at,
            entity: waited.entity,
            what: waited.what,
            by: by.to_owned(),
            surprise: waited.surprise,
        });
        self.apart.truncate(APART);
    }

    fn day(&mut self, at: Time) -> &mut PairDay {
        let since = at.floor_to(DAY_MS);
        let place = match self.days.iter().rposition(|d| d.since <= since) {
            Some(at) if self.days[at].since == since => at,
            Some(before) => {
                self.days.insert(before + 1, PairDay { since, ..PairDay::default() });
                before + 1
            }
            None => {
                self.days.push_front(PairDay { since, ..PairDay::default() });
                0
            }
        };
        // The oldest day goes, except where it is the one that is asked for.
        if self.days.len() > DAYS && place > 0 {
            self.days.pop_front();
            return &mut self.days[place - 1];
        }
        &mut self.days[place]
    }

    /// How the two compare.
    pub(super) fn report(&self, first: &str, second: &str) -> Comparison {
        let sum = |f: fn(&PairDay) -> u64| self.days.iter().map(f).sum::<u64>();
        let (both, first_only, second_only) =
            (sum(|d| d.both), sum(|d| d.first_only), sum(|d| d.second_only));
        let all = both + first_only + second_only;
        let leads: Vec<f64> = self.leads.iter().map(|ms| *ms as f64 / MINUTE_MS as f64).collect();
        Comparison {
            first: first.to_owned(),
            second: second.to_owned(),
            since: self.since,
            both,
            first_only,
            second_only,
            agreement: (all > 0).then(|| both as f64 / all as f64),
            second_earlier_min: crate::stats::median(&leads),
            second_earlier: leads.iter().filter(|l| **l > 0.0).count() as u64,
            first_earlier: leads.iter().filter(|l| **l < 0.0).count() as u64,
            days: self.days.iter().copied().collect(),
            apart: self.apart.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(entity: &EntityRef, minute: i64) -> Told<'_> {
        let at = Time::from_ms(1_762_128_000_000 + minute * MINUTE_MS);
        Told { at, entity, what: "latency", surprise: 12.0 }
    }

    #[test]
    fn who_told_what_and_who_was_earlier() {
        let (a, b, c) = (EntityRef::service("a"), EntityRef::service("b"), EntityRef::service("c"));
        let mut pair = Pair::new(Time::MIN);
        pair.told(&told(&a, 0), true);
        pair.told(&told(&a, 4), false);
        pair.told(&told(&b, 5), false);
        pair.told(&told(&c, 6), true);
        // Too late to be the same.
        pair.tick(told(&b, 36).at, ("one/1", "two/1"));
        pair.told(&told(&b, 36), true);
        pair.tick(told(&b, 90).at, ("one/1", "two/1"));
        let report = pair.report("one/1", "two/1");
        assert_eq!((report.both, report.first_only, report.second_only), (1, 1, 2));
        assert_eq!((report.agreement, report.second_earlier_min), (Some(0.25), Some(4.0)));
        let apart: Vec<(&str, &str)> =
            report.apart.iter().map(|a| (a.entity.name(), a.by.as_str())).collect();
        assert_eq!(apart, [("b", "two/1"), ("c", "two/1"), ("b", "one/1")]);
    }
}
