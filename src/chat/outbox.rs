//! The durable outbox: what is to stand on each platform, one row a message, named by its key.
//!
//! Whoever has something to say puts a [`Post`] into the transaction that decided it; the delivery
//! stage (`notify`) brings the platforms there. The newest content wins: an edit that was not sent
//! yet is never sent late. A row is marked before its first try, so that after a crash the adapter
//! knows to look for the key before it writes again.

use serde::{Deserialize, Serialize};

use super::{Content, Place};
use crate::model::{Fault, IncidentId, Time};
use crate::store::{Index, Record, Tx};

/// What goes first when a platform takes less than there is; earlier is more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Something waits for a person's decision.
    Decision,
    /// A new incident.
    Opening,
    /// An answer that somebody waits for.
    Answer,
    /// What changed.
    Delta,
    /// Looks.
    Cosmetic,
}

/// The thread that a post belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// None: it stands in the channel itself.
    Channel,
    /// That of another post of the same platform, by its key; it waits until that one stands.
    Post(String),
    /// That of a message which people wrote, by the platform's id.
    Message(String),
}

/// Where a post stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostState {
    /// To be sent, or to be edited; never tried in this form.
    Due,
    /// A try was begun: the platform may have it.
    Trying,
    /// The platform has its newest content.
    Sent,
    /// The platform refuses it for good; `error` says why.
    Refused,
}

impl PostState {
    /// The word in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Trying => "trying",
            Self::Sent => "sent",
            Self::Refused => "refused",
        }
    }
}

/// One message of one platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Post {
    /// Names it for good on its platform: `INC-…/card`.
    pub key: String,
    /// [`Chat::platform`](super::Chat::platform).
    pub platform: String,
    /// Which channel.
    pub channel: String,
    /// Which thread.
    pub within: Within,
    /// What it should say.
    pub content: Content,
    /// How soon.
    pub urgency: Urgency,
    /// Whether a thread's message is shown in the channel too.
    pub broadcast: bool,
    /// Which incident it is about.
    pub incident: Option<IncidentId>,
    /// Where it stands.
    pub state: PostState,
    /// Where it stands on the platform, once it does.
    pub place: Option<Place>,
    /// When it was first wanted (event time).
    pub at: Time,
    /// Tries of the newest content.
    pub n_tries: u32,
    /// Why the last try failed.
    pub error: Option<String>,
}

impl Post {
    /// A post for a platform's channel, to be sent.
    #[must_use]
    pub fn new(
        key: impl Into<String>,
        (platform, channel): (&str, &str),
        within: Within,
        content: Content,
        at: Time,
    ) -> Self {
        Self {
            key: key.into(),
            platform: platform.to_owned(),
            channel: channel.to_owned(),
            within,
            content,
            urgency: Urgency::Delta,
            broadcast: false,
            incident: None,
            state: PostState::Due,
            place: None,
            at,
            n_tries: 0,
            error: None,
        }
    }

    /// The key of the row.
    #[must_use]
    pub fn row(platform: &str, key: &str) -> String {
        format!("{platform}|{key}")
    }

    /// Wants it to stand as it is here; `true` where that changes anything. Where it stands
    /// already it stays: a card moves to no other channel.
    ///
    /// # Errors
    /// The store failed.
    pub fn want(self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let before = tx.get::<Self>(Self::row(&self.platform, &self.key))?;
        let Some(before) = before else {
            tx.put(&self)?;
            return Ok(true);
        };
        if before.content == self.content {
            return Ok(false);
        }
        // A try under way may still reach the platform: its mark stays until it is known.
        let state =
            if before.state == PostState::Trying { PostState::Trying } else { PostState::Due };
        let next = Self {
            content: self.content,
            urgency: self.urgency,
            state,
            n_tries: 0,
            error: None,
            ..before
        };
        tx.put(&next)?;
        Ok(true)
    }
}

/// Found by state, platform (`parent`) and, once it stands, `channel/message` (`subject`).
impl Record for Post {
    const KIND: &'static str = "post";
    fn key(&self) -> String {
        Self::row(&self.platform, &self.key)
    }
    fn index(&self) -> Index {
        let subject = self.place.as_ref().map(|p| format!("{}/{}", p.channel, p.message));
        Index {
            at: self.at,
            state: self.state.as_str().into(),
            parent: self.platform.clone(),
            subject: subject.unwrap_or_default(),
        }
    }
}
