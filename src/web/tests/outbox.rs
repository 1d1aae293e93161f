//! What chats did not get yet, as the API tells it.

use serde_json::json;

use super::*;
use crate::chat::outbox::Attempt;
use crate::chat::{Address, Chat, Content, Draft, File, Limits, Place, Post, Within};
use crate::model::{Fault, IncidentId};
use futures_util::future::BoxFuture;

/// A platform that nobody delivers to: what is wanted there stays as the test put it.
pub(super) struct Unserved;

type Answer<'a, T> = BoxFuture<'a, Result<T, Fault>>;

impl Chat for Unserved {
    fn platform(&self) -> &'static str {
        "unserved"
    }
    fn limits(&self) -> Limits {
        unreachable!("nothing is written for it")
    }
    fn post(&self, _: Draft) -> Answer<'_, Place> {
        unreachable!("nothing is delivered to it")
    }
    fn upload(&self, _: File) -> Answer<'_, Place> {
        unreachable!("nothing is delivered to it")
    }
    fn ephemeral(&self, _: Address, _: Content) -> Answer<'_, ()> {
        unreachable!("nobody speaks there")
    }
}

#[tokio::test]
async fn what_could_not_be_sent_is_listed_with_its_reason_and_the_platform_named_as_down() {
    let server = Server::start().await;
    let incident = IncidentId::derive(t0(), &["x"]);
    let post = move |key: &str, within: Within, text: &str| {
        let content = Content::text(text);
        let post = Post::new(key, ("unserved", "incidents"), within, content, t0());
        Post { incident: Some(incident), ..post }
    };
    let write = move |tx: &crate::store::Tx<'_>| {
        post("card", Within::Channel, "checkout is slow").want(tx)?;
        post("reply", Within::Post("card".into()), "it got slower").want(tx)?;
        post("refused", Within::Channel, "too long").want(tx)?;
        Post { incident: None, ..post("answer", Within::Channel, "for you alone") }.want(tx)?;
        let tried = |key: &str| Attempt::begin(tx, &Post::row("unserved", key), wall_now());
        let fault = Fault::because("it does not fit");
        tried("refused")?.expect("it is due").failed(tx, &fault, t0())?;
        tx.put_value("command/given_up", &json!({ "n": 2, "at": t0(), "reference": "7F3A" }))?;
        for _ in 0..3 {
            let fault = Fault::transient("posting failed", anyhow::anyhow!("503"));
            tried("card")?.expect("it is due").failed(tx, &fault, t0())?;
        }
        Ok(())
    };
    server.store.write(write).await.expect("writes");
    server.clock.set(t0().plus_ms(90_000));
    let told = server.get("/api/v1/outbox").await;
    let rows: Vec<_> = told["posts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| ["key", "state", "reason", "text"].map(|k| p[k].as_str().unwrap_or("").to_owned()))
        .collect();
    assert_eq!(
        rows,
        [
            ["refused", "refused", "it does not fit", "too long"],
            ["card", "trying", "posting failed: 503", "checkout is slow"],
            [
                "reply",
                "waiting",
                "the message that its thread hangs on is not there",
                "it got slower"
            ],
            ["answer", "due", "it is in line", ""],
        ]
    );
    assert_eq!(told["posts"][1]["n_tries"], 3);
    let platform = &server.get("/api/v1/status").await["platforms"][1];
    assert_eq!((&platform["platform"], &platform["up"]), (&json!("unserved"), &json!(false)));
    assert_eq!((&platform["n_due"], &platform["n_refused"]), (&json!(3), &json!(1)));
    assert_eq!(platform["oldest_due_at"], json!(t0()));
    let ready = server.open(Method::GET, "/readyz").send().await.expect("an answer");
    assert_eq!(ready.status(), StatusCode::OK, "the pipeline goes on");
    let ready: Value = ready.json().await.expect("JSON");
    let why = "unserved does not take messages: posting failed: 503; 3 messages wait";
    let refused = "unserved refuses a message for good: it does not fit";
    let given_up = format!(
        "what a person asked for was given up at {}, reference 7F3A in the log; 2 times in all",
        t0().minute_text()
    );
    assert_eq!(ready["degraded"], json!([why, refused, given_up]));
    // Tomorrow it stands on the status page only.
    server.clock.set(t0().plus_ms(2 * crate::model::time::DAY_MS));
    let ready = server.open(Method::GET, "/readyz").send().await.expect("an answer");
    let ready: Value = ready.json().await.expect("JSON");
    assert_eq!(ready["degraded"], json!([why]));
    let elsewhere = server.get("/api/v1/outbox?platform=slack").await;
    assert_eq!(elsewhere["posts"], json!([]));
    server.end().await;
}
