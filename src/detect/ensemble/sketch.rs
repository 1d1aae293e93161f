//! Streaming rank calibration: what a statistic's own past says of how rare its value is.
//!
//! Counts in bins of equal width over a coordinate (for positive statistics their `log2`) give the
//! upper tail probability in the body; above a high quantile the tail is exponential in the
//! coordinate. With a logarithmic coordinate this is the Pareto tail of Hill (1975, "A simple
//! general approach to inference about the tail of a distribution"), the heavy case of the
//! generalised Pareto distribution (Pickands 1975, "Statistical inference using extreme order
//! statistics"); with a linear one it is the exponential case, ξ = 0. The mean excess is shrunk to
//! a prior that stands for all other series while few exceedances are known. All counts are halved
//! when they reach a limit, so the memory is some ten thousand samples.

use serde::{Deserialize, Serialize};

use super::count::{Count, Sample};
use super::packed;
use super::row::fetch;

/// Number of bins.
const BINS: usize = 48;
/// Samples between two refreshes of the cached knots, once there were so many: a young sketch is
/// refreshed by each.
const REFRESH: u8 = 32;
const YOUNG: u8 = 255;
/// Exceedances that the prior counts for, and that it does where sketches are compared.
const PRIOR_WEIGHT: f32 = 8.0;
const RANK_PRIOR: f32 = 20.0;
/// Least exceedances of a fit; a young sketch fits a larger share of its samples.
const LEAST_TAIL: f32 = 12.0;
/// Samples at which all counts are halved.
const FULL: f32 = 16_384.0;
/// Nothing is said before this many samples.
const LEAST_SAMPLES: f32 = 8.0;
/// So often must a value or a greater one have been seen to be known.
const KNOWN: f32 = 3.0;
/// `-ln` of a half.
const HALF_SURPRISE: f32 = 0.693;

/// How a coordinate is laid out on bins, and how its tail is fitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Lower edge of the first bin.
    low: f32,
    /// Bins per unit of the coordinate.
    per_unit: f32,
    /// Prior mean excess over the tail's start, in units of the coordinate.
    prior_excess: f32,
    /// Share of the samples that the tail is fitted to.
    tail_share: f32,
    /// Whether that is a share of the samples above the first bin only.
    of_above: bool,
}

/// `log2` of ratios to a robust scale, from 2⁻⁴ to 2¹²: a third of an octave a bin. The prior is a
/// tail index ξ = 0.3, that of financial returns and of many load metrics.
pub(super) const LOG2: Scale =
    Scale { low: -4.0, per_unit: 3.0, prior_excess: 0.43, tail_share: 0.04, of_above: false };
/// Evidence of rows in nats, 0 to 48, one nat a bin.
pub(super) const ROWS: Scale =
    Scale { low: 0.0, per_unit: 1.0, prior_excess: 1.0, tail_share: 0.04, of_above: false };
/// Evidence of onsets in nats; rows that are none are counted below.
pub(super) const ONSETS: Scale = Scale { tail_share: 0.2, of_above: true, ..ROWS };

/// No bin.
const NONE: u8 = u8::MAX;

/// Counts and the cached tail of one statistic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sketch {
    #[serde(with = "packed")]
    bins: [Count; BINS],
    n: f32,
    /// The tail's rate per unit.
    tail_rate: f32,
    /// How many samples are above the tail's start, and above `middle`.
    tail_count: u16,
    middle_count: u16,
    /// The bin where the tail starts.
    tail: u8,
    /// A bin from whose edge on about a sixth lie, or the first when fewer have a place on the
    /// scale.
    middle: u8,
    /// The bin from whose edge on half of the samples lie.
    median: u8,
    since_refresh: u8,
    /// The highest bin that was ever used.
    top: u8,
    /// Samples with a place on the scale, counted while young.
    pushed: u8,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            bins: [Count::default(); BINS],
            n: 0.0,
            tail_rate: 0.0,
            tail_count: 1,
            middle_count: 1,
            tail: NONE,
            middle: NONE,
            median: NONE,
            since_refresh: 0,
            top: 0,
            pushed: 0,
        }
    }
}

impl Scale {
    /// The bin of a coordinate; the first where it is none.
    #[inline]
    fn bin(&self, y: f32) -> usize {
        let at = ((y - self.low) * self.per_unit).clamp(0.0, (BINS - 1) as f32);
        usize::from(at as u8)
    }

    /// The lower edge of a bin; beyond all where there is none.
    #[inline]
    fn edge(&self, bin: u8) -> f32 {
        if bin == NONE { f32::INFINITY } else { self.low + f32::from(bin) / self.per_unit }
    }
}

impl Sketch {
    /// Asks for its memory; see [`fetch`].
    #[inline]
    pub(super) fn fetch(&self) {
        fetch(&self.bins);
    }

    /// The number of the next sample among all that are counted.
    #[inline]
    pub(super) fn number(&self) -> u32 {
        // It stands in the lowest bits of a sum that has none below one: a cast that cuts off what
        // is beyond costs more.
        (self.n + (1 << 23) as f32).to_bits() & 0x007f_ffff
    }

    /// Takes in a sample that has no place on the scale: it is below all others.
    #[inline]
    pub(super) fn push_below(&mut self) {
        self.n += 1.0;
    }

    /// Takes in a coordinate; NaN counts as below all others.
    #[inline]
    pub(super) fn push(&mut self, y: f32, scale: Scale, sample: Sample) {
        self.count(scale.bin(y), scale, sample);
    }

    /// `-ln` of the estimated chance that a sample is at least `y`; 0 while young. It grows
    /// without limit.
    #[inline]
    #[must_use]
    pub(super) fn surprise(&self, y: f32, scale: Scale) -> f32 {
        self.surprise_at_rate(y, scale, self.tail_rate)
    }

    /// As [`Self::surprise`], but the tail leans on the prior as on [`RANK_PRIOR`] exceedances: no
    /// chance, but better to rank samples of several sketches by, for which few exceedances of
    /// one's own say little of how fast a tail falls.
    #[must_use]
    pub(super) fn rank(&self, y: f32, scale: Scale) -> f32 {
        let count = f32::from(self.tail_count);
        let excess = (count + PRIOR_WEIGHT) / self.tail_rate.max(1e-3)
            + (RANK_PRIOR - PRIOR_WEIGHT) * scale.prior_excess;
        self.surprise_at_rate(y, scale, (count + RANK_PRIOR) / excess)
    }

    #[inline]
    fn surprise_at_rate(&self, y: f32, scale: Scale, tail_rate: f32) -> f32 {
        if self.middle == NONE && self.n >= LEAST_SAMPLES {
            // None ever had a place: the first is rarer than one in all of them, and beyond the
            // first bin by the prior.
            let beyond = (y - scale.edge(1)).max(0.0) / scale.prior_excess;
            return log2(self.n + 1.0) * std::f32::consts::LN_2 + beyond;
        }
        let (middle_from, tail_from) = (scale.edge(self.middle), scale.edge(self.tail));
        if self.n < LEAST_SAMPLES || y < middle_from {
            let is_above = self.median == NONE || y >= scale.edge(self.median);
            return if is_above && self.n >= LEAST_SAMPLES { HALF_SURPRISE } else { 0.0 };
        }
        let of = |count: u16| {
            (log2((self.n + 1.0) / f32::from(count)) * std::f32::consts::LN_2).max(0.0)
        };
        let tail = of(self.tail_count);
        if y >= tail_from {
            return tail + (y - tail_from) * tail_rate;
        }
        let middle = of(self.middle_count);
        middle + (tail - middle) * (y - middle_from) / (tail_from - middle_from).max(1e-6)
    }

    /// As [`Self::surprise`], but what was seen in the same bin or above several times is only as
    /// rare as that, whatever the fitted tail says: what comes back each day is known.
    #[inline]
    #[must_use]
    pub(super) fn surprise_known(&self, y: f32, scale: Scale) -> f32 {
        let surprise = self.surprise(y, scale);
        if y < scale.edge(self.tail) || self.n < LEAST_SAMPLES {
            return surprise;
        }
        let at = scale.bin(y);
        let seen = self.bins[at..].iter().map(|n| n.value()).sum::<u32>() as f32;
        if seen < KNOWN {
            return surprise;
        }
        surprise.min(log2((self.n + 1.0) / seen) * std::f32::consts::LN_2)
    }

    #[inline]
    fn count(&mut self, bin: usize, scale: Scale, sample: Sample) {
        self.bins[bin].add(sample);
        self.top = self.top.max(bin as u8);
        self.n += 1.0;
        self.since_refresh += 1;
        self.pushed = self.pushed.saturating_add(1);
        if self.since_refresh >= REFRESH || self.pushed < YOUNG {
            self.since_refresh = 0;
            if self.n >= FULL {
                self.halve();
            }
            self.refresh(scale);
        }
    }

    fn halve(&mut self) {
        for bin in &mut self.bins {
            bin.halve();
        }
        self.n /= 2.0;
    }

    /// Finds the knots from the top down, stopping at the median. Seldom done, so not in line.
    #[inline(never)]
    fn refresh(&mut self, scale: Scale) {
        let base = if scale.of_above {
            self.bins[1..].iter().map(|n| n.value()).sum::<u32>() as f32
        } else {
            self.n
        };
        let wanted = (scale.tail_share * base).max(LEAST_TAIL);
        let count = |n: u32| n.min(u32::from(u16::MAX)) as u16;
        self.median = NONE;
        let (mut above, mut moment) = (0_u32, 0_u32);
        let (mut has_tail, mut has_middle) = (false, false);
        // What is waited for: the tail's share, then the middle's, then the median's.
        let mut least = wanted;
        for bin in (1..=usize::from(self.top)).rev() {
            let here = self.bins[bin].value();
            above += here;
            moment += here * (2 * bin as u32 + 1);
            let share = above as f32;
            if share < least || here == 0 {
                continue;
            }
            if !has_tail {
                has_tail = true;
                let excess = (moment as f32 / 2.0 - share * bin as f32) / scale.per_unit;
                (self.tail, self.tail_count) = (bin as u8, count(above));
                self.tail_rate = rate(excess, share, scale);
                least = self.n / 6.0;
            }
            if !has_middle && share >= least {
                has_middle = true;
                (self.middle, self.middle_count) = (bin as u8, count(above));
                least = self.n / 2.0;
            }
            if has_middle && share >= least {
                self.median = bin as u8;
                return;
            }
        }
        if !has_middle {
            // Few have a place above the first bin: between its ends lie those in it.
            let placed = above + self.bins[0].value();
            (self.middle, self.middle_count) = (0, count(placed + 1));
        }
        if !has_tail {
            // Hardly ever above the first bin: all that was is the tail.
            let share = above as f32;
            (self.tail, self.tail_count) = (1, count(above + 1));
            self.tail_rate = rate((moment as f32 / 2.0 - share) / scale.per_unit, share, scale);
        }
    }
}

/// The tail's rate: the inverse of its mean excess, shrunk to the prior.
fn rate(excess_sum: f32, count: f32, scale: Scale) -> f32 {
    let sum = excess_sum + PRIOR_WEIGHT * scale.prior_excess;
    (count + PRIOR_WEIGHT) / sum.max(1e-3)
}

/// The greater of two numbers; the second where there is no order. `max` spends four more
/// instructions on what is none, in places that every row comes through.
#[inline]
pub(super) fn greater<T: PartialOrd>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

/// The smaller of two numbers; the second where there is no order.
#[inline]
pub(super) fn smaller<T: PartialOrd>(a: T, b: T) -> T {
    if a < b { a } else { b }
}

/// What fades away row by row: none once it is too small to count for anything, before numbers become
/// subnormal, over which processors take their time.
#[inline]
pub(super) fn faded(x: f32) -> f32 {
    if x < 1e-12 { 0.0 } else { x }
}

/// `log2` of a positive normal number to 2e-5, exactly 0 for 1: exponent and a polynomial in the
/// mantissa, which is taken between 3/4 and 3/2, of least greatest error (found by Lawson's
/// weighting: Rice and Usow 1968, "The Lawson algorithm and extensions"). Neither call nor division,
/// and few steps that wait for each other (Estrin's scheme).
#[inline]
pub(crate) fn log2(x: f32) -> f32 {
    const THREE_QUARTERS: u32 = 0x3f40_0000;
    let bits = x.to_bits();
    let exponent = bits.wrapping_sub(THREE_QUARTERS).cast_signed() >> 23;
    let mantissa = f32::from_bits(bits.wrapping_sub((exponent << 23).cast_unsigned()));
    let t = mantissa - 1.0;
    let square = t * t;
    let low = 1.442_494_8 - 0.721_482_6 * t;
    let high = 0.490_973_53 - 0.371_423_16 * t + 0.190_116_75 * square;
    exponent as f32 + t * (low + square * high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic values between 0 and 1 (van der Corput).
    fn uniform(i: u32) -> f32 {
        i.reverse_bits() as f32 / u32::MAX as f32
    }

    #[test]
    fn surprises_are_minus_log_of_the_share_above() {
        let mut sketch = Sketch::default();
        for i in 0..8_000 {
            // A Pareto variable with tail index 1/2: P(X > x) = x^-2.
            sketch.push(-0.5 * (1.0 - uniform(i)).max(1e-6).log2(), LOG2, Sample::new(i));
        }
        for (share, within) in [(0.1_f32, 0.3), (0.01, 0.3), (0.001, 0.6)] {
            let y = -0.5 * share.log2();
            let got = sketch.surprise(y, LOG2);
            assert!((got + share.ln()).abs() < within, "{share}: {got}");
        }
    }

    #[test]
    fn it_is_monotone_unlimited_and_silent_while_young() {
        let mut sketch = Sketch::default();
        assert!(sketch.surprise(9.0, LOG2).abs() < 1e-9);
        for i in 0..50_000 {
            sketch.push(uniform(i) * 4.0, LOG2, Sample::new(i));
        }
        let mut last = 0.0;
        for i in 0..400 {
            let s = sketch.surprise(i as f32 * 0.1 - 4.0, LOG2);
            assert!(s.is_finite() && s >= last - 1e-3, "{i}: {s} after {last}");
            last = s;
        }
        assert!(last > 50.0);
    }

    #[test]
    fn the_first_that_ever_has_a_place_is_as_rare_as_all_before_say() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.surprise(20.0, ONSETS), 0.0, "nothing is known");
        for _ in 0..4_000 {
            sketch.push_below();
        }
        let (weak, strong) = (sketch.surprise(0.5, ONSETS), sketch.surprise(20.0, ONSETS));
        assert!((weak - 4_001_f32.ln()).abs() < 0.01 && strong > weak + 15.0, "{weak} {strong}");
        sketch.push(20.0, ONSETS, Sample::new(4_000));
        let again = sketch.surprise(20.0, ONSETS);
        assert!((6.0..strong).contains(&again), "{again}");
    }

    #[test]
    fn a_rank_leans_more_on_the_prior_and_is_as_far_out_where_the_tail_begins() {
        for (times, is_heavy) in [(2.5, true), (0.4, false)] {
            let mut sketch = Sketch::default();
            for i in 0..4_000 {
                // Exponential, with a mean of `times` that of the prior.
                let y = 1.0 - times * (1.0 - uniform(i)).max(1e-6).ln();
                sketch.push(y, ONSETS, Sample::new(i));
            }
            let from = ONSETS.edge(sketch.tail);
            let (surprise, rank) = (sketch.surprise(from, ONSETS), sketch.rank(from, ONSETS));
            assert!((surprise - rank).abs() < 1e-4, "{surprise} {rank}");
            let (surprise, rank) =
                (sketch.surprise(from + 10.0, ONSETS), sketch.rank(from + 10.0, ONSETS));
            assert_eq!(rank > surprise, is_heavy, "{surprise} {rank}");
            assert!((rank - surprise).abs() < 3.0, "{surprise} {rank}");
        }
    }

    #[test]
    fn log2_is_close() {
        for x in [1e-9_f32, 0.1, 0.999, 1.0, 1.5, 1.999, 3.0, 1e9] {
            assert!((log2(x) - x.log2()).abs() < 4e-5, "{x}");
        }
    }
}
