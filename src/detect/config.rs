//! What detection can be told: thresholds, times, and how small a departure may be and still matter.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::business::Business;
use crate::model::Indicator;

/// Settings of detection. The defaults suit series that are read every 10 to 60 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A value is outside when it is this many robust standard deviations (or their equivalent)
    /// from what is expected. Lower finds more and errs more.
    pub threshold: f64,
    /// A departure that is neither far out nor lasting is called only when the chance that a quiet
    /// point of the series begins like it, by the series' own past, is at most this.
    pub unusual_p: f64,
    /// A series that leaves its band more often than this a day by its own nature is told of only
    /// when it is worse than that. Error ratios, availability and traffic are never excused.
    pub usual_per_day: f64,
    /// How long a departure must last before it is called an anomaly, in seconds of event time.
    pub hold_s: u32,
    /// How long it must be back before an anomaly has ended, in seconds of event time.
    pub clear_s: u32,
    /// Least points before anything is said of a series without a profile.
    pub warm_up_points: u32,
    /// After how many hours a lasting new level counts as normal. Error ratios and availability
    /// never do.
    pub adopt_after_h: u32,
    /// How long a regular series may stay silent, in seconds of event time; at least five of its
    /// usual steps.
    #[schemars(range(min = 1))]
    pub missing_after_s: u32,
    /// How long a lively series may stand still at one value, in seconds of event time.
    #[schemars(range(min = 1))]
    pub flatline_after_s: u32,
    /// How far ahead a limit may lie to be told of, in hours.
    #[schemars(range(min = 1))]
    pub forecast_horizon_h: u32,
    /// How long before its end a certificate is told of, in hours.
    #[schemars(range(min = 1))]
    pub expiry_horizon_h: u32,
    /// How small a departure may be and still matter, per indicator; what is not named keeps its
    /// default.
    pub floors: BTreeMap<Indicator, Floor>,
    /// Logs.
    pub logs: LogConfig,
    /// Days (`2026-12-25`) that are judged as a Sunday, or as a Wednesday where they are one of a
    /// weekend. Others are recognised from what many series show.
    pub holidays: Vec<String>,
    /// By how many hours the clocks of the place are ahead of UTC: where its days begin.
    #[schemars(range(min = -12, max = 14))]
    pub utc_offset_h: f64,
    /// How many anomalies a day people are told of.
    pub budget: super::budget::Config,
    /// When a detector whose p-values no longer hold is taken out.
    pub drift: super::drift::Config,
    /// Series that are about business or cost.
    pub business: Vec<Business>,
}

/// The least departure that matters in practice: both parts are lower bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Floor {
    /// In the series' base unit (seconds, bytes, ratio, per second).
    pub absolute: f64,
    /// As a share of the expected level.
    pub relative: f64,
    /// For departures upwards: the value must be at least this.
    pub at_least: f64,
}

impl Default for Floor {
    fn default() -> Self {
        Self { absolute: 0.0, relative: 0.3, at_least: f64::MIN }
    }
}

/// Settings for log templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Templates kept per entity.
    #[schemars(range(min = 1))]
    pub templates: u32,
    /// For how many seconds logs must have been read before a template can be new.
    pub warm_up_s: u32,
    /// Lines of a new error template within two minutes that make it an anomaly.
    #[schemars(range(min = 1))]
    pub new_lines: u32,
    /// Lines a minute below which no burst is called.
    #[schemars(range(min = 1))]
    pub burst_lines: u32,
    /// How many times the usual rate a burst must be.
    pub burst_ratio: f64,
    /// Seconds without a burst after which it has ended.
    pub clear_s: u32,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            templates: 200,
            warm_up_s: 600,
            new_lines: 3,
            burst_lines: 20,
            burst_ratio: 5.0,
            clear_s: 180,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            threshold: 4.0,
            unusual_p: 0.001,
            usual_per_day: 0.5,
            hold_s: 60,
            clear_s: 120,
            warm_up_points: 40,
            adopt_after_h: 24,
            missing_after_s: 180,
            flatline_after_s: 900,
            forecast_horizon_h: 72,
            expiry_horizon_h: 336,
            floors: BTreeMap::new(),
            logs: LogConfig::default(),
            holidays: Vec::new(),
            utc_offset_h: 0.0,
            budget: super::budget::Config::default(),
            drift: super::drift::Config::default(),
            business: Vec::new(),
        }
    }
}

impl Config {
    /// The floor of an indicator: what was configured, or the default that is argued below.
    #[must_use]
    pub fn floor(&self, indicator: Indicator) -> Floor {
        self.floors.get(&indicator).copied().unwrap_or_else(|| default_floor(indicator))
    }
}

/// What an experienced operator would not get up for is below these.
fn default_floor(indicator: Indicator) -> Floor {
    let (absolute, relative, at_least) = match indicator {
        // Halving or doubling traffic matters; a few requests on a quiet service don't.
        Indicator::Rate => (0.5, 0.5, f64::MIN),
        // Two failing requests in a hundred more than usual.
        Indicator::Errors => (0.02, 0.5, f64::MIN),
        // Half as slow again, and at least 25 ms: people don't feel less.
        Indicator::Duration => (0.025, 0.5, f64::MIN),
        // A resource that is busier than usual is harmless until it is nearly used up.
        Indicator::Utilization => (0.1, 0.2, 0.75),
        // Something waits: at least one unit of it, or a tenth of the time where it is a ratio.
        Indicator::Saturation => (0.1, 1.0, f64::MIN),
        Indicator::Availability => (0.05, 0.05, f64::MIN),
        Indicator::Usage | Indicator::Custom => (0.0, 0.3, f64::MIN),
    };
    Floor { absolute, relative, at_least }
}

/// How many base units one unit is: `ms` is a thousandth of `s`, so a floor of 0.025 s is 25 ms.
#[must_use]
pub(super) fn units_per_base(unit: &str) -> f64 {
    match unit {
        "ms" => 1e3,
        "us" => 1e6,
        "ns" => 1e9,
        "%" => 100.0,
        _ => 1.0,
    }
}
