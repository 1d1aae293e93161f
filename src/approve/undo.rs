//! The way back: a run that did not help, or of which nobody knows, is offered to be undone, as a
//! proposal of its own with its own digest, approvals and expiry.

use super::offer::{exact, put};
use super::policy::requirement;
use super::propose::{Known, Propose};
use crate::bus::Event;
use crate::learn::Ledger;
use crate::model::action::Effect;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{
    Actor, Diagnosis, Fault, Incident, Proposal, ProposalId, ProposalState, Run, RunId, RunState,
    Time,
};
use crate::runbook;
use crate::store::{Filter, Rows};

/// Worth of a way back: before anything else is tried, what did not help is undone.
const FIRST: f64 = 100.0;
/// How long after its end a run's way back is looked for.
const LOOK_BACK_MS: i64 = 2 * HOUR_MS;
/// Runs looked at in one sweep, newest first.
const RECENT: usize = 50;

/// Why the way back of a run is offered, if it is.
fn wanted(run: &Run) -> Option<String> {
    if run.dry_run {
        return None;
    }
    match (run.state, run.outcome.as_ref()) {
        (RunState::Unknown, _) => Some(format!(
            "{} on {} ended unknown: whether it was done is not certain.",
            run.action,
            run.target.name()
        )),
        (RunState::Done, Some(outcome)) if outcome.effect != Effect::Helped => {
            Some(outcome.text.clone())
        }
        _ => None,
    }
}

/// A later run on the same target that still stands: putting back the state from before `run`
/// would undo it as well. One that was itself undone, or that undid something, does not count.
pub(super) fn overtaken(rows: &Rows<'_>, run: &Run) -> Result<Option<Run>, Fault> {
    let later = rows.list::<Run>(&Filter::all().since(run.started_at))?;
    for other in later.into_iter().filter(|r| r.target == run.target && r.id != run.id) {
        let done = matches!(other.state, RunState::Running | RunState::Done | RunState::Unknown);
        if other.dry_run || !done || other.started_at <= run.started_at {
            continue;
        }
        let around = rows.list::<Proposal>(&Filter::parent(other.incident))?;
        let undoes = around.iter().any(|p| p.id == other.proposal && p.rollback_of.is_some());
        let undone = around
            .iter()
            .any(|p| p.rollback_of == Some(other.id) && p.state == ProposalState::Finished);
        if !undoes && !undone {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// Why an open way back no longer stands: something else was done to the target since.
pub(super) fn outdated(rows: &Rows<'_>, proposal: &Proposal) -> Result<Option<String>, Fault> {
    let Some(undone) = proposal.rollback_of else { return Ok(None) };
    let Some(run) = rows.get::<Run>(undone)? else { return Ok(None) };
    Ok(overtaken(rows, &run)?.map(|later| {
        format!(
            "{} ran on {} at {} UTC, after what this would undo; it would undo both.",
            later.action,
            later.target.name(),
            later.started_at.clock_text()
        )
    }))
}

/// The newest runs whose way back is wanted and was not offered yet.
pub(super) fn waiting(rows: &Rows<'_>, now: Time) -> Result<Vec<RunId>, Fault> {
    let runs = rows.list::<Run>(&Filter::states(["done", "unknown"]).newest(RECENT))?;
    let mut found = Vec::new();
    let fresh = |r: &&Run| r.finished_at.is_some_and(|at| now.ms_since(at) < LOOK_BACK_MS);
    for run in runs.iter().filter(fresh).filter(|r| wanted(r).is_some()) {
        let proposals = rows.list::<Proposal>(&Filter::parent(run.incident))?;
        if !is_offered(&proposals, run.id) && overtaken(rows, run)?.is_none() {
            found.push(run.id);
        }
    }
    Ok(found)
}

/// Whether the way back of a run was offered and is not to be offered again: one that was
/// withdrawn because its target changed is.
fn is_offered(proposals: &[Proposal], run: RunId) -> bool {
    proposals.iter().any(|p| p.rollback_of == Some(run) && p.state != ProposalState::Superseded)
}

impl Propose {
    /// Offers the way back of a run, where its runbook names one and the target's state can be
    /// read.
    pub(super) async fn offer_way_back(&self, id: RunId) -> Result<(), Fault> {
        let read = self.store.read(move |r| {
            let Some(run) = r.get::<Run>(id)? else { return Ok(None) };
            if overtaken(r, &run)?.is_some() {
                return Ok(None);
            }
            let proposals = r.list::<Proposal>(&Filter::parent(run.incident))?;
            let done = proposals.iter().find(|p| p.id == run.proposal).cloned();
            let (Some(done), Some(incident), Some(diagnosis)) =
                (done, r.get::<Incident>(run.incident)?, r.get::<Diagnosis>(run.incident)?)
            else {
                return Ok(None);
            };
            let parent = Filter::parent(run.incident);
            let (alerts, evidence) = (r.list(&parent)?, r.list(&parent)?);
            let known = Known {
                ledger: Ledger::default(),
                runs: vec![run.clone()],
                recent: Vec::new(),
                incident,
                diagnosis,
                alerts,
                evidence,
                proposals,
            };
            Ok(Some((run, done, known)))
        });
        let Some((run, done, known)) = read.await? else { return Ok(()) };
        let Some(why) = wanted(&run) else { return Ok(()) };
        // Undoing what undid something would go in circles.
        if done.rollback_of.is_some() || is_offered(&known.proposals, run.id) {
            return Ok(());
        }
        let Some(runbook) = self.library.get(&done.plan.runbook) else { return Ok(()) };
        let Some(mut situation) = self.situation(&known) else { return Ok(()) };
        // The diagnosis may have moved on; what is undone is what was done.
        if let Some(h) = situation.hypothesis.as_mut() {
            h.entity = done.plan.target.clone();
        }
        let (action, values) = match runbook::rollback(runbook, &done.plan, &situation) {
            Ok(Some(undo)) => undo,
            Ok(None) => return Ok(()),
            Err(refused) => {
                tracing::info!(run.id = %id, reason = %refused, "the way back can't be filled in");
                return Ok(());
            }
        };
        let observed = match (self.observe)(done.plan.clone()).await {
            Ok(observed) => observed.unwrap_or_default(),
            Err(e) => {
                tracing::info!(run.id = %id, error = e.chain(), "the way back is not offered yet");
                return Ok(());
            }
        };
        // An unknown run whose target is as it was before has nothing to be undone.
        if run.state == RunState::Unknown && !observed.is_empty() && observed == done.plan.observed
        {
            return Ok(());
        }
        let series = done.plan.verify.series;
        let plan = runbook::plan(runbook, action, &values, &observed, &situation, series);
        let plan = match plan {
            Ok(plan) if plan.target == done.plan.target => plan,
            Ok(_) => return Ok(()),
            Err(refused) => {
                tracing::info!(run.id = %id, reason = %refused, "the way back is not offered");
                return Ok(());
            }
        };
        let now = self.clock.now();
        let digest = plan.digest();
        let asked = action.requires.as_ref();
        let title = runbook::title(action, &plan.parameters, &observed, &situation);
        let proposal = Proposal {
            id: ProposalId::derive(now, &[&id.to_string(), &digest.0]),
            exact: exact(&plan),
            digest,
            title: format!("Undo \"{}\": {title}", done.title.trim_end_matches('.')),
            why,
            risk: action.risk,
            expected_effect: format!("{} is as it was before the run.", plan.target.name()),
            chance: 0.5,
            created_at: now,
            expires_at: now.plus_ms(i64::from(self.policy.expires_min) * MINUTE_MS),
            requires: requirement(
                &self.policy,
                action.risk,
                asked.and_then(|r| r.role),
                asked.and_then(|r| r.approvals),
            ),
            requested_by: Actor::nightjar(),
            edited_by: Vec::new(),
            state: ProposalState::Open,
            decisions: Vec::new(),
            scheduled_for: None,
            rollback_of: Some(run.id),
            run: None,
            past: "Puts back the state from before the run.".into(),
            worth: FIRST,
            ended: None,
            plan,
            ..done
        };
        let id = proposal.id;
        if self.store.write(move |tx| put(tx, &proposal)).await? {
            self.bus.publish(Event::Proposal(id));
        }
        Ok(())
    }
}
