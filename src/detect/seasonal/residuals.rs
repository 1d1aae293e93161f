//! The newest residuals of a series in two bytes each, and their robust spread.

use serde::{Deserialize, Serialize};

use crate::stats::narrow::{narrow, widen};
use crate::stats::{MAD_TO_SIGMA, Window};

/// Residuals kept.
const KEPT: usize = 64;
/// With fewer nothing is said of their spread.
const LEAST: usize = 4;

/// A ring of residuals. Each is kept to 1 in 256 of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Read")]
pub(super) struct Residuals {
    next: u8,
    len: u8,
    codes: [u16; KEPT],
}

/// As it stands in a snapshot: the oldest first.
#[derive(Serialize, Deserialize)]
struct Written(Vec<u16>);

/// What is read: an older form kept four bytes each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Read {
    Now(Written),
    Before(Window),
}

impl From<Residuals> for Written {
    fn from(r: Residuals) -> Self {
        let (len, next) = (usize::from(r.len), usize::from(r.next));
        let first = if len < KEPT { 0 } else { next };
        Self((0..len).map(|i| r.codes[(first + i) % KEPT]).collect())
    }
}

impl TryFrom<Read> for Residuals {
    type Error = String;
    fn try_from(read: Read) -> Result<Self, String> {
        let codes: Vec<u16> = match read {
            Read::Now(written) => written.0,
            Read::Before(window) => window.iter().map(|v| narrow(v as f32)).collect(),
        };
        let mut residuals = Self::new();
        for code in codes {
            residuals.take(code);
        }
        Ok(residuals)
    }
}

impl Residuals {
    pub(super) const fn new() -> Self {
        Self { next: 0, len: 0, codes: [0; KEPT] }
    }

    /// Adds one and forgets the oldest when full; what fits no finite `f32` is ignored.
    pub(super) fn push(&mut self, residual: f64) {
        let residual = residual as f32;
        if residual.is_finite() {
            self.take(narrow(residual));
        }
    }

    fn take(&mut self, code: u16) {
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
        let mut values = self.codes.map(widen);
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
                (Some(a), Some(b)) => assert!((a - b).abs() < 0.01 * b + 1e-9, "{a} and {b}"),
                (a, b) => assert_eq!(a, b),
            }
        }
        let bytes = rmp_serde::to_vec(&residuals).expect("packs");
        let mut again: Residuals = rmp_serde::from_slice(&bytes).expect("reads");
        assert_eq!(again.sigma(), residuals.sigma());
        let wide = rmp_serde::to_vec(&window).expect("packs");
        again = rmp_serde::from_slice(&wide).expect("reads the older form");
        assert_eq!(again.sigma(), residuals.sigma());
        again.push(f64::NAN);
        again.clear();
        assert_eq!(again.sigma(), None);
    }
}
