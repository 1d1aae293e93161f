//! The shipped recipes, as data, and the questions that follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::model::Indicator;
use crate::model::signal::Direction;
use crate::telemetry::prometheus::{HOST_LABELS, SERVICE_LABELS};

/// All recipes, in order of preference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalogue {
    /// Rate, errors and duration of requests.
    pub(super) requests: Vec<Requests>,
    /// Everything else.
    pub(super) resource: Vec<Resource>,
}

/// A recipe for rate, errors and duration of a service's requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Requests {
    pub(super) id: String,
    pub(super) title: String,
    /// What its series are called.
    pub(super) name: String,
    /// Counter of requests; the histogram's `_count` where it is missing.
    pub(super) counter: Option<String>,
    /// Histogram or summary of durations, without `_bucket`.
    pub(super) histogram: String,
    /// Seconds in one unit of the histogram.
    #[serde(default = "one")]
    pub(super) scale: f64,
    /// Labels that name the service, best first.
    #[serde(default)]
    pub(super) by: By,
    /// Further matchers.
    #[serde(default, rename = "where")]
    pub(super) matchers: String,
    /// `http` and `grpc`: by the status labels that are there; otherwise a matcher.
    pub(super) errors: String,
}

/// A recipe for signals of a resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resource {
    pub(super) id: String,
    pub(super) title: String,
    /// The metric whose series say who has the resource.
    pub(super) anchor: String,
    /// 1 first, 3 last, when the cap on series is reached.
    pub(super) tier: u8,
    #[serde(default)]
    pub(super) by: By,
    /// Attribute of the entity; by `by` where it is missing.
    pub(super) attribute: Option<String>,
    /// Labels kept beside the entity's own.
    #[serde(default)]
    pub(super) keep: Vec<String>,
    #[serde(default, rename = "where")]
    pub(super) matchers: String,
    pub(super) signal: Vec<Signal>,
}

/// One signal of a resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signal {
    /// Each entity has one series (or group of series) a slot; the first recipe takes it.
    pub(super) slot: String,
    pub(super) metric: String,
    pub(super) indicator: Indicator,
    pub(super) unit: String,
    pub(super) direction: Direction,
    /// Metrics that must exist beside the anchor.
    #[serde(default)]
    pub(super) needs: Vec<String>,
    pub(super) promql: String,
    pub(super) limit: Option<f64>,
    pub(super) limit_promql: Option<String>,
}

/// Labels that name the entity: a list, or `service`, `host`, `server`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum By {
    Named(String),
    Labels(Vec<String>),
}

impl Default for By {
    fn default() -> Self {
        Self::Named("service".into())
    }
}

impl By {
    /// The labels, best first.
    pub(super) fn labels(&self) -> Vec<&str> {
        match self {
            Self::Labels(labels) => labels.iter().map(String::as_str).collect(),
            Self::Named(name) => match name.as_str() {
                "host" => HOST_LABELS.to_vec(),
                // A database server is known by where its exporter looks, not by the job.
                "server" => vec!["server", "server_id", "cluster", "instance"],
                _ => SERVICE_LABELS.to_vec(),
            },
        }
    }

    /// The attribute of what they name.
    pub(super) fn attribute(&self) -> &'static str {
        match self {
            Self::Named(name) if name == "host" => "host.name",
            _ => "service.name",
        }
    }
}

fn one() -> f64 {
    1.0
}

/// Labels that carry the status of an HTTP answer.
pub(super) const HTTP_STATUS: [&str; 9] = [
    "http_response_status_code",
    "http_status_code",
    "status_code",
    "response_code",
    "code",
    "status",
    "http_code",
    "status_class",
    "outcome",
];

/// Labels that carry the status of an RPC.
pub(super) const GRPC_STATUS: [&str; 4] =
    ["grpc_code", "rpc_grpc_status_code", "rpc_response_status_code", "code"];

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    toml::from_str(include_str!("recipes.toml")).expect("the shipped recipes, read by a test")
});

pub(super) fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

impl Requests {
    /// The metric whose series say who answers requests.
    pub(super) fn anchor(&self) -> String {
        self.counter.clone().unwrap_or_else(|| format!("{}_count", self.histogram))
    }
}

/// The metrics whose series must be known, each with the labels that matter of it.
pub(super) fn questions() -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |anchor: String, labels: Vec<&str>| {
        let set = all.entry(anchor).or_default();
        set.extend(labels.into_iter().chain(["job", "instance"]).map(str::to_owned));
    };
    for r in &catalogue().requests {
        let status: &[&str] = match r.errors.as_str() {
            "http" => &HTTP_STATUS,
            "grpc" => &GRPC_STATUS,
            _ => &[],
        };
        let labels: Vec<&str> = r.by.labels().into_iter().chain(status.iter().copied()).collect();
        add(r.anchor(), labels.clone());
        // A native histogram has no other name than this.
        add(r.histogram.clone(), labels);
        if r.counter.is_some() {
            add(format!("{}_count", r.histogram), r.by.labels());
        }
    }
    for r in &catalogue().resource {
        let keep = r.keep.iter().map(String::as_str);
        add(r.anchor.clone(), r.by.labels().into_iter().chain(keep).collect());
    }
    add("node_uname_info".into(), vec!["nodename"]);
    all
}

/// The further matchers of the recipes on a metric, which bound what is asked.
pub(super) fn matchers_of(anchor: &str) -> &'static str {
    let mut found = catalogue()
        .requests
        .iter()
        .filter(|r| r.anchor() == anchor)
        .map(|r| r.matchers.as_str())
        .chain(
            catalogue().resource.iter().filter(|r| r.anchor == anchor).map(|r| r.matchers.as_str()),
        );
    let first = found.next().unwrap_or("");
    if found.all(|other| other == first) { first } else { "" }
}
