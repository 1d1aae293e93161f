//! What people may do: their roles in the guilds, also where they write in a direct conversation.

use std::time::Duration;

use serenity::http::{LightMethod, Route};
use serenity::model::id::{GuildId, UserId};
use tokio::time::Instant;

use super::Inner;
use super::places::id;
use super::rest::Ask;
use super::trouble::Trouble;

/// How long roles that were asked for are believed.
const FRESH: Duration = Duration::from_secs(60);
/// People whose roles are remembered.
const MOST: usize = 10_000;

/// Roles of people, and when they were asked for; `None`: a member of no guild that is served.
pub(super) type Known = std::collections::BTreeMap<u64, (Instant, Option<Vec<String>>)>;

/// What somebody is told who is not known to be a member of a guild that is served.
pub(super) const STRANGER: &str = "This bot answers only members of the servers that it serves, and you were not found in one: join one, or if you are a member, try again in a moment.";

impl Inner {
    /// The roles of a user in all guilds that this bot serves; `None` where the user is not known to
    /// be a member of any: anybody can write to a bot that shares some server with them.
    pub(super) async fn roles_of(&self, user: u64) -> Option<Vec<String>> {
        let known = {
            let roles = self.roles.lock().expect("nothing panics under this lock");
            roles.get(&user).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, r)| r.clone())
        };
        if let Some(known) = known {
            return known;
        }
        let (mut found, mut certain) = (None::<Vec<String>>, true);
        for guild in self.config.guilds.iter().filter_map(|g| id(g).ok()) {
            let (guild_id, user_id) = (GuildId::new(guild), UserId::new(user));
            let ask = Ask::new(LightMethod::Get, Route::GuildMember { guild_id, user_id });
            let member = match self.rest.ask(ask).await {
                Ok(member) => member,
                Err(Trouble::Refused { .. }) => continue,
                Err(trouble) => {
                    tracing::warn!(reason = %trouble, "a membership could not be looked up");
                    certain = false;
                    continue;
                }
            };
            let roles = member["roles"].as_array().map(Vec::as_slice).unwrap_or_default();
            let roles = roles.iter().filter_map(|r| r.as_str()).map(str::to_owned);
            found.get_or_insert_default().extend(roles);
        }
        // A member must not stay out because Discord was not reached once.
        if certain {
            let mut roles = self.roles.lock().expect("nothing panics under this lock");
            if roles.len() >= MOST {
                roles.clear();
            }
            roles.insert(user, (Instant::now(), found.clone()));
        }
        found
    }
}
