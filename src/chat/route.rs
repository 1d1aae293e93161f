//! Routing: which channel of a platform an incident is told in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Attention, EntityRef, Incident, Severity};

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
    /// Only pages, or only tickets; left out: both.
    #[serde(default)]
    pub attention: Option<Attention>,
    /// The channel.
    #[schemars(length(min = 1))]
    pub channel: String,
}

fn any_severity() -> Severity {
    Severity::Info
}

/// Page or ticket; of what has no priority yet, by its severity.
fn attention(incident: &Incident) -> Attention {
    let critical = incident.severity == Severity::Critical;
    let guess = if critical { Attention::Page } else { Attention::Ticket };
    incident.priority.as_ref().map_or(guess, |p| p.attention)
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
                    && r.attention.is_none_or(|wanted| attention(incident) == wanted)
                    && (r.services.is_empty() || r.services.iter().any(|s| s == name))
            })
            .map_or(&self.channel, |r| &r.channel)
    }

    /// All channels by name, each with what is told in it.
    #[must_use]
    pub fn channels(&self) -> BTreeMap<&str, String> {
        let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for route in &self.routes {
            let services = route.services.join(", ");
            let of = if services.is_empty() { "any service" } else { &services };
            let least = match route.severity {
                Severity::Info => "",
                Severity::Warning => " (warning and critical)",
                Severity::Critical => " (critical)",
            };
            let only = match route.attention {
                None => "",
                Some(Attention::Page) => ", pages",
                Some(Attention::Ticket) => ", tickets",
            };
            topics.entry(&route.channel).or_default().push(format!("{of}{least}{only}"));
        }
        let rest = if self.routes.is_empty() { "any service" } else { "all that no route takes" };
        topics.entry(&self.channel).or_default().push(rest.to_owned());
        let words = |(name, of): (_, Vec<String>)| (name, format!("Incidents: {}.", of.join("; ")));
        topics.into_iter().map(words).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_says_what_is_told_in_it() {
        let mut routing = Routing::default();
        let words = |routing: &Routing| -> Vec<String> {
            routing.channels().into_iter().map(|(name, topic)| format!("{name}: {topic}")).collect()
        };
        assert_eq!(words(&routing), ["incidents: Incidents: any service."]);
        let route = |services: &[&str], severity, channel: &str| Route {
            services: services.iter().map(|s| (*s).to_owned()).collect(),
            severity,
            attention: None,
            channel: channel.to_owned(),
        };
        routing.routes = vec![
            route(&["orders", "payments"], Severity::Warning, "shop"),
            route(&[], Severity::Critical, "incidents"),
            route(&["search"], Severity::Info, "shop"),
        ];
        assert_eq!(
            words(&routing),
            [
                "incidents: Incidents: any service (critical); all that no route takes.",
                "shop: Incidents: orders, payments (warning and critical); search.",
            ]
        );
    }
}
