//! Whether who is told to follow with 70 % follows in 70 % of the cases, and in the time that is told: on
//! simulated faults that spread through random graphs. What is told by calls alone was fitted on the first
//! generator; the second has other graphs, lags of another form, detection that lags, misses and strays,
//! and habits that change half-way through its history.
//!
//! The figures: `cargo test --lib diagnose::spread::tests::calibration -- --nocapture`.

use super::*;
use crate::stats::Draws;

/// Sites of each generator, and looks at a fault of each.
const SITES: u64 = 400;
const LOOKS: usize = 4;
const BINS: usize = 10;

/// How a family of sites differs from another.
struct Family {
    seed: u64,
    /// Services.
    n: (f64, f64),
    /// Share of the callers that can do without an answer.
    spared: f64,
    /// Earlier incidents, at most.
    most: f64,
    /// Whether lags are an exponential past a detector's delay, not log-normal.
    delayed: bool,
    /// Share of troubles that are missed, and of strangers in trouble by chance.
    missed: f64,
    strays: f64,
    /// Share of the callers whose habit changes half-way through the history.
    changed: f64,
    /// Share of those who follow that grouping gave an incident of their own; strays have one then too.
    apart: f64,
}

const FIRST: Family = Family {
    seed: 1,
    n: (5.0, 20.0),
    spared: 0.3,
    most: 24.0,
    delayed: false,
    missed: 0.0,
    strays: 0.0,
    changed: 0.0,
    apart: 0.0,
};
const SECOND: Family = Family {
    seed: 2,
    n: (8.0, 40.0),
    spared: 0.4,
    most: 40.0,
    delayed: true,
    missed: 0.05,
    strays: 0.01,
    changed: 0.15,
    apart: 0.0,
};
/// As the second, where grouping keeps some apart from what they followed.
const APART: Family = Family { seed: 3, apart: 0.3, strays: 0.03, ..SECOND };

/// How one calls another.
#[derive(Clone)]
struct Habit {
    from: usize,
    to: usize,
    /// Share of its requests that do.
    share: f64,
    /// Share of its requests that must be hurt for trouble to show, before and after a change.
    bears: (f64, f64),
    median_s: f64,
    sigma: f64,
}

/// A fault: since when (s) each is in trouble, and which share of its answers is bad.
type Fault = BTreeMap<usize, (f64, f64)>;

struct Site {
    n: usize,
    habits: Vec<Habit>,
}

impl Site {
    fn new(family: &Family, d: &mut Draws) -> Self {
        let n = d.between(family.n.0, family.n.1) as usize;
        let mut habits = Vec::new();
        for to in 1..n {
            let mut callers = BTreeSet::new();
            for _ in 0..=(d.uniform() * 2.5) as usize {
                callers.insert((d.uniform() * to as f64) as usize);
            }
            for from in callers {
                let bears = |d: &mut Draws| {
                    let spared = d.uniform() < family.spared;
                    if spared { d.between(0.5, 2.0) } else { d.between(0.005, 0.06) }
                };
                let first = bears(d);
                let then = if d.uniform() < family.changed { bears(d) } else { first };
                let median_s = 100.0 * (0.7 * d.normal()).exp();
                let (share, sigma) = (d.uniform().max(0.02), d.between(0.25, 0.6));
                habits.push(Habit { from, to, share, bears: (first, then), median_s, sigma });
            }
        }
        Self { n, habits }
    }

    /// A fault at `root` as it spreads for `lasts_s`.
    fn fault(
        &self,
        root: usize,
        lasts_s: f64,
        late: bool,
        family: &Family,
        d: &mut Draws,
    ) -> Fault {
        let mut found: Fault = [(root, (0.0, d.between(0.05, 1.0)))].into();
        // Callees have greater numbers: every caller is worked out after whom it calls.
        for who in (0..root).rev() {
            for habit in self.habits.iter().filter(|h| h.from == who) {
                let Some((at, bad)) = found.get(&habit.to).copied() else { continue };
                let hurt = habit.share * bad;
                let bears = if late { habit.bears.1 } else { habit.bears.0 };
                let lag = if family.delayed {
                    d.between(15.0, 60.0) + habit.median_s * d.exponential()
                } else {
                    habit.median_s * (habit.sigma * d.normal()).exp()
                };
                if hurt < bears * (0.4 * d.normal()).exp() || at + lag > lasts_s {
                    continue;
                }
                let sooner = found.get(&who).is_none_or(|(known, _)| at + lag < *known);
                if sooner {
                    found.insert(who, (at + lag, hurt.min(1.0)));
                }
            }
        }
        found
    }
}

fn node(i: usize) -> EntityRef {
    service(&format!("s{i:02}"))
}

fn seconds(s: f64) -> Time {
    at(0).plus_ms((s * 1e3) as i64)
}

/// What was told of one, and what became of it.
struct Shown {
    follower: Follower,
    /// When it followed, if it did.
    followed: Option<Time>,
}

/// With `beside`, incidents of the same time are looked at for who followed.
fn looks(family: &Family, beside: bool, site_seed: u64) -> Vec<Shown> {
    let mut d = Draws::new(family.seed << 32 | site_seed);
    let site = Site::new(family, &mut d);
    let mut graph = Graph::default();
    for habit in &site.habits {
        graph.add(node(habit.from), node(habit.to), EdgeKind::Calls);
    }
    let n_before = (d.uniform() * family.most) as usize;
    let pick = |d: &mut Draws| 1 + (d.uniform() * (site.n - 1) as f64) as usize;
    let favourite = pick(&mut d);
    let root = |d: &mut Draws| if d.uniform() < 0.3 { favourite } else { pick(d) };
    let mut all = Vec::new();
    for i in 0..n_before {
        let from = root(&mut d);
        let lasts = 1_500.0 * (0.8 * d.normal()).exp();
        let mut fault = site.fault(from, lasts, 2 * i >= n_before, family, &mut d);
        fault.retain(|_, _| d.uniform() >= family.missed);
        let mut strays = BTreeSet::new();
        for stray in 0..site.n {
            if d.uniform() < family.strays {
                let at = d.between(0.0, lasts);
                if let std::collections::btree_map::Entry::Vacant(free) = fault.entry(stray) {
                    free.insert((at, 0.1));
                    strays.insert(stray);
                }
            }
        }
        // Each on a day of its own.
        let day = 86_400.0 * (i as f64 - n_before as f64);
        let of = |who: usize, s: f64| (node(who), (seconds(day + s), seconds(day + lasts)));
        let own = |d: &mut Draws| family.apart > 0.0 && d.uniform() < family.apart;
        let is_stray = |who: usize| strays.contains(&who);
        let mut troubles = BTreeMap::new();
        for (who, (s, _)) in &fault {
            if family.apart > 0.0 && is_stray(*who) || *who != from && own(&mut d) {
                let alone = [of(*who, *s)].into();
                all.insert(0, Arc::new(Earlier { troubles: alone, ..Earlier::default() }));
            } else {
                troubles.extend([of(*who, *s)]);
            }
        }
        all.insert(0, Arc::new(Earlier { troubles, ..Earlier::default() }));
    }
    let history = if beside { History::of(all) } else { History { all, ..History::default() } };
    let with_calls = d.uniform() < 0.5;
    let mut shown = Vec::new();
    for _ in 0..LOOKS {
        let from = root(&mut d);
        let fault = site.fault(from, f64::INFINITY, true, family, &mut d);
        let now = 20.0 + 300.0 * d.exponential();
        let troubled: BTreeMap<EntityRef, Time> = fault
            .iter()
            .filter(|(i, (s, _))| **i == from || *s <= now)
            .map(|(i, (s, _))| (node(*i), seconds(*s)))
            .collect();
        let mut by_edge = crate::diagnose::CallsByEdge::new();
        let mut before = Vec::new();
        for habit in site.habits.iter().filter(|_| with_calls) {
            let n = (1_000.0 * habit.share) as u64;
            // What users send comes in by the first without a caller.
            let stats =
                |from, to, n| EdgeStats { from, to, n, n_failed: 0, mean_ms: 9.0, max_ms: 9.0 };
            before.push(stats(node(habit.from), node(habit.to), n));
            let bad = fault.get(&habit.to).filter(|(s, _)| *s <= now).map_or(0.0, |(_, bad)| *bad);
            let n_failed = (0..n).filter(|_| d.uniform() < bad).count() as u64;
            let calls = Calls {
                n,
                n_failed,
                mean_ms: 9.0,
                n_before: n,
                n_failed_before: 0,
                mean_before_ms: 9.0,
            };
            if n >= 8 {
                by_edge.insert((node(habit.from), node(habit.to)), calls);
            }
        }
        if with_calls {
            let outside = |i| EdgeStats {
                from: service("users"),
                to: node(i),
                n: 1_000,
                n_failed: 0,
                mean_ms: 9.0,
                max_ms: 9.0,
            };
            let answered: BTreeMap<usize, u64> =
                site.habits.iter().fold(BTreeMap::new(), |mut all, h| {
                    *all.entry(h.to).or_default() += (1_000.0 * h.share) as u64;
                    all
                });
            let more = |i: usize| 1_000_u64.saturating_sub(answered.get(&i).copied().unwrap_or(0));
            before.extend((0..site.n).map(|i| EdgeStats { n: more(i), ..outside(i) }));
        }
        let known = Known {
            history: history.clone(),
            flows: Flows::of(before, by_edge),
            ..Known::default()
        };
        let cause = node(from);
        let hops = reached(&graph, &cause, |e| troubled.contains_key(e));
        let scene = Scene {
            graph: &graph,
            cause: &cause,
            troubled: &troubled,
            known: &known,
            now: seconds(now),
        };
        let at_end: BTreeMap<EntityRef, Time> =
            fault.iter().map(|(i, (s, _))| (node(*i), seconds(*s))).collect();
        shown.extend(followers(&scene, &hops).into_iter().map(|follower| {
            let followed = at_end.get(&follower.entity).copied();
            Shown { follower, followed }
        }));
    }
    shown
}

/// What was measured of those with a chance.
#[derive(Debug)]
struct Measured {
    n: usize,
    base: f64,
    told: f64,
    /// Expected calibration error in ten bins of the same width (Naeini et al. 2015).
    error: f64,
    brier: f64,
    brier_base: f64,
    /// Of those that followed: whether in the interval told.
    covered: (usize, usize),
}

fn measured<'a>(shown: impl Iterator<Item = &'a Shown>) -> Measured {
    let all: Vec<&Shown> = shown.filter(|s| s.follower.chance.is_some()).collect();
    let n = all.len().max(1) as f64;
    let chance = |s: &Shown| s.follower.chance.map_or(0.0, |c| c.mean);
    let truth = |s: &Shown| f64::from(u8::from(s.followed.is_some()));
    let base = all.iter().map(|s| truth(s)).sum::<f64>() / n;
    let mut bins = [(0.0, 0.0); BINS];
    for s in &all {
        let bin = &mut bins[((chance(s) * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + chance(s), bin.1 + truth(s));
    }
    let timed = all.iter().filter_map(|s| s.followed.zip(s.follower.expected_between));
    let within = timed.clone().filter(|(at, (from, until))| (from..=until).contains(&at));
    Measured {
        n: all.len(),
        base,
        told: all.iter().map(|s| chance(s)).sum::<f64>() / n,
        error: bins.iter().map(|(told, true_)| (told - true_).abs()).sum::<f64>() / n,
        brier: all.iter().map(|s| (chance(s) - truth(s)).powi(2)).sum::<f64>() / n,
        brier_base: base * (1.0 - base),
        covered: (within.count(), timed.count()),
    }
}

fn printed(name: &str, m: &Measured) {
    println!(
        "{name:34} n {:5} followed {:.3} told {:.3} error {:.3} Brier {:.3} ({:.3}) time {}/{}",
        m.n, m.base, m.told, m.error, m.brier, m.brier_base, m.covered.0, m.covered.1
    );
}

fn family(name: &str, family: &Family, beside: bool) -> Measured {
    let shown: Vec<Shown> = (1..=SITES).flat_map(|seed| looks(family, beside, seed)).collect();
    let all = measured(shown.iter());
    printed(name, &all);
    for (what, basis) in [("history", FollowBasis::History), ("calls", FollowBasis::Calls)] {
        let of = |s: &&Shown| s.follower.basis == basis;
        printed(&format!("  by {what}"), &measured(shown.iter().filter(of)));
    }
    for hops in 1..=3 {
        let of = |s: &&Shown| s.follower.n_hops == hops;
        printed(&format!("  {hops} hops"), &measured(shown.iter().filter(of)));
    }
    for basis in [LagBasis::History, LagBasis::Spread, LagBasis::Site] {
        let of = |s: &&Shown| s.follower.lag.as_ref().is_some_and(|l| l.basis == basis);
        printed(&format!("  time by {basis:?}"), &measured(shown.iter().filter(of)));
    }
    for bin in 0..BINS {
        let of = |s: &&Shown| {
            let chance = s.follower.chance.map_or(-1.0, |c| c.mean);
            (chance * BINS as f64).floor() == bin as f64
        };
        let m = measured(shown.iter().filter(of));
        println!(
            "    from {:.1}: {:5} told {:.2} followed {:.2}",
            bin as f64 / 10.0,
            m.n,
            m.told,
            m.base
        );
    }
    let truth = |s: &Shown| f64::from(u8::from(s.followed.is_some()));
    let first: Vec<f64> = shown
        .iter()
        .filter_map(|s| Some((s.follower.chance_at_first? - truth(s)).powi(2)))
        .collect();
    let brier = first.iter().sum::<f64>() / first.len().max(1) as f64;
    println!("  without the time that has passed: Brier {brier:.3}");
    let unknown = shown.iter().filter(|s| s.follower.chance.is_none()).count();
    println!("  not known: {unknown}");
    all
}

#[test]
fn what_is_told_to_follow_follows_about_as_often() {
    let first = family("first generator", &FIRST, true);
    let second = family("second generator", &SECOND, true);
    for m in [first, second] {
        assert!(m.error < 0.08, "{m:?}");
        assert!(m.brier < 0.8 * m.brier_base, "{m:?}");
        let covered = m.covered.0 as f64 / m.covered.1 as f64;
        assert!((0.7..0.95).contains(&covered), "{m:?}");
    }
}

#[test]
fn incidents_of_the_same_time_tell_who_followed_where_grouping_kept_it_apart() {
    let without = family("kept apart, each incident alone", &APART, false);
    let with = family("kept apart, beside each other", &APART, true);
    assert!(with.error < without.error && with.brier < without.brier, "{with:?} {without:?}");
    assert!(with.error < 0.08, "{with:?}");
}
