//! What the tests of approval, remediation and learning are made of.

use crate::model::action::{Effect, Outcome, Requirement, Step, Verify};
use crate::model::*;

/// When everything in the tests begins.
pub(crate) fn t0() -> Time {
    Time::parse("2026-11-20T03:00:00Z").expect("valid")
}

/// Somebody in the console.
pub(crate) fn person(name: &str, role: Role) -> Actor {
    Actor { via: "console".into(), id: name.into(), name: name.into(), role }
}

/// An incident on orders.
pub(crate) fn incident_as(category: Option<&str>, state: IncidentState) -> Incident {
    Incident {
        id: IncidentId::derive(t0(), &["i"]),
        number: 1,
        title: "orders is slow".into(),
        state,
        severity: Severity::Critical,
        onset_at: t0(),
        opened_at: t0(),
        updated_at: t0(),
        acknowledged_at: None,
        quiet_since: None,
        resolved_at: None,
        owner: None,
        entities: vec![EntityRef::service("orders")],
        alerts: vec![],
        n_reports: 1,
        leading: None,
        merged_into: None,
        category: category.map(str::to_owned),
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

/// An open proposal that sets a value back; its target is bound to version 4.7.2.
pub(crate) fn proposal() -> Proposal {
    let plan = Plan {
        version: 1,
        runbook: "pool".into(),
        action: "restore".into(),
        target: EntityRef::service("orders"),
        parameters: [("value".to_owned(), "16".to_owned())].into(),
        observed: [("version".to_owned(), "4.7.2".to_owned())].into(),
        steps: vec![Step::Http {
            method: "POST".into(),
            url: "http://127.0.0.1:1/x".into(),
            headers: [].into(),
            body: None,
            timeout_s: 1,
        }],
        verify: Verify { series: None, after_s: 60, window_s: 120 },
    };
    Proposal {
        id: ProposalId::derive(t0(), &["p"]),
        incident: IncidentId::derive(t0(), &["i"]),
        digest: plan.digest(),
        plan,
        title: "Set it back".into(),
        why: String::new(),
        risk: Risk::Low,
        expected_effect: String::new(),
        exact: String::new(),
        chance: 0.5,
        created_at: t0(),
        expires_at: t0().plus_ms(3_600_000),
        requires: Requirement { role: Role::Approver, n_approvals: 1, no_self_approval: false },
        requested_by: Actor::nightjar(),
        edited_by: vec![],
        change_author: None,
        state: ProposalState::Open,
        decisions: vec![],
        scheduled_for: None,
        rollback_of: None,
        run: None,
        pattern: "saturation".into(),
        past: String::new(),
        worth: 1.0,
        ended: None,
    }
}

/// Its run, done, with an outcome.
pub(crate) fn run(effect: Option<Effect>) -> Run {
    let outcome = |effect| Outcome {
        effect,
        signal: "p99".into(),
        before: None,
        after: None,
        expected: None,
        text: String::new(),
        at: t0(),
    };
    Run {
        id: RunId::derive(t0(), &["r"]),
        proposal: proposal().id,
        incident: proposal().incident,
        action: "pool/restore".into(),
        target: EntityRef::service("orders"),
        state: RunState::Done,
        dry_run: false,
        started_at: t0(),
        finished_at: Some(t0()),
        output: vec![],
        approved_by: vec![],
        verify_at: None,
        outcome: effect.map(outcome),
    }
}

/// A diagnosis whose first hypothesis has this pattern.
pub(crate) fn diagnosis(pattern: &str) -> Diagnosis {
    Diagnosis {
        incident: IncidentId::derive(t0(), &["i"]),
        revision: 1,
        at: t0().plus_ms(10_000),
        summary: String::new(),
        hypotheses: vec![Hypothesis {
            id: HypothesisId::derive(t0(), &["h"]),
            entity: EntityRef::service("orders"),
            pattern: pattern.into(),
            statement: "It is the pool.".into(),
            confidence: 0.8,
            parts: vec![],
            evidence: vec![],
            change: None,
            impact_chain: vec![],
        }],
        conclusive: true,
        first_look: false,
        evidence: vec![],
        gaps: vec![],
        changes: vec![],
        similar: vec![],
        runbooks: vec![],
        charts: vec![],
        counterfactuals: Vec::new(),
        steps: Vec::new(),
        reach: crate::model::diagnosis::Reach::default(),
    }
}
