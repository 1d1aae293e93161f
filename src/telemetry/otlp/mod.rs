//! OTLP/HTTP: logs, traces and metrics, protobuf and JSON, decoded into batches.
//!
//! Takes a request's body and `now`; gives [`Accepted`] (a batch and what of the request was
//! rejected) or [`Rejected`]. Nothing is dropped in silence: what is not taken stands in the
//! partial-success answer and in `nightjar_otlp_rejected_total`. Source of the rules: OTLP 1.x,
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
//!
//! Times: a signal more than [`Config::future_skew_ms`] ahead of `now` or more than
//! [`Config::oldest_ms`] behind it is rejected; a log line without any time gets `now`; a span or
//! a point without a time is rejected; a span that ends before it starts has a duration of 0.

mod json;
mod logs;
mod metrics;
mod recipes;
mod resource;
mod shapes;
mod traces;

use std::collections::BTreeMap;
use std::sync::Mutex;

use opentelemetry_proto::tonic::collector::logs::v1 as logs_service;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics_service;
use opentelemetry_proto::tonic::collector::trace::v1 as trace_service;
use prost::Message;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rejected;
use super::fold::{Memory, Undo};
use super::weight;
use crate::model::signal::Direction;
use crate::model::{Batch, Time};

/// Most bytes that the signals of one request may take once they are apart. Exporters send 512 and
/// collectors 8,192 at once by default, which may have 32 KiB each.
const MAX_APART: usize = 256 * 1024 * 1024;
/// What the sender of a request that takes too much can do.
const FEWER: &str = "send fewer at once (send_batch_max_size of the batch processor)";
/// What a signal takes beside its texts, about.
const BYTES_EACH: usize = 256;

/// What is taken over OTLP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How far ahead of our clock a signal may be, in milliseconds.
    #[schemars(range(min = 0))]
    pub future_skew_ms: i64,
    /// How far behind our clock a signal may be, in milliseconds.
    #[schemars(range(min = 1))]
    pub oldest_ms: i64,
    /// Metric streams whose previous value is remembered; further ones are rejected.
    #[schemars(range(min = 1))]
    pub max_streams: usize,
    /// Metrics to watch beyond the ones known by their OpenTelemetry names.
    pub metrics: Vec<CustomMetric>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            future_skew_ms: 5 * 60 * 1_000,
            oldest_ms: 31 * 24 * 60 * 60 * 1_000,
            max_streams: 50_000,
            metrics: Vec::new(),
        }
    }
}

/// A metric of your own to watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomMetric {
    /// Its name as exported.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Attributes that make separate series; the others are folded together.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Which departures are bad.
    #[serde(default = "both")]
    pub direction: Direction,
}

fn both() -> Direction {
    Direction::Both
}

/// How a request is encoded, and so its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The encoding that a `Content-Type` names.
    ///
    /// # Errors
    /// 415 for any other type.
    pub fn from_content_type(value: Option<&str>) -> Result<Self, Rejected> {
        let value = value.unwrap_or_default();
        match value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Rejected {
                status: 415,
                message: format!(
                    "Content-Type `{}` is not taken; send application/x-protobuf or \
                     application/json",
                    value.chars().take(60).collect::<String>()
                ),
            }),
        }
    }

    /// The `Content-Type` of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Which of the three signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `/v1/logs`.
    Logs,
    /// `/v1/traces`.
    Traces,
    /// `/v1/metrics`.
    Metrics,
}

/// A request that was decoded, wholly or in part.
#[derive(Debug)]
pub struct Accepted {
    /// What goes to the intake.
    pub batch: Batch,
    /// Log records, spans or data points that were not taken.
    pub rejected: u64,
    /// Why, in one line; empty when nothing was rejected.
    pub message: String,
    undo: Vec<Undo>,
}

/// What the signals of one request take once they are apart: each repeats what its resource says, so
/// that a small request may ask for very much memory.
#[derive(Default)]
struct Apart {
    bytes: usize,
}

impl Apart {
    /// Counts `n` signals of a resource before they are taken apart.
    ///
    /// # Errors
    /// 413 when the request takes more than [`MAX_APART`] bytes.
    fn add(&mut self, origin: &resource::Origin, n: usize) -> Result<(), Rejected> {
        let each = origin.repeated_bytes() + BYTES_EACH;
        self.bytes = self.bytes.saturating_add(n.saturating_mul(each));
        if self.bytes <= MAX_APART {
            return Ok(());
        }
        too_large();
        let message = format!(
            "the signals of this request take more than {MAX_APART} bytes once each has the \
             attributes of its resource ({each} bytes for one of the last resource read); {FEWER} \
             or shorten those attributes"
        );
        Err(Rejected { status: 413, message })
    }
}

/// What was left out of a request, by reason.
#[derive(Debug, Default)]
struct Losses(BTreeMap<String, u64>);

impl Losses {
    fn add(&mut self, why: impl Into<String>) {
        self.add_n(why, 1);
    }

    fn add_n(&mut self, why: impl Into<String>, n: u64) {
        let why = why.into();
        // Reasons may name what was sent: bound them.
        let why = if self.0.len() < 20 { why } else { "other reasons".to_owned() };
        *self.0.entry(why).or_default() += n;
    }

    fn count(&self) -> u64 {
        self.0.values().sum()
    }

    fn text(&self) -> String {
        self.0.iter().map(|(why, n)| format!("{n} × {why}")).collect::<Vec<_>>().join("; ")
    }
}

/// The receiver: it remembers the previous values of cumulative metric streams, within
/// [`Config::max_streams`]. Logs and traces need no memory.
#[derive(Debug)]
pub struct Receiver {
    config: Config,
    // Guards the memory of streams; held while one request is decoded, never across an await.
    memory: Mutex<Memory>,
}

impl Receiver {
    /// A receiver with an empty memory.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { memory: Mutex::new(Memory::new(config.max_streams)), config }
    }

    /// Decodes one request. After a transient fault of the intake call [`Receiver::give_back`].
    ///
    /// # Errors
    /// 400 when the body can't be decoded, 413 when it would take too much memory.
    pub fn decode(
        &self,
        signal: Signal,
        encoding: Encoding,
        body: &[u8],
        now: Time,
    ) -> Result<Accepted, Rejected> {
        let mut losses = Losses::default();
        let mut batch = Batch::new("otlp", now);
        let mut undo = Vec::new();
        let window = Window { now, config: &self.config };
        match signal {
            Signal::Logs => {
                let request: logs_service::ExportLogsServiceRequest = read(encoding, body, signal)?;
                logs::convert(request, window, &mut batch, &mut losses)?;
            }
            Signal::Traces => {
                let request: trace_service::ExportTraceServiceRequest =
                    read(encoding, body, signal)?;
                traces::convert(request, window, &mut batch, &mut losses)?;
            }
            Signal::Metrics => {
                let request: metrics_service::ExportMetricsServiceRequest =
                    read(encoding, body, signal)?;
                let mut memory = self.memory.lock().unwrap_or_else(|broken| broken.into_inner());
                undo = metrics::convert(request, window, &mut memory, &mut batch, &mut losses)?;
            }
        }
        let rejected = losses.count();
        metrics::count(signal, rejected);
        Ok(Accepted { batch, rejected, message: losses.text(), undo })
    }

    /// Forgets what a request taught the memory, because the request was not taken after all: the
    /// sender repeats it and it must count then.
    pub fn give_back(&self, accepted: Accepted) {
        let mut memory = self.memory.lock().unwrap_or_else(|broken| broken.into_inner());
        memory.undo(accepted.undo);
    }
}

/// Which times are believable.
#[derive(Clone, Copy)]
struct Window<'a> {
    now: Time,
    config: &'a Config,
}

impl Window<'_> {
    fn check(self, at: Time) -> Result<Time, &'static str> {
        if at.ms_since(self.now) > self.config.future_skew_ms {
            Err("time too far in the future; check the sender's clock")
        } else if self.now.ms_since(at) > self.config.oldest_ms {
            Err("time too far in the past")
        } else {
            Ok(at)
        }
    }
}

fn too_large() {
    ::metrics::counter!("nightjar_otlp_too_large_total").increment(1);
}

fn read<T>(encoding: Encoding, body: &[u8], signal: Signal) -> Result<T, Rejected>
where
    T: Message + Default + serde::de::DeserializeOwned,
{
    let fits = match encoding {
        Encoding::Protobuf => weight::check(body, shapes::of(signal), FEWER),
        Encoding::Json => weight::check_json(body, FEWER),
    };
    fits.inspect_err(|_| too_large())?;
    let decoded = match encoding {
        Encoding::Protobuf => T::decode(body).map_err(|e| format!("not OTLP protobuf: {e}")),
        Encoding::Json => json::read(body, signal),
    };
    decoded.map_err(|message| {
        ::metrics::counter!("nightjar_otlp_undecodable_total").increment(1);
        Rejected::invalid(message)
    })
}

/// The body of the 200 answer, with a partial success where something was rejected.
#[must_use]
pub fn answer(signal: Signal, encoding: Encoding, rejected: u64, message: &str) -> Vec<u8> {
    let n = i64::try_from(rejected).unwrap_or(i64::MAX);
    let text = message.to_owned();
    let partial = n > 0 || !text.is_empty();
    match encoding {
        Encoding::Json if !partial => b"{}".to_vec(),
        Encoding::Json => {
            let key = match signal {
                Signal::Logs => "rejectedLogRecords",
                Signal::Traces => "rejectedSpans",
                Signal::Metrics => "rejectedDataPoints",
            };
            // 64-bit integers are strings in the JSON mapping of protobuf.
            serde_json::json!({"partialSuccess": {key: n.to_string(), "errorMessage": text}})
                .to_string()
                .into_bytes()
        }
        Encoding::Protobuf => match signal {
            Signal::Logs => logs_service::ExportLogsServiceResponse {
                partial_success: partial.then_some(logs_service::ExportLogsPartialSuccess {
                    rejected_log_records: n,
                    error_message: text,
                }),
            }
            .encode_to_vec(),
            Signal::Traces => trace_service::ExportTraceServiceResponse {
                partial_success: partial.then_some(trace_service::ExportTracePartialSuccess {
                    rejected_spans: n,
                    error_message: text,
                }),
            }
            .encode_to_vec(),
            Signal::Metrics => metrics_service::ExportMetricsServiceResponse {
                partial_success: partial.then_some(metrics_service::ExportMetricsPartialSuccess {
                    rejected_data_points: n,
                    error_message: text,
                }),
            }
            .encode_to_vec(),
        },
    }
}

/// `google.rpc.Status`, the body of every OTLP/HTTP error.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// The body of an error answer: a `google.rpc.Status` with the code that fits the HTTP status.
#[must_use]
pub fn error_answer(encoding: Encoding, status: u16, message: &str) -> Vec<u8> {
    // google/rpc/code.proto: 3 INVALID_ARGUMENT, 8 RESOURCE_EXHAUSTED, 13 INTERNAL, 14 UNAVAILABLE,
    // 16 UNAUTHENTICATED.
    let code = match status {
        401 => 16,
        413 | 429 => 8,
        502..=504 => 14,
        500 | 501 => 13,
        _ => 3,
    };
    match encoding {
        Encoding::Protobuf => RpcStatus { code, message: message.to_owned() }.encode_to_vec(),
        Encoding::Json => {
            serde_json::json!({"code": code, "message": message}).to_string().into_bytes()
        }
    }
}

#[cfg(test)]
mod tests;
