//! The running of notification: what changed in the store is written to every chat platform.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Config;
use super::card::{Facts, incident_card};
use crate::bus::Event;
use crate::chat::{Chat, Content, Draft, Message, Place, console};
use crate::model::time::DAY_MS;
use crate::model::{
    Alert, Diagnosis, EntryId, Fault, Incident, IncidentId, Proposal, Run, SharedClock, Time,
    TimelineEntry,
};
use crate::stage::Stage;
use crate::store::{Filter, Reader, Rows};

/// Thread entries written for one incident in one round; the rest follows in the next.
const ROUND: usize = 100;

/// The notify stage.
pub struct Notify {
    config: Config,
    reader: Reader,
    clock: SharedClock,
    chats: Vec<Arc<dyn Chat>>,
    /// What each incident's card said last and where, and the newest thread entry written. Only
    /// saves work: after a start everything is written again under the same keys, which changes
    /// nothing.
    told: BTreeMap<IncidentId, Told>,
}

#[derive(Default)]
struct Told {
    card: Option<Content>,
    channel: String,
    /// One for each platform; `None` where it could not be told.
    places: Vec<Option<Place>>,
    entries: BTreeSet<EntryId>,
}

impl Notify {
    /// The stage over a store's reader and the platforms to tell.
    #[must_use]
    pub fn new(
        config: Config,
        reader: Reader,
        clock: SharedClock,
        chats: Vec<Arc<dyn Chat>>,
    ) -> Self {
        Self { config, reader, clock, chats, told: BTreeMap::new() }
    }

    /// Tells every platform. One that fails is told again at the next sweep and keeps nobody else
    /// waiting.
    ///
    /// # Errors
    /// The store failed, or the last fault of a platform after all others were told.
    async fn tell(&mut self, id: IncidentId) -> Result<(), Fault> {
        let read = self.reader.read(move |r| read(r, id)).await?;
        let Some(Found { facts, entries, channel }) = read else { return Ok(()) };
        let now = self.clock.now();
        let told = self.told.entry(id).or_default();
        if told.channel.is_empty() {
            // Where its card stands already is where it stays, whatever the routes say today.
            let routed = || self.config.channel_of(&facts.incident).to_owned();
            told.channel = channel.unwrap_or_else(routed);
        }
        let mut failed = None;
        let card = Content::card(incident_card(&facts, now));
        if told.card.as_ref() != Some(&card) {
            let mut places = Vec::new();
            for chat in &self.chats {
                let draft = Draft::new(card_key(id), told.channel.clone(), card.clone());
                let draft = Draft { incident: Some(id), ..draft };
                let place = chat.post(draft).await;
                places.push(place.map_err(|e| failed = Some(late(chat.platform(), e))).ok());
            }
            (told.card, told.places) = (failed.is_none().then_some(card), places);
            metrics::counter!("nightjar_notify_cards_total").increment(1);
        }
        let due: Vec<_> =
            entries.iter().filter(|e| !told.entries.contains(&e.id)).take(ROUND).collect();
        for entry in due {
            let mut everywhere = true;
            for (chat, place) in self.chats.iter().zip(&told.places) {
                let Some(place) = place.clone() else {
                    everywhere = false;
                    continue;
                };
                let text = format!("{} UTC {}", entry.at.clock_text(), entry.text);
                let key = format!("{id}/{}", entry.id);
                let draft = Draft::new(key, place.channel.clone(), Content::text(text));
                let draft = Draft { thread: Some(place), incident: Some(id), ..draft };
                let said = chat.post(draft).await;
                if let Err(e) = said {
                    (everywhere, failed) = (false, Some(late(chat.platform(), e)));
                }
            }
            if everywhere {
                told.entries.insert(entry.id);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn incident_of(&self, event: Event) -> Result<Option<IncidentId>, Fault> {
        match event {
            Event::Incident(id) | Event::Diagnosis(id) => Ok(Some(id)),
            Event::Proposal(id) => {
                let found = self.reader.read(move |r| r.get::<Proposal>(id)).await?;
                Ok(found.map(|p| p.incident))
            }
            Event::Run(id) => {
                let found = self.reader.read(move |r| r.get::<Run>(id)).await?;
                Ok(found.map(|r| r.incident))
            }
            _ => Ok(None),
        }
    }
}

/// What the store has of an incident.
struct Found {
    facts: Facts,
    entries: Vec<TimelineEntry>,
    /// Where its card stands, once it was told.
    channel: Option<String>,
}

/// The key of an incident's card: it names the message for good.
fn card_key(id: IncidentId) -> String {
    format!("{id}/card")
}

fn late(platform: &str, fault: Fault) -> Fault {
    metrics::counter!("nightjar_notify_failed_total", "platform" => platform.to_owned())
        .increment(1);
    fault
}

fn read(rows: &Rows<'_>, id: IncidentId) -> Result<Option<Found>, Fault> {
    let Some(incident) = rows.get::<Incident>(id)? else { return Ok(None) };
    let own = Filter::parent(id);
    let facts = Facts {
        alerts: rows.list::<Alert>(&own)?,
        diagnosis: rows.get::<Diagnosis>(id)?,
        proposals: rows.list::<Proposal>(&own)?,
        runs: rows.list::<Run>(&own)?,
        incident,
    };
    let card = rows.get::<Message>(console::message_id(&card_key(id)))?;
    let (entries, channel) = (rows.list::<TimelineEntry>(&own)?, card.map(|m| m.channel));
    Ok(Some(Found { facts, entries, channel }))
}

impl Stage for Notify {
    const NAME: &'static str = "notify";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        matches!(
            event,
            Event::Incident(_) | Event::Diagnosis(_) | Event::Proposal(_) | Event::Run(_)
        )
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        let since = Time::from_ms((self.clock.now().ms() - 2 * DAY_MS).max(0));
        let ids = self
            .reader
            .read(move |r| {
                let all = r.list::<Incident>(&Filter::all().newest(200))?;
                let due = all.into_iter().filter(|i| i.state.is_active() || i.updated_at > since);
                Ok(due.map(|i| i.id).collect::<Vec<_>>())
            })
            .await?;
        self.told.retain(|id, _| ids.contains(id));
        let mut failed = None;
        for id in ids {
            failed = self.tell(id).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        match self.incident_of(event).await? {
            Some(id) => self.tell(id).await,
            None => Ok(()),
        }
    }
}
