//! Offers: from a diagnosis and the runbooks that match it to proposals with a digest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::offer::{Offer, end};
use super::policy::Config;
use super::revise::{Revision, over, revise};
use super::undo::waiting;
use crate::bus::{Bus, Event};
use crate::learn::Ledger;
use crate::model::{
    Alert, Diagnosis, Evidence, Fault, Incident, IncidentId, Plan, Proposal, ProposalId,
    ProposalState, Run, SharedClock,
};
use crate::runbook::{self, Library, Runbook, Situation, schema::Action};
use crate::stage::Stage;
use crate::store::{Filter, Store};

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
}

/// What an offer is made of.
pub(super) struct Known {
    pub incident: Incident,
    pub diagnosis: Diagnosis,
    pub alerts: Vec<Alert>,
    pub evidence: Vec<Evidence>,
    pub proposals: Vec<Proposal>,
    pub runs: Vec<Run>,
    pub ledger: Ledger,
}

impl Propose {
    async fn offer(&self, id: IncidentId) -> Result<(), Fault> {
        let known = self
            .store
            .read(move |r| {
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
                    ledger: Ledger::read(r)?,
                    incident,
                    diagnosis,
                }))
            })
            .await?;
        let Some(known) = known.filter(|k| k.incident.state.is_active()) else { return Ok(()) };
        let Some(situation) = self.situation(&known) else { return Ok(()) };
        let pattern = situation.hypothesis.as_ref().map_or("", |h| h.pattern.as_str());
        let mut offers = Vec::new();
        let matching = self.library.matching(&situation);
        let best = matching.first().map_or(0.0, |m| m.score);
        // A runbook that fits no better than half as well as the best is for another fault.
        for found in matching.into_iter().take(3).filter(|m| m.score > 0.5 * best) {
            for (n, action) in found.runbook.front.actions.iter().enumerate() {
                // Between equals, what its author wrote first goes first.
                let fit = found.score * (1.0 - 0.001 * n as f64);
                if let Some(made) = self.plan(found.runbook, action, &situation).await {
                    let past = (&known.ledger, pattern);
                    offers.push(Offer::new(action, made, fit, past));
                }
            }
        }
        offers.sort_by(|a, b| b.worth().total_cmp(&a.worth()));
        let mut requests = Vec::new();
        offers.retain(|o| {
            // Two runbooks may come to the same request: the one that fits better offers it.
            let new = !requests.contains(&o.plan.steps);
            requests.push(o.plan.steps.clone());
            new
        });
        let now = self.clock.now();
        let changes = revise(&known, offers, &self.policy, now);
        if changes.is_empty() {
            return Ok(());
        }
        let told: Vec<ProposalId> = changes.iter().map(Revision::id).collect();
        self.store.write(move |tx| changes.iter().try_for_each(|c| c.write(tx, now))).await?;
        for id in told {
            self.bus.publish(Event::Proposal(id));
        }
        Ok(())
    }

    pub(super) fn situation(&self, known: &Known) -> Option<Situation> {
        let hypothesis = known.diagnosis.hypotheses.first()?;
        let (incident, changes) = (&known.incident, &known.diagnosis.changes);
        let situation = Situation::of(incident, Some(hypothesis), changes, &known.alerts)
            .with_evidence(&known.evidence);
        Some(Situation { settings: self.settings.clone(), ..situation })
    }

    /// A plan with the target's state as it is now; `None` when the action can't be filled in or
    /// its target can't be read.
    async fn plan(
        &self,
        runbook: &Runbook,
        action: &Action,
        situation: &Situation,
    ) -> Option<(Plan, String)> {
        let none = BTreeMap::new();
        let draft = runbook::plan(runbook, action, &none, &none, situation, None);
        let target = runbook::target(action, situation).ok()?;
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
        let observed = match (self.observe)(look).await {
            Ok(observed) => observed.unwrap_or_default(),
            Err(e) => {
                tracing::info!(action = action.id, error = e.chain(), "an action is not offered");
                return None;
            }
        };
        match runbook::plan(runbook, action, &none, &observed, situation, None) {
            Ok(plan) => {
                let title = runbook::title(action, &plan.parameters, &observed, situation);
                Some((plan, title))
            }
            Err(refused) => {
                tracing::info!(action = action.id, reason = %refused, "an action is not offered");
                None
            }
        }
    }

    /// Undecided offers end with their time or with their incident.
    async fn expire(&self) -> Result<(), Fault> {
        let now = self.clock.now();
        let ended = self
            .store
            .write(move |tx| {
                let mut ended = Vec::new();
                for p in tx.list::<Proposal>(&Filter::states(["open", "scheduled"]))? {
                    let incident = tx.get::<Incident>(p.incident)?;
                    if let Some(reason) = over(&p, incident.as_ref(), now)
                        && end(tx, &p, ProposalState::Expired, &reason, now)?
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
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Diagnosis(id) => self.offer(id).await,
            Event::Run(id) => self.offer_way_back(id).await,
            _ => Ok(()),
        }
    }
}
