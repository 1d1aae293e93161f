//! How long it takes from an alert's arrival to the first hypothesis that can be read, in a running
//! bot with its default settings. The figures: `cargo test --test it first_diagnosis -- --nocapture`.

use std::time::{Duration, Instant};

use nightjar::model::wall_now;
use serde_json::json;

use crate::bot::Bot;
use crate::support::{eventually, free_port, install_tls};

const PATIENCE: Duration = Duration::from_secs(30);
/// Incidents, one after another, each of services of its own.
const INCIDENTS: usize = 8;
/// Services in trouble in each.
const SERVICES: usize = 6;

#[tokio::test]
async fn every_incident_gets_a_first_hypothesis_and_the_time_is_told() {
    install_tls();
    let bot = Bot::on(free_port(), "").await;
    let mut took = Vec::new();
    for turn in 0..INCIDENTS {
        let name = |i: usize| format!("place{turn}-service{i}");
        let alerts: Vec<_> = (0..SERVICES)
            .map(|i| {
                let labels =
                    json!({ "alertname": "Slow", "service": name(i), "severity": "critical" });
                json!({ "status": "firing", "startsAt": wall_now(), "labels": labels })
            })
            .collect();
        let body = json!({ "version": "4", "alerts": alerts });
        let start = Instant::now();
        assert_eq!(bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
        eventually("a diagnosis", PATIENCE, async || {
            for incident in bot.list("incidents").await {
                let id = incident["id"].as_str().unwrap_or_default();
                let found = bot.get(&format!("/api/v1/incidents/{id}")).await;
                let of = found["diagnosis"]["hypotheses"][0]["entity"].as_str().map(str::to_owned);
                if of.is_some_and(|e| e.contains(&format!("place{turn}-"))) {
                    return true;
                }
            }
            false
        })
        .await;
        took.push(start.elapsed());
    }
    took.sort();
    println!("from the first alert to a first hypothesis: {took:?}");
    assert_eq!(took.len(), INCIDENTS);
}
