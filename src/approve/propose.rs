//! Offers: from a diagnosis and the runbooks that match it to proposals with a digest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::offer::{Offer, end, key};
use super::policy::Config;
use super::rest::recent;
use super::revise::{Revision, over, revise};
use super::undo::{outdated, waiting};
use super::withhold::{Because, Withheld, record, unsaid};
use crate::bus::{Bus, Event};
use crate::learn::Ledger;
use crate::model::time::{MINUTE_MS, SECOND_MS};
use crate::model::{
    Alert, Diagnosis, Evidence, Fault, Incident, IncidentId, Plan, Proposal, ProposalId,
    ProposalState, Refused, Run, RunState, SharedClock, Time,
};
use crate::runbook::{self, Library, Runbook, Situation, schema::Action};
use crate::stage::Stage;
use crate::store::{Filter, Store};

/// Runbooks whose actions are offered for one incident at most, the best first.
const RUNBOOKS: usize = 3;

/// Where nobody looks again for this long (ms), what is offered rests on the look that there is.
const NO_LOOK_MS: i64 = 5 * MINUTE_MS;

/// Reads the state of a plan's target, as its runbook says; `None` where it says nothing.
pub type Observe = Arc<
    dyn Fn(Plan) -> BoxFuture<'static, Result<Option<BTreeMap<String, String>>, Fault>>
        + Send
        + Sync,
>;

/// The stage that offers actions and lets undecided offers expire.
pub struct Propose {
    /// Policy.
    pub policy: Config,
    /// The store.
    pub store: Store,
    /// The doorbells.
    pub bus: Bus,
    /// Event time.
    pub clock: SharedClock,
    /// The runbooks.
    pub library: Arc<Library>,
    /// Values that runbooks name.
    pub settings: BTreeMap<String, String>,
    /// Reads a target's state.
    pub observe: Observe,
    /// The first look at an incident, seconds after its first alerts, is for people to read: what is
    /// offered rests on one at least so many seconds after the opening, when the others are there.
    pub settle_s: u32,
    /// Incidents to look at again once something that rests may be offered.
    pub again: BTreeMap<IncidentId, Time>,
}

/// What an offer is made of.
pub(super) struct Known {
    pub incident: Incident,
    pub diagnosis: Diagnosis,
    pub alerts: Vec<Alert>,
    pub evidence: Vec<Evidence>,
    pub proposals: Vec<Proposal>,
    pub runs: Vec<Run>,
    /// The newest runs anywhere: cooldown and circuit breaker go by target, not by incident.
    pub recent: Vec<Run>,
    pub ledger: Ledger,
}

/// Where the decisions and runs of an incident stand.
fn stamp(proposals: &[Proposal], runs: &[Run]) -> Vec<(String, &'static str, usize)> {
    let proposals = proposals
        .iter()
        .map(|p| (format!("{} {}", p.id, p.digest), p.state.as_str(), p.decisions.len()));
    let runs = runs.iter().map(|r| {
        let state = if r.state == RunState::Running { "running" } else { "ended" };
        (r.id.to_string(), state, usize::from(r.outcome.is_some()))
    });
    let mut all: Vec<_> = proposals.chain(runs).collect();
    all.sort_unstable();
    all
}

impl Propose {
    async fn offer(&mut self, id: IncidentId) -> Result<(), Fault> {
        self.again.remove(&id);
        let Some(known) = self.known(id).await? else { return Ok(()) };
        let Some(situation) = self.situation(&known) else { return Ok(()) };
        let (now, opened_at) = (self.clock.now(), known.incident.opened_at);
        let until = opened_at.plus_ms(NO_LOOK_MS);
        let settled_at = opened_at.plus_ms(i64::from(self.settle_s) * SECOND_MS);
        if known.diagnosis.at < settled_at && now < until {
            self.again.insert(id, until);
            return Ok(());
        }
        let (mut offers, mut withheld) = self.candidates(&situation, &known.ledger).await;
        offers.sort_by(|a, b| b.worth().total_cmp(&a.worth()));
        let mut requests: Vec<Plan> = Vec::new();
        offers.retain(|o| {
            // Two runbooks may come to the same request: the one that fits better offers it.
            let twin = requests.iter().find(|r| r.steps == o.plan.steps);
            if let Some(twin) = twin {
                let why = format!("{} comes to the same request.", key(twin));
                withheld.push(Withheld::of(&o.plan, Because::Duplicate, why));
            }
            let new = twin.is_none();
            requests.push(o.plan.clone());
            new
        });
        let revised = revise(&known, offers, &self.policy, now);
        withheld.extend(revised.withheld);
        if let Some(at) = revised.again {
            self.again.insert(id, at);
        }
        let changes = revised.changes;
        let told: Vec<ProposalId> = changes.iter().map(Revision::id).collect();
        let new =
            self.store.read(move |r| Ok(unsaid(&super::withhold::withheld(r, id)?, withheld)));
        let new = new.await?;
        if changes.is_empty() && new.is_empty() {
            return Ok(());
        }
        metrics::counter!("nightjar_approve_withheld_total").increment(new.len() as u64);
        let seen = stamp(&known.proposals, &known.runs);
        let written = self.store.write(move |tx| {
            // Targets are looked at between the reading and this. What was decided or run
            // meanwhile may have changed them: then it is all gone through again.
            if stamp(&tx.list(&Filter::parent(id))?, &tx.list(&Filter::parent(id))?) != seen {
                return Ok(false);
            }
            changes.iter().try_for_each(|c| c.write(tx, now))?;
            record(tx, id, &new, now).map(|()| true)
        });
        if !written.await? {
            self.again.insert(id, now);
            return Ok(());
        }
        for id in told {
            self.bus.publish(Event::Proposal(id));
        }
        Ok(())
    }

    /// All that offers for an active, diagnosed incident go by.
    async fn known(&self, id: IncidentId) -> Result<Option<Known>, Fault> {
        let (policy, now) = (self.policy.clone(), self.clock.now());
        let read = self.store.read(move |r| {
            let (Some(incident), Some(diagnosis)) =
                (r.get::<Incident>(id)?, r.get::<Diagnosis>(id)?)
            else {
                return Ok(None);
            };
            Ok(Some(Known {
                alerts: r.list(&Filter::parent(id))?,
                evidence: r.list(&Filter::parent(id))?,
                proposals: r.list(&Filter::parent(id))?,
                runs: r.list(&Filter::parent(id))?,
                recent: recent(r, &policy, now)?,
                ledger: Ledger::read(r)?,
                incident,
                diagnosis,
            }))
        });
        Ok(read.await?.filter(|k| k.incident.state.is_active()))
    }

    /// What could be offered, and what could not be and why.
    async fn candidates<'a>(
        &'a self,
        situation: &Situation,
        ledger: &Ledger,
    ) -> (Vec<Offer<'a>>, Vec<Withheld>) {
        let pattern = situation.hypothesis.as_ref().map_or("", |h| h.pattern.as_str());
        let (mut offers, mut withheld) = (Vec::new(), Vec::new());
        let matching = self.library.matching(situation);
        let best = matching.first().map_or(0.0, |m| m.score);
        let first = matching.first().map(|m| m.runbook.front.id.as_str());
        for (n, found) in matching.into_iter().enumerate() {
            // A runbook that fits no better than half as well as the best is for another fault.
            let weak = n >= RUNBOOKS || found.score <= 0.5 * best;
            for (n, action) in found.runbook.front.actions.iter().enumerate() {
                if weak {
                    let why = format!("{} fits this far better.", first.unwrap_or_default());
                    let because = Because::WeakMatch;
                    withheld.push(Withheld::early(found.runbook, action, because, why));
                    continue;
                }
                // Between equals, what its author wrote first goes first.
                let fit = found.score * (1.0 - 0.001 * n as f64);
                match self.plan(found.runbook, action, situation).await {
                    Ok(made) => offers.push(Offer::new(action, made, fit, (ledger, pattern))),
                    Err(held) => withheld.push(held),
                }
            }
        }
        for (found, why) in self.library.barred(situation) {
            for action in &found.runbook.front.actions {
                let (because, why) = (Because::Precondition, format!("By its runbook, {why}."));
                withheld.push(Withheld::early(found.runbook, action, because, why));
            }
        }
        (offers, withheld)
    }

    pub(super) fn situation(&self, known: &Known) -> Option<Situation> {
        let hypothesis = known.diagnosis.hypotheses.first()?;
        let (incident, changes) = (&known.incident, &known.diagnosis.changes);
        let situation = Situation::of(incident, Some(hypothesis), changes, &known.alerts)
            .with_evidence(&known.evidence);
        Some(Situation { settings: self.settings.clone(), ..situation })
    }

    /// A plan with the target's state as it is now, and its title; or why there is none: the
    /// action can't be filled in or its target can't be read.
    async fn plan(
        &self,
        runbook: &Runbook,
        action: &Action,
        situation: &Situation,
    ) -> Result<(Plan, String), Withheld> {
        let none = BTreeMap::new();
        let early = |because, why: String| Withheld::early(runbook, action, because, why);
        let unfilled = |refused: Refused| early(Because::NotFilled, refused.to_string());
        let draft = runbook::plan(runbook, action, &none, &none, situation, None);
        let target = runbook::target(action, situation).map_err(unfilled)?;
        // Only target and runbook matter for the look at the target's state.
        let look = draft.unwrap_or_else(|_| Plan {
            version: 1,
            runbook: runbook.front.id.clone(),
            action: action.id.clone(),
            target,
            parameters: BTreeMap::new(),
            observed: BTreeMap::new(),
            steps: Vec::new(),
            verify: crate::model::action::Verify { series: None, after_s: 0, window_s: 0 },
        });
        let observed = (self.observe)(look).await.map_err(|e| {
            let why = format!("The state of its target can't be read: {}.", e.chain());
            early(Because::TargetUnread, why)
        })?;
        let observed = observed.unwrap_or_default();
        let plan = runbook::plan(runbook, action, &none, &observed, situation, None);
        let plan = plan.map_err(unfilled)?;
        let title = runbook::title(action, &plan.parameters, &observed, situation);
        Ok((plan, title))
    }

    /// Undecided offers end with their time or with their incident, a way back also once
    /// something else was done to its target.
    async fn expire(&self) -> Result<(), Fault> {
        let now = self.clock.now();
        let ended = self
            .store
            .write(move |tx| {
                let mut ended = Vec::new();
                for p in tx.list::<Proposal>(&Filter::states(["open", "scheduled"]))? {
                    let incident = tx.get::<Incident>(p.incident)?;
                    let late = over(&p, incident.as_ref(), now);
                    let gone = match late {
                        Some(reason) => Some((ProposalState::Expired, reason)),
                        None => outdated(tx, &p)?.map(|why| (ProposalState::Superseded, why)),
                    };
                    if let Some((state, reason)) = gone
                        && end(tx, &p, state, &reason, now)?
                    {
                        ended.push(p.id);
                    }
                }
                Ok(ended)
            })
            .await?;
        for id in ended {
            self.bus.publish(Event::Proposal(id));
        }
        Ok(())
    }
}

impl Stage for Propose {
    const NAME: &'static str = "approve";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Diagnosis(_) | Event::Run(_))
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        self.expire().await?;
        let now = self.clock.now();
        for id in self.store.read(move |r| waiting(r, now)).await? {
            self.offer_way_back(id).await?;
        }
        let due = self.again.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id);
        for id in due.collect::<Vec<_>>() {
            self.offer(id).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Diagnosis(id) => self.offer(id).await,
            Event::Run(id) => {
                self.expire().await?;
                self.offer_way_back(id).await
            }
            _ => Ok(()),
        }
    }
}
