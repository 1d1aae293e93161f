//! What Slack sends, as what happened: pure, the same for Socket Mode and HTTP.
//!
//! A key is made of the content: Slack delivers an event again with another envelope, and even
//! with another event id.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::render::{ACTION, Metadata};
use crate::model::Time;
use crate::model::id::hex;

/// Who the bot is in its workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Me {
    /// Its user id, by which it is mentioned.
    pub user: String,
    /// Its bot id, by which its own messages are known.
    pub bot: String,
    /// The workspace's id; empty until Slack told it.
    pub team: String,
}

/// Whose a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// This workspace's, or it names none.
    Ours,
    /// Another workspace's.
    Foreign,
    /// It names a workspace, and Slack did not tell yet which one this is.
    Unsure,
}

/// Whose a payload is: one app may be installed in several workspaces, whose calls carry the same
/// signature and come over the same connections. What somebody from a connected organisation does
/// in a shared channel names their workspace beside the one that the app is installed in.
pub(super) fn whose(payload: &Value, me: &Me) -> Whose {
    let named = [
        &payload["team_id"],
        &payload["team"]["id"],
        &payload["user"]["team_id"],
        &payload["message"]["team"],
        &payload["view"]["team_id"],
        &payload["view"]["app_installed_team_id"],
    ];
    let installed = list(&payload["authorizations"]).map(|a| &a["team_id"]);
    let named: Vec<&str> = named.into_iter().chain(installed).filter_map(Value::as_str).collect();
    if named.is_empty() || named.contains(&me.team.as_str()) {
        Whose::Ours
    } else if me.team.is_empty() {
        Whose::Unsure
    } else {
        Whose::Foreign
    }
}

/// Where and by whom something was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// See the module's words on keys.
    pub key: String,
    /// Slack's id of the person.
    pub user: String,
    /// The channel; empty where there is none.
    pub channel: String,
    /// As [`crate::chat::Inbound::thread`].
    pub thread: Option<String>,
    /// As [`crate::chat::Inbound::message`].
    pub message: Option<String>,
    /// Slack's trigger, which opens one form within 3 s.
    pub trigger: Option<String>,
    /// Whether an ephemeral answer belongs into the channel and not into the thread.
    pub in_channel: bool,
    /// When it was done; `None`: Slack does not say.
    pub at: Option<Time>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Somebody said something.
    Said {
        /// Where.
        spot: Spot,
        /// Plain words, without the mention.
        text: String,
        /// Whether it was meant for the bot beyond doubt.
        addressed: bool,
    },
    /// A slash command.
    Command {
        /// Where.
        spot: Spot,
        /// What follows the name.
        text: String,
    },
    /// A button was pressed.
    Pressed {
        /// Where.
        spot: Spot,
        /// What it carries.
        code: String,
    },
    /// A form was sent.
    Submitted {
        /// Where the form was opened.
        spot: Spot,
        /// Its code.
        code: String,
        /// Answers by field name.
        values: BTreeMap<String, String>,
    },
    /// A form for an incident is asked for, with words to begin with.
    Declare {
        /// Where.
        spot: Spot,
        /// The words.
        text: String,
    },
    /// Somebody opened the bot's home.
    Home {
        /// Slack's id of the person.
        user: String,
    },
    /// Links of ours were shared.
    Links {
        /// Where.
        spot: Spot,
        /// The addresses.
        urls: Vec<String>,
    },
    /// Nothing for us.
    Nothing,
}

/// An event of the Events API (`event_callback`).
pub(super) fn event(payload: &Value, me: &Me) -> Happened {
    let event = &payload["event"];
    let user = text(&event["user"]);
    match event["type"].as_str().unwrap_or_default() {
        "message" | "app_mention" => message(event, me),
        "app_home_opened" if event["tab"] != "messages" && !user.is_empty() => {
            Happened::Home { user }
        }
        "link_shared" => {
            let urls: Vec<String> = list(&event["links"]).map(|l| text(&l["url"])).collect();
            let ts = text(&event["message_ts"]);
            let spot = Spot {
                key: format!("link:{}:{ts}", text(&event["channel"])),
                user,
                channel: text(&event["channel"]),
                message: Some(ts),
                ..Spot::default()
            };
            Happened::Links { spot, urls }
        }
        _ => Happened::Nothing,
    }
}

fn message(event: &Value, me: &Me) -> Happened {
    // Edits, joins, topics and what bots say (ourselves first) are no questions.
    let subtype = event["subtype"].as_str().unwrap_or_default();
    let ours = matches!(subtype, "" | "file_share" | "thread_broadcast" | "me_message");
    let (user, channel, ts) = (text(&event["user"]), text(&event["channel"]), text(&event["ts"]));
    let by_bot = !event["bot_id"].is_null() || user == me.user;
    if !ours || by_bot || user.is_empty() || channel.is_empty() || ts.is_empty() {
        return Happened::Nothing;
    }
    let said = event["text"].as_str().unwrap_or_default();
    let mention = format!("<@{}>", me.user);
    let named = event["type"] == "app_mention" || (!me.user.is_empty() && said.contains(&mention));
    let direct = event["channel_type"] == "im" || channel.starts_with('D');
    let thread = event["thread_ts"].as_str().map(str::to_owned);
    if !(named || direct || thread.is_some()) {
        return Happened::Nothing;
    }
    let spot = Spot {
        // A mention comes as `app_mention` and as `message`: both are this one.
        key: format!("message:{channel}:{ts}"),
        user,
        channel,
        thread,
        at: time(&ts),
        message: Some(ts),
        ..Spot::default()
    };
    Happened::Said { spot, text: words(said, &mention), addressed: named || direct }
}

/// A click, a form, a shortcut.
pub(super) fn interactive(payload: &Value) -> Happened {
    let user = text(&payload["user"]["id"]);
    let trigger = payload["trigger_id"].as_str().map(str::to_owned);
    match payload["type"].as_str().unwrap_or_default() {
        "block_actions" => pressed(payload, user, trigger),
        "view_submission" => submitted(&payload["view"], user, trigger),
        kind @ ("message_action" | "shortcut") => {
            let (message, channel) = (&payload["message"], text(&payload["channel"]["id"]));
            let ts = message["ts"].as_str().map(str::to_owned);
            let callback = text(&payload["callback_id"]);
            let said = words(message["text"].as_str().unwrap_or_default(), "");
            let when = text(&payload["action_ts"]);
            let spot = Spot {
                key: format!("{kind}:{callback}:{user}:{when}"),
                thread: message["thread_ts"].as_str().map(str::to_owned).or_else(|| ts.clone()),
                at: time(&when),
                message: ts,
                user,
                channel,
                trigger,
                in_channel: false,
            };
            match callback.as_str() {
                "ask_about" if !said.is_empty() => {
                    Happened::Said { spot, text: said, addressed: true }
                }
                "open_from" | "declare" => Happened::Declare { spot, text: said },
                _ => Happened::Nothing,
            }
        }
        _ => Happened::Nothing,
    }
}

fn pressed(payload: &Value, user: String, trigger: Option<String>) -> Happened {
    let carried =
        |a: &&Value| matches!(a["type"].as_str(), Some("button" | "overflow" | "static_select"));
    let Some(action) = list(&payload["actions"]).find(carried) else {
        return Happened::Nothing;
    };
    // A button carries its code, a menu that of what was chosen.
    let chosen = [&action["value"], &action["selected_option"]["value"]];
    let code = chosen.into_iter().map(text).find(|code| !code.is_empty()).unwrap_or_default();
    let when = text(&action["action_ts"]);
    if code.is_empty() {
        return Happened::Nothing;
    }
    let (container, message) = (&payload["container"], &payload["message"]);
    let channel = [&payload["channel"]["id"], &container["channel_id"]];
    let channel = channel.into_iter().map(text).find(|c| !c.is_empty()).unwrap_or_default();
    let ts = container["message_ts"].as_str().map(str::to_owned);
    let within = [&container["thread_ts"], &message["thread_ts"]];
    let within = within.into_iter().find_map(|t| t.as_str()).map(str::to_owned);
    let spot = Spot {
        key: format!("click:{user}:{when}:{code}"),
        // A root with replies carries its own time stamp as that of its thread.
        in_channel: within.is_none() || within == ts,
        thread: within.or_else(|| ts.clone()),
        at: time(&when),
        message: ts,
        // On one's own home there is no channel: answers go to the person.
        channel: if channel.is_empty() { user.clone() } else { channel },
        user,
        trigger,
    };
    Happened::Pressed { spot, code }
}

fn submitted(view: &Value, user: String, trigger: Option<String>) -> Happened {
    let metadata = view["private_metadata"].as_str().unwrap_or_default();
    let Ok(metadata) = serde_json::from_str::<Metadata>(metadata) else {
        return Happened::Nothing;
    };
    let mut values = BTreeMap::new();
    for (name, block) in view["state"]["values"].as_object().into_iter().flatten() {
        let element = &block[ACTION];
        let value = match element["type"].as_str().unwrap_or_default() {
            "static_select" => text(&element["selected_option"]["value"]),
            "datetimepicker" => {
                element["selected_date_time"].as_i64().map_or_else(String::new, |seconds| {
                    Time::from_ms(seconds.saturating_mul(1_000)).to_string()
                })
            }
            _ => text(&element["value"]),
        };
        values.insert(name.clone(), value);
    }
    // What was mended and sent again from the same form is something else; the same is not.
    let told =
        values.iter().map(|(name, value)| format!("{}:{name}{}:{value}", name.len(), value.len()));
    let digest = hex(&Sha256::digest(told.collect::<String>().as_bytes())[..6]);
    let spot = Spot {
        key: format!("submit:{}:{}:{digest}:{user}", text(&view["id"]), text(&view["hash"])),
        user,
        channel: metadata.channel,
        thread: metadata.thread,
        trigger,
        ..Spot::default()
    };
    Happened::Submitted { spot, code: metadata.code, values }
}

/// A slash command.
pub(super) fn command(payload: &Value) -> Happened {
    let (user, trigger) = (text(&payload["user_id"]), text(&payload["trigger_id"]));
    if user.is_empty() || trigger.is_empty() {
        return Happened::Nothing;
    }
    let spot = Spot {
        key: format!("command:{trigger}"),
        user,
        channel: text(&payload["channel_id"]),
        trigger: Some(trigger),
        ..Spot::default()
    };
    Happened::Command { spot, text: words(&text(&payload["text"]), "") }
}

/// The inputs of a view, in which a fault can be shown.
pub(super) fn inputs(view: &Value) -> Vec<String> {
    let inputs = list(&view["blocks"]).filter(|b| b["type"] == "input");
    inputs.map(|b| text(&b["block_id"])).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Slack's time stamps are seconds with six digits: `1763607600.000100`.
fn time(ts: &str) -> Option<Time> {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, "0"));
    let seconds: i64 = seconds.parse().ok()?;
    let micros: i64 = format!("{rest:0<6}").get(..6)?.parse().ok()?;
    Some(Time::from_ms(seconds.checked_mul(1_000)?.checked_add(micros / 1_000)?))
}

/// Slack's mark-up as plain words: links by their address, names by their label, no entities, and
/// without the mention.
fn words(marked: &str, mention: &str) -> String {
    let marked = if mention.is_empty() { marked.to_owned() } else { marked.replace(mention, " ") };
    let mut out = String::with_capacity(marked.len());
    let mut rest = marked.as_str();
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let Some((inner, tail)) = after.split_once('>') else {
            out.push('<');
            rest = after;
            continue;
        };
        let (target, label) = inner.split_once('|').unwrap_or((inner, ""));
        let named = |sign: char, id: &str| {
            format!("{sign}{}", if label.is_empty() { id } else { label.trim_start_matches(sign) })
        };
        match target.chars().next() {
            Some('@' | '!') => out.push_str(&named('@', &target[1..])),
            Some('#') => out.push_str(&named('#', &target[1..])),
            _ => out.push_str(target.strip_prefix("mailto:").unwrap_or(target)),
        }
        rest = tail;
    }
    out.push_str(rest);
    let out = out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    out.trim().to_owned()
}

#[cfg(test)]
mod tests;
