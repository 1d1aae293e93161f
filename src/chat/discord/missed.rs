//! What was said while no session stood: Discord delivers it to nobody later, so the history of
//! channels, threads and direct conversations is read from where the last session ended.
//!
//! Ids of messages grow with time over all channels, so one id says how far each of them was heard.
//! It is kept behind the inlet, and never runs ahead of what is still under way; what is read
//! twice is known by its key and taken once; nothing is read from before the time for which keys
//! are remembered. Guarantees: a mention, a direct message of somebody who wrote to the bot before,
//! and words in an incident's thread are heard once each, also over a restart, for [`MOST_BACK`]
//! and [`PAGES`] pages a channel; channels in which more was said are counted
//! (`nightjar_discord_unheard_total`).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::channel::Message;
use serenity::model::id::ChannelId;
use tokio::time::Instant;

use super::events::Event;
use super::places::{given_id, id};
use super::rest::Ask;
use super::trouble::Trouble;
use super::{Discord, Inner};
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Time, wall_now};

/// Bits of an id behind its milliseconds.
const MS: u32 = 22;
/// Messages arrive a little out of order: so much before the position is read again.
const MARGIN: u64 = 60_000 << MS;
/// When ids begin (Unix ms):
/// <https://discord.com/developers/docs/reference#snowflakes>.
const EPOCH_MS: i64 = 1_420_070_400_000;
/// Nobody waits for an answer longer: what is older than the newest message of a guild, or among
/// direct messages older than now, by more is left.
const MOST_BACK: u64 = (3 * 86_400_000) << MS;
/// Pages of 100 messages that are read of one channel, newest first.
const PAGES: usize = 20;
/// Direct conversations that are remembered, the newest.
const MOST_DIRECT: usize = 200;
/// Least time between two writes of the position.
const PACE: Duration = Duration::from_secs(5);
/// Pause before the history is asked for again, doubled up to [`MOST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MOST_PAUSE: Duration = Duration::from_secs(60);
/// Stands for the direct conversations among the guilds.
const DIRECT: u64 = 0;

/// How far a bot has heard, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The first message that was ever heard; 0: none. Nothing before it was for this bot.
    first: u64,
    /// The newest message before which all were heard.
    seen: u64,
    /// Direct conversations, the newest last: Discord lists them to no bot.
    direct: Vec<u64>,
}

/// What was heard and what may have been missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    position: Position,
    /// Whether the position was told; before, it is not written.
    is_known: bool,
    newest: u64,
    /// Messages that are under way, and those that could not be kept: the position stays before.
    open: BTreeSet<u64>,
    failed: BTreeSet<u64>,
    /// Guilds whose history since the position is still to be read.
    unread: BTreeSet<u64>,
    /// Counts the sessions: a reading ends when the next session begins another.
    session: u64,
    /// Days after which the key of a message may be forgotten.
    remembered_days: Option<u32>,
    written_at: Option<Instant>,
}

/// What is to be read of each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// All up to this message was heard.
    heard: u64,
    /// Messages after this one are read.
    from: u64,
}

impl Span {
    /// Whether a message came after what was heard and before what is read.
    fn leaves(self, message: u64) -> bool {
        message > self.heard && message <= self.from
    }
}

/// The first id of a time.
fn id_at(at: Time) -> u64 {
    u64::try_from(at.ms() - EPOCH_MS).unwrap_or(0) << MS
}

impl Missed {
    /// Takes up the position of an earlier run.
    pub(super) fn known(&mut self, position: Position) {
        (self.position, self.is_known) = (position, true);
    }

    /// A new session begins: what came before it is to be read.
    pub(super) fn begin_session(&mut self, guilds: impl Iterator<Item = u64>) {
        self.session += 1;
        if self.position.first > 0 {
            self.advance();
            self.unread.extend(guilds);
            self.unread.insert(DIRECT);
        }
    }

    /// The session tells which guilds the bot is in: of the others there is nothing to read.
    pub(super) fn is_in(&mut self, guilds: &BTreeSet<u64>) {
        self.unread.retain(|guild| *guild == DIRECT || guilds.contains(guild));
    }

    /// The bot is in a guild no more.
    pub(super) fn left(&mut self, guild: u64) {
        self.unread.remove(&guild);
    }

    /// A message is begun with.
    fn begin(&mut self, message: u64) {
        if self.position.first == 0 {
            self.position.first = message;
        }
        self.open.insert(message);
    }

    /// A message could not be kept.
    pub(super) fn fail(&mut self, message: u64) {
        self.failed.insert(message);
    }

    /// What begins a guild's reading was lost: the position stays until the next session reads it.
    fn lose(&mut self, guild: u64) {
        if self.position.first > 0 {
            self.unread.insert(guild);
        }
    }

    /// A message is done with.
    fn done(&mut self, message: u64) {
        if !self.failed.remove(&message) {
            self.open.remove(&message);
        }
        self.newest = self.newest.max(message);
    }

    /// Somebody wrote to the bot directly.
    pub(super) fn note_direct(&mut self, channel: u64) {
        if self.position.direct.last() == Some(&channel) {
            return;
        }
        self.position.direct.retain(|c| *c != channel);
        self.position.direct.push(channel);
        let n_over = self.position.direct.len().saturating_sub(MOST_DIRECT);
        self.position.direct.drain(..n_over);
        self.written_at = None;
    }

    /// What of a guild's history is to be read, not before `oldest`; `None`: it was read.
    fn span(&self, guild: u64, oldest: u64, now: Time) -> Option<Span> {
        let Position { first, seen, .. } = self.position;
        let before = first.saturating_sub(1);
        let from = seen.saturating_sub(MARGIN).max(before).max(oldest).max(self.forgotten(now));
        self.unread.contains(&guild).then(|| Span { heard: seen.max(before), from })
    }

    /// The message before which keys may be forgotten: what was handled would be handled again. An
    /// hour is for the reading itself.
    fn forgotten(&self, now: Time) -> u64 {
        self.remembered_days
            .map_or(0, |days| id_at(now.plus_ms(HOUR_MS - i64::from(days) * DAY_MS)))
    }

    /// Moves the position on, unless something before it is still to be read.
    fn advance(&mut self) {
        if self.unread.is_empty() {
            let before = self.open.first().map_or(u64::MAX, |first| first - 1);
            self.position.seen = self.position.seen.max(self.newest.min(before));
        }
    }

    /// The position, where it is time to write it.
    fn due(&mut self, now: Instant, at_once: bool) -> Option<Position> {
        let waits = self.written_at.is_some_and(|at| now < at + PACE) && !at_once;
        if !self.is_known || waits {
            return None;
        }
        self.advance();
        self.written_at = Some(now);
        Some(self.position.clone())
    }
}

impl Discord {
    /// The same bot before an inlet that knows for so many days what it took (wall-clock time):
    /// nothing older is brought to it again.
    #[must_use]
    pub fn remembering(self, days: u32) -> Self {
        self.inner.missed().remembered_days = Some(days);
        self
    }
}

impl Inner {
    pub(super) fn missed(&self) -> std::sync::MutexGuard<'_, Missed> {
        self.missed.lock().expect("nothing panics under this lock")
    }

    /// Learns how far an earlier run has heard; asked again until it is told.
    pub(super) async fn learn_position(&self) {
        let mut pause = PAUSE;
        loop {
            match self.inlet.reached(self.platform.clone()).await {
                Ok(told) => {
                    let position = told.and_then(|text| serde_json::from_str(&text).ok());
                    return self.missed().known(position.unwrap_or_default());
                }
                Err(fault) => {
                    tracing::warn!(error = %fault.chain(), "how far was heard is not known yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MOST_PAUSE);
                }
            }
        }
    }

    /// Writes how far was heard, at most every few seconds: what is heard again is taken once.
    pub(super) async fn keep_position(&self, at_once: bool) {
        let due = self.missed().due(Instant::now(), at_once);
        let Some(position) = due else { return };
        let text = serde_json::to_string(&position).expect("numbers are JSON");
        if let Err(fault) = self.inlet.reach(self.platform.clone(), text).await {
            tracing::warn!(error = %fault.chain(), "how far was heard is not written");
        }
    }

    /// A message as it came, from the gateway or the history.
    pub(super) async fn hear(&self, message: Message) {
        let id = message.id.get();
        self.missed().begin(id);
        self.heard(message).await;
        self.missed().done(id);
    }

    /// Notes what an event would have told that nobody handles: the next session reads it.
    pub(super) fn left_out(&self, event: &Event) {
        let mut missed = self.missed();
        let guild = event.data["guild_id"].as_str().and_then(|id| id.parse().ok());
        match (event.name.as_str(), given_id(&event.data)) {
            ("READY", _) => missed.lose(DIRECT),
            ("GUILD_CREATE", Ok(guild)) if self.serves(Some(guild)) => missed.lose(guild),
            // It is under way until it is read.
            ("MESSAGE_CREATE", Ok(message)) if self.serves(guild) => missed.begin(message),
            _ => {}
        }
    }

    /// Hears what was said in a guild while no session stood. `guild` is how the gateway tells it:
    /// with its channels, its active threads, and the newest message of each.
    pub(super) async fn catch_up(&self, guild: &Value) {
        let Ok(guild_id) = given_id(guild) else { return };
        let list = |name: &str| guild[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut spoken: Vec<(u64, u64)> = Vec::new();
        for channel in list("channels").iter().chain(list("threads")) {
            // Text and announcement channels, and threads; forums hold posts, which are threads.
            let holds = matches!(channel["type"].as_u64(), Some(0 | 5 | 10..=12));
            let newest = channel["last_message_id"].as_str().and_then(|m| m.parse().ok());
            if let (true, Ok(channel), Some(newest)) = (holds, given_id(channel), newest) {
                spoken.push((channel, newest));
            }
        }
        let oldest = spoken.iter().map(|(_, m)| *m).max().unwrap_or(0).saturating_sub(MOST_BACK);
        self.read_missed(Some(guild_id), spoken, oldest).await;
    }

    /// Hears what was said in direct conversations while no session stood.
    pub(super) async fn catch_up_direct(&self) {
        let channels = self.missed().position.direct.clone();
        let all = channels.into_iter().map(|channel| (channel, u64::MAX)).collect();
        let oldest = id_at(wall_now()).saturating_sub(MOST_BACK);
        self.read_missed(None, all, oldest).await;
    }

    /// Reads channels, each with its newest message, from the position on and not before `oldest`,
    /// until that is done or a new session reads them.
    async fn read_missed(&self, guild: Option<u64>, channels: Vec<(u64, u64)>, oldest: u64) {
        let name = guild.unwrap_or(DIRECT);
        let session = self.missed().session;
        let mut pause = PAUSE;
        loop {
            let span = {
                let missed = self.missed();
                let is_ours = missed.session == session;
                missed.span(name, oldest, wall_now()).filter(|_| is_ours)
            };
            let Some(span) = span else { return };
            let trouble = match self.read_all(guild, &channels, span).await {
                Ok(n_left) => {
                    metrics::counter!("nightjar_discord_unheard_total").increment(n_left);
                    self.missed().unread.remove(&name);
                    return self.keep_position(true).await;
                }
                Err(trouble) => trouble,
            };
            tracing::warn!(reason = %trouble, "what was missed could not be read yet");
            let least = match trouble {
                Trouble::Limited { after } => after,
                _ => Duration::ZERO,
            };
            tokio::time::sleep(pause.max(least)).await;
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    /// Reads channels, and counts those in which something was left.
    async fn read_all(
        &self,
        guild: Option<u64>,
        channels: &[(u64, u64)],
        span: Span,
    ) -> Result<u64, Trouble> {
        let mut n_left = 0;
        for (channel, newest) in channels {
            let is_left = if *newest > span.from {
                self.read_channel(guild, *channel, span).await?
            } else {
                span.leaves(*newest)
            };
            n_left += u64::from(is_left);
        }
        Ok(n_left)
    }

    /// Hears the messages of a channel after `span.from`, oldest first, and says whether others that
    /// were not heard came before.
    async fn read_channel(
        &self,
        guild: Option<u64>,
        channel: u64,
        span: Span,
    ) -> Result<bool, Trouble> {
        let mut all: Vec<(u64, Value)> = Vec::new();
        let mut is_whole = false;
        for _ in 0..PAGES {
            let route = Route::ChannelMessages { channel_id: ChannelId::new(channel) };
            let mut ask = Ask::new(LightMethod::Get, route);
            ask.params.push(("limit", "100".into()));
            ask.params.extend(all.last().map(|(id, _)| ("before", id.to_string())));
            let page = match self.rest.ask(ask).await {
                // A place that is gone or closed to the bot: nobody there waits for it.
                Err(Trouble::Refused { .. }) => return Ok(false),
                other => other?,
            };
            let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
            for message in page {
                all.push((given_id(message)?, message.clone()));
            }
            is_whole = page.len() < 100 || all.last().is_some_and(|(id, _)| *id <= span.from);
            if is_whole {
                break;
            }
        }
        let is_left = !is_whole || all.iter().any(|(id, _)| span.leaves(*id));
        if is_left {
            tracing::warn!(channel, "so much was missed in a channel that its beginning is left");
        }
        all.retain(|(id, _)| *id > span.from);
        for (_, mut message) in all.into_iter().rev() {
            // The gateway names the guild, the history does not.
            if let Some(guild) = guild {
                message["guild_id"] = json!(guild.to_string());
            }
            match serde_json::from_value(message) {
                Ok(message) => self.hear(message).await,
                Err(error) => tracing::warn!(line = error.line(), "a message can't be read"),
            }
        }
        Ok(is_left)
    }

    /// The guilds that this bot serves, by id.
    pub(super) fn guilds(&self) -> impl Iterator<Item = u64> {
        self.config.guilds.iter().filter_map(|guild| id(guild).ok())
    }
}

#[cfg(test)]
mod tests;
