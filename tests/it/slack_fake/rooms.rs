//! Channels of the fake that are made, with their topic, people and bookmarks, within Slack's
//! limits.

use serde_json::{Value, json};

use super::api::{channel, error};
use super::read::{CHANNELS, text};
use super::wire::Args;
use super::{ANN, BO, BOT_USER, CY, Workspace};

/// A channel that was made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) creator: String,
    pub(crate) topic: String,
    pub(crate) people: Vec<String>,
    pub(crate) bookmarks: Vec<Value>,
    pub(crate) archived: bool,
}

impl Room {
    pub(super) fn channel(&self, id: &str) -> Value {
        json!({
            "id": id, "name": self.name, "creator": self.creator, "is_channel": true,
            "is_private": false, "is_archived": self.archived,
            "is_member": self.creator == BOT_USER,
            "topic": { "value": self.topic, "creator": BOT_USER, "last_set": 0 },
        })
    }
}

/// What the method answers; `None`: it is not one of these.
pub(super) fn call(workspace: &mut Workspace, method: &str, args: &Args) -> Option<Value> {
    let result = match method {
        "conversations.create" => create(workspace, args),
        "conversations.setTopic" => topic(workspace, args),
        "conversations.invite" => invite(workspace, args),
        "conversations.archive" => archive(workspace, args),
        "bookmarks.list" => known(workspace, &text(args, "channel_id"))
            .map(|room| json!({ "ok": true, "bookmarks": room.bookmarks })),
        "bookmarks.add" => bookmark(workspace, args),
        "chat.getPermalink" => permalink(workspace, args),
        _ => return None,
    };
    Some(result.unwrap_or_else(|refusal| refusal))
}

fn known<'a>(workspace: &'a mut Workspace, id: &str) -> Result<&'a mut Room, Value> {
    let room = workspace.rooms.get_mut(id).ok_or_else(|| error("channel_not_found"))?;
    if room.archived { Err(error("is_archived")) } else { Ok(room) }
}

fn create(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let name = text(args, "name");
    let good = |c: char| c.is_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let refusal = match name.as_str() {
        "" => Some("invalid_name_required"),
        _ if name.chars().count() > 80 => Some("invalid_name_maxlength"),
        _ if !name.chars().all(good) => Some("invalid_name_specials"),
        _ if name.chars().all(|c| !c.is_alphanumeric()) => Some("invalid_name_punctuation"),
        _ => None,
    };
    if let Some(code) = refusal {
        return Err(error(code));
    }
    let taken = CHANNELS.iter().any(|c| c.1 == name);
    if taken || workspace.rooms.values().any(|r| r.name == name) {
        return Err(error("name_taken"));
    }
    let id = format!("C0ROOM{}", workspace.next());
    let people = vec![BOT_USER.to_owned()];
    let room = Room { name, creator: BOT_USER.to_owned(), people, ..Room::default() };
    let channel = room.channel(&id);
    workspace.rooms.insert(id, room);
    Ok(json!({ "ok": true, "channel": channel }))
}

fn topic(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let (id, topic) = (text(args, "channel"), text(args, "topic"));
    let room = known(workspace, &id)?;
    if topic.chars().count() > 250 {
        return Err(error("too_long"));
    }
    // As Slack gives it back.
    let signs = [("🔴", ":red_circle:"), ("🟡", ":large_yellow_circle:")];
    let named = signs.iter().fold(topic.clone(), |topic, (sign, name)| topic.replace(sign, name));
    room.topic = named.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let channel = room.channel(&id);
    // The channel is told.
    let ts = workspace.ts();
    let told = json!({
        "type": "message", "subtype": "channel_topic", "user": BOT_USER, "ts": ts,
        "text": format!("set the channel topic: {topic}"),
    });
    workspace.messages.entry(id).or_default().push(told);
    Ok(json!({ "ok": true, "channel": channel }))
}

fn invite(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let id = text(args, "channel");
    let room = known(workspace, &id)?;
    let users = text(args, "users");
    let users: Vec<&str> = users.split(',').filter(|u| !u.is_empty()).collect();
    if users.is_empty() {
        return Err(error("no_user"));
    }
    let mut refused = None;
    for user in users {
        if room.people.iter().any(|p| p == user) {
            refused = Some("already_in_channel");
        } else if [ANN, BO, CY].contains(&user) {
            room.people.push(user.to_owned());
        } else {
            refused = Some("user_not_found");
        }
    }
    match refused {
        Some(code) if text(args, "force") != "true" => Err(error(code)),
        _ => Ok(json!({ "ok": true, "channel": room.channel(&id) })),
    }
}

fn archive(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let id = text(args, "channel");
    let room = workspace.rooms.get_mut(&id).ok_or_else(|| error("channel_not_found"))?;
    if std::mem::replace(&mut room.archived, true) {
        return Err(error("already_archived"));
    }
    Ok(json!({ "ok": true }))
}

fn bookmark(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let room = known(workspace, &text(args, "channel_id"))?;
    let (title, link) = (text(args, "title"), text(args, "link"));
    if title.is_empty() || text(args, "type") != "link" || !link.starts_with("http") {
        return Err(error("invalid_arguments"));
    }
    if room.bookmarks.len() >= 100 {
        return Err(error("too_many_bookmarks"));
    }
    let made = json!({ "id": format!("Bk{}", room.bookmarks.len()), "title": title, "link": link });
    room.bookmarks.push(made.clone());
    Ok(json!({ "ok": true, "bookmark": made }))
}

fn permalink(workspace: &mut Workspace, args: &Args) -> Result<Value, Value> {
    let (id, ts) = (channel(workspace, args)?, text(args, "message_ts"));
    let all = workspace.messages.get(&id);
    if !all.is_some_and(|all| all.iter().any(|m| m["ts"] == *ts)) {
        return Err(error("message_not_found"));
    }
    let link = format!("https://shop.slack.com/archives/{id}/p{}", ts.replace('.', ""));
    Ok(json!({ "ok": true, "channel": id, "permalink": link }))
}
