//! What the alert budget can be told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the alert budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// About how many anomalies a day are told of, over all series; 0 tells of all.
    #[schemars(range(min = 0))]
    pub anomalies_per_day: f64,
    /// What is likelier than this on a quiet series is never told of, whatever is unspent: the
    /// chance that one point begins such an episode.
    pub most_p: f64,
    /// A critical episode at most this likely is always told of, whatever was spent.
    pub strong_p: f64,
    /// What of an hour's episodes in the reserved lane the days around pay for, as a share of the
    /// day's budget (at least one episode): 0 lets outages cost the budget nothing, 1 lets one hour
    /// of an outage use up a day.
    pub reserved_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { anomalies_per_day: 10.0, most_p: 1e-3, strong_p: 1e-8, reserved_share: 0.25 }
    }
}

impl Config {
    /// Whether anything is held back for the sake of a budget.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.anomalies_per_day > 0.0
    }

    /// What is wrong with it: the key and what to do.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        if !(0.0..=1e6).contains(&self.anomalies_per_day) {
            let text = "expected a number of anomalies a day from 0 (no budget) to 1000000";
            return Some(("anomalies_per_day", text.into()));
        }
        if !(self.most_p > 0.0 && self.most_p <= 1.0) {
            return Some(("most_p", "expected a chance above 0 and up to 1".into()));
        }
        if !(self.strong_p > 0.0 && self.strong_p <= self.most_p) {
            let text = format!("expected a chance above 0 and up to most_p, {}", self.most_p);
            return Some(("strong_p", text));
        }
        if !(0.0..=1.0).contains(&self.reserved_share) {
            let text = "expected a share of the day's budget from 0 to 1";
            return Some(("reserved_share", text.into()));
        }
        None
    }

    /// The least surprise (`-ln p`) that is told of.
    #[must_use]
    pub fn least(&self) -> f64 {
        -self.most_p.clamp(1e-300, 1.0).ln()
    }

    /// The least surprise of the reserved lane.
    #[must_use]
    pub fn strong(&self) -> f64 {
        -self.strong_p.clamp(1e-300, 1.0).ln()
    }
}
