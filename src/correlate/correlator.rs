//! The grouping itself: alerts in, decisions out, with the reason for each. Pure; `now` is a value.

use std::collections::{BTreeMap, BTreeSet};

use super::closed;
use super::config::Config;
use super::group::{Group, Member};
use super::machine;
use super::relate::{self, Kind, Link, Surroundings};
use crate::model::alert::Suppression;
use crate::model::time::{MINUTE_MS, duration_text};
use crate::model::{
    Actor, Alert, AlertId, Change, EntityRef, EntryKind, Graph, Incident, IncidentId,
    IncidentState, Severity, Silence, Time, TimelineEntry,
};

/// What was decided about one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Which alert.
    pub alert: AlertId,
    /// Its incident, once grouped.
    pub incident: Option<IncidentId>,
    /// What keeps it quiet.
    pub suppressed: Option<Suppression>,
    /// Why, with what would have had to be different.
    pub decision: String,
    /// Another system that reported the same condition.
    pub witness: Option<String>,
}

/// What is to be written: each alert, incident and entry at most once, in a fixed order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decisions {
    /// About alerts.
    pub verdicts: Vec<Verdict>,
    /// New and changed incidents; a new one has number 0.
    pub incidents: Vec<Incident>,
    /// Timeline entries.
    pub entries: Vec<TimelineEntry>,
}

/// An alert that belongs to no incident yet.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) alert: Alert,
    pub(super) since: Time,
    pub(super) said: String,
}

/// Groups alerts into incidents.
#[derive(Clone, Debug, Default)]
pub struct Correlator {
    pub(super) config: Config,
    graph: Graph,
    pub(super) changes: Vec<Change>,
    silences: Vec<Silence>,
    pub(super) groups: BTreeMap<IncidentId, Group>,
    home: BTreeMap<AlertId, IncidentId>,
    waiting: BTreeMap<AlertId, Waiting>,
    /// Alerts that wait, fire and weigh something, counted by entity for the present decision.
    pub(super) company: BTreeMap<EntityRef, usize>,
    verdicts: BTreeMap<AlertId, Verdict>,
    /// Something was learned that may relate groups which were apart.
    unsettled: bool,
    /// Groups opened by the present decision: nobody has heard of them yet.
    pub(super) unheard: BTreeSet<IncidentId>,
    pub(super) out: Decisions,
}

impl Correlator {
    /// A correlator that knows nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes over the graph, recent changes and silences.
    pub fn learn(&mut self, graph: Graph, changes: Vec<Change>, silences: Vec<Silence>) {
        self.unsettled |= graph != self.graph;
        (self.graph, self.changes, self.silences) = (graph, changes, silences);
    }

    /// Takes over an incident as the store has it (at the start, or after a person changed it);
    /// `alerts` are all of its alerts.
    pub fn load(&mut self, incident: Incident, alerts: &[Alert]) {
        let id = incident.id;
        self.home.retain(|_, home| *home != id);
        let mut group = Group::of(incident);
        for alert in alerts {
            self.home.insert(alert.id, id);
            self.waiting.remove(&alert.id);
            group.put(&self.graph, &self.config, alert.id, Member::of(alert));
        }
        group.dirty = false;
        self.groups.insert(id, group);
        self.unsettled = true;
    }

    /// Takes over what a person changed of an incident whose alerts are the same; says whether its
    /// alerts differ, in which case it must be loaded anew.
    pub fn refresh(&mut self, incident: &Incident) -> bool {
        match self.groups.get_mut(&incident.id) {
            Some(group) if group.incident.alerts.len() == incident.alerts.len() => {
                group.incident = incident.clone();
                false
            }
            _ => true,
        }
    }

    /// Takes in an alert that began, changed or ended.
    pub fn take(&mut self, alert: &Alert, now: Time) {
        if let Some(home) = self.home.get(&alert.id).copied()
            && let Some(group) = self.groups.get_mut(&home)
        {
            let active = group.incident.state.is_active();
            if active || !alert.is_firing() {
                let before = group.members.get(&alert.id).map(|m| m.ends_at.is_some());
                let member = Member::of(alert);
                if group.members.get(&alert.id) == Some(&member) {
                    return;
                }
                let ended = member.ends_at;
                group.put(&self.graph, &self.config, alert.id, member);
                if before != Some(ended.is_some()) && ended.is_none() {
                    let text = format!("Fires again: {}", name(alert));
                    let subject = Some(alert.id.to_string());
                    let entry = TimelineEntry::by_bot(home, now, EntryKind::Alert, text, subject);
                    self.out.entries.push(entry);
                }
                return;
            }
            if self.stays_closed(home, alert) {
                return;
            }
            // It fires, and its incident is over: it waits like any other and may reopen.
            self.home.remove(&alert.id);
        }
        match self.waiting.get_mut(&alert.id) {
            Some(waiting) => waiting.alert = alert.clone(),
            None if alert.is_firing() => {
                let waiting = Waiting { alert: alert.clone(), since: now, said: String::new() };
                self.waiting.insert(alert.id, waiting);
            }
            None => {}
        }
    }

    /// Decides on everything that waits, moves incidents on, and gives what is to be written.
    pub fn decide(&mut self, now: Time) -> Decisions {
        let mut around: BTreeMap<EntityRef, Surroundings> = BTreeMap::new();
        for waiting in self.waiting.values() {
            let entity = &waiting.alert.entity;
            if !around.contains_key(entity) {
                around.insert(entity.clone(), Surroundings::of(&self.graph, entity, &self.config));
            }
        }
        self.company.clear();
        for alert in self.waiting.values().map(|w| &w.alert) {
            if alert.is_firing() && alert.severity > Severity::Info {
                *self.company.entry(alert.entity.clone()).or_default() += 1;
            }
        }
        // Causes before what they cause, so that each group grows upwards from its root.
        let depth: BTreeMap<EntityRef, usize> = around
            .keys()
            .map(|e| {
                let below = relate::within(&self.graph, e, 6, true);
                (e.clone(), below.keys().filter(|b| around.contains_key(*b)).count())
            })
            .collect();
        let mut order: Vec<AlertId> = self.waiting.keys().copied().collect();
        order.sort_by_key(|id| {
            let alert = &self.waiting[id].alert;
            (depth[&alert.entity], std::cmp::Reverse(alert.severity), alert.starts_at, *id)
        });
        // An alert that opens an incident may give others a home: look again until nothing moves.
        loop {
            let before = self.waiting.len();
            for id in &order {
                if let Some(waiting) = self.waiting.remove(id)
                    && let Some(back) = self.place(waiting, &around, now)
                {
                    self.waiting.insert(*id, back);
                }
            }
            if self.waiting.len() == before {
                break;
            }
        }
        if std::mem::take(&mut self.unsettled) {
            self.regard();
            self.unite(now);
        }
        self.unheard.clear();
        self.move_on(now);
        for group in self.groups.values_mut().filter(|g| g.dirty) {
            group.dirty = false;
            group.sum_up(&self.graph, now);
            self.out.incidents.push(group.incident.clone());
        }
        let reopen_ms = i64::from(self.config.reopen_min) * MINUTE_MS;
        let gone: BTreeSet<IncidentId> = self
            .groups
            .values()
            .filter(|g| !g.incident.state.is_active() && !g.is_held())
            .filter(|g| {
                now.ms_since(g.incident.resolved_at.unwrap_or(g.incident.updated_at)) > reopen_ms
            })
            .map(|g| g.incident.id)
            .collect();
        self.groups.retain(|id, _| !gone.contains(id));
        self.home.retain(|_, home| !gone.contains(home));
        let mut out = std::mem::take(&mut self.out);
        // Decisions first, witnesses after them.
        let decided = std::mem::take(&mut self.verdicts).into_values();
        out.verdicts = decided.chain(std::mem::take(&mut out.verdicts)).collect();
        out
    }

    /// Works out anew which members the graph explains by others.
    fn regard(&mut self) {
        for group in self.groups.values_mut().filter(|g| g.incident.state.is_active()) {
            group.explained = relate::explained(&self.graph, &self.config, &group.entities);
        }
    }

    /// One with the same settings that knows nothing.
    #[must_use]
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.config.clone())
    }

    /// Alerts believed to fire: members of incidents that are active or were closed by a person
    /// meanwhile, and those that wait.
    #[must_use]
    pub fn believed_firing(&self) -> Vec<AlertId> {
        let active = self.groups.values().filter(|g| g.incident.state.is_active() || g.is_held());
        let members = active.flat_map(|g| g.members.iter().filter(|(_, m)| m.ends_at.is_none()));
        let waiting = self.waiting.iter().filter(|(_, w)| w.alert.is_firing());
        members.map(|(id, _)| *id).chain(waiting.map(|(id, _)| *id)).collect()
    }

    /// How many alerts wait for a decision.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Decides on one waiting alert; gives it back when it goes on waiting.
    fn place(
        &mut self,
        mut waiting: Waiting,
        around: &BTreeMap<EntityRef, Surroundings>,
        now: Time,
    ) -> Option<Waiting> {
        let alert = &waiting.alert;
        if !alert.is_firing() {
            let lasted = alert.ends_at.map_or(0, |e| e.ms_since(alert.starts_at));
            let because = if waiting.said.is_empty() {
                "within the group wait".to_owned()
            } else {
                format!("while held: {}", waiting.said)
            };
            let decision =
                format!("Opened no incident: it ended after {}, {because}", duration_text(lasted));
            self.say(alert, None, alert.suppressed.clone(), decision);
            return None;
        }
        if let Some(silence) = self.silences.iter().find(|s| s.covers(&alert.labels, now)) {
            let kind = if silence.maintenance { "maintenance" } else { "silence" };
            let until = Some(silence.ends_at);
            let reason = format!(
                "Kept quiet by the {kind} of {} until {} ({}); without it, it would be grouped.",
                silence.author.name,
                silence.ends_at.minute_text(),
                silence.reason
            );
            let by = format!("{kind} {}", silence.id);
            return Some(self.hold(
                waiting,
                Some(Suppression { by, reason: reason.clone(), until }),
                reason,
            ));
        }
        let here = &around[&alert.entity];
        let links = self.links(alert, here, true);
        if let Some((home, link)) = links.first() {
            let home = *home;
            if link.kind == Kind::ExplainsMember {
                self.merge_on_common_cause(home, &links, alert, now);
            }
            self.join(home, alert, &format!("Joined: {}.", link.reason), now);
            return None;
        }
        if self.join_closed(alert, now) {
            return None;
        }
        if let Some((suppressed, decision)) = self.held(&waiting, here, now) {
            return Some(self.hold(waiting, suppressed, decision));
        }
        let alert = waiting.alert.clone();
        waiting.said.clear();
        let ended = self.links(&alert, here, false);
        if let Some((home, link)) = ended
            .iter()
            .find(|(id, l)| l.kind == Kind::Same && !closed::is_none(&self.groups[id].incident))
        {
            self.reopen(*home, &alert, &link.reason.clone(), now);
            return None;
        }
        self.open(&alert, now);
        None
    }

    /// Groups that the alert belongs to, best first: active ones, or those that ended lately.
    fn links(&self, alert: &Alert, here: &Surroundings, active: bool) -> Vec<(IncidentId, Link)> {
        let mut links: Vec<(IncidentId, Link)> = self
            .groups
            .values()
            .filter(|g| g.incident.state.is_active() == active)
            .filter(|g| active || g.incident.state == IncidentState::Resolved)
            .filter_map(|g| {
                let (entity, onset) = (&alert.entity, alert.starts_at);
                let link = g.named(entity, onset).or_else(|| {
                    relate::link(&self.config, here, entity, onset, &g.entities, &g.explained)
                });
                Some((g.incident.id, link?))
            })
            .collect();
        links.sort_by_key(|(id, l)| (l.kind, l.hops, l.gap_ms, *id));
        links
    }

    fn hold(
        &mut self,
        mut waiting: Waiting,
        suppressed: Option<Suppression>,
        decision: String,
    ) -> Waiting {
        if waiting.said != decision {
            waiting.said.clone_from(&decision);
            waiting.alert.suppressed.clone_from(&suppressed);
            let alert = waiting.alert.clone();
            self.say(&alert, None, suppressed, decision);
        }
        waiting
    }

    pub(super) fn say(
        &mut self,
        alert: &Alert,
        incident: Option<IncidentId>,
        suppressed: Option<Suppression>,
        decision: String,
    ) {
        let verdict = Verdict { alert: alert.id, incident, suppressed, decision, witness: None };
        self.verdicts.insert(alert.id, verdict);
    }

    fn open(&mut self, alert: &Alert, now: Time) {
        let mut group = Group::open(alert.id, &Member::of(alert), now);
        let id = group.incident.id;
        let over = [IncidentState::Resolved, IncidentState::Reviewed];
        if self.groups.get(&id).is_some_and(|g| over.contains(&g.incident.state)) {
            self.reopen(id, alert, "the alert that opened it fires again", now);
            return;
        }
        // A group of that id that is still known means that the very alert opened it before.
        if let Some(old) = self.groups.remove(&id) {
            group = old;
        }
        self.groups.insert(id, group);
        self.unsettled = true;
        self.unheard.insert(id);
        let text = format!("Opened by {}.", name(alert));
        self.out.entries.push(TimelineEntry::by_bot(id, now, EntryKind::State, text, None));
        self.join(id, alert, "Opened the incident: no active incident is related to it.", now);
    }

    pub(super) fn join(&mut self, home: IncidentId, alert: &Alert, decision: &str, now: Time) {
        let Some(group) = self.groups.get_mut(&home) else { return };
        let member = Member::of(alert);
        let twin = member
            .indicator
            .filter(|_| member.system.is_some())
            .and_then(|i| group.own.get(&(member.entity.clone(), i)).copied())
            .filter(|twin| group.members.get(twin).is_some_and(|m| m.ends_at.is_none()));
        // Another system may have spoken first: it is a witness of ours all the same.
        let earlier: BTreeSet<String> = match (&member.system, member.indicator) {
            (None, Some(indicator)) => group
                .members
                .values()
                .filter(|m| {
                    m.entity == member.entity
                        && m.indicator == Some(indicator)
                        && m.ends_at.is_none()
                })
                .filter_map(|m| m.system.clone())
                .collect(),
            _ => BTreeSet::new(),
        };
        let fresh = group.put(&self.graph, &self.config, alert.id, member);
        self.unsettled |= fresh;
        self.home.insert(alert.id, home);
        let mut decision = decision.to_owned();
        if let (Some(twin), Some(system)) = (twin, Member::of(alert).system) {
            decision = format!("{decision} Same condition as {twin}: counted as its witness.");
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

    fn reopen(&mut self, home: IncidentId, alert: &Alert, reason: &str, now: Time) {
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

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }
}

fn name(alert: &Alert) -> String {
    alert
        .annotations
        .get("summary")
        .map_or_else(|| format!("{} of {}", alert.name(), alert.entity.name()), str::to_owned)
}
