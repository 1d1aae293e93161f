//! Learn: takes measured runs and people's "Not an incident", gives a [`Ledger`] that orders
//! suggestions and says why.
//!
//! Hears `Run` and `Incident`, and sweeps; publishes `Diagnosis` for open incidents whose suggestions a new
//! lesson may reorder. What
//! was taught is kept as [`Lesson`]s, one for each run and one for each false alarm, with ids
//! derived from them: a handler that runs twice teaches once, and a reopened incident takes its
//! lesson back. Guarantees: a dry run and a run that could not be measured teach nothing; the same
//! lessons give the same order, whatever order they came in. [`Causes`] tells the ranking which kinds
//! of change were the cause before. What people's judgements mean for
//! detection is [`tune`], and for alerts that nobody had to heed [`harmless`].

mod causes;
pub mod classify;
mod config;
pub mod harmless;
mod ledger;
mod lesson;
mod past;
mod stage;
#[cfg(test)]
mod tests;
pub mod tune;

pub use causes::{Causes, Confirmed, KeptCauses, Tally, confirmed};
pub use config::{Config, Patterns};
pub use harmless::Hush;
pub use ledger::{Counts, Ledger, Posterior};
pub use lesson::{Lesson, Taught, is_false_alarm, of_incident, of_run};
pub use past::Past;
pub use stage::Learn;
pub use tune::Tune;
