//! What people send us, the same from every platform.

use std::collections::BTreeMap;

use crate::model::{Actor, Time};

/// Something that a person said or did. Whoever handles it remembers [`Inbound::key`]: platforms
/// deliver more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The same for every delivery of the same thing: made of the content (message and time,
    /// click and time), not of the envelope.
    pub key: String,
    /// Which platform.
    pub platform: String,
    /// Which channel.
    pub channel: String,
    /// Root message of the thread, where it was said in one.
    pub thread: Option<String>,
    /// Who, with the role that the platform's user has here.
    pub actor: Actor,
    /// When (event time).
    pub at: Time,
    /// What a form can be opened with, where the platform gives such a thing.
    pub trigger: Option<String>,
    /// What.
    pub said: Said,
}

/// Words, a click, a form or a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A message in a channel or thread.
    Message {
        /// Its words.
        text: String,
    },
    /// A button.
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
