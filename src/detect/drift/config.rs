//! When a detector's version is taken out of service, and when it may come back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the watch over detectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether a version whose p-values no longer hold goes to shadow by itself. It is told either
    /// way.
    pub demote: bool,
    /// How many times the nominal rate of onsets may be seen, or how small a part of it, before
    /// that counts as drift.
    pub most_ratio: f64,
    /// Hours on end that it must drift before it is taken out, and hold before it comes back.
    #[schemars(range(min = 1))]
    pub demote_after_h: u32,
    /// Hours on end that it must hold before it comes back.
    #[schemars(range(min = 1))]
    pub promote_after_h: u32,
    /// Whether chances are told as the onsets of all series have taught, at most a factor of three
    /// from the built-in default; else what was taught is only compared with it.
    pub pool_learns: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            demote: true,
            most_ratio: 3.0,
            demote_after_h: 6,
            promote_after_h: 24,
            pool_learns: true,
        }
    }
}

impl Config {
    /// What is wrong with it: the key and what to do.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let good = self.most_ratio > 1.0 && self.most_ratio.is_finite();
        (!good).then(|| ("most_ratio", "expected a number above 1".into()))
    }
}
