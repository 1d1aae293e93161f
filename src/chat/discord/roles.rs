//! What people may do: their roles in the guilds, also where they write in a direct conversation.

use std::time::Duration;

use serenity::http::{LightMethod, Route};
use serenity::model::id::{GuildId, UserId};
use tokio::time::Instant;

use super::Inner;
use super::places::id;
use super::rest::Ask;

/// How long roles that were asked for are believed.
const FRESH: Duration = Duration::from_secs(60);
/// People whose roles are remembered.
const MOST: usize = 10_000;

/// Roles of people, and when they were asked for.
pub(super) type Known = std::collections::BTreeMap<u64, (Instant, Vec<String>)>;

impl Inner {
    /// The roles of a user in all guilds that this bot serves. Who can't be asked about has none.
    pub(super) async fn roles_of(&self, user: u64) -> Vec<String> {
        let known = {
            let roles = self.roles.lock().expect("nothing panics under this lock");
            roles.get(&user).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, r)| r.clone())
        };
        if let Some(known) = known {
            return known;
        }
        let mut found = Vec::new();
        for guild in self.config.guilds.iter().filter_map(|g| id(g).ok()) {
            let (guild_id, user_id) = (GuildId::new(guild), UserId::new(user));
            let ask = Ask::new(LightMethod::Get, Route::GuildMember { guild_id, user_id });
            let Ok(member) = self.rest.ask(ask).await else { continue };
            let roles = member["roles"].as_array().map(Vec::as_slice).unwrap_or_default();
            found.extend(roles.iter().filter_map(|r| r.as_str()).map(str::to_owned));
        }
        let mut roles = self.roles.lock().expect("nothing panics under this lock");
        if roles.len() >= MOST {
            roles.clear();
        }
        roles.insert(user, (Instant::now(), found.clone()));
        found
    }
}
