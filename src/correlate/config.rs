//! What correlation can be told: how long to wait, how far to look, when to be quiet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::priority::Rule;
use super::quiet::{Flap, Hold, Inhibit};
use crate::model::alert::Condition;

/// Settings of correlation. Times are event time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Seconds that an alert waits for others before it opens an incident, unless it is urgent; and
    /// that an incident must be old when what a fix is offered for was looked at.
    pub group_wait_s: u32,
    /// Minutes after a cause's onset within which what depends on it joins its incident.
    #[schemars(range(min = 1))]
    pub join_window_min: u32,
    /// Hops along the service graph over which alerts are related.
    pub max_hops: u32,
    /// Minutes after which a single weak alert opens an incident all the same.
    pub weak_hold_min: u32,
    /// Whether an alert of severity `info` may ever open an incident by itself.
    pub info_opens: bool,
    /// Seconds after a change during which a departure of only that entity is held back; never one
    /// that another system calls critical.
    pub deploy_tolerance_s: u32,
    /// Score from which such a departure is not held back.
    pub deploy_score: f64,
    /// Seconds without a firing alert after which an incident is resolved.
    #[schemars(range(min = 1))]
    pub quiet_s: u32,
    /// Minutes after its end within which the same trouble reopens an incident.
    pub reopen_min: u32,
    /// When an incident is a page.
    pub priority: Rule,
    /// When a condition that comes and goes opens nothing more.
    pub flap: Flap,
    /// Alerts that keep others quiet while they fire.
    pub inhibit: Vec<Inhibit>,
    /// Conditions that open an incident only after several times, or after a while.
    pub hold: Vec<Hold>,
    /// Labels that tell copies of the system apart: what a fault in one of them explains is in it.
    pub scope_labels: Vec<String>,
    /// Labels that do not make another condition: an alert that differs only in these repeats the
    /// other.
    pub same_without: Vec<String>,
    /// Labels that alone make a condition, where an alert has any of them; empty: all but
    /// `same_without`.
    pub same_by: Vec<String>,
}

impl Config {
    /// What makes the condition of other systems' alerts.
    #[must_use]
    pub fn condition(&self) -> Condition {
        Condition { by: self.same_by.clone(), without: self.same_without.clone() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group_wait_s: 20,
            join_window_min: 30,
            max_hops: 2,
            weak_hold_min: 10,
            info_opens: false,
            deploy_tolerance_s: 240,
            deploy_score: 40.0,
            quiet_s: 300,
            reopen_min: 30,
            priority: Rule::default(),
            flap: Flap::default(),
            inhibit: Vec::new(),
            hold: Vec::new(),
            scope_labels: ["cluster", "k8s.cluster.name", "k8s_cluster", "region", "environment"]
                .map(str::to_owned)
                .to_vec(),
            same_without: ["severity", "prometheus", "prometheus_replica", "replica"]
                .map(str::to_owned)
                .to_vec(),
            same_by: Vec::new(),
        }
    }
}
