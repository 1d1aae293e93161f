//! A made-up site and a storm on it, of which the truth is known.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Lags are given for a storm of five minutes (ms); a shorter one passes faults on faster.
const USUAL_MS: usize = 300_000;
/// A caller speaks up this long (ms) after what it calls: from, and how much more at most.
const HOP_MS: (usize, usize) = (5_000, 20_000);
/// The alerts of one service begin within this (ms).
const WITHIN_MS: usize = 12_000;
/// A condition is told again within this (ms).
const AGAIN_MS: (usize, usize) = (5_000, 115_000);
/// So many calls away from its root a fault is still felt.
const HOPS: usize = 3;
const FAULTS: usize = 12;
const STRAYS: usize = 300;
/// What callers feel; a root feels it too.
const FELT: [&str; 3] = ["HighErrorRate", "HighLatencyP99", "PodNotReady"];
/// What is wrong at a root, one of these in each fault.
const CAUSES: [&str; 6] = [
    "PodOOMKilled",
    "ReplicationLag",
    "ConnectionsExhausted",
    "PacketLoss",
    "DiskWriteSlow",
    "PodCrashLooping",
];
const ALONE: [&str; 3] = ["DiskFillingUp", "CertExpiry", "CPUThrottling"];

/// Draws (splitmix64).
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    /// One of `0..n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % n as u64) as usize
    }
}

/// How services call each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Four entries, above ten teams of nine services in four layers; one in five of what calls a
    /// store calls one service of another team.
    Grouped,
    /// No teams: each calls one to three of the twenty next.
    Dense,
}

/// Who calls whom.
pub(crate) struct Site {
    pub(crate) names: Vec<String>,
    /// What each calls.
    pub(crate) calls: Vec<Vec<usize>>,
    pub(crate) clusters: usize,
}

impl Site {
    pub(crate) fn drawn(shape: Shape, clusters: usize, draws: &mut Draws) -> Self {
        const ENTRIES: usize = 4;
        const TEAMS: usize = 10;
        /// Members of a team, from its front to its stores.
        const LAYERS: [usize; 4] = [1, 3, 3, 2];
        let team: usize = LAYERS.iter().sum();
        let n = ENTRIES + TEAMS * team;
        let mut calls = vec![Vec::new(); n];
        match shape {
            Shape::Dense => {
                for (i, callees) in calls.iter_mut().enumerate().take(n - 1) {
                    for _ in 0..=draws.below(3) {
                        callees.push(i + 1 + draws.below((n - i - 1).min(20)));
                    }
                }
            }
            Shape::Grouped => {
                for callees in &mut calls[..ENTRIES] {
                    callees.extend((0..4).map(|_| ENTRIES + draws.below(TEAMS) * team));
                }
                for t in 0..TEAMS {
                    let mut from = ENTRIES + t * team;
                    for pair in LAYERS.windows(2) {
                        let to = from + pair[0];
                        for callees in &mut calls[from..to] {
                            for _ in 0..=draws.below(2) {
                                callees.push(to + draws.below(pair[1]));
                            }
                        }
                        // Nobody is called by no one.
                        for callee in to..to + pair[1] {
                            calls[from + draws.below(pair[0])].push(callee);
                        }
                        from = to;
                    }
                    for callees in &mut calls[ENTRIES + t * team + 4..ENTRIES + t * team + 7] {
                        if draws.below(5) == 0 {
                            let other = (t + 1 + draws.below(TEAMS - 1)) % TEAMS;
                            callees.push(ENTRIES + other * team + 1 + draws.below(3));
                        }
                    }
                }
            }
        }
        for callees in &mut calls {
            callees.sort_unstable();
            callees.dedup();
        }
        Self { names: (0..n).map(|i| format!("s{i}")).collect(), calls, clusters }
    }

    /// Who calls each.
    pub(crate) fn callers(&self) -> Vec<Vec<usize>> {
        let mut callers = vec![Vec::new(); self.calls.len()];
        for (caller, callees) in self.calls.iter().enumerate() {
            for callee in callees {
                callers[*callee].push(caller);
            }
        }
        callers
    }

    /// Of how many pairs of services one calls the other, through at most `hops` calls.
    pub(crate) fn reached(&self, hops: usize) -> f64 {
        let n = self.calls.len();
        let reaches = |from: usize| {
            let mut seen = vec![false; n];
            seen[from] = true;
            let mut edge = vec![from];
            for _ in 0..hops {
                edge = edge.iter().flat_map(|s| &self.calls[*s]).copied().collect();
                edge.retain(|s| !std::mem::replace(&mut seen[*s], true));
            }
            seen.iter().filter(|s| **s).count() - 1
        };
        (0..n).map(reaches).sum::<usize>() as f64 / (n * (n - 1) / 2) as f64
    }
}

/// Something that begins to fire.
pub(crate) struct Condition {
    /// When it begins (ms from the start).
    pub(crate) at: usize,
    /// Which fault it is of.
    pub(crate) fault: Option<usize>,
    pub(crate) name: &'static str,
    pub(crate) service: usize,
    pub(crate) cluster: usize,
    pub(crate) pod: String,
}

/// A place of a fault: where, since when (ms), and from which place it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Felt {
    pub(crate) fault: usize,
    pub(crate) at: usize,
    pub(crate) from: Option<usize>,
}

pub(crate) struct Storm {
    pub(crate) site: Site,
    pub(crate) conditions: Vec<Condition>,
    /// When (ms) which condition is told, in order of time.
    pub(crate) told: Vec<(usize, usize)>,
    /// By service and cluster.
    pub(crate) felt: BTreeMap<(usize, usize), Felt>,
    /// How lags go with the length of the storm: 1 for five minutes.
    pub(crate) pace: f64,
}

impl Storm {
    /// Twelve faults, each at a place that none has reached, that pass to callers; a place belongs
    /// to the fault that comes to it first. Then strays, and repeats until there are `n` alerts.
    pub(crate) fn drawn(site: Site, n: usize, ms: usize, draws: &mut Draws) -> Self {
        let pace = ms as f64 / USUAL_MS as f64;
        let paced = |ms: usize| (ms as f64 * pace) as usize;
        let callers = site.callers();
        let roots: Vec<usize> = (0..callers.len()).filter(|s| !callers[*s].is_empty()).collect();
        // Whichever comes first: a beginning, of which the place is still to be drawn, or an arrival.
        let mut next = BinaryHeap::new();
        for fault in 0..FAULTS {
            next.push(Reverse((draws.below(ms * 55 / 100), fault, None)));
        }
        let mut felt: BTreeMap<(usize, usize), Felt> = BTreeMap::new();
        let mut conditions = Vec::new();
        let mut causes = [CAUSES[0]; FAULTS];
        let pods = (n / 1_000).max(2);
        while let Some(Reverse((at, fault, arrives))) = next.pop() {
            let (service, cluster, far, from) = arrives.unwrap_or_else(|| {
                let free = |place: &(usize, usize)| !felt.contains_key(place);
                let drawn = std::iter::repeat_with(|| {
                    (roots[draws.below(roots.len())], draws.below(site.clusters))
                });
                let mut drawn = drawn.filter(free);
                let (service, cluster) = drawn.next().unwrap_or_default();
                (service, cluster, 0, None)
            });
            if at >= ms || felt.contains_key(&(service, cluster)) {
                continue;
            }
            felt.insert((service, cluster), Felt { fault, at, from });
            if far == 0 {
                causes[fault] = CAUSES[draws.below(CAUSES.len())];
            }
            let own = (far == 0).then_some(causes[fault]);
            for pod in 0..pods / 2 + draws.below(pods) {
                for name in own.iter().chain(&FELT) {
                    let at = at + draws.below(paced(WITHIN_MS).max(1));
                    let pod = format!("s{service}-c{cluster}-{pod}");
                    conditions.push(Condition {
                        at,
                        fault: Some(fault),
                        name,
                        service,
                        cluster,
                        pod,
                    });
                }
            }
            for caller in callers[service].iter().filter(|_| far < HOPS) {
                if draws.below(4) > 0 {
                    let at = at + paced(HOP_MS.0) + draws.below(paced(HOP_MS.1).max(1));
                    let place = (*caller, cluster, far + 1, Some(service));
                    next.push(Reverse((at, fault, Some(place))));
                }
            }
        }
        for stray in 0..STRAYS.min(n / 20) {
            let (name, service) = (ALONE[draws.below(3)], draws.below(site.names.len()));
            let (at, cluster) = (draws.below(ms), draws.below(site.clusters));
            let pod = format!("s{service}-x{stray}");
            conditions.push(Condition { at, fault: None, name, service, cluster, pod });
        }
        conditions.retain(|c| c.at < ms);
        let mut told: Vec<(usize, usize)> =
            conditions.iter().enumerate().map(|(i, c)| (c.at, i)).collect();
        while told.len() < n {
            let i = draws.below(conditions.len());
            let later = paced(AGAIN_MS.0) + draws.below(paced(AGAIN_MS.1).max(1));
            told.push(((conditions[i].at + later).min(ms - 1), i));
        }
        told.sort_unstable();
        Self { site, conditions, told, felt, pace }
    }

    /// Of the places that a fault passed on to, in how many nothing tells which fault it was: places
    /// of other faults that they call spoke in time too.
    pub(crate) fn undecided(&self) -> (usize, usize) {
        let range = |lag: f64| {
            let from = HOP_MS.0 as f64 * self.pace;
            (from..=from + HOP_MS.1 as f64 * self.pace + 1.0).contains(&lag)
        };
        let passed = || self.felt.iter().filter(|(_, felt)| felt.from.is_some());
        let two = passed().filter(|((service, cluster), felt)| {
            self.site.calls[*service].iter().any(|callee| {
                self.felt.get(&(*callee, *cluster)).is_some_and(|below| {
                    below.fault != felt.fault && range(felt.at as f64 - below.at as f64)
                })
            })
        });
        (two.count(), passed().count())
    }

    /// To which fault each condition is likeliest to belong, told by who knows where and when each
    /// fault began, who calls whom and how lags are: place after place, by what they call that spoke
    /// in time, as it was itself told apart; of two alike the one that spoke last. What belongs to
    /// no fault is known too.
    pub(crate) fn likeliest(&self) -> Vec<(usize, String)> {
        let (from, more) = (HOP_MS.0 as f64 * self.pace, HOP_MS.1 as f64 * self.pace + 1.0);
        let mut order: Vec<_> = self.felt.iter().collect();
        order.sort_unstable_by_key(|(place, felt)| (felt.at, **place));
        let mut home: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for ((service, cluster), felt) in order {
            // Lags are alike likely within their bounds: each that spoke in time counts the same.
            let mut votes: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
            for callee in &self.site.calls[*service] {
                let place = (*callee, *cluster);
                let Some(below) = self.felt.get(&place).filter(|below| below.at < felt.at) else {
                    continue;
                };
                let lag = felt.at as f64 - below.at as f64;
                if let Some(fault) = home.get(&place)
                    && (from..=from + more).contains(&lag)
                {
                    let vote = votes.entry(*fault).or_default();
                    *vote = (vote.0 + 1, vote.1.max(below.at));
                }
            }
            let likeliest = votes.iter().max_by_key(|(_, vote)| **vote).map(|(fault, _)| *fault);
            let fault = likeliest.filter(|_| felt.from.is_some()).unwrap_or(felt.fault);
            home.insert((*service, *cluster), fault);
        }
        let told = self.conditions.iter().enumerate().map(|(i, c)| {
            let fault = c.fault.and_then(|_| home.get(&(c.service, c.cluster)));
            (i, fault.map_or_else(|| format!("stray {i}"), |fault| format!("fault {fault}")))
        });
        told.collect()
    }
}
