//! Numbers in few bytes, for what is kept by the ten thousand: a signed distance in two bytes and
//! a width in one. Both are floating: what is small beside the largest keeps its digits.

use std::f32::consts::SQRT_2;

/// Codes of widths in an octave: a step is 9 %, so the nearest code is within 4.5 %.
const PER_OCTAVE: i32 = 8;
/// The code of a width of exactly one unit.
const UNIT_CODE: i32 = 128;
/// Roots of two: `2^(i/8)`.
const STEPS: [f32; PER_OCTAVE as usize] =
    [1.0, 1.090_508, 1.189_207, 1.296_84, SQRT_2, 1.542_211, 1.681_793, 1.834_008];

/// The nearest number with 8 significant bits (the upper half of an `f32`, ties to even): the relative
/// error is at most 1/256. What is not finite is taken as 0.
#[must_use]
pub fn narrow(x: f32) -> u16 {
    if !x.is_finite() {
        return 0;
    }
    let bits = x.to_bits();
    let rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    // The largest would be rounded to infinity.
    let largest = (f32::MAX.to_bits() >> 16) | (bits >> 31 << 15);
    if rounded & 0x7f80 == 0x7f80 { largest as u16 } else { rounded as u16 }
}

/// The number of [`narrow`].
#[must_use]
pub fn widen(code: u16) -> f32 {
    f32::from_bits(u32::from(code) << 16)
}

/// A power of two that widths are told in multiples of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unit(pub i16);

impl Unit {
    /// The unit in whose middle range a positive width lies.
    #[must_use]
    pub fn of(width: f32) -> Self {
        Self(octave(width) as i16)
    }

    /// The code of a width; 0 stands for none. Widths outside of 2⁻¹⁵ to 2¹⁵ units are taken as
    /// those.
    #[must_use]
    pub fn code(self, width: f32) -> u8 {
        if width.is_nan() || width <= f32::MIN_POSITIVE {
            return 0;
        }
        let octave = octave(width);
        let mantissa = width.min(f32::MAX) / power(octave);
        // The nearest of the octave's codes and the first of the next, by ratio.
        let step = STEPS.iter().filter(|s| mantissa > **s * 1.044_274).count() as i32;
        ((octave - i32::from(self.0)) * PER_OCTAVE + step + UNIT_CODE).clamp(1, 255) as u8
    }

    /// The width of a code.
    #[must_use]
    pub fn width(self, code: u8) -> f32 {
        if code == 0 {
            return 0.0;
        }
        let steps = i32::from(code) - UNIT_CODE;
        let octave = steps.div_euclid(PER_OCTAVE) + i32::from(self.0);
        power(octave) * STEPS[steps.rem_euclid(PER_OCTAVE) as usize]
    }

    /// The code in another unit of what `code` is in this one.
    #[must_use]
    pub fn moved(self, code: u8, to: Self) -> u8 {
        if code == 0 {
            return 0;
        }
        let moved = i32::from(code) + (i32::from(self.0) - i32::from(to.0)) * PER_OCTAVE;
        moved.clamp(1, 255) as u8
    }
}

/// The exponent of a positive number.
fn octave(x: f32) -> i32 {
    ((x.to_bits() >> 23) & 0xff).cast_signed().clamp(1, 254) - 127
}

/// A power of two within the range of normal numbers.
fn power(exponent: i32) -> f32 {
    f32::from_bits(((exponent.clamp(-126, 127) + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_stand_for_themselves() {
        for code in 0..=u16::MAX {
            let x = widen(code);
            if x.is_finite() {
                assert_eq!(narrow(x), code);
            }
        }
        for unit in [Unit(-60), Unit(0), Unit(40)] {
            for code in 0..=255 {
                assert_eq!(unit.code(unit.width(code)), code, "{unit:?}");
            }
        }
        assert_eq!((narrow(f32::NAN), narrow(f32::INFINITY)), (0, 0));
        assert!(widen(narrow(f32::MAX)).is_finite() && widen(narrow(f32::MIN)).is_finite());
        assert_eq!(Unit(0).code(f32::NAN), 0);
        assert!(Unit(127).width(255).is_finite());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_near(x in -1e30_f32..1e30, width in 1e-4_f32..1e4, exponent in -80_i32..80) {
            prop_assert!((widen(narrow(x)) - x).abs() <= x.abs() / 255.9);
            let width = width * power(exponent);
            let unit = Unit::of(width * 3.0);
            let kept = unit.width(unit.code(width));
            prop_assert!((kept / width - 1.0).abs() < 0.046, "{width}: {kept}");
            let other = Unit(unit.0 + 3);
            prop_assert_eq!(unit.moved(unit.code(width), other), other.code(kept));
        }
    }
}
