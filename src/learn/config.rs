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
        }
    }
}
