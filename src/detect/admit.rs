//! From what detectors call to what people are told: a called departure asks the budget.
//!
//! Two versions stand side by side on the same data. `called` is what is told: departures that the
//! bands call with the ensemble's word; `ensemble` is that word by itself, each of its onsets an
//! episode. The ensemble's onsets say what is ordinary. While it is in shadow, its word does not
//! count: bands call alone. What is held back stays an anomaly and gives an alert that strengthens
//! an incident and opens none.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bars::Bars;
use super::beside::informs_only;
use super::budget::{Near, Offer};
use super::business::alert_weighed;
use super::config::Config;
use super::drift::{Report, Row, Settings, Stage, Tally, Watch};
use super::pooled::{Pooled, PooledReport};
use crate::model::alert::{Alert, Anomaly, HELD_BACK, Subject};
use crate::model::{AnomalyId, DetectorOrder, EntityRef, Indicator, Series, Severity, Time};

/// What is told: bands with the ensemble's word.
const CALLED: &str = "called/1";
/// The ensemble by itself.
const ENSEMBLE: &str = "ensemble/1";
/// Onsets rarer than this (nats) say what is ordinary: one row in a hundred.
const ONSET_NATS: f64 = 4.605;
/// Most that distance and length add to a departure's surprise, in units of `most_p`.
const MOST_FAR: f64 = 4.0;
const MOST_LONG: f64 = 3.0;
/// Holds after which a departure is as good as a rare one.
const LONG_HOLDS: f64 = 9.0;
/// A held departure asks again once it is this much (nats) more surprising.
const AGAIN_NATS: f64 = 0.5;
/// Episodes just below the threshold that are listed.
const NEAR: usize = 20;

/// How the detectors stand, and what was held back.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Detectors {
    /// Which version's word is told.
    pub told_by: String,
    /// The strongest episodes of the last day that were held back, the nearest first.
    pub held_back: Vec<Near>,
    /// What the ensemble's pool learned from the onsets of all series.
    pub pooled: PooledReport,
    /// Versions, comparisons and news.
    #[serde(flatten)]
    pub report: Report,
}

impl Detectors {
    /// What was told within a day, what was asked, and what was held back.
    #[must_use]
    pub fn told_within_day(&self) -> serde_json::Value {
        let Some(version) = self.report.versions.iter().find(|v| v.name == self.told_by) else {
            return serde_json::Value::Null;
        };
        let (budget, day) = (&version.budget, &version.budget.last_day);
        serde_json::json!({
            "told": day.ordinary + day.reserved, "held": day.held, "asked": budget.asked_per_day,
        })
    }

    /// Puts it into our own metrics.
    pub(super) fn publish(&self) {
        for version in &self.report.versions {
            let labels = |key: &'static str, value: String| {
                vec![
                    metrics::Label::new("detector", version.name.clone()),
                    metrics::Label::new(key, value),
                ]
            };
            let own = || vec![metrics::Label::new("detector", version.name.clone())];
            let yes = |is: bool| f64::from(u8::from(is));
            metrics::gauge!("nightjar_detect_version_live", own())
                .set(yes(version.stage == Stage::Live));
            metrics::gauge!("nightjar_detect_version_drifts", own()).set(yes(version.drifts));
            for rate in version.rates.iter().filter(|r| r.enough) {
                let level = labels("level", rate.level.to_string());
                metrics::gauge!("nightjar_detect_calibration_ratio", level).set(rate.ratio);
            }
            for input in &version.inputs {
                if let Some(index) = input.index {
                    let input = labels("input", input.input.clone());
                    metrics::gauge!("nightjar_detect_input_stability", input).set(index);
                }
            }
            let (budget, day) = (&version.budget, &version.budget.last_day);
            for (lane, n) in [
                ("ordinary", day.ordinary),
                ("reserved", day.reserved),
                ("joined", day.joined),
                ("held", day.held),
            ] {
                let lane = labels("lane", lane.to_owned());
                metrics::gauge!("nightjar_detect_budget_episodes", lane).set(n as f64);
            }
            metrics::gauge!("nightjar_detect_budget_asked_per_day", own())
                .set(budget.asked_per_day);
            metrics::gauge!("nightjar_detect_budget_threshold_nats", own())
                .set(budget.threshold + budget.burst_nats);
            if let Some(ratio) = budget.false_ratio {
                metrics::gauge!("nightjar_detect_budget_false_ratio", own()).set(ratio);
            }
        }
    }
}

/// State: the watch, and which open anomalies are held back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Admit {
    watch: Watch,
    asked: BTreeMap<AnomalyId, Asked>,
    /// What the onsets of all series have taught.
    #[serde(default)]
    pooled: Pooled,
}

/// What was answered to an anomaly that is open, or ended with the newest batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Asked {
    surprise: f64,
    critical: bool,
    /// Why it is held back, while it is.
    held: Option<String>,
    ended: bool,
}

/// What a batch showed, on its way to the watch.
#[derive(Debug, Default)]
pub(super) struct Seen {
    tally: Tally,
    onsets: Vec<Onset>,
}

#[derive(Debug)]
struct Onset {
    at: Time,
    entity: EntityRef,
    what: String,
    surprise: f64,
    critical: bool,
}

impl Seen {
    /// A row that the ensemble judged.
    pub(super) fn row(&mut self, series: &Series, at: Time, row: &Row) {
        self.tally.count(row);
        let Some(surprise) = row.onset_surprise.filter(|s| *s >= ONSET_NATS) else { return };
        let felt = matches!(
            series.indicator,
            Indicator::Errors | Indicator::Duration | Indicator::Availability
        );
        self.onsets.push(Onset {
            at,
            entity: series.entity.clone(),
            what: series.metric.clone(),
            surprise,
            critical: felt,
        });
    }
}

impl Admit {
    /// Whether the ensemble's word counts.
    pub(super) fn heeds_ensemble(&self) -> bool {
        self.watch.now() == Time::MIN || self.watch.is_live(ENSEMBLE)
    }

    /// What the onsets of all series have taught.
    pub(super) fn pooled(&self) -> &Pooled {
        &self.pooled
    }

    /// A live row that the ensemble judged, for the pool.
    pub(super) fn hear(&mut self, entity: &EntityRef, at: Time, row: &Row) {
        self.pooled.row(entity, at, &row.heard);
    }

    /// Takes in what a live batch showed and called. The order of series in it does not matter.
    pub(super) fn judge(
        &mut self,
        config: &Config,
        (now, bars): (Time, &Bars),
        mut seen: Seen,
        called: &[Anomaly],
    ) {
        let settings = Settings { budget: &config.budget, drift: &config.drift };
        self.watch.know(CALLED, Stage::Live, now);
        self.watch.know(ENSEMBLE, Stage::Live, now);
        self.watch.tick(settings, now);
        self.watch.absorb(ENSEMBLE, &seen.tally);
        seen.onsets.sort_by(|a, b| {
            (a.at, &a.entity, &a.what)
                .cmp(&(b.at, &b.entity, &b.what))
                .then_with(|| a.surprise.total_cmp(&b.surprise))
        });
        for onset in &seen.onsets {
            let Onset { at, entity, what, surprise, critical } = onset;
            let offer = Offer { at: *at, entity, what, surprise: *surprise, critical: *critical };
            self.watch.offer(settings, ENSEMBLE, &offer);
            self.watch.learn(settings, CALLED, (*at, entity, *surprise));
        }
        let critical = |a: &&Anomaly| alert_weighed(config, a).severity == Severity::Critical;
        self.pooled.close(now, called.iter().filter(critical));
        self.asked.retain(|_, asked| !asked.ended);
        let mut asking: Vec<&Anomaly> = called.iter().filter(|a| asks(a)).collect();
        asking.sort_by_key(|a| (a.at, a.id));
        for anomaly in asking {
            self.ask((config, bars), settings, anomaly);
        }
    }

    fn ask(&mut self, (config, bars): (&Config, &Bars), settings: Settings<'_>, anomaly: &Anomaly) {
        let Subject::Series { series } = &anomaly.subject else { return };
        let bar = bars.factor(series);
        let surprise = surprise_of((config, bar), anomaly, self.heeds_ensemble());
        let critical = alert_weighed(config, anomaly).severity == Severity::Critical;
        let asked = self.asked.entry(anomaly.id);
        let fresh = matches!(asked, std::collections::btree_map::Entry::Vacant(_));
        let asked = asked.or_insert(Asked { surprise, critical, held: None, ended: false });
        let grew = surprise >= asked.surprise + AGAIN_NATS || (critical && !asked.critical);
        asked.ended = anomaly.until.is_some();
        if !fresh && (asked.held.is_none() || !grew) {
            return;
        }
        (asked.surprise, asked.critical) = (surprise, critical);
        let offer = Offer {
            at: anomaly.at,
            entity: &series.entity,
            what: &series.metric,
            surprise,
            critical,
        };
        let said = self.watch.offer(settings, CALLED, &offer);
        asked.held = (!said.told).then(|| {
            if said.admission.told {
                format!("{CALLED} is in shadow. {}", said.admission.why)
            } else {
                said.admission.why
            }
        });
    }

    /// A person moves a version.
    pub(super) fn obey(&mut self, order: &DetectorOrder) {
        let stage = if order.live { Stage::Live } else { Stage::Shadow };
        self.watch.place(&order.detector, stage, &order.by.name, &order.reason);
    }

    /// Why an anomaly of the newest batch is held back, where it is.
    pub(super) fn held(&self, id: AnomalyId) -> Option<&str> {
        self.asked.get(&id)?.held.as_deref()
    }

    /// How the detectors stand.
    pub(super) fn report(&self, config: &Config) -> Detectors {
        let settings = Settings { budget: &config.budget, drift: &config.drift };
        let held_back = self.watch.budget(CALLED).map(|b| b.next(NEAR)).unwrap_or_default();
        Detectors {
            told_by: CALLED.into(),
            held_back,
            pooled: self.pooled.report(config.drift.pool_learns),
            report: self.watch.report(settings),
        }
    }
}

/// Whether an anomaly is one that the budget is asked for. Limits ahead, silence, logs and
/// objectives have rules of their own, and a standstill is for information only.
fn asks(anomaly: &Anomaly) -> bool {
    matches!(anomaly.subject, Subject::Series { .. })
        && !matches!(anomaly.detector.as_str(), "flatline/1" | "forecast/1")
        && !informs_only(&anomaly.detector)
}

/// The surprise of a called departure in nats. What makes up for a lack of rarity when a departure
/// is called counts here too, each in units of `most_p`: how far beyond the edge of the band it is,
/// and how long it has lasted. Where people moved the bar, rarity is in units of it, as distance is
/// already.
fn surprise_of((config, bar): (&Config, f64), anomaly: &Anomaly, heed: bool) -> f64 {
    let unit = config.budget.least();
    let far = (anomaly.score / config.threshold.max(f64::MIN_POSITIVE) - 1.0).clamp(0.0, MOST_FAR);
    let hold_ms = f64::from(config.hold_s.max(1)) * 1_000.0;
    let holds = anomaly.at.ms_since(anomaly.since) as f64 / hold_ms;
    let long = ((holds - 1.0) / LONG_HOLDS).clamp(0.0, MOST_LONG);
    let rare = match &anomaly.grounds {
        Some(grounds) if heed => -grounds.p_value.clamp(1e-300, 1.0).ln() / bar,
        // Its past is too short to say: it was called, so it is at least that rare.
        _ => unit,
    };
    rare + unit * (far + long)
}

/// Makes an alert one that strengthens an incident and opens none, and says why.
pub(super) fn quieten(alert: &mut Alert, why: &str) {
    alert.severity = Severity::Info;
    alert.labels.set("severity", "info");
    alert.annotations.set(HELD_BACK, why);
}
