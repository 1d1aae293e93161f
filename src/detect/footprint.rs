//! How many bytes of memory the live state of a series takes.

use super::ensemble;
use super::series::SeriesState;

/// Mean bytes a series, as they were asked of the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Footprint {
    /// Series that the means are over.
    pub n_series: usize,
    /// What the ensemble keeps of a series.
    pub ensemble: f64,
    /// All other state: profile, windows, episodes, forecast, times and counts.
    pub beside: f64,
    /// What the series is called: its names, labels and query, which are no state of a detector.
    pub description: f64,
}

impl Footprint {
    /// State of a detector, without what the series is called.
    #[must_use]
    pub fn state(&self) -> f64 {
        self.ensemble + self.beside
    }

    pub(super) fn of<'a>(all: impl Iterator<Item = &'a SeriesState>) -> Self {
        let mut sum = Self::default();
        for series in all {
            let (beside, description) = series.bytes();
            sum.n_series += 1;
            sum.beside += beside as f64;
            sum.description += description as f64;
        }
        let n = sum.n_series.max(1) as f64;
        let ensemble = if sum.n_series > 0 { ensemble::BYTES as f64 } else { 0.0 };
        Self { ensemble, beside: sum.beside / n, description: sum.description / n, ..sum }
    }
}
