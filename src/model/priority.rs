//! How much an incident matters, whether somebody is woken for it, and what kind it is: each with
//! the parts that it follows from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether somebody is to be called at once.
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
pub enum Attention {
    /// Somebody looks at it in working hours.
    Ticket,
    /// Somebody is called at any hour.
    Page,
}

impl Attention {
    /// The word as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

/// One part of a priority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PriorityPart {
    /// Which: `severity`, `users`, `objective`, `business`, `radius`, `confidence`.
    pub name: String,
    /// What it adds.
    pub points: i32,
    /// Why, with figures.
    pub why: String,
}

/// How much an incident matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Priority {
    /// Page or ticket.
    pub attention: Attention,
    /// 1 (most) to 4.
    pub level: u8,
    /// The sum of its parts.
    pub points: i32,
    /// Points from which on it is a page.
    pub page_from: i32,
    /// What it is made of, the greatest first.
    pub parts: Vec<PriorityPart>,
}

impl Priority {
    /// In one sentence: `page (P1, 9 points, 4 needed for a page): users reach it …`.
    #[must_use]
    pub fn text(&self) -> String {
        let parts: Vec<&str> = self.parts.iter().map(|p| p.why.as_str()).collect();
        format!(
            "{} (P{}, {} points, {} needed for a page): {}.",
            self.attention.as_str(),
            self.level,
            self.points,
            self.page_from,
            parts.join("; ")
        )
    }
}

/// What may be wrong.
pub const CATEGORIES: [&str; 10] = [
    "availability",
    "errors",
    "latency",
    "traffic",
    "saturation",
    "capacity",
    "objective",
    "business",
    "logs",
    "other",
];

/// What may have set it off: a kind of change, a pattern of diagnosis, or, where only people can know
/// it, `planned`; `external` is what a provider reports or people say. Rules and classifier have these words in common.
pub const TRIGGERS: [&str; 17] = [
    "deploy",
    "config",
    "network_policy",
    "scale",
    "flag",
    "migration",
    "schema",
    "change",
    "resource_leak",
    "saturation",
    "slow_queries",
    "noisy_neighbour",
    "dependency",
    "traffic",
    "external",
    "planned",
    UNKNOWN,
];

/// Where it may sit.
pub const COMPONENTS: [&str; 6] = ["service", "database", "queue", "cache", "node", "other"];

/// The trigger that nobody knows.
pub const UNKNOWN: &str = "unknown";

/// What kind of incident it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Taxonomy {
    /// What is wrong: one of [`CATEGORIES`].
    pub category: String,
    /// What set it off: one of [`TRIGGERS`].
    pub trigger: String,
    /// Where it sits: one of [`COMPONENTS`].
    pub component: String,
}
