//! What becomes of an incident's offers when its diagnosis, its targets or what was learned
//! changes. Pure, but for [`Revision::write`].

use std::collections::BTreeSet;

use super::offer::{Offer, end, key, put};
use super::policy::Config;
use super::propose::Known;
use super::rest::resting;
use super::withhold::{Because, Withheld};
use crate::model::action::Effect;
use crate::model::{
    Fault, Incident, IncidentState, Plan, Proposal, ProposalId, ProposalState, Run, RunState, Time,
};
use crate::store::Tx;

/// What becomes of the offers of an incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Revised {
    /// What is to be written.
    pub changes: Vec<Revision>,
    /// What is not offered, and why.
    pub withheld: Vec<Withheld>,
    /// When something that rests may be offered, if that is known.
    pub again: Option<Time>,
}

/// One change to the offers of an incident.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Revision {
    /// A new offer.
    New(Box<Proposal>),
    /// The same plan, with other words and another place in the order.
    Reworded(Box<Proposal>),
    /// An offer that no longer stands, and why.
    Withdrawn(Box<Proposal>, String),
}

impl Revision {
    pub(super) fn id(&self) -> ProposalId {
        match self {
            Self::New(p) | Self::Reworded(p) | Self::Withdrawn(p, _) => p.id,
        }
    }

    pub(super) fn write(&self, tx: &Tx<'_>, now: Time) -> Result<(), Fault> {
        match self {
            Self::New(p) => put(tx, p).map(drop),
            // Somebody may have decided since it was read; then the decision stands as it is.
            Self::Reworded(p) => match tx.get::<Proposal>(p.id)? {
                Some(stored) if stored.digest == p.digest && stored.state == p.state => {
                    let (chance, past, worth) = (p.chance, p.past.clone(), p.worth);
                    tx.put(&Proposal { chance, past, worth, ..stored })
                }
                _ => Ok(()),
            },
            Self::Withdrawn(p, reason) => {
                end(tx, p, ProposalState::Superseded, reason, now).map(drop)
            }
        }
    }
}

/// Whether both would do the same thing to the same target.
fn same_deed(a: &Plan, b: &Plan) -> bool {
    // Two runbooks may come to the same request: it is offered once.
    (&a.runbook, &a.action, &a.target) == (&b.runbook, &b.action, &b.target)
        || (!a.steps.is_empty() && a.steps == b.steps)
}

/// Why an open offer no longer stands beside `offers`, the best of what could be offered now.
fn withdrawn(known: &Known, open: &Proposal, offers: &[Offer<'_>]) -> Option<String> {
    let fresh = offers.iter().find(|o| same_deed(&o.plan, &open.plan));
    if let Some(fresh) = fresh {
        if fresh.plan.observed != open.plan.observed {
            return Some(format!(
                "The target has changed since it was offered: {}.",
                difference(&open.plan, &fresh.plan)
            ));
        }
        // What a person edited or has begun to approve stays as they saw it.
        let touched = !open.edited_by.is_empty() || !open.decisions.is_empty();
        let same = fresh.plan.digest() == open.digest;
        return (!same && !touched).then(|| "What it would do has changed.".to_owned());
    }
    let first = known.diagnosis.hypotheses.first()?;
    let another = known.diagnosis.conclusive
        && first.pattern != open.pattern
        && first.entity != open.plan.target;
    (another && open.decisions.is_empty())
        .then(|| format!("Another cause is now more likely: {}", first.statement))
}

fn difference(before: &Plan, after: &Plan) -> String {
    let nothing = || "nothing".to_owned();
    let keys: BTreeSet<&String> = before.observed.keys().chain(after.observed.keys()).collect();
    let parts: Vec<String> = keys
        .into_iter()
        .filter(|k| before.observed.get(*k) != after.observed.get(*k))
        .map(|k| {
            let of = |plan: &Plan| plan.observed.get(k).cloned().unwrap_or_else(nothing);
            format!("{k} was {} and is {}", of(before), of(after))
        })
        .collect();
    parts.join("; ")
}

/// What a run of the incident means for its offers.
enum Course {
    /// One is being measured: nothing new until it is known whether it helped.
    Measuring(String),
    /// The last one helped, and the incident is quiet: nothing more is needed.
    Helped(String),
    /// Nothing stands in the way of suggestions.
    Free,
}

impl Course {
    /// Why nothing new is offered meanwhile.
    fn holds_back(&self) -> Option<String> {
        match self {
            Self::Measuring(action) => Some(format!("The effect of {action} is measured first.")),
            Self::Helped(why) => Some(why.clone()),
            Self::Free => None,
        }
    }
}

fn course(known: &Known) -> Course {
    // Undoing is no fix: it holds nothing back, and nothing is won by it.
    let undoes =
        |r: &Run| known.proposals.iter().any(|p| p.run == Some(r.id) && p.rollback_of.is_some());
    let real = |r: &&Run| !r.dry_run && !undoes(r);
    let Some(last) = known.runs.iter().filter(real).max_by_key(|r| (r.started_at, r.id)) else {
        return Course::Free;
    };
    let helped = last.outcome.as_ref().is_some_and(|o| o.effect == Effect::Helped);
    match last.state {
        RunState::Running => Course::Measuring(last.action.clone()),
        RunState::Done if last.verify_at.is_some() => Course::Measuring(last.action.clone()),
        RunState::Done if helped && known.incident.state == IncidentState::Monitoring => {
            Course::Helped(format!("{} helped, so nothing more is needed now.", last.action))
        }
        _ => Course::Free,
    }
}

/// What changes: offers that no longer stand are withdrawn, those that do are worded anew, and as
/// many new ones as policy has room for are made, best first. What was decided, run or declined
/// in this incident is not offered again, and what rests on its target not yet.
pub(super) fn revise(known: &Known, offers: Vec<Offer<'_>>, policy: &Config, now: Time) -> Revised {
    let mut changes = Vec::new();
    let mut standing: Vec<&Proposal> = Vec::new();
    let is_offer = |p: &&Proposal| p.state == ProposalState::Open && p.rollback_of.is_none();
    let course = course(known);
    for open in known.proposals.iter().filter(is_offer) {
        let over = match &course {
            Course::Helped(why) if open.decisions.is_empty() => Some(why.clone()),
            _ => withdrawn(known, open, &offers),
        };
        match over {
            Some(reason) => changes.push(Revision::Withdrawn(Box::new(open.clone()), reason)),
            None => standing.push(open),
        }
    }
    for open in &standing {
        let Some(fresh) = offers.iter().find(|o| same_deed(&o.plan, &open.plan)) else { continue };
        if fresh.past != open.past || fresh.worth() != open.worth {
            let (chance, past, worth) = (fresh.chance, fresh.past.clone(), fresh.worth());
            let reworded = Proposal { chance, past, worth, ..(*open).clone() };
            changes.push(Revision::Reworded(Box::new(reworded)));
        }
    }
    let hold = course.holds_back();
    let mut room = (policy.max_open as usize).saturating_sub(standing.len());
    let (mut withheld, mut again) = (Vec::new(), None);
    for offer in offers {
        let plan = &offer.plan;
        if standing.iter().any(|p| same_deed(&p.plan, plan)) {
            continue;
        }
        let hold = hold.as_ref().map(|why| Withheld::of(plan, Because::Course, why));
        if known.proposals.iter().any(|p| is_decided(p) && same_remedy(&p.plan, plan)) {
            // It was offered, and is about to be carried out.
            continue;
        }
        if let Some(held) = settled(known, plan).or(hold) {
            withheld.push(held);
            continue;
        }
        if let Some(rest) = resting(&known.recent, &key(plan), &plan.target, policy, now) {
            withheld.push(Withheld::resting(plan, &rest));
            again = [again, rest.until].into_iter().flatten().min();
            continue;
        }
        if room == 0 {
            let n = policy.max_open;
            let why = format!("{n} proposals are open, and policy allows no more at once.");
            withheld.push(Withheld::of(plan, Because::Full, why));
            continue;
        }
        let new = offer.proposal(&known.incident, &known.diagnosis, policy, now);
        changes.push(Revision::New(Box::new(new)));
        room -= 1;
    }
    Revised { changes, withheld, again }
}

/// The same deed with the same parameters; with others it is another remedy.
fn same_remedy(a: &Plan, b: &Plan) -> bool {
    same_deed(a, b) && a.parameters == b.parameters
}

/// Whether people said yes to it and its run has not ended.
fn is_decided(p: &Proposal) -> bool {
    use ProposalState::{Approved, Claimed, Scheduled};
    matches!(p.state, Approved | Claimed | Scheduled) && p.rollback_of.is_none()
}

/// Why a plan is not offered another time in the same incident, if it was run or declined there.
fn settled(known: &Known, plan: &Plan) -> Option<Withheld> {
    let words = known.proposals.iter().find_map(|p| match p.state {
        _ if p.rollback_of.is_some() || !same_remedy(&p.plan, plan) => None,
        ProposalState::Ignored => Some("It was declined in this incident."),
        ProposalState::Finished => Some("It was run in this incident already."),
        _ => None,
    })?;
    Some(Withheld::of(plan, Because::Settled, words))
}

/// Why an undecided or scheduled proposal is over, if it is.
pub(super) fn over(proposal: &Proposal, incident: Option<&Incident>, now: Time) -> Option<String> {
    let Some(incident) = incident else { return Some("Its incident is gone.".to_owned()) };
    // A way back is offered while it can be of use, also after the incident.
    if !incident.state.is_active() && proposal.rollback_of.is_none() {
        return Some(format!("Incident #{} is {}.", incident.number, incident.state.as_str()));
    }
    let late = proposal.state == ProposalState::Open && now >= proposal.expires_at;
    late.then(|| format!("Nobody decided before {}.", proposal.expires_at.minute_text()))
}
