//! Incidents that turn out to be one: by a cause that several wait for, or by a dependency that was
//! learned, or an alert that came, only after they were opened.

use std::collections::BTreeSet;

use super::correlator::{Correlator, Verdict};
use super::machine;
use super::relate::{self, Kind, Link, Surroundings};
use crate::model::time::MINUTE_MS;
use crate::model::{Actor, Alert, IncidentId, IncidentState, Time};

/// Active groups this near in onset (ms) are merged when a common cause turns up.
const MERGE_MS: i64 = 15 * MINUTE_MS;

impl Correlator {
    /// A cause that several young groups wait for makes them one.
    pub(super) fn merge_on_common_cause(
        &mut self,
        home: IncidentId,
        links: &[(IncidentId, Link)],
        alert: &Alert,
        now: Time,
    ) {
        for (other, link) in &links[1..] {
            if link.kind == Kind::ExplainsMember && self.may_unite(home, *other) {
                let cause = alert.entity.name();
                let reason = format!("both depend on {cause}, which began to alert");
                self.fold(*other, home, &reason, now);
            }
        }
    }

    /// Merges groups of which one would have joined the other had everything known now been known
    /// when it was opened: every alert of it that nothing within it explains is related to the
    /// other. The one opened first goes on.
    pub(super) fn unite(&mut self, now: Time) {
        let mut ids: Vec<IncidentId> = self
            .groups
            .values()
            .filter(|g| g.incident.state.is_active())
            .map(|g| g.incident.id)
            .collect();
        ids.sort_by_key(|id| (self.groups[id].incident.opened_at, *id));
        let mut gone: BTreeSet<IncidentId> = BTreeSet::new();
        for (n, older) in ids.iter().enumerate() {
            for younger in &ids[n + 1..] {
                if gone.contains(older) || gone.contains(younger) {
                    continue;
                }
                if !self.may_unite(*older, *younger) {
                    continue;
                }
                let found =
                    self.belongs(*younger, *older).or_else(|| self.belongs(*older, *younger));
                if let Some(reason) = found
                    && self.fold(*younger, *older, &reason, now)
                {
                    gone.insert(*younger);
                }
            }
        }
    }

    /// Whether two groups may be made one without asking: near in onset, nobody has taken the
    /// younger one, and no person has parted them.
    fn may_unite(&self, older: IncidentId, younger: IncidentId) -> bool {
        let (Some(a), Some(b)) = (self.groups.get(&older), self.groups.get(&younger)) else {
            return false;
        };
        let (a, b) = (&a.incident, &b.incident);
        let untouched = b.acknowledged_at.is_none()
            && matches!(b.state, IncidentState::Open | IncidentState::Monitoring);
        untouched
            && a.state.is_active()
            && a.onset_at.ms_since(b.onset_at).abs() <= MERGE_MS
            && !machine::was_split(a, b)
            && !machine::was_split(b, a)
    }

    /// Why all that nothing within group `one` explains is related to group `other`; `None` when
    /// something is not.
    fn belongs(&self, one: IncidentId, other: IncidentId) -> Option<String> {
        let (one, other) = (self.groups.get(&one)?, self.groups.get(&other)?);
        let mut best: Option<Link> = None;
        for (entity, onset) in &one.entities {
            if one.explained.contains(entity) {
                continue;
            }
            let around = Surroundings::of(self.graph(), entity, &self.config);
            let (members, explained) = (&other.entities, &other.explained);
            let link = relate::link(&self.config, &around, entity, *onset, members, explained)?;
            // Nearness in time alone opens the door to one alert, not to a whole incident.
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

    /// Folds one active group into another, with a reason in both timelines and for every alert
    /// that moves. Says whether it was possible.
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
