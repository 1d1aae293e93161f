//! What is read of alerts' texts.

use super::super::text::{Said, said};
use super::*;

fn of(text: &str) -> Said {
    let mut alert = alert("cart", "UpstreamErrors", "warning", 0);
    alert.labels = alert.labels.with("pod", "cart-6f9c-x2x7p").with("cluster", "prod-eu1");
    alert.annotations = alert.annotations.with("description", text).with("summary", "");
    let known = |name: &str| {
        let is_known = ["payments-db", "inventory", "cart", "payments", "node-7"].contains(&name);
        is_known.then(|| format!("service.name={name}"))
    };
    said(&alert, "service.name=cart", &known)
}

#[test]
fn a_text_names_what_is_known_in_whatever_form_it_stands_there() {
    let named = |text: &str| of(text).named.join(" ").replace("service.name=", "");
    assert_eq!(named("connection refused to payments-db:5432"), "payments-db");
    assert_eq!(
        named("dial tcp: lookup payments-db.prod.svc.cluster.local: no such host"),
        "payments-db"
    );
    assert_eq!(named("upstream inventory timed out (inventory-6f9c7-x2x7p)."), "inventory");
    assert_eq!(named("http://inventory/v1/items answers 503, node-7 is full"), "inventory node-7");
    assert_eq!(named("payments-queue is slow"), "", "another thing than payments");
    assert_eq!(named("cart-6f9c-x2x7p of cart in prod-eu1 is slow"), "", "its own");
}

#[test]
fn phrases_are_of_words_that_stay_and_of_codes() {
    let phrases = |text: &str| of(text).phrases.join(", ");
    assert_eq!(
        phrases("Connection pool is exhausted after 30 s"),
        "connection pool, pool exhausted, exhausted after"
    );
    assert_eq!(phrases("ORA-12541: TNS no listener"), "ora-12541, tns no, no listener");
    assert_eq!(phrases("FATAL SQLSTATE 53300"), "fatal sqlstate, sqlstate 53300");
    assert_eq!(
        phrases("took 53300 ms, id 6f9c2b7a11, 10.0.0.7"),
        "took 53300".replace("took 53300", "")
    );
    assert_eq!(phrases("UpstreamErrors on cart"), "", "its name and its service say nothing more");
}

#[test]
fn a_log_template_is_a_text_and_texts_without_end_are_cut() {
    let mut alert = alert("cart", "NewLogPattern", "warning", 0);
    alert.labels = alert.labels.with("template", "could not open <*> too many open files");
    let read = said(&alert, "service.name=cart", &|_| None);
    assert!(read.phrases.contains(&"open files".to_owned()), "{read:?}");
    let words: Vec<String> =
        (0..900).map(|n| format!("w{}x", char::from(97 + (n % 26) as u8))).collect();
    let long = of(&words.join(" "));
    assert!(long.phrases.len() <= 40 && !long.phrases.is_empty());
    assert_eq!(of(&"ä".repeat(400)).phrases, Vec::<String>::new());
}

#[test]
fn the_reasons_of_our_own_detectors_are_no_words_of_the_trouble() {
    let mut alert = alert("cart", "DurationHigh", "warning", 0);
    alert.annotations = Labels::default()
        .with("summary", "cart p95 4.9 s, was 52 ms")
        .with("description", "surprised were the views of step; 75 ms would not have been flagged");
    let told = |alert: &Alert| said(alert, "service.name=cart", &|_| None).phrases;
    assert!(told(&alert).contains(&"been flagged".to_owned()), "{:?}", told(&alert));
    alert.source = AlertSource::Detector { detector: "seasonal/1".into() };
    assert!(!told(&alert).contains(&"been flagged".to_owned()), "{:?}", told(&alert));
}
