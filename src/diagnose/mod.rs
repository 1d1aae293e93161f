//! Diagnose: takes incidents, gives ranked hypotheses with their evidence, and says what it could
//! not read.
//!
//! Hears `Incident`, `Change` and sweeps; publishes `Diagnosis`. Guarantees: the ranking is pure
//! and deterministic (the same input gives the same order and figures); every hypothesis' score
//! splits into parts; what could not be read is a gap. Each revision is written with its evidence
//! in one transaction.

mod gather;
mod rank;
mod stage;
#[cfg(test)]
mod tests;

pub use rank::{Input, Onset, Ranked, rank};
pub use stage::Diagnose;
