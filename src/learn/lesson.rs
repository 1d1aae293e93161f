//! One lesson: what a measured run or a false alarm taught. Pure.

use serde::{Deserialize, Serialize};

use crate::model::action::Effect;
use crate::model::{
    EntityRef, Incident, IncidentId, IncidentState, Proposal, ProposalState, Run, RunId, Time,
};
use crate::store::{Index, Record};

/// The category that the button "Not an incident" gives an incident.
const FALSE_ALARM: &str = "not_an_incident";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taught {
    /// The run helped.
    Helped,
    /// The signal did not move beyond its noise.
    NoChange,
    /// The signal moved further away.
    Worse,
    /// A person said that the incident was none: what was offered was not needed.
    FalseAlarm,
}

/// One lesson.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// Derived from the run or the incident.
    pub key: String,
    /// When it was learned (event time).
    pub at: Time,
    /// Pattern of the hypothesis that was acted on.
    pub pattern: String,
    /// What the hypothesis was about.
    pub entity: EntityRef,
    /// Actions it speaks of, as `runbook/action`: the one that ran, or all that were offered.
    pub actions: Vec<String>,
    /// From which incident.
    pub incident: IncidentId,
    /// From which run.
    pub run: Option<RunId>,
    /// What happened.
    pub taught: Taught,
    /// Values that the run was given, by which it is told whether it put a change back; `None` where
    /// nothing ran, or before they were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Vec<String>>,
}

impl Record for Lesson {
    const KIND: &'static str = "lesson";

    fn key(&self) -> String {
        self.key.clone()
    }

    fn index(&self) -> Index {
        Index {
            at: self.at,
            state: if self.taught == Taught::FalseAlarm { "false_alarm" } else { "run" }.into(),
            parent: self.incident.to_string(),
            subject: self.pattern.clone(),
        }
    }
}

/// What a run teaches, once it was measured. Undoing a run teaches nothing about causes, and
/// neither does a dry run or a run that could not be measured; nor does one with parameters of a
/// person's own choice, which is another remedy than the one that its runbook offers.
#[must_use]
pub fn of_run(run: &Run, proposal: &Proposal) -> Option<Lesson> {
    let outcome = run.outcome.as_ref().filter(|_| !run.dry_run)?;
    let taught = match outcome.effect {
        Effect::Helped => Taught::Helped,
        Effect::NoChange => Taught::NoChange,
        Effect::Worse => Taught::Worse,
        Effect::Unmeasured => return None,
    };
    let offered = proposal.rollback_of.is_none() && proposal.edited_by.is_empty();
    offered.then(|| Lesson {
        key: run.id.to_string(),
        at: outcome.at,
        pattern: proposal.pattern.clone(),
        entity: run.target.clone(),
        actions: vec![run.action.clone()],
        incident: run.incident,
        run: Some(run.id),
        taught,
        given: Some(proposal.plan.parameters.values().cloned().collect()),
    })
}

/// Whether a person said that the incident was none.
#[must_use]
pub fn is_false_alarm(incident: &Incident) -> bool {
    matches!(incident.state, IncidentState::Resolved | IncidentState::Reviewed)
        && incident.category.as_deref() == Some(FALSE_ALARM)
}

/// What an incident teaches that a person called a false alarm. `proposals` are those of the
/// incident; what was run has its own lesson and is left out. `None` for any other incident.
#[must_use]
pub fn of_incident(
    incident: &Incident,
    cause: Option<(&str, &EntityRef)>,
    proposals: &[Proposal],
) -> Option<Lesson> {
    if !is_false_alarm(incident) {
        return None;
    }
    let (pattern, entity) = cause?;
    let mut actions: Vec<String> = proposals
        .iter()
        .filter(|p| p.run.is_none() && p.rollback_of.is_none())
        .filter(|p| p.state != ProposalState::Superseded)
        .map(|p| format!("{}/{}", p.plan.runbook, p.plan.action))
        .collect();
    actions.sort();
    actions.dedup();
    Some(Lesson {
        key: incident.id.to_string(),
        at: incident.resolved_at.unwrap_or(incident.updated_at),
        pattern: pattern.to_owned(),
        entity: entity.clone(),
        actions,
        incident: incident.id,
        run: None,
        taught: Taught::FalseAlarm,
        given: None,
    })
}
