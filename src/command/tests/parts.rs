//! A long answer stands in several messages, as it grows and as it shrinks.

use super::attend::{Process, due, inbound, posts, words};
use super::*;
use crate::assist::Answer;
use crate::chat::{Block, Content, Place, Post, PostState, StoredFile};
use crate::command::parts::{MOST_PARTS, Parts};

fn paragraphs(n: usize) -> String {
    let one = |n: usize| format!("Paragraph {n}: {}full", "the pool is ".repeat(28));
    (0..n).map(one).collect::<Vec<_>>().join("\n\n")
}

/// Wants an answer so far, or the whole of it, in messages of 1,000 characters.
async fn want(world: &World, process: &Process, text: &str, is_made: bool) -> Vec<Post> {
    let heard = process.clerk.counter().stamped(inbound("q", Role::Viewer, words("why?", true)));
    let post = process.clerk.reply(&heard, Content::text(""), None);
    let parts = if is_made {
        let answer: Answer = serde_json::from_value(serde_json::json!({
            "text": text, "citations": [], "gaps": [], "notes": ["No model used."], "took_ms": 1,
            "model": null, "cost": crate::assist::Cost::default(),
        }))
        .expect("an answer");
        Parts::of(&answer, 1_000, post)
    } else {
        Parts::making(text, "Being answered …", 1_000, post)
    };
    world.store.write(move |tx| parts.want(tx)).await.expect("the store works");
    posts(world).await
}

/// What each message says, and beneath it.
fn read(posts: &[Post]) -> Vec<(String, String)> {
    let said = |post: &Post| match &post.content {
        Content::Card { card } => {
            let Some(Block::Text { text, .. }) = card.blocks.first() else { panic!("{card:?}") };
            (text.clone(), card.footer.clone())
        }
        Content::Text { text } => (text.clone(), String::new()),
        Content::File { name, alt, .. } => (name.clone(), alt.clone()),
        other @ Content::Form { .. } => panic!("{other:?}"),
    };
    posts.iter().map(said).collect()
}

/// Marks all that is wanted as standing.
async fn stand(world: &World) {
    for (n, post) in posts(world).await.into_iter().enumerate() {
        let (platform, channel) = (post.platform.clone(), post.channel.clone());
        let place = Some(Place { platform, channel, message: n.to_string() });
        let post = Post { state: PostState::Sent, place, ..post };
        world.store.write(move |tx| tx.put(&post)).await.expect("written");
    }
}

#[tokio::test]
async fn parts_appear_as_an_answer_grows_and_the_text_is_all_there() {
    let world = World::new();
    let process = Process::of(&world);
    let first = want(&world, &process, &paragraphs(1), false).await;
    assert_eq!(read(&first)[0].1, "Being answered …");
    let more = want(&world, &process, &paragraphs(5), false).await;
    let keys: Vec<_> = more.iter().map(|p| (p.key.as_str(), p.after.as_deref())).collect();
    assert_eq!(
        keys,
        [
            ("answer:slack:q", None),
            ("answer:slack:q:2", Some("answer:slack:q")),
            ("answer:slack:q:3", Some("answer:slack:q:2")),
        ]
    );
    assert!(more.iter().all(|p| p.within == more[0].within), "in one thread");
    assert_eq!(more[1].state, PostState::Waiting, "in their order");
    let whole = want(&world, &process, &paragraphs(6), true).await;
    let said = read(&whole);
    let footers: Vec<&str> = said.iter().map(|(_, footer)| footer.as_str()).collect();
    assert_eq!(footers, ["Goes on below.", "Goes on below.", "No model used."]);
    let texts: Vec<String> = said.into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts.join("\n\n"), paragraphs(6));
    let n = posts(&world).await.len();
    assert_eq!(want(&world, &process, &paragraphs(6), true).await.len(), n, "once");
}

#[tokio::test]
async fn what_shrinks_takes_its_later_parts_back() {
    let world = World::new();
    let process = Process::of(&world);
    want(&world, &process, &paragraphs(4), false).await;
    let short = want(&world, &process, &paragraphs(1), false).await;
    assert_eq!(short.len(), 1, "what was not sent is not sent");
    want(&world, &process, &paragraphs(6), false).await;
    stand(&world).await;
    let said = read(&want(&world, &process, "It is over.", true).await);
    assert_eq!(said[0], ("It is over.".into(), "No model used.".into()));
    assert!(said[1..].iter().all(|(text, _)| text.contains("became shorter")), "{said:?}");
    assert_eq!(said.len(), 3);
}

#[tokio::test]
async fn an_answer_of_many_parts_is_its_beginning_and_a_file() {
    let world = World::new();
    let process = Process::of(&world);
    let text = paragraphs(40);
    let found = want(&world, &process, &text, true).await;
    let said = read(&found);
    assert_eq!(said.len(), 2);
    assert!(said[0].0.starts_with("Paragraph 0:") && said[0].1.contains("file below"), "{said:?}");
    let Content::File { file, name, .. } = &found[1].content else { panic!("{found:?}") };
    assert_eq!((name.as_str(), found[1].after.as_deref()), ("answer.md", Some("answer:slack:q")));
    let file = file.clone();
    let kept = world.store.read(move |r| r.get::<StoredFile>(&file)).await.expect("reads");
    assert_eq!(kept.expect("kept").bytes().expect("digits"), text.as_bytes());
}

#[tokio::test]
async fn what_people_saw_of_an_answer_that_became_too_long_stays() {
    let world = World::new();
    let process = Process::of(&world);
    let making = want(&world, &process, &paragraphs(40), false).await;
    assert_eq!(making.len(), MOST_PARTS);
    stand(&world).await;
    let found = want(&world, &process, &paragraphs(40), true).await;
    let said = read(&found);
    assert_eq!(said.len(), MOST_PARTS + 1);
    assert_eq!(said[..MOST_PARTS - 1], read(&making)[..MOST_PARTS - 1]);
    assert!(said[MOST_PARTS - 1].1.contains("file below"));
    assert_eq!(found[MOST_PARTS].after.as_deref(), Some("answer:slack:q:5"));
}

#[tokio::test]
async fn an_error_takes_the_place_of_all_parts() {
    let world = World::new();
    let process = Process::of(&world);
    let heard = inbound("q", Role::Viewer, words("why?", true));
    process.hear(heard.clone()).await;
    want(&world, &process, &paragraphs(6), false).await;
    stand(&world).await;
    let heard = process.clerk.counter().stamped(heard);
    let fault = crate::model::Fault::because("the answer can't be kept");
    process.clerk.give_up(&heard, &fault).await.expect("the store works");
    let said = read(&posts(&world).await);
    assert!(said[0].0.starts_with("Internal error, reference "), "{said:?}");
    assert!(said[1..].iter().all(|(text, _)| text.contains("became shorter")), "{said:?}");
    assert_eq!(due(&world).await, 0);
}
