//! Who depends on whom, over numbered places.

use std::collections::{BTreeMap, BTreeSet};

use super::recent::Recent;

/// Since when (ms) a fault is, and its number.
pub(super) type Mark = (i64, u32);

/// How it is known that one depends on another though nobody told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// They speak up together in faults.
    Faults,
    /// Labels of alerts name what it runs on.
    Labels,
}

/// So many edges are learned at most from faults, and from labels; those heard of longest ago are
/// forgotten for others of their kind. A large cluster has thousands of pods, each of which names its
/// node, and they say nothing of how much is learned from faults.
const MOST_LEARNED: [usize; 2] = [2_000, 5_000];

/// A dependency graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// By place, each list in order.
    callees: Vec<Vec<u32>>,
    callers: Vec<Vec<u32>>,
    /// Edges that nobody told of, by how they are known.
    learned: [Recent<(u32, u32)>; 2],
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
        self.learned.iter_mut().for_each(|edges| edges.forget(&(from, to)));
        self.add(from, to)
    }

    /// `from` seems to depend on `to`.
    pub(super) fn learn(&mut self, from: u32, to: u32, by: By) {
        let is_learned = self.learned.iter().any(|edges| edges.contains(&(from, to)));
        if !self.add(from, to) && !is_learned {
            return;
        }
        self.learned[by as usize].hear((from, to));
        while let Some((from, to)) = self.learned[by as usize].pop_beyond(MOST_LEARNED[by as usize])
        {
            // It may be known in the other way still.
            if !self.learned.iter().any(|edges| edges.contains(&(from, to))) {
                self.callees[from as usize].retain(|p| *p != to);
                self.callers[to as usize].retain(|p| *p != from);
            }
        }
    }

    /// Edges that were learned so, those first that were heard of longest ago.
    pub(super) fn learned(&self, by: By) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.learned[by as usize].iter()
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
            let edges = &mut self.learned[By::Faults as usize];
            if edges.contains(&(place, *other)) {
                edges.hear((place, *other));
            }
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
            self.learn(place, other, By::Faults);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reach: &Reach, by: By) -> Vec<(u32, u32)> {
        reach.learned(by).collect()
    }

    #[test]
    fn each_way_of_learning_forgets_only_its_own_and_first_what_was_heard_of_longest_ago() {
        for (by, other) in [(By::Faults, By::Labels), (By::Labels, By::Faults)] {
            let most = MOST_LEARNED[by as usize] as u32;
            let mut reach = Reach::default();
            reach.learn(0, 1, other);
            for n in 0..most {
                reach.learn(10 + n, 2, by);
            }
            reach.learn(10, 2, by);
            reach.learn(10 + most, 2, by);
            assert_eq!(of(&reach, other), [(0, 1)], "{by:?} push nothing else out");
            assert_eq!(of(&reach, by).len(), most as usize);
            assert!(reach.calls(0, 1) && reach.calls(10, 2) && reach.calls(10 + most, 2));
            assert!(!reach.calls(11, 2), "heard of longest ago");
        }
    }

    #[test]
    fn what_is_known_in_two_ways_is_known_until_both_have_forgotten_it() {
        let mut reach = Reach::default();
        reach.learn(0, 1, By::Faults);
        reach.learn(0, 1, By::Labels);
        for n in 0..MOST_LEARNED[0] as u32 {
            reach.learn(10 + n, 2, By::Faults);
        }
        assert!(reach.calls(0, 1) && of(&reach, By::Labels) == [(0, 1)]);
        for n in 0..MOST_LEARNED[1] as u32 {
            reach.learn(10 + n, 3, By::Labels);
        }
        assert!(!reach.calls(0, 1));
        // What somebody tells is nothing that was learned, and stays.
        assert!(reach.tell(0, 1));
        reach.learn(0, 1, By::Labels);
        assert!(!of(&reach, By::Labels).contains(&(0, 1)));
    }

    #[test]
    fn a_dependency_that_shows_again_in_a_fault_was_heard_of_again() {
        let mut reach = Reach::default();
        reach.learn(0, 1, By::Faults);
        reach.learn(2, 3, By::Faults);
        reach.notice((0, 7), 0, &[1]);
        assert_eq!(of(&reach, By::Faults), [(2, 3), (0, 1)]);
    }
}
