//! A wrong fix through the whole program: what a person approved is done and does not help, the
//! bot says so with figures and offers the way back, nothing gets better, and the right fix is
//! still there to be approved.

use std::time::Duration;

use serde_json::{Value, json};

use crate::demo::Demo;
use crate::support::{eventually, install_tls};

const PATIENCE: Duration = Duration::from_secs(180);

/// The open proposal of an incident that `is_it`.
fn open(incident: &Value, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
    let all = incident["proposals"].as_array().expect("a list");
    all.iter().find(|p| p["state"] == "open" && is_it(p)).cloned()
}

fn run_of<'a>(incident: &'a Value, proposal: &Value) -> Option<&'a Value> {
    incident["runs"].as_array()?.iter().find(|r| r["proposal"] == proposal["id"])
}

/// Approves a proposal of an incident, waits until its run was measured, and gives the run.
async fn approve(demo: &Demo, path: &str, proposal: &Value) -> Value {
    let choice = json!({ "digest": proposal["digest"], "reason": "test" });
    let to = format!("/proposals/{}/approve", proposal["id"].as_str().expect("an id"));
    let (status, answer) = demo.post(&to, choice).await;
    assert_eq!(status, 200, "{answer:#}");
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let seen = demo.get(path).await;
        if let Some(run) = run_of(&seen, proposal).filter(|r| !r["outcome"].is_null()) {
            return run.clone();
        }
        // Whether nothing ran, or nothing was measured, is what one wants to know of a failure.
        let (state, runs, proposals) =
            (&seen["incident"]["state"], &seen["runs"], &seen["proposals"]);
        assert!(
            std::time::Instant::now() < deadline,
            "no run of {} was measured; {state}: {runs:#} {proposals:#}",
            proposal["id"]
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_is_told_from_a_fix_and_the_right_one_still_helps() {
    install_tls();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let demo = Demo::start(folder.path(), "pool-exhaustion").await;
    let restores =
        |p: &Value| p["plan"]["action"] == "restore-concurrency" && p["rollback_of"].is_null();
    eventually("the offer to set the concurrency back", PATIENCE, async || {
        demo.incident().await.is_some_and(|i| open(&i, restores).is_some())
    })
    .await;
    let found = demo.incident().await.expect("it is there");
    let path = format!("/incidents/{}", found["incident"]["id"].as_str().expect("an id"));
    let offered = open(&found, restores).expect("it is there");
    assert_eq!(offered["plan"]["parameters"]["value"], "16");

    // 48 workers still wait for 20 connections.
    let edit = json!({
        "digest": offered["digest"], "parameters": { "value": "48" }, "reason": "half a step",
    });
    let to = format!("/proposals/{}/edit", offered["id"].as_str().expect("an id"));
    let (status, wrong) = demo.post(&to, edit).await;
    assert_eq!(status, 200, "{wrong:#}");
    assert_ne!(wrong["digest"], offered["digest"], "another plan, another digest");
    let run = approve(&demo, &path, &wrong).await;
    assert_eq!(run["state"], "done", "{run:#}");
    let outcome = &run["outcome"];
    assert_eq!(outcome["effect"], "no_change", "{outcome:#}");
    let (before, after) = (outcome["before"].as_f64(), outcome["after"].as_f64());
    assert!(before.zip(after).is_some_and(|(b, a)| b > 0.0 && a > 0.5 * b), "{outcome:#}");
    let text = outcome["text"].as_str().expect("a sentence");
    assert!(text.starts_with("No change: ") && text.contains("expected"), "{text}");

    // The way back is offered under its own digest, and nothing got better meanwhile.
    let undoes = |p: &Value| p["rollback_of"] == run["id"];
    let right = |p: &Value| restores(p) && p["plan"]["observed"]["worker_concurrency"] == "48";
    eventually("the way back and the right value to be offered", PATIENCE, async || {
        let seen = demo.get(&path).await;
        open(&seen, undoes).is_some() && open(&seen, right).is_some()
    })
    .await;
    let seen = demo.get(&path).await;
    let undo = open(&seen, undoes).expect("it is there");
    assert_eq!(undo["plan"]["parameters"]["value"], "64", "{undo:#}");
    assert_eq!(undo["plan"]["observed"]["worker_concurrency"], "48");
    assert!(undo["digest"].as_str().is_some_and(|d| d.len() == 64 && d != wrong["digest"]));
    assert!(undo["why"].as_str().is_some_and(|w| w.starts_with("No change: ")), "{undo:#}");
    assert_ne!(seen["incident"]["state"], "resolved");
    assert!(
        seen["alerts"].as_array().is_some_and(|a| a.iter().any(|a| a["status"] == "firing")),
        "{:#}",
        seen["alerts"]
    );

    let right = open(&seen, right).expect("it is there");
    assert_eq!(right["plan"]["parameters"]["value"], "16");
    let run = approve(&demo, &path, &right).await;
    assert_eq!(run["outcome"]["effect"], "helped", "{run:#}");
    eventually("the incident to end", PATIENCE, async || {
        demo.get(&path).await["incident"]["state"] == "resolved"
    })
    .await;
    let seen = demo.get(&path).await;
    assert!(open(&seen, undoes).is_none(), "undoing the wrong value now would undo the fix");
    assert_eq!(demo.get("/audit/verify").await["whole"], true);
}
