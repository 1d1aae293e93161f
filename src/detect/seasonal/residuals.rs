//! The newest residuals of a series in a byte each, and their robust spread.

use serde::{Deserialize, Serialize};

use crate::stats::narrow::{Unit, widen};
use crate::stats::{MAD_TO_SIGMA, Window};

/// Residuals kept.
const KEPT: usize = 64;
/// With fewer nothing is said of their spread.
const LEAST: usize = 4;

/// The sign, and the code of the size in eighths of an octave; 0 is none.
const MINUS: u8 = 0x80;
const LARGEST: u8 = 0x7f;
/// What a size's code is less than that of [`Unit`]: sixteen octaves around a unit are told apart.
const SHIFT: u8 = 64;
/// Where the largest comes to lie when the unit is changed, in the middle of the range.
const MIDDLE: u8 = 80;
/// Codes in an octave.
const PER_OCTAVE: u8 = 8;

/// A ring of residuals, each in a byte, to 4.5 % of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Read")]
pub(super) struct Residuals {
    unit: Unit,
    next: u8,
    len: u8,
    codes: [u8; KEPT],
}

/// As it stands in a snapshot: the ring, its unit, and the place of the next.
#[derive(Serialize, Deserialize)]
struct Written(Vec<u8>, i16, u8);

/// What is read: older forms kept two and four bytes each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Read {
    Now(Written),
    Narrow(Vec<u16>),
    Wide(Window),
}

impl From<Residuals> for Written {
    fn from(r: Residuals) -> Self {
        Self(r.codes[..usize::from(r.len)].to_vec(), r.unit.0, r.next)
    }
}

impl From<Read> for Residuals {
    fn from(read: Read) -> Self {
        let mut residuals = Self::new();
        match read {
            Read::Now(Written(codes, unit, next)) => {
                for code in codes {
                    residuals.take(code);
                }
                (residuals.unit, residuals.next) = (Unit(unit), next % KEPT as u8);
            }
            Read::Narrow(codes) => {
                for code in codes {
                    residuals.push(widen(code).into());
                }
            }
            Read::Wide(window) => {
                for value in window.iter() {
                    residuals.push(value);
                }
            }
        }
        residuals
    }
}

impl Residuals {
    pub(super) const fn new() -> Self {
        Self { unit: Unit(i16::MIN), next: 0, len: 0, codes: [0; KEPT] }
    }

    /// Adds one and forgets the oldest when full; what fits no finite `f32` is ignored.
    pub(super) fn push(&mut self, residual: f64) {
        let residual = residual as f32;
        if !residual.is_finite() {
            return;
        }
        let size = residual.abs();
        if self.unit.0 == i16::MIN && size > 0.0 {
            self.unit = Unit::of(size);
        }
        let code = self.unit.code(size);
        if code > LARGEST + SHIFT {
            self.move_unit((code - SHIFT - MIDDLE) / PER_OCTAVE + 1, true);
        } else if self.next == 0 {
            // Once a turn: what came from one far value is kept finer again.
            let largest = self.codes.iter().map(|c| c & LARGEST).max().unwrap_or(0);
            if (1..SHIFT - 2 * PER_OCTAVE).contains(&largest) {
                self.move_unit((MIDDLE - largest) / PER_OCTAVE, false);
            }
        }
        let code = match self.unit.code(size) {
            0 => 0,
            code => code.saturating_sub(SHIFT).clamp(1, LARGEST),
        };
        self.take(code | if residual < 0.0 { MINUS } else { 0 });
    }

    /// Takes a unit so many octaves larger, or smaller.
    fn move_unit(&mut self, octaves: u8, larger: bool) {
        let by = i16::from(octaves);
        self.unit.0 += if larger { by } else { -by };
        let steps = octaves * PER_OCTAVE;
        for code in self.codes.iter_mut().filter(|c| **c & LARGEST > 0) {
            let (sign, size) = (*code & MINUS, *code & LARGEST);
            let size = if larger { size.saturating_sub(steps) } else { size + steps };
            *code = sign | size.clamp(1, LARGEST);
        }
    }

    fn take(&mut self, code: u8) {
        self.codes[usize::from(self.next)] = code;
        self.next = (self.next + 1) % KEPT as u8;
        self.len = (self.len + 1).min(KEPT as u8);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Their scaled median absolute deviation; `None` while there are too few.
    pub(super) fn sigma(&self) -> Option<f64> {
        let n = usize::from(self.len);
        if n < LEAST {
            return None;
        }
        let mut values = self.codes.map(|code| {
            let size = code & LARGEST;
            let size = if size == 0 { 0.0 } else { self.unit.width(size + SHIFT) };
            if code & MINUS > 0 { -size } else { size }
        });
        let values = &mut values[..n];
        let mid = median(values);
        for v in &mut *values {
            *v = (*v - mid).abs();
        }
        Some(f64::from(median(values)) * MAD_TO_SIGMA)
    }
}

/// The median of at least one value, which are put in another order.
fn median(values: &mut [f32]) -> f32 {
    let n = values.len();
    let (below, upper, _) = values.select_nth_unstable_by(n / 2, f32::total_cmp);
    if n % 2 == 1 {
        return *upper;
    }
    let lower = below.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    lower + (*upper - lower) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::narrow::narrow;

    #[test]
    fn the_spread_is_that_of_a_window_of_whole_numbers() {
        let (mut residuals, mut window) = (Residuals::new(), Window::new(KEPT as u16));
        assert_eq!(residuals.sigma(), None);
        for i in 0..200 {
            let x = f64::from(i * 7919 % 101) - 50.0;
            residuals.push(x);
            window.push(x);
            let wide = window.spread().map(|s| s.sigma);
            match (residuals.sigma(), wide) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 0.05 * b + 1e-9, "{a} and {b}"),
                (a, b) => assert_eq!(a, b),
            }
        }
        let bytes = rmp_serde::to_vec(&residuals).expect("packs");
        let mut again: Residuals = rmp_serde::from_slice(&bytes).expect("reads");
        assert_eq!(again.sigma(), residuals.sigma());
        let wide = rmp_serde::to_vec(&window).expect("packs");
        again = rmp_serde::from_slice(&wide).expect("reads the older form");
        let near = |a: Option<f64>, b: Option<f64>| {
            let (a, b) = (a.expect("known"), b.expect("known"));
            assert!((a - b).abs() < 0.05 * b, "{a} and {b}");
        };
        near(again.sigma(), residuals.sigma());
        let halves: Vec<u16> = window.iter().map(|v| narrow(v as f32)).collect();
        let halves = rmp_serde::to_vec(&halves).expect("packs");
        again = rmp_serde::from_slice(&halves).expect("reads the form between");
        near(again.sigma(), residuals.sigma());
        // One far value, then a scale that is far smaller.
        again.push(1e9);
        for i in 0..600 {
            again.push(1e-3 * f64::from(i * 7919 % 101 - 50));
        }
        let small = again.sigma().expect("known");
        assert!((small / (1e-3 * residuals.sigma().expect("known")) - 1.0).abs() < 0.2, "{small}");
        again.push(f64::NAN);
        again.clear();
        assert_eq!(again.sigma(), None);
    }
}
