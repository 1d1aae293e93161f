//! Interactions: the first response within 3 s and once, what follows within 15 min.

use std::time::Duration;

use serde_json::{Value, json};

use super::messages::change;
use super::rest::{Answer, Asked, Events, error, form_error};
use super::{BOT, World, rules};

/// Within so long the first response must come.
const FIRST: Duration = Duration::from_secs(3);
/// For so long an interaction's token is good.
const TOKEN: Duration = Duration::from_secs(900);

/// Kinds of interactions.
pub(super) const COMMAND: u64 = 2;
pub(super) const COMPONENT: u64 = 3;
pub(super) const COMPLETE: u64 = 4;
pub(super) const MODAL: u64 = 5;

fn unknown() -> (Answer, Events) {
    (error(404, 10062, "Unknown interaction"), Vec::new())
}

impl World {
    pub(super) fn callback(
        &mut self,
        id: u64,
        token: &str,
        body: &Value,
        query: &str,
    ) -> (Answer, Events) {
        let Some(act) = self.acts.get(&id).filter(|a| a.token == token).cloned() else {
            return unknown();
        };
        if act.response.is_some() {
            let text = "Interaction has already been acknowledged.";
            return (error(400, 40060, text), Vec::new());
        }
        if act.begun.elapsed() > FIRST {
            return unknown();
        }
        let (kind, data) = (body["type"].as_u64().unwrap_or(0), body["data"].clone());
        let fits = match kind {
            4 | 5 => act.kind != COMPLETE,
            6 | 7 => act.from_message,
            8 => act.kind == COMPLETE,
            9 => matches!(act.kind, COMMAND | COMPONENT),
            _ => false,
        };
        if !fits {
            let message = "This type of response is not allowed here.".to_owned();
            let wrong = rules::Wrong { path: "type".into(), code: "BASE_TYPE_CHOICES", message };
            return (form_error(&[wrong]), Vec::new());
        }
        let faults = match kind {
            4 | 7 => rules::message(&data, &[]),
            9 => rules::modal(&data),
            _ => Vec::new(),
        };
        if !faults.is_empty() {
            return (form_error(&faults), Vec::new());
        }
        if kind == 4 && !rules::shows(&data, 0) {
            return (error(400, 50006, "Cannot send an empty message"), Vec::new());
        }
        let own = data["flags"].as_u64().unwrap_or(0) & 64 != 0;
        let mut events = Vec::new();
        let (mut original, mut shown) = (None, Value::Null);
        if matches!(kind, 4 | 5) {
            let body =
                if kind == 5 { json!({ "content": "", "flags": 128 }) } else { data.clone() };
            shown = self.message(act.channel, BOT, &body, &[]);
            if own {
                // It stands nowhere but before one person.
                self.messages.entry(act.channel).or_default().pop();
            } else {
                original = shown["id"].as_str().and_then(|i| i.parse().ok());
                events.push(("MESSAGE_CREATE", shown.clone()));
            }
        }
        let told = json!({
            "interaction": {
                "id": id.to_string(), "type": act.kind, "response_message_id": shown["id"],
                "response_message_loading": kind == 5, "response_message_ephemeral": own,
            },
            "resource": { "type": kind, "message": shown.clone() },
        });
        let act = self.acts.get_mut(&id).expect("it is there");
        (act.own, act.loading, act.original) = (own, kind == 5, original);
        if kind == 4 && own {
            act.whispers.push(data);
        }
        act.response = Some((body.clone(), act.begun.elapsed().as_millis()));
        // Clients spell a yes as true, True or 1.
        let asked = query.split_once("with_response=").map(|(_, value)| value.to_lowercase());
        if asked.is_some_and(|value| value.starts_with(['t', '1'])) {
            let mut told = told;
            if shown.is_null() {
                told["interaction"]
                    .as_object_mut()
                    .expect("an object")
                    .remove("response_message_id");
                told["resource"].as_object_mut().expect("an object").remove("message");
            }
            return ((200, told), events);
        }
        ((204, Value::Null), events)
    }

    pub(super) fn webhook(
        &mut self,
        method: &str,
        token: &str,
        rest: &[&str],
        asked: &Asked,
    ) -> (Answer, Events) {
        let quiet = |answer: Answer| (answer, Vec::new());
        let found = self.acts.iter().find(|(_, a)| a.token == token);
        let Some((id, act)) = found.map(|(id, a)| (*id, a.clone())) else {
            return quiet(error(404, 10015, "Unknown Webhook"));
        };
        if act.begun.elapsed() > TOKEN {
            return quiet(error(401, 50027, "Invalid Webhook Token"));
        }
        if act.response.is_none() {
            return quiet(error(404, 10015, "Unknown Webhook"));
        }
        if method != "DELETE"
            && let Some(wrong) = Self::faulty(&asked.body, asked)
        {
            return quiet(wrong);
        }
        match (method, rest) {
            ("PATCH", ["messages", "@original"]) => self.fill(id, &asked.body),
            ("DELETE", ["messages", "@original"]) => {
                if let Some(message) = act.original {
                    let text = message.to_string();
                    self.messages.entry(act.channel).or_default().retain(|m| m["id"] != text);
                }
                let act = self.acts.get_mut(&id).expect("it is there");
                (act.loading, act.original) = (false, None);
                quiet((204, Value::Null))
            }
            // The first message after a response that was put off takes its place, for whomever
            // that was.
            ("POST", []) if act.loading => self.fill(id, &asked.body),
            ("POST", []) => {
                if asked.body["flags"].as_u64().unwrap_or(0) & 64 != 0 {
                    let found = self.acts.get_mut(&id).expect("it is there");
                    found.whispers.push(asked.body.clone());
                    let answer = self.message(act.channel, BOT, &asked.body, &[]);
                    self.messages.entry(act.channel).or_default().pop();
                    return quiet((200, answer));
                }
                let message = self.message(act.channel, BOT, &asked.body, &[]);
                ((200, message.clone()), vec![("MESSAGE_CREATE", message)])
            }
            _ => quiet(error(404, 0, "404: Not Found")),
        }
    }

    /// Puts a message in the place of the loading sign.
    fn fill(&mut self, id: u64, body: &Value) -> (Answer, Events) {
        let act = self.acts.get_mut(&id).expect("it is there");
        let (channel, original) = (act.channel, act.original);
        act.loading = false;
        let Some(message) = original else {
            act.whispers.push(body.clone());
            let answer = self.message(channel, BOT, body, &[]);
            self.messages.entry(channel).or_default().pop();
            return ((200, answer), Vec::new());
        };
        let Some(found) = self.find(channel, message) else {
            return (error(404, 10008, "Unknown Message"), Vec::new());
        };
        change(found, body);
        found["flags"] = json!(0);
        let found = found.clone();
        ((200, found.clone()), vec![("MESSAGE_UPDATE", found)])
    }
}
