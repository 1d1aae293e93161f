//! What people say to each other where an incident is handled.

use super::attend::{Process, due, inbound, posts, words};
use super::{World, t0};
use crate::chat::room::RoomState;
use crate::chat::{HeardState, Inbound, Kept, Room, Said};
use crate::model::{IncidentState, Role};

/// An incident whose own channel is `C7`, and nothing of it elsewhere.
async fn roomed(world: &World) {
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let room = Room {
        incident: incident.id,
        platform: "slack".into(),
        name: "inc-1".into(),
        title: "open".into(),
        topic: "open".into(),
        url: None,
        is_over: false,
        channel: Some("C7".into()),
        is_settled: true,
        state: RoomState::Kept,
        error: None,
        at: t0(),
    };
    world.store.write(move |tx| tx.put(&room)).await.expect("written");
}

/// Words without a mention in a thread that somebody began.
fn reply(key: &str, channel: &str, text: &str) -> Inbound {
    Inbound {
        channel: channel.into(),
        thread: Some("begun-by-bea".into()),
        ..inbound(key, Role::Viewer, words(text, false))
    }
}

#[tokio::test]
async fn a_question_in_a_thread_of_the_incidents_own_channel_is_answered() {
    let world = World::new();
    roomed(&world).await;
    let mut process = Process::of(&world);
    assert!(process.hear(reply("q1", "C7", "what is going on?")).await);
    assert!(!process.hear(reply("q2", "C1", "what is going on?")).await, "nobody's business");
    process.attend(&world).await;
    let keys: Vec<String> = posts(&world).await.into_iter().map(|p| p.key).collect();
    assert_eq!(keys, ["answer:slack:q1"]);
}

#[tokio::test]
async fn the_words_of_talk_that_asks_nothing_are_not_kept() {
    let world = World::new();
    roomed(&world).await;
    let mut process = Process::of(&world);
    let talk = reply("t1", "C7", "Bea had a long night");
    assert!(process.hear(talk.clone()).await);
    process.attend(&world).await;
    let kept = world.store.read(|r| r.get::<Kept>("slack:t1")).await.expect("reads");
    let kept = kept.expect("its key is known");
    assert_eq!(kept.state, HeardState::Done);
    assert_eq!(kept.inbound.said, Said::Command { text: String::new() });
    assert!(!process.hear(talk).await, "delivered again");
    assert_eq!((due(&world).await, posts(&world).await), (0, Vec::new()));
}
