//! Writing: a message or file is put where it belongs, once, or edited where it stands.

use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::id::ChannelId;

use super::find::Sought;
use super::places::{Target, given_id, id};
use super::rest::Ask;
use super::text::line;
use super::trouble::{Trouble, code};
use super::{Inner, render};
use crate::chat::{Draft, File, Place};

impl Inner {
    /// Brings a message to stand as the draft says; gives where. An answer that may not stand where
    /// it was asked is told to its asker directly.
    pub(super) async fn write(&self, draft: &Draft) -> Result<Place, Trouble> {
        match (self.stand(draft).await, &draft.asker) {
            (Err(trouble), Some(asker)) if draft.place.is_none() && trouble.is_closed() => {
                metrics::counter!("nightjar_chat_direct_answers_total", "platform" => "discord")
                    .increment(1);
                self.direct(asker, draft).await
            }
            (done, _) => done,
        }
    }

    /// Brings an answer into the direct conversation of its asker with the bot.
    async fn direct(&self, asker: &str, draft: &Draft) -> Result<Place, Trouble> {
        let target = Target::Channel(self.conversation(asker).await?);
        let body = render::message(Some(&draft.key), &draft.content);
        let sought = Sought { key: &draft.key, tried_at: draft.tried_at };
        if draft.doubtful
            && let Some(found) = self.find(&target, sought).await?
        {
            self.edit(target.channel(), found, &body).await?;
            return Ok(self.place(&target, &draft.channel, found));
        }
        let made = self.send(&target, body, &draft.key).await?;
        Ok(self.place(&target, &draft.channel, made))
    }

    /// Brings a message to stand in its channel or thread.
    async fn stand(&self, draft: &Draft) -> Result<Place, Trouble> {
        let body = render::message(Some(&draft.key), &draft.content);
        // Names the try: a message that somebody deleted is not given back by it.
        let mut try_key = draft.key.clone();
        if let Some(place) = &draft.place {
            let (channel, message) = self.standing(place).await?;
            match self.edit(channel, message, &body).await {
                Ok(()) => return Ok(place.clone()),
                Err(gone) if gone.is(code::UNKNOWN_MESSAGE) || gone.is(code::UNKNOWN_CHANNEL) => {
                    try_key = format!("{} after {message}", draft.key);
                }
                Err(other) => return Err(other),
            }
        } else if let Some(place) = self.answer_in_place(draft, &body).await? {
            return Ok(place);
        }
        let target = self.target(&draft.channel, draft.thread.as_ref()).await?;
        let sought = Sought { key: &draft.key, tried_at: draft.tried_at };
        if draft.doubtful
            && let Some(found) = self.find(&target, sought).await?
        {
            let place = self.place(&target, &draft.channel, found);
            let (channel, message) = self.standing(&place).await?;
            self.edit(channel, message, &body).await?;
            return Ok(place);
        }
        let made = self.send(&target, body, &try_key).await?;
        Ok(self.place(&target, &draft.channel, made))
    }

    fn place(&self, target: &Target, channel: &str, message: u64) -> Place {
        let channel = match target {
            Target::Post(_) => channel.to_owned(),
            other => other.channel().to_string(),
        };
        Place { platform: self.platform.clone(), channel, message: message.to_string() }
    }

    async fn edit(&self, channel: u64, message: u64, body: &Value) -> Result<(), Trouble> {
        match self.rest.edit_message((channel, message), body).await {
            Err(trouble) if trouble.is(code::ARCHIVED) => {
                self.unarchive(channel).await?;
                self.rest.edit_message((channel, message), body).await
            }
            other => other,
        }
    }

    /// Sends a new message, into a thread that is opened where it is not there yet.
    async fn send(&self, target: &Target, mut body: Value, key: &str) -> Result<u64, Trouble> {
        if let Target::Post(forum) = target {
            return self.open_post(*forum, &body).await;
        }
        body["nonce"] = json!(render::nonce(key));
        body["enforce_nonce"] = json!(true);
        if let Target::Reply { to, .. } = target {
            body["message_reference"] =
                json!({ "message_id": to.to_string(), "fail_if_not_exists": false });
        }
        match self.rest.send_message(target.channel(), &body).await {
            Err(trouble) => {
                self.make_room(target, trouble).await?;
                self.rest.send_message(target.channel(), &body).await
            }
            sent => sent,
        }
    }

    /// Opens the thread, or takes it out of the archive, where that was what a send lacked.
    async fn make_room(&self, target: &Target, trouble: Trouble) -> Result<(), Trouble> {
        match target {
            Target::ThreadOf { channel, root } if trouble.is(code::UNKNOWN_CHANNEL) => {
                self.open_thread(*channel, *root).await
            }
            _ if trouble.is(code::ARCHIVED) => self.unarchive(target.channel()).await,
            _ => Err(trouble),
        }
    }

    /// Shows a file, a picture inside an embed.
    pub(super) async fn show(&self, file: &File) -> Result<Place, Trouble> {
        if let Some(place) = &file.place {
            return Ok(place.clone());
        }
        let target = self.target(&file.channel, file.thread.as_ref()).await?;
        let sought = Sought { key: &file.key, tried_at: file.tried_at };
        if file.doubtful
            && let Some(found) = self.find(&target, sought).await?
        {
            return Ok(self.place(&target, &file.channel, found));
        }
        let name = file_name(&file.name);
        let alt = line(&file.alt, 1_000);
        let mut embed = json!({ "footer": { "text": render::reference(&file.key) } });
        if !alt.is_empty() {
            embed["description"] = json!(super::text::fit(&alt, 2_000));
        }
        if file.media_type.starts_with("image/") {
            embed["image"] = json!({ "url": format!("attachment://{name}") });
        }
        let mut body = json!({
            "embeds": [embed],
            "attachments": [{ "id": 0, "filename": name, "description": alt }],
            "allowed_mentions": { "parse": [] },
        });
        let upload = (name.as_str(), file.bytes.as_slice());
        if let Target::Post(forum) = target {
            let content = super::text::fit(&line(&file.alt, 90), 90);
            body["content"] = json!(content);
            let named = if content.is_empty() { name.clone() } else { line(&file.alt, 90) };
            let post = json!({ "name": named, "message": body });
            let route = Route::ChannelForumPosts { channel_id: ChannelId::new(forum) };
            let ask = Ask { file: Some(upload), ..Ask::new(LightMethod::Post, route).body(&post) };
            let made = given_id(&self.rest.ask(ask).await?)?;
            return Ok(self.place(&Target::Post(forum), &file.channel, made));
        }
        body["nonce"] = json!(render::nonce(&file.key));
        body["enforce_nonce"] = json!(true);
        let route = Route::ChannelMessages { channel_id: ChannelId::new(target.channel()) };
        let ask = || Ask { file: Some(upload), ..Ask::new(LightMethod::Post, route).body(&body) };
        let sent = match self.rest.ask(ask()).await {
            Err(trouble) => {
                self.make_room(&target, trouble).await?;
                self.rest.ask(ask()).await?
            }
            Ok(sent) => sent,
        };
        Ok(self.place(&target, &file.channel, given_id(&sent)?))
    }

    /// A message for one person in their direct conversation with the bot.
    pub(super) async fn whisper(&self, person: &str, body: &Value) -> Result<(), Trouble> {
        let channel = self.conversation(person).await?;
        self.rest.send_message(channel, body).await.map(|_| ())
    }

    /// The direct conversation of a person with the bot; the same one each time.
    async fn conversation(&self, person: &str) -> Result<u64, Trouble> {
        id(person)?;
        let to = json!({ "recipient_id": person });
        let ask = Ask::new(LightMethod::Post, Route::UserMeDmChannels).body(&to);
        given_id(&self.rest.ask(ask).await?)
    }
}

/// A name that Discord keeps as it is, so that the embed finds it.
fn file_name(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let name: String = name.chars().take(100).map(keep).collect();
    if name.trim_matches(['.', '-']).is_empty() { "file".into() } else { name }
}
