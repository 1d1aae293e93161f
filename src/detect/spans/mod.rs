//! Spans: what each edge of the service graph (caller → callee, operation) does, against its own
//! past: how long calls take, how many fail, and edges that were not there before.
//!
//! Calls are made of spans in whatever order they come. A call is slow when it takes longer than 95
//! in 100 usual ones of its operation; the share of slow and of failed calls is judged by its own
//! spread, so that a daily rhythm or clumps of calls do not alarm. The first calls of a new process
//! are told as a cold start and say nothing of the edge. State is bounded: so many edges, so many
//! operations of each, so many processes, so many spans that wait for their other half.

mod cold;
mod edge;
mod pairs;
mod sketch;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::alert::{Band, Subject};
use crate::model::signal::Direction;
use crate::model::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{Anomaly, AnomalyId, EntityRef, Span, Time, figure};

use cold::Instances;
use edge::{EdgeState, Finding, Kind};
use pairs::Pairs;

/// Edges at most; the one called longest ago makes room.
const MOST_EDGES: usize = 5_000;
/// What time brings is looked at this often (ms).
const TICK_MS: i64 = 10 * SECOND_MS;
/// A caller must be known for so long (ms), and have made so many calls without the edge, before
/// the edge is new: what one call in a hundred needs is seen by then (0.99^1000 is 4e-5).
const KNOWN_MS: i64 = 6 * HOUR_MS;
const KNOWN_CALLS: u64 = 1_000;
/// Calls on a new edge from which it is told, and for how long (ms) it is.
const NEW_CALLS: u64 = 5;
const NEW_MS: i64 = 10 * MINUTE_MS;

/// Detectors and their versions.
const SLOW: &str = "span-latency/1";
const FAILED: &str = "span-errors/1";
const NEW: &str = "span-new-edge/1";
const COLD: &str = "span-cold-start/1";

/// State of all edges.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Spans {
    ticked_at: Time,
    pairs: Pairs,
    instances: Instances,
    callers: BTreeMap<EntityRef, Caller>,
    n_edges: usize,
    /// Edges that had to make room.
    pub(super) shed: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Caller {
    first: Time,
    n: u64,
    edges: BTreeMap<EntityRef, EdgeState>,
}

impl Spans {
    /// Takes in spans, and closes the windows whose time has come. History only teaches: nothing
    /// begins in it, and what was told before and ends in it is told as ended.
    pub(super) fn observe(
        &mut self,
        spans: &[Span],
        now: Time,
        backfill: bool,
        out: &mut Vec<Anomaly>,
    ) {
        let from = out.len();
        let before = if backfill { self.told() } else { BTreeSet::new() };
        for span in spans {
            for (caller, call) in self.pairs.take(span) {
                self.count(caller, &call, now, out);
            }
        }
        if now.ms_since(self.ticked_at) >= TICK_MS {
            self.ticked_at = now;
            self.tick(now, out);
        }
        if backfill {
            let found = out.split_off(from);
            out.extend(found.into_iter().filter(|a| a.until.is_some() && before.contains(&a.id)));
            self.untell(&before);
        }
    }

    /// What is told and has not ended.
    fn told(&self) -> BTreeSet<AnomalyId> {
        let edges = self.callers.values().flat_map(|c| c.edges.values());
        let open = edges.flat_map(|e| e.open.values().map(|a| a.id));
        open.chain(self.instances.told()).collect()
    }

    /// Takes back all but this: what goes on when history is over is found then.
    fn untell(&mut self, told: &BTreeSet<AnomalyId>) {
        for edge in self.callers.values_mut().flat_map(|c| c.edges.values_mut()) {
            edge.open.retain(|_, a| told.contains(&a.id));
        }
        self.instances.untell(told);
    }

    fn count(&mut self, from: EntityRef, call: &pairs::Call, now: Time, out: &mut Vec<Anomaly>) {
        let process = call.instance.as_deref();
        let cold = process.is_some_and(|p| self.instances.note(&call.to, p, now));
        let known = self.callers.get(&from).is_some_and(|c| c.edges.contains_key(&call.to));
        if !known {
            if self.n_edges >= MOST_EDGES {
                self.make_room(now, out);
            }
            self.n_edges += 1;
        }
        let caller = self.callers.entry(from.clone()).or_insert_with(|| Caller {
            first: now,
            n: 0,
            edges: BTreeMap::new(),
        });
        let (first, before) = (caller.first, caller.n);
        caller.n += 1;
        let entry = caller.edges.entry(call.to.clone());
        let edge = entry.or_insert_with(|| EdgeState::new(now, before));
        let very_slow = edge.count(call, cold, now);
        let is_new = edge.n == NEW_CALLS
            && edge.n_before >= KNOWN_CALLS
            && edge.first.ms_since(first) >= KNOWN_MS
            && now.ms_since(edge.first) <= NEW_MS;
        if is_new {
            let anomaly = new_edge(&from, call, edge, now);
            edge.open.insert(Kind::New, Box::new(anomaly.clone()));
            out.push(anomaly);
        }
        if cold
            && very_slow
            && let Some(n) = self.instances.slow(&call.to)
        {
            let anomaly = cold_start(&from, call, n, now);
            self.instances.tell(&call.to, anomaly.clone());
            out.push(anomaly);
        }
    }

    fn tick(&mut self, now: Time, out: &mut Vec<Anomaly>) {
        for (from, caller) in &mut self.callers {
            for (to, edge) in &mut caller.edges {
                let (findings, ended) = edge.close(now);
                for finding in findings {
                    tell(from, to, edge, finding, now, out);
                }
                for kind in ended {
                    out.extend(edge.open.remove(&kind).map(|a| over(*a, now)));
                }
                if now.ms_since(edge.first) > NEW_MS {
                    out.extend(edge.open.remove(&Kind::New).map(|a| over(*a, now)));
                }
            }
        }
        out.extend(self.instances.over(now).into_iter().map(|a| over(a, now)));
    }

    /// Room for one more edge; what was open of the one that goes ends unseen.
    fn make_room(&mut self, now: Time, out: &mut Vec<Anomaly>) {
        let all = self.callers.iter().flat_map(|(from, caller)| {
            caller.edges.iter().map(move |(to, e)| (!e.open.is_empty(), e.last, from, to))
        });
        let Some((_, _, from, to)) = all.min() else { return };
        let (from, to) = (from.clone(), to.clone());
        let Some(caller) = self.callers.get_mut(&from) else { return };
        if let Some(edge) = caller.edges.remove(&to) {
            self.n_edges -= 1;
            self.shed += 1;
            out.extend(edge.open.into_values().map(|a| Anomaly { unseen: true, ..over(*a, now) }));
        }
        if caller.edges.is_empty() {
            self.callers.remove(&from);
        }
    }

    /// Forgets edges with nothing open and processes for which `gone` holds, given when they were
    /// heard of last.
    pub(super) fn forget(&mut self, gone: impl Fn(Time) -> bool) {
        let mut n_edges = 0;
        self.callers.retain(|_, caller| {
            caller.edges.retain(|_, e| !e.open.is_empty() || !gone(e.last));
            n_edges += caller.edges.len();
            !caller.edges.is_empty()
        });
        self.n_edges = n_edges;
        self.instances.forget(gone);
    }
}

fn over(anomaly: Anomaly, now: Time) -> Anomaly {
    Anomaly { at: now, until: Some(now), ..anomaly }
}

/// Begins or goes on with what is told of an edge: one at a time of each kind, named by the
/// operation that was seen first.
fn tell(
    from: &EntityRef,
    to: &EntityRef,
    edge: &mut EdgeState,
    finding: Finding,
    now: Time,
    out: &mut Vec<Anomaly>,
) {
    let score = (finding.z / 2.0).min(100.0);
    if let Some(open) = edge.open.get_mut(&finding.kind) {
        (open.at, open.value) = (now, finding.value);
        open.peak = open.peak.max(finding.value);
        // Told again when it has doubled.
        if open.score * 2.0 <= score {
            open.score = score;
            out.push((**open).clone());
        }
        return;
    }
    let Finding { kind, operation, since, value, usual, most, trace, .. } = finding;
    let (name, callee, clock) = (from.name(), to.name(), since.clock_text());
    let mut why = match kind {
        Kind::Failed => format!(
            "{:.0} % of the calls {operation} from {name} to {callee} fail since {clock} UTC, \
             usually {:.1} %",
            100.0 * value,
            100.0 * usual
        ),
        Kind::Slow | Kind::New => format!(
            "calls {operation} from {name} to {callee} take {} since {clock} UTC (95th \
             percentile), usually {}",
            figure(value, "s"),
            figure(usual, "s")
        ),
    };
    if let Some(trace) = trace {
        why.push_str(&format!(" (for example in trace {trace})"));
    }
    let detector = if kind == Kind::Failed { FAILED } else { SLOW };
    let expected = Band { low: 0.0, mid: usual, high: most };
    let what = Said { detector, operation: &operation, since, now, value, expected, score, why };
    let anomaly = what.about(from, to);
    edge.open.insert(kind, Box::new(anomaly.clone()));
    out.push(anomaly);
}

fn new_edge(from: &EntityRef, call: &pairs::Call, edge: &EdgeState, now: Time) -> Anomaly {
    let why = format!(
        "{} calls {} since {} UTC, which it did not in {} calls before (for example in trace {})",
        from.name(),
        call.to.name(),
        edge.first.clock_text(),
        edge.n_before,
        call.trace
    );
    let expected = Band { low: 0.0, mid: 0.0, high: 0.0 };
    let (operation, since, value) = (call.operation.as_str(), edge.first, edge.n as f64);
    Said { detector: NEW, operation, since, now, value, expected, score: 4.0, why }
        .about(from, &call.to)
}

fn cold_start(from: &EntityRef, call: &pairs::Call, n: u32, now: Time) -> Anomaly {
    let process = call.instance.as_deref().unwrap_or_default();
    let why = format!(
        "the first calls that {process} of {} answers are slow ({n} so far), as after a start: \
         they are not counted as a slowdown",
        call.to.name()
    );
    let expected = Band { low: 0.0, mid: 0.0, high: 0.0 };
    let (operation, value) = (call.operation.as_str(), call.ms / SECOND_MS as f64);
    Said { detector: COLD, operation, since: now, now, value, expected, score: 4.0, why }
        .about(from, &call.to)
}

/// What is said.
struct Said<'a> {
    detector: &'static str,
    operation: &'a str,
    since: Time,
    now: Time,
    value: f64,
    expected: Band,
    score: f64,
    why: String,
}

impl Said<'_> {
    fn about(self, from: &EntityRef, to: &EntityRef) -> Anomaly {
        let names = [&from.to_string(), &to.to_string(), self.operation, self.detector];
        Anomaly {
            id: AnomalyId::derive(self.since, &names),
            subject: Subject::Edge {
                from: from.clone(),
                to: to.clone(),
                operation: self.operation.to_owned(),
            },
            detector: self.detector.to_owned(),
            since: self.since,
            at: self.now,
            until: None,
            value: self.value,
            peak: self.value,
            expected: self.expected,
            score: self.score,
            direction: Direction::High,
            why: self.why,
            unseen: false,
            grounds: None,
        }
    }
}
