//! Forms that are sent: what comes of each, once, with the digest that was seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attend::{Process, due};
use super::{World, person, refusal, t0};
use crate::approve::Workshop;
use crate::approve::tests::{offers, sample::proposal};
use crate::bus::Bus;
use crate::chat::{FormKind, Kept, Message};
use crate::command::{Clerk, Counter, Done, Problem, lists};
use crate::model::{IncidentState, Proposal, ProposalState, Refused, Role, Severity};
use crate::store::Filter;

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

async fn send(
    clerk: &Clerk,
    role: Role,
    (code, given): (&str, &[(&str, &str)]),
    key: &str,
) -> Result<Done, Problem> {
    clerk.submit(&person("ada", role), (code, values(given)), key).await
}

#[tokio::test]
async fn a_silence_is_ended_by_its_button_once_by_whoever_may() {
    let world = World::new();
    let clerk = Process::of(&world).clerk;
    let given = [("matchers", "service=\"orders\""), ("duration", "1 h"), ("reason", "planned")];
    send(&clerk, Role::Responder, ("v1:silence:none", &given), "").await.expect("silenced");
    let list = world.store.read(|r| lists::silences(r, None, t0())).await.expect("reads");
    let [end] = list.buttons.try_into().expect("one button");
    assert!(end.asks_first(), "it is done at once");
    let code = end.code();
    let vic = send(&clerk, Role::Viewer, (&code, &[]), "").await;
    assert!(matches!(refusal(vic), Refused::Forbidden(_)));
    let done = send(&clerk, Role::Responder, (&code, &[]), "").await.expect("ended");
    assert_eq!(done.words, "Ended: service=\"orders\". Its alerts are told again from now on.");
    let again = send(&clerk, Role::Responder, (&code, &[]), "").await;
    assert!(matches!(refusal(again), Refused::NotFound(_)));
    let list = world.store.read(|r| lists::silences(r, None, t0())).await.expect("reads");
    assert!(list.buttons.is_empty());
}

#[tokio::test]
async fn each_form_does_what_it_says() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let other = world.incident(2, IncidentState::Open, 1).await;
    let clerk = Process::of(&world).clerk;
    let id = incident.id;
    let into = other.id.to_string();
    for (verb, given, words, state) in [
        ("acknowledge", vec![], "Incident #1 is yours.", IncidentState::Acknowledged),
        (
            "assign",
            vec![("to", "nobody")],
            "Incident #1 is nobody's now.",
            IncidentState::Acknowledged,
        ),
        ("assign", vec![("to", "me")], "Incident #1 is ada's now.", IncidentState::Acknowledged),
        (
            "note",
            vec![("text", "on it")],
            "Your update stands in the thread.",
            IncidentState::Acknowledged,
        ),
        (
            "resolve",
            vec![("category", "external")],
            "Incident #1 is resolved.",
            IncidentState::Resolved,
        ),
        ("reopen", vec![("reason", "again")], "Incident #1 is open again.", IncidentState::Open),
        ("not_an_incident", vec![], "Incident #1 is resolved.", IncidentState::Resolved),
        ("reopen", vec![], "Incident #1 is open again.", IncidentState::Open),
        (
            "merge",
            vec![("into", into.as_str())],
            "It is part of incident #2 now.",
            IncidentState::Merged,
        ),
    ] {
        let code = format!("v1:{verb}:{id}");
        let vic = send(&clerk, Role::Viewer, (&code, &given), "").await;
        assert!(matches!(refusal(vic), Refused::Forbidden(_)), "{verb}");
        let done = send(&clerk, Role::Responder, (&code, &given), "").await.expect(verb);
        assert_eq!((done.words.as_str(), world.read(id).await.state), (words, state));
        if verb == "resolve" {
            assert_eq!(world.read(id).await.category.as_deref(), Some("external"));
        }
    }
    let code = format!("v1:assign:{}", other.id);
    let text = refusal(send(&clerk, Role::Responder, (&code, &[("to", "slack:U9")]), "").await);
    assert!(text.to_string().contains("Nobody who may respond is known as `slack:U9`"), "{text}");
    let long = "x".repeat(10_000);
    let given = [("title", "@everyone\n pays  twice"), ("severity", "warning"), ("text", &long)];
    let done = send(&clerk, Role::Responder, ("v1:declare:none", &given), "").await.expect("done");
    let made = world.read(done.incident.expect("one was opened")).await;
    assert_eq!((made.title.as_str(), made.severity), ("@everyone pays twice", Severity::Warning));
    assert!(world.timeline(made.id).await[0].text.len() < 4_100);
    assert_eq!(due(&world).await, 0, "refused or done, all are handled");
}

#[tokio::test]
async fn the_same_key_does_it_once_and_people_have_their_own_keys() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let clerk = Process::of(&world).clerk;
    let code = format!("v1:note:{}", incident.id);
    let given: &[(&str, &str)] = &[("text", "on it")];
    send(&clerk, Role::Responder, (&code, given), "k").await.expect("done");
    let text = refusal(send(&clerk, Role::Responder, (&code, given), "k").await).to_string();
    assert!(text.contains("handled already"), "{text}");
    let bea = person("bea", Role::Responder);
    clerk.submit(&bea, (&code, values(given)), "k").await.expect("hers is another");
    assert_eq!(world.timeline(incident.id).await.len(), 2);
    let text = refusal(send(&clerk, Role::Responder, (&code, given), &"k".repeat(300)).await);
    assert!(text.to_string().contains("choose a shorter one"), "{text}");
    // A request that holds it keeps everybody else off it.
    let held = clerk.claim("console:form:console:ada:h").expect("free");
    let text = refusal(send(&clerk, Role::Responder, (&code, given), "h").await).to_string();
    assert!(text.contains("at this moment"), "{text}");
    drop(held);
    send(&clerk, Role::Responder, (&code, given), "h").await.expect("free again");
}

#[tokio::test]
async fn what_a_request_left_behind_is_done_by_the_stage() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let first = Process::of(&world);
    let code = format!("v1:note:{}", incident.id);
    let actor = person("ada", Role::Responder);
    let sent = (code.as_str(), values(&[("text", "on it")]), "k");
    let button = crate::chat::Button::parse(&code).expect("a button");
    let kept = first.clerk.submission(&actor, &button, sent).await.expect("reads");
    first.hear(kept).await;
    drop(first);
    let mut second = Process::of(&world);
    second.attend(&world).await;
    assert_eq!(world.timeline(incident.id).await.len(), 1);
}

/// A clerk over the offers' world, whose runbook lets people choose `value`.
async fn workshop() -> (offers::World, Clerk, Proposal) {
    workshop_of(offers::World::new().await).await
}

async fn workshop_of(mut world: offers::World) -> (offers::World, Clerk, Proposal) {
    let proposal = world.diagnosed().await.remove(0);
    let library = world.stage.library.clone();
    let desk = crate::command::Desk::new(world.store.clone(), Bus::default(), world.clock.clone())
        .with_workshop(Workshop { library, settings: BTreeMap::new() });
    let reader = world.store.reader();
    let assistant = crate::assist::Assistant::new(reader, None, crate::assist::Config::default());
    (world, Clerk::new(Counter::new(desk), assistant, Vec::new()), proposal)
}

#[tokio::test]
async fn changed_parameters_make_a_new_plan_that_is_what_is_approved() {
    let (world, clerk, p) = workshop().await;
    let ada = person("ada", Role::Approver);
    let code = format!("v1:approve:{}:{}", p.id, p.digest.short());
    let form = clerk.counter().open(&ada, &code).await.expect("she may").expect("a form");
    let field = form.fields.iter().find(|f| f.name == "parameter.value").expect("it is asked");
    assert_eq!((field.value.as_str(), &field.kind), ("16", &FormKind::Text));
    assert!(field.hint.contains("1 to 64"), "{}", field.hint);
    for bad in ["0", "65", "many", "1; rm -rf /", ""] {
        let given = values(&[("parameter.value", bad)]);
        let faults = clerk.counter().check(&code, &given).await.expect("a button");
        assert!(faults["parameter.value"].contains("between 1 and 64"), "{bad}: {faults:?}");
    }
    let found =
        super::super::lists::runbook(clerk.counter().desk(), "two-ways").expect("it is there");
    assert!(found.text().contains("Steps for people.") && found.text().contains("platform team"));
    let given = [("parameter.value", "24"), ("parameter.other", "x"), ("reason", "half of it")];
    let done = send(&clerk, Role::Approver, (&code, &given), "").await.expect("she may");
    assert!(done.words.starts_with("Approved: Set orders to 24"), "{}", done.words);
    let all = world.proposals().await;
    let now = all.iter().find(|q| q.id == p.id).expect("kept");
    assert_eq!((now.state, now.plan.parameters["value"].as_str()), (ProposalState::Approved, "24"));
    assert_ne!(now.digest, p.digest);
    assert_eq!(now.decisions[0].digest, now.digest, "what was approved is the plan as it stands");
    assert_eq!(now.edited_by, [ada]);
    let text = refusal(send(&clerk, Role::Approver, (&code, &given), "").await).to_string();
    assert!(text.contains("already approved"), "{text}");
}

#[tokio::test]
async fn who_may_not_approve_what_they_change_changes_nothing_unless_they_say_so() {
    let mut world = offers::World::new().await;
    world.stage.policy.no_self_approval = true;
    let (world, clerk, p) = workshop_of(world).await;
    let ada = person("ada", Role::Approver);
    let code = format!("v1:approve:{}:{}", p.id, p.digest.short());
    let form = clerk.counter().open(&ada, &code).await.expect("she may").expect("a form");
    let then = form.fields.iter().find(|f| f.name == "then").expect("it is asked");
    assert_eq!(then.value, "approve");

    let at_once = [("parameter.value", "24"), ("then", "approve")];
    let text = refusal(send(&clerk, Role::Approver, (&code, &at_once), "").await).to_string();
    assert!(text.starts_with("You edited its parameters"), "{text}");
    assert!(text.ends_with("Nothing was changed or approved."), "{text}");
    let all = world.proposals().await;
    assert!(all.contains(&p), "neither edited nor decided");
    let refused = world.audit().await.into_iter().find(|(a, _)| a == "decision.refuse");
    assert!(refused.expect("on record").1.contains("24"));

    let alone = [("parameter.value", "24"), ("then", "change")];
    let done = send(&clerk, Role::Approver, (&code, &alone), "").await.expect("she may");
    assert_eq!(done.words, "Changed: Set orders to 24. A colleague can approve it now.");
    let all = world.proposals().await;
    let now = all.iter().find(|q| q.id == p.id).expect("kept");
    assert_eq!((now.state, now.decisions.len()), (ProposalState::Open, 0));
    let code = format!("v1:approve:{}:{}", p.id, now.digest.short());
    let own = refusal(clerk.counter().open(&ada, &code).await).to_string();
    assert!(own.starts_with("You edited its parameters"), "{own}");
    let bob = person("bob", Role::Approver);
    let done = clerk.submit(&bob, (&code, BTreeMap::new()), "").await.expect("he may");
    assert!(done.words.starts_with("Approved: Set orders to 24"), "{}", done.words);
}

#[tokio::test]
async fn a_form_that_was_overtaken_decides_nothing() {
    let (world, clerk, p) = workshop().await;
    let old = format!("v1:approve:{}:{}", p.id, p.digest.short());
    let bea = person("bea", Role::Responder);
    let edit = values(&[("value", "8")]);
    let desk = clerk.counter().desk();
    desk.edit(&bea, p.id, &p.digest.0, edit, "").await.expect("she may");
    for given in [&[][..], &[("parameter.value", "24")][..]] {
        let text = refusal(send(&clerk, Role::Approver, (&old, given), "").await).to_string();
        assert!(text.contains("The plan has changed since"), "{text}");
    }
    let all = world.proposals().await;
    let now = all.iter().find(|q| q.id == p.id).expect("kept");
    assert_eq!((now.state, now.plan.parameters["value"].as_str()), (ProposalState::Open, "8"));
    let due = world.store.read(|r| r.count::<Kept>(&Filter::states(["due"]))).await;
    assert_eq!(due.expect("reads"), 0);
}

#[tokio::test]
async fn a_time_is_chosen_or_it_is_declined() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let p = Proposal { incident: incident.id, ..proposal() };
    let put = p.clone();
    world.store.write(move |tx| tx.put(&put)).await.expect("written");
    let clerk = Process::of(&world).clerk;
    let of = |verb: &str| format!("v1:{verb}:{}:{}", p.id, p.digest.short());
    let given: &[(&str, &str)] = &[("at", "in 30 min")];
    let done = send(&clerk, Role::Approver, (&of("schedule"), given), "").await.expect("done");
    assert_eq!(done.words, "Scheduled for 2026-11-20 03:30 UTC: Set it back.");
    assert_eq!(done.incident, Some(incident.id));
    let given: &[(&str, &str)] = &[("reason", "no need")];
    let done = send(&clerk, Role::Approver, (&of("ignore"), given), "").await.expect("done");
    assert_eq!(done.words, "Declined: Set it back.");
    let text = refusal(send(&clerk, Role::Approver, (&of("ignore"), given), "").await);
    assert!(text.to_string().contains("already declined"), "{text}");
    assert!(t0() < p.expires_at);
}

#[tokio::test]
async fn an_explanation_comes_back_and_stands_nowhere() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let clerk: Clerk = Process::of(&world).clerk;
    let code = format!("v1:why:{}", incident.id);
    let done = send(&clerk, Role::Viewer, (&code, &[]), "").await.expect("anybody may");
    let card = done.card.expect("the explanation");
    assert!(card.title.contains("#1 orders is slow"), "{card:?}");
    let none = world.store.read(|r| r.count::<Message>(&Filter::all())).await.expect("reads");
    assert_eq!((none, due(&world).await), (0, 0));
    let shared = Arc::new(clerk);
    assert!(shared.counter().check(&code, &[].into()).await.expect("a button").is_empty());
}
