//! The recipes for requests as they apply to series that are pushed: by names and labels alone.

use super::catalogue::{GRPC_STATUS, HTTP_STATUS, catalogue};
use crate::model::Labels;

/// The metrics of one kind of requests.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    /// What its series are called.
    pub name: String,
    /// Counter of requests, where there is one beside the histogram.
    pub counter: Option<String>,
    /// Histogram of durations, without `_bucket`.
    pub histogram: String,
    /// Seconds in one unit of the histogram.
    pub scale: f64,
    /// Only series with this label value.
    pub only: Option<(String, String)>,
    /// Which series count failures.
    pub failing: Failing,
}

/// Which series count failed requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failing {
    /// An HTTP status of 5xx, or the words that frameworks have for it.
    Http,
    /// A gRPC code that blames the server.
    Grpc,
    /// This value of this label.
    Label(String, String),
}

impl Failing {
    /// Whether a series with these labels counts failures.
    #[must_use]
    pub fn is_failed(&self, labels: &Labels) -> bool {
        let value = |names: &'static [&'static str]| {
            names.iter().filter_map(|n| labels.get(n)).find(|v| !v.is_empty())
        };
        match self {
            Self::Label(name, wanted) => labels.get(name) == Some(wanted),
            Self::Http => value(&HTTP_STATUS).is_some_and(|v| {
                let class = v.len() == 3 && v.starts_with('5');
                class || v.eq_ignore_ascii_case("SERVER_ERROR") || v.eq_ignore_ascii_case("error")
            }),
            // https://grpc.io/docs/guides/status-codes/
            Self::Grpc => value(&GRPC_STATUS).is_some_and(|v| {
                let word: String = v
                    .chars()
                    .filter(char::is_ascii_alphanumeric)
                    .collect::<String>()
                    .to_lowercase();
                matches!(
                    word.as_str(),
                    "2" | "4"
                        | "8"
                        | "13"
                        | "14"
                        | "15"
                        | "unknown"
                        | "deadlineexceeded"
                        | "resourceexhausted"
                        | "internal"
                        | "unavailable"
                        | "dataloss"
                )
            }),
        }
    }
}

/// `label="value"`, as the catalogue writes matchers.
fn equality(matcher: &str) -> Option<(String, String)> {
    let (name, value) = matcher.split_once('=')?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    Some((name.to_owned(), value.to_owned()))
}

/// The shipped recipes for requests, in order of preference, each histogram once.
#[must_use]
pub fn request_metrics() -> Vec<RequestMetrics> {
    let mut all: Vec<RequestMetrics> = Vec::new();
    for r in &catalogue().requests {
        if all.iter().any(|known| known.histogram == r.histogram) {
            continue;
        }
        all.push(RequestMetrics {
            name: r.name.clone(),
            counter: r.counter.clone(),
            histogram: r.histogram.clone(),
            scale: r.scale,
            only: equality(&r.matchers),
            failing: match r.errors.as_str() {
                "http" => Failing::Http,
                "grpc" => Failing::Grpc,
                matcher => equality(matcher)
                    .map_or(Failing::Http, |(name, value)| Failing::Label(name, value)),
            },
        });
    }
    all
}
