//! What the alerts of an incident come to: counts, extremes and who speaks, kept as alerts come, are
//! renewed and go. A storm puts thousands of alerts into one incident, each decision adds a few of
//! them, and to go through all of them each time would cost the storm its square. Whatever is asked
//! here costs the entities of the incident, not its alerts. Pure.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::group::Member;
use super::priority::Land;
use crate::model::{AlertId, EntityRef, Graph, Indicator, Severity, Time};

/// How far off an alert is, in an order of its own; there is no alert without a number.
#[derive(Clone, Copy, Debug)]
struct Score(f64);

impl Score {
    /// Zero is one number, whatever its sign.
    fn of(score: f64) -> Self {
        Self(score + 0.0)
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Order of what says best what users feel among alerts of one entity that are alike user-facing:
/// measured by us before told by others, then severity, then how far off; of equal ones the later
/// id.
type Rank = (bool, Severity, Score, AlertId);

fn rank(id: AlertId, member: &Member) -> Rank {
    (member.measured, member.severity, Score::of(member.score), id)
}

/// The alerts of one entity.
#[derive(Clone, Debug, Default, PartialEq)]
struct Place {
    /// Those that users don't feel directly, and those that they do.
    ranks: [BTreeSet<Rank>; 2],
    /// When they began.
    starts: BTreeMap<Time, usize>,
    /// Signals beyond mere information, by indicator, and by name where there is none.
    signals: BTreeMap<Indicator, usize>,
    names: BTreeMap<String, usize>,
}

/// What the alerts of one incident come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    places: BTreeMap<EntityRef, Place>,
    severities: BTreeMap<Severity, usize>,
    /// Who tells more than mere information; `None` is ours.
    systems: BTreeMap<Option<String>, usize>,
    /// Alerts that bear on priority by more than that, each asked by itself: they are few.
    pub(super) weighty: BTreeSet<AlertId>,
    n_firing: usize,
    /// Those that fire and speak of the present.
    n_present: usize,
    /// When those ended that did.
    ends: BTreeMap<Time, usize>,
    pub(super) n_reports: u64,
}

impl Sums {
    /// Counts a member in.
    pub(super) fn add(&mut self, id: AlertId, member: &Member) {
        if !self.places.contains_key(&member.entity) {
            self.places.insert(member.entity.clone(), Place::default());
        }
        if let Some(place) = self.places.get_mut(&member.entity) {
            place.ranks[usize::from(member.user_facing())].insert(rank(id, member));
            *place.starts.entry(member.starts_at).or_default() += 1;
            match member.indicator {
                _ if member.severity == Severity::Info => {}
                Some(indicator) => *place.signals.entry(indicator).or_default() += 1,
                None => more(&mut place.names, &member.weighs.name),
            }
        }
        *self.severities.entry(member.severity).or_default() += 1;
        if member.severity > Severity::Info {
            more(&mut self.systems, &member.system);
        }
        if member.weighs.is_objective() || member.weighs.is_business() {
            self.weighty.insert(id);
        }
        if let Some(end) = member.ends_at {
            *self.ends.entry(end).or_default() += 1;
        } else {
            self.n_firing += 1;
            self.n_present += usize::from(!member.looks_back);
        }
        self.n_reports = self.n_reports.wrapping_add(member.n_reports);
    }

    /// Counts a member out, as it was counted in.
    pub(super) fn sub(&mut self, id: AlertId, member: &Member) {
        if let Some(place) = self.places.get_mut(&member.entity) {
            place.ranks[usize::from(member.user_facing())].remove(&rank(id, member));
            less(&mut place.starts, &member.starts_at);
            match member.indicator {
                _ if member.severity == Severity::Info => {}
                Some(indicator) => less(&mut place.signals, &indicator),
                None => less(&mut place.names, &member.weighs.name),
            }
            if place.starts.is_empty() {
                self.places.remove(&member.entity);
            }
        }
        less(&mut self.severities, &member.severity);
        if member.severity > Severity::Info {
            less(&mut self.systems, &member.system);
        }
        self.weighty.remove(&id);
        if let Some(end) = member.ends_at {
            less(&mut self.ends, &end);
        } else {
            self.n_firing -= 1;
            self.n_present -= usize::from(!member.looks_back);
        }
        self.n_reports = self.n_reports.wrapping_sub(member.n_reports);
    }

    /// The alert that leads: user-facing signals before resources, measured by us before told by
    /// others, then severity, then nearness to the callers at the root of the graph (fewer callers
    /// above), then how far off it is; of equal ones the later id.
    pub(super) fn leading(&self, graph: &Graph, land: &mut Land) -> Option<AlertId> {
        let best = self.places.iter().filter_map(|(entity, place)| {
            let callers = land.n_callers(graph, entity);
            let served = entity.is_service() || graph.dependencies(entity).next().is_some();
            let [rest, facing] = [0, 1].map(|i| place.ranks[i].last());
            let (felt, best) = match facing {
                Some(_) if served => (true, facing),
                _ => (false, rest.max(facing)),
            };
            let (measured, severity, score, id) = *best?;
            Some((felt, measured, severity, std::cmp::Reverse(callers), score, id))
        });
        best.max().map(|(.., id)| id)
    }

    /// Entities with the first onset of each, in their order.
    pub(super) fn onsets(&self) -> impl Iterator<Item = (&EntityRef, Time)> {
        self.places.iter().filter_map(|(e, place)| Some((e, *place.starts.keys().next()?)))
    }

    /// Entities, in their order.
    pub(super) fn entities(&self) -> impl Iterator<Item = &EntityRef> {
        self.places.keys()
    }

    /// The alerts about an entity.
    pub(super) fn at(&self, entity: &EntityRef) -> impl Iterator<Item = AlertId> {
        let place = self.places.get(entity).into_iter();
        place.flat_map(|p| p.ranks.iter().flatten()).map(|(.., id)| *id)
    }

    pub(super) fn worst(&self) -> Option<Severity> {
        self.severities.keys().next_back().copied()
    }

    pub(super) fn fires(&self) -> bool {
        self.n_firing > 0
    }

    /// Whether all have ended that speak of the present.
    pub(super) fn is_quiet(&self) -> bool {
        self.n_present == 0
    }

    /// When the last one of those ended that did.
    pub(super) fn last_end(&self) -> Option<Time> {
        self.ends.keys().next_back().copied()
    }

    /// Different signals beyond mere information.
    pub(super) fn n_signals(&self) -> usize {
        self.places.values().map(|p| p.signals.len() + p.names.len()).sum()
    }

    /// Systems that tell more than mere information, and whether ours is one of them.
    pub(super) fn systems(&self) -> (usize, bool) {
        (self.systems.len(), self.systems.contains_key(&None))
    }
}

/// One more of a kind; what is known already is not copied.
fn more<K: Ord + Clone>(counts: &mut BTreeMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(n) => *n += 1,
        None => {
            counts.insert(key.clone(), 1);
        }
    }
}

/// One less of a kind.
fn less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(n) = counts.get_mut(key) {
        *n -= 1;
        if *n == 0 {
            counts.remove(key);
        }
    }
}
