//! From the streams that senders push to series that can be judged: counters become rates,
//! histograms become rate, failures, mean and quantiles, and the streams of one series (instances,
//! routes, status codes) are folded into one point.
//!
//! Pure: streams in, points out, with what to undo if they are not taken after all. What is
//! remembered is bounded by [`Memory`].

mod buckets;
mod memory;
mod quantile;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(in crate::telemetry) use buckets::{Buckets, MOST_BUCKETS, Side};
pub(in crate::telemetry) use memory::{Memory, Undo};
use memory::{Previous, Put, Share, Step};

use crate::model::signal::Direction;
use crate::model::{
    EntityRef, Fingerprint, Indicator, Labels, Point, Samples, Series, SeriesId, Time,
};

/// How the streams of one metric (instances, CPUs, pools) are folded into one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum Fold {
    /// Added up.
    Sum,
    /// Their mean.
    Mean,
    /// The greatest.
    Max,
    /// Share of the streams' sum that carries the attribute's value: `used` of all states.
    Share(&'static str, &'static str),
    /// Divided by the streams of another metric: in use by limit.
    Over(&'static str),
    /// The divisor of such a series, and nothing by itself.
    Limit(&'static str),
}

/// What a stream's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum Kind {
    /// A level, as it is.
    Level,
    /// A count since some start.
    Cumulative,
    /// A count of the interval since the start.
    Delta,
}

/// A series that a point belongs to, before it is folded.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Target {
    /// Where it comes from.
    pub(in crate::telemetry) source: &'static str,
    /// What it is about.
    pub(in crate::telemetry) entity: EntityRef,
    /// Labels that make it a series of its own.
    pub(in crate::telemetry) labels: Labels,
    /// Its name; of a histogram, what its series' names begin with.
    pub(in crate::telemetry) metric: String,
    /// How its streams are folded.
    pub(in crate::telemetry) fold: Fold,
    /// Which signal it carries.
    pub(in crate::telemetry) indicator: Indicator,
    /// Its unit.
    pub(in crate::telemetry) unit: String,
    /// Which departures are bad.
    pub(in crate::telemetry) direction: Direction,
    /// Usual distance between points in milliseconds.
    pub(in crate::telemetry) step_ms: i64,
}

impl Target {
    fn group(&self) -> SeriesId {
        Series::identity(self.source, &self.metric, &self.entity, &self.labels)
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
            id: Series::identity(self.source, metric, &self.entity, &self.labels),
            source: self.source.to_owned(),
            entity: self.entity.clone(),
            metric: metric.to_owned(),
            labels: self.labels.clone(),
            indicator,
            unit: unit.to_owned(),
            direction,
            query: None,
            limit: None,
            step_ms: self.step_ms,
        }
    }
}

/// What a histogram's point says.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Histogram {
    /// Its buckets.
    pub(in crate::telemetry) buckets: Buckets,
    /// Sum of its values, where it is known.
    pub(in crate::telemetry) sum: Option<f64>,
}

/// One data point with where it belongs.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Stream {
    /// When.
    pub(in crate::telemetry) at: Time,
    /// Identity of the stream.
    pub(in crate::telemetry) key: Fingerprint,
    /// The series that it is a part of.
    pub(in crate::telemetry) target: Target,
    /// What its values are.
    pub(in crate::telemetry) kind: Kind,
    /// When the count began, as far as the sender says.
    pub(in crate::telemetry) start: Option<Time>,
    /// Its value, or how many values a histogram counts; `None` when the sender says that there is
    /// no value now.
    pub(in crate::telemetry) value: Option<f64>,
    /// Counts as the part rather than the whole (used of all, failed of all, the divisor).
    pub(in crate::telemetry) part: bool,
    /// Set for histograms.
    pub(in crate::telemetry) histogram: Option<Histogram>,
}

/// What became of the streams of a request.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Folded {
    /// The series' new points.
    pub(in crate::telemetry) metrics: Vec<Samples>,
    /// What to undo if they are not taken after all.
    pub(in crate::telemetry) undo: Vec<Undo>,
    /// Points that are not newer than their stream.
    pub(in crate::telemetry) n_late: u64,
    /// Points for whose stream there is no room.
    pub(in crate::telemetry) n_full: u64,
}

/// The state of one request's conversion.
struct Folding<'a> {
    memory: &'a mut Memory,
    done: Folded,
    out: BTreeMap<SeriesId, (Series, BTreeMap<Time, f64>)>,
    // Groups touched, with the times to fold them at.
    touched: BTreeMap<Fingerprint, (Target, bool, BTreeSet<Time>)>,
}

/// Folds streams into points of series, in order of time whatever order they came in, so that a
/// fold at a time sees the shares of that time and not later ones.
pub(in crate::telemetry) fn fold(mut streams: Vec<Stream>, memory: &mut Memory) -> Folded {
    let mut folding =
        Folding { memory, done: Folded::default(), out: BTreeMap::new(), touched: BTreeMap::new() };
    streams.sort_by_key(|s| (s.at, s.key));
    let mut rest = streams.into_iter().peekable();
    while let Some(stream) = rest.next() {
        let at = stream.at;
        folding.take(stream);
        if rest.peek().is_none_or(|next| next.at > at) {
            folding.fold();
        }
    }
    for (series, points) in folding.out.into_values() {
        let points = points.into_iter().map(|(at, value)| Point { at, value }).collect();
        folding.done.metrics.push(Samples { series, points });
    }
    folding.done
}

impl Folding<'_> {
    /// Takes one point into the memory and notes which series to fold.
    fn take(&mut self, stream: Stream) {
        let group = stream.target.group();
        let undo = &mut self.done.undo;
        let Some(value) = stream.value else {
            self.memory.end(group, stream.key, undo);
            return;
        };
        let is_histogram = stream.histogram.is_some();
        let Histogram { buckets, sum } = stream.histogram.unwrap_or_default();
        let (at, start, part) = (stream.at, stream.start, stream.part);
        let share = match stream.kind {
            Kind::Level => Share { at, value, part, buckets, sum },
            Kind::Cumulative => {
                let now = Previous { at, start, value, buckets, sum };
                match self.memory.step(group, stream.key, now, undo) {
                    Step::Added(added) => Share {
                        at,
                        value: added.count / added.seconds,
                        part,
                        buckets: added.buckets.per_second(added.seconds),
                        sum: added.sum.map(|s| s / added.seconds),
                    },
                    Step::Unknown => return,
                    Step::Late => return self.done.n_late += 1,
                    Step::Full => return self.done.n_full += 1,
                }
            }
            Kind::Delta => {
                // A delta says its own interval; one without a start is of the usual interval.
                let ms = start.map_or(stream.target.step_ms, |start| at.ms_since(start));
                let seconds = ms.max(1) as f64 / 1_000.0;
                let (buckets, sum) = (buckets.per_second(seconds), sum.map(|s| s / seconds));
                Share { at, value: value / seconds, part, buckets, sum }
            }
        };
        match self.memory.put(group, stream.key, share, undo) {
            Put::Set => {}
            Put::Late => return self.done.n_late += 1,
            Put::Full => return self.done.n_full += 1,
        }
        let new = || (stream.target, is_histogram, BTreeSet::new());
        self.touched.entry(group).or_insert_with(new).2.insert(at);
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

/// Quantiles told of a histogram.
const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99")];

fn histogram_points(target: &Target, shares: &[&Share]) -> Vec<(Series, f64)> {
    let name = &target.metric;
    let rate: f64 = shares.iter().map(|s| s.value).sum();
    let series = |what: &str, indicator, unit: &str, direction| {
        target.named(&format!("{name} {what}"), indicator, unit, direction)
    };
    let level = |what: &str| series(what, target.indicator, &target.unit, target.direction);
    let mut out = vec![(series("rate", Indicator::Rate, "{request}/s", Direction::Both), rate)];
    if rate > 0.0 {
        if target.indicator == Indicator::Duration {
            // From zero: the empty sum of `f64` is -0.
            let bad = shares.iter().filter(|s| s.part).fold(0.0, |all, s| all + s.value);
            out.push((series("errors", Indicator::Errors, "1", Direction::High), bad / rate));
        }
        // All of them or none: the mean of some is not the mean.
        let sums: Option<Vec<f64>> =
            shares.iter().filter(|s| s.value > 0.0).map(|s| s.sum).collect();
        out.extend(sums.map(|sums| (level("mean"), sums.iter().sum::<f64>() / rate)));
    }
    let mut sets = shares.iter().map(|s| &s.buckets).filter(|b| b.total() > 0.0);
    let Some(first) = sets.next() else { return out };
    let all = sets.fold(first.clone(), |all, set| all.plus(set));
    let told = QUANTILES.iter().filter_map(|(q, what)| Some((level(what), all.quantile(*q)?)));
    out.extend(told);
    out
}
