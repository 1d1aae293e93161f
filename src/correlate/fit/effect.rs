//! What a fault would explain, reckoned once: within one revision neither lags nor weights nor who
//! spoke where change, and the search asks for the same root again and again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::score::{At, Board, Cascade, Standing};
use super::words::Family;
use super::{Fault, Fit};

/// From so many open signs on, only those that a path leads to are looked at when a root is tried.
const MANY: usize = 600;
/// So many effects are kept at most; then all are reckoned anew, so that memory is bounded.
const MOST_KEPT: usize = 4_096;

/// A sign that a fault explains better than nothing does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Its place.
    pub(super) place: u32,
    /// Which.
    pub(super) sign: u32,
    /// How much better (nats); above zero.
    pub(super) score: f64,
    /// On which other sign that rests, and how well the fault explains that one; see [`super::lean`].
    pub(super) leans: Option<(u32, f64)>,
}

/// How a fault shows in one scope.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// Who feels it, and since when.
    pub(super) cascade: Cascade,
    /// What it explains, by place, then in order of coming.
    pub(super) told: Vec<Told>,
    /// Places to which a path leads, where only those were looked at.
    only: Option<Vec<u32>>,
}

impl Effect {
    /// How it explains a sign at a place, if it does.
    pub(super) fn of(&self, place: u32, sign: u32) -> Option<&Told> {
        found(&self.told, place, sign)
    }
}

/// The entry of a sign at a place.
pub(super) fn found(told: &[Told], place: u32, sign: u32) -> Option<&Told> {
    told.binary_search_by_key(&(place, sign), |t| (t.place, t.sign)).ok().map(|i| &told[i])
}

/// A root in a scope, the kind of cause there, and where else it is felt in that scope.
type Key = (At, Option<Family>, Vec<(u32, i64)>);

/// What was reckoned in one revision.
#[derive(Debug, Default)]
pub(super) struct Memo {
    effects: BTreeMap<Key, Arc<Effect>>,
    /// The kind of cause at a root, and where and since when it may be in other scopes.
    roots: BTreeMap<At, (Option<Family>, Vec<At>)>,
    board: Board,
}

/// Signs by scope and place.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// By scope: a place, and which of the signs are there.
    rows: Vec<Vec<(u32, std::ops::Range<usize>)>>,
    signs: Vec<u32>,
}

impl Index {
    /// Indexes signs by their scopes and places; what is of one place keeps its order.
    pub(super) fn fill(&mut self, mut signs: Vec<(u32, u32, u32)>) {
        signs.sort_unstable();
        self.rows.iter_mut().for_each(Vec::clear);
        self.signs.clear();
        for (scope, place, sign) in signs {
            if self.rows.len() <= scope as usize {
                self.rows.resize_with(scope as usize + 1, Vec::new);
            }
            let row = &mut self.rows[scope as usize];
            let at = self.signs.len();
            match row.last_mut() {
                Some((last, range)) if *last == place => range.end = at + 1,
                _ => row.push((place, at..at + 1)),
            }
            self.signs.push(sign);
        }
    }

    /// The signs of a place in a scope, in order of coming.
    pub(super) fn at(&self, scope: u32, place: u32) -> &[u32] {
        let row = self.rows.get(scope as usize).map_or(&[][..], |row| row);
        let found = row.binary_search_by_key(&place, |(place, _)| *place);
        found.map_or(&[], |i| &self.signs[row[i].1.clone()])
    }

    /// Places of a scope in order, with their signs.
    pub(super) fn places(&self, scope: u32) -> impl Iterator<Item = (u32, &[u32])> {
        let row = self.rows.get(scope as usize).into_iter().flatten();
        row.map(|(place, range)| (*place, &self.signs[range.clone()]))
    }

    /// The signs of each place in each scope.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u32]> {
        self.rows.iter().flatten().map(|(_, range)| &self.signs[range.clone()])
    }
}

impl Fit {
    /// The kind of cause at a root, and where and since when the same fault may show in other scopes.
    pub(super) fn root_at<'a>(&self, memo: &'a mut Memo, at: At) -> &'a (Option<Family>, Vec<At>) {
        memo.roots.entry(at).or_insert_with(|| {
            let kind = self.kind(at);
            let others = (0..self.scopes.by_id.len() as u32).filter(|o| *o != at.scope);
            let since = |scope| Some(At { scope, since: self.since_in(scope, at, kind)?, ..at });
            (kind, others.filter_map(since).collect())
        })
    }

    /// How a fault at a root shows that is felt at `grafts` too, though no known path leads there.
    pub(super) fn effect(
        &self,
        memo: &mut Memo,
        at: At,
        kind: Option<Family>,
        grafts: &[At],
        rate: f64,
    ) -> Arc<Effect> {
        let here = grafts.iter().filter(|g| g.scope == at.scope);
        let key = (at, kind, here.map(|g| (g.root, g.since)).collect::<Vec<_>>());
        if let Some(known) = memo.effects.get(&key) {
            return Arc::clone(known);
        }
        if memo.effects.len() >= MOST_KEPT {
            memo.effects.clear();
        }
        let effect = Arc::new(self.reckon(&mut memo.board, at, kind, &key.2, rate));
        memo.effects.insert(key, Arc::clone(&effect));
        effect
    }

    fn reckon(
        &self,
        board: &mut Board,
        at: At,
        kind: Option<Family>,
        grafts: &[(u32, i64)],
        rate: f64,
    ) -> Effect {
        let cascade = self.cascade(at, grafts, board);
        let mut told = Vec::new();
        let mut paths = Vec::new();
        let mut look = |place: u32, signs: &[u32]| {
            let mut standing: Option<Standing> = None;
            for id in signs {
                let sign = &self.signs[*id as usize];
                if sign.settled.is_some() || !at.may_show(sign.at) {
                    continue;
                }
                let felt = |place: u32| board.felt(place);
                let standing =
                    standing.get_or_insert_with(|| self.standing(place, at.root, &cascade, &felt));
                let (score, path) = self.score(sign, at, kind, rate, standing);
                if score > 0.0 {
                    told.push(Told { place, sign: *id, score, leans: None });
                    paths.push(path);
                }
            }
        };
        let mut only = None;
        if self.open.len() <= MANY {
            for (place, signs) in self.by_place.places(at.scope) {
                look(place, signs);
            }
        } else {
            let mut places: Vec<u32> = self.reach.callees(at.root).collect();
            for place in cascade.places() {
                places.push(place);
                places.extend(self.reach.callers(place));
            }
            places.sort_unstable();
            places.dedup();
            for place in &places {
                look(*place, self.by_place.at(at.scope, *place));
            }
            only = Some(places);
        }
        board.clear(&cascade);
        self.lean(at, &paths, &mut told);
        Effect { cascade, told, only }
    }

    /// How well a fault explains a sign (nats): exact above zero, which is all that counts.
    pub(super) fn score_under(&self, id: u32, fault: &Fault, rate: f64) -> f64 {
        let sign = &self.signs[id as usize];
        let Some(effect) = fault.effects.get(&sign.scope) else { return f64::NEG_INFINITY };
        if effect.only.as_ref().is_some_and(|only| only.binary_search(&sign.place).is_err()) {
            let at = fault.at_in(sign.scope);
            if !at.may_show(sign.at) {
                return f64::NEG_INFINITY;
            }
            let voice = effect.cascade.voice.clone();
            let standing = Standing { voice, ..Standing::default() };
            return self.score(sign, at, fault.kind, rate, &standing).0;
        }
        effect.of(sign.place, id).map_or(f64::NEG_INFINITY, |told| told.score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::fit::search::Work;
    use crate::correlate::fit::{Knobs, Onset};

    /// A fault of `db`, felt by whom calls it, among `n` places that speak by themselves.
    fn fit(n: usize) -> Fit {
        let mut fit = Fit::new(Knobs::default());
        for (from, to) in [("web", "cart"), ("cart", "db"), ("mail", "db"), ("db", "disk")] {
            fit.depends(from, to);
        }
        let mut condition = 0;
        let mut begin = |fit: &mut Fit, place: &str, name: &str, at_s: i64| {
            condition += 1;
            let at_ms = at_s * 1_000;
            fit.begin(&Onset { condition, scope: "", place, name, on: &[], at_ms });
        };
        let told = [("db", 600), ("mail", 625), ("cart", 630), ("web", 652), ("disk", 660)];
        for (place, at_s) in told {
            begin(&mut fit, place, "HighErrorRate", at_s);
            begin(&mut fit, place, "HighLatencyP99", at_s + 9);
        }
        for i in 0..n {
            let (place, name) = (format!("lone-{}", i / 9), format!("Rule{}", i % 9));
            begin(&mut fit, &place, &name, 100 + (i as i64 * 37) % 700);
        }
        fit.revise(830_000);
        fit
    }

    #[test]
    fn what_is_kept_of_a_fault_is_what_each_sign_scores_when_it_is_asked_anew() {
        for n in [20, 720] {
            let mut fit = fit(n);
            let mut work = Work { rate: 0.004, ..Work::default() };
            let mut n_explained = 0;
            for id in fit.live.clone() {
                fit.spread(&mut work, id);
                let fault = &fit.faults[id as usize];
                assert_eq!(fault.effects.values().any(|e| e.only.is_some()), n > MANY);
                let mut board = Board::default();
                let grafts: Vec<(u32, i64)> =
                    fault.grafts.iter().map(|g| (g.root, g.since)).collect();
                let at = fault.at;
                let cascade = fit.cascade(at, &grafts, &mut board);
                for sign in &fit.open {
                    let it = &fit.signs[*sign as usize];
                    let standing =
                        fit.standing(it.place, at.root, &cascade, &|place| board.felt(place));
                    let (anew, _) = fit.score(it, at, fault.kind, work.rate, &standing);
                    let kept = fit.score_under(*sign, fault, work.rate);
                    if at.may_show(it.at) && anew > 0.0 {
                        assert_eq!(kept.to_bits(), anew.to_bits(), "{n}: {it:?}");
                        n_explained += 1;
                    } else {
                        assert!(kept <= 0.0, "{n}: {it:?} {kept} {anew}");
                    }
                }
            }
            assert!(n_explained >= 8, "{n}: {n_explained} of the fault's ten");
        }
    }

    #[test]
    fn what_a_revision_keeps_in_mind_is_bounded_and_reckoned_anew_beyond() {
        let fit = fit(20);
        let fault = &fit.faults[*fit.live.first().expect("the fault is found") as usize];
        let mut memo = Memo::default();
        let first = fit.effect(&mut memo, fault.at, fault.kind, &[], 0.004);
        assert!(!first.told.is_empty());
        for n in 1..10_000 {
            let at = At { since: fault.at.since + n, ..fault.at };
            let effect = fit.effect(&mut memo, at, fault.kind, &[], 0.004);
            assert!(Arc::ptr_eq(&effect, &fit.effect(&mut memo, at, fault.kind, &[], 0.004)));
            assert!(memo.effects.len() <= MOST_KEPT);
        }
        let scores = |e: &Effect| e.told.iter().map(|t| t.score.to_bits()).collect::<Vec<_>>();
        let again = fit.effect(&mut memo, fault.at, fault.kind, &[], 0.004);
        assert_eq!(scores(&again), scores(&first));
    }
}
