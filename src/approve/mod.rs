//! Approve: takes diagnoses and people's decisions, gives proposals and, after the decisions that
//! policy asks for, the one [`ApprovedAction`] that an executor will take.
//!
//! Hears `Diagnosis` and `Run`, and sweeps; publishes `Proposal` and `Decided`. Guarantees: a
//! decision is counted only for the plan whose digest its maker saw; approval adds to policy and
//! pre-checks and never replaces them; an [`ApprovedAction`] is made in one leaf file, from stored
//! decisions, by one compare-and-set.

mod amend;
mod claim;
mod decide;
mod offer;
mod policy;
mod propose;
mod rest;
mod revise;
#[cfg(test)]
pub(crate) mod tests;
mod undo;
mod withhold;

pub use amend::{Edit, Workshop, amend, approve_changed};
pub use claim::{ApprovedAction, HALT, Halt, claim, refuse};
pub use decide::{Choice, admissible, decide};
pub use policy::{Config, may_decide, may_edit, n_approved, requirement};
pub use propose::{Observe, Propose};
pub use withhold::{Because, WITHHELD, Withheld, withheld};
