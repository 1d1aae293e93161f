//! An alert finds its incident: it opens one, joins one or reopens one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::correlator::{Correlator, Verdict};
use super::group::{Group, Member};
use super::machine;
use crate::model::{
    Actor, Alert, AlertId, EntryKind, Incident, IncidentId, IncidentState, Time, TimelineEntry,
};

impl Correlator {
    /// Opens an incident by an alert that belongs to none, or that people would have apart; `said`
    /// is what there is to say of its waiting.
    pub(super) fn open(&mut self, alert: &Arc<Alert>, said: &str, now: Time) {
        let parted = self.owner_parted(alert);
        let why = parted.as_deref().unwrap_or("no active incident is related to it");
        self.open_as(alert, &format!("Opened the incident: {why}.{said}"), now);
    }

    /// Opens an incident by an alert; gives its id.
    pub(super) fn open_as(&mut self, alert: &Arc<Alert>, why: &str, now: Time) -> IncidentId {
        let mut group = Group::open(alert.id, &Member::of(alert), now);
        let mut id = group.incident.id;
        let over = [IncidentState::Resolved, IncidentState::Reviewed];
        if self.groups.get(&id).is_some_and(|g| over.contains(&g.incident.state)) {
            self.reopen(id, alert, "the alert that opened it fires again", now);
            return id;
        }
        // A group of that id that is still known means that the very alert opened it before. Where
        // others have it now because the alert had to leave, or it became part of another, the
        // alert begins another.
        if let Some(old) = self.groups.remove(&id) {
            let merged = old.incident.state == IncidentState::Merged;
            if !merged && (old.members.is_empty() || old.members.contains_key(&alert.id)) {
                group = old;
            } else {
                self.groups.insert(id, old);
                id = anew(&group.incident);
                group.incident.id = id;
            }
        }
        // So does one whose incident became part of another and was forgotten.
        while self.folded.contains_key(&id) {
            id = anew(&group.incident);
            group.incident.id = id;
        }
        self.groups.insert(id, group);
        self.unheard.insert(id);
        self.opened_about(&alert.entity);
        let text = format!("Opened by {}.", name(alert));
        self.out.entries.push(TimelineEntry::by_bot(id, now, EntryKind::State, text, None));
        self.join(id, alert, why, now);
        id
    }

    /// An incident just opened has another id: the store still had the one that its alert had
    /// opened before, and that one is over.
    pub(super) fn rename(&mut self, from: IncidentId, into: IncidentId) {
        let Some(mut group) = self.groups.remove(&from) else { return };
        group.incident.id = into;
        self.groups.insert(into, group);
        for home in self.home.values_mut().filter(|home| **home == from) {
            *home = into;
        }
        self.revision.hand_over(from, into);
    }

    pub(super) fn join(&mut self, home: IncidentId, alert: &Arc<Alert>, decision: &str, now: Time) {
        let Some(group) = self.groups.get_mut(&home) else { return };
        let member = Member::of(alert);
        let twin = group.twin_of(alert.id, &member).map(|twin| (twin, group.told_as(twin)));
        // Another system may have spoken first: it is a witness of ours all the same.
        let earlier: BTreeSet<String> = match (&member.system, member.indicator) {
            (None, Some(indicator)) => group
                .at(&member.entity)
                .filter(|(_, m)| m.indicator == Some(indicator) && m.ends_at.is_none())
                .filter_map(|(_, m)| m.system.clone())
                .collect(),
            _ => BTreeSet::new(),
        };
        let system = member.system.clone();
        let fresh = group.put(&self.graph, &self.config, alert.id, member);
        self.home.insert(alert.id, home);
        self.note(home, alert);
        let mut decision = decision.to_owned();
        if let (Some((twin, told)), Some(system)) = (twin, system) {
            decision = format!("{decision} Same condition as {told}: counted as its witness.");
            self.out.verdicts.push(Verdict {
                alert: twin,
                incident: Some(home),
                suppressed: None,
                decision: String::new(),
                witness: Some(system),
            });
        }
        // One line per entity: a storm of a thousand alerts stays readable.
        if fresh {
            let text = format!("{}. {decision}", name(alert));
            let (kind, subject) = (EntryKind::Alert, Some(alert.id.to_string()));
            let at = alert.starts_at.min(now);
            self.out.entries.push(TimelineEntry::by_bot(home, at, kind, text, subject));
        }
        let verdict = Verdict {
            alert: alert.id,
            incident: Some(home),
            suppressed: None,
            decision,
            witness: None,
        };
        for system in earlier {
            self.out.verdicts.push(Verdict { witness: Some(system), ..verdict.clone() });
        }
        self.verdicts.insert(alert.id, verdict);
    }

    /// Notes whose kin an incident is now.
    fn note(&mut self, home: IncidentId, alert: &Arc<Alert>) {
        if let Some(kin) = self.evidence.kin(alert.id) {
            let groups = &self.groups;
            let active = |id| groups.get(&id).is_some_and(|g| g.incident.state.is_active());
            if self.revision.owner(kin).is_none_or(|owner| !active(owner)) {
                self.revision.own(kin, home);
            }
        }
        if self.evidence.may_move(alert.id) {
            self.revision.keep(alert);
        }
    }

    pub(super) fn reopen(&mut self, home: IncidentId, alert: &Arc<Alert>, reason: &str, now: Time) {
        let Some(group) = self.groups.get_mut(&home) else { return };
        let why = format!("{} within the reopen window; {reason}", name(alert));
        let moved = machine::transition(
            &group.incident,
            IncidentState::Open,
            &Actor::nightjar(),
            now,
            &why,
        );
        if let Ok((incident, entry)) = moved {
            group.incident = incident;
            self.out.entries.push(entry);
            self.join(home, alert, &format!("Reopened the incident: {reason}."), now);
            self.revision.bind(alert.id);
        }
    }

    /// Gives a member of a group that is gone its new home.
    pub(super) fn rehome(
        &mut self,
        id: AlertId,
        member: Member,
        into: IncidentId,
        verdict: Verdict,
    ) {
        if let Some(group) = self.groups.get_mut(&into) {
            group.put(&self.graph, &self.config, id, member);
            self.home.insert(id, into);
            self.verdicts.insert(id, verdict);
        }
    }
}

/// The id of an incident whose first alert had opened one before that others have now, or that is
/// over.
pub(super) fn anew(incident: &Incident) -> IncidentId {
    let parts = [&incident.id.to_string(), &incident.opened_at.ms().to_string()];
    IncidentId::derive(incident.onset_at, &parts.map(String::as_str))
}

pub(super) fn name(alert: &Alert) -> String {
    alert
        .annotations
        .get("summary")
        .map_or_else(|| format!("{} of {}", alert.name(), alert.entity.name()), str::to_owned)
}
