//! The channel of an incident in Slack: made, filled with its people, its topic and bookmarks, and
//! closed at the end where that is set.
//!
//! Everything is looked up before it is set: a channel that was made by a try whose answer was lost
//! has the incident's own name, a topic or bookmark that is there is left (Slack tells the channel
//! of each that is set).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Slack;
use super::web::Failure;
use crate::chat::room::{Keep, Kept};
use crate::model::Fault;

/// Names that are tried where somebody else's channel has the wanted one.
const NAMES: usize = 5;
/// People that one call invites.
const INVITED: usize = 100;

impl Slack {
    /// Brings an incident's channel to what it should be.
    pub(super) async fn keep_room(&self, keep: Keep) -> Result<Kept, Fault> {
        let room = &keep.room;
        let channel = match &room.channel {
            Some(channel) => channel.clone(),
            None => self.made(&room.name).await?,
        };
        let mut lacks = Vec::new();
        let mut part = |done: Result<(), Failure>| match done {
            Err(f) if f.fault.is_transient() => Err(f.fault),
            Err(f) => {
                lacks.push(f.fault.to_string());
                Ok(())
            }
            Ok(()) => Ok(()),
        };
        part(self.topic(&channel, &room.topic).await)?;
        if !room.is_settled {
            part(self.invite(&channel).await)?;
            part(self.bookmark(&channel, &keep).await)?;
        }
        if keep.close {
            let body = json!({ "channel": channel });
            let closed = self.post_call("conversations.archive", &body).await;
            part(unless(closed, &["already_archived"]))?;
        }
        Ok(Kept { channel: Some(channel), lacks })
    }

    /// The channel of this name that the bot made, now or before.
    async fn made(&self, name: &str) -> Result<String, Fault> {
        for n in 1..=NAMES {
            let name = if n == 1 { name.to_owned() } else { format!("{name}-{n}") };
            let body = json!({ "name": name, "is_private": false });
            match self.post_call("conversations.create", &body).await {
                Ok(answer) => {
                    return Ok(answer["channel"]["id"].as_str().unwrap_or_default().to_owned());
                }
                Err(f) if f.is(&["name_taken"]) => {
                    if let Some(own) = self.own_channel(&name).await? {
                        return Ok(own);
                    }
                }
                Err(f) => return Err(f.fault),
            }
        }
        Err(Fault::because(format!("other channels have the name #{name}")))
    }

    /// The channel of this name where the bot made it.
    async fn own_channel(&self, name: &str) -> Result<Option<String>, Fault> {
        let me = self.get_call("auth.test", &[]).await?;
        let mut cursor = String::new();
        loop {
            let mut arguments =
                vec![("types", "public_channel"), ("exclude_archived", "true"), ("limit", "1000")];
            arguments.extend((!cursor.is_empty()).then_some(("cursor", &*cursor)));
            let page = self.get_call("conversations.list", &arguments).await?;
            let mut channels = page["channels"].as_array().into_iter().flatten();
            if let Some(found) = channels.find(|c| c["name"] == name) {
                let own = found["creator"] == me["user_id"];
                return Ok(found["id"].as_str().filter(|_| own).map(str::to_owned));
            }
            cursor = page["response_metadata"]["next_cursor"].as_str().unwrap_or_default().into();
            if cursor.is_empty() {
                return Ok(None);
            }
        }
    }

    async fn topic(&self, channel: &str, wanted: &str) -> Result<(), Failure> {
        // What Slack would escape does not come back as it was given.
        let wanted = wanted.replace(['&', '<', '>'], " ");
        let info = self.get_call("conversations.info", &[("channel", channel)]).await?;
        // Slack may give a sign back by its name; what it says stands in the words after it.
        let words = |topic: &str| topic.split_once(' ').map(|(_, words)| words.to_owned());
        let known = info["channel"]["topic"]["value"].as_str().and_then(words);
        if known.is_some() && known == words(&wanted) {
            return Ok(());
        }
        let body = json!({ "channel": channel, "topic": wanted });
        self.post_call("conversations.setTopic", &body).await.map(|_| ())
    }

    /// Invites the people and the members of the groups that the settings name.
    async fn invite(&self, channel: &str) -> Result<(), Failure> {
        let mut people = BTreeSet::new();
        for given in &self.inner.config.incident_channels.invite {
            if given.starts_with('S') {
                let members = [("usergroup", given.as_str())];
                let answer = self.get_call("usergroups.users.list", &members).await?;
                let users = answer["users"].as_array().into_iter().flatten();
                people.extend(users.filter_map(Value::as_str).map(str::to_owned));
            } else {
                people.insert(given.clone());
            }
        }
        let people: Vec<String> = people.into_iter().collect();
        for some in people.chunks(INVITED) {
            // Who is there already, or can't be had, keeps nobody else out.
            let body = json!({ "channel": channel, "users": some.join(","), "force": true });
            let invited = self.post_call("conversations.invite", &body).await;
            unless(invited, &["already_in_channel"])?;
        }
        Ok(())
    }

    /// Bookmarks the console and the incident's message.
    async fn bookmark(&self, channel: &str, keep: &Keep) -> Result<(), Failure> {
        let place = [("channel", &*keep.card.channel), ("message_ts", &*keep.card.message)];
        let message = self.get_call("chat.getPermalink", &place).await?;
        let message = message["permalink"].as_str().map(|link| ("Incident message", link));
        let console = keep.room.url.as_deref().map(|link| ("Console", link));
        let found = self.get_call("bookmarks.list", &[("channel_id", channel)]).await?;
        for (title, link) in console.into_iter().chain(message) {
            let mut known = found["bookmarks"].as_array().into_iter().flatten();
            if known.any(|b| b["title"] == title) {
                continue;
            }
            let body =
                json!({ "channel_id": channel, "title": title, "type": "link", "link": link });
            self.post_call("bookmarks.add", &body).await?;
        }
        Ok(())
    }
}

/// Done also where Slack says that it was so before.
fn unless(done: Result<Value, Failure>, before: &[&str]) -> Result<(), Failure> {
    match done {
        Err(f) if f.is(before) => Ok(()),
        done => done.map(|_| ()),
    }
}
