//! Correlate: takes alerts, gives incidents: one per fault.
//!
//! Hears `Alert`, `Incident`, `Silence`, `Change` and `Tick`; publishes `Incident`. Guarantees:
//! every alert gets a recorded decision with its reason; what is urgent opens its incident at its
//! first decision, what is not waits for company (`hold`); onset order, not arrival order, relates
//! alerts; an alert never joins an incident that is over, except by reopening it within its window,
//! or quietly one that a person closed and whose condition it is; ids derive from the first
//! alert, so handling twice leaves the same state.

mod closed;
mod config;
mod correlator;
mod fit;
mod group;
mod hold;
mod home;
mod join;
mod kin;
pub mod machine;
mod maintenance;
mod part;
mod people;
mod priority;
mod quiet;
mod relate;
mod replay;
mod rest;
mod settle;
mod stage;
mod sums;
mod taxonomy;
#[cfg(test)]
mod tests;
mod text;
mod unite;

pub use crate::model::Day;
pub use config::Config;
pub use correlator::{Correlator, Decisions, Verdict};
pub use fit::Learned;
pub use maintenance::{Maintenance, plan};
pub use people::{Deed, Lessons};
pub use priority::Rule as PriorityRule;
pub use quiet::{Flap, Hold, Inhibit};
pub use replay::{Replay, Told};
pub use stage::Correlate;
