//! One offer: from a plan to a proposal, and a proposal's way into the store and out of it.

use serde_json::json;

use super::policy::{Config, requirement};
use crate::learn::Ledger;
use crate::model::action::Step;
use crate::model::time::MINUTE_MS;
use crate::model::{
    Actor, Diagnosis, EntryKind, Fault, Hypothesis, Incident, Plan, Proposal, ProposalId,
    ProposalState, Time, TimelineEntry,
};
use crate::runbook::schema::{Action, Lasts};
use crate::store::Tx;

/// Weight of an action that only buys time: it comes before what ends the cause only when that
/// has helped less than half as often.
const STOPGAP: f64 = 0.5;

/// What could be offered.
#[derive(Clone, Debug)]
pub(super) struct Offer<'a> {
    pub action: &'a Action,
    pub plan: Plan,
    pub title: String,
    /// How strongly the runbook matches.
    pub fit: f64,
    /// The posterior mean of the chance that it helps.
    pub chance: f64,
    /// How it went before, in words.
    pub past: String,
}

impl<'a> Offer<'a> {
    pub(super) fn new(
        action: &'a Action,
        (plan, title): (Plan, String),
        fit: f64,
        (ledger, pattern): (&Ledger, &str),
    ) -> Self {
        let key = key(&plan);
        let chance = ledger.posterior(pattern, &key).mean();
        Self { action, title, fit, chance, past: ledger.words(pattern, &key), plan }
    }

    /// What orders suggestions: the chance that it helps, times how well it fits. A stopgap is
    /// measured as help although the cause goes on, so its chance says less.
    pub(super) fn worth(&self) -> f64 {
        let lasting = match self.action.lasts {
            Lasts::ForGood => 1.0,
            Lasts::ForAWhile => STOPGAP,
        };
        self.chance * self.fit * lasting
    }

    /// The proposal that offers it.
    pub(super) fn proposal(
        self,
        incident: &Incident,
        diagnosis: &Diagnosis,
        policy: &Config,
        now: Time,
    ) -> Proposal {
        let first = diagnosis.hypotheses.first();
        let digest = self.plan.digest();
        let asked = self.action.requires.as_ref();
        Proposal {
            id: ProposalId::derive(now, &[&incident.id.to_string(), &digest.0]),
            incident: incident.id,
            exact: exact(&self.plan),
            digest,
            worth: self.worth(),
            title: self.title,
            why: first.map(|h| h.statement.clone()).unwrap_or_default(),
            risk: self.action.risk,
            expected_effect: self.action.expected_effect.clone(),
            chance: self.chance,
            created_at: now,
            expires_at: now.plus_ms(i64::from(policy.expires_min) * MINUTE_MS),
            requires: requirement(
                policy,
                self.action.risk,
                asked.and_then(|r| r.role),
                asked.and_then(|r| r.approvals),
            ),
            requested_by: Actor::nightjar(),
            edited_by: Vec::new(),
            change_author: first.and_then(|h| author(diagnosis, h)),
            state: ProposalState::Open,
            decisions: Vec::new(),
            scheduled_for: None,
            rollback_of: None,
            run: None,
            pattern: first.map(|h| h.pattern.clone()).unwrap_or_default(),
            past: self.past,
            ended: None,
            plan: self.plan,
        }
    }
}

/// Who authored the change that a hypothesis names.
pub(super) fn author(diagnosis: &Diagnosis, hypothesis: &Hypothesis) -> Option<String> {
    let id = hypothesis.change?;
    let ours = diagnosis.changes.iter().find(|c| c.id == id && c.kind.is_ours());
    ours.and_then(|c| c.author.clone())
}

/// Runbook and action as runs and lessons name them.
pub(super) fn key(plan: &Plan) -> String {
    format!("{}/{}", plan.runbook, plan.action)
}

/// The exact action in words: what the form shows and what will be done.
pub(super) fn exact(plan: &Plan) -> String {
    let lines: Vec<String> = plan
        .steps
        .iter()
        .map(|step| match step {
            Step::DryRun { text } => format!("dry run: {text}"),
            Step::Http { method, url, body, .. } => match body {
                Some(body) => format!("{method} {url}\n{body}"),
                None => format!("{method} {url}"),
            },
            Step::Command { program, args, .. } => format!("{program} {}", args.join(" ")),
        })
        .collect();
    lines.join("\n")
}

/// Writes a new offer with its timeline entry and audit record; says whether it was new.
pub(super) fn put(tx: &Tx<'_>, proposal: &Proposal) -> Result<bool, Fault> {
    if !tx.put_new(proposal)? {
        return Ok(false);
    }
    let now = proposal.created_at;
    let id = proposal.id.to_string();
    let text = format!("Proposed: {}.", proposal.title.trim_end_matches('.'));
    tx.put(&TimelineEntry::by_bot(
        proposal.incident,
        now,
        EntryKind::Proposal,
        text,
        Some(id.clone()),
    ))?;
    let detail = json!({
        "digest": proposal.digest.0, "exact": proposal.exact, "why": proposal.why,
        "past": proposal.past, "chance": proposal.chance,
        "rollback_of": proposal.rollback_of.map(|r| r.to_string()),
    });
    tx.audit(now, &Actor::nightjar(), "proposal.offer", &id, &detail)?;
    Ok(true)
}

/// Ends a proposal without a run, if it still is in the state that it was read in: state, reason,
/// timeline entry and audit record in one transaction. Says whether it was ended.
pub(super) fn end(
    tx: &Tx<'_>,
    proposal: &Proposal,
    state: ProposalState,
    reason: &str,
    now: Time,
) -> Result<bool, Fault> {
    let ended = Proposal { state, ended: Some(reason.to_owned()), ..proposal.clone() };
    if !tx.replace_in_state(&ended, proposal.state.as_str())? {
        return Ok(false);
    }
    let (word, action) = match state {
        ProposalState::Expired => ("Expired", "proposal.expire"),
        ProposalState::Superseded => ("Withdrawn", "proposal.supersede"),
        _ => ("Not run", "proposal.refuse"),
    };
    let id = proposal.id.to_string();
    let text = format!("{word}: {}. {reason}", proposal.title.trim_end_matches('.'));
    tx.put(&TimelineEntry::by_bot(
        proposal.incident,
        now,
        EntryKind::Proposal,
        text,
        Some(id.clone()),
    ))?;
    let detail = json!({ "reason": reason, "from": proposal.state.as_str() });
    tx.audit(now, &Actor::nightjar(), action, &id, &detail)?;
    Ok(true)
}
