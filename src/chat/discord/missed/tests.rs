//! How far was heard, and what of the rest is still to be read.

use std::sync::Arc;

use super::super::{Config, Me};
use super::*;
use crate::chat::nobody::Nobody;
use crate::model::clock::SystemClock;

/// A bot before an API that nobody serves, which heard all up to message 10.
fn unreachable() -> Discord {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = free.local_addr().expect("is bound");
    drop(free);
    let config: Config = serde_json::from_value(json!({
        "token": "not-a-real-token", "guilds": ["7"], "channel": "1",
        "api_url": format!("http://{address}"),
    }))
    .expect("settings");
    let bot = Discord::new(config, Arc::new(Nobody), Arc::new(SystemClock)).expect("a client");
    bot.inner.me.set(Me { user: 2, application: 2 }).expect("nobody asked before");
    bot.inner.missed().known(Position { first: 1, seen: 10, direct: vec![5] });
    bot
}

/// How far it was heard, all told.
fn seen(bot: &Discord) -> u64 {
    bot.inner.missed().due(Instant::now(), true).expect("is known").seen
}

fn message(id: u64) -> Value {
    json!({
        "id": id.to_string(), "channel_id": "3", "guild_id": "7", "type": 0, "tts": false,
        "author": { "id": "4", "username": "bob", "discriminator": "0", "avatar": null },
        "content": "is it the database?", "timestamp": "2026-01-01T00:00:00+00:00",
        "edited_timestamp": null, "mention_everyone": false, "mentions": [], "mention_roles": [],
        "attachments": [], "embeds": [], "pinned": false,
    })
}

fn span(missed: &Missed, guild: u64) -> Option<u64> {
    missed.span(guild, 0, Time::from_ms(0)).map(|span| span.from)
}

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
    assert_eq!(span(&missed, 7), Some(0));
    missed.unread.clear();
    assert_eq!(span(&missed, 7), None);
    assert_eq!(seen(&mut missed), 50);
}

#[test]
fn nothing_is_read_or_written_before_the_position_is_known() {
    let mut missed = Missed::default();
    missed.begin_session([7].into_iter());
    assert_eq!((span(&missed, 7), missed.due(Instant::now(), true)), (None, None));
    missed.known(Position::default());
    missed.begin_session([7].into_iter());
    assert_eq!(span(&missed, 7), None, "a bot that never heard anything has missed nothing");
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

#[test]
fn nothing_is_read_from_before_keys_are_remembered() {
    let mut missed = after(10);
    missed.begin_session([7].into_iter());
    let now = Time::parse("2026-11-21T12:00:00Z").expect("a time");
    let from = |missed: &Missed, oldest| missed.span(7, oldest, now).expect("is unread").from;
    assert_eq!(from(&missed, 0), 0);
    missed.remembered_days = Some(2);
    let two_days_ago = id_at(now.plus_ms(-2 * DAY_MS));
    assert_eq!(from(&missed, 0), two_days_ago + (3_600_000 << MS));
    assert_eq!(from(&missed, id_at(now)), id_at(now), "a later beginning stays");
}

#[test]
fn a_guild_that_the_bot_is_not_in_does_not_hold_up_the_position() {
    let mut missed = after(10);
    missed.begin_session([7, 8, 9].into_iter());
    missed.is_in(&[7, 9].into());
    assert_eq!(missed.unread, [DIRECT, 7, 9].into());
    missed.left(9);
    assert_eq!(missed.unread, [DIRECT, 7].into());
}

#[test]
fn what_is_left_is_what_was_neither_heard_nor_is_read() {
    let span = Span { heard: 10, from: 20 };
    let left: Vec<u64> = (0..40).step_by(5).filter(|m| span.leaves(*m)).collect();
    assert_eq!(left, [15, 20]);
    let mut missed = after(MARGIN * 2);
    missed.begin_session([7].into_iter());
    let span = missed.span(7, 0, Time::from_ms(0)).expect("is unread");
    assert!((0..=span.heard).step_by(1 << 34).all(|m| !span.leaves(m)), "all was heard: {span:?}");
}

#[tokio::test]
async fn words_in_a_place_that_cannot_be_looked_up_are_read_again() {
    let bot = unreachable();
    let said: Message = serde_json::from_value(message(20)).expect("a message");
    bot.inner.hear(said).await;
    assert_eq!(seen(&bot), 19);
}

#[tokio::test]
async fn what_was_left_out_is_read_again() {
    let bot = unreachable();
    let left_out = |name: &str, data: Value| {
        let event = Event { name: name.into(), data, at: Instant::now() };
        bot.inner.left_out(&event);
    };
    left_out("MESSAGE_CREATE", message(20));
    bot.inner.missed().begin(30);
    bot.inner.missed().done(30);
    assert_eq!(seen(&bot), 19, "the position stays before it");
    left_out("GUILD_CREATE", json!({ "id": "8" }));
    assert!(bot.inner.missed().unread.is_empty(), "that one is not served");
    left_out("GUILD_CREATE", json!({ "id": "7" }));
    left_out("READY", json!({}));
    assert_eq!(bot.inner.missed().unread, [DIRECT, 7].into());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_asked_for_until_the_next_session_reads_it() {
    let bot = unreachable();
    bot.inner.missed().begin_session(std::iter::empty());
    let reading = bot.inner.catch_up_direct();
    tokio::pin!(reading);
    let hour = Duration::from_secs(3_600);
    assert!(tokio::time::timeout(hour, &mut reading).await.is_err(), "it goes on");
    bot.inner.missed().begin_session(std::iter::empty());
    tokio::time::timeout(hour, reading).await.expect("the next session does it");
}
