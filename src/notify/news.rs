//! What is news: what of a card is more than looks, how soon it must be told, and what a thread
//! entry says.

use super::card::Facts;
use crate::chat::Urgency;
use crate::model::action::Effect;
use crate::model::{
    EntityRef, EntryKind, IncidentState, Proposal, ProposalId, ProposalState, RunId, RunState,
    Severity, Time, TimelineEntry, Verdict,
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

/// The words of a thread entry, and whether it is shown in the channel too: what was decided, how a
/// run ended when people must look, what it did, and the end of it all. The opening is not: the
/// card itself stands there.
pub(super) fn delta(facts: &Facts, entry: &TimelineEntry) -> (String, bool) {
    let about = |id: &str| entry.subject.as_deref() == Some(id);
    let important = match entry.kind {
        EntryKind::Verification => true,
        EntryKind::State => {
            let ends = ["Incident resolved", "Incident reopened"];
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
    (format!("{} UTC {}", entry.at.clock_text(), entry.text), important)
}
