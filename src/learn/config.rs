//! What learning can be told: when judgements become a proposed change of detection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of proposals that follow from people's judgements of incidents. Nothing is applied by
/// itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether changes of detection are proposed at all.
    pub propose: bool,
    /// Judgements that speak for a change before it is proposed.
    #[schemars(range(min = 2, max = 100))]
    pub judgements: u32,
    /// How old a judgement may be, in days.
    #[schemars(range(min = 1, max = 365))]
    pub judgements_days: u32,
    /// How much stored history a proposal is tried on, in days.
    #[schemars(range(min = 1, max = 90))]
    pub history_days: u32,
    /// How long a proposal can be decided, in days.
    #[schemars(range(min = 1, max = 90))]
    pub decide_days: u32,
    /// How long an applied change holds before it lapses and has to be earned anew, in days.
    #[schemars(range(min = 1, max = 365))]
    pub holds_days: u32,
    /// New alerts a week that a lowered bar may bring at most.
    #[schemars(range(min = 0))]
    pub new_per_week: f64,
    /// Patterns of alerts that are harmless.
    pub harmless: Patterns,
    /// The classifier of incidents.
    pub classify: super::classify::Config,
}

/// When a pattern of alerts is taken to be harmless. None keeps anything quiet before a person
/// confirmed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Patterns {
    /// Whether patterns are proposed at all.
    pub propose: bool,
    /// Incidents of one kind that speak for a pattern: one called none counts 1, one that ended by
    /// itself without anybody doing anything ½.
    #[schemars(range(min = 2, max = 100))]
    pub least: u32,
    /// How long a pattern counts in shadow before a person is asked, in days.
    #[schemars(range(min = 1, max = 90))]
    pub shadow_days: u32,
    /// Alerts that it must have counted by then.
    #[schemars(range(min = 1, max = 1_000))]
    pub shadow_least: u32,
    /// How long a confirmed pattern holds before its shadow begins anew, in days.
    #[schemars(range(min = 1, max = 365))]
    pub holds_days: u32,
    /// Hours after an alert within which a confirmed incident near it counts as having followed.
    #[schemars(range(min = 1, max = 48))]
    pub follow_h: u32,
}

impl Default for Patterns {
    fn default() -> Self {
        Self {
            propose: true,
            least: 3,
            shadow_days: 7,
            shadow_least: 3,
            holds_days: 28,
            follow_h: 2,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            propose: true,
            judgements: 3,
            judgements_days: 56,
            history_days: 14,
            decide_days: 14,
            holds_days: 56,
            new_per_week: 1.0,
            harmless: Patterns::default(),
            classify: super::classify::Config::default(),
        }
    }
}
