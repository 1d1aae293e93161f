//! Other parameters for an open proposal: checked against its runbook's bounds, filled in anew,
//! under a new digest, with the editor on record. Approvals of the old plan count no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::decide::{Choice, admissible, decide};
use super::offer::exact;
use super::policy::may_edit;
use crate::model::{
    Actor, Alert, Diagnosis, EntryKind, Evidence, Fault, Incident, Plan, Proposal, ProposalId,
    ProposalState, Refused, Time, TimelineEntry, Verdict,
};
use crate::runbook::{self, Library, Situation, schema::Parameter};
use crate::store::{Filter, Rows, Tx};

/// What plans are filled in from. Cheap to clone.
#[derive(Clone)]
pub struct Workshop {
    /// The runbooks.
    pub library: Arc<Library>,
    /// Values that runbooks name.
    pub settings: BTreeMap<String, String>,
}

/// A wish for other parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Who.
    pub actor: Actor,
    /// Digest of the plan that they saw: whole, or its first 16 digits and more.
    pub digest: String,
    /// The parameters to change; the others stay.
    pub parameters: BTreeMap<String, String>,
    /// Why, in their words.
    pub reason: String,
}

impl Workshop {
    /// What can be chosen for a plan, as its runbook declares it, for a form.
    #[must_use]
    pub fn parameters(&self, plan: &Plan) -> &[Parameter] {
        let action = self.library.get(&plan.runbook).and_then(|r| r.action(&plan.action));
        action.map_or(&[], |a| &a.parameters)
    }

    /// The plan with other parameters, and its title.
    fn filled(
        &self,
        plan: &Plan,
        changes: &BTreeMap<String, String>,
        mut situation: Situation,
    ) -> Result<(Plan, String), Refused> {
        let gone = || {
            Refused::Conflict(format!(
                "The runbook {} has no action {} any more; nothing was changed. Wait for a fresh \
                 proposal.",
                plan.runbook, plan.action
            ))
        };
        let runbook = self.library.get(&plan.runbook).ok_or_else(gone)?;
        let action = runbook.action(&plan.action).ok_or_else(gone)?;
        situation.settings.clone_from(&self.settings);
        // The diagnosis may have moved on; the target is the one that was offered.
        if let Some(h) = situation.hypothesis.as_mut() {
            h.entity = plan.target.clone();
        }
        let mut given = plan.parameters.clone();
        given.extend(changes.iter().map(|(k, v)| (k.clone(), v.clone())));
        let series = plan.verify.series;
        let new = runbook::plan(runbook, action, &given, &plan.observed, &situation, series)?;
        if new.target != plan.target {
            return Err(Refused::Conflict(format!(
                "With what is known now this would act on {} and not on {}; nothing was changed. \
                 Wait for a fresh proposal.",
                new.target, plan.target
            )));
        }
        let title = runbook::title(action, &new.parameters, &plan.observed, &situation);
        Ok((new, title))
    }
}

/// Changes the parameters of an open proposal. `now` is event time.
///
/// # Errors
/// The store failed. What a person can't have is the inner `Err`; then nothing was changed.
pub fn amend(
    tx: &Tx<'_>,
    workshop: &Workshop,
    id: ProposalId,
    edit: &Edit,
    now: Time,
) -> Result<Result<Proposal, Refused>, Fault> {
    let made = match prepared(tx, workshop, id, edit, now)? {
        Ok((before, after)) => write(tx, edit, &before, after, now)?,
        Err(refused) => Err(refused),
    };
    if let Err(refused) = &made {
        let detail = json!({ "parameters": edit.parameters, "reason": refused.to_string() });
        tx.audit(now, &edit.actor, "edit.refuse", &id.to_string(), &detail)?;
    }
    Ok(made)
}

/// Changes the parameters of an open proposal and approves what comes of it, both or neither: who
/// may not approve the plan that they ask for changes nothing. `now` is event time.
///
/// # Errors
/// The store failed. What a person can't have is the inner `Err`; then nothing but the record of
/// the refusal was written.
pub fn approve_changed(
    tx: &Tx<'_>,
    workshop: &Workshop,
    id: ProposalId,
    edit: &Edit,
    wall: Time,
    now: Time,
) -> Result<Result<Proposal, Refused>, Fault> {
    let choice = |after: &Proposal| Choice {
        actor: edit.actor.clone(),
        verdict: Verdict::Approve,
        digest: after.digest.0.clone(),
        reason: edit.reason.clone(),
        wall,
    };
    let made = prepared(tx, workshop, id, edit, now)?.and_then(|(before, after)| {
        let all = |e: Refused| match e {
            Refused::Forbidden(why) => {
                Refused::Forbidden(format!("{why} Nothing was changed or approved."))
            }
            other => other,
        };
        admissible(&after, &choice(&after), now).map_err(all).map(|()| (before, after))
    });
    let written = match made {
        Ok((before, after)) => write(tx, edit, &before, after, now)?,
        Err(refused) => Err(refused),
    };
    match written {
        Ok(after) => decide(tx, id, &choice(&after), now),
        Err(refused) => {
            let detail = json!({
                "verdict": Verdict::Approve, "parameters": edit.parameters,
                "digest": edit.digest, "reason": refused.to_string(),
            });
            tx.audit(now, &edit.actor, "decision.refuse", &id.to_string(), &detail)?;
            Ok(Err(refused))
        }
    }
}

/// The proposal as it stands and as the edit would make it.
fn prepared(
    tx: &Tx<'_>,
    workshop: &Workshop,
    id: ProposalId,
    edit: &Edit,
    now: Time,
) -> Result<Result<(Proposal, Proposal), Refused>, Fault> {
    let Some(before) = tx.get::<Proposal>(id)? else {
        return Ok(Err(Refused::NotFound(
            "This proposal does not exist any more; look at the incident for the newest one."
                .into(),
        )));
    };
    let situation = situation(tx, &before)?;
    let made = check(&before, edit, now)
        .and_then(|()| workshop.filled(&before.plan, &edit.parameters, situation));
    let (plan, title) = match made {
        Ok((plan, _)) if plan.digest() == before.digest => {
            return Ok(Err(Refused::Invalid("These are its parameters already.".into())));
        }
        Ok(made) => made,
        Err(refused) => return Ok(Err(refused)),
    };
    let mut after = Proposal {
        digest: plan.digest(),
        exact: exact(&plan),
        // What was approved was another plan; the audit log keeps who approved it.
        decisions: Vec::new(),
        title,
        plan,
        ..before.clone()
    };
    if !after.edited_by.iter().any(|e| e.same_as(&edit.actor)) {
        after.edited_by.push(edit.actor.clone());
    }
    Ok(Ok((before, after)))
}

/// Puts the edited proposal in the place of the open one, with what was changed on record.
fn write(
    tx: &Tx<'_>,
    edit: &Edit,
    before: &Proposal,
    after: Proposal,
    now: Time,
) -> Result<Result<Proposal, Refused>, Fault> {
    if !tx.replace_in_state(&after, ProposalState::Open.as_str())? {
        return Ok(Err(Refused::Conflict(
            "Somebody decided on this at the same moment; look at it again.".into(),
        )));
    }
    let changed: Vec<String> = after
        .plan
        .parameters
        .iter()
        .filter(|(k, v)| before.plan.parameters.get(*k) != Some(v))
        .map(|(k, v)| match before.plan.parameters.get(k) {
            Some(old) => format!("{k} {v} instead of {old}"),
            None => format!("{k} {v}"),
        })
        .collect();
    let why = if edit.reason.is_empty() { String::new() } else { format!(" ({})", edit.reason) };
    let lost = match before.decisions.len() {
        0 => "",
        _ => " Earlier approvals were of another plan and count no more.",
    };
    let text = format!("Edited by {}: {}.{why}{lost}", edit.actor.name, changed.join(", "));
    tx.put(&TimelineEntry::by(
        edit.actor.clone(),
        after.incident,
        now,
        EntryKind::Proposal,
        text,
        Some(after.id.to_string()),
    ))?;
    let detail = json!({
        "parameters": after.plan.parameters, "before": before.plan.parameters,
        "digest": after.digest.0, "digest_before": before.digest.0, "exact": after.exact,
        "reason": edit.reason,
    });
    tx.audit(now, &edit.actor, "proposal.edit", &after.id.to_string(), &detail)?;
    Ok(Ok(after))
}

fn check(proposal: &Proposal, edit: &Edit, now: Time) -> Result<(), Refused> {
    if proposal.state != ProposalState::Open || now >= proposal.expires_at {
        let word = match proposal.state {
            ProposalState::Open => "expired",
            state => state.as_str(),
        };
        return Err(Refused::Conflict(format!(
            "This proposal is {word}, so its parameters can't be changed any more. Look at the \
             incident for where it stands."
        )));
    }
    if !proposal.digest.accepts(&edit.digest) {
        return Err(Refused::Conflict(
            "The plan has changed since this form was shown; nothing was changed. Read the newest \
             proposal and edit there."
                .into(),
        ));
    }
    may_edit(&edit.actor)
}

fn situation(rows: &Rows<'_>, proposal: &Proposal) -> Result<Situation, Fault> {
    let id = proposal.incident;
    let Some(incident) = rows.get::<Incident>(id)? else { return Ok(Situation::default()) };
    let diagnosis = rows.get::<Diagnosis>(id)?;
    let alerts = rows.list::<Alert>(&Filter::parent(id))?;
    let evidence = rows.list::<Evidence>(&Filter::parent(id))?;
    let first = diagnosis.as_ref().and_then(|d| d.hypotheses.first());
    let changes = diagnosis.as_ref().map_or(&[][..], |d| &d.changes);
    Ok(Situation::of(&incident, first, changes, &alerts).with_evidence(&evidence))
}
