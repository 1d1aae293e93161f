//! Harmless patterns: what has come and gone without anybody having to do anything, learned from
//! judgements, counted in shadow, confirmed by a person, and lifted when an incident follows.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tuning::TuningDeed;
use super::{Actor, Alert, AlertId, EntityRef, HarmlessId, IncidentId, Severity, Time};

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// Hours of the day (UTC) in which a pattern comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Hours {
    /// The first, 0 to 23.
    pub from: u8,
    /// How many, 1 to 24; they may go past midnight.
    pub hours: u8,
}

impl Hours {
    /// Whether a time of day lies in them.
    #[must_use]
    pub fn holds(self, at: Time) -> bool {
        let hour = at.ms().div_euclid(HOUR_MS).rem_euclid(24);
        (hour - i64::from(self.from)).rem_euclid(24) < i64::from(self.hours)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = (u32::from(self.from) + u32::from(self.hours)) % 24;
        write!(f, "between {:02}:00 and {to:02}:00 UTC", self.from)
    }
}

/// Which alerts a pattern is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct HarmlessScope {
    /// Whose.
    pub entity: EntityRef,
    /// The condition's name (`alertname`).
    pub name: String,
    /// No worse than this: what is graver than all that was judged is never kept quiet.
    pub most: Severity,
    /// Only at this time of day; `None`: at any.
    pub hours: Option<Hours>,
}

impl HarmlessScope {
    /// Whether an alert is one of them.
    #[must_use]
    pub fn covers(&self, alert: &Alert) -> bool {
        alert.entity == self.entity
            && alert.name() == self.name
            && alert.severity <= self.most
            && self.hours.is_none_or(|hours| hours.holds(alert.starts_at))
    }
}

impl fmt::Display for HarmlessScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.entity.name())?;
        match self.hours {
            Some(hours) => write!(f, " {hours}"),
            None => Ok(()),
        }
    }
}

/// Where a pattern stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HarmlessState {
    /// It only counts what it would have kept quiet.
    Shadow,
    /// Its shadow is over and nothing spoke against it: it waits for a person.
    Open,
    /// A person said yes, and it holds.
    Applied,
    /// A person said no.
    Declined,
    /// A confirmed incident followed what it kept quiet, or would have.
    Lifted,
    /// A person took it back.
    TakenBack,
    /// Judgements no longer speak for it.
    Withdrawn,
}

impl HarmlessState {
    /// The word as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Open => "open",
            Self::Applied => "applied",
            Self::Declined => "declined",
            Self::Lifted => "lifted",
            Self::TakenBack => "taken_back",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// An alert that a pattern kept quiet, or would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Kept {
    /// Which.
    pub alert: AlertId,
    /// When it began.
    pub at: Time,
    /// The incident that it belongs to all the same.
    pub incident: Option<IncidentId>,
}

/// A confirmed incident that followed one of those alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Followed {
    /// Which.
    pub incident: IncidentId,
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// The alert before it.
    pub alert: AlertId,
    /// How long (ms) after that alert it began.
    pub after_ms: i64,
}

/// A pattern of alerts that has been harmless, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Harmless {
    /// Its id.
    pub id: HarmlessId,
    /// When it was first proposed (event time).
    pub at: Time,
    /// Which alerts.
    pub scope: HarmlessScope,
    /// Where it stands.
    pub state: HarmlessState,
    /// Since when it stands there: what it counts began then or later.
    pub since: Time,
    /// What it would keep quiet, in a sentence.
    pub title: String,
    /// What it follows from, or why it stands no more.
    pub why: String,
    /// Incidents that it follows from.
    pub judged: Vec<IncidentId>,
    /// How many of those a person called none; the others ended by themselves.
    pub n_dismissed: usize,
    /// Alerts that it kept quiet, or would have, since `since`; the newest hundred.
    pub kept: Vec<Kept>,
    /// How many there were in all.
    pub n_kept: u64,
    /// Alerts that began before this are counted.
    pub counted_until: Time,
    /// The confirmed incidents that followed one of them.
    pub followed: Vec<Followed>,
    /// How long it would hold, in days.
    pub holds_days: u32,
    /// How often it was confirmed; after each time its shadow begins anew.
    pub n_confirmed: u32,
    /// Yes or no.
    pub decided: Option<TuningDeed>,
    /// When it lapses, while it holds.
    pub until: Option<Time>,
    /// Who took it back.
    pub taken_back: Option<TuningDeed>,
}

/// An order that a pattern holds, or no longer. It comes with the telemetry, so that the same
/// journal keeps the same alerts quiet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HarmlessOrder {
    /// Which pattern.
    pub id: HarmlessId,
    /// Which alerts.
    pub scope: HarmlessScope,
    /// Until when it holds (event time); a time that is past ends it.
    pub until: Time,
    /// Who says so.
    pub by: Actor,
}
