//! What a button opens: by role, by state, by digest; and what is wrong with a form's answers.

use std::collections::BTreeMap;

use super::{World, alert, person, refusal, t0};
use crate::approve::tests::sample::{proposal, run};
use crate::chat::{Form, FormKind, Inlet as _, Pressed};
use crate::command::Counter;
use crate::model::action::{Effect, Requirement};
use crate::model::{
    AlertId, Incident, IncidentId, IncidentState, Proposal, ProposalState, Refused, Role, Run,
};

fn counter(world: &World) -> Counter {
    Counter::new(world.desk.clone())
}

/// The inputs' names, in order.
fn inputs(form: &Form) -> Vec<&str> {
    let asks = |f: &&crate::chat::FormField| f.kind != FormKind::Fixed;
    form.fields.iter().filter(asks).map(|f| f.name.as_str()).collect()
}

async fn opened(world: &World, role: Role, code: &str) -> Form {
    let form = counter(world).open(&person("ada", role), code).await.expect("she may");
    let form = form.expect("something is asked");
    assert!(form.title.chars().count() <= 24, "{}", form.title);
    assert!(inputs(&form).len() <= Form::MAX_FIELDS);
    assert!(form.fields.iter().all(|f| f.label.chars().count() <= 45), "{:?}", form.fields);
    form
}

async fn offered(world: &World, change: impl FnOnce(&mut Proposal)) -> (Proposal, String) {
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let mut p = Proposal { incident: incident.id, exact: "POST http://x".into(), ..proposal() };
    change(&mut p);
    let code = format!("v1:approve:{}:{}", p.id, p.digest.short());
    let put = p.clone();
    world.store.write(move |tx| tx.put(&put)).await.expect("written");
    (p, code)
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[tokio::test]
async fn each_button_of_an_incident_asks_its_own_questions_of_whoever_may() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    world.incident(2, IncidentState::Open, 1).await;
    let over = world.incident(3, IncidentState::Resolved, 1).await;
    for (verb, id, asked, word) in [
        ("assign", incident.id, vec!["to"], "assign"),
        ("resolve", incident.id, vec!["category", "reason"], "resolve"),
        ("not_an_incident", incident.id, vec!["reason"], "false alarm"),
        ("silence", incident.id, vec!["matchers", "duration", "reason"], "silence"),
        ("merge", incident.id, vec!["into", "reason"], "merge"),
        ("note", incident.id, vec!["text"], "write"),
        ("reopen", over.id, vec!["reason"], "reopen"),
    ] {
        let code = format!("v1:{verb}:{id}");
        let form = opened(&world, Role::Responder, &code).await;
        assert_eq!((inputs(&form), &form.code), (asked, &code));
        let vic = person("vic", Role::Viewer);
        let refused = refusal(counter(&world).open(&vic, &code).await);
        let Refused::Forbidden(text) = refused else { panic!("{refused:?}") };
        assert!(text.contains(word) && text.contains("role responder"), "{text}");
    }
    let form = opened(&world, Role::Responder, "v1:declare:none").await;
    assert_eq!(inputs(&form), ["title", "service", "severity", "text"]);
    assert!(counter(&world).open(&person("v", Role::Viewer), "v1:declare:none").await.is_err());
    let ada = person("ada", Role::Responder);
    for (verb, least) in [("acknowledge", Role::Responder), ("why", Role::Viewer)] {
        let code = format!("v1:{verb}:{}", incident.id);
        for role in [Role::Viewer, Role::Responder] {
            let asked = counter(&world).open(&person("x", role), &code).await;
            assert_eq!(asked.is_ok_and(|form| form.is_none()), role >= least, "{verb} as {role}");
        }
    }
    for (code, word) in [
        (format!("v1:acknowledge:{}", over.id), "is resolved"),
        (format!("v1:resolve:{}", over.id), "is resolved"),
        (format!("v1:assign:{}", over.id), "is resolved"),
        (format!("v1:reopen:{}", incident.id), "is open"),
        (format!("v1:note:{}", IncidentId::derive(t0(), &["none"])), "does not exist"),
        (format!("v1:silence:{}", AlertId::derive(t0(), &["none"])), "no such alert"),
        ("v1:dance:none".to_owned(), "its verb is unknown"),
        ("@everyone".to_owned(), "its version is unknown"),
    ] {
        let text = refusal(counter(&world).open(&ada, &code).await).to_string();
        assert!(text.contains(word), "{code}: {text}");
        let pressed = counter(&world).press(ada.clone(), code).await.expect("the store works");
        assert_eq!(pressed, Pressed::Refused(text));
    }
}

#[tokio::test]
async fn choices_are_filled_in_with_what_there_is() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let lonely = format!("v1:merge:{}", incident.id);
    let ada = person("ada", Role::Responder);
    let text = refusal(counter(&world).open(&ada, &lonely).await).to_string();
    assert!(text.contains("No other incident is active"), "{text}");
    let other = world.incident(2, IncidentState::Acknowledged, 1).await;
    let form = opened(&world, Role::Responder, &lonely).await;
    let field = form.fields.iter().find(|f| f.name == "into").expect("it is asked");
    let FormKind::Choice { options } = &field.kind else { panic!("{field:?}") };
    assert_eq!(options, &[(other.id.to_string(), "#2 orders is slow".to_owned())]);
    let silence = opened(&world, Role::Responder, &format!("v1:silence:{}", incident.id)).await;
    let own = |form: &Form, name: &str| {
        form.fields.iter().find(|f| f.name == name).expect("it is asked").value.clone()
    };
    assert_eq!(own(&silence, "matchers"), "service=\"orders\"");
    let one = alert(incident.id, 0).id;
    let silence = opened(&world, Role::Responder, &format!("v1:silence:{one}")).await;
    assert_eq!(own(&silence, "matchers"), "alertname=\"Slow0\"\nservice=\"orders\"");
    let nothing = opened(&world, Role::Responder, "v1:silence:none").await;
    assert_eq!(own(&nothing, "matchers"), "");
    // Whoever has a key, or spoke in a chat, can be given an incident; viewers can't.
    let people = [person("bea", Role::Responder), person("vic", Role::Viewer)];
    let known = world.desk.clone().with_people(std::sync::Arc::new(move |_| Ok(people.to_vec())));
    let code = format!("v1:assign:{}", incident.id);
    let form = Counter::new(known).open(&ada, &code).await.expect("she may").expect("a form");
    let field = form.fields.iter().find(|f| f.name == "to").expect("it is asked");
    let FormKind::Choice { options } = &field.kind else { panic!("{field:?}") };
    let names: Vec<&str> = options.iter().map(|(value, _)| value.as_str()).collect();
    assert_eq!(names, ["me", "console:bea"]);
}

#[tokio::test]
async fn a_decision_shows_exactly_what_will_be_done_and_asks_policy_first() {
    let world = World::new();
    let (p, code) = offered(&world, |_| {}).await;
    let form = opened(&world, Role::Approver, &code).await;
    assert_eq!((form.code.as_str(), form.danger), (code.as_str(), true));
    let text: String = form.fields.iter().map(|f| f.value.as_str()).collect();
    for word in ["Set it back", "POST http://x", "orders", "version = 4.7.2", "low"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(text.contains(p.digest.short()) && text.contains("2026-11-20 04:00 UTC"), "{text}");
    assert_eq!(inputs(&form), ["reason"], "without a runbook nothing can be chosen");
    let later = opened(&world, Role::Approver, &code.replace("approve", "schedule")).await;
    assert_eq!(inputs(&later), ["at", "reason"]);
    let at = later.fields.iter().find(|f| f.name == "at").expect("it is asked");
    assert_eq!(at.value, "2026-11-20 03:15 UTC");
    let no = opened(&world, Role::Approver, &code.replace("approve", "ignore")).await;
    assert_eq!((inputs(&no), no.danger), (vec!["reason"], false));
    let bea = person("bea", Role::Responder);
    let text = refusal(counter(&world).open(&bea, &code).await).to_string();
    assert!(text.contains("needs the role approver; you have responder"), "{text}");
}

#[tokio::test]
async fn a_stale_button_opens_nothing() {
    let world = World::new();
    let ada = person("ada", Role::Approver);
    let (p, code) = offered(&world, |_| {}).await;
    let stale = format!("v1:approve:{}:{}", p.id, "0".repeat(16));
    let text = refusal(counter(&world).open(&ada, &stale).await).to_string();
    assert!(text.contains("The plan has changed since"), "{text}");
    for (state, word) in [
        (ProposalState::Approved, "already approved"),
        (ProposalState::Finished, "already carried out"),
        (ProposalState::Ignored, "already declined"),
        (ProposalState::Superseded, "was withdrawn"),
        (ProposalState::Scheduled, "already scheduled"),
    ] {
        let put = Proposal { state, ..p.clone() };
        world.store.write(move |tx| tx.put(&put)).await.expect("written");
        let text = refusal(counter(&world).open(&ada, &code).await).to_string();
        assert!(text.contains(word), "{state:?}: {text}");
    }
    let put = p.clone();
    world.store.write(move |tx| tx.put(&put)).await.expect("written");
    world.clock.advance(std::time::Duration::from_secs(3_600));
    let text = refusal(counter(&world).open(&ada, &code).await).to_string();
    assert!(text.contains("expired at 2026-11-20 04:00 UTC"), "{text}");
    let gone =
        format!("v1:approve:{}:{}", crate::model::ProposalId::derive(t0(), &["x"]), "0".repeat(16));
    let text = refusal(counter(&world).open(&ada, &gone).await).to_string();
    assert!(text.contains("does not exist any more"), "{text}");
}

#[tokio::test]
async fn nobody_approves_what_is_their_own() {
    let world = World::new();
    let ada = person("ada", Role::Approver);
    let requires = Requirement { role: Role::Approver, n_approvals: 2, no_self_approval: true };
    let (_, code) = offered(&world, |p| {
        p.requires = requires;
        p.change_author = Some("@Ada".into());
    })
    .await;
    let text = refusal(counter(&world).open(&ada, &code).await).to_string();
    assert!(text.contains("authored the change"), "{text}");
    let form = counter(&world).open(&person("bea", Role::Approver), &code).await.expect("she may");
    let text: String = form.expect("a form").fields.iter().map(|f| f.value.clone()).collect();
    assert!(text.contains("2 different people with role approver"), "{text}");
}

#[tokio::test]
async fn the_way_back_is_the_form_of_its_own_proposal() {
    let world = World::new();
    let (p, _) = offered(&world, |_| {}).await;
    let done = Run { incident: p.incident, ..run(None) };
    let (id, put) = (done.id, done.clone());
    world.store.write(move |tx| tx.put(&put)).await.expect("written");
    let code = format!("v1:rollback:{id}");
    let ada = person("ada", Role::Approver);
    let text = refusal(counter(&world).open(&ada, &code).await).to_string();
    assert!(text.contains("its effect is still being measured"), "{text}");
    let helped = Run { outcome: run(Some(Effect::Helped)).outcome, ..done.clone() };
    world.store.write(move |tx| tx.put(&helped)).await.expect("written");
    let text = refusal(counter(&world).open(&ada, &code).await).to_string();
    assert!(text.contains("it helped"), "{text}");
    let back = Proposal {
        id: crate::model::ProposalId::derive(t0(), &["back"]),
        rollback_of: Some(id),
        ..p
    };
    let put = back.clone();
    world.store.write(move |tx| tx.put(&put)).await.expect("written");
    let form = opened(&world, Role::Approver, &code).await;
    assert_eq!(form.code, format!("v1:approve:{}:{}", back.id, back.digest.short()));
    let refused = refusal(counter(&world).open(&person("vic", Role::Viewer), &code).await);
    assert!(matches!(refused, Refused::Forbidden(_)), "{refused:?}");
}

#[tokio::test]
async fn what_is_wrong_with_answers_is_said_by_field() {
    let world = World::new();
    let incident: Incident = world.incident(1, IncidentState::Open, 1).await;
    let (p, approve) = offered(&world, |_| {}).await;
    let schedule = approve.replace("approve", "schedule");
    let of = |verb: &str| format!("v1:{verb}:{}", incident.id);
    let long = "x".repeat(10_000);
    for (code, given, wrong) in [
        (of("silence"), vec![], vec!["duration", "matchers", "reason"]),
        (
            of("silence"),
            vec![("matchers", "no operator"), ("duration", "a while"), ("reason", " ")],
            vec!["duration", "matchers", "reason"],
        ),
        (
            of("silence"),
            vec![("matchers", "a=b"), ("duration", "300 d"), ("reason", "x")],
            vec!["duration"],
        ),
        (
            of("silence"),
            vec![("matchers", "a=b\nc=~d.*"), ("duration", "2 h"), ("reason", "<!channel>")],
            vec![],
        ),
        (of("note"), vec![("text", "  ")], vec!["text"]),
        (of("note"), vec![("text", long.as_str())], vec![]),
        (of("assign"), vec![], vec!["to"]),
        (of("merge"), vec![("into", "#2")], vec!["into"]),
        (of("resolve"), vec![("category", "magic")], vec!["category"]),
        (of("resolve"), vec![], vec![]),
        (schedule.clone(), vec![], vec!["at"]),
        (schedule.clone(), vec![("at", "yesterday")], vec!["at"]),
        (schedule.clone(), vec![("at", "2026-11-20 02:00")], vec!["at"]),
        (schedule.clone(), vec![("at", "in 2 h")], vec!["at"]),
        (schedule, vec![("at", "in 30 min")], vec![]),
        ("v1:declare:none".into(), vec![("severity", "apocalyptic")], vec!["severity", "title"]),
        ("v1:declare:none".into(), vec![("title", "@everyone pays twice")], vec![]),
    ] {
        let ada = person("ada", Role::Approver);
        let faults = counter(&world).faults(Some(ada), code.clone(), values(&given)).await;
        let faults = faults.expect("the store works");
        let names: Vec<&str> = faults.keys().map(String::as_str).collect();
        assert_eq!(names, wrong, "{code} {given:?}: {faults:?}");
        assert!(faults.values().all(|text| text.ends_with('.') && text.len() < 400), "{faults:?}");
    }
    // What changed after the form was opened is said while it can still be read.
    let put = Proposal { state: ProposalState::Ignored, ..p };
    world.store.write(move |tx| tx.put(&put)).await.expect("written");
    let ada = person("ada", Role::Approver);
    let faults =
        counter(&world).faults(Some(ada), approve, values(&[])).await.expect("the store works");
    assert!(faults["reason"].contains("already declined"), "{faults:?}");
}
