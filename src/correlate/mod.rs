//! Correlate: takes alerts, gives incidents: one per fault.
//!
//! Hears `Alert`, `Incident`, `Silence`, `Change` and `Tick`; publishes `Incident`. Guarantees:
//! every alert gets a recorded decision with its reason; onset order, not arrival order, relates
//! alerts; an alert never joins an incident that is over, except by reopening it within its window,
//! or quietly one that a person closed and whose condition it is; ids derive from the first
//! alert, so handling twice leaves the same state.

mod closed;
mod config;
mod correlator;
mod fit;
mod group;
mod hold;
mod kin;
pub mod machine;
mod maintenance;
mod relate;
mod replay;
mod settle;
mod stage;
#[cfg(test)]
mod tests;
mod unite;

pub use config::Config;
pub use correlator::{Correlator, Decisions, Verdict};
pub use maintenance::{Day, Maintenance, plan};
pub use replay::{Replay, Told};
pub use stage::Correlate;
