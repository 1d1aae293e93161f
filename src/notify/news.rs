//! What is news: what of a card is more than looks, how soon it must be told, and what a thread
//! entry says. Alerts that join within a minute are one entry.

use std::collections::BTreeSet;

use super::card::Facts;
use crate::chat::Urgency;
use crate::model::action::Effect;
use crate::model::time::MINUTE_MS;
use crate::model::{
    EntityRef, EntryId, EntryKind, IncidentState, Proposal, ProposalId, ProposalState, RunId,
    RunState, Severity, Time, TimelineEntry, Verdict,
};

/// What of a card is more than looks: state, hypothesis, proposals, runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heart {
    state: IncidentState,
    severity: Severity,
    owner: Option<String>,
    hypothesis: Option<(EntityRef, String, bool)>,
    /// Offers that wait for a decision: which plan, how many decisions, until when.
    offers: Vec<(ProposalId, String, usize, Time)>,
    runs: Vec<(RunId, RunState, Option<Effect>)>,
}

impl Heart {
    pub(super) fn of(facts: &Facts, now: Time) -> Self {
        let incident = &facts.incident;
        let first = facts.diagnosis.as_ref().and_then(|d| d.hypotheses.first().map(|h| (d, h)));
        let decidable = |p: &&Proposal| {
            incident.state.is_active() && p.state == ProposalState::Open && p.expires_at > now
        };
        let offers = facts.proposals.iter().filter(decidable);
        Self {
            state: incident.state,
            severity: incident.severity,
            owner: incident.owner.as_ref().map(|o| o.id.clone()),
            hypothesis: first.map(|(d, h)| (h.entity.clone(), h.pattern.clone(), d.conclusive)),
            offers: offers
                .map(|p| (p.id, p.digest.short().to_owned(), p.decisions.len(), p.expires_at))
                .collect(),
            runs: facts
                .runs
                .iter()
                .map(|r| (r.id, r.state, r.outcome.as_ref().map(|o| o.effect)))
                .collect(),
        }
    }

    /// Whether something waits for a person's decision.
    pub(super) fn is_decidable(&self) -> bool {
        !self.offers.is_empty()
    }

    /// When it changes by itself.
    pub(super) fn until(&self) -> Option<Time> {
        self.offers.iter().map(|(.., expires_at)| *expires_at).min()
    }
}

/// How soon a card must be told. What only looks different can wait, even where something is to be
/// decided: the buttons stand already.
pub(super) fn urgency(is_new: bool, changed: bool, decidable: bool) -> Urgency {
    match (is_new, changed) {
        _ if decidable && (is_new || changed) => Urgency::Decision,
        (true, _) => Urgency::Opening,
        (false, true) => Urgency::Delta,
        (false, false) => Urgency::Cosmetic,
    }
}

/// Alerts that are named where several joined.
const NAMED: usize = 8;
/// Characters of each name.
const NAME: usize = 80;

/// One entry of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delta {
    /// Names it within its incident for good.
    pub(super) name: String,
    pub(super) text: String,
    /// Whether it is shown in the channel too.
    pub(super) is_important: bool,
}

/// The thread entries of what was not told yet. Alerts that joined in one minute are one entry,
/// which grows: it is made of all of that minute, told or not, so that it is the same after a start.
pub(super) fn deltas(
    facts: &Facts,
    story: &[TimelineEntry],
    told: &BTreeSet<EntryId>,
) -> Vec<Delta> {
    let minute = |e: &TimelineEntry| e.at.ms().div_euclid(MINUTE_MS);
    let mut minutes = BTreeSet::new();
    let mut found = Vec::new();
    for entry in story.iter().filter(|e| !told.contains(&e.id)) {
        if !is_join(entry) {
            let (text, is_important) = delta(facts, entry);
            found.push(Delta { name: entry.id.to_string(), text, is_important });
        } else if minutes.insert(minute(entry)) {
            let at = minute(entry);
            let all: Vec<_> = story.iter().filter(|e| is_join(e) && minute(e) == at).collect();
            let text = match all.as_slice() {
                [one] => delta(facts, one).0,
                several => joins(several, facts.incident.opened_at),
            };
            found.push(Delta { name: format!("joined/{at}"), text, is_important: false });
        }
    }
    found
}

/// Whether an alert joined, by the story's own words.
fn is_join(entry: &TimelineEntry) -> bool {
    entry.kind == EntryKind::Alert
        && entry.actor.is_bot()
        && !entry.text.starts_with("Fires again: ")
}

fn joins(all: &[&TimelineEntry], opened: Time) -> String {
    let name = |e: &&TimelineEntry| -> String {
        let name = e.text.split(". ").next().unwrap_or_default();
        name.chars().take(NAME).collect()
    };
    let names: Vec<String> = all.iter().take(NAMED).map(name).collect();
    let rest = all.len().saturating_sub(NAMED);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let clock = all.first().map_or_else(String::new, |e| e.at.clock_near(opened));
    format!("{clock} UTC {} alerts joined: {}{rest}.", all.len(), names.join(", "))
}

/// The words of a thread entry, and whether it is shown in the channel too: what was decided, how a
/// run ended when people must look, what it did, and the end of it all. The opening is not: the
/// card itself stands there.
fn delta(facts: &Facts, entry: &TimelineEntry) -> (String, bool) {
    let about = |id: &str| entry.subject.as_deref() == Some(id);
    let important = match entry.kind {
        EntryKind::Verification => true,
        EntryKind::State => {
            let ends = ["Incident resolved", "Incident reopened", "Learned rule lifted"];
            ends.iter().any(|words| entry.text.starts_with(words))
        }
        EntryKind::Proposal if !entry.actor.is_bot() => facts.proposals.iter().any(|p| {
            about(&p.id.to_string())
                && p.decisions
                    .iter()
                    .any(|d| d.actor.id == entry.actor.id && d.verdict != Verdict::Ignore)
        }),
        EntryKind::Run => {
            facts.runs.iter().any(|r| about(&r.id.to_string()) && r.state == RunState::Unknown)
        }
        _ => false,
    };
    (format!("{} UTC {}", entry.at.clock_near(facts.incident.opened_at), entry.text), important)
}
