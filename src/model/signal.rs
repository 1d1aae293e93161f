//! Telemetry as it flows: entities, series, points, log lines, spans, and the batch of them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Change, Fingerprint, Gap, Labels, Time};

/// What a signal is about, by the attribute that names it: `service.name=checkout`,
/// `host.name=node-2`, `k8s.pod.name=shop/cart-7d9f`.
///
/// Attribute names are those of OpenTelemetry's resource conventions, unchanged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EntityRef {
    attribute: String,
    name: String,
}

impl EntityRef {
    /// An entity named by any attribute.
    #[must_use]
    pub fn new(attribute: impl Into<String>, name: impl Into<String>) -> Self {
        Self { attribute: attribute.into(), name: name.into() }
    }

    /// A service (`service.name`).
    #[must_use]
    pub fn service(name: impl Into<String>) -> Self {
        Self::new("service.name", name)
    }

    /// A host or node (`host.name`).
    #[must_use]
    pub fn host(name: impl Into<String>) -> Self {
        Self::new("host.name", name)
    }

    /// The attribute that names it, such as `service.name`.
    #[must_use]
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// Its name, such as `checkout`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a service.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.attribute == "service.name"
    }

    /// Whether it is a host or node.
    #[must_use]
    pub fn is_host(&self) -> bool {
        matches!(self.attribute.as_str(), "host.name" | "k8s.node.name")
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.attribute, self.name)
    }
}

impl FromStr for EntityRef {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((attribute, name)) if !attribute.is_empty() && !name.is_empty() => {
                Ok(Self::new(attribute, name))
            }
            _ => Err(format!(
                "`{text}` is not an entity; write attribute=name, such as service.name=checkout"
            )),
        }
    }
}

impl From<EntityRef> for String {
    fn from(e: EntityRef) -> Self {
        e.to_string()
    }
}

impl TryFrom<String> for EntityRef {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl JsonSchema for EntityRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EntityRef".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[^=]+=.+$" })
    }
}

impl ToSchema for EntityRef {}
impl utoipa::PartialSchema for EntityRef {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

/// The identity of a series: the fingerprint of its source, metric, entity and labels.
pub type SeriesId = Fingerprint;

/// Which golden signal or resource signal a series carries (Google's four golden signals, and
/// utilisation, saturation, errors of a resource).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Indicator {
    /// Requests or operations per second.
    Rate,
    /// Share of requests that failed, 0 to 1.
    Errors,
    /// How long requests take.
    Duration,
    /// Share of a resource in use, 0 to 1.
    Utilization,
    /// Work that waits: queue length, pool waiters, throttling.
    Saturation,
    /// Whether it is up, 0 or 1, or the share that is.
    Availability,
    /// An amount in use without a known limit, such as resident memory.
    Usage,
    /// Anything else a user asked to watch.
    Custom,
}

/// Which departures of a series are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Only values above the band.
    High,
    /// Only values below the band.
    Low,
    /// Both.
    Both,
}

/// What a series is: everything about it but its points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// Its identity.
    pub id: SeriesId,
    /// Which configured source it comes from.
    pub source: String,
    /// What it is about.
    pub entity: EntityRef,
    /// A readable name, such as `http.server.request.duration p99`.
    pub metric: String,
    /// Labels beyond the entity's own.
    pub labels: Labels,
    /// Which signal it carries.
    pub indicator: Indicator,
    /// Unit as in UCUM and OpenTelemetry: `s`, `1` (ratio), `By`, `{request}/s`.
    pub unit: String,
    /// Which departures are bad.
    pub direction: Direction,
    /// The query that gives it again at its origin, where there is one.
    pub query: Option<String>,
    /// The upper limit where it is known (pool size, memory limit), in the series' unit.
    pub limit: Option<f64>,
    /// Usual distance between points in milliseconds.
    pub step_ms: i64,
}

impl Series {
    /// The identity that `source`, `metric`, `entity` and `labels` give.
    #[must_use]
    pub fn identity(source: &str, metric: &str, entity: &EntityRef, labels: &Labels) -> SeriesId {
        labels
            .clone()
            .with("__source__", source)
            .with("__name__", metric)
            .with("__entity__", entity.to_string())
            .fingerprint()
    }
}

/// One value at one time. The value is finite; NaN and infinities are refused at the front door.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Point {
    /// When.
    pub at: Time,
    /// How much, in the series' unit.
    pub value: f64,
}

/// Points of one series, in order of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Which series.
    pub series: Series,
    /// Its new points, oldest first.
    pub points: Vec<Point>,
}

/// Severity of a log line (OpenTelemetry's short names).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Finest detail.
    Trace,
    /// For debugging.
    Debug,
    /// Normal events.
    Info,
    /// Something may be wrong.
    Warn,
    /// Something failed.
    Error,
    /// The process can't go on.
    Fatal,
}

/// One log line, redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When it was written.
    pub at: Time,
    /// What wrote it.
    pub entity: EntityRef,
    /// How severe.
    pub level: Level,
    /// Its text.
    pub body: String,
    /// Trace it belongs to, as hexadecimal digits.
    pub trace_id: Option<String>,
    /// Other attributes.
    pub attributes: Labels,
}

/// One finished span, redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Span {
    /// When it started.
    pub at: Time,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// The service that did the work.
    pub entity: EntityRef,
    /// The operation's name, such as `POST /checkout`.
    pub name: String,
    /// Whether this is the server side of a call.
    pub is_server: bool,
    /// The other side, where the span names it (`peer.service`, `db.system.name`, …).
    pub peer: Option<EntityRef>,
    /// Whether it failed.
    pub failed: bool,
    /// Trace id, hexadecimal.
    pub trace_id: String,
    /// Span id, hexadecimal.
    pub span_id: String,
    /// Parent span id, hexadecimal; `None` at the root.
    pub parent_span_id: Option<String>,
    /// Other attributes (`service.version`, `host.name`, status message, …).
    pub attributes: Labels,
}

/// An alert that another system raised or resolved, as it came in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalAlert {
    /// Which system: `alertmanager`, `datadog`.
    pub system: String,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// Start as the system sent it, by its own clock: part of the alert's identity, and possibly
    /// ahead of ours.
    pub starts_at: Time,
    /// End, once resolved.
    pub ends_at: Option<Time>,
    /// Link back to the origin.
    pub generator_url: Option<String>,
    /// What names this episode, for a sender whose words on it share neither labels nor start: then
    /// it is the alert's identity.
    #[serde(default)]
    pub episode: Option<String>,
    /// When the sender said this, where deliveries may overtake each other: an older word on what
    /// has ended since wakes nothing. Without it, when it came.
    #[serde(default)]
    pub said_at: Option<Time>,
}

/// A sign of life that something sends by itself: a job that ran, an agent that lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Its name, such as `backup.nightly`.
    pub name: String,
    /// What it is about.
    pub entity: EntityRef,
    /// When it came.
    pub at: Time,
    /// The next one is expected within so long, in milliseconds.
    pub every_ms: i64,
    /// How much later than that it may come, in milliseconds.
    pub grace_ms: i64,
    /// What went wrong, where the sender says that it failed.
    pub failed: Option<String>,
    /// Set when no more are to be expected.
    pub ended: bool,
}

/// One unit of the hot lane: decoded, redacted telemetry (or only a tick), as the journal keeps it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Which front door or configured source.
    pub source: String,
    /// Event time at which it was accepted; for ticks, the tick's time.
    pub received_at: Time,
    /// Metric points.
    pub metrics: Vec<Samples>,
    /// Log lines.
    pub logs: Vec<LogLine>,
    /// Spans.
    pub spans: Vec<Span>,
    /// Changes.
    pub changes: Vec<Change>,
    /// Alerts of other systems.
    pub alerts: Vec<ExternalAlert>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// History read to learn from: detectors learn from it and raise nothing.
    pub backfill: bool,
    /// Signs of life.
    #[serde(default)]
    pub beats: Vec<Beat>,
    /// What people ordered of detectors.
    #[serde(default)]
    pub orders: Vec<DetectorOrder>,
    /// Bars that people moved.
    #[serde(default)]
    pub bars: Vec<super::BarOrder>,
    /// Patterns that people confirmed to be harmless, or that hold no longer.
    #[serde(default)]
    pub harmless: Vec<super::harmless::HarmlessOrder>,
}

/// A person's word on where a detector's version belongs. It comes with the telemetry, so that the
/// same journal gives the same verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectorOrder {
    /// The version's name.
    pub detector: String,
    /// Live, or else in shadow.
    pub live: bool,
    /// Who says so.
    pub by: super::Actor,
    /// Why.
    pub reason: String,
}

impl Batch {
    /// An empty batch from a source.
    #[must_use]
    pub fn new(source: impl Into<String>, received_at: Time) -> Self {
        Self { source: source.into(), received_at, ..Self::default() }
    }

    /// A tick: time has passed and nothing else is said. It is what makes silence noticeable.
    #[must_use]
    pub fn tick(now: Time) -> Self {
        Self::new("tick", now)
    }

    /// Whether it carries nothing but the time.
    #[must_use]
    pub fn is_tick(&self) -> bool {
        self.metrics.is_empty()
            && self.logs.is_empty()
            && self.spans.is_empty()
            && self.changes.is_empty()
            && self.alerts.is_empty()
            && self.gaps.is_empty()
            && self.beats.is_empty()
            && self.orders.is_empty()
            && self.bars.is_empty()
            && self.harmless.is_empty()
    }
}
