//! From a detector's claim to an alert, and what keeps an alert quiet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Actor, AlertId, AnomalyId, EntityRef, Fingerprint, IncidentId, Indicator, Labels, Matcher,
    Series, SeriesId, SilenceId, Time, signal::Direction,
};

/// What a series was expected to do at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Band {
    /// Lowest expected value.
    pub low: f64,
    /// The value expected most.
    pub mid: f64,
    /// Highest expected value.
    pub high: f64,
}

/// What an anomaly is a claim about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// A metric series.
    Series {
        /// Which.
        series: Series,
    },
    /// A log template of an entity.
    LogTemplate {
        /// Whose log.
        entity: EntityRef,
        /// The template's text, with `<*>` for what varies.
        template: String,
    },
    /// Calls of one entity to another.
    Edge {
        /// Who calls.
        from: EntityRef,
        /// Who is called, and does the work.
        to: EntityRef,
        /// What is asked for, such as `GET /orders`.
        operation: String,
    },
    /// An entity or source that stopped sending.
    Missing {
        /// Who fell silent.
        entity: EntityRef,
        /// What is missing.
        what: String,
    },
    /// A service level objective whose error budget burns too fast.
    Objective {
        /// Who promises it.
        entity: EntityRef,
        /// Its name.
        objective: String,
        /// Labels of whoever it belongs to.
        labels: Labels,
        /// Whether somebody is to be woken.
        page: bool,
        /// The series of its bad events.
        series: Option<SeriesId>,
    },
}

impl Subject {
    /// What the claim is about.
    #[must_use]
    pub fn entity(&self) -> &EntityRef {
        match self {
            Self::Series { series } => &series.entity,
            Self::LogTemplate { entity, .. }
            | Self::Missing { entity, .. }
            | Self::Objective { entity, .. } => entity,
            // The work is done there.
            Self::Edge { to, .. } => to,
        }
    }
}

/// One episode of one subject outside its expected band. It starts as a claim, is confirmed
/// once the hold has passed, and ends after the hysteresis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Anomaly {
    /// Derived from the subject, the detector and `since`.
    pub id: AnomalyId,
    /// What it is about.
    pub subject: Subject,
    /// Which detector and version, such as `seasonal/1`.
    pub detector: String,
    /// First departing point.
    pub since: Time,
    /// Newest point judged.
    pub at: Time,
    /// When it ended.
    pub until: Option<Time>,
    /// Newest value.
    pub value: f64,
    /// The most extreme value so far.
    pub peak: f64,
    /// Expected at `at`.
    pub expected: Band,
    /// Robust standard deviations (or their equivalent) away from expected; the greatest so far.
    pub score: f64,
    /// Which way it departs.
    pub direction: Direction,
    /// Why it was flagged, in one sentence with figures.
    pub why: String,
    /// It ended because nothing is heard any more, not because it was seen to recover.
    #[serde(default)]
    pub unseen: bool,
    /// How surprising it was by the subject's own past, where that was long enough to say.
    #[serde(default)]
    pub grounds: Option<Grounds>,
}

/// What the past of a series says of an anomaly. Chances are estimates by streaming calibration:
/// ranks among the series' own points, with a fitted tail beyond what they resolve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Grounds {
    /// Chance that a point of a quiet stretch begins such an episode, 0 to 1.
    pub p_value: f64,
    /// The views that were surprised, the most surprised first; empty when none was.
    pub views: Vec<ViewSurprise>,
    /// Points of the series that this rests on.
    pub n_points: u64,
    /// A value as far out as the most extreme one came about once in so many points.
    pub once_in: f64,
    /// The values up to which nothing would have been flagged at `at`.
    pub unflagged: Band,
}

/// How surprised one view was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ViewSurprise {
    /// Which: `value`, `step`, `trend`, `unrest`, `standstill`, `season`, …
    pub view: String,
    /// Chance of what it saw, 0 to 1: at most that, where the view knows only how much less likely it
    /// was than the likeliest.
    pub p_value: f64,
}

/// How bad.
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
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it in working hours.
    Warning,
    /// Users are affected or soon will be.
    Critical,
}

/// Firing or resolved, as in Alertmanager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// The condition holds.
    Firing,
    /// It no longer does.
    Resolved,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AlertSource {
    /// A detector of ours.
    Detector {
        /// Its id and version.
        detector: String,
    },
    /// Another system.
    External {
        /// Its name, such as `alertmanager`.
        system: String,
    },
}

/// A labelled condition with a start and an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Derived from the fingerprint, the source and `starts_at`: one episode, one id.
    pub id: AlertId,
    /// Identity of the condition: the fingerprint of `labels` without what does not make it another
    /// ([`Condition`]).
    pub fingerprint: Fingerprint,
    /// `alertname`, the entity's attribute, severity, …
    pub labels: Labels,
    /// `summary`, `description`, `runbook_url`, …
    pub annotations: Labels,
    /// Who says so.
    pub source: AlertSource,
    /// What it is about.
    pub entity: EntityRef,
    /// Which golden signal, where known.
    pub indicator: Option<Indicator>,
    /// How bad.
    pub severity: Severity,
    /// Onset in event time.
    pub starts_at: Time,
    /// End in event time, once resolved.
    pub ends_at: Option<Time>,
    /// When nightjar heard of it first: at its onset or later. Alerts that an older version stored do
    /// not say.
    #[serde(default)]
    pub known_at: Option<Time>,
    /// Newest word on it.
    pub updated_at: Time,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// The anomaly behind it, for our own.
    pub anomaly: Option<AnomalyId>,
    /// The series behind it, where there is one.
    pub series: Option<SeriesId>,
    /// Newest value.
    pub value: Option<f64>,
    /// Expected band.
    pub expected: Option<Band>,
    /// Greatest score so far.
    pub score: f64,
    /// How often the same condition was reported (repeats, other witnesses).
    pub n_reports: u64,
    /// Other systems that reported the same condition.
    pub witnesses: Vec<String>,
    /// The incident it belongs to, once grouped.
    pub incident: Option<IncidentId>,
    /// What keeps it from opening or joining an incident.
    pub suppressed: Option<Suppression>,
    /// What correlation decided and why, in one sentence.
    pub decision: Option<String>,
}

/// Annotation of an ended alert whose recovery was not seen: what it is about fell silent or is
/// gone.
pub const UNSEEN: &str = "recovery_not_seen";

/// Annotation of another system's alert that fires because nothing is heard any more, not because of
/// what its name says.
pub const NO_DATA: &str = "no_data";

/// Annotation of an alert that looks back over hours: it goes on after its cause is gone, and so
/// does not keep an incident open.
pub const LOOKS_BACK: &str = "looks_back";

/// Name of the alert that tells of a certificate or the like that ends soon.
pub const EXPIRY_AHEAD: &str = "ExpiryAhead";

/// Name of the alert that tells of a limit ahead.
pub const LIMIT_AHEAD: &str = "LimitAhead";

/// Annotation of an alert that the alert budget holds back, with its reason.
pub const HELD_BACK: &str = "held_back";

/// Annotation with the id of the learned rule that an alert falls under.
pub const HARMLESS: &str = "harmless";

/// Which labels of another system's alert make its condition: alerts that differ only in others
/// repeat each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// These alone; empty: all but `without`.
    pub by: Vec<String>,
    /// These do not.
    pub without: Vec<String>,
}

impl Condition {
    /// Identity of the condition that labels tell. Where none of `by` is there, all but `without`
    /// make it: alerts that lack them are not one.
    #[must_use]
    pub fn of(&self, labels: &Labels) -> Fingerprint {
        let is_named = |name: &str| self.by.iter().any(|b| b == name);
        if labels.iter().any(|(name, _)| is_named(name)) {
            labels.fingerprint_of(is_named)
        } else {
            labels.fingerprint_of(|name| !self.without.iter().any(|w| w == name))
        }
    }
}

/// Name (`alertname`) of the alert that says that an entity or a whole source fell silent: as long
/// as it fires, nothing is known of what it is about.
pub const DATA_MISSING: &str = "DataMissing";

/// Attribute of the entity that a source of telemetry is in such an alert.
pub const SOURCE_ATTRIBUTE: &str = "nightjar.source";

impl Alert {
    /// Whether it ended because nothing is heard any more of what it is about.
    #[must_use]
    pub fn ended_unseen(&self) -> bool {
        !self.is_firing() && self.annotations.get(UNSEEN).is_some()
    }

    /// The condition's name (`alertname`), or `alert`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.labels.get("alertname").unwrap_or("alert")
    }

    /// Whether it tells of a limit ahead: nothing is felt yet.
    #[must_use]
    pub fn is_forecast(&self) -> bool {
        self.name() == LIMIT_AHEAD
    }

    /// Whether it fires now.
    #[must_use]
    pub fn is_firing(&self) -> bool {
        self.status == AlertStatus::Firing
    }
}

/// What keeps an alert quiet, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suppression {
    /// Which rule: `silence SIL-…`, `maintenance SIL-…`, `deploy CHG-…`, `learned …`.
    pub by: String,
    /// Why, with what would have had to be different.
    pub reason: String,
    /// Until when it holds.
    pub until: Option<Time>,
}

/// A silence, or a maintenance window when `maintenance` is set. Times are event time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Silence {
    /// Its id.
    pub id: SilenceId,
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Time,
    /// Until when; ending it early moves this.
    pub ends_at: Time,
    /// Who made it.
    pub author: Actor,
    /// Why.
    pub reason: String,
    /// Planned work rather than noise.
    pub maintenance: bool,
}

impl Silence {
    /// Whether it is in force at `now` for these labels.
    #[must_use]
    pub fn covers(&self, labels: &Labels, now: Time) -> bool {
        self.starts_at <= now
            && now < self.ends_at
            && self.matchers.iter().all(|m| m.matches(labels))
    }
}
