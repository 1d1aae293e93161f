//! Classic histograms put together: each bucket comes as a series of its own, and the buckets of
//! one moment may come in several requests (the sender shares its series out over queues).
//!
//! A set is complete once every bucket that the set before had is there; a set that stays
//! incomplete is told when the next moment begins, by the buckets that came. That loses detail and
//! no truth: the counts add up to each bound, so a missing bound makes one wider bucket of two.
//! A set without both `+Inf` and `_count` says nothing and is dropped.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Fingerprint, Time};
use crate::telemetry::fold::{Buckets, Histogram, Stream};

/// A set that got nothing for so long gives way when room is needed (event time).
const STALE_MS: i64 = 3_600_000;

/// One series of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// `_bucket`, by its `le`.
    Bucket(f64),
    /// `_count`.
    Count,
    /// `_sum`.
    Sum,
}

impl Part {
    /// In the order of bounds: the bits of a number that is not negative rise with it, and those of
    /// a negative one are turned round (IEEE 754 total order).
    fn key(self) -> (u8, u64) {
        match self {
            Self::Bucket(le) => {
                let bits = le.to_bits();
                (0, if le.is_sign_negative() { !bits } else { bits | (1 << 63) })
            }
            Self::Count => (1, 0),
            Self::Sum => (2, 0),
        }
    }
}

#[derive(Clone, Debug)]
struct Set {
    /// The stream as it will be told, with the time and without the values.
    stream: Stream,
    parts: BTreeMap<(u8, u64), (Part, f64)>,
    /// What the set before had.
    known: BTreeSet<(u8, u64)>,
    told: bool,
}

impl Set {
    fn is_complete(&self) -> bool {
        !self.known.is_empty() && self.known.iter().all(|k| self.parts.contains_key(k))
    }

    /// The set as one point of a stream; `None` when it says nothing.
    fn tell(&mut self, unit: f64) -> Option<Stream> {
        self.told = true;
        self.known = self.parts.keys().copied().collect();
        let (mut bounds, mut counts, mut below) = (Vec::new(), Vec::new(), 0.0_f64);
        let (mut count, mut sum) = (None, None);
        for (part, value) in self.parts.values() {
            match part {
                // Counts up to a bound can't fall; where rounding or a scrape in the midst of an
                // update makes them, Prometheus takes the higher one as well.
                Part::Bucket(le) => {
                    counts.push((value - below).max(0.0));
                    below = below.max(*value);
                    bounds.push(*le);
                }
                Part::Count => count = Some(*value),
                Part::Sum => sum = Some(*value * unit),
            }
        }
        let buckets = if bounds.is_empty() {
            Buckets::None
        } else {
            if bounds.last() != Some(&f64::INFINITY) {
                bounds.push(f64::INFINITY);
                counts.push((count? - below).max(0.0));
            }
            Buckets::explicit(bounds, counts)?.in_unit(unit)
        };
        let total = if buckets == Buckets::None { count? } else { count.unwrap_or(below) };
        let mut stream = self.stream.clone();
        stream.value = Some(total);
        stream.histogram = Some(Histogram { buckets, sum });
        Some(stream)
    }
}

/// A set as it was before a request.
#[derive(Debug)]
pub(super) struct Before {
    key: Fingerprint,
    set: Option<Set>,
}

/// All sets, within a bound.
#[derive(Debug)]
pub(super) struct Sets {
    most: usize,
    by_key: BTreeMap<Fingerprint, Set>,
    swept_at: Time,
}

/// What became of the series of one histogram in a request.
#[derive(Debug, Default)]
pub(super) struct Put {
    /// Sets that can be told now.
    pub(super) told: Vec<Stream>,
    /// What to undo if they are not taken after all.
    pub(super) undo: Vec<Before>,
    /// Values of a moment that was told already, or before it.
    pub(super) n_late: u64,
    /// Values for which there is no room.
    pub(super) n_full: u64,
}

impl Sets {
    pub(super) fn new(most: usize) -> Self {
        Self { most, by_key: BTreeMap::new(), swept_at: Time::MIN }
    }

    /// Takes one value of one part; `stream` is what it belongs to, at its time. `unit` is what one
    /// unit of the sender is in ours. A value of `None` ends the part.
    pub(super) fn put(
        &mut self,
        stream: Stream,
        part: Part,
        value: Option<f64>,
        unit: f64,
        out: &mut Put,
    ) {
        let (key, at) = (stream.key, stream.at);
        let is_new = !self.by_key.contains_key(&key);
        if is_new && (value.is_none() || !self.has_room(at)) {
            out.n_full += u64::from(value.is_some());
            return;
        }
        let known = self.by_key.get(&key);
        if known.is_some_and(|set| at < set.stream.at) {
            out.n_late += 1;
            return;
        }
        out.undo.push(Before { key, set: known.cloned() });
        let Some(value) = value else { return self.end(stream, part, out) };
        let set = self.by_key.entry(key).or_insert_with(|| Set {
            stream: stream.clone(),
            parts: BTreeMap::new(),
            known: BTreeSet::new(),
            told: false,
        });
        if at > set.stream.at {
            if !set.told {
                out.told.extend(set.tell(unit));
            }
            (set.stream, set.told) = (stream, false);
            set.parts.clear();
        }
        if set.told {
            out.n_late += 1;
            return;
        }
        set.parts.insert(part.key(), (part, value));
        if set.is_complete() {
            out.told.extend(set.tell(unit));
        }
    }

    /// A part ends: a bound that went is no longer waited for, and when all went so did the stream.
    fn end(&mut self, stream: Stream, part: Part, out: &mut Put) {
        let Some(set) = self.by_key.get_mut(&stream.key) else { return };
        set.known.remove(&part.key());
        if set.known.is_empty() {
            self.by_key.remove(&stream.key);
            out.told.push(Stream { value: None, histogram: None, ..stream });
        }
    }

    fn has_room(&mut self, at: Time) -> bool {
        if self.by_key.len() >= self.most && at.ms_since(self.swept_at) >= 60_000 {
            self.swept_at = at;
            self.by_key.retain(|_, s| at.ms_since(s.stream.at) <= STALE_MS);
        }
        self.by_key.len() < self.most
    }

    /// Puts back what a request changed, newest change first.
    pub(super) fn undo(&mut self, undo: Vec<Before>) {
        for Before { key, set } in undo.into_iter().rev() {
            match set {
                Some(set) => drop(self.by_key.insert(key, set)),
                None => drop(self.by_key.remove(&key)),
            }
        }
    }
}
