//! Which of the metrics that a Prometheus writes to us become which series: the requests that
//! discovery knows of, the usual exporters' signals, and what is configured.

use std::collections::BTreeMap;

use super::{CustomMetric, FoldBy};
use crate::model::Indicator;
use crate::model::signal::Direction;
use crate::telemetry::discovery::{Failing, RequestMetrics, request_metrics};
use crate::telemetry::fold::Fold;

/// How the labels name what a metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Service,
    Host,
}

/// One rule for one metric's name.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Only series with this label value.
    pub(super) only: Option<(String, String)>,
    pub(super) metric: String,
    pub(super) fold: Fold,
    /// Counts as the part of a share or as a divisor.
    pub(super) part: bool,
    /// Which series count failures, for shares of requests.
    pub(super) failing: Option<Failing>,
    pub(super) indicator: Indicator,
    pub(super) unit: String,
    pub(super) direction: Direction,
    pub(super) labels: Vec<String>,
    pub(super) about: About,
    /// Whether it counts since a start.
    pub(super) counts: bool,
    /// Whether it is the base name of a histogram.
    pub(super) histogram: bool,
    /// What one unit of the sender is in ours.
    pub(super) scale: f64,
}

/// The rules, by the metric's name.
pub(super) type Rules = BTreeMap<String, Vec<Rule>>;

fn rule(metric: &str, fold: Fold, indicator: Indicator, unit: &str) -> Rule {
    Rule {
        only: None,
        metric: metric.to_owned(),
        fold,
        part: false,
        failing: None,
        indicator,
        unit: unit.to_owned(),
        direction: Direction::High,
        labels: Vec::new(),
        about: About::Service,
        counts: false,
        histogram: false,
        scale: 1.0,
    }
}

/// All rules: shipped ones and configured ones.
pub(super) fn rules(custom: &[CustomMetric]) -> Rules {
    let mut all = Rules::new();
    let mut add = |name: &str, rule: Rule| all.entry(name.to_owned()).or_default().push(rule);
    for requests in request_metrics() {
        of_requests(&requests, &mut add);
    }
    resources(&mut add);
    for metric in custom {
        let counts = metric.counter.unwrap_or_else(|| metric.name.ends_with("_total"));
        let fold = match metric.fold {
            FoldBy::Sum => Fold::Sum,
            FoldBy::Mean => Fold::Mean,
            FoldBy::Max => Fold::Max,
        };
        let told = Rule {
            direction: metric.direction,
            labels: metric.labels.clone(),
            ..rule(&metric.name, fold, metric.indicator, &metric.unit)
        };
        let unit = if counts { format!("{}/s", metric.unit) } else { metric.unit.clone() };
        add(&metric.name, Rule { histogram: true, ..told.clone() });
        add(&metric.name, Rule { unit, counts, ..told });
    }
    all
}

fn of_requests(requests: &RequestMetrics, add: &mut impl FnMut(&str, Rule)) {
    let only = requests.only.clone();
    let metric = |what: &str| format!("{}.{what}", requests.name);
    add(
        &requests.histogram,
        Rule {
            only: only.clone(),
            failing: Some(requests.failing.clone()),
            histogram: true,
            scale: requests.scale,
            ..rule(&metric("duration"), Fold::Sum, Indicator::Duration, "s")
        },
    );
    let Some(counter) = &requests.counter else { return };
    let counted =
        Rule { counts: true, only, ..rule("", Fold::Sum, Indicator::Rate, "{request}/s") };
    let rate = metric("rate");
    add(counter, Rule { metric: rate, direction: Direction::Both, ..counted.clone() });
    add(
        counter,
        Rule {
            metric: metric("error_ratio"),
            fold: Fold::Share("", ""),
            failing: Some(requests.failing.clone()),
            indicator: Indicator::Errors,
            unit: "1".to_owned(),
            ..counted
        },
    );
}

/// What exporters, client libraries, cAdvisor and node exporter tell.
fn resources(add: &mut impl FnMut(&str, Rule)) {
    use Indicator::{Availability, Errors, Saturation, Usage, Utilization};
    let low = |r: Rule| Rule { direction: Direction::Low, ..r };
    let host = |r: Rule| Rule { about: About::Host, ..r };
    let counts = |r: Rule| Rule { counts: true, ..r };
    let divisor = |r: &Rule| Rule { part: true, ..r.clone() };
    add("up", low(rule("up", Fold::Mean, Availability, "1")));
    add("process_resident_memory_bytes", rule("process.memory", Fold::Max, Usage, "By"));
    add("process_cpu_seconds_total", counts(rule("process.cpu", Fold::Sum, Usage, "s/s")));
    let files = rule("process.fds", Fold::Over(""), Utilization, "1");
    add("process_max_fds", divisor(&files));
    add("process_open_fds", files);
    add("go_goroutines", rule("go.goroutines", Fold::Max, Usage, "{goroutine}"));
    let memory = rule("container.memory", Fold::Max, Usage, "By");
    add("container_memory_working_set_bytes", memory);
    let cpu = counts(rule("container.cpu", Fold::Sum, Usage, "s/s"));
    add("container_cpu_usage_seconds_total", cpu);
    add("node_load1", host(rule("node.load1", Fold::Max, Saturation, "1")));
    let free = host(low(rule("node.memory.available", Fold::Over(""), Utilization, "1")));
    add("node_memory_MemTotal_bytes", divisor(&free));
    add("node_memory_MemAvailable_bytes", free);
    let disk = host(low(rule("node.filesystem.available", Fold::Over(""), Utilization, "1")));
    let disk = Rule { labels: vec!["device".into(), "mountpoint".into()], ..disk };
    add("node_filesystem_size_bytes", divisor(&disk));
    add("node_filesystem_avail_bytes", disk);
    let idle = host(low(counts(rule("node.cpu.idle", Fold::Mean, Utilization, "1"))));
    let only = Some(("mode".to_owned(), "idle".to_owned()));
    add("node_cpu_seconds_total", Rule { only, ..idle });
    for name in ["node_network_receive_errs_total", "node_network_transmit_errs_total"] {
        let metric = name.trim_start_matches("node_").trim_end_matches("_total").replace('_', ".");
        add(name, host(counts(rule(&metric, Fold::Sum, Errors, "{error}/s"))));
    }
}
