//! What people said of incidents, and what told them: read from the store.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::learn::is_false_alarm;
use crate::learn::past::Past;
use crate::model::tuning::Judgement;
use crate::model::{BarScope, EntityRef, Fault, Incident, IncidentId, Series, SeriesId, Time};
use crate::store::Rows;

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
pub(in crate::learn) fn cases(
    rows: &Rows<'_>,
    past: &Past,
    since: Time,
) -> Result<Vec<Case>, Fault> {
    let late = past.since(rows, since)?;
    // The same series tell incidents again and again.
    let mut known: BTreeMap<SeriesId, Option<Series>> = BTreeMap::new();
    let mut cases = Vec::new();
    for seen in &late.incidents {
        let incident = &seen.incident;
        let mut told = Vec::new();
        let mut others = incident.declared_by.is_some() || seen.others;
        for departure in &seen.told {
            let series = match known.entry(departure.series) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(rows.series(departure.series)?),
            };
            match series {
                Some(series) => told.push(Told {
                    series: series.clone(),
                    since: departure.since,
                    until: departure.until,
                    score: departure.score,
                }),
                None => others = true,
            }
        }
        let ended = incident.resolved_at.unwrap_or(incident.updated_at);
        cases.push(Case {
            incident: incident.id,
            number: incident.number,
            title: incident.title.clone(),
            onset_at: incident.onset_at,
            end_at: ended,
            judged_at: ended,
            judgement: judgement(incident, late.helped.contains(&incident.id)),
            entities: incident.entities.clone(),
            told,
            others,
        });
    }
    Ok(cases)
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
