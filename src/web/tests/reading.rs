//! The rest of what the console shows: silences, series, logs, changes, runbooks, audit, answers,
//! events.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Server, failure, sample};
use crate::approve::tests::sample::t0;
use crate::bus::Event;
use crate::model::{
    Batch, Evidence, EvidenceId, Gap, IncidentState, Labels, LogLine, Point, Role, Samples, Series,
};

#[tokio::test]
async fn silences_and_maintenance_windows_begin_and_end() {
    let server = Server::start().await;
    let make = |body: Value| server.post("/api/v1/silences", body);
    let matchers = json!(["service=\"orders\""]);
    let (status, silence) =
        make(json!({ "matchers": matchers, "duration": "2 h", "reason": "noisy" })).await;
    assert_eq!(status, StatusCode::OK, "{silence}");
    assert_eq!(silence["ends_at"], json!(t0().plus_ms(7_200_000)));
    let window = json!({
        "matchers": matchers, "starts_at": t0().plus_ms(3_600_000),
        "ends_at": t0().plus_ms(5_400_000), "reason": "upgrade", "maintenance": true,
    });
    let (status, window) = make(window).await;
    assert_eq!(status, StatusCode::OK, "{window}");
    let count = async |query: &str| {
        let found = server.get(&format!("/api/v1/silences?{query}")).await;
        found["silences"].as_array().expect("a list").len()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("maintenance=true").await, 1);
    assert_eq!(count("in_force=true").await, 1, "the window has not begun");
    server.clock.set(t0().plus_ms(3_600_000));
    assert_eq!(count("in_force=true").await, 2);
    assert_eq!(count("in_force=true&maintenance=false&limit=1").await, 1, "the older one");
    let end = format!("/api/v1/silences/{}", silence["id"].as_str().expect("an id"));
    let end = || server.as_role(Role::Responder, Method::DELETE, &end);
    assert_eq!(end().send().await.expect("an answer").status(), StatusCode::OK);
    assert_eq!(failure(end().send().await.expect("an answer")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(count("in_force=true&maintenance=false").await, 0);
    for bad in [
        json!({ "matchers": [], "minutes": 5, "reason": "all" }),
        json!({ "matchers": ["service=~\".*\""], "minutes": 5, "reason": "all" }),
        json!({ "matchers": matchers, "reason": "no length" }),
        json!({ "matchers": matchers, "minutes": 5, "duration": "5 min", "reason": "two" }),
        json!({ "matchers": matchers, "minutes": 0, "reason": "none" }),
        json!({ "matchers": matchers, "minutes": i64::MAX, "reason": "for ever" }),
        json!({ "matchers": matchers, "duration": "soon", "reason": "unclear" }),
        json!({ "matchers": matchers, "ends_at": t0(), "reason": "over" }),
        json!({ "matchers": matchers, "minutes": 5, "reason": " " }),
    ] {
        let (status, words) = make(bad.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {words}");
    }
    let (status, _) = make(json!({ "matchers": ["service"], "minutes": 5, "reason": "x" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    server.end().await;
}

fn series() -> Series {
    let (entity, labels) = (crate::model::EntityRef::service("orders"), Labels::default());
    serde_json::from_value(json!({
        "id": Series::identity("shop", "p99", &entity, &labels), "source": "shop",
        "entity": entity, "metric": "p99", "labels": labels, "indicator": "duration",
        "unit": "s", "direction": "high", "query": null, "limit": null, "step_ms": 15_000,
    }))
    .expect("a series")
}

#[tokio::test]
async fn series_come_with_their_points_thinned() {
    let server = Server::start().await;
    let series = series();
    let points = (0..2_000)
        .map(|i| Point { at: t0().plus_ms((i - 1_999) * 1_000), value: i as f64 })
        .collect();
    let samples = Samples { series: series.clone(), points };
    server.store.write(move |tx| tx.append_points(&samples)).await.expect("written");
    let list = server.get("/api/v1/series?entity=service.name%3Dorders&indicator=duration").await;
    assert_eq!(list["series"], json!([series]));
    assert_eq!(server.get("/api/v1/series?indicator=rate").await["series"], json!([]));
    let since = t0().plus_ms(-1_999_000);
    let path = format!("/api/v1/series/{}/points?since={since}&until={}", series.id, t0());
    let all = server.get(&format!("{path}&most=10000")).await;
    assert_eq!(all["points"].as_array().map(Vec::len), Some(1_999));
    let thin = server.get(&path).await;
    assert_eq!(thin["n_points"], 1_999);
    let n = thin["points"].as_array().map_or(0, Vec::len);
    assert!((400..=600).contains(&n), "{n}");
    let backwards = format!("/api/v1/series/{}/points?since={}&until={since}", series.id, t0());
    assert_eq!(server.get(&backwards).await["points"], json!([]));
    let unknown =
        server.as_role(Role::Viewer, Method::GET, "/api/v1/series/00000000000000ff/points");
    assert_eq!(failure(unknown.send().await.expect("an answer")).await.0, StatusCode::NOT_FOUND);
    server.end().await;
}

#[tokio::test]
async fn logs_are_found_by_words_level_and_entity() {
    let server = Server::start().await;
    let line = |ms: i64, level: &str, body: &str| -> LogLine {
        serde_json::from_value(json!({
            "at": t0().plus_ms(ms), "entity": "service.name=orders", "level": level,
            "body": body, "trace_id": null, "attributes": {},
        }))
        .expect("a line")
    };
    let lines = [line(0, "info", "started"), line(1, "error", "pool exhausted after 5 s")];
    server.store.write(move |tx| tx.append_logs(&lines)).await.expect("written");
    let bodies = async |query: &str| {
        let found = server.get(&format!("/api/v1/logs?{query}")).await;
        let lines = found["lines"].as_array().expect("lines").clone();
        lines.iter().map(|l| l["body"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(bodies("").await.len(), 2);
    assert_eq!(bodies("level=warn").await, ["pool exhausted after 5 s"]);
    assert_eq!(bodies("text=exhausted%20pool").await.len(), 1);
    assert_eq!(bodies("entity=service.name%3Dcart").await.len(), 0);
    server.end().await;
}

#[tokio::test]
async fn runbooks_are_listed_found_and_read() {
    let server = Server::start().await;
    let all = server.get("/api/v1/runbooks").await;
    let n = all["runbooks"].as_array().map_or(0, Vec::len);
    assert_eq!(n, server.state.shared.library.iter().count());
    let found = server.get("/api/v1/runbooks?q=connection%20pool").await;
    let first = &found["runbooks"][0];
    assert_eq!(first["id"], "connection-pool-exhausted", "{found}");
    assert!(first["excerpt"].as_str().is_some_and(|e| e.contains('[')));
    let whole = server.get("/api/v1/runbooks/connection-pool-exhausted").await;
    for name in ["title", "owner", "reviewed", "verification", "rollback", "body"] {
        assert!(whole[name].as_str().is_some_and(|t| !t.is_empty()), "{name}: {whole}");
    }
    assert!(whole["actions"].as_array().is_some_and(|a| !a.is_empty()));
    server.end().await;
}

#[tokio::test]
async fn the_audit_log_is_filtered_paged_and_proven() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(&server, &incident).await;
    let note = format!("/api/v1/incidents/{}/notes", incident.id);
    for i in 0..5 {
        server.clock.set(t0().plus_ms(i * 1_000));
        server.post(&note, json!({ "text": format!("note {i}") })).await;
    }
    server.post("/api/v1/halt", json!({})).await;
    let seqs = async |query: &str| {
        let found = server.get(&format!("/api/v1/audit?{query}")).await;
        let records = found["records"].as_array().expect("records").clone();
        records.iter().map(|r| r["seq"].as_u64().expect("a place")).collect::<Vec<_>>()
    };
    assert_eq!(seqs("").await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(seqs("limit=2&before=4").await, [3, 2]);
    assert_eq!(seqs("action=incident.note&limit=2").await, [5, 4]);
    assert_eq!(seqs("actor=admin&action=actions").await, [6]);
    assert_eq!(seqs("actor=viewer").await, [0; 0]);
    assert_eq!(seqs(&format!("subject={}", incident.id)).await.len(), 5);
    let range = format!("since={}&until={}", t0().plus_ms(1_000), t0().plus_ms(3_000));
    assert_eq!(seqs(&range).await, [3, 2]);
    assert_eq!(seqs("action=%25").await, [0; 0], "no pattern, a beginning");
    let proof = server.get("/api/v1/audit/verify").await;
    assert_eq!((&proof["whole"], &proof["n"]), (&json!(true), &json!(6)));
    assert_eq!(proof["hash"].as_str().map(str::len), Some(64));
    server.end().await;
}

#[tokio::test]
async fn an_answer_comes_whole_and_its_evidence_stays() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(&server, &incident).await;
    let (status, answer) = server.post("/api/v1/ask", json!({ "question": "status?" })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(answer["text"].as_str().is_some_and(|t| !t.is_empty()));
    assert_eq!(answer["messages"], json!([]));
    let mut told = server.bus.subscribe();
    let in_thread = json!({ "question": "what is going on?", "incident": incident.id });
    let (_, answer) = server.post("/api/v1/ask", in_thread).await;
    assert_eq!(answer["messages"].as_array().map(Vec::len), Some(2), "{answer}");
    let mut thread = json!({});
    while thread["messages"].as_array().is_none_or(|all| all.len() < 2) {
        // The answer was given; its message follows by the delivery.
        let next = tokio::time::timeout(Duration::from_secs(30), told.next()).await;
        assert!(next.is_ok(), "the message comes");
        thread = server.get(&format!("/api/v1/incidents/{}/messages", incident.id)).await;
    }
    let ids: Vec<&Value> =
        thread["messages"].as_array().expect("messages").iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, answer["messages"].as_array().expect("ids").iter().collect::<Vec<_>>());
    let cited = answer["citations"].as_array().expect("citations");
    assert!(!cited.is_empty(), "{answer}");
    for citation in cited {
        let id: EvidenceId =
            serde_json::from_value(citation["evidence"]["id"].clone()).expect("an id");
        let kept = server.get(&format!("/api/v1/evidence/{id}")).await;
        let kept: Evidence = serde_json::from_value(kept).expect("evidence");
        assert_eq!(json!(kept.finding), citation["evidence"]["finding"]);
        assert_eq!(json!(kept.summary), citation["evidence"]["summary"]);
    }
    server.end().await;
}

#[tokio::test]
async fn too_many_questions_at_once_are_told_to_wait() {
    let server = Server::start().await;
    let held: Vec<_> = std::iter::from_fn(|| server.state.may_ask().ok()).collect();
    assert_eq!(held.len(), 16);
    let ask = || server.as_role(Role::Viewer, Method::POST, "/api/v1/ask");
    let busy = ask().json(&json!({ "question": "status?" })).send().await.expect("an answer");
    assert!(busy.headers().contains_key("retry-after"));
    let (status, code, _) = failure(busy).await;
    assert_eq!((status, code.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
    drop(held);
    for _ in 0..40 {
        let (status, answer) = server.post("/api/v1/ask", json!({ "question": "status?" })).await;
        assert_eq!(status, StatusCode::OK, "each gives its turn back: {answer}");
    }
    server.end().await;
}

#[tokio::test]
async fn an_answer_in_a_thread_is_kept_though_nobody_waits_for_it() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(&server, &incident).await;
    let mut heard = server.bus.subscribe();
    let request = server.as_role(Role::Viewer, Method::POST, "/api/v1/ask");
    let asked = json!({ "question": "status?", "incident": incident.id });
    let request = request.header("Accept", "text/event-stream").json(&asked);
    drop(request.send().await.expect("an answer begins"));
    let path = format!("/api/v1/incidents/{}/messages", incident.id);
    let count = async || server.get(&path).await["messages"].as_array().map_or(0, Vec::len);
    while count().await < 2 {
        let next = tokio::time::timeout(Duration::from_secs(30), heard.next()).await;
        assert!(next.is_ok(), "the answer comes");
    }
    server.end().await;
}

/// Reads a stream until what came holds `end`.
async fn heard(answer: Response, end: &str) -> String {
    let (mut text, mut chunks) = (String::new(), answer.bytes_stream());
    while !text.contains(end) {
        let next = tokio::time::timeout(Duration::from_secs(30), chunks.next()).await;
        let Some(chunk) = next.expect("the stream goes on") else { break };
        text.push_str(std::str::from_utf8(&chunk.expect("a chunk")).expect("UTF-8"));
    }
    text
}

#[tokio::test]
async fn an_answer_is_streamed_while_it_is_made() {
    let server = Server::start().await;
    let ask = |question: &str| {
        let request = server.as_role(Role::Viewer, Method::POST, "/api/v1/ask");
        request.header("Accept", "text/event-stream").json(&json!({ "question": question }))
    };
    let answer = ask("status?").send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = heard(answer, "never").await;
    let events: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("event: ")).collect();
    assert_eq!(events.last(), Some(&"answer"), "{text}");
    assert!(events[..events.len() - 1].iter().all(|e| *e == "progress") && events.len() > 1);
    let last = text.lines().rev().find_map(|l| l.strip_prefix("data: ")).expect("data");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert!(last["text"].is_string(), "{last}");
    let empty = ask("").send().await.expect("an answer");
    assert_eq!(failure(empty).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    server.end().await;
}

#[tokio::test]
async fn events_go_on_where_a_client_left_off_and_end_with_the_server() {
    let server = Server::start().await;
    let listen =
        |query: &str| server.as_role(Role::Viewer, Method::GET, &format!("/api/v1/events{query}"));
    let open = listen("").send().await.expect("an answer");
    assert_eq!(open.headers()["content-type"], "text/event-stream");
    let incident = sample::incident(1, IncidentState::Open, 1);
    server.bus.publish(Event::Tick);
    for event in [Event::Incident(incident.id), Event::Diagnosis(incident.id)] {
        server.bus.publish(event);
    }
    let text = heard(open, "diagnosis").await;
    assert!(!text.contains("tick"), "{text}");
    let want = json!({ "event": "incident", "id": incident.id });
    let data: Vec<Value> = text
        .lines()
        .filter_map(|l| l.strip_prefix("data: "))
        .map(|d| serde_json::from_str(d).expect("JSON"))
        .collect();
    assert_eq!(data[0], want);
    let first = text.lines().find_map(|l| l.strip_prefix("id: ")).expect("an id");
    let again = listen("").header("Last-Event-ID", first).send().await.expect("an answer");
    let text = heard(again, "diagnosis").await;
    assert!(!text.contains("\"incident\""), "{text}");
    let foreign = listen("?last_event_id=0-7").send().await.expect("an answer");
    assert!(heard(foreign, "diagnosis").await.contains("lagged"));
    let last = listen("").send().await.expect("an answer");
    let (rest, _) = tokio::join!(heard(last, "never"), server.end());
    assert!(!rest.contains("data:"), "{rest}");
}

#[tokio::test]
async fn health_is_open_and_says_what_is_wrong() {
    let server = Server::start().await;
    let text = async |path: &str| {
        let answer = server.open(Method::GET, path).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.expect("text")
    };
    assert_eq!(text("/healthz").await, "ok\n");
    let ready: Value = serde_json::from_str(&text("/readyz").await).expect("JSON");
    assert_eq!(ready, json!({ "ready": true, "wrong": [], "degraded": [], "backlog": 0 }));
    // A source that is dead is named; a bot that can't do without it would be of no use then.
    let why = "connection refused".to_owned();
    let gap = Gap { what: "prometheus main".into(), why, since: Some(t0()), until: None };
    let batch = Batch { gaps: vec![gap], ..Batch::new("main", t0()) };
    server.state.shared.intake.accept(batch).await.expect("accepted");
    server.clock.set(t0().plus_ms(301_000));
    let ready: Value = serde_json::from_str(&text("/readyz").await).expect("JSON");
    assert_eq!((&ready["ready"], &ready["wrong"]), (&json!(true), &json!([])));
    let named = ready["degraded"][0].as_str().expect("named");
    assert!(named.starts_with("prometheus main can't be read since "), "{named}");
    assert!(text("/metrics").await.contains("nightjar_up 1"));
    let services = server.get("/api/v1/services").await;
    assert_eq!(
        services,
        json!({ "series": [], "edges": [], "calls": [], "firing": [], "blind": [] })
    );
    let status = server.get("/api/v1/status").await;
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["n_active"], &status["n_series"]), (&json!(0), &json!(0)));
    server.end().await;
}
