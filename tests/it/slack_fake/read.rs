//! Methods of the fake that read: history with metadata, people, channels.

use serde_json::{Value, json};

use super::wire::Args;
use super::{ANN, ARCHIVED, BO, BOT_ID, BOT_USER, CHANNEL, CY, GROUP, OTHER, Workspace, is_person};

/// All channels: id, name, whether the bot is in it, whether it is archived.
pub(super) const CHANNELS: [(&str, &str, bool, bool); 3] = [
    (CHANNEL, "incidents", true, false),
    (OTHER, "other", false, false),
    (ARCHIVED, "old", true, true),
];

pub(super) fn text(args: &Args, name: &str) -> String {
    match args.get(name) {
        Some(Value::String(s)) => s.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn error(code: &str) -> Value {
    json!({ "ok": false, "error": code })
}

/// What the method answers; `None`: it is not one of these.
pub(super) fn call(workspace: &mut Workspace, method: &str, args: &Args) -> Option<Value> {
    Some(match method {
        "auth.test" => json!({
            "ok": true, "url": "https://shop.slack.com/", "team": "shop", "user": "nightjar",
            "team_id": workspace.team, "user_id": BOT_USER, "bot_id": BOT_ID,
        }),
        "api.test" => json!({ "ok": true }),
        "conversations.history" => messages(workspace, args, None),
        "conversations.replies" => {
            let ts = text(args, "ts");
            messages(workspace, args, Some(&ts))
        }
        "conversations.list" => list(workspace, args),
        "conversations.info" => {
            let id = text(args, "channel");
            match CHANNELS.iter().find(|c| c.0 == id) {
                None if workspace.rooms.contains_key(&id) => {
                    json!({ "ok": true, "channel": workspace.rooms[&id].channel(&id) })
                }
                Some(found) => json!({ "ok": true, "channel": channel(found) }),
                None => error("channel_not_found"),
            }
        }
        "users.info" => user(workspace, &text(args, "user")),
        "usergroups.users.list" if text(args, "usergroup") == GROUP => {
            json!({ "ok": true, "users": [ANN] })
        }
        "usergroups.users.list" => error("no_such_subteam"),
        _ => return None,
    })
}

fn channel((id, name, member, archived): &(&str, &str, bool, bool)) -> Value {
    json!({
        "id": id, "name": name, "is_member": member, "is_archived": archived,
        "is_channel": true, "is_private": false,
    })
}

fn list(workspace: &Workspace, args: &Args) -> Value {
    // Each kind of channel needs a scope of its own.
    let types = text(args, "types");
    for kind in if types.is_empty() { "public_channel" } else { &types }.split(',') {
        let needs = match kind {
            "public_channel" => "channels:read",
            "private_channel" => "groups:read",
            "im" => "im:read",
            _ => "mpim:read",
        };
        if !workspace.scopes.contains(needs) {
            let provided: Vec<&String> = workspace.scopes.iter().collect();
            return json!({
                "ok": false, "error": "missing_scope", "needed": needs, "provided": provided,
            });
        }
    }
    // One to a page: whoever reads must turn it.
    let made = workspace.rooms.iter().map(|(id, room)| room.channel(id));
    let mut shown: Vec<Value> = CHANNELS.iter().map(channel).chain(made).collect();
    shown.retain(|c| !(c["is_archived"] == true && text(args, "exclude_archived") == "true"));
    let at: usize = text(args, "cursor").parse().unwrap_or(0);
    let page: Vec<Value> = shown.iter().skip(at).take(1).cloned().collect();
    let next = if at + 1 < shown.len() { (at + 1).to_string() } else { String::new() };
    json!({ "ok": true, "channels": page, "response_metadata": { "next_cursor": next } })
}

fn user(workspace: &Workspace, id: &str) -> Value {
    let (name, email) = match id {
        ANN => ("ann", "ann@shop.example"),
        BO => ("bo", "bo@shop.example"),
        CY => ("cy", "cy@shop.example"),
        other if is_person(other) => ("pat", "pat@shop.example"),
        _ => return error("user_not_found"),
    };
    let mut profile = json!({ "display_name": name, "real_name": name.to_uppercase() });
    if workspace.scopes.contains("users:read.email") {
        profile["email"] = email.into();
    }
    json!({ "ok": true, "user": { "id": id, "name": name, "profile": profile, "is_bot": false } })
}

/// A channel's messages newest first, or a thread's oldest first with its root.
fn messages(workspace: &Workspace, args: &Args, thread: Option<&str>) -> Value {
    let channel = text(args, "channel");
    let known = workspace.rooms.contains_key(&channel)
        || channel.starts_with('D')
        || CHANNELS.iter().any(|c| c.0 == channel);
    if !known {
        return error("channel_not_found");
    }
    if CHANNELS.iter().any(|c| c.0 == channel && !c.2) {
        return error("not_in_channel");
    }
    let all = workspace.messages.get(&channel).cloned().unwrap_or_default();
    let oldest: f64 = text(args, "oldest").parse().unwrap_or(0.0);
    let seconds = |m: &Value| m["ts"].as_str().and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    let mut found: Vec<Value> = match thread {
        None => all
            .iter()
            .filter(|m| {
                let root = m["thread_ts"].is_null() || m["thread_ts"] == m["ts"];
                (root || m["subtype"] == "thread_broadcast") && seconds(m) >= oldest
            })
            .rev()
            .cloned()
            .collect(),
        Some(ts) => {
            if !all.iter().any(|m| m["ts"] == ts) {
                return error("thread_not_found");
            }
            let within =
                |m: &&Value| m["ts"] == ts || (m["thread_ts"] == ts && seconds(m) >= oldest);
            all.iter().filter(within).cloned().collect()
        }
    };
    let with_metadata = ["true", "1"].contains(&&*text(args, "include_all_metadata"));
    for message in &mut found {
        if let (false, Some(message)) = (with_metadata, message.as_object_mut()) {
            message.remove("metadata");
        }
    }
    let limit: usize = text(args, "limit").parse().unwrap_or(100);
    let at: usize = text(args, "cursor").parse().unwrap_or(0);
    let more = at + limit < found.len();
    let page: Vec<Value> = found.into_iter().skip(at).take(limit).collect();
    let next = if more { (at + limit).to_string() } else { String::new() };
    json!({
        "ok": true, "messages": page, "has_more": more,
        "response_metadata": { "next_cursor": next },
    })
}
