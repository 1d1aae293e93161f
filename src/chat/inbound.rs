//! What people send us, the same from every platform, and where an adapter hands it.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{Card, Form, Verb};
use crate::model::{Actor, Fault, Time};
use crate::store::{Index, Record};

/// Something that a person said or did. It is kept before it is acknowledged and handled once:
/// platforms deliver more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    /// The same for every delivery of the same thing: made of the content (message and time,
    /// click and time), not of the envelope.
    pub key: String,
    /// Which platform: [`Chat::platform`](super::Chat::platform).
    pub platform: String,
    /// Which channel.
    pub channel: String,
    /// Root message of the thread, where it was said in one; for a click the message clicked on.
    pub thread: Option<String>,
    /// The platform's id of the message itself, where it is one: [`Chat::working`] shows there that
    /// it was taken, and the answer to what was said outside of any thread is written beneath it.
    ///
    /// [`Chat::working`]: super::Chat::working
    #[serde(default)]
    pub message: Option<String>,
    /// Who, with the role that the platform's user has here.
    pub actor: Actor,
    /// Whether [`Inbound::actor`] is the platform's id alone so far: name and role are asked for
    /// ([`Chat::who`](super::Chat::who)) where it is handled, because asking takes longer than an
    /// acknowledgement may. Until then the role is the least one and counts for nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unresolved: bool,
    /// When (event time).
    pub at: Time,
    /// What a form or an ephemeral answer needs, where the platform gives such a thing (Slack's
    /// trigger, Discord's interaction). It is no secret by the time it is kept: it lives minutes.
    pub trigger: Option<String>,
    /// What.
    pub said: Said,
}

impl Inbound {
    /// Where an answer for this one person goes.
    #[must_use]
    pub fn address(&self) -> Address {
        Address {
            actor: self.actor.clone(),
            channel: self.channel.clone(),
            thread: self.thread.clone(),
            trigger: self.trigger.clone(),
        }
    }
}

/// Where one person is reached: what an adapter needs for a form or ephemeral words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Who.
    pub actor: Actor,
    /// Where they said it.
    pub channel: String,
    /// In which thread.
    pub thread: Option<String>,
    /// [`Inbound::trigger`].
    pub trigger: Option<String>,
}

/// Words, a click, a form or a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum Said {
    /// A message in a channel or thread.
    Message {
        /// Its words, without the mention of the bot.
        text: String,
        /// Whether it was meant for the bot beyond doubt: a mention or a direct message. One that
        /// was not is a question only in the thread of an incident, and where it sounds like one.
        addressed: bool,
    },
    /// A button that asks nothing.
    Click {
        /// What it carried: [`Button::code`](super::Button::code).
        code: String,
    },
    /// A form that was sent.
    Submit {
        /// [`Form::code`](super::Form::code).
        code: String,
        /// Answers by field name.
        values: BTreeMap<String, String>,
    },
    /// A slash command's text.
    Command {
        /// What follows the command's name.
        text: String,
    },
}

impl Verb {
    /// Whether a button of this verb asks something first; one that does not is kept at once, and
    /// whether the person may is judged where it is handled.
    #[must_use]
    pub fn opens_form(self) -> bool {
        !matches!(self, Self::Acknowledge | Self::Why | Self::EndSilence)
    }
}

/// Who did something, as a platform tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A person, with name and role.
    Person(Actor),
    /// Somebody who is not served here: what they said is not done, and they are told this, where
    /// they were not told just before.
    Stranger(Option<String>),
}

/// What comes of pressing a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// Something is asked first: show this at once.
    Form(Form),
    /// Nothing is asked: hand the click to [`Inlet::accept`].
    Nothing,
    /// It can't be had; the sentence is for that person alone.
    Refused(String),
}

/// What a word in a slash command's option may be completed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Names of services.
    Service,
    /// Incidents that are open or newly over.
    Incident,
    /// Ids of runbooks.
    Runbook,
}

/// Where an adapter hands what people say; `command` stands behind it.
pub trait Inlet: Send + Sync + 'static {
    /// What a button opens. Reads only, in milliseconds: platforms wait 3 s for a form. `code` may
    /// also be that of a form that a command or shortcut opens.
    fn press(&self, actor: Actor, code: String) -> BoxFuture<'_, Result<Pressed, Fault>>;

    /// What is wrong with a form's values, by field name, before it is handed to
    /// [`Inlet::accept`]; empty: nothing. Reads only, in milliseconds. Without an actor only the
    /// values are looked at: who sent it is not known in time, and judged where it is handled.
    fn faults(
        &self,
        actor: Option<Actor>,
        code: String,
        values: BTreeMap<String, String>,
    ) -> BoxFuture<'_, Result<BTreeMap<String, String>, Fault>>;

    /// Keeps what was said and returns once it is durable; it is handled after. `false`: it was
    /// there already (delivered twice). Only then may it be acknowledged.
    fn accept(&self, inbound: Inbound) -> BoxFuture<'_, Result<bool, Fault>>;

    /// Values and labels that begin like `typed`, at most 25, the likeliest first.
    fn complete(
        &self,
        what: Completion,
        typed: String,
    ) -> BoxFuture<'_, Result<Vec<(String, String)>, Fault>>;

    /// What a person's own page shows: open incidents, what waits for a decision, their silences.
    fn home(&self, actor: Actor) -> BoxFuture<'_, Result<Vec<Card>, Fault>>;

    /// What is behind an address of the console, where somebody shared one; `None`: nothing that
    /// may be shown.
    fn preview(&self, _url: String) -> BoxFuture<'_, Result<Option<Card>, Fault>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// How far a platform's words were heard, in the platform's own words as [`Inlet::reach`] was
    /// told last; `None`: it was told nothing. For platforms that deliver nothing later.
    fn reached(&self, _platform: String) -> BoxFuture<'_, Result<Option<String>, Fault>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Keeps how far a platform's words were heard.
    fn reach(&self, _platform: String, _position: String) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Where something that was said stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeardState {
    /// To be handled.
    Due,
    /// Handled.
    Done,
}

/// Something that was said, as it is kept until and after it was handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What.
    pub inbound: Inbound,
    /// Where it stands.
    pub state: HeardState,
    /// Whether its message may bear the sign that it is being worked on
    /// ([`Chat::working`](super::Chat::working)): it is taken away once the answer stands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
}

impl Kept {
    /// Something that was said, to be handled.
    #[must_use]
    pub fn new(inbound: Inbound) -> Self {
        Self { inbound, state: HeardState::Due, signed: false }
    }

    /// The word in the store for what was handled and may still bear the sign of work.
    pub const SIGNED: &'static str = "signed";
}

/// Found by state, platform (`parent`).
impl Record for Kept {
    const KIND: &'static str = "inbound";
    fn key(&self) -> String {
        self.inbound.key.clone()
    }
    fn index(&self) -> Index {
        let state = match self.state {
            HeardState::Due => "due",
            HeardState::Done if self.signed => Self::SIGNED,
            HeardState::Done => "done",
        };
        Index {
            at: self.inbound.at,
            state: state.into(),
            parent: self.inbound.platform.clone(),
            subject: String::new(),
        }
    }
}
