//! The real binary with a Slack workspace: an incident is told, talked about and taken there.

use nightjar::model::wall_now;

use super::*;
use crate::bot::Bot;
use crate::support::{eventually, free_port};

pub(super) const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn settings(fake: &Fake) -> String {
    format!(
        "[correlate]\ngroup_wait_s = 1\n[[chat.slack]]\nbot_token = {BOT_TOKEN:?}\n\
         app_token = {APP_TOKEN:?}\napi_url = {:?}\nchannel = \"#incidents\"\n\
         [[chat.slack.people]]\ngroup = {GROUP:?}\nrole = \"approver\"\n",
        fake.api()
    )
}

pub(super) async fn alert(bot: &Bot, name: &str, service: &str) {
    let labels = json!({ "alertname": name, "service": service, "severity": "critical" });
    let alert = json!({ "status": "firing", "startsAt": wall_now(), "labels": labels });
    let body = json!({ "version": "4", "alerts": [alert] });
    assert_eq!(bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
}

/// The cards of incidents: roots with our key.
pub(super) fn cards(fake: &Fake) -> Vec<Value> {
    let mut roots = fake.messages(CHANNEL);
    roots.retain(|m| {
        let root = m["thread_ts"].is_null() || m["thread_ts"] == m["ts"];
        root && m["metadata"]["event_payload"]["key"].is_string()
    });
    roots
}

/// Which button of a message asks for this.
pub(super) fn nth(message: &Value, verb: Verb) -> usize {
    let start = format!("v1:{}:", verb.as_str());
    let blocks = message["blocks"].as_array().expect("blocks");
    let mut buttons = blocks
        .iter()
        .filter(|b| b["type"] == "actions")
        .flat_map(|b| b["elements"].as_array().expect("buttons"));
    let asks = |b: &Value| b["value"].as_str().is_some_and(|v| v.starts_with(&start));
    buttons.position(asks).unwrap_or_else(|| panic!("no button {start} on {message}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_told_asked_about_and_taken_in_slack() {
    install_tls();
    let fake = Fake::start().await;
    let bot = Bot::on(free_port(), &settings(&fake)).await;
    eventually("connections", PATIENCE, async || fake.n_sockets() == 2).await;
    alert(&bot, "CheckoutSlow", "checkout").await;
    eventually("a card", PATIENCE, async || cards(&fake).len() == 1).await;
    let card = cards(&fake).remove(0);
    let ts = card["ts"].as_str().expect("a text").to_owned();

    // Who may not is told so alone, who may takes it; both at once, and delivered twice.
    let n = nth(&card, Verb::Acknowledge);
    let (cy, ann) = (fake.click(CY, CHANNEL, &ts, n), fake.click(ANN, CHANNEL, &ts, n));
    for click in [&cy, &ann, &ann] {
        let ack = fake.deliver("interactive", click.clone()).await.expect("is acknowledged");
        assert!(ack.after < Duration::from_secs(3), "{:?}", ack.after);
    }
    eventually("the incident to be Ann's", PATIENCE, async || {
        bot.list("incidents").await[0]["owner"]["id"] == ANN
    })
    .await;
    eventually("a refusal", PATIENCE, async || {
        fake.look().ephemeral.iter().any(|e| e["user"] == CY)
    })
    .await;
    eventually("the card to say so", PATIENCE, async || {
        cards(&fake)[0]["blocks"].to_string().contains("ann")
    })
    .await;

    // A question in the thread, without a mention, is answered in the thread.
    let asked = fake.say(CY, CHANNEL, Some(&ts), "what changed?");
    assert!(fake.deliver("events_api", fake.event(&asked)).await.is_some());
    let asked_at = asked["ts"].as_str().expect("a text").to_owned();
    eventually("an answer", PATIENCE, async || {
        let key = |m: &Value| m["metadata"]["event_payload"]["key"].as_str().map(str::to_owned);
        fake.messages(CHANNEL)
            .iter()
            .any(|m| m["thread_ts"] == *ts && key(m).is_some_and(|k| k.contains(&asked_at)))
    })
    .await;
    eventually("the sign to go", PATIENCE, async || fake.look().signs.is_empty()).await;
    assert!(fake.n_calls("reactions.add") >= 1);

    // A command is answered to its author alone.
    let before = fake.look().ephemeral.len();
    assert!(fake.deliver("slash_commands", fake.command(ANN, CHANNEL, "help")).await.is_some());
    eventually("help", PATIENCE, async || fake.look().ephemeral.len() > before).await;

    // A link to the incident shows what it is about, one to another page shows nothing.
    let id = bot.list("incidents").await[0]["id"].as_str().expect("a text").to_owned();
    let links = json!({
        "type": "link_shared", "user": CY, "channel": CHANNEL, "message_ts": asked["ts"],
        "links": [
            { "url": format!("https://bot.example/#/incidents/{id}"), "domain": "bot.example" },
            { "url": "https://bot.example/#/incidents/INC-x", "domain": "bot.example" },
        ],
    });
    assert!(fake.deliver("events_api", fake.event(&links)).await.is_some());
    eventually("a preview", PATIENCE, async || !fake.look().unfurls.is_empty()).await;
    let unfurls = fake.look().unfurls[0]["unfurls"].clone();
    assert_eq!(unfurls.as_object().map(serde_json::Map::len), Some(1));
    assert!(unfurls.to_string().contains("CheckoutSlow"), "{unfurls}");

    // A form: silence, with what is wrong shown in it.
    let card = cards(&fake).remove(0);
    let click = fake.click(ANN, CHANNEL, &ts, nth(&card, Verb::Silence));
    assert!(fake.deliver("interactive", click).await.is_some());
    eventually("a form", PATIENCE, async || !fake.look().views.is_empty()).await;
    let text = |value: &str| json!({ "type": "plain_text_input", "value": value });
    let sent = fake.submit(ANN, &[("duration", text("soon")), ("reason", text("known"))]);
    let ack = fake.deliver("interactive", sent).await.expect("is acknowledged");
    let errors = ack.payload.expect("a fault is shown");
    assert!(errors["errors"]["duration"].as_str().is_some_and(|e| e.contains("length of time")));
    assert_eq!(fake.look().pinged, [""; 0]);
    assert_eq!(cards(&fake).len(), 1);

    // The menu opens the same forms for the same people: an update goes into the thread.
    let n_views = fake.look().views.len();
    for (user, verb) in [(CY, "v1:note:"), (ANN, "v1:merge:"), (ANN, "v1:note:")] {
        let choice = fake.choose(user, CHANNEL, &ts, verb);
        assert!(fake.deliver("interactive", choice).await.is_some());
    }
    eventually("one form", PATIENCE, async || fake.look().views.len() > n_views).await;
    eventually("two refusals", PATIENCE, async || {
        let said = fake.look().ephemeral.iter().map(Value::to_string).collect::<String>();
        said.contains("write into an incident") && said.contains("there is none to merge it into")
    })
    .await;
    assert_eq!(fake.look().views.len(), n_views + 1);
    let sent = fake.submit(ANN, &[("text", text("The pool of orders is full."))]);
    assert!(fake.deliver("interactive", sent).await.is_some());
    eventually("the update", PATIENCE, async || {
        let all = fake.messages(CHANNEL);
        all.iter().any(|m| m["thread_ts"] == *ts && m.to_string().contains("orders is full"))
    })
    .await;

    // Connections that break and are refused leave no secret in the log.
    fake.trouble("socket", Trouble::Error("refused"));
    fake.drop_sockets();
    eventually("new connections", PATIENCE, async || fake.n_sockets() == 2).await;
    let log = std::fs::read_to_string(bot.log()).expect("a log");
    assert!(log.contains("Slack's health changed"), "{log}");
    for secret in [BOT_TOKEN, APP_TOKEN, "ticket-"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_every_incident_has_one_card() {
    install_tls();
    let fake = Fake::start().await;
    let mut bot = Bot::on(free_port(), &settings(&fake)).await;
    for n in 0..8 {
        // The answer to some cards is lost with the process, some processes end before the card.
        if n % 3 == 0 {
            fake.trouble("chat.postMessage", Trouble::DoneUnsaid);
        }
        let values = json!({ "title": format!("It is slow {n}"), "severity": "critical" });
        let form = json!({ "code": "v1:declare:none", "values": values, "key": format!("k{n}") });
        assert_eq!(bot.door().send("/api/v1/submit", &form).await.ok(), Some(200));
        if n % 4 != 3 {
            let before = cards(&fake).len();
            let posts = fake.n_calls("chat.postMessage");
            eventually("a try", PATIENCE, async || {
                cards(&fake).len() > before || fake.n_calls("chat.postMessage") > posts
            })
            .await;
        }
        bot.kill();
        bot.again().await;
    }
    let incidents = bot.list("incidents").await.len();
    assert_eq!(incidents, 8);
    eventually("a card for each", PATIENCE, async || cards(&fake).len() == incidents).await;
    let keys: std::collections::BTreeSet<String> =
        cards(&fake).iter().map(|m| m["metadata"]["event_payload"]["key"].to_string()).collect();
    assert_eq!(keys.len(), incidents, "no incident has two");
}
