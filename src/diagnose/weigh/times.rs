//! Where the time that was added to requests is spent: in a service's own work, or on the way
//! between two services.

use std::collections::BTreeMap;

use super::{Scene, Span};

/// Calls needed on each side of the onset.
const FEWEST: usize = 3;
/// Added to durations (seconds) before their logarithm, so that microseconds don't count.
const SMALL: f64 = 2e-4;
/// The time that was added is held against at least this share of all time of requests.
const LEAST_SHARE: f64 = 0.2;

/// Work that is compared with itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    /// Who does it, or who calls.
    pub service: usize,
    /// Who is called, for time on the way.
    pub to: Option<usize>,
    /// The operation.
    pub name: usize,
    /// Typical seconds before and since.
    pub seconds: (f64, f64),
    /// How often since.
    n: usize,
    /// Seconds added since by all of them, as far as that is sure.
    pub added: f64,
    /// How sure it is that it became slower, 0 to 1.
    sure: f64,
}

/// What the added time says of each service.
pub(super) struct Times {
    /// The share of it in the service's own work, and the work that adds most.
    pub own: Vec<(f64, Option<Work>)>,
    /// The share of it on the way to it, or from it to several others, as far as its ways became
    /// slower.
    pub way: Vec<(f64, Option<Work>)>,
}

/// Children of every span, in order of their start.
pub(super) fn children(spans: &[Span]) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new(); spans.len()];
    for (i, span) in spans.iter().enumerate() {
        if let Some(parent) = span.parent {
            found[parent].push(i);
        }
    }
    for list in &mut found {
        list.sort_by(|a: &usize, b| spans[*a].at.total_cmp(&spans[*b].at).then(a.cmp(b)));
    }
    found
}

/// Who a span calls: its one child is another service's.
pub(super) fn callee(spans: &[Span], children: &[Vec<usize>], of: usize) -> Option<usize> {
    match children[of].as_slice() {
        [only] if spans[*only].service != spans[of].service => Some(spans[*only].service),
        _ => None,
    }
}

/// Seconds of a span that its children cover.
fn covered(spans: &[Span], of: usize, children: &[usize]) -> f64 {
    let (from, to) = (spans[of].at, spans[of].at + spans[of].seconds);
    let (mut sum, mut end) = (0.0, from);
    for child in children {
        let (a, b) =
            (spans[*child].at.max(end), (spans[*child].at + spans[*child].seconds).min(to));
        if b > a {
            sum += b - a;
            end = b;
        }
    }
    sum
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean without the tenth at each end.
fn typical(values: &[f64]) -> f64 {
    let ascending = crate::stats::sorted(values);
    let cut = ascending.len() / 10;
    mean(&ascending[cut..ascending.len() - cut])
}

/// Who does it, whom it calls, what it is, and the steps that it takes.
type Kind = (usize, Option<usize>, usize, Vec<(usize, usize)>);

/// Work by kind, with own seconds before and since.
fn gather(scene: &Scene, children: &[Vec<usize>]) -> BTreeMap<Kind, [Vec<f64>; 2]> {
    let spans = &scene.spans;
    let mut calling: BTreeMap<(usize, usize), (usize, usize)> = BTreeMap::new();
    for (i, s) in spans.iter().enumerate() {
        let (some, all) = calling.entry((s.service, s.name)).or_default();
        *some += usize::from(!children[i].is_empty());
        *all += 1;
    }
    let mut found: BTreeMap<_, [Vec<f64>; 2]> = BTreeMap::new();
    for (i, s) in spans.iter().enumerate() {
        // Work that usually calls others and has none recorded was cut short, or its calls are not
        // known: its own time can't be told.
        let (some, all) = calling[&(s.service, s.name)];
        if children[i].is_empty() && 3 * some > all {
            continue;
        }
        // Compared with work that called the same.
        let mut shape: Vec<(usize, usize)> =
            children[i].iter().map(|c| (spans[*c].service, spans[*c].name)).collect();
        shape.sort_unstable();
        shape.dedup();
        let own = (s.seconds - covered(spans, i, &children[i])).max(0.0);
        let key = (s.service, callee(spans, children, i), s.name, shape);
        found.entry(key).or_default()[usize::from(s.at >= 0.0)].push(own);
    }
    found
}

/// All work with enough calls on both sides.
fn works(scene: &Scene, children: &[Vec<usize>]) -> Vec<Work> {
    let mut found = Vec::new();
    for ((service, to, name, _), [before, since]) in gather(scene, children) {
        if before.len() < FEWEST || since.len() < FEWEST {
            continue;
        }
        // Welch's statistic of the logarithms, whose deviation is at least 0.2 each, with room for
        // what differs from one minute to the next.
        let log = |v: &[f64]| v.iter().map(|x| (x + SMALL).ln()).collect::<Vec<_>>();
        let (x, y) = (log(&before), log(&since));
        let spread = |v: &[f64]| {
            let mid = mean(v);
            let variance = v.iter().map(|a| (a - mid).powi(2)).sum::<f64>() / v.len() as f64;
            variance.max(0.04) / v.len() as f64
        };
        let z = (mean(&y) - mean(&x)) / (spread(&x) + spread(&y) + 0.02).sqrt();
        let sure = ((z - 2.5) / 3.0).clamp(0.0, 1.0);
        let seconds = (typical(&before), typical(&since));
        let added = (seconds.1 - seconds.0).max(0.0) * since.len() as f64 * sure;
        found.push(Work { service, to, name, seconds, n: since.len(), added, sure });
    }
    found
}

/// Compares all work before and since the onset.
pub(super) fn times(scene: &Scene, children: &[Vec<usize>]) -> Times {
    let n = scene.services.len();
    let works = works(scene, children);
    let requests = scene.spans.iter().filter(|s| s.parent.is_none() && s.at >= 0.0);
    let all: f64 = requests.map(|s| s.seconds).sum();
    let total = works.iter().map(|w| w.added).sum::<f64>().max(LEAST_SHARE * all);
    let mut found = Times { own: vec![(0.0, None); n], way: vec![(0.0, None); n] };
    if total <= 0.0 {
        return found;
    }
    let keep = |slot: &mut Option<Work>, work: &Work| {
        if work.added > 0.0 && slot.as_ref().is_none_or(|w| w.added < work.added) {
            *slot = Some(work.clone());
        }
    };
    // Share added, calls that became slower and all calls: to a service, and from it.
    let mut ways = vec![[(0.0, 0.0, 0.0); 2]; n];
    let mut slow_to: Vec<BTreeMap<usize, f64>> = vec![BTreeMap::new(); n];
    for work in &works {
        let Some(to) = work.to else {
            found.own[work.service].0 += work.added / total;
            keep(&mut found.own[work.service].1, work);
            continue;
        };
        let calls = (work.n as f64).sqrt();
        for (service, side) in [(to, 0), (work.service, 1)] {
            let way: &mut (f64, f64, f64) = &mut ways[service][side];
            way.0 += work.added / total;
            way.1 += calls * work.sure;
            way.2 += calls;
        }
        *slow_to[work.service].entry(to).or_default() += work.sure;
        keep(&mut found.way[to].1, work);
    }
    for (service, [to, from]) in ways.into_iter().enumerate() {
        let part = |w: (f64, f64, f64)| if w.2 > 0.0 { w.0 * w.1 / w.2 } else { 0.0 };
        // Slow calls to one service alone are that service's.
        let several = slow_to[service].values().filter(|v| **v > 0.5).count() > 1;
        let from = if several { part(from) } else { 0.0 };
        found.way[service].0 = (part(to) + from).min(1.0);
    }
    found
}
