//! What is said in Slack: messages, files, ephemeral words, signs.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::render::{self, Metadata};
use super::web::Failure;
use super::{Slack, stream};
use crate::chat::{Address, Content, Draft, File, Place, seek};
use crate::model::id::hex;
use crate::model::{Fault, Time};

/// Channels that everybody in the workspace sees.
const PUBLIC: &str = "public_channel";
/// What our metadata is called.
const EVENT_TYPE: &str = "nightjar";
/// What stands behind a trigger when its ephemeral answer belongs into the channel although a
/// message of it was clicked on: an ephemeral reply to a message without a thread is not seen.
pub(super) const IN_CHANNEL: &str = "#channel";
/// Errors that say that nothing of ours can stand in a channel.
const CLOSED: [&str; 3] = ["not_in_channel", "channel_not_found", "is_archived"];
/// Blocks of one message at most.
const BLOCKS: usize = 50;
/// Pages of 200 messages that are read in one try for a message in doubt.
const PAGES: usize = 10;

/// A message in doubt.
#[derive(Clone, Copy)]
struct Sought<'a> {
    key: &'a str,
    tried_at: Option<Time>,
}

impl Slack {
    /// Writes or edits a message.
    pub(super) async fn write(&self, draft: Draft) -> Result<Place, Fault> {
        let rendered = render::content(&draft.content);
        let mut body = json!({
            "text": rendered.text,
            "blocks": rendered.blocks,
            "metadata": { "event_type": EVENT_TYPE, "event_payload": { "key": draft.key } },
            "link_names": false,
            "parse": "none",
        });
        if let Some(place) = &draft.place {
            explain(&mut body, &draft, &place.channel);
            if let Some(place) = self.go_on(&draft, place).await? {
                return Ok(place);
            }
            self.end_stream(&draft.key, place).await?;
            match self.edit(place, &mut body).await {
                // Somebody deleted it: it is written again.
                Err(f) if f.is(&["message_not_found"]) => {}
                done => return Ok(done?),
            }
        }
        let channel = self.channel_id(&draft.channel).await?;
        let thread = draft.thread.as_ref().map(|t| t.message.clone());
        if draft.doubtful {
            let key = |m: &Value| {
                let ours = m["metadata"]["event_type"] == EVENT_TYPE
                    && m["metadata"]["event_payload"]["key"] == draft.key.as_str();
                ours || stream::is_stream_of(m, &draft.key)
            };
            let sought = || Sought { key: &draft.key, tried_at: draft.tried_at };
            let mut channel = channel.clone();
            let found =
                match (self.find(sought(), (&channel, thread.as_deref()), key).await, &draft.asker)
                {
                    (Err(f), asker) if asker.is_none() || !f.is(&CLOSED) => return Err(f.fault),
                    (Ok(Some(found)), _) => Some(found),
                    // Where it could not stand its asker was told directly, if anybody was.
                    (_, Some(asker)) => match self.direct(asker).await? {
                        Some(direct) => {
                            channel = direct;
                            self.find(sought(), (&channel, None), key).await?
                        }
                        // That can't be asked: told twice is better than never.
                        None => None,
                    },
                    (_, None) => None,
                };
            if let Some(found) = found {
                explain(&mut body, &draft, &channel);
                metrics::counter!("nightjar_chat_found_again_total", "platform" => "slack")
                    .increment(1);
                return Ok(self.edit(&self.place(&channel, &found), &mut body).await?);
            }
        }
        if let Some(begun) = self.begin_stream(&draft, (&channel, thread.as_deref())).await? {
            return Ok(begun);
        }
        body["channel"] = channel.as_str().into();
        body["unfurl_links"] = false.into();
        body["unfurl_media"] = false.into();
        if let Some(thread) = thread {
            body["thread_ts"] = thread.into();
            body["reply_broadcast"] = draft.broadcast.into();
        }
        let mut answer = self.post_call("chat.postMessage", &body).await;
        if let (Err(f), Some(asker)) = (&answer, &draft.asker)
            && f.is(&CLOSED)
        {
            // Whoever asked is to hear the answer, also where the bot may not speak.
            metrics::counter!("nightjar_chat_direct_answers_total", "platform" => "slack")
                .increment(1);
            body["channel"] = asker.as_str().into();
            if let Some(body) = body.as_object_mut() {
                body.remove("thread_ts");
                body.remove("reply_broadcast");
            }
            explain(&mut body, &draft, asker);
            answer = self.post_call("chat.postMessage", &body).await;
        }
        let answer = answer?;
        let channel = answer["channel"].as_str().unwrap_or(&channel);
        Ok(self.place(channel, answer["ts"].as_str().unwrap_or_default()))
    }

    /// The direct conversation with somebody; `None` without the scope for it.
    async fn direct(&self, user: &str) -> Result<Option<String>, Failure> {
        let asked = serde_json::json!({ "users": user });
        match self.post_call("conversations.open", &asked).await {
            Ok(answer) => Ok(answer["channel"]["id"].as_str().map(str::to_owned)),
            Err(f) if f.is(&["missing_scope"]) => Ok(None),
            Err(f) => Err(f),
        }
    }

    async fn edit(&self, place: &Place, body: &mut Value) -> Result<Place, Failure> {
        body["channel"] = place.channel.as_str().into();
        body["ts"] = place.message.as_str().into();
        let mut answer = self.post_call("chat.update", body).await;
        if answer.as_ref().is_err_and(|f| f.is(&["streaming_state_conflict"])) {
            // A stream that nobody here remembers: it was cut by a restart.
            self.stop_stream(place)
                .await
                .map_err(|fault| Failure { code: String::new(), fault })?;
            answer = self.post_call("chat.update", body).await;
        }
        if let Some(body) = body.as_object_mut() {
            body.remove("ts");
        }
        answer.map(|_| place.clone())
    }

    /// A message of a channel or thread that fits, as its time stamp. The history is read back to
    /// the first try, over several calls of this where it is long: until it is read to there, it is
    /// not known whether the message stands, and nothing may be written.
    async fn find(
        &self,
        sought: Sought<'_>,
        (channel, thread): (&str, Option<&str>),
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Option<String>, Failure> {
        let oldest = seek::oldest(sought.tried_at).map(|at| (at.ms() / 1_000).to_string());
        let seeks = &self.inner.seeks;
        let mut cursor = seeks.reached(sought.key).unwrap_or_default();
        for _ in 0..PAGES {
            let mut arguments =
                vec![("channel", channel), ("include_all_metadata", "true"), ("limit", "200")];
            arguments.extend(oldest.as_deref().map(|oldest| ("oldest", oldest)));
            arguments.extend((!cursor.is_empty()).then_some(("cursor", &*cursor)));
            let page = match thread {
                Some(ts) => {
                    arguments.push(("ts", ts));
                    self.get_call("conversations.replies", &arguments).await
                }
                None => self.get_call("conversations.history", &arguments).await,
            };
            let page = match page {
                // A page's mark lives for a while only: the search begins anew.
                Err(f) if f.is(&["invalid_cursor"]) => {
                    seeks.end(sought.key);
                    break;
                }
                // Its root was deleted, and the replies with it.
                Err(f) if f.is(&["thread_not_found"]) => {
                    seeks.end(sought.key);
                    return Ok(None);
                }
                page => page?,
            };
            let messages = page["messages"].as_array().into_iter().flatten();
            let found = messages.filter(|m| fits(m)).find_map(|m| m["ts"].as_str());
            cursor = page["response_metadata"]["next_cursor"].as_str().unwrap_or_default().into();
            if found.is_some() || cursor.is_empty() {
                seeks.end(sought.key);
                return Ok(found.map(str::to_owned));
            }
            seeks.note(sought.key, &cursor);
        }
        let fault = Fault::Transient {
            context: "the channel's history since the first try is not read to its end".into(),
            after: Some(seek::PAUSE),
            source: None,
        };
        Err(Failure { code: String::new(), fault })
    }

    /// Shows a file in three steps: an address, the bytes, the message.
    pub(super) async fn bring(&self, file: File) -> Result<Place, Fault> {
        if let Some(place) = file.place {
            return Ok(place);
        }
        let channel = self.channel_id(&file.channel).await?;
        let thread = file.thread.as_ref().map(|t| t.message.clone());
        let name = unique_name(&file.name, &file.key);
        if file.doubtful {
            let shows = |m: &Value| {
                m["files"].as_array().is_some_and(|all| all.iter().any(|f| f["name"] == *name))
            };
            let sought = Sought { key: &file.key, tried_at: file.tried_at };
            if let Some(found) = self.find(sought, (&channel, thread.as_deref()), shows).await? {
                return Ok(self.place(&channel, &found));
            }
        }
        let length = file.bytes.len().to_string();
        let alt: String = file.alt.chars().take(1_000).collect();
        let arguments = [("filename", &*name), ("length", &*length), ("alt_txt", &*alt)];
        let address = self.get_call("files.getUploadURLExternal", &arguments).await?;
        let (url, id) = (address["upload_url"].as_str(), address["file_id"].as_str());
        let id = id.unwrap_or_default();
        self.inner.web.bytes(url.unwrap_or_default(), &file.media_type, &file.bytes).await?;
        let mut body = json!({
            "files": [{ "id": id, "title": render::title(&file.alt, &file.name) }],
            "channel_id": channel,
        });
        if let Some(thread) = thread {
            body["thread_ts"] = thread.into();
        }
        let done = self.post_call("files.completeUploadExternal", &body).await?;
        // Slack shares the file a moment later and mostly tells no message yet: then the file's
        // own id stands for it.
        let shares = &done["files"][0]["shares"];
        let shared =
            ["public", "private"].iter().find_map(|k| shares[k][&channel][0]["ts"].as_str());
        Ok(self.place(&channel, shared.unwrap_or(id)))
    }

    /// Says something that one person sees. Where Slack can't (the bot is not in the channel), it
    /// is said in a direct message.
    pub(super) async fn whisper(&self, to: Address, content: Content) -> Result<(), Fault> {
        let trigger = to.trigger.as_deref().unwrap_or_default();
        let in_channel = trigger.ends_with(IN_CHANNEL);
        if let Content::Form { form } = &content {
            let metadata = Metadata {
                code: form.code.clone(),
                channel: to.channel.clone(),
                thread: to.thread.clone(),
            };
            let view = render::form(form, &metadata, self.inner.clock.now());
            let trigger = trigger.trim_end_matches(IN_CHANNEL);
            match self.open(trigger, &view).await {
                // A trigger lives 3 s: the form is offered as a button.
                Err(f)
                    if trigger.is_empty()
                        || f.is(&[
                            "expired_trigger_id",
                            "exchanged_trigger_id",
                            "invalid_trigger_id",
                            "trigger_expired",
                        ]) => {}
                done => return Ok(done?),
            }
        }
        let rendered = render::content(&content);
        let mut body = json!({
            "channel": to.channel, "user": to.actor.id, "text": rendered.text,
            "blocks": rendered.blocks, "link_names": false, "parse": "none",
        });
        if let Some(thread) = to.thread.filter(|_| !in_channel) {
            body["thread_ts"] = thread.into();
        }
        match self.post_call("chat.postEphemeral", &body).await {
            Err(f)
                if f.is(&["not_in_channel", "channel_not_found", "user_not_in_channel"])
                    || f.is(&["method_not_supported_for_channel_type", "is_archived"]) =>
            {
                body["channel"] = to.actor.id.as_str().into();
                if let Some(body) = body.as_object_mut() {
                    body.remove("user");
                    body.remove("thread_ts");
                }
                self.post_call("chat.postMessage", &body).await?;
                Ok(())
            }
            done => Ok(done.map(|_| ())?),
        }
    }

    /// Opens a modal.
    pub(super) async fn open(&self, trigger: &str, view: &Value) -> Result<(), Failure> {
        let body = json!({ "trigger_id": trigger, "view": view });
        self.post_call("views.open", &body).await.map(|_| ())
    }

    /// Shows that a question is worked on: a sign at it, and a word where Slack offers that.
    ///
    /// # Errors
    /// It may work later. What the app may not do, or the message does not take, is left.
    pub(super) async fn sign(&self, to: Address, message: String, on: bool) -> Result<(), Fault> {
        // A command is no message.
        if message.is_empty() {
            return Ok(());
        }
        let method = if on { "reactions.add" } else { "reactions.remove" };
        let body = json!({ "channel": to.channel, "timestamp": message, "name": "eyes" });
        if let Err(f) = self.post_call(method, &body).await
            && !f.is(&["already_reacted", "no_reaction", "message_not_found"])
        {
            if f.fault.is_transient() {
                return Err(f.fault);
            }
            tracing::debug!(fault = %f.fault, "the sign at a question was not set");
        }
        // Slack offers the word in direct messages with the app.
        if to.channel.starts_with('D') {
            let status = if on { "is looking into it" } else { "" };
            let thread = to.thread.as_deref().unwrap_or(&message);
            let body = json!({ "channel_id": to.channel, "thread_ts": thread, "status": status });
            if let Err(f) = self.post_call("assistant.threads.setStatus", &body).await {
                tracing::debug!(fault = %f.fault, "the word beneath a question was not set");
            }
        }
        Ok(())
    }

    /// Pins a message, or no more.
    pub(super) async fn pin(&self, place: Place, on: bool) -> Result<(), Fault> {
        let method = if on { "pins.add" } else { "pins.remove" };
        let body = json!({ "channel": place.channel, "timestamp": place.message });
        match self.post_call(method, &body).await {
            Err(f) if f.is(&["already_pinned", "no_pin", "not_pinned", "message_not_found"]) => {
                Ok(())
            }
            done => Ok(done.map(|_| ())?),
        }
    }

    /// The id of a channel that was asked for before; `None` also while it is being asked for.
    pub(super) fn known_id(&self, given: &str) -> Option<String> {
        let name = given.trim_start_matches('#').to_lowercase();
        self.inner.channels.try_lock().ok()?.get(&name).cloned()
    }

    /// The id of a channel that is given by id or by name. Names are asked for once.
    pub(super) async fn channel_id(&self, given: &str) -> Result<String, Fault> {
        if is_id(given) {
            return Ok(given.to_owned());
        }
        let name = given.trim_start_matches('#').to_lowercase();
        let mut known = self.inner.channels.lock().await;
        if let Some(id) = known.get(&name) {
            return Ok(id.clone());
        }
        let (mut cursor, mut types) = (String::new(), "public_channel,private_channel");
        loop {
            let mut arguments =
                vec![("types", types), ("exclude_archived", "true"), ("limit", "1000")];
            arguments.extend((!cursor.is_empty()).then_some(("cursor", &*cursor)));
            let page = match self.get_call("conversations.list", &arguments).await {
                // Private channels need a scope of their own, which nobody must grant.
                Err(f) if f.is(&["missing_scope"]) && types != PUBLIC => {
                    (cursor, types) = (String::new(), PUBLIC);
                    continue;
                }
                page => page?,
            };
            for channel in page["channels"].as_array().into_iter().flatten() {
                if let (Some(name), Some(id)) = (channel["name"].as_str(), channel["id"].as_str()) {
                    known.insert(name.to_owned(), id.to_owned());
                }
            }
            if let Some(id) = known.get(&name) {
                return Ok(id.clone());
            }
            cursor = page["response_metadata"]["next_cursor"].as_str().unwrap_or_default().into();
            if cursor.is_empty() {
                return Err(Fault::because(format!(
                    "Slack has no channel #{name} that the bot sees: make it, or invite the bot \
                     where it is private, or give the channel's id"
                )));
            }
        }
    }
}

/// Says above an answer why it does not stand where it was asked.
fn explain(body: &mut Value, draft: &Draft, stands: &str) {
    let asked = &draft.channel;
    let elsewhere = stands != asked && is_id(asked) && !asked.starts_with(['U', 'W', 'D']);
    let Some(blocks) = body["blocks"].as_array_mut().filter(|_| draft.asker.is_some()) else {
        return;
    };
    if elsewhere && blocks.len() < BLOCKS {
        let text = format!("What you asked in <#{asked}>, where the bot can't write:");
        let element = json!({ "type": "mrkdwn", "text": text, "verbatim": true });
        blocks.insert(0, json!({ "type": "context", "elements": [element] }));
    }
}

/// Whether this is an id of Slack's (a channel, a direct message, a person) and not a name: names
/// of channels have no capital letters.
fn is_id(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(['C', 'G', 'D', 'U', 'W'])
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The file's name with a few digits of its key, by which it is found again.
fn unique_name(name: &str, key: &str) -> String {
    let digest = hex(&Sha256::digest(key.as_bytes())[..4]);
    match name.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem}-{digest}.{ending}"),
        None => format!("{name}-{digest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_names() {
        assert!(is_id("C024BE91L") && is_id("D0123") && is_id("U2147483697"));
        assert!(!is_id("#incidents") && !is_id("incidents") && !is_id("Chat") && !is_id("C"));
    }

    #[test]
    fn a_files_name_tells_its_key() {
        let name = unique_name("checkout-p99.png", "INC-1/chart");
        assert_eq!(name, "checkout-p99-8f24ba56.png");
        assert_ne!(name, unique_name("checkout-p99.png", "INC-2/chart"));
    }
}
