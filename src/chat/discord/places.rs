//! Channels, threads and forum posts: where a message goes.
//!
//! A thread that was opened from a message has that message's id, and so has the post of a forum:
//! the root's id names the thread, and nothing needs to be remembered. A place is told as the
//! channel that was configured (or the thread) and the message, so that what people say in a thread
//! is found by `channel/root`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ChannelId, MessageId};
use tokio::time::Instant;

use super::Inner;
use super::rest::{Ask, Rest};
use super::trouble::{Trouble, code};
use crate::chat::Place;

/// Characters of a thread's name.
const NAME: usize = 100;
/// Minutes without a message after which a thread is archived: a week.
const ARCHIVE_AFTER: u32 = 10_080;

/// What kind of channel it is, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages stand in it and threads are opened from them.
    Text {
        /// Its guild.
        guild: u64,
    },
    /// Posts stand in it, each a thread.
    Forum {
        /// Its guild.
        guild: u64,
    },
    /// A thread or a forum's post.
    Thread {
        /// The channel or forum it belongs to.
        parent: String,
        /// Its guild.
        guild: u64,
    },
    /// A direct conversation: no threads.
    Direct,
}

impl Kind {
    fn of(channel: &Value) -> Self {
        let guild = channel["guild_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
        match channel["type"].as_u64() {
            Some(1 | 3) => Self::Direct,
            Some(10..=12) => Self::Thread {
                parent: channel["parent_id"].as_str().unwrap_or_default().into(),
                guild,
            },
            Some(15 | 16) => Self::Forum { guild },
            _ => Self::Text { guild },
        }
    }
}

/// Where a message is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Into this channel or thread that is there.
    Channel(u64),
    /// A new post of this forum.
    Post(u64),
    /// Into the thread of this message, which may not be opened yet.
    ThreadOf {
        /// The channel.
        channel: u64,
        /// The message.
        root: u64,
    },
    /// Beneath this message of a direct conversation.
    Reply {
        /// The conversation.
        channel: u64,
        /// The message.
        to: u64,
    },
}

impl Target {
    /// The channel that messages are sent to and read from.
    pub(super) fn channel(&self) -> u64 {
        match self {
            Self::Channel(id) | Self::Post(id) | Self::ThreadOf { root: id, .. } => *id,
            Self::Reply { channel, .. } => *channel,
        }
    }
}

/// An id of Discord, or why it is none.
pub(super) fn id(text: &str) -> Result<u64, Trouble> {
    let bad = || Trouble::Refused {
        status: 404,
        code: code::UNKNOWN_CHANNEL,
        text: format!("`{text}` is not an id of Discord"),
    };
    text.parse().ok().filter(|id| *id > 0).ok_or_else(bad)
}

impl Inner {
    /// What kind of channel this is; asked once.
    pub(super) async fn kind(&self, channel: u64) -> Result<Kind, Trouble> {
        let known =
            self.kinds.lock().expect("nothing panics under this lock").get(&channel).cloned();
        if let Some(kind) = known {
            return Ok(kind);
        }
        let route = Route::Channel { channel_id: ChannelId::new(channel) };
        let found = self.rest.ask(Ask::new(LightMethod::Get, route)).await?;
        let kind = Kind::of(&found);
        let mut kinds = self.kinds.lock().expect("nothing panics under this lock");
        if kinds.len() > 10_000 {
            kinds.clear();
        }
        kinds.insert(channel, kind.clone());
        Ok(kind)
    }

    /// Where a message for a channel, or for the thread of a root, goes.
    pub(super) async fn target(
        &self,
        channel: &str,
        thread: Option<&Place>,
    ) -> Result<Target, Trouble> {
        let Some(root) = thread else {
            let channel = id(channel)?;
            return Ok(match self.kind(channel).await? {
                Kind::Forum { .. } => Target::Post(channel),
                _ => Target::Channel(channel),
            });
        };
        let (channel, root) = (id(&root.channel)?, id(&root.message)?);
        Ok(match self.kind(channel).await? {
            // A reply to a reply stands in the same thread.
            Kind::Thread { .. } => Target::Channel(channel),
            Kind::Forum { .. } => Target::Channel(root),
            Kind::Text { .. } => Target::ThreadOf { channel, root },
            Kind::Direct => Target::Reply { channel, to: root },
        })
    }

    /// The channel in which a place's message really stands: a forum's post is its own channel.
    pub(super) async fn standing(&self, place: &Place) -> Result<(u64, u64), Trouble> {
        let (channel, message) = (id(&place.channel)?, id(&place.message)?);
        Ok(match self.kind(channel).await? {
            Kind::Forum { .. } => (message, message),
            _ => (channel, message),
        })
    }

    /// Opens the thread of a message unless it is there. Its name is the message's headline.
    pub(super) async fn open_thread(&self, channel: u64, root: u64) -> Result<(), Trouble> {
        let (channel_id, message_id) = (ChannelId::new(channel), MessageId::new(root));
        let route = Route::ChannelMessage { channel_id, message_id };
        let found = self.rest.ask(Ask::new(LightMethod::Get, route)).await?;
        let name = thread_name(found["content"].as_str().unwrap_or_default());
        let body = json!({ "name": name, "auto_archive_duration": ARCHIVE_AFTER });
        let route = Route::ChannelMessageThreads { channel_id, message_id };
        match self.rest.ask(Ask::new(LightMethod::Post, route).body(&body)).await {
            Err(trouble) if trouble.is(code::HAS_THREAD) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Makes a new post of a forum; gives its id, which is that of its first message too.
    pub(super) async fn open_post(&self, forum: u64, message: &Value) -> Result<u64, Trouble> {
        let name = thread_name(message["content"].as_str().unwrap_or_default());
        let body = json!({
            "name": name, "auto_archive_duration": ARCHIVE_AFTER, "message": message,
        });
        let route = Route::ChannelForumPosts { channel_id: ChannelId::new(forum) };
        let made = self.rest.ask(Ask::new(LightMethod::Post, route).body(&body)).await?;
        given_id(&made)
    }

    /// Gives the thread of a message, or the forum's post, this name, unless it has it. A thread
    /// that was not opened yet gets its name when it is. What would be a third name within ten
    /// minutes is put off: Discord's 429 would hold up whatever else is changed of the thread.
    pub(super) async fn name_thread(&self, place: &Place, title: &str) -> Result<(), Trouble> {
        let channel_id = ChannelId::new(id(&place.message)?);
        let name = thread_name(title);
        let route = || Route::Channel { channel_id };
        let found = match self.rest.ask(Ask::new(LightMethod::Get, route())).await {
            Err(trouble) if trouble.is(code::UNKNOWN_CHANNEL) => return Ok(()),
            found => found?,
        };
        if found["name"] == name.as_str() {
            return Ok(());
        }
        let wait = {
            let mut named = self.named.lock().expect("nothing panics under this lock");
            named.take(channel_id.get(), Instant::now())
        };
        if let Some(after) = wait {
            return Err(Trouble::Limited { after });
        }
        let mut body = json!({ "name": name });
        if found["thread_metadata"]["archived"] == true {
            body["archived"] = json!(false);
        }
        self.rest.ask(Ask::new(LightMethod::Patch, route()).body(&body)).await.map(|_| ())
    }

    /// Takes a thread out of the archive.
    pub(super) async fn unarchive(&self, thread: u64) -> Result<(), Trouble> {
        let route = Route::Channel { channel_id: ChannelId::new(thread) };
        let body = json!({ "archived": false });
        self.rest.ask(Ask::new(LightMethod::Patch, route).body(&body)).await.map(|_| ())
    }
}

/// Names of a thread that Discord takes within [`NAMES_WITHIN`]; a limit that no header tells.
const MOST_NAMES: usize = 2;
/// See [`MOST_NAMES`].
const NAMES_WITHIN: Duration = Duration::from_secs(605);

/// When threads were named lately.
#[derive(Default)]
pub(super) struct Named(BTreeMap<u64, Vec<Instant>>);

impl Named {
    /// Takes leave to name a thread now, or says how long to wait.
    fn take(&mut self, thread: u64, now: Instant) -> Option<Duration> {
        let is_late = |at: &Instant| now.duration_since(*at) < NAMES_WITHIN;
        self.0.retain(|_, times| {
            times.retain(is_late);
            !times.is_empty()
        });
        let times = self.0.entry(thread).or_default();
        if times.len() >= MOST_NAMES {
            return Some(NAMES_WITHIN.saturating_sub(now.duration_since(times[0])));
        }
        times.push(now);
        None
    }
}

/// Whether a value is this id.
pub(super) fn is(value: &Value, id: u64) -> bool {
    value.as_str().is_some_and(|v| v.parse() == Ok(id))
}

/// The id in an answer.
pub(super) fn given_id(answer: &Value) -> Result<u64, Trouble> {
    let given = answer["id"].as_str().and_then(|id| id.parse().ok()).filter(|id| *id > 0);
    given.ok_or_else(|| Trouble::Down("its answer has no id".into()))
}

/// The name of a thread: the headline of its message without markdown.
fn thread_name(content: &str) -> String {
    let first = content.lines().next().unwrap_or_default();
    let plain: String =
        first.chars().filter(|c| !matches!(c, '*' | '\\' | '\u{200b}' | '`')).collect();
    let name = super::text::line(&plain, NAME);
    if name.trim().is_empty() { "nightjar".into() } else { name }
}

/// A request for the REST API, so that callers need not name the client.
impl Rest {
    /// Sends a message into a channel.
    pub(super) async fn send_message(&self, channel: u64, body: &Value) -> Result<u64, Trouble> {
        let route = Route::ChannelMessages { channel_id: ChannelId::new(channel) };
        given_id(&self.ask(Ask::new(LightMethod::Post, route).body(body)).await?)
    }

    /// Replaces a message.
    pub(super) async fn edit_message(
        &self,
        (channel, message): (u64, u64),
        body: &Value,
    ) -> Result<(), Trouble> {
        let (channel_id, message_id) = (ChannelId::new(channel), MessageId::new(message));
        let route = Route::ChannelMessage { channel_id, message_id };
        self.ask(Ask::new(LightMethod::Patch, route).body(body)).await.map(|_| ())
    }
}
