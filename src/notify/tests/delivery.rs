//! Delivery: order, pace, pauses, refusals, a platform that is slow or down.

use std::time::Duration;

use super::platform::{Memory, Mood, World, all_sent, reply, text};
use super::t0;
use crate::chat::{Card, Content, Mark, Post, PostState, Urgency, Within};

const S: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_most_urgent_goes_first_at_the_pace_of_the_channel() {
    let world = World::new();
    let chat = Memory::new("slack", 1_000);
    let order = [Urgency::Cosmetic, Urgency::Delta, Urgency::Answer, Urgency::Opening];
    for (n, urgency) in order.into_iter().enumerate() {
        world.want([text("slack", &format!("{n}"), urgency, "x")]).await;
    }
    world.want([text("slack", "approve", Urgency::Decision, "x")]).await;
    let elsewhere = Post { channel: "other".into(), ..text("slack", "o", Urgency::Cosmetic, "x") };
    world.want([elsewhere]).await;
    world.settle(&chat).await;
    let messages = chat.messages();
    let ops: Vec<_> = messages.iter().filter(|m| m.channel == "ops").collect();
    let keys: Vec<&str> = ops.iter().map(|m| m.key.as_str()).collect();
    assert_eq!(keys, ["approve", "2", "3", "1", "0"]);
    assert!(ops.windows(2).all(|w| w[1].at >= w[0].at + S), "a second apart: {ops:?}");
    let other = messages.iter().find(|m| m.channel == "other").expect("it stands");
    assert!(other.at < ops[4].at, "each channel has its own pace");
}

#[tokio::test(start_paused = true)]
async fn what_comes_later_and_matters_more_overtakes_the_line() {
    let world = World::new();
    let chat = Memory::new("slack", 1_000);
    let line = |n: usize| text("slack", &format!("delta {n:03}"), Urgency::Delta, "x");
    world.want((0..50).map(line)).await;
    let halfway = async || chat.messages().len() >= 10;
    world.deliver_until(&chat, halfway).await;
    world.want([text("slack", "approve", Urgency::Decision, "x")]).await;
    let before = chat.messages().len();
    world.settle(&chat).await;
    let messages = chat.messages();
    let place = messages.iter().position(|m| m.key == "approve").expect("it stands");
    assert_eq!(messages.len(), 51);
    assert_eq!(place, before, "the very next");
}

#[tokio::test(start_paused = true)]
async fn answers_overtake_the_cards_of_a_storm_and_hold_them_up_no_longer_than_themselves() {
    let world = World::new();
    let chat = Memory::new("slack", 1_000);
    let card = |n: usize| text("slack", &format!("card {n:02}"), Urgency::Opening, "x");
    world.want((0..30).map(card)).await;
    world.deliver_until(&chat, async || chat.messages().len() >= 5).await;
    let answer = |n: usize| text("slack", &format!("answer {n}"), Urgency::Answer, "x");
    world.want((0..4).map(answer)).await;
    let before = chat.messages().len();
    world.settle(&chat).await;
    let messages = chat.messages();
    assert_eq!(messages.len(), 34);
    let places: Vec<usize> = (0..messages.len())
        .filter(|n| messages[*n].key.starts_with("answer"))
        .map(|n| n - before)
        .collect();
    assert_eq!(places, [0, 2, 4, 6], "the very next, and then in turns with the cards");
}

#[tokio::test(start_paused = true)]
async fn the_root_stands_before_the_replies_even_if_they_matter_more() {
    let world = World::new();
    let chat = Memory::new("slack", 0);
    let urgent = Post { urgency: Urgency::Decision, ..reply("slack", "a", "root") };
    world.want([urgent, reply("slack", "b", "root")]).await;
    let waits = async || world.standing("slack").await.n_waiting == 2;
    world.deliver_until(&chat, waits).await;
    assert!(chat.messages().is_empty());
    world.want([text("slack", "root", Urgency::Cosmetic, "card")]).await;
    world.settle(&chat).await;
    assert_eq!(chat.words(), ["root card", "a a", "b b"]);
    let threads: Vec<_> = chat.messages().into_iter().map(|m| m.thread).collect();
    assert_eq!(threads, [None, Some("0".into()), Some("0".into())]);
}

#[tokio::test(start_paused = true)]
async fn edits_are_coalesced_and_the_newest_wins() {
    let world = World::new();
    let chat = Memory::new("slack", 1_000);
    world.want([text("slack", "card", Urgency::Opening, "0")]).await;
    world.settle(&chat).await;
    for n in 1..=20 {
        world.want([text("slack", "card", Urgency::Cosmetic, &n.to_string())]).await;
    }
    world.settle(&chat).await;
    assert_eq!(chat.words(), ["card 20"]);
    assert_eq!(chat.messages()[0].n_edits, 1);
    assert_eq!(chat.n_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_platform_asks_for_is_kept_by_its_channel_alone() {
    let world = World::new();
    let chat = Memory::new("slack", 0);
    chat.next(&[Mood::Pause(900 * S)]);
    world.want([text("slack", "a", Urgency::Decision, "x")]).await;
    let other = Post { channel: "other".into(), ..text("slack", "b", Urgency::Delta, "x") };
    world.want([other]).await;
    world.settle(&chat).await;
    let messages = chat.messages();
    let at = |key: &str| messages.iter().find(|m| m.key == key).expect("it stands").at;
    assert!(at("a") >= 900 * S, "{messages:?}");
    assert!(at("b") < 900 * S, "{messages:?}");
    assert_eq!(world.standing("slack").await.ledger.n_failed, 0, "a pause is no failure");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_down_is_tried_ever_less_often_and_gets_everything_when_it_is_back() {
    let world = World::new();
    let chat = Memory::new("slack", 0);
    chat.set(Mood::Down);
    world.want([text("slack", "root", Urgency::Opening, "1")]).await;
    world.want((0..20).map(|n| reply("slack", &format!("r{n:02}"), "root"))).await;
    let began = tokio::time::Instant::now();
    world.deliver_until(&chat, async || began.elapsed() > 3_600 * S).await;
    let calls = chat.n_calls();
    assert!((10..200).contains(&calls), "{calls} calls in an hour");
    let standing = world.standing("slack").await;
    assert!(standing.ledger.n_failed > 3, "{standing:?}");
    world.want([text("slack", "root", Urgency::Delta, "2")]).await;
    chat.set(Mood::Up);
    world.settle(&chat).await;
    assert_eq!(chat.messages().len(), 21);
    assert_eq!(chat.words()[0], "root 2");
    assert_eq!(chat.messages()[0].n_edits, 0, "what was old was never sent");
    assert_eq!(world.standing("slack").await.ledger.n_failed, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_got_lost_makes_no_second_message() {
    let world = World::new();
    let chat = Memory::new("slack", 0);
    chat.next(&[Mood::LosesAnswer, Mood::Hangs, Mood::LosesAnswer]);
    world.want([text("slack", "card", Urgency::Opening, "x")]).await;
    world.settle(&chat).await;
    assert_eq!(chat.words(), ["card x"]);
    assert_eq!(chat.n_calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_bad_message_holds_up_no_other() {
    let world = World::new();
    let chat = Memory::new("slack", 0);
    // The first always fails; the others would go through.
    chat.next(&[Mood::Down, Mood::Up, Mood::Up, Mood::Up, Mood::Down, Mood::Up]);
    world.want([text("slack", "0", Urgency::Decision, "x")]).await;
    world.want((1..4).map(|n| text("slack", &n.to_string(), Urgency::Delta, "x"))).await;
    world.settle(&chat).await;
    let keys: Vec<_> = chat.messages().into_iter().map(|m| m.key).collect();
    assert_eq!(keys.len(), 4);
    assert_ne!(keys[0], "0", "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_kept_with_its_reason_and_tried_again_when_it_changes_or_after_a_start()
{
    let world = World::new();
    let chat = Memory::new("slack", 0);
    chat.next(&[Mood::Refuses]);
    world.want([text("slack", "card", Urgency::Opening, "1"), reply("slack", "r", "card")]).await;
    let refused = async || world.standing("slack").await.n_refused == 1;
    world.deliver_until(&chat, refused).await;
    let post = world.posts("slack").await.remove("card").expect("it is kept");
    assert_eq!((post.state, post.error.as_deref()), (PostState::Refused, Some("no such channel")));
    assert_eq!(world.standing("slack").await.n_waiting, 1, "its thread waits");
    chat.next(&[Mood::Refuses]);
    world.want([text("slack", "card", Urgency::Delta, "2")]).await;
    world.deliver_until(&chat, refused).await;
    assert_eq!(chat.n_calls(), 2);
    // Somebody invited us into the channel and started anew.
    world.settle(&chat).await;
    assert_eq!(chat.words(), ["card 2", "r r"]);
}

#[tokio::test(start_paused = true)]
async fn content_that_changes_while_a_call_is_under_way_is_sent_after_it() {
    let world = World::new();
    let chat = Memory::new("slack", 0);
    chat.next(&[Mood::Hangs]);
    world.want([text("slack", "card", Urgency::Opening, "1")]).await;
    let trying = async || world.standing("slack").await.n_trying == 1 && chat.n_calls() == 1;
    let stop = tokio_util::sync::CancellationToken::new();
    let driver = async {
        while !trying().await {
            tokio::task::yield_now().await;
        }
        world.want([text("slack", "card", Urgency::Delta, "2")]).await;
        while !all_sent(&world.posts("slack").await) {
            world.pass(S).await;
        }
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(world.deliver(&chat).run(stop.clone()), driver);
    ended.expect("delivers");
    assert_eq!(chat.words(), ["card 2"]);
    let post = world.posts("slack").await.remove("card").expect("it is kept");
    assert_eq!((post.state, post.n_tries, post.error), (PostState::Sent, 1, None));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_uploaded_and_its_bytes_are_let_go() {
    let world = World::new();
    let chat = Memory::new("slack", 0);
    let key = "slack|chart#1";
    let stored = crate::chat::StoredFile::new(key, "image/png", &[1, 2, 3], t0());
    world.store.write(move |tx| tx.put(&stored)).await.expect("writes");
    let content = Content::File {
        name: "chart.png".into(),
        media_type: "image/png".into(),
        alt: "a chart".into(),
        file: key.into(),
    };
    let post = Post { content, ..text("slack", "chart", Urgency::Delta, "") };
    world.want([post]).await;
    world.settle(&chat).await;
    assert_eq!(chat.words(), ["chart chart.png 3 bytes"]);
    let left = world.store.read(|r| r.get::<crate::chat::StoredFile>("slack|chart#1")).await;
    assert!(left.expect("reads").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_somebody_deleted_is_not_written_again() {
    let world = World::new();
    let chat = Memory::new("slack", 0);
    world.want([text("slack", "card", Urgency::Opening, "1")]).await;
    world.settle(&chat).await;
    chat.clear();
    world.want([text("slack", "card", Urgency::Delta, "2")]).await;
    world.settle(&chat).await;
    assert!(chat.messages().is_empty());
    let post = world.posts("slack").await.remove("card").expect("it is kept");
    assert_eq!(post.error.as_deref(), Some("it was deleted"));
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_an_answer_come_in_their_order_whatever_fails() {
    let (world, chat) = (World::new(), Memory::new("slack", 0));
    let part = |n: usize| {
        let key = |n: usize| format!("answer:q:{n}");
        let post = text("slack", &key(n), Urgency::Answer, &key(n));
        Post { after: (n > 1).then(|| key(n - 1)), ..post }
    };
    // The last one is wanted first, and nothing gets through for a while.
    chat.set(Mood::Down);
    world.want((1..=4).rev().map(part)).await;
    world.pass(Duration::from_secs(2)).await;
    let standing = world.standing("slack").await;
    assert_eq!((standing.n_due + standing.n_trying, standing.n_waiting), (1, 3));
    chat.set(Mood::Up);
    world.settle(&chat).await;
    let said: Vec<String> = chat.messages().into_iter().map(|m| m.key).collect();
    assert_eq!(said, ["answer:q:1", "answer:q:2", "answer:q:3", "answer:q:4"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_heals_by_itself_and_is_asked_for_ever_less_often() {
    let (world, chat) = (World::new(), Memory::new("slack", 0));
    chat.set(Mood::Refuses);
    world.want([text("slack", "card", Urgency::Opening, "1")]).await;
    let began = tokio::time::Instant::now();
    world.deliver_until(&chat, async || began.elapsed() > 3_600 * S).await;
    let calls = chat.n_calls();
    assert!((3..=6).contains(&calls), "{calls} calls in an hour");
    // Somebody invites us into the channel; nothing is started anew.
    let (end, healed) = (std::cell::Cell::new(false), tokio::time::Instant::now());
    let stop = tokio_util::sync::CancellationToken::new();
    chat.next(&[Mood::Refuses]);
    chat.set(Mood::Up);
    let driver = async {
        while !all_sent(&world.posts("slack").await) {
            world.pass(S).await;
        }
        end.set(true);
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(world.deliver(&chat).run(stop.clone()), driver);
    ended.expect("delivers");
    assert!(end.get() && healed.elapsed() >= 300 * S && healed.elapsed() < 900 * S);
    assert_eq!(chat.words(), ["card 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_rests_with_a_thousand_posts_starves_no_other() {
    let (world, chat) = (World::new(), Memory::new("slack", 0));
    chat.next(&[Mood::Pause(3_600 * S)]);
    let line = |n: usize| text("slack", &format!("delta {n:04}"), Urgency::Delta, "x");
    world.want((0..1_100).map(line)).await;
    let late = crate::model::Time::from_ms(t0().ms() + 1);
    let other = text("slack", "other", Urgency::Delta, "x");
    let began = tokio::time::Instant::now();
    world.deliver_until(&chat, async || chat.n_calls() == 1).await;
    world.want([Post { channel: "other".into(), due_at: late, ..other }]).await;
    chat.next(&[Mood::Pause(3_600 * S)]);
    world.deliver_until(&chat, async || chat.messages().len() == 1).await;
    assert_eq!(chat.words(), ["other x"]);
    assert!(began.elapsed() < 3_600 * S, "before the other goes on");
}

fn card(at: &str, mark: Mark) -> Post {
    let card = Card { mark, ..Card::words("#12", "slow") };
    let post = Post::new("card", ("slack", at), Within::Channel, Content::card(card), t0());
    Post { incident: Some(super::incident().id), ..post }
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_hangs_holds_up_no_message_and_one_that_failed_is_tried_again() {
    let (world, chat) = (World::new(), Memory::new("slack", 0));
    chat.set_dress(Mood::Hangs);
    let began = tokio::time::Instant::now();
    world.want([card("ops", Mark::Open), text("slack", "next", Urgency::Delta, "x")]).await;
    world.settle(&chat).await;
    assert!(began.elapsed() < 10 * S, "{:?}", began.elapsed());
    chat.set_dress(Mood::Down);
    let began = tokio::time::Instant::now();
    world.deliver_until(&chat, async || began.elapsed() > 5 * S).await;
    assert_eq!(chat.dressed(), []);
    chat.set_dress(Mood::Up);
    world.deliver_until(&chat, async || world.posts("slack").await["card"].dressed).await;
    assert_eq!(chat.dressed(), [("0".to_owned(), true)], "though the card changed no more");
    // One that may not be taken off is let go: the archive of its channel waits for it.
    chat.set_dress(Mood::Refuses);
    world.want([card("ops", Mark::Over)]).await;
    world.deliver_until(&chat, async || !world.posts("slack").await["card"].dressed).await;
}
