//! Answers in the making as streams: text that Slack shows as it is appended.
//!
//! A stream is shown to one reader word by word; everybody else sees its beginning until it ends
//! (chat.startStream takes one recipient). So only what is made for one person is streamed, and
//! where several read along the message is edited. It is also edited where the workspace has no
//! streams, where a stream was cut (Slack ends each after about five minutes), and after a restart.
//!
//! Guarantees: one message. A stream can't carry our metadata before it ends, so it begins with a
//! reference made of its key, by which it is found again; the whole answer takes the place of all
//! that was streamed, and carries the key.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Slack;
use super::render;
use super::web::Failure;
use crate::chat::{Block, Content, Draft, Place};
use crate::model::Fault;
use crate::model::id::hex;

/// Streams that are remembered; one that is forgotten is edited.
const MOST: usize = 200;
/// Characters of one call; Slack takes 12,000.
const TEXT: usize = 11_000;
/// Errors that say that this workspace has no streams for this app.
const NOT_OFFERED: [&str; 7] = [
    "unknown_method",
    "not_allowed",
    "not_allowed_token_type",
    "method_not_allowed",
    "feature_not_enabled",
    "missing_scope",
    "access_denied",
];
/// Errors that say that a stream is over.
const OVER: [&str; 2] = ["message_not_in_streaming_state", "stopped_by_user"];

/// Streams that are open.
#[derive(Default)]
pub(super) struct Streams {
    // Guards what each open stream was given so far, by the key of its message.
    open: Mutex<BTreeMap<String, Open>>,
    // Whether Slack said that there are none here; asked again after a restart.
    none: AtomicBool,
}

#[derive(Clone)]
struct Open {
    place: Place,
    said: String,
}

impl Streams {
    fn get(&self, key: &str) -> Option<Open> {
        self.lock().get(key).cloned()
    }

    fn put(&self, key: &str, open: Open) {
        let mut all = self.lock();
        if all.len() >= MOST {
            all.pop_first();
        }
        all.insert(key.to_owned(), open);
    }

    fn take(&self, key: &str) -> Option<Open> {
        self.lock().remove(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Open>> {
        self.open.lock().expect("nothing panics under this lock")
    }
}

/// What a stream of this key begins with.
fn beginning(key: &str) -> String {
    format!("_Being answered …_ ({})\n\n", reference(key))
}

fn reference(key: &str) -> String {
    format!("ref {}", hex(&Sha256::digest(key.as_bytes())[..6]))
}

/// Whether a message is the stream of this key, as far as it came.
pub(super) fn is_stream_of(message: &Value, key: &str) -> bool {
    message["text"].as_str().is_some_and(|text| text.contains(&reference(key)))
}

/// The words of content in the making.
fn words(content: &Content) -> Option<String> {
    let text = match content {
        Content::Text { text } => text,
        Content::Card { card } => match card.blocks.as_slice() {
            [Block::Text { text, .. }] => text,
            _ => return None,
        },
        _ => return None,
    };
    Some(render::inert(text))
}

impl Slack {
    /// Goes on with the stream of a message that stands; `None`: it is to be edited.
    pub(super) async fn go_on(&self, draft: &Draft, place: &Place) -> Result<Option<Place>, Fault> {
        let (streams, key) = (&self.inner.streams, draft.key.as_str());
        let open = streams.get(key).filter(|open| open.place == *place);
        let (Some(open), Some(_), Some(text)) = (open, &draft.reader, words(&draft.content)) else {
            return Ok(None);
        };
        let Some(more) = text.strip_prefix(&open.said).filter(|m| m.chars().count() <= TEXT) else {
            return Ok(None);
        };
        if more.is_empty() {
            return Ok(Some(open.place));
        }
        let body = json!({
            "channel": place.channel, "ts": place.message, "markdown_text": more,
        });
        match self.post_call("chat.appendStream", &body).await {
            Ok(_) => {
                let place = open.place.clone();
                streams.put(key, Open { said: text, ..open });
                Ok(Some(place))
            }
            Err(f) if f.fault.is_transient() => {
                // Whether it was appended is not known: it is not appended twice but edited.
                streams.take(key);
                Err(f.fault)
            }
            Err(_) => {
                streams.take(key);
                Ok(None)
            }
        }
    }

    /// Begins a stream for a new message; `None`: it is to be posted.
    pub(super) async fn begin_stream(
        &self,
        draft: &Draft,
        (channel, thread): (&str, Option<&str>),
    ) -> Result<Option<Place>, Fault> {
        let streams = &self.inner.streams;
        let (Some(reader), Some(thread)) = (&draft.reader, thread) else { return Ok(None) };
        let Some(text) = words(&draft.content).filter(|t| t.chars().count() <= TEXT) else {
            return Ok(None);
        };
        if streams.none.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let body = json!({
            "channel": channel, "thread_ts": thread,
            "markdown_text": format!("{}{text}", beginning(&draft.key)),
            "recipient_user_id": reader, "recipient_team_id": self.team().await?,
        });
        match self.post_call("chat.startStream", &body).await {
            Ok(answer) => {
                let place = self.place(channel, answer["ts"].as_str().unwrap_or_default());
                streams.put(&draft.key, Open { place: place.clone(), said: text });
                metrics::counter!("nightjar_chat_streams_total", "platform" => "slack")
                    .increment(1);
                Ok(Some(place))
            }
            Err(f) if f.fault.is_transient() => Err(f.fault),
            Err(f) => {
                if f.is(&NOT_OFFERED) {
                    streams.none.store(true, Ordering::Relaxed);
                    tracing::info!(reason = %f.fault, "answers are edited instead of streamed");
                }
                Ok(None)
            }
        }
    }

    /// Ends the stream of a message, where one is open, so that it can be edited.
    pub(super) async fn end_stream(&self, key: &str, place: &Place) -> Result<(), Fault> {
        match self.inner.streams.take(key) {
            Some(_) => self.stop_stream(place).await,
            None => Ok(()),
        }
    }

    /// Ends a stream.
    pub(super) async fn stop_stream(&self, place: &Place) -> Result<(), Fault> {
        let body = json!({ "channel": place.channel, "ts": place.message });
        match self.post_call("chat.stopStream", &body).await {
            Err(f) if f.fault.is_transient() => Err(f.fault),
            // Over, or gone: the edit that follows tells.
            Err(f) if !f.is(&OVER) => {
                tracing::debug!(fault = %f.fault, "a stream was not ended");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The workspace's id.
    async fn team(&self) -> Result<String, Failure> {
        let known = self.me().team;
        if !known.is_empty() {
            return Ok(known);
        }
        let me = self.get_call("auth.test", &[]).await?;
        Ok(me["team_id"].as_str().unwrap_or_default().to_owned())
    }
}
