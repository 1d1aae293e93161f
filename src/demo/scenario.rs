//! What can happen to the shop, as data: one TOML file per scenario says what it changes, what
//! that does, what mends it, and what is expected of whoever watches.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::expected::Expected;
use crate::model::Time;
use crate::model::time::{DAY_MS, MINUTE_MS};

/// One scenario.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name on the command line. Never sent to whoever watches: it would give the cause away.
    pub key: String,
    /// One line for the person who runs the demo.
    pub title: String,
    /// What happens, for the person who runs the demo.
    pub story: String,
    /// Where event time should stand when it is picked: `HH:MM` or `Fri HH:MM`, UTC. Without it,
    /// any time will do.
    pub start: Option<String>,
    /// What was changed shortly before.
    pub change: Option<ChangePlan>,
    /// How it sets in and goes away.
    #[serde(default)]
    pub onset: Onset,
    /// What it does at full strength.
    #[serde(default)]
    pub effect: Vec<Effect>,
    /// Operations that mend it.
    #[serde(default)]
    pub fix: Vec<Pattern>,
    /// Operations that a hasty person would try and that do not mend it.
    #[serde(default)]
    pub wrong: Vec<Operation>,
    /// Log lines that it causes.
    #[serde(default)]
    pub log: Vec<LogPlan>,
    /// Alerts that the shop's own rules raise.
    #[serde(default)]
    pub rule: Vec<RulePlan>,
    /// What is expected of whoever watches.
    pub expected: Expected,
}

impl Scenario {
    /// Whether anything happens when it is injected, and not by the shop's own rhythm.
    #[must_use]
    pub fn has_effect(&self) -> bool {
        !self.effect.is_empty()
    }

    /// The latest time up to `now` at which event time should stand for it; `None`: any will do.
    #[must_use]
    pub fn start_before(&self, now: Time) -> Option<Time> {
        let text = self.start.as_deref()?;
        let (day, clock) = text.split_once(' ').map_or((None, text), |(d, c)| (Some(d), c));
        let (hour, minute) = clock.split_once(':')?;
        let minutes = hour.parse::<i64>().ok()? * 60 + minute.parse::<i64>().ok()?;
        let today = now.floor_to(DAY_MS).plus_ms(minutes * MINUTE_MS);
        (0..=7)
            .map(|back| today.plus_ms(-back * DAY_MS))
            .find(|t| *t <= now && day.is_none_or(|d| DAYS.get(t.hour_of_week() / 24) == Some(&d)))
    }
}

/// Days as `start` names them, Monday first.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The change that comes first.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangePlan {
    /// `deploy`, `config`, `network_policy`, `scale`, `flag`, `migration`, `schema`, `provider`, `other`.
    pub kind: String,
    /// The service that was changed.
    pub service: Option<String>,
    /// The entity that was changed, where it is no service.
    pub entity: Option<String>,
    /// One line; `{version}` and `{previous}` are filled in.
    pub title: String,
    /// Who did it.
    pub author: String,
    /// What else the pipeline says about it.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Settings of the service that it changes.
    #[serde(default)]
    pub sets: BTreeMap<String, String>,
    /// Name of the network policy that it changes.
    pub policy: Option<String>,
}

/// How a scenario sets in and goes away, in seconds of event time.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Onset {
    /// From the change to the first effect.
    pub delay_s: f64,
    /// From the first effect to full strength.
    pub ramp_s: f64,
    /// From the right fix to the first relief.
    pub relief_s: f64,
    /// Time constant of the relief: what is left falls to 37 % in this time.
    pub decay_s: f64,
    /// After how long it goes away by itself.
    pub lasts_s: f64,
    /// Seconds that a disturbance needs to pass from a callee to its caller.
    pub hop_s: f64,
}

impl Default for Onset {
    fn default() -> Self {
        Self {
            delay_s: 20.0,
            ramp_s: 40.0,
            relief_s: 12.0,
            decay_s: 20.0,
            lasts_s: 5_400.0,
            hop_s: 6.0,
        }
    }
}

/// What happens to one entity at full strength. Fields that don't fit the kind of entity are 0.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// A service, database or node by name.
    pub on: String,
    /// Share of requests that become slow.
    #[serde(default)]
    pub slow_share: f64,
    /// Seconds that a slow request takes.
    #[serde(default)]
    pub slow_s: f64,
    /// Share of requests that fail in addition.
    #[serde(default)]
    pub errors: f64,
    /// Seconds until such a request has failed.
    #[serde(default)]
    pub error_s: f64,
    /// Factor on the request rate (0.4: only 40 % arrive).
    #[serde(default = "one")]
    pub rate: f64,
    /// Factor on CPU time per request.
    #[serde(default = "one")]
    pub cpu: f64,
    /// Cores in use in addition (nodes).
    #[serde(default)]
    pub cores: f64,
    /// Share of CPU time that instances on this node are kept waiting (nodes) or throttled
    /// (services).
    #[serde(default)]
    pub starved: f64,
    /// Connections wanted in addition, as a multiple of the pool's size; a negative value loses
    /// connections.
    #[serde(default)]
    pub pool: f64,
    /// Memory that is leaked, bytes per hour and instance.
    #[serde(default)]
    pub leak: f64,
    /// Factor on query time (databases and what queries them).
    #[serde(default = "one")]
    pub query: f64,
    /// Rows that each query of a service reads by sequential scans in addition.
    #[serde(default)]
    pub scans: f64,
}

fn one() -> f64 {
    1.0
}

/// Something done to the shop through its admin interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Go back to an earlier version.
    Rollback {
        /// The service.
        service: String,
        /// The version.
        to: String,
    },
    /// Set one setting.
    Config {
        /// The service.
        service: String,
        /// The setting.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Restart all instances, one after the other.
    Restart {
        /// The service.
        service: String,
    },
    /// Run on another node.
    Move {
        /// The service.
        service: String,
        /// The node.
        to: String,
    },
    /// Put a network policy back to what it was.
    RevertPolicy {
        /// The policy.
        policy: String,
    },
    /// Create an index.
    Index {
        /// The database.
        database: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// Change the number of instances.
    Scale {
        /// The service.
        service: String,
        /// How many.
        replicas: u32,
    },
}

/// Which operations mend a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pattern {
    /// Any rollback of the service to another version than the one that the change brought.
    Rollback {
        /// The service.
        service: String,
    },
    /// A setting of at most this value.
    Config {
        /// The service.
        service: String,
        /// The setting.
        key: String,
        /// The most that helps.
        at_most: i64,
    },
    /// A restart of the service.
    Restart {
        /// The service.
        service: String,
    },
    /// A move of the service to any node but this.
    Move {
        /// The service.
        service: String,
        /// The node to leave.
        away_from: String,
    },
    /// A revert of this policy.
    RevertPolicy {
        /// The policy.
        policy: String,
    },
    /// This index.
    Index {
        /// The database.
        database: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
}

impl Pattern {
    /// Whether the operation mends; `broken` is the version that the change brought.
    #[must_use]
    pub fn accepts(&self, operation: &Operation, broken: Option<&str>) -> bool {
        match (self, operation) {
            (Self::Rollback { service }, Operation::Rollback { service: given, to }) => {
                service == given && Some(to.as_str()) != broken
            }
            (
                Self::Config { service, key, at_most },
                Operation::Config { service: given, key: given_key, value },
            ) => {
                service == given
                    && key == given_key
                    && value.parse::<i64>().is_ok_and(|v| (1..=*at_most).contains(&v))
            }
            (Self::Restart { service }, Operation::Restart { service: given }) => service == given,
            (Self::Move { service, away_from }, Operation::Move { service: given, to }) => {
                service == given && away_from != to
            }
            (Self::RevertPolicy { policy }, Operation::RevertPolicy { policy: given }) => {
                policy == given
            }
            (
                Self::Index { database, table, column },
                Operation::Index { database: d, table: t, column: c },
            ) => (database, table, column) == (d, t, c),
            _ => false,
        }
    }
}

/// Log lines that a scenario causes at full strength.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPlan {
    /// The service that writes them.
    pub service: String,
    /// `warn`, `error` or `fatal`.
    pub level: String,
    /// Lines per second of event time.
    pub per_s: f64,
    /// The text; `{n}`, `{ms}`, `{id}`, `{pod}`, `{mail}`, `{token}` are filled in.
    pub text: String,
}

/// One alerting rule of the shop's own Prometheus that fires during a scenario.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulePlan {
    /// Alert name.
    pub alertname: String,
    /// Severity label.
    pub severity: String,
    /// The services it fires for.
    pub services: Vec<String>,
    /// How many series of each service raise it (instances × operations × clients).
    pub n_series: u32,
    /// Seconds after full onset at which the first one fires.
    pub after_s: f64,
    /// Seconds over which the others follow.
    pub spread_s: f64,
    /// Summary annotation; `{service}` is filled in.
    pub summary: String,
}

const FILES: [&str; 8] = [
    include_str!("scenarios/pool-exhaustion.toml"),
    include_str!("scenarios/policy-cut.toml"),
    include_str!("scenarios/noisy-neighbour.toml"),
    include_str!("scenarios/missing-index.toml"),
    include_str!("scenarios/deploy-blip.toml"),
    include_str!("scenarios/slow-leak.toml"),
    include_str!("scenarios/nightly-batch.toml"),
    include_str!("scenarios/seasonal-surge.toml"),
];

/// All scenarios, in the order in which the demo plays them.
#[must_use]
pub fn scenarios() -> &'static [Scenario] {
    static ALL: OnceLock<Vec<Scenario>> = OnceLock::new();
    ALL.get_or_init(|| {
        FILES
            .iter()
            .map(|text| toml::from_str(text).expect("the shipped scenario files are valid"))
            .collect()
    })
}

/// The scenario of that name.
#[must_use]
pub fn scenario(key: &str) -> Option<&'static Scenario> {
    scenarios().iter().find(|s| s.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_time_is_put_before_what_the_rhythm_brings() {
        let now = Time::parse("2026-11-21T12:00:00Z").expect("valid");
        let start = |key: &str| {
            let scenario = scenario(key).expect("shipped");
            scenario.start_before(now).map(|t| t.to_string())
        };
        assert_eq!(start("nightly-batch").as_deref(), Some("2026-11-21T01:50:00.000Z"));
        assert_eq!(start("seasonal-surge").as_deref(), Some("2026-11-20T17:40:00.000Z"));
        assert_eq!(start("pool-exhaustion"), None);
    }

    #[test]
    fn keys_are_unique_and_whoever_watches_is_never_told_them() {
        for (n, scenario) in scenarios().iter().enumerate() {
            assert!(scenarios()[..n].iter().all(|s| s.key != scenario.key));
            let mut told: Vec<&str> = scenario.log.iter().map(|l| l.text.as_str()).collect();
            told.extend(scenario.rule.iter().map(|r| r.summary.as_str()));
            told.extend(scenario.change.iter().map(|c| c.title.as_str()));
            assert!(told.iter().all(|t| !t.contains(scenario.key.as_str())), "{}", scenario.key);
        }
    }
}
