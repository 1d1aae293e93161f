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
//! - **Ephemeral** words are seen by one person only and may be lost: they are never the only
//!   record of anything.

mod card;
pub mod console;
pub mod form;
mod inbound;
mod message;

#[cfg(test)]
mod tests;

pub use card::{BadCode, Block, Button, Card, Field, Item, Mark, Style, Subject, Verb};
pub use form::{Form, FormField, FormKind};
pub use inbound::{Inbound, Said};
pub use message::{Channel, Content, Message, StoredFile};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::model::{Actor, Fault, IncidentId};

/// What a platform can carry; renderers split or move to the thread what does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Characters of a plain message.
    pub text: usize,
    /// Characters of all text of one card.
    pub card: usize,
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
}

/// Where a message stands on its platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Which platform: `console`, `slack`, `discord`.
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
}

/// One chat platform. The first adapter is [`console::Console`].
///
/// All methods are idempotent by key or by place. A transient fault may be tried again; whoever
/// calls owns the retry.
pub trait Chat: Send + Sync + 'static {
    /// Its name: `console`, `slack`, `discord`.
    fn platform(&self) -> &'static str;

    /// What it can carry.
    fn limits(&self) -> Limits;

    /// Writes a message into a channel or thread, or edits the one with the same key.
    fn post(&self, draft: Draft) -> BoxFuture<'_, Result<Place, Fault>>;

    /// Puts new content in the place of the old.
    fn edit(&self, place: Place, content: Content) -> BoxFuture<'_, Result<(), Fault>>;

    /// Answers in the thread of `root` (which may be a reply itself: then in the same thread).
    fn reply(
        &self,
        root: Place,
        key: String,
        content: Content,
        incident: Option<IncidentId>,
    ) -> BoxFuture<'_, Result<Place, Fault>> {
        let channel = root.channel.clone();
        self.post(Draft { key, channel, thread: Some(root), content, incident })
    }

    /// Says something that only one person sees.
    fn ephemeral(
        &self,
        to: Actor,
        channel: String,
        thread: Option<Place>,
        text: String,
    ) -> BoxFuture<'_, Result<(), Fault>>;

    /// Shows a file.
    fn upload(&self, file: File) -> BoxFuture<'_, Result<Place, Fault>>;

    /// Opens a form for the person whose click gave `trigger`.
    fn open_form(
        &self,
        to: Actor,
        channel: String,
        trigger: String,
        form: Form,
    ) -> BoxFuture<'_, Result<(), Fault>>;
}
