//! Datadog's door in a running bot: its payload as Datadog fills it in, beside Alertmanager and our
//! own detector, and what is wrong with one that does not fit.

use std::time::Duration;

use nightjar::model::wall_now;
use serde_json::{Value, json};

use crate::bot::Bot;
use crate::support::{eventually, free_port};

const PATIENCE: Duration = Duration::from_secs(120);

/// The payload of `deploy/` as Datadog sends it: every variable filled in, quotes and all.
fn payload(transition: &str) -> Value {
    let at = wall_now().ms().to_string();
    let title = format!("[{transition} on {{service:orders}}] Orders is down");
    let values = [
        ("$ALERT_CYCLE_KEY", "7716548234055550000"),
        ("$ALERT_TRANSITION", transition),
        ("$ALERT_TITLE", title.as_str()),
        ("$ALERT_SCOPE", "service:orders"),
        ("$ALERT_TYPE", if transition == "Recovered" { "success" } else { "error" }),
        ("$ALERT_PRIORITY", "P2"),
        ("$ALERT_STATUS", "avg(last_5m):avg:orders.up{service:orders} < 1"),
        ("$ALERT_METRIC", "orders.up"),
        ("$ALERT_ID", "148275309"),
        ("$PRIORITY", "normal"),
        ("$TAGS", "env:prod,kube_namespace:shop,monitor,service:orders,team:pay"),
        ("$HOSTNAME", ""),
        ("$DATE", at.as_str()),
        ("$LAST_UPDATED", at.as_str()),
        ("$LINK", "https://app.datadoghq.com/event/event?id=7716548234011234567"),
        ("$TEXT_ONLY_MSG", "Orders does not answer. @webhook-nightjar"),
    ];
    let text = include_str!("../../deploy/connect/datadog-webhook.json");
    let mut payload: Value = serde_json::from_str(text).expect("the payload is JSON");
    for value in payload.as_object_mut().expect("an object").values_mut() {
        let variable = value.as_str().expect("a variable");
        let (_, filled) = values.iter().find(|(v, _)| *v == variable).expect("a known variable");
        *value = (*filled).into();
    }
    payload
}

fn told_by_alertmanager() -> Value {
    let labels = json!({ "alertname": "OrdersDown", "service": "orders", "severity": "critical" });
    let alert = json!({ "status": "firing", "startsAt": wall_now(), "labels": labels });
    json!({ "version": "4", "alerts": [alert] })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_condition_told_by_datadog_alertmanager_and_us_is_one_with_its_witnesses() {
    let settings = "[correlate]\ngroup_wait_s = 1\nquiet_s = 1\n";
    let mut bot = Bot::on(free_port(), settings).await;
    let failed =
        json!({ "name": "orders", "every": "1d", "service": "orders", "status": "failed" });
    for (path, body) in [
        ("/ingest/datadog", payload("Triggered")),
        ("/ingest/heartbeat", failed),
        ("/ingest/alertmanager", told_by_alertmanager()),
        // Said again, as Datadog does while it lasts.
        ("/ingest/datadog", payload("Re-Triggered")),
    ] {
        assert_eq!(bot.door().send(path, &body).await.ok(), Some(200), "{path}");
    }
    let ours = async || {
        let alerts = bot.list("alerts").await;
        alerts.into_iter().find(|a| a["source"]["kind"] == "detector")
    };
    eventually("both to be witnesses of ours", PATIENCE, async || {
        ours().await.is_some_and(|a| a["witnesses"].as_array().is_some_and(|w| w.len() == 2))
    })
    .await;
    let own = ours().await.expect("it is there");
    let mut witnesses: Vec<&str> =
        own["witnesses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    witnesses.sort_unstable();
    assert_eq!(witnesses, ["alertmanager", "datadog"], "{own:#}");
    let incidents = bot.list("incidents").await;
    assert_eq!(incidents.len(), 1, "{incidents:#?}");
    assert_eq!(incidents[0]["n_conditions"], 1, "{:#}", incidents[0]);
    assert_eq!(incidents[0]["alerts"].as_array().map(Vec::len), Some(3), "{:#}", incidents[0]);
    let of_dog = |alerts: Vec<Value>| -> Vec<Value> {
        alerts.into_iter().filter(|a| a["source"]["system"] == "datadog").collect()
    };
    let dogs = of_dog(bot.list("alerts").await);
    assert_eq!(dogs.len(), 1, "one cycle, one alert: {dogs:#?}");
    assert_eq!((&dogs[0]["n_reports"], &dogs[0]["severity"]), (&json!(2), &json!("critical")));
    let id = own["id"].as_str().expect("an id");
    let why = bot.get(&format!("/api/v1/why/{id}")).await.to_string();
    assert!(why.contains("datadog"), "{why}");

    // What was accepted outlives a kill, and the end finds the alert that began before it.
    assert_eq!(bot.door().send("/ingest/datadog", &payload("Recovered")).await.ok(), Some(200));
    bot.kill();
    bot.again().await;
    eventually("Datadog's alert to be over", PATIENCE, async || {
        let dogs = of_dog(bot.list("alerts").await);
        dogs.len() == 1 && dogs[0]["status"] == "resolved"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_does_not_fit_is_refused_field_by_field() {
    let token = "a-token-of-datadog";
    let bot = Bot::on(free_port(), &format!("ingest_token = {token:?}\n")).await;
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let mut wrong = payload("Triggered");
    wrong["alert_transition"] = "Muted".into();
    wrong["date"] = "yesterday".into();
    wrong["alert_cycle_key"] = Value::Null;
    let (status, said) = bot.post("/ingest/datadog", &headers, wrong.to_string()).await;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(status, 400, "{said:#}");
    let fields = said["error"]["fields"].as_object().expect("by field");
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["alert_cycle_key", "alert_transition", "date"], "{said:#}");
    assert!(fields["date"].as_str().is_some_and(|w| w.contains("put \"$DATE\" there")));
    assert!(said["error"]["what_to_do"].to_string().contains("datadog-webhook.json"), "{said:#}");
    let stranger = [("Authorization", "Bearer not-it"), ("Content-Type", "application/json")];
    let right = payload("Triggered").to_string();
    let (status, said) = bot.post("/ingest/datadog", &stranger, right.clone()).await;
    assert_eq!(status, 401, "{said}");
    let (status, said) = bot.post("/ingest/datadog", &headers, right).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(bot.metric("nightjar_datadog_undecodable_total", "").await, 1.0);
}
