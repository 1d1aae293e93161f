//! What was known of an incident at its time of decision, kept as it was: what is learned later
//! about the incident can't leak into what it is judged by.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::features::{Features, Moment, features};
use crate::model::{Alert, IncidentId, Time};
use crate::store::{Index, Record};

/// Conditions that are kept of one incident: a storm shows what it is by its first ones.
const MOST: usize = 50;

/// One incident at its time of decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which.
    pub incident: IncidentId,
    /// The time of decision (event time).
    pub at: Time,
    /// What was known.
    pub features: Features,
    /// Its conditions with their entity: what is the same thing again.
    pub conditions: BTreeSet<String>,
    /// Its conditions without: what is alike elsewhere.
    pub shapes: BTreeSet<String>,
    /// Whether it can be trained on: it was taken in time, of an incident that nobody had judged
    /// or declared.
    pub in_time: bool,
}

impl Record for Snapshot {
    const KIND: &'static str = "incident_snapshot";

    fn key(&self) -> String {
        self.incident.to_string()
    }

    fn index(&self) -> Index {
        Index { at: self.at, parent: self.incident.to_string(), ..Index::default() }
    }
}

impl Snapshot {
    /// A snapshot of a moment.
    #[must_use]
    pub fn of(moment: &Moment<'_>, in_time: bool) -> Self {
        let known = moment.alerts.iter().filter(|a| a.starts_at <= moment.at).take(MOST);
        let told: Vec<String> = known.clone().map(condition).collect();
        let conditions = known.zip(&told).map(|(a, c)| format!("{} {c}", a.entity)).collect();
        Self {
            incident: moment.incident.id,
            at: moment.at,
            features: features(moment),
            conditions,
            shapes: told.into_iter().collect(),
            in_time,
        }
    }

    /// How alike another is, 0 to 1: the shared part of the union (Jaccard 1901) of conditions,
    /// half as much where they are alike at other entities.
    #[must_use]
    pub fn kinship(&self, other: &Self) -> f64 {
        let same = shared(&self.conditions, &other.conditions);
        same.max(0.5 * shared(&self.shapes, &other.shapes))
    }
}

/// A condition without its entity: what kind of entity, its name, and its metric or template.
fn condition(alert: &Alert) -> String {
    let what = alert.labels.get("metric").or_else(|| alert.labels.get("template"));
    format!("{} {} {}", alert.entity.attribute(), alert.name(), what.unwrap_or_default())
}

fn shared(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let both = a.intersection(b).count();
    let union = a.len() + b.len() - both;
    if union == 0 { 0.0 } else { both as f64 / union as f64 }
}

/// Names of what a row consists of, in order: [`super::features::FEATURES`] and what earlier
/// incidents like it were.
pub(super) fn columns() -> Vec<&'static str> {
    let own = super::features::FEATURES.iter().map(|(name, _)| *name);
    own.chain(PAST.iter().map(|(name, _)| *name)).collect()
}

/// What earlier incidents like it say, by what was known of them at the time; the first two depend
/// on the class that is asked for.
pub(super) const PAST: &[(&str, &str)] = &[
    ("past_share", "share of earlier ones like it that were of this class"),
    ("past_same", "whether the newest one like it was of this class"),
    ("past_alike", "earlier ones like it with a known end, weighted by likeness"),
    ("past_day", "ones like it within the day before, as a logarithm"),
];

/// What a feature is, in words.
pub(super) fn meaning(name: &str) -> &str {
    let all = super::features::FEATURES.iter().chain(PAST);
    all.into_iter().find(|(n, _)| *n == name).map_or(name, |(_, what)| what)
}

/// A snapshot's own features in the order of [`columns`], without those of the past.
pub(super) fn own_values(features: &BTreeMap<String, f64>) -> Vec<f64> {
    let own = super::features::FEATURES.iter();
    own.map(|(name, _)| features.get(*name).copied().unwrap_or(f64::NAN)).collect()
}
