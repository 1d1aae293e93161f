//! The view of unrest: how much a series moves from point to point, against how much it usually
//! does, whatever its level. It notices noise that grew and noise that vanished.

use serde::{Deserialize, Serialize};

use crate::model::alert::Band;
use crate::model::time::DAY_MS;
use crate::model::{Point, Time};
use crate::stats::RobustMean;

use super::apart::Former;
use super::beside::Finding;
use super::view::{Facts, Opinion};

/// Weight of a step in the running unrest: some thirty points.
const ALPHA: f64 = 1.0 / 32.0;
/// Weight of a point in what is usual: a week at a minute.
const USUAL: f64 = 1.0 / 10_000.0;
/// Live points and live time before it has an opinion: a day holds the daily rhythm of unrest.
const LEAST_POINTS: u32 = 500;
const LEAST_MS: i64 = DAY_MS;
/// Unrest must change by this factor (`ln`).
const LEAST_CHANGE: f64 = std::f64::consts::LN_2;
/// The running unrest of independent noise itself moves by so much (`ln`, standard deviation):
/// the logarithm of a normal step has a variance of π²/8, averaged over some sixty points.
const OWN_SIGMA: f64 = 0.17;
/// Until days have shown how unrest differs from one to the next, its `ln` is held to vary so much.
const PRIOR_DAYS: f64 = 2.0;
const PRIOR_VARIANCE: f64 = 0.1;
/// One step counts within these factors (`ln`) of the usual one: neither a jump to another level
/// nor a repeated value says much of noise.
const MOST: f64 = 3.0;
/// A step over more than so many usual ones is none.
const GAP_STEPS: i64 = 3;

/// State of the view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    /// Older forms have the newest value and its time here, which the series has too.
    value: Former,
    since: Time,
    at: Former,
    /// Running `ln` of absolute steps.
    unrest: f32,
    usual: RobustMean,
}

impl Default for Spread {
    fn default() -> Self {
        Self { value: Former, since: Time::MIN, at: Former, unrest: 0.0, usual: RobustMean::new() }
    }
}

impl Spread {
    pub(super) const ID: &'static str = "spread/1";

    /// Judges the unrest up to and with a point, the second; the first is the one before.
    pub(super) fn judge(
        &self,
        facts: &Facts<'_>,
        (before, point): (Point, Point),
        step_ms: i64,
    ) -> Option<Finding> {
        let old = point.at.ms_since(self.since) >= LEAST_MS && self.usual.n() >= LEAST_POINTS;
        if !old || !is_next(before, point.at, step_ms) {
            return None;
        }
        let unrest = self.with(before, point.value);
        let usual = self.usual.level();
        // How unrest differs from day to day is known from as many days.
        let days = point.at.ms_since(self.since) as f64 / DAY_MS as f64;
        let own = self.usual.sigma().max(OWN_SIGMA).powi(2);
        let sigma = ((days * own + PRIOR_DAYS * PRIOR_VARIANCE) / (days + PRIOR_DAYS)).sqrt();
        let threshold = facts.config.threshold;
        let margin = (threshold * sigma).max(LEAST_CHANGE);
        let score = (threshold * (unrest - usual).abs() / margin).min(1e6);
        let expected =
            Band { low: (usual - margin).exp(), mid: usual.exp(), high: (usual + margin).exp() };
        let opinion = Opinion { detector: Self::ID, expected, score, leads: true };
        Some(Finding { opinion, value: unrest.exp() })
    }

    /// Learns a live point, the second, by the one before; `departing` says that the unrest is being
    /// told of, or the level.
    pub(super) fn learn(&mut self, (before, point): (Point, Point), step_ms: i64, departing: bool) {
        if is_next(before, point.at, step_ms) {
            self.unrest = self.with(before, point.value) as f32;
            if !departing && self.usual.n() == 0 {
                self.since = point.at;
            }
            if !departing && (point.value - before.value).abs() > 0.0 {
                self.usual.push(f64::from(self.unrest), USUAL);
            }
        }
    }

    /// Takes the unrest of late for usual from a time on.
    pub(super) fn restart(&mut self, at: Time) {
        let mut usual = RobustMean::new();
        usual.push(f64::from(self.unrest), 1.0);
        self.usual = usual;
        self.since = at;
    }

    /// The running unrest with one more value.
    fn with(&self, before: Point, value: f64) -> f64 {
        let unrest = f64::from(self.unrest);
        // A value that is repeated says nothing of noise: standing still is another view's.
        if value == before.value {
            return unrest;
        }
        let step = (value - before.value).abs().clamp(1e-300, 1e300).ln();
        if self.usual.n() == 0 {
            return step;
        }
        let usual = self.usual.level();
        unrest + ALPHA * (step.clamp(usual - MOST, usual + MOST) - unrest)
    }
}

/// Whether a time follows on a point without a gap.
fn is_next(before: Point, at: Time, step_ms: i64) -> bool {
    before.at > Time::MIN && at.ms_since(before.at) <= GAP_STEPS * step_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::config::Config;
    use crate::model::signal::Direction;
    use crate::model::{EntityRef, Indicator, Labels, Series};

    /// The score after two quiet days and an hour of noise that is `wide` times as wide.
    fn score(wide: f64, to: impl Fn(f64) -> f64) -> f64 {
        let (entity, labels) = (EntityRef::service("cart"), Labels::default());
        let series = Series {
            id: Series::identity("test", "memory", &entity, &labels),
            source: "test".into(),
            entity,
            metric: "memory".into(),
            labels,
            indicator: Indicator::Usage,
            unit: "By".into(),
            direction: Direction::High,
            query: None,
            limit: None,
            step_ms: 60_000,
        };
        let config = Config::default();
        let facts = Facts::new(&config, &series, None, false);
        let (mut spread, mut last) = (Spread::default(), 0.0);
        let mut before = Point { at: Time::MIN, value: 0.0 };
        let (quiet, all) = (2 * 1_440_u32, 2 * 1_440 + 60);
        for i in 0..all {
            let noise: f64 = (0..4)
                .map(|k: u32| {
                    f64::from((4 * i + k + 1).wrapping_mul(0x9e37_79b1)) / 4_294_967_296.0
                })
                .map(|u| (u * 7_919.0).fract() - 0.5)
                .sum();
            let value = to(noise * if i < quiet { 1.0 } else { wide });
            let at = Time::from_ms(1_793_577_600_000 + i64::from(i) * 60_000);
            let point = Point { at, value };
            let both = (before, point);
            last = spread.judge(&facts, both, 60_000).map_or(0.0, |f| f.opinion.score);
            spread.learn(both, 60_000, i >= quiet);
            before = point;
        }
        last
    }

    #[test]
    fn neither_a_factor_nor_a_shift_changes_what_is_said_of_noise() {
        let threshold = Config::default().threshold;
        let quiet = score(1.0, |x| x);
        assert!(quiet < 0.75 * threshold, "{quiet}");
        for wide in [4.0, 0.15] {
            let plain = score(wide, |x| x);
            assert!(plain > threshold, "{wide}: {plain}");
            let (scaled, moved) = (score(wide, |x| 1_024.0 * x), score(wide, |x| x + 64.0));
            for other in [scaled, moved] {
                assert!((other - plain).abs() < 0.02 * plain, "{wide}: {plain} and {other}");
            }
        }
    }
}
