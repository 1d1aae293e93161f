//! What an incident was, as people and measured fixes say it. Pure.

use crate::learn::lesson::{Lesson, Taught, is_false_alarm};
use crate::model::classify::Question;
use crate::model::{Incident, IncidentState, Time};

/// What an incident was. What nobody said is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// From when on all of this was known.
    pub known_at: Time,
    /// `real` or `noise`.
    pub real: Option<String>,
    /// The pattern that a fix confirmed, `external` or `planned`.
    pub category: Option<String>,
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
        let category = match (helped, said) {
            (Some(lesson), _) => Some(lesson.pattern.clone()),
            (None, Some(word @ ("external" | "planned"))) => Some(word.to_owned()),
            _ => None,
        };
        let ended = incident.resolved_at.unwrap_or(incident.updated_at).max(incident.updated_at);
        let label = Self {
            known_at: helped.map_or(ended, |l| l.at.max(ended)),
            real: real.map(ToOwned::to_owned),
            category: category.filter(|c| !c.is_empty()),
            fix: helped.and_then(|l| l.actions.first().cloned()),
        };
        (label.real.is_some() || label.category.is_some()).then_some(label)
    }

    /// What it answers to a question.
    #[must_use]
    pub fn answer(&self, question: Question) -> Option<&str> {
        match question {
            Question::Real => self.real.as_deref(),
            Question::Category => self.category.as_deref(),
            Question::Fix => self.fix.as_deref(),
        }
    }
}
