//! Incidents that turn out to be one are merged: by the fault that explains both, or by what the
//! graph says of what our own detectors told.

use std::collections::BTreeMap;

use super::correlator::{Correlator, Verdict};
use super::machine;
use super::part::Tally;
use super::relate::{self, Kind, Link, Surroundings};
use crate::model::time::MINUTE_MS;
use crate::model::{Actor, IncidentId, IncidentState, Time};

/// Groups this near in onset (ms) are merged when they turn out to be one.
const MERGE_MS: i64 = 30 * MINUTE_MS;

impl Correlator {
    /// Merges incidents whose main alerts one fault explains. Says whether there were such.
    pub(super) fn unite(&mut self, tallies: &BTreeMap<IncidentId, Tally>, now: Time) -> bool {
        let mut merged = false;
        for (id, tally) in tallies {
            let Some(kin) = tally.main else { continue };
            let Some(owner) = self.revision.owner(kin).filter(|o| o != id) else { continue };
            // An incident of another fault that has a few of its alerts is not the same.
            if tallies.get(&owner).is_none_or(|t| t.main != Some(kin)) {
                continue;
            }
            let Some((from, into)) = self.may_unite(*id, owner) else { continue };
            let reason = self
                .belongs(from, into)
                .or_else(|| self.belongs(into, from))
                .or_else(|| self.evidence.said(kin))
                .unwrap_or_else(|| "the same condition is in both".to_owned());
            if self.fold(from, into, &reason, now) {
                self.revision.hand_over(from, into);
                merged = true;
            }
        }
        merged
    }

    /// Which of two groups may be folded into the other without asking, the one that goes first:
    /// near in onset, nobody has taken the one that goes, the other is active or resolved, and no
    /// person has parted them. One that is active goes on rather than one that is over, then one
    /// that people have taken, then the one opened first; of two that are over the result is over,
    /// and nothing is opened by it.
    fn may_unite(&self, a: IncidentId, b: IncidentId) -> Option<(IncidentId, IncidentId)> {
        let (a, b) = (self.groups.get(&a)?, self.groups.get(&b)?);
        let rank = |g: &super::group::Group| {
            let incident = &g.incident;
            let free = self.is_untouched(g);
            (!incident.state.is_active(), free, incident.opened_at, incident.id)
        };
        let (stays, goes) = if rank(a) < rank(b) { (a, b) } else { (b, a) };
        let (into, from) = (&stays.incident, &goes.incident);
        let may = self.is_untouched(goes)
            && (into.state.is_active() || into.state == IncidentState::Resolved)
            && into.onset_at.ms_since(from.onset_at).abs() <= MERGE_MS
            && !self.are_parted(stays, goes)
            && !machine::was_split(from, into)
            && !machine::was_split(into, from);
        may.then_some((from.id, into.id))
    }

    /// Why all that nothing within group `one` explains is related to group `other`, by the graph;
    /// `None` when something is not.
    fn belongs(&self, one: IncidentId, other: IncidentId) -> Option<String> {
        let (one, other) = (self.groups.get(&one)?, self.groups.get(&other)?);
        let mut best: Option<Link> = None;
        for (entity, onset) in &one.entities {
            if one.explained.contains(entity) {
                continue;
            }
            let around = Surroundings::of(&self.graph, entity, &self.config);
            let (members, explained) = (&other.entities, &other.explained);
            let link = relate::link(&self.config, &around, entity, *onset, members, explained)?;
            if link.kind == Kind::NearInTime {
                return None;
            }
            let better = best
                .as_ref()
                .is_none_or(|b| (link.kind, link.hops, link.gap_ms) < (b.kind, b.hops, b.gap_ms));
            if better {
                best = Some(link);
            }
        }
        best.map(|l| l.reason)
    }

    /// Folds one group into another, each active or resolved, with a reason in both timelines and
    /// for every alert that moves; one that is over may be folded into one that is active, but not
    /// the other way round. Says whether it was possible.
    fn fold(&mut self, from: IncidentId, into: IncidentId, reason: &str, now: Time) -> bool {
        let (Some(a), Some(b)) = (self.groups.get(&from), self.groups.get(&into)) else {
            return false;
        };
        let merged = machine::merge(&a.incident, &b.incident, &Actor::nightjar(), now, reason);
        let Ok(merged) = merged else { return false };
        let Some(mut gone) = self.groups.remove(&from) else { return false };
        let moved = std::mem::take(&mut gone.members);
        self.out.incidents.retain(|i| i.id != from);
        // What was opened by this very decision was told to nobody: it never was.
        let unheard = self.unheard.remove(&from);
        if unheard {
            self.out.entries.retain(|e| e.incident != from);
        } else {
            self.folded.insert(from, now);
            self.out.incidents.push(merged.from);
            self.out.entries.extend(merged.entries);
        }
        for (id, member) in moved {
            let word = if unheard { "Joined" } else { "Moved here when the incidents were merged" };
            let decision = format!("{word}: {reason}.");
            let verdict = Verdict {
                alert: id,
                incident: Some(into),
                suppressed: None,
                decision,
                witness: None,
            };
            self.rehome(id, member, into, verdict);
        }
        if let Some(group) = self.groups.get_mut(&into) {
            group.become_whole(merged.into);
            group.dirty = true;
        }
        true
    }
}
