//! Prometheus' remote-write messages, versions 1 and 2, and what both say alike.
//!
//! Shapes: `prompb/{remote,types}.proto` and `prompb/io/prometheus/write/v2/types.proto` of
//! Prometheus. Exemplars and help texts are not read.

use prost::Message;

use crate::model::{Labels, Time};
use crate::telemetry::Rejected;
use crate::telemetry::fold::{Buckets, MOST_BUCKETS, Side};
use crate::telemetry::weight::{Field, Shape};

/// Prometheus' "stale" marker: a NaN of these bits ends a series
/// (`model/value/value.go`, `StaleNaN`).
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;
/// The schema of native histograms with bounds of their own.
const CUSTOM_SCHEMA: i32 = -53;
/// Longest name or value of a label in bytes. Other receivers draw the line at 2 to 4 KiB. A series
/// beyond it is passed over as one without a name is; the others of its request are taken.
pub(super) const MAX_LABEL_BYTES: usize = 4 * 1024;
/// Most bytes of labels once every series has its own copies, with what each text takes itself: a
/// few bytes of version 2 may refer to one long symbol any number of times. 2,000 series, as many as
/// Prometheus sends at once by default, may have 16 KiB each.
pub(super) const MAX_WRITTEN_OUT: usize = 32 * 1024 * 1024;

/// What an allocation of a short text takes.
const TEXT: usize = 32;
/// The repeated fields of a request of either version.
pub(super) static V1: Shape = Shape::new(&[(1, Field::Message(&SERIES, size_of::<TimeSeries>()))]);
pub(super) static V2: Shape = Shape::new(&[
    (4, Field::Texts(size_of::<String>() + TEXT)),
    (5, Field::Message(&SERIES_V2, size_of::<TimeSeriesV2>())),
]);
static SERIES: Shape = Shape::new(&[
    (1, Field::Message(&PLAIN, size_of::<Label>() + 2 * TEXT)),
    (2, Field::Message(&PLAIN, size_of::<Sample>())),
    (4, Field::Message(&HISTOGRAM, size_of::<Histogram>())),
]);
static SERIES_V2: Shape = Shape::new(&[
    (1, Field::Numbers(size_of::<u32>())),
    (2, Field::Message(&PLAIN, size_of::<Sample>())),
    (3, Field::Message(&HISTOGRAM, size_of::<Histogram>())),
]);
static HISTOGRAM: Shape = Shape::new(&[
    (8, Field::Message(&PLAIN, size_of::<Span>())),
    (9, Field::Numbers(size_of::<i64>())),
    (11, Field::Message(&PLAIN, size_of::<Span>())),
    (12, Field::Numbers(size_of::<i64>())),
]);
static PLAIN: Shape = Shape::new(&[]);

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub(super) histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// A sample of either version; the start is told by version 2 only, 0 for none.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
    #[prost(int64, tag = "3")]
    pub(super) start_timestamp: i64,
}

/// `io.prometheus.write.v2.Request`: texts stand once, in `symbols`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RequestV2 {
    #[prost(string, repeated, tag = "4")]
    pub(super) symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) timeseries: Vec<TimeSeriesV2>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeriesV2 {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(super) histograms: Vec<Histogram>,
    /// Where senders of the first drafts of version 2 told the start.
    #[prost(int64, tag = "6")]
    pub(super) created_timestamp: i64,
}

/// A native histogram, the same in both versions.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub(super) count_int: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) count_float: Option<f64>,
    #[prost(double, tag = "3")]
    pub(super) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(super) schema: i32,
    #[prost(double, tag = "5")]
    pub(super) zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    pub(super) zero_count_int: Option<u64>,
    #[prost(double, optional, tag = "7")]
    pub(super) zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    pub(super) negative_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "9")]
    pub(super) negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    pub(super) negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    pub(super) positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "12")]
    pub(super) positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub(super) positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub(super) reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub(super) timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub(super) custom_values: Vec<f64>,
    #[prost(int64, tag = "17")]
    pub(super) start_timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Span {
    #[prost(sint32, tag = "1")]
    pub(super) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(super) length: u32,
}

/// One series of either version.
pub(super) struct Row {
    pub(super) labels: Labels,
    pub(super) samples: Vec<Sample>,
    pub(super) histograms: Vec<Histogram>,
    /// When its counts began, where the series says so as a whole.
    pub(super) created: i64,
}

impl WriteRequest {
    /// Its series; one with a label above [`MAX_LABEL_BYTES`] has no labels.
    pub(super) fn rows(self) -> Vec<Row> {
        let row = |s: TimeSeries| {
            let fits = s.labels.iter().all(|l| l.name.len().max(l.value.len()) <= MAX_LABEL_BYTES);
            let labels = if fits { s.labels } else { Vec::new() };
            Row {
                labels: labels.into_iter().map(|l| (l.name, l.value)).collect(),
                samples: s.samples,
                histograms: s.histograms,
                created: 0,
            }
        };
        self.timeseries.into_iter().map(row).collect()
    }
}

impl RequestV2 {
    /// Its series; one with a label above [`MAX_LABEL_BYTES`] has no labels.
    ///
    /// # Errors
    /// 400 when a reference points nowhere, 413 when the labels written out take more than
    /// [`MAX_WRITTEN_OUT`] bytes. Nothing is written out before that is known.
    pub(super) fn rows(self) -> Result<Vec<Row>, Rejected> {
        let Self { symbols, timeseries } = self;
        let mut bytes = 0_usize;
        for reference in timeseries.iter().flat_map(|s| &s.labels_refs) {
            let symbol = symbols.get(*reference as usize).ok_or_else(astray)?;
            bytes = bytes.saturating_add(symbol.len() + size_of::<String>());
        }
        if bytes > MAX_WRITTEN_OUT {
            let message = format!(
                "the labels of this request take {bytes} bytes once each series has its own, \
                 {MAX_WRITTEN_OUT} are taken; send fewer series at once (max_samples_per_send in \
                 queue_config) or drop long labels (write_relabel_configs)"
            );
            return Err(Rejected { status: 413, message });
        }
        let fits = |n: &u32| symbols[*n as usize].len() <= MAX_LABEL_BYTES;
        let symbol = |n: u32| symbols[n as usize].clone();
        let row = |s: TimeSeriesV2| {
            if !s.labels_refs.len().is_multiple_of(2) {
                return Err(astray());
            }
            let fits = s.labels_refs.iter().all(fits);
            let pairs = if fits { s.labels_refs.chunks_exact(2) } else { [].chunks_exact(2) };
            Ok(Row {
                labels: pairs.map(|p| (symbol(p[0]), symbol(p[1]))).collect(),
                samples: s.samples,
                histograms: s.histograms,
                created: s.created_timestamp,
            })
        };
        timeseries.into_iter().map(row).collect()
    }
}

fn astray() -> Rejected {
    Rejected::invalid("a label refers to a symbol that is not there")
}

/// Whether a value ends its series.
pub(super) fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// A time in milliseconds, where one is told.
pub(super) fn time(ms: i64) -> Option<Time> {
    (ms > 0).then(|| Time::from_ms(ms))
}

impl Histogram {
    /// How many values it counts; NaN when it makes no sense.
    pub(super) fn count(&self) -> f64 {
        self.count_float.or(self.count_int.map(|n| n as f64)).unwrap_or(0.0)
    }

    /// Whether it tells a level and not a count (`GAUGE` of `ResetHint`).
    pub(super) fn is_level(&self) -> bool {
        self.reset_hint == 3
    }

    /// Its buckets; `None` when they make no sense.
    pub(super) fn buckets(&self) -> Option<Buckets> {
        let positive = side(&self.positive_spans, &self.positive_deltas, &self.positive_counts)?;
        if self.schema == CUSTOM_SCHEMA {
            let mut counts = vec![0.0; self.custom_values.len() + 1];
            for (i, count) in positive {
                *counts.get_mut(usize::try_from(i).ok()?)? = count;
            }
            return Buckets::explicit(self.custom_values.clone(), counts);
        }
        // Prometheus numbers a bucket by its upper end, we by its lower one.
        let shift = |side: Side| -> Option<Side> {
            side.into_iter().map(|(i, c)| Some((i.checked_sub(1)?, c))).collect()
        };
        let negative = side(&self.negative_spans, &self.negative_deltas, &self.negative_counts)?;
        let zero = self.zero_count_float.or(self.zero_count_int.map(|n| n as f64)).unwrap_or(0.0);
        let zero = (self.zero_threshold, zero);
        Buckets::exponential(self.schema, zero, shift(positive)?, shift(negative)?)
    }
}

/// Counts by index of runs of buckets: each run begins so far after the end of the one before, and
/// whole counts are told as differences from one to the next.
fn side(spans: &[Span], deltas: &[i64], floats: &[f64]) -> Option<Side> {
    let total: usize = spans.iter().map(|s| s.length as usize).sum();
    let given = deltas.len().max(floats.len());
    if total != given || total > MOST_BUCKETS {
        return None;
    }
    let (mut out, mut index, mut whole) = (Side::with_capacity(total), 0_i32, 0_i64);
    let mut place = 0;
    for span in spans {
        index = index.checked_add(span.offset)?;
        for _ in 0..span.length {
            let count = if floats.is_empty() {
                whole = whole.checked_add(*deltas.get(place)?)?;
                whole as f64
            } else {
                *floats.get(place)?
            };
            out.push((index, count));
            (index, place) = (index.checked_add(1)?, place + 1);
        }
    }
    Some(out)
}
