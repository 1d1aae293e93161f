//! Bars that people moved: for which series a departure must be how much further out and rarer
//! than configured to be called.
//!
//! A bar is a factor on two things at once: the half-widths of every view's band, and the surprise
//! (nats, `-ln` of a chance) that a departure must show and that the budget counts. With factor
//! 1.5 a band is half as wide again, and 1 in 1,000 becomes 1 in 1,000^1.5 = 31,600. Of several
//! bars that cover a series the narrowest counts; factors are not multiplied. Orders come with the
//! journal's batches and hold from the next batch on, and a bar lapses in event time, so the same
//! journal gives the same verdicts. Factors are kept within [`LEAST_FACTOR`] and [`MOST_FACTOR`],
//! whatever an order says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::tuning::{LEAST_FACTOR, MOST_FACTOR};
use crate::model::{BarOrder, BarScope, Series, Time, TuningId};

/// Bars that stand at once at most; further orders are refused and counted.
const MOST_BARS: usize = 500;

/// One bar that stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bar {
    /// For which series.
    pub scope: BarScope,
    /// How many times as wide and as rare as configured.
    pub factor: f64,
    /// Since when (event time).
    pub since: Time,
    /// When it lapses.
    pub until: Time,
    /// The proposal that it follows from.
    pub tuning: TuningId,
    /// Who pressed the button.
    pub by: String,
}

/// All bars that stand, by scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bars {
    by_scope: BTreeMap<BarScope, Bar>,
}

impl Bars {
    /// The factor for a series: 1 where no bar was moved.
    #[must_use]
    pub fn factor(&self, series: &Series) -> f64 {
        if self.by_scope.is_empty() {
            return 1.0;
        }
        // Scopes of one entity stand together; there are at most a handful.
        let from = BarScope::entity(series.entity.clone());
        self.by_scope
            .range(from..)
            .take_while(|(scope, _)| scope.entity == series.entity)
            .filter(|(scope, _)| scope.covers(series))
            .max_by_key(|(scope, _)| scope.narrowness())
            .map_or(1.0, |(_, bar)| bar.factor)
    }

    /// All of them, by scope.
    #[must_use]
    pub fn all(&self) -> Vec<Bar> {
        self.by_scope.values().cloned().collect()
    }

    /// Puts a bar, or takes back what stood where the order says 1 or makes no sense.
    pub fn obey(&mut self, order: &BarOrder, now: Time) {
        let factor = order.factor.clamp(LEAST_FACTOR, MOST_FACTOR);
        if order.factor.is_nan() || factor == 1.0 || order.until <= now {
            self.by_scope.remove(&order.scope);
            return;
        }
        if self.by_scope.len() >= MOST_BARS && !self.by_scope.contains_key(&order.scope) {
            metrics::counter!("nightjar_detect_bars_refused_total").increment(1);
            return;
        }
        let bar = Bar {
            scope: order.scope.clone(),
            factor,
            since: now,
            until: order.until,
            tuning: order.tuning,
            by: order.by.name.clone(),
        };
        self.by_scope.insert(order.scope.clone(), bar);
    }

    /// Time went on and orders came.
    pub(super) fn pass(&mut self, now: Time, orders: &[BarOrder]) {
        if !self.by_scope.is_empty() {
            self.by_scope.retain(|_, bar| now < bar.until);
        }
        for order in orders {
            self.obey(order, now);
        }
    }
}

#[cfg(test)]
mod tests;
