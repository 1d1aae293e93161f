//! The Slack adapter against a fake of Slack that the official client was held against.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use nightjar::chat::slack::{Config, Slack};
use nightjar::chat::{
    Address, Button, Card, Chat as _, Completion, Content, Draft, File, Form, FormField, FormKind,
    Health, Inbound, Inlet, Place, Pressed, Style, Subject, Verb, Who,
};
use nightjar::model::clock::SystemClock;
use nightjar::model::{Actor, Fault, IncidentId, Role, Time};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::slack_fake::{
    ANN, APP_TOKEN, ARCHIVED, BO, BOT_TOKEN, BOT_USER, CHANNEL, CY, Fake, GROUP, OTHER, Trouble,
};
use crate::support::{install_tls, piped, python_with, serve};

mod checking;
mod doubt;
mod hearing;
pub(crate) mod hooks;
mod rooms;
mod several;
mod streams;
mod whole;

/// Keeps what it is handed, and opens a form for `approve`.
#[derive(Default)]
struct Recorder {
    // Guards what was heard; held only while it is read or added to.
    heard: Mutex<Vec<Inbound>>,
    /// How long it takes to keep something.
    slow: Mutex<Duration>,
    /// How often it fails before it keeps something.
    fails: Mutex<u32>,
}

impl Recorder {
    fn heard(&self) -> Vec<Inbound> {
        self.heard.lock().expect("not poisoned").clone()
    }
}

fn button(verb: Verb) -> Button {
    let subject = Subject::Incident(IncidentId::derive(Time::from_ms(1), &["x"]));
    Button { verb, label: format!("{verb:?}"), style: Style::Plain, subject, digest: None }
}

fn form(code: String) -> Form {
    let fields = vec![
        FormField::fixed("What", "is done"),
        FormField::input("reason", "Reason", FormKind::Lines).required(),
        FormField::input("at", "At", FormKind::DateTime),
    ];
    Form { code, title: "Resolve".into(), fields, submit: "Resolve".into(), danger: false }
}

impl Inlet for Recorder {
    fn press(&self, actor: Actor, code: String) -> BoxFuture<'_, Result<Pressed, Fault>> {
        let pressed = if code == button(Verb::Acknowledge).code() {
            Pressed::Nothing
        } else if actor.role < Role::Responder {
            Pressed::Refused(format!("A {} may not do this; ask a responder.", actor.role))
        } else {
            Pressed::Form(form(code))
        };
        Box::pin(std::future::ready(Ok(pressed)))
    }

    fn faults(
        &self,
        _: Option<Actor>,
        _: String,
        values: BTreeMap<String, String>,
    ) -> BoxFuture<'_, Result<BTreeMap<String, String>, Fault>> {
        let mut faults = BTreeMap::new();
        if values.get("reason").is_some_and(|r| r.len() < 3) {
            faults.insert("reason".into(), "Say more than that.".into());
            faults.insert("unknown".into(), "And this.".into());
        }
        Box::pin(std::future::ready(Ok(faults)))
    }

    fn accept(&self, inbound: Inbound) -> BoxFuture<'_, Result<bool, Fault>> {
        Box::pin(async move {
            let slow = *self.slow.lock().expect("not poisoned");
            tokio::time::sleep(slow).await;
            let mut fails = self.fails.lock().expect("not poisoned");
            if *fails > 0 {
                *fails -= 1;
                return Err(Fault::transient("the store is busy", anyhow::anyhow!("locked")));
            }
            drop(fails);
            let mut heard = self.heard.lock().expect("not poisoned");
            let new = heard.iter().all(|h| h.key != inbound.key);
            if new {
                heard.push(inbound);
            }
            Ok(new)
        })
    }

    fn complete(
        &self,
        _: Completion,
        _: String,
    ) -> BoxFuture<'_, Result<Vec<(String, String)>, Fault>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn home(&self, actor: Actor) -> BoxFuture<'_, Result<Vec<Card>, Fault>> {
        let card = Card::words(format!("{} has the watch", actor.name), "nothing is open");
        Box::pin(std::future::ready(Ok(vec![card])))
    }

    fn preview(&self, url: String) -> BoxFuture<'_, Result<Option<Card>, Fault>> {
        let card = url.contains("INC-").then(|| Card::words("INC-1", "the shop is slow"));
        Box::pin(std::future::ready(Ok(card)))
    }
}

fn config(fake: &Fake, app_token: Option<&str>) -> Config {
    let mut config = json!({
        "bot_token": BOT_TOKEN, "api_url": fake.api(), "channel": "#incidents",
        "signing_secret": "not-a-real-secret",
        "people": [
            { "group": GROUP, "role": "approver" },
            { "email": "BO@shop.example", "role": "responder" },
        ],
    });
    if let Some(token) = app_token {
        config["app_token"] = token.into();
    }
    serde_json::from_value(config).expect("settings")
}

/// A fake, an adapter that runs against it, and what it heard; it ends with the guard.
struct Stage {
    fake: Fake,
    slack: Slack,
    recorder: Arc<Recorder>,
    end: CancellationToken,
}

impl Stage {
    /// Who said something, as Slack tells it after it was kept.
    async fn who(&self, inbound: &Inbound) -> Actor {
        assert!(inbound.unresolved, "it was kept before Slack was asked");
        match self.slack.who(inbound.clone()).await.expect("Slack tells") {
            Who::Person(actor) => actor,
            stranger @ Who::Stranger(_) => panic!("{stranger:?}"),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

async fn stage(app_token: Option<&str>) -> Stage {
    install_tls();
    let fake = Fake::start().await;
    let recorder = Arc::new(Recorder::default());
    let config = config(&fake, app_token);
    let slack = Slack::new(config, recorder.clone(), Arc::new(SystemClock)).expect("is set up");
    let end = CancellationToken::new();
    let (runs, ends) = (slack.clone(), end.clone());
    serve(async move { runs.run(ends).await });
    Stage { fake, slack, recorder, end }
}

fn draft(key: &str, words: &str) -> Draft {
    Draft::new(key, "#incidents", Content::card(Card::words(words, "some words")))
}

fn actor(id: &str) -> Actor {
    Actor { via: "slack".into(), id: id.into(), name: id.into(), role: Role::Viewer }
}

fn address(id: &str, channel: &str, thread: Option<&str>) -> Address {
    let thread = thread.map(str::to_owned);
    Address { actor: actor(id), channel: channel.into(), thread, trigger: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_understands_the_fake() {
    let Some(python) = python_with("slack_sdk") else { return };
    let fake = Fake::start().await;
    let rooms = nightjar::chat::slack::ROOMS.iter().map(|s| s.name.to_owned());
    fake.look().scopes.extend(rooms);
    let (api, control) = (fake.api(), fake.control_url());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/slack_client.py");
    let run = move || {
        let args = [script, &api, BOT_TOKEN, APP_TOKEN, CHANNEL, &control, ANN];
        piped(&python, &[&["-W", "ignore"], &args[..]].concat(), "")
    };
    let (status, said) = tokio::task::spawn_blocking(run).await.expect("it ran");
    assert_eq!(status, 0, "{said}");
    let said: Value = serde_json::from_str(said.trim()).expect("JSON");
    let expected = json!({
        "auth": [BOT_USER, "B0BOT", true],
        "history": [["reply", null], ["hello", "one"]],
        "without": false,
        "replies": ["hello", "reply"],
        "channels": ["incidents", "other", "old"],
        "file": ["a.png", "A"],
        "shared": "a.png",
        "person": "ann@shop.example",
        "streamed": [
            [200, "streaming_state_conflict", null], "one two three",
            [200, "message_not_in_streaming_state", null],
            [200, "missing_recipient_user_id", null], true,
        ],
        "room": [
            "open &amp; bad", ["Incident message"], [200, "name_taken", null],
            [200, "invalid_name_specials", null], [200, "too_long", null],
            [200, "already_in_channel", null], true, [200, "already_archived", null],
            [200, "is_archived", null],
        ],
        "long": [200, "invalid_blocks", null],
        "nowhere": [200, "channel_not_found", null],
        "again": [200, "already_reacted", null],
        "stranger": [200, "invalid_auth", null],
        "trigger": [200, "invalid_trigger_id", null],
        "acks": [true, { "text": "done" }, true],
        "heard": [
            ["events_api", "event_callback"], ["slash_commands", "/nightjar"],
            ["interactive", "block_actions"],
        ],
        "opened": ["A form", [200, "exchanged_trigger_id", null]],
    });
    assert_eq!(said, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_written_once_edited_in_place_and_answered_in_its_thread() {
    let Stage { fake, slack, .. } = &stage(None).await;
    let place = slack.post(draft("INC-1/card", "The shop is slow")).await.expect("is posted");
    assert_eq!((place.platform.as_str(), place.channel.as_str()), ("slack", CHANNEL));
    let edit = Draft { place: Some(place.clone()), ..draft("INC-1/card", "The shop is well") };
    assert_eq!(slack.post(edit).await.expect("is edited"), place);
    let reply = Draft { thread: Some(place.clone()), broadcast: true, ..draft("d1", "Delta") };
    let reply = slack.post(reply).await.expect("is answered");
    let messages = fake.messages(CHANNEL);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["text"], "The shop is well: some words");
    assert_eq!(messages[0]["metadata"]["event_payload"]["key"], "INC-1/card");
    assert_eq!(messages[1]["thread_ts"], place.message.as_str());
    assert_eq!(messages[1]["subtype"], "thread_broadcast");
    assert_ne!(reply.message, place.message);
    // The name of the channel was asked for once, over two pages at most.
    assert!(fake.n_calls("conversations.list") <= 2);
    // Deleted by somebody: it is written again.
    fake.look().messages.clear();
    let again = Draft { place: Some(place.clone()), ..draft("INC-1/card", "Still") };
    assert_ne!(slack.post(again).await.expect("is posted"), place);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_doubt_is_found_again_and_not_written_twice() {
    let Stage { fake, slack, .. } = &stage(None).await;
    fake.trouble("chat.postMessage", Trouble::DoneUnsaid);
    let fault = slack.post(draft("INC-1/card", "one")).await.expect_err("nothing was said");
    assert!(fault.is_transient(), "{}", fault.chain());
    // Other messages lie between.
    for n in 0..5 {
        slack.post(draft(&format!("other-{n}"), "other")).await.expect("is posted");
    }
    let doubtful = Draft { doubtful: true, ..draft("INC-1/card", "two") };
    let root = slack.post(doubtful).await.expect("is found");
    let messages = fake.messages(CHANNEL);
    assert_eq!(messages.len(), 6);
    assert_eq!(root.message, messages[0]["ts"]);
    assert_eq!(messages[0]["text"], "two: some words");
    // The same within a thread.
    fake.trouble("chat.postMessage", Trouble::DoneUnsaid);
    let reply = || Draft { thread: Some(root.clone()), ..draft("INC-1/delta", "delta") };
    slack.post(reply()).await.expect_err("nothing was said");
    slack.post(Draft { doubtful: true, ..reply() }).await.expect("is found");
    assert_eq!(fake.messages(CHANNEL).len(), 7);
    // One that was never written is written.
    slack.post(Draft { doubtful: true, ..draft("INC-2/card", "new") }).await.expect("is written");
    assert_eq!(fake.messages(CHANNEL).len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_stands_in_the_thread_once() {
    let Stage { fake, slack, .. } = &stage(None).await;
    let root = slack.post(draft("INC-1/card", "one")).await.expect("is posted");
    let file = || File {
        key: "INC-1/chart".into(),
        channel: CHANNEL.into(),
        thread: Some(root.clone()),
        name: "checkout.png".into(),
        media_type: "image/png".into(),
        alt: "p99 of checkout <b>".into(),
        bytes: b"not a picture".to_vec(),
        place: None,
        doubtful: false,
        tried_at: None,
    };
    fake.trouble("upload", Trouble::Html(502));
    assert!(slack.upload(file()).await.expect_err("a proxy answered").is_transient());
    fake.trouble("files.completeUploadExternal", Trouble::DoneUnsaid);
    assert!(slack.upload(file()).await.expect_err("nothing was said").is_transient());
    let place = slack.upload(File { doubtful: true, ..file() }).await.expect("is found");
    let messages = fake.messages(CHANNEL);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1]["thread_ts"], root.message.as_str());
    assert_eq!(messages[1]["files"][0]["title"], "p99 of checkout <b>");
    assert_eq!(place.message, messages[1]["ts"]);
    let n = fake.look().calls.len();
    slack.upload(File { place: Some(place), ..file() }).await.expect("stands already");
    assert_eq!(fake.look().calls.len(), n);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_for_one_person_are_seen_by_them_alone() {
    let Stage { fake, slack, .. } = &stage(None).await;
    let root = slack.post(draft("INC-1/card", "one")).await.expect("is posted");
    let words = || Content::text("You may not do this.");
    slack.ephemeral(address(ANN, CHANNEL, None), words()).await.expect("is said");
    let thread = address(ANN, CHANNEL, Some(&root.message));
    slack.ephemeral(thread, words()).await.expect("is said");
    // Where the bot is not: in their direct messages.
    slack.ephemeral(address(CY, OTHER, None), words()).await.expect("is said");
    let seen = fake.look().ephemeral.clone();
    assert_eq!(seen.len(), 2);
    assert_eq!((&seen[0]["user"], &seen[0]["thread_ts"]), (&json!(ANN), &Value::Null));
    assert_eq!(seen[1]["thread_ts"], root.message.as_str());
    assert_eq!(fake.messages("D0CY")[0]["text"], "You may not do this.");
    // A form whose trigger is too old is offered as a button.
    let form = Content::Form { form: form("v1:x".into()) };
    slack.ephemeral(address(ANN, CHANNEL, None), form).await.expect("is offered");
    let offered = fake.look().ephemeral[2]["blocks"][0]["elements"][0]["value"].clone();
    assert_eq!(offered, "v1:x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_marked_while_it_is_worked_on_and_a_card_is_pinned() {
    let Stage { fake, slack, .. } = &stage(None).await;
    let asked = fake.say(ANN, CHANNEL, None, "why?")["ts"].as_str().expect("a text").to_owned();
    for _ in 0..2 {
        slack.working(address(ANN, CHANNEL, None), asked.clone(), true).await.expect("is shown");
    }
    assert!(fake.look().signs.contains(&(CHANNEL.into(), asked.clone(), "eyes".into())));
    slack.working(address(ANN, CHANNEL, None), asked, false).await.expect("is shown");
    assert!(fake.look().signs.is_empty());
    let direct = fake.say(ANN, "D0ANN", None, "why?")["ts"].as_str().expect("a text").to_owned();
    slack.working(address(ANN, "D0ANN", None), direct.clone(), true).await.expect("is shown");
    assert_eq!(fake.look().statuses, [(direct, "is looking into it".to_owned())]);
    let place = slack.post(draft("INC-1/card", "one")).await.expect("is posted");
    for on in [true, true, false, false] {
        slack.dress(place.clone(), on).await.expect("once or twice is the same");
    }
    assert!(fake.look().pins.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_say_whether_they_pass_and_what_to_do() {
    let Stage { fake, slack, .. } = &stage(None).await;
    slack.post(draft("a", "one")).await.expect("is posted");
    fake.trouble("chat.postMessage", Trouble::Limited(7));
    let Err(Fault::Transient { after, .. }) = slack.post(draft("b", "two")).await else {
        panic!("it is to be tried again");
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
    assert_eq!(slack.health(), Health::Up);
    for trouble in [Trouble::Html(502), Trouble::Html(200), Trouble::DoneUnsaid] {
        fake.trouble("chat.postMessage", trouble);
        let fault = slack.post(draft("b", "two")).await.expect_err("it failed");
        assert!(fault.is_transient(), "{}", fault.chain());
        assert!(matches!(slack.health(), Health::Down { .. }));
        slack.post(draft("c", "three")).await.expect("is posted");
        assert_eq!(slack.health(), Health::Up);
    }
    fake.trouble("chat.postMessage", Trouble::Error("internal_error"));
    assert!(slack.post(draft("b", "two")).await.expect_err("it failed").is_transient());
    let refused = async |channel: &str| {
        let fault = slack.post(Draft { channel: channel.into(), ..draft("d", "x") }).await;
        let fault = fault.expect_err("it is refused");
        assert!(!fault.is_transient(), "{fault}");
        fault.to_string()
    };
    assert!(refused(OTHER).await.contains("invite it there"));
    assert!(refused("C0NOWHERE").await.contains("no such channel"));
    assert!(refused(ARCHIVED).await.contains("archived"));
    assert!(refused("#nowhere").await.contains("#nowhere"));
    fake.look().scopes.remove("pins:write");
    let place = slack.post(draft("e", "x")).await.expect("is posted");
    let fault = slack.dress(place, true).await.expect_err("it may not");
    assert!(fault.to_string().contains("pins:write (the pinned message"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_told_and_gives_nothing_up() {
    let Stage { fake, slack, .. } = &stage(None).await;
    fake.look().revoked = true;
    let fault = slack.post(draft("a", "one")).await.expect_err("the token counts no more");
    assert!(fault.is_transient(), "it is sent when there is a new token");
    let Health::Down { why } = slack.health() else { panic!("it is down") };
    assert!(why.contains("install the app") && !why.contains(BOT_TOKEN), "{why}");
    fake.look().revoked = false;
    slack.post(draft("a", "one")).await.expect("is posted");
    assert_eq!(slack.health(), Health::Up);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_telemetry_names_a_person() {
    let Stage { fake, slack, .. } = &stage(None).await;
    let text = "<!channel> <@U0ANN> <!subteam^S0ONCALL> @here ".repeat(3_000);
    slack.post(draft("a", &text)).await.expect("is posted");
    let plain = Draft::new("b", CHANNEL, Content::text(&*text));
    slack.post(plain).await.expect("is posted");
    assert_eq!(fake.look().pinged, [""; 0]);
    assert_eq!(fake.messages(CHANNEL).len(), 2);
}
