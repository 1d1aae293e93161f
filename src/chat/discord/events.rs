//! What comes over the gateway, read into what people said and did.

use std::collections::BTreeMap;

use serde_json::Value;
use serenity::model::application::{
    ActionRowComponent, CommandDataOption, CommandDataOptionValue, CommandInteraction, CommandType,
    ComponentInteractionDataKind, Interaction,
};
use serenity::model::channel::{ChannelType, Message, MessageFlags, MessageType, PartialChannel};
use serenity::model::guild::Member;
use serenity::model::user::User;
use tokio::time::Instant;

use super::commands::{completes, used};
use super::interact::{ASK, Deed, THINK, What};
use super::places::{Kind, given_id};
use super::roles::STRANGER;
use super::trouble::Trouble;
use super::{Inner, modal, render, shortcuts};
use crate::chat::{Content, Inbound, Said};

/// One event of the gateway.
pub(super) struct Event {
    /// Its name, such as `MESSAGE_CREATE`.
    pub(super) name: String,
    /// What it says.
    pub(super) data: Value,
    /// When it came.
    pub(super) at: Instant,
}

impl Inner {
    /// Does what an event asks for.
    pub(super) async fn happened(&self, event: Event) {
        match event.name.as_str() {
            "READY" => {
                if let Some(guilds) = event.data["guilds"].as_array() {
                    let ids = guilds.iter().filter_map(|guild| given_id(guild).ok()).collect();
                    self.missed().is_in(&ids);
                }
                self.register().await;
                self.catch_up_direct().await;
            }
            "GUILD_CREATE" => {
                if let Some(guild) = event.data["id"].as_str() {
                    self.register_in(guild).await;
                }
                self.catch_up(&event.data).await;
            }
            // One that is only out of order for now comes again.
            "GUILD_DELETE" if event.data["unavailable"] != true => {
                if let Ok(guild) = given_id(&event.data) {
                    self.missed().left(guild);
                }
            }
            "MESSAGE_CREATE" => match serde_json::from_value::<Message>(event.data) {
                Ok(message) => {
                    self.hear(message).await;
                    self.keep_position(false).await;
                }
                Err(error) => unread("message", &error),
            },
            "INTERACTION_CREATE" => {
                let chosen = modal::chosen_in(&event.data);
                match serde_json::from_value::<Interaction>(event.data) {
                    Ok(interaction) => {
                        let Some(mut deed) = deed(interaction, event.at + THINK) else { return };
                        if let What::Submit { typed, .. } = &mut deed.what {
                            typed.extend(chosen);
                        }
                        self.interact(deed).await;
                    }
                    Err(error) => unread("interaction", &error),
                }
            }
            _ => {}
        }
    }

    /// Hands on a message that is meant for the bot, or stands in a thread where all words count.
    pub(super) async fn heard(&self, message: Message) {
        let spoken = matches!(message.kind, MessageType::Regular | MessageType::InlineReply);
        let guild = message.guild_id.map(|g| g.get());
        if !spoken || message.author.bot || message.webhook_id.is_some() || !self.serves(guild) {
            return;
        }
        let Ok(me) = self.me().await else { return self.missed().fail(message.id.get()) };
        let addressed = guild.is_none() || message.mentions.iter().any(|u| u.id.get() == me.user);
        // Without the message-content intent the words of others come empty.
        if !addressed && message.content.trim().is_empty() {
            return;
        }
        let channel = message.channel_id.get();
        let parent = match guild {
            None => None,
            Some(_) => match self.kind(channel).await {
                Ok(Kind::Thread { parent, .. }) => Some(parent),
                // Where that can't be asked now, a mention is still a question.
                Ok(_) | Err(_) if addressed => None,
                // A channel, or a place that is gone or closed to the bot.
                Ok(_) | Err(Trouble::Refused { .. }) => return,
                Err(_) => return self.missed().fail(message.id.get()),
            },
        };
        let text = [format!("<@{}>", me.user), format!("<@!{}>", me.user)]
            .iter()
            .fold(message.content.clone(), |text, mention| text.replace(mention, " "));
        let user = message.author.id.get();
        let roles = match &message.member {
            Some(member) => Some(member.roles.iter().map(|r| r.to_string()).collect()),
            // Where that is not told in time, it is kept first and asked again after.
            None => match tokio::time::timeout(ASK, self.roles_of(user)).await {
                Ok(Ok(None)) if guild.is_none() => return self.turned_away(channel, user).await,
                Ok(Ok(roles)) => Some(roles.unwrap_or_default()),
                Ok(Err(_)) | Err(_) => None,
            },
        };
        let name = message.author.global_name.as_ref().unwrap_or(&message.author.name);
        let name = message.member.as_ref().and_then(|m| m.nick.as_ref()).unwrap_or(name);
        let thread = parent.is_some().then(|| channel.to_string());
        let inbound = Inbound {
            key: format!("{}:message:{}", self.platform, message.id),
            platform: self.platform.clone(),
            channel: parent.unwrap_or_else(|| channel.to_string()),
            thread,
            message: Some(message.id.to_string()),
            actor: self.person(user, name, roles.as_deref()),
            unresolved: roles.is_none(),
            at: self.clock.now(),
            trigger: None,
            said: Said::Message { text: text.trim().to_owned(), addressed },
        };
        if let Err(fault) = self.accept(inbound).await {
            tracing::error!(error = %fault.chain(), "a message was not kept");
            self.missed().fail(message.id.get());
        } else if guild.is_none() {
            self.missed().note_direct(channel);
        }
    }

    /// Tells somebody in a direct conversation that only members are answered.
    async fn turned_away(&self, channel: u64, user: u64) {
        if !self.is_told(user) {
            return;
        }
        let body = render::message(None, &Content::text(STRANGER));
        if let Err(trouble) = self.rest.send_message(channel, &body).await {
            tracing::debug!(reason = %trouble, "a stranger was not told");
        }
    }
}

/// Counts what serenity's types can't hold. The error names a field, never a value of a token.
fn unread(what: &'static str, error: &serde_json::Error) {
    metrics::counter!("nightjar_discord_unread_total", "what" => what).increment(1);
    tracing::warn!(what, line = error.line(), "an event of discord could not be read");
}

/// An interaction as we look at it; `None` for what we did not ask for.
pub(super) fn deed(interaction: Interaction, by: Instant) -> Option<Deed> {
    let make = |(id, token): (u64, String), who: Who<'_>, message, what| {
        let thread = who.channel.filter(|c| {
            use ChannelType::{NewsThread, PrivateThread, PublicThread};
            matches!(c.kind, PublicThread | PrivateThread | NewsThread)
        });
        let name = who.user.global_name.as_ref().unwrap_or(&who.user.name);
        let name = who.member.and_then(|m| m.nick.as_ref()).unwrap_or(name);
        let roles = who.member.map(|m| m.roles.iter().map(|r| r.to_string()).collect());
        Deed {
            id,
            token,
            guild: who.guild,
            channel: who.at,
            parent: thread.and_then(|c| c.parent_id).map(|p| p.get()),
            user: who.user.id.get(),
            name: name.clone(),
            roles,
            message,
            what,
            by,
        }
    };
    let own = |m: &Message| m.flags.is_some_and(|f| f.contains(MessageFlags::EPHEMERAL));
    Some(match interaction {
        Interaction::Component(i) => {
            let who = Who {
                user: &i.user,
                member: i.member.as_ref(),
                guild: i.guild_id.map(|g| g.get()),
                channel: i.channel.as_ref(),
                at: i.channel_id.get(),
            };
            let message = Some((i.message.id.get(), own(&i.message)));
            // A menu carries the code of what was chosen in it.
            let code = match &i.data.kind {
                ComponentInteractionDataKind::StringSelect { values } => values.first().cloned(),
                _ => Some(i.data.custom_id.clone()),
            };
            let what = What::Click { code: code.unwrap_or_default() };
            make((i.id.get(), i.token.clone()), who, message, what)
        }
        Interaction::Modal(i) => {
            let who = Who {
                user: &i.user,
                member: i.member.as_ref(),
                guild: i.guild_id.map(|g| g.get()),
                channel: i.channel.as_ref(),
                at: i.channel_id.get(),
            };
            let message = i.message.as_ref().map(|m| (m.id.get(), own(m)));
            let rows = i.data.components.iter().flat_map(|row| &row.components);
            let typed: BTreeMap<String, String> = rows
                .filter_map(|part| match part {
                    ActionRowComponent::InputText(input) => {
                        Some((input.custom_id.clone(), input.value.clone().unwrap_or_default()))
                    }
                    _ => None,
                })
                .collect();
            let what = What::Submit { code: i.data.custom_id.clone(), typed };
            make((i.id.get(), i.token.clone()), who, message, what)
        }
        Interaction::Command(i) if i.data.kind == CommandType::Message => {
            let what = What::Shortcut(shortcuts::used(&i.data)?);
            make((i.id.get(), i.token.clone()), Who::of(&i), None, what)
        }
        Interaction::Command(i) => {
            let (name, options) = options_of(&i);
            let used = used(&name, &options);
            let what = What::Command { text: used.text, form: used.form };
            make((i.id.get(), i.token.clone()), Who::of(&i), None, what)
        }
        Interaction::Autocomplete(i) => {
            let (name, _) = options_of(&i);
            let (option, typed) = typing(&i.data.options)?;
            let what = What::Complete { what: completes(&name, &option), typed };
            make((i.id.get(), i.token.clone()), Who::of(&i), None, what)
        }
        _ => return None,
    })
}

struct Who<'a> {
    user: &'a User,
    member: Option<&'a Member>,
    guild: Option<u64>,
    channel: Option<&'a PartialChannel>,
    at: u64,
}

impl<'a> Who<'a> {
    fn of(i: &'a CommandInteraction) -> Self {
        Self {
            user: &i.user,
            member: i.member.as_deref(),
            guild: i.guild_id.map(|g| g.get()),
            channel: i.channel.as_ref(),
            at: i.channel_id.get(),
        }
    }
}

/// The sub-command with its options as text.
fn options_of(i: &CommandInteraction) -> (String, Vec<(String, String)>) {
    for option in &i.data.options {
        if let CommandDataOptionValue::SubCommand(inner) = &option.value {
            let text = |o: &CommandDataOption| {
                o.value.as_str().map(|value| (o.name.clone(), value.to_owned()))
            };
            return (option.name.clone(), inner.iter().filter_map(text).collect());
        }
    }
    ("help".into(), Vec::new())
}

/// The option that is being typed, and what is typed so far.
fn typing(options: &[CommandDataOption]) -> Option<(String, String)> {
    options.iter().find_map(|option| match &option.value {
        CommandDataOptionValue::SubCommand(inner) => typing(inner),
        CommandDataOptionValue::Autocomplete { value, .. } => {
            Some((option.name.clone(), value.clone()))
        }
        _ => None,
    })
}
