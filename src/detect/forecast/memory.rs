//! Three weeks of hourly means in a kilobyte: what a slow trend is seen in, beneath a daily and a
//! weekly rhythm.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::refill::{Refills, falls};

/// Hours kept: three weeks.
pub(super) const HOURS: usize = 504;
/// Steps of the scale: values are kept to 1/16,000 of it and up to twice of it.
const STEPS: f64 = 16_000.0;
/// Weight of an hour in what is usual between its mean and its highest point.
const EXCESS_WEIGHT: f64 = 0.05;
/// Stands for an hour without a value.
const NOTHING: i16 = i16::MIN;

/// Hourly means, the newest last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    values: VecDeque<i16>,
    /// What [`STEPS`] stand for: the limit when it was begun.
    scale: f64,
    /// The running hour since the epoch.
    hour: i64,
    sum: f64,
    n: u32,
    /// Highest value of the running hour.
    highest: f64,
    /// By how much the highest point of an hour usually exceeds its mean.
    excess: f64,
}

impl Memory {
    /// An empty memory on the scale of a limit (> 0).
    pub(super) fn new(limit: f64) -> Self {
        Self {
            values: VecDeque::new(),
            scale: limit,
            hour: i64::MIN,
            sum: 0.0,
            n: 0,
            highest: 0.0,
            excess: 0.0,
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<i16>()
    }

    /// Takes in a value of an hour; says whether an hour was closed by it. What comes for a closed
    /// hour is left out.
    pub(super) fn push(&mut self, hour: i64, value: f64, limit: f64) -> bool {
        if hour < self.hour {
            return false;
        }
        let mut closed = false;
        if hour > self.hour {
            if self.n > 0 {
                self.fit(limit);
                let mean = self.sum / f64::from(self.n);
                // One lone peak moves it little, whatever its height.
                let beyond = (self.highest - mean).min(2.0 * self.excess + 0.01 * self.scale);
                self.excess += EXCESS_WEIGHT * (beyond - self.excess);
                let kept = self.packed(mean);
                self.keep(kept);
                closed = true;
            }
            if self.hour != i64::MIN {
                // An hour without a value that is the running one was not kept either.
                let missed = (hour - self.hour - 1).min(HOURS as i64);
                for _ in 0..missed {
                    self.keep(NOTHING);
                }
            }
            (self.hour, self.sum, self.n, self.highest) = (hour, 0.0, 0, value);
        }
        self.highest = self.highest.max(value);
        self.sum += value;
        self.n += 1;
        closed
    }

    /// The hour of the first value.
    pub(super) fn first(&self) -> i64 {
        self.hour - self.values.len() as i64
    }

    /// The values, oldest first; NaN where an hour had none.
    pub(super) fn values(&self) -> Vec<f64> {
        self.values.iter().map(|v| self.unpacked(*v)).collect()
    }

    /// By how much the highest point of an hour usually exceeds its mean.
    pub(super) fn excess(&self) -> f64 {
        self.excess
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

    fn keep(&mut self, value: i16) {
        if self.values.len() >= HOURS {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    fn packed(&self, value: f64) -> i16 {
        let steps = (value / self.scale * STEPS).round();
        steps.clamp(f64::from(NOTHING + 1), f64::from(i16::MAX)) as i16
    }

    fn unpacked(&self, value: i16) -> f64 {
        if value == NOTHING { f64::NAN } else { f64::from(value) / STEPS * self.scale }
    }

    /// Moves to another scale when the limit became quite another.
    fn fit(&mut self, limit: f64) {
        if (0.3..1.5).contains(&(limit / self.scale)) {
            return;
        }
        let values = self.values();
        self.scale = limit;
        self.values =
            values.into_iter().map(|v| if v.is_nan() { NOTHING } else { self.packed(v) }).collect();
    }
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
        assert_eq!(memory.len(), HOURS);
        let bytes = rmp_serde::to_vec(&memory).expect("writes").len();
        assert!(bytes < 1_600, "{bytes}");
        memory.push(2_000, 40.0, 64.0);
        memory.push(2_001, 40.0, 64.0);
        let values = memory.values();
        assert!((values[HOURS - 1] - 40.0).abs() < 0.01, "{}", values[HOURS - 1]);
        assert!((values[0] - 0.5).abs() < 0.01);
    }
}
