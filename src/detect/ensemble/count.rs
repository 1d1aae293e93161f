//! A count in a byte.

use serde::{Deserialize, Serialize};

use super::packed;

/// A count in a byte: exact up to 31, above with five significant bits, up to half a million.
///
/// What is more than exact is counted by samples: where the step is `2^k`, one event of so many
/// counts, those whose number in a sequence that is spread evenly (the multiples of the golden
/// ratio) falls into the first of `2^k` equal parts (Morris 1978, "Counting large numbers of events
/// in small registers", without chance). So a count is right on average, and off by some
/// per cent to a tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u32", from = "u32")]
pub struct Count(u8);

impl From<Count> for u32 {
    fn from(count: Count) -> Self {
        count.value()
    }
}

impl From<u32> for Count {
    fn from(n: u32) -> Self {
        Self::of(n)
    }
}

impl Count {
    /// The count with this code.
    pub(super) const fn coded(code: u8) -> Self {
        Self(code)
    }

    /// The largest that is at most `n`.
    #[must_use]
    pub fn of(n: u32) -> Self {
        if n < 32 {
            return Self(n as u8);
        }
        let octave = (n.ilog2() - 4).min(14);
        Self((16 * octave + (n >> octave).min(31)) as u8)
    }

    /// How many it stands for.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u32 {
        match self.0 {
            exact @ 0..32 => exact as u32,
            code => ((16 + code % 16) as u32) << (code / 16 - 1),
        }
    }

    /// Its code: rises with what it stands for.
    #[inline]
    pub(super) fn code(self) -> u8 {
        self.0
    }

    /// One more, if its sample is one of those that count.
    #[inline]
    pub fn add(&mut self, sample: Sample) {
        self.0 += u8::from(self.0 < sample.0);
    }

    /// Half as many, rounded down.
    pub fn halve(&mut self) {
        self.0 = if self.0 < 32 { self.0 / 2 } else { self.0 - 16 };
    }
}

/// Which counts a sample counts for: all whose code is below. It is found once for all that are
/// counted at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(u8);

impl Sample {
    /// The sample with this number among all that are counted beside each other.
    #[inline]
    #[must_use]
    pub fn new(number: u32) -> Self {
        // With `k` leading zeros it lies in the first of `2^k` parts, so that it counts where the
        // step is at most `2^k`: below code `16 (k + 2)`.
        let zeros = number.wrapping_mul(0x9e37_79b1).leading_zeros();
        Self((16 * (zeros + 2)).min(u8::MAX.into()) as u8)
    }
}

impl packed::Number for Count {
    const SIZE: usize = 1;
    fn write(self, to: &mut Vec<u8>) {
        to.push(self.0);
    }
    fn read(from: &[u8]) -> Self {
        from.first().map_or(Self::default(), |code| Self(*code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_for_themselves_and_rise() {
        let mut last = None;
        for code in 0..=u8::MAX {
            let count = Count(code);
            assert_eq!(Count::of(count.value()), count);
            assert!(last.is_none_or(|l| l < count.value()), "{code}");
            last = Some(count.value());
            let mut half = count;
            half.halve();
            assert_eq!(half.value(), count.value() / 2);
        }
    }

    #[test]
    fn a_step_of_2_to_the_k_counts_the_first_of_2_to_the_k_parts() {
        for number in (0..50_000_u32).chain([u32::MAX, 1 << 31]) {
            let sample = Sample::new(number);
            for code in 0..u8::MAX {
                let octave = u32::from((code / 16).saturating_sub(1));
                let is_first = number.wrapping_mul(0x9e37_79b1) <= u32::MAX >> octave;
                let mut count = Count(code);
                count.add(sample);
                assert_eq!(count.0 > code, is_first, "{number} {code}");
            }
        }
        let mut full = Count(u8::MAX);
        full.add(Sample::new(0));
        assert_eq!(full, Count(u8::MAX));
    }

    #[test]
    fn many_are_counted_within_a_tenth() {
        // Three kinds of events among each other, one in 2, 3 and 7 of the rest.
        let (mut counts, mut exact) = ([Count::default(); 3], [0_u32; 3]);
        for sample in 0..60_000_u32 {
            let kind = if sample % 2 == 0 { 0 } else { 1 + usize::from(sample % 7 == 1) };
            counts[kind].add(Sample::new(sample));
            exact[kind] += 1;
        }
        for (count, exact) in counts.into_iter().zip(exact) {
            let off = f64::from(count.value()) / f64::from(exact) - 1.0;
            assert!(off.abs() < 0.15, "{} of {exact}", count.value());
        }
    }
}
