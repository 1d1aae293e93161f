//! The running of rooms: each platform is brought to the rooms that are wanted there.
//!
//! Takes [`Room`]s that are due; hears `Outbox` and looks by itself every few seconds; rings
//! `Outbox` for the card that a new channel gets. Guarantees: a room is kept once, whatever is
//! tried twice, because the row is marked after the call and the adapter looks before it sets; one
//! that a platform refuses is said in the incident's thread and tried again when it changes; the
//! delivery of messages waits for none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::stage::card_key;
use crate::bus::{Bus, Event};
use crate::chat::room::{Keep, Kept, RoomState};
use crate::chat::{Card, Chat, Content, Post, PostState, Room, Urgency, Within};
use crate::model::{Fault, Incident, IncidentId, Severity, SharedClock, Time};
use crate::stage::Stage;
use crate::store::{Filter, Record as _, Rows, Store, Tx};

/// Rooms of one platform that are kept in one round.
const ROUND: usize = 20;
/// How long a platform may take for one room.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long (ms of event time) the card in a channel must have stood before that is closed: what
/// else the end brings, such as the last chart, is wanted by then.
const LINGER_MS: i64 = 10_000;
/// How long a room rests after a failure, at first and at most.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(120));

/// The rooms stage.
pub struct Rooms {
    store: Store,
    bus: Bus,
    clock: SharedClock,
    chats: Vec<Arc<dyn Chat>>,
    /// Rooms that rest: since how many failures, and until when. Only spaces the calls out.
    resting: BTreeMap<String, (u32, Instant)>,
}

/// A room that can be kept now.
struct Due {
    chat: Arc<dyn Chat>,
    keep: Keep,
}

impl Rooms {
    /// The stage over a store and the platforms.
    #[must_use]
    pub fn new(store: Store, bus: Bus, clock: SharedClock, chats: Vec<Arc<dyn Chat>>) -> Self {
        let chats = chats.into_iter().filter(|c| !c.rooms().severities.is_empty()).collect();
        Self { store, bus, clock, chats, resting: BTreeMap::new() }
    }

    /// What is due on one platform and does not rest.
    async fn due(&self, chat: &Arc<dyn Chat>) -> Result<Vec<Due>, Fault> {
        let (platform, closes) = (chat.platform().to_owned(), chat.rooms().closes);
        let (now, wall) = (self.clock.now(), Instant::now());
        let resting = self.resting.iter().filter(|(_, rest)| rest.1 > wall);
        let resting: BTreeSet<String> = resting.map(|(row, _)| row.clone()).collect();
        let read = self.store.read(move |r| {
            let due = Filter::states([RoomState::Due.as_str()]);
            let due = Filter { parent: Some(platform.clone()), ..due };
            // What can't be kept now takes no place of what can.
            let due = r.list::<Room>(&due)?.into_iter().filter(|d| !resting.contains(&d.key()));
            let mut open = None;
            let mut found = Vec::new();
            for room in due {
                if found.len() >= ROUND {
                    break;
                }
                let of = |key: &str| r.get::<Post>(Post::row(&room.platform, key));
                // Before its card stands there is nothing to lead to.
                let Some(card) = of(&card_key(room.incident))?.and_then(|post| post.place) else {
                    continue;
                };
                let channel = room.channel.as_ref().filter(|_| closes && room.is_over);
                if let Some(channel) = channel {
                    // What is still to be said there goes first: a closed channel takes no edit.
                    let told = of(&room_key(room.incident))?;
                    if told.is_none_or(|p| !is_told(&p, now)) {
                        continue;
                    }
                    let open = match &mut open {
                        Some(open) => open,
                        none => none.insert(channels_in_line(r, &platform)?),
                    };
                    if open.contains(channel) {
                        continue;
                    }
                }
                let close = channel.is_some();
                found.push(Keep { room, card, close });
            }
            Ok(found)
        });
        let due = read.await?.into_iter();
        Ok(due.map(|keep| Due { chat: chat.clone(), keep }).collect())
    }

    async fn keep(&self, due: Due) -> (Keep, Result<Kept, Fault>) {
        let call = tokio::time::timeout(PATIENCE, due.chat.room(due.keep.clone())).await;
        let late = || Fault::Transient {
            context: format!("no answer from the platform within {} s", PATIENCE.as_secs()),
            after: None,
            source: None,
        };
        (due.keep, call.unwrap_or_else(|_| Err(late())))
    }

    async fn kept(&mut self, keep: Keep, answer: Result<Kept, Fault>) -> Result<(), Fault> {
        let (row, now) = (keep.room.key(), self.clock.now());
        let platform = keep.room.platform.clone();
        let outcome = match &answer {
            Ok(_) => "kept",
            Err(fault) if fault.is_transient() => "later",
            Err(_) => "refused",
        };
        metrics::counter!("nightjar_notify_rooms_total", "platform" => platform.clone(), "outcome" => outcome)
            .increment(1);
        if let Err(fault) = &answer {
            let error = fault.chain();
            tracing::warn!(platform, room = keep.room.name, error, "a room was not kept");
        }
        if let Err(Fault::Transient { after, .. }) = &answer {
            let (n, _) = self.resting.get(&row).copied().unwrap_or((0, Instant::now()));
            let doubled = REST.0.saturating_mul(1 << n.min(16)).min(REST.1);
            self.resting.insert(row, (n + 1, Instant::now() + after.unwrap_or(doubled)));
            return Ok(());
        }
        self.resting.remove(&row);
        if self.store.write(move |tx| mark(tx, &keep, answer, now)).await? {
            self.bus.publish(Event::Outbox);
        }
        Ok(())
    }
}

/// Whether the card in a channel says the end, and has for a while.
fn is_told(card: &Post, now: Time) -> bool {
    card.state == PostState::Sent && !card.dressed && now.ms_since(card.due_at) >= LINGER_MS
}

/// The channels in which something is still to be said.
fn channels_in_line(rows: &Rows<'_>, platform: &str) -> Result<BTreeSet<String>, Fault> {
    let open = [PostState::Waiting, PostState::Due, PostState::Trying];
    let open = Filter::states(open.into_iter().flat_map(Post::words));
    let open = Filter { parent: Some(platform.to_owned()), ..open };
    Ok(rows.list::<Post>(&open)?.into_iter().map(|post| post.channel).collect())
}

/// Keeps what came of it; says whether there is something new to tell.
fn mark(tx: &Tx<'_>, keep: &Keep, answer: Result<Kept, Fault>, now: Time) -> Result<bool, Fault> {
    let Some(room) = tx.get::<Room>(keep.room.key())? else { return Ok(false) };
    let newest = room.asks_the_same(&keep.room);
    let id = room.incident;
    let kept = match answer {
        Ok(kept) => kept,
        Err(fault) => {
            let state = if newest { RoomState::Refused } else { RoomState::Due };
            let first = room.error.is_none() && room.channel.is_none();
            tx.put(&Room { state, error: Some(fault.chain()), ..room })?;
            let text = format!("No channel of its own was opened for this incident: {fault}");
            let at = (keep.room.platform.as_str(), keep.card.channel.as_str());
            let within = Within::Post(card_key(id));
            let post =
                Post::new(format!("{id}/room-refused"), at, within, Content::text(text), now);
            return if first { Post { incident: Some(id), ..post }.want(tx) } else { Ok(false) };
        }
    };
    for why in &kept.lacks {
        tracing::warn!(platform = room.platform, room = room.name, why, "a room lacks something");
    }
    // Without a channel of its own there is nothing to be closed.
    let closed = keep.close && newest;
    let state = match (newest, closed) {
        (false, _) => RoomState::Due,
        (true, true) => RoomState::Closed,
        (true, false) => RoomState::Kept,
    };
    let error = (!kept.lacks.is_empty()).then(|| kept.lacks.join("; "));
    let is_new = room.channel.is_none() && kept.channel.is_some();
    // The channel has to hear that the incident is over before it is closed.
    let state = if is_new && room.is_over { RoomState::Due } else { state };
    let room = Room { state, error, is_settled: true, channel: kept.channel, ..room };
    tx.put(&room)?;
    let Some(channel) = room.channel.as_deref().filter(|_| is_new) else { return Ok(false) };
    let Some(told) = tx.get::<Post>(Post::row(&room.platform, &card_key(id)))? else {
        return Ok(false);
    };
    card(id, (&room.platform, channel), told.content, now).want(tx)
}

/// The key of the card in an incident's own channel.
pub(super) fn room_key(id: IncidentId) -> String {
    format!("{id}/room")
}

/// The card of an incident in its own channel.
pub(super) fn card(id: IncidentId, place: (&str, &str), card: Content, now: Time) -> Post {
    let post = Post::new(room_key(id), place, Within::Channel, card, now);
    Post { urgency: Urgency::Delta, incident: Some(id), ..post }
}

/// The room of an incident as it should be, by its card.
pub(super) fn room(incident: &Incident, card: &Card, platform: &str, now: Time) -> Room {
    let severity = match incident.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let owner = incident.owner.as_ref().map_or("nobody has it yet", |o| o.name.as_str());
    let state = incident.state.as_str();
    let sign = card.mark.sign();
    let cut = |text: String, most: usize| -> String { text.chars().take(most).collect() };
    Room {
        incident: incident.id,
        platform: platform.to_owned(),
        name: Room::named(incident.number, &incident.title, incident.id),
        title: cut(format!("{sign} {}", card.title), Room::MOST_TITLE),
        topic: cut(
            format!("{sign} {severity} · {state} · {owner} · {}", incident.title),
            Room::MOST_TOPIC,
        ),
        url: card.url.clone(),
        is_over: !incident.state.is_active(),
        channel: None,
        is_settled: false,
        state: RoomState::Due,
        error: None,
        at: now,
    }
}

impl Stage for Rooms {
    const NAME: &'static str = "rooms";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Outbox) && !self.chats.is_empty()
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        let mut due = Vec::new();
        for chat in &self.chats {
            due.extend(self.due(chat).await?);
        }
        // One that is slow keeps the others waiting for as long as a call may take at most.
        let answers = join_all(due.into_iter().map(|due| self.keep(due))).await;
        for (keep, answer) in answers {
            self.kept(keep, answer).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, _event: Event) -> Result<(), Fault> {
        self.sweep().await
    }
}
