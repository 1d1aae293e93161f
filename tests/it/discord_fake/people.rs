//! What tests let people do: write, press buttons, fill in forms, use the command.

use std::time::Instant;

use serde_json::{Value, json};

use super::interactions::{COMMAND, COMPLETE, COMPONENT, MODAL};
use super::{Act, BOT, Fake, World};

impl Fake {
    /// Lets somebody write; gives the message's id.
    pub(crate) fn say(&self, user: u64, channel: u64, text: &str) -> u64 {
        let mut world = self.world();
        let mut message = world.message(channel, user, &json!({ "content": text }), &[]);
        let guild = world.channels[&channel].guild;
        if text.contains(&format!("<@{BOT}>")) {
            message["mentions"] = json!([World::user(BOT)]);
            let kept = world.messages.get_mut(&channel).and_then(|all| all.last_mut());
            kept.expect("it was written")["mentions"] = message["mentions"].clone();
        }
        if let Some(guild) = guild {
            message["guild_id"] = json!(guild.to_string());
            message["member"] = World::member(user);
        }
        world.dispatch("MESSAGE_CREATE", &message);
        message["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
    }

    /// Lets somebody press the button with this label.
    pub(crate) fn press(&self, user: u64, channel: u64, message: u64, label: &str) -> u64 {
        let mut world = self.world();
        let found = world.find(channel, message).expect("the message is there").clone();
        let rows = found["components"].as_array().into_iter().flatten();
        let mut buttons = rows.flat_map(|row| row["components"].as_array().into_iter().flatten());
        let button = buttons.find(|b| b["label"] == label).expect("the button is there").clone();
        let data = json!({ "component_type": 2, "custom_id": button["custom_id"], "values": [] });
        world.act(COMPONENT, (user, channel), data, Some(found))
    }

    /// Lets somebody choose what has this label in the menu of a message.
    pub(crate) fn choose(&self, user: u64, channel: u64, message: u64, label: &str) -> u64 {
        let mut world = self.world();
        let found = world.find(channel, message).expect("the message is there").clone();
        let rows = found["components"].as_array().into_iter().flatten();
        let mut items = rows.flat_map(|row| row["components"].as_array().into_iter().flatten());
        let menu = items.find(|i| i["type"] == 3).expect("the menu is there");
        let mut options = menu["options"].as_array().into_iter().flatten();
        let option = options.find(|o| o["label"] == label).expect("it can be chosen");
        let data = json!({
            "component_type": 3, "custom_id": menu["custom_id"], "values": [option["value"]],
        });
        world.act(COMPONENT, (user, channel), data, Some(found))
    }

    /// Lets somebody press the button of what only they saw.
    pub(crate) fn press_whispered(&self, user: u64, act: u64, label: &str) -> u64 {
        let mut world = self.world();
        let seen = world.acts[&act].clone();
        let mut found = seen.whispers.last().expect("something was whispered").clone();
        let rows = found["components"].as_array().into_iter().flatten();
        let mut buttons = rows.flat_map(|row| row["components"].as_array().into_iter().flatten());
        let button = buttons.find(|b| b["label"] == label).expect("the button is there").clone();
        let id = world.id();
        let whole = world.message(seen.channel, BOT, &json!({ "content": "x" }), &[]);
        world.messages.entry(seen.channel).or_default().pop();
        for (name, value) in whole.as_object().expect("an object") {
            if found[name].is_null() {
                found[name] = value.clone();
            }
        }
        (found["id"], found["flags"]) = (json!(id.to_string()), json!(64));
        let data = json!({ "component_type": 2, "custom_id": button["custom_id"], "values": [] });
        world.act(COMPONENT, (user, seen.channel), data, Some(found))
    }

    /// Lets somebody send the form that an interaction was answered with; fields by label.
    pub(crate) fn submit(&self, opened: u64, fields: &[(&str, &str)]) -> u64 {
        let mut world = self.world();
        let act = world.acts[&opened].clone();
        let (response, _) = act.response.expect("a form was opened");
        assert_eq!(response["type"], 9, "a form was opened: {response}");
        let mut form = response["data"].clone();
        for row in form["components"].as_array_mut().into_iter().flatten() {
            if row["type"] == 18 {
                *row = chosen(row, fields);
                continue;
            }
            let input = &mut row["components"][0];
            let typed = fields.iter().find(|(label, _)| input["label"] == *label);
            let before = input["value"].as_str().unwrap_or_default().to_owned();
            let value = typed.map_or(before, |(_, value)| (*value).to_owned());
            assert!(!value.is_empty() || input["required"] != true, "{input} must be filled in");
            *input = json!({ "type": 4, "custom_id": input["custom_id"], "value": value, "id": 1 });
        }
        let data = json!({ "custom_id": form["custom_id"], "components": form["components"] });
        world.act(MODAL, (act.user, act.channel), data, act.message)
    }

    /// Lets somebody use `/nightjar`.
    pub(crate) fn command(
        &self,
        user: u64,
        channel: u64,
        sub: &str,
        options: &[(&str, &str)],
    ) -> u64 {
        let given =
            |(name, value): &(&str, &str)| json!({ "type": 3, "name": name, "value": value });
        let options: Vec<Value> = options.iter().map(given).collect();
        self.world().act(COMMAND, (user, channel), command(sub, options), None)
    }

    /// Lets somebody use a command of a message's menu.
    pub(crate) fn pick(&self, user: u64, channel: u64, message: u64, name: &str) -> u64 {
        let mut world = self.world();
        let found = world.find(channel, message).expect("the message is there").clone();
        let known = world.commands.values().flat_map(|all| all.as_array().into_iter().flatten());
        let named = known.filter(|c| c["type"] == 3 && c["name"] == name).count();
        assert_eq!(named, 1, "the menu has `{name}` once");
        let messages = json!({ message.to_string(): found });
        let data = json!({
            "id": "2", "name": name, "type": 3, "guild_id": super::GUILD.to_string(),
            "target_id": message.to_string(), "resolved": { "messages": messages },
        });
        world.act(COMMAND, (user, channel), data, None)
    }

    /// Lets somebody type an option of `/nightjar`.
    pub(crate) fn complete(&self, channel: u64, sub: &str, option: &str, typed: &str) -> u64 {
        let option = json!({ "type": 3, "name": option, "value": typed, "focused": true });
        let data = command(sub, vec![option]);
        self.world().act(COMPLETE, (super::ADA, channel), data, None)
    }

    /// The first response to an interaction, with the milliseconds until it.
    pub(crate) async fn response(&self, act: u64) -> (Value, u128) {
        self.until("a first response", |w| w.acts[&act].response.clone()).await
    }

    /// The newest message that only the person of an interaction saw.
    pub(crate) async fn whispered(&self, act: u64) -> Value {
        self.until("a word for one person", |w| w.acts[&act].whispers.last().cloned()).await
    }
}

/// The menu of a modal as it is sent: what was chosen by the beginning of its label, else what
/// stood there.
fn chosen(row: &Value, fields: &[(&str, &str)]) -> Value {
    let menu = &row["component"];
    let options = menu["options"].as_array().expect("a menu has options");
    let wanted = fields.iter().find(|(label, _)| row["label"] == *label).map(|(_, v)| *v);
    let begins = |o: &&Value, wanted: &str| {
        let label = o["label"].as_str().unwrap_or_default().to_lowercase();
        label.starts_with(&wanted.to_lowercase())
    };
    let option = match wanted {
        Some(wanted) => options.iter().find(|o| begins(o, wanted)),
        None => options.iter().find(|o| o["default"] == true),
    };
    assert!(option.is_some() || menu["required"] != true, "{row} must be filled in: {wanted:?}");
    let values: Vec<&Value> = option.iter().map(|o| &o["value"]).collect();
    let menu = json!({ "type": 3, "id": 3, "custom_id": menu["custom_id"], "values": values });
    json!({ "type": 18, "id": 2, "component": menu })
}

fn command(sub: &str, options: Vec<Value>) -> Value {
    json!({
        "id": "1", "name": "nightjar", "type": 1, "guild_id": super::GUILD.to_string(),
        "options": [{ "type": 1, "name": sub, "options": options }],
    })
}

impl World {
    fn act(
        &mut self,
        kind: u64,
        (user, channel): (u64, u64),
        data: Value,
        message: Option<Value>,
    ) -> u64 {
        let id = self.id();
        let token = format!("interaction-token-{id}");
        let guild = self.channels[&channel].guild;
        let permissions = self.permissions.to_string();
        let mut event = json!({
            "id": id.to_string(), "application_id": BOT.to_string(), "type": kind, "token": token,
            "version": 1, "data": data, "channel_id": channel.to_string(),
            "channel": self.channel(channel), "locale": "en-US", "guild_locale": "en-US",
            "app_permissions": permissions, "entitlements": [], "context": 0,
            "authorizing_integration_owners": {}, "attachment_size_limit": 10_485_760,
        });
        if let Some(guild) = guild {
            let mut member = World::member(user);
            member["user"] = World::user(user);
            member["permissions"] = json!(permissions);
            event["guild_id"] = json!(guild.to_string());
            event["member"] = member;
        } else {
            event["user"] = World::user(user);
        }
        if let Some(message) = &message {
            event["message"] = message.clone();
        }
        self.acts.insert(
            id,
            Act {
                token,
                kind,
                channel,
                user,
                from_message: message.is_some(),
                message,
                begun: Instant::now(),
                response: None,
                original: None,
                loading: false,
                own: false,
                whispers: Vec::new(),
            },
        );
        self.dispatch("INTERACTION_CREATE", &event);
        id
    }
}
