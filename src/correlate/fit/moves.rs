//! Moves of the search: a fault more, a fault less, another root, one fault in several scopes.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::effect::Memo;
use super::score::At;
use super::search::{Scores, WORTH, Work};
use super::words::{Class, Family};
use super::{Fault, Fit};

/// Two scopes have the same fault when its beginnings are this near (ms).
const SCOPES_MS: i64 = 120_000;
/// Beginnings this near (ms) are tried once.
const GRAIN_MS: i64 = 5_000;
/// A root may be heard this much (ms) after who calls it.
const LATE_MS: i64 = 90_000;
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
    pub(super) fn since_in(&self, scope: u32, at: At, kind: Option<Family>) -> Option<i64> {
        let signs = self.by_place.at(scope, at.root);
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

    /// What a fault would gain over how its signs are explained now (`base`), and in which other
    /// scopes.
    fn gain(
        &self,
        (memo, rate): (&mut Memo, f64),
        at: At,
        grafts: &[At],
        base: &Scores,
    ) -> (f64, BTreeMap<u32, i64>) {
        let (kind, others) = self.root_at(memo, at).clone();
        let mut sum = |at: At| -> (f64, bool) {
            let (mut speaks, mut sum) = (false, 0.0);
            for told in &self.effect(memo, at, kind, grafts, rate).told {
                let more = told.score - self.lean_on(told, base) - base.of(told.sign);
                if more > 0.0 {
                    sum += more;
                    speaks |= told.place == at.root;
                }
            }
            (sum, speaks)
        };
        let (here, speaks) = sum(at);
        let mut gain = here - self.cost(at, kind, speaks, rate);
        let mut scopes = BTreeMap::new();
        for other in others {
            let (more, _) = sum(other);
            if more > self.knobs.more {
                gain += more - self.knobs.more;
                scopes.insert(other.scope, other.since);
            }
        }
        (gain, scopes)
    }

    /// Roots that may explain these signs: where they are, and what they call together.
    fn roots(&self, ids: &[u32]) -> Vec<At> {
        let mut found: Vec<(u32, u32, i64, i64)> = Vec::new();
        let mut put = |root: u32, scope: u32, at: i64| {
            found.push((root, scope, at.div_euclid(GRAIN_MS), at));
        };
        // What is below: of whom, and since when.
        let mut below: Vec<(u32, u32, u32, i64)> = Vec::new();
        for id in ids {
            let sign = &self.signs[*id as usize];
            if sign.before.is_some() || self.words.class(sign.name) == Class::Chore {
                continue;
            }
            put(sign.place, sign.scope, sign.at);
            // What several places name may be what is faulty, though it is silent itself.
            let named = sign.text.iter().flat_map(|text| text.named());
            below.extend(named.map(|named| (named, sign.scope, sign.place, sign.at)));
            for callee in self.reach.callees(sign.place).filter(|c| self.may_feel(sign, *c)) {
                below.push((callee, sign.scope, sign.place, sign.at));
                // A zone may be what fails where its nodes say nothing.
                let wider = |w: &u32| self.is_ground(*w) && self.tells_apart(*w);
                let wider = self.reach.callees(callee).filter(wider);
                below.extend(wider.map(|wider| (wider, sign.scope, callee, sign.at)));
                // The caller may be heard first.
                let own = self.by_place.at(sign.scope, callee);
                for other in own.iter().map(|id| &self.signs[*id as usize]) {
                    let near = (other.at - sign.at).abs() < LATE_MS;
                    if other.before.is_none() && near {
                        put(callee, sign.scope, sign.at.min(other.at));
                    }
                }
            }
        }
        below.sort_unstable();
        for callers in below.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (root, scope, first, _) = callers[0];
            if callers.iter().any(|(.., caller, _)| *caller != first) {
                let since = callers.iter().map(|(.., at)| *at).min();
                put(root, scope, since.unwrap_or(callers[0].3));
            }
        }
        // Of each grain the earliest.
        found.sort_unstable();
        found.dedup_by_key(|(root, scope, grain, _)| (*root, *scope, *grain));
        found.into_iter().map(|(root, scope, _, since)| At { root, scope, since }).collect()
    }

    /// Open signs at which a root may be that something new speaks for: new ones, and those that
    /// stand below new ones.
    fn news(&self) -> Vec<u32> {
        let new = self.open.iter().map(|id| &self.signs[*id as usize]).filter(|s| !s.judged);
        let mut edge: BTreeSet<(u32, u32)> = new.map(|s| (s.scope, s.place)).collect();
        let mut near = edge.clone();
        for _ in 0..3 {
            let callees = edge.iter().flat_map(|(s, p)| self.reach.callees(*p).map(|c| (*s, c)));
            edge = callees.filter(|at| !near.contains(at)).collect();
            near.extend(&edge);
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
        let gain = |fit: &Self, Work { rate, current, memo, .. }: &mut Work, at: At| {
            fit.gain((memo, *rate), at, &[], current)
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
            let id = self.found(work, at, scopes);
            self.assign(work, &[id]);
            moved = true;
        }
        moved
    }

    /// Believes in a fault.
    pub(super) fn found(&mut self, work: &mut Work, at: At, scopes: BTreeMap<u32, i64>) -> u32 {
        let id = self.faults.next();
        self.faults.push(Fault {
            at,
            scopes,
            live: true,
            fixed: false,
            wave_of: None,
            grafts: Vec::new(),
            kind: None,
            effects: BTreeMap::new(),
        });
        self.live.push(id);
        self.spread(work, id);
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
            let mut base = work.current.clone();
            for sign in &members {
                base.put(*sign, self.best(*sign, Some(id), work.rate).1);
            }
            let how = (&mut work.memo, work.rate);
            let now = &self.faults[id as usize];
            let mut best = (self.gain(how, now.at, &now.grafts, &base).0, None);
            for root in self.roots(&members) {
                let how = (&mut work.memo, work.rate);
                let (gain, scopes) = self.gain(how, root, &now.grafts, &base);
                if gain > best.0 + WORTH {
                    best = (gain, Some((root, scopes)));
                }
            }
            if let (_, Some((at, scopes))) = best {
                let fault = &mut self.faults[id as usize];
                (fault.at, fault.scopes) = (at, scopes);
                self.spread(work, id);
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
                self.spread(work, *a);
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
                .map(|s| work.current.of(*s) - self.best(*s, Some(id), work.rate).1)
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
