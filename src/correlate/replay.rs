//! Alerts of the past through the search for faults, by their own clock.

use std::collections::BTreeMap;
use std::fmt;

use super::config::Config;
use super::fit::Kin;
use super::kin::Evidence;
use crate::model::time::{HOUR_MS, SECOND_MS};
use crate::model::{Alert, AlertId, Change, Graph, Time};

/// Faults are looked for so often (ms of the alerts' clock).
const STEP_MS: i64 = 15 * SECOND_MS;
/// Where an alert ended up is written down this long (ms) after it was last told of; its fault is
/// settled by then.
const STALE_MS: i64 = 2 * HOUR_MS;

/// Where an alert ended up. Alerts of the same are one incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// A fault explains it.
    Fault(u32),
    /// Nothing does: an incident of its own, with its repeats.
    Alone(u32),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(number) => write!(f, "fault-{number}"),
            Self::Alone(number) => write!(f, "alone-{number}"),
        }
    }
}

/// Alerts under a clock of their own. The same alerts at the same times give the same.
#[derive(Clone, Debug)]
pub struct Replay {
    evidence: Evidence,
    /// Until when faults were looked for.
    looked: Option<Time>,
    cleaned: Time,
    seen: BTreeMap<AlertId, Time>,
    told: BTreeMap<AlertId, Told>,
}

impl Replay {
    /// One that knows a graph, changes, and no history.
    #[must_use]
    pub fn new(config: &Config, graph: &Graph, changes: &[Change]) -> Self {
        let mut evidence = Evidence::new(config);
        evidence.learn(graph, changes);
        Self {
            evidence,
            looked: None,
            cleaned: Time::MIN,
            seen: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Takes in an alert that fires at `now`. Time never runs backwards.
    pub fn take(&mut self, alert: &Alert, now: Time) {
        let looked = *self.looked.get_or_insert(now);
        if now.ms_since(looked) >= STEP_MS {
            self.evidence.look(now);
            self.looked = Some(now);
        }
        if now.ms_since(self.cleaned) > HOUR_MS {
            self.cleaned = now;
            let old = self.seen.iter().filter(|(_, at)| now.ms_since(**at) > STALE_MS);
            for id in old.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.settle(id);
            }
        }
        self.evidence.begin(alert);
        self.seen.insert(alert.id, now);
    }

    /// Writes down where an alert ended up.
    fn settle(&mut self, id: AlertId) {
        self.seen.remove(&id);
        if let Some(kin) = self.evidence.kin(id) {
            let told = match kin {
                Kin::Fault(number) => Told::Fault(number),
                Kin::Own(number) => Told::Alone(number),
            };
            self.told.insert(id, told);
        }
    }

    /// Looks a last time, and says where every alert ended up.
    #[must_use]
    pub fn finish(mut self) -> BTreeMap<AlertId, Told> {
        if let Some(looked) = self.looked {
            let newest = self.seen.values().copied().max().unwrap_or(looked);
            self.evidence.look(newest.max(looked));
        }
        for id in self.seen.keys().copied().collect::<Vec<_>>() {
            self.settle(id);
        }
        self.told
    }
}
