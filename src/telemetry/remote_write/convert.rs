//! Rows of a request into streams of watched series, and those into points.

use super::recipes::{About, Rule, Rules};
use super::sets::{self, Part};
use super::wire::{Row, Sample, is_stale, time};
use super::{Accepted, Config, State};
use crate::model::{Batch, EntityRef, Labels, Time};
use crate::telemetry::fold::{self, Fold, Histogram, Kind, Stream, Target};
use crate::telemetry::prometheus::{HOST_LABELS, SERVICE_LABELS, entity_name};

/// The source that the series carry.
const SOURCE: &str = "remote_write";

/// Labels that only tell two Prometheus servers apart which scrape the same targets: their series
/// are one stream, and adding them up would count everything twice.
const REPLICA: [&str; 2] = ["__replica__", "prometheus_replica"];

/// What was passed over, by reason.
#[derive(Default)]
struct Passed {
    unwatched: u64,
    time: u64,
    unusable: u64,
}

/// What a sample says.
enum Value {
    Is(f64),
    /// The series ends.
    End,
    Unusable,
}

/// One request being taken apart.
struct Conversion<'a> {
    config: &'a Config,
    now: Time,
    streams: Vec<Stream>,
    put: sets::Put,
    passed: Passed,
}

pub(super) fn convert(
    rows: Vec<Row>,
    (config, rules): (&Config, &Rules),
    state: &mut State,
    now: Time,
) -> Accepted {
    let mut batch = Batch::new(SOURCE, now);
    let (mut n_samples, mut n_histograms) = (0, 0);
    let (streams, put, passed) = <(Vec<Stream>, sets::Put, Passed)>::default();
    let mut conversion = Conversion { config, now, streams, put, passed };
    for mut row in rows {
        n_samples += row.samples.len() as u64;
        n_histograms += row.histograms.len() as u64;
        // In order of time, whatever order they came in.
        row.samples.sort_by_key(|s| s.timestamp);
        row.histograms.sort_by_key(|h| h.timestamp);
        conversion.row(&row, rules, state);
    }
    let Conversion { mut streams, mut put, passed, .. } = conversion;
    streams.append(&mut put.told);
    let folded = fold::fold(streams, &mut state.streams);
    for (why, n) in [
        ("unwatched", passed.unwatched),
        ("time", passed.time),
        ("unusable", passed.unusable),
        ("late", folded.n_late + put.n_late),
        ("too_many_series", folded.n_full + put.n_full),
    ] {
        ::metrics::counter!("nightjar_remote_write_passed_samples_total", "why" => why)
            .increment(n);
    }
    batch.metrics = folded.metrics;
    Accepted { batch, n_samples, n_histograms, undo: (folded.undo, put.undo) }
}

impl Conversion<'_> {
    fn row(&mut self, row: &Row, rules: &Rules, state: &mut State) {
        let Some(name) = row.labels.get("__name__") else {
            self.passed.unusable += (row.samples.len() + row.histograms.len()) as u64;
            return;
        };
        let (base, suffix) = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|s| Some((name.strip_suffix(s)?, *s)))
            .unwrap_or((name, ""));
        let fits =
            |r: &&Rule| r.only.as_ref().is_none_or(|(k, v)| row.labels.get(k) == Some(v.as_str()));
        let of = |name: &str| rules.get(name).into_iter().flatten().filter(fits);
        let mut watched = false;
        for rule in of(name) {
            watched = true;
            if rule.histogram {
                self.native(row, rule);
            } else {
                self.numbers(row, rule);
            }
        }
        for rule in of(base).filter(|r| r.histogram && !suffix.is_empty()) {
            watched = true;
            self.classic(row, rule, suffix, state);
        }
        if !watched {
            self.passed.unwatched += (row.samples.len() + row.histograms.len()) as u64;
        }
    }

    fn at(&mut self, ms: i64) -> Option<Time> {
        let (at, config) = (Time::from_ms(ms), self.config);
        let ahead = ms.saturating_sub(self.now.ms());
        let believable = ms > 0 && ahead <= config.future_skew_ms && ahead >= -config.oldest_ms;
        self.passed.time += u64::from(!believable);
        believable.then_some(at)
    }

    fn numbers(&mut self, row: &Row, rule: &Rule) {
        let stream = self.stream(&row.labels, rule);
        for sample in &row.samples {
            let Some(at) = self.at(sample.timestamp) else { continue };
            let value = match self.value(sample) {
                Value::Is(value) => Some(value),
                Value::End => None,
                Value::Unusable => continue,
            };
            let start = started(sample.start_timestamp, row.created);
            self.streams.push(Stream { at, start, value, ..stream.clone() });
        }
    }

    fn value(&mut self, sample: &Sample) -> Value {
        if is_stale(sample.value) {
            return Value::End;
        }
        if sample.value.is_finite() {
            return Value::Is(sample.value);
        }
        self.passed.unusable += 1;
        Value::Unusable
    }

    fn native(&mut self, row: &Row, rule: &Rule) {
        // The same key as that of its classic form: where both are sent, the first one counts.
        let stream = self.stream(&row.labels.without(&["le", "__name__"]), rule);
        for histogram in &row.histograms {
            let Some(at) = self.at(histogram.timestamp) else { continue };
            let start = started(histogram.start_timestamp, row.created);
            if is_stale(histogram.sum) {
                self.streams.push(Stream { at, value: None, start, ..stream.clone() });
                continue;
            }
            // A gauge histogram tells a level: its count is no rate of anything.
            let counts = histogram.count().is_finite() && !histogram.is_level();
            let buckets = histogram.buckets().filter(|_| counts);
            let Some(buckets) = buckets else {
                self.passed.unusable += 1;
                continue;
            };
            let sum = Some(histogram.sum * rule.scale).filter(|s| s.is_finite());
            let told = Histogram { buckets: buckets.in_unit(rule.scale), sum };
            let value = Some(histogram.count());
            let histogram = Some(told);
            self.streams.push(Stream { at, start, value, histogram, ..stream.clone() });
        }
    }

    fn classic(&mut self, row: &Row, rule: &Rule, suffix: &str, state: &mut State) {
        let part = match (suffix, row.labels.get("le").map(str::parse::<f64>)) {
            ("_bucket", Some(Ok(le))) if !le.is_nan() => Part::Bucket(le),
            ("_count", _) => Part::Count,
            ("_sum", _) => Part::Sum,
            _ => {
                self.passed.unusable += row.samples.len() as u64;
                return;
            }
        };
        let stream = self.stream(&row.labels.without(&["le", "__name__"]), rule);
        for sample in &row.samples {
            let Some(at) = self.at(sample.timestamp) else { continue };
            let value = match self.value(sample) {
                Value::Is(value) => Some(value),
                Value::End => None,
                Value::Unusable => continue,
            };
            let start = started(sample.start_timestamp, row.created);
            let stream = Stream { at, start, ..stream.clone() };
            state.sets.put(stream, part, value, rule.scale, &mut self.put);
        }
    }

    /// The stream that a series is, before its values.
    fn stream(&self, labels: &Labels, rule: &Rule) -> Stream {
        let part = match (&rule.failing, rule.fold) {
            (Some(failing), _) => failing.is_failed(labels),
            (None, Fold::Over(_) | Fold::Limit(_)) => rule.part,
            _ => false,
        };
        let kept = |(k, v): (&str, &str)| {
            rule.labels.iter().any(|l| l == k).then(|| (k.to_owned(), v.to_owned()))
        };
        Stream {
            at: self.now,
            key: labels.without(&REPLICA).with("__series__", &rule.metric).fingerprint(),
            target: Target {
                source: SOURCE,
                entity: entity(labels, rule.about),
                labels: labels.iter().filter_map(kept).collect(),
                metric: rule.metric.clone(),
                fold: rule.fold,
                indicator: rule.indicator,
                unit: rule.unit.clone(),
                direction: rule.direction,
                step_ms: i64::from(self.config.interval_s) * 1_000,
            },
            kind: if rule.counts || rule.histogram { Kind::Cumulative } else { Kind::Level },
            start: None,
            value: None,
            part,
            histogram: None,
        }
    }
}

fn started(sample: i64, series: i64) -> Option<Time> {
    time(sample).or(time(series))
}

/// What a series is about, by the first label that names it.
fn entity(labels: &Labels, about: About) -> EntityRef {
    let named = |names: &'static [&'static str]| {
        let found = names.iter().find_map(|n| Some((*n, labels.get(n).filter(|v| !v.is_empty())?)));
        found.map(|(label, value)| entity_name(label, value).to_owned())
    };
    let host = || named(&HOST_LABELS).map(EntityRef::host);
    let service = || named(&SERVICE_LABELS).map(EntityRef::service);
    let found = match about {
        About::Service => service().or_else(host),
        About::Host => host().or_else(service),
    };
    found.unwrap_or_else(|| EntityRef::service(SOURCE))
}
