//! Buttons and forms over the API: what is asked, what is wrong by field, what came of it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Server, failure, sample};
use crate::approve::tests::sample::proposal;
use crate::model::{IncidentState, Proposal, Role};

async fn send(server: &Server, role: Role, path: &str, body: Value) -> (StatusCode, Value) {
    let request = server.as_role(role, Method::POST, path).json(&body);
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

const PRESS: &str = "/api/v1/press";
const SUBMIT: &str = "/api/v1/submit";

#[tokio::test]
async fn a_button_opens_its_form_and_the_form_is_done_once() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(&server, &incident).await;
    let code = format!("v1:silence:{}", incident.id);
    let (status, opened) = send(&server, Role::Responder, PRESS, json!({ "code": code })).await;
    assert_eq!(status, StatusCode::OK, "{opened}");
    let form = &opened["form"];
    assert_eq!((&form["code"], &form["title"]), (&json!(code), &json!("Silence alerts")));
    assert_eq!(form["fields"][0]["kind"]["kind"], "lines");
    assert_eq!(form["fields"][0]["value"], "service=\"orders\"");
    let body = json!({ "code": code, "values": { "matchers": "nonsense", "duration": "1 h" } });
    let (status, wrong) = send(&server, Role::Responder, SUBMIT, body).await;
    assert_eq!(
        (status, &wrong["error"]["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid"))
    );
    let fields = wrong["error"]["fields"].as_object().expect("by field");
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["matchers", "reason"]);
    assert!(wrong["error"]["what_to_do"].is_string(), "{wrong}");
    let values = json!({ "matchers": "service=orders", "duration": "1 h", "reason": "noisy" });
    let body = json!({ "code": code, "values": values, "key": "k1" });
    let (status, done) = send(&server, Role::Responder, SUBMIT, body.clone()).await;
    assert_eq!((status, &done["incident"]), (StatusCode::OK, &json!(incident.id)), "{done}");
    assert!(done["words"].as_str().is_some_and(|w| w.starts_with("Silenced until")), "{done}");
    let (status, again) = send(&server, Role::Responder, SUBMIT, body).await;
    assert_eq!(status, StatusCode::CONFLICT, "{again}");
    let silences = server.get("/api/v1/silences").await;
    assert_eq!(silences["silences"].as_array().map(Vec::len), Some(1));
    server.end().await;
}

#[tokio::test]
async fn a_button_that_asks_nothing_says_so_and_refusals_have_their_status() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(&server, &incident).await;
    let p = Proposal { incident: incident.id, ..proposal() };
    let put = p.clone();
    server.store.write(move |tx| tx.put(&put)).await.expect("written");
    let take = format!("v1:acknowledge:{}", incident.id);
    let (status, opened) = send(&server, Role::Responder, PRESS, json!({ "code": take })).await;
    assert_eq!((status, opened), (StatusCode::OK, json!({ "form": null })));
    let (status, done) = send(&server, Role::Responder, SUBMIT, json!({ "code": take })).await;
    assert_eq!((status, &done["words"]), (StatusCode::OK, &json!("Incident #1 is yours.")));
    let why = json!({ "code": format!("v1:why:{}", incident.id) });
    let (_, done) = send(&server, Role::Viewer, SUBMIT, why).await;
    assert!(done["card"]["title"].as_str().is_some_and(|t| t.contains("#1")), "{done}");
    let stale = format!("v1:approve:{}:{}", p.id, "0".repeat(16));
    let right = format!("v1:approve:{}:{}", p.id, p.digest.short());
    let gone = format!("v1:resolve:{}", sample::incident(9, IncidentState::Open, 0).id);
    for (role, code, status, word) in [
        (Role::Viewer, &take, StatusCode::FORBIDDEN, "role responder"),
        (Role::Responder, &right, StatusCode::FORBIDDEN, "role approver"),
        (Role::Approver, &stale, StatusCode::CONFLICT, "has changed since"),
        (Role::Responder, &take, StatusCode::CONFLICT, "acknowledged"),
        (Role::Responder, &gone, StatusCode::NOT_FOUND, "does not exist"),
        (Role::Admin, &"@everyone".to_owned(), StatusCode::UNPROCESSABLE_ENTITY, "No such button"),
    ] {
        for path in [PRESS, SUBMIT] {
            let request = server.as_role(role, Method::POST, path).json(&json!({ "code": code }));
            let (found, _, text) = failure(request.send().await.expect("an answer")).await;
            assert_eq!(found, status, "{path} {code} as {role}: {text}");
            assert!(text.contains(word), "{path} {code}: {text}");
        }
    }
    let body = json!({ "code": right, "values": { "reason": "the pool is full" } });
    let (status, done) = send(&server, Role::Approver, SUBMIT, body).await;
    assert_eq!((status, &done["words"]), (StatusCode::OK, &json!("Approved: Set it back.")));
    let one = server.get(&format!("/api/v1/proposals/{}", p.id)).await;
    assert_eq!(
        (&one["state"], &one["decisions"][0]["reason"]),
        (&json!("approved"), &json!("the pool is full"))
    );
    server.end().await;
}

#[tokio::test]
async fn an_incident_is_opened_by_hand_and_stands_in_the_list() {
    let server = Server::start().await;
    let values = json!({ "title": "checkout pays twice", "service": "checkout" });
    let body = json!({ "code": "v1:declare:none", "values": values });
    let (status, done) = send(&server, Role::Responder, SUBMIT, body).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    let list = server.get("/api/v1/incidents?active=true").await;
    let one = &list["incidents"][0];
    assert_eq!((&one["id"], &one["title"]), (&done["incident"], &json!("checkout pays twice")));
    assert_eq!(one["declared_by"]["name"], "responder");
    server.end().await;
}
