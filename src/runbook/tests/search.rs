//! Full-text search: what people on call would type finds the runbook they need.

use super::*;
use crate::store::Store;

async fn indexed() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("a.sqlite")).expect("opens");
    shipped().index(&store).await.expect("indexes");
    (store, folder)
}

async fn found(store: &Store, text: &'static str) -> Vec<String> {
    let found = store.read(move |r| r.search(text, Some("runbook"), 3)).await.expect("searches");
    found.into_iter().map(|f| f.id).collect()
}

#[tokio::test]
async fn words_of_people_on_call_find_the_right_runbook_first() {
    let (store, _folder) = indexed().await;
    let mut wrong = Vec::new();
    let cases = [
        ("pool exhausted", "connection-pool-exhausted"),
        ("no free connections to the database", "connection-pool-exhausted"),
        ("hikari pool waiting", "connection-pool-exhausted"),
        ("too many clients waiting for a db connection", "connection-pool-exhausted"),
        ("network policy blocks traffic", "network-policy-blocks-dependency"),
        ("i/o timeout after network policy change", "network-policy-blocks-dependency"),
        ("hubble drops", "network-policy-blocks-dependency"),
        ("memory leak", "memory-leak"),
        ("OOMKilled pods, memory keeps growing", "memory-leak"),
        ("heap dump", "memory-leak"),
        ("noisy neighbour", "cpu-starved-by-neighbour"),
        ("cpu throttling on a node", "cpu-starved-by-neighbour"),
        ("steal time high", "cpu-starved-by-neighbour"),
        ("slow queries", "slow-queries-after-deploy"),
        ("missing index", "slow-queries-after-deploy"),
        ("sequential scan after release", "slow-queries-after-deploy"),
        ("how do I roll back a deploy", "deploy-rollback"),
        ("rollback bad release", "deploy-rollback"),
        ("disk full", "disk-filling"),
        ("no space left on device", "disk-filling"),
        ("inodes", "disk-filling"),
        ("certificate expired", "certificate-expired"),
        ("x509 tls handshake", "certificate-expired"),
        ("feature flag broke things", "errors-after-config-change"),
        ("errors after config change", "errors-after-config-change"),
        ("kafka consumer lag", "queue-backlog"),
        ("queue is piling up, messages not processed", "queue-backlog"),
        ("traffic spike, scale up", "traffic-surge"),
        ("retry storm", "traffic-surge"),
        ("upstream provider is down", "dependency-unavailable"),
        ("dns does not resolve", "dependency-unavailable"),
        ("crashloopbackoff", "crash-loop"),
        ("pods keep restarting", "crash-loop"),
    ];
    for (text, expected) in cases {
        let ids = found(&store, text).await;
        if ids.first().map(String::as_str) != Some(expected) {
            wrong.push(format!("{text}: {ids:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_excerpt_shows_the_passage_and_odd_texts_find_nothing() {
    let (store, _folder) = indexed().await;
    let hits = store.read(|r| r.search("heap dump", Some("runbook"), 1)).await.expect("searches");
    assert!(hits[0].excerpt.to_lowercase().contains("[heap] [dump]"), "{}", hits[0].excerpt);
    for text in ["", "   ", "\"*(", "zzzyx", "\u{0}", "NEAR(", "a AND OR"] {
        let ids = found(&store, text).await;
        assert!(ids.len() <= 3, "{text}: {ids:?}");
    }
    assert_eq!(found(&store, "zzzyx").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_longer_in_the_folders_is_no_longer_found() {
    let (store, _folder) = indexed().await;
    let mut fewer = shipped().clone();
    fewer.by_id.remove("memory-leak");
    fewer.index(&store).await.expect("indexes");
    let ids = found(&store, "memory leak heap dump").await;
    assert!(!ids.contains(&"memory-leak".to_owned()), "{ids:?}");
}
