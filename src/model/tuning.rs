//! Tuning: how far and how rare a departure of some series must be to be called, moved by people's
//! judgements of incidents, and only by a button.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Actor, EntityRef, IncidentId, Indicator, Series, SeriesId, Time, TuningId};

/// The least and the greatest factor that a bar is ever moved to: what is called as configured has
/// factor 1.
pub const LEAST_FACTOR: f64 = 0.6;
/// See [`LEAST_FACTOR`].
pub const MOST_FACTOR: f64 = 2.5;

/// Which series a bar stands for: one, those of one signal of an entity, or all of an entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct BarScope {
    /// Whose.
    pub entity: EntityRef,
    /// Only series of this signal.
    pub indicator: Option<Indicator>,
    /// Only this series.
    pub series: Option<SeriesId>,
    /// The series' name, for people; empty for a wider scope.
    pub metric: String,
}

impl BarScope {
    /// One series.
    #[must_use]
    pub fn series(series: &Series) -> Self {
        Self {
            entity: series.entity.clone(),
            indicator: Some(series.indicator),
            series: Some(series.id),
            metric: series.metric.clone(),
        }
    }

    /// All series of one signal of an entity.
    #[must_use]
    pub fn indicator(entity: EntityRef, indicator: Indicator) -> Self {
        Self { entity, indicator: Some(indicator), series: None, metric: String::new() }
    }

    /// All series of an entity.
    #[must_use]
    pub fn entity(entity: EntityRef) -> Self {
        Self { entity, indicator: None, series: None, metric: String::new() }
    }

    /// Whether it stands for a series.
    #[must_use]
    pub fn covers(&self, series: &Series) -> bool {
        self.entity == series.entity
            && self.indicator.is_none_or(|i| i == series.indicator)
            && self.series.is_none_or(|id| id == series.id)
    }

    /// Whether all that `other` stands for is covered too.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.entity == other.entity
            && (self.indicator.is_none() || self.indicator == other.indicator)
            && (self.series.is_none() || self.series == other.series)
    }

    /// How narrow it is: of several that cover a series, the narrowest counts.
    #[must_use]
    pub fn narrowness(&self) -> u8 {
        u8::from(self.indicator.is_some()) + u8::from(self.series.is_some())
    }
}

impl fmt::Display for BarScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.entity.name();
        match (self.series, self.indicator) {
            (Some(_), _) => write!(f, "{} of {name}", self.metric),
            (None, Some(indicator)) => {
                let word = match indicator {
                    Indicator::Rate => "traffic",
                    Indicator::Errors => "errors",
                    Indicator::Duration => "durations",
                    Indicator::Utilization => "utilization",
                    Indicator::Saturation => "saturation",
                    Indicator::Availability => "availability",
                    Indicator::Usage => "usage",
                    Indicator::Custom => "other series",
                };
                write!(f, "{word} of {name}")
            }
            (None, None) => write!(f, "all series of {name}"),
        }
    }
}

/// A person's order to move a bar. It comes with the telemetry, so that the same journal gives the
/// same verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BarOrder {
    /// For which series.
    pub scope: BarScope,
    /// How many times as wide the expected band is, and how many times as surprising a departure
    /// must be (in nats, `-ln` of its chance); 1 takes back what stood.
    pub factor: f64,
    /// When it lapses by itself (event time).
    pub until: Time,
    /// The proposal that it follows from.
    pub tuning: TuningId,
    /// Who says so.
    pub by: Actor,
}

/// Where a proposed change stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TuningState {
    /// It waits for a person.
    Open,
    /// It was looked at and is not offered; its reason says why.
    NotMade,
    /// Judgements, or what is stored, have changed since: it no longer stands.
    Withdrawn,
    /// A person said no.
    Declined,
    /// A person said yes, and it holds.
    Applied,
    /// A person took it back.
    TakenBack,
    /// Another change of the same scope took its place.
    Replaced,
    /// Its time is over: detection is as configured again.
    Lapsed,
}

impl TuningState {
    /// The word as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::NotMade => "not_made",
            Self::Withdrawn => "withdrawn",
            Self::Declined => "declined",
            Self::Applied => "applied",
            Self::TakenBack => "taken_back",
            Self::Replaced => "replaced",
            Self::Lapsed => "lapsed",
        }
    }
}

/// What a person said of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// It was none.
    Dismissed,
    /// It was one: somebody resolved it as real, opened it by hand, or a fix of it helped.
    Confirmed,
    /// Nobody said anything.
    Unsaid,
}

/// An incident that a proposal rests on or that its backtest looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Judged {
    /// Which.
    pub incident: IncidentId,
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// When it began.
    pub onset_at: Time,
    /// What was said of it.
    pub judgement: Judgement,
    /// Whether it would still have been told with the change.
    pub stays: bool,
    /// Whether stored points show what it was told for; where they don't, `stays` follows from
    /// how far out it was recorded to be.
    pub replayed: bool,
}

/// A number before and with a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeforeAfter {
    /// As it is now.
    pub before: usize,
    /// With the change.
    pub after: usize,
}

/// What a change would have meant over the stored history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TuningTrial {
    /// From when on was judged.
    pub since: Time,
    /// Until when.
    pub until: Time,
    /// Series replayed.
    pub n_series: usize,
    /// Their anomalies.
    pub anomalies: BeforeAfter,
    /// Their alerts of at least warning.
    pub alerts: BeforeAfter,
    /// Incidents that they alone would have opened.
    pub incidents: BeforeAfter,
    /// Anomalies told only with the change.
    pub n_new: usize,
    /// Told incidents of these series, the newest first.
    pub told: Vec<Judged>,
    /// In one sentence.
    pub text: String,
}

/// A person's yes or no to a proposed change, or their taking it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TuningDeed {
    /// Who.
    pub by: Actor,
    /// When (event time).
    pub at: Time,
    /// Why, in their words.
    pub reason: String,
}

/// A change of a bar, proposed from people's judgements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tuning {
    /// Its id.
    pub id: TuningId,
    /// When it was made (event time).
    pub at: Time,
    /// For which series.
    pub scope: BarScope,
    /// The factor that holds now.
    pub from: f64,
    /// The factor proposed.
    pub factor: f64,
    /// Where it stands.
    pub state: TuningState,
    /// What it changes, in a sentence with figures.
    pub title: String,
    /// What it follows from, or why it was not made.
    pub why: String,
    /// Its backtest.
    pub trial: Option<TuningTrial>,
    /// Incidents that it follows from.
    pub judged: Vec<IncidentId>,
    /// Until when it can be decided (event time).
    pub expires_at: Time,
    /// How long it would hold, in days.
    pub holds_days: u32,
    /// Yes or no.
    pub decided: Option<TuningDeed>,
    /// When it lapses, once applied.
    pub until: Option<Time>,
    /// Who took it back.
    pub taken_back: Option<TuningDeed>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fingerprint;

    #[test]
    fn a_wider_scope_contains_a_narrower_one_and_is_named() {
        let orders = EntityRef::service("orders");
        let all = BarScope::entity(orders.clone());
        let slow = BarScope::indicator(orders.clone(), Indicator::Duration);
        let one =
            BarScope { series: Some(Fingerprint(7)), metric: "http p95".into(), ..slow.clone() };
        assert!(all.contains(&slow) && slow.contains(&one) && all.contains(&one));
        assert!(!slow.contains(&all) && !one.contains(&slow));
        assert!(!BarScope::entity(EntityRef::service("cart")).contains(&one));
        assert!(all.narrowness() < slow.narrowness() && slow.narrowness() < one.narrowness());
        let names = [all, slow, one].map(|s| s.to_string());
        assert_eq!(names, ["all series of orders", "durations of orders", "http p95 of orders"]);
    }
}
