//! The view of shares between two bounds (0 to 1, 0 to 100 %): how far the odds moved, so that
//! 99.9 % and 99.5 % of success are as far apart as they are for users, and nothing is expected
//! beyond the bounds.
//!
//! The newest points' mean is held against what the time usually shows on the scale of log-odds
//! (the logit of Berkson 1944), where the noise of a share is about as wide near a bound as in the
//! middle. The smallest share that was ever told says how many things are counted: of one in 60
//! there are at least 60, and shares of so few are as noisy as a binomial count.

use serde::{Deserialize, Serialize};

use crate::model::Point;
use crate::model::alert::Band;
use crate::model::signal::Direction;
use crate::stats::{Expectation, RobustMean};

use super::beside::Finding;
use super::view::{Facts, Opinion};

/// Points that the newest mean is taken over, about.
const NEWEST: f64 = 8.0;
/// Weight of a point in the usual noise: a day at a minute.
const USUAL: f64 = 1.0 / 1_500.0;
/// Points before it has an opinion.
const LEAST_POINTS: u32 = 128;
/// The odds must at least double or halve, and the share move by so much.
const LEAST_ODDS: f64 = std::f64::consts::LN_2;
const LEAST_MOVE: f64 = 0.002;
/// Least noise of the mean in log-odds.
const LEAST_SIGMA: f64 = 0.1;
/// Edges of an hour beyond so many standard deviations of the mean are not noise: single points lie
/// within about eight.
const WIDE_SIGMAS: f64 = 12.0;
const LEAST_NOISE: f64 = 0.02;
/// The finest grain that is believed.
const FINEST: f32 = 1e-6;
/// What the grain is held for before any was seen.
const COARSEST: f32 = 0.02;

/// State of the view: some thirty bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratio {
    /// Running mean of the share.
    mean: f32,
    /// The smallest distance from a bound that was seen, beside 0.
    grain: f32,
    /// Noise of the mean's log-odds around what the time usually shows, or around their level.
    noise: RobustMean,
    /// Whether the noise is that around a profile.
    seasonal: bool,
}

impl Default for Ratio {
    fn default() -> Self {
        Self { mean: f32::NAN, grain: COARSEST, noise: RobustMean::new(), seasonal: false }
    }
}

impl Ratio {
    pub(super) const ID: &'static str = "ratio/1";

    /// Judges the newest mean with a point, which lies within the bounds.
    pub(super) fn judge(&self, facts: &Facts<'_>, point: Point) -> Option<Finding> {
        let bound = facts.bound?;
        if self.noise.n() < LEAST_POINTS || self.seasonal != facts.expected.is_some() {
            return None;
        }
        let share = (point.value / bound).clamp(0.0, 1.0);
        let mean = self.with(share);
        let (low, mid, high) = self.usual(facts.expected, bound);
        let sigma = self.noise.sigma().max(LEAST_SIGMA).max(self.counting_noise(mid));
        // The edges of an hour are those of single points; only where they are far wider than that
        // does something come and go within the hour.
        let noise = self.noise.sigma().max(LEAST_NOISE);
        let wide = |edge: f64| (self.logit(edge) - self.logit(mid)).abs() > WIDE_SIGMAS * noise;
        let (low, high) = if wide(low) || wide(high) { (low, high) } else { (mid, mid) };
        let margin = facts.config.threshold * sigma;
        let top = at_least(self.logit(high) + margin, self.logit(mid) + LEAST_ODDS);
        let bottom = 1.0 - at_least(margin - self.logit(low), LEAST_ODDS - self.logit(mid));
        let (top, bottom) = (top.max(mid + LEAST_MOVE), bottom.min(mid - LEAST_MOVE));
        // Scored by odds: the edge of the band is the threshold on their scale too.
        let up = (self.logit(mean) - self.logit(mid)) / (logit(top) - self.logit(mid)).max(1e-9);
        let down =
            (self.logit(mid) - self.logit(mean)) / (self.logit(mid) - logit(bottom)).max(1e-9);
        let worst = match facts.direction {
            Direction::High => up,
            Direction::Low => down,
            Direction::Both => up.max(down),
        };
        // A bound that was always near can't be crossed; that it is reached is no departure then.
        let score = (worst * facts.config.threshold).clamp(-1e6, 1e6);
        let expected =
            Band { low: bottom.max(0.0) * bound, mid: mid * bound, high: top.min(1.0) * bound };
        let opinion = Opinion { detector: Self::ID, expected, score, leads: true };
        Some(Finding { opinion, value: mean * bound })
    }

    /// Learns a point within the bounds; of a departure only the newest mean.
    pub(super) fn learn(&mut self, facts: &Facts<'_>, point: Point, departing: bool) {
        let Some(bound) = facts.bound else { return };
        let share = (point.value / bound).clamp(0.0, 1.0);
        let distance = share.min(1.0 - share) as f32;
        if distance > 0.0 {
            self.grain = self.grain.min(distance).max(FINEST);
        }
        self.mean = self.with(share) as f32;
        if departing {
            return;
        }
        if self.seasonal != facts.expected.is_some() {
            (self.noise, self.seasonal) = (RobustMean::new(), facts.expected.is_some());
        }
        let around = facts.expected.map_or(0.0, |e| self.logit(e.mid / bound));
        self.noise.push(self.logit(f64::from(self.mean)) - around, USUAL);
    }

    /// Takes the newest mean for usual.
    pub(super) fn restart(&mut self) {
        self.noise = RobustMean::new();
    }

    /// Lower edge, middle and upper edge of what the time usually shows, as shares.
    fn usual(&self, expected: Option<Expectation>, bound: f64) -> (f64, f64, f64) {
        let share = |v: f64| (v / bound).clamp(0.0, 1.0);
        if let Some(e) = expected {
            let moved = |v: f64| expit(self.logit(share(v)) + self.noise.level());
            return (share(e.low).min(moved(e.mid)), moved(e.mid), share(e.high).max(moved(e.mid)));
        }
        let level = expit(self.noise.level());
        (level, level, level)
    }

    /// The binomial noise of the newest mean's log-odds when one of `1 / grain` is counted.
    fn counting_noise(&self, share: f64) -> f64 {
        let variance = (share * (1.0 - share)).max(f64::from(self.grain) / NEWEST);
        // Each point is one of about `1 / grain` things: p(1-p) / n, and the logit's slope.
        let spread = (variance * f64::from(self.grain) / NEWEST).sqrt();
        spread / variance.max(1e-12)
    }

    fn with(&self, share: f64) -> f64 {
        let mean = f64::from(self.mean);
        if mean.is_finite() { mean + (share - mean) / NEWEST } else { share }
    }

    /// Log-odds, with half a grain's distance from the bounds at least.
    fn logit(&self, share: f64) -> f64 {
        let half = f64::from(self.grain) / 2.0;
        logit(share.clamp(half, 1.0 - half))
    }
}

/// The share at the greater of two log-odds.
fn at_least(one: f64, other: f64) -> f64 {
    expit(one.max(other))
}

fn logit(share: f64) -> f64 {
    let share = share.clamp(1e-9, 1.0 - 1e-9);
    (share / (1.0 - share)).ln()
}

fn expit(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}
