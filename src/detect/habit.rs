//! What is known of how a series departs in time: a period of its own, and whether it lives by
//! other rules since a while. Only series that departed have one.

use serde::{Deserialize, Serialize};

use super::cycle::{Cycle, Due};
use super::regime::Regime;
use crate::model::Time;

/// Departures in time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Habit {
    pub(super) cycle: Cycle,
    pub(super) regime: Option<Regime>,
}

impl Habit {
    /// The severity up to which a departure that began at a time and is so far out (octaves) is not
    /// called: one of its period is due, or a change of regime has been told.
    pub(super) fn excused(&self, since: Time, size: f64) -> Option<f64> {
        if self.regime.as_ref().is_some_and(|r| r.covers(size)) {
            return Some(f64::INFINITY);
        }
        match self.cycle.due(since) {
            Due::Now(limit) => Some(limit),
            Due::Not | Due::Unknown => None,
        }
    }

    /// Goes on by a live point.
    pub(super) fn step(&mut self, at: Time, departing: bool) {
        if let Some(regime) = &mut self.regime {
            regime.step(at, departing);
            if regime.is_over() {
                self.regime = None;
            }
        }
    }

    /// Whether most hours depart since a departure was called: they are not learned bit by bit,
    /// but all at once when they count as normal.
    pub(super) fn is_unsettled(&self) -> bool {
        self.regime.as_ref().is_some_and(Regime::lasts)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.cycle.heap_bytes()
    }
}
