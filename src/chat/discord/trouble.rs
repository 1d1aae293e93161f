//! What the API answers when it does not do what was asked, and what that means for us.

use std::time::Duration;

use serde_json::Value;

use crate::chat::seek;
use crate::model::Fault;

/// How long edits rest after too many of old messages, where Discord does not say it.
const OLD_EDITS_REST: Duration = Duration::from_secs(30);

/// Codes of the API that are looked at by name.
pub(super) mod code {
    /// The channel (or thread) does not exist.
    pub(in super::super) const UNKNOWN_CHANNEL: i64 = 10_003;
    /// The message does not exist.
    pub(in super::super) const UNKNOWN_MESSAGE: i64 = 10_008;
    /// The bot can't see the place.
    pub(in super::super) const MISSING_ACCESS: i64 = 50_001;
    /// The bot may not do it there.
    pub(in super::super) const MISSING_PERMISSIONS: i64 = 50_013;
    /// The thread is archived.
    pub(in super::super) const ARCHIVED: i64 = 50_083;
    /// Too many edits of messages that are older than an hour.
    pub(in super::super) const OLD_EDITS: i64 = 30_046;
    /// The message has a thread already.
    pub(in super::super) const HAS_THREAD: i64 = 160_004;
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// Too much at once: nothing may be sent on this route before.
    #[error("Discord asks for a pause of {} ms", after.as_millis())]
    Limited {
        /// How long.
        after: Duration,
    },
    /// The token is not valid (any more).
    #[error(
        "Discord does not accept the bot token; put the token of the Developer Portal (Bot, Reset Token) into chat.discord.token and restart"
    )]
    Token,
    /// It was understood and refused.
    #[error("Discord refused with status {status}, code {code}: {text}")]
    Refused {
        /// The status.
        status: u16,
        /// The API's own code; 0 where it gave none.
        code: i64,
        /// Its sentence, with the paths of what is wrong.
        text: String,
    },
    /// The history since a doubtful try is not read to its end.
    #[error("the history since the first try is not read to its end")]
    Unread,
    /// It is not reached, slow, broken, or something else answers in its place.
    #[error("Discord is not reached: {0}")]
    Down(String),
}

impl Trouble {
    /// Whether the API gave this code.
    pub(super) fn is(&self, wanted: i64) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Whether nothing of ours can stand in a channel.
    pub(super) fn is_closed(&self) -> bool {
        [code::UNKNOWN_CHANNEL, code::MISSING_ACCESS, code::MISSING_PERMISSIONS]
            .iter()
            .any(|code| self.is(*code))
    }

    /// The answer to a request, read.
    pub(super) fn of(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let json: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
        match (status, json) {
            // It comes with 429 or 400, mostly without a time.
            (400..=499, Some(json)) if json["code"] == code::OLD_EDITS => {
                let told = json["retry_after"].as_f64().filter(|s| (0.0..=86_400.0).contains(s));
                let after = told.map(Duration::from_secs_f64).or(retry_after);
                Self::Limited { after: after.unwrap_or(OLD_EDITS_REST) }
            }
            (429, json) => {
                let told = json.as_ref().and_then(|j| j["retry_after"].as_f64());
                let told = told.filter(|s| (0.0..=86_400.0).contains(s));
                // A ban of the address answers 429 with a page: an hour is what it lasts.
                let otherwise = if json.is_some() { 1 } else { 3_600 };
                let after = told.map(Duration::from_secs_f64).or(retry_after);
                Self::Limited { after: after.unwrap_or(Duration::from_secs(otherwise)) }
            }
            // An interaction whose time is over is refused with 401 too, by its own code.
            (401, Some(json)) if json["code"] != 50_027 => Self::Token,
            (400..=499, Some(json)) => Self::Refused {
                status,
                code: json["code"].as_i64().unwrap_or(0),
                text: sentence(&json),
            },
            (_, Some(_)) => Self::Down(format!("it answered with status {status}")),
            (_, None) => {
                Self::Down(format!("status {status} without JSON came, from a proxy perhaps"))
            }
        }
    }

    /// What it means for whoever asked. `what` was tried, as in "post into channel 7".
    pub(super) fn fault(self, what: &str) -> Fault {
        let next = match &self {
            Self::Limited { .. } | Self::Unread => {
                let pause = match &self {
                    Self::Limited { after } => *after,
                    _ => seek::PAUSE,
                };
                let (context, after) = (format!("{what}: {self}"), Some(pause));
                return Fault::Transient { context, after, source: None };
            }
            Self::Token | Self::Down(_) => {
                let context = format!("{what}: {self}");
                return Fault::Transient { context, after: None, source: None };
            }
            Self::Refused { code, status, .. } => match *code {
                code::UNKNOWN_CHANNEL => {
                    "the channel does not exist: put its id (Developer Mode, Copy Channel ID) \
                     into chat.discord"
                }
                code::MISSING_ACCESS => {
                    "the bot can't see the place: invite it to the guild and give its role View \
                     Channel there"
                }
                code::MISSING_PERMISSIONS => {
                    "the bot lacks a permission there: `nightjar check` names which"
                }
                30_003 => "the channel holds no more pins: remove some",
                40_005 => "the file is too large for Discord",
                _ if *status == 403 => "the bot may not do that: `nightjar check` names why",
                _ => "this will not pass by itself",
            },
        };
        Fault::because(format!("{what}: {self}; {next}"))
    }
}

/// The API's message, with the first faults of the form and where they are.
fn sentence(json: &Value) -> String {
    let mut text = json["message"].as_str().unwrap_or("no reason given").to_owned();
    let mut found = Vec::new();
    collect(&json["errors"], "", &mut found);
    for fault in found.iter().take(3) {
        text.push_str("; ");
        text.push_str(fault);
    }
    text.chars().take(500).collect()
}

fn collect(errors: &Value, path: &str, found: &mut Vec<String>) {
    let Some(map) = errors.as_object() else { return };
    for (name, inner) in map {
        if name == "_errors" {
            let first = inner[0]["message"].as_str().unwrap_or_default();
            found.push(format!("{path}: {first}"));
        } else if path.is_empty() {
            collect(inner, name, found);
        } else {
            collect(inner, &format!("{path}.{name}"), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_edits_of_old_messages_pass_after_a_rest() {
        let said = br#"{"message": "Maximum number of edits to messages older than 1 hour reached. Try again later.", "code": 30046}"#;
        for status in [400, 429] {
            let fault = Trouble::of(status, None, said).fault("edit");
            let Fault::Transient { after, .. } = fault else { panic!("{}", fault.chain()) };
            assert_eq!(after, Some(OLD_EDITS_REST), "status {status}");
        }
    }
}
