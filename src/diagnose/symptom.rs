//! What the alerts say about each entity: that it fails those who use it, that a resource of its
//! own is short, that more is asked of it, or that less reaches it.

use std::collections::BTreeMap;

use super::input::Onset;
use crate::model::time::{MINUTE_MS, SECOND_MS};
use crate::model::{Alert, EntityRef, Indicator, Time};

/// So long (ms) a detector takes to notice what its series do not date themselves.
const NOTICED_MS: i64 = 60 * SECOND_MS;
/// So long (ms) a rule of another system may have waited: that it holds for five minutes or ten is
/// what rules usually ask for, and what is sent does not say so.
const WAITED_MS: i64 = 10 * MINUTE_MS;

/// The trouble of one entity.
#[derive(Clone, Debug)]
pub(super) struct Trouble<'a> {
    /// Its alerts.
    pub alerts: Vec<&'a Alert>,
    /// When it began; where no series tells, when it was told of first.
    pub onset: Time,
    /// When it may have begun already: earlier, where it was only told of.
    pub earliest: Time,
    /// It fails those who use it: errors, durations, availability.
    pub fails: bool,
    /// A resource of its own is short: saturation, utilisation, a limit ahead.
    pub short: bool,
    /// Its own traffic or use rose: more is asked of it.
    pub loaded: bool,
    /// Its traffic itself rose.
    pub asked: bool,
}

impl Trouble<'_> {
    /// Whether nothing is known of it but that less reaches it: what callers that fail do to whom
    /// they call.
    pub(super) fn starved(&self) -> bool {
        !self.fails && !self.short && !self.loaded
    }

    /// Whether it gives wrong answers or none, as an alert on just that says.
    pub(super) fn errs(&self) -> bool {
        self.alerts.iter().any(|a| match a.indicator {
            Some(Indicator::Errors) => !is_low(a),
            Some(Indicator::Availability) => true,
            _ => false,
        })
    }

    /// Whether it is a suspect by its own symptoms: it fails or is short of something.
    pub(super) fn strong(&self) -> bool {
        self.fails || self.short
    }

    /// The alert on a resource of its own that says most.
    pub(super) fn resource(&self) -> Option<&Alert> {
        let weight = |a: &Alert| match a.indicator {
            _ if is_log(a) || is_low(a) => 0,
            Some(Indicator::Saturation) => 3,
            Some(Indicator::Utilization) => 2,
            Some(Indicator::Usage) => 1,
            _ => 0,
        };
        let found = self.alerts.iter().copied().filter(|a| weight(a) > 0);
        found.max_by(|a, b| {
            let by_score = a.score.total_cmp(&b.score);
            (a.is_forecast(), weight(a))
                .cmp(&(b.is_forecast(), weight(b)))
                .then(by_score)
                .then(b.id.cmp(&a.id))
        })
    }
}

/// Whether an alert speaks of a log template.
pub(super) fn is_log(alert: &Alert) -> bool {
    alert.labels.get("template").is_some()
}

/// Whether the alert's value lies below what was expected.
pub(super) fn is_low(alert: &Alert) -> bool {
    match (alert.value, alert.expected) {
        (Some(value), Some(band)) => value < band.low,
        _ => false,
    }
}

/// The trouble of each entity that has an alert. `onsets` are those found in the series
/// themselves; where there is none, our own detectors' word counts, and another system's only
/// where there is nothing else: its rules wait before they fire.
pub(super) fn troubles<'a>(
    alerts: &'a [Alert],
    onsets: &Onset,
) -> BTreeMap<EntityRef, Trouble<'a>> {
    let mut by_entity: BTreeMap<EntityRef, Vec<&Alert>> = BTreeMap::new();
    for alert in alerts {
        by_entity.entry(alert.entity.clone()).or_default().push(alert);
    }
    by_entity
        .into_iter()
        .map(|(entity, mut alerts)| {
            alerts.sort_by_key(|a| (a.starts_at, a.id));
            let own = alerts.iter().filter(|a| a.anomaly.is_some()).map(|a| a.starts_at).min();
            let told = alerts.iter().map(|a| a.starts_at).min().unwrap_or(Time::MIN);
            let (onset, late_ms) = match (onsets.get(&entity), own) {
                (Some(seen), _) => (*seen, 0),
                (None, Some(own)) => (own, NOTICED_MS),
                (None, None) => (told, WAITED_MS),
            };
            let any = |of: &dyn Fn(&Alert) -> bool| alerts.iter().any(|a| of(a));
            let trouble = Trouble {
                onset,
                earliest: onset.plus_ms(-late_ms),
                fails: any(&|a| match a.indicator {
                    _ if is_log(a) => true,
                    Some(Indicator::Errors | Indicator::Duration | Indicator::Custom) => !is_low(a),
                    Some(Indicator::Availability) | None => true,
                    _ => false,
                }),
                short: any(&|a| {
                    let kind =
                        matches!(a.indicator, Some(Indicator::Saturation | Indicator::Utilization));
                    a.is_forecast() || (kind && !is_low(a))
                }),
                asked: any(&|a| a.indicator == Some(Indicator::Rate) && !is_low(a)),
                loaded: any(&|a| {
                    matches!(a.indicator, Some(Indicator::Rate | Indicator::Usage)) && !is_low(a)
                }),
                alerts,
            };
            (entity, trouble)
        })
        .collect()
}

/// Since when each entity with an alert is known to be in trouble.
pub(super) fn in_trouble(alerts: &[Alert], onsets: &Onset) -> Onset {
    troubles(alerts, onsets).into_iter().map(|(entity, trouble)| (entity, trouble.onset)).collect()
}
