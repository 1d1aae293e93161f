//! A question whose process dies before it answers: the next one answers, once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bot::{Bot, TOKEN};
use crate::support::{eventually, free_port};

async fn send(bot: &Bot, path: &str, body: &Value) -> Value {
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    let (status, text) = bot.post(path, &headers, body.to_string()).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// The footers of the answers in a thread.
async fn answers(bot: &Bot, thread: &str) -> Vec<String> {
    let all = bot.get(thread).await["messages"].take();
    let all = all.as_array().expect("messages").clone();
    let footer = |m: &Value| m["content"]["card"]["footer"].as_str().map(str::to_owned);
    let answer = |m: &&Value| m["author"]["via"] == "nightjar" && m["thread"].is_string();
    all.iter().filter(answer).filter_map(footer).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_outlives_the_process_that_took_it() {
    // A model that takes the connection and never says a word, until it is given up.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}/v1", mute.local_addr().expect("bound"));
    let settings =
        format!("[llm]\nbase_url = {base:?}\nmodel = \"mute\"\nstall_s = 3\ntimeout_s = 3\n");
    let mut bot = Bot::on(free_port(), &settings).await;
    let opened = json!({ "code": "v1:declare:none", "values": { "title": "checkout pays twice" } });
    let incident = send(&bot, "/api/v1/submit", &opened).await["incident"].take();
    let thread = format!("/api/v1/incidents/{}/messages", incident.as_str().expect("an id"));
    let question = json!({ "text": "what is going on?", "key": "k" });
    let said = send(&bot, &thread, &question).await;
    // Killed while the model is waited for.
    bot.kill();
    bot.again().await;
    let again = send(&bot, &thread, &question).await;
    assert_eq!(again["id"], said["id"], "the browser, unsure, sends it again");
    eventually("the answer", Duration::from_secs(120), async || {
        !answers(&bot, &thread).await.is_empty()
    })
    .await;
    let found = answers(&bot, &thread).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("Answered without the model"), "{found:?}");
    bot.kill();
    bot.again().await;
    let seen = answers(&bot, &thread).await;
    assert_eq!(seen, found, "it is answered once");
    drop(mute);
}
