//! One edge of the service graph: its operations, how long calls take and how many fail.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::detect::share::{Share, Verdict, Window};
use crate::detect::since::Since;
use crate::model::time::{MINUTE_MS, SECOND_MS};
use crate::model::{Anomaly, Time};

use super::pairs::Call;
use super::sketch::Sketch;

/// A window is at least so long (ms) and so many calls; one that has fewer is judged by a lower
/// count once it is old.
const WINDOW_MS: i64 = MINUTE_MS;
const CALLS: u32 = 40;
const OLD_MS: i64 = 10 * MINUTE_MS;
const FEWEST_CALLS: u32 = 10;
/// Operations told apart on one edge; the rest are one.
const MOST_OPERATIONS: usize = 32;
/// Name of the rest.
const REST: &str = "other operations";
/// Quantile from which a call is slow.
const SLOW: f64 = 0.95;
/// What a window of calls leaves of what was learned before it: half is gone after 12 hours of
/// minutes.
const KEEP: f64 = 0.999_04;
/// Windows before it is known what slow is.
const YOUNG: u32 = 3;
/// A slowdown matters from this factor and this much (ms): people don't feel less.
const SLOWER: f64 = 1.5;
const SLOWER_MS: f64 = 25.0;
/// The share of slow or failed calls must grow by this much.
const RISE: f64 = 0.05;
/// Slow or failed calls in a window below which nothing is unusual.
const FEWEST: u32 = 5;

/// State of one edge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EdgeState {
    /// First and newest call, by arrival.
    pub(super) first: Time,
    pub(super) last: Time,
    /// Calls so far.
    pub(super) n: u64,
    /// Calls its caller had made on all edges when this one was seen first.
    pub(super) n_before: u64,
    operations: BTreeMap<String, Operation>,
    /// What is told and has not ended.
    pub(super) open: BTreeMap<Kind, Box<Anomaly>>,
}

/// What is told of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Calls take longer.
    Slow,
    /// Calls fail.
    Failed,
    /// It was not there before.
    New,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Operation {
    since: Time,
    n: u32,
    failed: u32,
    slow: u32,
    window: Sketch,
    usual: Sketch,
    windows: u32,
    /// From where a call is slow (ms).
    slow_ms: Option<f64>,
    slow_share: Share,
    failed_share: Share,
    slow_trace: Option<String>,
    failed_trace: Option<String>,
    /// Told and not ended, of this operation.
    slow_open: bool,
    failed_open: bool,
    /// Since when more are slow, and fail.
    #[serde(default)]
    slow_since: Since,
    #[serde(default)]
    failed_since: Since,
}

/// What a closed window says of one operation.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) operation: String,
    /// Since when.
    pub(super) since: Time,
    /// Seconds at the quantile, or the share of failed calls.
    pub(super) value: f64,
    pub(super) usual: f64,
    pub(super) most: f64,
    pub(super) z: f64,
    pub(super) trace: Option<String>,
}

impl EdgeState {
    pub(super) fn new(now: Time, n_before: u64) -> Self {
        let (operations, open) = (BTreeMap::new(), BTreeMap::new());
        Self { first: now, last: now, n: 0, n_before, operations, open }
    }

    /// Counts a call; how long one of a cold instance takes says nothing of the edge. Gives
    /// whether it was slow.
    pub(super) fn count(&mut self, call: &Call, cold: bool, now: Time) -> bool {
        self.n += 1;
        self.last = now;
        let known = self.operations.contains_key(&call.operation);
        let full = !known && self.operations.len() >= MOST_OPERATIONS;
        let name = if full { REST } else { &call.operation };
        if !self.operations.contains_key(name) {
            self.operations.insert(name.to_owned(), Operation { since: now, ..Default::default() });
        }
        let Some(operation) = self.operations.get_mut(name) else {
            return false;
        };
        let much = |ms: f64| (SLOWER * ms).max(ms + SLOWER_MS);
        let slow = operation.slow_ms.is_some_and(|ms| call.ms > ms);
        let very = operation.slow_ms.is_some_and(|ms| call.ms > much(ms));
        operation.n += u32::from(!cold);
        if !cold {
            operation.failed_since.count(call.failed, call.at);
            operation.slow_since.count(slow, call.at);
        }
        if call.failed {
            operation.failed += u32::from(!cold);
            operation.failed_trace = Some(call.trace.clone());
        }
        if !cold {
            operation.window.count(call.ms);
            if slow {
                operation.slow += 1;
                operation.slow_trace = Some(call.trace.clone());
            }
        }
        very
    }

    /// Closes the windows whose time has come; gives what is unusual, and of which kinds everything
    /// that was told has ended.
    pub(super) fn close(&mut self, now: Time) -> (Vec<Finding>, Vec<Kind>) {
        let mut findings = Vec::new();
        for (name, operation) in &mut self.operations {
            let length = now.ms_since(operation.since);
            let due = length >= WINDOW_MS && operation.n >= CALLS || length >= OLD_MS;
            if due {
                operation.close(name, now, &mut findings);
            }
        }
        let still = |open: fn(&Operation) -> bool| self.operations.values().any(open);
        let ended =
            [(Kind::Slow, still(|o| o.slow_open)), (Kind::Failed, still(|o| o.failed_open))]
                .into_iter()
                .filter(|(kind, still)| !still && self.open.contains_key(kind))
                .map(|(kind, _)| kind)
                .collect();
        (findings, ended)
    }
}

impl Operation {
    fn close(&mut self, name: &str, now: Time, findings: &mut Vec<Finding>) {
        if self.n < FEWEST_CALLS {
            // Too few calls to judge by: what was told can't be held up by them.
            (self.slow_open, self.failed_open) = (false, false);
            self.begin(now);
            return;
        }
        let window = Window {
            since: self.since,
            n: self.n,
            hits: self.failed,
            fewest: FEWEST,
            rise: RISE,
            harmless: false,
        };
        let failed = self.failed_share.judge(window);
        self.failed_open = goes_on(self.failed_open, failed);
        if let Verdict::Unusual(rise) = failed {
            findings.push(Finding {
                kind: Kind::Failed,
                operation: name.to_owned(),
                since: self.failed_since.of(&rise, now),
                value: rise.share,
                usual: rise.usual,
                most: rise.most,
                z: rise.z,
                trace: self.failed_trace.clone(),
            });
        }
        let mut learn = true;
        if let Some(slow_ms) = self.slow_ms {
            let now_ms = self.window.quantile(SLOW).unwrap_or(slow_ms);
            let most_ms = (SLOWER * slow_ms).max(slow_ms + SLOWER_MS);
            let harmless = now_ms < most_ms;
            let slow = self.slow_share.judge(Window { hits: self.slow, harmless, ..window });
            self.slow_open = goes_on(self.slow_open, slow);
            learn = matches!(slow, Verdict::Usual(_));
            if let Verdict::Unusual(rise) = slow {
                let seconds = |ms: f64| ms / SECOND_MS as f64;
                findings.push(Finding {
                    kind: Kind::Slow,
                    operation: name.to_owned(),
                    since: self.slow_since.of(&rise, now),
                    value: seconds(now_ms),
                    usual: seconds(slow_ms),
                    most: seconds(most_ms),
                    z: rise.z,
                    trace: self.slow_trace.clone(),
                });
            }
        }
        if learn {
            self.usual.take_in(&self.window, KEEP);
            self.windows = self.windows.saturating_add(1);
            if self.windows >= YOUNG {
                self.slow_ms = self.usual.quantile(SLOW);
            }
        }
        self.begin(now);
    }

    fn begin(&mut self, now: Time) {
        (self.n, self.failed, self.slow, self.since) = (0, 0, 0, now);
        (self.slow_trace, self.failed_trace) = (None, None);
        self.window = Sketch::default();
    }
}

fn goes_on(open: bool, verdict: Verdict) -> bool {
    match verdict {
        Verdict::Unusual(_) => true,
        Verdict::Usual(true) => false,
        Verdict::Usual(false) | Verdict::Doubtful => open,
    }
}
