//! Code lengths: how many nats the newest level of a series costs, given what it was before.
//!
//! Values are laid on a linear grid over the range so far. The step is a power of two and doubles
//! when the range outgrows the grid; counts of levels that become one are added, so nothing that
//! was learned is lost. A level is coded by the counts of levels in the same context, mixed with
//! those in any (escape as in Cleary and Witten 1984, "Data compression using adaptive coding and
//! partial string matching"; mixing by `MacKay` and Peto 1995, "A hierarchical Dirichlet language
//! model"). A linear grid over the range is what keeps false alarms few: what is small beside the
//! largest that was ever seen costs little, however rare.

use serde::{Deserialize, Serialize};

use super::packed;
use super::sketch::log2;

/// Levels of a grid.
pub(super) const LEVELS: usize = 12;
/// Grid over range so far, at least.
const SLACK: f64 = 1.2;
/// Weight of the chance without context in the chance with context, in counts.
const PRIOR: f32 = 1.0;
/// Where a level's count without context starts.
const START: f32 = 0.1;
/// Counts of a context are halved when one of them reaches this.
const FULL: u8 = 250;

/// Level of each old level when a grid changed.
pub(super) type Moved = [u8; LEVELS];

/// A linear grid that grows with the range. Levels lie on multiples of the step from zero, so that
/// zero, where most metrics end, is an edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Grid {
    least: f64,
    most: f64,
    /// `log2` of the step.
    exponent: i16,
    /// The lowest level in steps from zero.
    low: i32,
    state: State,
}

/// How much a grid has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
enum State {
    #[default]
    Empty,
    /// One value, any number of times.
    Constant,
    Laid,
}

/// The power of two with this exponent, from -1022 to 1023.
#[inline]
fn power(exponent: i16) -> f64 {
    f64::from_bits(((i64::from(exponent) + 1023) as u64) << 52)
}

impl Grid {
    /// The width of the range so far.
    #[must_use]
    pub(super) fn range(&self) -> f64 {
        self.most - self.least
    }

    /// The level of a value that is finite and within ±1e31, which is learned; `follow` is called
    /// first when levels moved.
    #[inline]
    pub(super) fn place(&mut self, value: f64, follow: impl FnOnce(&Moved)) -> u8 {
        let is_inside = self.state == State::Laid && value >= self.least && value <= self.most;
        if !is_inside && let Some(moved) = self.widen(value) {
            follow(&moved);
        }
        self.level(value)
    }

    #[inline]
    fn level(&self, value: f64) -> u8 {
        if self.state != State::Laid {
            return 0;
        }
        // Steps are at least 1e-9 of the largest value, so this fits.
        // No value lies below the lowest level, so that cutting off is rounding down.
        let steps = value * power(-self.exponent) - f64::from(self.low);
        (steps as u8).min(LEVELS as u8 - 1)
    }

    #[cold]
    fn widen(&mut self, value: f64) -> Option<Moved> {
        if self.state == State::Empty {
            (self.state, self.least, self.most) = (State::Constant, value, value);
            return None;
        }
        let constant = self.least;
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        if self.least >= self.most {
            return None;
        }
        let largest = self.most.abs().max(self.least.abs());
        let wanted = (self.range() * SLACK / LEVELS as f64).max(1e-9 * largest).max(1e-290);
        let (old_exponent, old_low) = (self.exponent, self.low);
        let was_laid = self.state == State::Laid;
        if !was_laid {
            self.exponent = i16::MIN;
        }
        let least_exponent = wanted.log2().ceil() as i16;
        self.exponent = self.exponent.max(least_exponent);
        loop {
            let per_step = power(-self.exponent);
            let steps = |x: f64| (x * per_step).floor() as i32;
            let (first, last) = (steps(self.least), steps(self.most));
            if last - first >= LEVELS as i32 {
                self.exponent += 1;
                continue;
            }
            if self.exponent != old_exponent || !was_laid {
                self.low = steps(f64::midpoint(self.least, self.most)) - LEVELS as i32 / 2;
            }
            self.low = self.low.min(first).max(last - LEVELS as i32 + 1);
            break;
        }
        self.state = State::Laid;
        if !was_laid {
            return Some([self.level(constant); LEVELS]);
        }
        if self.exponent == old_exponent && self.low == old_low {
            return None;
        }
        let shift = u32::from((self.exponent - old_exponent).min(31).unsigned_abs());
        Some(std::array::from_fn(|i| {
            let at = ((i as i32 + old_low) >> shift) - self.low;
            at.clamp(0, LEVELS as i32 - 1) as u8
        }))
    }
}

/// Counts without context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Plain {
    #[serde(with = "packed")]
    counts: [u16; LEVELS],
    /// Their sum.
    all: u32,
}

impl Plain {
    /// The chance of a level, which is learned.
    #[inline]
    pub(super) fn push(&mut self, level: u8) -> f32 {
        let here = &mut self.counts[usize::from(level) % LEVELS];
        let p = (f32::from(*here) + START) / (self.all as f32 + START * LEVELS as f32);
        *here += 1;
        self.all += 1;
        if *here == u16::MAX {
            for n in &mut self.counts {
                *n /= 2;
            }
            self.add_up();
        }
        p
    }

    /// Follows a change of the grid.
    pub(super) fn follow(&mut self, moved: &Moved) {
        let mut counts = [0_u16; LEVELS];
        for (n, to) in self.counts.iter().zip(moved) {
            let at = &mut counts[usize::from(*to) % LEVELS];
            *at = at.saturating_add(*n).min(u16::MAX - 1);
        }
        self.counts = counts;
        self.add_up();
    }

    fn add_up(&mut self) {
        self.all = self.counts.iter().map(|n| u32::from(*n)).sum();
    }
}

/// Counts of levels in each of `CONTEXTS` contexts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Contexts<const CONTEXTS: usize>(
    #[serde(with = "packed::rows")] [[u8; LEVELS]; CONTEXTS],
);

impl<const CONTEXTS: usize> Default for Contexts<CONTEXTS> {
    fn default() -> Self {
        Self([[0; LEVELS]; CONTEXTS])
    }
}

impl<const CONTEXTS: usize> Contexts<CONTEXTS> {
    /// The chance of a level in a context when `shorter` is its chance without; it is learned.
    #[inline]
    pub(super) fn push(&mut self, context: u8, level: u8, shorter: f32) -> f32 {
        let row = &mut self.0[usize::from(context) % CONTEXTS];
        let sum = sum(row);
        let here = &mut row[usize::from(level) % LEVELS];
        let p = (f32::from(*here) + PRIOR * shorter) / (f32::from(sum) + PRIOR);
        *here += 1;
        if *here >= FULL {
            for n in row {
                *n /= 2;
            }
        }
        p
    }

    /// The chance of a level in a context that is one of a circle, its neighbours' counts by half.
    #[inline]
    pub(super) fn push_circular(&mut self, context: usize, level: u8, shorter: f32) -> f32 {
        let context = context % CONTEXTS;
        let level = usize::from(level) % LEVELS;
        let count = |row: &[u8; LEVELS]| (f32::from(row[level]), f32::from(sum(row)));
        let before = count(&self.0[if context == 0 { CONTEXTS - 1 } else { context - 1 }]);
        let after = count(&self.0[if context + 1 == CONTEXTS { 0 } else { context + 1 }]);
        let row = &mut self.0[context];
        let here = count(row);
        let p = (here.0 + 0.5 * (before.0 + after.0) + PRIOR * shorter)
            / (here.1 + 0.5 * (before.1 + after.1) + PRIOR);
        row[level] += 1;
        if row[level] >= FULL / 2 {
            for n in row {
                *n /= 2;
            }
        }
        p
    }

    /// Follows a change of the levels' grid.
    pub(super) fn follow_levels(&mut self, moved: &Moved) {
        for row in &mut self.0 {
            let mut counts = [0_u8; LEVELS];
            for (n, to) in row.iter().zip(moved) {
                let at = &mut counts[usize::from(*to) % LEVELS];
                *at = at.saturating_add(*n).min(FULL - 1);
            }
            *row = counts;
        }
    }

    /// Follows a change of the contexts' grid.
    pub(super) fn follow_contexts(&mut self, moved: &Moved) {
        let mut rows = [[0_u8; LEVELS]; CONTEXTS];
        for (row, to) in self.0.iter().zip(moved) {
            for (at, n) in rows[usize::from(*to) % CONTEXTS].iter_mut().zip(row) {
                *at = at.saturating_add(*n).min(FULL - 1);
            }
        }
        self.0 = rows;
    }
}

/// Sum of a row: eight and four bytes at once, as 16-bit lanes that are summed by a product.
#[inline]
fn sum(row: &[u8; LEVELS]) -> u16 {
    const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
    let (eights, rest) = row.as_chunks::<8>();
    let (fours, _) = rest.as_chunks::<4>();
    let eight = u64::from_le_bytes(eights[0]);
    let four = u64::from(u32::from_le_bytes(fours[0]));
    let lanes = (eight & EVEN) + ((eight >> 8) & EVEN) + (four & EVEN) + ((four >> 8) & EVEN);
    (lanes.wrapping_mul(0x0001_0001_0001_0001) >> 48) as u16
}

/// `-ln` of a chance above 0.
#[inline]
#[must_use]
pub(super) fn nats(chance: f32) -> f32 {
    (-log2(chance.max(1e-30)) * std::f32::consts::LN_2).max(0.0)
}
