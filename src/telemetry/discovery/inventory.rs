//! What a Prometheus has, as far as the recipes care: one question for names, then one for each
//! metric that a recipe stands on.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::catalogue::{matchers_of, questions};
use crate::model::Labels;
use crate::telemetry::prometheus::{Client, QueryError};

/// Metrics and the distinct label sets of those that recipes stand on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// All metric names.
    pub names: BTreeSet<String>,
    /// By metric: the distinct sets of the labels that matter.
    pub rows: BTreeMap<String, Vec<Labels>>,
    /// Longest scrape interval in milliseconds, where the server tells it.
    pub scrape_interval_ms: Option<i64>,
    /// Matchers that every query is to carry, joined with commas.
    pub matchers: String,
    /// The window of rates in milliseconds.
    pub window_ms: i64,
    /// Most series to watch.
    pub max_series: usize,
}

/// Asks a server what it has. Metrics whose question fails are treated as missing and named in
/// the log; they are found by the next discovery.
///
/// # Errors
/// The names can't be read.
pub async fn inventory(client: &Client, concurrency: usize) -> Result<Inventory, QueryError> {
    let names: BTreeSet<String> = client.metric_names().await?.into_iter().collect();
    let asked = questions().into_iter().filter(|(name, _)| names.contains(name));
    let rows: BTreeMap<String, Vec<Labels>> = stream::iter(asked)
        .map(|(name, labels)| async move {
            let labels: Vec<String> = labels.into_iter().collect();
            let matchers: Vec<&str> = [matchers_of(&name), client.matchers()]
                .into_iter()
                .filter(|m| !m.is_empty())
                .collect();
            let promql =
                format!("count by ({}) ({name}{{{}}})", labels.join(","), matchers.join(","));
            match client.instant(&promql, None).await {
                Ok(rows) => Ok((name, rows.into_iter().map(|(l, _)| l).collect())),
                Err(e) if e.is_transient() => Err(e),
                Err(e) => {
                    tracing::warn!(metric = name, error = %e, "a metric can't be examined");
                    Ok((name, Vec::new()))
                }
            }
        })
        .buffered(concurrency.max(1))
        .try_collect()
        .await?;
    Ok(Inventory {
        names,
        rows,
        scrape_interval_ms: client.scrape_interval_ms().await,
        matchers: client.matchers().to_owned(),
        window_ms: 60_000,
        max_series: 5_000,
    })
}
