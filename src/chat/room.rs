//! The room of an incident: a channel of its own where a platform makes one, the thread's name
//! where it has threads. One durable row for each incident and platform says what it should be.
//!
//! Whoever decides what stands wants a [`Room`]; the rooms stage (`notify`) has the platform keep
//! it ([`Chat::room`](super::Chat::room)). A room is looks: whatever fails there, the incident's
//! card stands in its routed channel all the same.

use serde::{Deserialize, Serialize};

use super::Place;
use crate::model::{Fault, IncidentId, Severity, Time};
use crate::store::{Index, Record, Tx};

/// Which incidents a platform keeps rooms for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomPolicy {
    /// Incidents of these severities.
    pub severities: Vec<Severity>,
    /// Whether the room is a channel that the card is told in once more.
    pub is_channel: bool,
    /// Whether that channel is closed when the incident is over.
    pub closes: bool,
}

/// Where a room stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomState {
    /// The platform is to be brought to what it should be.
    Due,
    /// It is as it should be.
    Kept,
    /// The platform refuses it; `error` says why. It is tried again when it changes.
    Refused,
    /// It was closed for good.
    Closed,
}

impl RoomState {
    /// The word in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Kept => "kept",
            Self::Refused => "refused",
            Self::Closed => "closed",
        }
    }
}

/// The room of one incident on one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Whose.
    pub incident: IncidentId,
    /// On which platform.
    pub platform: String,
    /// What the channel is called; it never changes, so that it is found again after a crash. Small
    /// letters, digits and hyphens, at most [`Room::MOST_NAME`].
    pub name: String,
    /// State and title in one short line, at most [`Room::MOST_TITLE`] characters.
    pub title: String,
    /// State, severity, owner and title, at most [`Room::MOST_TOPIC`] characters.
    pub topic: String,
    /// Where the console shows the incident.
    pub url: Option<String>,
    /// Whether the incident is over.
    pub is_over: bool,
    /// The channel, once there is one.
    pub channel: Option<String>,
    /// Whether people were invited and bookmarks set.
    pub is_settled: bool,
    /// Where it stands.
    pub state: RoomState,
    /// Why it could not be kept, or what of it.
    pub error: Option<String>,
    /// When it was first wanted (event time).
    pub at: Time,
}

/// What a platform is asked to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    /// What it should be.
    pub room: Room,
    /// Where the incident's card stands.
    pub card: Place,
    /// Whether it is to be closed.
    pub close: bool,
}

/// What a platform made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The channel, where it is one.
    pub channel: Option<String>,
    /// Parts that could not be had, with the reasons.
    pub lacks: Vec<String>,
}

impl Room {
    /// Characters of a name (Slack's limit on channels).
    pub const MOST_NAME: usize = 80;
    /// Characters of a title (Discord's limit on threads).
    pub const MOST_TITLE: usize = 100;
    /// Characters of a topic (Slack's limit).
    pub const MOST_TOPIC: usize = 250;

    /// The key of the row.
    #[must_use]
    pub fn row(platform: &str, incident: IncidentId) -> String {
        format!("{platform}|{incident}")
    }

    /// The name of an incident's channel: its number, the words of its title and the end of its id,
    /// which tells it from that of an earlier database.
    #[must_use]
    pub fn named(number: u64, title: &str, incident: IncidentId) -> String {
        let id = incident.to_string().to_ascii_lowercase();
        let (start, end) = (format!("inc-{number}"), &id[id.len() - 4..]);
        let mut slug = String::new();
        for c in title.to_lowercase().chars() {
            match c {
                'a'..='z' | '0'..='9' => slug.push(c),
                _ if slug.ends_with('-') || slug.is_empty() => {}
                _ => slug.push('-'),
            }
        }
        slug.truncate(40);
        let middle = slug.trim_matches('-');
        let dash = if middle.is_empty() { "" } else { "-" };
        format!("{start}{dash}{middle}-{end}")
    }

    /// Wants it to be as it is here; says whether that changes anything. What it is called, and
    /// where it stands, stays. A closed one stays closed.
    ///
    /// # Errors
    /// The store failed.
    pub fn want(self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let Some(before) = tx.get::<Self>(self.key())? else {
            tx.put(&self)?;
            return Ok(true);
        };
        let after = Self {
            title: self.title,
            topic: self.topic,
            url: self.url,
            is_over: self.is_over,
            ..before.clone()
        };
        if before == after || before.state == RoomState::Closed {
            return Ok(false);
        }
        tx.put(&Self { state: RoomState::Due, error: None, ..after })?;
        Ok(true)
    }

    /// Whether both ask the same of the platform.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let of = |r: &Self| (r.title.clone(), r.topic.clone(), r.url.clone(), r.is_over);
        of(self) == of(other)
    }
}

/// Found by state, platform (`parent`) and channel (`subject`).
impl Record for Room {
    const KIND: &'static str = "room";
    fn key(&self) -> String {
        Self::row(&self.platform, self.incident)
    }
    fn index(&self) -> Index {
        Index {
            at: self.at,
            state: self.state.as_str().into(),
            parent: self.platform.clone(),
            subject: self.channel.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_slack_takes_whatever_the_title() {
        let id = IncidentId::derive(Time::from_ms(1), &["x"]);
        let name = Room::named(12, "Checkout p99 4.2 s, was 310 ms", id);
        assert!(name.starts_with("inc-12-checkout-p99-4-2-s-was-310-ms-"), "{name}");
        let long = "É𝔘 ".repeat(500) + &"Word ".repeat(500);
        for title in ["", "—", "שלום", "UPPER", long.as_str()] {
            let name = Room::named(u64::MAX, title, id);
            let good = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
            assert!(name.len() <= Room::MOST_NAME && name.chars().all(good), "{name}");
            assert!(!name.contains("--"), "{name}");
        }
    }
}
