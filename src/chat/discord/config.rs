//! Settings of one Discord bot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat::Route;
use crate::chat::people::Member;
use crate::model::{Role, Secret};

/// One Discord bot and the guilds it serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name here, where several are connected; empty: `discord` alone.
    #[serde(default)]
    pub name: String,
    /// The bot token.
    pub token: Secret,
    /// Ids of the guilds it serves; others are not listened to, and direct messages are taken from
    /// their members alone. Switch Public Bot off in the Developer Portal, so that nobody else can
    /// invite it.
    #[schemars(length(min = 1))]
    pub guilds: Vec<String>,
    /// Base address of the REST API.
    #[serde(default = "discord_api")]
    pub api_url: String,
    /// Whether words without a mention are heard in threads of incidents. It needs the Message
    /// Content Intent, switched on in the Developer Portal.
    #[serde(default)]
    pub message_content: bool,
    /// Channel id of whatever no route takes; a text or forum channel.
    #[schemars(length(min = 1))]
    pub channel: String,
    /// Routes, tried in order; the first that fits wins.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Who may do what; the highest role that fits counts.
    #[serde(default)]
    pub people: Vec<Member>,
    /// The role of every other member of these guilds.
    #[serde(default = "viewer")]
    pub role: Role,
}

fn discord_api() -> String {
    "https://discord.com".into()
}

fn viewer() -> Role {
    Role::Viewer
}
