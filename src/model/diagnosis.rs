//! Why it happened, as far as evidence goes: changes, evidence, gaps, hypotheses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::follower::{Expected, FollowBasis, FollowLag, Follower, LagBasis};
pub use super::past::{LikenessPart, Tried};
use super::time::{HOUR_MS, MINUTE_MS};
use super::{
    Band, ChangeId, EntityRef, EvidenceId, HypothesisId, IncidentId, Labels, LogLine, Point,
    Series, Time,
};

/// What kind of change.
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
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// New code.
    Deploy,
    /// Configuration.
    Config,
    /// Firewall or network policy.
    NetworkPolicy,
    /// Number or size of instances.
    Scale,
    /// Feature flag.
    Flag,
    /// Data migration.
    Migration,
    /// Database schema.
    Schema,
    /// What a cloud or SaaS provider reports of itself: nobody here made it, and nobody here can take
    /// it back.
    Provider,
    /// Anything else.
    Other,
}

impl ChangeKind {
    /// Whether it was made here, so that there is something to take back.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        !matches!(self, Self::Provider)
    }

    /// How long (ms) after what it caused it may be noted and still be its cause. What was made here
    /// is noted when it is made, up to clocks that differ. Providers report late: people confirm and
    /// word it first, which takes them a quarter of an hour to the better part of one. That a report on
    /// the very thing whose callers fail comes within the hour by chance is rare.
    #[must_use]
    pub const fn late_ms(self) -> i64 {
        match self {
            Self::Provider => HOUR_MS,
            _ => MINUTE_MS,
        }
    }
}

/// Something that people or machines changed, or a provider reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Derived from source, entity, time and title.
    pub id: ChangeId,
    /// What kind.
    pub kind: ChangeKind,
    /// What was changed.
    pub entity: EntityRef,
    /// When it took effect (event time).
    pub at: Time,
    /// One line: `deploy 4.7.2: raise worker concurrency`.
    pub title: String,
    /// Version after.
    pub version: Option<String>,
    /// Version before.
    pub previous: Option<String>,
    /// Who authored it, as the source names them.
    pub author: Option<String>,
    /// Link to it.
    pub url: Option<String>,
    /// Which front door: `github`, `webhook`.
    pub source: String,
    /// `pending`, `success`, `failure`, … as the source says.
    pub status: String,
    /// Other attributes.
    pub attributes: Labels,
    /// What was turned into what: `key: old → new` by path, `- ` and `+ ` lines otherwise. Secrets
    /// are masked, and what was cut is said last; empty where the source did not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<String>,
}

/// Attributes of a change that name services beside what was changed.
const NAMING: [&str; 7] = ["service", "app", "from", "to", "source", "target", "destination"];

impl Change {
    /// Attribute of a provider's event that is over: when it ended, or was said to have.
    pub const ENDED_AT: &'static str = "ended_at";

    /// When a provider's event ended, as far as told.
    #[must_use]
    pub fn ended_at(&self) -> Option<Time> {
        let told = self.attributes.get(Self::ENDED_AT).filter(|_| !self.kind.is_ours());
        told.and_then(|at| Time::parse(at).ok())
    }

    /// Names that its attributes give of services: those that it concerns beside its entity.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = NAMING.iter().filter_map(|name| self.attributes.get(name));
        names.filter(|name| !name.is_empty())
    }

    /// Where, and what was made there or is reported of it.
    #[must_use]
    pub fn line(&self) -> String {
        let (name, title) = (self.entity.name(), &self.title);
        match self.kind {
            ChangeKind::Provider => format!("{name}: its provider reports \"{title}\""),
            _ => format!("{name}: {title}"),
        }
    }
}

/// What kind of evidence, and its stored result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// A series around the onset, with its band.
    Metric {
        /// Which series.
        series: Series,
        /// Its points.
        points: Vec<Point>,
        /// Expected band at the newest point.
        expected: Option<Band>,
        /// What was expected along the range, for charts: thinned, oldest first; empty where the
        /// series is too young.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        bands: Vec<(Time, Band)>,
        /// Robust level before the onset.
        before: f64,
        /// Robust level after.
        after: f64,
        /// When it departed.
        onset: Option<Time>,
    },
    /// Log lines or one template's lines.
    Logs {
        /// The template.
        template: String,
        /// Lines in the window.
        n: u64,
        /// Lines in an equally long window before.
        n_before: u64,
        /// A few of them.
        examples: Vec<LogLine>,
    },
    /// One edge of the service graph, from spans.
    Edge {
        /// Caller.
        from: EntityRef,
        /// Callee.
        to: EntityRef,
        /// Calls in the window.
        n: u64,
        /// Failed ones.
        n_failed: u64,
        /// Mean duration in ms.
        mean_ms: f64,
        /// Calls in a window right before the onset.
        n_before: u64,
        /// Failed ones before.
        n_failed_before: u64,
        /// Mean duration before in ms.
        mean_before_ms: f64,
    },
    /// A value of an attribute that separates bad requests of a service from good ones.
    Requests {
        /// Whose requests.
        entity: EntityRef,
        /// Which attribute: `service.version`, `host.name`, `operation`, `calls`, …
        attribute: String,
        /// Which value.
        value: String,
        /// Requests with the value.
        n: u64,
        /// Bad ones of them: failed, or much slower than before.
        n_bad: u64,
        /// Requests without it.
        n_others: u64,
        /// Bad ones of these.
        n_bad_others: u64,
        /// The chance that this comes about by itself, corrected for all values tried.
        chance: f64,
        /// How many times as often those with the value are bad, at the lower bound.
        at_least: f64,
    },
    /// A change.
    Change {
        /// Which.
        change: Change,
    },
    /// An earlier incident.
    Incident {
        /// Which.
        incident: IncidentId,
        /// Its title.
        title: String,
        /// Likeness, 0 to 1.
        similarity: f64,
        /// What fixed it.
        fixed_by: Option<String>,
    },
    /// A runbook's section.
    Runbook {
        /// Its id.
        id: String,
        /// Its title.
        title: String,
        /// The passage.
        excerpt: String,
    },
    /// A fact about alerts, decisions, runs or silences.
    Record {
        /// Id of the record.
        id: String,
        /// What it says.
        text: String,
    },
}

/// A re-runnable query with its stored result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// Derived from the incident, the query and its time range.
    pub id: EvidenceId,
    /// For which incident, where for one.
    pub incident: Option<IncidentId>,
    /// When it was gathered.
    pub at: Time,
    /// One sentence with figures, which must follow from `finding`.
    pub summary: String,
    /// Where it comes from: the source's name or `store`.
    pub source: String,
    /// The query that gives it again (`PromQL`, or our own query in words).
    pub query: String,
    /// Range looked at.
    pub since: Time,
    /// End of the range.
    pub until: Time,
    /// What was found.
    pub finding: Finding,
}

/// What could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// What is missing: `prometheus main: sum by (service) …`.
    pub what: String,
    /// Why.
    pub why: String,
    /// From when.
    pub since: Option<Time>,
    /// Until when.
    pub until: Option<Time>,
}

/// One part of a hypothesis' score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScorePart {
    /// Which kind of evidence: `graph`, `onset`, `change`, `logs`, `similar`, `severity`,
    /// `telemetry`, `learned` (by the kind of its change).
    pub name: String,
    /// How much it adds.
    pub contribution: f64,
    /// Why, in one sentence with figures.
    pub why: String,
    /// Which evidence it rests on.
    pub evidence: Vec<EvidenceId>,
}

/// Every pattern that a hypothesis may have: what runbooks match and what is learned about.
pub const PATTERNS: [&str; 10] = [
    "deploy",
    "change",
    "network_policy",
    "resource_leak",
    "saturation",
    "slow_queries",
    "noisy_neighbour",
    "dependency",
    "traffic",
    "unknown",
];

/// A possible cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hypothesis {
    /// Derived from the incident, the entity and the kind.
    pub id: HypothesisId,
    /// Where the fault sits.
    pub entity: EntityRef,
    /// One of [`PATTERNS`].
    pub pattern: String,
    /// One sentence: what, where, since when.
    pub statement: String,
    /// Share of belief, 0 to 1; all of a diagnosis' hypotheses with `unknown` add up to 1.
    pub confidence: f64,
    /// What the confidence is made of.
    pub parts: Vec<ScorePart>,
    /// Evidence for it.
    pub evidence: Vec<EvidenceId>,
    /// The change it names, where it names one.
    pub change: Option<ChangeId>,
    /// From the cause up to what users feel.
    pub impact_chain: Vec<EntityRef>,
}

/// An earlier incident that looks alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Similar {
    /// Which.
    pub incident: IncidentId,
    /// Its title.
    pub title: String,
    /// Likeness, 0 to 1.
    pub similarity: f64,
    /// The action that fixed it, and how that went.
    pub fixed_by: Option<String>,
    /// When it ended.
    pub resolved_at: Option<Time>,
    /// What the likeness is made of.
    #[serde(default)]
    pub parts: Vec<LikenessPart>,
    /// Where its likely cause was.
    #[serde(default)]
    pub at: Option<EntityRef>,
    /// What was done in it and measured, in order.
    #[serde(default)]
    pub tried: Vec<Tried>,
}

/// What the ranking would say without one piece of its evidence, by ranking again without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Counterfactual {
    /// What is left out: `the change at 14:29:00 UTC (deploy 4.7.2)`.
    pub without: String,
    /// Which kind of evidence it is, as in [`ScorePart::name`].
    pub part: String,
    /// The evidence left out.
    pub evidence: Vec<EvidenceId>,
    /// Where the first hypothesis would stand, from 1; `None`: nowhere.
    pub place: Option<u32>,
    /// Its chance then.
    pub confidence: f64,
    /// Who would stand first.
    pub first: Option<EntityRef>,
    /// Whether the first would stand out.
    pub conclusive: bool,
    /// All of it in one sentence.
    pub text: String,
}

/// One step of how an incident came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CourseStep {
    /// When.
    pub at: Time,
    /// Where; the first of several.
    pub entity: EntityRef,
    /// What, in one sentence.
    pub text: String,
    /// What shows it.
    pub evidence: Vec<EvidenceId>,
}

/// Whom an incident touches, and what follows if it goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    /// Services that users call and that are in trouble.
    pub felt_at: Vec<EntityRef>,
    /// Share of their requests that failed since the onset, 0 to 1, where it is measured.
    pub failed_ratio: Option<f64>,
    /// About how many requests failed since the onset, beyond what usually does.
    pub n_failed: Option<f64>,
    /// Those that depend on the likely cause and show no trouble yet, the nearest first; up to 500.
    pub may_follow: Vec<EntityRef>,
    /// How likely they are to follow if it goes on, and when: the likeliest first, up to 40.
    #[serde(default)]
    pub followers: Vec<Follower>,
    /// Requests a second of users that it may touch besides: those of who may follow, times the
    /// chance.
    #[serde(default)]
    pub requests_ahead: Option<Expected>,
    /// What users feel, in one sentence each.
    pub users: Vec<String>,
    /// What declared business series did, in one sentence each.
    pub business: Vec<String>,
    /// What follows if it goes on, in one sentence each.
    pub forecasts: Vec<String>,
}

/// The ranked hypotheses of an incident. Stored under the incident's id; each revision replaces
/// the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    /// Of which incident.
    pub incident: IncidentId,
    /// Counted up from 1.
    pub revision: u32,
    /// When it was made.
    pub at: Time,
    /// Two sentences: what is going on.
    pub summary: String,
    /// Most likely first.
    pub hypotheses: Vec<Hypothesis>,
    /// Whether the first stands out; if not, the words are "inconclusive".
    pub conclusive: bool,
    /// Whether it was made within seconds of the opening and of the first word on the trouble, from
    /// what was there by then: its chances are those of a first look, and the next is on its way.
    #[serde(default)]
    pub first_look: bool,
    /// Ids of all evidence looked at (the records are stored on their own).
    pub evidence: Vec<EvidenceId>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// Changes before the onset, nearest first.
    pub changes: Vec<Change>,
    /// Earlier incidents that look alike.
    pub similar: Vec<Similar>,
    /// Runbooks that match, best first: id and title.
    pub runbooks: Vec<(String, String)>,
    /// The series to draw, the leading one first.
    pub charts: Vec<EvidenceId>,
    /// What the ranking would say without pieces of its evidence, what changes most first.
    #[serde(default)]
    pub counterfactuals: Vec<Counterfactual>,
    /// How it came about, if the first hypothesis is right, in order of time.
    #[serde(default)]
    pub steps: Vec<CourseStep>,
    /// Whom it touches, and what follows.
    #[serde(default)]
    pub reach: Reach,
}
