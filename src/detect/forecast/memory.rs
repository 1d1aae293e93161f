//! Three weeks of hourly means in few bytes: what a slow trend is seen in, beneath a daily and a weekly
//! rhythm.

use serde::{Deserialize, Serialize};

use super::codes::{Codes, NOTHING};
use super::refill::{Refills, falls};
use super::swings::Swings;

/// Hours kept, three weeks, down to which the past is shortened before it is told more coarsely: with
/// two weeks only, trends that have begun in the second are taken for a weekly rhythm.
const HOURS: (usize, usize) = (420, 504);
/// Bytes that they are kept in.
const BYTES: usize = 152;
/// Steps of the scale: values are kept to 1/16,000 of it and up to twice of it.
const STEPS: f64 = 16_000.0;
/// Weight of an hour in what is usual between its mean and its highest point.
const EXCESS_WEIGHT: f32 = 0.05;
/// Before the first hour.
const NO_HOUR: i32 = i32::MIN;
/// Limits outside are taken as these, as what values are measured by.
const SCALES: (f64, f64) = (1e-30, 1e30);

/// Hourly means, the newest last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Read")]
pub struct Memory {
    values: Codes<BYTES>,
    /// What [`STEPS`] stand for: the limit when it was begun.
    scale: f32,
    /// The running hour since the epoch.
    hour: i32,
    sum: f32,
    n: u32,
    /// Highest value of the running hour.
    highest: f32,
    /// By how much the highest point of an hour usually exceeds its mean.
    excess: f32,
}

/// What is read: an older form kept all hours in two bytes each.
#[derive(Deserialize)]
struct Read(Hours, f32, i64, f32, u32, f32, f32);

#[derive(Deserialize)]
#[serde(untagged)]
enum Hours {
    Now(Codes<BYTES>),
    Wide(Vec<i16>),
}

impl From<Read> for Memory {
    fn from(Read(hours, scale, hour, sum, n, highest, excess): Read) -> Self {
        let values = match hours {
            Hours::Now(values) => values,
            Hours::Wide(hours) => {
                let mut values = Codes::new();
                values.extend(&hours, HOURS);
                values
            }
        };
        Self { values, scale, hour: hour_of(hour), sum, n, highest, excess }
    }
}

/// An hour since the epoch in four bytes, which reach for two hundred thousand years.
fn hour_of(hour: i64) -> i32 {
    hour.clamp(NO_HOUR.into(), i32::MAX.into()) as i32
}

impl Memory {
    /// An empty memory on the scale of a limit (> 0).
    #[must_use]
    pub fn new(limit: f64) -> Self {
        Self {
            values: Codes::new(),
            scale: scale_of(limit),
            hour: NO_HOUR,
            sum: 0.0,
            n: 0,
            highest: 0.0,
            excess: 0.0,
        }
    }

    /// Takes in a value of an hour since the epoch, in the limit's unit; says whether an hour was closed by it. What comes for a closed
    /// hour is left out.
    pub fn push(&mut self, hour: i64, value: f64, limit: f64) -> bool {
        let hour = hour_of(hour);
        if hour < self.hour {
            return false;
        }
        let (value, mut added) = (value as f32, Vec::new());
        if hour > self.hour {
            if self.n > 0 {
                self.fit(limit);
                let mean = self.sum / self.n as f32;
                // One lone peak moves it little, whatever its height.
                let beyond = (self.highest - mean).min(2.0 * self.excess + 0.01 * self.scale);
                self.excess += EXCESS_WEIGHT * (beyond - self.excess);
                added.push(self.packed(mean.into()));
            }
            let closed = !added.is_empty();
            if self.hour != NO_HOUR {
                // An hour without a value that is the running one was not kept either.
                let missed = i64::from(hour) - i64::from(self.hour) - 1;
                added.resize(added.len() + (missed as usize).min(HOURS.1), NOTHING);
            }
            if !added.is_empty() {
                self.values.extend(&added, HOURS);
            }
            (self.hour, self.sum, self.n, self.highest) = (hour, value, 1, value);
            return closed;
        }
        self.highest = self.highest.max(value);
        self.sum += value;
        self.n += 1;
        false
    }

    /// The hour of the first value.
    #[must_use]
    pub fn first(&self) -> i64 {
        i64::from(self.hour) - self.len() as i64
    }

    /// The values, oldest first; NaN where an hour had none.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.values.values().into_iter().map(|v| self.unpacked(v)).collect()
    }

    /// By how much the highest point of an hour usually exceeds its mean.
    pub(super) fn excess(&self) -> f64 {
        self.excess.into()
    }

    /// How far it goes up and down beyond its rhythm.
    pub(super) fn swings(&self) -> Swings {
        Swings::of(&self.values(), self.first(), self.excess())
    }

    /// How it was refilled so far.
    pub(super) fn refills(&self, limit: f64) -> Refills {
        let values = self.values();
        Refills::of(&falls(&values, limit), values.len())
    }

    /// How many hours it holds, those without a value too.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    fn packed(&self, value: f64) -> i16 {
        let steps = (value / f64::from(self.scale) * STEPS).round();
        steps.clamp(f64::from(NOTHING + 1), f64::from(i16::MAX)) as i16
    }

    fn unpacked(&self, value: i16) -> f64 {
        if value == NOTHING { f64::NAN } else { f64::from(value) / STEPS * f64::from(self.scale) }
    }

    /// Moves to another scale when the limit became quite another.
    fn fit(&mut self, limit: f64) {
        let scale = scale_of(limit);
        if (0.3..1.5).contains(&(scale / self.scale)) {
            return;
        }
        let values = self.values();
        self.scale = scale;
        let pack = |v: f64| if v.is_nan() { NOTHING } else { self.packed(v) };
        let packed: Vec<i16> = values.into_iter().map(pack).collect();
        self.values = Codes::new();
        self.values.extend(&packed, HOURS);
    }
}

/// What values are measured by where this is the limit.
fn scale_of(limit: f64) -> f32 {
    limit.clamp(SCALES.0, SCALES.1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_means_and_holes_stay_holes() {
        let mut memory = Memory::new(2_000.0);
        for (hour, value) in
            [(10, 100.0), (10, 300.0), (11, 50.0), (14, 70.0), (14, 71.0), (15, 0.0)]
        {
            memory.push(hour, value, 2_000.0);
        }
        let values = memory.values();
        assert_eq!((memory.first(), values.len()), (10, 5));
        assert!((values[0] - 200.0).abs() < 0.1 && (values[1] - 50.0).abs() < 0.1);
        assert!(values[2].is_nan() && values[3].is_nan() && (values[4] - 70.5).abs() < 0.1);
        assert!(!memory.push(12, 9.0, 2_000.0), "closed hours stay as they are");
    }

    #[test]
    fn it_stays_small_and_follows_a_new_limit() {
        let mut memory = Memory::new(1.0);
        for hour in 0..2_000 {
            memory.push(hour, 0.5, 1.0);
        }
        assert_eq!(memory.len(), HOURS.1);
        let bytes = rmp_serde::to_vec(&memory).expect("writes").len();
        assert!(bytes < 200, "{bytes}");
        memory.push(2_000, 40.0, 64.0);
        memory.push(2_001, 40.0, 64.0);
        let values = memory.values();
        assert!((values[values.len() - 1] - 40.0).abs() < 0.01, "{values:?}");
        assert!((values[0] - 0.5).abs() < 0.01);
    }

    #[test]
    fn a_restore_goes_on_alike_and_the_older_form_is_read() {
        let mut memory = Memory::new(1.0);
        let value = |hour: i64| 0.3 + 0.0003 * hour as f64 + 0.1 * (hour as f64 / 3.8).sin();
        for hour in 0..600 {
            memory.push(hour, value(hour), 1.0);
        }
        let bytes = rmp_serde::to_vec(&memory).expect("packs");
        let mut again: Memory = rmp_serde::from_slice(&bytes).expect("reads");
        for hour in 600..700 {
            memory.push(hour, value(hour), 1.0);
            again.push(hour, value(hour), 1.0);
            assert_eq!(memory, again, "{hour}");
        }
        let hours: Vec<i16> = (0..500).map(|h| (value(h) * STEPS) as i16).collect();
        let old = (hours, 1.0_f64, 500_i64, 0.5_f64, 1_u32, 0.6_f64, 0.01_f64);
        let old = rmp_serde::to_vec(&old).expect("packs");
        let read: Memory = rmp_serde::from_slice(&old).expect("reads the older form");
        let (first, values) = (read.first(), read.values());
        assert!((HOURS.0..=HOURS.1).contains(&values.len()));
        assert_eq!(first, 500 - values.len() as i64);
        for (hour, kept) in (first..).zip(values) {
            assert!((kept - value(hour)).abs() < 0.01, "{hour}: {kept}");
        }
        let new = rmp_serde::to_vec(&(Vec::<i16>::new(), 2.0_f64, i64::MIN, 0.0, 0, 0.0, 0.0));
        let read: Memory = rmp_serde::from_slice(&new.expect("packs")).expect("reads");
        assert_eq!(read, Memory::new(2.0));
    }
}
