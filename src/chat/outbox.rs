//! The durable outbox: what is to stand on each platform, one row a message, named by its key.
//!
//! Whoever has something to say puts a [`Post`] into the transaction that decided it; the delivery
//! stage (`notify`) brings the platforms there. The newest content wins: an edit that was not sent
//! yet is never sent late. A row is marked before its first try, so that after a crash the adapter
//! knows to look for the key before it writes again.
//!
//! ```text
//! want ──▶ waiting ──(what it hangs on stands)───▶ due ──begin──▶ trying ──stood──▶ sent
//!                                                   ▲               │  ▲ failed, may pass
//!                                                   │               │  └──┘
//!                                  want (newer) ────┴── refused ◀───┴ failed for good
//! ```

mod attempt;
mod standing;

pub use attempt::Attempt;
pub use standing::{Ledger, Standing, Unsent};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Content, Mark, Place};
use crate::model::{Fault, IncidentId, Time};
use crate::store::{Index, Record, Tx};

/// What goes first when a platform takes less than there is; earlier is more urgent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Something waits for a person's decision.
    Decision,
    /// An answer that somebody waits for. Where both are in line, answers and new incidents take
    /// turns, an answer first: neither holds the other up.
    Answer,
    /// A new incident.
    Opening,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PostState {
    /// Its thread's root, or the post that it follows, does not stand yet.
    Waiting,
    /// To be sent, or to be edited; never tried in this form.
    Due,
    /// A try was begun: the platform may have it.
    Trying,
    /// The platform has its newest content.
    Sent,
    /// The platform refuses it for good; `error` says why.
    Refused,
}

impl Urgency {
    /// All, the most urgent first.
    pub const ALL: [Self; 5] =
        [Self::Decision, Self::Answer, Self::Opening, Self::Delta, Self::Cosmetic];

    /// The word in the store and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Answer => "answer",
            Self::Opening => "opening",
            Self::Delta => "delta",
            Self::Cosmetic => "cosmetic",
        }
    }
}

impl PostState {
    /// All.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Due, Self::Trying, Self::Sent, Self::Refused];

    /// Whether the platform does not have the newest content yet, but may get it.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Due | Self::Trying)
    }

    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
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
    /// The post that is to stand before it, by its key: so the parts of a long answer come in
    /// their order. It belongs to the same thread.
    #[serde(default)]
    pub after: Option<String>,
    /// What it should say.
    pub content: Content,
    /// How soon.
    pub urgency: Urgency,
    /// Whether a thread's message is shown in the channel too.
    pub broadcast: bool,
    /// The platform's id of the one person for whom its content is being made, as long as it is:
    /// who has such a thing shows it as it grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// The platform's id of the one person whom it answers: where the channel takes nothing from
    /// us, they are told directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asker: Option<String>,
    /// Which incident it is about.
    pub incident: Option<IncidentId>,
    /// Where it stands.
    pub state: PostState,
    /// Where it stands on the platform, once it does.
    pub place: Option<Place>,
    /// When it was first wanted (event time).
    pub at: Time,
    /// Since when the platform lacks its newest content; of what stands, since when it last did.
    #[serde(default)]
    pub due_at: Time,
    /// When it was first tried (wall time) since it was last known where it stands: how far back its
    /// platform is searched for it, also where what stood was deleted meanwhile.
    #[serde(default)]
    pub tried_at: Option<Time>,
    /// Tries of the newest content.
    pub n_tries: u32,
    /// Why the last try failed.
    pub error: Option<String>,
    /// Whether it is marked on its platform as the one to find: [`Chat::dress`](super::Chat::dress).
    #[serde(default)]
    pub dressed: bool,
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
            after: None,
            content,
            urgency: Urgency::Delta,
            broadcast: false,
            reader: None,
            asker: None,
            incident: None,
            state: PostState::Due,
            place: None,
            at,
            due_at: at,
            tried_at: None,
            n_tries: 0,
            error: None,
            dressed: false,
        }
    }

    /// The key of the row.
    #[must_use]
    pub fn row(platform: &str, key: &str) -> String {
        format!("{platform}|{key}")
    }

    /// The word in the store for a state: what is to be sent is found by urgency.
    #[must_use]
    pub fn word(state: PostState, urgency: Urgency) -> String {
        match state {
            PostState::Due | PostState::Trying => {
                format!("{}.{}", state.as_str(), urgency.as_str())
            }
            PostState::Waiting | PostState::Sent | PostState::Refused => state.as_str().to_owned(),
        }
    }

    /// All words of a state, the most urgent first.
    #[must_use]
    pub fn words(state: PostState) -> Vec<String> {
        let mut words: Vec<String> = Urgency::ALL.iter().map(|u| Self::word(state, *u)).collect();
        words.dedup();
        words
    }

    /// Wants it to stand as it is here; `true` where that changes anything. Where it stands
    /// already it stays: a card moves to no other channel. What was not sent yet keeps its place
    /// in the line and its urgency, or gets a greater one.
    ///
    /// # Errors
    /// The store failed.
    pub fn want(self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let before = tx.get::<Self>(Self::row(&self.platform, &self.key))?;
        let Some(before) = before else {
            let state = ready(tx, &self)?;
            tx.put(&Self { state, ..self })?;
            return Ok(true);
        };
        if before.content == self.content {
            return Ok(false);
        }
        // A try under way may still reach the platform: its mark stays until it is known.
        let state =
            if before.state == PostState::Trying { before.state } else { ready(tx, &before)? };
        let in_line = before.state.is_open();
        let urgency = if in_line { before.urgency.min(self.urgency) } else { self.urgency };
        let due_at = if in_line { before.due_at } else { self.at };
        let content = self.content;
        let reader = self.reader;
        let (n_tries, error) = (0, None);
        tx.put(&Self { content, urgency, reader, state, due_at, n_tries, error, ..before })?;
        Ok(true)
    }

    /// How it should be marked on its platform, where that differs from how it is: the card of an
    /// incident that is not over is the one to find.
    #[must_use]
    pub fn dress(&self) -> Option<bool> {
        let Content::Card { card } = &self.content else { return None };
        let is_card = self.within == Within::Channel && self.incident.is_some();
        let on = !matches!(card.mark, Mark::Over | Mark::Plain);
        (is_card && on != self.dressed).then_some(on)
    }

    /// The key of the post that must stand before this one: that which it follows, else the root of
    /// its thread.
    #[must_use]
    pub fn waits_for(&self) -> Option<&str> {
        let root = match &self.within {
            Within::Post(root) => Some(root.as_str()),
            Within::Channel | Within::Message(_) => None,
        };
        self.after.as_deref().or(root)
    }

    /// The channel of what is in line, from the row's subject.
    #[must_use]
    pub fn channel_in(subject: &str) -> &str {
        subject.rsplit_once('/').map_or(subject, |(channel, _)| channel)
    }

    /// Whether what is in line stands already (and is to be edited), from the row's subject.
    #[must_use]
    pub fn stands_in(subject: &str) -> bool {
        !subject.ends_with('/')
    }
}

/// Due, or waiting for another post.
fn ready(tx: &Tx<'_>, post: &Post) -> Result<PostState, Fault> {
    let Some(first) = post.waits_for() else { return Ok(PostState::Due) };
    let first = tx.get::<Post>(Post::row(&post.platform, first))?;
    let stands = first.is_some_and(|r| r.place.is_some());
    Ok(if stands { PostState::Due } else { PostState::Waiting })
}

/// Found by [`Post::word`], platform (`parent`) and `channel/message` (`subject`); before it stands
/// by `channel/`, and while it waits by the key of what it waits for.
impl Record for Post {
    const KIND: &'static str = "post";
    fn key(&self) -> String {
        Self::row(&self.platform, &self.key)
    }
    fn index(&self) -> Index {
        let subject = match (&self.place, self.waits_for(), self.state) {
            (Some(place), ..) => format!("{}/{}", place.channel, place.message),
            (None, Some(first), PostState::Waiting) => first.to_owned(),
            (None, ..) => format!("{}/", self.channel),
        };
        Index {
            at: self.due_at,
            state: Self::word(self.state, self.urgency),
            parent: self.platform.clone(),
            subject,
        }
    }
}
