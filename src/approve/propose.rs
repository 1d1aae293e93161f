//! Offers: from a diagnosis and the runbooks that match it to proposals with a digest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::policy::{Config, requirement};
use crate::bus::{Bus, Event};
use crate::model::action::{Effect, Step};
use crate::model::time::MINUTE_MS;
use crate::model::{
    Actor, Alert, Change, Diagnosis, EntryKind, Fault, Incident, IncidentId, Plan, Proposal,
    ProposalId, ProposalState, Run, SharedClock, TimelineEntry,
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

/// Prior of an action's success before anything was tried: one help in two, counted as much as
/// two tries (Beta(1, 1)).
const PRIOR: (f64, f64) = (1.0, 1.0);

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
struct Known {
    incident: Incident,
    diagnosis: Diagnosis,
    alerts: Vec<Alert>,
    proposals: Vec<Proposal>,
    runs: Vec<Run>,
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
                    proposals: r.list(&Filter::parent(id))?,
                    runs: r.list(&Filter::all().newest(500))?,
                    incident,
                    diagnosis,
                }))
            })
            .await?;
        let Some(known) = known.filter(|k| k.incident.state.is_active()) else { return Ok(()) };
        let Some(situation) = self.situation(&known) else { return Ok(()) };
        let mut offers = Vec::new();
        for found in self.library.matching(&situation).into_iter().take(3) {
            for action in &found.runbook.front.actions {
                let made = self.plan(found.runbook, action, &situation).await;
                if let Some((plan, title)) = made {
                    let key = format!("{}/{}", plan.runbook, plan.action);
                    offers.push((chance(&known.runs, &key), found.score, action, plan, title));
                }
            }
        }
        // What helped before goes first, then what matches best; the runbook's own order last.
        offers.sort_by(|a, b| (b.0.0 * b.1).total_cmp(&(a.0.0 * a.1)));
        let open = known.proposals.iter().filter(|p| p.state == ProposalState::Open).count();
        let room = (self.policy.max_open as usize).saturating_sub(open);
        let mut n = 0;
        for ((mean, words), _, action, plan, title) in offers {
            let seen = known.proposals.iter().any(|p| {
                (&p.plan.runbook, &p.plan.action, &p.plan.target)
                    == (&plan.runbook, &plan.action, &plan.target)
                    && !matches!(p.state, ProposalState::Expired | ProposalState::Superseded)
            });
            if n < room && !seen {
                self.put(&known, action, plan, title, (mean, words)).await?;
                n += 1;
            }
        }
        Ok(())
    }

    fn situation(&self, known: &Known) -> Option<Situation> {
        let hypothesis = known.diagnosis.hypotheses.first()?.clone();
        let change: Option<Change> = hypothesis
            .change
            .and_then(|id| known.diagnosis.changes.iter().find(|c| c.id == id).cloned());
        let logs = known
            .alerts
            .iter()
            .filter_map(|a| a.annotations.get("template").map(str::to_owned))
            .collect();
        Some(Situation {
            incident: Some(known.incident.clone()),
            hypothesis: Some(hypothesis),
            change,
            alerts: known.alerts.clone(),
            logs,
            settings: self.settings.clone(),
        })
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

    async fn put(
        &self,
        known: &Known,
        action: &Action,
        plan: Plan,
        title: String,
        (mean, words): (f64, String),
    ) -> Result<(), Fault> {
        let now = self.clock.now();
        let digest = plan.digest();
        let first = known.diagnosis.hypotheses.first();
        let asked = action.requires.as_ref();
        let proposal = Proposal {
            id: ProposalId::derive(now, &[&known.incident.id.to_string(), &digest.0]),
            incident: known.incident.id,
            exact: exact(&plan),
            digest,
            title,
            why: first.map(|h| h.statement.clone()).unwrap_or_default(),
            risk: action.risk,
            expected_effect: action.expected_effect.clone(),
            chance: mean,
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
            change_author: first
                .and_then(|h| h.change)
                .and_then(|id| known.diagnosis.changes.iter().find(|c| c.id == id))
                .and_then(|c| c.author.clone()),
            state: ProposalState::Open,
            decisions: Vec::new(),
            scheduled_for: None,
            rollback_of: None,
            run: None,
            pattern: first.map(|h| h.pattern.clone()).unwrap_or_default(),
            past: words,
            worth: mean,
            ended: None,
            plan,
        };
        let id = proposal.id;
        self.store
            .write(move |tx| {
                if !tx.put_new(&proposal)? {
                    return Ok(());
                }
                let text = format!("Proposed: {}.", proposal.title.trim_end_matches('.'));
                tx.put(&TimelineEntry::by_bot(
                    proposal.incident,
                    now,
                    EntryKind::Proposal,
                    text,
                    Some(id.to_string()),
                ))?;
                let detail = json!({
                    "digest": proposal.digest.0, "exact": proposal.exact, "why": proposal.why,
                });
                tx.audit(now, &Actor::nightjar(), "proposal.offer", &id.to_string(), &detail)
            })
            .await?;
        self.bus.publish(Event::Proposal(id));
        Ok(())
    }

    /// Undecided offers end with their time or with their incident.
    async fn expire(&self) -> Result<(), Fault> {
        let now = self.clock.now();
        let ended = self
            .store
            .write(move |tx| {
                let mut ended = Vec::new();
                for mut p in tx.list::<Proposal>(&Filter::states(["open", "scheduled"]))? {
                    let over = tx.get::<Incident>(p.incident)?.is_none_or(|i| !i.state.is_active());
                    let late = p.state == ProposalState::Open && now >= p.expires_at;
                    if over || late {
                        let from = p.state.as_str();
                        p.state = ProposalState::Expired;
                        tx.replace_in_state(&p, from)?;
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

/// The posterior mean of an action's chance to help, and that in words.
#[must_use]
pub fn chance(runs: &[Run], action: &str) -> (f64, String) {
    let judged = runs.iter().filter(|r| r.action == action && !r.dry_run);
    let (mut helped, mut tried) = (0_u32, 0_u32);
    for run in judged {
        match run.outcome.as_ref().map(|o| o.effect) {
            Some(Effect::Helped) => (helped, tried) = (helped + 1, tried + 1),
            Some(Effect::NoChange | Effect::Worse) => tried += 1,
            _ => {}
        }
    }
    let mean = (PRIOR.0 + f64::from(helped)) / (PRIOR.0 + PRIOR.1 + f64::from(tried));
    let words = match tried {
        0 => "It was not tried here before.".to_owned(),
        n => format!("It helped {helped} of {n} times here."),
    };
    (mean, words)
}

fn exact(plan: &Plan) -> String {
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

impl Stage for Propose {
    const NAME: &'static str = "approve";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Diagnosis(_))
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        self.expire().await
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Diagnosis(id) => self.offer(id).await,
            _ => Ok(()),
        }
    }
}
