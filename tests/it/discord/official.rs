//! The fake itself, held against the client that most Python bots are written with.

use serde_json::{Value, json};

use crate::discord_fake::{ADA, FORUM, Fake, GUILD, TEXT, TOKEN};
use crate::support::{piped, python_with};

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_understands_the_fake() {
    let Some(python) = python_with("discord") else { return };
    let fake = Fake::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/discord_client.py");
    let ids = [GUILD, TEXT, FORUM].map(|id| id.to_string());
    let (base, gateway) = (fake.base(), fake.gateway());
    let run = move || {
        let [guild, text, forum] = &ids;
        let words = ["-W", "ignore", script, &base, &gateway, TOKEN, guild, text, forum];
        piped(&python, &words, "")
    };
    let client = tokio::task::spawn_blocking(run);
    let message = fake.until("a message with buttons", |w| {
        let all = w.messages.get(&TEXT)?;
        let found = all.iter().find(|m| m["components"][0]["components"][0]["label"] == "Press")?;
        found["id"].as_str()?.parse::<u64>().ok()
    });
    let message = message.await;
    let pressed = fake.press(ADA, TEXT, message, "Press");
    assert_eq!(fake.response(pressed).await.0["data"]["content"], "taken");
    let opened = fake.press(ADA, TEXT, message, "Open");
    assert_eq!(fake.response(opened).await.0["data"]["title"], "A form");
    fake.until("the client's sign", |w| (!w.reactions.is_empty()).then_some(())).await;
    let sent = fake.submit(opened, &[("Why", "because")]);
    assert_eq!(fake.response(sent).await.0["type"], 6);
    let asked = fake.command(ADA, TEXT, "ask", &[("question", "why")]);
    assert_eq!(fake.response(asked).await.0["type"], 5);
    let (status, said) = client.await.expect("it ran");
    assert_eq!(status, 0, "{said}");
    let line = said.trim().lines().last().unwrap_or_default();
    let said: Value = serde_json::from_str(line).expect("JSON");
    let expected = json!({
        "guild": ["Shop", ["incidents", "incident-posts"], "nightjar"],
        "commands": ["nightjar"],
        "sent": ["hello", "One", true],
        "buttons": ["Press", "Open"],
        "press": ["ada", "hello"],
        "twice": [400, 40060],
        "form": "because",
        "ask": ["incidents", "answer to why"],
        "edited": ["hello again", true],
        "thread": ["the thread", true, true],
        "thread_again": [400, 160_004],
        "history": ["answer to why", "hello again"],
        "in_thread": ["in it"],
        "file": ["chart.png", true],
        "post": ["a post", "first words", true],
        "too_long": [400, 50035],
        "too_much": [400, 50035],
        "empty": [400, 50006],
        "no_message": [404, 10008],
        "no_channel": [404, 10003],
    });
    assert_eq!(said, expected);
    let world = fake.world();
    assert_eq!((world.pins.len(), world.reactions.len()), (1, 1));
    assert_eq!(world.acts[&pressed].whispers.len(), 2);
}
