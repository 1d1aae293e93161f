//! Revision: what the search for faults has come to know better moves alerts between incidents.
//!
//! A first assignment takes what explains an alert best at that moment. To move it afterwards takes
//! more: the search must have held the other view for a while, or hold it when the alert's part in
//! it is settled for good; and what people have taken in hand, or put where it is, stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::correlator::{Correlator, Verdict, Waiting};
use super::fit::Kin;
use super::group::Group;
use super::kin::Evidence;
use crate::model::time::{SECOND_MS, duration_text};
use crate::model::{Alert, AlertId, EntryKind, IncidentId, IncidentState, Time, TimelineEntry};

/// The search must have held for this long (ms) that an alert is of another fault.
const DOUBT_MS: i64 = 60 * SECOND_MS;
/// An alert is moved so often while its fault may change still; then only once that is settled.
const MOVES: u8 = 2;

/// Alerts that a revision looks at. It goes through all of them and asks little of most, so what
/// they are lies apart.
#[derive(Clone, Debug, Default)]
struct Recent {
    /// Each with its sign, once that was asked for: a sign is forgotten only after the look at which
    /// its alert leaves here.
    alerts: BTreeMap<AlertId, (Arc<Alert>, Option<u32>)>,
    /// Those that have ended, in a fixed order.
    ended: BTreeSet<AlertId>,
}

impl Recent {
    fn insert(&mut self, alert: Arc<Alert>) {
        if alert.is_firing() {
            self.ended.remove(&alert.id);
        } else {
            self.ended.insert(alert.id);
        }
        self.alerts.insert(alert.id, (alert, None));
    }

    fn get(&self, id: AlertId) -> Option<&Arc<Alert>> {
        self.alerts.get(&id).map(|(alert, _)| alert)
    }

    fn contains(&self, id: AlertId) -> bool {
        self.alerts.contains_key(&id)
    }

    fn ended(&self) -> impl Iterator<Item = &Arc<Alert>> {
        self.ended.iter().filter_map(|id| self.get(*id))
    }

    /// Drops those whose fault can't change any more.
    fn settle(&mut self, evidence: &Evidence) {
        let ended = &mut self.ended;
        self.alerts.retain(|id, (_, sign)| {
            *sign = sign.or_else(|| evidence.sign(*id));
            let stays = sign.is_some_and(|sign| evidence.sign_may_move(sign));
            if !stays {
                ended.remove(id);
            }
            stays
        });
    }
}

/// What is revised, and what stays as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Revision {
    /// Which incident stands for a kin.
    owners: BTreeMap<Kin, IncidentId>,
    /// Alerts of incidents that people have done something about, as they were read.
    pinned: BTreeSet<AlertId>,
    /// Alerts that are where they are for another reason than a fault: as long as no fault explains
    /// them, they stay.
    bound: BTreeSet<AlertId>,
    /// Incidents that people have done something about.
    touched: BTreeSet<IncidentId>,
    /// Alerts whose fault may change still.
    recent: Recent,
    /// Alerts of an earlier run that nobody has looked at since the start.
    loaded: BTreeMap<AlertId, Alert>,
    /// Since when the search has held that an alert is not of its incident's fault.
    doubts: BTreeMap<AlertId, Time>,
    /// How often an alert was moved.
    moved: BTreeMap<AlertId, u8>,
}

impl Revision {
    /// The incident of a kin.
    pub(super) fn owner(&self, kin: Kin) -> Option<IncidentId> {
        self.owners.get(&kin).copied()
    }

    pub(super) fn own(&mut self, kin: Kin, id: IncidentId) {
        self.owners.insert(kin, id);
    }

    /// What was of one incident is of another, into which it was merged or whose id it has now.
    pub(super) fn hand_over(&mut self, from: IncidentId, into: IncidentId) {
        for owner in self.owners.values_mut().filter(|o| **o == from) {
            *owner = into;
        }
        if self.touched.remove(&from) {
            self.touched.insert(into);
        }
    }

    /// An alert stays where it is.
    pub(super) fn pin(&mut self, alert: AlertId) {
        self.pinned.insert(alert);
    }

    /// An alert stays where it is unless a fault explains it.
    pub(super) fn bind(&mut self, alert: AlertId) {
        self.bound.insert(alert);
    }

    /// A person has done something about an incident.
    pub(super) fn touch(&mut self, id: IncidentId) {
        self.touched.insert(id);
    }

    pub(super) fn is_touched(&self, id: IncidentId) -> bool {
        self.touched.contains(&id)
    }

    /// An alert may have to move, or may find the incident that it ended without.
    pub(super) fn keep(&mut self, alert: &Arc<Alert>) {
        self.recent.insert(Arc::clone(alert));
    }

    /// An alert of an earlier run. Why it is where it is, beside a fault, is not known any more: it
    /// stays unless another fault explains it, and stays anyway once its part in faults is settled.
    pub(super) fn load(&mut self, alert: &Alert) {
        self.bind(alert.id);
        self.loaded.insert(alert.id, alert.clone());
    }

    /// An alert changed.
    pub(super) fn renew(&mut self, alert: &Alert) {
        if self.recent.contains(alert.id) {
            self.recent.insert(Arc::new(alert.clone()));
        }
        if let Some(kept) = self.loaded.get_mut(&alert.id) {
            *kept = alert.clone();
        }
    }

    /// Whether something is in doubt.
    pub(super) fn is_due(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// Forgets what concerns incidents that are gone.
    pub(super) fn forget(
        &mut self,
        gone: &BTreeSet<IncidentId>,
        home: &BTreeMap<AlertId, IncidentId>,
    ) {
        self.owners.retain(|_, id| !gone.contains(id));
        self.touched.retain(|id| !gone.contains(id));
        self.pinned.retain(|id| home.contains_key(id));
        self.bound.retain(|id| home.contains_key(id));
        let recent = &self.recent;
        self.moved.retain(|id, _| recent.contains(*id));
    }
}

/// How many alerts of each kin an incident has, and which kin has most.
#[derive(Debug, Default)]
pub(super) struct Tally {
    kins: BTreeMap<Kin, usize>,
    pub(super) main: Option<Kin>,
}

impl Correlator {
    /// Brings incidents into line with what explains their alerts now.
    pub(super) fn reconcile(&mut self, now: Time) {
        let loaded = std::mem::take(&mut self.revision.loaded);
        for (_, alert) in loaded.into_iter().filter(|(id, _)| self.evidence.may_move(*id)) {
            self.revision.recent.insert(Arc::new(alert));
        }
        let tallies = self.tallies();
        self.revision.owners = self.owners_of(&tallies);
        let merged = self.unite(&tallies, now);
        let tallies = if merged { self.tallies() } else { tallies };
        for (id, tally) in &tallies {
            self.part(*id, tally, now);
        }
        self.adopt(now);
        self.revision.recent.settle(&self.evidence);
        let recent = &self.revision.recent;
        self.revision.doubts.retain(|id, _| recent.contains(*id));
    }

    fn tallies(&mut self) -> BTreeMap<IncidentId, Tally> {
        let mut tallies = BTreeMap::new();
        let evidence = &self.evidence;
        for group in self.groups.values_mut() {
            let mut tally = Tally::default();
            // Of several faults the one is its own whose alerts can't go any more: a new fault that
            // reopened it, however large, may leave.
            let mut stay: BTreeMap<Kin, usize> = BTreeMap::new();
            for (kin, may_move) in
                group.signs(evidence).filter_map(|s| evidence.kin_that_may_move(s))
            {
                *tally.kins.entry(kin).or_default() += 1;
                if !may_move && matches!(kin, Kin::Fault(_)) {
                    *stay.entry(kin).or_default() += 1;
                }
            }
            let of = if stay.is_empty() { &tally.kins } else { &stay };
            let most = of.iter().max_by_key(|(kin, n)| (**n, std::cmp::Reverse(**kin)));
            tally.main = most.map(|(kin, _)| *kin);
            tallies.insert(group.incident.id, tally);
        }
        tallies
    }

    /// The incident of each kin: one of which it is the main one, then one that is active, then the
    /// one with most of its alerts, then the one opened first.
    fn owners_of(&self, tallies: &BTreeMap<IncidentId, Tally>) -> BTreeMap<Kin, IncidentId> {
        type Offer = (bool, bool, usize, std::cmp::Reverse<(Time, IncidentId)>);
        let mut best: BTreeMap<Kin, Offer> = BTreeMap::new();
        for (id, tally) in tallies {
            let incident = &self.groups[id].incident;
            let (active, opened) = (incident.state.is_active(), incident.opened_at);
            for (kin, n) in &tally.kins {
                let main = tally.main == Some(*kin);
                let offer = (main, active, *n, std::cmp::Reverse((opened, *id)));
                let now = best.entry(*kin).or_insert(offer);
                *now = offer.max(*now);
            }
        }
        best.into_iter().map(|(kin, (_, _, _, std::cmp::Reverse((_, id))))| (kin, id)).collect()
    }

    /// Whether the bot may merge or part an incident: nobody has taken it.
    pub(super) fn is_untouched(&self, group: &Group) -> bool {
        let incident = &group.incident;
        incident.acknowledged_at.is_none()
            && incident.owner.is_none()
            && incident.declared_by.is_none()
            && incident.closed_by.is_none()
            && matches!(
                incident.state,
                IncidentState::Open | IncidentState::Monitoring | IncidentState::Resolved
            )
            && !self.revision.is_touched(incident.id)
    }

    /// Alerts that ended without an incident, and whose fault has one now, are put there.
    fn adopt(&mut self, now: Time) {
        let strays = self
            .revision
            .recent
            .ended()
            .filter(|a| !self.home.contains_key(&a.id) && !self.waiting.contains_key(&a.id));
        let found: Vec<(Arc<Alert>, IncidentId, String)> = strays
            .filter_map(|a| self.fault_home(a).map(|(home, why)| (a.clone(), home, why)))
            .collect();
        for (alert, home, reason) in found {
            self.join(home, &alert, &format!("Joined: {reason}."), now);
        }
    }

    /// Lets alerts go that another fault explains.
    fn part(&mut self, id: IncidentId, tally: &Tally, now: Time) {
        let Some(group) = self.groups.get(&id) else { return };
        let Some(main) = tally.main else { return };
        let mut leave: BTreeMap<Kin, BTreeSet<AlertId>> = BTreeMap::new();
        // Mostly nothing may leave, and little is in doubt.
        if tally.kins.len() <= 1 || !self.is_untouched(group) {
            let doubts = &mut self.revision.doubts;
            if doubts.len() < group.members.len() {
                doubts.retain(|id, _| !group.members.contains_key(id));
            } else {
                for id in group.members.keys() {
                    doubts.remove(id);
                }
            }
            return;
        }
        for alert in group.members.keys() {
            let kin = self.evidence.kin(*alert).filter(|k| *k != main);
            let said = kin.and_then(|kin| Some((kin, self.revision.recent.get(*alert)?)));
            let Some((kin, said)) = said else {
                self.revision.doubts.remove(alert);
                continue;
            };
            let own = matches!(kin, Kin::Own(_));
            let mut bound = own && self.revision.bound.contains(alert);
            if own && !bound && self.graph_keeps(said, group) {
                // Asked once: the graph is gone through for it.
                self.revision.bound.insert(*alert);
                bound = true;
            }
            let bound = bound || self.people_keep(said, group, kin);
            if bound || self.revision.pinned.contains(alert) {
                self.revision.doubts.remove(alert);
                continue;
            }
            let since = *self.revision.doubts.entry(*alert).or_insert(now);
            let settled = !self.evidence.may_move(*alert);
            let often = self.revision.moved.get(alert).is_some_and(|n| *n >= MOVES);
            if settled || (now.ms_since(since) >= DOUBT_MS && !often) {
                leave.entry(kin).or_default().insert(*alert);
            }
        }
        for (kin, ids) in leave {
            self.leave(id, kin, &ids, now);
        }
    }

    /// Takes alerts of a kin out of an incident, each to where it belongs.
    fn leave(&mut self, from: IncidentId, kin: Kin, ids: &BTreeSet<AlertId>, now: Time) {
        let alerts: Vec<Arc<Alert>> =
            ids.iter().filter_map(|id| self.revision.recent.get(*id).cloned()).collect();
        let over = alerts.iter().all(|alert| !alert.is_firing());
        let owner = self.revision.owner(kin).filter(|o| *o != from);
        let into = owner
            .and_then(|o| self.groups.get(&o))
            .filter(|group| group.incident.state.is_active() || (over && self.is_untouched(group)));
        let into = into.map(|group| (group.incident.id, group.incident.number));
        let Some(group) = self.groups.get_mut(&from) else { return };
        let number = group.incident.number;
        let gone = group.take_out(&self.graph, &self.config, ids);
        for id in gone.keys() {
            self.home.remove(id);
            self.revision.doubts.remove(id);
            *self.revision.moved.entry(*id).or_default() += 1;
        }
        if self.revision.owner(kin) == Some(from) {
            self.revision.owners.remove(&kin);
        }
        let many = match &alerts[..] {
            [one] => super::join::name(one),
            more => format!("{} alerts", more.len()),
        };
        let reason = self.evidence.said(kin).unwrap_or_else(|| "nothing in it explains it".into());
        let to = match into {
            Some((_, n)) if n > 0 => format!(" for incident #{n}"),
            _ => String::new(),
        };
        self.tell(from, format!("{many} left the incident{to}: {reason}."), now);
        if let Some((into, _)) = into {
            for (alert, member) in gone {
                let decision = format!("Moved here from incident #{number}: {reason}.");
                let verdict = Verdict {
                    alert,
                    incident: Some(into),
                    suppressed: None,
                    decision,
                    witness: None,
                };
                self.rehome(alert, member, into, verdict);
            }
            self.tell(into, format!("{many} moved here from incident #{number}: {reason}."), now);
            return;
        }
        self.stand_alone(kin, alerts, (number, &reason), now);
    }

    /// Alerts that left an incident, and whose fault has none: a fault of several opens one; a
    /// single alert is decided on like one that just came, unless it has ended.
    fn stand_alone(
        &mut self,
        kin: Kin,
        mut alerts: Vec<Arc<Alert>>,
        (number, reason): (u64, &str),
        now: Time,
    ) {
        if matches!(kin, Kin::Fault(_)) && alerts.len() > 1 {
            alerts.sort_by_key(|a| {
                (!a.is_firing(), std::cmp::Reverse(a.severity), a.starts_at, a.id)
            });
            let why = format!("Split off from incident #{number}: {reason}.");
            let into = self.open_as(&alerts[0], &why, now);
            self.revision.own(kin, into);
            for alert in &alerts[1..] {
                self.join(into, alert, &why, now);
            }
            return;
        }
        let waited_ms = i64::from(self.config.group_wait_s) * SECOND_MS;
        for alert in alerts {
            if alert.is_firing() {
                let since = now.plus_ms(-waited_ms);
                let waiting = Waiting { alert: alert.clone(), since, said: String::new() };
                self.waiting.insert(alert.id, waiting);
                continue;
            }
            let lasted = alert.ends_at.map_or(0, |e| e.ms_since(alert.starts_at));
            let decision = format!(
                "Left incident #{number}: {reason}. It opened none of its own: it ended after {}.",
                duration_text(lasted)
            );
            self.say(&alert, None, None, decision);
        }
    }

    fn tell(&mut self, incident: IncidentId, text: String, now: Time) {
        let entry = TimelineEntry::by_bot(incident, now, EntryKind::State, text, None);
        self.out.entries.push(entry);
    }
}
