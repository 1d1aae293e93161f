//! Prometheus remote-write, versions 1 and 2 (`POST /api/v1/write`): snappy-packed protobuf decoded
//! into batches.
//!
//! Takes a request's body and `now`; gives [`Accepted`] or [`Rejected`]. What is watched are the
//! requests that discovery knows of, the usual exporters' signals and configured metrics; anything
//! else a Prometheus sends is passed over, since it sends all it has. Counters become rates, classic
//! and native histograms rate, failures, mean and quantiles; a stale marker ends its series.
//! Sources of the rules: the remote-write specifications 1.0 and 2.0
//! (<https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>).

mod convert;
mod recipes;
mod sets;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Mutex;

use prost::Message as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rejected;
use super::fold::{Memory, Undo};
use super::weight;
use crate::model::signal::Direction;
use crate::model::{Batch, Indicator, Time};

/// Longest body after unpacking. Prometheus sends at most 2,000 samples at once by default, which
/// take well under one MiB.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// The name that version 2 gives its messages in `Content-Type`.
const V2: &str = "io.prometheus.write.v2.Request";
const V1: &str = "prometheus.WriteRequest";

/// What is taken over remote-write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How far ahead of our clock a sample may be, in milliseconds.
    #[schemars(range(min = 0))]
    pub future_skew_ms: i64,
    /// How far behind our clock a sample may be, in milliseconds.
    #[schemars(range(min = 1))]
    pub oldest_ms: i64,
    /// Series whose previous value is remembered; further ones are passed over and counted.
    #[schemars(range(min = 1))]
    pub max_streams: usize,
    /// Usual seconds between samples of a series.
    #[schemars(range(min = 1))]
    pub interval_s: u32,
    /// Metrics to watch beyond the ones known by their names.
    pub metrics: Vec<CustomMetric>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            future_skew_ms: 5 * 60 * 1_000,
            oldest_ms: 24 * 60 * 60 * 1_000,
            max_streams: 200_000,
            interval_s: 15,
            metrics: Vec::new(),
        }
    }
}

/// A metric of your own to watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomMetric {
    /// Its name; of a classic histogram without `_bucket`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Labels that make separate series; the others are folded together.
    #[serde(default)]
    pub labels: Vec<String>,
    /// How series of one entity are folded.
    #[serde(default)]
    pub fold: FoldBy,
    /// Whether it counts up from a start; by default what ends in `_total` does.
    #[serde(default)]
    pub counter: Option<bool>,
    /// Which signal it carries.
    #[serde(default = "custom")]
    pub indicator: Indicator,
    /// Unit as in UCUM.
    #[serde(default = "one")]
    pub unit: String,
    /// Which departures are bad.
    #[serde(default = "both")]
    pub direction: Direction,
}

/// How the series of one entity become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FoldBy {
    /// Added up.
    #[default]
    Sum,
    /// Their mean.
    Mean,
    /// The greatest.
    Max,
}

fn custom() -> Indicator {
    Indicator::Custom
}

fn one() -> String {
    "1".to_owned()
}

fn both() -> Direction {
    Direction::Both
}

/// A request that was decoded.
#[derive(Debug)]
pub struct Accepted {
    /// What goes to the intake.
    pub batch: Batch,
    /// Samples that were read, watched or not.
    pub n_samples: u64,
    /// Native histograms that were read, watched or not.
    pub n_histograms: u64,
    undo: (Vec<Undo>, Vec<sets::Before>),
}

/// The receiver: it remembers the previous values of the series that it watches.
#[derive(Debug)]
pub struct Receiver {
    config: Config,
    rules: recipes::Rules,
    // Guards the memory of series; held while one request is converted, never across an await.
    memory: Mutex<State>,
}

#[derive(Debug)]
struct State {
    streams: Memory,
    sets: sets::Sets,
}

impl Receiver {
    /// A receiver with an empty memory.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let state = State {
            streams: Memory::new(config.max_streams),
            sets: sets::Sets::new(config.max_streams),
        };
        Self { rules: recipes::rules(&config.metrics), memory: Mutex::new(state), config }
    }

    /// Decodes one request. After a transient fault of the intake call [`Receiver::give_back`].
    ///
    /// # Errors
    /// 415 for another message or encoding, 400 when the body can't be decoded, 413 when it or its
    /// labels take too much memory.
    pub fn decode(
        &self,
        content_type: Option<&str>,
        encoding: Option<&str>,
        body: &[u8],
        now: Time,
    ) -> Result<Accepted, Rejected> {
        let rows = read(content_type, encoding, body).inspect_err(|_| {
            ::metrics::counter!("nightjar_remote_write_undecodable_total").increment(1);
        })?;
        let mut state = self.memory.lock().unwrap_or_else(|broken| broken.into_inner());
        Ok(convert::convert(rows, (&self.config, &self.rules), &mut state, now))
    }

    /// Forgets what a request taught the memory, because the request was not taken after all: the
    /// sender repeats it and it must count then.
    pub fn give_back(&self, accepted: Accepted) {
        let mut state = self.memory.lock().unwrap_or_else(|broken| broken.into_inner());
        state.streams.undo(accepted.undo.0);
        state.sets.undo(accepted.undo.1);
    }
}

fn read(
    content_type: Option<&str>,
    encoding: Option<&str>,
    body: &[u8],
) -> Result<Vec<wire::Row>, Rejected> {
    let unfit = |message: String| Rejected { status: 415, message };
    let encoding = encoding.unwrap_or("snappy");
    if !encoding.eq_ignore_ascii_case("snappy") {
        return Err(unfit(format!("Content-Encoding `{encoding}` is not taken; send snappy")));
    }
    let content_type = content_type.unwrap_or("application/x-protobuf");
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let message = parts.find_map(|p| p.strip_prefix("proto=")).unwrap_or(V1);
    if !media.eq_ignore_ascii_case("application/x-protobuf") || ![V1, V2].contains(&message) {
        return Err(unfit(format!(
            "Content-Type `{}` is not taken; send application/x-protobuf of {V1} or {V2}",
            content_type.chars().take(80).collect::<String>()
        )));
    }
    let broken = |e: snap::Error| Rejected::invalid(format!("not snappy (block format): {e}"));
    let length = snap::raw::decompress_len(body).map_err(broken)?;
    if length > MAX_BYTES {
        let message = format!("the body unpacks to {length} bytes, {MAX_BYTES} are taken");
        return Err(Rejected { status: 413, message });
    }
    let plain = snap::raw::Decoder::new().decompress_vec(body).map_err(broken)?;
    let shape = if message == V1 { &wire::V1 } else { &wire::V2 };
    weight::check(&plain, shape, "send fewer at once (max_samples_per_send in queue_config)")?;
    let undecodable = |e| Rejected::invalid(format!("not {message}: {e}"));
    if message == V1 {
        return Ok(wire::WriteRequest::decode(&*plain).map_err(undecodable)?.rows());
    }
    wire::RequestV2::decode(&*plain).map_err(undecodable)?.rows()
}
