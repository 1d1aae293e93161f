//! Alerts handled as one, with state, timeline and owner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::alert::Suppression;
use super::{Actor, AlertId, EntityRef, EntryId, IncidentId, Priority, Severity, Taxonomy, Time};

/// Where an incident stands.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum IncidentState {
    /// Nobody has taken it.
    Open,
    /// Somebody looks at it.
    Acknowledged,
    /// A fix is under way.
    Mitigating,
    /// The fix is in, the signal is watched; or all alerts ended and the quiet time runs.
    Monitoring,
    /// It is over.
    Resolved,
    /// It was looked back at.
    Reviewed,
    /// It became part of another.
    Merged,
}

impl IncidentState {
    /// Those in which people still work on it, as [`Self::is_active`] says.
    pub const ACTIVE: [Self; 4] =
        [Self::Open, Self::Acknowledged, Self::Mitigating, Self::Monitoring];
    /// All others.
    pub const OVER: [Self; 3] = [Self::Resolved, Self::Reviewed, Self::Merged];

    /// The states that may follow, with `Open` from `Resolved` being a reopening.
    #[must_use]
    pub fn next(self) -> &'static [Self] {
        use IncidentState::{
            Acknowledged, Merged, Mitigating, Monitoring, Open, Resolved, Reviewed,
        };
        match self {
            Open => &[Acknowledged, Mitigating, Monitoring, Resolved, Merged],
            Acknowledged => &[Mitigating, Monitoring, Resolved, Merged],
            Mitigating => &[Open, Acknowledged, Monitoring, Resolved, Merged],
            Monitoring => &[Open, Acknowledged, Mitigating, Resolved, Merged],
            Resolved => &[Open, Reviewed, Merged],
            Reviewed => &[Open],
            Merged => &[],
        }
    }

    /// Whether people still work on it.
    #[must_use]
    pub fn is_active(self) -> bool {
        Self::ACTIVE.contains(&self)
    }

    /// The word as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Mitigating => "mitigating",
            Self::Monitoring => "monitoring",
            Self::Resolved => "resolved",
            Self::Reviewed => "reviewed",
            Self::Merged => "merged",
        }
    }
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// Derived from its first alert.
    pub id: IncidentId,
    /// A short number for speech, counted up from 1: `#12`.
    pub number: u64,
    /// One line of what users feel: `checkout p99 4.2 s, was 310 ms`.
    pub title: String,
    /// Where it stands.
    pub state: IncidentState,
    /// The greatest severity of its alerts.
    pub severity: Severity,
    /// Earliest start of its alerts.
    pub onset_at: Time,
    /// When it was opened (event time).
    pub opened_at: Time,
    /// Newest change to it.
    pub updated_at: Time,
    /// When somebody took it.
    pub acknowledged_at: Option<Time>,
    /// When its last alert ended; cleared when one fires again.
    pub quiet_since: Option<Time>,
    /// When it ended.
    pub resolved_at: Option<Time>,
    /// Who has it.
    pub owner: Option<Actor>,
    /// Entities with alerts, leading one first.
    pub entities: Vec<EntityRef>,
    /// Its alerts' ids, in order of joining.
    pub alerts: Vec<AlertId>,
    /// Reports folded into those alerts (repeats and other witnesses included).
    pub n_reports: u64,
    /// Conditions that its alerts tell: what several systems say of one counts once.
    #[serde(default)]
    pub n_conditions: u64,
    /// The alert that best says what users feel.
    pub leading: Option<AlertId>,
    /// The incident that it became part of.
    pub merged_into: Option<IncidentId>,
    /// Category given at its end: `fixed`, `not_an_incident`, `recovered`,
    /// `not_seen_to_recover` (its signals fell silent or their entity was removed), …
    pub category: Option<String>,
    /// The person who ended it; `None` when it ended by itself, or is not over.
    #[serde(default)]
    pub closed_by: Option<Actor>,
    /// The person who opened it by hand; `None` when an alert did. Their title stays.
    #[serde(default)]
    pub declared_by: Option<Actor>,
    /// How often it was reopened.
    pub n_reopened: u32,
    /// When it was last reopened: quiet time counts from then.
    #[serde(default)]
    pub reopened_at: Option<Time>,
    /// How much it matters, with the parts that say so; `None` before an alert is in it.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// Of what kind it is; `None` before an alert is in it.
    #[serde(default)]
    pub taxonomy: Option<Taxonomy>,
    /// What keeps it from being told in chats, while something does.
    #[serde(default)]
    pub untold: Option<Suppression>,
}

/// What a timeline entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Opened, reopened, merged, split, moved to another state.
    State,
    /// An alert joined, ended or fired again.
    Alert,
    /// A change that may matter.
    Change,
    /// The ranking was made or revised.
    Diagnosis,
    /// An action was proposed, decided, expired.
    Proposal,
    /// An action ran.
    Run,
    /// A run was verified.
    Verification,
    /// A person wrote something.
    Note,
    /// A question was asked and answered.
    Answer,
    /// A business or cost series followed a technical one.
    Impact,
}

/// One line of an incident's story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    /// Derived from its content, so that a handler that runs twice writes it once.
    pub id: EntryId,
    /// Whose story.
    pub incident: IncidentId,
    /// When it happened (event time).
    pub at: Time,
    /// What about.
    pub kind: EntryKind,
    /// One or two sentences with figures.
    pub text: String,
    /// Who did it.
    pub actor: Actor,
    /// Id of what it is about (alert, change, proposal, run, …).
    pub subject: Option<String>,
}

impl TimelineEntry {
    /// An entry by the bot; the same content at the same time is the same entry.
    #[must_use]
    pub fn by_bot(
        incident: IncidentId,
        at: Time,
        kind: EntryKind,
        text: impl Into<String>,
        subject: Option<String>,
    ) -> Self {
        Self::by(Actor::nightjar(), incident, at, kind, text, subject)
    }

    /// An entry by somebody.
    #[must_use]
    pub fn by(
        actor: Actor,
        incident: IncidentId,
        at: Time,
        kind: EntryKind,
        text: impl Into<String>,
        subject: Option<String>,
    ) -> Self {
        let text = text.into();
        let id = EntryId::derive(
            at,
            &[&incident.to_string(), &text, &actor.id, subject.as_deref().unwrap_or("")],
        );
        Self { id, incident, at, kind, text, actor, subject }
    }
}
