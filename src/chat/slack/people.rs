//! Who somebody is in Slack, and so what they may do here; asked for at most every ten minutes.
//!
//! What people do is kept before Slack is asked ([`Inbound::unresolved`]) and done once it told.
//! Where it can't be asked, what it told within the hour counts; nobody keeps a role longer that
//! Slack does not confirm.
//!
//! [`Inbound::unresolved`]: crate::chat::Inbound::unresolved

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Slack;
use crate::chat::people::role_of;
use crate::model::{Actor, Fault, Role};

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(600);
/// How long an answer counts while Slack can't be asked again: somebody who left a group must not
/// keep its role for as long as Slack happens not to answer.
const STALE: Duration = Duration::from_secs(3_600);
/// How long the opening of a form waits for an answer: it must be open within 3 s of the click.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// People that are remembered; more begin anew.
const MOST: usize = 10_000;

/// What is remembered, and when it was told.
#[derive(Default)]
pub(super) struct Known {
    people: BTreeMap<String, (Instant, Actor)>,
    groups: BTreeMap<String, (Instant, BTreeSet<String>)>,
}

impl Slack {
    /// The person as Slack told them within ten minutes.
    pub(super) fn fresh(&self, user: &str) -> Option<Actor> {
        self.told(user, FRESH)
    }

    /// Somebody of whom nothing but the id is known yet, with the least role.
    pub(super) fn nobody(&self, user: &str) -> Actor {
        let (via, id) = (self.inner.platform.clone(), user.to_owned());
        Actor { via, name: id.clone(), id, role: Role::Viewer }
    }

    /// The person for what is shown at once and changes nothing: the opening of a form, their own
    /// page. `None`: Slack did not say in time who they are, and roles here follow from what it
    /// says, so that nobody's is guessed.
    pub(super) async fn actor(&self, user: &str) -> Option<Actor> {
        match tokio::time::timeout(PATIENCE, self.identify(user)).await {
            Ok(Ok(actor)) => Some(actor),
            _ => self.told(user, STALE).or_else(|| self.ids_alone().then(|| self.by_id(user))),
        }
    }

    /// Whether roles follow from ids, whatever Slack says of people.
    fn ids_alone(&self) -> bool {
        self.inner.config.people.iter().all(|p| p.group.is_none() && p.email.is_none())
    }

    /// The person with the role that the settings give them.
    ///
    /// # Errors
    /// Slack can't be asked now, and what it told before is too old to count. It is transient: their
    /// role is not guessed.
    pub(super) async fn identify(&self, user: &str) -> Result<Actor, Fault> {
        if let Some(actor) = self.fresh(user) {
            return Ok(actor);
        }
        let fault = match self.ask(user).await {
            Ok((at, actor)) => {
                let entry = (at, actor.clone());
                self.known(|known| {
                    if known.people.len() >= MOST {
                        known.people.clear();
                    }
                    known.people.insert(user.to_owned(), entry)
                });
                return Ok(actor);
            }
            Err(fault) => fault,
        };
        tracing::warn!(fault = %fault.chain(), "who a person is in Slack could not be asked");
        if let Some(actor) = self.told(user, STALE) {
            return Ok(actor);
        }
        if fault.is_transient() && !self.ids_alone() { Err(fault) } else { Ok(self.by_id(user)) }
    }

    fn known<T>(&self, with: impl FnOnce(&mut Known) -> T) -> T {
        with(&mut self.inner.known.lock().expect("no code panics while it holds this lock"))
    }

    fn told(&self, user: &str, within: Duration) -> Option<Actor> {
        let known = self.known(|known| known.people.get(user).cloned());
        known.filter(|(at, _)| at.elapsed() < within).map(|(_, actor)| actor)
    }

    /// The person by the rules that name their id, where nothing else can be had.
    fn by_id(&self, user: &str) -> Actor {
        metrics::counter!("nightjar_chat_roles_by_id_total", "platform" => "slack").increment(1);
        tracing::warn!(slack.user = user, "a role follows from the user's id alone");
        self.person(user, &Value::Null, &[])
    }

    /// The person as Slack tells them, and since when all of it is known.
    async fn ask(&self, user: &str) -> Result<(Instant, Actor), Fault> {
        let mut since = Instant::now();
        let info = self.get_call("users.info", &[("user", user)]).await?;
        let named: BTreeSet<&String> =
            self.inner.config.people.iter().filter_map(|p| p.group.as_ref()).collect();
        let mut groups = Vec::new();
        for group in named {
            match self.members(group).await {
                Ok((at, members)) => {
                    since = since.min(at);
                    groups.extend(members.contains(user).then(|| group.clone()));
                }
                Err(fault) if fault.is_transient() => return Err(fault),
                Err(fault) => {
                    // It will not be told (a scope is missing, the group is gone): nobody has a
                    // role by it.
                    let counter = "nightjar_chat_groups_unread_total";
                    metrics::counter!(counter, "platform" => "slack").increment(1);
                    let fault = fault.chain();
                    tracing::warn!(fault, group, "a user group gives no roles: it can't be read");
                }
            }
        }
        Ok((since, self.person(user, &info["user"], &groups)))
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

    /// Who is in a user group, and when Slack told it: at most an hour ago where it can't be asked.
    async fn members(&self, group: &str) -> Result<(Instant, BTreeSet<String>), Fault> {
        let known = self.known(|known| known.groups.get(group).cloned());
        if let Some((at, members)) = &known
            && at.elapsed() < FRESH
        {
            return Ok((*at, members.clone()));
        }
        match self.get_call("usergroups.users.list", &[("usergroup", group)]).await {
            Ok(answer) => {
                let users = answer["users"].as_array().into_iter().flatten();
                let members: BTreeSet<String> =
                    users.filter_map(Value::as_str).map(str::to_owned).collect();
                let entry = (Instant::now(), members);
                self.known(|known| known.groups.insert(group.to_owned(), entry.clone()));
                Ok(entry)
            }
            Err(f) => {
                tracing::warn!(fault = %f.fault, "a user group of Slack could not be read");
                known.filter(|(at, _)| at.elapsed() < STALE).ok_or(f.fault)
            }
        }
    }
}

#[cfg(test)]
mod tests;
