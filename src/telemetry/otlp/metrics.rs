//! OTLP metrics into series: gauges as they are, sums as rates, histograms as rate, failures and
//! percentiles by service.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets as Dense;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, ExponentialHistogramDataPoint, HistogramDataPoint,
    Metric, NumberDataPoint,
};

use super::recipes::{DURATIONS, NUMBERS, Recipe};
use super::resource::{self, Origin};
use super::{Apart, CustomMetric, Losses, Rejected, Signal, Window};
use crate::model::signal::Direction;
use crate::model::{Batch, Fingerprint, Indicator, Labels, Time};
use crate::telemetry::fold::{
    self, Buckets, Fold, Histogram, Kind, MOST_BUCKETS, Memory, Side, Stream, Target, Undo,
};

/// The source that the series carry.
const SOURCE: &str = "otlp";
/// The SDKs' default export interval, in milliseconds.
const STEP_MS: i64 = 60_000;
/// Instruments in seconds; those in milliseconds are converted.
const MS: &str = "ms";

/// Counts what was rejected.
pub(super) fn count(signal: Signal, n: u64) {
    let signal = match signal {
        Signal::Logs => "logs",
        Signal::Traces => "traces",
        Signal::Metrics => "metrics",
    };
    ::metrics::counter!("nightjar_otlp_rejected_total", "signal" => signal).increment(n);
}

/// The state of one request's conversion.
struct Conversion<'a> {
    window: Window<'a>,
    losses: &'a mut Losses,
}

/// A metric's name and unit.
struct Name<'a> {
    name: &'a str,
    unit: &'a str,
}

/// What a point of either kind of histogram says.
struct Counted {
    attributes: Labels,
    buckets: Option<Buckets>,
    /// Its time and when its count began, in nanoseconds.
    times: (u64, u64),
    flags: u32,
    count: u64,
    sum: Option<f64>,
    kind: Kind,
}

impl Counted {
    fn explicit(point: HistogramDataPoint, kind: Kind) -> Self {
        Self {
            buckets: explicit(&point),
            times: (point.time_unix_nano, point.start_time_unix_nano),
            flags: point.flags,
            count: point.count,
            sum: point.sum,
            attributes: resource::labels(point.attributes),
            kind,
        }
    }

    fn exponential(point: ExponentialHistogramDataPoint, kind: Kind) -> Self {
        Self {
            buckets: exponential(&point),
            times: (point.time_unix_nano, point.start_time_unix_nano),
            flags: point.flags,
            count: point.count,
            sum: point.sum,
            attributes: resource::labels(point.attributes),
            kind,
        }
    }
}

/// Converts a request; gives what to undo if it is not taken after all.
pub(super) fn convert(
    request: ExportMetricsServiceRequest,
    window: Window<'_>,
    memory: &mut Memory,
    batch: &mut Batch,
    losses: &mut Losses,
) -> Result<Vec<Undo>, Rejected> {
    let mut conversion = Conversion { window, losses };
    let mut apart = Apart::default();
    let mut streams = Vec::new();
    for group in request.resource_metrics {
        let origin = Origin::new(group.resource);
        let points = group.scope_metrics.iter().flat_map(|s| &s.metrics).map(n_points).sum();
        // Before anything is remembered, so that there is nothing to undo.
        apart.add(&origin, points)?;
        for metric in group.scope_metrics.into_iter().flat_map(|s| s.metrics) {
            conversion.flatten(&origin, metric, &mut streams);
        }
    }
    let folded = fold::fold(streams, memory);
    // A point that is not newer than its stream is no loss to tell the sender of: repetitions of
    // requests bring such points, and a rejected one would be sent for ever.
    ::metrics::counter!("nightjar_otlp_late_points_total").increment(folded.n_late);
    if folded.n_full > 0 {
        losses.add_n("data point: too many metric streams", folded.n_full);
    }
    batch.metrics.extend(folded.metrics);
    Ok(folded.undo)
}

fn n_points(metric: &Metric) -> usize {
    match &metric.data {
        // Summaries are counted and no more.
        None | Some(Data::Summary(_)) => 0,
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
    }
}

impl Conversion<'_> {
    fn flatten(&mut self, origin: &Origin, metric: Metric, out: &mut Vec<Stream>) {
        let Metric { name, unit, data, .. } = metric;
        let metric = Name { name: &name, unit: &unit };
        match data {
            None => self.losses.add("metric without data"),
            Some(Data::Summary(s)) => {
                let why = "summary point; send histograms instead";
                self.losses.add_n(why, s.data_points.len() as u64);
            }
            Some(Data::Gauge(gauge)) => {
                for point in gauge.data_points {
                    self.number(origin, &metric, point, Kind::Level, out);
                }
            }
            Some(Data::Sum(sum)) => {
                let delta = sum.aggregation_temporality == AggregationTemporality::Delta as i32;
                if delta && !sum.is_monotonic {
                    let why = "delta of a sum that may fall; send it cumulative";
                    return self.losses.add_n(why, sum.data_points.len() as u64);
                }
                let kind = kind(sum.aggregation_temporality, sum.is_monotonic);
                for point in sum.data_points {
                    self.number(origin, &metric, point, kind, out);
                }
            }
            Some(Data::Histogram(histogram)) => {
                let kind = kind(histogram.aggregation_temporality, true);
                for point in histogram.data_points {
                    self.histogram(origin, &metric, Counted::explicit(point, kind), out);
                }
            }
            Some(Data::ExponentialHistogram(histogram)) => {
                let kind = kind(histogram.aggregation_temporality, true);
                for point in histogram.data_points {
                    self.histogram(origin, &metric, Counted::exponential(point, kind), out);
                }
            }
        }
    }

    fn histogram(
        &mut self,
        origin: &Origin,
        metric: &Name<'_>,
        counted: Counted,
        out: &mut Vec<Stream>,
    ) {
        let attributes = counted.attributes;
        let (time, start) = counted.times;
        let ended = counted.flags & DataPointFlags::NoRecordedValueMask as u32 != 0;
        let Some(at) = self.time(time) else { return };
        let Some(buckets) = counted.buckets.filter(|_| !ended).or(ended.then_some(Buckets::None))
        else {
            return self.losses.add("histogram point with impossible buckets");
        };
        let Some(target) = self.histogram_target(origin, metric, &attributes) else { return };
        let scale = if metric.unit == MS { 0.001 } else { 1.0 };
        out.push(Stream {
            at,
            key: stream_key(origin, metric.name, &attributes),
            target,
            kind: counted.kind,
            start: started(start),
            value: (!ended).then_some(counted.count as f64),
            part: failed(metric.name, &attributes),
            histogram: Some(Histogram {
                buckets: buckets.in_unit(scale),
                sum: counted.sum.map(|s| s * scale).filter(|s| s.is_finite()),
            }),
        });
    }

    fn histogram_target(
        &self,
        origin: &Origin,
        metric: &Name<'_>,
        attributes: &Labels,
    ) -> Option<Target> {
        if let Some((_, labels)) = DURATIONS.iter().find(|(n, _)| *n == metric.name) {
            return Some(Target {
                source: SOURCE,
                entity: origin.entity.clone(),
                labels: labels_of(attributes, labels),
                metric: metric.name.to_owned(),
                fold: Fold::Sum,
                indicator: Indicator::Duration,
                unit: "s".to_owned(),
                direction: Direction::High,
                step_ms: STEP_MS,
            });
        }
        let custom = self.window.config.metrics.iter().find(|m| m.name == metric.name)?;
        let unit = if metric.unit == MS { "s" } else { metric.unit };
        Some(custom_target(origin, custom, unit, false, attributes))
    }

    fn time(&mut self, nanos: u64) -> Option<Time> {
        if nanos == 0 {
            self.losses.add("data point without a time");
            return None;
        }
        self.window
            .check(Time::from_nanos(nanos))
            .map_err(|why| self.losses.add(format!("data point: {why}")))
            .ok()
    }

    fn number(
        &mut self,
        origin: &Origin,
        &Name { name, unit }: &Name<'_>,
        point: NumberDataPoint,
        kind: Kind,
        out: &mut Vec<Stream>,
    ) {
        // The sender says that there is no value now: no loss.
        let ended = point.flags & DataPointFlags::NoRecordedValueMask as u32 != 0;
        let value = match point.value {
            Some(Value::AsDouble(x)) => x,
            Some(Value::AsInt(n)) => n as f64,
            None => f64::NAN,
        };
        if !ended && !value.is_finite() {
            return self.losses.add("data point without a finite value");
        }
        let Some(at) = self.time(point.time_unix_nano) else { return };
        let attributes = resource::labels(point.attributes);
        let key = stream_key(origin, name, &attributes);
        let mut push = |target: Target, part: bool| {
            out.push(Stream {
                at,
                key,
                target,
                kind,
                start: started(point.start_time_unix_nano),
                value: (!ended).then_some(value),
                part,
                histogram: None,
            });
        };
        for recipe in NUMBERS.iter().filter(|r| r.name == name) {
            if recipe.only.is_some_and(|(k, v)| attributes.get(k) != Some(v)) {
                continue;
            }
            let part = match recipe.fold {
                Fold::Share(k, v) => attributes.get(k) == Some(v),
                Fold::Limit(_) => true,
                _ => false,
            };
            push(target(origin, recipe, &attributes), part);
        }
        let custom = self.window.config.metrics.iter().find(|m| m.name == name);
        if let Some(custom) = custom {
            push(custom_target(origin, custom, unit, kind != Kind::Level, &attributes), false);
        }
    }
}

/// What values of a temporality are; without any they are levels.
fn kind(temporality: i32, counts: bool) -> Kind {
    let delta = temporality == AggregationTemporality::Delta as i32;
    match (counts, delta) {
        (false, _) => Kind::Level,
        (true, true) => Kind::Delta,
        (true, false) => Kind::Cumulative,
    }
}

fn started(nanos: u64) -> Option<Time> {
    (nanos > 0).then(|| Time::from_nanos(nanos))
}

fn explicit(point: &HistogramDataPoint) -> Option<Buckets> {
    let counts = point.bucket_counts.iter().map(|c| *c as f64).collect();
    Buckets::explicit(point.explicit_bounds.clone(), counts)
}

fn exponential(point: &ExponentialHistogramDataPoint) -> Option<Buckets> {
    let side = |dense: Option<&Dense>| -> Option<Side> {
        let Some(dense) = dense else { return Some(Side::new()) };
        let counts = (dense.bucket_counts.len() <= MOST_BUCKETS).then_some(&dense.bucket_counts)?;
        let place = |(i, count): (i32, &u64)| Some((dense.offset.checked_add(i)?, *count as f64));
        (0_i32..).zip(counts).map(place).collect()
    };
    let (positive, negative) = (side(point.positive.as_ref())?, side(point.negative.as_ref())?);
    let zero = (point.zero_threshold, point.zero_count as f64);
    Buckets::exponential(point.scale, zero, positive, negative)
}

fn stream_key(origin: &Origin, name: &str, attributes: &Labels) -> Fingerprint {
    let mut all = origin.attributes.clone().with("__name__", name);
    for (key, value) in attributes.iter() {
        all.set(format!("point.{key}"), value);
    }
    all.fingerprint()
}

fn labels_of(attributes: &Labels, names: &[&str]) -> Labels {
    attributes.iter().filter(|(k, _)| names.contains(k)).collect()
}

fn target(origin: &Origin, recipe: &Recipe, attributes: &Labels) -> Target {
    Target {
        source: SOURCE,
        step_ms: STEP_MS,
        entity: if recipe.machine { origin.machine() } else { origin.entity.clone() },
        labels: labels_of(attributes, recipe.labels),
        metric: recipe.metric.to_owned(),
        fold: recipe.fold,
        indicator: recipe.indicator,
        unit: recipe.unit.to_owned(),
        direction: recipe.direction,
    }
}

fn custom_target(
    origin: &Origin,
    custom: &CustomMetric,
    unit: &str,
    counted: bool,
    attributes: &Labels,
) -> Target {
    let names: Vec<&str> = custom.labels.iter().map(String::as_str).collect();
    let unit = if unit.is_empty() { "1" } else { unit };
    Target {
        source: SOURCE,
        step_ms: STEP_MS,
        entity: origin.entity.clone(),
        labels: labels_of(attributes, &names),
        metric: custom.name.clone(),
        fold: Fold::Sum,
        indicator: Indicator::Custom,
        unit: if counted { format!("{unit}/s") } else { unit.to_owned() },
        direction: custom.direction,
    }
}

/// Whether a stream counts failures: `error.type` is set, the HTTP status is 5xx (on the client's
/// side also 4xx), or the gRPC code is one that the conventions call a server error.
fn failed(name: &str, attributes: &Labels) -> bool {
    let get = |k: &str| attributes.get(k).filter(|v| !v.is_empty());
    let status = get("http.response.status_code").or_else(|| get("http.status_code"));
    if let Some(status) = status.and_then(|s| s.parse::<u16>().ok()) {
        return status >= 500 || (name.starts_with("http.client") && status >= 400);
    }
    if let Some(code) = get("rpc.grpc.status_code").or_else(|| get("rpc.response.status_code")) {
        const BAD: [&str; 12] = [
            "2",
            "4",
            "12",
            "13",
            "14",
            "15",
            "UNKNOWN",
            "DEADLINE_EXCEEDED",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
        ];
        return BAD.contains(&code);
    }
    get("error.type").is_some()
}
