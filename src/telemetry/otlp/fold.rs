//! The memory of metric streams: previous values of counters, and the newest value of every stream
//! of a series, folded into one point.
//!
//! A service has many streams (instances, routes, status codes). A series is about the service, so
//! each arriving stream updates its own share and the series is the fold of the shares that are
//! fresh. Memory is bounded by the number of streams; a stream unseen for an hour gives way.

use std::collections::BTreeMap;

use super::histogram::Buckets;
use crate::model::{Fingerprint, Time};

/// A stream's share counts for so long after its last point (event time): three exports of the
/// SDKs' default interval of 60 s.
const FRESH_MS: i64 = 180_000;
/// A stream unseen for so long is forgotten when room is needed.
const STALE_MS: i64 = 3_600_000;

/// The newest word of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    /// When.
    pub(super) at: Time,
    /// Its value or rate.
    pub(super) value: f64,
    /// Counts as the part rather than the whole (used of all, failed of all, the divisor).
    pub(super) part: bool,
    /// Rates by bucket, for histograms.
    pub(super) buckets: Buckets,
}

/// The previous point of a cumulative stream.
#[derive(Clone, Debug)]
pub(super) struct Previous {
    /// When.
    pub(super) at: Time,
    /// Start of the count, as the sender says.
    pub(super) start: u64,
    /// The count.
    pub(super) value: f64,
    /// Counts by bucket.
    pub(super) buckets: Buckets,
}

/// One stream as it was before a request.
#[derive(Debug)]
pub(super) struct Undo {
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
pub(super) struct Memory {
    most: usize,
    n: usize,
    groups: BTreeMap<Fingerprint, BTreeMap<Fingerprint, Stream>>,
}

/// What a cumulative point says.
pub(super) enum Step {
    /// Seconds since the previous point, what was added, and by bucket.
    Added(f64, f64, Buckets),
    /// The first sight of a stream: nothing to say yet.
    First,
    /// Not newer than what stands: what it counted is in the newer count.
    Late,
    /// There is no room for another stream.
    Full,
}

/// What became of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It stands.
    Set,
    /// A newer one stands: a series is folded in order of time.
    Late,
    /// There is no room for another stream.
    Full,
}

impl Memory {
    /// An empty memory for so many streams.
    pub(super) fn new(most: usize) -> Self {
        Self { most, n: 0, groups: BTreeMap::new() }
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
            if self.n >= self.most {
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

    /// Takes a cumulative point. A count that fell, or a new start, is a restart: then the count
    /// itself is what came since.
    pub(super) fn step(
        &mut self,
        group: Fingerprint,
        stream: Fingerprint,
        now: Previous,
        undo: &mut Vec<Undo>,
    ) -> Step {
        let Some(entry) = self.stream(group, stream, now.at, undo) else { return Step::Full };
        let Some(before) = entry.previous.clone() else {
            entry.previous = Some(now);
            return Step::First;
        };
        let seconds = now.at.ms_since(before.at) as f64 / 1_000.0;
        if seconds <= 0.0 {
            return Step::Late;
        }
        let restarted = now.value < before.value
            || (before.start > 0 && now.start > before.start && now.start > 0);
        let buckets = if restarted { None } else { now.buckets.since(&before.buckets) };
        let added = match buckets {
            Some(buckets) => (now.value - before.value, buckets),
            None => (now.value, now.buckets.clone()),
        };
        entry.previous = Some(now);
        Step::Added(seconds, added.0, added.1)
    }

    /// Sets a stream's share, unless a newer one stands.
    pub(super) fn put(
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

    /// The fresh shares of a series at `at`, in order of stream.
    pub(super) fn shares(&self, group: Fingerprint, at: Time) -> Vec<&Share> {
        self.groups
            .get(&group)
            .into_iter()
            .flat_map(|g| g.values())
            .filter_map(|s| s.share.as_ref())
            .filter(|s| (0..=FRESH_MS).contains(&at.ms_since(s.at)))
            .collect()
    }

    /// Puts back what a request changed, newest change first.
    pub(super) fn undo(&mut self, undo: Vec<Undo>) {
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
