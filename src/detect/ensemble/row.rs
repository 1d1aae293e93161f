//! Counts of levels in one context, and the chances that they give.

use prefetch_index::prefetch_index;

use super::code::LEVELS;
use super::sketch::{greater, log2, smaller};

/// Weight of the chance without context in the chance with context, in counts.
pub(super) const PRIOR: f32 = 0.5;
/// Counts of a context are halved when one of them reaches this.
pub(super) const FULL: u8 = 250;
/// Where what is rare is kept, one of so many halvings (`2^KEPT_BITS`) forgets a level that was counted
/// once: after some eight thousand rows of its context, about the memory of a sketch.
const KEPT_BITS: u32 = 6;

/// The weights of a level and of the likeliest one without context, and of all levels together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shorter {
    pub(super) here: f32,
    pub(super) most: f32,
    pub(super) all: f32,
}

impl Shorter {
    /// The chance in a context with these counts. Both sides are times the weight of all levels, for
    /// a product costs less than a share.
    #[inline]
    pub(super) fn with(self, here: f32, most: f32) -> Chance {
        Chance {
            here: here * self.all + PRIOR * self.here,
            most: most * self.all + PRIOR * self.most,
        }
    }
}

impl From<Shorter> for Chance {
    #[inline]
    fn from(Shorter { here, most, .. }: Shorter) -> Self {
        Self { here, most }
    }
}

/// The chances of a level and of the likeliest one, up to one factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chance {
    pub(super) here: f32,
    pub(super) most: f32,
}

impl Chance {
    /// That of a ratio that is known.
    #[inline]
    pub(super) fn of(ratio: f32) -> Self {
        Self { here: 1.0, most: ratio }
    }

    /// How many times likelier the likeliest level is: at least 1.
    #[inline]
    pub(super) fn ratio(self) -> f32 {
        self.most / self.here
    }
}

/// A level as an index: all are below [`LEVELS`], which the compiler can't know.
#[inline]
pub(super) fn within(level: u8) -> usize {
    usize::from(level).min(LEVELS - 1)
}

/// Asks for the memory of an array, line by line, and does not wait for it. Of ten thousand series
/// none is in the nearest caches, and what a row needs is found out step by step: asked for at once and
/// ahead, the lines come side by side, not one after the other.
#[inline]
pub(super) fn fetch<T>(array: &[T]) {
    const LINE: usize = 64;
    for at in (0..array.len()).step_by(LINE / size_of::<T>()) {
        prefetch_index(array, at);
    }
    prefetch_index(array, array.len().saturating_sub(1));
}

/// The chance of a level in a context that has these counts, which is learned.
#[inline]
pub(super) fn push_row(
    row: &mut [u8; LEVELS],
    level: u8,
    shorter: Shorter,
    kept: Option<usize>,
) -> Chance {
    let most = greatest(row);
    let here = &mut row[within(level)];
    let chance = shorter.with(f32::from(*here), f32::from(most));
    *here += 1;
    if *here >= FULL {
        halve(row, kept);
    }
    chance
}

/// Halves the counts of a context. What was seen once stays known where the number of the newest row
/// is given (`kept`): halves are rounded up, and a count of one is forgotten by one halving of many,
/// drawn by that number. Rounded down, a nightly job would be as new on each night: in a context of
/// five-minute rows its count of one would be gone by noon.
#[cold]
pub(super) fn halve(counts: &mut [u8; LEVELS], kept: Option<usize>) {
    let Some(row) = kept else {
        for n in counts {
            *n /= 2;
        }
        return;
    };
    for (place, n) in counts.iter_mut().enumerate() {
        let draw = ((row * 16 + place) as u32).wrapping_mul(0x9e37_79b1);
        let is_forgotten = *n == 1 && draw >> (32 - KEPT_BITS) == 0;
        *n = if is_forgotten { 0 } else { n.div_ceil(2) };
    }
}

/// The greatest of a row's counts, twice, with those of its neighbours; see [`greatest`].
#[inline(never)]
pub(super) fn greatest_amid(
    before: &[u8; LEVELS],
    row: &[u8; LEVELS],
    after: &[u8; LEVELS],
) -> i16 {
    // Signed, for sixteen bits are compared side by side only so.
    let mut wide = [0_i16; 16];
    for (sum, (n, (a, b))) in wide.iter_mut().zip(row.iter().zip(before.iter().zip(after))) {
        *sum = 2 * i16::from(*n) + i16::from(*a) + i16::from(*b);
    }
    wide.iter().fold(0, |most, n| most.max(*n))
}

/// The greatest count of a row: as sixteen, which are compared in halves side by side. Only by
/// itself does the compiler see that: amid other code it compares one by one.
#[inline(never)]
pub(super) fn greatest(row: &[u8; LEVELS]) -> u8 {
    let mut wide = [0; 16];
    wide[..LEVELS].copy_from_slice(row);
    wide.iter().fold(0, |most, n| most.max(*n))
}

/// `ln` of the ratios of some chances, which are at least 1. All are taken side by side: their
/// number is a multiple of four.
#[inline]
pub(super) fn nats<const N: usize>(chances: [Chance; N]) -> [f32; N] {
    let (most, here) = (chances.map(|c| c.most), chances.map(|c| c.here));
    let mut nats = [0.0; N];
    for (nats, (most, here)) in nats.iter_mut().zip(most.iter().zip(here)) {
        *nats = greater(log2(smaller(most / here, 1e30)) * std::f32::consts::LN_2, 0.0);
    }
    nats
}

#[cfg(test)]
mod tests {
    use super::super::code::{Contexts, Plain};
    use super::super::count::Sample;
    use super::*;

    /// Nats of a level in a context whose rows are another one, but for two of the level itself,
    /// so many rows before.
    fn after(rows: usize, is_kept: bool) -> f32 {
        let (mut contexts, mut plain) = (Contexts::<1>::default(), Plain::default());
        let mut push = |level: u8, row: usize| {
            let shorter = plain.push(level, Sample::new(row as u32));
            let kept = is_kept.then_some(row);
            nats([contexts.push(0, level, shorter, kept); 4])[0]
        };
        for row in 0..2_000 {
            push(u8::from(row >= 1_998), row);
        }
        for row in 2_000..2_000 + rows {
            push(0, row);
        }
        push(1, 2_000 + rows)
    }

    #[test]
    fn what_was_rare_stays_known_for_days_and_not_for_good() {
        for (rows, new_if_short, new_if_kept) in
            [(10, false, false), (600, true, false), (60_000, true, true)]
        {
            assert_eq!(after(rows, false) > 8.0, new_if_short, "{rows}: {}", after(rows, false));
            assert_eq!(after(rows, true) > 8.0, new_if_kept, "{rows}: {}", after(rows, true));
        }
    }
}
