//! Routing: which channel of a platform an incident is told in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{EntityRef, Incident, Severity};

/// Where incidents are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// Channel of whatever no route takes.
    #[schemars(length(min = 1))]
    pub channel: String,
    /// Routes, tried in order; the first that fits wins.
    pub routes: Vec<Route>,
}

impl Default for Routing {
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

impl Routing {
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
