//! Whether a detector's p-values mean what they say: the observed against the nominal rate.
//!
//! Counted by the hour: rows judged, and onsets whose p-value is at most a level. A calibrated
//! detector gives about `rows × level` of them on quiet series. Real faults are onsets too: an hour
//! counts for a few times what is nominal at most, so that an outage is not taken for drift. The
//! interval is that of a Poisson count by Byar's approximation (Breslow and Day 1987, "Statistical
//! Methods in Cancer Research", vol. II, eq. 2.10), widened by the dispersion between hours
//! (quasi-Poisson; McCullagh and Nelder 1989, "Generalized Linear Models", ch. 6.2).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The levels that are watched.
pub(super) const LEVELS: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];
/// Hours that are looked at.
const HOURS: usize = 24;
/// Most onsets of an hour that count: this many times what is nominal, and so many more.
const CLIP: f64 = 4.0;
/// Onsets that must be nominal before a level is judged.
const LEAST_NOMINAL: f64 = 8.0;
/// Standard deviations of the interval: 95 %.
const Z: f64 = 1.96;

/// Counts of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rows {
    pub(super) n: u64,
    pub(super) onsets: [u32; LEVELS.len()],
}

impl Rows {
    /// One row; its surprise is `-ln p` where it is an onset.
    pub(super) fn count(&mut self, onset_surprise: Option<f64>) {
        self.n += 1;
        let Some(surprise) = onset_surprise.filter(|s| *s >= -LEVELS[0].ln()) else { return };
        let p = (-surprise).exp();
        for (count, level) in self.onsets.iter_mut().zip(LEVELS) {
            *count += u32::from(p <= level);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.n += other.n;
        for (sum, n) in self.onsets.iter_mut().zip(other.onsets) {
            *sum += n;
        }
    }

    fn nominal(&self, level: usize) -> f64 {
        self.n as f64 * LEVELS[level]
    }

    fn clipped(&self, level: usize) -> f64 {
        f64::from(self.onsets[level]).min(CLIP * self.nominal(level) + CLIP)
    }
}

/// The observed rate at one level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rate {
    /// The nominal chance.
    pub level: f64,
    /// Onsets that were nominal among the rows.
    pub nominal: f64,
    /// Onsets that were seen; an hour counts for a few times what is nominal at most.
    pub observed: f64,
    /// Observed by nominal.
    pub ratio: f64,
    /// Its 95 % interval.
    pub low: f64,
    /// Its 95 % interval.
    pub high: f64,
    /// Whether there are enough to judge by.
    pub enough: bool,
}

/// The last hours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Calibration {
    hours: VecDeque<Rows>,
}

impl Calibration {
    /// An hour is over. One in which nothing was judged is none.
    pub(super) fn close(&mut self, hour: Rows) {
        if hour.n == 0 {
            return;
        }
        self.hours.push_back(hour);
        if self.hours.len() > HOURS {
            self.hours.pop_front();
        }
    }

    /// Rows judged in the hours that are looked at.
    pub(super) fn n_rows(&self) -> u64 {
        self.hours.iter().map(|h| h.n).sum()
    }

    /// The rates by level.
    pub(super) fn rates(&self) -> Vec<Rate> {
        (0..LEVELS.len()).map(|level| self.rate(level)).collect()
    }

    fn rate(&self, level: usize) -> Rate {
        let nominal: f64 = self.hours.iter().map(|h| h.nominal(level)).sum();
        let observed: f64 = self.hours.iter().map(|h| h.clipped(level)).sum();
        let ratio = observed / nominal.max(f64::MIN_POSITIVE);
        let dispersion = self.dispersion(level, observed / nominal.max(f64::MIN_POSITIVE));
        let (low, high) = interval(observed / dispersion);
        let per = nominal.max(f64::MIN_POSITIVE) / dispersion;
        let enough = nominal >= LEAST_NOMINAL && self.hours.len() >= HOURS / 2;
        let seen = nominal > 0.0;
        Rate {
            level: LEVELS[level],
            nominal,
            observed,
            ratio: if seen { ratio } else { 0.0 },
            low: if seen { low / per } else { 0.0 },
            high: if seen { high / per } else { 0.0 },
            enough,
        }
    }

    /// Variance by mean of the hours' counts, at least 1.
    fn dispersion(&self, level: usize, ratio: f64) -> f64 {
        if self.hours.len() < 3 || ratio <= 0.0 {
            return 1.0;
        }
        let chi: f64 = self
            .hours
            .iter()
            .map(|h| {
                let mean = ratio * h.nominal(level);
                (h.clipped(level) - mean).powi(2) / mean
            })
            .sum();
        (chi / (self.hours.len() - 1) as f64).max(1.0)
    }
}

/// The 95 % interval of the mean of a Poisson count.
fn interval(count: f64) -> (f64, f64) {
    let low = if count <= 0.0 {
        0.0
    } else {
        count * (1.0 - 1.0 / (9.0 * count) - Z / (3.0 * count.sqrt())).max(0.0).powi(3)
    };
    let more = count + 1.0;
    let high = more * (1.0 - 1.0 / (9.0 * more) + Z / (3.0 * more.sqrt())).powi(3);
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(n: usize, rows: u64, onsets: impl Fn(usize) -> [u32; 4]) -> Calibration {
        let mut calibration = Calibration::default();
        for hour in 0..n {
            calibration.close(Rows { n: rows, onsets: onsets(hour) });
        }
        calibration
    }

    #[test]
    fn the_interval_is_that_of_the_tables() {
        // Exact: 4.795 to 18.390 for a count of 10.
        let (low, high) = interval(10.0);
        assert!((low - 4.79).abs() < 0.03 && (high - 18.39).abs() < 0.03, "{low} to {high}");
        assert_eq!(interval(0.0).0, 0.0);
    }

    #[test]
    fn a_calibrated_detector_is_near_one_and_a_loud_one_is_not() {
        let good = hours(24, 12_000, |h| [120, 11 + h as u32 % 3, 1, 0]).rates();
        assert!(good[1].low < 1.0 && good[1].high > 1.0 && good[1].enough, "{good:?}");
        assert!(!good[3].enough);
        let loud = hours(24, 12_000, |h| [480, 45 + h as u32 % 3, 9, 0]).rates();
        assert!(loud[1].low > 3.0, "{loud:?}");
    }

    #[test]
    fn an_outage_of_an_hour_is_not_drift() {
        let rates =
            hours(24, 12_000, |h| if h == 12 { [9_000; 4] } else { [120, 12, 1, 0] }).rates();
        assert!(rates[1].ratio < 1.3 && rates[1].low < 1.0, "{rates:?}");
    }

    #[test]
    fn rows_are_counted_by_level() {
        let mut rows = Rows::default();
        for surprise in [None, Some(1.0), Some(5.0), Some(9.5), Some(f64::INFINITY), Some(f64::NAN)]
        {
            rows.count(surprise);
        }
        assert_eq!((rows.n, rows.onsets), (6, [3, 2, 2, 1]));
    }
}
