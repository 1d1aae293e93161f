//! Patterns that people confirmed to be harmless: an alert that falls under one is marked with it.
//!
//! Orders come with the journal's batches and hold from the next batch on, and a pattern lapses in
//! event time, so the same journal marks the same alerts. What a mark means is correlation's to
//! say: a marked alert joins incidents and opens none, for as long as the pattern stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::alert::HARMLESS;
use crate::model::harmless::{HarmlessOrder, HarmlessScope};
use crate::model::{Alert, HarmlessId, Time};

/// Patterns that hold at once at most; further orders are refused and counted.
const MOST: usize = 500;

/// The patterns that hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Marks {
    by_id: BTreeMap<HarmlessId, Mark>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    scope: HarmlessScope,
    until: Time,
}

impl Marks {
    /// Time went on and orders came.
    pub(super) fn pass(&mut self, now: Time, orders: &[HarmlessOrder]) {
        self.by_id.retain(|_, mark| now < mark.until);
        for order in orders {
            if order.until <= now {
                self.by_id.remove(&order.id);
            } else if self.by_id.len() >= MOST && !self.by_id.contains_key(&order.id) {
                metrics::counter!("nightjar_detect_harmless_refused_total").increment(1);
            } else {
                let mark = Mark { scope: order.scope.clone(), until: order.until };
                self.by_id.insert(order.id, mark);
            }
        }
    }

    /// Marks an alert that falls under a pattern.
    pub(super) fn mark(&self, alert: &mut Alert) {
        let found = self
            .by_id
            .iter()
            .find(|(_, m)| alert.updated_at < m.until && m.scope.covers(alert))
            .map(|(id, _)| *id);
        if let Some(id) = found {
            alert.annotations.set(HARMLESS, id.to_string());
        }
    }
}
