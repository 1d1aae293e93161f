//! The memory of metric streams: previous values of counters, and the newest value of every stream
//! of a series, folded into one point.
//!
//! A service has many streams (instances, routes, status codes). A series is about the service, so
//! each arriving stream updates its own share and the series is the fold of the shares that are
//! fresh. Memory is bounded by the number of streams; a stream unseen for an hour gives way.

use std::collections::BTreeMap;

use super::buckets::Buckets;
use crate::model::{Fingerprint, Time};

/// A stream's share counts for so long after its last point (event time): three exports of the
/// SDKs' default interval of 60 s.
pub(super) const FRESH_MS: i64 = 180_000;
/// A stream unseen for so long is forgotten when room is needed.
const STALE_MS: i64 = 3_600_000;
/// Room is looked for this often (event time).
const SWEEP_MS: i64 = 60_000;

/// The newest word of one stream.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Share {
    /// When.
    pub(in crate::telemetry) at: Time,
    /// Its value or rate.
    pub(in crate::telemetry) value: f64,
    /// Counts as the part rather than the whole (used of all, failed of all, the divisor).
    pub(in crate::telemetry) part: bool,
    /// Rates by bucket, for histograms.
    pub(in crate::telemetry) buckets: Buckets,
    /// What the values add up to in a second, for histograms that say so.
    pub(in crate::telemetry) sum: Option<f64>,
}

/// The previous point of a cumulative stream.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Previous {
    /// When.
    pub(in crate::telemetry) at: Time,
    /// When the count began, as far as the sender says.
    pub(in crate::telemetry) start: Option<Time>,
    /// The count.
    pub(in crate::telemetry) value: f64,
    /// Counts by bucket.
    pub(in crate::telemetry) buckets: Buckets,
    /// Sum of the values, for histograms that say so.
    pub(in crate::telemetry) sum: Option<f64>,
}

/// What came between two points of a cumulative stream.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::telemetry) struct Increase {
    /// Over how long.
    pub(in crate::telemetry) seconds: f64,
    /// By how much it grew; never negative.
    pub(in crate::telemetry) count: f64,
    /// By bucket.
    pub(in crate::telemetry) buckets: Buckets,
    /// What the new values add up to.
    pub(in crate::telemetry) sum: Option<f64>,
}

/// One stream as it was before a request.
#[derive(Debug)]
pub(in crate::telemetry) struct Undo {
    group: Fingerprint,
    stream: Fingerprint,
    before: Option<Stream>,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    seen: Time,
    previous: Option<Previous>,
    share: Option<Share>,
}

/// All streams, by series group.
#[derive(Debug)]
pub(in crate::telemetry) struct Memory {
    most: usize,
    n: usize,
    swept_at: Time,
    groups: BTreeMap<Fingerprint, BTreeMap<Fingerprint, Stream>>,
}

/// What a cumulative point says.
pub(in crate::telemetry) enum Step {
    /// What came since the previous point, or since the count began.
    Added(Increase),
    /// Nothing to say yet: the first sight of a stream, or a count that fell by so little that it is
    /// a sender's correction.
    Unknown,
    /// Not newer than what stands: what it counted is in the newer count.
    Late,
    /// There is no room for another stream.
    Full,
}

/// What became of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum Put {
    /// It stands.
    Set,
    /// A newer one stands: a series is folded in order of time.
    Late,
    /// There is no room for another stream.
    Full,
}

impl Memory {
    /// An empty memory for so many streams.
    pub(in crate::telemetry) fn new(most: usize) -> Self {
        Self { most, n: 0, swept_at: Time::MIN, groups: BTreeMap::new() }
    }

    fn stream(
        &mut self,
        group: Fingerprint,
        stream: Fingerprint,
        at: Time,
        undo: &mut Vec<Undo>,
    ) -> Option<&mut Stream> {
        let known = self.groups.get(&group).and_then(|g| g.get(&stream)).cloned();
        if known.is_none() {
            // Looking through all streams for each that finds no room would stop everything.
            if self.n >= self.most && at.ms_since(self.swept_at) >= SWEEP_MS {
                self.swept_at = at;
                self.forget_before(at.plus_ms(-STALE_MS));
            }
            if self.n >= self.most {
                return None;
            }
            self.n += 1;
        }
        undo.push(Undo { group, stream, before: known });
        let entry = self.groups.entry(group).or_default().entry(stream).or_default();
        entry.seen = entry.seen.max(at);
        Some(entry)
    }

    fn forget_before(&mut self, oldest: Time) {
        self.groups.values_mut().for_each(|g| g.retain(|_, s| s.seen >= oldest));
        self.groups.retain(|_, g| !g.is_empty());
        self.n = self.groups.values().map(BTreeMap::len).sum();
    }

    /// Takes a cumulative point; see [`increase`] for what it means.
    pub(in crate::telemetry) fn step(
        &mut self,
        group: Fingerprint,
        stream: Fingerprint,
        now: Previous,
        undo: &mut Vec<Undo>,
    ) -> Step {
        let Some(entry) = self.stream(group, stream, now.at, undo) else { return Step::Full };
        let step = increase(entry.previous.as_ref(), &now);
        if !matches!(step, Told::Late | Told::Kept) {
            entry.previous = Some(now);
        }
        match step {
            Told::Increase(added) => Step::Added(added),
            Told::First | Told::Kept => Step::Unknown,
            Told::Late => Step::Late,
        }
    }

    /// The sender says that a stream has no value now (a stale marker, "no recorded value"): its
    /// share counts no more. A counter that comes back goes on from where it stood.
    pub(in crate::telemetry) fn end(
        &mut self,
        group: Fingerprint,
        stream: Fingerprint,
        undo: &mut Vec<Undo>,
    ) {
        let streams = self.groups.get_mut(&group);
        let Some(entry) = streams.and_then(|g| g.get_mut(&stream)) else { return };
        undo.push(Undo { group, stream, before: Some(entry.clone()) });
        entry.share = None;
    }

    /// Sets a stream's share, unless a newer one stands.
    pub(in crate::telemetry) fn put(
        &mut self,
        group: Fingerprint,
        stream: Fingerprint,
        share: Share,
        undo: &mut Vec<Undo>,
    ) -> Put {
        let Some(entry) = self.stream(group, stream, share.at, undo) else { return Put::Full };
        if entry.share.as_ref().is_some_and(|old| old.at > share.at) {
            return Put::Late;
        }
        entry.share = Some(share);
        Put::Set
    }

    /// How many streams it knows.
    #[cfg(test)]
    pub(in crate::telemetry) fn len(&self) -> usize {
        self.n
    }

    /// The fresh shares of a series at `at`, in order of stream.
    pub(in crate::telemetry) fn shares(&self, group: Fingerprint, at: Time) -> Vec<&Share> {
        self.groups
            .get(&group)
            .into_iter()
            .flat_map(|g| g.values())
            .filter_map(|s| s.share.as_ref())
            .filter(|s| (0..=FRESH_MS).contains(&at.ms_since(s.at)))
            .collect()
    }

    /// Puts back what a request changed, newest change first.
    pub(in crate::telemetry) fn undo(&mut self, undo: Vec<Undo>) {
        for Undo { group, stream, before } in undo.into_iter().rev() {
            match before {
                Some(before) => {
                    self.groups.entry(group).or_default().insert(stream, before);
                }
                None => {
                    if let Some(streams) = self.groups.get_mut(&group) {
                        streams.remove(&stream);
                    }
                }
            }
        }
        self.groups.retain(|_, g| !g.is_empty());
        self.n = self.groups.values().map(BTreeMap::len).sum();
    }
}

/// What two points of a cumulative stream say.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::telemetry) enum Told {
    Increase(Increase),
    First,
    /// Not newer than what stands.
    Late,
    /// A fall that is no reset: the higher count stands.
    Kept,
}

/// What came between two points of a cumulative stream. Never negative, and no spike at a reset:
/// - A count that fell, or a start that is newer, is a restart: what it counts now came since, as in
///   Prometheus' `rate`.
/// - A fall by less than an eighth without a newer start is a correction or a second sender of the
///   same stream (`VictoriaMetrics` tells them apart so, `removeCounterResets`): the whole count
///   would be taken for new. The higher one stands, and nothing is said of that interval.
/// - A first point whose start is at most [`FRESH_MS`] back tells all it counts since that start:
///   what lives shortly counts too. Without a start nothing can be said of a first point.
pub(in crate::telemetry) fn increase(before: Option<&Previous>, now: &Previous) -> Told {
    let all_since = |seconds: f64| Increase {
        seconds,
        count: now.value,
        buckets: now.buckets.clone(),
        sum: now.sum,
    };
    let Some(before) = before else {
        let age_ms = now.start.map_or(i64::MAX, |start| now.at.ms_since(start));
        return if (1_000..=FRESH_MS).contains(&age_ms) {
            Told::Increase(all_since(age_ms as f64 / 1_000.0))
        } else {
            Told::First
        };
    };
    let ms = now.at.ms_since(before.at);
    if ms <= 0 {
        return Told::Late;
    }
    let seconds = ms as f64 / 1_000.0;
    let anew = matches!((before.start, now.start), (Some(old), Some(new)) if new > old);
    let fell = now.value < before.value;
    if fell && !anew && (before.value - now.value) * 8.0 < before.value {
        ::metrics::counter!("nightjar_telemetry_counter_corrections_total").increment(1);
        return if ms > FRESH_MS { Told::First } else { Told::Kept };
    }
    let buckets = if anew || fell { None } else { now.buckets.since(&before.buckets) };
    Told::Increase(match buckets {
        Some(buckets) => Increase {
            seconds,
            count: now.value - before.value,
            buckets,
            sum: now.sum.zip(before.sum).map(|(now, before)| now - before),
        },
        None if anew || fell => all_since(seconds),
        // The count grew while a bucket fell: buckets were laid out anew. The count is right.
        None => {
            let (count, buckets) = (now.value - before.value, Buckets::None);
            let sum = now.sum.zip(before.sum).map(|(now, before)| now - before);
            Increase { seconds, count, buckets, sum }
        }
    })
}
