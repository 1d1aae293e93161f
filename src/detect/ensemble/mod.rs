//! The ensemble: how surprising each point of a series is, by its own past.
//!
//! Takes `(time, value)` rows and gives one verdict a row. Each column is a [`Track`] with cheap
//! views; every view's statistic is turned into a surprise, `-ln p`, by the ranks of the series'
//! own past with a Pareto tail. The views' surprises are combined, calibrated once more, and
//! judged as episodes, so that one event is told once. One pass, constant memory, no look-ahead,
//! no setting per series: live, `replay` and `backtest` run this very code.
//!
//! Guarantees: verdicts are finite for any values and times; a snapshot goes on exactly alike;
//! multiplying a series by a power of two changes nothing. It reads no clock and knows nothing of
//! what a series means: what matters in practice is decided by whoever asks.

mod entity;
mod episode;
mod level;
mod packed;
mod season;
mod shape;
mod sketch;
#[cfg(test)]
mod tests;
mod track;
mod views;

pub use entity::{Entity, Verdict};
pub use episode::Told;
pub use track::{Judgement, Track, VIEW_NAMES, VIEWS};
