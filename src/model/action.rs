//! From what could be done to what was done: plan, proposal, decision, run, outcome.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::id::hex;
use super::{Actor, EntityRef, IncidentId, ProposalId, Role, RunId, SeriesId, Time};

/// How much harm an action can do.
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
pub enum Risk {
    /// Easily undone, no users affected.
    Low,
    /// Some users notice, or undoing takes minutes.
    Medium,
    /// Many users notice, or it can't be undone.
    High,
}

/// What an executor is told to do, with templates already filled in. No floats: the canonical
/// encoding must be the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "executor", rename_all = "snake_case")]
pub enum Step {
    /// Says what it would do and does nothing.
    DryRun {
        /// What would be done.
        text: String,
    },
    /// One HTTP request to an allow-listed host.
    Http {
        /// `POST`, `PUT`, `PATCH` or `DELETE`.
        method: String,
        /// The whole address.
        url: String,
        /// Headers; secrets stand as `${name}` and are filled in by the executor.
        headers: BTreeMap<String, String>,
        /// The body.
        body: Option<String>,
        /// Seconds to wait for the answer.
        timeout_s: u32,
    },
    /// One allow-listed program, without a shell.
    Command {
        /// The program's path.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// Seconds to wait for its end.
        timeout_s: u32,
    },
}

/// How it is told whether a run helped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verify {
    /// The series measured again: that of the alert that leads the incident, unless the runbook names another.
    pub series: Option<SeriesId>,
    /// How long after the run to measure, in seconds of event time.
    pub after_s: u32,
    /// Over how long a window to measure, in seconds of event time.
    pub window_s: u32,
}

/// Everything that an approval covers. A change to any of it makes another digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Version of the canonical encoding.
    pub version: u16,
    /// The runbook that offers it.
    pub runbook: String,
    /// The action in the runbook.
    pub action: String,
    /// What it acts on.
    pub target: EntityRef,
    /// Parameters as approved.
    pub parameters: BTreeMap<String, String>,
    /// State of the target as it was observed when the plan was made, such as `version=4.7.2`.
    pub observed: BTreeMap<String, String>,
    /// What will be done, in order; the first that is not done ends the run.
    pub steps: Vec<Step>,
    /// How the effect is measured.
    pub verify: Verify,
}

impl Plan {
    /// The canonical bytes: JSON with keys in order and no white space (all maps are ordered,
    /// struct fields keep their order of declaration), preceded by the encoding's version.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = format!("nightjar-plan-{}\n", self.version).into_bytes();
        serde_json::to_writer(&mut bytes, self)
            .expect("a plan has only strings, integers and ordered maps");
        bytes
    }

    /// SHA-256 of the canonical bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(hex(&Sha256::digest(self.canonical())))
    }
}

/// SHA-256 of a plan, as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The first 16 digits (64 bits), enough for a button to carry.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }

    /// Whether `given` is this digest, whole or its first 16 digits and more.
    #[must_use]
    pub fn accepts(&self, given: &str) -> bool {
        given.len() >= 16 && self.0.starts_with(given)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// Waits for a decision (or for the second of two).
    Open,
    /// Approved for later.
    Scheduled,
    /// Approved; waits to be claimed by the one run.
    Approved,
    /// Claimed by a run.
    Claimed,
    /// Its run has ended.
    Finished,
    /// A person said no.
    Ignored,
    /// Nobody decided in time.
    Expired,
    /// Another one took its place, or its target is no longer as it was.
    Superseded,
    /// Approved, but a check at its run refused it: halt, cooldown, another run, a time gone by.
    Refused,
}

impl ProposalState {
    /// The word as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Scheduled => "scheduled",
            Self::Approved => "approved",
            Self::Claimed => "claimed",
            Self::Finished => "finished",
            Self::Ignored => "ignored",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
        }
    }
}

/// What a proposal needs before it may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Requirement {
    /// The least role of whoever decides.
    pub role: Role,
    /// How many different people must approve.
    pub n_approvals: u8,
    /// Whoever requested it, edited it or authored the change may not approve it.
    pub no_self_approval: bool,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// Who.
    pub actor: Actor,
    /// What.
    pub verdict: Verdict,
    /// The digest they saw.
    pub digest: Digest,
    /// Why, in their words.
    pub reason: String,
    /// When (wall clock).
    pub at: Time,
}

/// Yes, later, or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Do it.
    Approve,
    /// Do it at that time (event time).
    Schedule {
        /// When.
        at: Time,
    },
    /// Don't.
    Ignore,
}

/// An action offered with a digest and an expiry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proposal {
    /// Its id.
    pub id: ProposalId,
    /// For which incident.
    pub incident: IncidentId,
    /// What exactly.
    pub plan: Plan,
    /// Digest of `plan`.
    pub digest: Digest,
    /// One line: `Set orders' worker concurrency back to 16`.
    pub title: String,
    /// Why it is offered, with evidence and past outcomes in figures.
    pub why: String,
    /// How much harm it can do.
    pub risk: Risk,
    /// What should happen to the signal.
    pub expected_effect: String,
    /// The exact action in words for the form: request or command line.
    pub exact: String,
    /// Expected chance that it helps (posterior mean), 0 to 1.
    pub chance: f64,
    /// When it was offered (event time).
    pub created_at: Time,
    /// When it stops being decidable (event time).
    pub expires_at: Time,
    /// What it needs.
    pub requires: Requirement,
    /// Who asked for it; the bot where nobody did.
    pub requested_by: Actor,
    /// Who edited its parameters.
    pub edited_by: Vec<Actor>,
    /// Who authored the change that it undoes, as the change names them.
    pub change_author: Option<String>,
    /// Where it stands.
    pub state: ProposalState,
    /// What people decided, in order.
    pub decisions: Vec<Decision>,
    /// When an approved one is to run (event time).
    pub scheduled_for: Option<Time>,
    /// The run that it would undo.
    pub rollback_of: Option<RunId>,
    /// The run that claimed it.
    pub run: Option<RunId>,
    /// Pattern of the hypothesis that it is offered for, such as `saturation`: what its run
    /// teaches is kept under it.
    #[serde(default)]
    pub pattern: String,
    /// How this action went before, in words: `Helped 3 of 4 times here.`
    #[serde(default)]
    pub past: String,
    /// What orders the suggestions of one incident, greatest first: `chance` times how strongly
    /// its runbook matches.
    #[serde(default)]
    pub worth: f64,
    /// Why it is over without a run, where it is.
    #[serde(default)]
    pub ended: Option<String>,
}

/// How [`Proposal::past`] begins when the action has never been measured here.
pub const UNTRIED: &str = "Not tried here before.";

impl Proposal {
    /// How likely it is to help, in words, where it was tried: before that the number would be
    /// the prior and back nothing.
    #[must_use]
    pub fn chance_text(&self) -> Option<String> {
        let known = self.rollback_of.is_none() && !self.past.starts_with(UNTRIED);
        known.then(|| format!("Expected chance to help {:.0} %.", self.chance * 100.0))
    }

    /// The order in which suggestions are shown: greatest worth first, then the older, then by id.
    #[must_use]
    pub fn shown_before(&self, other: &Self) -> std::cmp::Ordering {
        other
            .worth
            .total_cmp(&self.worth)
            .then_with(|| (self.created_at, self.id).cmp(&(other.created_at, other.id)))
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Claimed, not yet recorded as ended.
    Running,
    /// The executor says it is done.
    Done,
    /// It certainly did not reach the target.
    NotSent,
    /// Nobody knows; it is never repeated by itself.
    Unknown,
}

/// One execution of an approved action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Derived from the proposal: it is also the idempotency key that the target is sent.
    pub id: RunId,
    /// Which proposal.
    pub proposal: ProposalId,
    /// Which incident.
    pub incident: IncidentId,
    /// Runbook and action, as `runbook/action`.
    pub action: String,
    /// What it acted on.
    pub target: EntityRef,
    /// Where it stands.
    pub state: RunState,
    /// Nothing was really sent.
    pub dry_run: bool,
    /// When it was claimed (event time).
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// What the executor said, step by step, redacted.
    pub output: Vec<String>,
    /// Who approved.
    pub approved_by: Vec<Actor>,
    /// When its effect is to be measured (event time); cleared when it was.
    pub verify_at: Option<Time>,
    /// What the measurement said.
    pub outcome: Option<Outcome>,
}

/// Whether it helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The signal went back towards what was expected.
    Helped,
    /// It did not move beyond its noise.
    NoChange,
    /// It moved further away.
    Worse,
    /// There was too little to measure.
    Unmeasured,
}

/// What the re-measured signal said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Whether it helped.
    pub effect: Effect,
    /// The signal, in words.
    pub signal: String,
    /// Level during the incident before the run.
    pub before: Option<f64>,
    /// Level after.
    pub after: Option<f64>,
    /// Level expected by the baseline.
    pub expected: Option<f64>,
    /// One sentence with the figures.
    pub text: String,
    /// When it was measured.
    pub at: Time,
}
