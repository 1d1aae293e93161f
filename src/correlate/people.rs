//! What people's merges and splits teach: which conditions belong together, and which do not.
//!
//! A **topic** is a condition at a place (`HighLatency of orders`). When a person splits an
//! incident, each topic of one part is noted as apart from each of the other, when they merge two,
//! as together; the balance of a pair decides later on what the search alone would not know. The
//! lessons stand in the store, written with the merge or split itself, and are bounded: so many
//! pairs a lesson, so many in all, the oldest forgotten first.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::correlator::Correlator;
use super::fit::Kin;
use super::group::Group;
use crate::model::time::MINUTE_MS;
use crate::model::{Alert, AlertId, EntityRef, Fault, IncidentId, Time};
use crate::store::{Rows, Tx};

/// Where the lessons stand in the store.
const KEY: &str = "correlate.people";
/// Topics of each part that one lesson is about at most.
const MOST_TOPICS: usize = 12;
/// Pairs that are remembered at most.
const MOST_PAIRS: usize = 2_000;
/// Alerts that people have merged begin this near (ms) to be put together by that alone.
const NEAR_MS: i64 = 15 * MINUTE_MS;

/// What people did about two topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lesson {
    /// How often they split them apart.
    split: u32,
    /// How often they merged them.
    merged: u32,
    /// The last time.
    at: Time,
}

impl Lesson {
    /// How much oftener split than merged.
    fn apart(self) -> i64 {
        i64::from(self.split) - i64::from(self.merged)
    }
}

/// What a person did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Took alerts out of an incident.
    Split,
    /// Made two incidents one.
    Merge,
}

/// All lessons.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lessons {
    /// By both topics, the lesser first.
    pairs: BTreeMap<String, Lesson>,
    /// All topics in them, so that a storm asks of what nobody taught anything about at no cost.
    #[serde(skip)]
    known: BTreeSet<String>,
}

/// What an alert's condition and place are called.
pub(super) fn topic(name: &str, entity: &EntityRef) -> String {
    format!("{name} of {}", entity.name())
}

fn pair(one: &str, other: &str) -> String {
    if one < other { format!("{one} | {other}") } else { format!("{other} | {one}") }
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

impl Lessons {
    /// The lessons of a store.
    ///
    /// # Errors
    /// The store failed.
    pub fn load(rows: &Rows<'_>) -> Result<Self, Fault> {
        Ok(rows.value(KEY)?.unwrap_or_default())
    }

    /// Notes in the store what a person did about the alerts of two parts.
    ///
    /// # Errors
    /// The store failed.
    pub fn teach(
        tx: &Tx<'_>,
        (one, other): (&[AlertId], &[AlertId]),
        deed: Deed,
        now: Time,
    ) -> Result<(), Fault> {
        let topics = |ids: &[AlertId]| -> Result<BTreeSet<String>, Fault> {
            let mut found = BTreeSet::new();
            for id in ids {
                if found.len() < MOST_TOPICS
                    && let Some(alert) = tx.get::<Alert>(*id)?
                {
                    found.insert(topic(alert.name(), &alert.entity));
                }
            }
            Ok(found)
        };
        let (one, other) = (topics(one)?, topics(other)?);
        let mut lessons = Self::load(tx)?;
        lessons.note(&one, &other, deed, now);
        tx.put_value(KEY, &lessons)
    }

    pub(super) fn note(
        &mut self,
        one: &BTreeSet<String>,
        other: &BTreeSet<String>,
        deed: Deed,
        now: Time,
    ) {
        // What is in both parts tells nothing of what sets them apart.
        for a in one.difference(other) {
            for b in other.difference(one) {
                let lesson = self.pairs.entry(pair(a, b)).or_default();
                match deed {
                    Deed::Split => lesson.split += 1,
                    Deed::Merge => lesson.merged += 1,
                }
                lesson.at = now;
            }
        }
        while self.pairs.len() > MOST_PAIRS {
            let oldest = self.pairs.iter().min_by_key(|(key, l)| (l.at, (*key).clone()));
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { break };
            self.pairs.remove(&key);
        }
    }

    /// What people did about topics of two parts, the clearest balance first; `None` where they did
    /// nothing, or as much of one as of the other.
    fn between(&self, one: &BTreeSet<&str>, other: &BTreeSet<&str>) -> Option<(i64, String)> {
        if self.pairs.is_empty() || one.iter().any(|t| other.contains(t)) {
            return None;
        }
        let mut best: Option<(i64, String)> = None;
        for a in one {
            for b in other {
                let Some(lesson) = self.pairs.get(&pair(a, b)) else { continue };
                let apart = lesson.apart();
                if apart != 0 && best.as_ref().is_none_or(|(most, _)| apart.abs() > most.abs()) {
                    let said = if apart > 0 {
                        format!("people have split {a} and {b} apart {}", times(lesson.split))
                    } else {
                        format!("people have merged {a} and {b} {}", times(lesson.merged))
                    };
                    best = Some((apart, said));
                }
            }
        }
        best
    }
}

impl Group {
    fn topics(&self) -> BTreeSet<&str> {
        self.members.values().map(|m| m.topic.as_str()).collect()
    }
}

impl Correlator {
    /// Takes over what people have taught.
    pub fn learn_lessons(&mut self, lessons: Lessons) {
        self.lessons = lessons;
        self.lessons.known =
            self.lessons.pairs.keys().flat_map(|k| k.split(" | ")).map(str::to_owned).collect();
    }

    /// Why people would not have an alert in an incident.
    pub(super) fn parted(&self, alert: &Alert, group: &Group) -> Option<String> {
        let topic = topic(alert.name(), &alert.entity);
        if !self.lessons.known.contains(&topic) {
            return None;
        }
        let said = self.lessons.between(&BTreeSet::from([topic.as_str()]), &group.topics());
        said.filter(|(apart, _)| *apart > 0).map(|(_, said)| said)
    }

    /// Whether an alert stays in an incident though another fault explains it: people have merged
    /// the like of it, or split it from what that fault's incident has.
    pub(super) fn people_keep(&self, alert: &Alert, group: &Group, kin: Kin) -> bool {
        let topic = topic(alert.name(), &alert.entity);
        if !self.lessons.known.contains(&topic) {
            return false;
        }
        let mut rest = group.topics();
        rest.remove(topic.as_str());
        let here = self.lessons.between(&BTreeSet::from([topic.as_str()]), &rest);
        let there = self.revision.owner(kin).and_then(|id| self.groups.get(&id));
        here.is_some_and(|(apart, _)| apart < 0)
            || there.is_some_and(|g| self.parted(alert, g).is_some())
    }

    /// Whether people would have two incidents apart.
    pub(super) fn are_parted(&self, one: &Group, other: &Group) -> bool {
        if self.lessons.known.is_empty() {
            return false;
        }
        let said = self.lessons.between(&one.topics(), &other.topics());
        said.is_some_and(|(apart, _)| apart > 0)
    }

    /// The active incident, begun at about the same time, that people have merged the like of the
    /// alert with, and how often.
    pub(super) fn joined_by_people(&self, alert: &Alert) -> Option<(IncidentId, String)> {
        let topic = topic(alert.name(), &alert.entity);
        if !self.lessons.known.contains(&topic) {
            return None;
        }
        let topic = BTreeSet::from([topic.as_str()]);
        let active = self.groups.values().filter(|g| g.incident.state.is_active());
        let near = active
            .filter(|g| alert.starts_at.ms_since(g.incident.onset_at).abs() <= NEAR_MS)
            .filter_map(|g| Some((self.lessons.between(&topic, &g.topics())?, g.incident.id)));
        let best = near.filter(|((apart, _), _)| *apart < 0).min_by_key(|((a, _), id)| (*a, *id));
        best.map(|((_, said), id)| (id, said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(topics: &[&str]) -> BTreeSet<String> {
        topics.iter().map(|t| (*t).to_owned()).collect()
    }

    #[test]
    fn the_balance_of_a_pair_decides_and_is_told() {
        let mut lessons = Lessons::default();
        let (a, b) = (set(&["Slow of cart", "Both of web"]), set(&["Down of mail", "Both of web"]));
        let said = |lessons: &Lessons| {
            lessons.between(&BTreeSet::from(["Slow of cart"]), &BTreeSet::from(["Down of mail"]))
        };
        lessons.note(&a, &b, Deed::Split, Time::from_ms(1));
        lessons.note(&b, &a, Deed::Split, Time::from_ms(2));
        assert_eq!(lessons.pairs.len(), 1, "what is in both tells nothing");
        let text = "people have split Slow of cart and Down of mail apart twice";
        assert_eq!(said(&lessons), Some((2, text.to_owned())));
        for n in 3..5 {
            lessons.note(&a, &b, Deed::Merge, Time::from_ms(n));
        }
        assert_eq!(said(&lessons), None, "as often one as the other");
        lessons.note(&a, &b, Deed::Merge, Time::from_ms(5));
        assert_eq!(said(&lessons).map(|s| s.0), Some(-1));
        let stored = serde_json::to_string(&lessons).expect("writes");
        assert_eq!(serde_json::from_str::<Lessons>(&stored).expect("reads"), lessons);
    }

    #[test]
    fn the_oldest_lessons_are_forgotten_first() {
        let mut lessons = Lessons::default();
        for n in 0..2 * MOST_PAIRS {
            let (a, b) = (format!("A{n} of x"), format!("B{n} of y"));
            lessons.note(&[a].into(), &[b].into(), Deed::Split, Time::from_ms(n as i64));
        }
        assert_eq!(lessons.pairs.len(), MOST_PAIRS);
        let oldest = lessons.pairs.values().map(|l| l.at.ms()).min();
        assert_eq!(oldest, Some(MOST_PAIRS as i64));
    }
}
