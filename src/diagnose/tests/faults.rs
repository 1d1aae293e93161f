//! Made-up systems with a known fault, as the live ranking sees them: alerts with their scores and
//! onsets, changes, calls along edges, log templates, earlier incidents, and series that go through
//! the same weighing as stored ones. What goes wrong is worked out along the graph first; what is
//! told of it follows, with noise, delays, strays and losses.

mod early;
mod told;

use super::*;
use early::Stored;
pub(super) use early::first_look;

/// What one generator makes of its dice.
#[derive(Clone, Copy)]
pub(super) struct Family {
    /// Kinds of faults that it draws from.
    pub kinds: &'static [Fault],
    /// Services, least and most.
    pub services: (usize, usize),
    /// Callers that a service may have.
    pub callers: usize,
    /// Share of services that hang off the first few.
    pub star: f64,
    /// Times by which a fault makes things worse, least and most.
    pub strength: (f64, f64),
    /// Share of alerts that never come.
    pub lost: f64,
    /// Mean number of alerts that have nothing to do with it.
    pub strays: f64,
    /// Most changes that have nothing to do with it.
    pub decoys: usize,
    /// Share of changes that nobody tells of.
    pub untold: f64,
    /// Share of calls that the graph lacks.
    pub unknown_edges: f64,
    /// Share of alerts that another system raised, late.
    pub external: f64,
    /// Spread of a series, as a share of its level, least and most.
    pub noise: (f64, f64),
    /// Times of one kind of service's sampling (s).
    pub step: i64,
    /// Share of faults after which callers ask again, and so two to three times as often.
    pub again: f64,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    SlowCode,
    FailingCode,
    SlowStore,
    Pool,
    Policy,
    Node,
    Short,
    Failing,
    Surge,
    Overload,
    /// Outside of everything that is known: none of the candidates is right.
    Unseen,
    Schema,
    Leak,
}

use Fault::{
    Failing, FailingCode, Leak, Node, Overload, Policy, Pool, Schema, Short, SlowCode, SlowStore,
    Surge, Unseen,
};

/// What the curve is fitted on.
pub(super) const FIRST: Family = Family {
    kinds: &[
        SlowCode,
        FailingCode,
        SlowStore,
        Pool,
        Policy,
        Node,
        Short,
        Failing,
        Surge,
        Overload,
        Unseen,
    ],
    services: (6, 24),
    callers: 2,
    star: 0.0,
    strength: (1.4, 12.0),
    lost: 0.1,
    strays: 0.4,
    decoys: 3,
    untold: 0.1,
    unknown_edges: 0.04,
    external: 0.15,
    noise: (0.05, 0.25),
    step: 15,
    again: 0.3,
};

/// What it is measured on: other graphs, weaker and other faults, more noise, less that is told.
pub(super) const SECOND: Family = Family {
    kinds: &[
        SlowCode,
        FailingCode,
        SlowStore,
        Pool,
        Policy,
        Node,
        Short,
        Failing,
        Surge,
        Overload,
        Unseen,
        Schema,
        Leak,
    ],
    services: (5, 40),
    callers: 3,
    star: 0.4,
    strength: (1.25, 15.0),
    lost: 0.15,
    strays: 0.7,
    decoys: 5,
    untold: 0.15,
    unknown_edges: 0.08,
    external: 0.4,
    noise: (0.05, 0.4),
    step: 30,
    again: 0.4,
};

/// A fault with all that is told of it.
pub(super) struct Made {
    pub fault: Fault,
    /// Where it sits; `None` where nothing known is the cause.
    pub root: Option<EntityRef>,
    /// Whether its callers ask again for what fails or comes too late there.
    pub again: bool,
    pub input: Input,
    stored: Option<Stored>,
}

/// Services in an order in which callers come first, stores last in line, nodes below all.
pub(super) struct System {
    names: Vec<EntityRef>,
    /// Caller, callee, calls for each call of the caller.
    calls: Vec<(usize, usize, f64)>,
    is_store: Vec<bool>,
    nodes: Vec<EntityRef>,
    node_of: Vec<usize>,
    graph: Graph,
}

/// Draws a number between two, evenly on a logarithmic scale.
fn log(dice: &mut Dice, (low, high): (f64, f64)) -> f64 {
    (low.ln() + (high / low).ln() * dice.unit()).exp()
}

/// A number of the standard normal distribution (Box, Muller 1958).
fn normal(dice: &mut Dice) -> f64 {
    let radius = (-2.0 * dice.unit().max(1e-12).ln()).sqrt();
    radius * (std::f64::consts::TAU * dice.unit()).cos()
}

fn system(dice: &mut Dice, family: &Family) -> System {
    let (least, most) = family.services;
    let n = least + dice.below(most - least + 1);
    let names: Vec<EntityRef> = (0..n).map(|i| service(&format!("s{i:02}"))).collect();
    let mut calls: Vec<(usize, usize, f64)> = Vec::new();
    for callee in 1..n {
        for _ in 0..=dice.below(family.callers) {
            let star = dice.unit() < family.star;
            let caller = dice.below(if star { callee.min(4) } else { callee });
            if !calls.iter().any(|c| (c.0, c.1) == (caller, callee)) {
                calls.push((caller, callee, log(dice, (0.3, 2.0))));
            }
        }
    }
    let leaf = |s: usize| s > 0 && !calls.iter().any(|c| c.0 == s);
    let is_store: Vec<bool> = (0..n).map(|s| leaf(s) && s % 2 == 0).collect();
    let nodes: Vec<EntityRef> =
        (0..3 + dice.below(4)).map(|i| EntityRef::host(format!("node{i}"))).collect();
    let node_of: Vec<usize> = (0..n).map(|_| dice.below(nodes.len())).collect();
    let mut graph = Graph::default();
    for (from, to, _) in &calls {
        if dice.unit() >= family.unknown_edges {
            graph.add(names[*from].clone(), names[*to].clone(), EdgeKind::Calls);
        }
    }
    for (s, node) in node_of.iter().enumerate() {
        graph.add(names[s].clone(), nodes[*node].clone(), EdgeKind::RunsOn);
    }
    System { names, calls, is_store, nodes, node_of, graph }
}

/// What became of each service: figures before and since, and when.
#[derive(Clone, Default)]
pub(super) struct Course {
    /// Seconds a request takes.
    latency: [f64; 2],
    /// Share of requests that fail.
    errors: [f64; 2],
    /// Requests a second.
    rate: [f64; 2],
    /// Times by which the use of processor and memory rose, and the queue before a resource.
    cpu: f64,
    memory: f64,
    queue: f64,
    /// Seconds after the fault at which it shows.
    onset: f64,
    /// The same for its rate, where that changes later.
    asked_at: Option<f64>,
    /// Share of calls to it that callers gave up on.
    given_up: f64,
}

/// One fault in one system.
pub(super) fn made(family: &Family, seed: u64) -> Made {
    let mut dice = Dice(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let s = system(&mut dice, family);
    let fault = family.kinds[dice.below(family.kinds.len())];
    // Dice of its own: cases without it are the same as ever.
    let mut other = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let times = (other.unit() < family.again).then(|| log(&mut other, (2.0, 3.0)));
    let (root, course, again) = course(&mut dice, family, &s, (fault, times));
    let (input, stored) = told::told(&mut dice, family, (&s, fault, root), &course);
    let entity = match (fault, root) {
        (Unseen, _) => None,
        (Node, at) => Some(s.nodes[s.node_of[at]].clone()),
        (_, at) => Some(s.names[at].clone()),
    };
    Made { fault, root: entity, again, input, stored }
}

/// Draws where it sits, and follows it along the calls. Where it fails or is slow, callers may ask
/// `times` as often, until they are answered; says whether they do.
fn course(
    dice: &mut Dice,
    family: &Family,
    s: &System,
    (fault, times): (Fault, Option<f64>),
) -> (usize, Vec<Course>, bool) {
    let n = s.names.len();
    let strength = log(dice, family.strength);
    let share = 0.03 + 0.85 * dice.unit();
    let fits = |at: usize| match fault {
        SlowStore | Schema => s.is_store[at],
        Pool | Policy => s.calls.iter().any(|c| c.0 == at && s.is_store[c.1]),
        Overload => s.calls.iter().any(|c| c.0 == at),
        Surge => at == 0,
        _ => !s.is_store[at],
    };
    let places: Vec<usize> = (0..n).filter(|at| fits(*at)).collect();
    let root = if places.is_empty() { dice.below(n) } else { places[dice.below(places.len())] };
    let own: Vec<f64> = (0..n).map(|_| log(dice, (0.002, 0.1))).collect();
    let mut slower = vec![1.0; n];
    let mut failing = vec![0.0; n];
    let mut all =
        vec![Course { cpu: 1.0, memory: 1.0, queue: 1.0, onset: f64::MAX, ..Course::default() }; n];
    let mut asked = vec![1.0; n];
    let mut hit = vec![root];
    let below = s.calls.iter().find(|c| c.0 == root).map(|c| c.1);
    match fault {
        SlowCode => {
            slower[root] = 1.0 + strength;
            all[root].cpu = 1.0 + strength * 0.3 * dice.unit();
        }
        FailingCode | Failing => failing[root] = share,
        SlowStore | Schema => {
            slower[root] = 1.0 + strength;
            all[root].cpu = 1.0 + strength * 0.4 * dice.unit();
        }
        Pool => {
            slower[root] = 1.0 + 2.0 * strength;
            all[root].queue = 1.0 + 3.0 * strength;
            if let Some(store) = below {
                (all[store].cpu, all[store].queue) = (1.0 + 0.5 * dice.unit(), 1.5);
            }
        }
        Policy => {
            failing[root] = 0.5 + 0.5 * share;
            all[root].queue = 1.0 + strength;
            if let Some(store) = below {
                asked[store] = 0.5 * dice.unit();
            }
        }
        Node => {
            hit = (0..n).filter(|at| s.node_of[*at] == s.node_of[root]).collect();
            for at in &hit {
                slower[*at] = 1.0 + strength * dice.unit();
            }
        }
        Short | Leak => {
            slower[root] = 1.0 + if fault == Leak { 0.2 } else { 0.7 } * strength;
            if fault == Leak || dice.chance(50) {
                all[root].memory = 1.0 + 0.4 * strength;
            } else {
                all[root].cpu = 1.0 + 0.5 * strength;
            }
            all[root].queue = 1.0 + strength * dice.unit();
        }
        Surge => asked[root] = 1.0 + 0.5 * strength,
        Overload => {
            slower[root] = 1.0 + 0.3 * strength * dice.unit();
            if let Some(to) = below {
                asked[to] = 1.0 + strength;
                (slower[to], all[to].queue) = (1.0 + 0.7 * strength, 1.0 + strength);
                hit.push(to);
            }
        }
        Unseen => {
            hit = (0..=dice.below(3)).map(|_| dice.below(n)).collect();
            for at in &hit {
                failing[*at] = share;
            }
        }
    }
    let repeatable = matches!(
        fault,
        SlowCode | FailingCode | SlowStore | Pool | Policy | Short | Failing | Schema | Leak
    );
    let suffers = failing[root] > 0.0 || slower[root] >= 3.0;
    let called = s.calls.iter().any(|c| c.1 == root);
    let times = times.filter(|_| repeatable && suffers && called);
    if let Some(times) = times {
        // So many calls for one answer: as many of them fail.
        let share = 1.0 - 1.0 / times;
        asked[root] = times;
        if failing[root] > 0.0 {
            failing[root] = failing[root].max(share);
        } else {
            // Callers wait for so long and ask again, three times at most.
            all[root].given_up = share;
            for c in s.calls.iter().filter(|c| c.1 == root) {
                failing[c.0] = failing[c.0].max(share.powi(3));
            }
        }
    }
    let mut rate = vec![0.0; n];
    rate[0] = log(dice, (5.0, 300.0));
    let mut since = rate.clone();
    since[0] *= asked[0];
    for at in 0..n {
        for c in s.calls.iter().filter(|c| c.0 == at) {
            rate[c.1] += rate[at] * c.2;
            since[c.1] += since[at] * c.2 * asked[c.1];
        }
        // Who is asked much more than usual gets slow, some sooner than others.
        let more = since[at] / rate[at];
        if more > 1.4 && fault == Surge && dice.chance(40) {
            slower[at] *= more;
            all[at].queue *= more;
        }
        all[at].cpu *= more.max(0.2);
    }
    for at in hit {
        all[at].onset = 10.0 * dice.unit();
    }
    for at in (0..n).rev() {
        let mut seconds = [own[at], own[at] * slower[at]];
        let mut good = [0.999, 1.0 - failing[at].max(0.001)];
        for c in s.calls.iter().filter(|c| c.0 == at) {
            for when in 0..2 {
                seconds[when] += all[c.1].latency[when] * c.2;
                good[when] *= 1.0 - 0.8 * all[c.1].errors[when] * c.2.min(1.0);
            }
            let felt = all[c.1].latency[1] > 1.1 * all[c.1].latency[0]
                || all[c.1].errors[1] > 0.01 + all[c.1].errors[0];
            if felt {
                all[at].onset = all[at].onset.min(all[c.1].onset + 20.0 * dice.unit());
            }
        }
        if since[at] > 1.3 * rate[at] || since[at] < 0.7 * rate[at] {
            let mut changes = 20.0 * dice.unit();
            if times.is_some() && since[at] > rate[at] {
                changes += 5.0 + all[root].onset;
                all[at].asked_at = Some(changes);
            }
            all[at].onset = all[at].onset.min(changes);
        }
        all[at].latency = seconds;
        all[at].errors = [1.0 - good[0], 1.0 - good[1]];
        all[at].rate = [rate[at], since[at]];
    }
    (root, all, times.is_some())
}
