//! Whole numbers one after another in a fixed number of bytes: what a forecast remembers.
//!
//! Of each is told by how much it differs from a guess, in the code of Golomb and Rice whose parameter
//! follows how far guesses were off (Weinberger, Seroussi and Sapiro 2000, "The LOCO-I lossless image
//! compression algorithm"). All are multiples of a power of two, which is 1 where there is room. When
//! there is none, the oldest give way, and when few enough are left, all are rounded to a coarser
//! power: what is kept of noise is told finely, of great strides coarsely.

use serde::{Deserialize, Serialize};

use crate::detect::ensemble::packed;

/// Stands for a place without a value.
pub(super) const NOTHING: i16 = i16::MIN;
/// Values of a day: what came a day before takes part in guesses.
const DAY: usize = 24;
/// Bits of ones after which a value stands as it is, or a run of places without one.
const LONGEST: u32 = 12;
/// Bits of a difference as it is, and of the length of such a run.
const WHOLE: u32 = 19;
const RUN: u32 = 9;
/// Values that the parameter follows, about.
const FOLLOWED: u32 = 32;
/// One value counts in it as this many times the mean at most.
const MOST: u32 = 8;

/// The greatest power of two.
const COARSEST: u8 = 14;

/// What is expected of the next value: the level lately, moved as it usually moves at this hour. In
/// 256ths, so that it is the same everywhere.
struct Guess {
    level: i32,
    moves: [i32; DAY],
    at: usize,
    follows: i32,
    learns: i32,
}

/// No level and no move is beyond: a difference has [`WHOLE`] bits then, whatever is read.
const FARTHEST: i32 = 1 << 24;

/// How much of what a value differs by goes into the level, and how much of that into the move of its
/// hour, in 64ths.
const WEIGHTS: [(i32, i32); 4] = [(64, 0), (64, 14), (40, 14), (20, 10)];

impl Guess {
    fn new(weights: usize) -> Self {
        let (follows, learns) = WEIGHTS[weights % WEIGHTS.len()];
        Self { level: 0, moves: [0; DAY], at: 0, follows, learns }
    }

    fn next(&self) -> i32 {
        (self.level + self.moves[self.at % DAY] + 128) >> 8
    }

    /// Goes on; `far` is by how much the value differs, `most` what counts of it in the rhythm.
    fn learn(&mut self, far: i32, most: i32) {
        let here = &mut self.moves[self.at % DAY];
        let level = self.level + *here + 4 * far * self.follows;
        self.level = level.clamp(-FARTHEST, FARTHEST);
        if self.learns > 0 && self.at > 0 {
            let weight = self.learns.max(64 / (self.at / DAY + 1) as i32);
            let moved = *here + far.clamp(-most, most) * self.follows * weight / 16;
            *here = moved.clamp(-FARTHEST, FARTHEST);
        }
        self.at += 1;
    }
}

/// How far guesses were off lately.
struct Off {
    sum: u32,
    n: u32,
}

impl Off {
    const START: Self = Self { sum: 64, n: 4 };

    /// Bits of a difference that are told as they are.
    fn parameter(&self) -> u32 {
        (0..16).find(|k| self.n << (k + 1) >= self.sum).unwrap_or(16)
    }

    /// What counts of a difference in the rhythm.
    fn most(&self) -> i32 {
        (2 * self.sum / self.n).cast_signed() + 1
    }

    fn learn(&mut self, code: u32) {
        self.sum += code.min(MOST * (self.sum / self.n + 1));
        self.n += 1;
        if self.n >= FOLLOWED {
            (self.sum, self.n) = (self.sum / 2, self.n / 2);
        }
    }
}

/// Bits that are counted, and written as long as there is room.
struct Bits<'a> {
    bytes: &'a mut [u8],
    n: usize,
}

impl Bits<'_> {
    fn put(&mut self, value: u32, bits: u32) {
        for i in (0..bits).rev() {
            if let Some(byte) = self.bytes.get_mut(self.n / 8) {
                *byte |= ((value >> i & 1) as u8) << (self.n % 8);
            }
            self.n += 1;
        }
    }

    fn ones(&mut self, n: u32) {
        self.put((1 << n) - 1, n);
    }
}

/// Writes values; gives how many bits they take, more than there is room for perhaps.
fn write(values: &[i16], manner: Manner, bytes: &mut [u8]) -> usize {
    bytes.fill(0);
    let mut bits = Bits { bytes, n: 0 };
    let (mut guess, mut off) = (Guess::new(manner.weights), Off::START);
    let mut rest = values;
    while let Some(value) = rest.first().copied() {
        if manner.holes {
            bits.put(u32::from(value == NOTHING), 1);
            if value == NOTHING {
                guess.learn(0, 0);
                rest = &rest[1..];
                continue;
            }
        }
        if value == NOTHING {
            let most = rest.len().min(1 << RUN);
            let run = rest[..most].iter().take_while(|v| **v == NOTHING).count();
            bits.ones(LONGEST);
            bits.put(1, 1);
            bits.put(run as u32 - 1, RUN);
            (0..run).for_each(|_| guess.learn(0, 0));
            rest = &rest[run..];
            continue;
        }
        let far = i32::from(value) - guess.next();
        let (code, k) = (((far << 1) ^ (far >> 31)).cast_unsigned(), off.parameter());
        if code >> k < LONGEST {
            bits.ones(code >> k);
            bits.put(0, 1);
            bits.put(code & ((1 << k) - 1), k);
        } else {
            bits.ones(LONGEST);
            bits.put(0, 1);
            bits.put(code, WHOLE);
        }
        guess.learn(far, off.most());
        off.learn(code);
        rest = &rest[1..];
    }
    bits.n
}

/// Reads so many values; whatever the bytes are, as many come.
fn read(n: usize, manner: Manner, bytes: &[u8]) -> Vec<i16> {
    let mut at = 0;
    let mut bit = || {
        let bit = bytes.get(at / 8).map_or(0, |byte| byte >> (at % 8) & 1);
        at += 1;
        u32::from(bit)
    };
    let mut values = Vec::with_capacity(n);
    let (mut guess, mut off) = (Guess::new(manner.weights), Off::START);
    while values.len() < n {
        if manner.holes && bit() == 1 {
            guess.learn(0, 0);
            values.push(NOTHING);
            continue;
        }
        let k = off.parameter();
        let mut ones = 0;
        while ones < LONGEST && bit() == 1 {
            ones += 1;
        }
        let mut number = |bits: u32| (0..bits).fold(0, |number, _| number << 1 | bit());
        let code = if ones < LONGEST {
            ones << k | number(k)
        } else if number(1) == 0 {
            number(WHOLE)
        } else {
            let run = (number(RUN) as usize + 1).min(n - values.len());
            (0..run).for_each(|_| guess.learn(0, 0));
            values.resize(values.len() + run, NOTHING);
            continue;
        };
        let far = (code >> 1).cast_signed() ^ -(code & 1).cast_signed();
        let value = (guess.next() + far).clamp(-32_767, 32_767);
        guess.learn(value - guess.next(), off.most());
        off.learn(code);
        values.push(value as i16);
    }
    values
}

/// How values are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Manner {
    weights: usize,
    /// Before each place stands whether it is without a value: where many are.
    holes: bool,
}

impl Manner {
    const N: u8 = 8;

    fn of(code: u8) -> Self {
        Self { weights: usize::from(code) % WEIGHTS.len(), holes: code & 4 > 0 }
    }
}

/// Numbers in `N` bytes, the newest last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Codes<const N: usize> {
    len: u16,
    /// All are multiples of this power of two.
    shift: u8,
    manner: u8,
    #[serde(with = "packed")]
    bytes: [u8; N],
}

impl<const N: usize> Codes<N> {
    pub(super) const fn new() -> Self {
        Self { len: 0, shift: 0, manner: 0, bytes: [0; N] }
    }

    /// How many there are, places without a value too.
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn manner(&self) -> Manner {
        Manner::of(self.manner)
    }

    /// What they are multiples of.
    fn unit(&self) -> i32 {
        1 << self.shift.min(COARSEST)
    }

    /// All, oldest first, [`NOTHING`] where there was none.
    pub(super) fn values(&self) -> Vec<i16> {
        let unit = self.unit();
        let mut values = read(self.len(), self.manner(), &self.bytes);
        for value in values.iter_mut().filter(|v| **v != NOTHING) {
            *value = (i32::from(*value) * unit).clamp(-32_767, 32_767) as i16;
        }
        values
    }

    /// Adds some. Of all there are at most `most`; while there are more than `least`, the oldest give
    /// way before the others become coarser.
    pub(super) fn extend(&mut self, added: &[i16], (least, most): (usize, usize)) {
        let mut units = read(self.len(), self.manner(), &self.bytes);
        rounded(added, self.unit(), &mut units);
        units.drain(..units.len().saturating_sub(most));
        let (mut tried, mut finer) = (false, false);
        loop {
            let bits = write(&units, self.manner(), &mut self.bytes);
            if bits <= 8 * N {
                self.len = units.len() as u16;
                // A bit for each more, and some, are left over.
                let spare = 8 * N - bits > units.len() * 5 / 4;
                if finer || !spare || self.shift == 0 || units.len() < most {
                    return;
                }
                finer = true;
                self.shift -= 1;
                for value in units.iter_mut().filter(|v| **v != NOTHING) {
                    *value = (2 * i32::from(*value)).clamp(-32_767, 32_767) as i16;
                }
            } else if !tried {
                // What comes may be told better in another way.
                tried = true;
                let bits = |code: &u8| write(&units, Manner::of(*code), &mut self.bytes);
                self.manner = (0..Manner::N).min_by_key(bits).unwrap_or(0);
            } else if units.len() > least || self.shift >= COARSEST {
                units.remove(0);
            } else {
                self.shift += 1;
                let fine = std::mem::take(&mut units);
                rounded(&fine, 2, &mut units);
            }
        }
    }
}

/// Appends values as multiples of a unit, each the nearest one, of two as near the even one.
fn rounded(values: &[i16], unit: i32, to: &mut Vec<i16>) {
    to.extend(values.iter().map(|value| match *value {
        NOTHING => NOTHING,
        value => {
            let (whole, part) =
                (i32::from(value).div_euclid(unit), i32::from(value).rem_euclid(unit));
            let up = 2 * part > unit || (2 * part == unit && whole & 1 == 1);
            (whole + i32::from(up)).clamp(-32_767, 32_767) as i16
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Draws;
    use proptest::prelude::*;

    const ROOM: (usize, usize) = (348, 384);

    /// All that came, and what is kept of the newest.
    fn told<const N: usize>(n: usize, value: impl Fn(usize) -> i16) -> (Vec<i16>, Vec<i16>) {
        let mut codes = Codes::<N>::new();
        for i in 0..n {
            codes.extend(&[value(i)], ROOM);
        }
        let kept = codes.values();
        assert_eq!(kept.len(), codes.len());
        ((n - kept.len()..n).map(value).collect(), kept)
    }

    #[test]
    fn a_rhythm_is_kept_as_it_is_and_noise_to_a_part_of_itself() {
        let wave = |i: usize| (3_000.0 * (i as f64 / 24.0 * std::f64::consts::TAU).sin()) as i16;
        let (came, kept) = told::<144>(1_000, wave);
        assert!(kept.len() >= ROOM.0);
        assert!(came.iter().zip(&kept).all(|(a, b)| a.abs_diff(*b) <= 16), "{kept:?}");
        let mut draws = Draws::new(7);
        let noise: Vec<i16> = (0..1_000).map(|_| (100.0 * draws.normal()) as i16).collect();
        let (came, kept) = told::<144>(1_000, |i| wave(i) + noise[i]);
        let square = |(a, b): (&i16, &i16)| f64::from(a.abs_diff(*b)).powi(2);
        let off = (came.iter().zip(&kept).map(square).sum::<f64>() / kept.len() as f64).sqrt();
        assert!(kept.len() >= ROOM.0 && off < 40.0, "{off} of 100, {} values", kept.len());
        let mean = |of: &[i16]| of.iter().map(|v| f64::from(*v)).sum::<f64>() / of.len() as f64;
        assert!((mean(&came) - mean(&kept)).abs() < 3.0);
    }

    #[test]
    fn a_fall_is_where_it_was_and_holes_stay_holes() {
        let saw = |i: usize| 5_000 + 150 * (i % 41) as i16;
        let (came, kept) = told::<144>(800, saw);
        assert!(came.iter().zip(&kept).all(|(a, b)| a.abs_diff(*b) <= 300), "{kept:?}");
        for every in [2, 7, 500] {
            let (came, kept) = told::<144>(800, |i| if i % every == 1 { NOTHING } else { saw(i) });
            assert!(kept.len() >= ROOM.0);
            for (a, b) in came.iter().zip(&kept) {
                assert_eq!(*a == NOTHING, *b == NOTHING, "every {every}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_values_are_kept_nearly_and_any_bytes_are_read(
            values in prop::collection::vec(any::<i16>(), 1..500),
            bytes in any::<[u8; 32]>(),
            manner in any::<u8>(),
            len in 0_u16..600,
        ) {
            let mut codes = Codes::<64>::new();
            codes.extend(&values, ROOM);
            codes.extend(&[7, NOTHING], ROOM);
            let kept = codes.values();
            prop_assert!(!kept.is_empty() && kept[kept.len() - 1] == NOTHING);
            let unit = u16::try_from(codes.unit()).expect("is small");
            for (value, kept) in values.iter().rev().zip(kept.iter().rev().skip(2)) {
                prop_assert_eq!(*value == NOTHING, *kept == NOTHING);
                prop_assert!(value.abs_diff(*kept) <= 2 * unit, "{} {}", value, kept);
            }
            let read: Codes<32> = Codes { len, shift: manner, manner, bytes };
            prop_assert_eq!(read.values().len(), usize::from(len));
        }
    }
}
