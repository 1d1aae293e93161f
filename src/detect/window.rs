//! Two views over a rolling window of the newest points: a robust z-score and interquartile
//! fences. They lead while a series has no profile and must agree; later they are silent, since
//! what a nightly batch does to a window is not news.

use serde::{Deserialize, Serialize};

use crate::model::Point;
use crate::stats::Window;
use crate::stats::window::Spread;

use super::view::{Detector, Facts, Opinion};

/// Points in the window.
const POINTS: u16 = 64;
/// Tukey's far-out fence, three interquartile ranges beyond the quartiles (Tukey 1977,
/// "Exploratory Data Analysis").
const FENCE: f64 = 3.0;

/// State of both views; none once a profile has taken over for every hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Rolling(Option<Box<Newest>>);

/// The newest points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Newest {
    values: Window,
    n: u32,
}

impl Rolling {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// Starts over around a new level, or ends for good.
    pub(super) fn restart(&mut self) {
        self.0 = None;
    }

    /// Takes in a point that departs from nothing.
    pub(super) fn push(&mut self, value: f64) {
        let newest =
            self.0.get_or_insert_with(|| Box::new(Newest { values: Window::new(POINTS), n: 0 }));
        newest.values.push(value);
        newest.n = newest.n.saturating_add(1);
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |n| size_of::<Newest>() + n.values.heap_bytes())
    }

    fn spread(&self, facts: &Facts<'_>) -> Option<Spread> {
        let newest = self.0.as_ref()?;
        if facts.expected.is_some() || newest.n < facts.config.warm_up_points {
            return None;
        }
        newest.values.spread()
    }

    /// The band the z-score would use: for charts of a young series.
    pub(super) fn band(&self, facts: &Facts<'_>) -> Option<crate::model::Band> {
        let spread = self.spread(facts)?;
        Some(zscore_band(facts, &spread))
    }
}

fn zscore_band(facts: &Facts<'_>, spread: &Spread) -> crate::model::Band {
    let margin = facts.config.threshold * spread.sigma.max(spread.iqr_sigma);
    facts.band((spread.mid, spread.mid, spread.mid), margin)
}

/// The robust z-score.
pub(super) struct Zscore<'a>(pub(super) &'a mut Rolling);
/// The interquartile fences.
pub(super) struct Fences<'a>(pub(super) &'a mut Rolling);

impl Detector for Zscore<'_> {
    fn judge(&self, facts: &Facts<'_>, point: Point) -> Option<Opinion> {
        let spread = self.0.spread(facts)?;
        let expected = zscore_band(facts, &spread);
        let score = facts.score(point.value, &expected);
        Some(Opinion { detector: "zscore/1", expected, score, leads: true })
    }

    fn learn(&mut self, _: &Facts<'_>, point: Point, departing: bool) {
        if !departing {
            self.0.push(point.value);
        }
    }
}

impl Detector for Fences<'_> {
    fn judge(&self, facts: &Facts<'_>, point: Point) -> Option<Opinion> {
        let spread = self.0.spread(facts)?;
        let margin = FENCE * (spread.q3 - spread.q1);
        let expected = facts.band((spread.q1, spread.mid, spread.q3), margin);
        let score = facts.score(point.value, &expected);
        Some(Opinion { detector: "iqr/1", expected, score, leads: true })
    }

    /// The window is shared with the z-score, which fills it.
    fn learn(&mut self, _: &Facts<'_>, _: Point, _: bool) {}
}
