//! Prometheus servers that misbehave, polled by the real binary beside one that does not: each
//! becomes a counted failure and a gap with its reason, and the good one is read all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use nightjar::model::{Time, wall_now};
use serde_json::{Value, json};

use crate::bot::Bot;
use crate::support::{eventually, free_port, serve};

/// A server whose range answers are made by `answer` from start, end and step in seconds.
async fn fake(
    answer: impl Fn(f64, f64, f64) -> Response + Clone + Send + Sync + 'static,
) -> String {
    let range = move |body: Bytes| {
        let given: std::collections::BTreeMap<_, _> =
            url::form_urlencoded::parse(&body).into_owned().collect();
        let number = |name: &str| given[name].parse::<f64>().expect("a number");
        let made = answer(number("start"), number("end"), number("step"));
        async move { made }
    };
    let now = || async {
        axum::Json(json!({ "status": "success", "data": {
            "resultType": "scalar", "result": [wall_now().seconds(), "1"],
        } }))
    };
    let router =
        Router::new().route("/api/v1/query", post(now)).route("/api/v1/query_range", post(range));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    serve(async move { axum::serve(listener, router).await.expect("serves") });
    url
}

fn matrix(rows: &Value) -> Response {
    axum::Json(json!({
        "status": "success", "data": { "resultType": "matrix", "result": rows },
    }))
    .into_response()
}

fn row(name: &str, values: &Value) -> Value {
    json!({ "metric": { "service": name }, "values": values })
}

fn failure(status: u16, kind: &str, text: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let body = json!({ "status": "error", "errorType": kind, "error": text });
    (status, axum::Json(body)).into_response()
}

/// Every point that was asked for, as long as it is not more than Prometheus would answer.
fn strict(start: f64, end: f64, step: f64) -> Response {
    if (end - start) / step > 11_000.0 {
        return failure(400, "bad_data", "exceeded maximum resolution of 11,000 points");
    }
    let n = ((end - start) / step) as i64;
    let values: Vec<Value> = (0..=n).map(|i| json!([start + i as f64 * step, "1"])).collect();
    matrix(&json!([row("steady", &json!(values))]))
}

/// Values that are none, times that are none, twice the same, in the wrong order.
fn mixed(_: f64, end: f64, _: f64) -> Response {
    matrix(&json!([
        row("mixed", &json!([
            [end - 3.0, "1"], [end - 1.0, "3"], [end - 2.0, "2"], [end - 1.0, "4"],
            [end, "NaN"], [end, "+Inf"], [end, "-Inf"], [1e300, "5"], [-1e300, "5"],
        ])),
        row("mixed", &json!([[end, "9"]])),
        { "metric": { "service": "empty" }, "values": [] },
        { "metric": {}, "histograms": [[end, { "count": "1", "sum": "1" }]] },
    ]))
}

/// More series than anybody asked for.
fn exploding(_: f64, end: f64, _: f64) -> Response {
    let rows: Vec<Value> =
        (0..10_500).map(|n| row(&format!("s{n}"), &json!([[end, "1"]]))).collect();
    matrix(&json!(rows))
}

fn html(_: f64, _: f64, _: f64) -> Response {
    axum::response::Html("<html><body>Please sign in</body></html>").into_response()
}

fn half(_: f64, _: f64, _: f64) -> Response {
    r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"#.into_response()
}

fn busy(_: f64, _: f64, _: f64) -> Response {
    failure(503, "timeout", "query timed out in expression evaluation")
}

fn wrong_types(_: f64, end: f64, _: f64) -> Response {
    matrix(&json!([{ "metric": ["service"], "values": [[end, 1], "x"] }]))
}

/// Blanks without end.
fn endless(_: f64, _: f64, _: f64) -> Response {
    let blanks = || async { Some((Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 65_536])), ())) };
    Body::from_stream(futures_util::stream::unfold((), move |()| blanks())).into_response()
}

fn source(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[prometheus]]\nname = {name:?}\nurl = {url:?}\ninterval_s = 1\nstep_s = 1\n\
         scrape_interval_s = 1\ntimeout_s = 2\nmax_body_mib = 4\nbackfill_days = 1\n{more}\n\
         [[prometheus.queries]]\npromql = \"q\"\nmetric = \"{name}.value\"\n\
         entity_label = \"service\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_servers_are_gaps_with_reasons_and_the_good_one_is_read() {
    let n_asked = Arc::new(AtomicU64::new(0));
    let asked = n_asked.clone();
    let counting = move |start: f64, end: f64, step: f64| {
        asked.fetch_add(1, Ordering::SeqCst);
        strict(start, end, step)
    };
    // Away at first, then back.
    let is_back = Arc::new(AtomicBool::new(false));
    let back = is_back.clone();
    let flapping = move |start: f64, end: f64, step: f64| {
        if back.load(Ordering::SeqCst) {
            strict(start, end, step)
        } else {
            StatusCode::BAD_GATEWAY.into_response()
        }
    };
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let hangs = format!("http://{}", hanging.local_addr().expect("bound"));
    let settings: String = [
        // A whole day second by second: more than one question may ask for.
        source("strict", &fake(counting).await, "backfill_step_s = 1"),
        source("mixed", &fake(mixed).await, ""),
        source("exploding", &fake(exploding).await, ""),
        source("html", &fake(html).await, ""),
        source("half", &fake(half).await, ""),
        source("busy", &fake(busy).await, ""),
        source("types", &fake(wrong_types).await, ""),
        source("endless", &fake(endless).await, ""),
        source("flapping", &fake(flapping).await, ""),
        source("hanging", &hangs, ""),
        source("nobody", &format!("http://127.0.0.1:{}", free_port()), ""),
    ]
    .concat();
    let mut bot = Bot::on(free_port(), &settings).await;
    let expected = [
        ("html", "not_prometheus", "it sent a web page"),
        ("half", "malformed", "sent JSON that can't be read"),
        ("busy", "refused", "refused (timeout): query timed out"),
        ("types", "malformed", "sent JSON that can't be read"),
        ("endless", "too_large", "longer than 4 MiB"),
        ("flapping", "status", "HTTP 502"),
        ("hanging", "timeout", "no answer within 2 s"),
        ("nobody", "unreachable", "can't be reached"),
    ];
    let gaps = async || -> Vec<(String, String)> {
        let status = bot.get("/api/v1/status").await;
        let gaps = status["gaps"].as_array().expect("a list");
        let text = |g: &Value, key: &str| g[key].as_str().expect("a text").to_owned();
        gaps.iter().map(|g| (text(g, "what"), text(g, "why"))).collect()
    };
    let has = |gaps: &[(String, String)], source: &str, why: &str| {
        gaps.iter().any(|(what, said)| {
            what.starts_with(&format!("prometheus {source}")) && said.contains(why)
        })
    };
    eventually("every bad server to be a gap", Duration::from_secs(120), async || {
        let gaps = gaps().await;
        expected.iter().all(|(source, _, why)| has(&gaps, source, why))
    })
    .await;
    for (source, kind, _) in expected {
        let labels = format!("kind=\"{kind}\",source=\"{source}\"");
        let other = format!("source=\"{source}\",kind=\"{kind}\"");
        let name = "nightjar_prometheus_failures_total";
        let n = bot.metric(name, &labels).await + bot.metric(name, &other).await;
        assert!(n >= 1.0, "{source} {kind}");
    }
    for good in ["strict", "mixed", "exploding"] {
        assert!(!has(&gaps().await, good, ""), "{good}: {:?}", gaps().await);
    }

    // What was away comes back: its gap is gone, and nothing is missing.
    is_back.store(true, Ordering::SeqCst);
    eventually("the gap to be mended", Duration::from_secs(120), async || {
        !has(&gaps().await, "flapping", "")
    })
    .await;

    // A day of seconds took eight questions or more, of at most 11,000 points each.
    let stored = async |source: &str| -> Vec<(String, Vec<(i64, f64)>)> {
        let services = bot.get("/api/v1/services").await;
        let mut found = Vec::new();
        for series in services["series"].as_array().expect("a list") {
            if series["source"] == source {
                let id = series["id"].as_str().expect("a text");
                let answer = bot.get(&format!("/api/v1/series/{id}/points")).await;
                let points = answer["points"].as_array().expect("a list").iter().map(|p| {
                    let at: Time = serde_json::from_value(p["at"].clone()).expect("a time");
                    (at.ms(), p["value"].as_f64().expect("a number"))
                });
                found.push((series["entity"].to_string(), points.collect()));
            }
        }
        found
    };
    eventually("the strict server to be read", Duration::from_secs(120), async || {
        stored("strict").await.first().is_some_and(|(_, points)| points.len() > 100)
    })
    .await;
    assert!(n_asked.load(Ordering::SeqCst) >= 8);
    let mixed = stored("mixed").await;
    assert_eq!(mixed.len(), 1, "{mixed:?}");
    let points = &mixed[0].1;
    assert!(points.is_sorted_by(|a, b| a.0 < b.0), "{points:?}");
    assert!(points.iter().all(|(_, v)| [1.0, 2.0, 4.0].contains(v)), "{points:?}");
    for why in ["not_finite", "duplicate", "disordered"] {
        let name = "nightjar_prometheus_dropped_points_total";
        assert!(bot.metric(name, why).await >= 1.0, "{why}");
    }
    assert!(bot.metric("nightjar_prometheus_series_cut_total", "exploding").await >= 500.0);
    assert_eq!(bot.stored_lines().await, Vec::<String>::new());
    drop(hanging);
}
