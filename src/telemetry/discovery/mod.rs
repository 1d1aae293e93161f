//! Finds the golden signals of a Prometheus by itself.
//!
//! Takes an inventory (which metrics exist, and how their series are labelled); gives watches,
//! and notes that say what was found, what was left out and why. Metadata is not needed: metric
//! names and labels suffice. The choice is a pure function of the inventory; the catalogue of
//! recipes is data (`recipes.toml`).

mod catalogue;
mod choose;
mod inventory;
mod pushed;
#[cfg(test)]
mod tests;

use crate::model::EntityRef;
use crate::telemetry::prometheus::Watch;

pub use choose::discover;
pub use inventory::{Inventory, inventory};
pub use pushed::{Failing, RequestMetrics, request_metrics};

/// What discovery found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discovered {
    /// What will be watched, the most important first.
    pub watches: Vec<Watch>,
    /// Entities that have at least one watch, in order.
    pub entities: Vec<EntityRef>,
    /// What was found and left out, and why, in sentences for people.
    pub notes: Vec<String>,
}

impl Discovered {
    /// The series that all watches are expected to give.
    #[must_use]
    pub fn n_series(&self) -> usize {
        self.watches.iter().map(|w| w.n_series).sum()
    }

    /// One line a watch, for `check`.
    #[must_use]
    pub fn table(&self) -> Vec<String> {
        self.watches
            .iter()
            .map(|w| format!("{}: {} series of {} ({})", w.recipe, w.n_series, w.metric, w.why))
            .collect()
    }
}
