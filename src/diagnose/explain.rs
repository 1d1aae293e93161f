//! How much of an incident's trouble one entity explains. Pure.
//!
//! Trouble travels two ways along a dependency. *Up*: what fails or is short of something hurts
//! those who depend on it, at once or a little later. *Down*: who asks more (or, failing, asks
//! less) puts load on what it depends on; that strains it and, after a change of the caller, may
//! even make it slow. So the direction of a fault between a caller and a callee that are both in
//! trouble is decided by what kind of trouble each has, by who changed, by whether others who use
//! the callee suffer too, and by the order of onset. Who calls more often because it asks again for
//! what failed is no cause: it gets no more answers than before, and began after the failures.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::asked::{Demands, NEWS};
use super::calls::CallsByEdge;
use super::symptom::Trouble;
use crate::model::time::SECOND_MS;
use crate::model::topology::EdgeKind;
use crate::model::{EntityRef, Graph};

/// An effect may be seen this much (ms) before its cause: signals are sampled and smoothed.
pub(super) const SLACK_MS: i64 = 90 * SECOND_MS;
/// What is left of trouble on its way along calls that are as usual.
pub(super) const AS_USUAL: f64 = 0.25;
/// Hops over which trouble is followed.
const HOPS: usize = 4;

/// What is known when explanations are looked for.
pub(super) struct Scene<'a> {
    pub troubles: &'a BTreeMap<EntityRef, Trouble<'a>>,
    pub graph: &'a Graph,
    /// Entities with a change shortly before the incident.
    pub changed: &'a BTreeSet<EntityRef>,
    /// Those of them in trouble outside, as their providers report, which nothing here measures.
    pub reported: &'a BTreeSet<EntityRef>,
    /// What became of the calls along edges, where spans tell.
    pub calls: &'a CallsByEdge,
    /// What request rates did.
    pub demands: &'a Demands,
}

impl Scene<'_> {
    /// Whether `effect` did not begin clearly before `cause` may have. Without an onset nothing
    /// speaks against it.
    fn in_order(&self, cause: &EntityRef, effect: &EntityRef) -> bool {
        match (self.troubles.get(cause), self.troubles.get(effect)) {
            (Some(cause), Some(effect)) => effect.onset.ms_since(cause.earliest) >= -SLACK_MS,
            _ => true,
        }
    }

    /// How strongly (0 to 1) trouble of `cause` hurts those who depend on it.
    fn hurts(&self, cause: &EntityRef) -> f64 {
        match self.troubles.get(cause) {
            _ if self.reported.contains(cause) => 1.0,
            Some(t) if t.fails => 1.0,
            // Hosts have no other way to fail than to be short of something.
            Some(t) if t.short && cause.is_host() => 1.0,
            Some(t) if t.short => 0.7,
            Some(t) if t.loaded => 0.3,
            Some(_) => 0.2,
            None if self.changed.contains(cause) => 0.6,
            None => 0.4,
        }
    }

    /// What is left of trouble on its way from a callee to its caller: little, when calls take no
    /// longer and fail no more often than before; half, when it was not called for long.
    pub(super) fn passes(&self, caller: &EntityRef, callee: &EntityRef) -> f64 {
        let calls = self.calls.get(&(caller.clone(), callee.clone()));
        match calls {
            Some(calls) if calls.as_usual() => AS_USUAL,
            None if self.graph.is_faded(caller, callee) => 0.5,
            _ => 1.0,
        }
    }

    /// Whether spans tell of every troubled caller that its calls to `entity` are as usual.
    pub(super) fn cleared(&self, entity: &EntityRef) -> Option<(EntityRef, String)> {
        let mut told = None;
        for (caller, kind) in self.graph.dependents(entity) {
            if kind != EdgeKind::Calls || !self.troubles.contains_key(caller) {
                continue;
            }
            let calls = self.calls.get(&(caller.clone(), entity.clone()))?;
            if !calls.as_usual() {
                return None;
            }
            told.get_or_insert((caller.clone(), calls.words()));
        }
        told
    }

    /// Whether more is asked of it than before, as an alert or its own request rate says.
    pub(super) fn asked(&self, entity: &EntityRef) -> bool {
        self.troubles.get(entity).is_some_and(|t| t.asked)
            || self.demands.get(entity).is_some_and(|d| d.rose)
    }

    fn callers<'b>(&'b self, entity: &'b EntityRef) -> impl Iterator<Item = &'b EntityRef> {
        let calls = self.graph.dependents(entity).filter(|(_, kind)| *kind == EdgeKind::Calls);
        calls.map(|(caller, _)| caller)
    }

    /// Whether a rise of requests comes in here from outside: more is asked of it, and no service
    /// calls it.
    pub(super) fn source(&self, entity: &EntityRef) -> bool {
        self.asked(entity) && self.callers(entity).next().is_none()
    }

    /// Whether `cause` calls `below` more often because it asks again for what failed there; `None`
    /// where nothing tells. Whoever repeats a call until it is answered gets as many answers as
    /// before, however often it asks; who has more to ask gets more of them. Where answers are not
    /// known, a rise long before the trouble is no consequence of it, and one long after it no cause.
    fn repeats(&self, cause: &EntityRef, below: &EntityRef) -> Option<bool> {
        let demand = self.demands.get(below).filter(|d| d.rose)?;
        if let Some(calls) = self.calls.get(&(cause.clone(), below.clone())) {
            return Some(demand.times() * calls.answered() <= NEWS);
        }
        let (rose, trouble) = (demand.since_when?, self.troubles.get(below)?);
        let before = rose.ms_since(trouble.earliest) < -SLACK_MS;
        let after = rose.ms_since(trouble.onset) > SLACK_MS;
        (before || after).then_some(after)
    }

    /// Whether `cause`, of which no more is asked than before, calls `below` more often: it alone
    /// calls it, or it alone of those who do was changed. It does not merely ask again for what
    /// failed; of what gives wrong answers that has to be known.
    pub(super) fn amplifies(&self, cause: &EntityRef, below: &EntityRef) -> bool {
        let again = self.repeats(cause, below);
        let errs = || self.troubles.get(below).is_some_and(Trouble::errs);
        if again.unwrap_or_else(errs) {
            return false;
        }
        let steady = |e: &EntityRef| self.demands.get(e).is_some_and(|d| !d.rose);
        self.asked(below)
            && self.callers(below).all(steady)
            && self.callers(below).any(|c| c == cause)
            && (self.callers(below).count() == 1
                || (self.changed.contains(cause)
                    && self.callers(below).filter(|c| self.changed.contains(*c)).count() == 1))
    }

    /// Whether more calls reach `below` because `cause`, which calls it, is asked for more itself, or
    /// was changed, or asks more by itself.
    pub(super) fn asks(&self, cause: &EntityRef, below: &EntityRef) -> bool {
        let calls = |(e, kind): (&EntityRef, EdgeKind)| e == below && kind == EdgeKind::Calls;
        let by_itself = || {
            self.repeats(cause, below) != Some(true)
                && (self.changed.contains(cause) || self.amplifies(cause, below))
        };
        self.asked(below)
            && self.graph.dependencies(cause).any(calls)
            && (self.asked(cause) || by_itself())
            && self.in_order(cause, below)
    }

    /// Everything below that more calls reach because of `cause`, over some hops.
    fn asked_by(&self, cause: &EntityRef) -> BTreeSet<EntityRef> {
        let mut found: BTreeSet<EntityRef> = BTreeSet::new();
        let mut queue: VecDeque<(EntityRef, usize)> = [(cause.clone(), 0)].into();
        while let Some((at, hops)) = queue.pop_front() {
            for (below, _) in self.graph.dependencies(&at) {
                let new = below != cause && hops < HOPS && !found.contains(below);
                if new && self.asks(&at, below) {
                    found.insert(below.clone());
                    queue.push_back((below.clone(), hops + 1));
                }
            }
        }
        found
    }

    /// How strongly (0 to 1) `cause` accounts for the trouble of `below`, which it depends on.
    pub(super) fn loads(&self, cause: &EntityRef, below: &EntityRef) -> f64 {
        let Some(strain) = self.troubles.get(below) else { return 0.0 };
        let kind = self.graph.dependencies(cause).find(|(e, _)| *e == below).map(|(_, k)| k);
        let Some(kind) = kind else { return 0.0 };
        if self.asks(cause, below) {
            return 1.0;
        }
        // It is asked again because it fails: that is its own doing.
        if self.repeats(cause, below) == Some(true) {
            return 0.0;
        }
        if self.changed.contains(below) || !self.in_order(cause, below) {
            return 0.0;
        }
        let changed = self.changed.contains(cause);
        let Some(own) = self.troubles.get(cause) else {
            return if changed && !strain.fails { 0.6 } else { 0.0 };
        };
        if strain.starved() {
            return if own.fails || changed { 1.0 } else { 0.3 };
        }
        let asks_more = own.loaded;
        if kind == EdgeKind::RunsOn {
            // On a shared host only a tenant that itself uses more, or changed, is to blame.
            return match (changed, asks_more) {
                (_, true) => 1.0,
                (true, false) => 0.6,
                (false, false) => 0.1,
            };
        }
        // If others who call it, and do not depend on the caller, suffer too, it is its own trouble.
        let others = self.graph.dependents(below).filter(|(e, _)| {
            *e != cause
                && self.troubles.get(*e).is_some_and(|t| t.fails)
                && !self.above(cause).contains_key(*e)
        });
        if others.count() > 0 {
            return 0.0;
        }
        match (strain.fails, changed, asks_more) {
            (false, true, _) => 1.0,
            // What fails without being asked more, or running short, rather fails by itself.
            (true, true, _) if strain.loaded || strain.short => 0.8,
            (true, true, _) => 0.4,
            (false, false, true) => 0.7,
            (false, false, false) => 0.3,
            (true, false, _) => 0.1,
        }
    }

    /// Everything that depends on `entity` within some hops, with the strength that is left of its
    /// trouble there: full along entities in trouble, half for each that shows none.
    fn above(&self, entity: &EntityRef) -> BTreeMap<EntityRef, f64> {
        let mut found: BTreeMap<EntityRef, f64> = BTreeMap::new();
        let mut queue: VecDeque<(EntityRef, f64, usize)> = [(entity.clone(), 1.0, 0)].into();
        while let Some((at, strength, hops)) = queue.pop_front() {
            if hops == HOPS {
                continue;
            }
            for (next, _) in self.graph.dependents(&at) {
                let way = if self.troubles.contains_key(&at) || at == *entity { 1.0 } else { 0.5 };
                let left = strength * way * self.passes(next, &at);
                if next != entity && found.get(next).is_none_or(|known| *known < left) {
                    found.insert(next.clone(), left);
                    queue.push_back((next.clone(), left, hops + 1));
                }
            }
        }
        found
    }

    /// How strongly (0 to 1) `cause` explains each entity in trouble. What it puts load on hurts
    /// others in turn, and what it fails puts less on what lies below.
    pub(super) fn explained_by(&self, cause: &EntityRef) -> BTreeMap<EntityRef, f64> {
        let mut found: BTreeMap<EntityRef, f64> = BTreeMap::new();
        if self.troubles.contains_key(cause) {
            found.insert(cause.clone(), 1.0);
        }
        let note = |found: &mut BTreeMap<EntityRef, f64>, entity: &EntityRef, share: f64| {
            let known = found.entry(entity.clone()).or_insert(0.0);
            *known = known.max(share);
        };
        let hurts = self.hurts(cause);
        for (entity, left) in self.above(cause) {
            if self.troubles.contains_key(&entity) && self.in_order(cause, &entity) {
                note(&mut found, &entity, left * hurts);
            }
        }
        // Down by one hop from the cause, and as far as more calls get, then up again from what was
        // strained.
        let mut below = self.asked_by(cause);
        let asked = below.clone();
        below.extend(self.graph.dependencies(cause).map(|(e, _)| e.clone()));
        for entity in below {
            let share = if asked.contains(&entity) { 1.0 } else { self.loads(cause, &entity) };
            if share <= 0.0 {
                continue;
            }
            note(&mut found, &entity, share);
            let strong = self.troubles.get(&entity).is_some_and(|t| t.strong());
            for (victim, left) in self.above(&entity) {
                if strong && victim != *cause && self.troubles.contains_key(&victim) {
                    let passed = 0.8 * share * left * self.hurts(&entity);
                    if self.in_order(&entity, &victim) {
                        note(&mut found, &victim, passed);
                    }
                }
            }
        }
        // What fails asks less of whatever lies below it.
        let reached: Vec<(EntityRef, f64)> =
            found.iter().map(|(e, share)| (e.clone(), *share)).collect();
        for (entity, share) in reached {
            for (down, _) in self.graph.dependencies(&entity) {
                if self.troubles.get(down).is_some_and(Trouble::starved)
                    && self.in_order(cause, down)
                {
                    note(&mut found, down, 0.9 * share);
                }
            }
        }
        found.retain(|e, share| *share > 0.0 && self.troubles.contains_key(e));
        found
    }
}
