//! How an objective stands, for the console, the API and metrics.

use serde::Serialize;
use utoipa::ToSchema;

use super::burn::Urgency;
use super::config::Objective;
use super::state::State;
use crate::detect::forecast::span;
use crate::model::time::HOUR_MS;
use crate::model::{Labels, Time};

/// In one word how it stands, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StandingState {
    /// No series that it names was heard: look at its metric and labels.
    NoData,
    /// It was measured before, and is not now.
    Blind,
    /// It burns so fast that somebody is to be woken.
    Page,
    /// It burns so fast that somebody is to look in working hours.
    Ticket,
    /// Its budget is used up.
    Broken,
    /// It is kept.
    Kept,
}

/// What one rule of the burn rates sees.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BurnRate {
    /// `page` or `ticket`.
    pub urgency: &'static str,
    /// Length of the long window in hours.
    pub long_h: f64,
    /// Length of the short window in hours.
    pub short_h: f64,
    /// How many times as fast as it can afford the budget burns over the long window.
    pub long: f64,
    /// The same over the short window.
    pub short: f64,
    /// The rate from which it tells, in both windows.
    pub threshold: f64,
    /// Whether it tells.
    pub fires: bool,
}

/// How an objective stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// The service that promises it.
    pub service: String,
    /// What it means to users.
    pub description: String,
    /// What is promised, in percent.
    pub objective: f64,
    /// Over which time: `30d`, `week`, `month`.
    pub window: String,
    /// In one word.
    pub state: StandingState,
    /// What was good in the window, in percent of what was measured; missing without data.
    pub good: Option<f64>,
    /// Share of the budget that is left, 0 to 1; below 0 it is overspent. Missing without data.
    pub budget_left: Option<f64>,
    /// Share of the window so far in which it was measured, 0 to 1.
    pub measured: f64,
    /// The newest time that was measured.
    pub measured_until: Option<Time>,
    /// When the budget is used up at the burn rate of the last hour, if it will be.
    pub exhausted_at: Option<Time>,
    /// By the trend of the last weeks: hours until the budget is used up with their interval, and
    /// the chance within a week, such as `68 h (±4.0 h), 94 %`.
    pub exhaustion: Option<String>,
    /// Burn rates by rule.
    pub burns: Vec<BurnRate>,
    /// Series that feed it.
    pub n_series: usize,
    /// Points that came twice or too late to be entered.
    pub n_late: u64,
    /// Labels that its alerts carry.
    pub labels: Labels,
}

pub(super) fn standing(objective: &Objective, state: &State, now: Time) -> Standing {
    let burns = state.burns(objective);
    let budget = state.budget(objective, now);
    let until = state.ledger.measured_until();
    let word = if until.is_none() {
        StandingState::NoData
    } else if state.blind_since(now).is_some() {
        StandingState::Blind
    } else if state.page.is_some() {
        StandingState::Page
    } else if state.ticket.is_some() {
        StandingState::Ticket
    } else if budget.spent >= 1.0 {
        StandingState::Broken
    } else {
        StandingState::Kept
    };
    let exhausted = budget.exhausted_in_h(burns[0].long, now);
    let hours = |ms: i64| ms as f64 / HOUR_MS as f64;
    Standing {
        name: objective.name.clone(),
        service: objective.service.clone(),
        description: objective.description.clone(),
        objective: objective.objective,
        window: objective.window.to_string(),
        state: word,
        good: until.map(|_| budget.good * 100.0),
        budget_left: until.map(|_| 1.0 - budget.spent),
        measured: budget.coverage,
        measured_until: until,
        exhausted_at: exhausted.map(|h| now.plus_ms((h * HOUR_MS as f64) as i64)),
        exhaustion: state.outlook.as_ref().map(span),
        burns: burns
            .iter()
            .map(|b| BurnRate {
                urgency: if b.rule.urgency == Urgency::Page { "page" } else { "ticket" },
                long_h: hours(b.rule.long_ms),
                short_h: hours(b.rule.short_ms),
                long: b.long,
                short: b.short,
                threshold: b.threshold,
                fires: b.fires,
            })
            .collect(),
        n_series: state.rows.n(),
        n_late: state.rows.n_late + state.rows.n_beyond,
        labels: objective.labels.clone().into_iter().collect(),
    }
}
