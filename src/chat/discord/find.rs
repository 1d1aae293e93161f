//! Where a message in doubt stands: the history is read back to its first try.

use serde_json::Value;
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ChannelId, GuildId, MessageId};

use super::places::{Kind, Target, given_id, is};
use super::rest::Ask;
use super::trouble::{Trouble, code};
use super::{Inner, render};
use crate::chat::seek;
use crate::model::Time;

/// Pages of 100 messages that are read in one try.
const PAGES: usize = 10;
/// Pages of 100 archived posts that are listed.
const ARCHIVE_PAGES: usize = 100;
/// Forum posts that are looked into in one try.
const POSTS: usize = 50;
/// The first millisecond of Discord's ids (discord.com/developers/docs/reference#snowflakes).
const EPOCH_MS: i64 = 1_420_070_400_000;

/// The least id that something made at this time can have.
fn least_id(at: Time) -> u64 {
    u64::try_from(at.ms() - EPOCH_MS).unwrap_or(0) << 22
}

/// A message in doubt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought<'a> {
    /// Its key.
    pub(super) key: &'a str,
    /// When it was first tried (wall time).
    pub(super) tried_at: Option<Time>,
}

impl Sought<'_> {
    /// What is older than this id was there before the first try.
    fn stop(&self) -> u64 {
        seek::oldest(self.tried_at).map_or(0, least_id)
    }
}

impl Inner {
    /// The message with this key, where our history has one. A history too long for one try is
    /// read on with the next one; until it is read, it is not known whether the message stands.
    pub(super) async fn find(
        &self,
        target: &Target,
        sought: Sought<'_>,
    ) -> Result<Option<u64>, Trouble> {
        let begin = self.seeks.reached(sought.key).and_then(|id| id.parse().ok());
        let found = match target {
            Target::Post(forum) => self.find_post(*forum, sought, begin).await,
            other => self.find_message(other.channel(), sought, begin).await,
        };
        if found.is_ok() {
            self.seeks.end(sought.key);
        }
        found
    }

    async fn find_message(
        &self,
        channel: u64,
        sought: Sought<'_>,
        mut before: Option<u64>,
    ) -> Result<Option<u64>, Trouble> {
        let me = self.me().await?;
        for _ in 0..PAGES {
            let route = Route::ChannelMessages { channel_id: ChannelId::new(channel) };
            let mut ask = Ask::new(LightMethod::Get, route);
            ask.params.push(("limit", "100".into()));
            ask.params.extend(before.map(|id| ("before", id.to_string())));
            let page = match self.rest.ask(ask).await {
                // A thread that was never opened holds nothing.
                Err(trouble) if trouble.is(code::UNKNOWN_CHANNEL) => return Ok(None),
                other => other?,
            };
            let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
            let ours = |m: &&Value| is(&m["author"]["id"], me.user);
            let found = page.iter().filter(ours).find(|m| render::carries(m, sought.key));
            if let Some(found) = found {
                return given_id(found).map(Some);
            }
            let Some(last) = page.last().filter(|_| page.len() == 100) else { return Ok(None) };
            let last = given_id(last)?;
            if last < sought.stop() {
                return Ok(None);
            }
            self.seeks.note(sought.key, &last.to_string());
            before = Some(last);
        }
        Err(Trouble::Unread)
    }

    async fn find_post(
        &self,
        forum: u64,
        sought: Sought<'_>,
        before: Option<u64>,
    ) -> Result<Option<u64>, Trouble> {
        let me = self.me().await?.user;
        let Kind::Forum { guild } = self.kind(forum).await? else { return Ok(None) };
        let route = Route::GuildThreadsActive { guild_id: GuildId::new(guild.max(1)) };
        let active = self.rest.ask(Ask::new(LightMethod::Get, route)).await?;
        let mut threads: Vec<Value> = active["threads"].as_array().cloned().unwrap_or_default();
        threads.extend(self.archived(forum, sought.stop()).await?);
        let mut posts: Vec<u64> = threads
            .iter()
            .filter(|t| is(&t["parent_id"], forum) && is(&t["owner_id"], me))
            .filter_map(|t| given_id(t).ok())
            .filter(|id| *id >= sought.stop() && before.is_none_or(|before| *id < before))
            .collect();
        posts.sort_unstable_by(|a, b| b.cmp(a));
        posts.dedup();
        for post in posts.iter().take(POSTS) {
            let (channel_id, message_id) = (ChannelId::new(*post), MessageId::new(*post));
            let route = Route::ChannelMessage { channel_id, message_id };
            match self.rest.ask(Ask::new(LightMethod::Get, route)).await {
                Ok(message) if render::carries(&message, sought.key) => return Ok(Some(*post)),
                Err(trouble) if !trouble.is(code::UNKNOWN_MESSAGE) => return Err(trouble),
                _ => self.seeks.note(sought.key, &post.to_string()),
            }
        }
        if posts.len() > POSTS { Err(Trouble::Unread) } else { Ok(None) }
    }

    /// Posts of a forum that were archived, back to those that were archived before anything with
    /// the id `stop` was made: those are older than it.
    async fn archived(&self, forum: u64, stop: u64) -> Result<Vec<Value>, Trouble> {
        let (mut all, mut before) = (Vec::new(), None::<String>);
        for _ in 0..ARCHIVE_PAGES {
            let route = Route::ChannelArchivedPublicThreads { channel_id: ChannelId::new(forum) };
            let mut ask = Ask::new(LightMethod::Get, route);
            ask.params.push(("limit", "100".into()));
            ask.params.extend(before.take().map(|at| ("before", at)));
            let page = self.rest.ask(ask).await?;
            let threads = page["threads"].as_array().map(Vec::as_slice).unwrap_or_default();
            all.extend_from_slice(threads);
            let archived_at =
                |t: &Value| Time::parse(t["thread_metadata"]["archive_timestamp"].as_str()?).ok();
            let last = threads.last().and_then(archived_at);
            let Some(last) = last.filter(|_| page["has_more"] == true) else { return Ok(all) };
            if least_id(last) < stop {
                return Ok(all);
            }
            before = Some(last.to_string());
        }
        Err(Trouble::Unread)
    }
}
