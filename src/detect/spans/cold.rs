//! Cold starts: the first calls that a new process answers are slow, and that is no fault.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::time::MINUTE_MS;
use crate::model::{Anomaly, AnomalyId, EntityRef, Time};

/// A process is cold for so long (ms) and so many calls, whichever is over first.
const COLD_MS: i64 = 2 * MINUTE_MS;
const COLD_CALLS: u32 = 50;
/// A service must be known for so long (ms) before one of its processes is taken for a new one.
const KNOWN_MS: i64 = 10 * MINUTE_MS;
/// Processes at most; the one heard of longest ago makes room.
const MOST_INSTANCES: usize = 10_000;
/// Slow calls by cold processes from which it is told.
const FEWEST_SLOW: u32 = 5;

/// The processes of all services.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Instances {
    services: BTreeMap<EntityRef, Service>,
    n: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Service {
    first: Time,
    processes: BTreeMap<String, Process>,
    /// What is told of cold starts and has not ended.
    open: Option<Box<Anomaly>>,
    slow: u32,
    /// When a process was cold last.
    cold_at: Time,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Process {
    first: Time,
    last: Time,
    n: u32,
    new: bool,
}

impl Instances {
    /// Notes a call that the process answered; gives whether it is still cold.
    pub(super) fn note(&mut self, service: &EntityRef, process: &str, now: Time) -> bool {
        if self.n >= MOST_INSTANCES {
            self.make_room();
        }
        let own = self.services.entry(service.clone()).or_insert_with(|| Service {
            first: now,
            processes: BTreeMap::new(),
            open: None,
            slow: 0,
            cold_at: Time::MIN,
        });
        let known = now.ms_since(own.first) >= KNOWN_MS;
        if !own.processes.contains_key(process) {
            self.n += 1;
            let new = Process { first: now, last: now, n: 0, new: known };
            own.processes.insert(process.to_owned(), new);
        }
        let Some(process) = own.processes.get_mut(process) else { return false };
        process.n = process.n.saturating_add(1);
        process.last = now;
        let cold = process.new && process.n <= COLD_CALLS && now.ms_since(process.first) <= COLD_MS;
        if cold {
            own.cold_at = now;
        }
        cold
    }

    /// A cold process was slow; gives how often, when that is to be told.
    pub(super) fn slow(&mut self, service: &EntityRef) -> Option<u32> {
        let own = self.services.get_mut(service)?;
        own.slow = own.slow.saturating_add(1);
        (own.slow == FEWEST_SLOW && own.open.is_none()).then_some(own.slow)
    }

    /// Keeps what was told.
    pub(super) fn tell(&mut self, service: &EntityRef, anomaly: Anomaly) {
        if let Some(own) = self.services.get_mut(service) {
            own.open = Some(Box::new(anomaly));
        }
    }

    /// What was told of services of which nothing is cold any more.
    pub(super) fn over(&mut self, now: Time) -> Vec<Anomaly> {
        let mut over = Vec::new();
        for own in self.services.values_mut() {
            if now.ms_since(own.cold_at) > COLD_MS {
                own.slow = 0;
                over.extend(own.open.take().map(|open| *open));
            }
        }
        over
    }

    /// What is told and has not ended.
    pub(super) fn told(&self) -> impl Iterator<Item = AnomalyId> {
        self.services.values().filter_map(|own| Some(own.open.as_ref()?.id))
    }

    /// Takes back all but this.
    pub(super) fn untell(&mut self, told: &BTreeSet<AnomalyId>) {
        for own in self.services.values_mut() {
            own.open = own.open.take().filter(|a| told.contains(&a.id));
        }
    }

    /// Forgets processes for which `gone` holds, given when they were heard of last.
    pub(super) fn forget(&mut self, gone: impl Fn(Time) -> bool) {
        self.n = 0;
        for own in self.services.values_mut() {
            own.processes.retain(|_, p| !gone(p.last));
            self.n += own.processes.len();
        }
        self.services.retain(|_, own| !own.processes.is_empty() || own.open.is_some());
    }

    fn make_room(&mut self) {
        let all = self.services.iter().flat_map(|(service, own)| {
            own.processes.iter().map(move |(name, p)| (p.last, service, name))
        });
        let Some((_, service, name)) = all.min() else { return };
        let (service, name) = (service.clone(), name.clone());
        if let Some(own) = self.services.get_mut(&service) {
            own.processes.remove(&name);
            self.n -= 1;
        }
    }
}
