//! How well a fault explains a sign: a log likelihood ratio against "it began by itself".

use std::sync::Arc;

use super::lag::Shape;
use super::near::{self, Path};
use super::texts::Voice;
use super::words::{Class, Family, Stand};
use super::{Fit, Home, Sign};

/// A place in a scope since a time (ms): where a fault may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) root: u32,
    pub(super) scope: u32,
    pub(super) since: i64,
}

impl At {
    /// Whether what began at `at` (ms) may be of a fault here.
    pub(super) fn may_show(self, at: i64) -> bool {
        (TAIL.0..=LONGEST_S).contains(&((at - self.since) as f64 / 1000.0))
    }
}

/// What may be turned. Times are seconds.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    /// Signs expected at the root.
    pub(crate) at_root: f64,
    /// Further signs expected where one was.
    pub(crate) at_place: f64,
    /// Signs expected at each caller of a place that speaks; and over all of them at most.
    pub(crate) at_caller: (f64, f64),
    /// Share of that where the place between is silent.
    pub(crate) ghost: f64,
    /// Signs expected at what the root calls, over all of it.
    pub(crate) below: f64,
    /// Signs expected at each of what runs on a node, or of the nodes of a zone.
    pub(crate) on_ground: f64,
    /// Signs expected anywhere else.
    pub(crate) unknown: f64,
    /// What believing in a fault costs (nats).
    pub(crate) open: f64,
    /// What believing that it is in one more scope costs.
    pub(crate) more: f64,
    /// What it costs that the root itself is silent.
    pub(crate) silent: f64,
    /// Signs by themselves per second and scope, at first.
    pub(crate) rate: f64,
    /// For how many such signs that stands.
    pub(crate) rate_weight: f64,
    /// Lag at the root behind the beginning.
    pub(crate) root_lag: Shape,
    /// Lag behind the first sign of the same place.
    pub(crate) place_lag: Shape,
    /// Lag of a caller behind what it calls.
    pub(crate) caller_lag: Shape,
    /// Lag of what is called, or of what no path leads to, behind the beginning.
    pub(crate) other_lag: Shape,
    /// Share of lags that are anywhere.
    pub(crate) tail: f64,
    /// After this long a repeat is no repeat.
    pub(crate) repeat_s: i64,
    /// Weight of a repeat of the same series, of another of the same kind.
    pub(crate) repeat: [f64; 2],
    /// Seconds in which that weight falls by one.
    pub(crate) repeat_fall: f64,
    /// What a repeat is worth less, as evidence of something new.
    pub(crate) again: f64,
    /// For how many lags the first guess of lags stands.
    pub(crate) lag_weight: f64,
    /// For how many signs by themselves one counts that was not looked at yet.
    pub(crate) fresh: f64,
    /// Share of the faults felt below in which a caller that is learned speaks up.
    pub(crate) learn: f64,
    /// What it is worth that the root was changed shortly before.
    pub(crate) change: f64,
    /// What it costs that no cause shows at the root.
    pub(crate) mute: f64,
    /// What another kind of cause at the root is worth less.
    pub(crate) foreign: f64,
    /// For this long a sign may move.
    pub(crate) hold_s: i64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            at_root: 3.0,
            at_place: 1.0,
            at_caller: (0.7, 2.0),
            ghost: 0.2,
            below: 0.3,
            on_ground: 0.7,
            unknown: 0.13,
            open: 1.5,
            more: 4.0,
            silent: 2.0,
            rate: 1.0 / 300.0,
            rate_weight: 2.5,
            root_lag: (10.0, 30.0, 60.0),
            place_lag: (15.0, 30.0, 70.0),
            caller_lag: (25.0, 35.0, 70.0),
            other_lag: (90.0, 60.0, 90.0),
            tail: 0.07,
            repeat_s: 600,
            repeat: [5.0, 2.5],
            repeat_fall: 120.0,
            again: 5.0,
            lag_weight: 60.0,
            fresh: 0.2,
            learn: 0.4,
            change: 2.5,
            mute: 1.0,
            foreign: 3.0,
            hold_s: 900,
        }
    }
}

/// So many first signs of a place tell its root from who feels it; more tell nothing new.
pub(super) const FIRST: u32 = 4;
/// So many signs of one place at about one time count in full; more share that weight.
pub(super) const CROWD: u32 = 6;
/// A change so long (ms) before a fault may have made it.
const CHANGE_MS: i64 = 900_000;
/// What is only named by a change counts for this share of what was changed (of nats).
const NAMED: f64 = 0.5;
/// Farthest distance in hops at which a fault is still felt.
const MOST_HOPS: usize = 6;
/// Longest lag (s) behind a fault's beginning, over all hops.
const LONGEST_S: f64 = 1_500.0;
/// Longest lag that the tail covers, in seconds, and the earliest.
pub(super) const TAIL: (f64, f64) = (-90.0, 600.0);
/// A caller speaks up at most this much (ms) before what it calls, and this much after, unless
/// later ones were seen.
pub(super) const SPREAD_MS: (i64, i64) = (-45_000, 200_000);
/// What is silent would have spoken so long (ms) after what it calls.
const GHOST_MS: i64 = 20_000;

/// Since when (ms) a place feels a fault, and whether it is silent and that only assumed.
type Felt = (i64, bool);

/// How a fault spreads: which places feel it in one scope, and since when.
#[derive(Clone, Debug, Default)]
pub(super) struct Cascade {
    /// By place.
    felt: Vec<(u32, Felt)>,
    /// Places that feel it though no known path leads there.
    grafted: Vec<u32>,
    /// What its root says.
    pub(super) voice: Option<Arc<Voice>>,
}

impl Cascade {
    /// Since when a place feels it.
    pub(super) fn at(&self, place: u32) -> Option<Felt> {
        let found = self.felt.binary_search_by_key(&place, |(place, _)| *place);
        found.ok().map(|i| self.felt[i].1)
    }

    /// Places that feel it, or are taken to.
    pub(super) fn places(&self) -> impl Iterator<Item = u32> + '_ {
        self.felt.iter().map(|(place, _)| *place)
    }

    /// Places that feel it and have spoken.
    pub(super) fn spoken(&self) -> impl Iterator<Item = u32> + '_ {
        self.felt.iter().filter(|(_, (_, ghost))| !ghost).map(|(place, _)| *place)
    }

    /// Places that were heard of when something began at `at`, and not long before.
    pub(super) fn heard(&self, at: i64) -> Vec<u32> {
        let near = -SPREAD_MS.1..=-SPREAD_MS.0;
        let heard = self.felt.iter().filter(|(_, (t, ghost))| !ghost && near.contains(&(t - at)));
        heard.map(|(place, _)| *place).collect()
    }
}

/// Room to work out who feels a fault: an entry for each place, empty in between.
#[derive(Debug, Default)]
pub(super) struct Board {
    felt: Vec<Option<Felt>>,
}

impl Board {
    /// Since when a place feels the fault that is worked on.
    pub(super) fn felt(&self, place: u32) -> Option<Felt> {
        self.felt.get(place as usize).copied().flatten()
    }

    /// Makes it empty again after a fault.
    pub(super) fn clear(&mut self, cascade: &Cascade) {
        for place in cascade.places() {
            self.felt[place as usize] = None;
        }
    }
}

/// How a place stands to a fault, whatever is said there.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) is_root: bool,
    pub(super) felt: Option<Felt>,
    pub(super) grafted: bool,
    /// What it depends on that feels the fault: since when, and how many signs are expected here.
    pub(super) below: Vec<(u32, i64, f64)>,
    /// Among how many places that the root calls it is, if it is and is no node or zone.
    pub(super) called: Option<f64>,
    /// What the root says; of nothing at the root itself.
    pub(super) voice: Option<Arc<Voice>>,
}

impl Fit {
    /// Signs by themselves per second and scope: those that are, with a prior. What was not yet
    /// looked at counts half, so that the search comes down from "all is noise".
    pub(super) fn rate(&self) -> f64 {
        let k = &self.knobs;
        let Some(first) = self.first_ms else { return k.rate };
        let heard_ms = (self.newest - first).max(0) + self.past_ms;
        let span = heard_ms as f64 / 1000.0 * self.scopes.len().max(1) as f64;
        let open = self.open.iter().map(|id| &self.signs[*id as usize]);
        let alone: f64 = open
            .filter(|s| s.before.is_none())
            .map(|s| match (s.judged, s.home) {
                (false, _) => k.fresh,
                (true, Home::Own) => 1.0,
                _ => 0.0,
            })
            .sum();
        (k.rate_weight + self.n_alone + alone) / (k.rate_weight / k.rate + span)
    }

    /// Who feels a fault in one scope, when places that no known path joins to it (`grafts`, since
    /// when) feel it too. The board keeps that until it is cleared.
    pub(super) fn cascade(&self, at: At, grafts: &[(u32, i64)], board: &mut Board) -> Cascade {
        board.felt.resize(self.reach.len(), None);
        let mut felt: Vec<u32> = Vec::with_capacity(16);
        for (place, since) in std::iter::once(&(at.root, at.since)).chain(grafts) {
            if board.felt[*place as usize].replace((*since, false)).is_none() {
                felt.push(*place);
            }
        }
        let (mut edge, mut next, mut news) = (felt.clone(), Vec::new(), Vec::new());
        for _ in 1..=MOST_HOPS {
            next.clear();
            next.extend(edge.iter().flat_map(|p| self.reach.callers(*p)));
            next.sort_unstable();
            next.dedup();
            news.clear();
            for place in next.iter().copied().filter(|p| board.felt(*p).is_none()) {
                news.extend(self.first_felt(at.scope, place, board).map(|first| (place, first)));
            }
            if news.is_empty() {
                break;
            }
            edge.clear();
            for (place, first) in &news {
                board.felt[*place as usize] = Some(*first);
                edge.push(*place);
            }
            felt.extend(&edge);
        }
        felt.sort_unstable();
        let felt = felt.into_iter().filter_map(|p| Some((p, board.felt(p)?))).collect();
        let grafted = grafts.iter().map(|g| g.0).collect();
        let mut cascade = Cascade { felt, grafted, voice: None };
        cascade.voice = self.voice(at, &cascade);
        cascade
    }

    /// Since when a place feels what it depends on, as far as that is on the board.
    fn first_felt(&self, scope: u32, place: u32, board: &Board) -> Option<Felt> {
        let mut first: Option<Felt> = None;
        let signs = self.by_place.at(scope, place);
        for callee in self.reach.callees(place) {
            let Some((from, ghost)) = board.felt(callee) else { continue };
            let range = from + SPREAD_MS.0..=from + self.spread_ms;
            let sign = signs
                .iter()
                .map(|id| &self.signs[*id as usize])
                .filter(|s| s.before.is_none() && range.contains(&s.at))
                .filter(|s| self.may_feel(s, callee))
                .filter(|s| self.words.class(s.name) != Class::Chore)
                .map(|s| (s.at, false))
                .min();
            let found = sign.or((!ghost).then_some((from + GHOST_MS, true)));
            first = match (first, found) {
                (Some(a), Some(b)) => Some(if (b.1, b.0) < (a.1, a.0) { b } else { a }),
                (a, b) => a.or(b),
            };
        }
        first
    }

    /// How a place stands to a fault of which `felt` tells who feels it since when.
    pub(super) fn standing(
        &self,
        place: u32,
        root: u32,
        c: &Cascade,
        felt: &dyn Fn(u32) -> Option<Felt>,
    ) -> Standing {
        let k = &self.knobs;
        if place == root {
            return Standing { is_root: true, ..Standing::default() };
        }
        let below = self.reach.callees(place).filter_map(|callee| {
            let (from, ghost) = felt(callee)?;
            let n = self.reach.n_callers(callee) as f64;
            let ground = self.is_ground(callee);
            let each = if ground { k.on_ground } else { k.at_caller.0.min(k.at_caller.1 / n) };
            let weight = if ghost && !ground { k.ghost } else { 1.0 };
            Some((callee, from, each * weight))
        });
        // What it runs on is not called: who moves to another node to be mended is heard of there too.
        let calls = self.reach.calls(root, place) && !self.is_ground(place);
        Standing {
            is_root: false,
            felt: felt(place),
            grafted: c.grafted.contains(&place),
            below: below.collect(),
            called: calls.then(|| self.reach.n_callees(root) as f64),
            voice: c.voice.clone(),
        }
    }

    /// Where a sign stands to a fault.
    pub(super) fn stand_at(&self, sign: &Sign, place: &Standing) -> Stand {
        if place.is_root {
            Stand::Root
        } else if place.felt.is_some()
            || place.below.iter().any(|(callee, ..)| self.may_feel(sign, *callee))
        {
            Stand::Above
        } else {
            Stand::Beside
        }
    }

    /// Where a sign stands to a fault.
    pub(super) fn stand(&self, sign: &Sign, root: u32, c: &Cascade) -> Stand {
        self.stand_at(sign, &self.standing(sign.place, root, c, &|place| c.at(place)))
    }

    /// Log likelihood ratio of a sign under a fault, at which it may show, against by itself, and by
    /// which path. Where that is below zero it may be any such number: the sign is better explained
    /// by itself.
    pub(super) fn score(
        &self,
        sign: &Sign,
        At { since, .. }: At,
        kind: Option<Family>,
        rate: f64,
        place: &Standing,
    ) -> (f64, Path) {
        let n = self.n_places();
        let stand = self.stand_at(sign, place);
        let (most, path) = self.nearest(sign, since, stand, place);
        let ratio = most * n / rate;
        let word = self.words.weight(sign.name, stand) + Self::text(sign, place).0;
        // Most are not of the fault. A logarithm is at most its argument less one, which tells that
        // sooner; the margin is for rounding.
        if ratio - 1.0 + word < -1e-6 {
            return (f64::NEG_INFINITY, path);
        }
        let again = self.again(sign);
        let told = ratio.ln() + word - again - self.foreign(sign, kind, stand);
        // Twenty things that one place says at one time are no twenty witnesses.
        (told * near::crowded(sign), path)
    }

    /// What a repeat is worth less, the sooner it comes the more.
    pub(super) fn again(&self, sign: &Sign) -> f64 {
        let Some(before) = sign.before else { return 0.0 };
        let gap = ((sign.at - self.signs[before as usize].last) as f64 / 1000.0).abs();
        self.knobs.again * (1.0 - gap / self.knobs.repeat_s as f64).max(0.0)
    }

    /// Places that there are.
    pub(super) fn n_places(&self) -> f64 {
        (self.places.len() as f64).max(20.0)
    }

    /// What believing in a fault costs: its root and time are free to choose, so its first sign
    /// says nothing for it, and faults are rarer than alerts that begin by themselves.
    pub(super) fn cost(&self, at: At, kind: Option<Family>, speaks: bool, rate: f64) -> f64 {
        let k = &self.knobs;
        let near = self.changes.get(&at.root).into_iter().flatten().filter(|(only, when, _)| {
            only.is_none_or(|o| o == at.scope) && (-60_000..=CHANGE_MS).contains(&(at.since - when))
        });
        // What a change only names is less likely to be what it broke.
        let changed = near.map(|(.., is_named)| if *is_named { NAMED } else { 1.0 });
        let changed = changed.fold(0.0, f64::max) * k.change;
        let first = k.at_root * self.lags[0].peak();
        (first * self.n_places() / rate).ln()
            + k.open
            + if kind.is_some() { 0.0 } else { k.mute }
            + if speaks { 0.0 } else { k.silent }
            - changed
    }

    /// The lag of a sign in its fault, and of which kind: at the root, at a place that spoke
    /// before, behind what its place calls.
    pub(super) fn lag_in(&self, sign: &Sign, at: At, c: &Cascade) -> Option<(usize, f64)> {
        let lag = |from: i64| (sign.at - from) as f64 / 1000.0;
        if sign.place == at.root {
            return (sign.at != at.since).then(|| (0, lag(at.since)));
        }
        if let Some((first, false)) = c.at(sign.place)
            && first < sign.at
        {
            return Some((1, lag(first)));
        }
        if c.grafted.contains(&sign.place) {
            return Some((3, lag(at.since)));
        }
        let below = self.reach.callees(sign.place).filter_map(|p| c.at(p));
        let lags = below.filter(|f| !f.1).map(|f| lag(f.0));
        Some((2, lags.min_by(|a, b| a.abs().total_cmp(&b.abs()))?))
    }

    /// What it costs to hold that a place feels a fault though no path leads there.
    pub(super) fn graft_cost(&self, lag_s: f64, rate: f64) -> f64 {
        let k = &self.knobs;
        let flat = k.tail / (TAIL.1 - TAIL.0);
        let density = (1.0 - k.tail) * self.lags[3].density(lag_s) + flat;
        let n = self.n_places();
        let told = k.at_place * self.lags[1].density(0.0) * n / rate;
        let is = k.unknown * density / rate;
        (told / is).ln()
    }

    /// Weight of belonging where the earlier sign of the condition belongs.
    pub(super) fn follow(&self, sign: &Sign) -> Option<f64> {
        let before = &self.signs[sign.before? as usize];
        let gap = ((sign.at - before.last) as f64 / 1000.0).abs();
        let first = self.knobs.repeat[usize::from(!sign.same)];
        Some(first - gap / self.knobs.repeat_fall)
    }
}
