//! What people said of incidents, and what told them: read from the store.

use std::collections::BTreeSet;

use crate::learn::{Lesson, Taught, is_false_alarm};
use crate::model::alert::LOOKS_BACK;
use crate::model::tuning::Judgement;
use crate::model::{
    Alert, AlertSource, BarScope, EntityRef, Fault, Incident, IncidentId, IncidentState, Series,
    Severity, Time,
};
use crate::store::{Filter, Rows};

/// Incidents looked at, the newest first.
const MOST: usize = 2_000;
/// Detectors with rules of their own, which a bar does not move.
const OWN_RULES: [&str; 3] = ["flatline/1", "forecast/1", "expiry/1"];

/// A departure of a series that told an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Of which series.
    pub series: Series,
    /// From when.
    pub since: Time,
    /// Until when.
    pub until: Time,
    /// Its greatest score.
    pub score: f64,
}

/// An incident with what was said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Which.
    pub incident: IncidentId,
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// When it began.
    pub onset_at: Time,
    /// When it ended, or was last heard of.
    pub end_at: Time,
    /// When it ended, which is when most are judged.
    pub judged_at: Time,
    /// What was said.
    pub judgement: Judgement,
    /// Whom it was about.
    pub entities: Vec<EntityRef>,
    /// Departures of series that told it: alerts of at least warning.
    pub told: Vec<Told>,
    /// Something else told it too: another system, logs, calls, an objective, a person.
    pub others: bool,
}

impl Case {
    /// Whether a departure in the scope told it.
    #[must_use]
    pub fn touches(&self, scope: &BarScope) -> bool {
        self.told.iter().any(|t| scope.covers(&t.series))
    }
}

/// All incidents since a time with what was said of them.
pub(super) fn cases(rows: &Rows<'_>, since: Time) -> Result<Vec<Case>, Fault> {
    let helped: BTreeSet<IncidentId> = rows
        .list::<Lesson>(&Filter::states(["run"]).since(since).newest(MOST))?
        .into_iter()
        .filter(|l| l.taught == Taught::Helped)
        .map(|l| l.incident)
        .collect();
    let mut cases = Vec::new();
    for incident in rows.list::<Incident>(&Filter::all().since(since).newest(MOST))? {
        if incident.state == IncidentState::Merged {
            continue;
        }
        let alerts = rows.list::<Alert>(&Filter::parent(incident.id))?;
        let mut told = Vec::new();
        let mut others = incident.declared_by.is_some();
        for alert in alerts.iter().filter(|a| a.severity >= Severity::Warning) {
            match series_of(rows, alert)? {
                Some(series) => told.push(Told {
                    series,
                    since: alert.starts_at,
                    until: alert.ends_at.unwrap_or(alert.updated_at),
                    score: alert.score,
                }),
                None => others = true,
            }
        }
        let judgement = judgement(&incident, helped.contains(&incident.id));
        cases.push(Case {
            incident: incident.id,
            number: incident.number,
            title: incident.title,
            onset_at: incident.onset_at,
            end_at: incident.resolved_at.unwrap_or(incident.updated_at),
            judged_at: incident.resolved_at.unwrap_or(incident.updated_at),
            judgement,
            entities: incident.entities,
            told,
            others,
        });
    }
    Ok(cases)
}

/// The stored series that a bar would move, where the alert is about one.
fn series_of(rows: &Rows<'_>, alert: &Alert) -> Result<Option<Series>, Fault> {
    let AlertSource::Detector { detector } = &alert.source else { return Ok(None) };
    match alert.series {
        Some(id)
            if !OWN_RULES.contains(&detector.as_str())
                && alert.annotations.get(LOOKS_BACK).is_none() =>
        {
            rows.series(id)
        }
        _ => Ok(None),
    }
}

/// What a person said of an incident. Its end by itself, or as planned work, says nothing of
/// detection.
pub(in crate::learn) fn judgement(incident: &Incident, helped: bool) -> Judgement {
    if is_false_alarm(incident) {
        return Judgement::Dismissed;
    }
    let real = matches!(incident.category.as_deref(), Some("fixed" | "external"));
    if helped || incident.declared_by.is_some() || (real && incident.closed_by.is_some()) {
        Judgement::Confirmed
    } else {
        Judgement::Unsaid
    }
}
