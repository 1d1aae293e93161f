//! Incidents with what told them and how they ended: read from the store.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::Case;
use crate::learn::tune::judgement;
use crate::learn::{Lesson, Taught};
use crate::model::{
    Alert, EntityRef, Fault, Incident, IncidentId, IncidentState, Run, Severity, Time,
};
use crate::store::{Filter, Rows};

/// Incidents looked at, the newest first.
const MOST: usize = 2_000;
/// The category of what ended by itself, also where a person says so.
const RECOVERED: &str = "recovered";

/// All incidents since a time.
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
        let mut kinds: BTreeMap<(EntityRef, String), Severity> = BTreeMap::new();
        for alert in rows.list::<Alert>(&Filter::parent(incident.id))? {
            if alert.severity >= Severity::Warning {
                let worst = kinds.entry((alert.entity.clone(), alert.name().to_owned()));
                let worst = worst.or_insert(alert.severity);
                *worst = alert.severity.max(*worst);
            }
        }
        cases.push(Case {
            incident: incident.id,
            number: incident.number,
            onset_at: incident.onset_at,
            judgement: judgement(&incident, helped.contains(&incident.id)),
            by_itself: by_itself(rows, &incident)?,
            kinds,
            declared: incident.declared_by.is_some(),
            title: incident.title,
            entities: incident.entities,
        });
    }
    Ok(cases)
}

/// Whether it ended without anybody having to do anything.
fn by_itself(rows: &Rows<'_>, incident: &Incident) -> Result<bool, Fault> {
    let over = matches!(incident.state, IncidentState::Resolved | IncidentState::Reviewed);
    let calm = over && incident.category.as_deref() == Some(RECOVERED);
    let taken = incident.acknowledged_at.is_some() || incident.n_reopened > 0;
    Ok(calm && !taken && rows.count::<Run>(&Filter::parent(incident.id))? == 0)
}
