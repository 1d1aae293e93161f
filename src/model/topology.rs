//! The service graph: who calls whom, and what runs where.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EntityRef, Time};

/// How one entity depends on another.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// The first calls the second.
    Calls,
    /// The first runs on the second (a service on a node).
    RunsOn,
}

/// One edge as the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Edge {
    /// Caller, or what runs.
    pub from: EntityRef,
    /// Callee, or where it runs.
    pub to: EntityRef,
    /// Which kind.
    pub kind: EdgeKind,
    /// First seen; of a declared edge that no span told of, when it was declared.
    pub first_seen: Time,
    /// Last seen; declared edges are always seen.
    pub last_seen: Time,
    /// Declared in configuration, whether or not it was also learned.
    pub declared: bool,
    /// Spans told of it; what is no longer declared is so kept, with its dates.
    #[serde(default)]
    pub learned: bool,
}

/// The graph in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    out: BTreeMap<EntityRef, BTreeSet<(EntityRef, EdgeKind)>>,
    back: BTreeMap<EntityRef, BTreeSet<(EntityRef, EdgeKind)>>,
    /// Edges that may be gone.
    faded: BTreeSet<(EntityRef, EntityRef)>,
}

impl Graph {
    /// A graph of edges.
    #[must_use]
    pub fn new<'a>(edges: impl IntoIterator<Item = &'a Edge>) -> Self {
        let mut graph = Self::default();
        for edge in edges {
            graph.add(edge.from.clone(), edge.to.clone(), edge.kind);
        }
        graph
    }

    /// Adds one edge.
    pub fn add(&mut self, from: EntityRef, to: EntityRef, kind: EdgeKind) {
        self.out.entry(from.clone()).or_default().insert((to.clone(), kind));
        self.back.entry(to).or_default().insert((from, kind));
    }

    /// Marks what is between two as not seen for long: it may be gone.
    pub fn fade(&mut self, from: EntityRef, to: EntityRef) {
        self.faded.insert((from, to));
    }

    /// Whether what is between two may be gone.
    #[must_use]
    pub fn is_faded(&self, from: &EntityRef, to: &EntityRef) -> bool {
        !self.faded.is_empty() && self.faded.contains(&(from.clone(), to.clone()))
    }

    /// What `entity` calls or runs on.
    pub fn dependencies<'a>(
        &'a self,
        entity: &EntityRef,
    ) -> impl Iterator<Item = (&'a EntityRef, EdgeKind)> {
        self.out.get(entity).into_iter().flatten().map(|(e, k)| (e, *k))
    }

    /// What calls `entity` or runs on it.
    pub fn dependents<'a>(
        &'a self,
        entity: &EntityRef,
    ) -> impl Iterator<Item = (&'a EntityRef, EdgeKind)> {
        self.back.get(entity).into_iter().flatten().map(|(e, k)| (e, *k))
    }

    /// Every entity that has an edge, in order.
    pub fn entities(&self) -> impl Iterator<Item = &EntityRef> {
        let all: BTreeSet<&EntityRef> = self.out.keys().chain(self.back.keys()).collect();
        all.into_iter()
    }

    /// Services by which users come in, in order: those named, or else those that call others and that
    /// nothing calls.
    #[must_use]
    pub fn entries(&self, named: &[String]) -> BTreeSet<EntityRef> {
        if !named.is_empty() {
            return named.iter().map(EntityRef::service).collect();
        }
        let calls = |(_, kind): (&EntityRef, EdgeKind)| kind == EdgeKind::Calls;
        let enters = |e: &&EntityRef| {
            e.is_service() && self.dependencies(e).any(calls) && !self.dependents(e).any(calls)
        };
        self.entities().filter(enters).cloned().collect()
    }

    /// Whether any edge is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Hops between two entities along edges in either direction, up to `most`; `None` beyond.
    #[must_use]
    pub fn distance(&self, a: &EntityRef, b: &EntityRef, most: usize) -> Option<usize> {
        search(a, b, most, |e| {
            self.dependencies(e).chain(self.dependents(e)).map(|(n, _)| n.clone()).collect()
        })
        .map(|path| path.len() - 1)
    }

    /// The shortest path from `from` down its dependencies to `to` (both included).
    #[must_use]
    pub fn path(&self, from: &EntityRef, to: &EntityRef) -> Option<Vec<EntityRef>> {
        search(from, to, usize::MAX, |e| self.dependencies(e).map(|(n, _)| n.clone()).collect())
    }
}

fn search(
    from: &EntityRef,
    to: &EntityRef,
    most: usize,
    next: impl Fn(&EntityRef) -> Vec<EntityRef>,
) -> Option<Vec<EntityRef>> {
    let mut came: BTreeMap<EntityRef, Option<EntityRef>> = [(from.clone(), None)].into();
    let mut queue: VecDeque<(EntityRef, usize)> = [(from.clone(), 0)].into();
    while let Some((at, depth)) = queue.pop_front() {
        if at == *to {
            let mut path = vec![at];
            while let Some(Some(before)) = came.get(path.last().expect("never empty")) {
                path.push(before.clone());
            }
            path.reverse();
            return Some(path);
        }
        if depth < most {
            for n in next(&at) {
                if !came.contains_key(&n) {
                    came.insert(n.clone(), Some(at.clone()));
                    queue.push_back((n, depth + 1));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_down_and_distance_goes_both_ways() {
        let (a, b, c) = (EntityRef::service("a"), EntityRef::service("b"), EntityRef::service("c"));
        let mut graph = Graph::default();
        graph.add(a.clone(), b.clone(), EdgeKind::Calls);
        graph.add(b.clone(), c.clone(), EdgeKind::Calls);
        graph.add(c.clone(), a.clone(), EdgeKind::Calls);
        assert_eq!(graph.path(&a, &c), Some(vec![a.clone(), b.clone(), c.clone()]));
        assert_eq!(graph.distance(&c, &b, 5), Some(1));
        assert_eq!(graph.distance(&a, &EntityRef::service("x"), 5), None);
    }
}
