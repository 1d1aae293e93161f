//! What the time of day usually brings: a profile per half hour, for all days and apart for the
//! weekend, blended with the plain level by how well each has predicted so far.

use serde::{Deserialize, Deserializer, Serialize};

use super::packed;
use super::row::fetch;
use super::sketch::{greater, smaller};

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

/// Days are told apart up to this: more than any profile remembers.
const MOST_DAYS: u8 = 15;
/// The first distance from the origin is so many units: room for what is 32 times as far.
const FIRST_UNITS: i16 = 10;
/// A profile that fits into so many units is kept in finer ones.
const FINER: u16 = 1 << 13;
/// The least exponent of a unit, and the one before anything but the origin was seen.
const LEAST_EXPONENT: i16 = -110;
const NO_EXPONENT: i16 = i16::MIN;
/// Before the first row.
const NO_VISIT: i32 = i32::MIN;

/// Values by half hour, as whole units from an origin, and the days seen of each, two a byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Profile {
    #[serde(with = "packed")]
    units: [i16; BINS],
    #[serde(with = "packed")]
    days: [u8; BINS / 2],
}

impl Profile {
    const EMPTY: Self = Self { units: [0; BINS], days: [0; BINS / 2] };

    #[inline]
    fn days(&self, bin: usize) -> u8 {
        (self.days[bin / 2] >> (4 * (bin % 2))) & MOST_DAYS
    }

    fn one_more_day(&mut self, bin: usize) {
        if self.days(bin) < MOST_DAYS {
            self.days[bin / 2] += 1 << (4 * (bin % 2));
        }
    }

    /// The value between two bins, or of the one that is known, in units.
    fn between(&self, i: usize, j: usize, part: f32) -> Option<f32> {
        let [a, b] = [i, j].map(|bin| f32::from(self.units[bin]));
        match (self.days(i) > 0, self.days(j) > 0) {
            (true, true) => Some(a + (b - a) * part),
            (true, false) => Some(a),
            (false, true) => Some(b),
            (false, false) => None,
        }
    }

    /// Learns a value in units; says whether it found no room.
    fn learn(&mut self, bin: usize, x: f32, is_first: bool, clip: f32, memory_days: f32) -> bool {
        if is_first || self.days(bin) == 0 {
            self.one_more_day(bin);
        }
        let value = f32::from(self.units[bin]);
        let value = if self.days(bin) == 1 {
            value + (x - value) * if is_first { 1.0 } else { 0.3 }
        } else {
            let days = f32::from(self.days(bin)).min(memory_days);
            value + (x - value).clamp(-clip, clip) / days * ROW_SHARE
        };
        // The cast cuts off what is beyond.
        self.units[bin] = (value + 0.5_f32.copysign(value)) as i16;
        value.abs() > f32::from(i16::MAX)
    }
}

/// Profiles of one series and how well they predict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Season {
    all: Profile,
    weekend: Profile,
    /// What the profiles are kept relative to, for precision: the first value, then the middle of
    /// them all.
    origin: f64,
    /// `log2` of the unit of the profiles.
    exponent: i16,
    /// Mean absolute errors: level, profile of all days, profile of this kind of day.
    errors: [f32; 3],
    rows: f32,
    /// The half hour of the last row, to know a day's first row in a bin.
    #[serde(deserialize_with = "half_hour")]
    visit: i32,
}

impl Default for Season {
    fn default() -> Self {
        Self {
            all: Profile::EMPTY,
            weekend: Profile::EMPTY,
            origin: 0.0,
            exponent: NO_EXPONENT,
            errors: [0.0; 3],
            rows: 0.0,
            visit: NO_VISIT,
        }
    }
}

/// A time, taken apart once for all that goes by days.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    /// The half hour since the epoch, and of the day.
    visit: i32,
    bin: u8,
    /// Milliseconds of it.
    ms: u32,
    /// Whether the day is a Saturday or Sunday (UTC).
    is_weekend: bool,
}

impl When {
    #[inline]
    pub(super) fn new(at_ms: i64) -> Self {
        let half_hours = at_ms.div_euclid(BIN_MS);
        let ms = at_ms.wrapping_sub(half_hours.wrapping_mul(BIN_MS)) as u32;
        let visit = half_hour_of(half_hours);
        let of_week = visit.rem_euclid(7 * BINS as i32).cast_unsigned();
        let (day, bin) = (of_week / BINS as u32, (of_week % BINS as u32) as u8);
        // 1970-01-01 was a Thursday.
        Self { visit, bin, ms, is_weekend: matches!(day, 2 | 3) }
    }

    /// The hour of the day (UTC).
    #[inline]
    pub(super) fn hour(self) -> usize {
        usize::from(self.bin / 2)
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
    /// Asks for the memory of the profile; see [`fetch`].
    #[inline]
    pub(super) fn fetch(&self) {
        fetch(&self.all.units);
        fetch(&self.all.days);
    }

    /// What is expected of a time when the plain level is `level`.
    #[inline]
    #[must_use]
    pub(super) fn expect(&self, when: When, level: f64) -> Expected {
        let origin = if self.is_new() { level } else { self.origin };
        let plain = (level - origin) as f32;
        let unit = self.unit();
        // Bins are known by their middle; a time lies between two.
        let turned = |bin: usize| if bin >= BINS { bin - BINS } else { bin };
        let here = usize::from(when.bin);
        let of_bin = when.ms as f32 * (1.0 / BIN_MS as f32);
        let (i, part) = if of_bin < 0.5 {
            (turned(here + BINS - 1), of_bin + 0.5)
        } else {
            (here, of_bin - 0.5)
        };
        let j = turned(i + 1);
        let is_weekend = when.is_weekend;
        let all = self.all.between(i, j, part).map_or(plain, |units| units * unit);
        let kind = if is_weekend { self.weekend.between(i, j, part) } else { None };
        let kind = kind.map_or(all, |units| units * unit);
        let predictions = [plain, all, kind];
        let (value, share) = self.blend(predictions);
        let value = origin + f64::from(value);
        let (mut low, mut high) = (value, value);
        if share >= BAND_SHARE {
            let around = [turned(i + BINS - 1), i, j, turned(j + 1)];
            let known = around.into_iter().filter(|k| self.all.days(*k) > 0);
            let (l, h) = known.fold((i16::MAX, i16::MIN), |(l, h), k| {
                (l.min(self.all.units[k]), h.max(self.all.units[k]))
            });
            if l <= h {
                let at = |units: i16| origin + f64::from(f32::from(units) * unit);
                (low, high) = (at(l), at(h));
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
            let r = greater(self.errors[0], 1e-30) / greater(error, 1e-30);
            let r = smaller(r * r, 1e6);
            r * r
        };
        let (all, kind) = (weight(self.errors[1]), weight(self.errors[2]));
        let sum = 1.0 + all + kind;
        let value = (predictions[0] + all * predictions[1] + kind * predictions[2]) / sum;
        (value, 1.0 - 1.0 / sum)
    }

    /// Takes in what came, with what was expected of its time. Steps are clipped to `clip`.
    #[inline]
    pub(super) fn learn(&mut self, when: When, value: f64, expected: &Expected, clip: f32) {
        if self.is_new() {
            self.origin = value;
        }
        let x = (value - self.origin) as f32;
        let bin = expected.bin;
        let is_first = when.visit != self.visit;
        self.visit = when.visit;
        // Errors count only where the profile knew something from an earlier day.
        let days = self.all.days(bin);
        if days > 1 || (days == 1 && is_first) {
            self.rows += 1.0;
            let alpha = ERROR_ALPHA.max(1.0 / (self.rows + ERROR_START));
            for (error, p) in self.errors.iter_mut().zip(expected.predictions) {
                *error += alpha * (smaller((x - p).abs(), 4.0 * clip) - *error);
            }
        }
        if is_first && bin == 0 {
            self.fit();
        }
        let x = (value - self.origin) as f32;
        if self.exponent == NO_EXPONENT && x != 0.0 {
            self.exponent = (octave(x) - FIRST_UNITS).max(LEAST_EXPONENT);
        }
        let per_unit = power(-self.exponent.max(LEAST_EXPONENT));
        let (x, clip) = (x * per_unit, clip * per_unit);
        let mut is_full = self.all.learn(bin, x, is_first, clip, MEMORY_DAYS);
        if expected.is_weekend {
            is_full |= self.weekend.learn(bin, x, is_first, clip, MEMORY_WEEKEND_DAYS);
        }
        if is_full {
            // One doubling a row: a glitch costs one bit, another level is soon fitted.
            self.rescale(1);
        }
    }

    fn is_new(&self) -> bool {
        self.visit == NO_VISIT
    }

    /// The unit of the profiles; of no matter while all is zero.
    fn unit(&self) -> f32 {
        power(self.exponent.max(LEAST_EXPONENT))
    }

    /// Once a day: the origin goes amid the profiles when it is far off, and what is left is kept as
    /// fine as it fits.
    fn fit(&mut self) {
        let all = self.all.units.iter().chain(&self.weekend.units);
        let of_days = (0..BINS).map(|bin| self.all.days(bin));
        let days = of_days.chain((0..BINS).map(|bin| self.weekend.days(bin)));
        let known = all.zip(days).filter(|(_, days)| *days > 0).map(|(units, _)| *units);
        let (low, high) = known.fold((i16::MAX, i16::MIN), |(l, h), x| (l.min(x), h.max(x)));
        if low > high || self.exponent == NO_EXPONENT {
            return;
        }
        let middle = i16::midpoint(low, high);
        let is_far = middle.unsigned_abs() > high.abs_diff(low);
        let by = if is_far { middle } else { 0 };
        if is_far {
            self.origin += f64::from(f32::from(by) * self.unit());
            let (all, weekend) = (&mut self.all.units, &mut self.weekend.units);
            for units in all.iter_mut().chain(weekend) {
                *units = units.saturating_sub(by);
            }
        }
        let most = [low, high].map(|x| x.saturating_sub(by).unsigned_abs());
        let most = most[0].max(most[1]);
        if most < FINER && most > 0 && self.exponent > LEAST_EXPONENT {
            self.rescale(-1);
        }
    }

    /// Doubles the unit so many times, or halves it.
    fn rescale(&mut self, by: i16) {
        self.exponent += by;
        let (all, weekend) = (&mut self.all.units, &mut self.weekend.units);
        for units in all.iter_mut().chain(weekend) {
            *units = if by > 0 { *units >> by } else { units.saturating_mul(1 << -by) };
        }
    }
}

/// A half hour since the epoch in four bytes, which reach for a hundred thousand years.
fn half_hour_of(visit: i64) -> i32 {
    visit.clamp((NO_VISIT + 1).into(), i32::MAX.into()) as i32
}

/// An older form has eight bytes, and the least of them before the first row.
fn half_hour<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    let visit = i64::deserialize(from)?;
    Ok(if visit <= NO_VISIT.into() { NO_VISIT } else { half_hour_of(visit) })
}

/// The exponent of a number that is not zero.
fn octave(x: f32) -> i16 {
    ((x.to_bits() >> 23) & 0xff) as i16 - 127
}

/// A power of two.
fn power(exponent: i16) -> f32 {
    f32::from_bits(((i32::from(exponent) + 127).clamp(1, 254) as u32) << 23)
}
