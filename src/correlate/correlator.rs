//! The grouping itself: alerts in, decisions out, with the reason for each. Pure; `now` is a value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::Config;
use super::fit::Learned;
use super::group::{Group, Member};
use super::hold::Fresh;
use super::home::Ground;
use super::join::name;
use super::kin::Evidence;
use super::part::Revision;
use super::people::Lessons;
use super::priority::{Land, points_of_place};
use super::quiet::Quiet;
use super::relate::{self, Surroundings};
use super::taxonomy::Cause;
use crate::model::alert::Suppression;
use crate::model::time::{DAY_MS, MINUTE_MS, SECOND_MS, duration_text};
use crate::model::{
    Alert, AlertId, Change, Diagnosis, EntityRef, EntryKind, Graph, Harmless, Incident, IncidentId,
    Severity, Silence, Time, TimelineEntry,
};

/// The id of what was merged away is known for this long (ms).
const FOLDED_MS: i64 = DAY_MS;

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
    pub(super) alert: Arc<Alert>,
    pub(super) since: Time,
    pub(super) said: String,
}

/// Groups alerts into incidents.
#[derive(Clone, Debug, Default)]
pub struct Correlator {
    pub(super) config: Config,
    pub(super) graph: Graph,
    /// What follows from the graph for priorities.
    pub(super) land: Land,
    pub(super) changes: Vec<Change>,
    pub(super) silences: Vec<Silence>,
    pub(super) quiet: Quiet,
    pub(super) groups: BTreeMap<IncidentId, Group>,
    pub(super) home: BTreeMap<AlertId, IncidentId>,
    pub(super) waiting: BTreeMap<AlertId, Waiting>,
    /// Alerts that wait, fire, weigh something and may be grouped, counted by entity for the present
    /// decision.
    pub(super) company: BTreeMap<EntityRef, usize>,
    pub(super) verdicts: BTreeMap<AlertId, Verdict>,
    /// What alerts say about faults.
    pub(super) evidence: Evidence,
    /// What is revised, and what stays as it is.
    pub(super) revision: Revision,
    /// What people's merges and splits have taught.
    pub(super) lessons: Lessons,
    /// What surrounds entities, as long as the graph is the same.
    pub(super) around: BTreeMap<EntityRef, Surroundings>,
    /// What incidents that were opened lately stand on.
    pub(super) fresh: Fresh,
    /// Ids of groups that were merged away, and when: they stand for nothing else.
    pub(super) folded: BTreeMap<IncidentId, Time>,
    /// Groups opened by the present decision: nobody has heard of them yet.
    pub(super) unheard: BTreeSet<IncidentId>,
    pub(super) out: Decisions,
}

impl Correlator {
    /// A correlator that knows nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let land = Land::of(&Graph::default(), &config.priority);
        Self { evidence: Evidence::new(&config), config, land, ..Self::default() }
    }

    /// Takes over the graph, recent changes and silences.
    pub fn learn(&mut self, graph: Graph, changes: Vec<Change>, silences: Vec<Silence>) {
        let news = graph != self.graph;
        self.evidence.learn(news.then_some(&graph), &changes);
        (self.graph, self.changes, self.silences) = (graph, changes, silences);
        if news {
            self.land = Land::of(&self.graph, &self.config.priority);
            self.around.clear();
            self.regard();
        }
    }

    /// What the search for faults has learned, to be kept over a restart.
    #[must_use]
    pub fn learned(&self) -> Learned {
        self.evidence.learned()
    }

    /// Takes over what it had learned before a start.
    pub fn restore(&mut self, learned: &Learned) {
        self.evidence.restore(learned);
    }

    /// Takes over the learned rules that hold.
    pub fn learn_harmless(&mut self, rules: Vec<Harmless>) {
        self.quiet.harmless = rules.into_iter().map(|rule| (rule.id, rule)).collect();
    }

    /// Remembers when conditions began, from alerts of late: for a start anew.
    pub fn recall(&mut self, alerts: &[Alert]) {
        for alert in alerts {
            self.quiet.hear(&self.config, alert);
        }
    }

    /// Takes over an incident as the store has it (at the start, or after a person changed it);
    /// `alerts` are all of its alerts.
    pub fn load(&mut self, incident: Incident, alerts: &[Alert]) {
        let id = incident.id;
        self.home.retain(|_, home| *home != id);
        let mut group = Group::of(incident);
        let free = self.is_untouched(&group);
        // In the order in which they came: who is whose witness follows from it.
        let mut alerts: Vec<&Alert> = alerts.iter().collect();
        alerts.sort_by_key(|a| (a.starts_at, a.id));
        for alert in alerts {
            self.home.insert(alert.id, id);
            self.waiting.remove(&alert.id);
            group.put(&self.graph, &self.config, alert.id, Member::of(alert));
            self.evidence.recall(alert);
            if free {
                self.revision.load(alert);
            } else {
                self.revision.pin(alert.id);
            }
        }
        group.dirty = false;
        self.groups.insert(id, group);
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

    /// Takes over what a diagnosis says of an incident.
    pub fn diagnosed(&mut self, diagnosis: &Diagnosis) {
        let Some(group) = self.groups.get_mut(&diagnosis.incident) else { return };
        let cause = Cause::of(diagnosis);
        if cause.is_some() && group.cause != cause {
            (group.cause, group.dirty) = (cause, true);
        }
    }

    /// A person has done something about an incident: what it has stays in it.
    pub fn touch(&mut self, id: IncidentId) {
        self.revision.touch(id);
    }

    /// Whether that is known of an incident.
    #[must_use]
    pub fn is_touched(&self, id: IncidentId) -> bool {
        self.revision.is_touched(id)
    }

    /// Takes in an alert that began, changed or ended.
    pub fn take(&mut self, alert: &Alert, now: Time) {
        self.quiet.hear(&self.config, alert);
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
                self.revision.renew(alert);
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
        if alert.is_firing() {
            self.evidence.begin(alert);
        }
        match self.waiting.get_mut(&alert.id) {
            Some(waiting) => waiting.alert = Arc::new(alert.clone()),
            None if alert.is_firing() => {
                let (held, said) = (Arc::new(alert.clone()), String::new());
                self.waiting.insert(alert.id, Waiting { alert: held, since: now, said });
            }
            None => {}
        }
    }

    /// Decides on everything that waits, moves incidents on, and gives what is to be written.
    pub fn decide(&mut self, now: Time) -> Decisions {
        // Also after a long pause nothing is reopened that was over for too long.
        self.forget_over(now);
        self.survey();
        if self.evidence.look(now, self.waits_urgently()) || self.revision.is_due() {
            self.reconcile(now);
        }
        let order = self.order(now);
        self.freshen(now);
        // An alert that opens an incident may give others a home: look again until nothing moves.
        loop {
            let before = self.waiting.len();
            for id in &order {
                if let Some(waiting) = self.waiting.remove(id)
                    && let Some(back) = self.place(waiting, now)
                {
                    self.waiting.insert(*id, back);
                }
            }
            if self.waiting.len() == before {
                break;
            }
        }
        self.unheard.clear();
        self.quiet.pass(now);
        self.move_on(now);
        for group in self.groups.values_mut().filter(|g| g.dirty) {
            group.dirty = false;
            group.sum_up(&self.graph, &mut self.land, now);
            group.weigh((&self.graph, &self.land), &self.config, &self.changes);
            self.out.incidents.push(group.incident.clone());
        }
        self.forget_over(now);
        let mut out = std::mem::take(&mut self.out);
        // Decisions first, witnesses after them.
        let decided = std::mem::take(&mut self.verdicts).into_values();
        out.verdicts = decided.chain(std::mem::take(&mut out.verdicts)).collect();
        out
    }

    /// Forgets incidents that have been over for longer than they may be reopened.
    fn forget_over(&mut self, now: Time) {
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
        if !gone.is_empty() {
            self.groups.retain(|id, _| !gone.contains(id));
            self.home.retain(|_, home| !gone.contains(home));
            self.revision.forget(&gone, &self.home);
        }
        self.folded.retain(|_, at| now.ms_since(*at) < FOLDED_MS);
    }

    /// In which order alerts that wait are decided on: causes before what they cause, so that each
    /// group grows upwards from its root. Counts by the way whom each would have for company: what is
    /// grouped with nothing confirms nothing.
    fn order(&mut self, now: Time) -> Vec<AlertId> {
        self.survey();
        let mut company: BTreeMap<EntityRef, usize> = BTreeMap::new();
        let mut entities: BTreeSet<&EntityRef> = BTreeSet::new();
        for alert in self.waiting.values().map(|w| &w.alert) {
            entities.insert(&alert.entity);
            let counts = alert.is_firing() && alert.severity > Severity::Info;
            if counts && self.hushed(alert, now).is_none() {
                *company.entry(alert.entity.clone()).or_default() += 1;
            }
        }
        let depth: BTreeMap<&EntityRef, usize> = entities
            .iter()
            .map(|e| (*e, self.around[*e].deep.iter().filter(|b| entities.contains(b)).count()))
            .collect();
        let mut order: Vec<AlertId> = self.waiting.keys().copied().collect();
        order.sort_by_cached_key(|id| {
            let alert = &self.waiting[id].alert;
            (depth[&alert.entity], std::cmp::Reverse(alert.severity), alert.starts_at, *id)
        });
        self.company = company;
        order
    }

    /// Works out what surrounds the entities of all alerts that wait.
    fn survey(&mut self) {
        let entities: BTreeSet<EntityRef> = self
            .waiting
            .values()
            .filter(|w| !self.around.contains_key(&w.alert.entity))
            .map(|w| w.alert.entity.clone())
            .collect();
        for entity in entities {
            self.surround(&entity);
        }
    }

    /// Works out what surrounds an entity, where that is not known.
    pub(super) fn surround(&mut self, entity: &EntityRef) {
        if !self.around.contains_key(entity) {
            let mut around = Surroundings::of(&self.graph, entity, &self.config);
            around.points = points_of_place(entity, &self.graph, &self.land);
            self.around.insert(entity.clone(), around);
        }
    }

    /// Works out anew which members the graph explains by others.
    fn regard(&mut self) {
        for group in self.groups.values_mut() {
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

    /// When faults are looked for next, where an alert that would open an incident at once waits for
    /// that.
    #[must_use]
    pub fn next_look(&self) -> Option<Time> {
        self.waits_urgently().then(|| self.evidence.next_look())
    }

    /// How many alerts wait for a decision.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Decides on one waiting alert; gives it back when it goes on waiting.
    fn place(&mut self, mut waiting: Waiting, now: Time) -> Option<Waiting> {
        let alert = &waiting.alert;
        let wait_ms = i64::from(self.config.group_wait_s) * SECOND_MS;
        if !alert.is_firing() {
            let free = alert.suppressed.is_none();
            if let Some((home, reason)) = self.fault_home(alert).filter(|_| free) {
                self.join(home, alert, &format!("Joined: {reason}."), now);
                return None;
            }
            // The incident of its fault may be about to open.
            if waiting.said.is_empty() && now.ms_since(waiting.since) < wait_ms {
                return Some(waiting);
            }
            let lasted = alert.ends_at.map_or(0, |e| e.ms_since(alert.starts_at));
            let because = if waiting.said.is_empty() {
                "within the group wait".to_owned()
            } else {
                format!("while held: {}", waiting.said)
            };
            let decision =
                format!("Opened no incident: it ended after {}, {because}", duration_text(lasted));
            self.say(alert, None, alert.suppressed.clone(), decision);
            if free {
                self.revision.keep(alert);
            }
            return None;
        }
        if let Some(suppression) = self.hushed(alert, now) {
            let reason = suppression.reason.clone();
            return Some(self.hold(waiting, Some(suppression), reason));
        }
        let here = &self.around[&alert.entity];
        if let Some((home, reason, ground)) = self.home_of(alert, here) {
            self.join(home, alert, &format!("Joined: {reason}."), now);
            if ground == Ground::Rule {
                self.revision.bind(alert.id);
            }
            return None;
        }
        if self.join_closed(alert, now) {
            return None;
        }
        let here = &self.around[&alert.entity];
        let said = match self.held(&waiting, here, now) {
            Ok(said) => said,
            Err((suppressed, decision)) => return Some(self.hold(waiting, suppressed, decision)),
        };
        if self.evidence.is_due(alert.id) {
            return Some(waiting);
        }
        let ended = self.ended_home(alert, here, now);
        let alert = waiting.alert.clone();
        waiting.said.clear();
        if let Some((home, reason)) = ended {
            self.reopen(home, &alert, &reason, now);
            return None;
        }
        self.open(&alert, &said, now);
        None
    }

    fn hold(
        &mut self,
        mut waiting: Waiting,
        suppressed: Option<Suppression>,
        decision: String,
    ) -> Waiting {
        if waiting.said != decision {
            waiting.said.clone_from(&decision);
            Arc::make_mut(&mut waiting.alert).suppressed.clone_from(&suppressed);
            self.say(&waiting.alert, None, suppressed, decision);
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

    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}
