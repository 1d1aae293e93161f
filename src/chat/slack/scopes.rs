//! The permissions that the app asks for, each with the feature that it serves.
//! `deploy/slack-manifest.yaml` lists the same; a test compares the two.
//!
//! Group direct messages (`mpim:history`) are not asked for: what several people say to each other
//! outside of channels is not ours to read. There a command is answered to its asker alone.

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Slack's name of it.
    pub name: &'static str,
    /// What is lost without it.
    pub feature: &'static str,
    /// Whether the bot is of no use without it.
    pub essential: bool,
}

const fn scope(name: &'static str, feature: &'static str, essential: bool) -> Scope {
    Scope { name, feature, essential }
}

/// Every scope of the bot token.
pub const NEEDED: &[Scope] = &[
    scope("app_mentions:read", "questions by mentioning the bot", true),
    scope(
        "assistant:write",
        "the word that an answer is being worked on, in direct messages",
        false,
    ),
    scope("channels:history", "thread replies without a mention, and no message sent twice", true),
    scope("channels:read", "channels given by name, and the check of channels", true),
    scope("chat:write", "messages", true),
    scope("commands", "the command /nightjar and the shortcuts", true),
    scope("files:read", "no chart uploaded twice", false),
    scope("files:write", "charts", false),
    scope("groups:history", "the same as channels:history, in private channels", false),
    scope("groups:read", "the same as channels:read, in private channels", false),
    scope("im:history", "direct messages to the bot", false),
    scope("im:write", "no answer said twice to somebody directly", false),
    scope("links:read", "previews of incident links", false),
    scope("links:write", "previews of incident links", false),
    scope("pins:write", "the pinned message of an open incident", false),
    scope("reactions:write", "the sign that a question was taken", false),
    scope("usergroups:read", "roles by user group", false),
    scope("users:read", "names of people", true),
    scope("users:read.email", "roles by e-mail address", false),
];

/// Scopes of the bot token that channels of their own for incidents need besides.
pub const ROOMS: &[Scope] = &[
    scope("bookmarks:read", "bookmarks in an incident's channel, each set once", false),
    scope("bookmarks:write", "bookmarks in an incident's channel", false),
    scope("channels:manage", "a channel of its own for an incident", false),
];

/// The scope of the app-level token.
pub(super) const APP_LEVEL: &str = "connections:write";

/// What a scope is for.
pub(super) fn feature(name: &str) -> Option<&'static str> {
    if name == APP_LEVEL {
        return Some("Socket Mode");
    }
    NEEDED.iter().chain(ROOMS).find(|s| s.name == name).map(|s| s.feature)
}
