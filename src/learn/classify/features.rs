//! What is known of an incident at the time of decision, as named numbers. Pure.
//!
//! Nothing that was known only afterwards may come in: of the alerts only those that had begun, of
//! the changes only those that had been made, and of earlier incidents only what had been said of
//! them by then. What is not known is left out, and the trees have a way for it.

use std::collections::{BTreeMap, BTreeSet};

use super::features_of_place as place;
use crate::model::alert::{DATA_MISSING, LOOKS_BACK};
use crate::model::diagnosis::PATTERNS;
use crate::model::priority::{CATEGORIES, COMPONENTS, TRIGGERS};
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{
    Alert, AlertSource, Change, ChangeKind, Diagnosis, Graph, Incident, Indicator, Severity, Time,
};

/// Counted up whenever a feature is added or means something else.
pub const FEATURES_VERSION: u32 = 2;

/// What is looked at: an incident as it was known at one time.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The time of decision.
    pub at: Time,
    /// The incident.
    pub incident: &'a Incident,
    /// Its alerts.
    pub alerts: &'a [Alert],
    /// The service graph.
    pub graph: &'a Graph,
    /// Changes of the hours before.
    pub changes: &'a [Change],
    /// The newest diagnosis, where there is one.
    pub diagnosis: Option<&'a Diagnosis>,
}

/// Named numbers; what is not known is not in it.
pub type Features = BTreeMap<String, f64>;

/// Every feature of a [`Moment`], with what it is.
pub const FEATURES: &[(&str, &str)] = &[
    ("hour_sin", "hour of the day (sine, UTC)"),
    ("hour_cos", "hour of the day (cosine, UTC)"),
    ("weekend", "Saturday or Sunday (UTC)"),
    ("alerts", "alerts, as a logarithm"),
    ("reports", "reports for each alert, as a logarithm"),
    ("conditions", "different conditions, as a logarithm"),
    ("ended", "share of alerts that had ended already"),
    ("span_min", "minutes from the first alert to the last, as a logarithm"),
    ("delay_min", "minutes from onset to opening, as a logarithm"),
    ("critical", "share of critical alerts"),
    ("info", "share of alerts that are for information"),
    ("external", "share of alerts from other systems"),
    ("witnessed", "share of alerts that another system reported too"),
    ("sources", "systems and detectors that told it"),
    ("score_max", "the greatest score, as a logarithm"),
    ("score_mid", "the median score, as a logarithm"),
    ("up", "share of alerts above their band, of those with one"),
    ("times_max", "greatest ratio to the expected value, as a logarithm"),
    ("shape_series", "share of alerts about a series"),
    ("shape_template", "share of alerts about a log template"),
    ("shape_missing", "share of alerts about silence"),
    ("shape_objective", "share of alerts that look back over hours"),
    ("rate", "share about traffic"),
    ("errors", "share about errors"),
    ("duration", "share about durations"),
    ("utilization", "share about utilization"),
    ("saturation", "share about saturation"),
    ("availability", "share about availability"),
    ("usage", "share about usage"),
    ("entities", "entities, as a logarithm"),
    ("hosts", "share of entities that are hosts"),
    ("services", "share of entities that are services"),
    ("groups", "groups of entities without a call between them"),
    ("depth", "longest chain of calls among the entities"),
    ("callers", "entities that call into the affected ones, as a logarithm"),
    ("leaves", "share of entities that depend on nothing known"),
    ("change_min", "minutes from the nearest change to the onset, as a logarithm"),
    ("change_here", "whether an affected entity was changed within two hours"),
    ("changes", "changes within an hour before the onset, as a logarithm"),
    ("change_deploy", "nearest change is a deploy"),
    ("change_config", "nearest change is one of configuration"),
    ("change_network", "nearest change is one of the network"),
    ("change_other", "nearest change is of another kind"),
    ("confidence", "confidence of the likeliest cause"),
    ("conclusive", "whether a cause stands out"),
    ("cause_deploy", "likeliest cause is a deploy"),
    ("cause_change", "likeliest cause is another change"),
    ("cause_network_policy", "likeliest cause is a network policy"),
    ("cause_resource_leak", "likeliest cause is a resource leak"),
    ("cause_saturation", "likeliest cause is saturation"),
    ("cause_slow_queries", "likeliest cause is slow queries"),
    ("cause_noisy_neighbour", "likeliest cause is a noisy neighbour"),
    ("cause_dependency", "likeliest cause is a dependency"),
    ("cause_traffic", "likeliest cause is traffic"),
    ("cause_unknown", "no likely cause"),
    ("category_availability", "the rules say that what is wrong is availability"),
    ("category_errors", "the rules say that what is wrong is errors"),
    ("category_latency", "the rules say that what is wrong is latency"),
    ("category_traffic", "the rules say that what is wrong is traffic"),
    ("category_saturation", "the rules say that what is wrong is saturation"),
    ("category_capacity", "the rules say that what is wrong is capacity"),
    ("category_objective", "the rules say that what is wrong is objective"),
    ("category_business", "the rules say that what is wrong is business"),
    ("category_logs", "the rules say that what is wrong is logs"),
    ("category_other", "the rules say that what is wrong is other"),
    ("trigger_deploy", "the rules say that it was set off by deploy"),
    ("trigger_config", "the rules say that it was set off by config"),
    ("trigger_network_policy", "the rules say that it was set off by network policy"),
    ("trigger_scale", "the rules say that it was set off by scale"),
    ("trigger_flag", "the rules say that it was set off by flag"),
    ("trigger_migration", "the rules say that it was set off by migration"),
    ("trigger_schema", "the rules say that it was set off by schema"),
    ("trigger_change", "the rules say that it was set off by change"),
    ("trigger_resource_leak", "the rules say that it was set off by resource leak"),
    ("trigger_saturation", "the rules say that it was set off by saturation"),
    ("trigger_slow_queries", "the rules say that it was set off by slow queries"),
    ("trigger_noisy_neighbour", "the rules say that it was set off by noisy neighbour"),
    ("trigger_dependency", "the rules say that it was set off by dependency"),
    ("trigger_traffic", "the rules say that it was set off by traffic"),
    ("trigger_unknown", "the rules say that it was set off by nothing known"),
    ("component_service", "the rules say that it sits in a service"),
    ("component_database", "the rules say that it sits in a database"),
    ("component_queue", "the rules say that it sits in a queue"),
    ("component_cache", "the rules say that it sits in a cache"),
    ("component_node", "the rules say that it sits in a node"),
    ("component_other", "the rules say that it sits elsewhere"),
];

/// The features of a moment.
#[must_use]
pub fn features(moment: &Moment<'_>) -> Features {
    let known: Vec<&Alert> = moment.alerts.iter().filter(|a| a.starts_at <= moment.at).collect();
    let mut found = Features::new();
    when(moment, &mut found);
    if !known.is_empty() {
        alerts(moment, &known, &mut found);
        shapes(&known, &mut found);
    }
    place::entities(moment, &known, &mut found);
    changes(moment, &mut found);
    cause(moment, &mut found);
    kind(moment, &mut found);
    found.retain(|_, v| v.is_finite());
    found
}

pub(super) fn put(found: &mut Features, name: &str, value: f64) {
    found.insert(name.to_owned(), value);
}

/// The share of `all` for which `is` holds; nothing of none.
pub(super) fn share<T>(all: &[T], is: impl Fn(&T) -> bool) -> f64 {
    all.iter().filter(|x| is(x)).count() as f64 / all.len() as f64
}

fn yes(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn minutes(ms: i64) -> f64 {
    (ms.max(0) as f64 / MINUTE_MS as f64).ln_1p()
}

fn when(moment: &Moment<'_>, found: &mut Features) {
    let ms = moment.incident.onset_at.ms();
    let turn = ms.rem_euclid(DAY_MS) as f64 / DAY_MS as f64 * std::f64::consts::TAU;
    put(found, "hour_sin", turn.sin());
    put(found, "hour_cos", turn.cos());
    // 1 January 1970 was a Thursday.
    let weekday = (ms.div_euclid(DAY_MS) + 3).rem_euclid(7);
    put(found, "weekend", yes(weekday >= 5));
    let delay = moment.incident.opened_at.ms_since(moment.incident.onset_at);
    put(found, "delay_min", minutes(delay));
}

fn alerts(moment: &Moment<'_>, known: &[&Alert], found: &mut Features) {
    let n = known.len() as f64;
    put(found, "alerts", n.ln_1p());
    let reports: u64 = known.iter().map(|a| a.n_reports.max(1)).sum();
    put(found, "reports", (reports as f64 / n).ln());
    let conditions: BTreeSet<&str> = known.iter().map(|a| a.name()).collect();
    put(found, "conditions", (conditions.len() as f64).ln_1p());
    put(found, "ended", share(known, |a| a.ends_at.is_some_and(|end| end <= moment.at)));
    let first = known.iter().map(|a| a.starts_at).min().unwrap_or(moment.at);
    let last = known.iter().map(|a| a.starts_at).max().unwrap_or(moment.at);
    put(found, "span_min", minutes(last.ms_since(first)));
    put(found, "critical", share(known, |a| a.severity == Severity::Critical));
    put(found, "info", share(known, |a| a.severity == Severity::Info));
    put(found, "external", share(known, |a| matches!(a.source, AlertSource::External { .. })));
    put(found, "witnessed", share(known, |a| !a.witnesses.is_empty()));
    let source = |a: &&Alert| match &a.source {
        AlertSource::Detector { detector } => detector.clone(),
        AlertSource::External { system } => system.clone(),
    };
    put(found, "sources", known.iter().map(source).collect::<BTreeSet<_>>().len() as f64);
    let scores: Vec<f64> = known.iter().map(|a| a.score).filter(|s| *s > 0.0).collect();
    if let Some(mid) = crate::stats::median(&scores) {
        put(found, "score_max", scores.iter().copied().fold(0.0, f64::max).ln_1p());
        put(found, "score_mid", mid.ln_1p());
    }
}

fn shapes(known: &[&Alert], found: &mut Features) {
    let banded: Vec<(f64, crate::model::Band)> =
        known.iter().filter_map(|a| Some((a.value?, a.expected?))).collect();
    if !banded.is_empty() {
        put(found, "up", share(&banded, |(value, band)| *value > band.mid));
        let times = banded.iter().filter(|(v, b)| *v > 0.0 && b.mid > 0.0);
        let far = times
            .map(|(v, b)| (v / b.mid).ln())
            .reduce(|a, b| if a.abs() > b.abs() { a } else { b });
        if let Some(far) = far {
            put(found, "times_max", far);
        }
    }
    put(found, "shape_series", share(known, |a| a.series.is_some()));
    put(found, "shape_template", share(known, |a| a.labels.get("template").is_some()));
    put(found, "shape_missing", share(known, |a| a.name() == DATA_MISSING));
    put(found, "shape_objective", share(known, |a| a.annotations.get(LOOKS_BACK).is_some()));
    for (name, indicator) in [
        ("rate", Indicator::Rate),
        ("errors", Indicator::Errors),
        ("duration", Indicator::Duration),
        ("utilization", Indicator::Utilization),
        ("saturation", Indicator::Saturation),
        ("availability", Indicator::Availability),
        ("usage", Indicator::Usage),
    ] {
        put(found, name, share(known, |a| a.indicator == Some(indicator)));
    }
}

fn changes(moment: &Moment<'_>, found: &mut Features) {
    let onset = moment.incident.onset_at;
    let lead = |c: &Change| onset.ms_since(c.at);
    // Something made a few minutes after the onset may be its cause: onsets are seen late.
    let near = |c: &&Change| c.at <= moment.at && (-5 * MINUTE_MS..=6 * HOUR_MS).contains(&lead(c));
    let before: Vec<&Change> = moment.changes.iter().filter(near).collect();
    let recent = before.iter().filter(|c| lead(c) <= HOUR_MS).count();
    put(found, "changes", (recent as f64).ln_1p());
    let here =
        |c: &&&Change| lead(c) <= 2 * HOUR_MS && moment.incident.entities.contains(&c.entity);
    put(found, "change_here", yes(before.iter().any(|c| here(&c))));
    // One of the affected entities before any other.
    let nearest = before.iter().min_by_key(|c| (!here(c), lead(c).abs(), c.id));
    if let Some(change) = nearest {
        put(found, "change_min", minutes(lead(change).abs()));
        let kind = change.kind;
        put(found, "change_deploy", yes(kind == ChangeKind::Deploy));
        put(found, "change_config", yes(kind == ChangeKind::Config));
        put(found, "change_network", yes(kind == ChangeKind::NetworkPolicy));
        let named = [ChangeKind::Deploy, ChangeKind::Config, ChangeKind::NetworkPolicy];
        put(found, "change_other", yes(!named.contains(&kind)));
    }
}

fn cause(moment: &Moment<'_>, found: &mut Features) {
    let Some(diagnosis) = moment.diagnosis.filter(|d| d.at <= moment.at) else { return };
    let Some(first) = diagnosis.hypotheses.first() else { return };
    put(found, "confidence", first.confidence);
    put(found, "conclusive", yes(diagnosis.conclusive));
    for pattern in PATTERNS {
        put(found, &format!("cause_{pattern}"), yes(first.pattern == pattern));
    }
}

/// What the rules made of it by then.
fn kind(moment: &Moment<'_>, found: &mut Features) {
    let Some(kind) = &moment.incident.taxonomy else { return };
    // Of the others people tell, or a provider, which is a change of no other kind above.
    let triggers = TRIGGERS.into_iter().filter(|t| !["external", "planned"].contains(t));
    for category in CATEGORIES {
        put(found, &format!("category_{category}"), yes(kind.category == category));
    }
    for trigger in triggers {
        put(found, &format!("trigger_{trigger}"), yes(kind.trigger == trigger));
    }
    for component in COMPONENTS {
        put(found, &format!("component_{component}"), yes(kind.component == component));
    }
}
