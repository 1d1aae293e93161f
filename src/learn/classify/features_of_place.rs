//! Features of where an incident is: its entities and how they lie in the service graph. Pure.

use std::collections::BTreeSet;

use super::features::{Features, Moment, put, share};
use crate::model::{Alert, EntityRef, Graph};

/// Entities that are looked at in the graph: a storm shows its shape by its first ones.
const MOST: usize = 40;

pub(super) fn entities(moment: &Moment<'_>, known: &[&Alert], found: &mut Features) {
    let mut all: Vec<&EntityRef> = Vec::new();
    let mut seen = BTreeSet::new();
    for entity in moment.incident.entities.iter().chain(known.iter().map(|a| &a.entity)) {
        // Of those that joined later nothing was known at the time.
        if known.iter().any(|a| a.entity == *entity) && seen.insert(entity) {
            all.push(entity);
        }
    }
    if all.is_empty() {
        return;
    }
    put(found, "entities", (all.len() as f64).ln_1p());
    put(found, "hosts", share(&all, |e| e.is_host()));
    put(found, "services", share(&all, |e| e.is_service()));
    all.truncate(MOST);
    let graph = moment.graph;
    if graph.is_empty() {
        return;
    }
    put(found, "groups", groups(&all, graph) as f64);
    put(found, "depth", depth(&all, graph) as f64);
    let callers: BTreeSet<&EntityRef> =
        all.iter().flat_map(|e| graph.dependents(e)).map(|(e, _)| e).collect();
    let outside = callers.iter().filter(|e| !all.contains(*e)).count();
    put(found, "callers", (outside as f64).ln_1p());
    put(found, "leaves", share(&all, |e| graph.dependencies(e).next().is_none()));
}

/// Groups that edges of the graph hold together.
fn groups(all: &[&EntityRef], graph: &Graph) -> usize {
    let mut left: BTreeSet<&EntityRef> = all.iter().copied().collect();
    let mut n = 0;
    while let Some(first) = left.pop_first() {
        n += 1;
        let mut reached = vec![first];
        while let Some(at) = reached.pop() {
            for (next, _) in graph.dependencies(at).chain(graph.dependents(at)) {
                if let Some(next) = left.take(next) {
                    reached.push(next);
                }
            }
        }
    }
    n
}

/// Edges of the longest way down that can be gone among the entities without coming back.
fn depth(all: &[&EntityRef], graph: &Graph) -> usize {
    let known: BTreeSet<&EntityRef> = all.iter().copied().collect();
    let mut deepest = 0;
    for start in all {
        // By layers, each entity once: the shortest ways from here; the longest of them counts.
        let (mut seen, mut layer, mut n) = (BTreeSet::from([*start]), vec![*start], 0);
        loop {
            let below = layer.iter().flat_map(|e| graph.dependencies(e)).map(|(e, _)| e);
            let next: BTreeSet<&EntityRef> =
                below.filter_map(|e| known.get(e).copied()).filter(|e| !seen.contains(e)).collect();
            if next.is_empty() {
                break;
            }
            n += 1;
            seen.extend(next.iter().copied());
            layer = next.into_iter().collect();
        }
        deepest = deepest.max(n);
    }
    deepest
}
