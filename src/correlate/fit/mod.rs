//! Fits faults to alerts: which few faults, each at one place since one time, explain best when
//! and where alerts began?
//!
//! An alert that begins is a **sign**: at a place (what it is about), in a scope (which copy of the
//! system), of a name. A **fault** has a root, a beginning and a way in which it spreads: to who
//! calls the root, from there to who calls them, each some time after what it depends on. A sign is
//! explained by a fault as well as the log likelihood ratio says that is how such a fault shows,
//! against its beginning by itself ([`score`]): the expected number of signs at that hop, the
//! density of the lag, what names show where, all per place and second, over the rate of signs that
//! belong to nothing. Believing in a fault has a price (the choice of root and time, and that
//! faults are rarer than stray alerts), so the sum over all signs less the prices is the length of
//! the description, and the [`search`] makes it short: greedy additions, then moves of roots,
//! merges over scopes, drops, and places joined without a known path ([`fold`]), until none is
//! worth it; what a root would explain is reckoned once for all of them ([`effect`]). Nothing
//! chains: a sign is explained from a root upwards, never sideways or down, so two faults that meet
//! at a common caller stay two, and the caller's alert goes to the one that explains it better.
//!
//! What is learned on the way: the rate of stray signs, how lags really are ([`lag`]), which names
//! stray and which show in faults ([`words`]), and dependencies that nobody told of, from places
//! that speak up together again and again ([`reach`]) and from nodes and zones that alerts name
//! ([`ground`]). A sign may move for fifteen minutes, then it is settled. No clock, no hash order: the
//! same onsets and times of revision give the same.
//!
//! The idea of a prior over roots and a likelihood of the cascade stands in the literature on
//! alarm correlation by probabilistic dependency graphs (Katzela and Schwartz, "Schemes for fault
//! identification in communication networks", 1995); the scoring and the search here are our own.

mod effect;
mod fold;
mod ground;
mod lag;
mod lean;
mod learned;
mod moves;
mod names;
mod near;
mod reach;
mod recent;
mod score;
mod search;
mod shelf;
mod texts;
mod told;
mod wave;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use effect::{Effect, Index};
use names::Names;
use reach::Reach;
use score::At;
use shelf::Shelf;
use texts::{Text, Texts};
use words::{Class, Family, Words};

pub use learned::Learned;
pub(crate) use near::Via;
pub(crate) use score::Knobs;
pub(crate) use texts::Saying;

/// One beginning of an alert, as told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onset<'a> {
    /// Identity of the condition: its fingerprint.
    pub(super) condition: u64,
    /// Which copy of the system it is in: cluster, region, environment.
    pub(super) scope: &'a str,
    /// What it is about.
    pub(super) place: &'a str,
    /// The alert's name.
    pub(super) name: &'a str,
    /// What it says it runs on, and what that is in: its node, its zone.
    pub(super) on: &'a [String],
    /// When it began (ms).
    pub(super) at_ms: i64,
}

/// Which alerts belong together: those of the same kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kin {
    /// A fault explains them.
    Fault(u32),
    /// Nothing does; the first sign of the condition.
    Own(u32),
}

/// Alerts of one name that began at one place at about one time: one piece of evidence.
#[derive(Clone, Debug)]
struct Sign {
    scope: u32,
    place: u32,
    name: u32,
    /// On what it runs, as it says.
    on: Option<u32>,
    at: i64,
    last: i64,
    /// An earlier sign of the same condition.
    before: Option<u32>,
    /// Whether that was the very same series.
    same: bool,
    home: Home,
    /// How much better that explains it than nothing (nats), as last reckoned.
    held: f64,
    /// How many signs its place had shortly before it.
    rank: u32,
    /// How many it has shortly before and after.
    crowd: u32,
    /// Whether a revision has looked at it.
    judged: bool,
    /// It moves no more: its kin, for good.
    settled: Option<Kin>,
    /// What its text says.
    text: Option<Arc<Text>>,
}

/// Where a sign belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// Nothing else explains it.
    Own,
    /// Where the earlier sign of its condition is.
    Before,
    /// A fault explains it.
    Fault(u32),
}

/// A fault that is believed in.
#[derive(Clone, Debug)]
struct Fault {
    at: At,
    /// Other scopes that have it too, and since when.
    scopes: BTreeMap<u32, i64>,
    /// Whether it may take signs still.
    live: bool,
    /// Whether a sign of it is settled: its root moves no more.
    fixed: bool,
    /// The fault of which it is a later wave.
    wave_of: Option<u32>,
    /// Where it is felt though no known path leads there.
    grafts: Vec<At>,
    /// What kind of cause shows at its root.
    kind: Option<Family>,
    /// How it shows, by scope.
    effects: BTreeMap<u32, Arc<Effect>>,
}

impl Fault {
    /// Its root and beginning in one of its scopes.
    fn at_in(&self, scope: u32) -> At {
        let since = self.scopes.get(&scope).copied().unwrap_or(self.at.since);
        At { scope, since, ..self.at }
    }
}

/// Faults, signs, and what explains what.
#[derive(Clone, Debug, Default)]
pub(super) struct Fit {
    knobs: Knobs,
    places: Names,
    /// Which places are nodes and zones.
    ground: Vec<ground::Ground>,
    /// How many places there are of each kind of ground, none first.
    n_ground: [u32; 4],
    scopes: Names,
    names: Names,
    reach: Reach,
    words: Words,
    texts: Texts,
    signs: Shelf<Sign>,
    faults: Shelf<Fault>,
    /// Signs that may still move, in order of coming.
    open: VecDeque<u32>,
    /// Faults that may still take signs.
    live: Vec<u32>,
    /// Newest sign of a condition.
    series: BTreeMap<u64, u32>,
    /// Newest sign of a name at a place; in a crowd, of what it speaks of in one minute.
    burst: BTreeMap<(u32, u32, u32, Option<i64>), u32>,
    /// Names of each minute at a place.
    crowd: BTreeMap<(i64, u32, u32), BTreeSet<u32>>,
    /// Changes by place: in one scope or all, when, and whether it is only named by the change.
    changes: BTreeMap<u32, Vec<(Option<u32>, i64, bool)>>,
    /// Signs of the present revision.
    by_place: Index,
    first_ms: Option<i64>,
    /// For how long (ms) it had listened before its last start.
    past_ms: i64,
    /// The newest beginning that counted in what was restored, and in what was settled since (ms).
    restored_ms: Option<i64>,
    counted_ms: Option<i64>,
    newest: i64,
    /// When all was last searched anew.
    renewed: i64,
    n_alone: f64,
    /// What it tells of a dependency that two places are named alike (nats).
    alike: f64,
    /// Lags at the root, at a place that spoke before, of callers, by no known path; all, and of
    /// what is settled.
    lags: [lag::Lags; 4],
    settled_lags: [lag::Lags; 4],
    /// So long (ms) after what it calls a caller is waited for.
    spread_ms: i64,
}

/// Signs of one name at one place begin within this (ms) of each other to be one.
const BURST_MS: i64 = 30_000;
/// Names of one minute at one place that count apart; more of them tell little more, and are
/// counted by what they speak of.
const CROWD: usize = 12;
/// Names of alerts, and scopes, that are kept beside those that signs speak of, those heard last:
/// twice what is kept over a restart, so that nothing is lost that would be worth keeping.
const MOST_NAMES: usize = 4_000;
const MOST_SCOPES: usize = 400;
/// What was settled this long (ms) ago is forgotten.
const FORGET_MS: i64 = 24 * 3_600_000;

impl Fit {
    pub(super) fn new(knobs: Knobs) -> Self {
        let mut fit = Self { knobs, ..Self::default() };
        fit.reach.share = fit.knobs.learn;
        let k = &fit.knobs;
        fit.settled_lags = [k.root_lag, k.place_lag, k.caller_lag, k.other_lag].map(lag::Lags::of);
        fit.learn_lags();
        fit
    }

    /// `from` depends on `to`. Says whether that is news.
    pub(super) fn depends(&mut self, from: &str, to: &str) -> bool {
        let (from, to) = (self.place(from), self.place(to));
        self.reach.tell(from, to)
    }

    /// Forgets what was told of changes.
    pub(super) fn clear_changes(&mut self) {
        self.changes.clear();
    }

    /// A place was changed, in one scope or in all, or is only named by a change of another.
    pub(super) fn changed(&mut self, place: &str, scope: Option<&str>, at_ms: i64, is_named: bool) {
        let (place, scope) = (self.place(place), scope.map(|s| self.scopes.id(s)));
        self.changes.entry(place).or_default().push((scope, at_ms, is_named));
    }

    /// Everything that may still move is to be looked at again: something was learned of the graph.
    pub(super) fn doubt(&mut self) {
        self.learn_stems();
        for id in &self.open {
            self.signs[*id as usize].judged = false;
        }
    }

    /// Takes in a beginning; gives the sign that stands for it.
    pub(super) fn begin(&mut self, onset: &Onset<'_>) -> u32 {
        let (scope, place) = (self.scopes.id(onset.scope), self.place(onset.place));
        let on = self.stands_on(place, onset.on);
        let at = onset.at_ms;
        let (name, slot) = self.name_in_crowd(onset.name, (scope, place), at);
        // An alert that fires since long ago says nothing of how long anybody has listened.
        let heard = at.max(self.restored_ms.unwrap_or(at)).max(self.newest - FORGET_MS);
        self.first_ms = Some(self.first_ms.map_or(heard, |f| f.min(heard)));
        self.newest = self.newest.max(at);
        let near = self.burst.get(&(scope, place, name, slot)).copied();
        if let Some(id) = near
            && let Some(sign) = self.signs.get(id)
            && sign.settled.is_none()
            && (slot.is_some() || (sign.at - at).abs() <= BURST_MS)
        {
            let sign = &mut self.signs[id as usize];
            sign.at = sign.at.min(at);
            sign.last = sign.last.max(at);
            sign.on = sign.on.filter(|node| on == Some(*node));
            self.series.insert(onset.condition, id);
            return id;
        }
        let id = self.signs.next();
        let own = self.series.get(&onset.condition).copied();
        let keep_ms = self.knobs.repeat_s * 1_000;
        let lately = |b: &u32| self.signs.get(*b).is_some_and(|s| (at - s.last).abs() <= keep_ms);
        let before = own.or(near).filter(lately);
        self.signs.push(Sign {
            scope,
            place,
            name,
            on,
            at,
            last: at,
            before,
            same: own.is_some(),
            home: if before.is_some() { Home::Before } else { Home::Own },
            held: 0.0,
            rank: 0,
            crowd: 1,
            judged: false,
            settled: None,
            text: None,
        });
        self.open.push_back(id);
        self.series.insert(onset.condition, id);
        self.burst.insert((scope, place, name, slot), id);
        id
    }

    /// The number of a name; of what it speaks, where a place has told of many at about one time,
    /// with the minute in which all of that are one.
    fn name_in_crowd(&mut self, name: &str, place: (u32, u32), at: i64) -> (u32, Option<i64>) {
        let id = self.names.id(name);
        self.words.name(id, name);
        let minute = at.div_euclid(2 * BURST_MS);
        let names = self.crowd.entry((minute, place.0, place.1)).or_default();
        if names.len() < CROWD || names.contains(&id) {
            names.insert(id);
            return (id, None);
        }
        let word = match self.words.class(id) {
            Class::Cause => "cause",
            Class::Symptom => "error rate",
            Class::Idle => "low traffic",
            Class::Chore => "job",
            Class::Plain => "other",
        };
        let id = self.names.id(word);
        self.words.name(id, word);
        (id, Some(minute))
    }

    /// Forgets what is long settled, so that memory follows what goes on.
    pub(super) fn forget(&mut self, now: i64) {
        let until = now - FORGET_MS;
        self.signs.forget(|s| s.settled.is_some() && s.at < until);
        self.faults.forget(|f| !f.live && f.at.since < until);
        let first = self.signs.first();
        self.series.retain(|_, id| *id >= first);
        self.burst.retain(|_, id| *id >= first);
        self.crowd = self.crowd.split_off(&(until.div_euclid(2 * BURST_MS), 0, 0));
        self.reach.forget(until);
        self.forget_places();
        self.forget_names();
        let signs = (self.signs.first()..self.signs.next()).map(|id| &self.signs[id as usize]);
        self.texts.forget(signs.filter_map(|s| s.text.as_deref()));
    }

    /// Forgets names and scopes of which nothing was heard for long, where there are many: some
    /// systems put an id or a time into them, so that each is another.
    fn forget_names(&mut self) {
        let signs = || (self.signs.first()..self.signs.next()).map(|id| &self.signs[id as usize]);
        let mut names: BTreeSet<u32> = signs().map(|s| s.name).collect();
        names.extend(self.burst.keys().map(|(_, _, name, _)| *name));
        names.extend(self.crowd.values().flatten());
        let mut scopes: BTreeSet<u32> = signs().map(|s| s.scope).collect();
        for id in self.faults.first()..self.faults.next() {
            let fault = &self.faults[id as usize];
            scopes.insert(fault.at.scope);
            scopes.extend(fault.scopes.keys());
        }
        scopes.extend(self.changes.values().flatten().filter_map(|(scope, ..)| *scope));
        scopes.extend(self.burst.keys().map(|(scope, ..)| *scope));
        scopes.extend(self.crowd.keys().map(|(_, scope, _)| *scope));
        self.scopes.keep_latest(scopes, MOST_SCOPES);
        for id in self.names.keep_latest(names, MOST_NAMES) {
            self.words.forget(id);
            self.texts.forget_rule(id);
        }
    }

    /// Forgets places that nothing speaks of any more: names of pods come and go.
    fn forget_places(&mut self) {
        let mut used = self.reach.places();
        let signs = || (self.signs.first()..self.signs.next()).map(|id| &self.signs[id as usize]);
        used.extend(signs().map(|s| s.place));
        for id in self.faults.first()..self.faults.next() {
            let fault = &self.faults[id as usize];
            used.insert(fault.at.root);
            used.extend(fault.grafts.iter().map(|g| g.root));
        }
        used.extend(signs().filter_map(|s| s.on));
        used.extend(signs().filter_map(|s| s.text.as_ref()).flat_map(|t| t.named()));
        used.extend(self.changes.keys());
        used.extend(self.crowd.keys().map(|(_, _, place)| *place));
        used.extend(self.burst.keys().map(|(_, place, ..)| *place));
        self.places.keep(&used);
        self.count_ground();
    }
}
