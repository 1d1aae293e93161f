//! One incident with its alerts in memory: who is in it, which alert leads, when it is quiet.

use std::collections::{BTreeMap, BTreeSet};

use super::config::Config;
use super::relate::{self, Kind, Link};
use crate::model::alert::LOOKS_BACK;
use crate::model::{
    Alert, AlertId, EntityRef, Fingerprint, Graph, Incident, IncidentId, IncidentState, Indicator,
    Severity, Time,
};

/// What is kept of a member alert.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) entity: EntityRef,
    pub(super) fingerprint: Fingerprint,
    pub(super) indicator: Option<Indicator>,
    pub(super) severity: Severity,
    pub(super) score: f64,
    pub(super) starts_at: Time,
    pub(super) ends_at: Option<Time>,
    /// It ended because nothing is heard any more, not because it recovered.
    pub(super) unseen: bool,
    pub(super) n_reports: u64,
    pub(super) summary: String,
    pub(super) measured: bool,
    /// It looks back over hours and goes on after its cause is gone.
    pub(super) looks_back: bool,
    /// The other system that says so; `None` for our own.
    pub(super) system: Option<String>,
}

impl Member {
    pub(super) fn of(alert: &Alert) -> Self {
        let summary = alert.annotations.get("summary").map_or_else(
            || format!("{}: {}", alert.entity.name(), alert.name()),
            |s| s.chars().take(160).collect(),
        );
        Self {
            entity: alert.entity.clone(),
            fingerprint: alert.fingerprint,
            indicator: alert.indicator,
            severity: alert.severity,
            score: alert.score,
            starts_at: alert.starts_at,
            ends_at: if alert.is_firing() {
                None
            } else {
                alert.ends_at.or(Some(alert.updated_at))
            },
            unseen: alert.ended_unseen(),
            n_reports: alert.n_reports,
            summary,
            measured: alert.series.is_some(),
            looks_back: alert.annotations.get(LOOKS_BACK).is_some(),
            system: match &alert.source {
                crate::model::AlertSource::External { system } => Some(system.clone()),
                crate::model::AlertSource::Detector { .. } => None,
            },
        }
    }

    /// Whether users feel it directly.
    pub(super) fn user_facing(&self) -> bool {
        matches!(
            self.indicator,
            Some(Indicator::Errors | Indicator::Duration | Indicator::Availability)
        )
    }
}

/// An incident and its alerts.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) incident: Incident,
    pub(super) members: BTreeMap<AlertId, Member>,
    /// First onset per entity.
    pub(super) entities: BTreeMap<EntityRef, Time>,
    pub(super) explained: BTreeSet<EntityRef>,
    /// Our own firing alert per condition: another system's word on it is a witness.
    pub(super) own: BTreeMap<(EntityRef, Indicator), AlertId>,
    listed: BTreeSet<AlertId>,
    pub(super) dirty: bool,
}

impl Group {
    /// A new incident, opened by one alert.
    pub(super) fn open(id: AlertId, member: &Member, now: Time) -> Self {
        let incident = Incident {
            id: IncidentId::derive(member.starts_at, &[&id.to_string()]),
            number: 0,
            title: member.summary.clone(),
            state: IncidentState::Open,
            severity: member.severity,
            onset_at: member.starts_at,
            opened_at: now,
            updated_at: now,
            acknowledged_at: None,
            quiet_since: None,
            resolved_at: None,
            owner: None,
            entities: Vec::new(),
            alerts: Vec::new(),
            n_reports: 0,
            leading: None,
            merged_into: None,
            category: None,
            closed_by: None,
            declared_by: None,
            n_reopened: 0,
            reopened_at: None,
        };
        Self::of(incident)
    }

    /// A stored incident; its members are added by [`Group::put`].
    pub(super) fn of(incident: Incident) -> Self {
        let listed = incident.alerts.iter().copied().collect();
        Self {
            incident,
            own: BTreeMap::new(),
            listed,
            members: BTreeMap::new(),
            entities: BTreeMap::new(),
            explained: BTreeSet::new(),
            dirty: false,
        }
    }

    /// Why an alert belongs to what a person opened: it is about what they named. Nothing else
    /// follows from their word, so that a wrong guess draws no other fault's alerts in.
    pub(super) fn named(&self, entity: &EntityRef, onset: Time) -> Option<Link> {
        let by = self.incident.declared_by.as_ref()?;
        let named = self.incident.entities.first() == Some(entity);
        named.then(|| Link {
            kind: Kind::Same,
            hops: 0,
            gap_ms: onset.ms_since(self.incident.onset_at).abs(),
            reason: format!("{} opened the incident about {}", by.name, entity.name()),
        })
    }

    /// Adds or renews a member. Says whether its entity is new to the incident.
    pub(super) fn put(
        &mut self,
        graph: &Graph,
        config: &Config,
        id: AlertId,
        member: Member,
    ) -> bool {
        let fresh = !self.entities.contains_key(&member.entity);
        let onset = self.entities.entry(member.entity.clone()).or_insert(member.starts_at);
        let earlier = member.starts_at < *onset;
        *onset = member.starts_at.min(*onset);
        let speaks = !member.looks_back;
        if let (None, None, Some(indicator), true) =
            (&member.system, member.ends_at, member.indicator, speaks)
        {
            self.own.insert((member.entity.clone(), indicator), id);
        }
        self.members.insert(id, member);
        if self.listed.insert(id) {
            self.incident.alerts.push(id);
        }
        if fresh || earlier {
            self.explained = relate::explained(graph, config, &self.entities);
        }
        self.dirty = true;
        fresh
    }

    /// Takes over the incident after a merge, with the alerts that it now lists.
    pub(super) fn become_whole(&mut self, incident: Incident) {
        self.listed = incident.alerts.iter().copied().collect();
        self.incident = incident;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.members.values().all(|m| m.ends_at.is_some() || m.looks_back)
    }

    /// When its last alert ended, if all have that speak of the present.
    pub(super) fn quiet_since(&self) -> Option<Time> {
        if !self.is_quiet() {
            return None;
        }
        self.members.values().filter_map(|m| m.ends_at).max()
    }

    /// Entities whose newest alert ended because nothing is heard of them any more. What was told
    /// before by another alert of theirs does not make it a recovery.
    pub(super) fn not_seen_to_recover(&self) -> Vec<&EntityRef> {
        let mut last: BTreeMap<&EntityRef, (Option<Time>, bool)> = BTreeMap::new();
        for member in self.members.values() {
            let end = (member.ends_at, member.unseen);
            let newest = last.entry(&member.entity).or_insert(end);
            // Of two that ended at once, the one that saw it recover is believed.
            *newest = match end.0.cmp(&newest.0) {
                std::cmp::Ordering::Greater => end,
                std::cmp::Ordering::Equal => (end.0, end.1 && newest.1),
                std::cmp::Ordering::Less => *newest,
            };
        }
        last.into_iter().filter(|(_, (_, unseen))| *unseen).map(|(e, _)| e).collect()
    }

    /// Works out everything of the incident that follows from its alerts.
    pub(super) fn sum_up(&mut self, graph: &Graph, now: Time) {
        let firing = self.members.values().any(|m| m.ends_at.is_none());
        let leading = self.members.iter().max_by(|(_, a), (_, b)| {
            rank(graph, a).partial_cmp(&rank(graph, b)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let Some((leading, member)) = leading else { return };
        let incident = &mut self.incident;
        incident.leading = Some(*leading);
        // The title keeps saying how bad it was once it is over.
        let ours = incident.declared_by.is_none();
        if (ours && firing && incident.state.is_active()) || incident.title.is_empty() {
            incident.title.clone_from(&member.summary);
        }
        let named = incident.entities.first().filter(|_| !ours);
        let first = named.unwrap_or(&member.entity).clone();
        let least = if ours { None } else { Some(incident.severity) };
        incident.severity = self
            .members
            .values()
            .map(|m| m.severity)
            .chain(least)
            .max()
            .unwrap_or(incident.severity);
        incident.onset_at =
            self.members.values().map(|m| m.starts_at).min().unwrap_or(incident.onset_at);
        incident.n_reports = self.members.values().map(|m| m.n_reports).sum();
        let mut rest: Vec<(&EntityRef, &Time)> =
            self.entities.iter().filter(|(e, _)| **e != first).collect();
        rest.sort_by_key(|(e, t)| (**t, (*e).clone()));
        incident.entities =
            std::iter::once(first).chain(rest.into_iter().map(|(e, _)| e.clone())).collect();
        incident.updated_at = incident.updated_at.max(now);
    }
}

/// Order of what says best what users feel: user-facing signals before resources, measured by us
/// before told by others, then severity, then nearness to the callers at the root of the graph
/// (fewer callers above), then how far off it is.
fn rank(graph: &Graph, member: &Member) -> (bool, bool, Severity, i64, f64) {
    let callers = relate::within(graph, &member.entity, 4, false).len() as i64;
    let served = graph.dependencies(&member.entity).next().is_some() || member.entity.is_service();
    (member.user_facing() && served, member.measured, member.severity, -callers, member.score)
}
