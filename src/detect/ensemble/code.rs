//! Code lengths: how many nats the newest level of a series costs, given what it was before, more
//! than the likeliest level would.
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
const PRIOR: f32 = 0.5;
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

/// The chances of a level and of the likeliest one, up to one factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chance {
    here: f32,
    most: f32,
}

impl Chance {
    /// How many times likelier the likeliest level is: at least 1.
    #[inline]
    pub(super) fn ratio(self) -> f32 {
        self.most / self.here
    }
}

/// Counts without context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Plain {
    #[serde(with = "packed")]
    counts: [u16; LEVELS],
    /// Their greatest.
    most: u16,
    /// Their sum.
    all: u32,
}

impl Plain {
    /// The chance of a level, which is learned.
    #[inline]
    pub(super) fn push(&mut self, level: u8) -> Chance {
        self.learn(level, 0.0)
    }

    /// `more` is what is expected of the level in counts, beside what was seen.
    #[inline]
    fn learn(&mut self, level: u8, more: f32) -> Chance {
        let here = &mut self.counts[usize::from(level) % LEVELS];
        let share = 1.0 / (self.all as f32 + START * LEVELS as f32);
        let most = f32::from(self.most) + START;
        let chance = Chance {
            here: (f32::from(*here) + START + more).min(most) * share,
            most: most * share,
        };
        *here += 1;
        self.all += 1;
        self.most = self.most.max(*here);
        if *here == u16::MAX {
            for n in &mut self.counts {
                *n /= 2;
            }
            self.add_up();
        }
        chance
    }

    /// As [`Self::push`], for levels that are only reached from the one below: as often as that
    /// was reached, this may be too, so that something that always goes on is never news.
    #[inline]
    pub(super) fn push_from_below(&mut self, level: u8) -> Chance {
        let below = usize::from(level).checked_sub(1).map_or(0, |at| self.counts[at % LEVELS]);
        self.learn(level, f32::from(below))
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
        self.most = self.counts.iter().copied().max().unwrap_or(0);
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
    /// The chance of a level in a context when `shorter` is its chance without; it is learned. The
    /// likeliest level with and that without context are taken for one, which adds at most what
    /// the chance without context weighs.
    #[inline]
    pub(super) fn push(&mut self, context: u8, level: u8, shorter: Chance) -> Chance {
        let row = &mut self.0[usize::from(context) % CONTEXTS];
        let most = greatest(row);
        let here = &mut row[usize::from(level) % LEVELS];
        let chance = Chance {
            here: f32::from(*here) + PRIOR * shorter.here,
            most: f32::from(most) + PRIOR * shorter.most,
        };
        *here += 1;
        if *here >= FULL {
            for n in row {
                *n /= 2;
            }
        }
        chance
    }

    /// The chance of a level in a context that is one of a circle, its neighbours' counts by half.
    #[inline]
    pub(super) fn push_circular(&mut self, context: usize, level: u8, shorter: Chance) -> Chance {
        let context = context % CONTEXTS;
        let level = usize::from(level) % LEVELS;
        let before = self.0[if context == 0 { CONTEXTS - 1 } else { context - 1 }];
        let after = self.0[if context + 1 == CONTEXTS { 0 } else { context + 1 }];
        let row = &mut self.0[context];
        let mut twice = [0_u16; LEVELS];
        for (sum, ((n, a), b)) in twice.iter_mut().zip(row.iter().zip(before).zip(after)) {
            *sum = 2 * u16::from(*n) + u16::from(a) + u16::from(b);
        }
        let most = twice.iter().fold(0, |most, n| most.max(*n));
        let chance = Chance {
            here: 0.5 * f32::from(twice[level]) + PRIOR * shorter.here,
            most: 0.5 * f32::from(most) + PRIOR * shorter.most,
        };
        row[level] += 1;
        if row[level] >= FULL / 2 {
            for n in row {
                *n /= 2;
            }
        }
        chance
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

/// The greatest count of a row: as sixteen, which are compared in halves side by side.
#[inline]
fn greatest(row: &[u8; LEVELS]) -> u8 {
    let mut wide = [0; 16];
    wide[..LEVELS].copy_from_slice(row);
    wide.iter().fold(0, |most, n| most.max(*n))
}

/// `ln` of a ratio of at least 1.
#[inline]
#[must_use]
pub(super) fn nats(ratio: f32) -> f32 {
    (log2(ratio.min(1e30)) * std::f32::consts::LN_2).max(0.0)
}
