//! `nightjar model`: silent before there is enough, trained, promoted, seen in `why`, rolled back.

use std::time::Duration;

use nightjar::store::Store;
use serde_json::Value;

use super::{Said, beside, scratch};
use crate::bot::Bot;
use crate::sites;
use crate::support::{eventually, free_port};

#[tokio::test]
async fn a_classifier_is_trained_promoted_shown_and_rolled_back() {
    let mut bot = Bot::on(free_port(), "[learn.classify]\ntrain = false\n").await;
    let data = bot.data().display().to_string();
    let at = scratch();
    let run = async |args: &[&str]| -> Said {
        beside(&[&["model"], args, &["--data-dir", &data]].concat(), at.path(), &[]).await
    };
    // The doors are open a moment before the note for the command line is written.
    let ready = async || {
        let answers = async || run(&["list"]).await.code == 0;
        eventually("the command line to find the bot", Duration::from_secs(120), answers).await;
    };
    ready().await;
    run(&["list"]).await.code(0).has("No version was trained yet.");
    run(&["train"]).await.code(1).has("0 labelled incidents, 30 are needed");
    run(&["promote"]).await.code(1).has("No version waits in shadow");
    run(&["show"]).await.code(1).has("No version was trained yet");
    run(&["rollback"]).await.code(1).has("nothing to roll back");

    bot.kill();
    sites::past(&Store::open(&bot.data().join("nightjar.sqlite")).expect("opens")).await;
    run(&["train"]).await.code(1).has("the bot must run");
    let list = run(&["list"]).await.code(0);
    list.has("80 incidents are kept as they were known");
    bot.again().await;
    ready().await;
    let made = run(&["train"]).await.code(0);
    made.has("Trained, in shadow.");
    made.has("Version 1 of the classifier, shadow.");
    made.has("By cross-validation over");
    made.has("REAL OR NOISE");
    // The bot makes lessons of the past meanwhile; with all of them nothing new is learned.
    let same = async || run(&["train"]).await.err.contains("the trees would be the same");
    eventually("all of the past to be taken in", Duration::from_secs(120), same).await;
    let newest = run(&["show", "--json"]).await.code(0);
    let newest: Value = serde_json::from_str(&newest.out).expect("JSON");
    let n = newest["version"].as_u64().expect("a number");
    let promoted = run(&["promote", "--reason", "better than chance"]).await.code(0);
    promoted.has(&format!("Version {n} is live now."));
    let shown = run(&["show", "--json"]).await.code(0);
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!((&shown["version"], &shown["state"]), (&n.into(), &"live".into()));
    assert!(shown["card"]["heads"][0]["accuracy"].as_f64() > Some(0.7), "{shown:#}");
    assert_eq!(shown["deeds"][0]["reason"], "better than chance");

    // What happens now is judged a minute after its opening, and `why` says so.
    bot.kill();
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens");
    let incident = sites::happen(&store, "flapping-check").await;
    drop(store);
    bot.again().await;
    ready().await;
    let path = format!("/api/v1/why/{}", incident.id);
    let said = async || bot.get(&path).await.to_string().contains("Classifier: Looks like");
    eventually("the classifier's word", Duration::from_secs(120), said).await;
    let id = incident.id.to_string();
    let why = beside(&["why", &id, "--data-dir", &data], at.path(), &[]).await.code(0);
    why.has("by cross-validation");

    run(&["rollback", "--reason", "not yet"])
        .await
        .code(0)
        .has(&format!("Version {n} is shadow now."));
    let why = beside(&["why", &id, "--data-dir", &data], at.path(), &[]).await.code(0);
    assert!(!why.out.contains("Classifier:"), "{}", why.out);
    bot.kill();
    run(&["list"]).await.code(0).has(&format!("  {n}  shadow"));
    run(&["show", &n.to_string()]).await.code(0).has("not yet");
    let audit = beside(&["audit", "verify", "--data-dir", &data], at.path(), &[]).await;
    audit.code(0).has("The chain is whole");
}
