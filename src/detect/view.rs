//! The shape of a detector: one view of one series, which judges a point before it learns from it.

use crate::model::alert::Band;
use crate::model::signal::Direction;
use crate::model::{Indicator, Point};
use crate::stats::Expectation;

use super::config::{Config, Floor, units_per_base};

/// What every view may know about a series besides its own state.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Settings.
    pub config: &'a Config,
    /// Which signal.
    pub indicator: Indicator,
    /// Which departures are bad.
    pub direction: Direction,
    /// The least departure that matters, in the series' own unit.
    pub floor: Floor,
    /// What the profile expects of this time, where it is old enough.
    pub expected: Option<Expectation>,
    /// The upper bound of a share, in the series' unit; the lower one is 0.
    pub bound: Option<f64>,
    /// Whether the point is history to learn from.
    pub backfill: bool,
    /// How many times as wide as configured the band is: the bar that people moved.
    pub bar: f64,
}

impl<'a> Facts<'a> {
    /// The facts of a series, with the floor in the series' unit.
    #[must_use]
    pub fn new(
        config: &'a Config,
        series: &crate::model::Series,
        expected: Option<Expectation>,
        backfill: bool,
    ) -> Self {
        let floor = config.floor(series.indicator);
        let units = units_per_base(&series.unit);
        let floor = Floor {
            absolute: floor.absolute * units,
            at_least: if floor.at_least > f64::MIN { floor.at_least * units } else { f64::MIN },
            ..floor
        };
        let (indicator, direction) = (series.indicator, series.direction);
        let bound = match series.unit.as_str() {
            "1" => Some(1.0),
            "%" => Some(100.0),
            _ => None,
        };
        Self { config, indicator, direction, floor, expected, bound, backfill, bar: 1.0 }
    }

    /// The same with a bar that people moved.
    #[must_use]
    pub fn with_bar(self, bar: f64) -> Self {
        Self { bar, ..self }
    }

    /// The band around `mid` that starts from the edges usually seen and adds a margin of noise;
    /// it never is narrower than what matters in practice.
    #[must_use]
    pub fn band(&self, (low, mid, high): (f64, f64, f64), margin: f64) -> Band {
        let least = self.floor.absolute.max(self.floor.relative * mid.abs()).max(f64::MIN_POSITIVE);
        let top = (high + margin).max(mid + least).max(self.floor.at_least);
        let bottom = (low - margin).min(mid - least);
        // A moved bar widens or narrows all of it: a score shrinks or grows by the same factor.
        Band { low: mid - self.bar * (mid - bottom), mid, high: mid + self.bar * (top - mid) }
    }

    /// How far `value` is from the band's middle in the bad direction, so that the edge of the band
    /// is exactly the threshold. Zero or less on the good side.
    #[must_use]
    pub fn score(&self, value: f64, band: &Band) -> f64 {
        let up = (value - band.mid) / (band.high - band.mid).max(f64::MIN_POSITIVE);
        let down = (band.mid - value) / (band.mid - band.low).max(f64::MIN_POSITIVE);
        let worst = match self.direction {
            Direction::High => up,
            Direction::Low => down,
            Direction::Both => up.max(down),
        };
        (worst * self.config.threshold).min(1e6)
    }
}

/// What a view thinks of one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opinion {
    /// Which view, with its version.
    pub detector: &'static str,
    /// What it expected.
    pub expected: Band,
    /// Equivalent robust standard deviations in the bad direction; the threshold is the band's edge.
    pub score: f64,
    /// Whether it may call an anomaly by itself, or only strengthen another view's claim.
    pub leads: bool,
}

/// One view of one series. State is small, constant and serialisable; the same points give the
/// same opinions. More views can be added: [`fuse`] only looks at opinions.
pub trait Detector {
    /// Judges a point; `None` while it has too little history or has nothing to say.
    fn judge(&self, facts: &Facts<'_>, point: Point) -> Option<Opinion>;

    /// Learns from a point. `departing` says that it belongs to a departure (held or called).
    fn learn(&mut self, facts: &Facts<'_>, point: Point, departing: bool);
}

/// One verdict from all opinions: the strongest view that leads, provided every other view that
/// leads agrees that the point is outside. Views that only support never silence.
#[must_use]
pub fn fuse(opinions: &[Opinion], threshold: f64) -> Option<Opinion> {
    let leading = || opinions.iter().filter(|o| o.leads);
    let weakest = leading().map(|o| o.score).fold(f64::INFINITY, f64::min);
    let strongest = leading().max_by(|a, b| a.score.total_cmp(&b.score))?;
    // Disagreement counts as the weaker opinion: one view alone can be wrong about its window.
    let score = if weakest < threshold { weakest } else { strongest.score };
    Some(Opinion { score, ..*strongest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opinion(score: f64, leads: bool) -> Opinion {
        let expected = Band { low: 0.0, mid: 1.0, high: 2.0 };
        Opinion { detector: "test/1", expected, score, leads }
    }

    #[test]
    fn views_that_lead_must_agree_and_supporters_do_not_silence() {
        let score = |all: &[Opinion]| fuse(all, 4.0).map(|o| o.score);
        assert_eq!(score(&[opinion(9.0, true), opinion(5.0, true)]), Some(9.0));
        assert_eq!(score(&[opinion(9.0, true), opinion(1.0, true)]), Some(1.0));
        assert_eq!(score(&[opinion(9.0, true), opinion(0.0, false)]), Some(9.0));
        assert_eq!(score(&[opinion(9.0, false)]), None);
    }
}
