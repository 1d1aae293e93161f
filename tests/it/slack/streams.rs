//! Answers in the making: streamed to the one who asked, edited otherwise, one message whatever is
//! lost on the way.

use nightjar::model::wall_now;

use super::whole::{PATIENCE, settings};
use super::*;
use crate::bot::Bot;
use crate::openai_fake::{Fake as Model, KEY, MODEL, Say};
use crate::support::{eventually, free_port};

/// A state of an answer; `reader` as long as it is being made.
fn state(thread: &Place, words: &str, reader: Option<&str>) -> Draft {
    let footer = if reader.is_some() { "Being answered …" } else { "no model used" };
    let card = Card { footer: footer.into(), fallback: words.into(), ..Card::words("", words) };
    Draft {
        thread: Some(thread.clone()),
        reader: reader.map(str::to_owned),
        ..Draft::new("answer:slack:message:1", CHANNEL, Content::card(card))
    }
}

/// A question that the answer stands beneath.
fn asked(fake: &Fake) -> Place {
    let question = fake.say(ANN, CHANNEL, None, "what is slow?");
    let message = question["ts"].as_str().expect("a text").to_owned();
    Place { platform: "slack".into(), channel: CHANNEL.into(), message }
}

/// The messages beneath the question.
fn answers(fake: &Fake, thread: &Place) -> Vec<Value> {
    let mut all = fake.messages(CHANNEL);
    all.retain(|m| m["thread_ts"] == *thread.message && m["ts"] != *thread.message);
    all
}

/// The only answer is whole: no stream, our key, all the words once.
fn whole(fake: &Fake, thread: &Place) {
    let all = answers(fake, thread);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_ne!(all[0]["streaming_state"], "in_progress");
    assert_eq!(all[0]["metadata"]["event_payload"]["key"], "answer:slack:message:1");
    let shown = all[0]["blocks"].to_string();
    assert!(shown.contains("One. Two. Three.") && !shown.contains("ref "), "{shown}");
    assert_eq!(all[0]["text"], "One. Two. Three.");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_one_person_is_streamed_and_ends_as_one_message_with_its_key() {
    let Stage { fake, slack, .. } = &stage(None).await;
    let thread = asked(fake);
    let first = slack.post(state(&thread, "One.", Some(ANN))).await.expect("begins");
    let then =
        |words: &str, reader| Draft { place: Some(first.clone()), ..state(&thread, words, reader) };
    for words in ["One. Two.", "One. Two.", "One. Two. <!channel>"] {
        slack.post(then(words, Some(ANN))).await.expect("goes on");
    }
    let now = answers(fake, &thread).remove(0);
    let text = now["text"].as_str().expect("a text");
    assert!(text.ends_with("\n\nOne. Two. &lt;!channel&gt;"), "{text}");
    assert!(text.starts_with("_Being answered …_ (ref "), "{text}");
    assert_eq!((fake.n_calls("chat.appendStream"), fake.n_calls("chat.update")), (2, 0));
    let done = slack.post(then("One. Two. Three.", None)).await.expect("ends");
    assert_eq!(done, first);
    whole(fake, &thread);
    assert_eq!(fake.n_calls("chat.postMessage"), 0);
    assert_eq!(fake.look().pinged, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_readers_and_a_workspace_without_streams_get_edits() {
    let Stage { fake, slack, .. } = &stage(None).await;
    // Nobody in particular reads it.
    let thread = asked(fake);
    let place = slack.post(state(&thread, "One.", None)).await.expect("is posted");
    let rest = Draft { place: Some(place), ..state(&thread, "One. Two. Three.", None) };
    slack.post(rest).await.expect("is edited");
    whole(fake, &thread);
    assert_eq!(fake.n_calls("chat.startStream"), 0);
    // No streams here: asked once, remembered.
    fake.look().streams = false;
    for n in 1..=2 {
        let thread = asked(fake);
        let place = slack.post(state(&thread, "One.", Some(ANN))).await.expect("is posted");
        for (words, reader) in [("One. Two.", Some(ANN)), ("One. Two. Three.", None)] {
            let next = Draft { place: Some(place.clone()), ..state(&thread, words, reader) };
            slack.post(next).await.expect("is edited");
        }
        whole(fake, &thread);
        assert_eq!((fake.n_calls("chat.startStream"), n), (1, n));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_ends_as_one_whole_message() {
    let stage = stage(None).await;
    let fake = &stage.fake;
    // What is lost: the answer to the beginning, to more text, to the end; each with the process
    // that knew of the stream, and without.
    for method in ["chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"] {
        for dies in [false, true] {
            let restarted = || {
                let (config, clock) = (config(fake, None), Arc::new(SystemClock));
                Slack::new(config, stage.recorder.clone(), clock).expect("is set up")
            };
            let mut slack = restarted();
            let thread = asked(fake);
            let (mut place, mut doubtful) = (None, false);
            fake.trouble(method, Trouble::DoneUnsaid);
            for (words, reader) in
                [("One.", Some(ANN)), ("One. Two.", Some(ANN)), ("One. Two. Three.", None)]
            {
                // As the outbox does: tried until it stands, in doubt after a lost answer.
                loop {
                    let draft =
                        Draft { place: place.clone(), doubtful, ..state(&thread, words, reader) };
                    match slack.post(draft).await {
                        Ok(stands) => break place = Some(stands),
                        Err(fault) => {
                            assert!(fault.is_transient(), "{method}: {}", fault.chain());
                            doubtful = place.is_none();
                            slack = if dies { restarted() } else { slack };
                        }
                    }
                }
            }
            whole(fake, &thread);
        }
    }
    // Slack ends a stream by itself after some minutes: what follows is edited.
    let slack = &stage.slack;
    let thread = asked(fake);
    let place = slack.post(state(&thread, "One.", Some(ANN))).await.expect("begins");
    for message in fake.look().messages.get_mut(CHANNEL).expect("there").iter_mut() {
        if message["ts"] == *place.message {
            message["streaming_state"] = "completed".into();
        }
    }
    for (words, reader) in [("One. Two.", Some(ANN)), ("One. Two. Three.", None)] {
        let next = Draft { place: Some(place.clone()), ..state(&thread, words, reader) };
        slack.post(next).await.expect("is edited");
    }
    whole(fake, &thread);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_kill_9_cuts_in_the_midst_ends_as_one_message() {
    install_tls();
    let (fake, model) = (Fake::start().await, Model::start([]).await);
    let llm = format!(
        "[llm]\nbase_url = {:?}\nmodel = {MODEL:?}\napi_key = {KEY:?}\nstall_s = 60\n",
        model.base()
    );
    let settings = format!("{llm}{}", settings(&fake));
    let mut bot = Bot::on(free_port(), &settings).await;
    let at = wall_now().plus_ms(-20 * 60_000);
    let deploy = json!({
        "kind": "deploy", "service": "orders", "title": "deploy 4.7.2", "version": "4.7.2",
        "previous": "4.7.1", "status": "success", "at": at,
    });
    assert_eq!(bot.door().send("/hooks/deploy", &deploy).await.ok(), Some(200));
    eventually("the change", PATIENCE, async || !bot.list("changes").await.is_empty()).await;
    let told = format!("orders was deployed at {} as 4.7.2 [1].", &at.to_string()[11..16]);
    let changes =
        || Say::call("changes", json!({ "service": "orders", "since": null, "until": null }));
    let began: &'static str = format!("{told}\nIt was ").leak();
    for say in [changes(), Say::Stall(began), changes(), Say::text(told.clone())] {
        model.then(say);
    }
    eventually("connections", PATIENCE, async || fake.n_sockets() == 2).await;
    // Slack has the stream, and the process dies before it knows.
    fake.trouble("chat.startStream", Trouble::DoneUnsaid);
    let question = format!("<@{BOT_USER}> what changed on orders?");
    let asked = fake.say(ANN, CHANNEL, None, &question);
    assert!(fake.deliver("events_api", fake.event(&asked)).await.is_some());
    let thread = Place {
        platform: "slack".into(),
        channel: CHANNEL.into(),
        message: asked["ts"].as_str().expect("a text").to_owned(),
    };
    eventually("a stream", PATIENCE, async || !answers(&fake, &thread).is_empty()).await;
    let begun = answers(&fake, &thread).remove(0);
    assert_eq!(begun["streaming_state"], "in_progress");
    assert!(begun["text"].as_str().is_some_and(|t| t.contains("orders was deployed")), "{begun}");
    bot.kill();
    bot.again().await;
    eventually("the whole answer", PATIENCE, async || {
        let all = answers(&fake, &thread);
        all.iter().any(|m| m["metadata"]["event_payload"]["key"].is_string())
            && !all[0]["blocks"].to_string().contains("Being answered")
    })
    .await;
    let all = answers(&fake, &thread);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!((&all[0]["ts"], &all[0]["streaming_state"]), (&begun["ts"], &json!("completed")));
    assert!(all[0]["blocks"].to_string().contains("orders was deployed"), "{all:#?}");
}
