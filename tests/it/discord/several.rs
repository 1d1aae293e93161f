//! The real binary with two bots in two servers of Discord.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bot::Bot;
use crate::discord_fake::{ADA, Fail, Fake, GUILD, ON_CALL, TEXT, TOKEN};
use crate::support::{eventually, free_port, install_tls};

const PATIENCE: Duration = Duration::from_secs(120);

fn settings(name: &str, fake: &Fake) -> String {
    format!(
        "[[chat.discord]]\nname = {name:?}\ntoken = {TOKEN:?}\nguilds = [\"{GUILD}\"]\n\
         api_url = {:?}\nchannel = \"{TEXT}\"\n\
         [[chat.discord.people]]\ngroup = \"{ON_CALL}\"\nrole = \"responder\"\n",
        fake.base(),
    )
}

/// The cards that stand in a server and say this.
fn cards(fake: &Fake, title: &str) -> Vec<Value> {
    let mut all = fake.messages(TEXT);
    all.retain(|m| m["embeds"].to_string().contains(title));
    all
}

async fn everywhere(fakes: &[&Fake], title: &str, word: &str) {
    eventually(&format!("{title} {word} in all"), PATIENCE, async || {
        fakes.iter().all(|fake| {
            let cards = cards(fake, title);
            cards.len() == 1 && cards[0].to_string().contains(word)
        })
    })
    .await;
}

fn root(fake: &Fake, title: &str) -> u64 {
    cards(fake, title)[0]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}

async fn declare(bot: &Bot, title: &str) {
    let values = json!({ "title": title, "severity": "critical" });
    let form = json!({ "code": "v1:declare:none", "values": values, "key": title });
    assert_eq!(bot.door().send("/api/v1/submit", &form).await.ok(), Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_stands_in_two_servers_and_a_click_in_one_updates_both() {
    install_tls();
    let (shop, bank) = (Fake::start().await, Fake::start().await);
    let both = [settings("shop", &shop), settings("bank", &bank)].concat();
    let bot = Bot::on(free_port(), &both).await;
    for fake in [&shop, &bank] {
        fake.until("a session", |w| (w.n_identified == 1).then_some(())).await;
    }
    declare(&bot, "It is slow").await;
    everywhere(&[&shop, &bank], "It is slow", "open").await;

    // Taken in the one, ended in the other: both say so, and both threads tell it.
    let act = shop.press(ADA, TEXT, root(&shop, "It is slow"), "Acknowledge");
    assert_eq!(shop.response(act).await.0["type"], 6);
    everywhere(&[&shop, &bank], "It is slow", "acknowledged").await;
    let owner = bot.list("incidents").await[0]["owner"].take();
    assert_eq!((&owner["id"], &owner["via"]), (&json!(ADA.to_string()), &json!("discord")));
    let act = bank.press(ADA, TEXT, root(&bank, "It is slow"), "Resolve");
    let (modal, _) = bank.response(act).await;
    assert_eq!(modal["type"], 9, "{modal}");
    let sent = bank.submit(act, &[("What was it", "the cache was cold")]);
    assert_eq!(bank.response(sent).await.0["type"], 6);
    everywhere(&[&shop, &bank], "It is slow", "resolved").await;
    for fake in [&shop, &bank] {
        let thread = root(fake, "It is slow");
        eventually("the thread to tell it", PATIENCE, async || {
            fake.messages(thread).iter().any(|m| m.to_string().contains("the cache was cold"))
        })
        .await;
    }

    // A command is answered where it was given.
    let act = bank.command(ADA, TEXT, "oncall", &[]);
    bank.whispered(act).await;
    assert_eq!(shop.seen("/callback").len(), 1, "there was the click alone");

    // One is down: the other goes on, the state is told, and all stands when it is back.
    bank.world().fails.extend((0..10_000).map(|_| ("/".to_owned(), Fail::Html(502))));
    declare(&bot, "It fails").await;
    everywhere(&[&shop], "It fails", "open").await;
    eventually("the state of the other", PATIENCE, async || {
        let ready = bot.get("/readyz").await.to_string();
        ready.contains("discord:bank") && !ready.contains("discord:shop")
    })
    .await;
    assert_eq!(cards(&bank, "It fails").len(), 0);
    bank.world().fails.clear();
    everywhere(&[&shop, &bank], "It fails", "open").await;
}
