//! OTLP metrics into series: gauges as they are, sums as rates, histograms as rate, failures and
//! percentiles by service.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Metric, NumberDataPoint,
};

use super::fold::{Memory, Previous, Put, Share, Step, Undo};
use super::histogram::{Buckets, quantile};
use super::recipes::{DURATIONS, Fold, NUMBERS, Recipe};
use super::resource::{self, Origin};
use super::{CustomMetric, Losses, Signal, Window};
use crate::model::signal::Direction;
use crate::model::{
    Batch, EntityRef, Fingerprint, Indicator, Labels, Point, Samples, Series, SeriesId, Time,
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

/// A series that a point belongs to, before it is folded.
struct Target {
    entity: EntityRef,
    labels: Labels,
    metric: String,
    fold: Fold,
    indicator: Indicator,
    unit: String,
    direction: Direction,
}

impl Target {
    fn group(&self) -> SeriesId {
        Series::identity(SOURCE, &self.metric, &self.entity, &self.labels)
    }

    fn series(&self) -> Series {
        self.named(&self.metric, self.indicator, &self.unit, self.direction)
    }

    fn named(
        &self,
        metric: &str,
        indicator: Indicator,
        unit: &str,
        direction: Direction,
    ) -> Series {
        Series {
            id: Series::identity(SOURCE, metric, &self.entity, &self.labels),
            source: SOURCE.to_owned(),
            entity: self.entity.clone(),
            metric: metric.to_owned(),
            labels: self.labels.clone(),
            indicator,
            unit: unit.to_owned(),
            direction,
            query: None,
            limit: None,
            step_ms: STEP_MS,
        }
    }
}

/// The state of one request's conversion.
struct Conversion<'a> {
    window: Window<'a>,
    memory: &'a mut Memory,
    losses: &'a mut Losses,
    undo: Vec<Undo>,
    out: BTreeMap<SeriesId, (Series, BTreeMap<Time, f64>)>,
    // Groups touched, with the times to fold them at.
    touched: BTreeMap<Fingerprint, (Target, bool, BTreeSet<Time>)>,
}

/// Converts a request; gives what to undo if it is not taken after all.
pub(super) fn convert(
    request: ExportMetricsServiceRequest,
    window: Window<'_>,
    memory: &mut Memory,
    batch: &mut Batch,
    losses: &mut Losses,
) -> Vec<Undo> {
    let mut conversion = Conversion {
        window,
        memory,
        losses,
        undo: Vec::new(),
        out: BTreeMap::new(),
        touched: BTreeMap::new(),
    };
    let mut streams = Vec::new();
    for group in request.resource_metrics {
        let origin = Origin::new(group.resource);
        for metric in group.scope_metrics.into_iter().flat_map(|s| s.metrics) {
            conversion.flatten(&origin, metric, &mut streams);
        }
    }
    // In order of time, so that a fold at a time sees the shares of that time and not later ones.
    streams.sort_by_key(|s: &Stream| (s.at, s.key));
    let mut rest = streams.into_iter().peekable();
    while let Some(stream) = rest.next() {
        let at = stream.at;
        conversion.take(stream);
        if rest.peek().is_none_or(|next| next.at > at) {
            conversion.fold();
        }
    }
    for (series, points) in conversion.out.into_values() {
        let points = points.into_iter().map(|(at, value)| Point { at, value }).collect();
        batch.metrics.push(Samples { series, points });
    }
    conversion.undo
}

/// One data point with where it belongs.
struct Stream {
    at: Time,
    key: Fingerprint,
    target: Target,
    start: u64,
    value: f64,
    part: bool,
    buckets: Option<Buckets>,
    temporality: i32,
    monotonic: bool,
}

impl Conversion<'_> {
    fn flatten(&mut self, origin: &Origin, metric: Metric, out: &mut Vec<Stream>) {
        let scale = if metric.unit == MS { 0.001 } else { 1.0 };
        match metric.data {
            None => self.losses.add("metric without data"),
            Some(Data::Summary(s)) => {
                let why = "summary point; send histograms instead";
                self.losses.add_n(why, s.data_points.len() as u64);
            }
            Some(Data::Gauge(gauge)) => {
                for point in gauge.data_points {
                    self.number(origin, (&metric.name, &metric.unit), point, (0, false), out);
                }
            }
            Some(Data::Sum(sum)) => {
                let kind = (sum.aggregation_temporality, sum.is_monotonic);
                for point in sum.data_points {
                    self.number(origin, (&metric.name, &metric.unit), point, kind, out);
                }
            }
            Some(Data::Histogram(histogram)) => {
                for point in histogram.data_points {
                    let buckets = Buckets::explicit(&point);
                    let (at, start) = (point.time_unix_nano, point.start_time_unix_nano);
                    if point.flags & DataPointFlags::NoRecordedValueMask as u32 != 0 {
                        continue;
                    }
                    let Some(at) = self.time(at) else { continue };
                    let Some(buckets) = buckets else {
                        self.losses.add("histogram point whose buckets and bounds disagree");
                        continue;
                    };
                    let attributes = resource::labels(point.attributes);
                    let kind = histogram.aggregation_temporality;
                    let counted = (point.count as f64, scaled(buckets, scale), kind, start);
                    duration(origin, &metric.name, attributes, (at, counted), out);
                }
            }
            Some(Data::ExponentialHistogram(histogram)) => {
                for point in histogram.data_points {
                    let buckets = Buckets::exponential(&point);
                    let (at, start) = (point.time_unix_nano, point.start_time_unix_nano);
                    if point.flags & DataPointFlags::NoRecordedValueMask as u32 != 0 {
                        continue;
                    }
                    let Some(at) = self.time(at) else { continue };
                    let Some(buckets) = buckets else {
                        self.losses.add("exponential histogram point with impossible buckets");
                        continue;
                    };
                    let attributes = resource::labels(point.attributes);
                    let kind = histogram.aggregation_temporality;
                    let counted = (point.count as f64, scaled(buckets, scale), kind, start);
                    duration(origin, &metric.name, attributes, (at, counted), out);
                }
            }
        }
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
        (name, unit): (&str, &str),
        point: NumberDataPoint,
        (temporality, monotonic): (i32, bool),
        out: &mut Vec<Stream>,
    ) {
        // The sender says that there is no value now: no loss.
        if point.flags & DataPointFlags::NoRecordedValueMask as u32 != 0 {
            return;
        }
        let value = match point.value {
            Some(Value::AsDouble(x)) => x,
            Some(Value::AsInt(n)) => n as f64,
            None => f64::NAN,
        };
        if !value.is_finite() {
            self.losses.add("data point without a finite value");
            return;
        }
        let Some(at) = self.time(point.time_unix_nano) else { return };
        let attributes = resource::labels(point.attributes);
        let key = stream_key(origin, name, &attributes);
        let mut push = |target: Target, part: bool| {
            out.push(Stream {
                at,
                key,
                target,
                start: point.start_time_unix_nano,
                value,
                part,
                buckets: None,
                temporality,
                monotonic,
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
            push(custom_target(origin, custom, unit, monotonic, &attributes), false);
        }
    }

    /// Takes one point into the memory and notes which series to fold.
    fn take(&mut self, stream: Stream) {
        let group = stream.target.group();
        let cumulative = stream.temporality == AggregationTemporality::Cumulative as i32;
        let counts = stream.buckets.is_some() || stream.monotonic;
        let is_histogram = stream.buckets.is_some();
        let buckets = stream.buckets.unwrap_or_default();
        let (value, buckets) = if !counts {
            (stream.value, buckets)
        } else if cumulative {
            let now = Previous { at: stream.at, start: stream.start, value: stream.value, buckets };
            match self.memory.step(group, stream.key, now, &mut self.undo) {
                Step::Added(seconds, added, buckets) => {
                    (added / seconds, buckets.per_second(seconds))
                }
                Step::First => return,
                Step::Late => return late(),
                Step::Full => return self.losses.add("data point: too many metric streams"),
            }
        } else {
            // A delta says its own interval; one without a start is taken for the usual interval.
            let start = Time::from_nanos(stream.start);
            let ms = if stream.start == 0 { STEP_MS } else { stream.at.ms_since(start) };
            let seconds = ms.max(1) as f64 / 1_000.0;
            (stream.value / seconds, buckets.per_second(seconds))
        };
        let share = Share { at: stream.at, value, part: stream.part, buckets };
        match self.memory.put(group, stream.key, share, &mut self.undo) {
            Put::Set => {}
            Put::Late => return late(),
            Put::Full => return self.losses.add("data point: too many metric streams"),
        }
        let entry = self
            .touched
            .entry(group)
            .or_insert_with(|| (stream.target, is_histogram, BTreeSet::new()));
        entry.2.insert(stream.at);
    }

    /// Folds the series touched since the last fold.
    fn fold(&mut self) {
        for (group, (target, is_histogram, times)) in std::mem::take(&mut self.touched) {
            for at in times {
                let shares = self.memory.shares(group, at);
                let points = if is_histogram {
                    histogram_points(&target, &shares)
                } else {
                    value(target.fold, &shares).map(|v| (target.series(), v)).into_iter().collect()
                };
                for (series, value) in points.into_iter().filter(|(_, v)| v.is_finite()) {
                    let entry = self.out.entry(series.id);
                    entry.or_insert_with(|| (series, BTreeMap::new())).1.insert(at, value);
                }
            }
        }
    }
}

/// A point that is not newer than its stream. It is no loss to tell the sender of: repetitions of
/// requests bring such points, and a rejected one would be sent for ever.
fn late() {
    ::metrics::counter!("nightjar_otlp_late_points_total").increment(1);
}

fn scaled(mut buckets: Buckets, scale: f64) -> Buckets {
    for bucket in &mut buckets.0 {
        bucket.0 *= scale;
        bucket.1 *= scale;
    }
    buckets
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
    monotonic: bool,
    attributes: &Labels,
) -> Target {
    let names: Vec<&str> = custom.labels.iter().map(String::as_str).collect();
    let unit = if unit.is_empty() { "1" } else { unit };
    Target {
        entity: origin.entity.clone(),
        labels: labels_of(attributes, &names),
        metric: custom.name.clone(),
        fold: Fold::Sum,
        indicator: Indicator::Custom,
        unit: if monotonic { format!("{unit}/s") } else { unit.to_owned() },
        direction: custom.direction,
    }
}

fn duration(
    origin: &Origin,
    name: &str,
    attributes: Labels,
    (at, (count, buckets, temporality, start)): (Time, (f64, Buckets, i32, u64)),
    out: &mut Vec<Stream>,
) {
    let Some((_, labels)) = DURATIONS.iter().find(|(n, _)| *n == name) else { return };
    out.push(Stream {
        at,
        key: stream_key(origin, name, &attributes),
        target: Target {
            entity: origin.entity.clone(),
            labels: labels_of(&attributes, labels),
            metric: name.to_owned(),
            fold: Fold::Sum,
            indicator: Indicator::Duration,
            unit: "s".to_owned(),
            direction: Direction::High,
        },
        start,
        value: count,
        part: failed(name, &attributes),
        buckets: Some(buckets),
        temporality,
        monotonic: true,
    });
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

fn value(fold: Fold, shares: &[&Share]) -> Option<f64> {
    let sum = |part: bool| shares.iter().filter(|s| s.part == part).map(|s| s.value).sum::<f64>();
    let n = shares.len() as f64;
    match fold {
        _ if shares.is_empty() => None,
        Fold::Sum => Some(shares.iter().map(|s| s.value).sum()),
        Fold::Mean => Some(shares.iter().map(|s| s.value).sum::<f64>() / n),
        Fold::Max => shares.iter().map(|s| s.value).reduce(f64::max),
        Fold::Share(..) => {
            let whole = sum(true) + sum(false);
            (whole > 0.0).then(|| sum(true) / whole)
        }
        Fold::Over(_) | Fold::Limit(_) => {
            let whole = sum(true);
            let both = shares.iter().any(|s| !s.part);
            (both && whole > 0.0).then(|| sum(false) / whole)
        }
    }
}

fn histogram_points(target: &Target, shares: &[&Share]) -> Vec<(Series, f64)> {
    let name = &target.metric;
    let rate: f64 = shares.iter().map(|s| s.value).sum();
    let series = |what: &str, indicator, unit: &str, direction| {
        target.named(&format!("{name} {what}"), indicator, unit, direction)
    };
    let mut out = vec![(series("rate", Indicator::Rate, "{request}/s", Direction::Both), rate)];
    if rate > 0.0 {
        let bad: f64 = shares.iter().filter(|s| s.part).map(|s| s.value).sum();
        out.push((series("errors", Indicator::Errors, "1", Direction::High), bad / rate));
    }
    for (q, what) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
        if let Some(value) = quantile(shares.iter().map(|s| &s.buckets), q) {
            out.push((series(what, Indicator::Duration, "s", Direction::High), value));
        }
    }
    out
}
