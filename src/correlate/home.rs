//! Where an alert that waits belongs: the incident of its fault, or of what alerts at its place.

use super::closed;
use super::correlator::Correlator;
use super::fit::Kin;
use super::group::Group;
use super::people::Taught;
use super::relate::{self, Kind, Link, Surroundings};
use crate::model::time::MINUTE_MS;
use crate::model::{Alert, AlertSource, EntityRef, IncidentId, IncidentState, Time};

/// On what ground an alert belongs to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// The fault of the incident explains it.
    Fault,
    /// A person's word, what people have done before, or the graph.
    Rule,
}

impl Correlator {
    /// The active incident that an alert belongs to, and why: what a person opened about its
    /// entity, or the one of the fault that explains it. What no fault explains, and our own
    /// detectors tell, belongs to what it is related to by the graph: they tell of a place again
    /// and again while its trouble lasts. Others' rules that no fault explains are more often
    /// something else.
    pub(super) fn home_of(
        &self,
        alert: &Alert,
        here: &Surroundings,
    ) -> Option<(IncidentId, String, Ground)> {
        for group in self.groups.values().filter(|g| g.incident.state.is_active()) {
            if let Some(link) = group.named(&alert.entity, alert.starts_at) {
                return Some((group.incident.id, link.reason, Ground::Rule));
            }
        }
        let taught = self.lessons.of(alert);
        if let Some((id, reason)) = self.kin_home(alert, Some(here), taught) {
            return Some((id, reason, Ground::Fault));
        }
        if let Some((id, reason)) = self.joined_by_people(alert, taught) {
            return Some((id, reason, Ground::Rule));
        }
        let ours = matches!(alert.source, AlertSource::Detector { .. });
        if !ours || self.evidence.is_due(alert.id) || self.evidence.is_chore(alert.id) {
            return None;
        }
        let active = self.groups.values().filter(|g| g.incident.state.is_active());
        let active = active.filter(|g| taught.is_none_or(|t| t.parted(g).is_none()));
        let links = active.filter_map(|g| Some((self.related(alert, here, g)?, g.incident.id)));
        let near = links.filter(|(link, _)| link.kind != Kind::NearInTime);
        let near = near.filter(|(_, id)| !self.crept_before(alert, *id));
        let best = near.min_by_key(|(link, id)| (link.kind, link.hops, link.gap_ms, *id));
        best.map(|(link, id)| (id, link.reason, Ground::Rule))
    }

    /// The active incident of the fault that explains an alert.
    pub(super) fn fault_home(&self, alert: &Alert) -> Option<(IncidentId, String)> {
        match self.evidence.kin(alert.id)? {
            Kin::Fault(_) => self.kin_home(alert, None, self.lessons.of(alert)),
            Kin::Own(_) => None,
        }
    }

    fn kin_home(
        &self,
        alert: &Alert,
        here: Option<&Surroundings>,
        taught: Option<Taught<'_>>,
    ) -> Option<(IncidentId, String)> {
        let kin = self.evidence.kin(alert.id)?;
        let id = self.revision.owner(kin)?;
        let group = self.groups.get(&id).filter(|g| g.incident.state.is_active())?;
        if taught.is_some_and(|t| t.parted(group).is_some()) {
            return None;
        }
        let link = here.and_then(|here| self.related(alert, here, group));
        let told = link.filter(|l| l.kind != Kind::NearInTime).map(|l| l.reason);
        let told = told.or_else(|| self.evidence.said(kin));
        let told = told.unwrap_or_else(|| "the same condition is in it".to_owned());
        let parts = self.evidence.accounted(alert.id).map(|parts| format!(" ({parts})"));
        Some((id, told + &parts.unwrap_or_default()))
    }

    /// Why people would not have an alert in the incident of the fault that explains it.
    pub(super) fn owner_parted(&self, alert: &Alert) -> Option<String> {
        let taught = self.lessons.of(alert)?;
        let id = self.revision.owner(self.evidence.kin(alert.id)?)?;
        let group = self.groups.get(&id).filter(|g| g.incident.state.is_active())?;
        let said = taught.parted(group)?;
        Some(format!(
            "one fault may explain it and incident #{}, but {said}",
            group.incident.number
        ))
    }

    fn related(&self, alert: &Alert, here: &Surroundings, group: &Group) -> Option<Link> {
        let (entity, onset) = (&alert.entity, alert.starts_at);
        relate::link(&self.config, here, entity, onset, &group.entities, &group.explained)
    }

    /// Whether a limit ahead is one that a series crept to long before its place was in the incident's
    /// trouble: it is none of that trouble, would keep the incident open when that is over, and
    /// would date it to where the creeping began.
    fn crept_before(&self, alert: &Alert, home: IncidentId) -> bool {
        let onset = self.groups.get(&home).and_then(|g| g.entities.get(&alert.entity));
        let window = i64::from(self.config.join_window_min) * MINUTE_MS;
        alert.is_forecast() && onset.is_some_and(|o| o.ms_since(alert.starts_at) > window)
    }

    /// Whether our own alert that no fault explains any more stays where it is: it would be put
    /// there if it came now, since the graph relates its place to the other alerts (see
    /// [`Correlator::home_of`]). Without this the measured cause of an incident could leave it.
    pub(super) fn graph_keeps(&self, alert: &Alert, group: &Group) -> bool {
        let ours = matches!(alert.source, AlertSource::Detector { .. });
        if !ours || self.evidence.is_chore(alert.id) {
            return false;
        }
        let (entity, onset) = (&alert.entity, alert.starts_at);
        if group.sums.at(entity).any(|id| id != alert.id) {
            return true;
        }
        // What surrounds it is all that can be related to it, and is less than a storm has.
        let here = Surroundings::of(&self.graph, entity, &self.config);
        let near = here.above.keys().chain(here.below.keys());
        let near = near.filter_map(|e| Some((e.clone(), *group.entities.get(e)?))).collect();
        let (graph, config, others) = (&self.graph, &self.config, &group.entities);
        let is = |e: &&EntityRef| relate::is_explained(graph, config, others, e, Some(entity));
        let explained = here.above.keys().filter(is).cloned().collect();
        relate::link(config, &here, entity, onset, &near, &explained)
            .is_some_and(|link| link.kind != Kind::NearInTime)
    }

    /// Whether a fault explains some of an incident's alerts.
    fn is_of_a_fault(&self, group: &Group) -> bool {
        group.members.keys().any(|id| matches!(self.evidence.kin(*id), Some(Kin::Fault(_))))
    }

    /// The incident that ended lately of the same trouble, if it may be reopened: the fault is the
    /// one that it was of; or the same condition was in it, and now it stands by itself, or at the
    /// root of a fault while no fault is known that the incident was of.
    pub(super) fn ended_home(
        &self,
        alert: &Alert,
        here: &Surroundings,
        now: Time,
    ) -> Option<(IncidentId, String)> {
        let kin = self.evidence.kin(alert.id);
        let fault = kin.filter(|k| matches!(k, Kin::Fault(_)));
        let leads = self.evidence.leads(alert.id);
        let window_ms = i64::from(self.config.reopen_min) * MINUTE_MS;
        let links = self.groups.values().filter_map(|g| {
            // Those that are held are remembered for longer than they may be reopened.
            let late = g.incident.resolved_at.is_some_and(|at| now.ms_since(at) > window_ms);
            let open = g.incident.state != IncidentState::Resolved;
            if late || open || closed::is_none(&g.incident) {
                return None;
            }
            let of_fault = fault.filter(|k| self.revision.owner(*k) == Some(g.incident.id));
            let same = leads
                && g.entities.contains_key(&alert.entity)
                && g.has_condition_of(alert)
                && (fault.is_none() || !self.is_of_a_fault(g));
            if !same && of_fault.is_none() {
                return None;
            }
            let link = self.related(alert, here, g).map(|l| (l.kind, l.gap_ms, l.reason));
            let told = of_fault.and_then(|k| self.evidence.said(k));
            let (kind, gap, reason) = link.or_else(|| Some((Kind::NearInTime, 0, told?)))?;
            Some((kind, gap, g.incident.id, reason))
        });
        links.min_by_key(|(kind, gap, id, _)| (*kind, *gap, *id)).map(|l| (l.2, l.3))
    }
}
