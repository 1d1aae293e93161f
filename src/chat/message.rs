//! Messages as the store keeps them for the console.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Card, Form};
use crate::model::id::{hex, unhex};
use crate::model::{Actor, Fault, IncidentId, MessageId, Time};
use crate::store::{Index, Record};

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "content", rename_all = "snake_case")]
pub enum Content {
    /// Plain words.
    Text {
        /// The words.
        text: String,
    },
    /// A card.
    Card {
        /// The card.
        card: Card,
    },
    /// A form to fill in (only in ephemeral messages).
    Form {
        /// The form.
        form: Form,
    },
    /// A file.
    File {
        /// Its name.
        name: String,
        /// Its media type.
        media_type: String,
        /// What it shows.
        alt: String,
        /// Key of the [`StoredFile`].
        file: String,
    },
}

impl Content {
    /// Plain words.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// A card.
    #[must_use]
    pub fn card(card: Card) -> Self {
        Self::Card { card }
    }
}

/// One message of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Derived from its key.
    pub id: MessageId,
    /// Which channel.
    pub channel: String,
    /// Root message of its thread; `None` for a root.
    pub thread: Option<MessageId>,
    /// What it says.
    pub content: Content,
    /// Who wrote it.
    pub author: Actor,
    /// When it was written (event time).
    pub at: Time,
    /// When it was last edited.
    pub edited_at: Option<Time>,
    /// The only person who sees it, as `via:id`.
    pub ephemeral_to: Option<String>,
    /// Which incident it is about.
    pub incident: Option<IncidentId>,
}

impl Message {
    /// Whether this person may see it.
    #[must_use]
    pub fn visible_to(&self, actor: &Actor) -> bool {
        self.ephemeral_to.as_ref().is_none_or(|to| *to == format!("{}:{}", actor.via, actor.id))
    }
}

/// Found by channel (`parent`), thread root (`subject`) and `root`, `reply` or `ephemeral`
/// (`state`).
impl Record for Message {
    const KIND: &'static str = "message";
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn index(&self) -> Index {
        let state = match (&self.ephemeral_to, &self.thread) {
            (Some(_), _) => "ephemeral",
            (None, Some(_)) => "reply",
            (None, None) => "root",
        };
        Index {
            at: self.at,
            state: state.into(),
            parent: self.channel.clone(),
            subject: self.thread.map(|t| t.to_string()).unwrap_or_default(),
        }
    }
}

/// A channel of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Channel {
    /// Its name: `incidents`.
    pub name: String,
    /// What it is for.
    pub topic: String,
    /// When it was made (event time).
    pub at: Time,
}

impl Record for Channel {
    const KIND: &'static str = "channel";
    fn key(&self) -> String {
        self.name.clone()
    }
    fn index(&self) -> Index {
        Index { at: self.at, ..Index::default() }
    }
}

/// A file of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// The key it was given.
    pub key: String,
    /// Its media type.
    pub media_type: String,
    /// Its bytes, as hexadecimal digits.
    pub hex: String,
    /// When it was written (event time).
    pub at: Time,
}

impl StoredFile {
    /// A file of these bytes.
    #[must_use]
    pub fn new(key: &str, media_type: &str, bytes: &[u8], at: Time) -> Self {
        Self { key: key.to_owned(), media_type: media_type.to_owned(), hex: hex(bytes), at }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// What is stored are no hexadecimal digits.
    pub fn bytes(&self) -> Result<Vec<u8>, Fault> {
        unhex(&self.hex).ok_or_else(|| Fault::because("a stored file can't be read"))
    }
}

impl Record for StoredFile {
    const KIND: &'static str = "file";
    fn key(&self) -> String {
        self.key.clone()
    }
    fn index(&self) -> Index {
        Index { at: self.at, ..Index::default() }
    }
}
