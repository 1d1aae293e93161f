//! People of a chat platform and what they may do here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Role;

/// One rule: whoever fits has at least this role. Several may fit; the highest role counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The platform's id of one user.
    #[serde(default)]
    pub user: Option<String>,
    /// A user's e-mail address, where the platform tells it.
    #[serde(default)]
    pub email: Option<String>,
    /// The platform's id of a user group (Slack) or role (Discord).
    #[serde(default)]
    pub group: Option<String>,
    /// What they may do.
    pub role: Role,
}

/// The same where the platform tells bots no e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The platform's id of one user.
    #[serde(default)]
    pub user: Option<String>,
    /// The platform's id of a role.
    #[serde(default)]
    pub group: Option<String>,
    /// What they may do.
    pub role: Role,
}

impl From<Member> for Person {
    fn from(member: Member) -> Self {
        Self { user: member.user, email: None, group: member.group, role: member.role }
    }
}

/// The role of a user: the highest of the rules that fit, else `otherwise`.
#[must_use]
pub fn role_of<R: Clone + Into<Person>>(
    rules: &[R],
    otherwise: Role,
    user: &str,
    email: Option<&str>,
    groups: &[String],
) -> Role {
    let fits = |rule: &Person| {
        rule.user.as_deref() == Some(user)
            || rule
                .email
                .as_deref()
                .is_some_and(|e| email.is_some_and(|m| m.eq_ignore_ascii_case(e)))
            || rule.group.as_ref().is_some_and(|g| groups.contains(g))
    };
    let rules = rules.iter().cloned().map(Into::into);
    rules.filter(fits).map(|rule| rule.role).max().unwrap_or(otherwise)
}
