//! Decisions over the API: the digest that was read, the role that is asked for, the halt switch.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Server, failure, sample};
use crate::approve::tests::sample::{diagnosis, incident_as, proposal, t0};
use crate::bus::{Event, Heard};
use crate::model::action::Requirement;
use crate::model::{IncidentState, Proposal, Role};
use crate::stage::Stage as _;
use crate::store::Filter;

async fn offered(server: &Server, change: impl FnOnce(&mut Proposal)) -> Proposal {
    let incident = sample::incident(1, IncidentState::Open, 1);
    sample::put(server, &incident).await;
    let mut proposal = Proposal { incident: incident.id, ..proposal() };
    change(&mut proposal);
    let put = proposal.clone();
    server.store.write(move |tx| tx.put(&put)).await.expect("written");
    proposal
}

async fn decide(
    server: &Server,
    role: Role,
    (proposal, action): (&Proposal, &str),
    body: Value,
) -> (StatusCode, Value) {
    let path = format!("/api/v1/proposals/{}/{action}", proposal.id);
    let request = server.as_role(role, Method::POST, &path).json(&body);
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

fn message(answer: &Value) -> &str {
    answer["error"]["message"].as_str().expect("words")
}

#[tokio::test]
async fn what_was_read_is_approved_once_by_whoever_may() {
    let server = Server::start().await;
    let p = offered(&server, |_| {}).await;
    let right = json!({ "digest": p.digest.short(), "reason": "the pool is full" });
    let (status, words) = decide(&server, Role::Responder, (&p, "approve"), right.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(message(&words).contains("needs the role approver"), "{words}");
    for wrong in [json!({ "digest": "0".repeat(64) }), json!({ "digest": "" })] {
        let (status, words) = decide(&server, Role::Approver, (&p, "approve"), wrong).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(message(&words).contains("has changed since"), "{words}");
    }
    let (status, _) = decide(&server, Role::Approver, (&p, "approve"), json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a decision names what it is on");
    let mut heard = server.bus.subscribe();
    let (status, done) = decide(&server, Role::Approver, (&p, "approve"), right.clone()).await;
    assert_eq!((status, &done["state"]), (StatusCode::OK, &json!("approved")));
    assert_eq!(done["decisions"][0]["reason"], "the pool is full");
    assert_eq!(heard.next().await, Heard::Event(Event::Proposal(p.id)));
    assert_eq!(heard.next().await, Heard::Event(Event::Decided(p.id)));
    let (status, words) = decide(&server, Role::Approver, (&p, "approve"), right.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT, "a double click");
    assert!(message(&words).contains("already approved"), "{words}");
    let (status, _) = decide(&server, Role::Admin, (&p, "ignore"), right).await;
    assert_eq!(status, StatusCode::CONFLICT, "too late");
    let one = server.get(&format!("/api/v1/proposals/{}", p.id)).await;
    assert_eq!(one, done);
    let list =
        server.get(&format!("/api/v1/proposals?state=approved&incident={}", p.incident)).await;
    assert_eq!(list["proposals"], json!([done]));
    let none = server.get("/api/v1/proposals?state=open").await;
    assert_eq!(none["proposals"], json!([]));
    server.end().await;
}

#[tokio::test]
async fn two_people_are_two_people() {
    let server = Server::start().await;
    let requires = Requirement { role: Role::Approver, n_approvals: 2, no_self_approval: false };
    let p = offered(&server, |p| p.requires = requires).await;
    let yes = json!({ "digest": p.digest });
    let (_, first) = decide(&server, Role::Approver, (&p, "approve"), yes.clone()).await;
    assert_eq!(first["state"], "open");
    let (status, words) = decide(&server, Role::Approver, (&p, "approve"), yes.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(message(&words).contains("another person's"), "{words}");
    let (_, second) = decide(&server, Role::Admin, (&p, "approve"), yes).await;
    assert_eq!(second["state"], "approved");
    server.end().await;
}

#[tokio::test]
async fn a_plan_is_put_off_within_its_time_or_declined() {
    let server = Server::start().await;
    let p = offered(&server, |_| {}).await;
    let at = |ms: i64| json!({ "digest": p.digest, "at": t0().plus_ms(ms), "reason": "at night" });
    for ms in [-1, 0, 3_600_001] {
        let (status, words) = decide(&server, Role::Approver, (&p, "schedule"), at(ms)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{ms}: {words}");
    }
    let (status, _) =
        decide(&server, Role::Approver, (&p, "schedule"), json!({ "digest": p.digest })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a schedule says when");
    let (status, later) = decide(&server, Role::Approver, (&p, "schedule"), at(600_000)).await;
    assert_eq!((status, &later["state"]), (StatusCode::OK, &json!("scheduled")));
    assert_eq!(later["scheduled_for"], json!(t0().plus_ms(600_000)));
    assert_eq!(later["decisions"][0]["reason"], "at night");
    let no = json!({ "digest": p.digest, "reason": "it heals by itself" });
    let (status, ignored) = decide(&server, Role::Approver, (&p, "ignore"), no).await;
    assert_eq!((status, &ignored["state"]), (StatusCode::OK, &json!("ignored")));
    server.end().await;
}

#[tokio::test]
async fn other_parameters_are_checked_and_make_another_plan() {
    let mut server = Server::start().await;
    let incident = incident_as(None, IncidentState::Open);
    let id = incident.id;
    server
        .store
        .write(move |tx| {
            tx.put(&incident)?;
            tx.put(&diagnosis("unknown"))
        })
        .await
        .expect("written");
    server.offers.handle(Event::Diagnosis(id)).await.expect("offers");
    let all = server.store.read(|r| r.list::<Proposal>(&Filter::all())).await.expect("proposals");
    let old = all.iter().find(|p| p.plan.action == "first").expect("it is offered");
    let edit = |value: &str| json!({ "digest": old.digest, "parameters": { "value": value } });
    let (status, _) = decide(&server, Role::Viewer, (old, "edit"), edit("24")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, words) = decide(&server, Role::Approver, (old, "edit"), edit("65")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(message(&words).contains("at most 64"), "{words}");
    let (status, new) = decide(&server, Role::Approver, (old, "edit"), edit("24")).await;
    assert_eq!((status, &new["state"]), (StatusCode::OK, &json!("open")), "{new}");
    assert_eq!(new["plan"]["parameters"]["value"], "24");
    assert_eq!(new["edited_by"][0]["name"], "approver");
    assert_ne!(new["digest"], json!(old.digest));
    let (status, _) = decide(&server, Role::Approver, (old, "edit"), edit("32")).await;
    assert_eq!(status, StatusCode::CONFLICT, "that plan is no more");
    let number = json!({ "digest": new["digest"], "parameters": { "value": 24 } });
    let (status, _) = decide(&server, Role::Approver, (old, "edit"), number).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "values are text");
    server.end().await;
}

#[tokio::test]
async fn an_expired_proposal_is_refused() {
    let server = Server::start().await;
    let p = offered(&server, |_| {}).await;
    server.clock.set(p.expires_at);
    let yes = json!({ "digest": p.digest });
    let (status, words) = decide(&server, Role::Admin, (&p, "approve"), yes).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(message(&words).contains("expired at"), "{words}");
    server.end().await;
}

#[tokio::test]
async fn the_halt_switch_says_who_threw_it_and_why() {
    let server = Server::start().await;
    assert_eq!(server.get("/api/v1/halt").await, json!({ "halt": null }));
    let (status, set) = server.post("/api/v1/halt", json!({ "reason": "a freeze" })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(set["halt"]["reason"], "a freeze");
    assert_eq!(server.get("/api/v1/status").await["halt"]["by"]["name"], "admin");
    let lift = server.as_role(Role::Approver, Method::DELETE, "/api/v1/halt");
    assert_eq!(failure(lift.send().await.expect("an answer")).await.0, StatusCode::FORBIDDEN);
    let lift = server.as_role(Role::Admin, Method::DELETE, "/api/v1/halt");
    assert_eq!(lift.send().await.expect("an answer").status(), StatusCode::OK);
    assert_eq!(server.get("/api/v1/halt").await["halt"], Value::Null);
    let audit = server.get("/api/v1/audit?action=actions.&limit=5").await;
    let actions: Vec<&Value> =
        audit["records"].as_array().expect("records").iter().map(|r| &r["action"]).collect();
    assert_eq!(actions, ["actions.unhalt", "actions.halt"]);
    server.end().await;
}

#[tokio::test]
async fn runs_are_listed_by_incident() {
    let server = Server::start().await;
    let run = crate::approve::tests::sample::run(None);
    let put = run.clone();
    server.store.write(move |tx| tx.put(&put)).await.expect("written");
    let one = server.get(&format!("/api/v1/runs/{}", run.id)).await;
    assert_eq!(one["action"], run.action);
    let own = server.get(&format!("/api/v1/runs?incident={}", run.incident)).await;
    assert_eq!(own["runs"], json!([one]));
    let request = server.as_role(Role::Viewer, Method::GET, "/api/v1/runs/RUN-1");
    assert_eq!(failure(request.send().await.expect("an answer")).await.0, StatusCode::NOT_FOUND);
    server.end().await;
}
