//! What `nightjar check` finds out: whether the token is good, the bot is where it should be, and
//! which feature lacks which permission in which channel.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ChannelId, GuildId, UserId};

use super::places::id;
use super::rest::Ask;
use super::trouble::Trouble;
use super::{Config, Discord, Inner, Me};
use crate::chat::nobody::Nobody;
use crate::model::Fault;
use crate::model::clock::SystemClock;

/// A permission: its bits (any of them will do), its name in Discord, what it is for, and whether
/// it matters in forums.
struct Need {
    bits: u64,
    name: &'static str,
    feature: &'static str,
    in_forums: bool,
}

const fn need(bits: u64, name: &'static str, feature: &'static str) -> Need {
    Need { bits, name, feature, in_forums: true }
}

/// What the bot needs, and no more
/// (<https://discord.com/developers/docs/topics/permissions>).
const NEEDS: &[Need] = &[
    need(1 << 10, "View Channel", "everything"),
    need(1 << 11, "Send Messages", "cards of incidents"),
    need(1 << 14, "Embed Links", "cards of incidents"),
    need(1 << 16, "Read Message History", "finding its messages after a crash"),
    Need { in_forums: false, ..need(1 << 35, "Create Public Threads", "threads of incidents") },
    need(1 << 38, "Send Messages in Threads", "what changed, answers"),
    need(1 << 15, "Attach Files", "charts"),
    need(1 << 6, "Add Reactions", "the sign that a question was taken"),
    // Manage Messages pinned before there was a permission of its own.
    need(1 << 51 | 1 << 13, "Pin Messages", "the pin of an open incident"),
];
/// Whoever has it may do everything.
const ADMINISTRATOR: u64 = 1 << 3;
/// The permissions of the invitation.
const INVITED: u64 =
    1 << 6 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 35 | 1 << 38 | 1 << 51;
/// Flags of an application that may read message content.
const READS_CONTENT: u64 = 1 << 18 | 1 << 19;

/// What was looked at, and what was found or is to be done.
pub type Finding = (String, Result<String, String>);

impl Discord {
    /// Looks at everything that the settings ask for. Reads only.
    pub async fn check(&self) -> Vec<Finding> {
        self.inner.check().await
    }
}

/// Looks at everything that the settings of one bot ask for. Reads only; nothing is connected.
///
/// # Errors
/// No client can be made of the settings.
pub async fn check(config: &Config) -> Result<Vec<Finding>, Fault> {
    let discord = Discord::new(config.clone(), Arc::new(Nobody), Arc::new(SystemClock))?;
    Ok(discord.check().await)
}

/// The address that invites the bot with the least permissions.
fn invitation(application: u64, guild: Option<&str>) -> String {
    let guild = guild.map(|g| format!("&guild_id={g}")).unwrap_or_default();
    format!(
        "https://discord.com/oauth2/authorize?client_id={application}\
         &scope=bot+applications.commands&permissions={INVITED}{guild}"
    )
}

impl Inner {
    async fn check(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut note = |what: String, result: Result<String, String>| found.push((what, result));
        let me = match self.me().await {
            Ok(me) => me,
            Err(trouble) => {
                note(format!("{}: token", self.platform), Err(format!("{trouble}.")));
                return found;
            }
        };
        let invite = invitation(me.application, None);
        let text = format!("accepted; the invitation with the least permissions is {invite}");
        note(format!("{}: token", self.platform), Ok(text));
        if self.config.message_content {
            note(format!("{}: message content", self.platform), self.content().await);
        }
        for guild in &self.config.guilds {
            let what = format!("{}: guild {guild}", self.platform);
            match self.guild(guild).await {
                Ok(name) => note(what, Ok(format!("the bot is in {name}"))),
                Err(trouble) => {
                    let link = invitation(me.application, Some(guild));
                    note(what, Err(format!("{trouble}; invite the bot: {link}")));
                    continue;
                }
            }
            let what = format!("{}: command in guild {guild}", self.platform);
            note(
                what,
                match self.registered(guild).await {
                    Ok(true) => Ok("/nightjar is registered".into()),
                    Ok(false) => Ok("/nightjar will be registered when the bot starts".into()),
                    Err(trouble) => {
                        let link = invitation(me.application, Some(guild));
                        Err(format!("{trouble}; invite the bot again, with commands: {link}"))
                    }
                },
            );
        }
        let routes = self.config.routes.iter().map(|r| r.channel.as_str());
        let channels: BTreeSet<&str> = routes.chain([self.config.channel.as_str()]).collect();
        for channel in channels {
            let what = format!("{}: channel {channel}", self.platform);
            let result = self.channel(me, channel).await;
            note(what, result.unwrap_or_else(|t| Err(t.fault("look at it").to_string())));
        }
        found
    }

    async fn content(&self) -> Result<String, String> {
        let ask = Ask::new(LightMethod::Get, Route::Oauth2ApplicationCurrent);
        let application = self.rest.ask(ask).await.map_err(|t| t.to_string())?;
        if application["flags"].as_u64().unwrap_or(0) & READS_CONTENT != 0 {
            return Ok("the bot may read words without a mention".into());
        }
        Err("the Message Content Intent is off: switch it on in the Developer Portal (Bot), or \
             take message_content out; mentions and commands work without it"
            .into())
    }

    async fn guild(&self, guild: &str) -> Result<String, Trouble> {
        let route = Route::Guild { guild_id: GuildId::new(id(guild)?) };
        let found = self.rest.ask(Ask::new(LightMethod::Get, route)).await?;
        Ok(found["name"].as_str().unwrap_or("it").to_owned())
    }

    async fn channel(&self, me: Me, channel: &str) -> Result<Result<String, String>, Trouble> {
        let get = |route| self.rest.ask(Ask::new(LightMethod::Get, route));
        let found = get(Route::Channel { channel_id: ChannelId::new(id(channel)?) }).await?;
        let name = found["name"].as_str().unwrap_or(channel);
        let forum = matches!(found["type"].as_u64(), Some(15 | 16));
        if !forum && !matches!(found["type"].as_u64(), Some(0 | 5)) {
            return Ok(Err(format!("{name} is neither a text channel nor a forum; name another")));
        }
        let guild = found["guild_id"].as_str().unwrap_or_default().to_owned();
        if !self.config.guilds.contains(&guild) {
            return Ok(Err(format!("{name} is in guild {guild}, which is not in guilds")));
        }
        let guild_id = GuildId::new(id(&guild)?);
        let user_id = UserId::new(me.user);
        let member = get(Route::GuildMember { guild_id, user_id }).await?;
        let guild = get(Route::Guild { guild_id }).await?;
        let has = permissions(&guild, &member, &found, me.user);
        let lacks: Vec<String> = NEEDS
            .iter()
            .filter(|n| n.in_forums || !forum)
            .filter(|n| has & n.bits == 0)
            .map(|n| format!("{} (for {})", n.name, n.feature))
            .collect();
        if lacks.is_empty() {
            let kind = if forum { "forum" } else { "channel" };
            return Ok(Ok(format!("the bot may do all that it needs in the {kind} {name}")));
        }
        Ok(Err(format!("in {name} the bot's role lacks {}; give it these there", lacks.join(", "))))
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn bits(value: &Value) -> u64 {
    value.as_str().and_then(|b| b.parse().ok()).unwrap_or(0)
}

/// What a member may do in a channel: roles first, then what the channel denies and allows for
/// everybody, for roles, for the member.
fn permissions(guild: &Value, member: &Value, channel: &Value, user: u64) -> u64 {
    let mine = |role: &Value| list(&member["roles"]).contains(role);
    let everyone = &guild["id"];
    let roles = list(&guild["roles"]).iter().filter(|r| r["id"] == *everyone || mine(&r["id"]));
    let base = roles.fold(0, |all, role| all | bits(&role["permissions"]));
    if base & ADMINISTRATOR != 0 {
        return u64::MAX;
    }
    let user = Value::String(user.to_string());
    let steps: [&dyn Fn(&Value) -> bool; 3] = [&|o| o == everyone, &mine, &|o| *o == user];
    let mut has = base;
    for step in steps {
        let here = list(&channel["permission_overwrites"]).iter().filter(|o| step(&o["id"]));
        let (deny, allow) = here
            .fold((0, 0), |(deny, allow), o| (deny | bits(&o["deny"]), allow | bits(&o["allow"])));
        has = has & !deny | allow;
    }
    has
}
