//! What the shop sends by itself: spans and log lines over OTLP, signed deploy webhooks, and the
//! scheduler that lets things happen.

use std::future::Future;
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use serde_json::json;
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

use super::scenario::{LogPlan, Scenario, scenario, scenarios};
use super::series::pod_name;
use super::town::{DATABASES, NODES, SERVICES, service_index};
use super::world::{Episode, World, rhythm};
use super::{Shop, alerts};
use crate::model::id::hex;
use crate::model::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use crate::model::{Fault, Time, wall_now};

/// Event time between two pushes.
const EVERY: Duration = Duration::from_secs(15);
/// Traces and lines sent in one push at most; what the wall clock can carry, whatever the speed.
const MOST: usize = 24;
/// Event time from the first live moment to the first scenario.
const FIRST_MS: i64 = 2 * MINUTE_MS;
/// Event time between the end of one scenario and the next.
const PAUSE_MS: i64 = 45 * MINUTE_MS;
/// How often one message is tried before it is given up.
const TRIES: u32 = 8;
/// Content type of OTLP messages.
const PROTOBUF: &str = "application/x-protobuf";

struct Pusher {
    shop: Shop,
    bot: String,
    client: reqwest::Client,
}

impl Shop {
    /// Pushes to the bot at `bot` (its base address) until the token is cancelled.
    ///
    /// # Errors
    /// The HTTP client can't be made, or the shop's file can't be written.
    pub fn push(
        &self,
        bot: String,
        shutdown: CancellationToken,
    ) -> impl Future<Output = Result<(), Fault>> + Send + use<> {
        let shop = self.clone();
        async move {
            let client = reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()
                .map_err(|e| Fault::permanent("can't make the shop's HTTP client", e))?;
            let pusher = Pusher { shop, bot, client };
            tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                result = pusher.run() => result,
            }
        }
    }
}

impl Pusher {
    async fn run(&self) -> Result<(), Fault> {
        let start = self.shop.now();
        self.history(start).await;
        let mut last = start;
        let mut told = self.shop.world().episodes().len();
        loop {
            let pause = self.shop.inner.options.clock.wall(EVERY);
            tokio::time::sleep(pause.max(Duration::from_millis(250))).await;
            let now = self.shop.now();
            self.schedule(start, now)?;
            let world = self.shop.world();
            for episode in world.episodes().iter().skip(told) {
                self.tell_change(&world, episode).await;
            }
            told = world.episodes().len();
            for deploy in world.regular_deploys(last, now) {
                self.tell_regular(&world, deploy.service, deploy.at).await;
            }
            let spans = traces(&world, last, now);
            self.send("/v1/traces", PROTOBUF, spans.encode_to_vec()).await;
            let lines = logs(&world, last, now);
            self.send("/v1/logs", PROTOBUF, lines.encode_to_vec()).await;
            for delivery in alerts::deliveries(&world, last, now) {
                let body = delivery.to_string().into_bytes();
                self.send("/ingest/alertmanager", "application/json", body).await;
            }
            last = now;
        }
    }

    /// The deploys of the fortnight before the start.
    async fn history(&self, now: Time) {
        let world = self.shop.world();
        for deploy in world.regular_deploys(now.plus_ms(-14 * DAY_MS), now) {
            self.tell_regular(&world, deploy.service, deploy.at).await;
        }
    }

    /// Starts the next scenario when nothing has happened for a while.
    fn schedule(&self, start: Time, now: Time) -> Result<(), Fault> {
        let world = self.shop.world();
        let last = world.episodes().iter().map(|e| e.until).max();
        let due = match last {
            None => start.plus_ms(FIRST_MS),
            Some(end) => end.plus_ms(PAUSE_MS).max(start.plus_ms(FIRST_MS)),
        };
        if now < due {
            return Ok(());
        }
        let chosen = self.shop.inner.options.scenario.as_deref().and_then(scenario);
        // What the rhythm brings by itself needs no injection.
        let playable: Vec<&Scenario> = scenarios().iter().filter(|s| s.has_effect()).collect();
        let next = chosen.unwrap_or_else(|| playable[world.episodes().len() % playable.len()]);
        self.shop.inject(next)
    }

    async fn tell_change(&self, world: &World, episode: &Episode) {
        let Some(change) = &episode.scenario.change else { return };
        let (version, previous) = episode.versions.clone().unzip();
        let title = change
            .title
            .replace("{version}", version.as_deref().unwrap_or(""))
            .replace("{previous}", previous.as_deref().unwrap_or(""));
        let mut body = json!({
            "kind": change.kind, "title": title, "author": change.author, "at": episode.from,
            "status": "success", "attributes": change.attributes,
        });
        for (name, value) in [
            ("service", &change.service),
            ("entity", &change.entity),
            ("version", &version),
            ("previous", &previous),
        ] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let _ = world;
        self.hook(&body).await;
    }

    async fn tell_regular(&self, world: &World, service: usize, at: Time) {
        let (version, previous) =
            (world.version(service, at), world.version(service, at.plus_ms(-1)));
        let name = SERVICES[service].name;
        self.hook(&json!({
            "kind": "deploy", "service": name, "title": format!("Deploy {name} {version}"),
            "version": version, "previous": previous, "author": "release-train", "at": at,
            "status": "success",
        }))
        .await;
    }

    /// A signed deploy webhook. The signature's time is the wall clock's.
    async fn hook(&self, body: &serde_json::Value) {
        let body = body.to_string();
        for n in 0..TRIES {
            let stamp = (wall_now().ms() / SECOND_MS).to_string();
            let secret = self.shop.inner.options.hook_secret.as_bytes();
            let mut mac =
                Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
            mac.update(format!("{stamp}.{body}").as_bytes());
            let signature = format!("sha256={}", hex(&mac.finalize().into_bytes()));
            let sent = self
                .client
                .post(format!("{}/hooks/deploy", self.bot))
                .header("Content-Type", "application/json")
                .header("X-Nightjar-Timestamp", stamp)
                .header("X-Nightjar-Signature", signature)
                .body(body.clone())
                .send()
                .await;
            if settled("/hooks/deploy", sent, n).await {
                return;
            }
        }
    }

    async fn send(&self, path: &str, kind: &str, body: Vec<u8>) {
        for n in 0..TRIES {
            let sent = self
                .client
                .post(format!("{}{path}", self.bot))
                .header("Content-Type", kind)
                .body(body.clone())
                .send()
                .await;
            if settled(path, sent, n).await {
                return;
            }
        }
    }
}

/// Whether nothing more is to be tried; waits before the next try.
async fn settled(path: &str, sent: Result<reqwest::Response, reqwest::Error>, n: u32) -> bool {
    match sent {
        Ok(response) if response.status().is_success() => return true,
        Ok(response) if response.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE => {}
        Ok(response) => {
            let status = response.status();
            let text = response.text().await.unwrap_or_default();
            tracing::warn!(path, %status, text, "the bot refused what the shop sent");
            return true;
        }
        Err(error) => tracing::debug!(path, %error, "the bot can't be reached"),
    }
    tokio::time::sleep(Duration::from_millis(200 << n.min(5))).await;
    false
}

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
fn traces(world: &World, since: Time, until: Time) -> ExportTraceServiceRequest {
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
        for call in plan.calls {
            let taken = rhythm::unit(rhythm::hash(self.seed, 6, self.next)) < call.share;
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
fn logs(world: &World, since: Time, until: Time) -> ExportLogsServiceRequest {
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
