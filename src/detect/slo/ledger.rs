//! The books of one objective: events and bad events by minute, quarter of an hour and hour, in
//! rings of constant size. A late point is entered where it belongs.

use serde::{Deserialize, Serialize};

use crate::model::Time;
use crate::model::time::{HOUR_MS, MINUTE_MS};

/// Minutes kept: six hours and the running one.
const MINUTES: usize = 361;
/// Quarters of an hour kept: three days and the running one.
const QUARTERS: usize = 289;
/// Hours kept: 31 days and the running one.
const HOURS: usize = 745;
/// A quarter of an hour in ms.
const QUARTER_MS: i64 = 15 * MINUTE_MS;

/// How good and bad follow from what is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// A share that is bad; `counted`: of counted events, else of time.
    Share {
        /// Whether events are counted beside it.
        counted: bool,
    },
    /// Good events among all events.
    Good,
    /// Bad events among all events; none seen is none bad.
    Bad,
}

/// Which side of the books a point belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// All events, a second.
    Total,
    /// The part: a bad share, good events or bad events a second.
    Part,
}

/// A stretch of time as it was heard: sums over its seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cell {
    total: f32,
    part: f32,
    weight: f32,
    /// Seconds in which each side was heard.
    heard_total_s: f32,
    heard_part_s: f32,
}

/// What is known of a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// Events, or measured minutes where time is judged.
    pub(super) total: f64,
    /// Bad ones.
    pub(super) bad: f64,
    /// Minutes in which it was measured.
    pub(super) measured: f64,
    /// Minutes of the stretch so far.
    pub(super) length: f64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.bad += other.bad;
        self.measured += other.measured;
    }

    /// The share that is bad; 0 where nothing was heard.
    pub(super) fn share(&self) -> f64 {
        if self.total > 0.0 { (self.bad / self.total).min(1.0) } else { 0.0 }
    }

    /// The share of the stretch in which it was measured.
    pub(super) fn coverage(&self) -> f64 {
        if self.length > 0.0 { (self.measured / self.length).min(1.0) } else { 0.0 }
    }
}

impl Cell {
    fn tally(&self, kind: Kind) -> Tally {
        let (total_s, part_s) = (f64::from(self.heard_total_s), f64::from(self.heard_part_s));
        let (total, part) = (f64::from(self.total), f64::from(self.part));
        let both = total_s.min(part_s);
        let (total, bad, measured) = match kind {
            Kind::Share { counted } => {
                if self.weight <= 0.0 {
                    return Tally::default();
                }
                let share = part / f64::from(self.weight);
                if counted {
                    // What was counted while the share was not heard can't be judged.
                    let total = if total_s > 0.0 { total * both / total_s } else { 0.0 };
                    (total, total * share, both)
                } else {
                    (part_s / 60.0, part_s / 60.0 * share, part_s)
                }
            }
            Kind::Good if both > 0.0 => {
                let (total, good) = (total * both / total_s, part * both / part_s);
                (total, (total - good).max(0.0), both)
            }
            Kind::Good => return Tally::default(),
            Kind::Bad => (total, part.min(total), total_s),
        };
        Tally { total, bad, measured: measured / 60.0, length: 0.0 }
    }
}

/// A ring of cells, each with the index of the time that it stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ring {
    cells: Vec<(i64, Cell)>,
    size: usize,
    width_ms: i64,
}

impl Ring {
    fn new(size: usize, width_ms: i64) -> Self {
        Self { cells: Vec::new(), size, width_ms }
    }

    fn get(&self, index: i64) -> Option<&Cell> {
        let place = index.rem_euclid(self.size as i64) as usize;
        self.cells.get(place).filter(|(i, _)| *i == index).map(|(_, cell)| cell)
    }

    /// The cell of an index, emptied where it stood for an older one; `None` where a newer one
    /// stands.
    fn entry(&mut self, index: i64) -> Option<&mut Cell> {
        if self.cells.is_empty() {
            self.cells = vec![(i64::MIN, Cell::default()); self.size];
        }
        let place = index.rem_euclid(self.size as i64) as usize;
        let (held, cell) = &mut self.cells[place];
        if *held > index {
            return None;
        }
        if *held < index {
            (*held, *cell) = (index, Cell::default());
        }
        Some(cell)
    }

    /// Lets `put` see each cell between two times, with the seconds of it that lie between and its
    /// width in seconds; says whether any was found.
    fn spread(&mut self, from: i64, until: i64, put: impl Fn(&mut Cell, f64, f64)) -> bool {
        let width = self.width_ms;
        let mut found = false;
        for index in from.div_euclid(width)..=(until - 1).div_euclid(width) {
            let start = index * width;
            let seconds = (until.min(start + width) - from.max(start)) as f64 / 1e3;
            if let Some(cell) = self.entry(index) {
                put(cell, seconds, width as f64 / 1e3);
                found = true;
            }
        }
        found
    }
}

/// What a point enters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) value: f64,
    pub(super) weight: f64,
    pub(super) fills: bool,
}

/// The books.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    kind: Kind,
    minutes: Ring,
    quarters: Ring,
    hours: Ring,
    /// Up to when each side was heard (ms), the total first.
    heard: [i64; 2],
}

/// Longest stretch that one point may stand for (ms).
pub(super) const LONGEST_MS: i64 = 10 * MINUTE_MS;

impl Ledger {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            minutes: Ring::new(MINUTES, MINUTE_MS),
            quarters: Ring::new(QUARTERS, QUARTER_MS),
            hours: Ring::new(HOURS, HOUR_MS),
            heard: [0; 2],
        }
    }

    /// Enters that `value` held for `dt_ms` (at most [`LONGEST_MS`]) up to `at`. For a share,
    /// `weight` says how much it counts beside other series. `fills` says that nothing was heard
    /// then so far. `false`: it came too late.
    pub(super) fn enter(&mut self, side: Side, (at, dt_ms): (Time, i64), value: Entry) -> bool {
        let Entry { value, weight, fills } = value;
        let until = at.ms();
        let from = until - dt_ms.clamp(1, LONGEST_MS);
        let kind = self.kind;
        let heard = &mut self.heard[usize::from(side == Side::Part)];
        // Several series are heard at once: a second counts once.
        let fresh_ms = if fills { until - from } else { (until - from.max(*heard)).max(0) };
        *heard = until.max(*heard);
        let fresh = fresh_ms as f64 / (until - from) as f64;
        let put = |cell: &mut Cell, seconds: f64, width_s: f64| {
            let (sum, heard) = match side {
                Side::Total => (&mut cell.total, &mut cell.heard_total_s),
                Side::Part => (&mut cell.part, &mut cell.heard_part_s),
            };
            *heard = (f64::from(*heard) + fresh * seconds).min(width_s) as f32;
            match (side, kind) {
                (Side::Part, Kind::Share { .. }) => {
                    *sum += (value.clamp(0.0, 1.0) * weight * seconds) as f32;
                    cell.weight += (weight * seconds) as f32;
                }
                _ => *sum += (value.max(0.0) * seconds) as f32,
            }
        };
        self.minutes.spread(from, until, put);
        self.quarters.spread(from, until, put);
        self.hours.spread(from, until, put)
    }

    /// Up to when it was measured; `None`: never.
    pub(super) fn measured_until(&self) -> Option<Time> {
        let [total, part] = self.heard;
        let until = match self.kind {
            Kind::Share { counted: false } => part,
            Kind::Bad => total,
            Kind::Share { counted: true } | Kind::Good => total.min(part),
        };
        (until > 0).then(|| Time::from_ms(until))
    }

    /// The last `ms` up to the newest measured point. Up to six hours to the minute, up to three
    /// days to the quarter of an hour, beyond to the hour.
    pub(super) fn last(&self, ms: i64) -> Tally {
        let ring = if ms < MINUTES as i64 * MINUTE_MS {
            &self.minutes
        } else if ms < QUARTERS as i64 * QUARTER_MS {
            &self.quarters
        } else {
            &self.hours
        };
        let Some(until) = self.measured_until() else { return Tally::default() };
        let end = (until.ms() - 1).div_euclid(ring.width_ms);
        self.sum(ring, end - (ms / ring.width_ms) + 1, until)
    }

    /// From a time to the newest measured point, to the hour.
    pub(super) fn since(&self, from: Time) -> Tally {
        let Some(until) = self.measured_until() else { return Tally::default() };
        // The hour that `from` lies in is left out unless it begins with it.
        self.sum(&self.hours, (from.ms() + HOUR_MS - 1).div_euclid(HOUR_MS), until)
    }

    /// The whole hours up to the newest measured point, at most `n`, the newest last; nothing where
    /// an hour was not heard.
    pub(super) fn hourly(&self, n: i64) -> Vec<Option<Tally>> {
        let Some(until) = self.measured_until() else { return Vec::new() };
        let end = until.ms().div_euclid(HOUR_MS);
        let heard = |i: i64| {
            let tally = self.hours.get(i).map(|c| c.tally(self.kind))?;
            (tally.measured > 0.0).then_some(tally)
        };
        let first = (end - n.min(HOURS as i64 - 1)..end).find(|i| heard(*i).is_some());
        first.map_or_else(Vec::new, |first| (first..end).map(heard).collect())
    }

    fn sum(&self, ring: &Ring, first: i64, until: Time) -> Tally {
        let end = (until.ms() - 1).div_euclid(ring.width_ms);
        let first = first.max(end - ring.size as i64 + 1);
        let mut sum = Tally::default();
        for index in first..=end {
            if let Some(cell) = ring.get(index) {
                sum.add(cell.tally(self.kind));
            }
        }
        let length = (until.ms() - first * ring.width_ms).max(0);
        Tally { length: length as f64 / MINUTE_MS as f64, ..sum }
    }

    /// When the present run of minutes with more than `share` bad began: the end of its first
    /// minute, looking back over what is kept. Two measured minutes below end the run.
    pub(super) fn burning_since(&self, share: f64) -> Option<Time> {
        let newest = (self.measured_until()?.ms() - 1).div_euclid(MINUTE_MS);
        let (mut begun, mut calm) = (None, 0);
        for index in (newest - MINUTES as i64 + 1..=newest).rev() {
            let Some(tally) = self.minutes.get(index).map(|m| m.tally(self.kind)) else { continue };
            if tally.measured <= 0.0 {
                continue;
            }
            if tally.share() > share {
                (begun, calm) = (Some(index), 0);
            } else {
                calm += 1;
                if calm >= 2 && begun.is_some() {
                    break;
                }
            }
        }
        begun.map(|index| {
            Time::from_ms(((index + 1) * MINUTE_MS).min(self.heard[0].max(self.heard[1])))
        })
    }
}
