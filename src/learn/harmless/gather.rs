//! Incidents with what told them and how they ended: read from the store.

use super::rule::Case;
use crate::learn::past::Past;
use crate::learn::tune::judgement;
use crate::model::{Fault, Incident, IncidentState, Run, Time};
use crate::store::{Filter, Rows};

/// The category of what ended by itself, also where a person says so.
const RECOVERED: &str = "recovered";

/// All incidents since a time.
pub(in crate::learn) fn cases(
    rows: &Rows<'_>,
    past: &Past,
    since: Time,
) -> Result<Vec<Case>, Fault> {
    let late = past.since(rows, since)?;
    let case = |seen: &crate::learn::past::Seen| {
        let incident = &seen.incident;
        Ok(Case {
            incident: incident.id,
            number: incident.number,
            onset_at: incident.onset_at,
            judgement: judgement(incident, late.helped.contains(&incident.id)),
            by_itself: by_itself(rows, incident)?,
            kinds: seen.kinds.clone(),
            declared: incident.declared_by.is_some(),
            title: incident.title.clone(),
            entities: incident.entities.clone(),
        })
    };
    late.incidents.iter().map(|seen| case(seen)).collect()
}

/// Whether it ended without anybody having to do anything.
fn by_itself(rows: &Rows<'_>, incident: &Incident) -> Result<bool, Fault> {
    let over = matches!(incident.state, IncidentState::Resolved | IncidentState::Reviewed);
    let calm = over && incident.category.as_deref() == Some(RECOVERED);
    let taken = incident.acknowledged_at.is_some() || incident.n_reopened > 0;
    Ok(calm && !taken && rows.count::<Run>(&Filter::parent(incident.id))? == 0)
}
