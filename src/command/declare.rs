//! The desk: incidents that people open by hand.

use serde_json::json;

use super::{Desk, Problem, need, said};
use crate::bus::Event;
use crate::model::{
    Actor, EntityRef, EntryKind, Incident, IncidentId, IncidentState, Refused, Role, Severity,
    TimelineEntry,
};

/// Longest title, in characters.
pub(super) const MOST_TITLE: usize = 160;
/// Longest name of a service, in characters.
pub(super) const MOST_NAME: usize = 100;

/// An incident as somebody declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIncident {
    /// One line of what users feel.
    pub title: String,
    /// The service that it is about, where they know.
    pub service: Option<String>,
    /// How bad.
    pub severity: Severity,
    /// What else they know.
    pub text: String,
}

impl Desk {
    /// Opens an incident by hand. Alerts about its service join it, and those related to them.
    ///
    /// # Errors
    /// The role does not allow it, or it has no title.
    pub async fn declare(&self, actor: &Actor, new: NewIncident) -> Result<Incident, Problem> {
        need(actor, Role::Responder, "open an incident")?;
        let title = said(&one_line(&new.title), MOST_TITLE);
        if title.is_empty() {
            let text = "An incident needs a title: one line of what users feel.";
            return Err(Refused::Invalid(text.into()).into());
        }
        let name = new.service.map(|name| said(&one_line(&name), MOST_NAME));
        let entity = name.filter(|name| !name.is_empty()).map(EntityRef::service);
        let (actor, now) = (actor.clone(), self.clock.now());
        let words = said(&new.text, super::desk::MOST_CHARS);
        let severity = new.severity;
        let incident = self
            .transact(move |tx| {
                let incident = Incident {
                    id: IncidentId::random(now),
                    number: tx.next_number("incident")?,
                    title,
                    state: IncidentState::Open,
                    severity,
                    onset_at: now,
                    opened_at: now,
                    updated_at: now,
                    acknowledged_at: None,
                    quiet_since: None,
                    resolved_at: None,
                    owner: None,
                    entities: entity.into_iter().collect(),
                    alerts: Vec::new(),
                    n_reports: 0,
                    leading: None,
                    merged_into: None,
                    category: None,
                    closed_by: None,
                    declared_by: Some(actor.clone()),
                    n_reopened: 0,
                    reopened_at: None,
                    priority: None,
                    taxonomy: None,
                    untold: None,
                    n_conditions: 0,
                };
                tx.put(&incident)?;
                let about = if words.is_empty() { String::new() } else { format!(": {words}") };
                let text = format!("Opened by {}{about}", actor.name);
                let (id, kind) = (incident.id, EntryKind::State);
                tx.put(&TimelineEntry::by(actor.clone(), id, now, kind, text, None))?;
                let detail = json!({
                    "title": incident.title, "severity": incident.severity,
                    "entities": incident.entities, "text": words,
                });
                tx.audit(now, &actor, "incident.declare", &id.to_string(), &detail)?;
                Ok(Ok(incident))
            })
            .await?;
        metrics::counter!("nightjar_command_declared_total").increment(1);
        self.bus.publish(Event::Incident(incident.id));
        Ok(incident)
    }
}

/// Text without line breaks and other control characters.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
