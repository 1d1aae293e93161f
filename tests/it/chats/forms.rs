//! The forms of a card, from both platforms: each does its deed.

use nightjar::model::wall_now;
use serde_json::{Value, json};

use super::{Both, PATIENCE, both_as, discord, slack};
use crate::support::eventually;

/// Where a person sits.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Slack,
    Discord,
}

/// What a field is filled in with.
enum Answer {
    Text(&'static str),
    Choice(&'static str, &'static str),
    /// Minutes from now.
    In(i64),
}

/// A field by its name and its label.
type Field = (&'static str, &'static str, Answer);

/// The answer as Slack's element gives it back.
fn element(answer: &Answer) -> Value {
    match answer {
        Answer::Text(text) => json!({ "type": "plain_text_input", "value": text }),
        Answer::Choice(value, _) => {
            json!({ "type": "static_select", "selected_option": { "value": value } })
        }
        Answer::In(minutes) => {
            let at = wall_now().ms() / 1_000 + minutes * 60;
            json!({ "type": "datetimepicker", "selected_date_time": at })
        }
    }
}

/// The answer as it is typed.
fn typed(answer: &Answer) -> String {
    match answer {
        Answer::Text(text) | Answer::Choice(_, text) => (*text).to_owned(),
        Answer::In(minutes) => format!("in {minutes} min"),
    }
}

impl Both {
    async fn send_in_slack(&self, opened: Value, kind: &str, fields: &[Field]) {
        let n = self.slack.look().views.len();
        self.slack.deliver(kind, opened).await.expect("it is acknowledged");
        eventually("a form", PATIENCE, async || self.slack.look().views.len() > n).await;
        let answers: Vec<(&str, Value)> =
            fields.iter().map(|(name, _, answer)| (*name, element(answer))).collect();
        let sent = self.slack.submit(slack::ANN, &answers);
        let ack = self.slack.deliver("interactive", sent).await.expect("it is acknowledged");
        assert_eq!(ack.payload, None, "nothing is wrong with it");
    }

    async fn send_in_discord(&self, opened: u64, fields: &[Field]) {
        let (form, _) = self.discord.response(opened).await;
        assert_eq!(form["type"], 9, "{form}");
        let typed: Vec<(&str, String)> =
            fields.iter().map(|(_, label, answer)| (*label, typed(answer))).collect();
        let typed: Vec<(&str, &str)> = typed.iter().map(|(l, v)| (*l, v.as_str())).collect();
        let sent = self.discord.submit(opened, &typed);
        let (answer, _) = self.discord.response(sent).await;
        assert!(!answer.to_string().contains("Not sent"), "{answer}");
    }

    /// Opens the form of a verb on an incident's card, fills it in and sends it.
    async fn fill(&self, on: On, title: &str, verb: &str, fields: &[Field]) {
        let start = format!("v1:{verb}:");
        let begins = |v: &Value| v.as_str().is_some_and(|v| v.starts_with(&start));
        let card = || match on {
            On::Slack => self.in_slack(title).pop(),
            On::Discord => self.in_discord(title).pop(),
        };
        eventually(&format!("{title} with {verb}"), PATIENCE, async || {
            card().is_some_and(|card| card.to_string().contains(&start))
        })
        .await;
        let card = card().expect("it stood a moment ago");
        if on == On::Slack {
            let ts = card["ts"].as_str().expect("a text");
            let blocks = card["blocks"].as_array().expect("blocks").iter();
            let mut pressed = blocks
                .filter(|b| b["type"] == "actions")
                .flat_map(|b| b["elements"].as_array().expect("elements"));
            let payload = match pressed.position(|e| begins(&e["value"])) {
                Some(n) => self.slack.click(slack::ANN, slack::CHANNEL, ts, n),
                None => self.slack.choose(slack::ANN, slack::CHANNEL, ts, &start),
            };
            return self.send_in_slack(payload, "interactive", fields).await;
        }
        let message = card["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let (user, channel) = (discord::ADA, discord::TEXT);
        let rows = card["components"].as_array().expect("rows").iter();
        let items: Vec<&Value> =
            rows.flat_map(|row| row["components"].as_array().expect("items")).collect();
        let label = |v: &Value| v["label"].as_str().expect("a label").to_owned();
        let opened = if let Some(button) = items.iter().find(|i| begins(&i["custom_id"])) {
            self.discord.press(user, channel, message, &label(button))
        } else {
            let mut options =
                items.iter().flat_map(|i| i["options"].as_array().into_iter().flatten());
            let option = options.find(|o| begins(&o["value"])).expect("it stands in the menu");
            self.discord.choose(user, channel, message, &label(option))
        };
        self.send_in_discord(opened, fields).await;
    }

    /// Opens the form of a new incident and sends it.
    async fn declare_on(&self, on: On, fields: &[Field]) {
        if on == On::Slack {
            let opened = json!({
                "type": "shortcut", "callback_id": "declare", "user": { "id": slack::ANN },
                "team": { "id": "T0" }, "trigger_id": self.slack.trigger(), "action_ts": "5.1",
            });
            return self.send_in_slack(opened, "interactive", fields).await;
        }
        let opened = self.discord.command(discord::ADA, discord::TEXT, "declare", &[]);
        self.send_in_discord(opened, fields).await;
    }

    async fn incident(&self, title: &str) -> Value {
        let all = self.bot.list("incidents").await;
        let titled = |i: &&Value| i["title"].as_str().is_some_and(|t| t.contains(title));
        all.iter().find(titled).expect("it is there").clone()
    }

    async fn becomes(&self, title: &str, state: &str) {
        eventually(&format!("{title} to be {state}"), PATIENCE, async || {
            self.incident(title).await["state"] == state
        })
        .await;
    }

    /// A deploy that went wrong, until there is something to decide; gives the card's title.
    async fn wrong_deploy(&self, service: &str) -> String {
        // Right after a deploy an alert is held back for a while.
        let deploy = json!({ "kind": "deploy", "service": service, "title": "4.7.2",
            "version": "4.7.2", "previous": "4.7.1", "at": wall_now().plus_ms(-300_000) });
        assert_eq!(self.bot.door().send("/hooks/deploy", &deploy).await.ok(), Some(200));
        let labels = json!({ "alertname": "TooSlow", "service": service, "severity": "critical" });
        let alert = json!({ "status": "firing", "startsAt": wall_now(), "labels": labels });
        let body = json!({ "version": "4", "alerts": [alert] });
        assert_eq!(self.bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
        let offered = async || !self.bot.list("proposals").await.is_empty();
        eventually("a proposal", PATIENCE, offered).await;
        let proposal = self.bot.list("proposals").await.remove(0);
        let path = format!("/api/v1/incidents/{}", proposal["incident"].as_str().expect("an id"));
        self.bot.get(&path).await["incident"]["title"].as_str().expect("a title").to_owned()
    }
}

use Answer::{Choice, In, Text};

/// The label of the reason of a decision.
const WHY: &str = "Reason (kept in the audit log)";

/// A bot of its own, connected to both.
async fn connected() -> Both {
    let more = "[runbooks.settings]\nadmin_url = \"http://127.0.0.1:9/admin\"\n";
    let both = both_as("approver", &format!("[correlate]\ngroup_wait_s = 1\n{more}")).await;
    both.discord.until("a session", |w| (w.n_identified > 0).then_some(())).await;
    eventually("connections", PATIENCE, async || both.slack.n_sockets() == 2).await;
    both
}

async fn every_form(on: On) {
    let both = connected().await;
    let title = "Carts are empty";
    let feel = "What users feel, in one line";
    both.declare_on(on, &[("title", feel, Text(title))]).await;
    both.everywhere(title, "open").await;

    both.fill(on, title, "note", &[("text", "Update", Text("The cache was cold."))]).await;
    let story = async || {
        let id = both.incident(title).await["id"].as_str().expect("an id").to_owned();
        both.bot.get(&format!("/api/v1/incidents/{id}")).await.to_string()
    };
    eventually("the update", PATIENCE, async || story().await.contains("The cache was cold."))
        .await;

    let silence = [
        ("matchers", "Matchers, one a line; all must match", Text("service=\"cart\"")),
        ("duration", "For how long", Text("2 h")),
        ("reason", "Reason (shown with it)", Text("planned work")),
    ];
    both.fill(on, title, "silence", &silence).await;
    eventually("the silence", PATIENCE, async || {
        both.bot.list("silences").await.iter().any(|s| s["reason"] == "planned work")
    })
    .await;

    let twin = both.declare(2).await;
    both.everywhere(&twin, "open").await;
    let why = [("reason", "Why they are one", Text("the same cache"))];
    both.fill(on, &twin, "merge", &why).await;
    both.becomes(&twin, "merged").await;

    let how = [
        ("category", "How it ended", Choice("external", "Cause outside")),
        ("reason", "What was it", Text("the provider of the cache")),
    ];
    both.fill(on, title, "resolve", &how).await;
    both.becomes(title, "resolved").await;
    let found = both.incident(title).await.to_string();
    assert!(found.contains("external"), "{found}");
    decision(on, "schedule", &[("at", "When (UTC)", In(10)), ("reason", WHY, Text("later"))]).await;
    decision(on, "approve", &[("reason", WHY, Text("the deploy did it"))]).await;
}

/// The form of a decision, before a bot that has this one thing to decide.
async fn decision(on: On, verb: &str, fields: &[Field]) {
    let both = connected().await;
    let slow = both.wrong_deploy("orders").await;
    both.fill(on, &slow, verb, fields).await;
    let Some((_, _, Text(reason))) = fields.last() else { panic!("a decision has a reason") };
    eventually(&format!("the {verb}"), PATIENCE, async || {
        let all = both.bot.list("proposals").await;
        let decided = all.iter().find(|p| p["decisions"][0]["reason"] == *reason);
        decided.is_some_and(|p| verb != "schedule" || p["state"] == "scheduled")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_does_its_deed_from_slack() {
    every_form(On::Slack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_does_its_deed_from_discord() {
    every_form(On::Discord).await;
}
