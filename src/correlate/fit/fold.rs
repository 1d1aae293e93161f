//! Dependencies that nobody told of: a fault that began where another would be felt, if only there
//! were a path, may be a part of it.

use std::collections::{BTreeMap, BTreeSet};

use super::Fit;
use super::score::At;
use super::search::{WORTH, Work};
use super::words::Family;

/// What is felt by a path unknown begins at most this much (ms) later.
const LATEST_MS: i64 = 300_000;

/// For so many edges it stands that names tell nothing of dependencies.
const STEM_PRIOR: f64 = 20.0;

/// The first part of a name.
fn stem_of(name: &str) -> Option<&str> {
    let name = name.split_once('=').map_or(name, |(_, name)| name);
    name.split_once(['-', '_', '.', '/']).map(|(stem, _)| stem).filter(|stem| !stem.is_empty())
}

impl Fit {
    /// Gives what was folded in a root of its own again, where that explains more.
    pub(super) fn ungraft(&mut self, work: &mut Work) -> bool {
        let mut moved = false;
        let live = self.live.clone();
        for a in live.into_iter().filter(|f| work.touched.contains(f)).collect::<Vec<_>>() {
            let roots: BTreeSet<u32> =
                self.faults[a as usize].grafts.iter().map(|g| g.root).collect();
            for root in roots {
                let kept = self.faults[a as usize].grafts.clone();
                let mut these = kept.iter().filter(|g| g.root == root);
                let Some(first) = these.next().copied() else { continue };
                let scopes: BTreeMap<u32, i64> = these.map(|g| (g.scope, g.since)).collect();
                let kind = self.kind(first);
                let ids = self.members(a);
                let together = ids.iter().map(|s| work.current.of(*s)).sum::<f64>()
                    - self.fold_cost(a, first, kind, scopes.len(), work.rate);
                self.faults[a as usize].grafts.retain(|g| g.root != root);
                let more = self.knobs.more * scopes.len() as f64;
                let b = self.found(work, first, scopes);
                self.spread(work, a);
                let apart =
                    self.total(&ids, work.rate) - self.cost(first, kind, true, work.rate) - more;
                if apart > together + WORTH {
                    self.assign(work, &[a, b]);
                    moved = true;
                } else {
                    self.live.retain(|l| *l != b);
                    self.faults.pop();
                    self.faults[a as usize].grafts = kept;
                    self.spread(work, a);
                }
            }
        }
        moved
    }

    /// What it costs to hold that fault `a` reaches a place, in this many more scopes, though no
    /// known path leads there.
    fn fold_cost(&self, a: u32, at: At, kind: Option<Family>, more: usize, rate: f64) -> f64 {
        let lag_s = (at.since - self.faults[a as usize].at.since) as f64 / 1000.0;
        let foreign = if kind.is_some() { self.knobs.foreign } else { 0.0 };
        self.graft_cost(lag_s, rate) + foreign + more as f64 - self.likeness(a, at)
    }

    /// What it is worth that a place is named like one that feels the fault: as much as that tells of
    /// dependencies in the graph that is known. That it is not tells nothing against it.
    fn likeness(&self, a: u32, at: At) -> f64 {
        let Some(stem) = stem_of(&self.places.by_id[at.root as usize]) else { return 0.0 };
        let Some(effect) = self.faults[a as usize].effects.get(&at.scope) else { return 0.0 };
        let alike = effect
            .cascade
            .spoken()
            .filter(|p| *p != at.root)
            .any(|p| stem_of(&self.places.by_id[p as usize]) == Some(stem));
        if alike { self.alike } else { 0.0 }
    }

    /// Works out what it tells of a dependency that two places are named alike.
    pub(super) fn learn_stems(&mut self) {
        let stems: Vec<Option<&str>> = self.places.by_id.iter().map(|n| stem_of(n)).collect();
        let mut sizes: BTreeMap<&str, f64> = BTreeMap::new();
        for stem in stems.iter().flatten() {
            *sizes.entry(stem).or_default() += 1.0;
        }
        let n: f64 = sizes.values().sum();
        let pairs = sizes.values().map(|n| n * (n - 1.0)).sum::<f64>();
        let chance = (pairs / (n * (n - 1.0)).max(1.0)).clamp(0.001, 0.999);
        let (mut alike, mut edges) = (0.0, 0.0);
        for (from, stem) in stems.iter().enumerate() {
            for to in self.reach.callees(from as u32) {
                edges += 1.0;
                alike += f64::from(u8::from(stem.is_some() && *stem == stems[to as usize]));
            }
        }
        let share = (alike + STEM_PRIOR * chance) / (edges + STEM_PRIOR);
        self.alike = (share / chance).ln().max(0.0);
    }

    /// What the places cost that were folded into a fault.
    pub(super) fn folded(&self, a: u32, rate: f64) -> f64 {
        let mut by_root: BTreeMap<u32, Vec<At>> = BTreeMap::new();
        for graft in &self.faults[a as usize].grafts {
            by_root.entry(graft.root).or_default().push(*graft);
        }
        by_root.values().map(|g| self.fold_cost(a, g[0], self.kind(g[0]), g.len() - 1, rate)).sum()
    }

    /// Folds a fault into another that began before it, as a place that no known path leads to.
    pub(super) fn graft(&mut self, work: &mut Work) -> bool {
        let mut moved = false;
        let live = self.live.clone();
        for b in &live {
            let two = self.faults[*b as usize].clone();
            // Who is not known to depend on anything is hardly felt by a path that nobody knows.
            let provides = self.reach.n_callees(two.at.root) == 0;
            if two.fixed || !two.live || !two.grafts.is_empty() || provides {
                continue;
            }
            let news: Vec<At> = [two.at]
                .into_iter()
                .chain(two.scopes.iter().map(|(s, t)| At { scope: *s, since: *t, ..two.at }))
                .collect();
            let theirs = self.members(*b);
            let cost = self.cost(two.at, two.kind, true, work.rate)
                + self.knobs.more * two.scopes.len() as f64;
            self.live.retain(|l| l != b);
            let mut best: Option<(f64, u32)> = None;
            for a in &live {
                let one = &self.faults[*a as usize];
                let touched = work.touched.contains(a) || work.touched.contains(b);
                let holds = news.iter().all(|g| one.effects.contains_key(&g.scope));
                let lag = two.at.since - one.at.since;
                if a == b || !touched || !one.live || !holds || !(0..=LATEST_MS).contains(&lag) {
                    continue;
                }
                let ids = [self.members(*a), theirs.clone()].concat();
                let apart = ids.iter().map(|s| work.current.of(*s)).sum::<f64>() - cost;
                let n_before = one.grafts.len();
                self.faults[*a as usize].grafts.extend(&news);
                self.spread(work, *a);
                let folded = self.fold_cost(*a, two.at, two.kind, two.scopes.len(), work.rate);
                let together = self.total(&ids, work.rate) - folded;
                self.faults[*a as usize].grafts.truncate(n_before);
                self.spread(work, *a);
                let more = together - apart;
                if more > WORTH && best.is_none_or(|best| more > best.0) {
                    best = Some((more, *a));
                }
            }
            if let Some((_, a)) = best {
                self.faults[a as usize].grafts.extend(&news);
                self.faults[*b as usize].live = false;
                self.spread(work, a);
                self.assign(work, &[a, *b]);
                moved = true;
            } else {
                self.live.push(*b);
                self.live.sort_unstable();
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::fit::Knobs;

    fn told_by(edges: &[(&str, &str)]) -> f64 {
        let mut fit = Fit::new(Knobs::default());
        for (from, to) in edges {
            fit.depends(&format!("service.name={from}"), &format!("service.name={to}"));
        }
        fit.doubt();
        fit.alike
    }

    #[test]
    fn names_tell_of_dependencies_as_much_as_the_known_graph_says() {
        let within = [
            ("cart-api", "cart-core"),
            ("cart-core", "cart-db"),
            ("mail-api", "mail-core"),
            ("mail-core", "mail-db"),
            ("pay-api", "pay-core"),
            ("pay-core", "pay-db"),
        ];
        assert!(told_by(&within) > 0.3, "{}", told_by(&within));
        let across = [
            ("cart-api", "mail-core"),
            ("mail-core", "pay-db"),
            ("mail-api", "pay-core"),
            ("pay-core", "cart-db"),
            ("pay-api", "cart-core"),
            ("cart-core", "mail-db"),
        ];
        assert_eq!(told_by(&across), 0.0);
        assert_eq!(told_by(&[("web", "orders"), ("orders", "db")]), 0.0, "no first part");
        assert_eq!(told_by(&[]), 0.0);
        assert_eq!(stem_of("service.name=notify-bff"), Some("notify"));
        assert_eq!(stem_of("service.name=web"), None);
    }
}
