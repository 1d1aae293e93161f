//! From an anomaly, or from another system's word, to an alert.
//!
//! Severity, in one rule: **critical** when users are hit hard (error ratio, duration or
//! availability at least twice the threshold away) or more than 95 % of a limit is used up while
//! the rest goes;
//! **warning** when users notice or will (other departures of those signals and of traffic, a
//! resource nearly used up, a limit ahead, an entity that fell silent, a new error in quantity, a
//! regular line that stopped, calls over an edge that are clearly slower or fail);
//! **info** for the rest, which strengthens an incident and opens none.

use super::beside::{informs_only, sees_beside, share_text};
use super::forecast::{EXPIRY, limit_of};
use super::gap::{INTERVAL, STOPPED};
use super::{heartbeat, rollup};
use crate::model::alert::{
    Anomaly, DATA_MISSING, EXPIRY_AHEAD, LIMIT_AHEAD, LOOKS_BACK, NO_DATA, Subject, UNSEEN,
};
use crate::model::signal::{Direction, ExternalAlert};
use crate::model::time::duration_text;
use crate::model::{
    Alert, AlertId, AlertSource, AlertStatus, EntityRef, Indicator, Labels, Severity, Time, figure,
};

/// The alert of an anomaly. `threshold` is detection's, to tell a strong departure from a weak one.
#[must_use]
pub fn alert_of(anomaly: &Anomaly, threshold: f64) -> Alert {
    let severity = severity_of(anomaly, threshold);
    let entity = anomaly.subject.entity().clone();
    let mut labels = Labels::default();
    let mut series = None;
    let indicator = match &anomaly.subject {
        Subject::Series { series: s } => {
            labels = s.labels.clone();
            labels.set("metric", s.metric.clone());
            series = Some(s.id);
            Some(s.indicator)
        }
        Subject::LogTemplate { template, .. } => {
            labels.set("template", template.clone());
            Some(Indicator::Errors)
        }
        Subject::Edge { from, operation, .. } => {
            labels.set("caller", from.name());
            labels.set("operation", operation.clone());
            Some(if anomaly.detector == "span-errors/1" {
                Indicator::Errors
            } else {
                Indicator::Duration
            })
        }
        Subject::Missing { .. } => Some(Indicator::Availability),
        Subject::Objective { objective, labels: given, page, series: s, .. } => {
            labels = given.clone();
            labels.set("objective", objective.clone());
            labels.set("urgency", if *page { "page" } else { "ticket" });
            series = *s;
            Some(Indicator::Errors)
        }
    };
    labels.set("alertname", name_of(anomaly));
    labels.set(label_of(&entity), entity.name());
    labels.set("severity", word(severity));
    let mut annotations = Labels::default()
        .with("summary", summary(anomaly))
        .with("description", anomaly.why.clone());
    if anomaly.unseen && anomaly.until.is_some() {
        annotations.set(UNSEEN, "true");
    }
    if matches!(anomaly.subject, Subject::Objective { .. }) {
        annotations.set(LOOKS_BACK, "true");
    }
    let source = AlertSource::Detector { detector: anomaly.detector.clone() };
    let fingerprint = labels.without(&["severity"]).fingerprint();
    Alert {
        id: AlertId::derive(anomaly.since, &[&fingerprint.to_string(), "nightjar"]),
        fingerprint,
        labels,
        annotations,
        source,
        entity,
        indicator,
        severity,
        starts_at: anomaly.since,
        ends_at: anomaly.until,
        known_at: None,
        updated_at: anomaly.at,
        status: if anomaly.until.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
        anomaly: Some(anomaly.id),
        series,
        value: Some(anomaly.value),
        expected: Some(anomaly.expected),
        score: anomaly.score,
        n_reports: 1,
        witnesses: Vec::new(),
        incident: None,
        suppressed: None,
        decision: None,
    }
}

/// The alert of another system's word, heard at `now`.
#[must_use]
pub fn alert_of_external(external: &ExternalAlert, now: Time) -> Alert {
    alert_from_external(external.clone(), now)
}

/// The same of a word that nobody needs any more.
#[must_use]
pub fn alert_from_external(external: ExternalAlert, now: Time) -> Alert {
    let fingerprint = external.labels.fingerprint();
    // Alertmanager writes year 1 for "no end"; a future end is its time-out, not an end.
    // Clock skew: an alert can't have begun after it was told, so the onset is cut to `now`; the
    // identity follows from the start as sent, which repeats and the end share.
    let starts_at = external.starts_at.min(now);
    let ends_at = external.ends_at.filter(|t| *t >= starts_at && *t <= now);
    let id = match &external.episode {
        Some(episode) => AlertId::derive(Time::MIN, &[episode, external.system.as_str()]),
        None => AlertId::derive(
            external.starts_at,
            &[&fingerprint.to_string(), external.system.as_str()],
        ),
    };
    // Who hears nothing does not know what its name says.
    let indicator = match external.annotations.get(NO_DATA) {
        Some(_) => Some(Indicator::Availability),
        None => indicator_of(&external.labels),
    };
    Alert {
        id,
        fingerprint,
        entity: entity_of(&external.labels),
        indicator,
        severity: external_severity(&external.labels),
        labels: external.labels,
        annotations: external.annotations,
        source: AlertSource::External { system: external.system },
        starts_at,
        ends_at,
        known_at: Some(now),
        updated_at: external.said_at.unwrap_or(now).min(now),
        status: if ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
        anomaly: None,
        series: None,
        value: None,
        expected: None,
        // Another system's rule has no score; it was worth a rule to somebody.
        score: 8.0,
        n_reports: 1,
        witnesses: Vec::new(),
        incident: None,
        suppressed: None,
        decision: None,
    }
}

/// A newer word on a stored alert: what correlation decided stays, the onset, an end and when it was
/// heard of first stay too unless it fires again, and repeats are counted.
#[must_use]
pub fn renewed(old: Alert, new: Alert) -> Alert {
    let external = matches!(new.source, AlertSource::External { .. });
    let fires_again = old.status == AlertStatus::Resolved && new.status == AlertStatus::Firing;
    Alert {
        n_reports: if external { old.n_reports + 1 } else { old.n_reports },
        score: old.score.max(new.score),
        severity: old.severity.max(new.severity),
        witnesses: old.witnesses,
        known_at: if fires_again { new.known_at } else { old.known_at },
        incident: old.incident,
        suppressed: old.suppressed,
        decision: old.decision,
        starts_at: old.starts_at.min(new.starts_at),
        ends_at: new.ends_at,
        ..new
    }
}

/// A word on an alert over what is known of it: the alert as it then stands, and whether that says
/// something new. `None` where it is an old word on what has ended since: a batch that is judged
/// again after a crash wakes nothing.
#[must_use]
pub fn told(old: Option<Alert>, new: Alert) -> Option<(Alert, bool)> {
    let Some(old) = old else { return Some((new, true)) };
    if old.status == AlertStatus::Resolved && new.updated_at <= old.updated_at {
        return None;
    }
    let before = (old.status, old.severity);
    let merged = renewed(old, new);
    let is_news = before != (merged.status, merged.severity);
    Some((merged, is_news))
}

fn severity_of(anomaly: &Anomaly, threshold: f64) -> Severity {
    let strong = anomaly.score >= 2.0 * threshold;
    match &anomaly.subject {
        Subject::Series { series } => match anomaly.detector.as_str() {
            "flatline/1" => Severity::Info,
            detector if informs_only(detector) => Severity::Info,
            // A busy resource is harmless until the profile's view says that it is used up.
            detector if sees_beside(detector) => match series.indicator {
                Indicator::Usage | Indicator::Custom | Indicator::Utilization => Severity::Info,
                _ if strong => Severity::Warning,
                _ => Severity::Info,
            },
            EXPIRY if anomaly.value <= 48.0 => Severity::Critical,
            EXPIRY => Severity::Warning,
            // The others serve on: somebody should look, nobody need get up.
            "peers/1" => match series.indicator {
                Indicator::Usage | Indicator::Custom | Indicator::Utilization => Severity::Info,
                _ => Severity::Warning,
            },
            "forecast/1" => {
                let used = anomaly.value / series.limit.unwrap_or(1.0).max(f64::MIN_POSITIVE);
                if used > 0.95 { Severity::Critical } else { Severity::Warning }
            }
            _ => match series.indicator {
                Indicator::Errors | Indicator::Duration | Indicator::Availability if strong => {
                    Severity::Critical
                }
                Indicator::Errors
                | Indicator::Duration
                | Indicator::Availability
                | Indicator::Rate
                | Indicator::Utilization => Severity::Warning,
                Indicator::Saturation if strong => Severity::Warning,
                _ => Severity::Info,
            },
        },
        Subject::LogTemplate { .. } => match anomaly.detector.as_str() {
            "log-vanished/1" | "log-errors/1" | "log-rate/1" if strong => Severity::Warning,
            // Other lines are no harm by themselves.
            "log-mixture/1" | "log-vanished/1" | "log-errors/1" | "log-rate/1" => Severity::Info,
            _ if anomaly.peak >= 20.0 => Severity::Warning,
            _ => Severity::Info,
        },
        Subject::Edge { .. } => match anomaly.detector.as_str() {
            "span-latency/1" | "span-errors/1" if strong => Severity::Warning,
            _ => Severity::Info,
        },
        // Nothing is known to be ill: only that it is not seen.
        Subject::Missing { .. } if matches!(anomaly.detector.as_str(), STOPPED | INTERVAL) => {
            Severity::Info
        }
        Subject::Missing { .. } | Subject::Objective { page: false, .. } => Severity::Warning,
        Subject::Objective { page: true, .. } => Severity::Critical,
    }
}

fn name_of(anomaly: &Anomaly) -> &'static str {
    match (&anomaly.subject, anomaly.detector.as_str()) {
        (Subject::LogTemplate { .. }, "log-new/1") => "NewErrorLog",
        (Subject::LogTemplate { .. }, "log-vanished/1") => "LogLineStopped",
        (Subject::LogTemplate { .. }, "log-mixture/1") => "LogMixtureChanged",
        (Subject::LogTemplate { .. }, "log-errors/1") => "ErrorLinesHigh",
        (Subject::LogTemplate { .. }, "log-rate/1") => "ErrorLogRate",
        (Subject::LogTemplate { .. }, _) => "ErrorLogBurst",
        (Subject::Edge { .. }, "span-errors/1") => "CallsFailing",
        (Subject::Edge { .. }, "span-new-edge/1") => "NewCaller",
        (Subject::Edge { .. }, "span-cold-start/1") => "ColdStart",
        (Subject::Edge { .. }, _) => "CallsSlow",
        (Subject::Objective { .. }, _) => "ErrorBudgetBurn",
        (Subject::Missing { .. }, heartbeat::MISSED) => "HeartbeatMissed",
        (Subject::Missing { .. }, heartbeat::FAILED) => "JobFailed",
        (Subject::Missing { .. }, STOPPED) => "SamplesStopped",
        (Subject::Missing { .. }, INTERVAL) => "SampleIntervalChanged",
        (Subject::Missing { .. }, _) => DATA_MISSING,
        (_, "flatline/1") => "Flatline",
        (_, rollup::ID) => "SignalsTogether",
        (_, "spread/1") => "NoiseChanged",
        (_, "counts/1") => "EventRateUnusual",
        (_, "ratio/1") => "ShareUnusual",
        (_, "forecast/1") => LIMIT_AHEAD,
        (_, EXPIRY) => EXPIRY_AHEAD,
        (_, "peers/1") => "ReplicaUnlike",
        (Subject::Series { series }, _) => match (series.indicator, anomaly.direction) {
            (Indicator::Rate, Direction::Low) => "TrafficLow",
            (Indicator::Rate, _) => "TrafficHigh",
            (Indicator::Errors, _) => "ErrorsHigh",
            (Indicator::Duration, Direction::Low) => "DurationLow",
            (Indicator::Duration, _) => "DurationHigh",
            (Indicator::Utilization, _) => "UtilizationHigh",
            (Indicator::Saturation, _) => "SaturationHigh",
            (Indicator::Availability, _) => "AvailabilityLow",
            (Indicator::Usage, _) => "UsageUnusual",
            (Indicator::Custom, _) => "Unusual",
        },
    }
}

/// One line of what is felt: `checkout p99 4.2 s, was 310 ms`.
fn summary(anomaly: &Anomaly) -> String {
    let name = anomaly.subject.entity().name();
    match &anomaly.subject {
        Subject::Series { series } => {
            let now = figure(anomaly.peak, &series.unit);
            let what = wording(series.indicator, &series.metric);
            match anomaly.detector.as_str() {
                EXPIRY => format!("{name} certificate ends in {:.0} h", anomaly.value),
                "forecast/1" => format!(
                    "{name} {what} {}, {} its limit",
                    figure(anomaly.value, &series.unit),
                    if limit_of(series).is_some_and(|l| anomaly.value >= l) {
                        "at"
                    } else {
                        "heading for"
                    }
                ),
                "flatline/1" => format!("{name} {what} stands still at {now}"),
                "ratio/1" => format!(
                    "{name} {what} {}, was {}",
                    share_text(anomaly.peak, &series.unit),
                    share_text(anomaly.expected.mid, &series.unit)
                ),
                "spread/1" => format!(
                    "{name} {what} moves by {now} from point to point, was {}",
                    figure(anomaly.expected.mid, &series.unit)
                ),
                rollup::ID => format!("{name}: several of its signals are unusual together"),
                _ => {
                    format!(
                        "{name} {what} {now}, was {}",
                        figure(anomaly.expected.mid, &series.unit)
                    )
                }
            }
        }
        Subject::LogTemplate { template, .. } => match anomaly.detector.as_str() {
            "log-vanished/1" => format!("{name} no longer logs: {template}"),
            "log-mixture/1" => format!("{name} logs another mixture of lines: {template}"),
            "log-errors/1" => format!(
                "{name} logs {:.0} % errors, was {:.1} %",
                100.0 * anomaly.peak,
                100.0 * anomaly.expected.mid
            ),
            _ => format!("{name} logs: {template}"),
        },
        Subject::Edge { from, operation, .. } => {
            let (caller, usual) = (from.name(), anomaly.expected.mid);
            match anomaly.detector.as_str() {
                "span-errors/1" => format!(
                    "{:.0} % of {caller}'s calls {operation} to {name} fail, was {:.1} %",
                    100.0 * anomaly.peak,
                    100.0 * usual
                ),
                "span-new-edge/1" => format!("{caller} calls {name}, which it did not before"),
                "span-cold-start/1" => format!("{name} is slow just after a start"),
                _ => format!(
                    "{caller}'s calls {operation} to {name} take {} (95th percentile), was {}",
                    figure(anomaly.peak, "s"),
                    figure(usual, "s")
                ),
            }
        }
        Subject::Objective { objective, .. } => format!(
            "{name} burns the error budget of {objective} {} times as fast as it can afford",
            figure(anomaly.peak, "")
        ),
        Subject::Missing { what, .. } => match anomaly.detector.as_str() {
            heartbeat::MISSED => format!(
                "{what}: no heartbeat for {}",
                duration_text((anomaly.value * 1_000.0) as i64)
            ),
            heartbeat::FAILED => format!("{what} failed"),
            STOPPED => format!("{name}: {what} stopped"),
            INTERVAL => format!(
                "{name}: {what} come every {}",
                duration_text((anomaly.value * 1_000.0) as i64)
            ),
            _ => format!("{name} fell silent: {what}"),
        },
    }
}

/// How people name a signal: its percentile for durations, plain words for the rest.
fn wording(indicator: Indicator, metric: &str) -> String {
    let last = metric.rsplit([' ', '_']).next().unwrap_or(metric);
    let percentile =
        last.len() >= 2 && last.starts_with('p') && last[1..].bytes().all(|b| b.is_ascii_digit());
    match indicator {
        Indicator::Duration if percentile => last.to_owned(),
        Indicator::Errors => "error ratio".to_owned(),
        Indicator::Rate => "traffic".to_owned(),
        _ => metric.to_owned(),
    }
}

fn label_of(entity: &EntityRef) -> String {
    match entity.attribute() {
        "service.name" => "service".to_owned(),
        "host.name" | "k8s.node.name" => "node".to_owned(),
        other => other.replace('.', "_"),
    }
}

pub(super) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// Which entity labels speak of, from the most telling label to the least.
#[must_use]
pub fn entity_of(labels: &Labels) -> EntityRef {
    for name in ["service", "service_name", "service.name", "app", "app_kubernetes_io_name"] {
        if let Some(value) = labels.get(name).filter(|v| !v.is_empty()) {
            return EntityRef::service(value);
        }
    }
    for name in ["deployment", "statefulset", "container"] {
        if let Some(value) = labels.get(name).filter(|v| !v.is_empty()) {
            return EntityRef::service(value);
        }
    }
    for name in ["node", "nodename", "host", "host_name", "host.name"] {
        if let Some(value) = labels.get(name).filter(|v| !v.is_empty()) {
            return EntityRef::host(value);
        }
    }
    for (name, host) in [("job", false), ("instance", true)] {
        if let Some(value) = labels.get(name).filter(|v| !v.is_empty()) {
            let value = value.rsplit_once(':').map_or(value, |(before, _)| before);
            return if host { EntityRef::host(value) } else { EntityRef::service(value) };
        }
    }
    EntityRef::service(labels.get("alertname").unwrap_or("unknown"))
}

/// Which golden signal a rule's name speaks of, else the metric that it looks at, as far as words
/// tell.
fn indicator_of(labels: &Labels) -> Option<Indicator> {
    labels.get("alertname").and_then(indicator_in).or_else(|| indicator_in(labels.get("metric")?))
}

fn indicator_in(name: &str) -> Option<Indicator> {
    let name = name.to_ascii_lowercase();
    // Names are short and words many: mostly the first letter says that a word is not there.
    let is_at = |part: &[u8], word: &[u8]| part[0] == word[0] && part == word;
    let has_word = |w: &[u8]| name.as_bytes().windows(w.len()).any(|part| is_at(part, w));
    let has = |words: &[&str]| words.iter().any(|w| has_word(w.as_bytes()));
    if has(&["error", "5xx", "fail"]) {
        Some(Indicator::Errors)
    } else if has(&["latency", "slow", "duration", "p99", "p95"]) {
        Some(Indicator::Duration)
    } else if has(&["down", "unavailable", "unreachable", "absent", "notready", "crashloop"]) {
        Some(Indicator::Availability)
    } else if has(&["saturat", "queue", "pool", "backlog", "throttl", "waiting"]) {
        Some(Indicator::Saturation)
    } else if has(&["cpu", "memory", "disk", "filesystem", "utilization", "usage"]) {
        Some(Indicator::Utilization)
    } else if has(&["traffic", "requests", "rate"]) {
        Some(Indicator::Rate)
    } else {
        None
    }
}

fn external_severity(labels: &Labels) -> Severity {
    let text = labels.get("severity").or_else(|| labels.get("priority")).unwrap_or("warning");
    match text.to_ascii_lowercase().as_str() {
        "critical" | "page" | "error" | "fatal" | "high" | "p1" | "p2" => Severity::Critical,
        "info" | "none" | "low" | "debug" | "p4" | "p5" => Severity::Info,
        _ => Severity::Warning,
    }
}
