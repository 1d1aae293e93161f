//! Incidents over the API: reading, the whole life of one, its thread.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Server, failure, sample};
use crate::bus::Heard;
use crate::model::{Alert, Incident, IncidentId, IncidentState, Role, TimelineEntry};
use crate::store::{AuditFilter, Filter};

#[tokio::test]
async fn an_incident_goes_through_its_life() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 2);
    sample::put(&server, &incident).await;
    let at = |action: &str| format!("/api/v1/incidents/{}/{action}", incident.id);
    let mut states = Vec::new();
    for (action, body) in [
        ("acknowledge", json!({})),
        ("assign", json!({ "to": "token:responder" })),
        ("notes", json!({ "text": " rolled back by hand " })),
        ("resolve", json!({ "reason": "rolled back" })),
        ("reopen", json!({ "reason": "it is back" })),
        ("resolve", json!({})),
        ("review", json!({ "text": "the pool was too small" })),
    ] {
        let (status, answer) = server.post(&at(action), body).await;
        assert_eq!(status, StatusCode::OK, "{action}: {answer}");
        states.push(answer["state"].as_str().unwrap_or("note").to_owned());
    }
    let want = ["acknowledged", "acknowledged", "note", "resolved", "open", "resolved", "reviewed"];
    assert_eq!(states, want);
    let whole = server.get(&format!("/api/v1/incidents/{}", incident.id)).await;
    assert_eq!(whole["incident"]["owner"]["name"], "responder");
    assert_eq!(whole["incident"]["n_reopened"], 1);
    assert_eq!(whole["n_alerts"], 2);
    let texts: Vec<&str> = whole["timeline"]
        .as_array()
        .expect("a timeline")
        .iter()
        .map(|e| e["text"].as_str().expect("words"))
        .collect();
    for said in [
        "Given to responder by admin.",
        "admin: rolled back by hand",
        "Incident resolved: rolled back",
        "Incident reopened: it is back",
        "Incident reviewed: the pool was too small",
    ] {
        assert!(texts.contains(&said), "{said}: {texts:#?}");
    }
    let about =
        AuditFilter { subject: Some(incident.id.to_string()), limit: 50, ..Default::default() };
    let records = server.store.read(move |r| r.audit_records(&about)).await.expect("records");
    assert_eq!(records.len(), 7, "each step left a record: {records:#?}");
    assert!(records.iter().all(|r| r.actor.name == "admin"));
    // What can't follow is refused in words, and leaves nothing behind.
    let (status, words) = server.post(&at("acknowledge"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let message = words["error"]["message"].as_str().expect("words");
    assert!(message.contains("#1 is reviewed") && message.contains("Possible now"), "{message}");
    let (status, _) = server.post(&at("assign"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, _) = server.post(&at("notes"), json!({ "text": " " })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let n = server.store.read(|r| r.count::<TimelineEntry>(&Filter::all())).await.expect("a count");
    assert_eq!(n as usize, texts.len());
    server.end().await;
}

#[tokio::test]
async fn an_incident_is_given_to_known_people_only() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(&server, &incident).await;
    let path = format!("/api/v1/incidents/{}/assign", incident.id);
    let (status, words) = server.post(&path, json!({ "to": "token:nobody-here" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{words}");
    let (_, given) = server.post(&path, json!({})).await;
    assert_eq!(given["owner"]["name"], "admin", "left out, it is me");
    assert_eq!(given["state"], "open", "they have not looked yet");
    let (_, given) = server.post(&path, json!({ "to": "nobody" })).await;
    assert_eq!(given["owner"], Value::Null);
    server.end().await;
}

#[tokio::test]
async fn incidents_are_merged_and_split() {
    let server = Server::start().await;
    let (a, b) =
        (sample::incident(1, IncidentState::Open, 3), sample::incident(2, IncidentState::Open, 1));
    sample::put(&server, &a).await;
    sample::put(&server, &b).await;
    let split = format!("/api/v1/incidents/{}/split", a.id);
    let out = json!({ "alerts": [a.alerts[0]], "reason": "another fault" });
    let (status, new) = server.post(&split, out.clone()).await;
    assert_eq!(status, StatusCode::OK, "{new}");
    assert_eq!(new["alerts"], json!([a.alerts[0]]));
    let own = server.get(&format!("/api/v1/alerts/{}", a.alerts[0])).await;
    assert_eq!(own["incident"], new["id"]);
    let (status, words) = server.post(&split, out).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "it is not in it any more: {words}");
    let all = json!({ "alerts": &a.alerts[1..] });
    assert_eq!(server.post(&split, all).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let merge = format!("/api/v1/incidents/{}/merge", b.id);
    let (status, whole) = server.post(&merge, json!({ "into": a.id })).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    assert_eq!(whole["id"], json!(a.id));
    assert_eq!(whole["alerts"].as_array().map(Vec::len), Some(3));
    let gone = server.get(&format!("/api/v1/incidents/{}", b.id)).await;
    assert_eq!(gone["incident"]["state"], "merged");
    assert_eq!(gone["incident"]["merged_into"], json!(a.id));
    assert_eq!(server.post(&merge, json!({ "into": a.id })).await.0, StatusCode::CONFLICT);
    let itself = format!("/api/v1/incidents/{}/merge", a.id);
    let (status, _) = server.post(&itself, json!({ "into": a.id })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let active = server.get("/api/v1/incidents?active=true").await;
    assert_eq!(active["incidents"].as_array().map(Vec::len), Some(2));
    let alerts = server.get(&format!("/api/v1/alerts?incident={}&status=firing", a.id)).await;
    assert_eq!(alerts["alerts"].as_array().map(Vec::len), Some(3));
    server.end().await;
}

#[tokio::test]
async fn a_list_of_what_reached_nobody_says_how_much_it_leaves_out() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 2);
    sample::put(&server, &incident).await;
    let held = (2..5).map(|n| Alert { incident: None, ..sample::alert(incident.id, n) });
    let held: Vec<Alert> = held.collect();
    let put = move |tx: &crate::store::Tx<'_>| held.iter().try_for_each(|a| tx.put(a));
    server.store.write(put).await.expect("written");
    let said = async |query: &str| {
        let given = server.get(&format!("/api/v1/alerts?{query}")).await;
        (
            given["alerts"].as_array().map(Vec::len),
            given["n_found"].clone(),
            given["is_cut"].clone(),
        )
    };
    assert_eq!(said("held=true").await, (Some(3), json!(3), json!(false)));
    assert_eq!(said("held=true&limit=2").await, (Some(2), json!(3), json!(true)));
    assert_eq!(said("held=false&limit=2").await, (Some(2), json!(2), json!(false)));
    assert_eq!(said("limit=4").await, (Some(4), Value::Null, json!(true)));
    server.end().await;
}

#[tokio::test]
async fn a_false_alarm_is_kept_as_one() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(&server, &incident).await;
    let path = format!("/api/v1/incidents/{}/not-an-incident", incident.id);
    let (status, over) = server.post(&path, json!({ "reason": "a planned test" })).await;
    assert_eq!(status, StatusCode::OK, "{over}");
    assert_eq!(
        (&over["state"], &over["category"]),
        (&json!("resolved"), &json!("not_an_incident"))
    );
    server.end().await;
}

#[tokio::test]
async fn lists_page_by_time_and_take_states() {
    let server = Server::start().await;
    for n in 1..=5 {
        let state = if n % 2 == 0 { IncidentState::Resolved } else { IncidentState::Open };
        let mut incident = sample::incident(n, state, 0);
        incident.opened_at = incident.opened_at.plus_ms(i64::try_from(n).expect("small") * 1_000);
        sample::put(&server, &incident).await;
    }
    let numbers = async |query: &str| {
        let found = server.get(&format!("/api/v1/incidents?{query}")).await;
        let list = found["incidents"].as_array().expect("a list").clone();
        list.iter().map(|i| i["number"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(numbers("limit=2").await, [5, 4]);
    let first = server.get("/api/v1/incidents?limit=2").await;
    let before = first["incidents"][1]["opened_at"].as_str().expect("a time").to_owned();
    assert_eq!(numbers(&format!("limit=2&before={before}")).await, [3, 2]);
    assert_eq!(numbers("state=resolved").await, [4, 2]);
    assert_eq!(numbers("state=resolved,open&limit=9").await, [5, 4, 3, 2, 1]);
    assert_eq!(numbers("active=true").await, [5, 3, 1]);
    server.end().await;
}

#[tokio::test]
async fn a_question_in_the_thread_is_kept_and_answered_there() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(&server, &incident).await;
    let path = format!("/api/v1/incidents/{}/messages", incident.id);
    let ask = async || {
        let body = json!({ "text": "what is the status?", "key": "k1" });
        let request = server.as_role(Role::Viewer, Method::POST, &path).json(&body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json::<Value>().await.expect("JSON")
    };
    let mut heard = server.bus.subscribe();
    let said = ask().await;
    assert_eq!(said["author"]["name"], "viewer");
    assert_eq!(ask().await["id"], said["id"], "the same key is the same message");
    let answers = async || {
        let all = server.get(&path).await["messages"].as_array().expect("a list").clone();
        all.into_iter().filter(|m| m["author"]["via"] == "nightjar").collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    while found.is_empty() {
        let next = tokio::time::timeout(Duration::from_secs(30), heard.next()).await;
        assert!(matches!(next.expect("an answer comes"), Heard::Event(_)));
        found = answers().await;
    }
    assert_eq!(found.len(), 1, "one answer to one question");
    assert_eq!(found[0]["content"]["content"], "card");
    assert!(found[0]["content"]["card"]["footer"].as_str().is_some_and(|f| f.contains("No model")));
    for empty in [json!({ "text": " " }), json!({ "text": "x".repeat(2_001) })] {
        assert_eq!(server.post(&path, empty).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let nowhere = IncidentId::derive(incident.opened_at, &["other"]);
    let nowhere = format!("/api/v1/incidents/{nowhere}/messages");
    assert_eq!(server.post(&nowhere, json!({ "text": "?" })).await.0, StatusCode::NOT_FOUND);
    let request = server.as_role(Role::Viewer, Method::GET, &nowhere);
    assert_eq!(failure(request.send().await.expect("an answer")).await.0, StatusCode::NOT_FOUND);
    server.end().await;
}

#[tokio::test]
async fn why_explains_alerts_and_incidents() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(&server, &incident).await;
    let alert = server.get(&format!("/api/v1/why/{}", incident.alerts[0])).await;
    let lines = alert["lines"].as_array().expect("lines");
    assert!(lines.iter().any(|l| l.as_str().is_some_and(|l| l.contains("incident #1"))), "{alert}");
    let whole = server.get(&format!("/api/v1/why/{}", incident.id)).await;
    assert!(whole["title"].as_str().is_some_and(|t| t.starts_with("#1 ")), "{whole}");
    let gone = Incident { id: IncidentId::derive(incident.opened_at, &["x"]), ..incident };
    let path = format!("/api/v1/why/{}", gone.id);
    let request = server.as_role(Role::Viewer, Method::GET, &path);
    assert_eq!(failure(request.send().await.expect("an answer")).await.0, StatusCode::NOT_FOUND);
    server.end().await;
}

/// An alert in no incident; the same number gives the same one.
fn loose(n: usize, began_s: i64, decision: Option<&str>) -> Alert {
    let incident = sample::incident(1, IncidentState::Open, 1);
    let mut alert = sample::alert(incident.id, n);
    (alert.incident, alert.decision) = (None, decision.map(str::to_owned));
    alert.starts_at = alert.starts_at.plus_ms(began_s * 1_000);
    alert
}

#[tokio::test]
async fn what_was_held_is_paged_through_to_its_end_however_much_there_is() {
    let server = Server::start().await;
    // Many began at one time; between them and the oldest lie more than one page looks through.
    let mut all: Vec<_> =
        (0..23).map(|n| loose(n, 60 - (n as i64 / 8), Some("Kept quiet."))).collect();
    all.extend((100..5_200).map(|n| loose(n, 30, None)));
    all.extend((6_000..6_003).map(|n| loose(n, 10, Some("Kept quiet."))));
    let held: std::collections::BTreeSet<String> =
        all.iter().filter(|a| a.decision.is_some()).map(|a| a.id.to_string()).collect();
    server.store.write(move |tx| all.iter().try_for_each(|a| tx.put(a))).await.expect("written");
    let (mut seen, mut times, mut cursor, mut pages) = (Vec::new(), Vec::new(), String::new(), 0);
    loop {
        let given = server.get(&format!("/api/v1/alerts?held=true&limit=5{cursor}")).await;
        for alert in given["alerts"].as_array().expect("a list") {
            seen.push(alert["id"].as_str().expect("an id").to_owned());
            times.push(alert["starts_at"].as_str().expect("a time").to_owned());
        }
        pages += 1;
        assert_eq!(given["is_cut"], json!(given["next"].is_string()));
        match given["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert!(pages < 50, "it comes to an end");
    }
    assert_eq!(seen.len(), held.len(), "each once");
    assert_eq!(seen.into_iter().collect::<std::collections::BTreeSet<_>>(), held);
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first");
    // All alerts, by the same way.
    let first = server.get("/api/v1/alerts?limit=1000").await;
    assert!(first["is_cut"] == true && first["n_found"].is_null());
    let wrong = server.as_role(Role::Viewer, Method::GET, "/api/v1/alerts?cursor=yesterday");
    let answer = wrong.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    server.end().await;
}
