//! The flatline view: a lively series that stands still at one value is broken at its source.

use serde::{Deserialize, Deserializer, Serialize};

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
    #[serde(deserialize_with = "at_most_weeks")]
    longest_ms: u32,
}

/// Seven weeks at most.
fn at_most(ms: i64) -> u32 {
    ms.clamp(0, u32::MAX.into()) as u32
}

/// An older form has eight bytes.
fn at_most_weeks<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    i64::deserialize(from).map(at_most)
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
        let patience = (i64::from(facts.config.flatline_after_s) * 1_000)
            .max(5 * i64::from(self.longest_ms))
            .max(1);
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
                let still_ms = point.at.ms_since(self.since);
                self.longest_ms = self.longest_ms.max(at_most(still_ms));
            }
        } else {
            self.n = self.n.saturating_add(1);
            (self.value, self.since, self.run) = (point.value, point.at, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_program_wrote_is_read() {
        let old = (1.5_f64, Time::MIN, 9_u32, 1_u32, 0_u32, 30_i64 * 86_400_000);
        let bytes = rmp_serde::to_vec(&old).expect("packs");
        let read: Flatline = rmp_serde::from_slice(&bytes).expect("reads");
        assert_eq!((read.n, read.longest_ms), (9, 30 * 86_400_000));
    }
}
