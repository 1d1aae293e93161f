//! The running of notification: what changed in the store is wanted on every chat platform.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::card::{Facts, incident_card};
use super::morning::{Held, QUIET};
use super::news::{Delta, Heart, deltas, urgency};
use super::pace::{Pace, WINDOW_MS, waits};
use super::rooms;
use crate::bus::{Bus, Event};
use crate::chat::room::RoomState;
use crate::chat::{Card, Chat, Content, Post, Room, RoomPolicy, Routing, Within};
use crate::model::alert::Suppression;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{
    Actor, Alert, Diagnosis, EntryId, EntryKind, Fault, Incident, IncidentId, IncidentState,
    Prediction, Proposal, Run, SharedClock, Time, TimelineEntry,
};
use crate::stage::Stage;
use crate::store::{Filter, Rows, Store, Tx};

/// How many of the newest incidents are looked at beside all that are active.
const NEWEST: usize = 200;
/// An incident that was over for so long (ms of event time) is not begun on a platform where it
/// never stood, such as one that was connected today.
const PAST_MS: i64 = HOUR_MS;

/// A platform as this stage sees it: it can't send anything there.
#[derive(Clone, Debug)]
pub struct Platform {
    /// [`Chat::platform`].
    pub name: String,
    /// Which channels.
    pub routing: Routing,
    /// [`Limits::charts_as_files`](crate::chat::Limits::charts_as_files).
    pub charts_as_files: bool,
    /// [`Chat::rooms`].
    pub rooms: RoomPolicy,
}

impl Platform {
    /// That of an adapter.
    #[must_use]
    pub fn of(chat: &dyn Chat, routing: Routing) -> Self {
        let charts_as_files = chat.limits().charts_as_files;
        Self { name: chat.platform().to_owned(), routing, charts_as_files, rooms: chat.rooms() }
    }
}

/// The platform that wakes nobody: what is told there never waits.
pub(super) const CONSOLE: &str = "console";

/// The notify stage.
pub struct Notify {
    store: Store,
    bus: Bus,
    clock: SharedClock,
    platforms: Vec<Platform>,
    /// When new incidents are told.
    pace: Pace,
    /// Where people reach the console.
    console: Option<String>,
    /// What was wanted last for each incident. Only saves work: after a start everything is wanted
    /// again under the same keys, which changes nothing.
    told: BTreeMap<IncidentId, Told>,
    /// When quiet hours end next that hold something back: nothing is summed up before.
    ends: Time,
    /// Those that wait to be told though no quiet hours hold them any more. One that ended long ago is
    /// looked at by nothing else, so it stays here until telling it succeeds.
    owed: BTreeSet<IncidentId>,
}

struct Told {
    stamp: Stamp,
    /// When the card changes by itself: an offer expires.
    until: Option<Time>,
    heart: Heart,
    entries: BTreeSet<EntryId>,
}

/// What differs whenever anything of an incident's card or thread may have changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stamp {
    incident: Incident,
    records: [(u64, u64); 6],
}

impl Stamp {
    pub(super) fn of(rows: &Rows<'_>, incident: &Incident) -> Result<Self, Fault> {
        let id = incident.id;
        let records = [
            rows.stamp::<Alert>(id)?,
            rows.stamp::<Diagnosis>(id)?,
            rows.stamp::<Proposal>(id)?,
            rows.stamp::<Run>(id)?,
            rows.stamp::<TimelineEntry>(id)?,
            rows.stamp::<Prediction>(id)?,
        ];
        Ok(Self { incident: incident.clone(), records })
    }
}

impl Notify {
    /// The stage over a store and the platforms to tell.
    #[must_use]
    pub fn new(store: Store, bus: Bus, clock: SharedClock, platforms: Vec<Platform>) -> Self {
        let (pace, console, told) = (Pace::default(), None, BTreeMap::new());
        let (ends, owed) = (Time::MIN, BTreeSet::new());
        Self { store, bus, clock, platforms, pace, console, told, ends, owed }
    }

    /// The same, with quiet hours and a limit.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The same, with cards that lead to the console at this address.
    #[must_use]
    pub fn with_console(self, address: Option<&str>) -> Self {
        let console = address.map(|url| url.trim_end_matches('/').to_owned());
        Self { console, ..self }
    }

    fn card(&self, facts: &Facts, now: Time) -> Card {
        let url = self.console.as_ref().map(|at| format!("{at}/#/incidents/{}", facts.incident.id));
        Card { url, ..incident_card(facts, now) }
    }

    /// Wants an incident's card and thread on every platform, in one transaction.
    async fn tell(&mut self, id: IncidentId, now: Time) -> Result<(), Fault> {
        let known = self.told.get(&id);
        let stamp = known.filter(|t| t.until.is_none_or(|at| now < at)).map(|t| t.stamp.clone());
        let told: BTreeSet<EntryId> = known.map(|t| t.entries.clone()).unwrap_or_default();
        let read = self.store.read(move |r| read(r, id, stamp.as_ref(), &told)).await?;
        let Found { facts, stamp, fresh, deltas } = match read {
            Read::New(found) => *found,
            Read::Same => return Ok(()),
            Read::Gone => {
                self.owed.remove(&id);
                self.told.remove(&id);
                return Ok(());
            }
        };
        let heart = Heart::of(&facts, now);
        let wanted = Wanted {
            is_past: !facts.incident.state.is_active()
                && facts.incident.updated_at < now.plus_ms(-PAST_MS),
            changed: known.is_none_or(|t| t.heart != heart),
            decidable: heart.is_decidable(),
            card: Content::card(self.card(&facts, now)),
            platforms: self.platforms.clone(),
            pace: self.pace.clone(),
            deltas,
            incident: facts.incident,
            now,
        };
        let (n_wanted, untold) = self.store.write(move |tx| wanted.put(tx)).await?;
        let again = untold.as_ref().and_then(|why| why.until);
        let is_quiet = untold.as_ref().is_some_and(|why| why.by.starts_with(QUIET));
        if let Some(ends) = again.filter(|_| is_quiet) {
            self.ends = self.ends.min(ends);
        }
        if untold.is_some() && !is_quiet {
            self.owed.insert(id);
        } else {
            self.owed.remove(&id);
        }
        // What waits is looked at again when it may be told.
        let until = heart.until().into_iter().chain(again).min();
        if n_wanted > 0 {
            metrics::counter!("nightjar_notify_wanted_total").increment(n_wanted);
            self.bus.publish(Event::Outbox);
        }
        let empty =
            || Told { stamp: stamp.clone(), until, heart: heart.clone(), entries: BTreeSet::new() };
        let told = self.told.entry(id).or_insert_with(empty);
        (told.stamp, told.until, told.heart) = (stamp, until, heart);
        told.entries.extend(fresh);
        Ok(())
    }

    /// Sums up what quiet hours held back, once they are over and before any of it is told.
    async fn sum_up(&mut self, now: Time) -> Result<(), Fault> {
        if now < self.ends {
            return Ok(());
        }
        let (pace, platforms) = (self.pace.clone(), self.platforms.clone());
        let console = self.console.clone();
        let held = self.store.read(move |r| Held::read(r, &pace, now)).await?;
        let (next, over) = (held.next.unwrap_or(Time::MAX), held.over());
        if !over.is_empty() {
            let want = move |tx: &Tx<'_>| held.want(tx, &platforms, console.as_deref(), now);
            let n_wanted = self.store.write(want).await?;
            if n_wanted > 0 {
                metrics::counter!("nightjar_notify_wanted_total").increment(n_wanted);
                self.bus.publish(Event::Outbox);
            }
        }
        self.owed.extend(over);
        self.ends = next;
        Ok(())
    }

    async fn incident_of(&self, event: Event) -> Result<Option<IncidentId>, Fault> {
        match event {
            Event::Incident(id) | Event::Diagnosis(id) => Ok(Some(id)),
            Event::Proposal(id) => {
                let found = self.store.read(move |r| r.get::<Proposal>(id)).await?;
                Ok(found.map(|p| p.incident))
            }
            Event::Run(id) => {
                let found = self.store.read(move |r| r.get::<Run>(id)).await?;
                Ok(found.map(|r| r.incident))
            }
            _ => Ok(None),
        }
    }
}

/// Whether there is news of an incident.
enum Read {
    /// It is not there any more.
    Gone,
    /// All is as it was told.
    Same,
    /// There is.
    New(Box<Found>),
}

/// What the store has of an incident.
struct Found {
    facts: Facts,
    stamp: Stamp,
    /// Entries that were not wanted yet since the start, the oldest first.
    fresh: Vec<EntryId>,
    /// What a thread says of them.
    deltas: Vec<Delta>,
}

/// What is to stand of one incident.
struct Wanted {
    incident: Incident,
    card: Content,
    deltas: Vec<Delta>,
    platforms: Vec<Platform>,
    changed: bool,
    decidable: bool,
    is_past: bool,
    pace: Pace,
    now: Time,
}

impl Wanted {
    /// Wants all of it; says how many posts are new or changed, and why it waits where it does.
    fn put(self, tx: &Tx<'_>) -> Result<(u64, Option<Suppression>), Fault> {
        let id = self.incident.id;
        let key = card_key(id);
        let (mut n, mut untold, mut lapsed) = (0, None, false);
        for platform in &self.platforms {
            let name = platform.name.as_str();
            let before = tx.get::<Post>(Post::row(name, &key))?;
            if before.is_none() && name != CONSOLE {
                let why = self.waits(tx, name)?;
                // What quiet hours held is over meanwhile: their summary tells of it.
                let is_held = || {
                    let held = self.incident.untold.as_ref().filter(|h| h.by.starts_with(QUIET));
                    held.is_some() && why.as_ref().is_some_and(|w| w.by.starts_with(QUIET))
                };
                if self.is_past && !is_held() {
                    lapsed = true;
                    continue;
                }
                if let Some(why) = why {
                    untold = Some(why);
                    continue;
                }
            }
            if before.is_none() && self.is_past {
                continue;
            }
            // Where its card is to stand is where it stays, whatever the routes say today.
            let channel = before
                .as_ref()
                .map_or_else(|| platform.routing.channel_of(&self.incident), |p| &p.channel)
                .to_owned();
            let card =
                Post::new(&key, (name, &channel), Within::Channel, self.card.clone(), self.now);
            let urgency = urgency(before.is_none(), self.changed, self.decidable);
            n += u64::from(Post { urgency, incident: Some(id), ..card }.want(tx)?);
            n += self.room(tx, platform)?;
            for delta in &self.deltas {
                let (at, text) = ((name, channel.as_str()), Content::text(&delta.text));
                let within = Within::Post(key.clone());
                let post = Post::new(format!("{id}/{}", delta.name), at, within, text, self.now);
                let broadcast = delta.is_important;
                let post = Post { broadcast, incident: Some(id), ..post };
                n += u64::from(post.want(tx)?);
            }
        }
        self.note(tx, untold.clone(), lapsed)?;
        Ok((n, untold))
    }

    /// Why the first message of the incident waits on a platform, if it does.
    fn waits(&self, tx: &Tx<'_>, platform: &str) -> Result<Option<Suppression>, Fault> {
        let n_told = if self.pace.per_hour > 0 {
            let late = Filter::parent(platform).since(self.now.plus_ms(-WINDOW_MS));
            let is_new = |p: &Post| p.key.ends_with("/card") && self.now.ms_since(p.at) < WINDOW_MS;
            tx.list::<Post>(&late)?.iter().filter(|p| is_new(p)).count() as u32
        } else {
            0
        };
        Ok(waits(&self.pace, &self.incident, n_told, self.now))
    }

    /// Writes down that the incident waits to be told, or no longer does: it is told, or was over before
    /// it could be, and `lapsed`.
    fn note(&self, tx: &Tx<'_>, untold: Option<Suppression>, lapsed: bool) -> Result<(), Fault> {
        let by = |why: &Option<Suppression>| why.as_ref().map(|w| w.by.clone());
        let Some(stored) = tx.get::<Incident>(self.incident.id)? else { return Ok(()) };
        if by(&stored.untold) == by(&untold) {
            // The same rule with other words, or a time that has passed: shown as it is now, and
            // not told anew.
            let stands = match (&stored.untold, &untold) {
                (Some(old), Some(new)) => {
                    old.reason == new.reason && old.until.is_none_or(|until| until > self.now)
                }
                _ => true,
            };
            return if stands { Ok(()) } else { tx.put(&Incident { untold, ..stored }) };
        }
        let (id, bot) = (stored.id, Actor::nightjar());
        let (what, text) = match &untold {
            Some(why) => ("incident.hold", why.reason.clone()),
            None if lapsed && Held::is_summed_up(&stored, self.now) => (
                "incident.lapse",
                "Told in chats only in the summary of the quiet hours: it was over for an hour when \
                 they ended. It stands in the console."
                    .to_owned(),
            ),
            None if lapsed => (
                "incident.lapse",
                "Not told in chats where it was not yet: it was over for an hour by the time that \
                 nothing held it back any more. It stands in the console."
                    .to_owned(),
            ),
            None => ("incident.tell", "Told in chats: nothing holds it back any more.".to_owned()),
        };
        tx.audit(self.now, &bot, what, &id.to_string(), &json!({ "text": text }))?;
        let entry = TimelineEntry::by_bot(id, self.now, EntryKind::State, text, None);
        tx.put_new(&entry)?;
        tx.put(&Incident { untold, ..stored })
    }
}

impl Wanted {
    /// Wants the room of the incident, and in it what is told there.
    fn room(&self, tx: &Tx<'_>, platform: &Platform) -> Result<u64, Fault> {
        let (policy, name, id) = (&platform.rooms, platform.name.as_str(), self.incident.id);
        let before = tx.get::<Room>(Room::row(name, id))?;
        let begins =
            policy.severities.contains(&self.incident.severity) && self.incident.state.is_active();
        let Content::Card { card } = &self.card else { return Ok(0) };
        if before.is_none() && !begins {
            return Ok(0);
        }
        let room = rooms::room(&self.incident, card, name, self.now);
        let mut n = u64::from(room.want(tx)?);
        let stands = before.filter(|r| policy.is_channel && r.state != RoomState::Closed);
        let Some(channel) = stands.and_then(|r| r.channel) else { return Ok(n) };
        let told = rooms::card(id, (name, &channel), self.card.clone(), self.now);
        n += u64::from(told.want(tx)?);
        for delta in self.deltas.iter().filter(|d| d.is_important) {
            let (at, text) = ((name, channel.as_str()), Content::text(&delta.text));
            let key = format!("{id}/{}/room", delta.name);
            let post = Post::new(key, at, Within::Channel, text, self.now);
            n += u64::from(Post { incident: Some(id), ..post }.want(tx)?);
        }
        Ok(n)
    }
}

/// The key of an incident's card: it names the message for good.
pub(super) fn card_key(id: IncidentId) -> String {
    format!("{id}/card")
}

/// `None` where there is no such incident, or nothing differs from `known`.
fn read(
    rows: &Rows<'_>,
    id: IncidentId,
    known: Option<&Stamp>,
    told: &BTreeSet<EntryId>,
) -> Result<Read, Fault> {
    let Some(incident) = rows.get::<Incident>(id)? else { return Ok(Read::Gone) };
    let stamp = Stamp::of(rows, &incident)?;
    if known == Some(&stamp) {
        return Ok(Read::Same);
    }
    let own = Filter::parent(id);
    let facts = Facts {
        alerts: rows.list::<Alert>(&own)?,
        diagnosis: rows.get::<Diagnosis>(id)?,
        proposals: rows.list::<Proposal>(&own)?,
        runs: rows.list::<Run>(&own)?,
        predicted: rows.live_prediction(id)?,
        incident,
    };
    let story = rows.list::<TimelineEntry>(&own)?;
    let deltas = deltas(&facts, &story, told);
    let fresh = story.iter().map(|e| e.id).filter(|id| !told.contains(id)).collect();
    Ok(Read::New(Box::new(Found { facts, stamp, fresh, deltas })))
}

/// The incidents that are looked at: all that are active, and the newest that changed lately.
pub(super) fn due(rows: &Rows<'_>, now: Time) -> Result<Vec<IncidentId>, Fault> {
    let since = now.plus_ms(-2 * DAY_MS);
    let active = IncidentState::ACTIVE.map(IncidentState::as_str);
    let mut due = rows.list::<Incident>(&Filter::states(active))?;
    let newest = rows.list::<Incident>(&Filter::all().newest(NEWEST))?;
    due.extend(newest.into_iter().filter(|i| !i.state.is_active() && i.updated_at > since));
    Ok(due.into_iter().map(|i| i.id).collect())
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
        let now = self.clock.now();
        // A summary that can't be written holds up nobody who must be told.
        let mut failed = self.sum_up(now).await.err();
        let mut ids = self.store.read(move |r| due(r, now)).await?;
        let mut looked_at: BTreeSet<IncidentId> = ids.iter().copied().collect();
        ids.extend(self.owed.iter().filter(|id| looked_at.insert(**id)));
        self.told.retain(|id, _| looked_at.contains(id));
        for id in ids {
            failed = self.tell(id, now).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        let Some(id) = self.incident_of(event).await? else { return Ok(()) };
        let now = self.clock.now();
        let summed = self.sum_up(now).await;
        self.tell(id, now).await?;
        // The others whose hours are over are told by the next sweep.
        summed
    }
}
