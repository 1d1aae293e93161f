//! What people did in a chat and saw acknowledged is done, exactly once, though the process is
//! killed the moment after and their platform is slow to tell who they are.

use std::time::Duration;

use nightjar::store::Store;
use serde_json::{Value, json};

use crate::bot::Bot;
use crate::slack::hooks::{form, hook};
use crate::support::{eventually, free_port, install_tls, serve};
use crate::{discord_fake as discord, slack_fake as slack};

const PATIENCE: Duration = Duration::from_secs(120);
/// How often what is not acknowledged is sent.
const TRIES: u32 = 5;
const SECRET: &str = "not-a-real-signing-secret";
/// Within this the platforms want an acknowledgement.
const PROMPT: Duration = Duration::from_secs(3);
/// How long the platform takes to tell who somebody is.
const SLOW: Duration = Duration::from_secs(6);

fn slack_settings(fake: &slack::Fake, way_in: &str) -> String {
    format!(
        "[[chat.slack]]\nbot_token = {:?}\n{way_in}\napi_url = {:?}\nchannel = \"#incidents\"\n\
         [[chat.slack.people]]\ngroup = {:?}\nrole = \"responder\"\n",
        slack::BOT_TOKEN,
        fake.api(),
        slack::GROUP,
    )
}

async fn declare(bot: &Bot) {
    let values = json!({ "title": "It is slow", "severity": "critical" });
    let form = json!({ "code": "v1:declare:none", "values": values, "key": "one" });
    assert_eq!(bot.door().send("/api/v1/submit", &form).await.ok(), Some(200));
}

/// How often the story of the only incident says something.
async fn told(bot: &Bot, words: &str) -> usize {
    let id = bot.list("incidents").await[0]["id"].as_str().expect("an id").to_owned();
    let incident = bot.get(&format!("/api/v1/incidents/{id}")).await;
    let story = incident["timeline"].as_array().expect("a story");
    story.iter().filter(|entry| entry["text"].as_str().is_some_and(|t| t.contains(words))).count()
}

async fn once(bot: &Bot, words: &[&str]) {
    for words in words {
        eventually(words, PATIENCE, async || told(bot, words).await > 0).await;
    }
    // Whatever else is handled by now was handled.
    eventually("nothing to wait", PATIENCE, async || {
        bot.metric("nightjar_command_due", "").await == 0.0
    })
    .await;
    for words in words {
        assert_eq!(told(bot, words).await, 1, "{words}");
    }
}

/// The card in Slack, and a click on its first button (Acknowledge).
async fn clicked(fake: &slack::Fake) -> Value {
    eventually("a card", PATIENCE, async || !fake.messages(slack::CHANNEL).is_empty()).await;
    let card = fake.messages(slack::CHANNEL).remove(0);
    let ts = card["ts"].as_str().expect("a text");
    let click = fake.click(slack::ANN, slack::CHANNEL, ts, 0);
    let code = click["actions"][0]["value"].as_str().expect("a code");
    assert!(code.starts_with("v1:acknowledge:"), "{code}");
    click
}

/// Delivers over a socket, again where it is not acknowledged, as Slack does: on a busy disk what is
/// not durable within the bot's patience is not. Gives how long the last try took.
async fn delivered(fake: &slack::Fake, kind: &str, payload: &Value) -> Duration {
    for _ in 0..TRIES {
        if let Some(ack) = fake.deliver(kind, payload.clone()).await {
            return ack.after;
        }
    }
    panic!("not acknowledged in {TRIES} tries: {payload}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_and_a_command_over_a_socket_outlive_a_kill() {
    install_tls();
    let fake = slack::Fake::start().await;
    let way_in = format!("app_token = {:?}", slack::APP_TOKEN);
    let mut bot = Bot::on(free_port(), &slack_settings(&fake, &way_in)).await;
    eventually("connections", PATIENCE, async || fake.n_sockets() == 2).await;
    declare(&bot).await;
    let click = clicked(&fake).await;
    let note = fake.command(slack::ANN, slack::CHANNEL, "note 1 the cache is cold");
    for (kind, payload) in [("interactive", &click), ("slash_commands", &note)] {
        for _ in 0..2 {
            fake.trouble("users.info", slack::Trouble::Late(SLOW));
        }
        let after = delivered(&fake, kind, payload).await;
        assert!(after < PROMPT, "{after:?}");
        bot.kill();
        bot.again().await;
        eventually("connections", PATIENCE, async || fake.n_sockets() == 2).await;
    }
    // Slack may send both again.
    delivered(&fake, "interactive", &click).await;
    delivered(&fake, "slash_commands", &note).await;
    once(&bot, &["ann has it", "the cache is cold"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_and_a_command_by_http_outlive_a_kill() {
    install_tls();
    let fake = slack::Fake::start().await;
    let way_in = format!("signing_secret = {SECRET:?}");
    let mut bot = Bot::on(free_port(), &slack_settings(&fake, &way_in)).await;
    declare(&bot).await;
    let click = form("payload", &clicked(&fake).await);
    let mut note = url::form_urlencoded::Serializer::new(String::new());
    let fields = fake.command(slack::ANN, slack::CHANNEL, "note 1 the cache is cold");
    let fields = fields.as_object().expect("fields").iter();
    note.extend_pairs(fields.map(|(name, value)| (name, value.as_str().expect("a text"))));
    let calls = [("interactive", click), ("commands", note.finish())];
    let send = async |bot: &Bot, door: &str, body: &str| {
        let hook = hook(door, body, SECRET);
        let headers: Vec<(&str, &str)> =
            hook.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for left in (0..TRIES).rev() {
            let started = std::time::Instant::now();
            let (status, said) =
                bot.post(&format!("/hooks/slack/{door}"), &headers, body.to_owned()).await;
            // What a busy disk has not taken in time is to be sent again, and says so.
            if status == 503 && left > 0 {
                continue;
            }
            assert_eq!((status, said.as_str()), (200, ""), "it is acknowledged");
            assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
            return;
        }
    };
    for (door, body) in &calls {
        for _ in 0..2 {
            fake.trouble("users.info", slack::Trouble::Late(SLOW));
        }
        send(&bot, door, body).await;
        bot.kill();
        bot.again().await;
    }
    for (door, body) in &calls {
        send(&bot, door, body).await;
    }
    once(&bot, &["ann has it", "the cache is cold"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_and_a_command_in_discord_outlive_a_kill() {
    install_tls();
    let fake = discord::Fake::start().await;
    let settings = format!(
        "[[chat.discord]]\ntoken = {:?}\nguilds = [\"{}\"]\napi_url = {:?}\nchannel = \"{}\"\n\
         [[chat.discord.people]]\ngroup = \"{}\"\nrole = \"responder\"\n",
        discord::TOKEN,
        discord::GUILD,
        fake.base(),
        discord::TEXT,
        discord::ON_CALL,
    );
    let mut bot = Bot::on(free_port(), &settings).await;
    let listens = async |n: usize| {
        fake.until("a session", |w| (w.n_identified >= n).then_some(())).await;
    };
    listens(1).await;
    declare(&bot).await;
    let card = fake
        .until("a card", |w| w.messages.get(&discord::TEXT).and_then(|m| m.first()).cloned())
        .await;
    let message = card["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let act = fake.press(discord::ADA, discord::TEXT, message, "Acknowledge");
    assert_eq!(fake.response(act).await.0["type"], 6, "it is taken");
    bot.kill();
    bot.again().await;
    listens(2).await;
    // In a direct conversation her roles are to be asked for.
    let direct = fake.world().direct(discord::ADA);
    fake.fail("/members/", discord::Fail::Late(SLOW));
    fake.fail("/members/", discord::Fail::Late(SLOW));
    let note = [("incident", "1"), ("text", "the cache is cold")];
    let act = fake.command(discord::ADA, direct, "note", &note);
    let (response, ms) = fake.response(act).await;
    assert!(response["type"] == 5 && ms < 3_000, "{response} after {ms} ms");
    bot.kill();
    bot.again().await;
    once(&bot, &["ada has it", "the cache is cold"]).await;
}

/// Another process holds the store's lock for as long as it takes: every envelope is acknowledged
/// within the platform's limit all the same, and nothing of it is lost by a kill.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_held_up_acknowledgements_are_prompt_and_outlive_a_kill() {
    const NOTES: usize = 12;
    install_tls();
    let fake = slack::Fake::start().await;
    let way_in = format!("app_token = {:?}", slack::APP_TOKEN);
    let mut bot = Bot::on(free_port(), &slack_settings(&fake, &way_in)).await;
    eventually("connections", PATIENCE, async || fake.n_sockets() == 2).await;
    declare(&bot).await;
    eventually("the incident", PATIENCE, async || bot.list("incidents").await.len() == 1).await;
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens");
    let (held, holds) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = store.clone();
    let hold = async move {
        holder
            .write(move |_| {
                held.send(()).expect("it is waited for");
                let _ = released.recv_timeout(PATIENCE);
                Ok(())
            })
            .await
    };
    serve(async move { hold.await.expect("it did nothing") });
    tokio::task::spawn_blocking(move || holds.recv()).await.expect("it ran").expect("it holds");
    let word = |n: usize| format!("the cache is cold, {n}.");
    let said = (0..NOTES).map(|n| {
        let text = format!("note 1 {}", word(n));
        fake.deliver("slash_commands", fake.command(slack::ANN, slack::CHANNEL, &text))
    });
    let acks = futures_util::future::join_all(said).await;
    let mut after: Vec<Duration> = acks.into_iter().flatten().map(|ack| ack.after).collect();
    after.sort();
    assert_eq!(after.len(), NOTES, "each is acknowledged");
    println!("acknowledged: p50 {:?}, last {:?}", after[NOTES / 2], after[NOTES - 1]);
    assert!(after[NOTES - 1] < PROMPT, "{after:?}");
    assert_eq!(told(&bot, "the cache is cold").await, 0, "nothing could be written");
    bot.kill();
    drop(release);
    bot.again().await;
    eventually("all of it to be done", PATIENCE, async || {
        told(&bot, "the cache is cold").await >= NOTES
    })
    .await;
    for n in 0..NOTES {
        assert_eq!(told(&bot, &word(n)).await, 1, "{n}");
    }
}
