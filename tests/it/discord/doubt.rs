//! A message in doubt after a long outage: the history is read back to its first try.

use nightjar::chat::discord::Discord;
use nightjar::chat::{Chat as _, Content, Draft, Place};
use nightjar::model::{Fault, Time, wall_now};
use serde_json::json;

use super::adapter;
use super::delivery::{card, draft};
use crate::discord_fake::{BOB, BOT, FORUM, Fail, Fake, TEXT, World};

/// The id of something made at a time.
fn id_at(at: Time) -> u64 {
    u64::try_from(at.ms() - 1_420_070_400_000).expect("after 2015") << 22
}

/// Makes the newest message of a channel as old as this, and lets others follow it, one a minute.
fn follow(fake: &Fake, tried_at: Time, n: i64) -> u64 {
    let mut world = fake.world();
    let all = world.messages.get_mut(&TEXT).expect("ours stands");
    let ours = id_at(tried_at);
    let last = all.last_mut().expect("ours");
    last["id"] = ours.to_string().into();
    last["nonce"] = json!(null);
    all.extend((1..=n).map(|i| {
        let id = id_at(tried_at.plus_ms(i * 60_000)).to_string();
        json!({ "id": id, "author": World::user(BOB), "content": "talk", "embeds": [] })
    }));
    ours
}

async fn until_known(discord: &Discord, draft: &Draft) -> (Place, usize) {
    for n in 0..20 {
        match discord.post(draft.clone()).await {
            Ok(place) => return (place, n),
            Err(Fault::Transient { after: Some(_), .. }) => {}
            Err(fault) => panic!("{}", fault.chain()),
        }
    }
    panic!("it never ends");
}

#[tokio::test]
async fn after_days_of_talk_a_lost_message_is_found_and_not_written_twice() {
    let (fake, _desk, discord) = adapter().await;
    let one = draft("INC-1/card", TEXT, Content::card(card("One")));
    fake.fail("POST /api/v10/channels/", Fail::Html(502));
    discord.post(one.clone()).await.expect_err("nothing was said");
    discord.post(one.clone()).await.expect("it stands, though nobody knows");
    let tried_at = wall_now().plus_ms(-2_301 * 60_000);
    let ours = follow(&fake, tried_at, 2_300);
    let doubtful = Draft { doubtful: true, tried_at: Some(tried_at), ..one };
    let (place, n_paused) = until_known(&discord, &doubtful).await;
    assert_eq!((place.message, n_paused), (ours.to_string(), 2));
    let reads = fake.seen("GET /api/v10/channels/").into_iter();
    let pages = reads.filter(|s| s.line.ends_with("/messages")).count();
    assert_eq!(pages, 24, "no page is read twice");
    assert_eq!(fake.messages(TEXT).len(), 2_301);

    // What was first tried lately is looked for among the latest only, and then written.
    let lately = Some(wall_now().plus_ms(-3 * 60_000));
    let new = draft("INC-2/card", TEXT, Content::card(card("Two")));
    let new = Draft { doubtful: true, tried_at: lately, ..new };
    until_known(&discord, &new).await;
    let reads = fake.seen("GET /api/v10/channels/").into_iter();
    assert_eq!(reads.filter(|s| s.line.ends_with("/messages")).count(), pages + 1);
    assert_eq!(fake.messages(TEXT).len(), 2_302);
}

#[tokio::test]
async fn a_lost_post_is_found_among_more_posts_than_one_try_looks_into() {
    let (fake, _desk, discord) = adapter().await;
    let one = draft("INC-1/card", FORUM, Content::card(card("One")));
    let ours = discord.post(one.clone()).await.expect("posts");
    let tried_at = wall_now();
    for n in 0..120_u64 {
        let mut world = fake.world();
        let id = world.id();
        let other = crate::discord_fake::Chan {
            archived: n % 2 == 0,
            ..world.channels[&ours.message.parse().expect("an id")].clone()
        };
        world.channels.insert(id, other);
        let body = json!({ "content": format!("another incident {n}") });
        world.message(id, BOT, &body, &[]);
        let message = world.messages.get_mut(&id).expect("there").last_mut().expect("it");
        message["id"] = id.to_string().into();
    }
    let again = Draft { doubtful: true, tried_at: Some(tried_at), ..one };
    let (place, n_paused) = until_known(&discord, &again).await;
    assert_eq!((place, n_paused), (ours, 2));
}

#[tokio::test]
async fn what_was_deleted_and_written_anew_with_a_lost_answer_stands_once() {
    let (fake, _desk, discord) = adapter().await;
    let one = draft("INC-1/card", TEXT, Content::card(card("One")));
    let place = discord.post(one.clone()).await.expect("posts");
    fake.world().messages.get_mut(&TEXT).expect("it stands").clear();
    let tried_at = Some(wall_now());
    let edit = Draft { place: Some(place), tried_at, ..one };
    discord.post(edit.clone()).await.expect("it is written anew, though nobody knows");
    // Discord knows a try by its nonce for some minutes only.
    fake.world().messages.get_mut(&TEXT).expect("it stands")[0]["nonce"] = json!(null);
    discord.post(Draft { doubtful: true, ..edit }).await.expect("it is found");
    assert_eq!(fake.messages(TEXT).len(), 1);
}
