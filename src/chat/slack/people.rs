//! Who somebody is in Slack, and so what they may do here; asked for at most every ten minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Slack;
use crate::chat::people::role_of;
use crate::model::Actor;

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(600);
/// How long a click waits for an answer: a form must be open within 3 s of it.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// People that are remembered; more begin anew.
const MOST: usize = 10_000;

/// What is remembered.
#[derive(Default)]
pub(super) struct Known {
    people: BTreeMap<String, (Instant, Actor)>,
    groups: BTreeMap<String, (Instant, BTreeSet<String>)>,
}

impl Slack {
    /// The person with the role that the settings give them. Where Slack does not say who they are
    /// in time, what was known before counts, else the role that their id alone gives them; Slack
    /// is asked again next time.
    pub(super) async fn actor(&self, user: &str) -> Actor {
        let known = self.known(|known| known.people.get(user).cloned());
        let stale = match known {
            Some((at, actor)) if at.elapsed() < FRESH => return actor,
            other => other.map(|(_, actor)| actor),
        };
        match tokio::time::timeout(PATIENCE, self.ask(user)).await {
            Ok(Some(actor)) => {
                let entry = (Instant::now(), actor.clone());
                self.known(|known| {
                    if known.people.len() >= MOST {
                        known.people.clear();
                    }
                    known.people.insert(user.to_owned(), entry)
                });
                actor
            }
            _ => stale.unwrap_or_else(|| self.person(user, &Value::Null, &[])),
        }
    }

    fn known<T>(&self, with: impl FnOnce(&mut Known) -> T) -> T {
        with(&mut self.inner.known.lock().expect("no code panics while it holds this lock"))
    }

    /// The person as Slack tells them; `None`: it does not.
    async fn ask(&self, user: &str) -> Option<Actor> {
        let info = match self.get_call("users.info", &[("user", user)]).await {
            Ok(info) => info,
            Err(f) => {
                tracing::warn!(fault = %f.fault, "who a person is in Slack could not be asked");
                return None;
            }
        };
        let named: BTreeSet<&String> =
            self.inner.config.people.iter().filter_map(|p| p.group.as_ref()).collect();
        let mut groups = Vec::new();
        for group in named {
            if self.members(group).await?.contains(user) {
                groups.push(group.clone());
            }
        }
        Some(self.person(user, &info["user"], &groups))
    }

    fn person(&self, user: &str, told: &Value, groups: &[String]) -> Actor {
        let config = &self.inner.config;
        let profile = &told["profile"];
        let role = role_of(&config.people, config.role, user, profile["email"].as_str(), groups);
        let names = [&profile["display_name"], &profile["real_name"], &told["name"]];
        let name = names.into_iter().filter_map(Value::as_str).find(|n| !n.trim().is_empty());
        let name: String = name.unwrap_or(user).chars().take(80).collect();
        Actor { via: self.inner.platform.clone(), id: user.to_owned(), name, role }
    }

    /// Who is in a user group; what was known before counts where Slack can't be asked.
    async fn members(&self, group: &str) -> Option<BTreeSet<String>> {
        let known = self.known(|known| known.groups.get(group).cloned());
        let stale = match known {
            Some((at, members)) if at.elapsed() < FRESH => return Some(members),
            other => other.map(|(_, members)| members),
        };
        match self.get_call("usergroups.users.list", &[("usergroup", group)]).await {
            Ok(answer) => {
                let users = answer["users"].as_array().into_iter().flatten();
                let members: BTreeSet<String> =
                    users.filter_map(Value::as_str).map(str::to_owned).collect();
                let entry = (Instant::now(), members.clone());
                self.known(|known| known.groups.insert(group.to_owned(), entry));
                Some(members)
            }
            Err(f) => {
                tracing::warn!(fault = %f.fault, "a user group of Slack could not be read");
                stale
            }
        }
    }
}
