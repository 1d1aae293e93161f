//! One series: its views, each with its own calibration, and their combined evidence.

use serde::{Deserialize, Serialize};

use super::level::Level;
use super::season::Season;
use super::views::{Novelty, TwoSided};

/// Number of views.
pub const VIEWS: usize = 8;
/// What the views look at, in the order of [`Judgement::surprises`].
pub const VIEW_NAMES: [&str; VIEWS] = [
    "value",
    "step",
    "short mean",
    "long mean",
    "variance",
    "fine shape",
    "coarse shape",
    "season",
];
/// How much each view's evidence counts. Shapes: rows one by one are noisy, their eight-row means
/// are what other views miss.
const WEIGHTS: [f32; VIEWS] = [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 2.0, 1.0];
/// A view's surprise below this many nats (1 in 33) is no evidence: views that see nothing do not
/// water down the one that does, and the sum of the others' noise is nobody's news.
const NO_EVIDENCE: f32 = 3.5;
/// Rows that level and spreads remember.
const MEMORY: f32 = 2_000.0;
/// Rows of the short and the long running mean.
const SHORT: f32 = 8.0;
const LONG: f32 = 64.0;
/// Rows before a series is judged.
const WARM_UP: u32 = 100;
/// Rows to a mean of the coarse shape.
const COARSE: u8 = 8;
/// Units of the shape memory per natural logarithm of the departure.
const SHAPE_UNITS: f32 = 20.0;
/// Values beyond this are cut: their squares would leave the range of the state.
const LARGEST: f64 = 1e30;

/// What one row of one series looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    /// `-ln p` by view.
    pub surprises: [f32; VIEWS],
    /// Sum of what the surprises exceed the ordinary by, in nats.
    pub evidence: f32,
    /// Distance from the long-run level in mean absolute deviations.
    pub departure: f32,
    /// What was expected of the time, in the series' unit.
    pub expected: f64,
}

/// State of a series: constant in size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    n: u32,
    last: f64,
    level: Level,
    season: Season,
    residual: Level,
    steps: Level,
    short: f32,
    long: f32,
    unrest: f32,
    value: TwoSided,
    step: TwoSided,
    short_mean: TwoSided,
    long_mean: TwoSided,
    variance: TwoSided,
    band: TwoSided,
    fine: Novelty,
    coarse: Novelty,
}

impl Track {
    /// What is expected of a time: the value, and the edges beyond which a value by itself would
    /// surprise by `nats` (`-ln p`), by the views of the value and of the season. `None` while
    /// young.
    #[must_use]
    pub fn band(&self, at_ms: i64, nats: f32) -> Option<[f64; 3]> {
        if self.n < WARM_UP {
            return None;
        }
        let expected = self.season.expect(at_ms, self.level.mean());
        let (down, up) = self.band.band(nats)?;
        let scale = f64::from(self.residual.spread());
        let low = expected.low + f64::from(down) * scale;
        let high = expected.high + f64::from(up) * scale;
        Some([low.min(expected.value), expected.value, high.max(expected.value)])
    }

    /// Judges a finite value by what came before, and learns it.
    pub fn push(&mut self, at_ms: i64, value: f64) -> Judgement {
        let value = value.clamp(-LARGEST, LARGEST);
        self.n = self.n.saturating_add(1);
        if self.n == 1 {
            self.last = value;
        }
        let level = if self.n == 1 { value } else { self.level.mean() };
        let floor = 1e-9 * level.abs();
        let expected = self.season.expect(at_ms, level);
        let residual = value - expected.value;
        let change = value - self.last;

        let departure = ratio(value - level, self.level.spread(), floor);
        let seasonal = ratio(residual, self.residual.spread(), floor);
        let step = ratio(change, self.steps.spread(), floor);
        let outside = value - value.clamp(expected.low, expected.high);

        // Means of the seasonal residual; one row moves them only so far.
        self.short += (seasonal.clamp(-20.0, 20.0) - self.short) / SHORT;
        self.long += (seasonal.clamp(-6.0, 6.0) - self.long) / LONG;
        // Variance: octaves between the recent and the long-run mean of absolute steps.
        self.unrest += (step.abs().min(20.0) - self.unrest) / (2.0 * SHORT);
        let shape = asinh(departure) * SHAPE_UNITS;

        let surprises = [
            self.value.judge(departure),
            self.step.judge(step),
            self.short_mean.judge(self.short),
            self.long_mean.judge(self.long),
            self.variance.judge(self.unrest.max(1e-6).log2()),
            self.fine.judge(shape, 1),
            self.coarse.judge(shape, COARSE),
            self.band.judge(ratio(outside, self.residual.spread(), floor)),
        ];

        self.level.push(value, 1.0 / MEMORY);
        self.residual.push(residual, 1.0 / MEMORY);
        self.steps.push(change, 1.0 / MEMORY);
        self.season.learn(at_ms, value, &expected, 3.0 * self.level.spread());
        self.last = value;

        let departure = departure.abs();
        if self.n < WARM_UP {
            return Judgement { departure, expected: expected.value, ..Judgement::default() };
        }
        let evidence =
            surprises.iter().zip(WEIGHTS).map(|(s, w)| w * (s - NO_EVIDENCE).max(0.0)).sum();
        Judgement { surprises, evidence, departure, expected: expected.value }
    }
}

/// A departure in units of a scale that is at least `floor`, within ±1e9.
fn ratio(x: f64, scale: f32, floor: f64) -> f32 {
    (x / f64::from(scale).max(floor).max(1e-300)).clamp(-1e9, 1e9) as f32
}

/// Linear near zero, logarithmic far out.
fn asinh(x: f32) -> f32 {
    let a = x.abs();
    (a + (a * a + 1.0).sqrt()).ln().copysign(x)
}
