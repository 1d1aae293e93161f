//! One incident with its alerts in memory: who is in it, which alert leads, when it is quiet.

use std::collections::{BTreeMap, BTreeSet};

use super::config::Config;
use super::kin::Evidence;
use super::people::{Topic, Topics};
use super::priority::{Land, Weighs};
use super::relate::{self, Kind, Link};
use super::sums::Sums;
use super::taxonomy::Cause;
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
    /// Its condition and place, in words.
    pub(super) topic: Topic,
    pub(super) measured: bool,
    /// It looks back over hours and goes on after its cause is gone.
    pub(super) looks_back: bool,
    /// The other system that says so; `None` for our own.
    pub(super) system: Option<String>,
    /// What else bears on priority and kind.
    pub(super) weighs: Weighs,
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
            topic: Topic::of(alert.name(), &alert.entity),
            measured: alert.series.is_some(),
            looks_back: alert.annotations.get(LOOKS_BACK).is_some(),
            system: match &alert.source {
                crate::model::AlertSource::External { system } => Some(system.clone()),
                crate::model::AlertSource::Detector { .. } => None,
            },
            weighs: Weighs::of(alert),
        }
    }

    /// Whether two members were there at one time.
    fn is_beside(&self, other: &Self) -> bool {
        let outlasts = |one: &Self, other: &Self| one.ends_at.is_none_or(|e| e > other.starts_at);
        outlasts(self, other) && outlasts(other, self)
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
    /// Changed by [`Group::put`] and [`Group::take_out`] alone, which keep `sums`.
    pub(super) members: BTreeMap<AlertId, Member>,
    /// What the members come to.
    pub(super) sums: Sums,
    /// The members' signs as far as they were asked for, in the state of the evidence at that time.
    signs: (u64, BTreeMap<AlertId, Option<u32>>),
    /// First onset per entity.
    pub(super) entities: BTreeMap<EntityRef, Time>,
    pub(super) explained: BTreeSet<EntityRef>,
    /// What its alerts speak of.
    pub(super) topics: Topics,
    /// Our own alert per condition, one that fires before one that ended: another system's word on it is a witness.
    pub(super) own: BTreeMap<(EntityRef, Indicator), AlertId>,
    /// The first alert of other systems for each condition, by what they call it and by signal.
    told: BTreeMap<(EntityRef, Fingerprint), AlertId>,
    signals: BTreeMap<(EntityRef, Indicator), AlertId>,
    /// Members that say what another member says: they are its witnesses.
    twins: BTreeSet<AlertId>,
    listed: BTreeSet<AlertId>,
    /// What a conclusive diagnosis names.
    pub(super) cause: Option<Cause>,
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
            priority: None,
            taxonomy: None,
            untold: None,
            n_conditions: 0,
        };
        Self::of(incident)
    }

    /// A stored incident; its members are added by [`Group::put`].
    pub(super) fn of(incident: Incident) -> Self {
        let listed = incident.alerts.iter().copied().collect();
        Self {
            incident,
            own: BTreeMap::new(),
            told: BTreeMap::new(),
            signals: BTreeMap::new(),
            twins: BTreeSet::new(),
            listed,
            members: BTreeMap::new(),
            sums: Sums::default(),
            signs: Default::default(),
            entities: BTreeMap::new(),
            explained: BTreeSet::new(),
            topics: Topics::new(),
            cause: None,
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

    /// The member that fires and says what another system's alert says: ours on the same signal, or
    /// the first of other systems of the same condition, or of another system on the same signal.
    pub(super) fn twin_of(&self, id: AlertId, member: &Member) -> Option<AlertId> {
        self.twin_that(id, member, &|m| m.ends_at.is_none())
    }

    /// What a member says and who told it, in words.
    pub(super) fn told_as(&self, id: AlertId) -> String {
        self.members.get(&id).map_or_else(
            || id.to_string(),
            |m| format!("{}, told by {}", m.topic, m.system.as_deref().unwrap_or("nightjar")),
        )
    }

    fn twin_that(
        &self,
        id: AlertId,
        member: &Member,
        may: &dyn Fn(&Member) -> bool,
    ) -> Option<AlertId> {
        let system = member.system.as_ref()?;
        let fires = |twin: &AlertId| *twin != id && self.members.get(twin).is_some_and(may);
        let signal = member.indicator.map(|i| (member.entity.clone(), i));
        let own = signal.as_ref().and_then(|s| self.own.get(s)).copied().filter(&fires);
        let condition = (member.entity.clone(), member.fingerprint);
        let told = || self.told.get(&condition).copied().filter(&fires);
        let other = || {
            let first =
                signal.as_ref().and_then(|s| self.signals.get(s)).copied().filter(&fires)?;
            let differs =
                self.members.get(&first).is_some_and(|m| m.system.as_ref() != Some(system));
            differs.then_some(first)
        };
        own.or_else(told).or_else(other)
    }

    /// Notes whose witness a member is, and what it is the first to say. Two that were there at one
    /// time count, also where both have ended since: after a start or a merge it is worked out anew.
    fn note_twin(&mut self, id: AlertId, member: &Member) {
        let signal = member.indicator.map(|i| (member.entity.clone(), i));
        if member.system.is_none() {
            // What others said of the same signal before is its witness.
            if let Some(signal) = signal.filter(|_| !member.looks_back) {
                let before = self.at(&member.entity).filter(|(_, m)| {
                    m.system.is_some() && m.indicator == member.indicator && m.is_beside(member)
                });
                let before: Vec<AlertId> = before.map(|(twin, _)| twin).collect();
                self.twins.extend(before);
                self.own.entry(signal).or_insert(id);
            }
        } else if self.twin_that(id, member, &|m| m.is_beside(member)).is_some() {
            self.twins.insert(id);
        } else {
            self.told.insert((member.entity.clone(), member.fingerprint), id);
            if let Some(signal) = signal {
                self.signals.entry(signal).or_insert(id);
            }
        }
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
        let (speaks, entity) = (!member.looks_back, member.entity.clone());
        if let (None, None, Some(indicator), true) =
            (&member.system, member.ends_at, member.indicator, speaks)
        {
            self.own.insert((member.entity.clone(), indicator), id);
        }
        if !self.members.contains_key(&id) {
            self.note_twin(id, &member);
            self.signs.1.insert(id, None);
        }
        *self.topics.entry(member.topic.clone()).or_default() += 1;
        if let Some(before) = self.members.get(&id) {
            self.sums.sub(id, before);
        }
        self.sums.add(id, &member);
        if let Some(before) = self.members.insert(id, member) {
            self.hush(&before.topic);
        }
        if self.listed.insert(id) {
            self.incident.alerts.push(id);
        }
        if fresh || earlier {
            let (members, explained) = (&self.entities, &mut self.explained);
            relate::explain(graph, config, members, &entity, explained);
        }
        self.dirty = true;
        fresh
    }

    /// An alert less speaks of this.
    fn hush(&mut self, topic: &Topic) {
        if let Some(n) = self.topics.get_mut(topic) {
            *n -= 1;
            if *n == 0 {
                self.topics.remove(topic);
            }
        }
    }

    /// The signs of its members, where they have one. Asked for at each revision of a storm: each
    /// is looked up once, until some are forgotten.
    pub(super) fn signs(&mut self, evidence: &Evidence) -> impl Iterator<Item = u32> {
        let (seen, signs) = &mut self.signs;
        if *seen != evidence.n_forgets() {
            *seen = evidence.n_forgets();
            for sign in signs.values_mut() {
                *sign = None;
            }
        }
        signs.iter_mut().filter_map(|(id, sign)| {
            *sign = sign.or_else(|| evidence.sign(*id));
            *sign
        })
    }

    /// The members about an entity.
    pub(super) fn at(&self, entity: &EntityRef) -> impl Iterator<Item = (AlertId, &Member)> {
        self.sums.at(entity).filter_map(|id| Some((id, self.members.get(&id)?)))
    }

    /// Whether an alert of the same condition was in it.
    pub(super) fn has_condition_of(&self, alert: &Alert) -> bool {
        self.at(&alert.entity).any(|(_, m)| m.fingerprint == alert.fingerprint)
    }

    /// Takes members out that belong elsewhere.
    pub(super) fn take_out(
        &mut self,
        graph: &Graph,
        config: &Config,
        ids: &BTreeSet<AlertId>,
    ) -> BTreeMap<AlertId, Member> {
        let gone: BTreeMap<AlertId, Member> =
            ids.iter().filter_map(|id| Some((*id, self.members.remove(id)?))).collect();
        for (id, member) in &gone {
            self.sums.sub(*id, member);
            self.signs.1.remove(id);
            self.hush(&member.topic);
        }
        self.listed.retain(|id| !gone.contains_key(id));
        self.incident.alerts.retain(|id| !gone.contains_key(id));
        for first in [&mut self.own, &mut self.signals] {
            first.retain(|_, id| !gone.contains_key(id));
        }
        self.told.retain(|_, id| !gone.contains_key(id));
        self.twins.retain(|id| !gone.contains_key(id));
        self.entities = self.sums.onsets().map(|(e, onset)| (e.clone(), onset)).collect();
        self.explained = relate::explained(graph, config, &self.entities);
        self.dirty = true;
        gone
    }

    /// Takes over the incident after a merge, with the alerts that it now lists.
    pub(super) fn become_whole(&mut self, incident: Incident) {
        self.listed = incident.alerts.iter().copied().collect();
        self.incident = incident;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.sums.is_quiet()
    }

    /// When its last alert ended, if all have that speak of the present.
    pub(super) fn quiet_since(&self) -> Option<Time> {
        if !self.is_quiet() {
            return None;
        }
        self.sums.last_end()
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
    pub(super) fn sum_up(&mut self, graph: &Graph, land: &mut Land, now: Time) {
        let firing = self.sums.fires();
        let leading = self.sums.leading(graph, land);
        let leading = leading.and_then(|id| Some((id, self.members.get(&id)?)));
        let Some((leading, member)) = leading else { return };
        let incident = &mut self.incident;
        incident.leading = Some(leading);
        // The title keeps saying how bad it was once it is over.
        let ours = incident.declared_by.is_none();
        if (ours && firing && incident.state.is_active()) || incident.title.is_empty() {
            incident.title.clone_from(&member.summary);
        }
        let named = incident.entities.first().filter(|_| !ours);
        let first = named.unwrap_or(&member.entity).clone();
        let least = if ours { None } else { Some(incident.severity) };
        incident.severity = self.sums.worst().max(least).unwrap_or(incident.severity);
        let onset = self.sums.onsets().map(|(_, onset)| onset).min();
        incident.onset_at = onset.unwrap_or(incident.onset_at);
        incident.n_conditions = (self.members.len() - self.twins.len()) as u64;
        incident.n_reports = self.sums.n_reports;
        let mut rest: Vec<(&EntityRef, &Time)> =
            self.entities.iter().filter(|(e, _)| **e != first).collect();
        rest.sort_unstable_by_key(|(e, t)| (*t, *e));
        incident.entities =
            std::iter::once(first).chain(rest.into_iter().map(|(e, _)| e.clone())).collect();
        incident.updated_at = incident.updated_at.max(now);
    }
}
