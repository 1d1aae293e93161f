//! Channels, messages, threads, forum posts, pins and signs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rest::{Answer, Asked, Events, error, form_error};
use super::{BOT, Chan, FORUM, GUILD, World, rules};

const NONE: Vec<(&str, Value)> = Vec::new();

impl World {
    /// A message as the API gives it.
    pub(crate) fn message(
        &mut self,
        channel: u64,
        author: u64,
        body: &Value,
        files: &[String],
    ) -> Value {
        let id = self.id();
        self.message_with(id, (channel, author), body, files)
    }

    fn message_with(
        &mut self,
        id: u64,
        (channel, author): (u64, u64),
        body: &Value,
        files: &[String],
    ) -> Value {
        let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let mut embeds = list("embeds");
        for embed in &mut embeds {
            embed["type"] = json!("rich");
            let shown =
                embed["image"]["url"].as_str().and_then(|u| u.strip_prefix("attachment://"));
            if let Some(name) = shown {
                let url = format!("https://cdn.example/attachments/{channel}/{id}/{name}");
                embed["image"] = json!({ "url": url, "width": 8, "height": 8 });
            }
        }
        let attachments: Vec<Value> = files
            .iter()
            .map(|name| {
                json!({
                    "id": self.id().to_string(), "filename": name, "size": 1,
                    "url": format!("https://cdn.example/{name}"),
                    "proxy_url": format!("https://cdn.example/{name}"),
                })
            })
            .collect();
        let mut message = json!({
            "id": id.to_string(), "channel_id": channel.to_string(), "type": 0,
            "author": Self::user(author), "content": body["content"].as_str().unwrap_or_default(),
            "timestamp": "2026-11-21T03:00:00.000000+00:00", "edited_timestamp": null,
            "tts": false, "mention_everyone": false, "mentions": [], "mention_roles": [],
            "attachments": attachments, "embeds": embeds, "components": list("components"),
            "pinned": false, "flags": body["flags"].as_u64().unwrap_or(0),
        });
        if author == BOT && !body["nonce"].is_null() {
            message["nonce"] = body["nonce"].clone();
        }
        if !body["message_reference"].is_null() {
            message["type"] = json!(19);
            message["message_reference"] = body["message_reference"].clone();
        }
        self.messages.entry(channel).or_default().push(message.clone());
        message
    }

    /// The direct conversation of the bot with somebody.
    pub(crate) fn direct(&mut self, user: u64) -> u64 {
        let found = self.channels.iter().find(|(_, c)| c.kind == 1 && c.owner == user);
        if let Some((id, _)) = found {
            return *id;
        }
        let id = self.id();
        let name = String::new();
        let chan = Chan { kind: 1, parent: None, name, archived: false, owner: user, guild: None };
        self.channels.insert(id, chan);
        id
    }

    pub(super) fn find(&mut self, channel: u64, message: u64) -> Option<&mut Value> {
        let id = message.to_string();
        self.messages.get_mut(&channel)?.iter_mut().find(|m| m["id"] == id)
    }

    pub(super) fn channel_route(
        &mut self,
        method: &str,
        parts: &[&str],
        asked: &Asked,
    ) -> (Answer, Events) {
        let ids: Vec<u64> = parts.iter().map(|p| p.parse().unwrap_or(0)).collect();
        let quiet = |answer: Answer| (answer, NONE);
        if let ("GET", ["guilds", _, "threads", "active"]) = (method, parts) {
            return quiet((200, self.threads(|c| !c.archived)));
        }
        let Some(chan) = ids.get(1).and_then(|id| self.channels.get(id)).cloned() else {
            return quiet(error(404, 10003, "Unknown Channel"));
        };
        let at = ids[1];
        match (method, &parts[2..]) {
            ("GET", []) => quiet((200, self.channel(at).expect("it is there"))),
            ("PATCH", []) => {
                let n_names = self.names.entry(at).or_default();
                let chan = self.channels.get_mut(&at).expect("it is there");
                if let Some(name) = asked.body["name"].as_str() {
                    if name.is_empty() || name.encode_utf16().count() > 100 {
                        return quiet(error(400, 50035, "Invalid Form Body"));
                    }
                    if chan.archived && asked.body["archived"] != false {
                        return quiet(error(400, 50083, "Thread is archived"));
                    }
                    *n_names += 1;
                    if *n_names > 2 {
                        let limited = json!({
                            "message": "You are being rate limited.", "retry_after": 561.3,
                            "global": false,
                        });
                        return quiet((429, limited));
                    }
                    name.clone_into(&mut chan.name);
                }
                if let Some(archived) = asked.body["archived"].as_bool() {
                    chan.archived = archived;
                }
                quiet((200, self.channel(at).expect("it is there")))
            }
            ("GET", ["threads", "archived", "public"]) => {
                quiet((200, self.threads(|c| c.archived && c.parent == Some(at))))
            }
            ("GET", ["messages"]) => quiet(self.history(at, asked)),
            ("POST", ["messages"]) => self.send(at, &chan, asked),
            ("POST", ["typing"]) => {
                self.n_typing += 1;
                quiet((204, Value::Null))
            }
            ("POST", ["threads"]) => self.post(at, &chan, asked),
            ("GET", ["messages", _]) => match self.find(at, ids[3]) {
                Some(message) => quiet((200, message.clone())),
                None => quiet(error(404, 10008, "Unknown Message")),
            },
            ("PATCH", ["messages", _]) => self.edit(at, ids[3], &chan, asked),
            ("DELETE", ["messages", _]) => {
                let id = ids[3].to_string();
                self.messages.entry(at).or_default().retain(|m| m["id"] != id);
                quiet((204, Value::Null))
            }
            ("POST", ["messages", _, "threads"]) => quiet(self.thread(at, ids[3], asked)),
            ("PUT" | "DELETE", ["pins", message] | ["messages", "pins", message]) => {
                let message: u64 = message.parse().unwrap_or(0);
                self.pins.retain(|m| *m != message);
                if method == "PUT" {
                    self.pins.push(message);
                }
                quiet((204, Value::Null))
            }
            ("PUT" | "DELETE", ["messages", _, "reactions", _, "@me"]) => {
                if self.find(at, ids[3]).is_none() {
                    return quiet(error(404, 10008, "Unknown Message"));
                }
                self.reactions.retain(|m| *m != ids[3]);
                if method == "PUT" {
                    self.reactions.push(ids[3]);
                }
                quiet((204, Value::Null))
            }
            _ => quiet(error(404, 0, "404: Not Found")),
        }
    }

    fn threads(&self, wanted: impl Fn(&Chan) -> bool) -> Value {
        let is = |c: &Chan| (10..=12).contains(&c.kind) && wanted(c);
        let all: BTreeMap<u64, &Chan> =
            self.channels.iter().filter(|(_, c)| is(c)).map(|(id, c)| (*id, c)).collect();
        let threads: Vec<Value> = all.keys().filter_map(|id| self.channel(*id)).collect();
        json!({ "threads": threads, "members": [], "has_more": false })
    }

    fn history(&self, channel: u64, asked: &Asked) -> Answer {
        let number = |name: &str| asked.param(name).and_then(|v| v.parse::<u64>().ok());
        let limit = number("limit").unwrap_or(50);
        if !(1..=100).contains(&limit) {
            return error(400, 50035, "Invalid Form Body");
        }
        let before = number("before").unwrap_or(u64::MAX);
        let after = number("after").unwrap_or(0);
        let id = |m: &Value| m["id"].as_str().and_then(|i| i.parse::<u64>().ok()).unwrap_or(0);
        let all = self.messages.get(&channel).cloned().unwrap_or_default();
        let fits = |m: &Value| id(m) < before && id(m) > after;
        let in_guild = self.channels.get(&channel).is_some_and(|c| c.guild.is_some());
        let shown = |mut m: Value| {
            // What names the bot, and its own, it reads anyway.
            let named = m["mentions"].as_array().is_some_and(|m| !m.is_empty());
            if in_guild && !self.content_granted && !named && m["author"]["bot"] != true {
                (m["content"], m["embeds"]) = (json!(""), json!([]));
            }
            m
        };
        let fitting: Vec<Value> = all.into_iter().filter(fits).map(shown).collect();
        // After an id: those next to it. Newest first in any case.
        let n_left = if after > 0 { 0 } else { fitting.len().saturating_sub(limit as usize) };
        let page = fitting.into_iter().skip(n_left).take(limit as usize);
        let page: Vec<Value> = page.collect::<Vec<_>>().into_iter().rev().collect();
        (200, Value::Array(page))
    }

    /// The faults of a message that is to be sent.
    pub(super) fn faulty(body: &Value, asked: &Asked) -> Option<Answer> {
        let faults = rules::message(body, &asked.names());
        if !faults.is_empty() {
            return Some(form_error(&faults));
        }
        let shows = rules::shows(body, asked.files.len());
        (!shows).then(|| error(400, 50006, "Cannot send an empty message"))
    }

    fn send(&mut self, at: u64, chan: &Chan, asked: &Asked) -> (Answer, Events) {
        let body = &asked.body;
        if chan.kind == 15 {
            return (error(400, 50008, "Cannot send messages in a non-text channel"), NONE);
        }
        if chan.kind == 1 && !self.takes_whispers {
            return (error(403, 50007, "Cannot send messages to this user"), NONE);
        }
        if let Some(wrong) = Self::faulty(body, asked) {
            return (wrong, NONE);
        }
        if body["enforce_nonce"] == true {
            let same = |m: &&Value| m["nonce"] == body["nonce"] && m["author"]["bot"] == true;
            if let Some(found) = self.messages.get(&at).and_then(|all| all.iter().find(same)) {
                return ((200, found.clone()), NONE);
            }
        }
        // Writing into an archived thread opens it again.
        self.channels.get_mut(&at).expect("it is there").archived = false;
        let message = self.message(at, BOT, body, &asked.names());
        self.keep(&message, asked);
        ((200, message.clone()), vec![("MESSAGE_CREATE", message)])
    }

    fn keep(&mut self, message: &Value, asked: &Asked) {
        let id = message["id"].as_str().and_then(|i| i.parse().ok()).unwrap_or(0);
        if let Some(file) = asked.files.first() {
            self.files.insert(id, file.clone());
        }
    }

    fn edit(&mut self, at: u64, id: u64, chan: &Chan, asked: &Asked) -> (Answer, Events) {
        if chan.archived {
            return (error(400, 50083, "Thread is archived"), NONE);
        }
        let Some(message) = self.find(at, id) else {
            return (error(404, 10008, "Unknown Message"), NONE);
        };
        if message["author"]["bot"] != true {
            return (error(403, 50005, "Cannot edit a message authored by another user"), NONE);
        }
        if let Some(wrong) = Self::faulty(&asked.body, asked) {
            return (wrong, NONE);
        }
        change(message, &asked.body);
        let message = message.clone();
        ((200, message.clone()), vec![("MESSAGE_UPDATE", message)])
    }

    fn thread(&mut self, at: u64, root: u64, asked: &Asked) -> Answer {
        if let Some(wrong) = named(&asked.body) {
            return wrong;
        }
        if self.find(at, root).is_none() {
            return error(404, 10008, "Unknown Message");
        }
        if self.channels.contains_key(&root) {
            return error(400, 160_004, "A thread has already been created for this message");
        }
        self.open(root, at, &asked.body);
        (201, self.channel(root).expect("it was made"))
    }

    fn open(&mut self, id: u64, parent: u64, body: &Value) {
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        let (parent, guild) = (Some(parent), Some(GUILD));
        let chan = Chan { kind: 11, parent, name, archived: false, owner: BOT, guild };
        self.channels.insert(id, chan);
    }

    fn post(&mut self, at: u64, chan: &Chan, asked: &Asked) -> (Answer, Events) {
        if chan.kind != 15 {
            return (error(400, 50024, "Cannot execute action on this channel type"), NONE);
        }
        let wrong = named(&asked.body).or_else(|| Self::faulty(&asked.body["message"], asked));
        if let Some(wrong) = wrong {
            return (wrong, NONE);
        }
        let id = self.id();
        self.open(id, FORUM, &asked.body);
        self.channels.get_mut(&id).expect("it was made").parent = Some(at);
        let message = self.message_with(id, (id, BOT), &asked.body["message"], &asked.names());
        self.keep(&message, asked);
        let mut thread = self.channel(id).expect("it was made");
        thread["message"] = message.clone();
        ((201, thread), vec![("MESSAGE_CREATE", message)])
    }
}

fn named(body: &Value) -> Option<Answer> {
    let n = body["name"].as_str().map_or(0, |n| n.encode_utf16().count());
    let message = "Must be between 1 and 100 in length.".to_owned();
    let wrong = rules::Wrong { path: "name".into(), code: "BASE_TYPE_BAD_LENGTH", message };
    (!(1..=100).contains(&n)).then(|| form_error(&[wrong]))
}

/// Replaces the parts of a message that an edit names.
pub(super) fn change(message: &mut Value, body: &Value) {
    for name in ["content", "embeds", "components"] {
        if !body[name].is_null() {
            message[name] = body[name].clone();
        }
    }
    for embed in message["embeds"].as_array_mut().into_iter().flatten() {
        embed["type"] = json!("rich");
    }
    message["edited_timestamp"] = json!("2026-11-21T03:01:00.000000+00:00");
}
