//! OTLP as the official Python exporters send it: what is stored, and what must not be.

use std::time::Duration;

use nightjar::model::Level;
use nightjar::store::{LogFilter, SpanFilter, Store};

use crate::bot::Bot;
use crate::support::{eventually, piped, python_with};

/// Parts of the script's made-up secrets: none of them may reach the disk.
const SECRETS: [&str; 6] = [
    "not-a-real-pw-1",
    "not-a-real-pw-2",
    "not-a-real-key-3",
    "not0a1real2token3not4a5real6",
    "token=not0a1real2token3",
    "jo.doe@example.com",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_official_exporter_sends_is_stored_without_its_secrets() {
    let Some(python) = python_with("opentelemetry.exporter.otlp.proto.http") else { return };
    let mut bot = Bot::on(crate::support::free_port(), "").await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/otlp_exporter.py");
    let base = bot.url("");
    let (status, said) =
        tokio::task::spawn_blocking(move || piped(&python, &["-W", "ignore", script, &base], ""))
            .await
            .expect("it ran");
    assert_eq!(status, 0, "{said}");
    let trace_id = said.trim().to_owned();
    assert_eq!(trace_id.len(), 32, "{said}");

    // The graph: from the parents of server spans, and from what client spans name.
    let services = bot.get("/api/v1/services").await;
    let edges: Vec<String> = services["edges"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| [&e["from"], &e["kind"], &e["to"]].map(|v| v.as_str().expect("a text")).join(" "))
        .collect();
    for expected in [
        "service.name=checkout calls service.name=orders",
        "service.name=orders calls service.name=orders-db",
        "service.name=orders runs_on host.name=node-3",
        "service.name=checkout runs_on host.name=node-3",
    ] {
        assert!(edges.iter().any(|e| e == expected), "{expected} is missing in {edges:#?}");
    }
    assert_eq!(edges.len(), 4, "{edges:#?}");
    let calls = services["calls"].as_array().expect("a list");
    let failed: u64 = calls.iter().map(|c| c["n_failed"].as_u64().expect("a count")).sum();
    assert_eq!((calls.len(), failed), (2, 1), "{calls:#?}");

    // The golden signals of cumulative streams: the second export makes them rates.
    let value = async |metric: &str| -> f64 {
        let series = services["series"].as_array().expect("a list").iter();
        let one = series.clone().find(|s| s["metric"] == metric && s["source"] == "otlp");
        let one = one.unwrap_or_else(|| panic!("{metric} is missing in {:#}", services["series"]));
        assert_eq!(one["entity"], "service.name=orders");
        let id = one["id"].as_str().expect("a text");
        let points = bot.get(&format!("/api/v1/series/{id}/points")).await;
        let points = points["points"].as_array().expect("a list").iter();
        // The last export of all comes at the end and has nothing new: no requests.
        points.map(|p| p["value"].as_f64().expect("a number")).fold(f64::MIN, f64::max)
    };
    assert!((value("http.server.request.duration errors").await - 1.0 / 41.0).abs() < 1e-9);
    let p50 = value("http.server.request.duration p50").await;
    assert!((0.025..=0.05).contains(&p50), "{p50}");
    let p99 = value("http.server.request.duration p99").await;
    assert!((2.5..=5.0).contains(&p99), "{p99}");
    assert!((value("db.client.connection.utilization").await - 0.95).abs() < 1e-9);
    let rate = value("http.server.request.duration rate").await;
    assert!((10.0..=45.0).contains(&rate), "41 requests in about a second: {rate}");
    assert_eq!(bot.metric("nightjar_otlp_rejected_total", "").await, 0.0);

    // What people are shown of an error is masked.
    eventually("the answer to name the error", Duration::from_secs(120), async || {
        let question = r#"{"question":"show the errors of orders"}"#;
        let (status, answer) = bot.ask(question).await;
        assert_eq!(status, 200, "{answer}");
        for secret in SECRETS {
            assert!(!answer.contains(secret), "{secret} in {answer}");
        }
        answer.contains("payment refused")
    })
    .await;

    // The files, after a kill: what was acknowledged is there, and no secret is.
    bot.kill();
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens");
    let lines = store.read(|r| r.logs(&LogFilter::default())).await.expect("reads");
    let find = |words: &str| {
        let line = lines.iter().find(|l| l.body.contains(words));
        line.unwrap_or_else(|| panic!("{words} is missing in {lines:#?}"))
    };
    let refused = find("payment refused");
    assert_eq!(refused.level, Level::Error);
    assert_eq!(refused.entity.to_string(), "service.name=orders");
    assert!(refused.body.contains("[redacted:email]"), "{}", refused.body);
    assert!(refused.trace_id.is_some());
    let failed = find("order 17 failed");
    assert_eq!(failed.attributes.get("exception.type"), Some("ValueError"));
    assert_eq!(find("order 18 stored").body, "order 18 stored, total 12.50 EUR");
    assert_eq!(find("login of user 7").level, Level::Warn);
    let filter = SpanFilter { trace_id: Some(trace_id), limit: 100, ..SpanFilter::default() };
    let spans = store.read(move |r| r.spans(&filter)).await.expect("reads");
    let query = spans.iter().find(|s| s.name == "INSERT").expect("stored");
    assert!(query.failed && !query.is_server);
    assert_eq!(query.attributes.get("service.version"), Some("4.7.2"));
    assert_eq!(spans.len(), 4);
    drop(store);
    for entry in std::fs::read_dir(bot.data()).expect("a folder") {
        let path = entry.expect("readable").path();
        // The store takes its side files away when it is closed.
        let Ok(bytes) = std::fs::read(&path) else {
            assert!(!path.ends_with("nightjar.sqlite"), "the store itself stays");
            continue;
        };
        for secret in SECRETS {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{secret} stands in {}", path.display());
        }
    }
}
