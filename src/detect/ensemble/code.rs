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

use super::count::{Count, Sample};
use super::packed;
use super::row::{Chance, FULL, Shorter, fetch, greatest, greatest_amid, halve, push_row, within};
use super::sketch::smaller;

/// Levels of a grid.
pub(super) const LEVELS: usize = 12;
/// Grid over range so far, at least.
const SLACK: f64 = 1.2;
/// Where a level's count without context starts.
const START: f32 = 0.1;

/// Level of each old level when a grid changed.
pub(super) type Moved = [u8; LEVELS];

/// A linear grid that grows with the range. Levels lie on multiples of the step from zero, so that
/// zero, where most metrics end, is an edge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Shape", from = "Shape")]
pub(super) struct Grid(Laid);

/// What a grid is; it is kept in ten bytes as if it were laid, with an exponent that no step has where
/// it is not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    /// One value, any number of times, in pieces.
    Constant([u16; 4]),
    Laid(Laid),
}

/// In place of an exponent: no value yet, and one value.
const EMPTY: i16 = i16::MIN;
const CONSTANT: i16 = i16::MIN + 1;

impl Default for Grid {
    fn default() -> Self {
        Shape::Empty.into()
    }
}

impl From<Shape> for Grid {
    fn from(shape: Shape) -> Self {
        Self(match shape {
            Shape::Empty => Laid { exponent: EMPTY, low: [0; 2], least: 0, most: 0 },
            Shape::Constant([a, b, least, most]) => {
                Laid { exponent: CONSTANT, low: [a, b], least, most }
            }
            Shape::Laid(laid) => laid,
        })
    }
}

impl From<Grid> for Shape {
    fn from(Grid(laid): Grid) -> Self {
        match laid.exponent {
            EMPTY => Self::Empty,
            CONSTANT => Self::Constant([laid.low[0], laid.low[1], laid.least, laid.most]),
            _ => Self::Laid(laid),
        }
    }
}

/// A grid over at least two values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Laid {
    /// `log2` of the step.
    exponent: i16,
    /// The lowest level in steps from zero, low half first.
    low: [u16; 2],
    /// Least and greatest value so far, in parts of a step above the lowest level.
    least: u16,
    most: u16,
}

/// Parts of a step that the range is kept in.
const PARTS: f64 = (1 << PARTS_BITS) as f64;
const PARTS_BITS: u32 = 12;

/// The power of two with this exponent, from -1022 to 1023.
#[inline]
pub(super) fn power(exponent: i16) -> f64 {
    f64::from_bits(((i64::from(exponent) + 1023) as u64) << 52)
}

impl Laid {
    fn low(self) -> i32 {
        (u32::from(self.low[1]) << 16 | u32::from(self.low[0])).cast_signed()
    }

    fn lowest(low: i32) -> [u16; 2] {
        let low = low.cast_unsigned();
        [low as u16, (low >> 16) as u16]
    }

    /// Parts of a step above the lowest level, rounded down, of what lies within 2^-21 of a step;
    /// far beyond all parts for what lies far off the grid.
    #[inline]
    fn parts(self, value: f64) -> i64 {
        // A number with 20 binary places is read from the lowest bits of a sum that has no more. What
        // is on the grid has less than 2^31 steps (they are at least 1e-9 of the largest value); of
        // what has more, the bits are far off.
        const PLACES: u32 = 20;
        const SHIFT: f64 = 1.5 * (1_u64 << (52 - PLACES)) as f64;
        let sum = (value * power(-self.exponent) + SHIFT).to_bits().cast_signed();
        let steps = sum.wrapping_sub(SHIFT.to_bits().cast_signed());
        steps.wrapping_sub(i64::from(self.low()) << PLACES) >> (PLACES - PARTS_BITS)
    }

    /// The level of a value, or the nearest one.
    #[inline]
    fn level(self, value: f64) -> u8 {
        (self.parts(value) >> PARTS_BITS).clamp(0, LEVELS as i64 - 1) as u8
    }

    /// The least and the greatest value so far, to a part of a step outwards.
    fn ends(self) -> [f64; 2] {
        let step = power(self.exponent);
        [self.least, self.most].map(|x| (f64::from(x) / PARTS + f64::from(self.low())) * step)
    }

    /// Takes both ends in, which lie on the grid.
    fn reach(&mut self, least: f64, most: f64) {
        let parts = |value: f64| {
            let steps = value * power(-self.exponent) - f64::from(self.low());
            (steps * PARTS).clamp(0.0, f64::from(u16::MAX))
        };
        (self.least, self.most) = (parts(least).floor() as u16, parts(most).ceil() as u16);
    }
}

impl Grid {
    /// `log2` of the step; `None` while there is one value only.
    pub(super) fn exponent(&self) -> Option<i16> {
        self.laid().map(|laid| laid.exponent)
    }

    /// The grid where there is one.
    #[inline]
    fn laid(&self) -> Option<&Laid> {
        (self.0.exponent > CONSTANT).then_some(&self.0)
    }

    /// The width of the range so far.
    #[must_use]
    pub(super) fn range(&self) -> f64 {
        self.laid()
            .map_or(0.0, |laid| f64::from(laid.most - laid.least) / PARTS * power(laid.exponent))
    }

    /// The level of a value that is finite and within ±1e31, which is learned; `follow` is called
    /// first when levels moved.
    #[inline]
    pub(super) fn place(&mut self, value: f64, follow: impl FnOnce(&Moved)) -> u8 {
        if let Some(laid) = self.laid() {
            let parts = laid.parts(value);
            if parts >= laid.least.into() && parts <= laid.most.into() {
                return smaller((parts >> PARTS_BITS) as u8, LEVELS as u8 - 1);
            }
        }
        if let Some(moved) = self.widen(value) {
            follow(&moved);
        }
        self.laid().map_or(0, |laid| laid.level(value))
    }

    #[cold]
    fn widen(&mut self, value: f64) -> Option<Moved> {
        let (before, ends) = match Shape::from(*self) {
            Shape::Empty => {
                *self = Shape::Constant(pieces(value)).into();
                return None;
            }
            Shape::Constant(constant) => (None, [whole(constant); 2]),
            Shape::Laid(laid) => (Some(laid), laid.ends()),
        };
        let constant = ends[0];
        let (least, most) = (ends[0].min(value), ends[1].max(value));
        if least >= most {
            return None;
        }
        let largest = most.abs().max(least.abs());
        let wanted = ((most - least) * SLACK / LEVELS as f64).max(1e-9 * largest).max(1e-290);
        let least_exponent = wanted.log2().ceil() as i16;
        let exponent = before.map_or(i16::MIN, |laid| laid.exponent).max(least_exponent);
        let mut laid = Laid { exponent, low: [0; 2], least: 0, most: 0 };
        loop {
            let per_step = power(-laid.exponent);
            let steps = |x: f64| (x * per_step).floor() as i32;
            let (first, last) = (steps(least), steps(most));
            if last - first >= LEVELS as i32 {
                laid.exponent += 1;
                continue;
            }
            let same = before.filter(|b| b.exponent == laid.exponent);
            let middle = || steps(f64::midpoint(least, most)) - LEVELS as i32 / 2;
            let low = same.map_or_else(middle, Laid::low);
            laid.low = Laid::lowest(low.min(first).max(last - LEVELS as i32 + 1));
            break;
        }
        laid.reach(least, most);
        *self = Self(laid);
        let Some(before) = before else {
            return Some([laid.level(constant); LEVELS]);
        };
        if laid.exponent == before.exponent && laid.low == before.low {
            return None;
        }
        let shift = u32::from((laid.exponent - before.exponent).min(31).unsigned_abs());
        Some(std::array::from_fn(|i| {
            let at = ((i as i32 + before.low()) >> shift) - laid.low();
            at.clamp(0, LEVELS as i32 - 1) as u8
        }))
    }
}

fn pieces(value: f64) -> [u16; 4] {
    let bits = value.to_bits();
    [bits as u16, (bits >> 16) as u16, (bits >> 32) as u16, (bits >> 48) as u16]
}

fn whole(pieces: [u16; 4]) -> f64 {
    f64::from_bits(pieces.iter().rev().fold(0, |bits, piece| bits << 16 | u64::from(*piece)))
}

/// What a level's count weighs without context, by its code: looked up because every row asks for
/// sixteen of them.
static WEIGHTS: [f32; 256] = {
    let mut weights = [START; 256];
    let mut code = 0;
    while code < weights.len() {
        weights[code] += Count::coded(code as u8).value() as f32;
        code += 1;
    }
    weights
};

/// Counts without context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Plain {
    /// Codes of [`Count`]s, as plain bytes so that they are compared side by side.
    #[serde(with = "packed")]
    counts: [u8; LEVELS],
    /// Levels counted; all counts are halved when it is full.
    all: u16,
}

impl Plain {
    /// The chance of a level, which is learned.
    #[inline]
    pub(super) fn push(&mut self, level: u8, sample: Sample) -> Shorter {
        self.learn(level, sample, |weight, _| weight)
    }

    /// The chance of a level in the context that has these counts; learned with and without. See
    /// [`halve`] for `kept`.
    #[inline]
    pub(super) fn push_in(
        &mut self,
        level: u8,
        row: &mut [u8; LEVELS],
        sample: Sample,
        kept: Option<usize>,
    ) -> Chance {
        let shorter = self.push(level, sample);
        push_row(row, level, shorter, kept)
    }

    /// `weigh` makes of the level's own weight and the greatest one what the level weighs.
    #[inline]
    fn learn(&mut self, level: u8, sample: Sample, weigh: impl FnOnce(f32, f32) -> f32) -> Shorter {
        let all = f32::from(self.all) + START * LEVELS as f32;
        let most = WEIGHTS[usize::from(greatest(&self.counts))];
        let code = &mut self.counts[within(level)];
        let here = weigh(WEIGHTS[usize::from(*code)], most);
        let mut count = Count::coded(*code);
        count.add(sample);
        *code = count.code();
        self.all += 1;
        if self.all == u16::MAX {
            self.halve();
        }
        Shorter { here, most, all }
    }

    #[cold]
    fn halve(&mut self) {
        self.all /= 2;
        for code in &mut self.counts {
            let mut count = Count::coded(*code);
            count.halve();
            *code = count.code();
        }
    }

    /// As [`Self::push`], for levels that are only reached from the one below: as often as that
    /// was reached, this may be too, so that something that always goes on is never news.
    #[inline]
    pub(super) fn push_from_below(&mut self, level: u8, sample: Sample) -> Shorter {
        let below =
            level.checked_sub(1).map_or(0, |at| Count::coded(self.counts[within(at)]).value());
        self.learn(level, sample, |weight, most| smaller(weight + below as f32, most))
    }

    /// Follows a change of the grid.
    pub(super) fn follow(&mut self, moved: &Moved) {
        let mut counts = [0; LEVELS];
        for (n, to) in self.counts.iter().zip(moved) {
            counts[within(*to)] += Count::coded(*n).value();
        }
        self.counts = counts.map(|n| Count::of(n).code());
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
    /// the chance without context weighs. See [`halve`] for `kept`.
    #[inline]
    pub(super) fn push(
        &mut self,
        context: u8,
        level: u8,
        shorter: Shorter,
        kept: Option<usize>,
    ) -> Chance {
        push_row(self.row(context), level, shorter, kept)
    }

    /// Asks for the memory of all counts; see [`fetch`].
    #[inline]
    pub(super) fn fetch(&self) {
        fetch(self.0.as_flattened());
    }

    /// The counts of a context.
    #[inline]
    pub(super) fn row(&mut self, context: u8) -> &mut [u8; LEVELS] {
        &mut self.0[usize::from(context).min(CONTEXTS - 1)]
    }

    /// The chance of a level in a context that is one of a circle, its neighbours' counts by half.
    #[inline]
    pub(super) fn push_circular(&mut self, context: usize, level: u8, shorter: Shorter) -> Chance {
        let context = context.min(CONTEXTS - 1);
        let level = within(level);
        let before = &self.0[if context == 0 { CONTEXTS - 1 } else { context - 1 }];
        let after = &self.0[if context + 1 == CONTEXTS { 0 } else { context + 1 }];
        let row = &self.0[context];
        let twice = 2 * u16::from(row[level]) + u16::from(before[level]) + u16::from(after[level]);
        let most = greatest_amid(before, row, after);
        let chance = shorter.with(0.5 * f32::from(twice), 0.5 * f32::from(most));
        let row = &mut self.0[context];
        row[level] += 1;
        if row[level] >= FULL / 2 {
            halve(row, None);
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
