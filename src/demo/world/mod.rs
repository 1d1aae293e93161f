//! The shop's state as a pure function of seed, event time and what was done to it.
//!
//! Nothing is stored but the list of events (faults injected, operations carried out): any
//! instant of the past fortnight or of the present is computed from it, so two runs with the same
//! seed and the same events are equal in every sample.

pub mod disturb;
pub mod frame;
mod platform;
pub mod rhythm;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::scenario::{Operation, Scenario, scenario};
use super::town::{NODES, SERVICES, service_index};
use crate::model::Time;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// Something that was done to the shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in event time.
    pub at: Time,
    /// What.
    pub what: What,
    /// The caller's idempotency key, where one was given.
    pub key: Option<String>,
}

/// Kinds of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A scenario was injected.
    Inject(String),
    /// An operation was carried out through the admin interface.
    Operate(Operation),
}

/// One occurrence of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Which scenario.
    pub scenario: &'static Scenario,
    /// When its change was made.
    pub from: Time,
    /// When it was mended, or will go away by itself.
    pub until: Time,
    /// Whether an operation mended it.
    pub mended: bool,
    /// The version that its change brought and the one before.
    pub versions: Option<(String, String)>,
}

impl Episode {
    /// How strong it is at a time, 0 to 1.
    #[must_use]
    pub fn strength(&self, at: Time) -> f64 {
        let onset = &self.scenario.onset;
        let rise = |t: Time| {
            let seconds = t.ms_since(self.from) as f64 / 1_000.0;
            rhythm::ramp(seconds, onset.delay_s, onset.delay_s + onset.ramp_s)
        };
        let after = at.ms_since(self.until) as f64 / 1_000.0 - onset.relief_s;
        if after <= 0.0 {
            return rise(at);
        }
        let left = (-after / onset.decay_s.max(1e-3)).exp();
        if left < 0.005 { 0.0 } else { rise(self.until) * left }
    }

    /// Whether it can be felt at a time, also at callers that feel it a little later.
    #[must_use]
    pub fn is_near(&self, at: Time) -> bool {
        let tail_s = self.scenario.onset.relief_s + 6.0 * self.scenario.onset.decay_s + 120.0;
        at >= self.from && at <= self.until.plus_ms((tail_s * 1_000.0) as i64)
    }
}

/// One deploy of the shop's usual work, of no consequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegularDeploy {
    /// When.
    pub at: Time,
    /// Position of the service.
    pub service: usize,
}

/// What the admin interface shows about a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetState {
    /// Its name.
    pub service: String,
    /// The version that runs.
    pub version: String,
    /// The one before.
    pub previous_version: String,
    /// Workers per instance.
    pub worker_concurrency: String,
    /// Node of the first instance.
    pub node: String,
    /// Instances.
    pub replicas: u32,
    /// When it was last restarted, where it was.
    pub restarted_at: Option<Time>,
}

/// The world: seed, beginning, events, and what follows from them.
#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    beginning: Time,
    events: Vec<Event>,
    episodes: Vec<Episode>,
    // Per service: when it was moved and where to.
    moves: Vec<(Time, usize, usize)>,
}

/// Services that take part in regular deploys: those whose versions no scenario changes.
const REGULAR: [&str; 9] = [
    "frontend",
    "checkout",
    "cart",
    "search",
    "payments",
    "users",
    "notifications",
    "pricing",
    "inventory",
];

impl World {
    /// A world without events, whose history begins at `beginning`.
    #[must_use]
    pub fn new(seed: u64, beginning: Time) -> Self {
        Self { seed, beginning, events: Vec::new(), episodes: Vec::new(), moves: Vec::new() }
    }

    /// The world that those events lead to.
    #[must_use]
    pub fn replay(seed: u64, beginning: Time, events: Vec<Event>) -> Self {
        let mut world = Self::new(seed, beginning);
        for event in events {
            world.record(event);
        }
        world
    }

    /// Its seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// When its history begins.
    #[must_use]
    pub fn beginning(&self) -> Time {
        self.beginning
    }

    /// What was done to it, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Every occurrence of a scenario, in order.
    #[must_use]
    pub fn episodes(&self) -> &[Episode] {
        &self.episodes
    }

    /// The event that was recorded under an idempotency key.
    #[must_use]
    pub fn recorded(&self, key: &str) -> Option<&Event> {
        self.events.iter().find(|e| e.key.as_deref() == Some(key))
    }

    /// The occurrence that is in force at a time, if any.
    #[must_use]
    pub fn current(&self, at: Time) -> Option<&Episode> {
        self.episodes.iter().rev().find(|e| e.from <= at && at < e.until)
    }

    /// Adds one event. Unknown scenarios are ignored: a file of an earlier release may name one.
    pub fn record(&mut self, event: Event) {
        match &event.what {
            What::Inject(key) => {
                if let Some(scenario) = scenario(key) {
                    let episode = self.begin(scenario, event.at);
                    self.episodes.push(episode);
                }
            }
            What::Operate(operation) => {
                for episode in &mut self.episodes {
                    let in_force = episode.from <= event.at && event.at < episode.until;
                    let broken = episode.versions.as_ref().map(|(new, _)| new.as_str());
                    if in_force && episode.scenario.fix.iter().any(|p| p.accepts(operation, broken))
                    {
                        episode.until = event.at;
                        episode.mended = true;
                    }
                }
                if let Operation::Move { service, to } = operation
                    && let (Some(service), Some(node)) =
                        (service_index(service), NODES.iter().position(|n| n == to))
                {
                    self.moves.push((event.at, service, node));
                }
            }
        }
        self.events.push(event);
    }

    fn begin(&self, scenario: &'static Scenario, at: Time) -> Episode {
        let changed = scenario
            .change
            .as_ref()
            .filter(|c| c.kind == "deploy")
            .and_then(|c| c.service.as_deref())
            .and_then(service_index);
        let versions = changed.map(|s| {
            let before = self.version(s, at);
            (bump(&before), before)
        });
        let until = at.plus_ms((scenario.onset.lasts_s * 1_000.0) as i64);
        Episode { scenario, from: at, until, mended: false, versions }
    }

    /// The regular deploy of the day that `at` falls into: between 09:00 and 16:00 UTC.
    #[must_use]
    pub fn regular_deploy(&self, at: Time) -> RegularDeploy {
        let day = at.floor_to(DAY_MS);
        let hash = rhythm::hash(self.seed, 0xdeb1, day.ms() as u64);
        let service = service_index(REGULAR[(hash % REGULAR.len() as u64) as usize])
            .expect("regular deploys name services");
        let minute = (rhythm::unit(hash) * 420.0) as i64;
        RegularDeploy { at: day.plus_ms(9 * HOUR_MS + minute * MINUTE_MS), service }
    }

    /// Regular deploys from `since` (included) until `until` (excluded), oldest first.
    #[must_use]
    pub fn regular_deploys(&self, since: Time, until: Time) -> Vec<RegularDeploy> {
        let mut deploys = Vec::new();
        let mut day = since.floor_to(DAY_MS);
        while day < until {
            let deploy = self.regular_deploy(day);
            if deploy.at >= since.max(self.beginning) && deploy.at < until {
                deploys.push(deploy);
            }
            day = day.plus_ms(DAY_MS);
        }
        deploys
    }

    /// The version of a service (by position) that runs at a time.
    #[must_use]
    pub fn version(&self, service: usize, at: Time) -> String {
        self.versions(service, at).pop().expect("there is always a version")
    }

    /// Every version of a service up to a time, oldest first; the last one runs.
    #[must_use]
    pub fn versions(&self, service: usize, at: Time) -> Vec<String> {
        let plan = &SERVICES[service];
        let (major, minor, patch) = plan.version;
        let mut versions = vec![format!("{major}.{minor}.{patch}")];
        for deploy in self.regular_deploys(self.beginning, at.plus_ms(1)) {
            if deploy.service == service {
                versions.push(bump(versions.last().expect("starts with one")));
            }
        }
        let mut happened: Vec<(Time, String)> = Vec::new();
        for episode in &self.episodes {
            let is_ours = episode.scenario.change.as_ref().and_then(|c| c.service.as_deref())
                == Some(plan.name);
            if let (true, Some((new, _))) = (is_ours, &episode.versions) {
                happened.push((episode.from, new.clone()));
            }
        }
        for event in &self.events {
            if let What::Operate(Operation::Rollback { service, to }) = &event.what
                && service == plan.name
            {
                happened.push((event.at, to.clone()));
            }
        }
        happened.sort_by_key(|(when, _)| *when);
        versions.extend(happened.into_iter().filter(|(when, _)| *when <= at).map(|(_, v)| v));
        versions
    }

    /// The node (by position) on which instance `replica` of a service runs at a time.
    #[must_use]
    pub fn node_of(&self, service: usize, replica: usize, at: Time) -> usize {
        let moved = self.moves.iter().rev().find(|(when, s, _)| *s == service && *when <= at);
        let plan = &SERVICES[service];
        moved.map_or(plan.nodes[replica % plan.nodes.len()], |(_, _, node)| *node)
    }

    /// Instances of a service at a time.
    #[must_use]
    pub fn replicas(&self, service: usize, at: Time) -> u32 {
        let scaled = self.events.iter().rev().find_map(|e| match &e.what {
            What::Operate(Operation::Scale { service: s, replicas })
                if e.at <= at && s == SERVICES[service].name =>
            {
                Some(*replicas)
            }
            _ => None,
        });
        scaled.unwrap_or(SERVICES[service].replicas as u32)
    }

    /// The settings of a service at a time.
    #[must_use]
    pub fn settings(&self, service: usize, at: Time) -> BTreeMap<String, String> {
        let name = SERVICES[service].name;
        let mut timed: Vec<(Time, String, String)> = Vec::new();
        for episode in &self.episodes {
            let change = episode.scenario.change.as_ref();
            if let Some(change) = change.filter(|c| c.service.as_deref() == Some(name)) {
                for (key, value) in &change.sets {
                    timed.push((episode.from, key.clone(), value.clone()));
                    timed.push((episode.until, key.clone(), default_setting(key)));
                }
            }
        }
        for event in &self.events {
            if let What::Operate(Operation::Config { service, key, value }) = &event.what
                && service == name
            {
                timed.push((event.at, key.clone(), value.clone()));
            }
        }
        timed.sort_by_key(|(when, _, _)| *when);
        let mut settings: BTreeMap<String, String> =
            [("worker_concurrency".to_owned(), default_setting("worker_concurrency"))].into();
        for (_, key, value) in timed.into_iter().filter(|(when, _, _)| *when <= at) {
            settings.insert(key, value);
        }
        settings
    }

    /// What the admin interface shows about a service.
    #[must_use]
    pub fn target(&self, service: usize, at: Time) -> TargetState {
        let name = SERVICES[service].name;
        let mut versions = self.versions(service, at);
        let version = versions.pop().expect("there is always a version");
        let restarted_at = self.events.iter().rev().find_map(|e| match &e.what {
            What::Operate(Operation::Restart { service }) if e.at <= at && service == name => {
                Some(e.at)
            }
            _ => None,
        });
        TargetState {
            service: name.to_owned(),
            previous_version: versions.pop().unwrap_or_else(|| version.clone()),
            version,
            worker_concurrency: self.settings(service, at)["worker_concurrency"].clone(),
            node: NODES[self.node_of(service, 0, at)].to_owned(),
            replicas: self.replicas(service, at),
            restarted_at,
        }
    }
}

fn default_setting(key: &str) -> String {
    match key {
        "worker_concurrency" => "16".to_owned(),
        _ => String::new(),
    }
}

/// The next patch version.
fn bump(version: &str) -> String {
    let (head, patch) = version.rsplit_once('.').unwrap_or((version, "0"));
    format!("{head}.{}", patch.parse::<u32>().unwrap_or(0) + 1)
}

#[cfg(test)]
mod tests;
