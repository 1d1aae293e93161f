//! A person's decision on a proposal: checked, recorded, and counted, in one transaction.

use serde_json::json;

use super::policy::{another, may_decide, n_approved};
use crate::model::action::Decision;
use crate::model::{
    Actor, EntryKind, Fault, Proposal, ProposalId, ProposalState, Refused, Time, TimelineEntry,
    Verdict,
};
use crate::store::Tx;

/// What somebody chose, and what they saw when they chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Who.
    pub actor: Actor,
    /// Yes, later, or no.
    pub verdict: Verdict,
    /// Digest of the plan that they saw: whole, or its first 16 digits and more.
    pub digest: String,
    /// Why, in their words.
    pub reason: String,
    /// When by the wall clock.
    pub wall: Time,
}

/// Records a decision. `now` is event time. The proposal moves on once enough people approved.
///
/// # Errors
/// The store failed. What a person can't have is the inner `Err`; then nothing but the record of
/// the refusal was written.
pub fn decide(
    tx: &Tx<'_>,
    id: ProposalId,
    choice: &Choice,
    now: Time,
) -> Result<Result<Proposal, Refused>, Fault> {
    let Some(mut proposal) = tx.get::<Proposal>(id)? else {
        return Ok(Err(Refused::NotFound(
            "This proposal does not exist any more; look at the incident for the newest one."
                .into(),
        )));
    };
    if let Err(refused) = admissible(&proposal, choice, now) {
        // Who tried what, and why it was not done, is on record like what was done.
        let detail = json!({
            "verdict": choice.verdict, "digest": choice.digest, "reason": refused.to_string(),
        });
        tx.audit(now, &choice.actor, "decision.refuse", &id.to_string(), &detail)?;
        return Ok(Err(refused));
    }
    let from = proposal.state.as_str();
    proposal.decisions.push(Decision {
        actor: choice.actor.clone(),
        verdict: choice.verdict,
        digest: proposal.digest.clone(),
        reason: choice.reason.clone(),
        at: choice.wall,
    });
    let enough = n_approved(&proposal) >= usize::from(proposal.requires.n_approvals);
    // Of several people, whoever wants it latest is waited for.
    let latest = proposal
        .decisions
        .iter()
        .filter_map(|d| match d.verdict {
            Verdict::Schedule { at } if d.digest == proposal.digest => Some(at),
            _ => None,
        })
        .max();
    let (action, words) = match choice.verdict {
        Verdict::Ignore => {
            proposal.state = ProposalState::Ignored;
            ("proposal.ignore", "Ignored".to_owned())
        }
        Verdict::Schedule { at } => {
            if enough {
                let at = latest.map_or(at, |l| l.max(at));
                (proposal.state, proposal.scheduled_for) = (ProposalState::Scheduled, Some(at));
            }
            ("proposal.schedule", format!("Scheduled for {}", at.minute_text()))
        }
        Verdict::Approve => {
            if enough {
                (proposal.state, proposal.scheduled_for) = match latest {
                    Some(at) if at > now => (ProposalState::Scheduled, Some(at)),
                    _ => (ProposalState::Approved, None),
                };
            }
            ("proposal.approve", "Approved".to_owned())
        }
    };
    if !tx.replace_in_state(&proposal, from)? {
        return Ok(Err(Refused::Conflict(
            "Somebody else decided on this at the same moment; look at it again.".into(),
        )));
    }
    let more = usize::from(proposal.requires.n_approvals).saturating_sub(n_approved(&proposal));
    let waits = if choice.verdict != Verdict::Ignore && more > 0 {
        format!(" {more} more approval by another person is needed.")
    } else {
        String::new()
    };
    let why =
        if choice.reason.is_empty() { String::new() } else { format!(" ({})", choice.reason) };
    let text = format!(
        "{words} by {}: {}.{why}{waits}",
        choice.actor.name,
        proposal.title.trim_end_matches('.')
    );
    tx.put(&TimelineEntry::by(
        choice.actor.clone(),
        proposal.incident,
        now,
        EntryKind::Proposal,
        text,
        Some(id.to_string()),
    ))?;
    let detail = json!({
        "digest": proposal.digest.0, "title": proposal.title, "exact": proposal.exact,
        "reason": choice.reason, "n_approved": n_approved(&proposal),
        "n_needed": proposal.requires.n_approvals, "state": proposal.state.as_str(),
    });
    tx.audit(now, &choice.actor, action, &id.to_string(), &detail)?;
    Ok(Ok(proposal))
}

/// Whether a choice can be made on a proposal as it stands at `now` (event time): its state, its
/// expiry, the digest that was seen, and who may decide. [`decide`] asks the same again in its
/// transaction.
///
/// # Errors
/// Why it can't, and what to do.
pub fn admissible(proposal: &Proposal, choice: &Choice, now: Time) -> Result<(), Refused> {
    // Why it is over, where that was recorded, says more than that it is.
    let gone = |words: &str| {
        let text = match &proposal.ended {
            Some(reason) => format!("{words}: {reason} Nothing was done."),
            None => format!("{words}; nothing was done."),
        };
        Refused::Conflict(format!("This proposal {text} Look at the incident for where it stands."))
    };
    match proposal.state {
        ProposalState::Open => {}
        ProposalState::Scheduled if choice.verdict == Verdict::Ignore => {}
        ProposalState::Scheduled => return Err(gone("was already scheduled")),
        ProposalState::Approved | ProposalState::Claimed => {
            return Err(gone("was already approved and is being carried out"));
        }
        ProposalState::Finished => return Err(gone("was already carried out")),
        ProposalState::Ignored => return Err(gone("was already declined")),
        ProposalState::Expired => return Err(gone("has expired")),
        ProposalState::Superseded => return Err(gone("was withdrawn")),
        ProposalState::Refused => return Err(gone("was approved and refused at its run")),
    }
    if now >= proposal.expires_at {
        return Err(gone(&format!("expired at {}", proposal.expires_at.minute_text())));
    }
    if !proposal.digest.accepts(&choice.digest) {
        return Err(Refused::Conflict(
            "The plan has changed since this button was shown; nothing was done. Read the newest \
             proposal and decide there."
                .into(),
        ));
    }
    if let Verdict::Schedule { at } = choice.verdict
        && (at <= now || at > proposal.expires_at)
    {
        return Err(Refused::Invalid(format!(
            "Choose a time between now ({}) and the proposal's expiry ({}).",
            now.minute_text(),
            proposal.expires_at.minute_text()
        )));
    }
    may_decide(proposal, &choice.actor, choice.verdict)?;
    if choice.verdict == Verdict::Ignore { Ok(()) } else { another(proposal, &choice.actor) }
}
