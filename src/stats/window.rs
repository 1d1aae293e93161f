//! A rolling window of the newest values with its robust summary.

use serde::{Deserialize, Serialize};

use super::{IQR_TO_SIGMA, MAD_TO_SIGMA, quantile_of_sorted};

/// A ring of the newest `capacity` finite values. Values are kept as `f32`: seven digits are
/// plenty for location and spread, and the state of a series stays small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    capacity: u16,
    next: u16,
    values: Vec<f32>,
}

/// What a window says about its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Median.
    pub mid: f64,
    /// Scaled median absolute deviation.
    pub sigma: f64,
    /// Lower quartile.
    pub q1: f64,
    /// Upper quartile.
    pub q3: f64,
    /// Scaled interquartile range.
    pub iqr_sigma: f64,
}

impl Window {
    /// An empty window of at most `capacity` (at least 1) values.
    #[must_use]
    pub fn new(capacity: u16) -> Self {
        Self { capacity: capacity.max(1), next: 0, values: Vec::new() }
    }

    /// Adds a value and forgets the oldest when full; what does not fit a finite `f32` is ignored.
    pub fn push(&mut self, value: f64) {
        let value = value as f32;
        if !value.is_finite() {
            return;
        }
        if self.values.len() < usize::from(self.capacity) {
            self.values.push(value);
        } else {
            self.values[usize::from(self.next)] = value;
            self.next = (self.next + 1) % self.capacity;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.values.clear();
        self.next = 0;
    }

    /// How many values it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = f64> {
        let (newer, older) = self.values.split_at(usize::from(self.next));
        older.iter().chain(newer).map(|v| f64::from(*v))
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>()
    }

    /// Median, spread and quartiles; `None` with fewer than four values.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        if self.values.len() < 4 {
            return None;
        }
        let mut all: Vec<f64> = self.iter().collect();
        all.sort_unstable_by(f64::total_cmp);
        let mid = quantile_of_sorted(&all, 0.5)?;
        let (q1, q3) = (quantile_of_sorted(&all, 0.25)?, quantile_of_sorted(&all, 0.75)?);
        for v in &mut all {
            *v = (*v - mid).abs();
        }
        all.sort_unstable_by(f64::total_cmp);
        let sigma = quantile_of_sorted(&all, 0.5)? * MAD_TO_SIGMA;
        Some(Spread { mid, sigma, q1, q3, iqr_sigma: (q3 - q1) * IQR_TO_SIGMA })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_newest_in_order() {
        let mut window = Window::new(4);
        for v in [1.0, f64::NAN, 2.0, 3.0, 4.0, 5.0, 6.0] {
            window.push(v);
        }
        assert_eq!(window.iter().collect::<Vec<_>>(), [3.0, 4.0, 5.0, 6.0]);
        assert_eq!(window.spread().expect("four values").mid, 4.5);
        window.clear();
        assert_eq!(window.spread(), None);
    }
}
