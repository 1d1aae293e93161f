//! What people get to see of the detectors, and the sentences for it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{By, Comparison, Config, Rate, Settings, Stability, Stage, Watch};
use crate::detect::budget::Spent;
use crate::model::Time;

/// Something that people should hear of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct News {
    /// When.
    pub at: Time,
    /// Which version.
    pub version: String,
    /// Where it is since.
    pub stage: Stage,
    /// What happened and why.
    pub text: String,
}

/// How one version stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct VersionReport {
    /// Its name with its version.
    pub name: String,
    /// Live or in shadow.
    pub stage: Stage,
    /// Who put it there.
    pub by: By,
    /// Since when.
    pub since: Time,
    /// Why.
    pub why: String,
    /// In a sentence: whether its p-values hold.
    pub standing: String,
    /// Whether one of them does not.
    pub drifts: bool,
    /// Rows judged within a day.
    pub n_rows: u64,
    /// The observed rates by level.
    pub rates: Vec<Rate>,
    /// How stable its inputs are.
    pub inputs: Vec<Stability>,
    /// Its budget; in shadow: as if it were live.
    pub budget: Spent,
}

/// How all versions stand.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Report {
    /// Event time.
    pub now: Time,
    /// Each version, those that are live first.
    pub versions: Vec<VersionReport>,
    /// Each pair of versions.
    pub pairs: Vec<Comparison>,
    /// What happened to them, the newest first.
    pub news: Vec<News>,
}

impl Watch {
    /// How all versions stand.
    #[must_use]
    pub fn report(&self, settings: Settings<'_>) -> Report {
        let mut versions: Vec<VersionReport> = self
            .versions
            .iter()
            .map(|(name, v)| {
                let rates = v.calibration.rates();
                VersionReport {
                    name: name.clone(),
                    stage: v.stage,
                    by: v.by,
                    since: v.since,
                    why: v.why.clone(),
                    standing: standing(&rates, settings.drift),
                    drifts: rates.iter().any(|r| is_off(r, settings.drift.most_ratio)),
                    n_rows: v.calibration.n_rows(),
                    rates,
                    inputs: v.inputs.stability(),
                    budget: v.budget.spent(settings.budget),
                }
            })
            .collect();
        versions.sort_by_key(|v| v.stage != Stage::Live);
        let pairs = self.pairs.iter().map(|((a, b), pair)| pair.report(a, b)).collect();
        Report { now: self.now, versions, pairs, news: self.news.clone() }
    }
}

/// Whether a rate is off beyond doubt.
pub(super) fn is_off(rate: &Rate, most: f64) -> bool {
    rate.enough && (rate.low > most || rate.high < 1.0 / most)
}

fn words(rate: &Rate) -> String {
    format!(
        "at {:.0e}, {:.0} onsets where {:.0} are nominal: {:.1} times as many ({:.1} to {:.1})",
        rate.level, rate.observed, rate.nominal, rate.ratio, rate.low, rate.high
    )
}

fn standing(rates: &[Rate], config: &Config) -> String {
    if let Some(rate) = rates.iter().find(|r| is_off(r, config.most_ratio)) {
        return format!("Its p-values do not hold: {}.", words(rate));
    }
    match rates.iter().rfind(|r| r.enough) {
        Some(rate) => format!("Its p-values hold: {}.", words(rate)),
        None => "Too little was judged within a day to say whether its p-values hold.".into(),
    }
}

pub(super) fn drifts(rate: &Rate, config: &Config, hours: i32) -> String {
    format!(
        "Its p-values have not held for {hours} h: {}; up to {} times as many or as few are \
         allowed. It comes back once they have held for {} h.",
        words(rate),
        config.most_ratio,
        config.promote_after_h
    )
}

pub(super) fn holds(rates: &[Rate], hours: i32) -> String {
    let now = rates.iter().rfind(|r| r.enough).map_or(String::new(), |r| format!(": {}", words(r)));
    format!("Its p-values have held for {hours} h{now}.")
}

pub(super) fn shifted(inputs: &[Stability]) -> String {
    let all: Vec<String> =
        inputs.iter().map(|s| format!("{} {:.2}", s.input, s.index.unwrap_or_default())).collect();
    format!(
        "What it reads is no longer what it read in the weeks before (population stability index \
         {}; 0.25 is much).",
        all.join(", ")
    )
}
