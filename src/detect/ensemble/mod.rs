//! The ensemble: how surprising each point of a series is, by its own past.
//!
//! Takes `(time, value)` rows and gives one verdict a row. Each column is a [`Track`]. Its views are
//! code lengths: what it costs, in nats, to tell the newest value, means, steps, trend, unrest by
//! what came before and by the hour of the day (`story`), and beside them the distance from the
//! season, ranked among the series' own past with a Pareto tail (`views`, `sketch`). Their weighted sum is
//! evidence, which is ranked once more and judged as episodes (`episode`), so that one event is
//! told once. The default of a [`Pool`], read off many simulated and real quiet series, brings an
//! onset's surprise to the rate that it claims ([`Verdict::onset_nats`]), beyond what one series'
//! past could resolve. A verdict depends on its own series
//! alone; a pool that learns live stands beside (`detect/pooled.rs`).
//!
//! One pass, constant memory ([`BYTES`] a series), no look-ahead, no setting per series: live,
//! `replay` and `backtest` run this very code; `backtest --scores` is it alone, elsewhere bands, floors
//! and the budget are asked too. Guarantees: verdicts are finite for any values and
//! times; a snapshot goes on exactly alike; multiplying a series by a power of two changes nothing.
//! It reads no clock and knows nothing of what a series means: what matters in practice is decided
//! by whoever asks.

mod code;
mod count;
mod entity;
mod episode;
mod level;
pub(super) mod packed;
mod pool;
mod row;
mod season;
mod sketch;
mod story;
#[cfg(test)]
mod tests;
mod track;
mod views;

pub use count::{Count, Sample};
pub use entity::{Entity, Verdict};
pub use episode::Told;
pub use pool::{Age, Class, Kind, Pool};
pub use track::{Judgement, RARITY, Track, VIEW_NAMES, VIEWS};

/// Bytes of state of an entity of one series.
pub const BYTES: usize = size_of::<Entity>() + size_of::<Track>();
