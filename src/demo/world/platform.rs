//! What the shop's platform says about what is no service: network policies, indexes, nodes.

use super::frame::{Place, item};
use super::{What, World};
use crate::demo::scenario::{Operation, scenarios};
use crate::demo::town::{CORES, DATABASES, NODES, SERVICES};
use crate::model::Time;

/// Indexes that every database has from the beginning, as `table(column)`.
const INDEXES: [&[&str]; 3] = [
    &["orders(id)", "orders(customer_id)", "order_items(order_id)"],
    &["accounts(id)", "sessions(token)"],
    &["products(id)", "products(slug)", "stock(product_id)"],
];

impl World {
    /// Revision of a network policy at a time, counted up from 1 with every change and every
    /// revert; `None` when there is no such policy.
    #[must_use]
    pub fn policy_revision(&self, policy: &str, at: Time) -> Option<usize> {
        let of = |change: &crate::demo::scenario::ChangePlan| {
            change.policy.as_deref().is_some_and(|p| p == policy)
        };
        let known = scenarios().iter().any(|s| s.change.as_ref().is_some_and(of));
        known.then(|| {
            let changed = self
                .episodes
                .iter()
                .filter(|e| e.from <= at && e.scenario.change.as_ref().is_some_and(of))
                .count();
            let reverted = self
                .events
                .iter()
                .filter(|e| {
                    e.at <= at
                        && matches!(&e.what, What::Operate(Operation::RevertPolicy { policy: p })
                            if p == policy)
                })
                .count();
            1 + changed + reverted
        })
    }

    /// Indexes of a database (by position) at a time, as `table(column)`, in order of creation.
    #[must_use]
    pub fn indexes(&self, database: usize, at: Time) -> Vec<String> {
        let mut all: Vec<String> = INDEXES[database].iter().map(ToString::to_string).collect();
        for event in self.events.iter().filter(|e| e.at <= at) {
            if let What::Operate(Operation::Index { database: name, table, column }) = &event.what
                && *name == DATABASES[database].name
            {
                let index = format!("{table}({column})");
                if !all.contains(&index) {
                    all.push(index);
                }
            }
        }
        all
    }

    /// When a service (by position) was restarted within a range, in order.
    pub(super) fn restarts(
        &self,
        service: usize,
        since: Time,
        until: Time,
    ) -> impl Iterator<Item = Time> {
        let ours = move |what: &What| {
            matches!(what, What::Operate(Operation::Restart { service: name })
                if name == SERVICES[service].name)
        };
        self.events
            .iter()
            .filter(move |e| since <= e.at && e.at <= until && ours(&e.what))
            .map(|e| e.at)
    }

    /// Whether any instance of a service runs on a node at a time.
    #[must_use]
    pub fn runs_on(&self, service: usize, node: usize, at: Time) -> bool {
        (0..SERVICES[service].replicas).any(|replica| self.node_of(service, replica, at) == node)
    }

    /// The node with the most idle cores besides one; the first of equals.
    #[must_use]
    pub fn most_idle_node(&self, besides: usize, at: Time) -> usize {
        let idle = |n: usize| self.frame(Place::Node(n), at, false)[item::IDLE] * CORES as f64;
        (0..NODES.len())
            .filter(|n| *n != besides)
            .rev()
            .max_by(|a, b| idle(*a).total_cmp(&idle(*b)))
            .expect("the cluster has more than one node")
    }
}
