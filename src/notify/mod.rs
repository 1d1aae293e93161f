//! Notify: takes incidents as the store has them, gives one card each, edited in place, and the
//! deltas in its thread.
//!
//! Hears `Incident`, `Diagnosis`, `Proposal`, `Run` and sweeps; publishes nothing itself (the chat
//! adapters ring for their messages). Guarantees: one message per incident, platform and purpose,
//! also across a crash, because the key of a message names it for good; a thread entry is written
//! once, because its key is the timeline entry's id.

mod card;
pub mod figures;
mod stage;
#[cfg(test)]
mod tests;

pub use card::{Facts, alert_text, incident_card, run_text};
pub use stage::Notify;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{EntityRef, Incident, Severity};

/// Where incidents are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Channel of whatever no route takes.
    #[schemars(length(min = 1))]
    pub channel: String,
    /// Routes, tried in order; the first that fits wins.
    pub routes: Vec<Route>,
}

impl Default for Config {
    fn default() -> Self {
        Self { channel: "incidents".into(), routes: Vec::new() }
    }
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Names of services; empty: any.
    #[serde(default)]
    pub services: Vec<String>,
    /// Least severity.
    #[serde(default = "any_severity")]
    pub severity: Severity,
    /// The channel.
    #[schemars(length(min = 1))]
    pub channel: String,
}

fn any_severity() -> Severity {
    Severity::Info
}

impl Config {
    /// The channel of an incident. It is taken from the leading entity, which does not change
    /// once the card is written.
    #[must_use]
    pub fn channel_of(&self, incident: &Incident) -> &str {
        let name = incident.entities.first().map_or("", EntityRef::name);
        self.routes
            .iter()
            .find(|r| {
                incident.severity >= r.severity
                    && (r.services.is_empty() || r.services.iter().any(|s| s == name))
            })
            .map_or(&self.channel, |r| &r.channel)
    }
}
