//! The running of remediation: claim, execute, record, measure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::measure::{Verdict, measure};
use super::{Executed, Executor};
use crate::approve::{self, ApprovedAction, Observe, claim, refuse};
use crate::bus::{Bus, Event};
use crate::correlate::machine;
use crate::model::action::Effect;
use crate::model::time::{DAY_MS, SECOND_MS};
use crate::model::{
    Actor, EntryKind, Fault, Incident, IncidentId, IncidentState, Plan, Proposal, ProposalId,
    ProposalState, Run, RunId, RunState, SharedClock, Time, TimelineEntry,
};
use crate::stage::Stage;
use crate::store::{AuditFilter, Filter, Rows, Store, Tx};

/// The audit log's word for the look at the target of a run that ended unknown.
const PROBE: &str = "run.probe";

/// The remediate stage.
pub struct Remediate {
    /// Policy, for the checks at the claim.
    pub policy: approve::Config,
    /// The store.
    pub store: Store,
    /// The doorbells.
    pub bus: Bus,
    /// Event time.
    pub clock: SharedClock,
    /// Whoever carries out.
    pub executor: Arc<dyn Executor>,
    /// Reads a target's state.
    pub observe: Observe,
    /// Whether runs that an earlier process left behind have been looked after.
    pub swept: bool,
}

impl Remediate {
    async fn carry_out(&self, id: ProposalId) -> Result<(), Fault> {
        let proposal = self.store.read(move |r| r.get::<Proposal>(id)).await?;
        let Some(proposal) = proposal.filter(|p| p.state == ProposalState::Approved) else {
            return Ok(());
        };
        // A target that can't be read is not known to be unchanged: nothing is done.
        let observed = match (self.observe)(proposal.plan.clone()).await {
            Ok(observed) => observed,
            Err(e) => return self.hold(proposal, &e).await,
        };
        let (policy, now, dry) = (self.policy.clone(), self.clock.now(), self.executor.is_dry());
        let claimed = self
            .store
            .write(move |tx| {
                let claimed = claim(tx, id, observed.as_ref(), &policy, now)?;
                match &claimed {
                    Ok(action) => under_way(tx, action.run(), dry, now)?,
                    Err(refused) => refuse(tx, id, &refused.to_string(), now)?,
                }
                Ok(claimed)
            })
            .await?;
        self.bus.publish(Event::Proposal(id));
        match claimed {
            Ok(action) => self.execute(action, &proposal).await,
            Err(refused) => {
                metrics::counter!("nightjar_remediate_refused_total").increment(1);
                tracing::warn!(proposal.id = %id, reason = %refused, "an approved action was not run");
                self.bus.publish(Event::Incident(proposal.incident));
                Ok(())
            }
        }
    }

    async fn hold(&self, proposal: Proposal, fault: &Fault) -> Result<(), Fault> {
        let now = self.clock.now();
        let reason = format!(
            "The target's state can't be read ({}), so it is not known to be unchanged.",
            fault.chain()
        );
        let (id, incident) = (proposal.id, proposal.incident);
        self.store.write(move |tx| refuse(tx, id, &reason, now)).await?;
        self.bus.publish(Event::Proposal(id));
        self.bus.publish(Event::Incident(incident));
        Ok(())
    }

    async fn execute(&self, action: ApprovedAction, proposal: &Proposal) -> Result<(), Fault> {
        let id = action.run();
        self.bus.publish(Event::Run(id));
        self.bus.publish(Event::Incident(proposal.incident));
        let results = self.executor.run(action).await;
        let now = self.clock.now();
        let verify = proposal.plan.verify.clone();
        let dry = self.executor.is_dry();
        let (incident, unknown) = self
            .store
            .write(move |tx| {
                let Some(mut run) = tx.get::<Run>(id)? else {
                    return Err(Fault::because("a claimed run is gone from the store"));
                };
                let mut state = RunState::Done;
                run.dry_run |= dry;
                for (n, result) in results.into_iter().enumerate() {
                    let (then, text) = match result {
                        Executed::Done { output } => (state, output),
                        // Steps before it were done: the whole is neither done nor undone.
                        Executed::NotSent { reason } if n > 0 => (RunState::Unknown, reason),
                        Executed::NotSent { reason } => (RunState::NotSent, reason),
                        Executed::Unknown { reason } => (RunState::Unknown, reason),
                    };
                    state = then;
                    run.output.push(text);
                }
                run.state = state;
                run.finished_at = Some(now);
                let wait = i64::from(verify.after_s + verify.window_s) * SECOND_MS;
                run.verify_at =
                    (state == RunState::Done && !run.dry_run).then(|| now.plus_ms(wait));
                record(tx, &run, now)?;
                Ok((run.incident, state == RunState::Unknown))
            })
            .await?;
        if unknown {
            self.probe(id).await?;
        }
        metrics::counter!("nightjar_remediate_runs_total").increment(1);
        self.bus.publish(Event::Run(id));
        self.bus.publish(Event::Incident(incident));
        Ok(())
    }

    /// Runs that were claimed and never recorded: the process ended in between. Nobody knows
    /// whether they happened, so they are not repeated; a person is asked to look.
    async fn look_after_orphans(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        self.store
            .write(move |tx| {
                for mut run in tx.list::<Run>(&Filter::states(["running"]))? {
                    run.state = RunState::Unknown;
                    run.finished_at = Some(now);
                    run.output.push(
                        "The process or its store failed while this ran; whether it happened is not known. \
                         Look at the target before anything else is done."
                            .into(),
                    );
                    record(tx, &run, now)?;
                }
                Ok(())
            })
            .await?;
        // The look is a step of its own: one that an earlier failure cut off is made up for.
        let unseen = self.store.read(move |r| unseen(r, now)).await?;
        for (run, incident) in unseen {
            self.probe(run).await?;
            self.bus.publish(Event::Run(run));
            self.bus.publish(Event::Incident(incident));
        }
        self.swept = true;
        Ok(())
    }

    /// Carries out one proposal. A run whose end could not be recorded is looked after at the next
    /// sweep like one that an earlier process left: this stage does one thing at a time, so it is
    /// certainly not under way any more.
    async fn step(&mut self, id: ProposalId) -> Result<(), Fault> {
        let done = self.carry_out(id).await;
        self.swept &= done.is_ok();
        done
    }

    /// A look at the target of a run that ended unknown, for the person who is asked to look.
    async fn probe(&self, id: RunId) -> Result<(), Fault> {
        let read = self.store.read(move |r| {
            let Some(run) = r.get::<Run>(id)? else { return Ok(None) };
            Ok(r.get::<Proposal>(run.proposal)?.map(|p| (run, p.plan)))
        });
        let Some((run, plan)) = read.await? else { return Ok(()) };
        let text = seen_of(&plan, (self.observe)(plan.clone()).await);
        let now = self.clock.now();
        self.store
            .write(move |tx| {
                let said = format!("{} on {}: {text}", run.action, run.target.name());
                let subject = Some(id.to_string());
                tx.put(&TimelineEntry::by_bot(run.incident, now, EntryKind::Run, said, subject))?;
                let detail = json!({ "seen": text });
                tx.audit(now, &Actor::nightjar(), PROBE, &id.to_string(), &detail)
            })
            .await
    }

    async fn verify_due(&self) -> Result<(), Fault> {
        let now = self.clock.now();
        let due = self
            .store
            .read(move |r| {
                let done = r.list::<Run>(&Filter::states(["done"]).newest(200))?;
                Ok(done
                    .into_iter()
                    .filter(|run| run.verify_at.is_some_and(|at| at <= now))
                    .map(|run| run.id)
                    .collect::<Vec<_>>())
            })
            .await?;
        for id in due {
            let incident = self.store.write(move |tx| verify_run(tx, id, now)).await?;
            if let Some(incident) = incident {
                self.bus.publish(Event::Run(id));
                self.bus.publish(Event::Incident(incident));
            }
        }
        Ok(())
    }

    /// Scheduled proposals whose time has come become approved ones.
    async fn wake_scheduled(&self) -> Result<(), Fault> {
        let now = self.clock.now();
        self.store
            .write(move |tx| {
                for mut p in tx.list::<Proposal>(&Filter::states(["scheduled"]))? {
                    if p.scheduled_for.is_some_and(|at| at <= now) {
                        p.state = ProposalState::Approved;
                        if tx.replace_in_state(&p, "scheduled")? {
                            let detail = json!({ "scheduled_for": p.scheduled_for });
                            let id = p.id.to_string();
                            tx.audit(now, &Actor::nightjar(), "proposal.due", &id, &detail)?;
                        }
                    }
                }
                Ok(())
            })
            .await
    }
}

/// Runs of the last day that ended unknown and whose target was not looked at since.
fn unseen(rows: &Rows<'_>, now: Time) -> Result<Vec<(RunId, IncidentId)>, Fault> {
    let lately = Filter::states(["unknown"]).since(now.plus_ms(-DAY_MS));
    let mut found = Vec::new();
    for run in rows.list::<Run>(&lately)? {
        let filter = AuditFilter {
            subject: Some(run.id.to_string()),
            action: Some(PROBE.to_owned()),
            limit: 1,
            ..AuditFilter::default()
        };
        if rows.audit_records(&filter)?.is_empty() {
            found.push((run.id, run.incident));
        }
    }
    Ok(found)
}

/// What the look at the target of an unknown run says.
fn seen_of(plan: &Plan, seen: Result<Option<BTreeMap<String, String>>, Fault>) -> String {
    let state = |state: &BTreeMap<String, String>| {
        state.iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>().join(", ")
    };
    match seen {
        Err(e) => format!("the target can't be read now ({}). Look at it yourself.", e.chain()),
        Ok(None) => "its runbook reads no state of the target. Look at it yourself.".into(),
        Ok(Some(now)) if now == plan.observed => format!(
            "the target is as it was before ({}), so it was probably not done. Make sure before \
             it is tried again.",
            state(&now)
        ),
        Ok(Some(now)) => format!(
            "the target was {} before and is {} now, so it was probably done.",
            state(&plan.observed),
            state(&now)
        ),
    }
}

fn record(tx: &Tx<'_>, run: &Run, now: Time) -> Result<(), Fault> {
    tx.put(run)?;
    if let Some(mut proposal) = tx.get::<Proposal>(run.proposal)? {
        proposal.state = ProposalState::Finished;
        tx.put(&proposal)?;
    }
    let undoes = undoes(tx, run)?;
    let words = match run.state {
        RunState::Done if run.dry_run => "was a dry run; nothing was sent",
        RunState::Done => "was done; its effect is measured next",
        RunState::NotSent => "was not sent",
        RunState::Unknown => "ended unknown and is not repeated",
        RunState::Running => "is running",
    };
    let said = run.output.last().map(|o| format!(" ({o})")).unwrap_or_default();
    let text = format!("{} on {} {words}{said}.", run.action, run.target.name());
    let subject = Some(run.id.to_string());
    tx.put(&TimelineEntry::by_bot(run.incident, now, EntryKind::Run, text, subject))?;
    let detail = json!({ "state": run.state, "output": run.output, "dry_run": run.dry_run });
    tx.audit(now, &Actor::nightjar(), "run.end", &run.id.to_string(), &detail)?;
    match run.state {
        RunState::Done if !run.dry_run && !undoes => {
            move_on(tx, run, IncidentState::Monitoring, "a fix was carried out", now)
        }
        RunState::NotSent => back(tx, run, "the fix was not sent", now),
        RunState::Unknown => back(tx, run, "whether the fix happened is not known", now),
        _ => Ok(()),
    }
}

/// A claimed run that is a fix shows in its incident's state from before anything is sent.
fn under_way(tx: &Tx<'_>, id: RunId, dry: bool, now: Time) -> Result<(), Fault> {
    let Some(run) = tx.get::<Run>(id)?.filter(|r| !r.dry_run && !dry) else { return Ok(()) };
    let waits = tx
        .get::<Incident>(run.incident)?
        .is_some_and(|i| matches!(i.state, IncidentState::Open | IncidentState::Acknowledged));
    if !waits || undoes(tx, &run)? {
        return Ok(());
    }
    let reason = format!("{} is being carried out on {}", run.action, run.target.name());
    move_on(tx, &run, IncidentState::Mitigating, &reason, now)
}

/// No fix is under way after all: the incident is again whoever's it was.
fn back(tx: &Tx<'_>, run: &Run, reason: &str, now: Time) -> Result<(), Fault> {
    let incident = tx.get::<Incident>(run.incident)?;
    match incident.filter(|i| i.state == IncidentState::Mitigating) {
        Some(i) if i.acknowledged_at.is_some() => {
            move_on(tx, run, IncidentState::Acknowledged, reason, now)
        }
        Some(_) => move_on(tx, run, IncidentState::Open, reason, now),
        None => Ok(()),
    }
}

/// Whether a run puts back what another did: that is no fix, so it moves no incident on.
fn undoes(tx: &Tx<'_>, run: &Run) -> Result<bool, Fault> {
    Ok(tx.get::<Proposal>(run.proposal)?.is_some_and(|p| p.rollback_of.is_some()))
}

fn move_on(
    tx: &Tx<'_>,
    run: &Run,
    to: IncidentState,
    reason: &str,
    now: Time,
) -> Result<(), Fault> {
    let Some(incident) = tx.get::<Incident>(run.incident)? else { return Ok(()) };
    if incident.state == to || !incident.state.is_active() {
        return Ok(());
    }
    if let Ok((next, entry)) = machine::transition(&incident, to, &Actor::nightjar(), now, reason) {
        tx.put(&next)?;
        tx.put(&entry)?;
        let detail = json!({ "to": next.state, "reason": reason, "run": run.id });
        tx.audit(now, &Actor::nightjar(), "incident.move", &incident.id.to_string(), &detail)?;
    }
    Ok(())
}

fn verify_run(tx: &Tx<'_>, id: RunId, now: Time) -> Result<Option<IncidentId>, Fault> {
    let Some(mut run) = tx.get::<Run>(id)? else { return Ok(None) };
    if run.verify_at.is_none() {
        return Ok(None);
    }
    let outcome = match measure(tx, &run, now)? {
        Verdict::Now(outcome) => *outcome,
        Verdict::Later(at) => {
            run.verify_at = Some(at);
            tx.put(&run)?;
            return Ok(None);
        }
    };
    run.verify_at = None;
    run.outcome = Some(outcome.clone());
    tx.put(&run)?;
    let text = format!("{} on {}: {}", run.action, run.target.name(), outcome.text);
    let subject = Some(id.to_string());
    tx.put(&TimelineEntry::by_bot(run.incident, now, EntryKind::Verification, text, subject))?;
    let detail = json!({ "outcome": outcome });
    tx.audit(now, &Actor::nightjar(), "run.verify", &id.to_string(), &detail)?;
    if matches!(outcome.effect, Effect::NoChange | Effect::Worse) && !undoes(tx, &run)? {
        move_on(tx, &run, IncidentState::Open, "the fix did not help", now)?;
    }
    Ok(Some(run.incident))
}

impl Stage for Remediate {
    const NAME: &'static str = "remediate";
    const SWEEP: Duration = Duration::from_secs(2);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Decided(_))
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        if !self.swept {
            self.look_after_orphans().await?;
        }
        self.wake_scheduled().await?;
        let due = self
            .store
            .read(|r| {
                let approved = r.list::<Proposal>(&Filter::states(["approved"]))?;
                Ok(approved.into_iter().map(|p| p.id).collect::<Vec<_>>())
            })
            .await?;
        for id in due {
            self.step(id).await?;
        }
        self.verify_due().await
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Decided(id) => self.step(id).await,
            _ => Ok(()),
        }
    }
}
