//! Statistics that depart both ways, with their calibration.

use serde::{Deserialize, Serialize};

use super::count::Sample;
use super::sketch::{LOG2, Sketch, greater, log2};

/// A statistic that departs both ways: each side has its own calibration, so that a series with
/// rare high spikes is not excused for falling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TwoSided {
    up: Sketch,
    down: Sketch,
}

impl TwoSided {
    /// Asks for its memory; see [`fetch`](super::row::fetch).
    #[inline]
    pub(super) fn fetch(&self) {
        self.up.fetch();
        self.down.fetch();
    }

    /// The surprise of a ratio to a robust scale, in nats; it is learned.
    #[inline]
    pub(super) fn judge(&mut self, ratio: f32, sample: Sample) -> f32 {
        let y = log2(greater(ratio.abs(), 1e-9));
        let (side, other) = if ratio >= 0.0 {
            (&mut self.up, &mut self.down)
        } else {
            (&mut self.down, &mut self.up)
        };
        let surprise = side.surprise_known(y, LOG2);
        side.push(y, LOG2, sample);
        other.push_below();
        surprise
    }
}
