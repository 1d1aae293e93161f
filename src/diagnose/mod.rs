//! Diagnose: takes incidents, gives ranked hypotheses with their evidence, and says what it could
//! not read.
//!
//! Hears `Incident`, `Change` and sweeps; publishes `Diagnosis`. Guarantees: the ranking is pure
//! and deterministic (the same input gives the same order and figures); every hypothesis' score
//! splits into parts; the telemetry around an onset is weighed by [`weigh`](mod@weigh), here and for
//! recorded cases ([`case`]); what could not be read is a gap. Each revision is written with its evidence
//! in one transaction.

mod calls;
pub mod case;
mod explain;
mod gather;
mod input;
mod lines;
mod onset;
mod past;
mod rank;
mod signals;
mod stage;
mod symptom;
#[cfg(test)]
mod tests;
pub mod weigh;
mod weighed;
mod words;

pub use calls::{Calls, CallsByEdge};
pub use input::{Input, LogSign, Onset, Past, Proofs, Ranked};
pub use rank::rank;
pub use stage::Diagnose;
pub use weighed::{Standing, Standings};
