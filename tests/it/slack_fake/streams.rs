//! Streamed messages of the fake: begun, added to and ended as Slack does it. While one is open it
//! takes no edit; once it is over it takes no more text.

use serde_json::{Value, json};

use super::api::{channel, error};
use super::limits::{message_faults, pings};
use super::read::text;
use super::wire::Args;
use super::{BOT_ID, BOT_USER, Workspace};

/// Characters of one call's text.
const MOST: usize = 12_000;

/// What the method answers; `None`: it is not one of these, or the workspace has no streams.
pub(super) fn call(workspace: &mut Workspace, method: &str, args: &Args) -> Option<Value> {
    if !workspace.streams {
        return None;
    }
    let result = match method {
        "chat.startStream" => start(workspace, args),
        "chat.appendStream" => append(workspace, args),
        "chat.stopStream" => stop(workspace, args),
        _ => return None,
    };
    Some(result.unwrap_or_else(|refusal| refusal))
}

/// Whether a message is still streamed.
pub(super) fn is_open(message: &Value) -> bool {
    message["streaming_state"] == "in_progress"
}

fn words(workspace: &mut Workspace, args: &Args) -> Result<String, Value> {
    // Both ways in which text comes; the official client sends it in chunks.
    let chunks = args.get("chunks").and_then(Value::as_array).into_iter().flatten();
    let chunks = chunks.filter(|c| c["type"] == "markdown_text").filter_map(|c| c["text"].as_str());
    let words = chunks.fold(text(args, "markdown_text"), |all, chunk| all + chunk);
    if words.encode_utf16().count() > MOST {
        return Err(error("msg_too_long"));
    }
    workspace.pinged.extend(pings(&words));
    Ok(words)
}

fn start(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let channel = channel(workspace, args)?;
    for (name, refusal) in [
        ("thread_ts", "invalid_thread_ts"),
        ("recipient_user_id", "missing_recipient_user_id"),
        ("recipient_team_id", "missing_recipient_team_id"),
    ] {
        if text(args, name).is_empty() {
            return Err(error(refusal));
        }
    }
    // Metadata comes with the end of a stream only.
    if args.contains_key("metadata") {
        return Err(error("invalid_arguments"));
    }
    let said = words(workspace, args)?;
    let ts = workspace.ts();
    let message = json!({
        "type": "message", "user": BOT_USER, "bot_id": BOT_ID, "text": said, "ts": ts,
        "thread_ts": text(args, "thread_ts"), "streaming_state": "in_progress",
    });
    workspace.messages.entry(channel.clone()).or_default().push(message);
    Ok(json!({ "ok": true, "channel": channel, "ts": ts }))
}

/// The stream that is named, where it is open and ours.
fn open<'a>(workspace: &'a mut Workspace, args: &Args) -> Result<(String, &'a mut Value), Value> {
    let (channel, ts) = (channel(workspace, args)?, text(args, "ts"));
    let all = workspace.messages.entry(channel.clone()).or_default();
    let message = all.iter_mut().find(|m| m["ts"] == *ts);
    let message = message.ok_or_else(|| error("message_not_found"))?;
    if message["bot_id"] != BOT_ID {
        return Err(error("message_not_owned_by_app"));
    }
    if !is_open(message) {
        return Err(error("message_not_in_streaming_state"));
    }
    Ok((channel, message))
}

fn append(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let more = words(workspace, args)?;
    if more.is_empty() {
        return Err(error("no_text"));
    }
    let (channel, message) = open(workspace, args)?;
    let said = format!("{}{more}", message["text"].as_str().unwrap_or_default());
    message["text"] = said.into();
    let ts = message["ts"].clone();
    Ok(json!({ "ok": true, "channel": channel, "ts": ts }))
}

fn stop(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let more = words(workspace, args)?;
    let blocks = args.get("blocks").and_then(Value::as_array).cloned().unwrap_or_default();
    if !blocks.is_empty() && !message_faults(&blocks, "x").is_empty() {
        return Err(error("invalid_blocks"));
    }
    let (channel, message) = open(workspace, args)?;
    let said = format!("{}{more}", message["text"].as_str().unwrap_or_default());
    message["text"] = said.into();
    message["blocks"] = blocks.into();
    message["streaming_state"] = "completed".into();
    if let Some(metadata) = args.get("metadata").filter(|m| !m.is_null()) {
        message["metadata"] = metadata.clone();
    }
    Ok(json!({ "ok": true, "channel": channel, "ts": message["ts"], "message": message }))
}
