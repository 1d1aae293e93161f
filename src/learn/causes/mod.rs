//! Which kinds of change were the cause of earlier incidents. Pure but for the reading (`kept`).
//!
//! An incident counts once its cause is confirmed: a measured fix helped, which was offered for a
//! hypothesis and, for a change to be the cause, went by that change, or a person said at its end that
//! the cause was outside ([`confirmed`]). What people
//! called no incident counts nowhere, and what a provider reports is no change made here. Of each
//! kind of change it is counted in how many of those one was made near the onset, whatever was
//! changed, and in how many of these it was the cause.
//!
//! Kinds are few and incidents with a confirmed cause fewer, so the share of each kind is drawn
//! towards that of all kinds together: with `n` incidents, `c` of them caused by it, and the pooled
//! share `p`, its mean is (s·p + c) / (s + n), that of Beta(s·p + c, s·(1 − p) + n − c) (the
//! beta-binomial model of Gelman et al., *Bayesian Data Analysis*, 3rd ed., chapter 5, with the
//! prior's mean taken from the data and its strength `s` fixed). What it says for or against a kind
//! is how far the log odds of that lie from those of the pooled share. The ranking was measured
//! without any such history, so nothing is said of a kind before it has been seen five times.

mod kept;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use kept::KeptCauses;

use super::lesson::{Lesson, is_false_alarm};
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Change, ChangeKind, Diagnosis, Hypothesis, Incident, IncidentState, Time};

/// Incidents with a confirmed cause and a change of a kind near their onset before that kind is
/// judged at all.
const LEAST: u32 = 5;
/// Strength `s` of the prior, in incidents.
const STRENGTH: f64 = 10.0;
/// A change is near the onset from so long before it until so long after it (ms; clocks differ).
const NEAR_MS: (i64, i64) = (2 * HOUR_MS, MINUTE_MS);
/// What a change must have brought its hypothesis to count as confirmed with it: half of what it
/// brings right before the onset. A fix of what else the hypothesis rests on does not prove it.
const CARRIES: f64 = 1.1;
/// Incidents that are named, the newest.
const NAMED: usize = 5;

/// What is confirmed of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Its number.
    pub number: u64,
    /// Its onset (event time).
    pub onset_at: Time,
    /// Kinds of the changes near its onset, without those of which it is unclear whether they were
    /// its cause.
    pub near: BTreeSet<ChangeKind>,
    /// The kind of the change that was its cause, where one was; it is among `near`.
    pub cause: Option<ChangeKind>,
}

/// What is confirmed of an incident that is over; `helped` is the newest lesson of a run in it that
/// helped. `None`: it is not over, people called it none, or nobody and nothing told its cause.
#[must_use]
pub fn confirmed(
    incident: &Incident,
    helped: Option<&Lesson>,
    diagnosis: &Diagnosis,
) -> Option<Confirmed> {
    let over = matches!(incident.state, IncidentState::Resolved | IncidentState::Reviewed);
    if !over || is_false_alarm(incident) {
        return None;
    }
    let is_near = |c: &&Change| {
        c.kind.is_ours() && (-NEAR_MS.1..=NEAR_MS.0).contains(&incident.onset_at.ms_since(c.at))
    };
    let near = diagnosis.changes.iter().filter(is_near).map(|c| c.kind).collect();
    let (number, onset_at) = (incident.number, incident.onset_at);
    let mut found = Confirmed { number, onset_at, near, cause: None };
    // A person's word counts before what a run seemed to do.
    if is_external(incident) {
        return Some(found);
    }
    let lesson = helped?;
    let mut fits: Vec<&Hypothesis> =
        diagnosis.hypotheses.iter().filter(|h| h.pattern == lesson.pattern).collect();
    // What was acted on is as a rule, and not always, where the fault was.
    fits.sort_by_key(|h| h.entity != lesson.entity);
    let cause = fits.first()?;
    if let Some(id) = cause.change {
        let change = diagnosis.changes.iter().find(|c| c.id == id)?;
        let carried = cause.parts.iter().filter(|p| p.name == "change").map(|p| p.contribution);
        if !change.kind.is_ours() {
            // Outside: none of what was changed here.
        } else if carried.sum::<f64>() >= CARRIES && undoes(lesson, change) {
            found.near.insert(change.kind);
            found.cause = Some(change.kind);
        } else {
            found.near.remove(&change.kind);
        }
    }
    Some(found)
}

/// Whether what helped went by the change: it was given a value that the change names, such as the
/// version before. A restart helps against much that no change brought; a roll-back that is given
/// nothing looks like one, and says nothing. Unknown of runs before their values were kept, which
/// count as they did.
fn undoes(lesson: &Lesson, change: &Change) -> bool {
    let Some(given) = &lesson.given else { return true };
    let services: Vec<&str> = change.names().collect();
    let attributes = change.attributes.iter().map(|(_, value)| value);
    let attributes = attributes.filter(|value| !services.contains(value));
    let mut named = change.previous.as_deref().into_iter().chain(attributes);
    named.any(|value| !value.is_empty() && given.iter().any(|g| g == value))
}

/// Whether a person said that its cause was outside.
fn is_external(incident: &Incident) -> bool {
    incident.closed_by.is_some() && incident.category.as_deref() == Some("external")
}

/// What is known of one kind of change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Incidents with a confirmed cause and a change of the kind near their onset.
    pub near: u32,
    /// Those of which such a change was the cause.
    pub cause: u32,
    /// Numbers of the newest of these.
    pub numbers: BTreeSet<u64>,
}

/// How often which kind of change was the cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes {
    kinds: BTreeMap<ChangeKind, Tally>,
    since: Option<Time>,
}

impl Causes {
    /// Counts incidents; their order does not matter.
    #[must_use]
    pub fn of<'a>(all: impl IntoIterator<Item = &'a Confirmed>) -> Self {
        let mut causes = Self::default();
        for one in all {
            for kind in &one.near {
                let tally = causes.kinds.entry(*kind).or_default();
                tally.near += 1;
                if one.cause == Some(*kind) {
                    tally.cause += 1;
                    tally.numbers.insert(one.number);
                    if tally.numbers.len() > NAMED {
                        tally.numbers.pop_first();
                    }
                }
            }
            causes.since = Some(causes.since.map_or(one.onset_at, |t| t.min(one.onset_at)));
        }
        causes
    }

    /// What is known of a kind.
    #[must_use]
    pub fn tally(&self, kind: ChangeKind) -> Option<&Tally> {
        self.kinds.get(&kind)
    }

    /// `near` and `cause` of all kinds together.
    #[must_use]
    pub fn all(&self) -> (u32, u32) {
        self.kinds.values().fold((0, 0), |(near, cause), t| (near + t.near, cause + t.cause))
    }

    /// The oldest onset that counts.
    #[must_use]
    pub fn since(&self) -> Option<Time> {
        self.since
    }

    /// How far the log odds (natural logarithm) that a change of a kind is the cause lie from those
    /// of all kinds together. Exactly 0 while the kind has been seen less than five times, and
    /// where all kinds are alike because all changes were the cause or none was.
    #[must_use]
    pub fn log_odds(&self, kind: ChangeKind) -> f64 {
        let Some(tally) = self.tally(kind).filter(|t| t.near >= LEAST) else { return 0.0 };
        let (near, cause) = self.all();
        if cause == 0 || cause == near {
            return 0.0;
        }
        let pooled = f64::from(cause) / f64::from(near);
        let mean =
            (STRENGTH * pooled + f64::from(tally.cause)) / (STRENGTH + f64::from(tally.near));
        let logit = |share: f64| (share / (1.0 - share)).ln();
        logit(mean) - logit(pooled)
    }
}
