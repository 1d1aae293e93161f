//! The commands of a message's menu, and the page that stands in for the bot's home.

use nightjar::chat::{Block, Card, Chat as _, Content, Draft, Item, Said};
use serde_json::json;

use super::delivery::{card, draft, incident};
use super::{Desk, config, listening, said};
use crate::discord_fake::{ADA, BOB, FORUM, Fake, TEXT};

const ASK: &str = "Ask about this message";
const OPEN: &str = "Open an incident from this";

async fn registered(fake: &Fake) {
    fake.until("the commands", |w| (w.n_registered == 1).then_some(())).await;
}

#[tokio::test]
async fn a_message_that_is_asked_about_is_answered_in_its_thread() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    registered(&fake).await;
    // Without the message-content intent: the words come with the interaction.
    let message = fake.say(BOB, TEXT, "checkout is slow for me");
    let act = fake.pick(ADA, TEXT, message, ASK);
    let (response, ms) = fake.response(act).await;
    assert_eq!(response, json!({ "type": 5, "data": { "flags": 64 } }));
    assert!(ms < 2_000, "{ms} ms");
    let heard = desk.nth(0).await;
    assert_eq!(said(&heard), ("checkout is slow for me", true));
    assert_eq!(heard.actor.id, ADA.to_string(), "whoever asks, not whoever wrote");
    let spot = (heard.channel.as_str(), heard.thread.as_deref(), heard.message.as_deref());
    let (channel, id) = (TEXT.to_string(), message.to_string());
    assert_eq!(spot, (channel.as_str(), Some(id.as_str()), Some(id.as_str())));
    let root = nightjar::chat::Place { platform: "discord".into(), channel, message: id };
    let key = format!("answer:{}", heard.key);
    let answer = draft(&key, TEXT, Content::text("It is the pool."));
    discord.post(Draft { thread: Some(root), ..answer }).await.expect("answers");
    let answer = &fake.messages(message)[0]["content"];
    assert!(answer.as_str().expect("text").starts_with("It is the pool."), "{answer}");
    // What other monitoring says often stands in an embed.
    let report = Card {
        blocks: vec![Block::List { heading: None, items: vec![Item::plain("disk sda1 is full")] }],
        ..card("INC-1")
    };
    let place = discord.post(draft("card", TEXT, Content::card(report))).await.expect("posts");
    fake.pick(BOB, TEXT, place.message.parse().expect("an id"), ASK);
    let heard = desk.nth(1).await;
    assert!(said(&heard).0.contains("disk sda1 is full"), "{:?}", heard.said);
    assert_eq!(heard.thread, Some(place.message), "the thread of the incident");
}

#[tokio::test]
async fn a_message_in_a_thread_is_answered_in_that_thread() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    registered(&fake).await;
    let root = discord.post(draft("card", FORUM, Content::card(card("INC")))).await.expect("posts");
    let post: u64 = root.message.parse().expect("an id");
    let message = fake.say(BOB, post, "since when?");
    fake.pick(ADA, post, message, ASK);
    let heard = desk.nth(0).await;
    assert_eq!((heard.channel, heard.thread), (FORUM.to_string(), Some(root.message)));
    assert_eq!(heard.message, Some(message.to_string()));
}

#[tokio::test]
async fn an_incident_is_opened_from_a_message() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    registered(&fake).await;
    let message = fake.say(BOB, TEXT, "checkout refuses cards\nsince 03:00, all of them");
    let opened = fake.pick(ADA, TEXT, message, OPEN);
    let (modal, ms) = fake.response(opened).await;
    assert!(modal["type"] == 9 && ms < 2_000, "{modal}");
    assert_eq!(modal["data"]["custom_id"], "v1:declare:none");
    assert!(modal.to_string().contains("checkout refuses cards\\nsince 03:00"), "{modal}");
    let sent = fake.submit(opened, &[]);
    let (taken, _) = fake.response(sent).await;
    assert_eq!((&taken["type"], &taken["data"]["content"]), (&json!(4), &json!("Sent.")));
    let heard = desk.nth(0).await;
    let Said::Submit { code, values } = &heard.said else { panic!("{heard:?}") };
    assert_eq!(code, "v1:declare:none");
    assert_eq!(values["reason"], "checkout refuses cards\nsince 03:00, all of them");
    let refused = fake.pick(BOB, TEXT, message, OPEN);
    let (refused, _) = fake.response(refused).await;
    assert_eq!((&refused["type"], &refused["data"]["flags"]), (&json!(4), &json!(64)));
    assert!(refused.to_string().contains("You need the role responder"), "{refused}");
}

#[tokio::test]
async fn a_persons_page_is_shown_to_them_alone_with_its_buttons() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let act = fake.command(ADA, TEXT, "home", &[]);
    assert_eq!(fake.response(act).await.0, json!({ "type": 5, "data": { "flags": 64 } }));
    let heard = desk.nth(0).await;
    assert_eq!(said(&heard).0, "home");
    let page = Content::card(card("Your page"));
    discord.ephemeral(heard.address(), page).await.expect("shows");
    let shown = fake.whispered(act).await;
    assert_eq!((&shown["flags"], fake.messages(TEXT).len()), (&json!(64), 0));
    // A button of what only one person sees is as good as any other.
    let pressed = fake.press_whispered(ADA, act, "Acknowledge");
    assert_eq!(fake.response(pressed).await.0["type"], 6);
    assert_eq!(said(&desk.nth(1).await).0, format!("v1:acknowledge:{}", incident()));
}
