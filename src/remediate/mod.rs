//! Remediate: takes approved proposals, runs each once, then measures whether it helped.
//!
//! Hears `Decided` and `Tick`, and sweeps; publishes `Run`, `Proposal` and `Incident`. Guarantees:
//! nothing acts on the customer's systems but [`Executor::run`], which takes an
//! [`crate::approve::ApprovedAction`] by value; an executor answers done, not sent or unknown, and unknown is never
//! retried; a run that was claimed and not recorded (a crash between) is marked unknown at the
//! next start and a person is asked.

mod command;
mod config;
mod executor;
mod http;
mod measure;
mod stage;
#[cfg(test)]
mod tests;
pub mod verify;

pub use config::{CommandRule, Config, HostRule};
pub use executor::{Executed, Executor, Executors};
pub use http::read_state;
pub use measure::recovered_at;
pub use stage::Remediate;
