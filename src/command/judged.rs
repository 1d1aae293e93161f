//! What a person says of an incident that ended by itself: it stays over, and is known for what it
//! was.

use serde_json::json;

use crate::model::{Actor, EntryKind, Fault, Incident, IncidentState, Time, TimelineEntry};
use crate::store::Tx;

/// Whether nobody has said yet what an incident was that is over.
pub(super) fn is_unjudged(incident: &Incident) -> bool {
    incident.state == IncidentState::Resolved && incident.closed_by.is_none()
}

/// Keeps what a person says of it; its state and its end stay as they were.
pub(super) fn judge(
    tx: &Tx<'_>,
    incident: Incident,
    (actor, category): (&Actor, &str),
    (now, reason): (Time, &str),
) -> Result<Incident, Fault> {
    let judged = Incident {
        category: Some(category.to_owned()),
        closed_by: Some(actor.clone()),
        updated_at: now,
        ..incident
    };
    tx.put(&judged)?;
    let text = format!("{} says what it was: {}. {reason}", actor.name, category.replace('_', " "));
    let (id, kind) = (judged.id, EntryKind::State);
    tx.put(&TimelineEntry::by(actor.clone(), id, now, kind, text.trim_end(), None))?;
    let detail = json!({ "category": category, "reason": reason });
    tx.audit(now, actor, "incident.judge", &id.to_string(), &detail)?;
    Ok(judged)
}
