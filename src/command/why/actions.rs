//! Why an action was offered, what was decided and what it did; and why others were not offered.

use std::collections::BTreeSet;

use super::{Explanation, about};
use crate::approve::{Because, Withheld, withheld};
use crate::model::figure::n_of;
use crate::model::{
    Decision, Fault, Incident, IncidentId, Proposal, ProposalId, ProposalState, Risk, Run, RunId,
    RunState, Verdict,
};
use crate::store::{Filter, Rows};

/// Actions that were not offered, named with their reason.
const MOST_HELD: usize = 8;
/// Actions that are not for this kind of trouble, named in one sentence.
const MOST_UNFIT: usize = 6;
/// How a precondition that nothing meets is worded.
const UNFIT: &str = "nothing of what it is for is seen";

/// Why an action was offered, and what was decided.
pub(super) fn explain_proposal(r: &Rows<'_>, id: ProposalId) -> Result<Option<Explanation>, Fault> {
    let Some(p) = r.get::<Proposal>(id)? else { return Ok(None) };
    let mut lines = offer(r, &p)?;
    match p.run {
        Some(run) => lines.extend(r.get::<Run>(run)?.iter().flat_map(ran)),
        None if p.ended.is_some() => {}
        None => lines.push(stands(&p)),
    }
    let records = r.audit_records(&about(id.to_string()))?;
    Ok(Some(Explanation { title: p.title.clone(), lines, records }))
}

/// Why an action ran, and what it did.
pub(super) fn explain_run(r: &Rows<'_>, id: RunId) -> Result<Option<Explanation>, Fault> {
    let Some(run) = r.get::<Run>(id)? else { return Ok(None) };
    let proposal = r.get::<Proposal>(run.proposal)?;
    let mut lines = match &proposal {
        Some(p) => offer(r, p)?,
        None => Vec::new(),
    };
    lines.extend(ran(&run));
    let title = proposal.map_or_else(|| run.action.clone(), |p| p.title);
    let records = r.audit_records(&about(id.to_string()))?;
    Ok(Some(Explanation { title, lines, records }))
}

/// For what it was offered, with what chance and harm, and what people decided.
fn offer(r: &Rows<'_>, p: &Proposal) -> Result<Vec<String>, Fault> {
    let incident = r.get::<Incident>(p.incident)?;
    let of = incident.map_or_else(String::new, |i| {
        format!(" for incident #{}: {}", i.number, i.title.trim_end_matches('.'))
    });
    let mut lines = vec![format!("Offered at {} UTC{of}.", p.created_at.clock_text())];
    let chance = p.chance_text().unwrap_or_default();
    let because = format!("{} {} {chance}", p.why, p.past);
    lines.push(because.trim().to_owned());
    let risk = match p.risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    };
    let n = n_of(p.requires.n_approvals.into(), "approval");
    lines.push(format!("Its risk is {risk}; it needs {n} by role {} or higher.", p.requires.role));
    lines.extend(p.decisions.iter().map(decided));
    lines.extend(p.ended.clone());
    Ok(lines)
}

/// Where a proposal stands that has not run.
fn stands(p: &Proposal) -> String {
    match p.state {
        ProposalState::Open => "It waits for a decision.".to_owned(),
        ProposalState::Superseded => {
            "It has not run: another took its place, or its target changed.".to_owned()
        }
        state => format!("It has not run; it is {}.", state.as_str()),
    }
}

fn decided(d: &Decision) -> String {
    let what = match &d.verdict {
        Verdict::Approve => "approved it".to_owned(),
        Verdict::Schedule { at } => format!("scheduled it for {} UTC", at.minute_text()),
        Verdict::Ignore => "declined it".to_owned(),
    };
    let why = d.reason.trim();
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!("{} {what}{}.", d.actor.name, why.trim_end_matches('.'))
}

/// What ran, how it ended and what it did to the signal.
fn ran(run: &Run) -> Vec<String> {
    let dry = if run.dry_run { ", as a dry run: nothing was sent" } else { "" };
    let ended = match run.state {
        RunState::Running => "has not ended yet",
        RunState::Done => "was done",
        RunState::NotSent => "did not reach its target",
        RunState::Unknown => "may or may not have been done; it is not repeated by itself",
    };
    let mut lines = vec![format!(
        "{} on {} ran at {} UTC{dry}; it {ended}.",
        run.action,
        run.target.name(),
        run.started_at.clock_text()
    )];
    lines.extend(run.outcome.as_ref().map(|o| o.text.clone()));
    if let (None, Some(at)) = (&run.outcome, run.verify_at) {
        lines.push(format!("Its effect is measured at {} UTC.", at.clock_text()));
    }
    lines
}

/// What was offered of an incident, and what became of it.
pub(super) fn offered(r: &Rows<'_>, id: IncidentId) -> Result<Vec<String>, Fault> {
    let mut all = r.list::<Proposal>(&Filter::parent(id))?;
    all.sort_by(Proposal::shown_before);
    let mut lines = Vec::new();
    for p in all {
        let run = match p.run {
            Some(run) => r.get::<Run>(run)?,
            None => None,
        };
        let became = match run.and_then(|run| run.outcome) {
            Some(outcome) => outcome.text,
            None => p.ended.clone().unwrap_or_else(|| stands(&p)),
        };
        lines.push(format!("Offered: {} ({}). {became}", p.title.trim_end_matches('.'), p.id));
    }
    Ok(lines)
}

/// What was not offered: for each action the reason that holds, which is the newest; those that are
/// for other kinds of trouble in one sentence. The audit log has them all.
pub(super) fn not_offered(r: &Rows<'_>, id: IncidentId) -> Result<Vec<String>, Fault> {
    let held = withheld(r, id)?;
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    let newest: Vec<&Withheld> =
        held.iter().rev().filter(|w| seen.insert((&w.action, &w.target))).collect();
    // What was said before there was a target gives way to what was said of the target.
    let aimed: BTreeSet<&str> =
        newest.iter().filter(|w| !w.target.is_empty()).map(|w| w.action.as_str()).collect();
    let holds = |w: &&Withheld| !w.target.is_empty() || !aimed.contains(w.action.as_str());
    let newest: Vec<&Withheld> = newest.iter().copied().filter(holds).collect();
    let is_unfit = |w: &&Withheld| w.because == Because::Precondition && w.reason.contains(UNFIT);
    let (unfit, told): (Vec<&Withheld>, Vec<&Withheld>) = newest.into_iter().partition(is_unfit);
    let mut lines: Vec<String> = told
        .iter()
        .take(MOST_HELD)
        .map(|w| {
            let on = w.target.split_once('=').map(|(_, name)| format!(" on {name}"));
            let reason = match w.reason.strip_prefix("the ") {
                Some(rest) => format!("The {rest}"),
                None => w.reason.clone(),
            };
            format!("Not offered: {}{}. {reason}", w.action, on.unwrap_or_default())
        })
        .collect();
    if told.len() > MOST_HELD {
        let more = told.len() - MOST_HELD;
        lines.push(format!("Not offered either: {more} more; the audit log has the reasons."));
    }
    if !unfit.is_empty() {
        let mut names: Vec<&str> =
            unfit.iter().take(MOST_UNFIT).map(|w| w.action.as_str()).collect();
        let more = format!("{} more", unfit.len().saturating_sub(MOST_UNFIT));
        if unfit.len() > MOST_UNFIT {
            names.push(&more);
        }
        lines.push(format!(
            "Not offered, as {UNFIT}: {} (what each is for stands in the audit log).",
            names.join(", ")
        ));
    }
    Ok(lines)
}
