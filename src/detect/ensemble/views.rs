//! The building blocks of views: statistics that depart both ways, and novelty of shape.

use serde::{Deserialize, Serialize};

use super::shape::Shape;
use super::sketch::{LOG2, Sketch, log2};

/// A statistic that departs both ways: each side has its own calibration, so that a series with
/// rare high spikes is not excused for falling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TwoSided {
    up: Sketch,
    down: Sketch,
}

impl TwoSided {
    /// The surprise of a ratio to a robust scale, in nats; it is learned.
    pub(super) fn judge(&mut self, ratio: f32) -> f32 {
        let y = log2(ratio.abs().max(1e-9));
        let (side, other) = if ratio >= 0.0 {
            (&mut self.up, &mut self.down)
        } else {
            (&mut self.down, &mut self.up)
        };
        let surprise = side.surprise(y);
        side.push(y, LOG2);
        other.push_below();
        surprise
    }

    /// The ratios below and above zero whose surprise is `nats`; zero on a side that was never
    /// seen. `None` while young.
    pub(super) fn band(&self, nats: f32) -> Option<(f32, f32)> {
        let edge = |side: &Sketch| side.at_surprise(nats).map(|y| y.clamp(-30.0, 30.0).exp2());
        Some((-edge(&self.down)?, edge(&self.up)?))
    }
}

/// Novelty of the shape of means over `rows` rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Novelty {
    shape: Shape,
    distances: Sketch,
    sum: f32,
    n: u8,
    surprise: f32,
}

impl Novelty {
    /// Takes in a value in units of the shape memory and gives the surprise of the newest
    /// stretch, in nats; it holds until the next mean is complete.
    pub(super) fn judge(&mut self, value: f32, rows: u8) -> f32 {
        self.sum += value;
        self.n += 1;
        if self.n >= rows {
            // What is farther than half of all stretches were is worth storing.
            let vigilance = self.distances.median().map_or(1.0, f32::exp2);
            if let Some(distance) = self.shape.push(
                self.sum / f32::from(self.n),
                vigilance,
                if rows == 1 { 4 } else { 1 },
            ) {
                // A tenth of a unit keeps equal stretches on the scale.
                let y = (distance + 0.1).log2();
                self.surprise = self.distances.surprise(y);
                self.distances.push(y, LOG2);
            }
            (self.sum, self.n) = (0.0, 0);
        }
        self.surprise
    }
}
