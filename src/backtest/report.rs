//! A backtest as a whole: what was read, what one or two configurations would have told of it, how
//! that compares with the labels and with each other. As figures and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::differ::Difference;
use super::run::{Claim, Outcome};
use super::score::Failure;
use super::spending::Spending;
use super::truth::{Event, Score, Topic, Truth};
use crate::model::alert::Subject;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{Alert, AlertId, Anomaly, Incident, Severity, Time};

/// Incidents that were over this soon (ms) are counted: nobody would have had to get up.
const SHORT_MS: i64 = 5 * MINUTE_MS;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Read {
    /// From where, in words.
    pub from: String,
    /// Series read.
    pub n_series: usize,
    /// Points read.
    pub n_points: u64,
    /// Usual distance between points (ms).
    pub step_ms: i64,
    /// What could not be read of a server.
    pub gaps: Vec<String>,
    /// Files that could not be read.
    pub failures: Vec<Failure>,
    /// What was taken in spite of its form.
    pub notes: Vec<String>,
}

/// How long things lasted, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lasted {
    /// Half lasted longer.
    pub median_s: f64,
    /// One in ten lasted longer.
    pub p90_s: f64,
    /// The longest.
    pub longest_s: f64,
}

/// The figures of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Days judged.
    pub days: f64,
    /// Anomalies told.
    pub n_anomalies: usize,
    /// Anomalies told a day, on average.
    pub anomalies_a_day: f64,
    /// The alert budget's books; `None` where it was asked for nothing.
    pub budget: Option<Spending>,
    /// The day with the most, and how many.
    pub busiest_day: Option<(String, usize)>,
    /// How long anomalies lasted.
    pub anomalies_lasted: Lasted,
    /// Alerts by severity: critical, warning, info.
    pub n_alerts: [usize; 3],
    /// Alerts that a silence, a window or a rule kept quiet.
    pub n_quiet: usize,
    /// Incidents opened.
    pub n_incidents: usize,
    /// Incidents over within five minutes.
    pub n_short: usize,
    /// Incidents that had not ended.
    pub n_open: usize,
    /// Times that incidents were opened again.
    pub n_reopened: u32,
    /// How long incidents lasted.
    pub incidents_lasted: Lasted,
    /// Anomalies by detector.
    pub by_detector: BTreeMap<String, usize>,
}

/// One configuration's part.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// What it would have told.
    pub outcome: Outcome,
    /// Its figures.
    pub figures: Figures,
    /// Anomalies against labels, where there are any.
    pub anomalies: Option<Score>,
    /// Incidents against labels, where there are any.
    pub incidents: Option<Score>,
}

/// The difference between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// Of anomalies.
    pub anomalies: Difference,
    /// Of incidents.
    pub incidents: Difference,
}

/// A whole backtest.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was read.
    pub read: Read,
    /// One configuration, or two to be compared.
    pub sides: Vec<Side>,
    /// Labelled faults within the time judged: whose, from, to.
    pub faults: Vec<(String, Time, Time)>,
    /// Where there are two.
    pub difference: Option<Differences>,
}

impl Report {
    /// Sums up what one or two runs over the same history told.
    #[must_use]
    pub fn new(read: Read, outcomes: Vec<Outcome>, truth: &Truth) -> Self {
        let slack_ms = read.step_ms;
        let sides: Vec<Side> =
            outcomes.into_iter().map(|o| Side::new(o, truth, slack_ms)).collect();
        let difference = match sides.as_slice() {
            [a, b] => Some(Differences {
                anomalies: Difference::of(&told(&a.outcome), &told(&b.outcome)),
                incidents: Difference::of(&opened(&a.outcome), &opened(&b.outcome)),
            }),
            _ => None,
        };
        let faults = match sides.first() {
            Some(s) => truth.within(s.outcome.since, s.outcome.until).faults(),
            None => Vec::new(),
        };
        Self { read, sides, faults, difference }
    }

    /// Whether everything could be read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.read.gaps.is_empty() && self.read.failures.is_empty()
    }

    /// The whole as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let sides: Vec<Value> = self.sides.iter().map(Side::json).collect();
        json!({
            "read": self.read, "configurations": sides, "difference": self.difference,
            "faults": self.faults,
        })
    }
}

impl Side {
    fn new(outcome: Outcome, truth: &Truth, slack_ms: i64) -> Self {
        let truth = truth.within(outcome.since, outcome.until);
        let judged =
            |events: &[Event]| (!truth.groups.is_empty()).then(|| truth.judge(events, slack_ms));
        let (anomalies, incidents) = (judged(&told(&outcome)), judged(&opened(&outcome)));
        Self { figures: Figures::of(&outcome), outcome, anomalies, incidents }
    }

    fn json(&self) -> Value {
        let o = &self.outcome;
        json!({
            "name": o.name, "since": o.since, "until": o.until, "n_series": o.n_series,
            "points": o.counts, "figures": self.figures,
            "against_labels": { "anomalies": self.anomalies, "incidents": self.incidents },
            "anomalies": o.claims, "alerts": o.alerts, "incidents": o.incidents,
        })
    }
}

impl Figures {
    fn of(outcome: &Outcome) -> Self {
        let end = outcome.until;
        let days = (end.ms_since(outcome.since) as f64 / DAY_MS as f64).max(1.0 / 1_440.0);
        let mut by_day: BTreeMap<String, usize> = BTreeMap::new();
        let mut by_detector: BTreeMap<String, usize> = BTreeMap::new();
        for claim in &outcome.claims {
            *by_day.entry(claim.told_at.minute_text()[..10].to_owned()).or_default() += 1;
            *by_detector.entry(claim.anomaly.detector.clone()).or_default() += 1;
        }
        let busiest_day =
            by_day.into_iter().max_by_key(|(day, n)| (*n, std::cmp::Reverse(day.clone())));
        let lasted = |since: Time, until: Option<Time>| until.unwrap_or(end).ms_since(since).max(0);
        let claims = outcome.claims.iter().map(|c| lasted(c.anomaly.since, c.anomaly.until));
        let incidents: Vec<i64> =
            outcome.incidents.iter().map(|i| lasted(i.onset_at, end_of(i))).collect();
        let n_severity = |s: Severity| outcome.alerts.iter().filter(|a| a.severity == s).count();
        Self {
            days,
            n_anomalies: outcome.claims.len(),
            anomalies_a_day: outcome.claims.len() as f64 / days.max(1.0),
            budget: outcome.detectors.clone().and_then(|d| Spending::of(d, days)),
            busiest_day,
            anomalies_lasted: Lasted::of(claims.collect()),
            n_alerts: [Severity::Critical, Severity::Warning, Severity::Info].map(n_severity),
            n_quiet: outcome.alerts.iter().filter(|a| a.suppressed.is_some()).count(),
            n_incidents: incidents.len(),
            n_short: incidents.iter().filter(|ms| **ms <= SHORT_MS).count(),
            n_open: outcome.incidents.iter().filter(|i| i.state.is_active()).count(),
            n_reopened: outcome.incidents.iter().map(|i| i.n_reopened).sum(),
            incidents_lasted: Lasted::of(incidents),
            by_detector,
        }
    }
}

impl Lasted {
    fn of(mut all: Vec<i64>) -> Self {
        all.sort_unstable();
        let at = |share: f64| {
            let place = ((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1));
            all.get(place).map_or(0.0, |ms| *ms as f64 / 1e3)
        };
        Self { median_s: at(0.5), p90_s: at(0.9), longest_s: at(1.0) }
    }
}

/// When an incident was over: the end of its last alert, not of the quiet time after it.
pub(super) fn end_of(incident: &Incident) -> Option<Time> {
    incident.quiet_since.or(incident.resolved_at)
}

/// Anomalies as events.
pub(super) fn told(outcome: &Outcome) -> Vec<Event> {
    outcome.claims.iter().map(|c| event(c, outcome.until)).collect()
}

/// Incidents as events: they are about all that their alerts are about.
pub(super) fn opened(outcome: &Outcome) -> Vec<Event> {
    let alerts: BTreeMap<AlertId, &Alert> = outcome.alerts.iter().map(|a| (a.id, a)).collect();
    let topic = |alert: &&Alert| Topic {
        entity: alert.entity.clone(),
        series: alert.labels.get("metric").map(str::to_owned).zip(alert.series),
    };
    outcome
        .incidents
        .iter()
        .map(|i| Event {
            topics: i.alerts.iter().filter_map(|id| alerts.get(id)).map(topic).collect(),
            since: i.onset_at,
            until: end_of(i).unwrap_or(outcome.until).max(i.onset_at),
            told_at: i.opened_at,
        })
        .collect()
}

/// An anomaly as an event; one that has not ended goes on to `end`.
fn event(claim: &Claim, end: Time) -> Event {
    let Anomaly { subject, since, until, .. } = &claim.anomaly;
    let series = match subject {
        Subject::Series { series } => Some((series.metric.clone(), series.id)),
        _ => None,
    };
    let topics = vec![Topic { entity: subject.entity().clone(), series }];
    Event { topics, since: *since, until: until.unwrap_or(end.max(*since)), told_at: claim.told_at }
}
