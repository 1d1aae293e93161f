//! The chart of a piece of evidence as it is now, for the web and for chats.

use crate::chart::{self, Chart};
use crate::model::diagnosis::Finding;
use crate::model::{Diagnosis, Evidence, EvidenceId, Fault, Incident, Run, Time};
use crate::store::{Filter, Rows};

/// The chart of metric evidence; `None` where there is no such evidence, or nothing to draw. Of an
/// incident it is current: the points are read again up to `now`, and the runs since are marked.
///
/// # Errors
/// The store failed.
pub fn picture(rows: &Rows<'_>, id: EvidenceId, now: Time) -> Result<Option<Chart>, Fault> {
    let Some(mut evidence) = rows.get::<Evidence>(id)? else { return Ok(None) };
    let incident = evidence.incident.map(|id| rows.get::<Incident>(id)).transpose()?.flatten();
    let Some(incident) = incident else { return Ok(chart::of_evidence(&evidence, &[], &[])) };
    if let Finding::Metric { series, points, .. } = &mut evidence.finding {
        let (since, until) = chart::range(incident.onset_at, incident.resolved_at, now);
        let stored = rows.points(series.id, since, until.plus_ms(1))?;
        // Points that retention has taken still stand in the evidence.
        if stored.len() >= points.len() {
            *points = stored;
            (evidence.since, evidence.until) = (since, until);
        }
    }
    let changes = rows.get::<Diagnosis>(incident.id)?.map(|d| d.changes).unwrap_or_default();
    let runs = rows.list::<Run>(&Filter::parent(incident.id))?;
    Ok(chart::of_evidence(&evidence, &changes, &runs))
}
