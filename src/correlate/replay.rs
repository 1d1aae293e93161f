//! Alerts of the past through the correlator that runs live, by their own clock.

use std::collections::BTreeMap;
use std::fmt;

use super::config::Config;
use super::correlator::{Correlator, Decisions};
use super::fit::Kin;
use crate::model::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{Alert, AlertId, Change, Graph, Incident, IncidentId, Time};

/// Decisions are due so often (ms of the alerts' clock) while something waits, as live.
const STEP_MS: i64 = 5 * SECOND_MS;
/// So often while nothing does: incidents end and are forgotten.
const IDLE_MS: i64 = 30 * SECOND_MS;
/// So long (ms) after the last alert all is settled.
const SETTLED_MS: i64 = 20 * MINUTE_MS;
/// An alert that nothing was heard of for this long (ms) is counted with what it was.
const STALE_MS: i64 = 2 * HOUR_MS;

/// Where an alert ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// In an incident.
    Incident(IncidentId),
    /// In none, and this fault explains it.
    Fault(u32),
    /// In none, and nothing explains it; alerts of the same number repeat one condition.
    Alone(u32),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incident(id) => id.fmt(f),
            Self::Fault(number) => write!(f, "fault-{number}"),
            Self::Alone(number) => write!(f, "alone-{number}"),
        }
    }
}

/// A correlator under a clock of its own.
#[derive(Debug)]
pub struct Replay {
    correlator: Correlator,
    clock: Option<Time>,
    homes: BTreeMap<AlertId, IncidentId>,
    merged: BTreeMap<IncidentId, IncidentId>,
    seen: BTreeMap<AlertId, Time>,
    told: BTreeMap<AlertId, Told>,
    dropped_at: Time,
}

impl Replay {
    /// A correlator that knows a graph, changes, and no history.
    #[must_use]
    pub fn new(config: Config, graph: Graph, changes: Vec<Change>) -> Self {
        let mut correlator = Correlator::new(config);
        correlator.learn(graph, changes, Vec::new());
        Self {
            correlator,
            clock: None,
            homes: BTreeMap::new(),
            merged: BTreeMap::new(),
            seen: BTreeMap::new(),
            told: BTreeMap::new(),
            dropped_at: Time::MIN,
        }
    }

    /// Takes in an alert as it stands at `now`. Time never runs backwards.
    pub fn take(&mut self, alert: &Alert, now: Time) {
        let now = self.clock.map_or(now, |clock| clock.max(now));
        self.run_to(now);
        self.correlator.take(alert, now);
        self.seen.insert(alert.id, now);
        self.told.remove(&alert.id);
    }

    /// Decides whatever is due up to `now`.
    fn run_to(&mut self, now: Time) {
        let mut clock = *self.clock.get_or_insert(now);
        while clock < now {
            let step = if self.correlator.n_waiting() > 0 { STEP_MS } else { IDLE_MS };
            if now.ms_since(clock) < step {
                break;
            }
            clock = clock.plus_ms(step);
            let decisions = self.correlator.decide(clock);
            self.keep(decisions);
        }
        self.clock = Some(clock);
        if now.ms_since(self.dropped_at) > HOUR_MS {
            self.dropped_at = now;
            let old: Vec<AlertId> = self
                .seen
                .iter()
                .filter(|(_, at)| now.ms_since(**at) > STALE_MS)
                .map(|(id, _)| *id)
                .collect();
            for id in old {
                self.settle(id);
            }
        }
    }

    fn keep(&mut self, decisions: Decisions) {
        for Incident { id, merged_into, .. } in decisions.incidents {
            if let Some(into) = merged_into {
                self.merged.insert(id, into);
            }
        }
        for verdict in decisions.verdicts.into_iter().filter(|v| v.witness.is_none()) {
            match verdict.incident {
                Some(incident) => {
                    self.homes.insert(verdict.alert, incident);
                }
                None => {
                    self.homes.remove(&verdict.alert);
                }
            }
        }
    }

    /// Writes down where an alert ended up.
    fn settle(&mut self, id: AlertId) {
        self.seen.remove(&id);
        let told = match self.homes.remove(&id) {
            Some(mut home) => {
                // Each is merged into another at most once, so it ends.
                for _ in 0..self.merged.len() {
                    match self.merged.get(&home) {
                        Some(into) => home = *into,
                        None => break,
                    }
                }
                Told::Incident(home)
            }
            None => match self.correlator.evidence.kin(id) {
                Some(Kin::Fault(number)) => Told::Fault(number),
                Some(Kin::Own(number)) => Told::Alone(number),
                None => return,
            },
        };
        self.told.insert(id, told);
    }

    /// Decides until nothing moves any more, and says where every alert ended up.
    #[must_use]
    pub fn finish(mut self) -> BTreeMap<AlertId, Told> {
        if let Some(clock) = self.clock {
            self.run_to(clock.plus_ms(SETTLED_MS));
        }
        for id in self.seen.keys().copied().collect::<Vec<_>>() {
            self.settle(id);
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incidents_that_were_merged_in_a_ring_still_end_somewhere() {
        let mut replay = Replay::new(Config::default(), Graph::default(), Vec::new());
        let [a, b] = [1, 2].map(|n| IncidentId::derive(Time::from_ms(n), &["x"]));
        let alert = AlertId::derive(Time::from_ms(3), &["y"]);
        replay.merged = [(a, b), (b, a)].into();
        replay.homes.insert(alert, a);
        replay.settle(alert);
        assert!(matches!(replay.told.get(&alert), Some(Told::Incident(_))));
    }
}
