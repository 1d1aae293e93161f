//! The desk: everything about incidents.

use serde_json::json;

use super::heard::{self, Handled};
use super::judged;
use super::{People, Problem, Silences, need, said};
use crate::approve::Workshop;
use crate::bus::{Bus, Event};
use crate::correlate::{Deed, Lessons, machine};
use crate::model::{
    Actor, Alert, AlertId, EntryKind, Fault, Incident, IncidentId, IncidentState, Refused, Role,
    SharedClock, TimelineEntry,
};
use crate::store::{Store, Tx};

/// Longest note that is kept, in characters.
pub(super) const MOST_CHARS: usize = 4_000;

/// How an incident ended, as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Somebody mended it.
    Fixed,
    /// It went away by itself.
    Recovered,
    /// The cause lay with somebody else, such as a provider.
    External,
    /// It was work that had been planned.
    Planned,
    /// It was none; detection and ranking learn from it.
    NotAnIncident,
}

impl Category {
    /// All, with the words that people choose by.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Fixed, "Fixed"),
        (Self::Recovered, "Went away by itself"),
        (Self::External, "Cause outside, such as a provider"),
        (Self::Planned, "Planned work"),
        (Self::NotAnIncident, "Not an incident"),
    ];

    /// The word in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Recovered => "recovered",
            Self::External => "external",
            Self::Planned => "planned",
            Self::NotAnIncident => "not_an_incident",
        }
    }
}

/// Where wishes are brought. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub(super) store: Store,
    pub(super) bus: Bus,
    pub(super) clock: SharedClock,
    pub(super) silences: Silences,
    pub(super) workshop: Option<Workshop>,
    pub(super) people: Option<People>,
    /// What a person said, of which the next change is the doing: see [`Desk::handling`].
    pub(super) handles: Option<String>,
}

impl Desk {
    /// A desk over a store.
    #[must_use]
    pub fn new(store: Store, bus: Bus, clock: SharedClock) -> Self {
        let (silences, workshop, people) = (Silences::default(), None, None);
        Self { store, bus, clock, silences, workshop, people, handles: None }
    }

    /// The same desk under this policy of silences.
    #[must_use]
    pub fn with_silences(mut self, silences: Silences) -> Self {
        self.silences = silences;
        self
    }

    /// The same desk with runbooks, so that plans can be edited.
    #[must_use]
    pub fn with_workshop(mut self, workshop: Workshop) -> Self {
        self.workshop = Some(workshop);
        self
    }

    /// The same desk, knowing who can be given an incident.
    #[must_use]
    pub fn with_people(mut self, people: People) -> Self {
        self.people = Some(people);
        self
    }

    /// The same desk for one change that somebody asked for by something they said, kept under
    /// `key`: it is marked as handled in the transaction of the change, so that it is done once
    /// whenever the process dies.
    #[must_use]
    pub(super) fn handling(&self, key: &str) -> Self {
        Self { handles: Some(key.to_owned()), ..self.clone() }
    }

    /// Runs `work` in a transaction; of a refusal only what `work` itself wrote is left behind.
    pub(super) async fn transact<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<Result<T, Refused>, Fault> + Send + 'static,
    {
        let handles = self.handles.clone();
        let done = self.store.write(move |tx| {
            if let Some(key) = &handles
                && heard::state(tx, key)? != Handled::Due
            {
                return Ok(Err(heard::again()));
            }
            let result = work(tx)?;
            if let (Some(key), Ok(_)) = (&handles, &result) {
                heard::finish(tx, key)?;
            }
            Ok(result)
        });
        Ok(done.await??)
    }

    async fn change(
        &self,
        actor: &Actor,
        id: IncidentId,
        to: IncidentState,
        category: Option<&str>,
        reason: String,
    ) -> Result<Incident, Problem> {
        let (actor, now) = (actor.clone(), self.clock.now());
        let category = category.map(str::to_owned);
        let incident = self
            .transact(move |tx| {
                let Some(incident) = tx.get::<Incident>(id)? else { return Ok(Err(gone())) };
                if let Some(category) = &category
                    && judged::is_unjudged(&incident)
                {
                    return judged::judge(tx, incident, (&actor, category), (now, &reason)).map(Ok);
                }
                let (mut next, entry) =
                    match machine::transition(&incident, to, &actor, now, &reason) {
                        Ok(moved) => moved,
                        Err(refused) => return Ok(Err(refused)),
                    };
                next.category = category.or(next.category);
                tx.put(&next)?;
                tx.put(&entry)?;
                let detail = json!({
                    "from": incident.state.as_str(), "to": to.as_str(), "reason": reason,
                    "category": next.category,
                });
                tx.audit(
                    now,
                    &actor,
                    &format!("incident.{}", to.as_str()),
                    &id.to_string(),
                    &detail,
                )?;
                Ok(Ok(next))
            })
            .await?;
        self.bus.publish(Event::Incident(id));
        Ok(incident)
    }

    /// Takes an incident: it is acknowledged and owned by the actor.
    ///
    /// # Errors
    /// The role does not allow it, it does not exist, or its state has no such move.
    pub async fn acknowledge(&self, actor: &Actor, id: IncidentId) -> Result<Incident, Problem> {
        need(actor, Role::Responder, "acknowledge an incident")?;
        self.change(actor, id, IncidentState::Acknowledged, None, format!("{} has it", actor.name))
            .await
    }

    /// Ends an incident.
    ///
    /// # Errors
    /// As [`Desk::acknowledge`].
    pub async fn resolve(
        &self,
        actor: &Actor,
        id: IncidentId,
        reason: &str,
    ) -> Result<Incident, Problem> {
        self.resolve_as(actor, id, Category::Fixed, reason).await
    }

    /// Ends an incident, saying how it ended.
    ///
    /// # Errors
    /// As [`Desk::acknowledge`].
    pub async fn resolve_as(
        &self,
        actor: &Actor,
        id: IncidentId,
        category: Category,
        reason: &str,
    ) -> Result<Incident, Problem> {
        if category == Category::NotAnIncident {
            return self.not_an_incident(actor, id, reason).await;
        }
        need(actor, Role::Responder, "resolve an incident")?;
        let reason = words(reason, "resolved by hand");
        self.change(actor, id, IncidentState::Resolved, Some(category.as_str()), reason).await
    }

    /// Ends an incident as a false alarm; detection and ranking learn from it.
    ///
    /// # Errors
    /// As [`Desk::acknowledge`].
    pub async fn not_an_incident(
        &self,
        actor: &Actor,
        id: IncidentId,
        reason: &str,
    ) -> Result<Incident, Problem> {
        need(actor, Role::Responder, "call an incident a false alarm")?;
        let reason = words(reason, "not an incident");
        self.change(actor, id, IncidentState::Resolved, Some("not_an_incident"), reason).await
    }

    /// Opens a resolved incident again.
    ///
    /// # Errors
    /// As [`Desk::acknowledge`].
    pub async fn reopen(
        &self,
        actor: &Actor,
        id: IncidentId,
        reason: &str,
    ) -> Result<Incident, Problem> {
        need(actor, Role::Responder, "reopen an incident")?;
        let reason = words(reason, "reopened by hand");
        self.change(actor, id, IncidentState::Open, None, reason).await
    }

    /// Closes the look back at a resolved incident; what was learnt goes into its timeline.
    ///
    /// # Errors
    /// As [`Desk::acknowledge`].
    pub async fn review(
        &self,
        actor: &Actor,
        id: IncidentId,
        text: &str,
    ) -> Result<Incident, Problem> {
        need(actor, Role::Responder, "close a review")?;
        let reason = words(text, "looked back at");
        self.change(actor, id, IncidentState::Reviewed, None, reason).await
    }

    /// Gives an incident to somebody, or to nobody. Its state stays: they have not looked yet.
    ///
    /// # Errors
    /// The role does not allow it, or the incident is over or does not exist.
    pub async fn assign(
        &self,
        actor: &Actor,
        id: IncidentId,
        to: Option<Actor>,
    ) -> Result<Incident, Problem> {
        need(actor, Role::Responder, "assign an incident")?;
        let (actor, now) = (actor.clone(), self.clock.now());
        let incident = self
            .transact(move |tx| {
                let Some(mut incident) = tx.get::<Incident>(id)? else { return Ok(Err(gone())) };
                if !incident.state.is_active() {
                    return Ok(Err(Refused::Conflict(format!(
                        "Incident #{} is {}; reopen it before giving it to somebody.",
                        incident.number,
                        incident.state.as_str()
                    ))));
                }
                if incident.owner == to {
                    return Ok(Ok(incident));
                }
                let text = match &to {
                    Some(owner) => format!("Given to {} by {}.", owner.name, actor.name),
                    None => format!("Given back by {}: nobody has it.", actor.name),
                };
                let detail = json!({ "from": incident.owner, "to": to });
                incident.owner = to;
                incident.updated_at = now.max(incident.updated_at);
                tx.put(&incident)?;
                let kind = EntryKind::State;
                tx.put(&TimelineEntry::by(actor.clone(), id, now, kind, text, None))?;
                tx.audit(now, &actor, "incident.assign", &id.to_string(), &detail)?;
                Ok(Ok(incident))
            })
            .await?;
        self.bus.publish(Event::Incident(id));
        Ok(incident)
    }

    /// Writes into an incident's timeline.
    ///
    /// # Errors
    /// The role does not allow it, the incident does not exist, or the text is empty.
    pub async fn note(
        &self,
        actor: &Actor,
        id: IncidentId,
        text: &str,
    ) -> Result<TimelineEntry, Problem> {
        need(actor, Role::Responder, "write into an incident")?;
        let text = said(text, MOST_CHARS);
        if text.is_empty() {
            return Err(Refused::Invalid("The note is empty; write something.".into()).into());
        }
        let (actor, now) = (actor.clone(), self.clock.now());
        let entry = self
            .transact(move |tx| {
                if tx.get::<Incident>(id)?.is_none() {
                    return Ok(Err(gone()));
                }
                let said = format!("{}: {text}", actor.name);
                let entry = TimelineEntry::by(actor.clone(), id, now, EntryKind::Note, said, None);
                tx.put(&entry)?;
                let detail = json!({ "text": text });
                tx.audit(now, &actor, "incident.note", &id.to_string(), &detail)?;
                Ok(Ok(entry))
            })
            .await?;
        self.bus.publish(Event::Incident(id));
        Ok(entry)
    }

    /// Folds one incident into another.
    ///
    /// # Errors
    /// The role does not allow it, or one of them is over or does not exist.
    pub async fn merge(
        &self,
        actor: &Actor,
        (from, into): (IncidentId, IncidentId),
        reason: &str,
    ) -> Result<Incident, Problem> {
        need(actor, Role::Responder, "merge incidents")?;
        let (actor, now) = (actor.clone(), self.clock.now());
        let reason = words(reason, "the same fault");
        let whole = self
            .transact(move |tx| {
                let both = (tx.get::<Incident>(from)?, tx.get::<Incident>(into)?);
                let (Some(a), Some(b)) = both else { return Ok(Err(gone())) };
                let merged = match machine::merge(&a, &b, &actor, now, &reason) {
                    Ok(merged) => merged,
                    Err(refused) => return Ok(Err(refused)),
                };
                Lessons::teach(tx, (&a.alerts, &b.alerts), Deed::Merge, now)?;
                move_alerts(tx, &a.alerts, into)?;
                tx.put(&merged.from)?;
                tx.put(&merged.into)?;
                merged.entries.iter().try_for_each(|e| tx.put(e))?;
                let detail = json!({ "into": into.to_string(), "reason": reason });
                tx.audit(now, &actor, "incident.merge", &from.to_string(), &detail)?;
                Ok(Ok(merged.into))
            })
            .await?;
        self.bus.publish(Event::Incident(from));
        self.bus.publish(Event::Incident(into));
        Ok(whole)
    }

    /// Takes alerts out of an incident into one of their own.
    ///
    /// # Errors
    /// The role does not allow it, an alert is not in it, or nothing would be left.
    pub async fn split(
        &self,
        actor: &Actor,
        id: IncidentId,
        alerts: Vec<AlertId>,
        reason: &str,
    ) -> Result<Incident, Problem> {
        need(actor, Role::Responder, "split an incident")?;
        let (actor, now) = (actor.clone(), self.clock.now());
        let reason = words(reason, "another fault");
        let new = self
            .transact(move |tx| {
                let Some(incident) = tx.get::<Incident>(id)? else { return Ok(Err(gone())) };
                let mut parts = match machine::split(&incident, &alerts, &actor, now, &reason) {
                    Ok(parts) => parts,
                    Err(refused) => return Ok(Err(refused)),
                };
                parts.new.number = tx.next_number("incident")?;
                Lessons::teach(tx, (&parts.rest.alerts, &alerts), Deed::Split, now)?;
                move_alerts(tx, &alerts, parts.new.id)?;
                tx.put(&parts.rest)?;
                tx.put(&parts.new)?;
                parts.entries.iter().try_for_each(|e| tx.put(e))?;
                let detail = json!({ "new": parts.new.id.to_string(), "reason": reason });
                tx.audit(now, &actor, "incident.split", &id.to_string(), &detail)?;
                Ok(Ok(parts.new))
            })
            .await?;
        self.bus.publish(Event::Incident(id));
        self.bus.publish(Event::Incident(new.id));
        Ok(new)
    }
}

fn move_alerts(tx: &Tx<'_>, ids: &[AlertId], to: IncidentId) -> Result<(), Fault> {
    for id in ids {
        if let Some(mut alert) = tx.get::<Alert>(*id)? {
            alert.incident = Some(to);
            tx.put(&alert)?;
        }
    }
    Ok(())
}

pub(super) fn gone() -> Refused {
    Refused::NotFound("This incident does not exist; look at the list for the right one.".into())
}

/// The person's words, or what stands for silence.
pub(super) fn words(given: &str, silence: &str) -> String {
    let given = said(given, MOST_CHARS);
    if given.is_empty() { silence.to_owned() } else { given }
}
