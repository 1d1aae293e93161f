//! The process dies anywhere: each key becomes one message, in its newest form.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::platform::{Memory, Mood, World, all_sent, reply, text};
use crate::bus::Event;
use crate::chat::Urgency;

/// A future that is dropped by its owner once it has been polled so often.
struct Dies<F> {
    inner: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Dies<F> {
    type Output = Option<F::Output>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(left) = self.polls.checked_sub(1) else { return Poll::Ready(None) };
        self.polls = left;
        self.inner.as_mut().poll(context).map(Some)
    }
}

impl World {
    /// Delivers until the process dies at its n-th step.
    async fn die_after(&self, chat: &std::sync::Arc<Memory>, polls: usize) {
        let running = self.deliver(chat).run(CancellationToken::new());
        tokio::select! {
            died = Dies { inner: Box::pin(running), polls } => assert!(died.is_none(), "{died:?}"),
            () = async { loop { self.pass(Duration::from_millis(200)).await } } => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_the_first_message_and_its_reply_makes_no_second() {
    for polls in 1..60 {
        let world = World::new();
        let chat = Memory::new("slack", 0);
        world
            .want([text("slack", "card", Urgency::Opening, "1"), reply("slack", "r", "card")])
            .await;
        world.die_after(&chat, polls).await;
        world.want([text("slack", "card", Urgency::Delta, "2")]).await;
        world.settle(&chat).await;
        assert_eq!(chat.words(), ["card 2", "r r"], "after {polls} steps");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_in_doubt_is_not_tried_twice_at_once_when_its_channel_becomes_known() {
    let world = World::new();
    let chat = Memory::new("slack", 0);
    world.want([text("slack", "card", Urgency::Opening, "1")]).await;
    chat.next(&[Mood::Down]);
    world.deliver_until(&chat, async || chat.n_calls() == 1).await;
    // The next process looks for it, and knows its channel by another name from that call on.
    chat.restart();
    chat.next(&[Mood::Slow, Mood::Slow]);
    let stands_while_it_rings = async || {
        world.bus.publish(Event::Outbox);
        all_sent(&world.posts("slack").await)
    };
    world.deliver_until(&chat, stands_while_it_rings).await;
    assert_eq!(chat.words(), ["card 1"]);
    assert_eq!(chat.n_calls(), 2, "one call before, one after");
}

#[derive(Clone, Debug)]
enum Step {
    Dies(usize),
    Lasts(u64),
    Goes(Mood),
    Wants(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let mood = prop_oneof![
        Just(Mood::Up),
        Just(Mood::Down),
        Just(Mood::LosesAnswer),
        Just(Mood::Hangs),
        Just(Mood::Pause(Duration::from_secs(7))),
    ];
    prop_oneof![
        3 => (1_usize..50).prop_map(Step::Dies),
        1 => (1_u64..200).prop_map(Step::Lasts),
        2 => mood.prop_map(Step::Goes),
        3 => (0_usize..4, any::<u32>()).prop_map(|(n, words)| Step::Wants(n, words)),
    ]
}

async fn live(steps: Vec<Step>) {
    let world = World::new();
    let chat = Memory::new("slack", 500);
    let mut newest = [None; 4];
    for step in steps {
        match step {
            Step::Dies(polls) => world.die_after(&chat, polls).await,
            Step::Lasts(looks) => {
                let left = std::cell::Cell::new(looks);
                world
                    .deliver_until(&chat, async || left.replace(left.get().saturating_sub(1)) == 0)
                    .await;
            }
            Step::Goes(mood) => chat.next(&[mood; 3]),
            Step::Wants(n, words) => {
                let urgency = Urgency::ALL[n];
                let key = format!("k{n}");
                let post = text("slack", &key, urgency, &words.to_string());
                // The last one hangs on the first, which may not be there yet.
                let within = if n == 3 { reply("slack", "", "k0").within } else { post.within };
                world.want([crate::chat::Post { within, ..post }]).await;
                newest[n] = Some(words);
            }
        }
    }
    world.want([text("slack", "k0", Urgency::Opening, "root")]).await;
    world.settle(&chat).await;
    assert!(all_sent(&world.posts("slack").await));
    let mut expected = vec!["k0 root".to_owned()];
    let wanted = newest.iter().enumerate().skip(1);
    expected.extend(wanted.filter_map(|(n, words)| words.map(|w| format!("k{n} {w}"))));
    let mut words = chat.words();
    words.sort();
    assert_eq!(words, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_happens_each_key_becomes_one_message_in_its_newest_form(
        steps in prop::collection::vec(step(), 1..14),
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
            .block_on(live(steps));
    }
}
