//! Pooled calibration: what the surprises of all series of a class say of how rare one is.
//!
//! One series resolves chances down to about one in its own length. Beyond, the chance is that of
//! all series of its class together, which is shared state: a [`Pool`] is handed to the judging
//! and learns from every row. It maps a series' own surprise to the surprise that would have been
//! right for the class: by ranks in quarters of a nat, and above the last quarter that
//! [`RESOLVED`] events reach by a generalised Pareto tail fitted by moments (Hosking and Wallis
//! 1987, "Parameter and quantile estimation for the generalized Pareto distribution"). Since own
//! surprises are taken before a row is learned, the errors of the series' own fits are part of
//! what is ranked: the map is right on average whatever the own fits are (calibration by the
//! probability integral transform; Dawid 1984, "The prequential approach").
//!
//! A class is shrunk to all classes, and all to a default found on simulated quiet series, so that
//! a young pool answers sensibly. Rows are merged in blocks whose counts are limited to a few
//! times the expected ones: a fault that touches everything at once does not make faults usual.

use serde::{Deserialize, Serialize};

use super::packed;

/// Quarters of a nat from 0 up to 32.
const BINS: usize = 128;
const PER_NAT: f32 = 4.0;
/// Rows that the default counts for in the pool of all, and that all count for in a class.
const DEFAULT_ROWS: f64 = 1_000_000.0;
const SHARED_ROWS: f64 = 200_000.0;
/// Rows of a block, and the limit of its counts: so many and so many times the expected ones.
const BLOCK: u32 = 8_192;
const LIMIT: f64 = 8.0;
const LIMIT_TIMES: f64 = 4.0;
/// Rows at which all counts are halved.
const FULL: f64 = 33_554_432.0;
/// Events (with those of the priors) above the place where the tail's fit starts.
const RESOLVED: f64 = 60.0;
/// Classes: every kind at every age.
const CLASSES: usize = Kind::COUNT * Age::COUNT;

/// What a series is like, found from the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// None of the others.
    #[default]
    Plain,
    /// Most rows repeat the row before: sparse counts, states, flat lines.
    Sparse,
    /// Some rows repeat the row before: counts, rounded values.
    Count,
    /// Steps are small beside the distance from the level: slow or strongly correlated.
    Smooth,
    /// Far more often far out than a normal variable.
    Spiky,
}

impl Kind {
    /// How many there are.
    pub const COUNT: usize = 5;
}

/// How much of a series is known, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Age {
    /// Fewer than 1,500.
    #[default]
    Young,
    /// Fewer than 6,000.
    Grown,
    /// More.
    Old,
}

impl Age {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Which pool a series is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// What the series is like.
    pub kind: Kind,
    /// How much of it is known.
    pub age: Age,
}

impl Class {
    /// Its number among all classes.
    #[must_use]
    pub fn index(self) -> u8 {
        (self.kind as usize * Age::COUNT + self.age as usize) as u8
    }
}

/// Counts of one class and the map that is read from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tail {
    #[serde(with = "packed")]
    counts: [f64; BINS],
    rows: f64,
    #[serde(with = "packed")]
    block: [u32; BINS],
    block_rows: u32,
    /// Surprise at each bin's lower edge.
    #[serde(with = "packed")]
    map: [f32; BINS],
    /// From this bin on the tail holds: the map at its edge plus `ln(1 + ξ x / σ) / ξ`, x in nats
    /// over the edge.
    from_bin: usize,
    scale: f32,
    shape: f32,
}

impl Tail {
    fn new() -> Self {
        Self {
            counts: [0.0; BINS],
            rows: 0.0,
            block: [0; BINS],
            block_rows: 0,
            map: [0.0; BINS],
            from_bin: BINS,
            scale: 1.0,
            shape: 0.0,
        }
    }

    fn surprise(&self, own: f32) -> f32 {
        let place = own.max(0.0) * PER_NAT;
        let bin = place as usize;
        if bin >= self.from_bin {
            let x = (place - self.from_bin as f32) / PER_NAT / self.scale;
            let rise = if self.shape < 1e-3 { x } else { (self.shape * x).ln_1p() / self.shape };
            return self.map[self.from_bin.min(BINS - 1)] + rise;
        }
        let (low, part) = (self.map[bin], place - bin as f32);
        low + (self.map[bin + 1] - low) * part
    }

    /// Takes the block in; `expected` is the surprise at each bin's edge.
    fn merge(&mut self, expected: &[f32; BINS]) {
        let rows = f64::from(self.block_rows);
        let (mut seen, mut taken) = (0.0, 0.0);
        for bin in (0..BINS).rev() {
            seen += f64::from(self.block[bin]);
            let limit = LIMIT + LIMIT_TIMES * rows * f64::from(-expected[bin]).exp();
            let allowed = seen.min(limit).max(taken);
            self.counts[bin] += allowed - taken;
            taken = allowed;
        }
        self.rows += rows;
        self.block = [0; BINS];
        self.block_rows = 0;
        if self.rows > FULL {
            self.rows /= 2.0;
            for count in &mut self.counts {
                *count /= 2.0;
            }
        }
    }

    /// Reads the map off the counts with a prior that stands for `weight` rows.
    fn fit(&mut self, prior: &impl Fn(usize) -> f64, weight: f64) {
        let rows = self.rows + weight;
        let mut above = 0.0;
        let (mut from_bin, mut sum, mut squares) = (BINS, 0.0, 0.0);
        // Sums of the excess over the edge below, from the top down.
        for bin in (0..BINS).rev() {
            let step = 1.0 / f64::from(PER_NAT);
            // All above move up by a bin's width.
            squares += 2.0 * step * sum + step * step * above;
            sum += step * above;
            let mass = prior(bin) - if bin + 1 < BINS { prior(bin + 1) } else { 0.0 };
            let here = self.counts[bin] + weight * mass;
            above += here;
            sum += here * step / 2.0;
            squares += here * step * step / 3.0;
            self.map[bin] = -(above / rows).max(1e-30).ln() as f32;
            if from_bin == BINS && above >= RESOLVED {
                from_bin = bin;
                let (mean, square) = (sum / above, squares / above);
                let ratio = mean * mean / (square - mean * mean).max(1e-9);
                self.shape = (0.5 * (1.0 - ratio)).clamp(0.0, 0.4) as f32;
                self.scale = (mean * (1.0 - f64::from(self.shape))).max(0.05) as f32;
            }
        }
        self.from_bin = from_bin.min(BINS - 1);
    }
}

/// Shared state of all series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    all: Tail,
    classes: Vec<Tail>,
    /// Chance of a row at each bin's edge, before anything is learned.
    default: Vec<f64>,
}

impl Pool {
    /// A pool that starts from a default: surprises that were right (`.1`) for own surprises
    /// (`.0`), rising; between them and beyond, lines.
    #[must_use]
    pub fn new(knots: &[(f32, f32)]) -> Self {
        let at = |own: f32| {
            let i = knots.partition_point(|k| k.0 <= own).clamp(1, knots.len() - 1);
            let ((x, y), (x2, y2)) = (knots[i - 1], knots[i]);
            (y + (own - x) * (y2 - y) / (x2 - x)).max(0.0)
        };
        let default = (0..BINS).map(|b| f64::from(-at(b as f32 / PER_NAT)).exp()).collect();
        let mut pool = Self { all: Tail::new(), classes: vec![Tail::new(); CLASSES], default };
        pool.refit_all();
        for class in 0..CLASSES {
            pool.refit(class);
        }
        pool
    }

    /// The default for onsets of episodes.
    #[must_use]
    pub fn onsets() -> Self {
        Self::new(&ONSET_DEFAULT)
    }

    /// The calibrated surprise, `-ln p`, of a series' own one. It grows without limit.
    #[must_use]
    pub fn surprise(&self, class: Class, own: f32) -> f32 {
        self.classes[usize::from(class.index())].surprise(own)
    }

    /// Learns a row: its own surprise, or that it was no event.
    pub fn learn(&mut self, class: Class, own: Option<f32>) {
        self.absorb(class.index(), 1, own.map(|own| (Self::place(own), 1)));
    }

    /// The place that a series' own surprise has in the counts.
    #[must_use]
    pub fn place(own: f32) -> u8 {
        ((own.max(0.0) * PER_NAT) as usize).min(BINS - 1) as u8
    }

    /// Learns so many rows of a class at once, by its number, with the places of the onsets among
    /// them and how many had each. What does not fill a block waits; the order of what is in one
    /// block does not matter. Numbers that no class or place has are ignored.
    pub fn absorb(&mut self, class: u8, rows: u32, onsets: impl IntoIterator<Item = (u8, u32)>) {
        let index = usize::from(class);
        let Some(tail) = self.classes.get_mut(index) else { return };
        tail.block_rows = tail.block_rows.saturating_add(rows);
        for (place, n) in onsets {
            if let Some(count) = tail.block.get_mut(usize::from(place)) {
                *count = count.saturating_add(n);
            }
        }
        if tail.block_rows >= BLOCK {
            let before = (tail.counts, tail.rows);
            let expected = tail.map;
            tail.merge(&expected);
            // What is new of the class is new of all.
            if tail.rows >= before.1 {
                self.all.rows += tail.rows - before.1;
                for (all, (now, was)) in
                    self.all.counts.iter_mut().zip(tail.counts.iter().zip(before.0))
                {
                    *all += now - was;
                }
            }
            self.refit_all();
            self.refit(index);
        }
    }

    fn refit_all(&mut self) {
        let default = &self.default;
        self.all.fit(&|bin| default[bin], DEFAULT_ROWS);
    }

    fn refit(&mut self, class: usize) {
        let all = &self.all;
        let shared = |bin: usize| f64::from(-all.map[bin]).exp();
        self.classes[class].fit(&shared, SHARED_ROWS);
    }
}

/// The own surprise down to the rarest onsets, then a little less: between what was right on
/// simulated quiet series of 18 kinds (×1.3 too many at 1e-4) and on real quiet stretches (×0.9).
const ONSET_DEFAULT: [(f32, f32); 5] =
    [(0.0, 4.2), (4.5, 4.5), (7.0, 6.95), (9.0, 8.8), (12.0, 11.6)];
#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic values between 0 and 1 (van der Corput).
    fn uniform(i: u32) -> f64 {
        (f64::from(i.reverse_bits()) + 0.5) / 4_294_967_296.0
    }

    const OLD: Class = Class { kind: Kind::Plain, age: Age::Old };

    #[test]
    fn surprises_that_are_too_large_are_brought_down() {
        let mut pool = Pool::onsets();
        // Own surprises a third too large, as of fits with too light a tail.
        let own = |i: u32| (-1.3 * uniform(i).ln()) as f32;
        for i in 0..8_000_000_u32 {
            pool.learn(OLD, Some(own(i)));
        }
        for nominal in [1e-2_f64, 1e-3, 1e-4] {
            let hits = (0..1_000_000_u32)
                .filter(|i| f64::from(pool.surprise(OLD, own(*i))) >= -nominal.ln())
                .count();
            let ratio = hits as f64 / 1e6 / nominal;
            assert!((0.7..1.4).contains(&ratio), "{nominal}: {ratio}");
        }
    }

    #[test]
    fn the_map_rises_without_limit_and_starts_sensibly() {
        let (pool, mut last) = (Pool::onsets(), 0.0);
        for i in 0..2_000_u16 {
            let s = pool.surprise(Class::default(), f32::from(i) * 0.05);
            assert!(s.is_finite() && s >= last - 1e-3, "{i}: {s} after {last}");
            last = s;
        }
        assert!(last > 40.0, "{last}");
        assert!((6.0..8.0).contains(&pool.surprise(Class::default(), 7.0)));
    }

    #[test]
    fn a_fault_of_everything_at_once_does_not_make_faults_usual() {
        let mut pool = Pool::onsets();
        for i in 0..2_000_000_u32 {
            pool.learn(OLD, (uniform(i) < 0.01).then_some(5.0));
        }
        for _ in 0..10_000 {
            pool.learn(OLD, Some(15.0));
        }
        for _ in 0..20_000 {
            pool.learn(OLD, None);
        }
        // Without a limit it were ln(3e6 / 1e4), less than 6.
        let after = pool.surprise(OLD, 15.0);
        assert!(after > 9.2, "{after}");
    }
}
