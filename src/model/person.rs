//! Who did it: people, tokens and the bot itself, and what their role allows.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a person or token may do; each role may do all that the one before may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads and asks.
    Viewer,
    /// Acknowledges, silences, posts updates, resolves.
    Responder,
    /// Decides on proposals.
    Approver,
    /// Changes settings and tokens, halts all actions.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Approver => "approver",
            Self::Admin => "admin",
        })
    }
}

/// Who acted, as records and the audit log keep it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// Where they came from: `console`, `token`, `slack`, `discord`, `cli`, or `nightjar` itself.
    pub via: String,
    /// A stable id there.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Actor {
    /// The bot itself, which decides nothing that needs a person: its role is viewer.
    #[must_use]
    pub fn nightjar() -> Self {
        Self {
            via: "nightjar".into(),
            id: "nightjar".into(),
            name: "nightjar".into(),
            role: Role::Viewer,
        }
    }

    /// Whether this is the bot and not a person.
    #[must_use]
    pub fn is_bot(&self) -> bool {
        self.via == "nightjar"
    }

    /// Whether both are the same account of the same platform.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.via == other.via && self.id == other.id
    }

    /// Whether the two are known to be different people: they have two accounts of one platform.
    /// Accounts of two platforms may be one person's, so of those it is not known.
    #[must_use]
    pub fn is_other_than(&self, other: &Self) -> bool {
        self.via == other.via && self.id != other.id
    }

    /// Where they came from, in words that stand behind `in`: `Slack (acme)`.
    #[must_use]
    pub fn place(&self) -> String {
        let (platform, name) = self.via.split_once(':').unwrap_or((&self.via, ""));
        let platform = match platform {
            "slack" => "Slack",
            "discord" => "Discord",
            "console" => "the console (opened by a login link)",
            "token" => "the console or API (with a token)",
            "cli" => "the command line",
            other => other,
        };
        if name.is_empty() { platform.to_owned() } else { format!("{platform} ({name})") }
    }
}
