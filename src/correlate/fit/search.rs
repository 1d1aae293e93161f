//! The search for the faults: what came is judged, and what was believed is revised until nothing
//! gets better. Only what new signs touch is looked at again, so that a revision costs as much as
//! came, not as much as there is.

use std::collections::{BTreeMap, BTreeSet};

use super::effect::Memo;
use super::score::{At, SPREAD_MS};
use super::words::{Class, Family};
use super::{Fault, Fit, Home};

/// So few callers speak up later than what is waited for.
const LATE_SHARE: f64 = 0.03;
/// Rounds of one revision; each is worth less than the one before.
const ROUNDS: usize = 8;
/// A change must be worth this much (nats).
pub(super) const WORTH: f64 = 0.01;
/// For so long (ms) after its signs have settled a fault may take new ones.
const LINGER_MS: i64 = 600_000;
/// Signs of one place this near (ms) are counted together.
const RANK_MS: i64 = 180_000;
/// Signs before the open ones that are still looked at as company.
const COMPANY: u32 = 200;

/// Up to so many pairs of an open sign and a live fault everything is looked at again, whether new
/// signs touch it or not.
const THOROUGH: usize = 20_000;

/// So often (ms) all is searched anew, and a new solution must be worth this much more (nats).
const RENEW_MS: i64 = 60_000;
const RENEW_WORTH: f64 = 0.5;

/// What one revision works on.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Signs by themselves per second and scope.
    pub(super) rate: f64,
    /// How well each open sign is explained now.
    pub(super) current: Scores,
    /// Faults that new signs or moves touched.
    pub(super) touched: BTreeSet<u32>,
    /// What faults would explain, as far as it was reckoned.
    pub(super) memo: Memo,
}

/// A figure for each open sign.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores {
    first: u32,
    by_sign: Vec<f64>,
}

impl Scores {
    /// The figure of a sign; 0 where none was put.
    pub(super) fn of(&self, sign: u32) -> f64 {
        let at = sign.checked_sub(self.first).map(|at| at as usize);
        at.and_then(|at| self.by_sign.get(at)).copied().unwrap_or(0.0)
    }

    /// Puts a figure; those of a revision are put in order of the signs first.
    pub(super) fn put(&mut self, sign: u32, score: f64) {
        if self.by_sign.is_empty() {
            self.first = sign;
        }
        let at = (sign - self.first) as usize;
        if self.by_sign.len() <= at {
            self.by_sign.resize(at + 1, 0.0);
        }
        self.by_sign[at] = score;
    }
}

impl Fit {
    /// Looks again at everything that may still move, as known at `now` (ms).
    pub(crate) fn revise(&mut self, now: i64) {
        self.settle(now);
        self.words.weigh();
        self.index();
        self.hear_texts();
        self.learn_lags();
        let mut work = Work { rate: self.rate(), ..Work::default() };
        for id in self.live.clone() {
            self.spread(&mut work, id);
        }
        let ids: Vec<u32> = self.open.iter().copied().collect();
        for id in &ids {
            let (home, score) = self.best(*id, None, work.rate);
            let sign = &mut self.signs[*id as usize];
            if let Home::Fault(fault) = home
                && (!sign.judged || sign.home != home)
            {
                work.touched.insert(fault);
            }
            (sign.home, sign.held) = (home, score);
            work.current.put(*id, score);
        }
        if ids.len() * self.live.len() <= THOROUGH {
            work.touched.extend(&self.live);
        }
        self.improve(&mut work);
        if ids.len() * self.live.len() <= THOROUGH && now - self.renewed >= RENEW_MS {
            self.renewed = now;
            self.renew(&mut work);
        }
        for id in ids {
            self.signs[id as usize].judged = true;
        }
        self.find_waves();
    }

    /// Moves until nothing gets better.
    fn improve(&mut self, work: &mut Work) {
        for _ in 0..ROUNDS {
            let mut moved = self.add(work);
            moved |= self.shift(work);
            moved |= self.unite_scopes(work);
            moved |= self.drop_faults(work);
            moved |= self.ungraft(work);
            moved |= self.graft(work);
            if !moved {
                break;
            }
        }
    }

    /// Searches once more without what is believed of what may still move: what came first may have
    /// led to beliefs that nobody would come to now. The better of the two stands.
    fn renew(&mut self, work: &mut Work) {
        let before = self.worth(work);
        let live = self.live.clone();
        let n_faults = self.faults.next();
        let faults: Vec<(u32, Fault)> =
            live.iter().map(|id| (*id, self.faults[*id as usize].clone())).collect();
        let homes: Vec<(u32, Home, f64, bool)> = self
            .open
            .iter()
            .map(|id| {
                let sign = &self.signs[*id as usize];
                (*id, sign.home, sign.held, sign.judged)
            })
            .collect();
        for id in &live {
            let fault = &mut self.faults[*id as usize];
            if fault.fixed {
                fault.grafts.retain(|g| {
                    let ids = self.by_place.at(g.scope, g.root);
                    ids.iter().any(|id| self.signs[*id as usize].settled.is_some())
                });
            } else {
                fault.live = false;
            }
        }
        self.live = faults.iter().filter(|(_, f)| f.fixed).map(|(id, _)| *id).collect();
        let memo = std::mem::take(&mut work.memo);
        let mut anew = Work { rate: work.rate, memo, ..Work::default() };
        for id in self.live.clone() {
            self.spread(&mut anew, id);
        }
        for id in self.open.clone() {
            let (home, score) = self.best(id, None, anew.rate);
            let sign = &mut self.signs[id as usize];
            (sign.home, sign.held, sign.judged) = (home, score, false);
            anew.current.put(id, score);
        }
        anew.touched.extend(&self.live);
        self.improve(&mut anew);
        if self.worth(&anew) > before + RENEW_WORTH {
            *work = anew;
            return;
        }
        while self.faults.next() > n_faults {
            self.faults.pop();
        }
        self.live = live;
        for (id, fault) in faults {
            self.faults[id as usize] = fault;
        }
        for (id, home, held, judged) in homes {
            let sign = &mut self.signs[id as usize];
            (sign.home, sign.held, sign.judged) = (home, held, judged);
        }
    }

    /// What all that is believed is worth: how well signs are explained, less what faults cost.
    fn worth(&self, work: &Work) -> f64 {
        let explained: f64 = self.open.iter().map(|id| work.current.of(*id)).sum();
        let cost: f64 = self
            .live
            .iter()
            .map(|id| {
                let fault = &self.faults[*id as usize];
                if fault.fixed {
                    return self.folded(*id, work.rate);
                }
                let members = self.members(*id);
                let speaks = members.iter().any(|s| self.signs[*s as usize].place == fault.at.root);
                self.cost(fault.at, fault.kind, speaks, work.rate)
                    + self.knobs.more * fault.scopes.len() as f64
                    + self.folded(*id, work.rate)
            })
            .sum();
        explained - cost
    }

    /// Signs that are old enough stay where they are, and are learned from.
    fn settle(&mut self, now: i64) {
        let until = now - self.knobs.hold_s * 1_000;
        // In order of coming, so that what a repeat follows is settled before it.
        let old: Vec<u32> =
            self.open.iter().copied().filter(|id| self.signs[*id as usize].at < until).collect();
        for id in &old {
            // What was counted before a start is gone through again after it, and not counted again.
            let at = self.signs[*id as usize].at;
            let is_new = self.restored_ms.is_none_or(|until| at > until);
            if let Some((kind, lag)) = self.lag_of(*id).filter(|_| is_new) {
                self.settled_lags[kind].count(lag);
            }
            self.signs[*id as usize].settled = Some(self.group(*id));
            let sign = self.signs[*id as usize].clone();
            self.counted_ms = self.counted_ms.max(Some(sign.at));
            if let Some(text) = &sign.text {
                if is_new {
                    self.texts.count(text, sign.place);
                }
                self.signs[*id as usize].text = text.settled();
            }
            match sign.home {
                Home::Fault(of) if !is_new => self.faults[of as usize].fixed = true,
                Home::Own | Home::Before if !is_new => {}
                Home::Fault(of) => {
                    self.faults[of as usize].fixed = true;
                    let fault = &self.faults[of as usize];
                    if sign.before.is_none()
                        && let Some(effect) = fault.effects.get(&sign.scope)
                    {
                        let stand = self.stand(&sign, fault.at.root, &effect.cascade);
                        self.words.count(sign.name, Some(stand));
                        if sign.place != fault.at.root {
                            let heard = effect.cascade.heard(sign.at);
                            self.reach.notice((fault.at.since, of), sign.place, &heard);
                        }
                    }
                }
                Home::Own => {
                    self.words.count(sign.name, None);
                    self.n_alone += 1.0;
                }
                Home::Before => {}
            }
        }
        self.open.retain(|id| self.signs[*id as usize].settled.is_none());
        let faults = &mut self.faults;
        self.live.retain(|id| {
            let fault = &mut faults[*id as usize];
            fault.live &= fault.at.since >= until - LINGER_MS;
            if !fault.live {
                fault.effects = BTreeMap::new();
            }
            fault.live
        });
    }

    fn index(&mut self) {
        let since = self.open.front().map_or(0, |id| id.saturating_sub(COMPANY));
        let ids = since.max(self.signs.first())..self.signs.next();
        let placed = ids.map(|id| {
            let sign = &self.signs[id as usize];
            (sign.scope, sign.place, id)
        });
        self.by_place.fill(placed.collect());
        let mut order: Vec<(i64, u32)> = Vec::new();
        for ids in self.by_place.all() {
            order.clear();
            order.extend(ids.iter().map(|id| (self.signs[*id as usize].at, *id)));
            order.sort_unstable();
            // What concerns nobody else is no company: how many came before each, of the others.
            let mut company = vec![0_u32];
            for (_, id) in &order {
                let is = self.words.class(self.signs[*id as usize].name) != Class::Chore;
                company.push(company[company.len() - 1] + u32::from(is));
            }
            let (mut from, mut to) = (0, 0);
            for (n, (at, id)) in order.iter().enumerate() {
                while order[from].0 < at - RANK_MS {
                    from += 1;
                }
                while to < order.len() && order[to].0 <= at + RANK_MS {
                    to += 1;
                }
                let sign = &mut self.signs[*id as usize];
                sign.rank = company[n] - company[from];
                sign.crowd = (company[to] - company[from]).max(1);
            }
        }
    }

    pub(super) fn learn_lags(&mut self) {
        let mut lags = self.settled_lags.clone();
        for id in &self.open {
            if let Some((kind, lag)) = self.lag_of(*id) {
                lags[kind].count(lag);
            }
        }
        let k = &self.knobs;
        for lags in &mut lags {
            lags.learn(k.lag_weight);
        }
        self.spread_ms = (lags[2].latest(LATE_SHARE) as i64 * 1_000).max(SPREAD_MS.1);
        self.lags = lags;
    }

    /// The lag of a sign in its fault, where it tells something.
    fn lag_of(&self, id: u32) -> Option<(usize, f64)> {
        let sign = &self.signs[id as usize];
        let Home::Fault(fault) = sign.home else { return None };
        let fault = &self.faults[fault as usize];
        let cascade = &fault.effects.get(&sign.scope)?.cascade;
        self.lag_in(sign, fault.at_in(sign.scope), cascade).filter(|_| sign.before.is_none())
    }

    /// What kind of cause shows at a root first.
    pub(super) fn kind(&self, at: At) -> Option<Family> {
        let signs = self.by_place.at(at.scope, at.root);
        signs
            .iter()
            .map(|id| &self.signs[*id as usize])
            .filter(|s| s.before.is_none() && (-30_000..=120_000).contains(&(s.at - at.since)))
            .filter_map(|s| Some((s.at, self.words.family(s.name)?)))
            .min_by_key(|(at, _)| *at)
            .map(|(_, family)| family)
    }

    /// Works out how a fault shows, in each of its scopes.
    pub(super) fn spread(&mut self, work: &mut Work, id: u32) {
        let Work { rate, memo, .. } = work;
        let fault = &self.faults[id as usize];
        let kind = if fault.fixed { fault.kind } else { self.root_at(memo, fault.at).0 };
        let scopes = fault.scopes.keys().copied().chain([fault.at.scope]);
        let effects = scopes
            .map(|s| (s, self.effect(memo, fault.at_in(s), kind, &fault.grafts, *rate)))
            .collect();
        let fault = &mut self.faults[id as usize];
        (fault.kind, fault.effects) = (kind, effects);
    }

    /// The best home of one sign among live faults (but `not` this), with its score.
    pub(super) fn best(&self, id: u32, not: Option<u32>, rate: f64) -> (Home, f64) {
        let sign = &self.signs[id as usize];
        let mut best = (Home::Own, 0.0);
        if let Some(weight) = self.follow(sign).filter(|w| *w > 0.0) {
            let gone =
                not.is_some_and(|n| self.group(sign.before.unwrap_or(id)) == super::Kin::Fault(n));
            if !gone {
                best = (Home::Before, weight);
            }
        }
        for fault in self.live.iter().filter(|f| Some(**f) != not) {
            let score = self.score_leaning(id, *fault, (best.1, not), rate);
            if score > best.1 {
                best = (Home::Fault(*fault), score);
            }
        }
        best
    }

    /// Gives every open sign its best home after these faults changed.
    pub(super) fn assign(&mut self, work: &mut Work, changed: &[u32]) {
        let ids: Vec<u32> = self.open.iter().copied().collect();
        work.touched.extend(changed);
        for id in ids {
            let was = (self.signs[id as usize].home, work.current.of(id));
            let (home, score) = match was {
                (Home::Own, _) => self.better(id, was, changed, work.rate),
                (Home::Fault(f), _) if !changed.contains(&f) => {
                    self.better(id, was, changed, work.rate)
                }
                _ => self.best(id, None, work.rate),
            };
            if (home, score) != was {
                for at in [home, was.0] {
                    if let Home::Fault(fault) = at {
                        work.touched.insert(fault);
                    }
                }
                let sign = &mut self.signs[id as usize];
                (sign.home, sign.held) = (home, score);
                work.current.put(id, score);
            }
        }
    }

    fn better(&self, id: u32, now: (Home, f64), among: &[u32], rate: f64) -> (Home, f64) {
        let mut best = now;
        for fault in among.iter().filter(|f| self.faults[**f as usize].live) {
            let score = self.score_leaning(id, *fault, (best.1, None), rate);
            if score > best.1 {
                best = (Home::Fault(*fault), score);
            }
        }
        best
    }

    /// Open signs that a fault explains.
    pub(super) fn members(&self, fault: u32) -> Vec<u32> {
        let open = self.open.iter().copied();
        open.filter(|s| self.signs[*s as usize].home == Home::Fault(fault)).collect()
    }

    /// What these signs are worth with the faults as they are.
    pub(super) fn total(&self, ids: &[u32], rate: f64) -> f64 {
        ids.iter().map(|id| self.best(*id, None, rate).1).sum()
    }
}
