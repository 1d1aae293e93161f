//! What the time of day usually brings: a profile per half hour, for all days and apart for the
//! weekend, blended with the plain level by how well each has predicted so far.

use serde::{Deserialize, Serialize};

use super::packed;

/// Milliseconds in a day.
pub(super) const DAY_MS: i64 = 86_400_000;
/// Bins of a day.
const BINS: usize = 48;
const BIN_MS: i64 = DAY_MS / BINS as i64;
/// Days that the profile of all days and that of weekends remember.
const MEMORY_DAYS: f32 = 14.0;
const MEMORY_WEEKEND_DAYS: f32 = 7.0;
/// Share of a day's step that one row takes.
const ROW_SHARE: f32 = 0.4;
/// Weight of a row in the experts' errors, and the rows a young error starts from.
const ERROR_ALPHA: f32 = 1.0 / 1_500.0;
const ERROR_START: f32 = 20.0;
/// Share of the profiles in the blend from which their band is used.
const BAND_SHARE: f32 = 0.3;

/// Values by half hour and the days seen of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Profile {
    #[serde(with = "packed")]
    values: [f32; BINS],
    #[serde(with = "packed")]
    days: [u8; BINS],
}

impl Profile {
    const EMPTY: Self = Self { values: [0.0; BINS], days: [0; BINS] };

    /// The value between two bins, or of the one that is known.
    fn between(&self, i: usize, j: usize, part: f32) -> Option<f32> {
        match (self.days[i] > 0, self.days[j] > 0) {
            (true, true) => Some(self.values[i] + (self.values[j] - self.values[i]) * part),
            (true, false) => Some(self.values[i]),
            (false, true) => Some(self.values[j]),
            (false, false) => None,
        }
    }

    fn learn(&mut self, bin: usize, x: f32, is_first: bool, clip: f32, memory_days: f32) {
        if is_first || self.days[bin] == 0 {
            self.days[bin] = self.days[bin].saturating_add(1);
        }
        let value = &mut self.values[bin];
        if self.days[bin] == 1 {
            *value += (x - *value) * if is_first { 1.0 } else { 0.3 };
        } else {
            let days = f32::from(self.days[bin]).min(memory_days);
            *value += (x - *value).clamp(-clip, clip) / days * ROW_SHARE;
        }
    }
}

/// Profiles of one series and how well they predict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Season {
    all: Profile,
    weekend: Profile,
    /// What the profiles are kept relative to, for precision: the first value.
    origin: Option<f64>,
    /// Mean absolute errors: level, profile of all days, profile of this kind of day.
    errors: [f32; 3],
    rows: f32,
    /// The half hour of the last row, to know a day's first row in a bin.
    visit: i64,
}

impl Default for Season {
    fn default() -> Self {
        Self {
            all: Profile::EMPTY,
            weekend: Profile::EMPTY,
            origin: None,
            errors: [0.0; 3],
            rows: 0.0,
            visit: i64::MIN,
        }
    }
}

/// What is expected of a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    predictions: [f32; 3],
    bin: usize,
    is_weekend: bool,
    /// The blend of level and profiles.
    pub(super) value: f64,
    /// Lowest and highest of the half hours around, so that what comes a little early or late is
    /// no surprise; both are `value` while the profiles are not trusted.
    pub(super) low: f64,
    /// See `low`.
    pub(super) high: f64,
}

impl Season {
    /// What is expected of a time when the plain level is `level`.
    #[must_use]
    pub(super) fn expect(&self, at_ms: i64, level: f64) -> Expected {
        let origin = self.origin.unwrap_or(level);
        let plain = (level - origin) as f32;
        // Bins are known by their middle; a time lies between two.
        let place = at_ms.rem_euclid(DAY_MS) as f32 / BIN_MS as f32 + BINS as f32 - 0.5;
        let (i, part) = (place as usize % BINS, place.fract());
        let j = (i + 1) % BINS;
        let is_weekend = is_weekend(at_ms);
        let all = self.all.between(i, j, part).unwrap_or(plain);
        let kind = if is_weekend { self.weekend.between(i, j, part).unwrap_or(all) } else { all };
        let predictions = [plain, all, kind];
        let (value, share) = self.blend(predictions);
        let value = origin + f64::from(value);
        let (mut low, mut high) = (value, value);
        if share >= BAND_SHARE {
            let around = [(i + BINS - 1) % BINS, i, j, (j + 1) % BINS];
            let known = around.into_iter().filter(|k| self.all.days[*k] > 0);
            let (l, h) = known.fold((f32::MAX, f32::MIN), |(l, h), k| {
                (l.min(self.all.values[k]), h.max(self.all.values[k]))
            });
            if l <= h {
                (low, high) = (origin + f64::from(l), origin + f64::from(h));
            }
        }
        let bin = if part < 0.5 { i } else { j };
        Expected { predictions, bin, is_weekend, value, low, high }
    }

    /// Weights fall with the fourth power of the error: the better expert leads soon, and none is
    /// dropped for good. Gives the blend and the share of the profiles in it.
    fn blend(&self, predictions: [f32; 3]) -> (f32, f32) {
        if self.rows < 1.0 {
            return (predictions[0], 0.0);
        }
        let weight = |error: f32| {
            let r = self.errors[0].max(1e-30) / error.max(1e-30);
            let r = (r * r).min(1e6);
            r * r
        };
        let (all, kind) = (weight(self.errors[1]), weight(self.errors[2]));
        let sum = 1.0 + all + kind;
        let value = (predictions[0] + all * predictions[1] + kind * predictions[2]) / sum;
        (value, 1.0 - 1.0 / sum)
    }

    /// Takes in what came, with what was expected of its time. Steps are clipped to `clip`.
    pub(super) fn learn(&mut self, at_ms: i64, value: f64, expected: &Expected, clip: f32) {
        let x = (value - *self.origin.get_or_insert(value)) as f32;
        let bin = expected.bin;
        let visit = at_ms.div_euclid(BIN_MS);
        let is_first = visit != self.visit;
        self.visit = visit;
        // Errors count only where the profile knew something from an earlier day.
        let days = self.all.days[bin];
        if days > 1 || (days == 1 && is_first) {
            self.rows += 1.0;
            let alpha = ERROR_ALPHA.max(1.0 / (self.rows + ERROR_START));
            for (error, p) in self.errors.iter_mut().zip(expected.predictions) {
                *error += alpha * ((x - p).abs().min(4.0 * clip) - *error);
            }
        }
        self.all.learn(bin, x, is_first, clip, MEMORY_DAYS);
        if expected.is_weekend {
            self.weekend.learn(bin, x, is_first, clip, MEMORY_WEEKEND_DAYS);
        }
    }
}

/// Whether a time lies on a Saturday or Sunday (UTC).
fn is_weekend(at_ms: i64) -> bool {
    // 1970-01-01 was a Thursday.
    matches!((at_ms.div_euclid(DAY_MS) + 3).rem_euclid(7), 5 | 6)
}
