//! A cascade in the simulated shop, in a running bot that knows earlier ones: a caller that shows no
//! trouble yet is told with its chance and time, everywhere that the incident is told, and does follow.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use nightjar::demo::sites::Site;
use nightjar::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use nightjar::model::topology::Edge;
use nightjar::model::{
    Alert, AlertId, AlertStatus, EntityRef, Incident, IncidentId, IncidentState, Severity, Time,
    wall_now,
};
use nightjar::store::Store;
use serde_json::{Value, json};

use crate::bot::{Bot, TOKEN};
use crate::support::{eventually, free_port, install_tls, piped};

const PATIENCE: Duration = Duration::from_secs(120);
/// Minutes after `payments` at which `orders` followed, day by day; twice it did not.
const FOLLOWED: [Option<i64>; 6] = [Some(2), None, Some(3), Some(3), None, Some(4)];

/// An earlier incident of an hour in which `payments` was in trouble, and what came after it.
fn earlier(like: (&Incident, &Alert), day: i64, followed: Option<i64>) -> (Incident, Vec<Alert>) {
    let at = wall_now().plus_ms(-day * DAY_MS);
    let over = at.plus_ms(HOUR_MS);
    let id = IncidentId::derive(at, &["earlier"]);
    let alert = |name: &str, starts_at: Time| Alert {
        id: AlertId::derive(starts_at, &[name]),
        entity: EntityRef::service(name),
        severity: Severity::Critical,
        starts_at,
        ends_at: Some(over),
        updated_at: over,
        status: AlertStatus::Resolved,
        incident: Some(id),
        ..like.1.clone()
    };
    let mut alerts = vec![alert("payments", at)];
    alerts.extend(followed.map(|minutes| alert("orders", at.plus_ms(minutes * MINUTE_MS))));
    let incident = Incident {
        id,
        number: day as u64,
        state: IncidentState::Resolved,
        onset_at: at,
        opened_at: at,
        updated_at: over,
        resolved_at: Some(over),
        entities: alerts.iter().map(|a| a.entity.clone()).collect(),
        alerts: alerts.iter().map(|a| a.id).collect(),
        leading: Some(alerts[0].id),
        category: Some("fixed".into()),
        ..like.0.clone()
    };
    (incident, alerts)
}

/// Puts the shop's calls and its earlier incidents into the store of a bot that is dead.
async fn write(bot: &Bot) {
    let (site, now) = (Site::shop(), wall_now());
    let told = site.history(1, now.plus_ms(-30 * DAY_MS), 7).remove(0);
    let of = |(i, followed): (usize, &Option<i64>)| {
        earlier((&told.incident, &told.alerts[0]), i as i64 + 1, *followed)
    };
    let all: Vec<(Incident, Vec<Alert>)> = FOLLOWED.iter().enumerate().map(of).collect();
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens");
    let put = move |tx: &nightjar::store::Tx<'_>| {
        for from in site.graph.entities() {
            for (to, kind) in site.graph.dependencies(from) {
                let (from, to) = (from.clone(), to.clone());
                let first_seen = now.plus_ms(-DAY_MS);
                tx.put(&Edge {
                    from,
                    to,
                    kind,
                    first_seen,
                    last_seen: now,
                    declared: false,
                    learned: true,
                })?;
            }
        }
        for (incident, alerts) in &all {
            alerts.iter().try_for_each(|alert| tx.put(alert))?;
            tx.put(incident)?;
        }
        Ok(())
    };
    store.write(put).await.expect("written");
}

async fn fires(bot: &Bot, service: &str) {
    let labels = json!({ "alertname": "Failing", "service": service, "severity": "critical" });
    let alert = json!({ "status": "firing", "startsAt": wall_now(), "labels": labels });
    let body = json!({ "version": "4", "alerts": [alert] });
    assert_eq!(bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
}

/// The active incident, once it has a diagnosis of which this holds.
async fn found(bot: &Bot, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let seen = RefCell::new(Value::Null);
    eventually(what, PATIENCE, async || {
        let open = bot.list("incidents").await.into_iter().find(|i| i["state"] == "open");
        let Some(open) = open else { return false };
        let id = open["id"].as_str().unwrap_or_default().to_owned();
        let found = bot.get(&format!("/api/v1/incidents/{id}")).await;
        let holds = holds(&found);
        seen.replace(found);
        holds
    })
    .await;
    seen.into_inner()
}

fn follower<'a>(found: &'a Value, name: &str) -> Option<&'a Value> {
    let all = found["diagnosis"]["reach"]["followers"].as_array()?;
    all.iter().find(|f| f["entity"] == format!("service.name={name}"))
}

#[tokio::test]
async fn a_caller_without_trouble_is_told_with_chance_and_time_and_does_follow() {
    install_tls();
    let mut bot = Bot::on(free_port(), "").await;
    bot.kill();
    write(&bot).await;
    bot.again().await;
    fires(&bot, "payments").await;
    let first = found(&bot, "who may follow", |f| follower(f, "orders").is_some()).await;
    let orders = follower(&first, "orders").expect("it is told");
    println!("{}", orders["text"]);
    assert_eq!((&orders["n_followed"], &orders["n_times"]), (&json!(4), &json!(6)));
    assert_eq!(orders["basis"], "history");
    // (2·5/16 + 4) / (2 + 6): the prior's mean is the share of all that followed here, four of 14 drawn
    // towards a half. Less with the time that passed.
    let first_chance = orders["chance_at_first"].as_f64().expect("a chance");
    assert!((first_chance - 0.578_125).abs() < 1e-9, "{orders}");
    let chance = orders["chance"]["mean"].as_f64().expect("a chance");
    assert!((0.1..=first_chance).contains(&chance), "{orders}");
    assert_eq!(orders["lag"]["median_ms"], 3 * MINUTE_MS);
    let at = Time::parse(orders["expected_at"].as_str().expect("a time")).expect("valid");
    let since = Time::parse(orders["since"].as_str().expect("a time")).expect("valid");
    assert!((2..10).contains(&(at.ms_since(since) / MINUTE_MS)), "{orders}");
    // What is beyond is less likely, and nothing tells how likely: it never was in trouble.
    assert!(follower(&first, "front").is_none_or(
        |f| f["chance"].is_null() || f["chance"]["mean"].as_f64().is_some_and(|c| c < chance)
    ));
    // Card, command and answer tell the same.
    let told = "orders may follow payments: ";
    let card = found_card(&bot, told).await;
    assert!(card.contains("it did 4 of 6 times"), "{card}");
    let id = first["incident"]["id"].as_str().expect("an id");
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), TOKEN).expect("written");
    let (url, token) = (bot.url(""), secret.path().display().to_string());
    let args = ["why", id, "--url", url.trim_end_matches('/'), "--token-file", &token];
    let (code, said) = piped(Path::new(env!("CARGO_BIN_EXE_nightjar")), &args, "");
    assert!(code == 0 && said.contains(told), "{said}");
    let question = json!({ "question": "What is the blast radius of payments?" }).to_string();
    let (status, answer) = bot.ask(&question).await;
    assert!(status == 200 && answer.contains(told), "{status} {answer}");

    fires(&bot, "orders").await;
    let gone = |f: &Value| {
        follower(f, "orders").is_none()
            && f["incident"]["entities"].to_string().contains("service.name=orders")
            && f["diagnosis"]["reach"]["may_follow"].to_string().contains("service.name=cart")
    };
    let then = found(&bot, "that it followed", gone).await;
    assert_eq!(then["incident"]["id"], id, "the same incident");
}

/// The card as the console has it, once it tells this.
async fn found_card(bot: &Bot, told: &str) -> String {
    let found = found(bot, "the card", |f| f["messages"].to_string().contains(told)).await;
    found["messages"].to_string()
}
