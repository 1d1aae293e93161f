//! Messages, threads, posts and files out, whatever the platform does.

use std::time::Duration;

use nightjar::chat::{
    Address, Block, Button, Card, Chat as _, Content, Draft, File, Health, Mark, Place, Room,
    Style, Subject, Verb, room,
};
use nightjar::model::{Actor, Fault, IncidentId, Role, Time};

use super::adapter;
use crate::discord_fake::{ADA, FORUM, Fail, Fake, TEXT};

pub(super) fn incident() -> IncidentId {
    IncidentId::derive(Time::from_ms(1), &["checkout"])
}

fn room_of(platform: &str) -> Room {
    Room {
        incident: incident(),
        platform: platform.into(),
        name: Room::named(1, "slow", incident()),
        title: String::new(),
        topic: String::new(),
        url: None,
        is_over: false,
        channel: None,
        is_settled: false,
        state: room::RoomState::Due,
        error: None,
        at: Time::from_ms(1),
    }
}

pub(super) fn card(title: &str) -> Card {
    let button = |verb, label: &str| Button {
        verb,
        label: label.into(),
        style: Style::Plain,
        subject: Subject::Incident(incident()),
        digest: None,
    };
    Card {
        mark: Mark::Critical,
        title: title.into(),
        context: "critical · open".into(),
        blocks: vec![Block::Text {
            heading: Some("What is going on".into()),
            text: "Requests wait for a connection.".into(),
            evidence: Vec::new(),
        }],
        buttons: vec![button(Verb::Acknowledge, "Acknowledge"), button(Verb::Resolve, "Resolve")],
        menu: vec![button(Verb::Note, "Post an update…"), button(Verb::Merge, "Merge…")],
        fallback: title.into(),
        ..Card::words("", "")
    }
}

pub(super) fn draft(key: &str, channel: u64, content: Content) -> Draft {
    Draft::new(key, channel.to_string(), content)
}

fn id(place: &Place) -> u64 {
    place.message.parse().expect("an id")
}

#[tokio::test]
async fn a_card_is_written_once_and_edited_in_place() {
    let (fake, _desk, discord) = adapter().await;
    let one = draft("INC-1/card", TEXT, Content::card(card("One")));
    let place = discord.post(one.clone()).await.expect("posts");
    let two = Draft {
        place: Some(place.clone()),
        ..draft("INC-1/card", TEXT, Content::card(card("Two")))
    };
    assert_eq!(discord.post(two).await.expect("edits"), place);
    let all = fake.messages(TEXT);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["content"], "**🔴 Two**");
    assert_eq!(discord.health(), Health::Up);
    // Without knowing the place, and soon after, Discord itself gives the message back.
    assert_eq!(discord.post(one).await.expect("posts"), place);
    assert_eq!(fake.messages(TEXT).len(), 1);
}

#[tokio::test]
async fn an_answer_that_was_lost_leaves_one_message() {
    let (fake, _desk, discord) = adapter().await;
    for i in 0..3 {
        discord
            .post(draft(&format!("noise-{i}"), TEXT, Content::text("noise")))
            .await
            .expect("posts");
    }
    for (key, content) in
        [("a/card", Content::card(card("One"))), ("b/words", Content::text("Words"))]
    {
        fake.fail("POST /api/v10/channels/", Fail::Swallow);
        let post = discord.post(draft(key, TEXT, content.clone()));
        let lost = tokio::time::timeout(Duration::from_millis(300), post).await;
        assert!(lost.is_err(), "the answer never came");
        // So late that the nonce is forgotten.
        for message in fake.world().messages.get_mut(&TEXT).expect("there").iter_mut() {
            message["nonce"] = serde_json::Value::Null;
        }
        let n = fake.messages(TEXT).len();
        let again = Draft { doubtful: true, ..draft(key, TEXT, content) };
        discord.post(again).await.expect("finds it");
        assert_eq!(fake.messages(TEXT).len(), n, "{key} stands once");
    }
}

#[tokio::test]
async fn the_name_of_an_incidents_thread_says_its_state() {
    let (fake, _desk, discord) = adapter().await;
    for channel in [TEXT, FORUM] {
        let content = Content::card(card("INC-1 slow"));
        let card = discord.post(draft("card", channel, content)).await.expect("posts");
        let thread = id(&card);
        let name = || fake.world().channels.get(&thread).map(|c| c.name.clone());
        let room = |title: &str| room::Keep {
            room: Room { title: title.into(), ..room_of("discord") },
            card: card.clone(),
            close: false,
        };
        // Before somebody replied there is no thread of a message, and nothing fails.
        if channel == TEXT {
            discord.room(room("🟠 INC-1 slow")).await.expect("is kept");
        }
        let reply = Draft { thread: Some(card.clone()), ..draft("r", channel, Content::text("x")) };
        discord.post(reply).await.expect("replies");
        fake.world().channels.get_mut(&thread).expect("there").archived = true;
        fake.world().names.clear();
        for _ in 0..2 {
            discord.room(room("🟡 INC-1 slow")).await.expect("is kept");
        }
        assert_eq!(name().as_deref(), Some("🟡 INC-1 slow"));
        assert_eq!(fake.world().names[&thread], 1, "a name that it has is not given again");
        discord.room(room("🟢 INC-1 slow")).await.expect("is kept");
        // The third name in ten minutes waits, and holds up nothing.
        let fault = discord.room(room("🟠 INC-1 slow")).await.expect_err("it has to wait");
        let Fault::Transient { after: Some(after), .. } = fault else { panic!("{fault}") };
        assert!(after > Duration::from_secs(300), "{after:?}");
        assert_eq!(name().as_deref(), Some("🟢 INC-1 slow"));
        assert_eq!(fake.world().names[&thread], 2, "it is not even asked for");
        // After a restart Discord itself says so, about the thread alone.
        let again = super::another(&fake);
        let fault = again.room(room("🟠 INC-1 slow")).await.expect_err("it has to wait");
        assert!(fault.is_transient(), "{}", fault.chain());
        again.post(draft("other", TEXT, Content::text("x"))).await.expect("posts");
        again.post(draft("other", FORUM, Content::text("x"))).await.expect("posts");
    }
}

#[tokio::test]
async fn a_reply_opens_the_thread_of_its_message_and_takes_it_out_of_the_archive() {
    let (fake, _desk, discord) = adapter().await;
    let root =
        discord.post(draft("card", TEXT, Content::card(card("INC-1 slow")))).await.expect("posts");
    let reply = |key: &str, text: &str| Draft {
        thread: Some(root.clone()),
        ..draft(key, TEXT, Content::text(text))
    };
    let first = discord.post(reply("r1", "New evidence")).await.expect("replies");
    let thread = id(&root);
    assert_eq!(fake.world().channels[&thread].name, "🔴 INC-1 slow");
    assert_eq!(fake.messages(thread).len(), 1);
    assert_eq!(first.channel, thread.to_string());
    // A reply to the reply stands in the same thread.
    let nested = Draft { thread: Some(first.clone()), ..draft("r2", TEXT, Content::text("More")) };
    assert_eq!(discord.post(nested).await.expect("replies").channel, first.channel);
    fake.world().channels.get_mut(&thread).expect("there").archived = true;
    let edit = Draft { place: Some(first.clone()), ..reply("r1", "Stronger evidence") };
    assert_eq!(discord.post(edit).await.expect("edits"), first);
    assert!(!fake.world().channels[&thread].archived);
    assert!(fake.messages(thread)[0]["content"].as_str().expect("text").starts_with("Stronger"));
}

#[tokio::test]
async fn a_forum_gets_a_post_whose_thread_carries_the_rest() {
    let (fake, _desk, discord) = adapter().await;
    let one = draft("card", FORUM, Content::card(card("INC-2 slow")));
    let root = discord.post(one.clone()).await.expect("posts");
    assert_eq!(root.channel, FORUM.to_string());
    let post = id(&root);
    assert_eq!(fake.world().channels[&post].name, "🔴 INC-2 slow");
    let reply = Draft { thread: Some(root.clone()), ..draft("r", FORUM, Content::text("More")) };
    discord.post(reply).await.expect("replies");
    assert_eq!(fake.messages(post).len(), 2);
    let edit =
        Draft { place: Some(root.clone()), ..draft("card", FORUM, Content::card(card("Over"))) };
    assert_eq!(discord.post(edit).await.expect("edits"), root);
    // Found again after a crash, archived or not.
    for archived in [false, true] {
        fake.world().channels.get_mut(&post).expect("there").archived = archived;
        let again = Draft { doubtful: true, ..one.clone() };
        assert_eq!(discord.post(again).await.expect("finds it"), root);
    }
    discord.dress(root, true).await.expect("pins");
    assert_eq!(fake.world().pins, [post]);
}

#[tokio::test]
async fn a_chart_is_a_picture_inside_an_embed_of_the_thread() {
    let (fake, _desk, discord) = adapter().await;
    let root =
        discord.post(draft("card", TEXT, Content::card(card("INC-1")))).await.expect("posts");
    let file = File {
        key: "chart".into(),
        channel: TEXT.to_string(),
        thread: Some(root.clone()),
        name: "checkout p99.png".into(),
        media_type: "image/png".into(),
        alt: "p99 rose to 4.2 s".into(),
        bytes: vec![1, 2, 3],
        place: None,
        doubtful: false,
        tried_at: None,
    };
    let place = discord.upload(file.clone()).await.expect("uploads");
    let shown = fake.messages(id(&root))[0].clone();
    assert!(
        shown["embeds"][0]["image"]["url"]
            .as_str()
            .expect("a picture")
            .ends_with("checkout-p99.png")
    );
    assert_eq!(shown["attachments"][0]["filename"], "checkout-p99.png");
    assert_eq!(fake.world().files[&id(&place)], ("checkout-p99.png".into(), vec![1, 2, 3]));
    let again = File { doubtful: true, ..file };
    assert_eq!(discord.upload(again).await.expect("finds it"), place);
    assert_eq!(fake.messages(id(&root)).len(), 1);
}

#[tokio::test]
async fn limits_are_waited_out_or_told_and_kept_without_asking_again() {
    let (fake, _desk, discord) = adapter().await;
    let text = |i: usize| draft(&format!("k{i}"), TEXT, Content::text("x"));
    fake.fail("/messages", Fail::Limit { after_s: 0.2, global: false });
    discord.post(text(0)).await.expect("a short pause is waited out");
    for i in 1..5 {
        discord.post(text(i)).await.expect("posts");
    }
    let refused = discord.post(text(9)).await.expect_err("five in five seconds");
    assert!(matches!(&refused, Fault::Transient { after: Some(after), .. } if after.as_secs() < 6));
    let n = fake.seen("POST").len();
    discord.post(text(9)).await.expect_err("still");
    assert_eq!(fake.seen("POST").len(), n, "what is known to be refused is not sent");
    fake.fail("/typing", Fail::Limit { after_s: 90.0, global: true });
    let to = address(None);
    discord.working(to.clone(), String::new(), true).await.expect_err("a pause");
    let edit = Draft { doubtful: true, ..text(0) };
    let all = discord.post(edit).await.expect_err("nothing may be sent");
    assert!(matches!(all, Fault::Transient { after: Some(after), .. } if after.as_secs() > 80));
}

#[tokio::test]
async fn faults_say_what_to_do_and_what_concerns_the_connection_passes() {
    let (fake, _desk, discord) = adapter().await;
    let text = |channel| draft("k", channel, Content::text("x"));
    let none = discord.post(text(77)).await.expect_err("no such channel");
    insta::assert_snapshot!(none, @"write into Discord's channel 77: Discord refused with status 404, code 10003: Unknown Channel; the channel does not exist: put its id (Developer Mode, Copy Channel ID) into chat.discord");
    let words = discord.post(Draft::new("k", "#incidents", Content::text("x"))).await;
    assert!(words.expect_err("no id").to_string().contains("`#incidents` is not an id of Discord"));
    fake.fail("/messages", Fail::Forbidden);
    let fault = discord.post(text(TEXT)).await.expect_err("refused");
    assert!(!fault.is_transient() && fault.to_string().contains("nightjar check"), "{fault}");
    for status in [500, 502, 200] {
        fake.fail("/messages", Fail::Html(status));
        let fault = discord.post(text(TEXT)).await.expect_err("a page is no answer");
        assert!(fault.is_transient(), "{fault}");
        assert!(matches!(discord.health(), Health::Down { .. }));
    }
    discord.post(text(TEXT)).await.expect("it is back");
    assert_eq!(discord.health(), Health::Up);
    fake.fail("/messages", Fail::Unauthorized);
    let fault = discord.post(draft("k2", TEXT, Content::text("x"))).await.expect_err("401");
    assert!(fault.is_transient(), "a new token delivers what waits");
    let Health::Down { why } = discord.health() else { panic!("the token is bad") };
    assert!(why.contains("Reset Token") && !why.contains(crate::discord_fake::TOKEN));
    let n = fake.seen("").len();
    discord.post(draft("k2", TEXT, Content::text("x"))).await.expect_err("not asked again at once");
    assert_eq!(fake.seen("").len(), n);
}

fn address(trigger: Option<String>) -> Address {
    let actor = Actor {
        via: "discord".into(),
        id: ADA.to_string(),
        name: "ada".into(),
        role: Role::Viewer,
    };
    Address { actor, channel: TEXT.to_string(), thread: None, trigger }
}

#[tokio::test]
async fn words_for_one_person_go_to_them_directly_or_name_them() {
    let (fake, _desk, discord) = adapter().await;
    let words = || Content::text("You need the role approver, @everyone.");
    discord.ephemeral(address(None), words()).await.expect("says");
    let direct = fake.world().direct(ADA);
    assert_eq!(fake.messages(direct).len(), 1);
    fake.world().takes_whispers = false;
    discord.ephemeral(address(Some("1:gone".into())), words()).await.expect("says");
    let named = fake.messages(TEXT)[0]["content"].as_str().expect("text").replace('\u{200b}', "|");
    assert_eq!(named, "For ada: You need the role approver, @|everyone.");
}

#[tokio::test]
async fn an_answer_where_the_bot_may_not_write_reaches_its_asker() {
    let (fake, _desk, discord) = adapter().await;
    let answer = |words: &str| Draft {
        asker: Some(ADA.to_string()),
        ..draft("answer:1", TEXT, Content::text(words))
    };
    fake.fail("/messages", Fail::Forbidden);
    let place = discord.post(answer("It is slow.")).await.expect("she is told directly");
    let direct = fake.world().direct(ADA);
    assert_eq!(place.channel, direct.to_string());
    let edit = Draft { place: Some(place.clone()), ..answer("It was slow.") };
    assert_eq!(discord.post(edit).await.expect("is edited"), place);
    let messages = fake.messages(direct);
    assert_eq!(messages.len(), 1);
    assert!(messages[0]["content"].as_str().expect("text").starts_with("It was slow.\n"));
}

#[tokio::test]
async fn a_message_that_somebody_deleted_is_written_again() {
    let (fake, _desk, discord) = adapter().await;
    let place = discord.post(draft("card", TEXT, Content::card(card("One")))).await.expect("posts");
    fake.world().messages.clear();
    let again =
        Draft { place: Some(place.clone()), ..draft("card", TEXT, Content::card(card("Two"))) };
    let new = discord.post(again).await.expect("posts");
    assert_ne!(new, place);
    assert_eq!(fake.messages(TEXT).len(), 1);
}

#[tokio::test]
async fn a_question_shows_that_it_was_taken() {
    let (fake, _desk, discord) = adapter().await;
    let question = Fake::say(&fake, ADA, TEXT, "why?");
    discord.working(address(None), question.to_string(), true).await.expect("is shown");
    assert_eq!(fake.world().reactions, [question]);
    assert_eq!(fake.world().n_typing, 1);
    discord.working(address(None), question.to_string(), false).await.expect("is taken away");
    assert!(fake.world().reactions.is_empty());
}

#[tokio::test]
async fn a_check_names_the_permission_that_a_feature_lacks() {
    let (fake, _desk, discord) = adapter().await;
    let bad = |found: &[nightjar::chat::discord::Finding]| {
        let wrong = found.iter().filter_map(|(what, r)| r.as_ref().err().map(|e| (what, e)));
        wrong.map(|(what, e)| format!("{what}: {e}")).collect::<Vec<_>>()
    };
    let found = discord.check().await;
    assert_eq!(bad(&found), Vec::<String>::new());
    assert!(
        found[0].1.as_ref().expect("good").contains("permissions=2252109051448384"),
        "{found:?}"
    );
    fake.world().permissions &= !(1 << 15 | 1 << 35);
    let found = discord.check().await;
    insta::assert_snapshot!(bad(&found).join("\n"), @"
    discord: channel 1400000000000000010: in incidents the bot's role lacks Create Public Threads (for threads of incidents), Attach Files (for charts); give it these there
    discord: channel 1400000000000000011: in incident-posts the bot's role lacks Attach Files (for charts); give it these there
    ");
    let (fake, _desk, discord) = adapter().await;
    fake.world().token_is_bad = true;
    let found = discord.check().await;
    assert!(found.len() == 1 && bad(&found)[0].contains("Reset Token"), "{found:?}");
}
