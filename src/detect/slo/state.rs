//! One objective as it stands: its books, its budget, and what was said of it.

use serde::{Deserialize, Serialize};

use super::burn::{Burn, RULES, Urgency, burn};
use super::config::{Objective, Window};
use super::ledger::{Kind, Ledger};
use super::rows::Rows;
use crate::detect::forecast::{Outlook, Question, Rhythm, outlook};
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Labels, SeriesId, Time};

/// Nothing measured for this long (ms), or four usual steps: blind.
const BLIND_MS: i64 = 5 * MINUTE_MS;

/// Hours that a forecast of the budget rests on at most, and at least.
const KEPT: i64 = 504;
const YOUNG: usize = 48;
/// How far ahead it looks, in hours, and the least chance that is worth a word.
const HORIZON_H: i64 = 168;
const LIKELY: f64 = 0.5;

/// What was said and is not over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) since: Time,
    pub(super) told_at: Time,
    pub(super) peak: f64,
    pub(super) score: f64,
}

/// State of one objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// What it measures; another meaning starts new books.
    pub(super) meaning: u64,
    pub(super) ledger: Ledger,
    pub(super) rows: Rows,
    pub(super) page: Option<Open>,
    pub(super) ticket: Option<Open>,
    pub(super) judged_at: Time,
    /// When its budget will be used up, as looked at each hour.
    pub(super) outlook: Option<Outlook>,
    looked_at: i64,
    /// Series of its bad part that was heard last: what charts show.
    pub(super) series: Option<SeriesId>,
}

/// How much of the budget is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Budget {
    /// Share of the whole budget of the window that is spent; above 1 the objective is broken.
    pub(super) spent: f64,
    /// Share of the window's events (or time) that was good, of what was measured.
    pub(super) good: f64,
    /// Share of the window so far in which it was measured.
    pub(super) coverage: f64,
    /// Length of the whole window in hours.
    pub(super) hours: f64,
    /// When the window ends and the budget is whole again; `None` for a rolling one.
    pub(super) ends_at: Option<Time>,
}

impl Objective {
    /// How good and bad follow from its series.
    pub(super) fn kind(&self) -> Kind {
        if self.good.is_some() {
            Kind::Good
        } else if self.bad.is_some() {
            Kind::Bad
        } else {
            Kind::Share { counted: self.total.is_some() }
        }
    }

    /// What it measures, as a fingerprint; the promise itself may change without new books.
    pub(super) fn meaning(&self) -> u64 {
        let parts = [&self.errors, &self.good, &self.bad, &self.total, &self.latency];
        let mut labels = Labels::default().with("service", self.service.as_str());
        for (i, selector) in parts.into_iter().enumerate() {
            let Some(s) = selector else { continue };
            labels.set(format!("{i}.metric"), s.metric.as_str());
            labels.set(
                format!("{i}.entity"),
                s.entity.as_ref().map(ToString::to_string).unwrap_or_default(),
            );
            for (n, matcher) in s.matchers.iter().enumerate() {
                labels.set(format!("{i}.{n}"), matcher.to_string());
            }
        }
        labels.set("threshold", self.threshold.map(|t| t.to_string()).unwrap_or_default());
        labels.fingerprint().0
    }

    /// Bad events below which no alert is made; 0 where time is judged.
    pub(super) fn least(&self) -> f64 {
        if matches!(self.kind(), Kind::Share { counted: false }) {
            0.0
        } else {
            f64::from(self.least_bad)
        }
    }
}

impl State {
    pub(super) fn new(objective: &Objective) -> Self {
        Self {
            meaning: objective.meaning(),
            ledger: Ledger::new(objective.kind()),
            rows: Rows::default(),
            page: None,
            ticket: None,
            judged_at: Time::MIN,
            outlook: None,
            looked_at: 0,
            series: None,
        }
    }

    /// Since when nothing was measured, if that is too long ago to say that all is well.
    pub(super) fn blind_since(&self, now: Time) -> Option<Time> {
        let until = self.ledger.measured_until()?;
        let patience = BLIND_MS.max(4 * self.rows.step_ms());
        (now.ms_since(until) > patience).then_some(until)
    }

    /// What each rule sees.
    pub(super) fn burns(&self, objective: &Objective) -> [Burn; 3] {
        let terms = (objective.budget(), objective.window.hours());
        RULES.map(|rule| burn(rule, &self.ledger, terms, objective.least()))
    }

    /// How much of the budget is gone at `now`.
    pub(super) fn budget(&self, objective: &Objective, now: Time) -> Budget {
        let (from, until) = objective.window.around(now);
        let (tally, ends_at) = match objective.window {
            Window::Rolling { days } => (self.ledger.last(i64::from(days) * 24 * HOUR_MS), None),
            Window::Week | Window::Month => (self.ledger.since(from), Some(until)),
        };
        let minutes = until.ms_since(from) as f64 / MINUTE_MS as f64;
        // What was not measured is taken neither for good nor for bad.
        let spent = tally.share() / objective.budget() * (tally.measured / minutes).min(1.0);
        Budget {
            spent,
            good: 1.0 - tally.share(),
            coverage: tally.coverage(),
            hours: minutes / 60.0,
            ends_at,
        }
    }

    /// Looks once an hour when the budget will be used up: its spending goes on as trends do, and
    /// what was spent at the beginning of a rolling window is given back as it leaves.
    pub(super) fn look_ahead(&mut self, objective: &Objective, now: Time) {
        let hour = now.ms().div_euclid(HOUR_MS);
        if hour == self.looked_at {
            return;
        }
        self.looked_at = hour;
        self.outlook = None;
        let budget = self.budget(objective, now);
        let window = budget.hours as i64;
        let hours = self.ledger.hourly(window.max(KEPT));
        let heard: f64 = hours.iter().flatten().map(|t| t.total).sum();
        let n = hours.iter().flatten().count();
        if n < YOUNG || heard <= 0.0 || budget.spent >= 1.0 {
            return;
        }
        // What an hour of bad events costs, as a share of the whole budget.
        let whole = objective.budget() * heard / n as f64 * budget.hours;
        let spent: Vec<f64> = hours.iter().map(|t| t.map_or(0.0, |t| t.bad / whole)).collect();
        let past = spent.len().min(KEPT as usize);
        let mut values = vec![budget.spent; past];
        for i in (0..past - 1).rev() {
            values[i] = values[i + 1] - spent[spent.len() - past + i + 1];
        }
        let rolls = budget.ends_at.is_none();
        // The oldest hour of the window is the first to leave.
        let oldest = spent.len() as i64 - window;
        let returned = |k: i64| {
            let ends = (oldest + k).clamp(0, spent.len() as i64);
            spent[oldest.max(0) as usize..ends.max(oldest.max(0)) as usize].iter().sum::<f64>()
        };
        let known = |h: f64| if rolls && h > 0.0 { -returned(h.ceil() as i64) } else { 0.0 };
        let ends = budget.ends_at.map_or(i64::MAX, |t| t.ms_since(now) / HOUR_MS);
        let question = Question {
            limit: 1.0,
            horizon: HORIZON_H.min(ends).max(1) as usize,
            step_h: 1.0,
            first: -(past as i64),
            least: LIKELY,
            began: None,
        };
        self.outlook = outlook(&values, &question, &Rhythm::Known(&known), None)
            .filter(|o| o.chance >= LIKELY && o.expected_h.is_some());
    }

    /// What was said with an urgency and is not over.
    pub(super) fn open(&mut self, urgency: Urgency) -> &mut Option<Open> {
        match urgency {
            Urgency::Page => &mut self.page,
            Urgency::Ticket => &mut self.ticket,
        }
    }
}

impl Budget {
    /// Hours until it is gone at a burn rate; `None`: it is gone, or never will be, or the window
    /// ends before.
    pub(super) fn exhausted_in_h(&self, burn: f64, now: Time) -> Option<f64> {
        let left = 1.0 - self.spent;
        if left <= 0.0 || burn <= 0.0 {
            return None;
        }
        let hours = left * self.hours / burn;
        let ends = self.ends_at.map(|t| t.ms_since(now) as f64 / HOUR_MS as f64);
        (hours.is_finite() && ends.is_none_or(|e| hours < e) && hours <= self.hours)
            .then_some(hours)
    }
}
