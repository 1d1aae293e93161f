//! Who depends on whom, over numbered places.

use std::collections::{BTreeMap, BTreeSet};

/// Since when (ms) a fault is, and its number.
pub(super) type Mark = (i64, u32);

/// So many edges are learned at most; the first of them are forgotten for later ones.
const MOST_LEARNED: usize = 2_000;

/// A dependency graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// By place, each list in order.
    callees: Vec<Vec<u32>>,
    callers: Vec<Vec<u32>>,
    /// Edges that nobody told of, the first learned first.
    pub(super) learned: Vec<(u32, u32)>,
    /// In which faults a place spoke up.
    pub(super) spoke: BTreeMap<u32, BTreeSet<Mark>>,
    /// In which faults the first spoke up after the second though no known path explains it.
    pub(super) hints: BTreeMap<(u32, u32), BTreeSet<Mark>>,
    /// Least share of the faults felt by the second in which the first speaks up.
    pub(super) share: f64,
}

/// Puts a number into a list in order; says whether it is new.
fn insert(list: &mut Vec<u32>, number: u32) -> bool {
    let place = list.binary_search(&number);
    if let Err(at) = place {
        list.insert(at, number);
    }
    place.is_err()
}

impl Reach {
    /// Makes room for places up to `n`.
    pub(super) fn grow(&mut self, n: usize) {
        if self.callees.len() < n {
            self.callees.resize_with(n, Vec::new);
            self.callers.resize_with(n, Vec::new);
        }
    }

    /// `from` depends on `to`, as somebody told. Says whether that was news.
    pub(super) fn tell(&mut self, from: u32, to: u32) -> bool {
        self.learned.retain(|edge| *edge != (from, to));
        self.add(from, to)
    }

    /// `from` seems to depend on `to`.
    pub(super) fn learn(&mut self, from: u32, to: u32) {
        if !self.add(from, to) {
            return;
        }
        self.learned.push((from, to));
        while self.learned.len() > MOST_LEARNED {
            let (from, to) = self.learned.remove(0);
            self.callees[from as usize].retain(|p| *p != to);
            self.callers[to as usize].retain(|p| *p != from);
        }
    }

    fn add(&mut self, from: u32, to: u32) -> bool {
        self.grow(from.max(to) as usize + 1);
        let news = from != to && insert(&mut self.callees[from as usize], to);
        if news {
            insert(&mut self.callers[to as usize], from);
        }
        news
    }

    /// For how many places there is room.
    pub(super) fn len(&self) -> usize {
        self.callees.len()
    }

    pub(super) fn callees(&self, of: u32) -> impl Iterator<Item = u32> + '_ {
        self.callees.get(of as usize).into_iter().flatten().copied()
    }

    pub(super) fn callers(&self, of: u32) -> impl Iterator<Item = u32> + '_ {
        self.callers.get(of as usize).into_iter().flatten().copied()
    }

    pub(super) fn n_callers(&self, of: u32) -> usize {
        self.callers.get(of as usize).map_or(0, Vec::len)
    }

    pub(super) fn n_callees(&self, of: u32) -> usize {
        self.callees.get(of as usize).map_or(0, Vec::len)
    }

    pub(super) fn calls(&self, from: u32, to: u32) -> bool {
        self.callees.get(from as usize).is_some_and(|c| c.binary_search(&to).is_ok())
    }

    /// A place spoke up in a fault after these. Where no known dependency explains that and it is
    /// seen often, it becomes one.
    pub(super) fn notice(&mut self, fault: Mark, place: u32, heard: &[u32]) {
        let known = heard.iter().any(|other| self.calls(place, *other));
        self.spoke.entry(place).or_default().insert(fault);
        for other in heard.iter().filter(|o| **o != place) {
            self.spoke.entry(*other).or_default().insert(fault);
            if !known {
                self.hints.entry((place, *other)).or_default().insert(fault);
            }
        }
        let learned: Vec<u32> = heard
            .iter()
            .copied()
            .filter(|o| {
                let n = self.hints.get(&(place, *o)).map_or(0, BTreeSet::len);
                let of = self.spoke.get(o).map_or(0, BTreeSet::len);
                n >= 2 && n as f64 >= self.share * of as f64
            })
            .collect();
        for other in learned {
            self.learn(place, other);
        }
    }

    /// Places that an edge or a hint speaks of.
    pub(super) fn places(&self) -> BTreeSet<u32> {
        let ends = self.callees.iter().zip(&self.callers).enumerate();
        let joined = ends.filter(|(_, (down, up))| !down.is_empty() || !up.is_empty());
        let joined = joined.map(|(place, _)| place as u32);
        let hinted = self.hints.keys().flat_map(|(a, b)| [*a, *b]);
        joined.chain(hinted).chain(self.spoke.keys().copied()).collect()
    }

    /// Forgets faults that began before this (ms). What was learned from them stays.
    pub(super) fn forget(&mut self, until: i64) {
        for faults in self.spoke.values_mut().chain(self.hints.values_mut()) {
            *faults = faults.split_off(&(until, 0));
        }
        self.spoke.retain(|_, f| !f.is_empty());
        self.hints.retain(|_, f| !f.is_empty());
    }
}
