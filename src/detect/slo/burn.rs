//! Burn rates: how many times as fast as it can afford an objective uses up its error budget, and
//! when somebody is to be told.
//!
//! After "The Site Reliability Workbook" (Beyer et al. 2018), chapter 5, "Alerting on SLOs",
//! method 6: several windows, several burn rates. A page where 2 % of the budget of 30 days went
//! in one hour (burn rate 14.4), or 5 % in six hours (6); a ticket where 10 % went in three days
//! (1). Each must also hold over a twelfth of its window, so that it ends soon after its cause.

use serde::{Deserialize, Serialize};

use super::ledger::{Ledger, Tally};
use crate::model::time::{HOUR_MS, MINUTE_MS};

/// Share of the expected burn above which nothing could ever burn: a budget of a tenth can't burn
/// 14.4 times as fast as it may. Such a threshold is lowered to nearly everything failing.
const MOST_SHARE: f64 = 0.95;

/// Burn rates below which a page and a ticket stay silent however short the objective's window is:
/// at 1 the budget lasts exactly its window, and half of it must be left over for a page.
const LEAST_PAGE: f64 = 2.0;
const LEAST_TICKET: f64 = 1.0;

/// How urgent a burn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Urgency {
    /// In working hours.
    Ticket,
    /// Now.
    Page,
}

/// One line of the table: over which windows, which share of the budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) urgency: Urgency,
    pub(super) long_ms: i64,
    pub(super) short_ms: i64,
    /// Share of the whole budget that burns within the long window.
    pub(super) spent: f64,
}

/// The workbook's table 5-8.
pub(super) const RULES: [Rule; 3] = [
    Rule { urgency: Urgency::Page, long_ms: HOUR_MS, short_ms: 5 * MINUTE_MS, spent: 0.02 },
    Rule { urgency: Urgency::Page, long_ms: 6 * HOUR_MS, short_ms: 30 * MINUTE_MS, spent: 0.05 },
    Rule { urgency: Urgency::Ticket, long_ms: 72 * HOUR_MS, short_ms: 6 * HOUR_MS, spent: 0.10 },
];

impl Rule {
    /// The burn rate from which it speaks, for a window of so many hours and a budget (share that
    /// may be bad). Infinite where the rule looks back further than the objective does.
    pub(super) fn threshold(&self, window_h: f64, budget: f64) -> f64 {
        let long_h = self.long_ms as f64 / HOUR_MS as f64;
        if long_h > window_h {
            return f64::INFINITY;
        }
        let least = if self.urgency == Urgency::Page { LEAST_PAGE } else { LEAST_TICKET };
        (self.spent * window_h / long_h).max(least).min(MOST_SHARE / budget)
    }
}

/// What one rule sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Burn {
    pub(super) rule: Rule,
    pub(super) threshold: f64,
    /// Burn rate over the long window; what was not measured counts as not burning.
    pub(super) long: f64,
    /// Burn rate over the measured part of the short window.
    pub(super) short: f64,
    /// Bad events in the long window.
    pub(super) bad: f64,
    pub(super) fires: bool,
}

/// What a rule sees in the books. `least_bad` are the bad events below which it stays silent; 0
/// where time is judged and not events.
pub(super) fn burn(
    rule: Rule,
    ledger: &Ledger,
    (budget, window_h): (f64, f64),
    least_bad: f64,
) -> Burn {
    let rate = |tally: Tally| tally.share() / budget;
    let tally = ledger.last(rule.long_ms);
    let long = rate(tally) * tally.coverage();
    let short = rate(ledger.last(rule.short_ms));
    let threshold = rule.threshold(window_h, budget);
    let enough = tally.bad >= least_bad;
    Burn {
        rule,
        threshold,
        long,
        short,
        bad: tally.bad,
        fires: enough && long > threshold && short > threshold,
    }
}
