//! What an incident was, as people and measured fixes say it. Pure.

use crate::learn::lesson::{Lesson, Taught, is_false_alarm};
use crate::model::classify::Question;
use crate::model::priority::{TRIGGERS, UNKNOWN};
use crate::model::{Incident, IncidentState, Time};

/// What an incident was. What nobody said is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// From when on all of this was known.
    pub known_at: Time,
    /// `real` or `noise`.
    pub real: Option<String>,
    /// What set it off, one of [`TRIGGERS`]: as a fix confirmed it, `external` or `planned`.
    pub trigger: Option<String>,
    /// The action that helped, as `runbook/action`.
    pub fix: Option<String>,
}

impl Label {
    /// What is said of an incident that is over; `lessons` are its own. An incident that ended by
    /// itself, and of which nobody said anything, teaches nothing.
    #[must_use]
    pub fn of(incident: &Incident, lessons: &[Lesson]) -> Option<Self> {
        if !matches!(incident.state, IncidentState::Resolved | IncidentState::Reviewed) {
            return None;
        }
        let helped = lessons.iter().filter(|l| l.taught == Taught::Helped).max_by_key(|l| l.at);
        let said = incident.category.as_deref().filter(|_| incident.closed_by.is_some());
        let real = if is_false_alarm(incident) {
            Some("noise")
        } else if helped.is_some() || matches!(said, Some("fixed" | "external")) {
            Some("real")
        } else {
            None
        };
        let trigger = match (helped, said) {
            (Some(lesson), _) => Some(trigger(&lesson.pattern, incident)),
            (None, Some(word @ ("external" | "planned"))) => Some(word),
            _ => None,
        };
        let known = |word: &&str| *word != UNKNOWN && TRIGGERS.contains(word);
        let ended = incident.resolved_at.unwrap_or(incident.updated_at).max(incident.updated_at);
        let label = Self {
            known_at: helped.map_or(ended, |l| l.at.max(ended)),
            real: real.map(ToOwned::to_owned),
            trigger: trigger.filter(known).map(ToOwned::to_owned),
            fix: helped.and_then(|l| l.actions.first().cloned()),
        };
        (label.real.is_some() || label.trigger.is_some()).then_some(label)
    }

    /// What it answers to a question.
    #[must_use]
    pub fn answer(&self, question: Question) -> Option<&str> {
        match question {
            Question::Real => self.real.as_deref(),
            Question::Trigger => self.trigger.as_deref(),
            Question::Fix => self.fix.as_deref(),
        }
    }
}

/// The word of the rules for a pattern that a fix confirmed. Diagnosis calls every change that is no
/// deploy a change; where the rules know of which kind it was, theirs is the better word.
fn trigger<'a>(pattern: &'a str, incident: &'a Incident) -> &'a str {
    const KINDS: [&str; 5] = ["config", "scale", "flag", "migration", "schema"];
    let rules = incident.taxonomy.as_ref().map(|kind| kind.trigger.as_str());
    match (pattern, rules) {
        ("change", Some(kind)) if KINDS.contains(&kind) => kind,
        _ => pattern,
    }
}
