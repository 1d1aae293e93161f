//! What is said while no session stands, heard once it stands again.

use std::time::Duration;

use nightjar::chat::{Chat as _, Content, Draft};
use nightjar::model::Role;

use super::delivery::{card, draft};
use super::{Desk, config, listening, said};
use crate::discord_fake::{ADA, BOB, BOT, FORUM, Fail, Fake, STRANGER, TEXT};
use crate::support::eventually;

fn mention(words: &str) -> String {
    format!("<@{BOT}> {words}")
}

fn words(desk: &Desk) -> Vec<String> {
    desk.heard().iter().map(|heard| said(heard).0.to_owned()).collect()
}

/// The session is lost and cannot be resumed.
fn lose(fake: &Fake) {
    fake.hang_up(None);
    fake.forget_sessions();
}

async fn heard(desk: &Desk, n: usize) {
    eventually("all is heard", Duration::from_secs(120), async || desk.heard().len() >= n).await;
}

#[tokio::test]
async fn what_was_said_between_two_sessions_is_heard_once() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    // Before the bot ever listened: nobody waits for it.
    fake.say(ADA, TEXT, &mention("before"));
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let root = discord.post(draft("card", TEXT, Content::card(card("INC")))).await.expect("posts");
    let reply = Draft { thread: Some(root.clone()), ..draft("r", TEXT, Content::text("x")) };
    discord.post(reply).await.expect("replies");
    let thread: u64 = root.message.parse().expect("an id");
    let direct = fake.world().direct(BOB);
    fake.say(BOB, direct, "first");
    fake.say(ADA, TEXT, &mention("second"));
    heard(&desk, 2).await;
    lose(&fake);
    fake.say(ADA, TEXT, &mention("third"));
    fake.say(ADA, TEXT, "just talking");
    fake.say(BOB, thread, &mention("in the thread"));
    fake.say(BOB, direct, "directly");
    let stranger = fake.world().direct(STRANGER);
    fake.say(STRANGER, stranger, "from outside");
    heard(&desk, 5).await;
    fake.say(ADA, TEXT, &mention("after"));
    heard(&desk, 6).await;
    let mut all = words(&desk);
    all[..2].sort();
    all[2..5].sort();
    assert_eq!(all, ["first", "second", "directly", "in the thread", "third", "after"]);
    let missed = desk.heard().into_iter().find(|h| said(h).0 == "third").expect("heard");
    assert_eq!((missed.actor.role, missed.actor.name.as_str()), (Role::Approver, "ada"));
    let missed = desk.heard().into_iter().find(|h| said(h).0 == "in the thread").expect("heard");
    assert_eq!((missed.channel, missed.thread), (TEXT.to_string(), Some(root.message)));
}

#[tokio::test]
async fn what_was_said_while_the_process_was_down_is_heard_by_the_next() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    fake.world().content_granted = true;
    let settings = nightjar::chat::discord::Config { message_content: true, ..config(&fake) };
    let (discord, guard) = listening(&fake, &desk, settings.clone()).await;
    let root = discord.post(draft("card", FORUM, Content::card(card("INC")))).await.expect("posts");
    let post: u64 = root.message.parse().expect("an id");
    fake.say(ADA, TEXT, &mention("first"));
    heard(&desk, 1).await;
    // The end writes how far was heard.
    drop(guard);
    let position = async || desk.state.lock().expect("no panic").position.is_some();
    eventually("the position", Duration::from_secs(120), position).await;
    lose(&fake);
    for n in 0..130 {
        fake.say(BOB, TEXT, &format!("talk {n}"));
    }
    fake.say(ADA, TEXT, &mention("second"));
    fake.say(BOB, post, "and the database?");
    fake.fail(&format!("GET /api/v10/channels/{TEXT}/messages"), Fail::Html(502));
    let (_next, _guard) = listening(&fake, &desk, settings).await;
    heard(&desk, 3).await;
    let mut all = words(&desk);
    all.sort();
    assert_eq!(all, ["and the database?", "first", "second"]);
    let in_post = desk.heard().into_iter().find(|h| !said(h).1).expect("heard");
    assert_eq!((in_post.channel, in_post.thread), (FORUM.to_string(), Some(root.message)));
    assert_eq!(fake.n_answered(429) + fake.n_answered(403), 0);
}

/// How far was heard, as it was kept.
fn position(desk: &Desk) -> Option<u64> {
    let text = desk.state.lock().expect("no panic").position.clone()?;
    serde_json::from_str::<serde_json::Value>(&text).ok()?["seen"].as_u64()
}

#[tokio::test]
async fn old_direct_messages_stay_old_and_a_guild_without_the_bot_holds_nothing_up() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let direct = fake.world().direct(BOB);
    fake.say(BOB, direct, "of last week");
    let now = {
        let mut world = fake.world();
        let old = &mut world.messages.get_mut(&direct).expect("was said")[0]["id"];
        let now: u64 = old.as_str().and_then(|id| id.parse().ok()).expect("an id");
        *old = serde_json::json!((now - ((7 * 86_400_000) << 22)).to_string());
        now
    };
    fake.say(BOB, direct, "of today");
    // The run before had heard little of it, and its keys are forgotten since.
    let known = serde_json::json!({ "first": 1, "seen": 1, "direct": [direct] });
    desk.state.lock().expect("no panic").position = Some(known.to_string());
    let mut settings = config(&fake);
    settings.guilds.push("1400000000000000009".into());
    let (_discord, _guard) = listening(&fake, &desk, settings).await;
    heard(&desk, 1).await;
    let moved = async || position(&desk).is_some_and(|seen| seen > now);
    eventually("the position moves on", Duration::from_secs(120), moved).await;
    assert_eq!(words(&desk), ["of today"]);
}
