//! Settings of one Slack workspace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat::Route;
use crate::chat::people::Person;
use crate::model::{Role, Secret, Severity};

/// One Slack workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name here, where several are connected; empty: `slack` alone.
    #[serde(default)]
    pub name: String,
    /// The bot token (`xoxb-…`).
    pub bot_token: Secret,
    /// The app-level token (`xapp-…`) of Socket Mode; without it events come by HTTP.
    #[serde(default)]
    pub app_token: Option<Secret>,
    /// The signing secret, for events by HTTP.
    #[serde(default)]
    pub signing_secret: Option<Secret>,
    /// Base address of the Web API.
    #[serde(default = "slack_api")]
    pub api_url: String,
    /// Channel (id, or name with `#`) of whatever no route takes.
    #[schemars(length(min = 1))]
    pub channel: String,
    /// Routes, tried in order; the first that fits wins.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Who may do what; the highest role that fits counts.
    #[serde(default)]
    pub people: Vec<Person>,
    /// The role of everybody else.
    #[serde(default = "viewer")]
    pub role: Role,
    /// Channels that incidents get of their own.
    #[serde(default)]
    pub incident_channels: IncidentChannels,
}

/// Channels that incidents get of their own, beside their card in the routed channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentChannels {
    /// Incidents of these severities get one; empty: none does.
    pub severities: Vec<Severity>,
    /// Ids of people (`U…`) and user groups (`S…`) who are invited.
    pub invite: Vec<String>,
    /// Whether the channel is archived once the incident is over.
    pub archive: bool,
}

fn slack_api() -> String {
    "https://slack.com/api".into()
}

fn viewer() -> Role {
    Role::Viewer
}
