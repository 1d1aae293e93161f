//! Every scenario of the shop through the whole program: what must be found is found, explained,
//! mended by its first suggestion and over; what is harmless tells nobody.

use serde_json::Value;
use tokio::process::Command;

use crate::support::slot;
use crate::why;

/// Replays a scenario with its first suggestion approved, and gives what was seen.
async fn replayed(scenario: &str, speed: u32) -> Value {
    replay(scenario, speed, &["--approve"]).await
}

#[expect(clippy::disallowed_methods, reason = "starts the program under test")]
async fn replay(scenario: &str, speed: u32, more: &[&str]) -> Value {
    let _slot = slot().await;
    let folder = tempfile::tempdir().expect("a folder");
    let out = Command::new(env!("CARGO_BIN_EXE_nightjar"))
        .args(["replay", scenario, "--json", "--log", "error", "--speed"])
        .arg(speed.to_string())
        .args(more)
        .arg("--data-dir")
        .arg(folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program starts");
    let text = String::from_utf8_lossy(&out.stdout);
    let complaint = String::from_utf8_lossy(&out.stderr);
    let start = text.find('{').unwrap_or_else(|| panic!("no JSON: {text}{complaint}"));
    let end = text.rfind('}').expect("JSON ends");
    let report: Value = serde_json::from_str(&text[start..=end]).expect("is JSON");
    println!("{scenario}: {}", report["seen"]);
    assert!(out.status.success(), "{scenario} was not as expected: {report:#}{complaint}");
    assert_eq!(report["met"], true);
    let seen = report["seen"].clone();
    if seen["n_incidents"] != 0 {
        // The chance lies where the calibration says: `chance` of the scenario's expectations.
        let expected = "a chance of 60 % to 99 %";
        let checks = report["checks"].as_array().expect("a list");
        assert!(checks.iter().any(|c| c["expected"] == expected), "{report:#}");
        let cause = format!("{} ({:.3})", seen["cause"], seen["confidence"].as_f64().expect("one"));
        println!("{scenario}: {cause}");
        let data = folder.path().display().to_string();
        why::checked(folder.path(), &["--data-dir", &data], (10, 2_026)).await;
    }
    seen
}

#[tokio::test]
async fn an_exhausted_pool_is_put_down_to_the_deploy_that_caused_it() {
    let seen = replayed("pool-exhaustion", 60).await;
    assert_eq!(seen["cause"], "service.name=orders");
}

#[tokio::test]
async fn more_than_a_thousand_alerts_of_one_policy_are_one_incident() {
    let seen = replay("policy-cut", 60, &[]).await;
    assert_eq!(seen["cause"], "service.name=auth");
    assert!(seen["n_reports"].as_u64().is_some_and(|n| n > 1_000), "{seen:#}");
}

#[tokio::test]
async fn a_cut_connection_is_mended_by_putting_the_policy_back() {
    let seen = replayed("policy-cut", 60).await;
    assert_eq!(seen["suggestion"], "network-policy-blocks-dependency/revert-policy");
}

#[tokio::test]
async fn a_leak_is_told_long_before_it_kills() {
    let seen = replayed("slow-leak", 120).await;
    assert_eq!(seen["effect"], "helped");
}

#[tokio::test]
async fn a_noisy_neighbour_is_found_on_its_node() {
    let seen = replayed("noisy-neighbour", 60).await;
    assert_eq!(seen["cause"], "host.name=node-2");
}

#[tokio::test]
async fn a_missing_index_is_put_down_to_its_deploy() {
    let seen = replayed("missing-index", 60).await;
    assert_eq!(seen["cause"], "service.name=catalog");
}

#[tokio::test]
async fn a_blip_after_a_deploy_tells_nobody() {
    assert_eq!(replayed("deploy-blip", 60).await["n_incidents"], 0);
}

#[tokio::test]
async fn the_nightly_batch_tells_nobody() {
    assert_eq!(replayed("nightly-batch", 120).await["n_incidents"], 0);
}

#[tokio::test]
async fn the_friday_rush_tells_nobody() {
    assert_eq!(replayed("seasonal-surge", 240).await["n_incidents"], 0);
}
