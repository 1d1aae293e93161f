//! The main job from end to end: the program itself with the simulated shop, over its real doors,
//! with a hard stop and a new start in the middle of the incident.

use std::time::Duration;

use serde_json::{Value, json};

use crate::demo::Demo;
use crate::support::{eventually, install_tls};

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_found_explained_fixed_after_a_decision_and_measured() {
    install_tls();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let demo = Demo::start(folder.path(), "pool-exhaustion").await;
    let patience = Duration::from_secs(180);
    eventually("an incident with a proposal", patience, async || demo.incident().await.is_some())
        .await;
    let before = demo.incident().await.expect("it is there");
    let id = before["incident"]["id"].as_str().expect("an id").to_owned();

    // The process dies at once and starts anew: nothing that was told is lost or told twice.
    drop(demo);
    let demo = Demo::start(folder.path(), "pool-exhaustion").await;
    let found = demo.get(&format!("/incidents/{id}")).await;
    assert_eq!(found["incident"]["number"], before["incident"]["number"]);
    let cards = found["messages"].as_array().expect("a list");
    assert_eq!(cards.iter().filter(|m| m["content"]["content"] == "card").count(), 1);

    // The first look may have come before the evidence for this one.
    let right = |found: &Value| {
        let all = found["proposals"].as_array()?;
        all.iter().find(|p| p["plan"]["action"] == "restore-concurrency").cloned()
    };
    eventually("the right fix to be offered", patience, async || {
        right(&demo.get(&format!("/incidents/{id}")).await).is_some()
    })
    .await;
    let found = demo.get(&format!("/incidents/{id}")).await;
    let first = &found["diagnosis"]["hypotheses"][0];
    assert_eq!(first["entity"], "service.name=orders", "{first:#}");
    let fix = right(&found).expect("it is there");
    assert_eq!(fix["plan"]["observed"]["version"], "4.7.2");

    let (status, answer) =
        demo.post("/ask", json!({ "question": "what changed in the last 2 hours?" })).await;
    assert_eq!(status, 200);
    assert!(answer["text"].as_str().is_some_and(|t| t.contains("4.7.2")), "{answer:#}");

    let path = format!("/proposals/{}/approve", fix["id"].as_str().expect("an id"));
    let (status, refused) = demo.post(&path, json!({ "digest": "0123456789abcdef" })).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("conflict")));
    let choice = json!({ "digest": fix["digest"], "reason": "test" });
    let (status, approved) = demo.post(&path, choice.clone()).await;
    assert_eq!(status, 200, "{approved:#}");
    assert_eq!(demo.post(&path, choice).await.0, 409, "a second press changes nothing");

    eventually("the effect was measured", patience, async || {
        let runs = demo.get(&format!("/incidents/{id}")).await;
        !runs["runs"][0]["outcome"].is_null()
    })
    .await;
    let found = demo.get(&format!("/incidents/{id}")).await;
    assert_eq!(found["runs"].as_array().map(Vec::len), Some(1), "one approval, one run");
    assert_eq!(found["runs"][0]["outcome"]["effect"], "helped", "{:#}", found["runs"]);
    assert_eq!(demo.get("/audit/verify").await["whole"], true);
}
