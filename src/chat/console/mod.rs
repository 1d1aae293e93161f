//! The web console as a chat platform: messages are records, and a doorbell rings for each.
//!
//! A message's id is derived from its key, so that posting the same key twice, also across a
//! crash, gives one message.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{
    Address, Channel, Chat, Content, Draft, File, Limits, Message, Place, Routing, StoredFile,
};
use crate::bus::{Bus, Event};
use crate::model::{Actor, Fault, MessageId, SharedClock, Time};
use crate::store::{Store, Tx};

/// The channel that is always there.
pub const DEFAULT_CHANNEL: &str = "incidents";

/// The console. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    store: Store,
    bus: Bus,
    clock: SharedClock,
}

impl Console {
    /// A console over the store.
    #[must_use]
    pub fn new(store: Store, bus: Bus, clock: SharedClock) -> Self {
        Self { store, bus, clock }
    }

    /// Makes a channel unless it is there; its topic becomes this one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn ensure_channel(&self, name: &str, topic: &str) -> Result<(), Fault> {
        let made = Channel { name: name.into(), topic: topic.into(), at: self.clock.now() };
        let write = move |tx: &Tx<'_>| {
            let at = tx.get::<Channel>(&made.name)?.map_or(made.at, |before| before.at);
            tx.put(&Channel { at, ..made })
        };
        self.store.write(write).await
    }

    /// Makes every channel that incidents are told in.
    ///
    /// # Errors
    /// The store failed.
    pub async fn ensure_channels(&self, routing: &Routing) -> Result<(), Fault> {
        for (name, topic) in routing.channels() {
            self.ensure_channel(name, &topic).await?;
        }
        Ok(())
    }

    /// Writes what a person said. The same `key` (chosen by their browser) writes it once.
    ///
    /// # Errors
    /// The store failed.
    pub async fn say(
        &self,
        actor: &Actor,
        channel: &str,
        thread: Option<MessageId>,
        text: &str,
        key: &str,
    ) -> Result<Message, Fault> {
        let message = Message {
            id: message_id(&format!("said:{}:{}:{key}", actor.via, actor.id)),
            channel: channel.to_owned(),
            thread,
            content: Content::text(text),
            author: actor.clone(),
            at: self.clock.now(),
            edited_at: None,
            ephemeral_to: None,
            incident: None,
        };
        let stored = self
            .store
            .write(move |tx| {
                let incident = match message.thread {
                    Some(root) => tx.get::<Message>(root)?.and_then(|m| m.incident),
                    None => None,
                };
                let message = Message { incident, ..message };
                if tx.put_new(&message)? {
                    return Ok(message);
                }
                Ok(tx.get::<Message>(message.id)?.unwrap_or(message))
            })
            .await?;
        self.bus.publish(Event::Message(stored.id));
        Ok(stored)
    }

    async fn write(&self, draft: Draft, ephemeral_to: Option<String>) -> Result<Place, Fault> {
        let id = message_id(&draft.key);
        let place = Place {
            platform: "console".into(),
            channel: draft.channel.clone(),
            message: id.to_string(),
        };
        let thread = draft.thread.as_ref().map(console_id).transpose()?;
        let now = self.clock.now();
        let changed = self
            .store
            .write(move |tx| {
                let channel = draft.channel.clone();
                tx.put_new(&Channel { name: channel, topic: String::new(), at: now })?;
                // A reply to a reply stands in the same thread.
                let root = match thread {
                    Some(t) => tx.get::<Message>(t)?.and_then(|m| m.thread).or(Some(t)),
                    None => None,
                };
                let before = tx.get::<Message>(id)?;
                if before.as_ref().is_some_and(|m| m.content == draft.content) {
                    return Ok(false);
                }
                tx.put(&Message {
                    id,
                    channel: draft.channel,
                    thread: root,
                    content: draft.content,
                    author: Actor::nightjar(),
                    at: before.as_ref().map_or(now, |m| m.at),
                    edited_at: before.map(|_| now),
                    ephemeral_to,
                    incident: draft.incident,
                })?;
                Ok(true)
            })
            .await?;
        if changed {
            self.bus.publish(Event::Message(id));
        }
        Ok(place)
    }
}

/// The id of the message with this key. Its time part is fixed: the key alone tells it.
#[must_use]
pub fn message_id(key: &str) -> MessageId {
    MessageId::derive(Time::MIN, &["console", key])
}

fn console_id(place: &Place) -> Result<MessageId, Fault> {
    place.message.parse().map_err(|e| Fault::permanent("a message of another platform", e))
}

impl Chat for Console {
    fn platform(&self) -> &'static str {
        "console"
    }

    fn limits(&self) -> Limits {
        Limits {
            text: 20_000,
            card: 60_000,
            answer: usize::MAX,
            section: 20_000,
            buttons: 25,
            label: 80,
            form_title: 80,
            file_bytes: 4 << 20,
            every_ms: 0,
            edits_a_minute: 0,
            edits_by_channel: true,
            charts_as_files: false,
        }
    }

    fn post(&self, draft: Draft) -> BoxFuture<'_, Result<Place, Fault>> {
        self.write(draft, None).boxed()
    }

    fn ephemeral(&self, to: Address, content: Content) -> BoxFuture<'_, Result<(), Fault>> {
        async move {
            let key = format!("ephemeral:{}", MessageId::random(self.clock.now()));
            let (platform, channel) = (self.platform().to_owned(), to.channel.clone());
            let thread = to.thread.map(|message| Place { platform, channel, message });
            let draft = Draft { thread, ..Draft::new(key, to.channel, content) };
            self.write(draft, Some(format!("{}:{}", to.actor.via, to.actor.id))).await.map(|_| ())
        }
        .boxed()
    }

    fn upload(&self, file: File) -> BoxFuture<'_, Result<Place, Fault>> {
        async move {
            let now = self.clock.now();
            let stored = StoredFile::new(&file.key, &file.media_type, &file.bytes, now);
            self.store.write(move |tx| tx.put(&stored)).await?;
            let content = Content::File {
                name: file.name,
                media_type: file.media_type,
                alt: file.alt,
                file: file.key.clone(),
            };
            let (key, channel, thread) = (file.key, file.channel, file.thread);
            self.write(Draft { thread, ..Draft::new(key, channel, content) }, None).await
        }
        .boxed()
    }
}
