//! A chat platform in memory that can be slow, down, hang, ask for pauses, refuse, and fail after
//! it has written; and a scratch world to deliver in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::t0;
use crate::bus::{Bus, Event};
use crate::chat::outbox::Standing;
use crate::chat::room::{Keep, Kept, RoomPolicy};
use crate::chat::{
    Address, Chat, Content, Draft, File, Limits, Place, Post, PostState, Urgency, Within,
};
use crate::model::clock::ManualClock;
use crate::model::{Fault, Severity};
use crate::notify::Deliver;
use crate::store::{Filter, Store};

/// How one call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It is taken.
    Up,
    /// Nothing is written, and it may pass.
    Down,
    /// It is written, and no answer comes back.
    LosesAnswer,
    /// No answer ever.
    Hangs,
    /// A pause is asked for.
    Pause(Duration),
    /// This message is refused for good.
    Refuses,
    /// It is looked for, and written a while after.
    Slow,
}

/// A message as it stands there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stands {
    pub(super) key: String,
    pub(super) channel: String,
    pub(super) thread: Option<String>,
    pub(super) text: String,
    pub(super) broadcast: bool,
    /// When it was written and last edited, since the platform began.
    pub(super) at: Duration,
    pub(super) n_edits: usize,
}

struct Inside {
    messages: BTreeMap<u64, Stands>,
    moods: VecDeque<Mood>,
    mood: Mood,
    n_calls: usize,
    knows_ids: bool,
    dressed: Vec<(String, bool)>,
    dress: Mood,
    stuck: BTreeSet<String>,
    kept: Vec<(String, bool)>,
    began: Instant,
}

/// The platform.
pub(super) struct Memory {
    name: &'static str,
    every_ms: u64,
    inside: Mutex<Inside>,
}

impl Memory {
    pub(super) fn new(name: &'static str, every_ms: u64) -> Arc<Self> {
        let inside = Inside {
            messages: BTreeMap::new(),
            moods: VecDeque::new(),
            mood: Mood::Up,
            n_calls: 0,
            knows_ids: false,
            dressed: Vec::new(),
            dress: Mood::Up,
            stuck: BTreeSet::new(),
            kept: Vec::new(),
            began: Instant::now(),
        };
        Arc::new(Self { name, every_ms, inside: Mutex::new(inside) })
    }

    /// How every call goes from now on.
    pub(super) fn set(&self, mood: Mood) {
        self.inside.lock().unwrap().mood = mood;
    }

    /// How the next calls go, before that.
    pub(super) fn next(&self, moods: &[Mood]) {
        self.inside.lock().unwrap().moods.extend(moods);
    }

    /// What stands there, in order of writing.
    pub(super) fn messages(&self) -> Vec<Stands> {
        self.inside.lock().unwrap().messages.values().cloned().collect()
    }

    /// What stands there in a few words: `key text`.
    pub(super) fn words(&self) -> Vec<String> {
        self.messages().iter().map(|m| format!("{} {}", m.key, m.text)).collect()
    }

    pub(super) fn n_calls(&self) -> usize {
        self.inside.lock().unwrap().n_calls
    }

    /// What was marked as the one to find, and unmarked, by message.
    pub(super) fn dressed(&self) -> Vec<(String, bool)> {
        self.inside.lock().unwrap().dressed.clone()
    }

    /// How every mark goes from now on.
    pub(super) fn set_dress(&self, mood: Mood) {
        self.inside.lock().unwrap().dress = mood;
    }

    /// The channel of this name can't be made for now.
    pub(super) fn stick(&self, name: &str) {
        self.inside.lock().unwrap().stuck.insert(name.into());
    }

    /// The channels that were kept and closed, by name.
    pub(super) fn kept(&self) -> Vec<(String, bool)> {
        self.inside.lock().unwrap().kept.clone()
    }

    /// The process that calls is another one, which does not know the channels by their ids yet.
    pub(super) fn restart(&self) {
        self.inside.lock().unwrap().knows_ids = false;
    }

    /// Somebody takes all messages away.
    pub(super) fn clear(&self) {
        self.inside.lock().unwrap().messages.clear();
    }

    async fn write(&self, message: Stands, place: Option<Place>, doubtful: bool) -> Answer {
        let (mood, called) = {
            let mut inside = self.inside.lock().unwrap();
            (inside.n_calls, inside.knows_ids) = (inside.n_calls + 1, true);
            (inside.moods.pop_front().unwrap_or(inside.mood), inside.began.elapsed())
        };
        // Pace is that of calls: how long each is on its way is not the caller's.
        let message = Stands { at: called, ..message };
        // On its way there.
        tokio::task::yield_now().await;
        match mood {
            Mood::Slow if doubtful && self.find(&message).is_none() => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                let channel = message.channel.clone();
                return Ok(self.place(&channel, self.new_message(message)));
            }
            Mood::Up | Mood::LosesAnswer | Mood::Slow => {}
            Mood::Down => return Err(Fault::transient("the platform", anyhow::anyhow!("503"))),
            Mood::Hangs => std::future::pending().await,
            Mood::Pause(after) => {
                let context = "too many requests".into();
                return Err(Fault::Transient { context, after: Some(after), source: None });
            }
            Mood::Refuses => return Err(Fault::because("no such channel")),
        }
        let (channel, written) = (message.channel.clone(), self.put(message, place, doubtful));
        // On its way back.
        tokio::task::yield_now().await;
        if mood == Mood::LosesAnswer {
            return Err(Fault::transient("the platform", anyhow::anyhow!("connection reset")));
        }
        Ok(self.place(&channel, written?))
    }

    fn place(&self, channel: &str, message: u64) -> Place {
        Place { platform: self.name.into(), channel: channel.into(), message: message.to_string() }
    }

    /// The message with this key in this channel.
    fn find(&self, sought: &Stands) -> Option<u64> {
        let inside = self.inside.lock().unwrap();
        let mut all = inside.messages.iter();
        all.find(|(_, m)| (&m.key, &m.channel) == (&sought.key, &sought.channel)).map(|(id, _)| *id)
    }

    fn new_message(&self, message: Stands) -> u64 {
        let mut inside = self.inside.lock().unwrap();
        let id = inside.messages.last_key_value().map_or(0, |(id, _)| id + 1);
        inside.messages.insert(id, message);
        id
    }

    fn put(&self, message: Stands, place: Option<Place>, doubtful: bool) -> Result<u64, Fault> {
        let found = match place {
            Some(place) => Some(place.message.parse().expect("a place of ours")),
            None if doubtful => self.find(&message),
            None => None,
        };
        let at = message.at;
        if let Some(id) = found {
            let mut inside = self.inside.lock().unwrap();
            let stands = inside.messages.get_mut(&id);
            let stands = stands.ok_or_else(|| Fault::because("it was deleted"))?;
            if stands.text != message.text {
                (stands.text, stands.at) = (message.text, at);
                stands.n_edits += 1;
            }
            return Ok(id);
        }
        Ok(self.new_message(message))
    }
}

type Answer = Result<Place, Fault>;

impl Chat for Memory {
    fn platform(&self) -> &str {
        self.name
    }

    fn limits(&self) -> Limits {
        Limits {
            text: 4_000,
            card: 13_000,
            answer: 2_000,
            section: 3_000,
            buttons: 25,
            label: 75,
            form_title: 24,
            file_bytes: 1 << 20,
            every_ms: self.every_ms,
            edits_a_minute: 0,
            edits_by_channel: false,
            charts_as_files: true,
        }
    }

    fn lane(&self, channel: &str) -> String {
        let knows = self.inside.lock().unwrap().knows_ids;
        let is_name = !channel.starts_with("id of ");
        if knows && is_name { format!("id of {channel}") } else { channel.to_owned() }
    }

    fn post(&self, draft: Draft) -> BoxFuture<'_, Answer> {
        let text = match draft.content {
            Content::Text { text } => text,
            Content::Card { card } => format!("{} | {}", card.title, card.context),
            other => format!("{other:?}"),
        };
        let message = Stands {
            key: draft.key,
            channel: draft.channel,
            thread: draft.thread.map(|p| p.message),
            text,
            broadcast: draft.broadcast,
            at: Duration::ZERO,
            n_edits: 0,
        };
        self.write(message, draft.place, draft.doubtful).boxed()
    }

    fn upload(&self, file: File) -> BoxFuture<'_, Answer> {
        let message = Stands {
            key: file.key,
            channel: file.channel,
            thread: file.thread.map(|p| p.message),
            text: format!("{} {} bytes", file.name, file.bytes.len()),
            broadcast: false,
            at: Duration::ZERO,
            n_edits: 0,
        };
        self.write(message, file.place, file.doubtful).boxed()
    }

    fn dress(&self, place: Place, on: bool) -> BoxFuture<'_, Result<(), Fault>> {
        let mut inside = self.inside.lock().unwrap();
        let failed = match inside.dress {
            Mood::Hangs => return std::future::pending().boxed(),
            Mood::Refuses => Some(Fault::because("it may not")),
            Mood::Down => Some(Fault::transient("the platform", anyhow::anyhow!("503"))),
            _ => None,
        };
        if failed.is_none() {
            inside.dressed.push((place.message, on));
        }
        std::future::ready(failed.map_or(Ok(()), Err)).boxed()
    }

    fn rooms(&self) -> RoomPolicy {
        RoomPolicy { severities: vec![Severity::Critical], is_channel: true, closes: true }
    }

    fn room(&self, keep: Keep) -> BoxFuture<'_, Result<Kept, Fault>> {
        let mut inside = self.inside.lock().unwrap();
        let name = keep.room.name;
        let answer = if inside.stuck.contains(&name) {
            Err(Fault::transient("the platform", anyhow::anyhow!("503")))
        } else {
            let channel = Some(format!("C-{name}"));
            inside.kept.push((name, keep.close));
            Ok(Kept { channel, lacks: Vec::new() })
        };
        std::future::ready(answer).boxed()
    }

    fn ephemeral(&self, _: Address, _: Content) -> BoxFuture<'_, Result<(), Fault>> {
        std::future::ready(Ok(())).boxed()
    }
}

/// A store with its bus and clock.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) bus: Bus,
    pub(super) clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
    /// Paused time jumps ahead when all tasks wait, also for the store's threads; a blocking task
    /// that lives as long as this keeps it from that.
    _still: std::sync::mpsc::Sender<()>,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("n.sqlite")).expect("opens");
        let (bus, clock) = (Bus::default(), ManualClock::new(t0().plus_ms(120_000)));
        let (still, ends) = std::sync::mpsc::channel();
        tokio::task::spawn_blocking(move || ends.recv().is_err());
        Self { store, bus, clock, _folder: folder, _still: still }
    }

    pub(super) fn deliver(&self, chat: &Arc<Memory>) -> Deliver {
        Deliver::new(self.store.clone(), self.bus.clone(), self.clock.clone(), chat.clone())
    }

    /// Wants posts, and rings.
    pub(super) async fn want(&self, posts: impl IntoIterator<Item = Post>) {
        let posts: Vec<Post> = posts.into_iter().collect();
        let write = move |tx: &crate::store::Tx<'_>| {
            posts.into_iter().try_for_each(|p| p.want(tx).map(|_| ()))
        };
        self.store.write(write).await.expect("writes");
        self.bus.publish(Event::Outbox);
    }

    pub(super) async fn standing(&self, platform: &'static str) -> Standing {
        self.store.read(move |r| Standing::of(r, platform)).await.expect("reads")
    }

    /// Every post that a platform has, by key.
    pub(super) async fn posts(&self, platform: &'static str) -> BTreeMap<String, Post> {
        let all = self.store.read(move |r| r.list::<Post>(&Filter::parent(platform)));
        all.await.expect("reads").into_iter().map(|p| (p.key.clone(), p)).collect()
    }

    /// Delivers until nothing is in line any more.
    pub(super) async fn settle(&self, chat: &Arc<Memory>) {
        self.deliver_until(chat, async || {
            let standing = self.standing(chat.name).await;
            standing.n_waiting + standing.n_due + standing.n_trying == 0
        })
        .await;
    }

    /// Delivers until something holds.
    pub(super) async fn deliver_until(&self, chat: &Arc<Memory>, holds: impl AsyncFn() -> bool) {
        let stop = CancellationToken::new();
        let driver = async {
            let mut left = 9_000;
            while !holds().await {
                left -= 1;
                assert!(left > 0, "{:?}", self.posts(chat.name).await);
                self.pass(Duration::from_millis(500)).await;
            }
            stop.cancel();
            // A call that hangs is waited for a little.
            loop {
                self.pass(Duration::from_millis(500)).await;
            }
        };
        tokio::select! {
            ended = self.deliver(chat).run(stop.clone()) => ended.expect("it ends in order"),
            () = driver => {}
        }
    }

    /// Lets the store end what it has in hand, then lets time pass.
    pub(super) async fn pass(&self, time: Duration) {
        // One try is marked, made, kept and looked after: each may wait for the store once.
        for _ in 0..6 {
            self.store.write(|_| Ok(())).await.expect("writes");
            self.store.read(|_| Ok(())).await.expect("reads");
            tokio::task::yield_now().await;
        }
        tokio::time::advance(time).await;
    }
}

/// A post of text in the channel itself.
pub(super) fn text(platform: &str, key: &str, urgency: Urgency, words: &str) -> Post {
    let at = (platform, "ops");
    Post { urgency, ..Post::new(key, at, Within::Channel, Content::text(words), t0()) }
}

/// A post of text in another's thread.
pub(super) fn reply(platform: &str, key: &str, root: &str) -> Post {
    let within = Within::Post(root.into());
    Post::new(key, (platform, "ops"), within, Content::text(key), t0())
}

/// Whether a platform has all that was wanted.
pub(super) fn all_sent(posts: &BTreeMap<String, Post>) -> bool {
    posts.values().all(|p| p.state == PostState::Sent)
}
