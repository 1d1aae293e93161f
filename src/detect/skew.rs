//! The view of skewed values: how far out a value is among all that the series showed before,
//! read off quantiles on a logarithmic scale. Where high values are the series' nature (latencies
//! about log-normal, bursts, heavy tails), a band made for even noise is too narrow above.
//!
//! Values are counted as ratios to what the time usually shows, a quarter of an octave a bin; the
//! edge of the band is the quantile that four in a thousand values exceed, by a Pareto tail where
//! few were counted (Hill 1975, "A simple general approach to inference about the tail of a
//! distribution").

use serde::{Deserialize, Serialize};

use crate::model::Point;
use crate::model::signal::Direction;
use crate::stats::RobustMean;

use super::ensemble::{Count, Sample};
use super::view::{Facts, Opinion};

/// Bins: a quarter of an octave each, the usual value in the middle of the tenth.
const BINS: usize = 32;
const PER_OCTAVE: f64 = 4.0;
const USUAL_BIN: f64 = 9.5;
/// Values before it has an opinion.
const LEAST_VALUES: u32 = 500;
/// All counts are halved at this sum: a week at a minute is remembered.
const FULL: u32 = 16_384;
/// Share of values beyond the edges of the band.
const BEYOND: f64 = 0.004;
/// Share of values from which the tail is fitted.
const TAIL: f64 = 0.02;
/// The upper tenth must reach this many times as far from the middle as the lower tenth.
const SKEWED: f64 = 1.4;
/// Values that the newest mean is taken over, about, the weight of one in its usual noise, and the
/// standard deviations of that noise that so few exceed.
const NEWEST: f64 = 8.0;
const USUAL: f64 = 1.0 / 1_500.0;
const BEYOND_SIGMAS: f64 = 2.65;
/// Weight of a value in the level, while no profile says what is usual.
const ALPHA: f64 = 1.0 / 480.0;

/// State of the view: some eighty bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Skew {
    bins: [Count; BINS],
    n: u32,
    /// `log2` of the level.
    level: RobustMean,
    /// Octaves of the newest geometric mean above the usual value, and their noise.
    newest: f32,
    noise: RobustMean,
}

impl Default for Skew {
    fn default() -> Self {
        Self {
            bins: [Count::default(); BINS],
            n: 0,
            level: RobustMean::new(),
            newest: 0.0,
            noise: RobustMean::new(),
        }
    }
}

impl Skew {
    pub(super) const ID: &'static str = "quantile/1";

    /// What it thinks of a value; `None` while it is young or the series is not skewed.
    pub(super) fn judge(&self, facts: &Facts<'_>, point: Point) -> Option<Opinion> {
        if self.n < LEAST_VALUES || !self.is_skewed() {
            return None;
        }
        let usual = self.usual(facts)?;
        let at = |octaves: f64| usual * octaves.exp2();
        let mid = at(self.above(0.5));
        let expected = facts.band((at(-self.below(BEYOND)), mid, at(self.above(BEYOND))), 0.0);
        // A shift that lasts shows in the mean of some values before it does in each of them.
        let octaves = point.value.max(f64::MIN_POSITIVE).log2() - usual.log2();
        let newest = self.with(octaves) - self.noise.level();
        let sigmas = newest / self.noise.sigma().max(0.05);
        let same_way = (point.value >= mid) == (newest >= 0.0);
        let both = facts.direction == Direction::Both;
        let bad = both || (facts.direction == Direction::Low) == (newest < 0.0);
        let shift = if same_way && bad { sigmas.abs() / BEYOND_SIGMAS } else { 0.0 };
        let score = facts.score(point.value, &expected);
        let score = score.max((facts.config.threshold / facts.bar * shift).min(1e6));
        Some(Opinion { detector: Self::ID, expected, score, leads: true })
    }

    /// Learns a value that is no part of a departure.
    pub(super) fn learn(&mut self, facts: &Facts<'_>, point: Point, departing: bool) {
        if point.value <= 0.0 {
            return;
        }
        let octaves = point.value.log2();
        if departing {
            if let Some(usual) = self.usual(facts) {
                self.newest = self.with(octaves - usual.log2()) as f32;
            }
            return;
        }
        if let Some(usual) = self.usual(facts) {
            let bin = (octaves - usual.log2()) * PER_OCTAVE + USUAL_BIN;
            self.newest = self.with(octaves - usual.log2()) as f32;
            self.noise.push(f64::from(self.newest), USUAL);
            self.bins[bin.clamp(0.0, (BINS - 1) as f64) as usize].add(Sample::new(self.n));
            self.n += 1;
            if self.n >= FULL {
                self.bins.iter_mut().for_each(Count::halve);
                self.n /= 2;
            }
        }
        self.level.push(octaves, ALPHA);
    }

    /// The newest mean with one more value.
    fn with(&self, octaves: f64) -> f64 {
        let newest = f64::from(self.newest);
        newest + (octaves.clamp(-20.0, 20.0) - newest) / NEWEST
    }

    /// What the time usually shows: positive.
    fn usual(&self, facts: &Facts<'_>) -> Option<f64> {
        let usual = facts.expected.map_or_else(|| self.level.level().exp2(), |e| e.mid);
        let known = facts.expected.is_some() || self.level.n() >= 8;
        (known && usual > 0.0 && usual.is_finite()).then_some(usual)
    }

    fn is_skewed(&self) -> bool {
        let mid = self.above(0.5);
        let up = self.above(0.1).exp2() - mid.exp2();
        let down = mid.exp2() - (-self.below(0.1)).exp2();
        up > SKEWED * down.max(1e-3)
    }

    /// Octaves above the usual value that a share of all values exceeds.
    fn above(&self, share: f64) -> f64 {
        self.quantile(share, (0..BINS).rev(), |bin| bin as f64)
    }

    /// Octaves below the usual value that a share of all values lie under.
    fn below(&self, share: f64) -> f64 {
        -self.quantile(share, 0..BINS, |bin| (bin + 1) as f64)
    }

    /// The coordinate where `share` of the values are passed, walking over bins from one end;
    /// `edge` is the far side of a bin. Beyond the fitted share the tail is exponential.
    fn quantile(
        &self,
        share: f64,
        bins: impl Iterator<Item = usize>,
        edge: impl Fn(usize) -> f64,
    ) -> f64 {
        let octaves = |at: f64| (at - USUAL_BIN) / PER_OCTAVE;
        let wanted = share * f64::from(self.n);
        let fitted = TAIL * f64::from(self.n);
        let (mut passed, mut weighed) = (0.0, 0.0);
        for bin in bins {
            let count = f64::from(self.bins[bin].value());
            let far = edge(bin);
            if passed + count >= wanted && wanted >= fitted {
                // Within the bin, evenly.
                let into = (passed + count - wanted) / count.max(1.0);
                let near = if far > bin as f64 { far - 1.0 } else { far + 1.0 };
                return octaves(far + (near - far) * into);
            }
            passed += count;
            weighed += count * (bin as f64 + 0.5);
            if passed >= fitted && wanted < fitted {
                let excess = (weighed - passed * far).abs() / passed.max(1.0);
                let further = excess.max(0.1) * (passed / wanted.max(1e-9)).ln();
                let out = if far > bin as f64 { far - further } else { far + further };
                return octaves(out);
            }
        }
        octaves(USUAL_BIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::config::Config;
    use crate::model::{EntityRef, Indicator, Labels, Series, Time};

    fn duration() -> Series {
        let (entity, labels) = (EntityRef::service("cart"), Labels::default());
        Series {
            id: Series::identity("test", "latency", &entity, &labels),
            source: "test".into(),
            entity,
            metric: "latency".into(),
            labels,
            indicator: Indicator::Custom,
            unit: String::new(),
            direction: Direction::Both,
            query: None,
            limit: None,
            step_ms: 60_000,
        }
    }

    /// Upper edge and score of values on a series that showed `quiet` of evenly spread numbers
    /// between 0 and 1.
    fn judged(quiet: impl Fn(f64) -> f64, asked: &[f64]) -> Option<Vec<(f64, f64)>> {
        let (config, series) = (Config::default(), duration());
        let facts = Facts::new(&config, &series, None, false);
        let mut skew = Skew::default();
        let point = |value| Point { at: Time::MIN, value };
        for i in 1..6_000_u32 {
            skew.learn(&facts, point(quiet(f64::from(i.reverse_bits()) / 4_294_967_296.0)), false);
        }
        let one = |x: &f64| skew.judge(&facts, point(*x)).map(|o| (o.expected.high, o.score));
        asked.iter().map(one).collect()
    }

    /// Pareto with index 3: one in a thousand is beyond 10.
    fn heavy(u: f64) -> f64 {
        (1.0 - u).max(1e-6).powf(-1.0 / 3.0)
    }

    #[test]
    fn the_band_ends_where_four_in_a_thousand_begin() {
        // Beyond 6.3 are four in a thousand.
        let judged = judged(heavy, &[12.0]).expect("it is skewed");
        assert!((4.5..9.0).contains(&judged[0].0), "{judged:?}");
        assert!(judged[0].1 > 1.3 * Config::default().threshold, "{judged:?}");
    }

    #[test]
    fn a_factor_changes_nothing_and_what_is_not_skewed_is_left_to_the_bands() {
        let plain = judged(heavy, &[1.5, 4.0, 12.0]);
        let scaled = judged(|u| 1_024.0 * heavy(u), &[1_536.0, 4_096.0, 12_288.0]);
        for (a, b) in plain.iter().flatten().zip(scaled.iter().flatten()) {
            assert!((a.1 - b.1).abs() < 0.02 * a.1.abs().max(1.0), "{a:?} and {b:?}");
        }
        assert!(plain.is_some() && scaled.is_some());
        // A constant on top takes the skew away: no promise is made for that.
        assert_eq!(judged(|u| 1_000.0 + heavy(u), &[1_012.0]), None);
        assert_eq!(judged(|u| 10.0 + u, &[30.0]), None);
    }
}
