//! The port to chat platforms and what goes through it: neutral cards out, words and clicks in.
//!
//! The neutral half ([`Card`], [`Form`], [`Button`], [`Inbound`]) knows no platform; an adapter
//! renders it within its [`Limits`] and turns what comes back into an [`Inbound`]. What adapters
//! must keep to:
//!
//! - **Keys.** [`Draft::key`] names a message for good. Posting the same key again gives the
//!   place of the first message and edits it, also after a crash: Slack keeps the key in the
//!   message's metadata, Discord in a custom id, the console derives the message's id from it.
//! - **Threads.** A place with `thread` set is within the thread of that root message. A platform
//!   without threads answers beneath the root in the channel.
//! - **Buttons** carry [`Button::code`] (at most 100 bytes, the least of all platforms) and
//!   nothing else: no command, no parameters. Verb, subject and the plan's digest are checked
//!   again where the click is handled.
//! - **Forms** answer a click within 3 s (Slack's trigger, Discord's first response), so they
//!   bypass every queue. A form has at most [`Form::MAX_FIELDS`] inputs; the kinds that a platform
//!   lacks are asked for as text and read by [`form::parse_time`] and [`form::parse_duration`].
//! - **Deeds.** [`Chat::dress`] and [`Chat::room`] are for what only some platforms have (a pin, a
//!   channel of its own, a topic): they may do nothing, and nothing depends on them.
//! - **Ephemeral** words are seen by one person only and may be lost: they are never the only
//!   record of anything.

mod card;
pub mod console;
pub mod discord;
pub mod form;
mod inbound;
mod message;
mod nobody;
pub mod outbox;
pub mod people;
pub mod room;
mod route;
mod seek;
pub mod slack;
pub mod split;

#[cfg(test)]
mod tests;

pub use card::{BadCode, Block, Button, Card, Field, Item, Mark, Style, Subject, Verb};
pub use form::{Form, FormField, FormKind};
pub use inbound::{Address, Completion, HeardState, Inbound, Inlet, Kept, Pressed, Said, Who};
pub use message::{Channel, Content, Message, StoredFile};
pub use outbox::{Post, PostState, Urgency, Within};
pub use room::{Room, RoomPolicy};
pub use route::{Route, Routing};

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Fault, IncidentId, Time};

/// The chat platforms besides the console.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Slack workspaces.
    pub slack: Vec<slack::Config>,
    /// Discord bots.
    pub discord: Vec<discord::Config>,
}

/// What a platform can carry; renderers split or move to the thread what does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Characters of a plain message.
    pub text: usize,
    /// Characters of all text of one card.
    pub card: usize,
    /// Weight ([`split::weight`]) of the text of an answer that one message shows whole.
    pub answer: usize,
    /// Characters of one section.
    pub section: usize,
    /// Buttons of one card.
    pub buttons: usize,
    /// Characters of a button's label.
    pub label: usize,
    /// Characters of a form's title.
    pub form_title: usize,
    /// Bytes of an uploaded file.
    pub file_bytes: usize,
    /// Least milliseconds of wall time between two new messages in one channel.
    pub every_ms: u64,
    /// Edits of the whole platform in a minute of wall time; 0: no such limit.
    pub edits_a_minute: usize,
    /// Whether a pause that is asked for at an edit is one of that channel's edits only.
    pub edits_by_channel: bool,
    /// Whether charts must be sent as pictures, because [`Block::Chart`] can't be drawn there.
    pub charts_as_files: bool,
}

/// Where a message stands on its platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Which platform: [`Chat::platform`].
    pub platform: String,
    /// The channel there.
    pub channel: String,
    /// The message's id there.
    pub message: String,
}

/// A message to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Names it for good; see the module's words on keys.
    pub key: String,
    /// Which channel.
    pub channel: String,
    /// Root message of the thread it belongs to; `None`: the channel itself.
    pub thread: Option<Place>,
    /// What it says.
    pub content: Content,
    /// Which incident it is about, where it is about one.
    pub incident: Option<IncidentId>,
    /// Where it stands already, where that is known: it is edited there.
    pub place: Option<Place>,
    /// Whether an earlier try may have reached the platform without our knowing: the channel is
    /// read for the key before anything new is written, also where the message at `place` is gone.
    pub doubtful: bool,
    /// When it was first tried (wall time), where it is doubtful: how far back the channel is
    /// read. `None`: to its beginning.
    pub tried_at: Option<Time>,
    /// Whether the thread's message is shown in the channel too, where a platform can.
    pub broadcast: bool,
    /// As [`Post::reader`].
    pub reader: Option<String>,
    /// As [`Post::asker`].
    pub asker: Option<String>,
}

impl Draft {
    /// A message for a channel, tried for the first time.
    #[must_use]
    pub fn new(key: impl Into<String>, channel: impl Into<String>, content: Content) -> Self {
        Self {
            key: key.into(),
            channel: channel.into(),
            thread: None,
            content,
            incident: None,
            place: None,
            doubtful: false,
            tried_at: None,
            broadcast: false,
            reader: None,
            asker: None,
        }
    }
}

/// A file to be shown in a channel or thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Names it for good, as [`Draft::key`] does.
    pub key: String,
    /// Which channel.
    pub channel: String,
    /// Root message of the thread it belongs to.
    pub thread: Option<Place>,
    /// Its name, such as `checkout-p99.png`.
    pub name: String,
    /// Its media type, such as `image/png`.
    pub media_type: String,
    /// What it shows, for people who can't see it.
    pub alt: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it stands already, where that is known: nothing is uploaded again.
    pub place: Option<Place>,
    /// As [`Draft::doubtful`].
    pub doubtful: bool,
    /// As [`Draft::tried_at`].
    pub tried_at: Option<Time>,
}

/// One chat platform. The first adapter is [`console::Console`].
///
/// All methods are idempotent by key or by place. A transient fault may be tried again; whoever
/// calls owns the retry. One with `after` means that the platform asked for a pause (a rate limit):
/// new messages of that channel, or edits, or uploads, rest for so long. A permanent one means that
/// this very message can't be had as it is; what concerns the whole connection (a revoked token, a
/// platform that is down) is transient and told by [`Chat::health`], so that nothing is given up.
pub trait Chat: Send + Sync + 'static {
    /// Its name: `console`, `slack`, `discord`, or `slack:NAME` where several are connected.
    fn platform(&self) -> &str;

    /// What it can carry.
    fn limits(&self) -> Limits;

    /// Where it stands with its platform, for `/readyz` and the console.
    fn health(&self) -> Health {
        Health::Up
    }

    /// The channel's own name at the platform, as far as it is known: what is told by name and by id
    /// is one channel and has one pace.
    fn lane(&self, channel: &str) -> String {
        channel.to_owned()
    }

    /// Writes a message into a channel or thread, or edits the one with the same key.
    fn post(&self, draft: Draft) -> BoxFuture<'_, Result<Place, Fault>>;

    /// Shows a file.
    fn upload(&self, file: File) -> BoxFuture<'_, Result<Place, Fault>>;

    /// Says something that only one person sees.
    fn ephemeral(&self, to: Address, content: Content) -> BoxFuture<'_, Result<(), Fault>>;

    /// Shows that a question is being worked on (`true`) or no more (`false`): a sign at the
    /// message, a word under the box. `message` is the platform's id of the question. That it is
    /// so already is no fault.
    fn working(
        &self,
        _to: Address,
        _message: String,
        _on: bool,
    ) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Who did something that was kept before that was known ([`Inbound::unresolved`]). A transient
    /// fault: it can't be asked now, and is to be asked again; nobody's role is guessed.
    fn who(&self, inbound: Inbound) -> BoxFuture<'_, Result<Who, Fault>> {
        Box::pin(std::future::ready(Ok(Who::Person(inbound.actor))))
    }

    /// A call of the platform at one of our addresses; `None`: it makes no such calls.
    fn hook(&self, _hook: Hook) -> BoxFuture<'_, Option<Hooked>> {
        Box::pin(std::future::ready(None))
    }

    /// Marks the message of an incident as the one to find (a pin, a bookmark), or no more.
    fn dress(&self, _place: Place, _on: bool) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Which incidents it keeps a room for; none where it has no such thing.
    fn rooms(&self) -> RoomPolicy {
        RoomPolicy::default()
    }

    /// Brings the room of an incident to what it should be: makes the channel once, sets what is
    /// not so yet. Nothing is set twice, also after a crash.
    fn room(&self, _keep: room::Keep) -> BoxFuture<'_, Result<room::Kept, Fault>> {
        Box::pin(std::future::ready(Ok(room::Kept::default())))
    }
}

/// A call of a platform at one of our addresses, for platforms that send what people do by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Which address, without `/hooks/`: `slack/events`.
    pub door: String,
    /// Its headers by name in small letters.
    pub headers: BTreeMap<String, String>,
    /// Its body as it came: signatures are over the bytes.
    pub body: Vec<u8>,
    /// Whether the signature fits no other adapter: then it is for this one, even where that does
    /// not know its own workspace yet.
    pub sole: bool,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Hooked {
    /// It is handed over; what the platform is to be told.
    Taken(Option<serde_json::Value>),
    /// It is not signed by this platform, with the reason.
    Unsigned(&'static str),
    /// It is signed, and for another workspace of the same app.
    Elsewhere,
    /// It is signed and names a workspace, and the platform did not tell yet which one this is.
    Unsure,
    /// It is signed and makes no sense, with the reason.
    Refused(&'static str),
    /// It is to be sent again.
    Busy,
}

/// Where an adapter stands with its platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "health", rename_all = "snake_case")]
pub enum Health {
    /// It is reached.
    Up,
    /// It is not reached and tried again.
    Down {
        /// Why, and what to do where something can be done.
        why: String,
    },
}
