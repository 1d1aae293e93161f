//! Values of an evaluation: columns of numbers over a grid of times, with gaps.

use std::sync::Arc;

use crate::model::{Labels, Time};

/// What stands where a series has no sample: Prometheus' own staleness marker (a NaN with a
/// payload that arithmetic does not produce).
pub const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether there is no sample.
#[must_use]
pub fn is_absent(v: f64) -> bool {
    v.to_bits() == ABSENT.to_bits()
}

/// One series over the grid.
#[derive(Clone, Debug)]
pub struct Row {
    /// Metric name; `None` once a function has dropped it.
    pub name: Option<Arc<str>>,
    /// Labels without `__name__`.
    pub labels: Arc<Labels>,
    /// One value per time of the grid, [`ABSENT`] where there is none.
    pub values: Vec<f64>,
}

impl Row {
    /// Value of a label, `__name__` included; empty where it is missing.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        if name == "__name__" {
            self.name.as_deref().unwrap_or("")
        } else {
            self.labels.get(name).unwrap_or("")
        }
    }

    /// This row without its name, with other values.
    #[must_use]
    pub fn derive(&self, values: Vec<f64>) -> Self {
        Self { name: None, labels: Arc::clone(&self.labels), values }
    }
}

/// The value of an expression over a grid.
#[derive(Clone, Debug)]
pub enum Value {
    /// One number per time.
    Scalar(Vec<f64>),
    /// Any number of series.
    Vector(Vec<Row>),
    /// A string literal.
    Text(String),
}

/// Samples for a function over windows: the union of the windows' sample times, and for every
/// time of the grid which of them its window covers.
#[derive(Debug)]
pub struct Matrix {
    /// Sample times, ascending.
    pub times: Vec<Time>,
    /// Per time of the grid: first position in `times` and one past the last.
    pub windows: Vec<(usize, usize)>,
    /// Series with their values at `times` and how these are to be read.
    pub rows: Vec<(Row, Reading)>,
    /// Length of every window in seconds.
    pub window_s: f64,
}

/// How the values of a matrix row are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// They are the samples.
    Samples,
    /// They are the counter's rate per second at these times.
    Rates,
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The request makes no sense (HTTP 400, `bad_data`).
    #[error("{0}")]
    BadData(String),
    /// The expression can't be evaluated (HTTP 422, `execution`).
    #[error("{0}")]
    Execution(String),
}
