//! What fails for a while, and what is given up: nobody is left with half an answer.

use std::sync::atomic::Ordering;

use super::attend::{Platform, Process, due, inbound, posts, words};
use super::*;
use crate::assist;
use crate::chat::{Content, Said};
use crate::command::attend::PATIENCE;
use crate::model::Fault;

fn busy(n: u32) -> Platform {
    let platform = Platform::default();
    platform.n_faults.store(n, Ordering::Relaxed);
    platform
}

/// Looks at what is due until nothing is, with time in between; says how often.
async fn rounds(process: &mut Process, world: &World) -> u32 {
    for n in 1..=3 * PATIENCE {
        process.round().await;
        if due(world).await == 0 {
            return n;
        }
        process.round().await;
        tokio::time::advance(std::time::Duration::from_secs(70)).await;
    }
    panic!("it stays due for ever");
}

#[tokio::test(start_paused = true)]
async fn a_hiccup_makes_nothing_public() {
    let world = World::new();
    let mut process = Process::with(&world, busy(PATIENCE - 1));
    process.hear(inbound("h", Role::Viewer, Said::Command { text: "approvals".into() })).await;
    // A second look within one rest tries nothing again.
    assert_eq!(rounds(&mut process, &world).await, PATIENCE);
    assert_eq!(process.chat.said().len(), 1, "it was told to that person alone");
    assert_eq!(posts(&world).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_stays_busy_ends_in_the_open_and_the_tries_end() {
    let world = World::new();
    let mut process = Process::with(&world, busy(u32::MAX));
    process.hear(inbound("h", Role::Viewer, Said::Command { text: "approvals".into() })).await;
    assert_eq!(rounds(&mut process, &world).await, PATIENCE);
    let found = posts(&world).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let Content::Card { card } = &found[0].content else { panic!("{found:?}") };
    assert_eq!(card.context, "For ada", "what was asked for, and no internal error");
}

#[tokio::test(start_paused = true)]
async fn an_error_takes_the_place_of_half_an_answer() {
    let world = World::new();
    let process = Process::with(&world, busy(u32::MAX));
    let question = inbound("q", Role::Viewer, words("status?", true));
    process.hear(question.clone()).await;
    let question = process.clerk.counter().stamped(question);
    let (progress, heard) = tokio::sync::mpsc::channel(1);
    let text = "orders is slow [1].".to_owned();
    progress.send(assist::Progress::Sentence { text }).await.expect("there is room");
    drop(progress);
    process.clerk.unfold(&question, None, heard).await;
    assert_eq!(posts(&world).await.len(), 1);

    let fault = Fault::because("the model's answer can't be kept");
    process.clerk.give_up(&question, &fault).await.expect("the store works");
    let found = posts(&world).await;
    assert_eq!((found.len(), due(&world).await), (1, 0));
    let Content::Text { text } = &found[0].content else { panic!("{found:?}") };
    assert!(text.starts_with("Internal error, reference "), "{text}");
    assert_eq!(found[0].key, "answer:slack:q");
    process.clerk.give_up(&question, &fault).await.expect("the store works");
    assert_eq!(posts(&world).await, found, "it is given up once");
    let last = world.store.read(crate::command::GivenUp::last).await.expect("reads");
    let last = last.expect("it is counted");
    assert!(last.n == 1 && text.contains(&last.reference), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_without_an_answer_is_said_once_even_where_nobody_can_be_told_alone() {
    let world = World::new();
    let mut process = Process::with(&world, busy(u32::MAX));
    let heard = inbound("q", Role::Viewer, words("status?", true));
    process.hear(heard.clone()).await;
    let heard = process.clerk.counter().stamped(heard);
    let fault = Fault::because("the store lost it");
    let key = heard.key.clone();
    for _ in 0..PATIENCE {
        let claim = process.clerk.claim(&key).expect("it is free");
        claim.failed(None);
        drop(claim);
        tokio::time::advance(std::time::Duration::from_secs(70)).await;
    }
    process.clerk.give_up(&heard, &fault).await.expect("it ends");
    let found = posts(&world).await;
    assert_eq!((found.len(), due(&world).await), (1, 0), "{found:?}");
    process.round().await;
    assert_eq!(posts(&world).await, found, "it is given up once");
}
