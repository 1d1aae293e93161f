//! Methods of the fake that change something, with Slack's refusals.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::limits::{message_faults, pings, view_faults};
use super::read::{CHANNELS, text};
use super::wire::Args;
use super::{BOT_ID, BOT_USER, Shown, Workspace, is_person, streams};

pub(super) fn error(code: &str) -> Value {
    json!({ "ok": false, "error": code })
}

/// What the method answers; `None`: there is no such method.
pub(super) fn call(workspace: &mut Workspace, method: &str, args: &Args) -> Option<Value> {
    let result = match method {
        "chat.postMessage" => post(workspace, args),
        "chat.update" => update(workspace, args),
        "chat.postEphemeral" => ephemeral(workspace, args),
        "chat.unfurl" => {
            workspace.unfurls.push(Value::Object(args.clone()));
            Ok(json!({ "ok": true }))
        }
        "conversations.open" => match text(args, "users") {
            user if is_person(&user) => {
                Ok(json!({ "ok": true, "channel": { "id": format!("D{}", &user[1..]) } }))
            }
            _ => Err(error("user_not_found")),
        },
        "files.completeUploadExternal" => complete(workspace, args),
        "reactions.add" | "reactions.remove" => react(workspace, method, args),
        "pins.add" | "pins.remove" => pin(workspace, method, args),
        "views.open" => open(workspace, args),
        "views.publish" => publish(workspace, args),
        "assistant.threads.setStatus" => {
            workspace.statuses.push((text(args, "thread_ts"), text(args, "status")));
            Ok(json!({ "ok": true }))
        }
        _ => return None,
    };
    Some(result.unwrap_or_else(|refusal| refusal))
}

/// The channel that a message goes to: a person's is their direct messages.
pub(super) fn channel(workspace: &Workspace, args: &Args) -> Result<String, Value> {
    let given = text(args, "channel");
    if let Some(room) = workspace.rooms.get(&given) {
        return if room.archived { Err(error("is_archived")) } else { Ok(given) };
    }
    let named = given.trim_start_matches('#');
    if is_person(&given) {
        return Ok(format!("D{}", &given[1..]));
    }
    if given.starts_with('D') {
        return Ok(given);
    }
    let found = CHANNELS.iter().find(|c| c.0 == given || c.1 == named);
    match found {
        None => Err(error("channel_not_found")),
        Some((_, _, _, true)) => Err(error("is_archived")),
        Some((_, _, false, _)) => Err(error("not_in_channel")),
        Some((id, ..)) => Ok((*id).to_owned()),
    }
}

/// Blocks and text within the limits; whoever they name is noted.
fn content(workspace: &mut Workspace, args: &Args) -> Result<(Vec<Value>, String), Value> {
    let blocks = match args.get("blocks") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(blocks)) => blocks.clone(),
        Some(_) => return Err(error("invalid_blocks_format")),
    };
    let text = text(args, "text");
    if blocks.is_empty() && text.is_empty() {
        return Err(error("no_text"));
    }
    let (named, faults): (Vec<String>, Vec<String>) =
        message_faults(&blocks, &text).into_iter().partition(|f| f.contains(" names <"));
    workspace.pinged.extend(named);
    workspace.pinged.extend(pings(&text));
    // A missing text beside blocks is taken, with a warning.
    let faults: Vec<String> = faults.into_iter().filter(|f| !f.contains("is empty")).collect();
    if faults.iter().any(|f| f.contains("fallback text has")) {
        return Err(error("msg_too_long"));
    }
    if faults.iter().any(|f| f.contains("together")) {
        return Err(error("msg_blocks_too_long"));
    }
    if !faults.is_empty() {
        return Err(json!({ "ok": false, "error": "invalid_blocks", "errors": faults }));
    }
    Ok((blocks, text))
}

fn post(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let channel = channel(workspace, args)?;
    let now = Instant::now();
    let last = workspace.last_post.get(&channel);
    if workspace.paced && last.is_some_and(|at| now - *at < Duration::from_secs(1)) {
        return Err(error("ratelimited"));
    }
    let (blocks, said) = content(workspace, args)?;
    workspace.last_post.insert(channel.clone(), now);
    let ts = workspace.ts();
    let mut message = json!({
        "type": "message", "user": BOT_USER, "bot_id": BOT_ID, "text": said, "ts": ts,
        "blocks": blocks,
    });
    if let Some(metadata) = args.get("metadata").filter(|m| !m.is_null()) {
        let payload = &metadata["event_payload"];
        if !metadata["event_type"].is_string() || !payload.is_object() {
            return Err(error("invalid_metadata_format"));
        }
        message["metadata"] = metadata.clone();
    }
    let thread = text(args, "thread_ts");
    let messages = workspace.messages.entry(channel.clone()).or_default();
    if !thread.is_empty() {
        let Some(root) = messages.iter_mut().find(|m| m["ts"] == *thread) else {
            return Err(error("thread_not_found"));
        };
        root["thread_ts"] = thread.as_str().into();
        message["thread_ts"] = thread.into();
        if ["true", "1"].contains(&&*text(args, "reply_broadcast")) {
            message["subtype"] = "thread_broadcast".into();
        }
    }
    messages.push(message.clone());
    show(workspace, &message);
    Ok(json!({ "ok": true, "channel": channel, "ts": ts, "message": message }))
}

/// Notes what people see from now on.
fn show(workspace: &mut Workspace, message: &Value) {
    let key = message["metadata"]["event_payload"]["key"].as_str().unwrap_or_default().to_owned();
    let (at, blocks) = (nightjar::model::wall_now(), message["blocks"].to_string());
    workspace.shown.push(Shown { key, at, blocks });
}

/// Edits that Slack takes in a minute (tier 3).
const EDITS: usize = 50;

fn update(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let channel = channel(workspace, args)?;
    let minute = |at: &Instant| at.elapsed() < Duration::from_secs(60);
    workspace.edits.retain(minute);
    if workspace.paced && workspace.edits.len() >= EDITS {
        return Err(error("ratelimited"));
    }
    workspace.edits.push_back(Instant::now());
    let (blocks, said) = content(workspace, args)?;
    let ts = text(args, "ts");
    let messages = workspace.messages.entry(channel.clone()).or_default();
    let Some(message) = messages.iter_mut().find(|m| m["ts"] == *ts) else {
        return Err(error("message_not_found"));
    };
    if message["bot_id"] != BOT_ID {
        return Err(error("cant_update_message"));
    }
    if streams::is_open(message) {
        return Err(error("streaming_state_conflict"));
    }
    message["text"] = said.clone().into();
    message["blocks"] = blocks.into();
    message["edited"] = json!({ "user": BOT_USER, "ts": ts });
    if let Some(metadata) = args.get("metadata").filter(|m| !m.is_null()) {
        message["metadata"] = metadata.clone();
    }
    let message = message.clone();
    show(workspace, &message);
    Ok(json!({ "ok": true, "channel": channel, "ts": ts, "text": said }))
}

fn ephemeral(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let channel = channel(workspace, args)?;
    content(workspace, args)?;
    if !is_person(&text(args, "user")) {
        return Err(error("user_not_in_channel"));
    }
    let ts = workspace.ts();
    let mut kept = Value::Object(args.clone());
    kept["channel"] = channel.into();
    workspace.ephemeral.push(kept);
    Ok(json!({ "ok": true, "message_ts": ts }))
}

/// Where a file's bytes go.
pub(super) fn upload_address(workspace: &mut Workspace, args: &Args, port: u16) -> Value {
    let (name, length) = (text(args, "filename"), text(args, "length"));
    let Some(length) = length.parse::<u64>().ok().filter(|n| *n > 0 && !name.is_empty()) else {
        return error("invalid_arguments");
    };
    let id = format!("F0{}", workspace.next());
    let alt = text(args, "alt_txt");
    let file = json!({ "id": id, "name": name, "title": name, "length": length, "alt_txt": alt });
    workspace.files.insert(id.clone(), file);
    json!({ "ok": true, "upload_url": format!("http://127.0.0.1:{port}/upload/{id}"), "file_id": id })
}

fn complete(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let mut shared = Vec::new();
    for given in args.get("files").and_then(Value::as_array).into_iter().flatten() {
        let id = given["id"].as_str().unwrap_or_default();
        if !workspace.bytes.contains_key(id) {
            return Err(error("file_not_found"));
        }
        let file = workspace.files.get_mut(id).ok_or_else(|| error("file_not_found"))?;
        if let Some(title) = given["title"].as_str() {
            file["title"] = title.into();
        }
        shared.push(file.clone());
    }
    if shared.is_empty() {
        return Err(error("invalid_arguments"));
    }
    let given = text(args, "channel_id");
    if !given.is_empty() {
        let wanted = Args::from_iter([("channel".to_owned(), given.into())]);
        let channel = channel(workspace, &wanted)?;
        let ts = workspace.ts();
        let mut message = json!({
            "type": "message", "user": BOT_USER, "bot_id": BOT_ID, "text": "", "ts": ts,
            "files": shared,
        });
        let thread = text(args, "thread_ts");
        if !thread.is_empty() {
            message["thread_ts"] = thread.into();
        }
        workspace.messages.entry(channel).or_default().push(message);
    }
    Ok(json!({ "ok": true, "files": shared }))
}

fn react(workspace: &mut Workspace, method: &str, args: &Args) -> Result<Value, Value> {
    let sign = (channel(workspace, args)?, text(args, "timestamp"), text(args, "name"));
    let exists = workspace.messages.get(&sign.0);
    if !exists.is_some_and(|all| all.iter().any(|m| m["ts"] == *sign.1)) {
        return Err(error("message_not_found"));
    }
    let changed = match method {
        "reactions.add" => workspace.signs.insert(sign),
        _ => workspace.signs.remove(&sign),
    };
    let wrong = if method == "reactions.add" { "already_reacted" } else { "no_reaction" };
    if changed { Ok(json!({ "ok": true })) } else { Err(error(wrong)) }
}

fn pin(workspace: &mut Workspace, method: &str, args: &Args) -> Result<Value, Value> {
    let pin = (channel(workspace, args)?, text(args, "timestamp"));
    let full = workspace.pins.iter().filter(|(c, _)| *c == pin.0).count() >= 100;
    if method == "pins.add" && full && !workspace.pins.contains(&pin) {
        return Err(error("too_many_pins"));
    }
    let changed = match method {
        "pins.add" => workspace.pins.insert(pin),
        _ => workspace.pins.remove(&pin),
    };
    let wrong = if method == "pins.add" { "already_pinned" } else { "no_pin" };
    if changed { Ok(json!({ "ok": true })) } else { Err(error(wrong)) }
}

fn open(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let given = text(args, "trigger_id");
    let trigger = workspace.triggers.get_mut(&given).ok_or_else(|| error("invalid_trigger_id"))?;
    if trigger.used {
        return Err(error("exchanged_trigger_id"));
    }
    if trigger.at.elapsed() > Duration::from_secs(3) {
        return Err(error("expired_trigger_id"));
    }
    let mut view = view(args, "modal")?;
    trigger.used = true;
    let n = workspace.next();
    view["id"] = format!("V0{n}").into();
    view["hash"] = format!("{n}.hash").into();
    workspace.views.push(view.clone());
    Ok(json!({ "ok": true, "view": view }))
}

fn publish(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let view = view(args, "home")?;
    workspace.homes.insert(text(args, "user_id"), view.clone());
    Ok(json!({ "ok": true, "view": view }))
}

fn view(args: &Args, kind: &str) -> Result<Value, Value> {
    let view = args.get("view").cloned().unwrap_or_default();
    let faults = view_faults(&view);
    if view["type"] != kind || !faults.is_empty() {
        let metadata = json!({ "messages": faults });
        return Err(json!({
            "ok": false, "error": "invalid_arguments", "response_metadata": metadata,
        }));
    }
    Ok(view)
}
