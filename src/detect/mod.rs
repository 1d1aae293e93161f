//! Detect: takes batches in the order of the journal, gives anomalies and alerts.
//!
//! Publishes `Alert` for every alert that began, changed or ended. Guarantees: each batch is judged
//! once in order; anomalies, alerts and the place reached are written in one transaction, and ids
//! are derived from their input, so a crash neither loses nor repeats anything. State is
//! snapshotted with its place in the journal; a start restores it and reads on from there.
//!
//! What recurs is no anomaly: the hours of the week (`seasonal`), periods of a series' own
//! (`cycle`), holidays (`calendar`) and, once it has lasted, a change for good (`regime`).

mod admit;
mod apart;
mod bars;
mod beside;
pub mod budget;
pub mod business;
mod calendar;
mod config;
mod counts;
mod cycle;
pub mod drift;
pub mod ensemble;
mod episode;
mod flatline;
mod footprint;
pub mod forecast;
mod gap;
mod grounds;
mod habit;
mod harmless;
mod heartbeat;
pub mod lifecycle;
mod logs;
mod missing;
mod peers;
mod pooled;
mod ratio;
mod regime;
mod reorder;
mod rollup;
mod seasonal;
mod series;
mod shard;
mod share;
mod since;
mod skew;
pub mod slo;
mod spans;
mod spread;
mod stage;
mod telling;
#[cfg(test)]
mod tests;
mod usual;
mod view;
mod window;

pub use admit::Detectors;
pub use bars::{Bar, Bars};
pub use config::{Config, Floor, LogConfig};
pub use footprint::Footprint;
pub use pooled::{Heard, PooledRate, PooledReport};
pub use shard::{Counts, Shard};
pub use stage::{Detect, SharedShard};
pub use view::{Detector, Facts, Opinion, fuse};
