//! What the fast look of a forecast remembers: residuals of the last hours in a byte each.

use serde::{Deserialize, Serialize};

/// Buckets kept: eight hours.
pub(super) const KEPT: usize = 96;
/// The newest stand one by one: the windows of one hour and of three see each. Of those before every
/// second is kept, as the window of eight hours asks for, and no mean, which would look like less noise.
const SINGLE: usize = 36;
const SECONDS: usize = (KEPT - SINGLE - 2) / 2;
/// Stands for a bucket without a value.
const NO_VALUE: i8 = i8::MIN;
/// Below this all codes are kept in a finer unit.
const FINER: i8 = 48;
/// Bounds of the unit.
const UNITS: (f32, f32) = (1e-36, 1e36);

/// The newest residuals: multiples of a power of two that is between 1/127 and 1/48 of the largest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Read")]
pub(super) struct Recent {
    unit: f32,
    n_seconds: u8,
    n: u8,
    seconds: [i8; SECONDS],
    single: [i8; SINGLE + 2],
}

/// As it stands in a snapshot: the unit, every second code and those one by one, oldest first.
#[derive(Serialize, Deserialize)]
struct Written(f32, Vec<i8>, Vec<i8>);

/// What is read: an older form kept four bytes each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Read {
    Now(Written),
    Wide(Vec<f32>),
}

impl From<Recent> for Written {
    fn from(r: Recent) -> Self {
        Self(r.unit, r.seconds().to_vec(), r.single().to_vec())
    }
}

impl From<Read> for Recent {
    fn from(read: Read) -> Self {
        let mut recent = Self::new();
        match read {
            Read::Now(Written(unit, seconds, single)) => {
                for code in seconds {
                    recent.take_second(code);
                }
                for code in single {
                    recent.take(code);
                }
                recent.unit = unit;
            }
            Read::Wide(residuals) => {
                for residual in residuals {
                    recent.push(residual);
                }
            }
        }
        recent
    }
}

impl Recent {
    pub(super) const fn new() -> Self {
        Self { unit: 0.0, n_seconds: 0, n: 0, seconds: [0; SECONDS], single: [0; SINGLE + 2] }
    }

    fn seconds(&self) -> &[i8] {
        &self.seconds[..usize::from(self.n_seconds)]
    }

    fn single(&self) -> &[i8] {
        &self.single[..usize::from(self.n)]
    }

    fn codes_mut(&mut self) -> impl Iterator<Item = &mut i8> {
        let (n_seconds, n) = (usize::from(self.n_seconds), usize::from(self.n));
        let all = self.seconds[..n_seconds].iter_mut().chain(&mut self.single[..n]);
        all.filter(|code| **code != NO_VALUE)
    }

    /// Adds one, NaN for none, and forgets the oldest when full.
    pub(super) fn push(&mut self, residual: f32) {
        if !residual.is_finite() {
            self.take(NO_VALUE);
            return;
        }
        let size = residual.abs();
        if self.codes_mut().all(|code| *code == 0) {
            // Nothing is lost by another unit.
            let unit = (size / f32::from(FINER)).log2().floor().exp2();
            self.unit = unit.clamp(UNITS.0, UNITS.1);
        }
        while size > f32::from(i8::MAX) * self.unit && self.unit < UNITS.1 {
            self.unit *= 2.0;
            self.codes_mut().for_each(|code| *code /= 2);
        }
        let code = (residual / self.unit).round();
        self.take(code.clamp(-127.0, 127.0) as i8);
        let largest = self.codes_mut().map(|code| code.saturating_abs()).max().unwrap_or(0);
        if (1..FINER).contains(&largest) && self.unit > UNITS.0 {
            self.unit /= 2.0;
            self.codes_mut().for_each(|code| *code *= 2);
        }
    }

    fn take(&mut self, code: i8) {
        self.single[usize::from(self.n)] = code;
        self.n += 1;
        if self.single().len() == self.single.len() {
            let [one, other, ..] = self.single;
            self.take_second(if other == NO_VALUE { one } else { other });
            self.single.copy_within(2.., 0);
            self.single[SINGLE..].fill(0);
            self.n -= 2;
        }
    }

    fn take_second(&mut self, code: i8) {
        if self.seconds().len() == SECONDS {
            self.seconds.copy_within(1.., 0);
            self.n_seconds -= 1;
        }
        self.seconds[usize::from(self.n_seconds)] = code;
        self.n_seconds += 1;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    /// All, oldest first; NaN where there was none, and where one was left out. Every second one from
    /// the newest back is one that was kept.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = f64> + '_ {
        let is_even = self.n.is_multiple_of(2);
        let seconds = self.seconds().iter();
        let seconds =
            seconds.flat_map(move |c| if is_even { [NO_VALUE, *c] } else { [*c, NO_VALUE] });
        seconds.chain(self.single().iter().copied()).map(|code| match code {
            NO_VALUE => f64::NAN,
            code => f64::from(code) * f64::from(self.unit),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_kept_to_a_share_of_the_largest_whatever_their_scale() {
        let mut recent = Recent::new();
        let far = |k: usize| ((k * 7_919 % 101) as f32 - 50.0) / 50.0;
        for scale in [0.0, 1e-6, 1.0, 1e9, 1e3] {
            recent.push(f32::NAN);
            for k in 0..3 * KEPT {
                recent.push(scale * far(k));
            }
            let kept: Vec<f64> = recent.iter().collect();
            assert!((KEPT - 2..=KEPT).contains(&kept.len()), "{}", kept.len());
            for (k, value) in (0..3 * KEPT).rev().zip(kept.iter().rev()).take(SINGLE) {
                let off = value - f64::from(scale * far(k));
                assert!(off.abs() <= f64::from(scale) / 40.0, "{scale} {k}: {value}");
            }
            // The window of eight hours takes every second.
            assert!(kept.iter().rev().step_by(2).all(|v| v.is_finite()));
            assert_eq!(kept.iter().filter(|v| v.is_nan()).count(), SECONDS);
        }
        let bytes = rmp_serde::to_vec(&recent).expect("packs");
        let mut again: Recent = rmp_serde::from_slice(&bytes).expect("reads");
        for k in 0..KEPT {
            let bits = |of: &Recent| of.iter().map(f64::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(&recent), bits(&again), "{k}");
            recent.push(far(k));
            again.push(far(k));
        }
        let wide = rmp_serde::to_vec(&vec![0.5_f32, f32::NAN, -1.0]).expect("packs");
        let read: Recent = rmp_serde::from_slice(&wide).expect("reads the older form");
        let read: Vec<f64> = read.iter().collect();
        assert!((read[0] - 0.5).abs() < 0.02 && read[1].is_nan(), "{read:?}");
        assert!((read[2] + 1.0).abs() < 0.02, "{read:?}");
        recent.clear();
        assert_eq!(recent.iter().count(), 0);
    }
}
