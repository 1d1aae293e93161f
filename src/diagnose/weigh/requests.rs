//! What requests no longer do, or do anew: the steps and log lines of one kind of work in one
//! service, before and since the onset.
//!
//! The unit is a request: all work of one name that one service does within one trace. What it
//! does is a set of steps (spans right below) and lines. Three rules keep effects from being taken
//! for causes: what fails less than before is recovery; another branch taken without an error is
//! another mix of requests; and where what a service is asked for changed, what it does has to
//! change too.

use std::collections::{BTreeMap, BTreeSet};

use super::times::callee;
use super::{Scene, Span};

/// Requests of a kind needed on each side.
const FEWEST: usize = 3;
/// A difference weaker than this says nothing.
const FAINT: f64 = 0.02;
/// Weight of a branch that another one was taken for.
const BRANCH: f64 = 0.5;
/// Share of a difference that goes over to the callee after which it shows.
const MOVED: f64 = 0.5;
/// Share of that where one kind of request alone calls it: then its caller is as likely.
const ONE_KIND: f64 = 0.4;
/// Weight of stopping short: the step that is missing says more.
const SHORT: f64 = 0.9;
/// Steps from a span to its root at most.
const DEEPEST: usize = 200;

/// Something that a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A span right below: of which service, with which name.
    Step(usize, usize),
    /// A line with this template.
    Line(usize),
    /// It fails.
    Failed,
    /// It stops short: its steps are a part of a set known before, and were none themselves.
    Short,
}

/// A difference between requests before and since.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Differs {
    /// In which service.
    pub service: usize,
    /// In which operation.
    pub name: usize,
    /// In what.
    pub what: What,
    /// Requests before and since.
    pub n: [usize; 2],
    /// Those of them that do it.
    pub with: [usize; 2],
    /// 0 to 1; below 0: it fails less than before.
    strength: f64,
}

impl Differs {
    /// Change of the share of requests that do it.
    fn delta(&self) -> f64 {
        let share = |i: usize| self.with[i] as f64 / self.n[i] as f64;
        share(1) - share(0)
    }
}

/// What the differences say of each service.
pub(super) struct Requests {
    /// How much its own requests differ, and the difference that shows it most.
    pub own: Vec<(f64, Option<Differs>)>,
    /// How much its callers' requests differ right after they called it, and what shows it.
    pub callers: Vec<(f64, Option<Differs>)>,
}

#[derive(Default)]
struct Request {
    is_late: bool,
    does: Vec<What>,
    last: Option<usize>,
    last_at: f64,
}

impl Request {
    fn shape(&self) -> Vec<What> {
        self.does.iter().copied().filter(|w| matches!(w, What::Step(..))).collect()
    }

    fn does(&self, what: &What) -> bool {
        self.does.binary_search(what).is_ok()
    }
}

/// Requests by service and name.
type Kinds = BTreeMap<(usize, usize), Vec<Request>>;

/// Log-likelihood ratio of two shares against one common share.
fn evidence(with: [usize; 2], n: [usize; 2]) -> f64 {
    let likelihood = |k: usize, n: usize| {
        if k == 0 || k == n {
            return 0.0;
        }
        let (k, n) = (k as f64, n as f64);
        k * (k / n).ln() + (n - k) * ((n - k) / n).ln()
    };
    likelihood(with[0], n[0]) + likelihood(with[1], n[1])
        - likelihood(with[0] + with[1], n[0] + n[1])
}

/// How much a log-likelihood ratio is worth, 0 to 1.
fn sure(ratio: f64) -> f64 {
    ((ratio - 2.0) / 6.0).clamp(0.0, 1.0)
}

fn root(spans: &[Span], of: usize) -> usize {
    let mut at = of;
    for _ in 0..DEEPEST {
        let Some(parent) = spans[at].parent else { break };
        at = parent;
    }
    at
}

fn gather(scene: &Scene, children: &[Vec<usize>]) -> Kinds {
    let spans = &scene.spans;
    let mut lines: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    for line in &scene.lines {
        if let Some(span) = line.span {
            lines[span].extend(&line.templates);
        }
    }
    let last_called = |i: usize| {
        children[i].iter().rev().find_map(|c| {
            let other = spans[*c].service != spans[i].service;
            if other { Some(spans[*c].service) } else { callee(spans, children, *c) }
        })
    };
    let mut requests: BTreeMap<(usize, usize, usize), Request> = BTreeMap::new();
    for (i, span) in spans.iter().enumerate() {
        let key = (span.service, span.name, root(spans, i));
        let request = requests.entry(key).or_insert_with(|| Request {
            is_late: span.at >= 0.0,
            last_at: f64::MIN,
            ..Request::default()
        });
        let steps = children[i].iter().map(|c| What::Step(spans[*c].service, spans[*c].name));
        request.does.extend(steps);
        request.does.extend(lines[i].iter().map(|t| What::Line(*t)));
        if span.failed {
            request.does.push(What::Failed);
        }
        if span.at >= request.last_at {
            (request.last, request.last_at) = (last_called(i), span.at);
        }
    }
    let mut kinds = Kinds::new();
    for ((service, name, _), mut request) in requests {
        request.does.sort_unstable();
        request.does.dedup();
        kinds.entry((service, name)).or_default().push(request);
    }
    kinds
}

/// Sets of steps that were seen before, with how often.
fn shapes_before(requests: &[Request]) -> BTreeMap<Vec<What>, usize> {
    let mut shapes = BTreeMap::new();
    for request in requests.iter().filter(|r| !r.is_late) {
        *shapes.entry(request.shape()).or_default() += 1;
    }
    shapes
}

fn is_short(shape: &[What], before: &BTreeMap<Vec<What>, usize>) -> bool {
    !shape.is_empty()
        && !before.contains_key(shape)
        && before.keys().any(|b| shape.iter().all(|w| b.binary_search(w).is_ok()))
}

/// Requests that stop short in a way not seen before, against the share of unseen ones that had to
/// be expected (Good 1953, "The population frequencies of species": as many as were seen once).
fn stops_short(
    service: usize,
    name: usize,
    requests: &[Request],
    n: [usize; 2],
) -> Option<Differs> {
    let before = shapes_before(requests);
    let once = before.values().filter(|k| **k == 1).count();
    let late = || requests.iter().filter(|r| r.is_late);
    let short: Vec<Vec<What>> =
        late().map(Request::shape).filter(|s| is_short(s, &before)).collect();
    let k = short.len() as f64;
    let expected = (once as f64 + 1.0) / (n[0] as f64 + 1.0) * n[1] as f64;
    if k <= expected {
        return None;
    }
    let ratio = k * (k / expected).ln() - (k - expected);
    // Of the requests that take some step, how many stop short.
    let mut steps: BTreeMap<What, usize> = BTreeMap::new();
    for what in short.iter().flatten() {
        *steps.entry(*what).or_default() += 1;
    }
    let share = steps
        .iter()
        .map(|(what, k)| *k as f64 / late().filter(|r| r.does(what)).count().max(1) as f64)
        .fold(0.0, f64::max);
    let strength = SHORT * share * (1.0 - expected / k) * sure(ratio);
    let with = [0, short.len()];
    (strength > FAINT).then_some(Differs { service, name, what: What::Short, n, with, strength })
}

/// Whether a name speaks of failure.
fn tells_failure(name: &str) -> bool {
    let lower = name.to_lowercase();
    ["error", "exception", "fail"].iter().any(|w| lower.contains(w))
}

struct Judge<'a> {
    scene: &'a Scene,
    kinds: &'a Kinds,
    /// Templates of errors.
    errors: BTreeSet<usize>,
    /// Who a step of one's own leads to.
    leads: BTreeMap<(usize, usize), usize>,
}

impl Judge<'_> {
    fn is_bad(&self, what: &What) -> bool {
        match what {
            What::Failed => true,
            What::Line(template) => self.errors.contains(template),
            What::Step(_, name) => tells_failure(&self.scene.names[*name]),
            What::Short => false,
        }
    }

    fn leads_to(&self, service: usize, what: &What) -> Option<usize> {
        match what {
            What::Step(other, _) if *other != service => Some(*other),
            What::Step(own, name) => self.leads.get(&(*own, *name)).copied(),
            _ => None,
        }
    }

    fn differences(&self) -> Vec<Differs> {
        let mut all = Vec::new();
        for ((service, name), requests) in self.kinds {
            let (service, name) = (*service, *name);
            let mut n = [0; 2];
            let mut with: BTreeMap<What, [usize; 2]> = BTreeMap::new();
            for request in requests {
                n[usize::from(request.is_late)] += 1;
                for what in &request.does {
                    with.entry(*what).or_default()[usize::from(request.is_late)] += 1;
                }
            }
            if n[0] < FEWEST || n[1] < FEWEST {
                continue;
            }
            for (what, with) in with {
                let share = |i: usize| (with[i] as f64 + 0.5) / (n[i] as f64 + 1.0);
                let (before, since) = (share(0), share(1));
                let sure = sure(evidence(with, n));
                let strength = if self.is_bad(&what) && since <= before {
                    (since - before) * sure
                } else {
                    let purity = 1.0 - before.min(since) / before.max(since);
                    (since - before).abs() * purity * sure
                };
                if strength.abs() > FAINT {
                    all.push(Differs { service, name, what, n, with, strength });
                }
            }
            all.extend(stops_short(service, name, requests, n));
        }
        all
    }

    /// Whether another branch was taken without an error.
    fn is_branch(&self, d: &Differs, all: &[Differs]) -> bool {
        if self.is_bad(&d.what) || d.what == What::Short {
            return false;
        }
        let is_line = |d: &Differs| matches!(d.what, What::Line(_));
        let mut same = all.iter().filter(|o| o.service == d.service && o.name == d.name);
        let instead = |o: &Differs| {
            is_line(o) == is_line(d)
                && o.what != What::Short
                && o.delta() * d.delta() < 0.0
                && o.delta().abs() > 0.6 * d.delta().abs()
        };
        let found: Vec<&Differs> = same.by_ref().collect();
        !found.iter().any(|o| self.is_bad(&o.what)) && found.iter().any(|o| instead(o))
    }

    /// After whom a difference shows: shares of the requests that differ, by the service that they
    /// called last, beyond what was usual.
    fn after_whom(&self, d: &Differs) -> Vec<(usize, f64)> {
        let requests = &self.kinds[&(d.service, d.name)];
        let before = shapes_before(requests);
        let rises = d.delta() > 0.0;
        let mut last: [BTreeMap<usize, f64>; 2] = Default::default();
        let mut n = [0.0_f64; 2];
        for request in requests {
            let differs = match d.what {
                What::Short => is_short(&request.shape(), &before),
                what => request.does(&what) == rises,
            };
            let side = usize::from(request.is_late);
            if request.is_late && !differs {
                continue;
            }
            n[side] += 1.0;
            if let Some(to) = request.last {
                *last[side].entry(to).or_default() += 1.0;
            }
        }
        let usual = |to: usize| last[0].get(&to).copied().unwrap_or(0.0) / n[0].max(1.0);
        let kinds_with = |to: usize| {
            let calls = |w: &What| self.leads_to(d.service, w) == Some(to);
            before.keys().filter(|shape| shape.iter().any(calls)).count()
        };
        last[1]
            .iter()
            .map(|(to, k)| {
                let more = (k / n[1].max(1.0) - usual(*to)).max(0.0);
                // A service that fails breaks every kind of request that calls it; a caller's own
                // fault breaks one kind.
                (*to, if kinds_with(*to) > 1 { more } else { ONE_KIND * more })
            })
            .collect()
    }
}

fn keep(slot: &mut (f64, Option<Differs>), strength: f64, d: &Differs) {
    if strength > slot.0 {
        *slot = (strength, Some(d.clone()));
    }
}

/// Compares all requests before and since the onset.
pub(super) fn requests(scene: &Scene, children: &[Vec<usize>]) -> Requests {
    let kinds = gather(scene, children);
    let errors = scene.lines.iter().filter(|l| l.is_error).flat_map(|l| l.templates.clone());
    let leads = (0..scene.spans.len()).filter_map(|i| {
        let span = &scene.spans[i];
        Some(((span.service, span.name), callee(&scene.spans, children, i)?))
    });
    let judge = Judge { scene, kinds: &kinds, errors: errors.collect(), leads: leads.collect() };
    let mut all = judge.differences();
    let n = scene.services.len();
    // How much less, and how much more each service fails.
    let (mut better, mut worse) = (vec![0.0_f64; n], vec![0.0_f64; n]);
    for d in &all {
        if d.strength < 0.0 {
            better[d.service] = better[d.service].max(-d.strength);
        } else if judge.is_bad(&d.what) {
            worse[d.service] = worse[d.service].max(d.strength);
        }
    }
    all.retain(|d| d.strength > 0.0);
    let branches: Vec<bool> = all.iter().map(|d| judge.is_branch(d, &all)).collect();
    let mut asked = vec![0.0_f64; n];
    for (d, is_branch) in all.iter_mut().zip(branches) {
        if is_branch {
            d.strength *= BRANCH;
        }
        if let Some(to) = judge.leads_to(d.service, &d.what) {
            asked[to] = asked[to].max(d.strength);
        }
        let recovered = (better[d.service] - worse[d.service]).clamp(0.0, 1.0);
        if d.delta() > 0.0 {
            d.strength *= 1.0 - 0.8 * recovered;
        }
    }
    let mut found = Requests { own: vec![(0.0, None); n], callers: vec![(0.0, None); n] };
    for d in &all {
        let mut moved = 0.0;
        if d.delta() < 0.0 || judge.is_bad(&d.what) || d.what == What::Short {
            for (to, share) in judge.after_whom(d) {
                moved += share;
                keep(&mut found.callers[to], d.strength * share, d);
            }
        }
        keep(&mut found.own[d.service], d.strength * (1.0 - MOVED * moved), d);
    }
    // What it is asked for changed: so does what it does.
    for (own, asked) in found.own.iter_mut().zip(asked) {
        own.0 *= 1.0 - asked.min(1.0);
    }
    found
}
