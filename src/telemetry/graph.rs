//! The service graph, learned from spans and declared in configuration.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::topology::{Edge, EdgeKind};
use crate::model::{EntityRef, Fault, Graph, Span, Time};
use crate::store::{Filter, Record as _, SpanFilter, Tx};

/// How stale an edge's last sight may be before a new sight is written (event time, ms): an edge
/// is seen thousands of times an hour and needs to be written once in a while.
const REFRESH_MS: i64 = 10 * 60 * 1_000;
/// Traces looked up in the store for one batch; beyond that the edge is learned another time.
const LOOKUPS: usize = 200;

/// Edges that no span tells of. A name without `attribute=` is a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What each entity calls: `checkout = ["orders", "payments"]`.
    pub calls: BTreeMap<String, Vec<String>>,
    /// What each entity runs on: `search = ["host.name=node-2"]`.
    pub runs_on: BTreeMap<String, Vec<String>>,
}

impl Config {
    /// The graph of what is declared, for whoever has no spans to learn from.
    #[must_use]
    pub fn graph(&self) -> Graph {
        Graph::new(&self.edges(Time::MIN).collect::<Vec<_>>())
    }

    fn edges(&self, now: Time) -> impl Iterator<Item = Edge> {
        let named = |name: &str| name.parse().unwrap_or_else(|_| EntityRef::service(name));
        [(&self.calls, EdgeKind::Calls), (&self.runs_on, EdgeKind::RunsOn)].into_iter().flat_map(
            move |(all, kind)| {
                all.iter().flat_map(move |(from, to)| {
                    to.iter().map(move |to| Edge {
                        from: named(from),
                        to: named(to),
                        kind,
                        first_seen: now,
                        last_seen: now,
                        declared: true,
                        learned: false,
                    })
                })
            },
        )
    }
}

/// Writes the declared edges, and takes back those that are no longer declared.
///
/// # Errors
/// The database failed.
pub fn declare(tx: &Tx<'_>, config: &Config, now: Time) -> Result<(), Fault> {
    let wanted: BTreeMap<String, Edge> = config.edges(now).map(|e| (e.key(), e)).collect();
    for old in tx.list::<Edge>(&Filter::all())? {
        if old.declared && !wanted.contains_key(&old.key()) {
            if old.learned {
                tx.put(&Edge { declared: false, ..old })?;
            } else {
                tx.remove::<Edge>(old.key())?;
            }
        }
    }
    for (key, edge) in wanted {
        match tx.get::<Edge>(key)? {
            Some(old) => {
                // Before edges said so, those that were not declared were learned.
                let learned = old.learned || !old.declared;
                tx.put(&Edge { declared: true, learned, ..old })?;
            }
            None => tx.put(&edge)?,
        }
    }
    Ok(())
}

/// Learns edges from the spans of one batch: a server span whose parent is a span of another
/// service is a call; a client span that names its peer is one too; `host.name` says where a
/// service runs. Counts calls per edge and minute.
///
/// Services export on their own, so caller and callee arrive in different batches and in either
/// order: whichever comes second finds the other in the store, and the call is counted then.
///
/// # Errors
/// The database failed.
pub fn learn(tx: &Tx<'_>, spans: &[Span]) -> Result<(), Fault> {
    let by_id: BTreeMap<(&str, &str), &Span> = spans.iter().map(|s| (id_of(s), s)).collect();
    let called: BTreeSet<(&str, &str)> = spans
        .iter()
        .filter(|s| s.is_server)
        .filter_map(|s| Some((s.trace_id.as_str(), s.parent_span_id.as_deref()?)))
        .collect();
    let mut earlier = Earlier { tx, by_id: &by_id, traces: BTreeMap::new() };
    let mut seen: BTreeMap<(EntityRef, EntityRef, EdgeKind), (Time, Time)> = BTreeMap::new();
    for span in spans {
        let mut calls = Vec::new();
        if let Some(parent_id) = &span.parent_span_id {
            let parent = match by_id.get(&(span.trace_id.as_str(), parent_id.as_str())) {
                Some(parent) => Some(parent.entity.clone()),
                None if span.is_server => {
                    let trace = earlier.spans(&span.trace_id)?;
                    trace.iter().find(|s| s.span_id == *parent_id).map(|s| s.entity.clone())
                }
                None => None,
            };
            if let Some(parent) = parent.filter(|p| *p != span.entity) {
                calls.push((parent, span.entity.clone(), span.clone()));
            }
        }
        // A caller whose callee was told of before.
        if !span.is_server
            && span.peer.as_ref().is_none_or(EntityRef::is_service)
            && !is_silent(span)
            && !called.contains(&id_of(span))
        {
            let callees = earlier.spans(&span.trace_id)?.iter().filter(|s| {
                s.is_server
                    && s.parent_span_id.as_ref() == Some(&span.span_id)
                    && s.entity != span.entity
            });
            calls.extend(callees.map(|s| (span.entity.clone(), s.entity.clone(), s.clone())));
        }
        // A peer that is a service may tell of itself by its own server span, so its calls are
        // not counted twice; the edge is noted all the same, for what has no spans of its own
        // (databases, queues, services outside).
        if let Some(peer) = span.peer.as_ref().filter(|p| !span.is_server && **p != span.entity) {
            if peer.is_service() && !is_silent(span) {
                note(&mut seen, span.entity.clone(), peer.clone(), EdgeKind::Calls, span.at);
            } else {
                calls.push((span.entity.clone(), peer.clone(), span.clone()));
            }
        }
        for (from, to, call) in calls {
            tx.count_call(&from, &to, call.at, call.duration_ms, call.failed)?;
            note(&mut seen, from, to, EdgeKind::Calls, call.at);
        }
        if let Some(host) = span.attributes.get("host.name").filter(|h| !h.is_empty()) {
            let host = EntityRef::host(host);
            note(&mut seen, span.entity.clone(), host, EdgeKind::RunsOn, span.at);
        }
    }
    for ((from, to, kind), (first_seen, last_seen)) in seen {
        let (declared, learned) = (false, true);
        let edge = Edge { from, to, kind, first_seen, last_seen, declared, learned };
        match tx.get::<Edge>(edge.key())? {
            // What comes late may tell of an earlier sight.
            Some(old)
                if old.learned
                    && last_seen.ms_since(old.last_seen) < REFRESH_MS
                    && (old.declared || first_seen >= old.first_seen) => {}
            Some(old) => tx.put(&Edge {
                first_seen: first_seen.min(old.first_seen),
                last_seen: last_seen.max(old.last_seen),
                learned: true,
                ..old
            })?,
            None => tx.put(&edge)?,
        }
    }
    Ok(())
}

fn id_of(span: &Span) -> (&str, &str) {
    (&span.trace_id, &span.span_id)
}

/// Whether the called side tells of itself by no span: databases and queues.
fn is_silent(span: &Span) -> bool {
    ["db.system.name", "db.system", "messaging.system"]
        .iter()
        .any(|name| span.attributes.get(name).is_some())
}

/// What the store knew of traces before this batch. At most [`LOOKUPS`] traces are read.
struct Earlier<'a, 'b> {
    tx: &'a Tx<'a>,
    by_id: &'a BTreeMap<(&'b str, &'b str), &'b Span>,
    traces: BTreeMap<String, Vec<Span>>,
}

impl Earlier<'_, '_> {
    fn spans(&mut self, trace_id: &str) -> Result<&[Span], Fault> {
        if !self.traces.contains_key(trace_id) {
            let mut trace = Vec::new();
            if self.traces.len() < LOOKUPS {
                let trace_id = Some(trace_id.to_owned());
                trace =
                    self.tx.spans(&SpanFilter { trace_id, limit: 500, ..Default::default() })?;
                trace.retain(|s| !self.by_id.contains_key(&id_of(s)));
            }
            self.traces.insert(trace_id.to_owned(), trace);
        }
        Ok(&self.traces[trace_id])
    }
}

fn note(
    seen: &mut BTreeMap<(EntityRef, EntityRef, EdgeKind), (Time, Time)>,
    from: EntityRef,
    to: EntityRef,
    kind: EdgeKind,
    at: Time,
) {
    let range = seen.entry((from, to, kind)).or_insert((at, at));
    *range = (range.0.min(at), range.1.max(at));
}

#[cfg(test)]
mod tests;
