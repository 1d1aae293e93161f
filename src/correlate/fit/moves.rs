//! Moves of the search: a fault more, a fault less, another root, one fault in several scopes.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::score::At;
use super::search::{WORTH, Work};
use super::words::{Class, Family};
use super::{Fault, Fit};

/// Two scopes have the same fault when its beginnings are this near (ms).
const SCOPES_MS: i64 = 120_000;
/// Beginnings this near (ms) are tried once.
const GRAIN_MS: i64 = 5_000;
/// A root may be heard this much (ms) after who calls it.
const LATE_MS: i64 = 90_000;
/// From so many open signs in a scope on, only those that a path leads to are looked at when a
/// root is tried.
const MANY: usize = 600;

/// A root to try, and how much it would explain at most.
#[derive(Debug, PartialEq)]
struct Offer(f64, At);

impl Eq for Offer {}

impl PartialOrd for Offer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Offer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then_with(|| other.1.cmp(&self.1))
    }
}

impl Fit {
    /// Since when the same fault may show at the root in another scope.
    fn since_in(&self, scope: u32, at: At, kind: Option<Family>) -> Option<i64> {
        let signs = self.by_place.get(&(scope, at.root))?;
        signs
            .iter()
            .map(|id| &self.signs[*id as usize])
            .filter(|s| s.before.is_none() && (s.at - at.since).abs() <= SCOPES_MS)
            .filter_map(|s| {
                let family = self.words.family(s.name);
                let fits = family.is_none() || kind.is_none() || family == kind;
                fits.then_some((family != kind, s.at))
            })
            .min()
            .map(|(_, at)| at)
    }

    /// What a fault would gain over how its signs are explained now, and in which other scopes.
    fn gain(
        &self,
        at: At,
        rate: f64,
        grafts: &[At],
        base: &dyn Fn(u32) -> f64,
    ) -> (f64, BTreeMap<u32, i64>) {
        let kind = self.kind(at);
        let sum = |at: At| -> (f64, bool) {
            let (mut speaks, mut sum) = (false, 0.0);
            let cascade = self.cascade(at, grafts);
            for id in self.candidates(at, &cascade) {
                let sign = &self.signs[id as usize];
                let more = self.score(sign, at, kind, rate, &cascade) - base(id);
                if more > 0.0 {
                    sum += more;
                    speaks |= sign.place == at.root;
                }
            }
            (sum, speaks)
        };
        let (here, speaks) = sum(at);
        let mut gain = here - self.cost(at, kind, speaks, rate);
        let mut scopes = BTreeMap::new();
        for other in (0..self.scopes.by_id.len() as u32).filter(|o| *o != at.scope) {
            if let Some(since) = self.since_in(other, at, kind) {
                let (more, _) = sum(At { scope: other, since, ..at });
                if more > self.knobs.more {
                    gain += more - self.knobs.more;
                    scopes.insert(other, since);
                }
            }
        }
        (gain, scopes)
    }

    /// Open signs that a fault may explain.
    fn candidates(&self, at: At, cascade: &super::score::Cascade) -> Vec<u32> {
        let open = |id: &u32| self.signs[*id as usize].settled.is_none();
        if self.open.len() <= MANY {
            let in_scope = self.by_place.range((at.scope, 0)..=(at.scope, u32::MAX));
            return in_scope.flat_map(|(_, ids)| ids).copied().filter(open).collect();
        }
        let mut places: BTreeSet<u32> = self.reach.callees(at.root).collect();
        for place in cascade.places() {
            places.insert(place);
            places.extend(self.reach.callers(place));
        }
        places
            .into_iter()
            .filter_map(|p| self.by_place.get(&(at.scope, p)))
            .flatten()
            .copied()
            .filter(open)
            .collect()
    }

    /// Roots that may explain these signs: where they are, and what they call together.
    fn roots(&self, ids: &[u32]) -> Vec<At> {
        let mut found: BTreeMap<(u32, u32, i64), i64> = BTreeMap::new();
        let mut put = |root: u32, scope: u32, at: i64| {
            let since = found.entry((root, scope, at.div_euclid(GRAIN_MS))).or_insert(at);
            *since = at.min(*since);
        };
        let mut below: BTreeMap<(u32, u32), (BTreeSet<u32>, i64)> = BTreeMap::new();
        for id in ids {
            let sign = &self.signs[*id as usize];
            if sign.before.is_some() || self.words.class(sign.name) == Class::Chore {
                continue;
            }
            put(sign.place, sign.scope, sign.at);
            for callee in self.reach.callees(sign.place).filter(|c| self.may_feel(sign, *c)) {
                let key = (callee, sign.scope);
                let (callers, first) =
                    below.entry(key).or_insert_with(|| (BTreeSet::new(), sign.at));
                callers.insert(sign.place);
                *first = sign.at.min(*first);
                // A zone may be what fails where its nodes say nothing.
                let wider = |w: &u32| self.is_ground(*w) && self.tells_apart(*w);
                for wider in self.reach.callees(callee).filter(wider) {
                    let key = (wider, sign.scope);
                    let (nodes, first) =
                        below.entry(key).or_insert_with(|| (BTreeSet::new(), sign.at));
                    nodes.insert(callee);
                    *first = sign.at.min(*first);
                }
                // The caller may be heard first.
                let own = self.by_place.get(&(sign.scope, callee)).into_iter().flatten();
                for other in own.map(|id| &self.signs[*id as usize]) {
                    let near = (other.at - sign.at).abs() < LATE_MS;
                    if other.before.is_none() && near {
                        put(callee, sign.scope, sign.at.min(other.at));
                    }
                }
            }
        }
        for ((root, scope), (callers, at)) in below {
            if callers.len() > 1 {
                put(root, scope, at);
            }
        }
        found.into_iter().map(|((root, scope, _), since)| At { root, scope, since }).collect()
    }

    /// Open signs at which a root may be that something new speaks for: new ones, and those that
    /// stand below new ones.
    fn news(&self) -> Vec<u32> {
        let mut near: BTreeSet<(u32, u32)> = BTreeSet::new();
        for id in &self.open {
            let sign = &self.signs[*id as usize];
            if !sign.judged {
                let mut edge = BTreeSet::from([sign.place]);
                for _ in 0..3 {
                    near.extend(edge.iter().map(|p| (sign.scope, *p)));
                    edge = edge.iter().flat_map(|p| self.reach.callees(*p)).collect();
                }
                near.extend(edge.iter().map(|p| (sign.scope, *p)));
            }
        }
        let open = self.open.iter().copied();
        open.filter(|id| {
            let sign = &self.signs[*id as usize];
            near.contains(&(sign.scope, sign.place))
        })
        .collect()
    }

    /// Adds the fault that explains most, again and again. What a root gains only shrinks as others
    /// are added, so the best offer is reckoned anew only when its turn comes.
    pub(super) fn add(&mut self, work: &mut Work) -> bool {
        let roots = self.roots(&self.news());
        let gain = |fit: &Self, work: &Work, at: At| {
            fit.gain(at, work.rate, &[], &|id| work.current.get(&id).copied().unwrap_or(0.0))
        };
        let mut offers: BinaryHeap<Offer> =
            roots.into_iter().map(|at| Offer(gain(self, work, at).0, at)).collect();
        let mut moved = false;
        while let Some(Offer(before, at)) = offers.pop() {
            if before <= WORTH {
                break;
            }
            let (now, scopes) = gain(self, work, at);
            if now + WORTH < before {
                offers.push(Offer(now, at));
                continue;
            }
            let id = self.found(at, scopes);
            self.assign(work, &[id]);
            moved = true;
        }
        moved
    }

    /// Believes in a fault.
    pub(super) fn found(&mut self, at: At, scopes: BTreeMap<u32, i64>) -> u32 {
        let id = self.faults.next();
        self.faults.push(Fault {
            at,
            scopes,
            live: true,
            fixed: false,
            wave_of: None,
            grafts: Vec::new(),
            kind: None,
            cascades: BTreeMap::new(),
        });
        self.live.push(id);
        self.spread(id);
        id
    }

    /// Faults that may still move and that something touched.
    fn movable(&self, work: &Work) -> Vec<u32> {
        let live = self.live.iter().copied();
        live.filter(|f| work.touched.contains(f) && !self.faults[*f as usize].fixed).collect()
    }

    /// Moves roots and beginnings of faults.
    pub(super) fn shift(&mut self, work: &mut Work) -> bool {
        let mut moved = false;
        for id in self.movable(work) {
            let members = self.members(id);
            if members.is_empty() {
                continue;
            }
            let without: BTreeMap<u32, f64> =
                members.iter().map(|s| (*s, self.best(*s, Some(id), work.rate).1)).collect();
            let base = |s: u32| {
                let now = || work.current.get(&s).copied().unwrap_or(0.0);
                without.get(&s).copied().unwrap_or_else(now)
            };
            let now = &self.faults[id as usize];
            let mut best = (self.gain(now.at, work.rate, &now.grafts, &base).0, None);
            for root in self.roots(&members) {
                let (gain, scopes) = self.gain(root, work.rate, &now.grafts, &base);
                if gain > best.0 + WORTH {
                    best = (gain, Some((root, scopes)));
                }
            }
            if let (_, Some((at, scopes))) = best {
                let fault = &mut self.faults[id as usize];
                (fault.at, fault.scopes) = (at, scopes);
                self.spread(id);
                self.assign(work, &[id]);
                moved = true;
            }
        }
        moved
    }

    /// Faults of the same root in several scopes that began together are one.
    pub(super) fn unite_scopes(&mut self, work: &mut Work) -> bool {
        let mut moved = false;
        let live = self.live.clone();
        for (n, a) in live.iter().enumerate() {
            for b in &live[n + 1..] {
                let (one, two) = (&self.faults[*a as usize], &self.faults[*b as usize]);
                let news = work.touched.contains(a) || work.touched.contains(b);
                let near = news
                    && one.live
                    && two.live
                    && !two.fixed
                    && one.at.root == two.at.root
                    && one.at.scope != two.at.scope
                    && (one.kind.is_none() || two.kind.is_none() || one.kind == two.kind)
                    && (one.at.since - two.at.since).abs() <= SCOPES_MS;
                if !near {
                    continue;
                }
                let ids = [self.members(*a), self.members(*b)].concat();
                let apart =
                    self.total(&ids, work.rate) - self.cost(two.at, two.kind, true, work.rate);
                let kept = (one.clone(), two.clone());
                let one = &mut self.faults[*a as usize];
                one.scopes.extend(&kept.1.scopes);
                one.scopes.insert(kept.1.at.scope, kept.1.at.since);
                self.faults[*b as usize].live = false;
                self.live.retain(|l| l != b);
                self.spread(*a);
                if self.total(&ids, work.rate) - self.knobs.more > apart {
                    self.assign(work, &[*a, *b]);
                    moved = true;
                } else {
                    (self.faults[*a as usize], self.faults[*b as usize]) = kept;
                    self.live.push(*b);
                    self.live.sort_unstable();
                }
            }
        }
        moved
    }

    /// Gives up faults whose signs are explained nearly as well without them.
    pub(super) fn drop_faults(&mut self, work: &mut Work) -> bool {
        let mut moved = false;
        for id in self.movable(work) {
            let members = self.members(id);
            let loss: f64 = members
                .iter()
                .map(|s| work.current[s] - self.best(*s, Some(id), work.rate).1)
                .sum();
            let fault = &self.faults[id as usize];
            let root = fault.at.root;
            let speaks = members.iter().any(|s| self.signs[*s as usize].place == root);
            let more = self.knobs.more * fault.scopes.len() as f64;
            if loss < self.cost(fault.at, fault.kind, speaks, work.rate) + more {
                self.faults[id as usize].live = false;
                self.live.retain(|l| *l != id);
                self.assign(work, &[id]);
                moved = true;
            }
        }
        moved
    }
}
