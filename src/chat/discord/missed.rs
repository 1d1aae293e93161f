//! What was said while no session stood: Discord delivers it to nobody later, so the history of
//! channels, threads and direct conversations is read from where the last session ended.
//!
//! Ids of messages grow with time over all channels, so one id says how far each of them was heard.
//! It is kept behind the inlet, and never runs ahead of what is still under way; what is read
//! twice is known by its key and taken once. Guarantees: a mention, a direct message of somebody
//! who wrote to the bot before, and words in an incident's thread are heard once each, also over a
//! restart, for [`MOST_BACK`] and [`PAGES`] pages a channel; what is beyond is counted.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::channel::Message;
use serenity::model::id::ChannelId;
use tokio::time::Instant;

use super::Inner;
use super::places::{given_id, id};
use super::rest::Ask;
use super::trouble::Trouble;

/// Bits of an id behind its milliseconds.
const MS: u32 = 22;
/// Messages arrive a little out of order: so much before the position is read again.
const MARGIN: u64 = 60_000 << MS;
/// Nobody waits for an answer longer: what is older than the newest message by more is left.
const MOST_BACK: u64 = (3 * 86_400_000) << MS;
/// Pages of 100 messages that are read of one channel, newest first.
const PAGES: usize = 20;
/// Direct conversations that are remembered, the newest.
const MOST_DIRECT: usize = 200;
/// Least time between two writes of the position.
const PACE: Duration = Duration::from_secs(5);
/// Pause before the history is asked for again, doubled up to [`MOST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause; after it the next session is waited for.
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
    written_at: Option<Instant>,
}

impl Missed {
    /// Takes up the position of an earlier run.
    pub(super) fn known(&mut self, position: Position) {
        (self.position, self.is_known) = (position, true);
    }

    /// A new session begins: what came before it is to be read.
    pub(super) fn begin_session(&mut self, guilds: impl Iterator<Item = u64>) {
        if self.position.first > 0 {
            self.advance();
            self.unread.extend(guilds);
            self.unread.insert(DIRECT);
        }
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

    /// From where a guild's history is to be read; `None`: it was read.
    fn from(&self, guild: u64) -> Option<u64> {
        let Position { first, seen, .. } = self.position;
        self.unread.contains(&guild).then(|| seen.saturating_sub(MARGIN).max(first - 1))
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
        self.read_missed(None, all, 0).await;
    }

    /// Reads channels, each with its newest message, from the position on and not before `oldest`.
    async fn read_missed(&self, guild: Option<u64>, channels: Vec<(u64, u64)>, oldest: u64) {
        let name = guild.unwrap_or(DIRECT);
        let mut pause = PAUSE;
        loop {
            let Some(from) = self.missed().from(name) else { return };
            let trouble = match self.read_all(guild, &channels, from.max(oldest)).await {
                Ok(()) => {
                    self.missed().unread.remove(&name);
                    return self.keep_position(true).await;
                }
                Err(trouble) => trouble,
            };
            if pause >= MOST_PAUSE {
                tracing::warn!(reason = %trouble, "what was missed waits for a new session");
                return;
            }
            tracing::warn!(reason = %trouble, "what was missed could not be read yet");
            let least = match trouble {
                Trouble::Limited { after } => after,
                _ => Duration::ZERO,
            };
            tokio::time::sleep(pause.max(least)).await;
            pause *= 2;
        }
    }

    async fn read_all(
        &self,
        guild: Option<u64>,
        channels: &[(u64, u64)],
        from: u64,
    ) -> Result<(), Trouble> {
        for (channel, _) in channels.iter().filter(|(_, newest)| *newest > from) {
            self.read_channel(guild, *channel, from).await?;
        }
        Ok(())
    }

    /// Hears the messages of a channel after `from`, oldest first.
    async fn read_channel(
        &self,
        guild: Option<u64>,
        channel: u64,
        from: u64,
    ) -> Result<(), Trouble> {
        let mut all: Vec<(u64, Value)> = Vec::new();
        let mut is_whole = false;
        for _ in 0..PAGES {
            let route = Route::ChannelMessages { channel_id: ChannelId::new(channel) };
            let mut ask = Ask::new(LightMethod::Get, route);
            ask.params.push(("limit", "100".into()));
            ask.params.extend(all.last().map(|(id, _)| ("before", id.to_string())));
            let page = match self.rest.ask(ask).await {
                // A place that is gone or closed to the bot: nobody there waits for it.
                Err(Trouble::Refused { .. }) => return Ok(()),
                other => other?,
            };
            let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
            for message in page {
                all.push((given_id(message)?, message.clone()));
            }
            is_whole = page.len() < 100 || all.last().is_some_and(|(id, _)| *id <= from);
            if is_whole {
                break;
            }
        }
        if !is_whole {
            metrics::counter!("nightjar_discord_unheard_total").increment(1);
            tracing::warn!(channel, "so much was missed in a channel that its beginning is left");
        }
        all.retain(|(id, _)| *id > from);
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
        Ok(())
    }

    /// The guilds that this bot serves, by id.
    pub(super) fn guilds(&self) -> impl Iterator<Item = u64> {
        self.config.guilds.iter().filter_map(|guild| id(guild).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(position: u64) -> Missed {
        let mut missed = Missed::default();
        missed.known(Position { first: 1, seen: position, direct: Vec::new() });
        missed
    }

    #[test]
    fn the_position_stays_before_what_is_under_way_failed_or_unread() {
        let mut missed = after(10);
        let now = Instant::now();
        let seen = |missed: &mut Missed| missed.due(now, true).expect("is known").seen;
        for message in [20, 30, 40] {
            missed.begin(message);
        }
        missed.done(40);
        assert_eq!(seen(&mut missed), 19);
        missed.done(20);
        missed.fail(30);
        missed.done(30);
        assert_eq!(seen(&mut missed), 29, "what was not kept is read again");
        missed.begin_session([7].into_iter());
        missed.begin(50);
        missed.done(50);
        missed.begin(30);
        missed.done(30);
        assert_eq!(seen(&mut missed), 29, "what came before the session is still to be read");
        assert_eq!(missed.from(7), Some(0));
        missed.unread.clear();
        assert_eq!(missed.from(7), None);
        assert_eq!(seen(&mut missed), 50);
    }

    #[test]
    fn nothing_is_read_or_written_before_the_position_is_known() {
        let mut missed = Missed::default();
        missed.begin_session([7].into_iter());
        assert_eq!((missed.from(7), missed.due(Instant::now(), true)), (None, None));
        missed.known(Position::default());
        missed.begin_session([7].into_iter());
        assert_eq!(missed.from(7), None, "a bot that never heard anything has missed nothing");
    }

    #[test]
    fn only_the_newest_direct_conversations_are_remembered() {
        let mut missed = after(1);
        for channel in (0..300).chain([250]) {
            missed.note_direct(channel);
        }
        let direct = &missed.position.direct;
        assert_eq!((direct.len(), direct.first(), direct.last()), (200, Some(&100), Some(&250)));
    }
}
