//! Cards in each state; what is wanted where; delivery against a platform in memory.

mod charts;
mod crashes;
mod delivery;
mod platform;
mod rooms;
mod telling;
mod waiting;

use super::*;
use crate::chat::{Button, Verb};
use crate::model::*;

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
        declared_by: None,
        n_reopened: 0,
        reopened_at: None,
        priority: None,
        taxonomy: None,
        untold: None,
        n_conditions: 0,
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
    Facts { incident, alerts: vec![], diagnosis: None, proposals, runs: vec![], predicted: None }
}

#[test]
fn what_was_scheduled_is_shown_until_then_and_can_be_called_off() {
    let first = incident();
    let later = Proposal {
        state: ProposalState::Scheduled,
        scheduled_for: Some(t0().plus_ms(1_800_000)),
        decisions: vec![action::Decision {
            actor: Actor { name: "Ada".into(), ..Actor::nightjar() },
            verdict: Verdict::Schedule { at: t0().plus_ms(1_800_000) },
            digest: proposal(&first).digest,
            reason: String::new(),
            at: t0(),
        }],
        ..proposal(&first)
    };
    let told = Facts { proposals: vec![later.clone()], ..facts(first) };
    let card = incident_card(&told, t0());
    let off = card.buttons.iter().find(|b| b.label == "Call off").expect("a way back");
    assert_eq!((off.verb, off.digest.as_deref()), (Verb::Ignore, Some(later.digest.short())));
    assert!(card.buttons.iter().all(|b| b.verb != Verb::Approve), "it is decided");
    let text = card.text();
    assert!(text.contains("at 2026-11-20 03:30 UTC, approved by Ada."), "{text}");
}

#[test]
fn where_several_are_offered_a_number_says_which_buttons_are_whose() {
    let mut facts = facts(incident());
    let second = Proposal {
        id: ProposalId::derive(t0(), &["second"]),
        title: "Roll orders back".into(),
        worth: 0.1,
        ..proposal(&facts.incident)
    };
    facts.proposals.push(second);
    let text = incident_card(&facts, t0()).text();
    assert!(text.contains("- 1. Set orders worker concurrency to 16."), "{text}");
    assert!(text.contains("- 2. Roll orders back."), "{text}");
    let labels = "[Approve 1…] [Schedule 1…] [Ignore 1] [Approve 2…] [Schedule 2…] [Ignore 2]";
    assert!(text.contains(labels), "{text}");
}

#[test]
fn an_open_incident_offers_what_can_be_done() {
    let card = incident_card(&facts(incident()), t0().plus_ms(120_000));
    insta::assert_snapshot!(card.text(), @r#"
    🔴 #12 checkout p99 4.2 s, was 310 ms
    critical · open · since 03:00:00 UTC · nobody has it yet · checkout, orders

    What is going on:
    checkout p99 4.2 s, was 310 ms. 0 alerts fire now on 2 entities (1,204 reports in all).

    Suggested:
    - Set orders worker concurrency to 16. Risk low; expected: pool wait returns to its band within 2 min. Helped 3 of 4 times here. Expected chance to help 60 %. Open until 04:00:00 UTC. 0 of 2 approvals.

    [Acknowledge] [Approve…] [Schedule…] [Ignore] [Why?] [Silence…] [Not an incident] [Resolve]
    More: Post an update…, Assign…, Silence…, Merge…, Resolve as…
    0 pieces of evidence · 0 alerts · no model used
    "#);
    for button in card.buttons.iter().chain(&card.menu) {
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
    assert_eq!(verbs(over.clone(), t0()), [Verb::Reopen, Verb::Why]);
    let merged = Incident { state: IncidentState::Merged, ..incident() };
    assert_eq!(verbs(merged.clone(), t0()), []);
    for (incident, menu) in [
        (incident(), vec![Verb::Note, Verb::Assign, Verb::Silence, Verb::Merge, Verb::Resolve]),
        (over, vec![Verb::Note]),
        (merged, Vec::new()),
    ] {
        let card = incident_card(&facts(incident), t0());
        assert_eq!(card.menu.iter().map(|b| b.verb).collect::<Vec<_>>(), menu);
    }
    let expired = verbs(incident(), t0().plus_ms(3_600_000));
    assert!(!expired.contains(&Verb::Approve), "an expired proposal can't be approved");
}
