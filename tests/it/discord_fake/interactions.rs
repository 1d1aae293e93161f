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
        _query: &str,
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
        let mut original = None;
        if matches!(kind, 4 | 5) && !own {
            let shown =
                if kind == 5 { json!({ "content": "", "flags": 128 }) } else { data.clone() };
            let message = self.message(act.channel, BOT, &shown, &[]);
            original = message["id"].as_str().and_then(|i| i.parse().ok());
            events.push(("MESSAGE_CREATE", message));
        }
        let act = self.acts.get_mut(&id).expect("it is there");
        (act.own, act.loading, act.original) = (own, kind == 5, original);
        if kind == 4 && own {
            act.whispers.push(data);
        }
        act.response = Some((body.clone(), act.begun.elapsed().as_millis()));
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
                    let answer = json!({
                        "id": self.id().to_string(), "channel_id": act.channel.to_string(),
                    });
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
            let answer = json!({ "id": id.to_string(), "channel_id": channel.to_string() });
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
