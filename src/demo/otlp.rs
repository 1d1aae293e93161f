//! What the shop sends over OTLP of a stretch of time: spans and log lines. Both follow from the
//! world and the time alone.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::scenario::LogPlan;
use super::series::pod_name;
use super::town::{DATABASES, NODES, SERVICES, service_index};
use super::world::{World, rhythm};
use crate::model::Time;

/// Traces and lines sent in one push at most; what the wall clock can carry, whatever the speed.
const MOST: usize = 24;

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    }
}

fn resource(world: &World, service: usize, at: Time) -> Resource {
    let node = NODES[world.node_of(service, 0, at)];
    Resource {
        attributes: vec![
            attribute("service.name", SERVICES[service].name),
            attribute("service.namespace", "shop"),
            attribute("service.version", &world.version(service, at)),
            attribute("host.name", node),
            attribute("k8s.pod.name", &pod_name(world.seed(), service, 0)),
        ],
        ..Resource::default()
    }
}

fn nanos(at: Time, plus_ms: f64) -> u64 {
    at.ms().max(0).unsigned_abs() * 1_000_000 + (plus_ms * 1e6) as u64
}

/// A few whole traces of the time between two pushes: each starts at the frontend and goes down
/// the graph along the calls that a request makes.
pub(super) fn traces(world: &World, since: Time, until: Time) -> ExportTraceServiceRequest {
    let length = until.ms_since(since).max(1);
    let mut all = Vec::new();
    for n in 0..MOST {
        let at = since.plus_ms(length * n as i64 / MOST as i64);
        let seed = rhythm::hash(world.seed(), 0x7ace, at.ms() as u64 ^ ((n as u64) << 48));
        let mut trace = Trace { world, at, seed, id: trace_id(seed), next: 1, spans: &mut all };
        trace.call(0, None, 0.0, 0);
    }
    ExportTraceServiceRequest { resource_spans: all }
}

fn trace_id(seed: u64) -> Vec<u8> {
    [seed.to_be_bytes(), rhythm::hash(seed, 1, 2).to_be_bytes()].concat()
}

struct Trace<'a> {
    world: &'a World,
    at: Time,
    seed: u64,
    id: Vec<u8>,
    next: u64,
    spans: &'a mut Vec<ResourceSpans>,
}

impl Trace<'_> {
    fn span_id(&mut self) -> Vec<u8> {
        self.next += 1;
        rhythm::hash(self.seed, 3, self.next).to_be_bytes().to_vec()
    }

    /// One server span with what it calls; gives its duration in milliseconds and whether it failed.
    fn call(
        &mut self,
        service: usize,
        parent: Option<Vec<u8>>,
        offset_ms: f64,
        depth: u32,
    ) -> (f64, bool) {
        let plan = &SERVICES[service];
        let chance = rhythm::unit(rhythm::hash(self.seed, 4, self.next));
        let trouble = self.world.disturbance(service, self.at);
        let slow = chance < trouble.slow_share;
        let failed = rhythm::unit(rhythm::hash(self.seed, 5, self.next)) < trouble.errors;
        let id = self.span_id();
        let own_ms = if slow { trouble.slow_s * 1e3 } else { plan.median_s * 1e3 * (0.6 + chance) };
        let mut spent = own_ms * 0.3;
        for (n, call) in plan.calls.iter().enumerate() {
            // Each call is drawn by itself, whichever of the others are made.
            let draw = rhythm::hash(self.seed, 6 + n as u64, self.next);
            let taken = rhythm::unit(draw) < call.share;
            if let Some(callee) = service_index(call.to)
                && taken
                && depth < 5
            {
                spent += self.call(callee, Some(id.clone()), offset_ms + spent, depth + 1).0;
            }
        }
        if let Some((database, queries, _)) = plan.database {
            // The query itself: waiting for a pooled connection comes before the span.
            let query_ms = DATABASES.iter().find(|d| d.name == database).map_or(0.0, |d| d.query_s)
                * 1e3
                * queries
                * self.world.query_factor(service, self.at)
                * (0.7 + 0.6 * chance);
            let span = Span {
                name: format!("SELECT {database}"),
                kind: 3,
                span_id: self.span_id(),
                parent_span_id: id.clone(),
                attributes: vec![
                    attribute("peer.service", database),
                    attribute("db.system.name", "postgresql"),
                    attribute("db.namespace", database),
                ],
                ..self.timed(offset_ms + spent, query_ms.min(own_ms * 0.6))
            };
            self.keep(service, span);
        }
        spent += own_ms * 0.7;
        let operation = plan.operations[(self.seed % plan.operations.len() as u64) as usize];
        let span = Span {
            name: operation.to_owned(),
            kind: 2,
            span_id: id,
            parent_span_id: parent.unwrap_or_default(),
            status: Some(Status { code: if failed { 2 } else { 0 }, message: String::new() }),
            ..self.timed(offset_ms, spent)
        };
        self.keep(service, span);
        (spent, failed)
    }

    fn timed(&self, offset_ms: f64, duration_ms: f64) -> Span {
        Span {
            trace_id: self.id.clone(),
            start_time_unix_nano: nanos(self.at, offset_ms),
            end_time_unix_nano: nanos(self.at, offset_ms + duration_ms),
            ..Span::default()
        }
    }

    fn keep(&mut self, service: usize, span: Span) {
        self.spans.push(ResourceSpans {
            resource: Some(resource(self.world, service, self.at)),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        });
    }
}

/// The log lines of the time between two pushes: a few usual ones, and those of what happens.
pub(super) fn logs(world: &World, since: Time, until: Time) -> ExportLogsServiceRequest {
    let mut all = Vec::new();
    let seconds = until.ms_since(since).max(1) as f64 / 1e3;
    let seed = rhythm::hash(world.seed(), 0x1095, until.ms() as u64);
    for n in 0..6_u64 {
        let hash = rhythm::hash(seed, 1, n);
        let service = (hash % SERVICES.len() as u64) as usize;
        let name = SERVICES[service].name;
        // Some lines carry what must never be kept; the values are made up.
        let text = match hash % 5 {
            0 => format!("session renewed for customer{}@example.com", hash % 900),
            1 => format!("calling upstream with Authorization: Bearer demo{hash:016x}"),
            _ => {
                format!("{name} handled {} requests, slowest {} ms", hash % 400 + 20, hash % 90 + 5)
            }
        };
        all.push(line(world, service, until, (9, "INFO"), text));
    }
    for episode in world.episodes().iter().filter(|e| e.is_near(until)) {
        let strength = episode.strength(until);
        for plan in &episode.scenario.log {
            let n = (plan.per_s * strength * seconds).round().min(MOST as f64) as u64;
            for i in 0..n {
                let at = since.plus_ms((seconds * 1e3 * i as f64 / n as f64) as i64);
                if let Some(service) = service_index(&plan.service) {
                    let text = filled(plan, rhythm::hash(seed, 2, i));
                    all.push(line(world, service, at, level(plan), text));
                }
            }
        }
    }
    ExportLogsServiceRequest { resource_logs: all }
}

fn level(plan: &LogPlan) -> (i32, &'static str) {
    match plan.level.as_str() {
        "warn" => (13, "WARN"),
        "fatal" => (21, "FATAL"),
        _ => (17, "ERROR"),
    }
}

fn filled(plan: &LogPlan, hash: u64) -> String {
    plan.text
        .replace("{n}", &(hash % 40 + 3).to_string())
        .replace("{ms}", &(hash % 2_500 + 900).to_string())
        .replace("{id}", &format!("{:08x}", hash & 0xffff_ffff))
        .replace("{pod}", &plan.service)
        .replace("{mail}", &format!("customer{}@example.com", hash % 900))
        .replace("{token}", &format!("demo{hash:016x}"))
}

fn line(
    world: &World,
    service: usize,
    at: Time,
    (number, text): (i32, &str),
    body: String,
) -> ResourceLogs {
    let record = LogRecord {
        time_unix_nano: nanos(at, 0.0),
        severity_number: number,
        severity_text: text.to_owned(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(body)) }),
        ..LogRecord::default()
    };
    ResourceLogs {
        resource: Some(resource(world, service, at)),
        scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::push::PAST;
    use crate::model::time::{DAY_MS, HOUR_MS};

    #[test]
    fn the_spans_of_the_past_hour_show_every_call_that_is_needed() {
        for seed in [1, 7, 42] {
            let until = Time::parse("2026-11-18T10:00:00Z").expect("valid");
            let world = World::new(seed, until.plus_ms(-16 * DAY_MS));
            let mut seen = BTreeSet::new();
            for n in 0..PAST {
                let from = until.plus_ms(-(n + 1) * HOUR_MS / PAST);
                let sent = traces(&world, from, from.plus_ms(HOUR_MS / PAST));
                seen.extend(calls(&sent));
            }
            for plan in &SERVICES {
                for call in plan.calls.iter().filter(|c| !c.optional) {
                    let edge = (plan.name.to_owned(), call.to.to_owned());
                    assert!(seen.contains(&edge), "seed {seed}: {edge:?}");
                }
            }
        }
    }

    /// Caller and callee of every span that has a parent.
    fn calls(sent: &ExportTraceServiceRequest) -> BTreeSet<(String, String)> {
        let name = |r: &ResourceSpans| {
            let attributes = r.resource.as_ref().map(|r| r.attributes.clone()).unwrap_or_default();
            match attributes.into_iter().find(|a| a.key == "service.name")?.value?.value? {
                any_value::Value::StringValue(name) => Some(name),
                _ => None,
            }
        };
        let all: Vec<(String, Span)> = sent
            .resource_spans
            .iter()
            .flat_map(|r| {
                let service = name(r).expect("every span names its service");
                let spans = r.scope_spans.iter().flat_map(|s| s.spans.clone());
                spans.map(move |span| (service.clone(), span)).collect::<Vec<_>>()
            })
            .collect();
        let by_id: std::collections::BTreeMap<_, _> =
            all.iter().map(|(s, span)| (span.span_id.clone(), s.clone())).collect();
        let pairs = all.iter().filter(|(_, span)| span.kind == 2).filter_map(|(s, span)| {
            by_id.get(&span.parent_span_id).map(|caller| (caller.clone(), s.clone()))
        });
        pairs.collect()
    }

    #[test]
    fn what_is_sent_follows_from_seed_and_time_alone() {
        let until = Time::parse("2026-11-18T10:00:00Z").expect("valid");
        let since = until.plus_ms(-15_000);
        let world = |seed| World::new(seed, until.plus_ms(-16 * DAY_MS));
        for seed in [7, 8] {
            let again = (traces(&world(seed), since, until), logs(&world(seed), since, until));
            assert_eq!(
                (traces(&world(seed), since, until), logs(&world(seed), since, until)),
                again
            );
        }
        assert_ne!(traces(&world(7), since, until), traces(&world(8), since, until));
    }
}
