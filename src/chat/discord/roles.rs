//! What people may do: their roles in the guilds, also where they write in a direct conversation.

use std::collections::BTreeMap;
use std::time::Duration;

use serenity::http::{LightMethod, Route};
use serenity::model::id::{GuildId, UserId};
use tokio::time::Instant;

use super::Inner;
use super::places::id;
use super::rest::Ask;
use super::trouble::Trouble;
use crate::chat::people::role_of;
use crate::chat::{Inbound, Who};
use crate::model::{Actor, Role};

/// How long roles that were asked for are believed.
const FRESH: Duration = Duration::from_secs(60);
/// People whose roles are remembered.
const MOST: usize = 10_000;

/// How long a stranger who was told so is not told again: anybody can write to a bot without end.
const TOLD: Duration = Duration::from_secs(600);

/// What is remembered of people.
#[derive(Default)]
pub(super) struct Known {
    /// Their roles, and when they were asked for; `None`: a member of no guild that is served.
    roles: BTreeMap<u64, (Instant, Option<Vec<String>>)>,
    /// When strangers were told that they are.
    told: BTreeMap<u64, Instant>,
}

/// What somebody is told who is not known to be a member of a guild that is served.
pub(super) const STRANGER: &str = "This bot answers only members of the servers that it serves, and you were not found in one: join one, or if you are a member, try again in a moment.";

impl Inner {
    /// The roles of a user in all guilds that this bot serves; `None` where the user is not known to
    /// be a member of any: anybody can write to a bot that shares some server with them.
    ///
    /// # Errors
    /// A guild could not be asked: a role is not guessed, and no member stays out because of it.
    pub(super) async fn roles_of(&self, user: u64) -> Result<Option<Vec<String>>, Trouble> {
        let known = {
            let known = self.known.lock().expect("nothing panics under this lock");
            known.roles.get(&user).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, r)| r.clone())
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let mut found = None::<Vec<String>>;
        for guild in self.config.guilds.iter().filter_map(|g| id(g).ok()) {
            let (guild_id, user_id) = (GuildId::new(guild), UserId::new(user));
            let ask = Ask::new(LightMethod::Get, Route::GuildMember { guild_id, user_id });
            let member = match self.rest.ask(ask).await {
                Ok(member) => member,
                Err(Trouble::Refused { .. }) => continue,
                Err(trouble) => {
                    tracing::warn!(reason = %trouble, "a membership could not be looked up");
                    return Err(trouble);
                }
            };
            let roles = member["roles"].as_array().map(Vec::as_slice).unwrap_or_default();
            let roles = roles.iter().filter_map(|r| r.as_str()).map(str::to_owned);
            found.get_or_insert_default().extend(roles);
        }
        let mut known = self.known.lock().expect("nothing panics under this lock");
        if known.roles.len() >= MOST {
            known.roles.clear();
        }
        known.roles.insert(user, (Instant::now(), found.clone()));
        Ok(found)
    }

    /// Somebody by their roles; without them by their id alone, with the least role.
    pub(super) fn person(&self, user: u64, name: &str, roles: Option<&[String]>) -> Actor {
        let (id, config) = (user.to_string(), &self.config);
        let role = roles.map(|roles| role_of(&config.people, config.role, &id, None, roles));
        Actor {
            via: "discord".into(),
            id,
            name: name.to_owned(),
            role: role.unwrap_or(Role::Viewer),
        }
    }

    /// Who said something that was kept before their roles were known.
    pub(super) async fn who(&self, inbound: &Inbound) -> Result<Who, Trouble> {
        let (user, name) = (id(&inbound.actor.id)?, &inbound.actor.name);
        Ok(match self.roles_of(user).await? {
            Some(roles) => Who::Person(self.person(user, name, Some(&roles))),
            // An interaction is answered in any case: it would go on saying that it is worked on.
            None if inbound.trigger.is_some() => Who::Stranger(Some(STRANGER.into())),
            None => Who::Stranger(self.is_told(user).then(|| STRANGER.into())),
        })
    }

    /// Whether a stranger is to be told that they are one: not again for ten minutes.
    pub(super) fn is_told(&self, user: u64) -> bool {
        metrics::counter!("nightjar_discord_strangers_total").increment(1);
        let mut known = self.known.lock().expect("nothing panics under this lock");
        let told = &mut known.told;
        if told.get(&user).is_some_and(|at| at.elapsed() < TOLD) {
            return false;
        }
        if told.len() >= MOST {
            told.clear();
        }
        told.insert(user, Instant::now());
        true
    }
}
