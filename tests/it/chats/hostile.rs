//! Hostile words everywhere: whatever the bot shows of them on Slack and Discord is taken by both
//! platforms and names nobody.

use nightjar::model::wall_now;
use serde_json::{Value, json};

use super::{Both, PATIENCE, both_as, discord, slack};
use crate::support::eventually;

const EVIL: &str = "@everyone @here <!channel> <!here> <@U0ANN> <@!1400000000000000021> <@&1400000000000000031> \
     ``` `x` \u{202e}\u{5e9}\u{5dc}\u{5d5}\u{5dd}";

/// Services that report; each joining is told in the thread at the platforms' pace. The renderers'
/// own tests go to 10,000.
const SERVICES: usize = 12;

async fn alerts(both: &Both) {
    let long = EVIL.repeat(100_000 / EVIL.len());
    let alert = |n: usize| {
        let labels = json!({
            "alertname": format!("{EVIL} {n}"), "service": format!("{n} {EVIL}"),
            "severity": "critical",
        });
        let text = if n < 3 { long.as_str() } else { EVIL };
        json!({ "status": "firing", "startsAt": wall_now(), "labels": labels,
            "annotations": { "summary": text, "description": text } })
    };
    let all: Vec<Value> = (0..SERVICES).map(alert).collect();
    let body = json!({ "version": "4", "alerts": all });
    assert_eq!(both.bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
}

/// Every text that people see in a message of Discord.
fn texts(message: &Value) -> Vec<String> {
    let mut all = vec![message["content"].to_string()];
    all.extend(message["embeds"].as_array().into_iter().flatten().map(Value::to_string));
    all
}

fn pings(text: &str) -> bool {
    ["@everyone", "@here", "<@!1", "<@1", "<@&1"].iter().any(|name| text.contains(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_words_are_taken_by_both_platforms_and_name_nobody() {
    let more = "[runbooks.settings]\nadmin_url = \"http://127.0.0.1:9/admin\"\n";
    let both = both_as("admin", &format!("[correlate]\ngroup_wait_s = 1\n{more}")).await;
    both.discord.world().limits = false;
    both.discord.until("a session", |w| (w.n_identified > 0).then_some(())).await;
    eventually("connections", PATIENCE, async || both.slack.n_sockets() == 2).await;
    let change = json!({ "kind": "deploy", "service": format!("1 {EVIL}"), "title": EVIL,
        "version": EVIL, "previous": EVIL, "author": EVIL,
        "at": wall_now().plus_ms(-300_000) });
    assert_eq!(both.bot.door().send("/hooks/deploy", &change).await.ok(), Some(200));
    alerts(&both).await;
    let values = json!({ "title": EVIL, "severity": "critical", "text": EVIL });
    let form = json!({ "code": "v1:declare:none", "values": values, "key": "evil" });
    assert_eq!(both.bot.door().send("/api/v1/submit", &form).await.ok(), Some(200));
    both.bot.judged().await;
    eventually("both incidents", PATIENCE, async || both.bot.list("incidents").await.len() >= 2)
        .await;
    let n = both.bot.list("incidents").await.len();
    eventually("cards on both", PATIENCE, async || {
        let roots = both.slack.messages(slack::CHANNEL).into_iter();
        let in_slack = roots.filter(|m| m["thread_ts"].is_null() || m["thread_ts"] == m["ts"]);
        in_slack.count() >= n && both.discord.messages(discord::TEXT).len() >= n
    })
    .await;
    for incident in both.bot.list("incidents").await {
        let path = format!("/api/v1/incidents/{}/notes", incident["id"].as_str().expect("an id"));
        let note = json!({ "text": EVIL.repeat(20) });
        assert_eq!(both.bot.door().send(&path, &note).await.ok(), Some(200));
    }

    // Every list, card, answer and page that a command shows, on both.
    let silence = format!("silence \"{}\" --reason \"{EVIL}\"", "alertname=~\"evil.*\"");
    let lines = [
        "home",
        "incidents --all",
        "incident 1",
        "incident 2",
        "why 1",
        "why 2",
        "approvals",
        silence.as_str(),
        "silences",
        "oncall",
        "help",
        "runbook <!channel>",
        "dance @everyone",
        "note 2 @everyone <!channel>",
        "ask what is wrong with @everyone <!channel>?",
        "status",
    ];
    let before = both.slack.look().ephemeral.len();
    for line in lines {
        let command = both.slack.command(slack::ANN, slack::CHANNEL, line);
        assert!(both.slack.deliver("slash_commands", command).await.is_some());
    }
    // Two are answered before everybody.
    eventually("answers in Slack", PATIENCE, async || {
        both.slack.look().ephemeral.len() >= before + lines.len() - 3
    })
    .await;
    let home = json!({ "type": "app_home_opened", "user": slack::ANN, "channel": "D0ANN",
        "tab": "home" });
    assert!(both.slack.deliver("events_api", both.slack.event(&home)).await.is_some());
    eventually("a home", PATIENCE, async || both.slack.look().homes.contains_key(slack::ANN)).await;
    let evil = [("text", "@everyone <@!1400000000000000021>"), ("incident", "2")];
    let commands: [(&str, &[(&str, &str)]); 8] = [
        ("home", &[]),
        ("incidents", &[]),
        ("incident", &[("incident", "1")]),
        ("why", &[("incident", "1")]),
        ("approvals", &[]),
        ("silences", &[]),
        ("oncall", &[]),
        ("note", &evil),
    ];
    for (sub, options) in commands {
        let act = both.discord.command(discord::ADA, discord::TEXT, sub, options);
        both.discord.whispered(act).await;
    }
    let ask = [("question", "what is wrong with @everyone <@&1400000000000000031>?")];
    let act = both.discord.command(discord::ADA, discord::TEXT, "ask", &ask);
    both.discord.response(act).await;
    eventually("all is sent", PATIENCE, async || {
        both.bot.get("/api/v1/outbox").await["posts"] == json!([])
    })
    .await;

    assert_eq!(both.slack.look().pinged, [""; 0]);
    assert_eq!(both.discord.n_answered(400), 0, "{:#?}", both.discord.world().seen);
    let world = both.discord.world();
    let own = world.messages.values().flatten().filter(|m| m["author"]["bot"] == true);
    let whispers = world.acts.values().flat_map(|act| &act.whispers);
    let bad: Vec<String> = own.chain(whispers).flat_map(texts).filter(|text| pings(text)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
