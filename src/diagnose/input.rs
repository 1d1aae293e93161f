//! What the ranking looks at, and what it gives.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::Demands;
use super::calls::CallsByEdge;
use super::lines::Cut;
use super::weighed::Standings;
use crate::learn::Causes;
use crate::model::{
    Alert, Change, ChangeId, ChangeKind, EntityRef, EvidenceId, Graph, Hypothesis, Incident,
    IncidentId, Time,
};

/// When an entity's trouble began, as its own series say.
pub type Onset = BTreeMap<EntityRef, Time>;

/// What the ranking looks at.
#[derive(Clone, Debug)]
pub struct Input {
    /// The incident.
    pub incident: Incident,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// The service graph.
    pub graph: Graph,
    /// Changes of the last hours, any entity.
    pub changes: Vec<Change>,
    /// Onset by entity, better than the alerts' start where the series tell.
    pub onsets: Onset,
    /// Log templates that are new or burst, by entity, most telling first.
    pub logs: BTreeMap<EntityRef, Vec<LogSign>>,
    /// What became of calls along the edges of the graph, where spans tell.
    pub calls: CallsByEdge,
    /// What the telemetry around the onset says of each entity.
    pub weighed: Standings,
    /// What the entities' request rates did at the onset.
    pub demands: Demands,
    /// What separates bad requests of an entity from good ones, the surest first.
    pub separates: BTreeMap<EntityRef, Vec<Separation>>,
    /// Earlier incidents that look alike, most alike first.
    pub similar: Vec<Past>,
    /// How often which kind of change was the cause before.
    pub causes: Causes,
    /// Entities of which any signal is stored.
    pub measured: BTreeSet<EntityRef>,
    /// Whether this is a first look: the others who are in trouble, and what is measured of it, are on
    /// their way.
    pub early: bool,
    /// Where it is shown.
    pub proofs: Proofs,
}

/// A log template that is new or bursts around the onset.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSign {
    /// The template, with `<*>` for what varies.
    pub template: String,
    /// Lines since the onset.
    pub n: u64,
    /// Lines in as long a time before.
    pub n_before: u64,
    /// Its first line since the onset, of those that were read.
    pub first_at: Time,
    /// Counted until then.
    pub until: Time,
    /// Whether there are more lines than were read.
    pub cut: Cut,
    /// Whether it is an error, not a warning.
    pub is_error: bool,
    /// The evidence that holds it.
    pub evidence: EvidenceId,
}

/// An attribute's value with which requests of a service are bad far more often than without.
#[derive(Clone, Debug, PartialEq)]
pub struct Separation {
    /// Which attribute, as OpenTelemetry names it.
    pub attribute: String,
    /// Its value.
    pub value: String,
    /// How many times as often they are bad, at the lower bound.
    pub at_least: f64,
    /// The same with its figures.
    pub said: String,
    /// The evidence that holds it.
    pub evidence: EvidenceId,
}

/// An earlier incident with what is known of its cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Which.
    pub incident: IncidentId,
    /// Its number.
    pub number: u64,
    /// Likeness, 0 to 1.
    pub similarity: f64,
    /// Where its cause was.
    pub entity: EntityRef,
    /// The pattern of its cause.
    pub pattern: String,
    /// What fixed it; a cause that was proven so counts more.
    pub fixed_by: Option<String>,
    /// The evidence that holds it.
    pub evidence: EvidenceId,
}

/// Ids of the evidence behind what the ranking looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proofs {
    /// Of an entity's signals.
    pub signals: BTreeMap<EntityRef, Vec<EvidenceId>>,
    /// Of changes.
    pub changes: BTreeMap<ChangeId, EvidenceId>,
    /// Of what earlier incidents say of a kind of change.
    pub kinds: BTreeMap<ChangeKind, EvidenceId>,
    /// Of calls along an edge, by caller and callee.
    pub edges: BTreeMap<(EntityRef, EntityRef), EvidenceId>,
}

/// The ranked hypotheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Most likely first.
    pub hypotheses: Vec<Hypothesis>,
    /// Whether the first stands out.
    pub conclusive: bool,
    /// Changes that may matter, nearest to the onset first.
    pub changes: Vec<Change>,
}
