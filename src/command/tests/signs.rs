//! The sign of work at a question, and what an answer says of whoever asked.

use super::attend::{Platform, Process, card_of, inbound, posts, words};
use super::{World, person};
use crate::chat::{Inbound, Kept, Post, PostState, Said};
use crate::model::Role;
use crate::store::Filter;

/// The platform has all that is wanted there.
async fn sent(world: &World) {
    let all = posts(world).await;
    let put = move |tx: &crate::store::Tx<'_>| {
        all.into_iter().try_for_each(|p| tx.put(&Post { state: PostState::Sent, ..p }))
    };
    world.store.write(put).await.expect("written");
}

#[tokio::test]
async fn the_sign_of_work_goes_when_the_answer_stands_whatever_died_in_between() {
    let world = World::new();
    let mut first = Process::of(&world);
    first.hear(inbound("q", Role::Viewer, words("status?", true))).await;
    first.attend(&world).await;
    first.round().await;
    assert_eq!(first.chat.signs(), [("m-q".to_owned(), true)], "the answer does not stand yet");
    drop(first);
    sent(&world).await;
    // The next process takes it away, also when the platform is busy at first.
    let busy = Platform::default();
    busy.n_unsigned.store(1, std::sync::atomic::Ordering::SeqCst);
    let mut second = Process::with(&world, busy);
    second.round().await;
    assert_eq!(second.chat.signs(), [("m-q".to_owned(), false)]);
    let signed = async || {
        let filter = Filter::states([Kept::SIGNED]);
        world.store.read(move |r| r.count::<Kept>(&filter)).await.expect("reads")
    };
    assert_eq!(signed().await, 1, "it failed and is tried again");
    let mut third = Process::of(&world);
    third.round().await;
    assert_eq!((third.chat.signs(), signed().await), (vec![("m-q".to_owned(), false)], 0));
    third.round().await;
    assert_eq!(third.chat.signs().len(), 1, "once");
}

#[tokio::test]
async fn the_answer_to_a_command_begins_with_its_question_and_knows_its_asker() {
    let world = World::new();
    let mut process = Process::of(&world);
    let command = Said::Command { text: "ask what is slow?".into() };
    process.hear(Inbound { message: None, ..inbound("c", Role::Viewer, command) }).await;
    process.attend(&world).await;
    let found = posts(&world).await;
    let crate::chat::Block::Text { text, .. } = &card_of(&found[0]).blocks[0] else {
        panic!("{found:?}")
    };
    assert!(text.starts_with("ada asked: what is slow?\n\n"), "{text}");
    assert_eq!(found[0].asker.as_deref(), Some(&*person("ada", Role::Viewer).id));
    assert_eq!(process.chat.signs(), [], "there is no message to bear a sign");
}
