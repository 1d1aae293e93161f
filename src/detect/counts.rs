//! The view of rare events: how many come in the newest points, against the rate that they usually
//! come at. One event is never news; a rate that lasts is.
//!
//! Sums over windows of points are held against a negative binomial distribution: a Poisson
//! process (its limit) whose events come in clumps and whose rate is itself only known from the
//! events so far (the gamma mixture of Greenwood and Yule 1920). Its tails are summed exactly.

use serde::{Deserialize, Serialize};

use crate::model::alert::Band;
use crate::model::signal::Direction;
use crate::model::{Point, Time};

use super::beside::{Finding, deviates};
use super::view::{Facts, Opinion};

/// Points of the long and of the short window.
const LONG: usize = 32;
const SHORT: usize = 8;
/// Points before it has an opinion.
const LEAST_POINTS: u32 = 128;
/// Events, and points that hold one, below which nothing is said of a window.
const LEAST_EVENTS: u32 = 5;
const LEAST_HITS: u32 = 3;
/// A rate must change by this factor.
const RATIO: f64 = 2.0;
/// Points that the usual rate is taken over: two days at a minute.
const MEMORY: u32 = 3_000;
/// Windows that the clumping is taken over, and what it is held for before: twice a Poisson
/// process' variance, worth so many windows.
const CLUMP_WINDOWS: f64 = 60.0;
const PRIOR: (f64, f64) = (2.0, 8.0);
/// Most that one window says of clumping.
const MOST_CLUMPED: f64 = 50.0;
/// Windows overlap and there are two: a chance is that of so many tries (Bonferroni).
const TRIES: f64 = 8.0;
/// The rhythm of a day: hours, the fixed-point unit of their factors, and the weight of a point in
/// its hour's factor, less where events are few.
const HOURS: usize = 24;
const UNIT: f64 = 4_096.0;
const HOUR_POINTS: f64 = 120.0;
const HOUR_EVENTS: f64 = 40.0;
const PULL: f64 = 0.1;
/// Events expected in the long window from which their absence is news.
const LEAST_REGULAR: f64 = 12.0;

/// State of the view: some hundred bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Newest counts, cut at 255.
    ring: [u8; LONG],
    n: u32,
    /// Points learned.
    known: u32,
    /// Events a point.
    mean: f32,
    /// Variance of a window's sum over its mean.
    clumping: f32,
    /// What each hour of the day shows of the mean, in 4,096ths; 0 is unknown.
    hours: [u16; HOURS],
}

impl Counts {
    pub(super) const ID: &'static str = "counts/1";

    /// Judges the windows that end with a point.
    pub(super) fn judge(&self, facts: &Facts<'_>, point: Point) -> Option<Finding> {
        if self.known < LEAST_POINTS {
            return None;
        }
        let (short, short_hits) = self.window(SHORT, point.value);
        let (long, long_hits) = self.window(LONG, point.value);
        let (least, most) = self.rates(point.at);
        let mut worst = (0.0, LONG, f64::from(long), true);
        // What is over in the short window is over.
        let goes_on = f64::from(short) > most * SHORT as f64;
        if facts.direction != Direction::Low && goes_on {
            for (n, sum, hits) in [(SHORT, short, short_hits), (LONG, long, long_hits)] {
                let expected = most * n as f64;
                let many = f64::from(sum) >= RATIO * expected;
                if sum >= LEAST_EVENTS && hits >= LEAST_HITS && many {
                    let score = tried(self.events(most, n).ln_at_least(sum));
                    if score > worst.0 {
                        worst = (score, n, f64::from(sum), true);
                    }
                }
            }
        }
        let expected = least * LONG as f64;
        let few = RATIO * f64::from(long) <= expected && RATIO * f64::from(short) * 4.0 <= expected;
        if facts.direction != Direction::High && expected >= LEAST_REGULAR && few {
            let score = tried(self.events(least, LONG).ln_at_most(long));
            if score > worst.0 {
                worst = (score, LONG, f64::from(long), false);
            }
        }
        let (score, n, sum, up) = worst;
        let events = self.events(if up { most } else { least }, n);
        let expected = events.band(n, facts.config.threshold, score > 1.0, up);
        let opinion = Opinion { detector: Self::ID, expected, score, leads: true };
        Some(Finding { opinion, value: sum / n as f64 })
    }

    /// Learns a point; of a departure only that it was.
    pub(super) fn learn(&mut self, point: Point, departing: bool) {
        let count = point.value.clamp(0.0, 255.0) as u8;
        self.ring[self.n as usize % LONG] = count;
        self.n = if self.n == u32::MAX { LONG as u32 - 1 } else { self.n + 1 };
        if departing {
            return;
        }
        self.known = self.known.saturating_add(1);
        let mean = f64::from(self.mean);
        let hour = hour_of(point.at);
        let factor = self.factor(hour);
        // One glitch moves the rate by a bounded step.
        let value = f64::from(count).min(8.0 * mean + 4.0);
        let value = if self.known < LONG as u32 { f64::from(count) } else { value };
        self.mean += ((value / factor - mean) / f64::from(self.known.min(MEMORY))) as f32;
        let mean = f64::from(self.mean);
        if self.known >= LEAST_POINTS && mean > 0.0 {
            // A pull towards 1, so that the factors stay apart from the mean.
            let shown = PULL + (1.0 - PULL) * value / mean;
            let weight = 1.0 / (HOUR_POINTS + HOUR_EVENTS / mean);
            let factor = factor + weight * (shown - factor);
            self.hours[hour] = (factor * UNIT).round().clamp(UNIT / 16.0, 15.0 * UNIT) as u16;
        }
        if self.n.is_multiple_of(LONG as u32) && self.known >= LEAST_POINTS / 2 {
            let expected = (mean * self.factor(hour) * LONG as f64).max(0.5);
            let sum: u32 = self.ring.iter().map(|c| u32::from(*c)).sum();
            let one = ((f64::from(sum) - expected).powi(2) / expected).min(MOST_CLUMPED);
            let windows = f64::from(self.known) / LONG as f64 + PRIOR.1;
            let old = if self.clumping > 0.0 { f64::from(self.clumping) } else { PRIOR.0 };
            self.clumping = (old + (one - old) / windows.min(CLUMP_WINDOWS)) as f32;
        }
    }

    /// Takes what came lately for usual.
    pub(super) fn restart(&mut self) {
        let sum: u32 = self.ring.iter().map(|c| u32::from(*c)).sum();
        (self.mean, self.known) = (sum as f32 / LONG as f32, LEAST_POINTS);
    }

    /// Events, and points with any, in the newest `n` points of which `value` is the last.
    fn window(&self, n: usize, value: f64) -> (u32, u32) {
        let last = value.clamp(0.0, 255.0) as u32;
        let before = (1..n.min(self.n as usize + 1))
            .map(|ago| u32::from(self.ring[(self.n as usize - ago) % LONG]));
        before
            .fold((last, u32::from(last > 0)), |(sum, hits), c| (sum + c, hits + u32::from(c > 0)))
    }

    /// What an hour of the day shows of the mean.
    fn factor(&self, hour: usize) -> f64 {
        let factor = self.hours[hour % HOURS];
        if factor == 0 { 1.0 } else { f64::from(factor) / UNIT }
    }

    /// The least and the greatest rate around a time: of its hour and of those before and after.
    fn rates(&self, at: Time) -> (f64, f64) {
        let hour = hour_of(at);
        let near = [hour + HOURS - 1, hour, hour + 1].map(|h| self.factor(h));
        let mean = f64::from(self.mean);
        let least = near.into_iter().fold(f64::INFINITY, f64::min);
        (mean * least, mean * near.into_iter().fold(0.0, f64::max))
    }

    /// How many events `n` points hold at a rate.
    fn events(&self, rate: f64, n: usize) -> Events {
        let mean = (rate * n as f64).max(1e-6);
        let clumping = if self.clumping > 0.0 { f64::from(self.clumping) } else { PRIOR.0 };
        // Clumps fill a long window more evenly than a short one: the long one's are taken for both.
        let windows = f64::from(self.known.min(MEMORY)) / n as f64;
        Events::of(mean, clumping, windows)
    }
}

/// The hour of the day, in UTC.
fn hour_of(at: Time) -> usize {
    at.hour_of_week() % HOURS
}

/// The deviate of the least chance of several tries.
fn tried(ln_p: f64) -> f64 {
    deviates((ln_p + TRIES.ln()).min(0.0))
}

/// A negative binomial distribution of a number of events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Events {
    mean: f64,
    /// Its variance is `mean + mean² / shape`.
    shape: f64,
}

impl Events {
    /// With this mean and variance over mean, the mean known from so many draws.
    pub(super) fn of(mean: f64, clumping: f64, draws: f64) -> Self {
        let clumped = (clumping - 1.0).max(0.0) / mean;
        Self { mean, shape: 1.0 / (clumped + 1.0 / (mean * draws + 0.5)) }
    }

    /// How far out `n` is above, in standard deviations of a normal variable.
    pub(super) fn score_high(&self, n: u32) -> f64 {
        deviates(self.ln_at_least(n))
    }

    /// The band of single draws for those above it.
    pub(super) fn band_high(&self, threshold: f64) -> Band {
        let mut most = self.mean.ceil() as u32 + 1;
        while most < 100_000 && self.score_high(most) < threshold {
            most += 1;
        }
        Band { low: 0.0, mid: self.mean, high: f64::from(most - 1) }
    }

    /// The band of the mean of `n` points; `exact` where it is going to be read.
    fn band(&self, n: usize, threshold: f64, exact: bool, up: bool) -> Band {
        let per_point = |sum: f64| sum / n as f64;
        let (mut low, mut high) = (0.0, self.mean * RATIO);
        if exact && up {
            let mut most = (self.mean * RATIO).ceil().max(f64::from(LEAST_EVENTS)) as u32;
            while most < 255 * LONG as u32 && tried(self.ln_at_least(most)) < threshold {
                most += 1 + most / 16;
            }
            high = f64::from(most - 1);
        } else if exact {
            let mut least = (self.mean / RATIO).floor() as u32;
            while least > 0 && tried(self.ln_at_most(least)) < threshold {
                least -= 1;
            }
            low = f64::from(least + 1);
        }
        Band { low: per_point(low), mid: per_point(self.mean), high: per_point(high) }
    }

    /// `ln` of the chance of exactly `n`.
    fn ln_exactly(&self, n: u32) -> f64 {
        let odds = self.mean / (self.shape + self.mean);
        let none = -self.shape * (self.mean / self.shape).ln_1p();
        (0..n).fold(none, |ln, i| {
            let i = f64::from(i);
            ln + ((self.shape + i) / (i + 1.0) * odds).ln()
        })
    }

    /// `ln` of the chance of `n` or more; 0 up to the mean.
    fn ln_at_least(&self, n: u32) -> f64 {
        if f64::from(n) <= self.mean {
            return 0.0;
        }
        let odds = self.mean / (self.shape + self.mean);
        let (mut term, mut sum, mut k) = (1.0, 1.0, f64::from(n));
        for _ in 0..10_000 {
            term *= (self.shape + k) / (k + 1.0) * odds;
            sum += term;
            k += 1.0;
            if term < 1e-9 * sum {
                break;
            }
        }
        (self.ln_exactly(n) + f64::ln(sum)).min(0.0)
    }

    /// `ln` of the chance of `n` or fewer; 0 from the mean on.
    fn ln_at_most(&self, n: u32) -> f64 {
        if f64::from(n) >= self.mean {
            return 0.0;
        }
        let odds = self.mean / (self.shape + self.mean);
        let (mut term, mut sum) = (1.0, 1.0);
        for k in (1..=n).rev() {
            let k = f64::from(k);
            term *= k / ((self.shape + k - 1.0) * odds);
            sum += term;
        }
        (self.ln_exactly(n) + f64::ln(sum)).min(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_distribution() {
        // Poisson with mean 2: P(X >= 6) = 0.016564, P(X = 0) = e^-2.
        let poisson = Events { mean: 2.0, shape: 1e9 };
        assert!((poisson.ln_at_least(6).exp() - 0.016_564).abs() < 1e-5);
        assert!((poisson.ln_at_most(0) + 2.0).abs() < 1e-6);
        assert!(poisson.ln_at_least(2).abs() < 1e-12);
        // Geometric with mean 1: P(X >= n) = 2^-n.
        let geometric = Events { mean: 1.0, shape: 1.0 };
        for n in 2..40 {
            let off = geometric.ln_at_least(n) + f64::from(n) * std::f64::consts::LN_2;
            assert!(off.abs() < 1e-6, "{n}: {off}");
        }
    }

    #[test]
    fn a_known_rate_is_learned_with_its_clumping() {
        let mut counts = Counts::default();
        let at = Time::MIN;
        for i in 0..6_400_u32 {
            // Twice an hour, three at once.
            let value = if i % 30 == 7 { 3.0 } else { 0.0 };
            counts.learn(Point { at, value }, false);
        }
        let rate = counts.rates(at).1;
        assert!((rate - 0.1).abs() < 0.02, "{rate}");
        assert!(counts.clumping < 2.0, "as regular as a clock: {}", counts.clumping);
        let before = counts.clone();
        counts.learn(Point { at, value: 200.0 }, true);
        assert_eq!((counts.mean, counts.known), (before.mean, before.known));
    }
}
