//! Cards in each state, and one message per incident.

use std::sync::Arc;

use super::*;
use crate::bus::{Bus, Event};
use crate::chat::console::Console;
use crate::chat::{Button, Content, Message, Verb};
use crate::model::clock::ManualClock;
use crate::model::*;
use crate::stage::Stage as _;
use crate::store::{Filter, Store};

fn t0() -> Time {
    Time::parse("2026-11-20T03:00:00Z").expect("valid")
}

fn incident() -> Incident {
    Incident {
        id: IncidentId::derive(t0(), &["checkout"]),
        number: 12,
        title: "checkout p99 4.2 s, was 310 ms".into(),
        state: IncidentState::Open,
        severity: Severity::Critical,
        onset_at: t0(),
        opened_at: t0().plus_ms(90_000),
        updated_at: t0().plus_ms(90_000),
        acknowledged_at: None,
        quiet_since: None,
        resolved_at: None,
        owner: None,
        entities: vec![EntityRef::service("checkout"), EntityRef::service("orders")],
        alerts: vec![],
        n_reports: 1_204,
        leading: None,
        merged_into: None,
        category: None,
        closed_by: None,
        n_reopened: 0,
    }
}

fn proposal(incident: &Incident) -> Proposal {
    let plan = Plan {
        version: 1,
        runbook: "connection-pool-exhausted".into(),
        action: "restore-concurrency".into(),
        target: EntityRef::service("orders"),
        parameters: [("to".to_owned(), "16".to_owned())].into(),
        observed: [("worker_concurrency".to_owned(), "64".to_owned())].into(),
        steps: vec![action::Step::DryRun { text: "set it".into() }],
        verify: action::Verify { series: None, after_s: 60, window_s: 120 },
    };
    Proposal {
        id: ProposalId::derive(t0(), &["p"]),
        incident: incident.id,
        digest: plan.digest(),
        plan,
        title: "Set orders worker concurrency to 16".into(),
        why: "the deploy raised it".into(),
        risk: Risk::Low,
        expected_effect: "pool wait returns to its band within 2 min.".into(),
        exact: "POST …".into(),
        chance: 0.6,
        created_at: t0(),
        expires_at: t0().plus_ms(3_600_000),
        requires: action::Requirement {
            role: Role::Approver,
            n_approvals: 2,
            no_self_approval: true,
        },
        requested_by: Actor::nightjar(),
        edited_by: vec![],
        change_author: None,
        state: ProposalState::Open,
        decisions: vec![],
        scheduled_for: None,
        rollback_of: None,
        run: None,
        pattern: "saturation".into(),
        past: "Helped 3 of 4 times here.".into(),
        worth: 0.6,
        ended: None,
    }
}

fn facts(incident: Incident) -> Facts {
    let proposals = vec![proposal(&incident)];
    Facts { incident, alerts: vec![], diagnosis: None, proposals, runs: vec![] }
}

#[test]
fn an_open_incident_offers_what_can_be_done() {
    let card = incident_card(&facts(incident()), t0().plus_ms(120_000));
    insta::assert_snapshot!(card.text(), @r"
    🔴 #12 checkout p99 4.2 s, was 310 ms
    critical · open · since 03:00:00 UTC · nobody has it yet · checkout, orders

    What is going on:
    checkout p99 4.2 s, was 310 ms. 0 alerts fire now on 2 entities (1,204 reports in all).

    Suggested:
    - Set orders worker concurrency to 16. Risk low; expected: pool wait returns to its band within 2 min. Helped 3 of 4 times here. Expected chance to help 60 %. Open until 04:00:00 UTC. 0 of 2 approvals.

    [Acknowledge] [Approve…] [Schedule…] [Ignore] [Why?] [Silence…] [Not an incident] [Resolve]
    0 pieces of evidence · 0 alerts · no model used
    ");
    for button in &card.buttons {
        let parsed = Button::parse(&button.code()).expect("every button can be pressed");
        assert_eq!((parsed.verb, parsed.subject), (button.verb, button.subject));
    }
}

#[test]
fn buttons_follow_the_state() {
    let verbs = |incident: Incident, now: Time| -> Vec<Verb> {
        incident_card(&facts(incident), now).buttons.iter().map(|b| b.verb).collect()
    };
    let over = Incident { state: IncidentState::Resolved, resolved_at: Some(t0()), ..incident() };
    assert_eq!(verbs(over, t0()), [Verb::Reopen, Verb::Why]);
    let merged = Incident { state: IncidentState::Merged, ..incident() };
    assert_eq!(verbs(merged, t0()), []);
    let expired = verbs(incident(), t0().plus_ms(3_600_000));
    assert!(!expired.contains(&Verb::Approve), "an expired proposal can't be approved");
}

#[tokio::test]
async fn one_message_per_incident_also_after_a_start_anew() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("n.sqlite")).expect("opens");
    let (bus, clock) = (Bus::default(), ManualClock::new(t0().plus_ms(120_000)));
    let first = incident();
    let id = first.id;
    let entry = |text: &str, at: Time| TimelineEntry::by_bot(id, at, EntryKind::State, text, None);
    let entries = [entry("opened", t0().plus_ms(90_000)), entry("late word", t0())];
    let put = first.clone();
    let opened = entries[0].clone();
    store
        .write(move |tx| {
            tx.put(&put)?;
            tx.put(&opened)
        })
        .await
        .expect("writes");
    let stage = || {
        let console = Console::new(store.clone(), bus.clone(), clock.clone());
        Notify::new(Config::default(), store.reader(), clock.clone(), vec![Arc::new(console)])
    };
    let mut notify = stage();
    notify.handle(Event::Incident(id)).await.expect("tells");
    // An entry that is written later but happened earlier is told all the same.
    let late = entries[1].clone();
    let taken = Incident { state: IncidentState::Acknowledged, ..first };
    store
        .write(move |tx| {
            tx.put(&late)?;
            tx.put(&taken)
        })
        .await
        .expect("writes");
    notify.handle(Event::Incident(id)).await.expect("tells");
    stage().sweep().await.expect("a start anew tells it all again");
    let messages = store.read(|r| r.list::<Message>(&Filter::all())).await.expect("reads");
    let (cards, replies): (Vec<_>, Vec<_>) = messages.into_iter().partition(|m| m.thread.is_none());
    assert_eq!(cards.len(), 1);
    assert_eq!(replies.len(), 2);
    let Content::Card { card } = &cards[0].content else { panic!("the root is a card") };
    assert!(card.context.contains("acknowledged"));
}

/// A platform that is down.
struct Down;

impl crate::chat::Chat for Down {
    fn platform(&self) -> &'static str {
        "down"
    }
    fn limits(&self) -> crate::chat::Limits {
        unreachable!("nobody asks for limits here")
    }
    fn post(&self, _: crate::chat::Draft) -> Answer<'_, crate::chat::Place> {
        Box::pin(async { Err(Fault::because("the platform answers 503")) })
    }
    fn ephemeral(&self, _: crate::chat::Address, _: crate::chat::Content) -> Answer<'_, ()> {
        Box::pin(async { Err(Fault::because("the platform answers 503")) })
    }
    fn upload(&self, _: crate::chat::File) -> Answer<'_, crate::chat::Place> {
        Box::pin(async { Err(Fault::because("the platform answers 503")) })
    }
}

type Answer<'a, T> = futures_util::future::BoxFuture<'a, Result<T, Fault>>;

#[tokio::test]
async fn a_platform_that_is_down_keeps_no_other_waiting_and_a_card_stays_in_its_channel() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("n.sqlite")).expect("opens");
    let (bus, clock) = (Bus::default(), ManualClock::new(t0().plus_ms(120_000)));
    let first = incident();
    let second = Incident {
        id: crate::model::IncidentId::derive(t0(), &["second"]),
        number: 8,
        ..incident()
    };
    let both = [first.clone(), second];
    store.write(move |tx| both.iter().try_for_each(|i| tx.put(i))).await.expect("writes");
    let stage = |config: Config| {
        let console = Arc::new(Console::new(store.clone(), bus.clone(), clock.clone()));
        Notify::new(config, store.reader(), clock.clone(), vec![Arc::new(Down), console])
    };
    let fault = stage(Config::default()).sweep().await.expect_err("one platform is down");
    assert!(fault.to_string().contains("503"), "{fault}");
    // Something new to say, after a start anew with other routes.
    let taken = Incident { state: IncidentState::Acknowledged, ..first };
    store.write(move |tx| tx.put(&taken)).await.expect("writes");
    let rerouted = Config { channel: "elsewhere".into(), ..Config::default() };
    stage(rerouted).sweep().await.expect_err("it is down still");
    let messages = store.read(|r| r.list::<Message>(&Filter::all())).await.expect("reads");
    let cards: Vec<_> = messages.iter().filter(|m| m.thread.is_none()).collect();
    assert_eq!(cards.len(), 2, "both incidents are told where it works");
    assert!(cards.iter().all(|m| m.channel == "incidents"), "{cards:?}");
    assert!(cards.iter().any(|m| m.edited_at.is_some()), "the news was told in place");
}
