//! Who may follow if an incident goes on: how likely, when, and what backs it. Pure but for the reading
//! of earlier incidents (`history`).
//!
//! Looked at is who depends on the likely cause, over those in trouble and up to three hops past them.
//! How likely one follows what it depends on comes from the earlier incidents in which that was in
//! trouble (`chance`), drawn towards what its calls say; without any from its calls alone; else it is not
//! known. A service beyond one that is not in trouble yet follows if that one follows and it follows that
//! one: chances are multiplied. Where it was seen often enough after the likely cause itself, that counts
//! instead. A service that had an incident of its own meanwhile followed too, unless something there
//! explains it (`history`). Of several ways the likeliest is told, so that nothing is counted twice.
//!
//! When it follows comes from the lags of earlier times, else from how fast this incident spread from one
//! to the next, else from how fast earlier ones did; else it is not claimed. That it did not follow yet
//! makes it less likely (`lag`).

mod chance;
mod history;
mod lag;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::history::{History, KeptHistory};
pub(super) use self::words::likely;

use self::chance::{ByCalls, bounded, of_times};
use self::lag::{Lags, still};
use super::calls::Flows;
use super::faces::Face;
use crate::model::diagnosis::{Expected, FollowBasis, FollowLag, Follower, LagBasis, Reach};
use crate::model::{EntityRef, Graph, Time};

/// Hops past those in trouble over which trouble may follow.
const HOPS: u32 = 3;
/// Entities in trouble that are gone through, and others that are looked at: the nearest.
const MOST_TROUBLED: usize = 5_000;
const MOST_REACHED: usize = 500;
/// Of which a chance is worked out, the nearest; and that are kept, the likeliest.
const MOST_JUDGED: usize = 200;
const MOST_KEPT: usize = 40;
/// Ways by which one is reached that are looked at.
const MOST_WAYS: usize = 8;
/// Hops from the likely cause that are counted for the time that trouble takes.
const MOST_STEPS: usize = 4;
/// Times after the likely cause itself from which on that counts.
const FEWEST_DIRECT: u32 = 3;
/// All times here from which on their share is a prior.
const FEWEST_TOGETHER: u32 = 5;
/// Lags of this incident that count.
const MOST_LAGS: usize = 200;

/// What is known of how trouble spreads, besides the graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Earlier incidents.
    pub(super) history: History,
    /// Calls around the onset.
    pub(super) flows: Flows,
    /// The graph of now, where it has more than the one by which the fault came.
    pub(super) graph_now: Option<Graph>,
}

/// What goes on.
pub(super) struct Scene<'a> {
    /// Who depends on whom.
    pub(super) graph: &'a Graph,
    /// The likely cause.
    pub(super) cause: &'a EntityRef,
    /// Since when each is in trouble, the likely cause among them.
    pub(super) troubled: &'a BTreeMap<EntityRef, Time>,
    /// What is known besides.
    pub(super) known: &'a Known,
    /// Now.
    pub(super) now: Time,
}

/// Who depends on the likely cause and shows no trouble yet, with its hops from what does; the nearest
/// first, then by name.
pub(super) fn reached(
    graph: &Graph,
    cause: &EntityRef,
    is_troubled: impl Fn(&EntityRef) -> bool,
) -> Vec<(EntityRef, u32)> {
    let mut found: Vec<(EntityRef, u32)> = Vec::new();
    let mut seen: BTreeSet<EntityRef> = [cause.clone()].into();
    let mut level = vec![cause.clone()];
    let mut n_troubled = 0;
    for hop in 1..=HOPS {
        let mut next = BTreeSet::new();
        while let Some(at) = level.pop() {
            for (above, _) in graph.dependents(&at) {
                if seen.contains(above) {
                    continue;
                }
                // Whoever is in trouble itself is no hop further away.
                if is_troubled(above) && n_troubled < MOST_TROUBLED {
                    n_troubled += 1;
                    seen.insert(above.clone());
                    level.push(above.clone());
                } else if !is_troubled(above) {
                    next.insert(above.clone());
                }
            }
        }
        for entity in next {
            if found.len() < MOST_REACHED && seen.insert(entity.clone()) {
                found.push((entity.clone(), hop));
                level.push(entity);
            }
        }
    }
    found
}

/// How one follows another.
struct Way {
    chance: Expected,
    basis: FollowBasis,
    times: (u32, u32),
    by_calls: Option<ByCalls>,
    lags: Option<Lags>,
}

/// What holds for all of them.
struct Common {
    /// The prior's mean where calls say nothing.
    prior: f64,
    /// How fast this incident spread so far.
    spread: Option<Lags>,
    /// How fast earlier ones did.
    site: Option<Lags>,
}

impl Common {
    fn of(scene: &Scene<'_>) -> Self {
        let together = scene.known.history.together(scene.graph);
        let site = Lags::of(&together.lags, LagBasis::Site);
        let (k, n) = together.times(site.as_ref().map(Lags::median_ms));
        let share = f64::from(1 + k) / f64::from(2 + n);
        let prior = if n < FEWEST_TOGETHER { 0.5 } else { share };
        Self { prior, spread: Lags::of(&lags_so_far(scene), LagBasis::Spread), site }
    }
}

/// How long (ms) after the last of what it depends on each got into trouble.
fn lags_so_far(scene: &Scene<'_>) -> Vec<i64> {
    let lag = |(who, at): (&EntityRef, &Time)| {
        let below = scene.graph.dependencies(who).filter_map(|(e, _)| scene.troubled.get(e));
        below.filter(|t| *t <= at).map(|t| at.ms_since(*t)).min()
    };
    let others = scene.troubled.iter().filter(|(e, _)| *e != scene.cause);
    others.filter_map(lag).take(MOST_LAGS).collect()
}

fn way(
    scene: &Scene<'_>,
    common: &Common,
    (who, other): (&EntityRef, &EntityRef),
    hurt_below: Option<f64>,
) -> Option<Way> {
    let counted = scene.known.history.after(scene.graph, who, other);
    let own = Lags::of(&counted.lags, LagBasis::History);
    let usual = own.as_ref().or(common.site.as_ref()).map(Lags::median_ms);
    let times = counted.times(usual);
    let flows = &scene.known.flows;
    let by_calls = flows.share(who, other).and_then(|share| match hurt_below {
        // Not in trouble yet: its requests will be hurt as its own calls are.
        Some(hurt) => Some(ByCalls { share, hurt }),
        None => flows.calls(who, other).map(|calls| ByCalls::of(calls, share)),
    });
    let prior = by_calls.map(ByCalls::chance);
    let lags = own.or_else(|| common.spread.clone()).or_else(|| common.site.clone());
    let basis = match (times.1, prior) {
        (0, None) => return None,
        (0, Some(_)) => FollowBasis::Calls,
        _ => FollowBasis::History,
    };
    let chance = of_times(times, prior.unwrap_or(common.prior));
    Some(Way { chance, basis, times, by_calls, lags })
}

/// Nothing known of one.
fn unknown(entity: EntityRef, through: EntityRef, n_hops: u32) -> Follower {
    Follower {
        entity,
        through,
        n_hops,
        chance: None,
        chance_at_first: None,
        basis: FollowBasis::Unknown,
        n_followed: 0,
        n_times: 0,
        call_ratio: None,
        hurt_ratio: None,
        lag: None,
        since: None,
        expected_at: None,
        expected_between: None,
        overdue: false,
        requests: None,
        because: String::new(),
        text: String::new(),
    }
}

/// As one follows another that is in trouble since `since`, at `now`.
fn after_troubled(base: Follower, way: Way, since: Time, now: Time) -> Follower {
    let elapsed = now.ms_since(since).max(0);
    let waiting = way.lags.as_ref().map_or(1.0, |lags| lags.waiting(elapsed));
    let now_still = |p: f64| still(p, waiting);
    let e = way.chance;
    let chance =
        Expected { mean: now_still(e.mean), low: now_still(e.low), high: now_still(e.high) };
    let lag = way.lags.as_ref().map(Lags::told);
    let when = way.lags.as_ref().map(|lags| lags.when(since, elapsed));
    Follower {
        chance: Some(bounded(chance)),
        chance_at_first: Some(e.mean),
        basis: way.basis,
        n_followed: way.times.0,
        n_times: way.times.1,
        call_ratio: way.by_calls.map(|c| c.share),
        hurt_ratio: way.by_calls.map(|c| c.hurt),
        overdue: lag.as_ref().is_some_and(|l| elapsed > l.high_ms),
        expected_at: when.map(|(at, _)| at),
        expected_between: when.map(|(_, between)| between),
        lag,
        since: Some(since),
        ..base
    }
}

/// As one follows another that may follow itself.
fn after_follower(base: Follower, way: Way, other: &Follower) -> Option<Follower> {
    let (p, q) = (other.chance?, way.chance);
    let chance = Expected { mean: p.mean * q.mean, low: p.low * q.low, high: p.high * q.high };
    let lag: Option<FollowLag> = way.lags.as_ref().map(Lags::told);
    let when = other.expected_at.zip(other.expected_between).zip(lag.as_ref());
    let when = when.map(|((at, (from, until)), lag)| {
        (at.plus_ms(lag.median_ms), (from.plus_ms(lag.low_ms), until.plus_ms(lag.high_ms)))
    });
    Some(Follower {
        chance: Some(bounded(chance)),
        chance_at_first: other.chance_at_first.map(|first| first * q.mean),
        basis: way.basis,
        n_followed: way.times.0,
        n_times: way.times.1,
        call_ratio: way.by_calls.map(|c| c.share),
        hurt_ratio: way.by_calls.map(|c| c.hurt),
        overdue: other.overdue,
        expected_at: when.map(|(at, _)| at),
        expected_between: when.map(|(_, between)| between),
        lag,
        ..base
    })
}

/// How likely those reached are to follow, and when; the likeliest first, those of whom it is not known
/// last.
pub(super) fn followers(scene: &Scene<'_>, reached: &[(EntityRef, u32)]) -> Vec<Follower> {
    if reached.is_empty() {
        return Vec::new();
    }
    let common = Common::of(scene);
    let mut judged: BTreeMap<&EntityRef, Follower> = BTreeMap::new();
    for (entity, hops) in reached.iter().take(MOST_JUDGED) {
        let follower = judge(scene, &common, (entity, *hops), &judged);
        judged.insert(entity, follower);
    }
    let mut found: Vec<Follower> = judged.into_values().collect();
    let chance = |f: &Follower| f.chance.map_or(-1.0, |c| c.mean);
    found.sort_by(|a, b| {
        let likelier = chance(b).total_cmp(&chance(a));
        likelier.then(a.n_hops.cmp(&b.n_hops)).then_with(|| a.entity.cmp(&b.entity))
    });
    found.truncate(MOST_KEPT);
    found
}

fn judge(
    scene: &Scene<'_>,
    common: &Common,
    (entity, hops): (&EntityRef, u32),
    judged: &BTreeMap<&EntityRef, Follower>,
) -> Follower {
    let mut best: Option<Follower> = None;
    let mut through: Option<&EntityRef> = None;
    let below = scene.graph.dependencies(entity).map(|(e, _)| e);
    let ways = below.filter_map(|other| {
        let since = scene.troubled.get(other).copied();
        let nearer = judged.get(other).filter(|f| f.n_hops < hops);
        (since.is_some() || nearer.is_some()).then_some((other, since, nearer))
    });
    for (other, since, nearer) in ways.take(MOST_WAYS) {
        through = through.or(Some(other));
        let base = unknown(entity.clone(), other.clone(), hops);
        // Its own requests are hurt by as much as those that it makes are.
        let hurt = nearer.and_then(|f| Some(f.call_ratio? * f.hurt_ratio?));
        let found = match (since, nearer) {
            (Some(since), _) => way(scene, common, (entity, other), None)
                .map(|way| after_troubled(base, way, since, scene.now)),
            (None, Some(nearer)) => way(scene, common, (entity, other), Some(hurt.unwrap_or(0.0)))
                .filter(|way| hurt.is_some() || way.basis == FollowBasis::History)
                .and_then(|way| after_follower(base, way, nearer)),
            (None, None) => None,
        };
        let Some(found) = found else { continue };
        let mean = |f: &Follower| f.chance.map_or(0.0, |c| c.mean);
        if best.as_ref().is_none_or(|b| mean(&found) > mean(b)) {
            best = Some(found);
        }
    }
    let is_seen = |f: &Follower| f.basis == FollowBasis::History && f.since.is_some();
    if !best.as_ref().is_some_and(is_seen) {
        let direct = way(scene, common, (entity, scene.cause), None);
        let direct = direct.filter(|way| way.times.1 >= FEWEST_DIRECT);
        let since = scene.troubled.get(scene.cause);
        if let Some((mut way, since)) = direct.zip(since) {
            // How fast trouble spreads from one to the next is told for each hop.
            let steps = scene.graph.distance(entity, scene.cause, MOST_STEPS).unwrap_or(MOST_STEPS);
            way.lags = way.lags.map(|lags| lags.over(steps as u32));
            let base = unknown(entity.clone(), scene.cause.clone(), hops);
            return after_troubled(base, way, *since, scene.now);
        }
    }
    let through = through.unwrap_or(scene.cause);
    best.unwrap_or_else(|| unknown(entity.clone(), through.clone(), hops))
}

/// Adds to `reach` who may follow, whom of the users that touches, and tells it.
pub(super) fn tell(
    reach: &mut Reach,
    scene: &Scene<'_>,
    hops: &[(EntityRef, u32)],
    faces: &[Face],
) {
    reach.followers = followers(scene, hops);
    let mut all = Expected { mean: 0.0, low: 0.0, high: 0.0 };
    let mut touched = Vec::new();
    for follower in &mut reach.followers {
        let face = faces.iter().find(|f| f.entity == follower.entity);
        let rate = face.and_then(|f| f.rate).map(|(_, rate)| rate).filter(|rate| *rate > 0.0);
        if let Some((rate, chance)) = rate.zip(follower.chance) {
            let requests = Expected {
                mean: rate * chance.mean,
                low: rate * chance.low,
                high: rate * chance.high,
            };
            follower.requests = Some(requests);
            // Means add up whatever depends on whom; bounds that are added are bounds.
            all.mean += requests.mean;
            all.low += requests.low;
            all.high += requests.high;
            touched.push((follower.entity.clone(), rate));
        }
        follower.because = words::backing(follower);
        follower.text = words::sentence(follower);
    }
    reach.requests_ahead = (!touched.is_empty()).then_some(all);
    let not_judged = reach.may_follow.len().saturating_sub(reach.followers.len());
    reach.forecasts.extend(words::told(&reach.followers, not_judged));
    reach.forecasts.extend(reach.requests_ahead.and_then(|all| words::users(all, &touched)));
    let known = words::business(&scene.known.history, scene.cause, &reach.business);
    reach.forecasts.extend(known);
}
