//! From spans to calls: which span is whose child, in whatever order they come.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{EntityRef, Span, Time};

/// Spans of one generation that are remembered; there are two.
const GENERATION: usize = 4_096;

/// One call over an edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Call {
    /// Who did the work; for what has no spans of its own, who waited for it.
    pub(super) to: EntityRef,
    /// What was asked for.
    pub(super) operation: String,
    /// How long it took (ms).
    pub(super) ms: f64,
    /// Whether it failed.
    pub(super) failed: bool,
    /// Its trace.
    pub(super) trace: String,
    /// The process that did the work, where it is told.
    pub(super) instance: Option<String>,
    /// When it began.
    #[serde(default)]
    pub(super) at: Time,
}

/// What was seen of late: bounded by two generations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pairs {
    /// Who wrote a span.
    young: BTreeMap<u64, EntityRef>,
    old: BTreeMap<u64, EntityRef>,
    /// Calls whose caller was not heard of yet, by the caller's span.
    waiting: BTreeMap<u64, Vec<Call>>,
    waiting_old: BTreeMap<u64, Vec<Call>>,
    n_waiting: usize,
}

impl Pairs {
    /// Takes in a span; gives the calls, with their caller, that it completes.
    pub(super) fn take(&mut self, span: &Span) -> Vec<(EntityRef, Call)> {
        let mut calls = Vec::new();
        let own = key(&span.trace_id, &span.span_id);
        if span.is_server
            && let Some(parent) = &span.parent_span_id
        {
            let parent = key(&span.trace_id, parent);
            match self.young.get(&parent).or_else(|| self.old.get(&parent)) {
                Some(from) if *from != span.entity => {
                    calls.push((from.clone(), call(span, &span.entity)));
                }
                Some(_) => {}
                None => self.wait(parent, call(span, &span.entity)),
            }
        }
        // Databases, queues and the like tell of themselves by no span.
        if !span.is_server
            && let Some(peer) = span.peer.as_ref().filter(|p| **p != span.entity)
            && (is_silent(span) || !peer.is_service())
        {
            calls.push((span.entity.clone(), call(span, peer)));
        }
        let late = [&mut self.waiting, &mut self.waiting_old].map(|w| w.remove(&own));
        for call in late.into_iter().flatten().flatten() {
            if call.to != span.entity {
                calls.push((span.entity.clone(), call));
            }
        }
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(own, span.entity.clone());
        calls
    }

    fn wait(&mut self, parent: u64, call: Call) {
        if self.n_waiting >= GENERATION {
            self.waiting_old = std::mem::take(&mut self.waiting);
            self.n_waiting = 0;
        }
        self.n_waiting += 1;
        self.waiting.entry(parent).or_default().push(call);
    }
}

fn call(span: &Span, to: &EntityRef) -> Call {
    let instance = ["service.instance.id", "k8s.pod.name"];
    Call {
        to: to.clone(),
        operation: span.name.chars().take(96).collect(),
        ms: span.duration_ms,
        failed: span.failed,
        trace: span.trace_id.clone(),
        instance: instance.iter().find_map(|n| span.attributes.get(n)).map(str::to_owned),
        at: span.at,
    }
}

fn is_silent(span: &Span) -> bool {
    ["db.system.name", "db.system", "messaging.system"]
        .iter()
        .any(|name| span.attributes.get(name).is_some())
}

/// Hash of a span's identity (Fowler, Noll and Vo, FNV-1a).
fn key(trace: &str, span: &str) -> u64 {
    trace.bytes().chain([0]).chain(span.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
