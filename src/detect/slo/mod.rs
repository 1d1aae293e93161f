//! Service level objectives: takes the points of the series that an objective names, gives alerts
//! where its error budget burns too fast, and how much of it is left.
//!
//! Guarantees: one pass, constant memory per objective (rings of minutes, quarters of an hour and
//! hours), late points are entered where they belong, and what was not measured is called blind
//! and never fine: nothing ends and nothing begins while nothing is heard.

mod burn;
mod config;
mod ledger;
mod openslo;
mod rows;
mod standing;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use config::{Objective, Selector, Window};
pub use openslo::{Imported, import};
pub use standing::{BurnRate, Standing, StandingState};

use super::forecast::span;
use crate::model::alert::{Band, Subject};
use crate::model::signal::Direction;
use crate::model::time::{HOUR_MS, MINUTE_MS, SECOND_MS, duration_text};
use crate::model::{Anomaly, AnomalyId, Samples, Series, Time};
use burn::{Burn, Urgency};
use ledger::{Entry, Side};
use state::{Open, State};

/// Objectives are judged this often (ms).
const EVERY_MS: i64 = 10 * SECOND_MS;
/// What is still burning is told again after this long (ms).
const RETELL_MS: i64 = 5 * MINUTE_MS;
/// Series whose part is remembered; beyond, they are looked at anew.
const MOST_KNOWN: usize = 500_000;

/// All objectives of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Slo {
    objectives: Vec<Objective>,
    /// Which objectives a series feeds, and how; found once.
    known: BTreeMap<u64, Vec<(usize, Side)>>,
}

/// How the objectives stand, by their names: what is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct States(BTreeMap<String, State>);

/// When something was heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// Event time.
    pub(super) now: Time,
    /// No point can be later than this.
    pub(super) latest: Time,
    /// It is history: it fills the books and raises nothing.
    pub(super) backfill: bool,
}

/// One point on its way into the books.
struct Arrival<'a> {
    at: Time,
    side: Side,
    objective: usize,
    value: f64,
    series: &'a Series,
}

impl Slo {
    /// These objectives. One that measures something else than before begins anew; what is no
    /// longer configured is forgotten.
    pub(super) fn new(objectives: Vec<Objective>, states: &mut States) -> Self {
        let mut stored = std::mem::take(&mut states.0);
        for objective in &objectives {
            let state = stored
                .remove(&objective.name)
                .filter(|s| s.meaning == objective.meaning())
                .unwrap_or_else(|| State::new(objective));
            states.0.insert(objective.name.clone(), state);
        }
        Self { objectives, known: BTreeMap::new() }
    }

    pub(super) fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// Takes in the points up to `latest`, and judges; back-fill only fills the books.
    pub(super) fn observe(
        &mut self,
        states: &mut States,
        metrics: &[Samples],
        heard: Heard,
        out: &mut Vec<Anomaly>,
    ) {
        if self.objectives.is_empty() {
            return;
        }
        let mut arrivals = Vec::new();
        for samples in metrics {
            let usable = |p: &&crate::model::Point| p.value.is_finite() && p.at <= heard.latest;
            for (objective, side) in self.parts_of(&samples.series) {
                arrivals.extend(samples.points.iter().filter(usable).map(|p| Arrival {
                    at: p.at,
                    side,
                    objective,
                    value: p.value,
                    series: &samples.series,
                }));
            }
        }
        // Of one time, what counts events comes before what weighs by them.
        arrivals.sort_by_key(|a| (a.at, a.side == Side::Part));
        for arrival in &arrivals {
            self.enter(states, arrival);
        }
        if !heard.backfill {
            self.judge(states, heard.now, out);
        }
    }

    /// Which objectives a series feeds.
    fn parts_of(&mut self, series: &Series) -> Vec<(usize, Side)> {
        if let Some(known) = self.known.get(&series.id.0) {
            return known.clone();
        }
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        let mut parts = Vec::new();
        for (n, objective) in self.objectives.iter().enumerate() {
            let entity = objective.entity();
            let fits = |s: &Option<Selector>| {
                s.as_ref().is_some_and(|s| {
                    s.metric == series.metric
                        && *s.entity.as_ref().unwrap_or(&entity) == series.entity
                        && s.matchers.iter().all(|m| m.matches(&series.labels))
                })
            };
            if fits(&objective.total) {
                parts.push((n, Side::Total));
            }
            let part = [&objective.errors, &objective.good, &objective.bad, &objective.latency];
            if part.into_iter().any(fits) {
                parts.push((n, Side::Part));
            }
        }
        self.known.insert(series.id.0, parts.clone());
        parts
    }

    fn enter(&self, states: &mut States, arrival: &Arrival<'_>) {
        let objective = &self.objectives[arrival.objective];
        let Some(state) = states.0.get_mut(&objective.name) else { return };
        let series = arrival.series;
        // A series may be both the total of one objective and the part of the same one.
        let id = series.id.0 ^ u64::from(arrival.side == Side::Part);
        let Some(stretch) = state.rows.stretch(id, arrival.at, series.step_ms) else { return };
        let key = series.labels.clone().with("__entity__", series.entity.to_string());
        let key = key.fingerprint().0;
        let mut value = arrival.value;
        let mut weight = 1.0;
        if arrival.side == Side::Total {
            state.rows.weigh(key, value);
        } else {
            state.series = Some(series.id);
            if let Some(threshold) = objective.threshold {
                value = f64::from(value > threshold);
            }
            weight = state.rows.weight(key);
        }
        let entry = Entry { value, weight, fills: stretch.fills };
        if !state.ledger.enter(arrival.side, (arrival.at, stretch.dt_ms), entry) {
            state.rows.n_late += 1;
        }
    }

    /// Tells what burns too fast, and when it no longer does.
    fn judge(&self, states: &mut States, now: Time, out: &mut Vec<Anomaly>) {
        for objective in &self.objectives {
            let Some(state) = states.0.get_mut(&objective.name) else { continue };
            if now.ms_since(state.judged_at) < EVERY_MS {
                continue;
            }
            if now.floor_to(HOUR_MS) > state.judged_at {
                state.rows.forget();
            }
            state.judged_at = now;
            if state.ledger.measured_until().is_none() || state.blind_since(now).is_some() {
                continue;
            }
            state.look_ahead(objective, now);
            let burns = state.burns(objective);
            for urgency in [Urgency::Page, Urgency::Ticket] {
                out.extend(told(objective, state, (urgency, &burns), now));
            }
        }
    }

    /// How each objective stands at `now`, in the order of the configuration.
    pub(super) fn standings(&self, states: &States, now: Time) -> Vec<Standing> {
        let state = |o: &Objective| states.0.get(&o.name);
        self.objectives.iter().filter_map(|o| Some(standing::standing(o, state(o)?, now))).collect()
    }
}

/// Moves the alert of one urgency on; gives what is to be told.
fn told(
    objective: &Objective,
    state: &mut State,
    (urgency, burns): (Urgency, &[Burn]),
    now: Time,
) -> Option<Anomaly> {
    let worst = burns
        .iter()
        .filter(|b| b.rule.urgency == urgency)
        .max_by(|a, b| {
            (a.fires, a.long / a.threshold)
                .partial_cmp(&(b.fires, b.long / b.threshold))
                .unwrap_or(std::cmp::Ordering::Equal)
        })
        .copied()?;
    let at = state.ledger.measured_until()?.min(now);
    let open = state.open(urgency).clone();
    if !worst.fires {
        let open = open?;
        *state.open(urgency) = None;
        let mut anomaly = claim(objective, state, &open, (&worst, at), now);
        anomaly.until = Some(at.max(open.since));
        anomaly.why = format!(
            "{} no longer burns its error budget faster than {} times what it can afford; {}.",
            objective.name,
            short(worst.threshold),
            left_text(objective, state, now)
        );
        return Some(anomaly);
    }
    let since = || {
        let share = worst.threshold * objective.budget();
        state.ledger.burning_since(share).unwrap_or(at).min(at)
    };
    let mut next = open.clone().unwrap_or_else(|| Open {
        since: since(),
        told_at: Time::MIN,
        peak: 0.0,
        score: 0.0,
    });
    next.peak = next.peak.max(worst.long);
    next.score = next.score.max(worst.long / worst.threshold);
    let due = now.ms_since(next.told_at) >= RETELL_MS;
    if due {
        next.told_at = now;
    }
    *state.open(urgency) = Some(next.clone());
    due.then(|| claim(objective, state, &next, (&worst, at), now))
}

fn claim(
    objective: &Objective,
    state: &State,
    open: &Open,
    (burn, at): (&Burn, Time),
    now: Time,
) -> Anomaly {
    let page = burn.rule.urgency == Urgency::Page;
    let word = if page { "page" } else { "ticket" };
    Anomaly {
        id: AnomalyId::derive(open.since, &[&objective.name, word, "slo/1"]),
        subject: Subject::Objective {
            entity: objective.entity(),
            objective: objective.name.clone(),
            labels: objective.labels.clone().into_iter().collect(),
            page,
            series: state.series,
        },
        detector: format!("slo-{word}/1"),
        since: open.since,
        at,
        until: None,
        value: burn.long,
        peak: open.peak,
        expected: Band { low: 0.0, mid: 1.0_f64.min(burn.threshold), high: burn.threshold },
        // One threshold away is what any detector calls an anomaly at its default.
        score: 4.0 * open.score,
        direction: Direction::High,
        why: why(objective, state, burn, now),
        unseen: false,
        grounds: None,
    }
}

fn why(objective: &Objective, state: &State, burn: &Burn, now: Time) -> String {
    let rule = burn.rule;
    let budget = state.budget(objective, now);
    let end = match budget.exhausted_in_h(burn.long, now) {
        _ if budget.spent >= 1.0 => "the objective is broken".to_owned(),
        Some(h) => {
            let at = now.plus_ms((h * HOUR_MS as f64) as i64);
            let span = duration_text((h * HOUR_MS as f64) as i64);
            format!("at this rate it is used up in {span}, {}", at.minute_text())
        }
        None => "at this rate it lasts".to_owned(),
    };
    let ahead = state.outlook.as_ref().map_or_else(String::new, |o| {
        format!(" By the trend of the last weeks it is used up in {} within a week.", span(o))
    });
    format!(
        "{} burns its error budget {} times as fast as it can afford over {}, {} times over {} \
         ({} from {}); {}, {end}.{ahead}",
        objective.name,
        short(burn.long),
        duration_text(rule.long_ms),
        short(burn.short),
        duration_text(rule.short_ms),
        if rule.urgency == Urgency::Page { "a page" } else { "a ticket" },
        short(burn.threshold),
        left_text(objective, state, now),
    )
}

fn left_text(objective: &Objective, state: &State, now: Time) -> String {
    let budget = state.budget(objective, now);
    let left = (1.0 - budget.spent) * 100.0;
    let window = match objective.window {
        Window::Rolling { days } => format!("{days} days"),
        Window::Week => "this week".to_owned(),
        Window::Month => "this month".to_owned(),
    };
    let known = if budget.coverage < 0.95 {
        format!(" (measured {:.0} % of the time)", budget.coverage * 100.0)
    } else {
        String::new()
    };
    if left >= 0.0 {
        format!("{left:.0} % of the budget of {window} is left{known}")
    } else {
        format!("the budget of {window} is overspent by {:.0} %{known}", -left)
    }
}

/// A burn rate in words: one digit below ten.
fn short(rate: f64) -> String {
    if rate < 9.95 || (rate - 14.4).abs() < 0.05 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}
