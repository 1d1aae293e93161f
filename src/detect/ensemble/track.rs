//! One series: what it costs to tell its story, the season beside it, and their evidence.

use serde::{Deserialize, Serialize};

use super::count::Sample;
use super::level::Level;
use super::pool::{Age, Class, Kind};
use super::season::{Season, When};
use super::sketch::{faded, greater, log2, smaller};
use super::story::{PARTS, Story};
use super::views::TwoSided;

/// Number of views: the parts of the story, and one that is calibrated by ranks.
pub const VIEWS: usize = PARTS + 1;
/// What they look at, in the order of [`Judgement::surprises`].
pub const VIEW_NAMES: [&str; VIEWS] = [
    "value",
    "mean of 16 points",
    "mean of 48 points",
    "step",
    "trend",
    "time of day",
    "variance",
    "level",
    "unrest",
    "standstill",
    "season",
];
/// The view whose surprise says how often a value so far from what is expected was seen.
pub const RARITY: usize = VIEWS - 1;
/// Evidence per nat of the story. Small enough that the largest sums stay on the scale of the
/// sketch that counts onsets.
const STORY_WEIGHT: f32 = 0.4;
/// How much the parts count: few look at a logarithmic scale, and one only at standing still.
const PART_WEIGHTS: [f32; PARTS] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.5, 2.5];
/// Evidence per nat of the season's surprise above what is ordinary (1 in 12). Its part is small:
/// it is there for what a grid over the whole range is too coarse for.
const SEASON_WEIGHT: f32 = 0.4;
const ORDINARY: f32 = 2.5;
/// Rows over which the ordinary cost of a series is averaged.
const ORDINARY_ROWS: f32 = 1_000.0;
/// Rows that level and spreads remember.
const MEMORY: f32 = 2_000.0;
/// Rows before a series is judged.
const WARM_UP: u32 = 100;
/// Share of repeated rows from which a series is sparse, and from which it is a count.
const SPARSE: f32 = 0.5;
const COUNTED: f32 = 0.04;
/// Steps to departures, in mean absolute values, below which a series is smooth: 1.41 for
/// independent rows.
const SMOOTH: f32 = 0.5;
/// Mean square root of the departure, in mean absolute deviations, below which a series is spiky:
/// 0.91 for a normal variable, less the heavier the tails.
const SPIKY: f32 = 0.75;
/// Rows of a grown series, and of an old one.
const GROWN: u32 = 1_500;
const OLD: u32 = 6_000;
/// Values beyond this are cut: their squares would leave the range of the state.
const LARGEST: f64 = 1e30;

/// What one row of one series looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    /// For parts of the story how many nats less likely this level was than the likeliest, after
    /// what came before: the chance was at most that far below 1. For the season `-ln` of the
    /// share of rows so far out.
    pub surprises: [f32; VIEWS],
    /// Weighted sum of them.
    pub evidence: f32,
    /// What it exceeds the series' own running mean by: for rows of several series, of which
    /// those that are never quiet must not drown the others.
    pub excess: f32,
    /// Distance from the long-run level in mean absolute deviations.
    pub departure: f32,
    /// What was expected of the time, in the series' unit.
    pub expected: f64,
}

/// State of a series: constant in size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    n: u32,
    level: Level,
    season: Season,
    residual: Level,
    last: f64,
    /// Mean step in deviations, share of repeated rows, mean root of the departure.
    step: f32,
    repeats: f32,
    root: f32,
    band: TwoSided,
    story: Story,
    /// Running mean of the evidence: what this series costs on ordinary rows.
    ordinary: f32,
}

impl Track {
    /// How many rows are known.
    #[must_use]
    pub fn n_rows(&self) -> u32 {
        self.n
    }

    /// The class whose pool the series is judged by, from what came so far.
    #[must_use]
    pub fn class(&self) -> Class {
        let kind = if self.repeats > SPARSE {
            Kind::Sparse
        } else if self.repeats > COUNTED {
            Kind::Count
        } else if self.step < SMOOTH {
            Kind::Smooth
        } else if self.root < SPIKY {
            Kind::Spiky
        } else {
            Kind::Plain
        };
        let age = match self.n {
            0..GROWN => Age::Young,
            GROWN..OLD => Age::Grown,
            _ => Age::Old,
        };
        Class { kind, age }
    }

    /// Asks for its memory; see [`fetch`](super::row::fetch).
    #[inline]
    pub(super) fn fetch(&self) {
        self.season.fetch();
        self.band.fetch();
        self.story.fetch();
    }

    /// Judges a finite value by what came before, and learns it.
    pub fn push(&mut self, at_ms: i64, value: f64) -> Judgement {
        let when = When::new(at_ms);
        let value = value.clamp(-LARGEST, LARGEST);
        self.n = self.n.saturating_add(1);
        let level = if self.n == 1 { value } else { self.level.mean() };
        let sample = Sample::new(self.n - 1);
        let floor = 1e-9 * level.abs();
        let per_spread = inverse(self.level.spread(), floor);
        let expected = self.season.expect(when, level);
        let residual = value - expected.value;
        let departure = ratio(value - level, per_spread);
        let outside = value - value.clamp(expected.low, expected.high);
        let band = self.band.judge(ratio(outside, inverse(self.residual.spread(), floor)), sample);
        let change = if self.n == 1 { 0.0 } else { (value - self.last).abs() };
        let is_still = self.n > 1 && change == 0.0;
        let nats = self.story.push(when, sample, value, asinh(departure), is_still);

        let share = 1.0 / self.n as f32;
        let alpha = greater(share, 1.0 / MEMORY);
        let step = smaller(ratio(change, per_spread), 8.0);
        self.step += alpha * (step - self.step);
        let repeated = f32::from(u8::from(change == 0.0));
        self.repeats = faded(self.repeats + alpha * (repeated - self.repeats));
        self.root += alpha * (smaller(departure.abs(), 100.0).sqrt() - self.root);
        self.last = value;
        self.level.push(self.n, value, alpha.into());
        self.residual.push(self.n, residual, alpha.into());
        self.season.learn(when, value, &expected, 3.0 * self.level.spread());

        let departure = departure.abs();
        let expected = expected.value;
        let story: f32 = nats.iter().zip(PART_WEIGHTS).map(|(n, w)| n * w).sum();
        let cost = STORY_WEIGHT * story + SEASON_WEIGHT * (band - ORDINARY).max(0.0);
        let excess = (cost - self.ordinary).max(0.0);
        self.ordinary += (cost.min(2.0 * self.ordinary + 5.0) - self.ordinary)
            * greater(share, 1.0 / ORDINARY_ROWS);
        if self.n < WARM_UP {
            return Judgement { departure, expected, ..Judgement::default() };
        }
        let mut surprises = [0.0; VIEWS];
        surprises[..PARTS].copy_from_slice(&nats);
        surprises[RARITY] = band;
        Judgement { surprises, evidence: cost, excess, departure, expected }
    }
}

/// The inverse of a scale that is at least `floor`.
fn inverse(scale: f32, floor: f64) -> f64 {
    1.0 / greater(greater(f64::from(scale), floor), 1e-300)
}

/// A departure in units of a scale with this inverse, within ±1e9.
fn ratio(x: f64, inverse: f64) -> f32 {
    (x * inverse).clamp(-1e9, 1e9) as f32
}

/// Linear near zero, logarithmic far out.
fn asinh(x: f32) -> f32 {
    let a = x.abs();
    let y = log2(a + (a * a + 1.0).sqrt()) * std::f32::consts::LN_2;
    y.copysign(x)
}
