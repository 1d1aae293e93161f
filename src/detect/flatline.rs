//! The flatline view: a lively series that stands still at one value is broken at its source.

use serde::{Deserialize, Serialize};

use crate::model::alert::Band;
use crate::model::{Point, Time};

use super::view::{Detector, Facts, Opinion};

/// Points before it has an opinion.
const LEAST_POINTS: u32 = 300;
/// Share of points equal to the one before, above which a series counts as not lively.
const LIVELY: f64 = 0.02;

/// State of the view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Flatline {
    value: f64,
    since: Time,
    n: u32,
    n_equal: u32,
    run: u32,
    longest_ms: i64,
}

impl Flatline {
    pub(super) const ID: &'static str = "flatline/1";

    pub(super) fn new() -> Self {
        Self { value: f64::NAN, since: Time::MIN, n: 0, n_equal: 0, run: 0, longest_ms: 0 }
    }
}

impl Detector for Flatline {
    fn judge(&self, facts: &Facts<'_>, point: Point) -> Option<Opinion> {
        let lively = self.n >= LEAST_POINTS && f64::from(self.n_equal) < LIVELY * f64::from(self.n);
        if !lively || point.value != self.value || self.run < 8 {
            return None;
        }
        let patience =
            (i64::from(facts.config.flatline_after_s) * 1_000).max(5 * self.longest_ms).max(1);
        let still_ms = point.at.ms_since(self.since);
        let score = facts.config.threshold * still_ms as f64 / patience as f64;
        let expected = Band { low: self.value, mid: self.value, high: self.value };
        Some(Opinion { detector: Self::ID, expected, score, leads: false })
    }

    fn learn(&mut self, _: &Facts<'_>, point: Point, _: bool) {
        if point.value == self.value {
            self.run += 1;
            // A stand-still that is being told of must not become the usual, nor dilute it.
            if self.run < 8 {
                self.n = self.n.saturating_add(1);
                self.n_equal = self.n_equal.saturating_add(1);
                self.longest_ms = self.longest_ms.max(point.at.ms_since(self.since));
            }
        } else {
            self.n = self.n.saturating_add(1);
            (self.value, self.since, self.run) = (point.value, point.at, 0);
        }
    }
}
