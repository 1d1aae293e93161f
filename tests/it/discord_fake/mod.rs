//! A server that speaks Discord's REST API and gateway (both version 10) and is as strict as the
//! real one: limits of messages, modals and commands, shapes and codes of errors, rate limits with
//! their headers, the 3 s and 15 min of an interaction, archived threads, intents, sessions and
//! resuming. Tests play the people: they write, click, fill in forms and use the command.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nightjar::model::{Time, wall_now};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::serve;

mod gateway;
mod interactions;
mod messages;
mod people;
mod rest;
pub(crate) mod rules;

/// The only token that it takes; it is none.
pub(crate) const TOKEN: &str = "not-a-real-discord-token";
/// The guild.
pub(crate) const GUILD: u64 = 1_400_000_000_000_000_001;
/// The bot's user and application.
pub(crate) const BOT: u64 = 1_400_000_000_000_000_002;
/// A text channel and a forum.
pub(crate) const TEXT: u64 = 1_400_000_000_000_000_010;
pub(crate) const FORUM: u64 = 1_400_000_000_000_000_011;
/// Two people; the first one has the role.
pub(crate) const ADA: u64 = 1_400_000_000_000_000_021;
pub(crate) const BOB: u64 = 1_400_000_000_000_000_022;
/// Somebody who is no member of the guild.
pub(crate) const STRANGER: u64 = 1_400_000_000_000_000_023;
/// The role of people who are on call.
pub(crate) const ON_CALL: u64 = 1_400_000_000_000_000_031;

/// How long tests wait for something to happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// What it does with a request in place of answering it.
#[derive(Clone, Debug)]
pub(crate) enum Fail {
    /// An error of the server, with a page.
    Html(u16),
    /// 429 on this route, or over all.
    Limit { after_s: f64, global: bool },
    /// Done, but late.
    Late(Duration),
    /// Done, but the answer never arrives.
    Swallow,
    /// 401.
    Unauthorized,
    /// 403 with code 50013.
    Forbidden,
}

/// A channel, thread or direct conversation.
#[derive(Clone, Debug)]
pub(crate) struct Chan {
    pub(crate) kind: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) name: String,
    pub(crate) archived: bool,
    pub(crate) owner: u64,
    pub(crate) guild: Option<u64>,
}

/// One request that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) status: u16,
}

/// One interaction.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) token: String,
    pub(crate) kind: u64,
    pub(crate) channel: u64,
    pub(crate) user: u64,
    pub(crate) from_message: bool,
    pub(crate) message: Option<Value>,
    pub(crate) begun: Instant,
    /// The first response and the milliseconds until it.
    pub(crate) response: Option<(Value, u128)>,
    /// The message of the response, where it has one; `None` in it: only one person sees it.
    pub(crate) original: Option<u64>,
    pub(crate) loading: bool,
    pub(crate) own: bool,
    /// What only one person saw.
    pub(crate) whispers: Vec<Value>,
}

#[derive(Default)]
pub(crate) struct World {
    newest_id: u64,
    pub(crate) channels: BTreeMap<u64, Chan>,
    pub(crate) messages: BTreeMap<u64, Vec<Value>>,
    pub(crate) files: BTreeMap<u64, (String, Vec<u8>)>,
    pub(crate) acts: BTreeMap<u64, Act>,
    pub(crate) commands: BTreeMap<u64, Value>,
    pub(crate) n_registered: usize,
    pub(crate) seen: Vec<Seen>,
    pub(crate) pins: Vec<u64>,
    pub(crate) reactions: Vec<u64>,
    pub(crate) n_typing: usize,
    /// Names that each channel was given; two in ten minutes are taken.
    pub(crate) names: BTreeMap<u64, usize>,
    /// What happens to the next requests whose line contains a text.
    pub(crate) fails: VecDeque<(String, Fail)>,
    pub(crate) token_is_bad: bool,
    pub(crate) content_granted: bool,
    pub(crate) takes_whispers: bool,
    /// Permissions of the bot in the guild.
    pub(crate) permissions: u64,
    /// Times of the newest sends into each channel, and of edits there: five in five seconds each.
    sends: BTreeMap<(bool, u64), Vec<Instant>>,
    /// Times of all requests of the newest second: fifty.
    newest: VecDeque<Instant>,
    /// Every state of every message of ours: since when, and all of it as text.
    pub(crate) shown: Vec<(Time, String)>,
    pub(crate) limits: bool,
    pub(crate) sessions: BTreeMap<String, gateway::Session>,
    pub(crate) n_identified: usize,
    pub(crate) n_resumed: usize,
    pub(crate) deaf_to_heartbeats: bool,
    pub(crate) heartbeat_ms: u64,
    gateway_port: u16,
    rest_port: u16,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Fake {
    // Guards all that it knows; held only while it is looked at or changed.
    world: Arc<Mutex<World>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Fake {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let rest = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let chan = |kind, name: &str| Chan {
            kind,
            parent: None,
            name: name.into(),
            archived: false,
            owner: 0,
            guild: Some(GUILD),
        };
        let world = World {
            channels: [(TEXT, chan(0, "incidents")), (FORUM, chan(15, "incident-posts"))].into(),
            // All but to be an administrator, who needs no other.
            permissions: u64::MAX >> 8 & !8,
            takes_whispers: true,
            limits: true,
            heartbeat_ms: 20_000,
            rest_port: rest.local_addr().expect("is bound").port(),
            gateway_port: socket.local_addr().expect("is bound").port(),
            ..World::default()
        };
        let (changes, _) = watch::channel(0);
        let fake = Self { world: Arc::new(Mutex::new(world)), changes: Arc::new(changes) };
        let app = axum::Router::new().fallback(rest::answer).with_state(fake.clone());
        serve(async move { axum::serve(rest, app).await.expect("serves") });
        serve(gateway::accept(socket, fake.clone()));
        fake
    }

    /// Its base address.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.world().rest_port)
    }

    /// The address of its gateway.
    pub(crate) fn gateway(&self) -> String {
        format!("ws://127.0.0.1:{}", self.world().gateway_port)
    }

    /// All that it knows. Whoever changes something calls [`Fake::changed`].
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no panic")
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    /// Waits until something holds, and gives what was found.
    pub(crate) async fn until<T>(&self, what: &str, look: impl Fn(&World) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        let wait = async {
            loop {
                if let Some(found) = look(&self.world()) {
                    return found;
                }
                changes.changed().await.expect("the fake lives");
            }
        };
        let Ok(found) = tokio::time::timeout(PATIENCE, wait).await else {
            panic!("waited in vain for: {what}; requests: {:#?}", self.world().seen);
        };
        found
    }

    /// Lets the next request whose line contains `part` fail.
    pub(crate) fn fail(&self, part: &str, fail: Fail) {
        self.world().fails.push_back((part.to_owned(), fail));
    }

    /// The messages of a channel, oldest first.
    pub(crate) fn messages(&self, channel: u64) -> Vec<Value> {
        self.world().messages.get(&channel).cloned().unwrap_or_default()
    }

    /// Lines of requests that contain a text.
    pub(crate) fn seen(&self, part: &str) -> Vec<Seen> {
        self.world().seen.iter().filter(|s| s.line.contains(part)).cloned().collect()
    }

    /// How many requests were answered with a status.
    pub(crate) fn n_answered(&self, status: u16) -> usize {
        self.world().seen.iter().filter(|s| s.status == status).count()
    }

    /// Makes an interaction older.
    pub(crate) fn age(&self, act: u64, by: Duration) {
        let mut world = self.world();
        let act = world.acts.get_mut(&act).expect("it exists");
        act.begun = act.begun.checked_sub(by).expect("the machine is up for longer");
    }
}

impl World {
    /// A new id that tells when it was made, as the real ones do.
    pub(crate) fn id(&mut self) -> u64 {
        let ms = u64::try_from(wall_now().ms() - 1_420_070_400_000).expect("after 2015");
        self.newest_id = (self.newest_id + 1).max(ms << 22);
        self.newest_id
    }

    pub(crate) fn user(id: u64) -> Value {
        let name = match id {
            BOT => "nightjar",
            ADA => "ada",
            _ => "bob",
        };
        json!({
            "id": id.to_string(), "username": name, "global_name": null, "discriminator": "0",
            "avatar": null, "bot": id == BOT, "public_flags": 0, "flags": 0,
        })
    }

    pub(crate) fn member(id: u64) -> Value {
        let roles: Vec<String> = if id == ADA { vec![ON_CALL.to_string()] } else { Vec::new() };
        json!({
            "roles": roles, "joined_at": "2026-01-01T00:00:00.000000+00:00", "deaf": false,
            "mute": false, "nick": null, "avatar": null, "flags": 0, "pending": false,
            "premium_since": null, "communication_disabled_until": null,
        })
    }

    pub(crate) fn channel(&self, id: u64) -> Option<Value> {
        let chan = self.channels.get(&id)?;
        let mut json = json!({
            "id": id.to_string(), "type": chan.kind, "name": chan.name, "position": 0,
            "permission_overwrites": [], "nsfw": false, "flags": 0, "rate_limit_per_user": 0,
        });
        if let Some(guild) = chan.guild {
            json["guild_id"] = json!(guild.to_string());
        }
        let newest = self.messages.get(&id).and_then(|all| all.last());
        json["last_message_id"] = newest.map_or(Value::Null, |m| m["id"].clone());
        if chan.kind == 1 {
            json["recipients"] = json!([Self::user(chan.owner)]);
        }
        if let Some(parent) = chan.parent {
            json["parent_id"] = json!(parent.to_string());
        }
        if (10..=12).contains(&chan.kind) {
            json["owner_id"] = json!(chan.owner.to_string());
            json["message_count"] = json!(0);
            json["member_count"] = json!(1);
            json["total_message_sent"] = json!(0);
            json["thread_metadata"] = json!({
                "archived": chan.archived, "auto_archive_duration": 10080, "locked": false,
                "archive_timestamp": wall_now(),
            });
        }
        Some(json)
    }

    pub(crate) fn guild(&self) -> Value {
        let channels: Vec<Value> = [TEXT, FORUM].iter().filter_map(|c| self.channel(*c)).collect();
        let active = self.channels.iter().filter(|(_, c)| c.kind == 11 && !c.archived);
        let threads: Vec<Value> = active.filter_map(|(id, _)| self.channel(*id)).collect();
        let role = |id: u64, name: &str, permissions: u64| {
            json!({
                "id": id.to_string(), "name": name, "permissions": permissions.to_string(),
                "color": 0, "hoist": false, "managed": false, "mentionable": false, "position": 0,
                "flags": 0, "colors": { "primary_color": 0, "secondary_color": null, "tertiary_color": null },
            })
        };
        let mut guild = json!({
            "id": GUILD.to_string(), "name": "Shop", "owner_id": ADA.to_string(),
            "roles": [role(GUILD, "@everyone", self.permissions), role(ON_CALL, "on-call", 0)],
            "channels": channels, "threads": threads, "members": [], "emojis": [], "stickers": [],
            "features": [], "presences": [], "voice_states": [], "stage_instances": [],
            "guild_scheduled_events": [], "soundboard_sounds": [], "unavailable": false,
            "large": false, "member_count": 3, "joined_at": "2026-01-01T00:00:00.000000+00:00",
        });
        let rest = json!({
            "verification_level": 0, "default_message_notifications": 0, "mfa_level": 0,
            "explicit_content_filter": 0, "premium_tier": 0, "nsfw_level": 0, "nsfw": false,
            "preferred_locale": "en-US", "system_channel_flags": 0, "afk_timeout": 60,
            "premium_progress_bar_enabled": false, "icon": null, "splash": null, "banner": null,
            "discovery_splash": null, "afk_channel_id": null, "application_id": null,
            "system_channel_id": null, "rules_channel_id": null, "description": null,
            "vanity_url_code": null, "public_updates_channel_id": null, "max_members": 1000,
        });
        let both = guild.as_object_mut().zip(rest.as_object().cloned());
        if let Some((guild, rest)) = both {
            guild.extend(rest);
        }
        guild
    }
}
