//! Every card and every form, as both platforms get it, within the limits of each.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::attend::{Process, inbound, posts};
use super::{World, person, t0};
use crate::approve::tests::sample::{diagnosis, incident_as, proposal, run};
use crate::chat::slack::render::tests as slack;
use crate::chat::{Content, Form, Inlet as _, Said, discord};
use crate::command::{Counter, answer_card};
use crate::model::action::{Decision, Effect};
use crate::model::*;
use crate::notify::{Facts, incident_card};

/// An incident in each state that its card tells apart.
fn incidents() -> Vec<(&'static str, Content)> {
    use IncidentState::{Acknowledged, Merged, Mitigating, Monitoring, Open, Resolved};
    let of = |state| Facts {
        incident: incident_as(None, state),
        alerts: Vec::new(),
        diagnosis: Some(diagnosis("saturation")),
        proposals: Vec::new(),
        runs: Vec::new(),
        predicted: None,
    };
    let other = Proposal {
        id: ProposalId::derive(t0(), &["other"]),
        title: "Roll orders back to 4.7.1".into(),
        worth: 0.1,
        ..proposal()
    };
    let later = t0().plus_ms(1_800_000);
    let scheduled = Proposal {
        state: ProposalState::Scheduled,
        scheduled_for: Some(later),
        decisions: vec![Decision {
            actor: person("ada", Role::Approver),
            verdict: Verdict::Schedule { at: later },
            digest: proposal().digest,
            reason: String::new(),
            at: t0(),
        }],
        ..proposal()
    };
    let high = Proposal { risk: Risk::High, ..proposal() };
    let done = |effect| Facts { runs: vec![run(effect)], ..of(Monitoring) };
    let under_way = Run { state: RunState::Running, ..run(None) };
    let weak = Facts {
        incident: Incident { severity: Severity::Warning, ..incident_as(None, Open) },
        diagnosis: None,
        ..of(Open)
    };
    let all = [
        ("open, nothing known yet", weak),
        ("open, with an offer", Facts { proposals: vec![proposal()], ..of(Open) }),
        ("open, with two offers", Facts { proposals: vec![proposal(), other], ..of(Open) }),
        ("open, with an offer of high risk", Facts { proposals: vec![high], ..of(Open) }),
        ("acknowledged", of(Acknowledged)),
        ("approved for later", Facts { proposals: vec![scheduled], ..of(Acknowledged) }),
        ("a run under way", Facts { runs: vec![under_way], ..of(Mitigating) }),
        ("a run that is measured", done(None)),
        ("a run that helped", done(Some(Effect::Helped))),
        ("a run that changed nothing", done(Some(Effect::NoChange))),
        ("resolved", of(Resolved)),
        ("merged", of(Merged)),
    ];
    let card = |facts: &Facts| Content::card(incident_card(facts, t0().plus_ms(60_000)));
    all.iter().map(|(name, facts)| (*name, card(facts))).collect()
}

/// What each command shows, an answer, and a person's own page.
async fn lists() -> Vec<(String, Content)> {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 2).await;
    world.incident(2, IncidentState::Acknowledged, 1).await;
    let offer = Proposal { incident: incident.id, ..proposal() };
    let silence: Silence = serde_json::from_value(json!({
        "id": SilenceId::derive(t0(), &["one"]),
        "matchers": [r#"service="orders""#.parse::<Matcher>().expect("a matcher")],
        "starts_at": t0(), "ends_at": t0().plus_ms(3_600_000),
        "author": crate::model::Actor { via: "slack".into(), ..person("ada", Role::Approver) },
        "reason": "it is noisy", "maintenance": false,
    }))
    .expect("a silence");
    let put = (offer, silence);
    world
        .store
        .write(move |tx| {
            tx.put(&put.0)?;
            tx.put(&put.1)
        })
        .await
        .expect("written");
    let mut process = Process::of(&world);
    let mut all = Vec::new();
    for line in [
        "help",
        "status",
        "incidents",
        "incident 1",
        "approve-list",
        "silences",
        "oncall",
        "why 1",
        "runbook none",
        "dance",
        "ask what is going on?",
    ] {
        let n_said = process.chat.said().len();
        let before: Vec<String> = posts(&world).await.into_iter().map(|p| p.key).collect();
        let said = Said::Command { text: line.to_owned() };
        process.hear(inbound(line, Role::Approver, said)).await;
        process.attend(&world).await;
        let said = process.chat.said().into_iter().skip(n_said).map(|(_, content)| content);
        let mut told: Vec<Content> = said.collect();
        let new = posts(&world).await.into_iter().filter(|p| !before.contains(&p.key));
        told.extend(new.map(|p| p.content));
        assert!(!told.is_empty(), "`{line}` shows something");
        all.extend(told.into_iter().map(|content| (line.to_owned(), content)));
    }
    let counter = Counter::new(world.desk.clone());
    for card in counter.home(person("ada", Role::Approver)).await.expect("reads") {
        all.push(("home".to_owned(), Content::card(card)));
    }
    let answer: crate::assist::Answer = serde_json::from_value(json!({
        "text": "orders waits for a connection [1].\n\n```\n20 of 20 in use\n```", "intent": "why",
        "citations": [],
        "gaps": [{ "what": "logs of orders", "why": "none were sent", "since": null, "until": null }],
        "notes": ["One sentence was cut."], "model": null, "took_ms": 1,
        "cost": crate::assist::Cost::default(),
    }))
    .expect("an answer");
    all.push(("answer".to_owned(), Content::card(answer_card(&answer))));
    all
}

/// The form of each button that asks something.
async fn forms() -> Vec<(&'static str, Form)> {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    world.incident(2, IncidentState::Open, 1).await;
    let over = world.incident(3, IncidentState::Resolved, 1).await;
    let offer = Proposal { incident: incident.id, exact: "POST http://x".into(), ..proposal() };
    let (plan, put) = (format!("{}:{}", offer.id, offer.digest.short()), offer);
    world.store.write(move |tx| tx.put(&put)).await.expect("written");
    let counter = Counter::new(world.desk.clone());
    let mut all = Vec::new();
    for (verb, subject) in [
        ("approve", plan.clone()),
        ("schedule", plan.clone()),
        ("ignore", plan),
        ("assign", incident.id.to_string()),
        ("resolve", incident.id.to_string()),
        ("not_an_incident", incident.id.to_string()),
        ("silence", incident.id.to_string()),
        ("merge", incident.id.to_string()),
        ("note", incident.id.to_string()),
        ("reopen", over.id.to_string()),
        ("declare", "none".to_owned()),
    ] {
        let code = format!("v1:{verb}:{subject}");
        let opened = counter.open(&person("ada", Role::Approver), &code).await.expect("she may");
        all.push((verb, opened.expect("something is asked")));
    }
    all
}

/// All of them as one text, once nothing is wrong with any.
fn page<'a>(all: impl IntoIterator<Item = (&'a str, (Value, Vec<String>))>) -> String {
    let mut page = String::new();
    for (name, (drawn, faults)) in all {
        assert_eq!(faults, Vec::<String>::new(), "{name}: {drawn:#}");
        writeln!(page, "== {name}\n{drawn:#}\n").expect("a text takes it");
    }
    page
}

#[test]
fn the_card_of_an_incident_in_each_state() {
    let all = incidents();
    insta::assert_snapshot!(
        "incidents_slack",
        page(all.iter().map(|(n, c)| (*n, slack::drawn(c))))
    );
    let discord = all.iter().map(|(n, c)| (*n, discord::tests::incident::drawn(c)));
    insta::assert_snapshot!("incidents_discord", page(discord));
}

#[tokio::test]
async fn what_each_command_shows() {
    let all = lists().await;
    let slack = all.iter().map(|(n, c)| (n.as_str(), slack::drawn(c)));
    insta::assert_snapshot!("lists_slack", page(slack));
    let discord = all.iter().map(|(n, c)| (n.as_str(), discord::tests::incident::drawn(c)));
    insta::assert_snapshot!("lists_discord", page(discord));
}

#[tokio::test]
async fn the_form_of_each_button() {
    let all = forms().await;
    let slack = all.iter().map(|(n, f)| (*n, slack::drawn_form(f)));
    insta::assert_snapshot!("forms_slack", page(slack));
    let discord = all.iter().map(|(n, f)| (*n, discord::tests::incident::drawn_form(f)));
    insta::assert_snapshot!("forms_discord", page(discord));
}
