//! `kill -9` in the middle of everything: what was answered with 2xx is there after the restart,
//! once; telemetry and clicks alike.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use nightjar::model::wall_now;
use serde_json::{Value, json};

use crate::bot::{Bot, Door};
use crate::support::{eventually, free_port};

/// Who sends what; every sender numbers its messages.
const SENDERS: [&str; 8] = ["log", "log", "log", "trace", "alert", "change", "note", "silence"];

/// What was answered with 2xx, by kind of sender.
#[derive(Default)]
struct Acknowledged(Mutex<BTreeMap<&'static str, Vec<String>>>);

impl Acknowledged {
    fn add(&self, kind: &'static str, name: String) {
        self.0.lock().expect("nothing panics under it").entry(kind).or_default().push(name);
    }

    fn n(&self, kind: &str) -> usize {
        self.0.lock().expect("nothing panics under it").get(kind).map_or(0, Vec::len)
    }

    fn all(&self) -> BTreeMap<&'static str, Vec<String>> {
        self.0.lock().expect("nothing panics under it").clone()
    }
}

/// Sends numbered messages one after the other until the bot is gone.
async fn sender(
    door: &Door,
    (kind, prefix): (&'static str, String),
    incident: &str,
    acknowledged: &Acknowledged,
) {
    for n in 0.. {
        let name = format!("{prefix}-{n}");
        let service = json!([{ "key": "service.name", "value": { "stringValue": "orders" } }]);
        let nanos = format!("{}000000", wall_now().ms());
        let (path, body) = match kind {
            "log" => (
                "/v1/logs".to_owned(),
                json!({ "resourceLogs": [{ "resource": { "attributes": service },
                    "scopeLogs": [{ "logRecords": [
                        { "timeUnixNano": nanos, "body": { "stringValue": name } }
                    ] }] }] }),
            ),
            "trace" => (
                "/v1/traces".to_owned(),
                json!({ "resourceSpans": [{ "resource": { "attributes": service },
                    "scopeSpans": [{ "spans": [{
                        "traceId": format!("{:032x}", n + 1), "spanId": format!("{:016x}", n + 1),
                        "name": name, "kind": 2,
                        "startTimeUnixNano": nanos, "endTimeUnixNano": nanos,
                    }] }] }] }),
            ),
            "alert" => (
                "/ingest/alertmanager".to_owned(),
                json!({ "version": "4", "alerts": [{
                    "status": "firing", "labels": { "alertname": name, "service": "orders" },
                    "startsAt": wall_now(),
                }] }),
            ),
            "change" => (
                "/hooks/deploy".to_owned(),
                json!({ "kind": "deploy", "service": "orders", "title": name }),
            ),
            "note" => (format!("/api/v1/incidents/{incident}/notes"), json!({ "text": name })),
            _ => (
                "/api/v1/silences".to_owned(),
                json!({ "matchers": [format!("pod=\"{name}\"")], "minutes": 60, "reason": name }),
            ),
        };
        match door.send(&path, &body).await {
            Ok(200..=299) => acknowledged.add(kind, name),
            // Pacing is an answer, and no promise.
            Ok(429 | 503) => {}
            Ok(status) => panic!("{kind} {name}: {status}"),
            Err(_) => return,
        }
    }
}

/// What the bot knows of each kind, as the API tells.
async fn known(bot: &Bot, incident: &str) -> BTreeMap<&'static str, Vec<String>> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let of = |all: Vec<Value>, pointer: &str| -> Vec<String> {
        all.iter().filter_map(|v| v.pointer(pointer)).map(text).collect()
    };
    let told = bot.get(&format!("/api/v1/incidents/{incident}")).await;
    let timeline = told["timeline"].as_array().expect("a list").clone();
    BTreeMap::from([
        ("alert", of(bot.list("alerts").await, "/labels/alertname")),
        ("change", of(bot.list("changes").await, "/title")),
        ("silence", of(bot.list("silences").await, "/reason")),
        ("note", of(timeline, "/text")),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_answered_with_2xx_survives_kill_9_and_is_there_once() {
    let settings = "[correlate]\ngroup_wait_s = 1\n";
    let mut bot = Bot::on(free_port(), settings).await;
    let first = json!({ "version": "4", "alerts": [{
        "status": "firing", "startsAt": wall_now(),
        "labels": { "alertname": "First", "service": "orders", "severity": "critical" },
    }] });
    assert_eq!(bot.door().send("/ingest/alertmanager", &first).await.ok(), Some(200));
    eventually("an incident to click on", Duration::from_secs(120), async || {
        !bot.list("incidents").await.is_empty()
    })
    .await;
    let incident = bot.list("incidents").await[0]["id"].as_str().expect("a text").to_owned();
    // The first click of all: acknowledged before the first kill.
    let path = format!("/api/v1/incidents/{incident}/acknowledge");
    assert_eq!(bot.door().send(&path, &json!({})).await.ok(), Some(200));

    let acknowledged = Acknowledged::default();
    for round in 0..3 {
        let door = bot.door();
        let senders = SENDERS.iter().enumerate().map(|(n, kind)| {
            let prefix = format!("{kind}{n}r{round}");
            sender(&door, (kind, prefix), &incident, &acknowledged)
        });
        let enough = 15 * (round + 1) + 4 * round;
        let killer = async {
            eventually("enough to be acknowledged", Duration::from_secs(120), async || {
                SENDERS.iter().all(|kind| acknowledged.n(kind) >= enough)
            })
            .await;
            bot.kill();
        };
        tokio::join!(join_all(senders), killer);
        bot.again().await;
        bot.judged().await;
        let known = known(&bot, &incident).await;
        for (kind, names) in acknowledged.all() {
            let Some(known) = known.get(kind) else { continue };
            for name in names {
                let n = known.iter().filter(|k| k.contains(&name)).count();
                let exact = known.iter().filter(|k| **k == name).count();
                assert!(n >= 1, "{kind} {name} was acknowledged and is lost");
                assert!(exact <= 1, "{kind} {name} is there {exact} times");
            }
        }
        let audit = bot.get("/api/v1/audit/verify").await;
        assert_eq!(audit["whole"], true, "{audit}");
    }
    let told = bot.get(&format!("/api/v1/incidents/{incident}")).await;
    assert!(!told["incident"]["acknowledged_at"].is_null(), "{}", told["incident"]);

    let all = acknowledged.all();
    let (lines, spans) = (bot.stored_lines().await, bot.stored_spans().await);
    for (kind, stored) in [("log", lines), ("trace", spans)] {
        for name in &all[kind] {
            let n = stored.iter().filter(|s| *s == name).count();
            assert_eq!(n, 1, "{kind} {name} is there {n} times");
        }
    }
    let n: usize = all.values().map(Vec::len).sum();
    println!("{n} requests were acknowledged before three kills, and none is lost");
}
