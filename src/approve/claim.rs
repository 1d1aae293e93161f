//! The gate: the one place where an [`ApprovedAction`] is made.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::offer::end;
use super::policy::{Config, approvers, n_approved};
use super::rest::{busy, recent, resting};
use crate::model::action::Step;
use crate::model::time::MINUTE_MS;
use crate::model::{
    Actor, Fault, Incident, Plan, Proposal, ProposalId, ProposalState, Refused, Run, RunId,
    RunState, Time,
};
use crate::store::Tx;

/// An action that enough people approved and one run has claimed. It can't be copied, stored or
/// made elsewhere; an executor takes it by value, so it acts at most once.
#[derive(Debug)]
pub struct ApprovedAction {
    run: RunId,
    plan: Plan,
}

impl ApprovedAction {
    /// The run that claimed it; also the idempotency key that the target is sent.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// What is to be done.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// How late a scheduled action may still run (the process may have been away at its time).
const GRACE_MS: i64 = 15 * MINUTE_MS;

/// Key of the halt switch in the store.
pub const HALT: &str = "halt";

/// The halt switch: while it is set, nothing is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Who set it.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Time,
}

/// Claims an approved proposal for its one run. Everything is checked in the transaction that
/// also writes the claim: the halt switch, the state, the digest, the approvals, the target's
/// state, other runs on the target, cooldown and circuit breaker. `observed` is the target's state
/// read just now; `None` where the runbook reads none or it could not be read.
///
/// # Errors
/// The store failed. What is refused is the inner `Err`; the proposal is then as it was, or
/// `Superseded` when the target's state has changed.
pub fn claim(
    tx: &Tx<'_>,
    id: ProposalId,
    observed: Option<&std::collections::BTreeMap<String, String>>,
    config: &Config,
    now: Time,
) -> Result<Result<ApprovedAction, Refused>, Fault> {
    if let Some(halt) = tx.value::<Option<Halt>>(HALT)?.flatten() {
        return Ok(Err(Refused::Conflict(format!(
            "All actions were halted by {}: {}. An admin can lift it.",
            halt.by.name, halt.reason
        ))));
    }
    let Some(mut proposal) = tx.get::<Proposal>(id)? else {
        return Ok(Err(Refused::NotFound("This proposal does not exist.".into())));
    };
    if let Err(refused) = ready(&proposal, now) {
        return Ok(Err(refused));
    }
    // A way back may be wanted after the incident; a fix may not.
    let incident = tx.get::<Incident>(proposal.incident)?;
    if let Some(over) = incident.filter(|i| !i.state.is_active())
        && proposal.rollback_of.is_none()
    {
        return Ok(Err(Refused::Conflict(format!(
            "Incident #{} is {} by now; nothing was done.",
            over.number,
            over.state.as_str()
        ))));
    }
    // A state that was known when the plan was made and can't be read now is not known to be
    // unchanged.
    let nothing = std::collections::BTreeMap::new();
    let state = observed.unwrap_or(&nothing);
    if *state != proposal.plan.observed {
        let text = changed(&proposal.plan, state);
        end(tx, &proposal, ProposalState::Superseded, &text, now)?;
        return Ok(Err(Refused::Conflict(text)));
    }
    if let Err(refused) = target_is_free(tx, &proposal, config, now)? {
        return Ok(Err(refused));
    }
    let run = run_of(&proposal, now);
    proposal.state = ProposalState::Claimed;
    proposal.run = Some(run.id);
    if !tx.replace_in_state(&proposal, ProposalState::Approved.as_str())? || !tx.put_new(&run)? {
        return Ok(Err(Refused::Conflict("Another run has already claimed this.".into())));
    }
    let detail = json!({
        "proposal": id.to_string(), "digest": proposal.digest.0, "exact": proposal.exact,
        "approved_by": run.approved_by,
    });
    tx.audit(now, &Actor::nightjar(), "run.claim", &run.id.to_string(), &detail)?;
    Ok(Ok(ApprovedAction { run: run.id, plan: proposal.plan }))
}

/// Ends an approved proposal that can't be run, with its reason: it is not tried again by itself.
///
/// # Errors
/// The store failed.
pub fn refuse(tx: &Tx<'_>, id: ProposalId, reason: &str, now: Time) -> Result<(), Fault> {
    match tx.get::<Proposal>(id)? {
        Some(proposal) if proposal.state == ProposalState::Approved => {
            end(tx, &proposal, ProposalState::Refused, reason, now).map(drop)
        }
        _ => Ok(()),
    }
}

fn ready(proposal: &Proposal, now: Time) -> Result<(), Refused> {
    if proposal.state != ProposalState::Approved {
        return Err(Refused::Conflict(format!(
            "The proposal is {}, not approved; nothing was done.",
            proposal.state.as_str()
        )));
    }
    let end = proposal.scheduled_for.map_or(proposal.expires_at, |at| at.plus_ms(GRACE_MS));
    if now >= end {
        let text = match proposal.scheduled_for {
            Some(at) => format!(
                "It was to be done at {} and it is {} now, too late; nothing was done.",
                at.minute_text(),
                now.minute_text()
            ),
            None => format!(
                "It was approved and expired at {} before it could be done; nothing was done.",
                proposal.expires_at.minute_text()
            ),
        };
        return Err(Refused::Conflict(text));
    }
    if let Some(at) = proposal.scheduled_for.filter(|at| now < *at) {
        return Err(Refused::Conflict(format!(
            "It is to be done at {}, not before; nothing was done.",
            at.minute_text()
        )));
    }
    if proposal.plan.digest() != proposal.digest {
        return Err(Refused::Conflict(
            "The stored plan does not give its digest; nothing was done.".into(),
        ));
    }
    let (have, need) = (n_approved(proposal), usize::from(proposal.requires.n_approvals));
    if have < need {
        return Err(Refused::Conflict(format!(
            "{have} of {need} approvals count for this plan; nothing was done."
        )));
    }
    Ok(())
}

fn changed(plan: &Plan, state: &std::collections::BTreeMap<String, String>) -> String {
    let mut differences = Vec::new();
    for (key, before) in &plan.observed {
        let after = state.get(key).map_or("nothing", String::as_str);
        if after != before {
            differences.push(format!("{key} was {before} and is {after}"));
        }
    }
    for (key, after) in state.iter().filter(|(k, _)| !plan.observed.contains_key(*k)) {
        differences.push(format!("{key} is {after} and was not known"));
    }
    format!(
        "The target has changed since this was proposed ({}); nothing was done. A fresh proposal \
         follows if it still applies.",
        differences.join("; ")
    )
}

fn target_is_free(
    tx: &Tx<'_>,
    proposal: &Proposal,
    config: &Config,
    now: Time,
) -> Result<Result<(), Refused>, Fault> {
    let (action, target) = (action_of(&proposal.plan), &proposal.plan.target);
    let runs = recent(tx, config, now)?;
    // Undoing a run must not wait for the cooldown of what it undoes.
    let rests = || match proposal.rollback_of {
        None => resting(&runs, &action, target, config, now),
        Some(_) => None,
    };
    Ok(match busy(&runs, target).or_else(rests) {
        Some(rest) => Err(Refused::Conflict(rest.reason)),
        None => Ok(()),
    })
}

/// Runbook and action as runs name them.
fn action_of(plan: &Plan) -> String {
    format!("{}/{}", plan.runbook, plan.action)
}

fn run_of(proposal: &Proposal, now: Time) -> Run {
    Run {
        id: RunId::derive(proposal.created_at, &[&proposal.id.to_string(), &proposal.digest.0]),
        proposal: proposal.id,
        incident: proposal.incident,
        action: action_of(&proposal.plan),
        target: proposal.plan.target.clone(),
        state: RunState::Running,
        dry_run: proposal.plan.steps.iter().all(|s| matches!(s, Step::DryRun { .. })),
        started_at: now,
        finished_at: None,
        output: Vec::new(),
        approved_by: approvers(proposal).into_iter().cloned().collect(),
        verify_at: None,
        outcome: None,
    }
}
