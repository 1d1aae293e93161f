//! What people's merges and splits teach: which conditions belong together, and which do not.
//!
//! A **topic** is a condition at a place (`HighLatency of orders`). When a person splits an
//! incident, each topic of one part is noted as apart from each of the other, when they merge two,
//! as together; the balance of a pair decides later on what the search alone would not know. The
//! lessons stand in the store, written with the merge or split itself, and are bounded: so many
//! alerts and pairs a lesson, so many pairs in all, the oldest forgotten first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::correlator::Correlator;
use super::fit::Kin;
use super::group::Group;
use crate::model::time::MINUTE_MS;
use crate::model::{Alert, AlertId, EntityRef, Fault, IncidentId, Time};
use crate::store::{Rows, Tx};

/// Where the lessons stand in the store.
const KEY: &str = "correlate.lessons";
/// Topics of each part that one lesson is about at most.
const MOST_TOPICS: usize = 12;
/// Alerts of each part that are read for that at most.
const MOST_READ: usize = 200;
/// Pairs that are remembered at most.
const MOST_PAIRS: usize = 2_000;
/// Alerts that people have merged begin this near (ms) to be put together by that alone.
const NEAR_MS: i64 = 15 * MINUTE_MS;

/// A condition at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Topic {
    name: String,
    place: String,
}

impl Topic {
    pub(super) fn of(name: &str, entity: &EntityRef) -> Self {
        Self { name: name.to_owned(), place: entity.name().to_owned() }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.place)
    }
}

/// Topics, and how many alerts speak of each.
pub(super) type Topics = BTreeMap<Topic, usize>;

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

    fn said(self, one: &Topic, other: &Topic) -> String {
        if self.apart() > 0 {
            format!("people have split {one} and {other} apart {}", times(self.split))
        } else {
            format!("people have merged {one} and {other} {}", times(self.merged))
        }
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
#[serde(into = "Vec<(Topic, Topic, Lesson)>", from = "Vec<(Topic, Topic, Lesson)>")]
pub struct Lessons {
    /// By each topic, then by the other: a storm asks of what nobody taught anything about at the
    /// cost of one look.
    by: BTreeMap<Topic, BTreeMap<Topic, Lesson>>,
}

impl From<Lessons> for Vec<(Topic, Topic, Lesson)> {
    fn from(lessons: Lessons) -> Self {
        lessons.pairs().map(|(a, b, lesson)| (a.clone(), b.clone(), lesson)).collect()
    }
}

impl From<Vec<(Topic, Topic, Lesson)>> for Lessons {
    fn from(pairs: Vec<(Topic, Topic, Lesson)>) -> Self {
        let mut lessons = Self::default();
        for (a, b, lesson) in pairs {
            lessons.put(&a, &b, lesson);
        }
        lessons.bound();
        lessons
    }
}

/// What people have taught about one topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taught<'a> {
    topic: &'a Topic,
    others: &'a BTreeMap<Topic, Lesson>,
}

impl Taught<'_> {
    /// What people did about it and these topics, the clearest balance first; `None` where they did
    /// nothing, or as much of one as of the other.
    fn with(self, topics: &Topics, but: Option<&Topic>) -> Option<(i64, String)> {
        let here = self.others.iter().filter(|(other, lesson)| {
            lesson.apart() != 0 && Some(*other) != but && topics.contains_key(*other)
        });
        // Of equals the first.
        let best = here.rev().max_by_key(|(_, lesson)| lesson.apart().abs());
        best.map(|(other, lesson)| (lesson.apart(), lesson.said(self.topic, other)))
    }

    /// Why people would not have it in an incident.
    pub(super) fn parted(self, group: &Group) -> Option<String> {
        if group.topics.contains_key(self.topic) {
            return None;
        }
        self.with(&group.topics, None).filter(|(apart, _)| *apart > 0).map(|(_, said)| said)
    }
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
        let topics = |ids: &[AlertId]| -> Result<BTreeSet<Topic>, Fault> {
            let mut found = BTreeSet::new();
            for id in ids.iter().take(MOST_READ) {
                if found.len() == MOST_TOPICS {
                    break;
                }
                if let Some(alert) = tx.get::<Alert>(*id)? {
                    found.insert(Topic::of(alert.name(), &alert.entity));
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
        one: &BTreeSet<Topic>,
        other: &BTreeSet<Topic>,
        deed: Deed,
        now: Time,
    ) {
        // What is in both parts tells nothing of what sets them apart.
        for a in one.difference(other).take(MOST_TOPICS) {
            for b in other.difference(one).take(MOST_TOPICS) {
                let known = self.by.get(a).and_then(|others| others.get(b));
                let mut lesson = known.copied().unwrap_or_default();
                match deed {
                    Deed::Split => lesson.split = lesson.split.saturating_add(1),
                    Deed::Merge => lesson.merged = lesson.merged.saturating_add(1),
                }
                lesson.at = now;
                self.put(a, b, lesson);
            }
        }
        self.bound();
    }

    fn put(&mut self, a: &Topic, b: &Topic, lesson: Lesson) {
        for (one, other) in [(a, b), (b, a)] {
            self.by.entry(one.clone()).or_default().insert(other.clone(), lesson);
        }
    }

    /// All pairs, the lesser topic first.
    fn pairs(&self) -> impl Iterator<Item = (&Topic, &Topic, Lesson)> {
        let each = self.by.iter().flat_map(|(a, all)| all.iter().map(move |(b, l)| (a, b, *l)));
        each.filter(|(a, b, _)| a < b)
    }

    /// Forgets the oldest of too many pairs.
    fn bound(&mut self) {
        let mut all: Vec<(Time, Topic, Topic)> =
            self.pairs().map(|(a, b, lesson)| (lesson.at, a.clone(), b.clone())).collect();
        if all.len() <= MOST_PAIRS {
            return;
        }
        all.sort_unstable();
        for (_, a, b) in &all[..all.len() - MOST_PAIRS] {
            for (one, other) in [(a, b), (b, a)] {
                if let Some(others) = self.by.get_mut(one) {
                    others.remove(other);
                }
            }
        }
        self.by.retain(|_, others| !others.is_empty());
    }

    /// What people have taught about a topic, if anything.
    fn about(&self, topic: &Topic) -> Option<Taught<'_>> {
        self.by.get_key_value(topic).map(|(topic, others)| Taught { topic, others })
    }

    /// What people have taught about what an alert tells.
    pub(super) fn of(&self, alert: &Alert) -> Option<Taught<'_>> {
        // Mostly nobody has taught anything.
        if self.by.is_empty() { None } else { self.about(&Topic::of(alert.name(), &alert.entity)) }
    }

    /// What people did about topics of two parts, the clearest balance first; `None` where they did
    /// nothing, or as much of one as of the other.
    fn between(&self, one: &Topics, other: &Topics) -> Option<(i64, String)> {
        if self.by.is_empty() || one.keys().any(|t| other.contains_key(t)) {
            return None;
        }
        let taught = one.keys().filter_map(|topic| self.about(topic)?.with(other, None));
        taught.reduce(|best, next| if next.0.abs() > best.0.abs() { next } else { best })
    }
}

impl Correlator {
    /// Takes over what people have taught.
    pub fn learn_lessons(&mut self, lessons: Lessons) {
        self.lessons = lessons;
    }

    /// Whether an alert stays in an incident though another fault explains it: people have merged
    /// the like of it, or split it from what that fault's incident has.
    pub(super) fn people_keep(&self, alert: &Alert, group: &Group, kin: Kin) -> bool {
        let Some(taught) = self.lessons.of(alert) else { return false };
        let here = taught.with(&group.topics, Some(taught.topic));
        let there = self.revision.owner(kin).and_then(|id| self.groups.get(&id));
        here.is_some_and(|(apart, _)| apart < 0)
            || there.is_some_and(|g| taught.parted(g).is_some())
    }

    /// Whether people would have two incidents apart.
    pub(super) fn are_parted(&self, one: &Group, other: &Group) -> bool {
        let said = self.lessons.between(&one.topics, &other.topics);
        said.is_some_and(|(apart, _)| apart > 0)
    }

    /// The active incident, begun at about the same time, that people have merged the like of the
    /// alert with, and how often.
    pub(super) fn joined_by_people(
        &self,
        alert: &Alert,
        taught: Option<Taught<'_>>,
    ) -> Option<(IncidentId, String)> {
        let taught = taught?;
        let active = self.groups.values().filter(|g| g.incident.state.is_active());
        let near = active
            .filter(|g| alert.starts_at.ms_since(g.incident.onset_at).abs() <= NEAR_MS)
            .filter(|g| !g.topics.contains_key(taught.topic))
            .filter_map(|g| Some((taught.with(&g.topics, None)?, g.incident.id)));
        let best = near.filter(|((apart, _), _)| *apart < 0).min_by_key(|((a, _), id)| (*a, *id));
        best.map(|((_, said), id)| (id, said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        let (name, place) = text.split_once(" of ").expect("a name and a place");
        Topic::of(name, &EntityRef::service(place))
    }

    fn set(topics: &[&str]) -> BTreeSet<Topic> {
        topics.iter().map(|t| topic(t)).collect()
    }

    #[test]
    fn the_balance_of_a_pair_decides_and_is_told() {
        let mut lessons = Lessons::default();
        let (a, b) = (set(&["Slow of cart", "Both of web"]), set(&["Down of mail", "Both of web"]));
        let said = |lessons: &Lessons| {
            let part = |text| Topics::from([(topic(text), 1)]);
            lessons.between(&part("Slow of cart"), &part("Down of mail"))
        };
        lessons.note(&a, &b, Deed::Split, Time::from_ms(1));
        lessons.note(&b, &a, Deed::Split, Time::from_ms(2));
        assert_eq!(lessons.pairs().count(), 1, "what is in both tells nothing");
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
    fn a_name_with_a_bar_or_of_in_it_is_still_one_topic() {
        let mut lessons = Lessons::default();
        let odd = Topic::of("Errors | all of it", &EntityRef::service("a | b of c"));
        lessons.note(&[odd.clone()].into(), &set(&["Down of mail"]), Deed::Merge, Time::from_ms(1));
        let stored = serde_json::to_string(&lessons).expect("writes");
        let again = serde_json::from_str::<Lessons>(&stored).expect("reads");
        assert!(again.about(&odd).is_some());
        assert_eq!(again.pairs().count(), 1);
    }

    #[test]
    fn the_oldest_lessons_are_forgotten_first() {
        let mut lessons = Lessons::default();
        for n in 0..2 * MOST_PAIRS {
            let (a, b) = (format!("A{n} of x"), format!("B{n} of y"));
            lessons.note(&set(&[&a]), &set(&[&b]), Deed::Split, Time::from_ms(n as i64));
        }
        assert_eq!(lessons.pairs().count(), MOST_PAIRS);
        let oldest = lessons.pairs().map(|(_, _, l)| l.at.ms()).min();
        assert_eq!(oldest, Some(MOST_PAIRS as i64));
        assert_eq!(lessons.by.len(), 2 * MOST_PAIRS, "of what is forgotten nothing is left");
    }

    #[test]
    fn one_lesson_is_about_so_many_topics_and_no_more() {
        let mut lessons = Lessons::default();
        let many = |word: &str| (0..50).map(|n| topic(&format!("{word}{n} of x"))).collect();
        lessons.note(&many("A"), &many("B"), Deed::Split, Time::from_ms(1));
        assert_eq!(lessons.pairs().count(), MOST_TOPICS * MOST_TOPICS);
    }
}
