//! What Datadog fills in, and what it may be given instead.

use proptest::prelude::*;

use super::*;
use crate::detect::lifecycle::{alert_of_external, told};
use crate::model::{Alert, AlertStatus, EntityRef, Indicator, Severity};

const NOW: Time = Time::from_ms(1_800_000_000_000);
/// The payload that people paste.
const PAYLOAD: &str = include_str!("../../../deploy/connect/datadog-webhook.json");

/// The payload as Datadog sends it, with these variables; others stay empty.
fn filled(values: &[(&str, &str)]) -> String {
    let mut payload: Value = serde_json::from_str(PAYLOAD).expect("JSON");
    for (name, variable) in VARIABLES {
        let value = values.iter().find(|(n, _)| *n == variable).map_or("", |(_, v)| v);
        payload[name] = value.into();
    }
    payload.to_string()
}

fn delivery(transition: &str, date_s: i64, more: &[(&str, &str)]) -> String {
    let date = NOW.plus_ms(date_s * 1_000).ms().to_string();
    let usual = [
        ("$ALERT_TRANSITION", transition),
        ("$DATE", date.as_str()),
        ("$ALERT_ID", "148275309"),
        ("$ALERT_CYCLE_KEY", "7716548234055550000"),
        ("$ALERT_TITLE", "[Triggered on {service:orders}] p95 latency of orders"),
        ("$ALERT_SCOPE", "env:prod, service:orders"),
        (
            "$TAGS",
            "env:prod,kube_namespace:shop,monitor,pod_name:orders-7f,service:orders,team:pay",
        ),
    ];
    let all: Vec<(&str, &str)> = more.iter().chain(&usual).copied().collect();
    filled(&all)
}

fn alert(body: &str, now: Time) -> Alert {
    let batch = decode(body.as_bytes(), now).unwrap_or_else(|e| panic!("{e:?} in {body}"));
    alert_of_external(&batch.alerts[0], now)
}

#[test]
fn the_payload_that_is_pasted_has_each_field_with_its_variable() {
    let payload: BTreeMap<String, String> = serde_json::from_str(PAYLOAD).expect("texts");
    let known = VARIABLES.map(|(name, variable)| (name.to_owned(), variable.to_owned()));
    assert_eq!(payload, known.into());
}

#[test]
fn an_alert_says_what_it_is_about_and_how_bad_it_is() {
    let a = alert(&delivery("Triggered", -60, &[("$ALERT_PRIORITY", "P3")]), NOW);
    assert_eq!((a.entity, a.severity), (EntityRef::service("orders"), Severity::Warning));
    assert_eq!((a.indicator, a.starts_at), (Some(Indicator::Duration), NOW.plus_ms(-60_000)));
    for (name, value) in [
        ("alertname", "p95 latency of orders"),
        ("service", "orders"),
        ("environment", "prod"),
        ("namespace", "shop"),
        ("pod", "orders-7f"),
        ("team", "pay"),
    ] {
        assert_eq!(a.labels.get(name), Some(value), "{name}");
    }
    let of = |more: &[(&str, &str)]| alert(&delivery("Triggered", 0, more), NOW);
    let host = of(&[("$TAGS", "role:db"), ("$ALERT_SCOPE", "host:db-1"), ("$HOSTNAME", "db-2")]);
    assert_eq!(host.entity, EntityRef::host("db-1"), "what triggered before the event's host");
    let host = of(&[("$TAGS", ""), ("$ALERT_SCOPE", "*"), ("$HOSTNAME", "db-2")]);
    assert_eq!(host.entity, EntityRef::host("db-2"));
    let pod = of(&[("$TAGS", "kube_deployment:cart,kube_node:n1"), ("$ALERT_SCOPE", "")]);
    assert_eq!(pod.entity, EntityRef::service("cart"));
    let by_metric = [("$ALERT_TITLE", "Monitor 7"), ("$ALERT_METRIC", "trace.http.request.errors")];
    assert_eq!(of(&by_metric).indicator, Some(Indicator::Errors));
}

#[test]
fn each_transition_is_what_it_says() {
    use Severity::{Critical, Info, Warning};
    for (transition, more, severity) in [
        ("Triggered", ("", ""), Critical),
        ("Re-Triggered", ("$ALERT_PRIORITY", "P1"), Critical),
        ("Renotify", ("$ALERT_PRIORITY", "P4"), Info),
        ("Renotify", ("$ALERT_TYPE", "warning"), Warning),
        ("Triggered", ("$PRIORITY", "low"), Info),
        ("Warn", ("$ALERT_PRIORITY", "P1"), Warning),
        ("Re-Warn", ("$ALERT_PRIORITY", "P5"), Info),
        ("No Data", ("$ALERT_PRIORITY", "P2"), Warning),
        ("re-no data", ("", ""), Warning),
    ] {
        let a = alert(&delivery(transition, -5, &[more]), NOW);
        assert_eq!(
            (a.status, a.severity),
            (AlertStatus::Firing, severity),
            "{transition} {more:?}"
        );
        let silent = transition.to_lowercase().contains("no data");
        let means = if silent { Indicator::Availability } else { Indicator::Duration };
        assert_eq!(a.indicator, Some(means), "{transition}");
    }
    let over = alert(&delivery("Recovered", -5, &[]), NOW);
    assert_eq!((over.status, over.ends_at), (AlertStatus::Resolved, Some(NOW.plus_ms(-5_000))));
    assert_eq!(over.severity, Severity::Info, "its end makes nothing worse than it was");
}

#[test]
fn one_cycle_of_one_group_is_one_alert_in_whatever_order_it_is_told() {
    let first = || alert(&delivery("Triggered", -300, &[]), NOW);
    let again = alert(&delivery("Re-Triggered", -200, &[]), NOW);
    // The scope comes in another order, and with tags that came meanwhile.
    let more = [("$ALERT_SCOPE", "service:orders,env:prod"), ("$TAGS", "service:orders,version:2")];
    let over = || alert(&delivery("Recovered", -100, &more), NOW.plus_ms(1_000));
    assert_eq!((first().id, first().id), (again.id, over().id));
    for words in [[first(), again.clone(), over()], [over(), first(), again]] {
        let mut now = None;
        for word in words {
            now = told(now.clone(), word).map(|(a, _)| a).or(now);
        }
        let a = now.expect("told of");
        assert_eq!((a.status, a.ends_at), (AlertStatus::Resolved, Some(NOW.plus_ms(-100_000))));
    }
    let other = |more: &[(&str, &str)]| alert(&delivery("Triggered", -300, more), NOW).id;
    assert_ne!(other(&[("$ALERT_CYCLE_KEY", "8")]), first().id, "it began anew");
    assert_ne!(other(&[("$ALERT_SCOPE", "service:cart")]), first().id, "another group");
    assert_ne!(other(&[("$ALERT_ID", "9")]), first().id, "another monitor");
}

#[test]
fn a_clock_ahead_keeps_nothing_open_and_numbers_may_be_numbers() {
    let over = alert(&delivery("Recovered", 600, &[]), NOW);
    assert_eq!((over.status, over.ends_at), (AlertStatus::Resolved, Some(NOW)));
    let mut payload: Value = serde_json::from_str(&delivery("Triggered", 0, &[])).expect("JSON");
    payload["date"] = (NOW.ms() / 1_000 - 60).into();
    payload["alert_id"] = 148_275_309.into();
    payload["tags"] = serde_json::json!(["service:cart", "env:prod"]);
    payload["alert_scope"] = Value::Null;
    payload["last_updated"] = "some day".into();
    payload["new"] = serde_json::json!({ "a": 1 });
    let a = alert(&payload.to_string(), NOW);
    assert_eq!((a.starts_at, a.entity), (NOW.plus_ms(-60_000), EntityRef::service("cart")));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_what_to_do() {
    let bad = r#"{"alert_id":"$ALERT_ID","alert_cycle_key":"","alert_transition":"Muted","date":"yesterday","tags":{}}"#;
    let wrong = decode(bad.as_bytes(), NOW).expect_err("refused");
    let told: Vec<String> = wrong.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    alert_cycle_key: empty: put "$ALERT_CYCLE_KEY" there; if it is, what sent this is no monitor, and only monitors are taken
    alert_id: `$ALERT_ID` was not filled in: the variable is $ALERT_ID, and only monitors fill it
    alert_title: missing: add "alert_title": "$ALERT_TITLE" to the payload
    alert_transition: `Muted` is none of Triggered, Re-Triggered, Renotify, Warn, Re-Warn, No Data, Re-No Data, Recovered: use this webhook in monitors alone
    date: `yesterday` is no time: put "$DATE" there, which Datadog fills with milliseconds since 1970
    tags: expected a text: put "$TAGS" there
    "#);
    let form = decode(b"alert_id=7&alert_title=x", NOW).expect_err("refused");
    assert!(form["body"].contains("Encode as form"), "{form:?}");
    assert!(decode(b"[]", NOW).expect_err("refused")["body"].starts_with("expected an object"));
}

#[test]
fn what_datadog_puts_before_a_name_is_no_part_of_it() {
    for (title, name) in [
        ("[P1] [Triggered on {host:a,env:b}] Host is down", "Host is down"),
        ("[Re-No Data] Host is down", "Host is down"),
        ("[TEST] [Recovered on {host:a}] Host is down", "Host is down"),
        ("[checkout] Errors", "[checkout] Errors"),
        ("[Triggered] ", "[Triggered]"),
        ("Host is down", "Host is down"),
    ] {
        assert_eq!(bare(title), name);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_and_texts_never_panic(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        texts in proptest::collection::vec(".{0,30}", 6),
    ) {
        prop_assert!(decode(&body, NOW).is_err());
        let names = ["$ALERT_TITLE", "$ALERT_SCOPE", "$TAGS", "$DATE", "$ALERT_PRIORITY", "$HOSTNAME"];
        let values: Vec<(&str, &str)> =
            names.into_iter().zip(texts.iter().map(String::as_str)).collect();
        let _ = decode(delivery("Triggered", 0, &values).as_bytes(), NOW);
    }
}
