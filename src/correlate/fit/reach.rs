//! Who depends on whom, over numbered places.

use std::collections::{BTreeMap, BTreeSet};

/// A dependency graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    callees: Vec<BTreeSet<u32>>,
    callers: Vec<BTreeSet<u32>>,
    /// In which faults a place spoke up.
    spoke: BTreeMap<u32, BTreeSet<u32>>,
    /// In which faults the first spoke up after the second though no known path explains it.
    hints: BTreeMap<(u32, u32), BTreeSet<u32>>,
    /// Least share of the faults felt by the second in which the first speaks up.
    pub(super) share: f64,
}

impl Reach {
    /// Makes room for places up to `n`.
    pub(super) fn grow(&mut self, n: usize) {
        if self.callees.len() < n {
            self.callees.resize_with(n, BTreeSet::new);
            self.callers.resize_with(n, BTreeSet::new);
        }
    }

    /// `from` depends on `to`. Says whether that was news.
    pub(super) fn add(&mut self, from: u32, to: u32) -> bool {
        self.grow(from.max(to) as usize + 1);
        let news = from != to && self.callees[from as usize].insert(to);
        if news {
            self.callers[to as usize].insert(from);
        }
        news
    }

    pub(super) fn callees(&self, of: u32) -> impl Iterator<Item = u32> + '_ {
        self.callees.get(of as usize).into_iter().flatten().copied()
    }

    pub(super) fn callers(&self, of: u32) -> impl Iterator<Item = u32> + '_ {
        self.callers.get(of as usize).into_iter().flatten().copied()
    }

    pub(super) fn n_callers(&self, of: u32) -> usize {
        self.callers.get(of as usize).map_or(0, BTreeSet::len)
    }

    pub(super) fn n_callees(&self, of: u32) -> usize {
        self.callees.get(of as usize).map_or(0, BTreeSet::len)
    }

    pub(super) fn calls(&self, from: u32, to: u32) -> bool {
        self.callees.get(from as usize).is_some_and(|c| c.contains(&to))
    }

    /// A place spoke up in a fault after these. Where no known dependency explains that and it is
    /// seen often, it becomes one.
    pub(super) fn notice(&mut self, fault: u32, place: u32, heard: &[u32]) {
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
            self.add(place, other);
        }
    }

    /// Forgets faults before this one. What was learned from them stays.
    pub(super) fn forget(&mut self, first: u32) {
        for faults in self.spoke.values_mut().chain(self.hints.values_mut()) {
            *faults = faults.split_off(&first);
        }
        self.spoke.retain(|_, f| !f.is_empty());
        self.hints.retain(|_, f| !f.is_empty());
    }
}
