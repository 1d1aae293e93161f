//! The real binary with two workspaces, one by Socket Mode and one by HTTP.

use super::hooks::{form, hook};
use super::whole::{PATIENCE, alert, cards, nth};
use super::*;
use crate::bot::Bot;
use crate::support::{eventually, free_port};

const SECRET: &str = "not-a-real-signing-secret";

fn workspace(name: &str, fake: &Fake, way_in: &str) -> String {
    format!(
        "[[chat.slack]]\nname = {name:?}\nbot_token = {BOT_TOKEN:?}\n{way_in}\n\
         api_url = {:?}\nchannel = {CHANNEL:?}\n\
         [[chat.slack.people]]\nuser = {ANN:?}\nrole = \"approver\"\n",
        fake.api()
    )
}

/// Sends what Slack would send to the bot's own address.
async fn call(bot: &Bot, door: &str, body: &str, secret: &str) -> (u16, String) {
    let hook = hook(door, body, secret);
    let headers: Vec<(&str, &str)> =
        hook.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    bot.post(&format!("/hooks/slack/{door}"), &headers, body.to_owned()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_stands_in_two_workspaces_and_a_click_in_one_updates_both() {
    install_tls();
    let (shop, bank) = (Fake::start().await, Fake::start().await);
    let socket = workspace("shop", &shop, &format!("app_token = {APP_TOKEN:?}"));
    let http = workspace("bank", &bank, &format!("signing_secret = {SECRET:?}"));
    let settings = format!("[correlate]\ngroup_wait_s = 1\n{socket}{http}");
    let bot = Bot::on(free_port(), &settings).await;
    eventually("connections", PATIENCE, async || shop.n_sockets() == 2).await;
    alert(&bot, "CheckoutSlow", "checkout").await;
    for fake in [&shop, &bank] {
        eventually("a card", PATIENCE, async || cards(fake).len() == 1).await;
    }

    // Taken by HTTP in one: both say whose it is.
    let card = cards(&bank).remove(0);
    let ts = card["ts"].as_str().expect("a text");
    let click = bank.click(ANN, CHANNEL, ts, nth(&card, Verb::Acknowledge));
    let body = form("payload", &click);
    let (status, said) = call(&bot, "interactive", &body, "another secret").await;
    assert_eq!(status, 401, "{said}");
    assert_eq!(call(&bot, "interactive", &body, SECRET).await, (200, String::new()));
    for fake in [&shop, &bank] {
        eventually("the card to say whose it is", PATIENCE, async || {
            cards(fake)[0]["blocks"].to_string().contains("ann")
        })
        .await;
    }

    // One is down: the other goes on, the state is told, and all stands when it is back.
    bank.look().revoked = true;
    let words = json!({ "text": "the cache is cold" });
    let incident = bot.list("incidents").await[0]["id"].as_str().expect("a text").to_owned();
    let path = format!("/api/v1/incidents/{incident}/notes");
    assert_eq!(bot.door().send(&path, &words).await.ok(), Some(200));
    alert(&bot, "PaymentsSlow", "payments").await;
    let values = json!({ "title": "It is slow by hand", "severity": "critical" });
    let form = json!({ "code": "v1:declare:none", "values": values, "key": "hand" });
    assert_eq!(bot.door().send("/api/v1/submit", &form).await.ok(), Some(200));
    let by_hand = |fake: &Fake| {
        cards(fake).iter().filter(|c| c["text"].to_string().contains("by hand")).count()
    };
    eventually("the card in the one", PATIENCE, async || by_hand(&shop) == 1).await;
    eventually("the state of the other", PATIENCE, async || {
        let ready = bot.get("/readyz").await.to_string();
        ready.contains("slack:bank") && !ready.contains("slack:shop")
    })
    .await;
    assert_eq!(by_hand(&bank), 0);
    bank.look().revoked = false;
    eventually("the card in the other", PATIENCE * 2, async || by_hand(&bank) == 1).await;
    let same = async || cards(&shop).len() == cards(&bank).len();
    eventually("every card in both", PATIENCE, same).await;
}

/// One app in two workspaces: both have its signing secret, and a call is taken by the workspace
/// that it names and by no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_taken_by_the_workspace_that_it_names() {
    install_tls();
    let (shop, bank) = (Fake::start().await, Fake::start().await);
    bank.look().team = "T0BANK".into();
    // Nobody has told them yet which workspaces they are.
    for fake in [&shop, &bank] {
        for _ in 0..3 {
            fake.trouble("auth.test", Trouble::Html(502));
        }
    }
    let secret = format!("signing_secret = {SECRET:?}");
    let both = [workspace("shop", &shop, &secret), workspace("bank", &bank, &secret)].concat();
    let bot = Bot::on(free_port(), &both).await;
    let values = json!({ "title": "It is slow", "severity": "critical" });
    let declared = json!({ "code": "v1:declare:none", "values": values, "key": "one" });
    assert_eq!(bot.door().send("/api/v1/submit", &declared).await.ok(), Some(200));
    let ask = async |fake: &Fake| {
        let command = fake.command(ANN, CHANNEL, "oncall");
        let fields = command.as_object().expect("fields").iter();
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields.map(|(name, value)| (name, value.as_str().unwrap_or_default())));
        call(&bot, "commands", &body.finish(), SECRET).await
    };
    // It could be for either: Slack is to send it again.
    let (status, said) = ask(&bank).await;
    assert_eq!(status, 503, "{said}");
    eventually("both to know themselves", PATIENCE, async || {
        [&shop, &bank].iter().all(|fake| fake.n_calls("auth.test") >= 4)
            && ask(&bank).await.0 == 200
    })
    .await;
    eventually("an answer", PATIENCE, async || !bank.look().ephemeral.is_empty()).await;
    assert_eq!(ask(&shop).await, (200, String::new()));
    eventually("an answer", PATIENCE, async || !shop.look().ephemeral.is_empty()).await;
    assert_eq!(shop.look().ephemeral.len(), 1, "nothing of the bank's came here");
    // A third workspace of the same app is none of ours, and is told so in words of its own.
    bank.look().team = "T0OTHER".into();
    let (status, said) = ask(&bank).await;
    assert_eq!(status, 401, "{said}");
    assert!(said.contains("another Slack workspace"), "{said}");
}
