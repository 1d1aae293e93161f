//! Prometheus servers as a source of metrics.
//!
//! Takes a server's address (and queries, or none: then [`super::discovery`] finds the golden
//! signals); gives batches of points to the intake: first history to learn from, in order of
//! time, then everything from where it last stopped. What can't be read becomes a gap and is
//! asked again later, so a server that was away leaves no hole.

mod client;
mod pending;
mod poll;
mod watch;
mod wire;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::signal::Direction;
use crate::model::{EntityRef, Indicator, Secret};

pub use client::{Client, MAX_POINTS, QueryError};
pub use poll::{Poller, Progress, survey};
pub use watch::{
    Cursor, EntityRule, HOST_LABELS, ROW, SERVICE_LABELS, Watch, entity_name, escaped,
};
pub use wire::{Dropped, MetricMetadata, RangeRow, Sample, duration_ms, duration_text, points};

/// One Prometheus server to poll, or anything that speaks its API.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusConfig {
    /// Its name in series, gaps and answers.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its address, with a path prefix where it has one: `http://prometheus:9090`.
    pub url: String,
    /// Bearer token.
    pub bearer_token: Option<Secret>,
    /// Further headers, such as `X-Scope-OrgID`.
    pub headers: BTreeMap<String, Secret>,
    /// Seconds of event time between polls.
    #[schemars(range(min = 1))]
    pub interval_s: u32,
    /// Seconds between points; raised to the scrape interval where that is longer.
    #[schemars(range(min = 1))]
    pub step_s: u32,
    /// Scrape interval in seconds, for servers that do not tell it. Rates are taken over at least
    /// four of them.
    pub scrape_interval_s: Option<u32>,
    /// Shortest window in seconds over which rates are taken.
    pub rate_window_s: u32,
    /// Seconds until a question is given up.
    #[schemars(range(min = 1))]
    pub timeout_s: u32,
    /// Longest answer that is read, in MiB.
    #[schemars(range(min = 1))]
    pub max_body_mib: u32,
    /// Questions at the same time.
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: u32,
    /// Days of history to learn from at the first start.
    pub backfill_days: u32,
    /// Seconds between points of that history.
    #[schemars(range(min = 1))]
    pub backfill_step_s: u32,
    /// What to watch; empty: the golden signals are discovered.
    pub queries: Vec<QueryConfig>,
    /// Discover golden signals beside configured queries.
    pub discover: bool,
    /// Seconds of event time between discoveries.
    #[schemars(range(min = 1))]
    pub discover_every_s: u32,
    /// Matchers that every discovered query carries, such as `namespace="shop"`.
    pub matchers: Vec<String>,
    /// Most series that discovery may watch; the rest is left out and listed.
    #[schemars(range(min = 1))]
    pub max_series: u32,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            name: "prometheus".into(),
            url: "http://127.0.0.1:9090".into(),
            bearer_token: None,
            headers: BTreeMap::new(),
            interval_s: 15,
            step_s: 15,
            scrape_interval_s: None,
            rate_window_s: 60,
            timeout_s: 30,
            max_body_mib: 64,
            concurrency: 4,
            backfill_days: 14,
            backfill_step_s: 300,
            queries: Vec::new(),
            discover: false,
            discover_every_s: 300,
            matchers: Vec::new(),
            max_series: 5_000,
        }
    }
}

impl fmt::Debug for PrometheusConfig {
    /// Without secrets: token, header values, user information of the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusConfig")
            .field("name", &self.name)
            .field("url", &super::redact::redact(&self.url))
            .field("bearer_token", &self.bearer_token)
            .field("headers", &self.headers)
            .field("n_queries", &self.queries.len())
            .finish_non_exhaustive()
    }
}

impl PrometheusConfig {
    /// Whether golden signals are discovered.
    #[must_use]
    pub fn discovers(&self) -> bool {
        self.discover || self.queries.is_empty()
    }

    /// The window of rates in milliseconds for a scrape interval: at least four scrapes, so that
    /// one lost scrape leaves enough points, and at least the configured shortest.
    #[must_use]
    pub fn window_ms(&self, scrape_ms: i64) -> i64 {
        (4 * scrape_ms).max(i64::from(self.rate_window_s) * 1_000)
    }
}

/// One configured query; each of its rows is a series.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryConfig {
    /// The expression; `{window}` stands for the window of rates.
    #[schemars(length(min = 1))]
    pub promql: String,
    /// A readable name for its series.
    #[schemars(length(min = 1))]
    pub metric: String,
    /// Which signal it carries.
    #[serde(default = "custom")]
    pub indicator: Indicator,
    /// Unit as in UCUM: `s`, `1`, `By`, `{request}/s`.
    #[serde(default)]
    pub unit: String,
    /// Which departures are bad.
    #[serde(default = "both")]
    pub direction: Direction,
    /// The label that names what a row is about; the usual ones are tried where it is missing.
    #[serde(default)]
    pub entity_label: Option<String>,
    /// The attribute that names it: `service.name` where it is missing.
    #[serde(default)]
    pub entity_attribute: Option<String>,
    /// One entity for all rows, such as `service.name=checkout`.
    #[serde(default)]
    pub entity: Option<EntityRef>,
    /// The upper limit, where it is known.
    #[serde(default)]
    pub limit: Option<f64>,
}

fn custom() -> Indicator {
    Indicator::Custom
}

fn both() -> Direction {
    Direction::Both
}

impl QueryConfig {
    /// The watch that it asks for.
    #[must_use]
    pub fn watch(&self, window_ms: i64) -> Watch {
        Watch {
            recipe: "configured".into(),
            metric: self.metric.clone(),
            promql: self.promql.replace("{window}", &duration_text(window_ms)),
            row_template: None,
            entity: EntityRule {
                label: self.entity_label.clone(),
                attribute: self.entity_attribute.clone(),
                fixed: self.entity.clone(),
                ..EntityRule::default()
            },
            indicator: self.indicator,
            unit: self.unit.clone(),
            direction: self.direction,
            limit: self.limit,
            limit_promql: None,
            n_series: 0,
            why: "it is configured".into(),
        }
    }
}
