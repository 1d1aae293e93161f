//! The alert budget in a report: what was asked for, what was told and held back, how the
//! controller stands at the end, and what the next unit would buy. From the budget's own books.

use serde::Serialize;

use crate::detect::Detectors;
use crate::detect::budget::{Day, KEPT_DAYS, Near, Spent};
use crate::model::figure;
use crate::model::figure::n_of;

/// Episodes that were held back and are shown in a line of text.
const SHOWN: usize = 2;

/// The books at the end of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spending {
    /// Told on the budget and in the reserved lane, over the days that the books keep.
    pub n_told: u64,
    /// Of these, in the reserved lane.
    pub n_reserved: u64,
    /// Told as part of what was told already: costs nothing.
    pub n_joined: u64,
    /// Held back.
    pub n_held: u64,
    /// Days that this counts: those judged, or the last [`KEPT_DAYS`] of them.
    pub days: f64,
    /// Told as a share of what was asked for; `None` without a budget.
    pub spent_ratio: Option<f64>,
    /// Days (UTC) on which more was told than asked for.
    pub days_above: usize,
    /// The books.
    pub books: Spent,
    /// What was held back on the last day, the nearest to being told first.
    pub next: Vec<Near>,
}

impl Spending {
    /// The books of the version whose word is told, after `judged` days.
    #[must_use]
    pub fn of(detectors: Detectors, judged: f64) -> Option<Self> {
        let Detectors { told_by, held_back, report, .. } = detectors;
        let version = report.versions.into_iter().find(|v| v.name == told_by)?;
        let books = version.budget;
        let told = |d: &Day| d.ordinary + d.reserved;
        let sum = |of: fn(&Day) -> u64| books.days.iter().map(of).sum::<u64>();
        let asked = books.asked_per_day;
        let days = judged.min(KEPT_DAYS as f64);
        let n_told = sum(|d| d.ordinary + d.reserved);
        Some(Self {
            n_told,
            n_reserved: sum(|d| d.reserved),
            n_joined: sum(|d| d.joined),
            n_held: sum(|d| d.held),
            days,
            spent_ratio: (asked > 0.0).then(|| n_told as f64 / (asked * days.max(1.0))),
            days_above: books.days.iter().filter(|d| told(d) as f64 > asked).count(),
            books,
            next: held_back,
        })
    }

    /// Lines for people, each with its head.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let Self { books, n_told, .. } = self;
        let n_days = n_of(self.days.ceil() as u64, "day");
        let last = if self.days >= KEPT_DAYS as f64 { "the last " } else { "" };
        let days = format!("{last}{n_days}");
        let mut budget = match self.spent_ratio {
            None => format!("budget     none asked for; {n_told} told in {days}"),
            Some(ratio) => format!(
                "budget     {} a day asked for; {n_told} told in {days}, {:.0} % of it",
                figure(books.asked_per_day, ""),
                ratio * 100.0
            ),
        };
        if self.n_reserved > 0 {
            budget.push_str(&format!(", {} of them in the reserved lane", self.n_reserved));
        }
        budget.push_str(&format!("; {} joined, {} held back", self.n_joined, self.n_held));
        if self.spent_ratio.is_some() {
            budget.push_str(&format!("; more on {} of {days}", self.days_above));
        }
        let mut controller = format!(
            "controller at the end: told at a chance of {} or less, about {:.1} of {:.1} episodes a day",
            chance(books.threshold + books.burst_nats),
            books.expected_per_day,
            books.tests_per_day
        );
        if self.spent_ratio.is_some() {
            controller.push_str(&format!("; aims at {:.2} times what is asked", books.correction));
            if books.burst_nats > 0.0 {
                let times = books.burst_nats.exp();
                controller.push_str(&format!(", {times:.1} times rarer during the burst"));
            }
        }
        if let Some(ratio) = books.false_ratio {
            controller
                .push_str(&format!("; {:.0} % of what is told is likely false", ratio * 100.0));
        }
        let mut lines = vec![budget, controller];
        if self.spent_ratio.is_some() {
            lines.push(self.next_line());
        }
        lines
    }

    fn next_line(&self) -> String {
        let books = &self.books;
        let mut text = format!(
            "next       with one more a day: a chance of {} or less",
            chance(books.next_threshold + books.burst_nats)
        );
        if self.next.is_empty() {
            text.push_str("; nothing was held back on the last day");
            return text;
        }
        text.push_str(&format!("; held back on the last day: {}", self.next.len()));
        for near in self.next.iter().take(SHOWN) {
            text.push_str(&format!(
                ", {} {} {} ({}, told at {} a day)",
                near.at.minute_text(),
                near.entity.name(),
                near.what,
                chance(near.surprise),
                per_day(near.would_need_per_day)
            ));
        }
        text
    }
}

/// A surprise as a chance.
pub(super) fn chance(nats: f64) -> String {
    let p = (-nats).exp();
    if p >= 0.01 { format!("{p:.3}") } else { format!("{p:.1e}") }
}

/// Anomalies a day, as one asks for them.
pub(super) fn per_day(n: f64) -> String {
    if n < 1.0 { "less than 1".to_owned() } else { format!("{n:.1}") }
}
