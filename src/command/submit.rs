//! What the console and the API send: handled at once, with what came of it as the answer; what
//! was left when the process died is handled after its restart like everything else.

use std::collections::BTreeMap;

use super::carry::Done;
use super::{Clerk, Problem, heard, wish};
use crate::chat::console::{DEFAULT_CHANNEL, message_id};
use crate::chat::{Button, Inbound, Message, Said, Subject};
use crate::model::{Actor, Alert, Fault, IncidentId, MessageId, Proposal, Refused, Run};
use crate::store::Rows;

/// Longest key that a sender may choose, in bytes.
const MOST_KEY: usize = 200;

impl Clerk {
    /// Does what a button or form asks for and gives what came of it. The same `key` of the same
    /// person does it once; without a key each time is one of its own.
    ///
    /// # Errors
    /// They can't have it, or we failed: then it is handled later.
    pub async fn submit(
        &self,
        actor: &Actor,
        (code, values): (&str, BTreeMap<String, String>),
        key: &str,
    ) -> Result<Done, Problem> {
        let button = wish::button(code)?;
        if key.len() > MOST_KEY {
            let text = format!("The key is longer than {MOST_KEY} bytes; choose a shorter one.");
            return Err(Refused::Invalid(text).into());
        }
        let inbound = self.submission(actor, &button, (code, values, key)).await?;
        let Some(claim) = self.claim(&inbound.key) else { return Err(under_way().into()) };
        if !self.counter().keep(inbound.clone()).await? && !self.is_due(&inbound.key).await? {
            return Err(heard::again().into());
        }
        let Said::Submit { code, values } = &inbound.said else { return Err(under_way().into()) };
        let result = self.perform(&inbound, code, values).await;
        match &result {
            Ok(done) if done.tell && done.card.is_none() => {
                self.tell(&inbound, done.clone()).await?;
            }
            Ok(_) | Err(Problem::Refused(_)) => {
                self.finish(&inbound.key).await?;
            }
            Err(Problem::Fault(_)) => {}
        }
        drop(claim);
        result
    }

    pub(super) async fn submission(
        &self,
        actor: &Actor,
        button: &Button,
        (code, values, key): (&str, BTreeMap<String, String>, &str),
    ) -> Result<Inbound, Fault> {
        let subject = button.subject;
        let read = self.desk().store.read(move |r| {
            let Some(incident) = incident_of(r, subject)? else { return Ok(None) };
            Ok(Some((incident, channel_of(r, incident)?)))
        });
        let at = self.desk().clock.now();
        let (thread, channel) = match read.await? {
            Some((incident, channel)) => (Some(root(incident).to_string()), channel),
            None => (None, DEFAULT_CHANNEL.to_owned()),
        };
        let own = MessageId::random(at).to_string();
        let key = if key.is_empty() { own.as_str() } else { key };
        let inbound = Inbound {
            key: format!("console:form:{}:{}:{key}", actor.via, actor.id),
            platform: "console".into(),
            channel,
            thread,
            message: None,
            actor: actor.clone(),
            at,
            unresolved: false,
            trigger: None,
            said: Said::Submit { code: code.to_owned(), values },
        };
        Ok(self.counter().stamped(inbound))
    }

    /// A question that was written into an incident's thread in the console, as it is kept.
    #[must_use]
    pub fn question(&self, message: &Message, incident: IncidentId, text: &str) -> Inbound {
        let inbound = Inbound {
            key: format!("console:{}", message.id),
            platform: "console".into(),
            channel: message.channel.clone(),
            thread: Some(root(incident).to_string()),
            message: Some(message.id.to_string()),
            actor: message.author.clone(),
            at: message.at,
            unresolved: false,
            trigger: None,
            said: Said::Message { text: text.to_owned(), addressed: true },
        };
        self.counter().stamped(inbound)
    }
}

/// The message that an incident's thread hangs on; its card is posted under this key.
#[must_use]
pub fn root(incident: IncidentId) -> MessageId {
    message_id(&format!("{incident}/card"))
}

/// The console's channel in which an incident is told.
///
/// # Errors
/// The store failed.
pub fn channel_of(rows: &Rows<'_>, incident: IncidentId) -> Result<String, Fault> {
    let card = rows.get::<Message>(root(incident))?;
    Ok(card.map_or_else(|| DEFAULT_CHANNEL.to_owned(), |m| m.channel))
}

fn incident_of(rows: &Rows<'_>, subject: Subject) -> Result<Option<IncidentId>, Fault> {
    Ok(match subject {
        Subject::Incident(id) => Some(id),
        Subject::Alert(id) => rows.get::<Alert>(id)?.and_then(|a| a.incident),
        Subject::Proposal(id) => rows.get::<Proposal>(id)?.map(|p| p.incident),
        Subject::Run(id) => rows.get::<Run>(id)?.map(|r| r.incident),
        Subject::Silence(_) | Subject::Tuning(_) | Subject::Harmless(_) | Subject::Nothing => None,
    })
}

fn under_way() -> Refused {
    Refused::Conflict("This is being done at this moment; look at the incident.".into())
}
