//! How long it takes from an alert's arrival to the first hypothesis that can be read, in a running
//! bot with its default settings, idle and with hundreds of alerts open. The figures:
//! `cargo test --test it first_diagnosis -- --nocapture --test-threads 1`.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nightjar::model::wall_now;
use serde_json::{Value, json};

use crate::bot::Bot;
use crate::support::{eventually, free_port, install_tls};

const PATIENCE: Duration = Duration::from_secs(120);
/// Incidents, one after another, each of services of its own.
const INCIDENTS: usize = 8;
/// Services in trouble in each.
const SERVICES: usize = 6;
/// Alerts that fire before in a bot that has much to do, each of a service of its own.
const OPEN: usize = 300;

fn alert(service: &str, severity: &str) -> Value {
    let labels = json!({ "alertname": "Slow", "service": service, "severity": severity });
    json!({ "status": "firing", "startsAt": wall_now(), "labels": labels })
}

async fn tell(bot: &Bot, alerts: Vec<Value>) {
    let body = json!({ "version": "4", "alerts": alerts });
    assert_eq!(bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
}

/// Ids of the incidents of which any entity has a name that begins so.
async fn incidents_of(bot: &Bot, name: &str) -> BTreeSet<String> {
    let mine = |i: &Value| i["entities"].to_string().contains(name);
    let all = bot.list("incidents").await;
    all.iter().filter(|i| mine(i)).filter_map(|i| i["id"].as_str().map(str::to_owned)).collect()
}

/// Whether an incident has a hypothesis about something of that name.
async fn is_diagnosed(bot: &Bot, id: &str, name: &str) -> bool {
    let found = bot.get(&format!("/api/v1/incidents/{id}")).await;
    let of = found["diagnosis"]["hypotheses"][0]["entity"].as_str();
    of.is_some_and(|entity| entity.contains(name))
}

/// Tells of a fault again and again; gives how long each time the first hypothesis was waited for,
/// and how long until every incident of the fault had one.
async fn take_times(bot: &Bot) -> [Vec<Duration>; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for turn in 0..INCIDENTS {
        let name = format!("place{turn}-");
        let start = Instant::now();
        tell(bot, (0..SERVICES).map(|i| alert(&format!("{name}{i}"), "critical")).collect()).await;
        let first = Cell::new(None);
        eventually("a diagnosis of each", PATIENCE, async || {
            let ids = incidents_of(bot, &name).await;
            let mut n = 0;
            for id in &ids {
                if is_diagnosed(bot, id, &name).await {
                    n += 1;
                    first.set(first.get().or(Some(start.elapsed())));
                }
            }
            !ids.is_empty() && n == ids.len()
        })
        .await;
        took[0].extend(first.get());
        took[1].push(start.elapsed());
    }
    took.each_mut().map(|t| {
        t.sort();
        t.clone()
    })
}

fn told(when: &str, [first, all]: [Vec<Duration>; 2]) {
    println!("{when}, from the alerts to a first hypothesis: {first:.2?}");
    println!("{when}, until every incident has one: {all:.2?}");
    assert_eq!((first.len(), all.len()), (INCIDENTS, INCIDENTS));
}

#[tokio::test]
async fn every_incident_gets_a_first_hypothesis_and_the_time_is_told() {
    install_tls();
    let bot = Bot::on(free_port(), "").await;
    told("idle", take_times(&bot).await);
}

#[tokio::test]
async fn with_hundreds_of_alerts_open_every_incident_gets_one_too() {
    install_tls();
    let bot = Bot::on(free_port(), "").await;
    tell(&bot, (0..OPEN).map(|i| alert(&format!("open{i}-"), "critical")).collect()).await;
    // Every alert that fires has an incident, and every incident a diagnosis.
    eventually("all to be opened", 2 * PATIENCE, async || {
        let alerts = bot.list("alerts").await;
        alerts.len() == OPEN && alerts.iter().all(|a| a["incident"].is_string())
    })
    .await;
    eventually("all to be diagnosed", 4 * PATIENCE, async || {
        for id in incidents_of(&bot, "open").await {
            if !is_diagnosed(&bot, &id, "open").await {
                return false;
            }
        }
        true
    })
    .await;
    told("300 alerts open", take_times(&bot).await);
}
