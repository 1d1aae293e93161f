//! What people say and do, heard over the gateway and answered in time.

use std::time::Duration;

use nightjar::chat::{
    Button, Card, Chat as _, Content, Draft, Health, Inbound, Place, Said, Style, Subject, Verb,
    Who,
};
use nightjar::model::{Role, SilenceId, Time};
use serde_json::json;

use super::delivery::{card, draft, incident};
use super::{Desk, config, listening, said};
use crate::discord_fake::{ADA, BOB, BOT, FORUM, Fail, Fake, STRANGER, TEXT, World};

/// Within so long the first response must be there.
const FIRST_MS: u128 = 2_000;

async fn with_card(
    fake: &Fake,
    desk: &Desk,
) -> (nightjar::chat::discord::Discord, impl Drop, Place) {
    let (discord, guard) = listening(fake, desk, config(fake)).await;
    let place = discord.post(draft("card", TEXT, Content::card(card("INC-1")))).await;
    (discord, guard, place.expect("posts"))
}

fn id(place: &Place) -> u64 {
    place.message.parse().expect("an id")
}

#[tokio::test]
async fn a_mention_a_direct_message_and_nothing_else_is_heard() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    fake.say(ADA, TEXT, "just talking");
    let asked = fake.say(ADA, TEXT, &format!("<@{BOT}> why is checkout slow?"));
    let first = desk.nth(0).await;
    assert_eq!(said(&first), ("why is checkout slow?", true));
    assert_eq!((first.channel.as_str(), &first.thread), (TEXT.to_string().as_str(), &None));
    assert_eq!(first.message, Some(asked.to_string()));
    assert_eq!(first.key, format!("discord:message:{asked}"));
    assert_eq!((first.actor.name.as_str(), first.actor.role), ("ada", Role::Approver));
    let direct = fake.world().direct(ADA);
    fake.say(ADA, direct, "status");
    let second = desk.nth(1).await;
    assert_eq!(said(&second), ("status", true));
    assert_eq!(second.actor.role, Role::Approver, "roles of the guild count in direct messages");
    let bob = fake.world().direct(BOB);
    fake.say(BOB, bob, "status");
    assert_eq!(desk.nth(2).await.actor.role, Role::Viewer);
}

#[tokio::test]
async fn a_stranger_in_a_direct_conversation_gets_one_sentence_and_nothing_else() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let direct = fake.world().direct(STRANGER);
    fake.say(STRANGER, direct, "why is checkout slow?");
    let refusal = fake
        .until("a refusal", |w| {
            w.messages[&direct].iter().find(|m| m["author"]["bot"] == true).cloned()
        })
        .await;
    let why = "This bot answers only members of the servers that it serves, and you were not found in one: join one, or if you are a member, try again in a moment.";
    assert_eq!(refusal["content"], why);
    for (sub, options) in [("status", [].as_slice()), ("ask", &[("question", "why?")])] {
        let act = fake.command(STRANGER, direct, sub, options);
        let (response, ms) = fake.response(act).await;
        assert_eq!((&response["type"], &response["data"]["flags"]), (&json!(4), &json!(64)));
        assert_eq!(response["data"]["content"], why);
        assert!(ms < FIRST_MS, "{ms} ms");
    }
    // What a member says afterwards is the first thing that is heard.
    let bob = fake.world().direct(BOB);
    fake.say(BOB, bob, "status");
    assert_eq!(desk.nth(0).await.actor.id, BOB.to_string());
    assert_eq!(desk.heard().len(), 1);
}

#[tokio::test]
async fn what_a_member_says_who_could_not_be_looked_up_is_kept_and_they_are_asked_for_again() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let direct = fake.world().direct(ADA);
    fake.world().fails.extend((0..5).map(|_| ("/members/".to_owned(), Fail::Html(502))));
    fake.say(ADA, direct, "status");
    let heard = desk.nth(0).await;
    assert_eq!((heard.unresolved, heard.actor.role), (true, Role::Viewer));
    let fault = discord.who(heard.clone()).await.expect_err("Discord does not tell");
    assert!(fault.is_transient(), "{}", fault.chain());
    fake.world().fails.clear();
    let Ok(Who::Person(ada)) = discord.who(heard).await else { panic!("she is a member") };
    assert_eq!((ada.name.as_str(), ada.role), ("ada", Role::Approver));
    // A slow directory keeps no command waiting.
    let bob = fake.world().direct(BOB);
    fake.fail("/members/", Fail::Late(Duration::from_secs(3)));
    let act = fake.command(BOB, bob, "status", &[]);
    let (response, ms) = fake.response(act).await;
    assert!(response["type"] == 5 && ms < FIRST_MS, "{response} after {ms} ms");
    let heard = desk.nth(1).await;
    assert!(heard.unresolved);
    let Ok(Who::Person(bob)) = discord.who(heard).await else { panic!("he is a member") };
    assert_eq!(bob.role, Role::Viewer);
}

#[tokio::test]
async fn a_stranger_is_told_once_however_much_they_write() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let direct = fake.world().direct(STRANGER);
    for n in 0..5 {
        fake.say(STRANGER, direct, &format!("word {n}"));
    }
    let refusals =
        |w: &World| w.messages[&direct].iter().filter(|m| m["author"]["bot"] == true).count();
    fake.until("a refusal", |w| (refusals(w) > 0).then_some(())).await;
    // The same where their words were kept before Discord told that they are none of ours.
    let ada = fake.world().direct(ADA);
    let bob = fake.world().direct(BOB);
    fake.say(ADA, ada, "status");
    let heard = desk.nth(0).await;
    let id = STRANGER.to_string();
    let theirs = Inbound {
        actor: nightjar::model::Actor { id, ..heard.actor.clone() },
        unresolved: true,
        ..heard
    };
    assert_eq!(discord.who(theirs.clone()).await.expect("is told"), Who::Stranger(None));
    // An interaction is answered each time: it says that it is worked on.
    let command = Inbound { trigger: Some("1:token".into()), ..theirs };
    let told = discord.who(command).await.expect("is told");
    assert!(matches!(told, Who::Stranger(Some(_))), "{told:?}");
    fake.say(BOB, bob, "status");
    desk.nth(1).await;
    assert_eq!(refusals(&fake.world()), 1);
}

#[tokio::test]
async fn words_in_an_incidents_thread_count_where_discord_lets_us_read_them() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    fake.world().content_granted = true;
    let settings = nightjar::chat::discord::Config { message_content: true, ..config(&fake) };
    let (discord, _guard) = listening(&fake, &desk, settings).await;
    for (channel, n) in [(TEXT, 0), (FORUM, 1)] {
        let root =
            discord.post(draft("card", channel, Content::card(card("INC")))).await.expect("posts");
        let reply = Draft { thread: Some(root.clone()), ..draft("r", channel, Content::text("x")) };
        discord.post(reply).await.expect("replies");
        fake.say(BOB, id(&root), "and the database?");
        let heard = desk.nth(n).await;
        assert_eq!(said(&heard), ("and the database?", false));
        assert_eq!((heard.channel, heard.thread), (channel.to_string(), Some(root.message)));
    }
}

#[tokio::test]
async fn a_click_is_taken_in_time_and_only_once() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard, place) = with_card(&fake, &desk).await;
    let act = fake.press(ADA, TEXT, id(&place), "Acknowledge");
    let (response, ms) = fake.response(act).await;
    assert_eq!(response, json!({ "type": 6 }));
    assert!(ms < FIRST_MS, "{ms} ms");
    let heard = desk.nth(0).await;
    assert_eq!(said(&heard).0, format!("v1:acknowledge:{}", incident()));
    assert_eq!((heard.channel, heard.thread), (place.channel, Some(place.message)));
    assert_eq!(heard.key, format!("discord:interaction:{act}"));
}

#[tokio::test]
async fn what_is_not_had_back_is_asked_about_once_more_before_that_person_alone() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let silence = SilenceId::derive(Time::from_ms(1), &["one"]);
    let end = Button {
        verb: Verb::EndSilence,
        label: "End it".into(),
        style: Style::Danger,
        subject: Subject::Silence(silence),
        digest: None,
    };
    let list = Card { buttons: vec![end.clone()], ..Card::words("Silences in force", "one") };
    let place = discord.post(draft("list", TEXT, Content::card(list))).await.expect("posts");
    let act = fake.press(ADA, TEXT, id(&place), "End it");
    let (response, _) = fake.response(act).await;
    assert_eq!((&response["type"], &response["data"]["flags"]), (&json!(4), &json!(64)));
    assert!(desk.heard().is_empty(), "nothing is done yet");
    let act = fake.press_whispered(ADA, act, "Do it");
    fake.response(act).await;
    assert_eq!(said(&desk.nth(0).await).0, end.code());
}

#[tokio::test]
async fn resolve_offers_the_categories_that_the_command_reads() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let commands =
        fake.until("commands", |w| w.commands.get(&crate::discord_fake::GUILD).cloned()).await;
    let subs = commands[0]["options"].as_array().expect("sub-commands");
    let resolve = subs.iter().find(|s| s["name"] == "resolve").expect("it is one");
    let options = resolve["options"].as_array().expect("options");
    let how = options.iter().find(|o| o["name"] == "as").expect("it is one");
    let offered: Vec<(&str, &str)> = how["choices"]
        .as_array()
        .expect("choices")
        .iter()
        .filter_map(|c| Some((c["value"].as_str()?, c["name"].as_str()?)))
        .collect();
    let known: Vec<(&str, &str)> =
        nightjar::command::Category::ALL.iter().map(|(c, label)| (c.as_str(), *label)).collect();
    assert_eq!(offered, known);
}

#[tokio::test]
async fn what_is_chosen_in_the_menu_is_what_is_pressed() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard, place) = with_card(&fake, &desk).await;
    let act = fake.choose(ADA, TEXT, id(&place), "Merge…");
    let (response, ms) = fake.response(act).await;
    assert_eq!(response, json!({ "type": 6 }));
    assert!(ms < FIRST_MS, "{ms} ms");
    assert_eq!(said(&desk.nth(0).await).0, format!("v1:merge:{}", incident()));
}

#[tokio::test]
async fn whatever_is_slow_the_first_response_is_not() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard, place) = with_card(&fake, &desk).await;
    desk.slow(Duration::from_secs(5));
    let acts = [
        fake.press(ADA, TEXT, id(&place), "Acknowledge"),
        fake.press(ADA, TEXT, id(&place), "Resolve"),
        fake.command(ADA, TEXT, "status", &[]),
        fake.command(ADA, TEXT, "ask", &[("question", "why?")]),
        fake.complete(TEXT, "silence", "service", "che"),
    ];
    for act in acts {
        let (response, ms) = fake.response(act).await;
        assert!(ms < FIRST_MS, "{ms} ms for {response}");
    }
    desk.slow(Duration::from_millis(900));
    let act = fake.press(ADA, TEXT, id(&place), "Acknowledge");
    let (response, ms) = fake.response(act).await;
    assert_eq!(response, json!({ "type": 6 }));
    assert!(ms < FIRST_MS, "{ms} ms");
}

#[tokio::test]
async fn a_form_opens_at_once_and_a_faulty_one_comes_back_as_it_was_filled_in() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard, place) = with_card(&fake, &desk).await;
    let opened = fake.press(ADA, TEXT, id(&place), "Resolve");
    let (modal, ms) = fake.response(opened).await;
    assert!(modal["type"] == 9 && ms < FIRST_MS, "{modal}");
    let sent = fake.submit(opened, &[("Why", "bug"), ("Category", "no")]);
    let (refused, _) = fake.response(sent).await;
    assert_eq!((&refused["type"], &refused["data"]["flags"]), (&json!(4), &json!(64)));
    assert_eq!(refused["data"]["content"], "Not sent.\nWhy: say more than that");
    let again = fake.press_whispered(ADA, sent, "Correct it");
    let (modal, _) = fake.response(again).await;
    assert_eq!(modal["data"]["components"][1]["components"][0]["value"], "bug");
    let options = &modal["data"]["components"][2]["component"]["options"];
    assert_eq!((&options[1]["label"], &options[1]["default"]), (&json!("No fault"), &json!(true)));
    let sent = fake.submit(again, &[("Why", "bug in 4.7.2")]);
    let (taken, _) = fake.response(sent).await;
    assert_eq!((&taken["type"], &taken["data"]["content"]), (&json!(7), &json!("Sent.")));
    let heard = desk.nth(0).await;
    let Said::Submit { code, values } = &heard.said else { panic!("{heard:?}") };
    assert_eq!(*code, format!("v1:resolve:{}", incident()));
    assert_eq!((values["reason"].as_str(), values["category"].as_str()), ("bug in 4.7.2", "noise"));
    assert_eq!(values.len(), 2, "text to read is not sent on");
}

#[tokio::test]
async fn what_a_role_may_not_do_is_refused_before_that_person_alone() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard, place) = with_card(&fake, &desk).await;
    let act = fake.press(BOB, TEXT, id(&place), "Resolve");
    let (response, _) = fake.response(act).await;
    assert_eq!(response["data"]["flags"], 64);
    assert_eq!(response["data"]["content"], "You need the role responder; you have viewer.");
    assert!(desk.heard().is_empty());
    assert_eq!(fake.messages(TEXT).len(), 1);
}

#[tokio::test]
async fn the_answer_to_a_question_takes_the_place_of_its_response() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let act = fake.command(ADA, TEXT, "ask", &[("question", "why is \"checkout\" slow?")]);
    let (response, _) = fake.response(act).await;
    assert_eq!(response, json!({ "type": 5, "data": {} }));
    let heard = desk.nth(0).await;
    assert_eq!(said(&heard).0, "ask why is \"checkout\" slow?");
    let key = format!("answer:{}", heard.key);
    let place = discord.post(draft(&key, TEXT, Content::text("Because."))).await.expect("answers");
    let all = fake.messages(TEXT);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["id"], place.message);
    assert!(all[0]["content"].as_str().expect("text").starts_with("Because."));
    // After the 15 minutes it is edited as any message is.
    fake.age(act, Duration::from_secs(901));
    let edit =
        Draft { place: Some(place.clone()), ..draft(&key, TEXT, Content::text("Corrected.")) };
    assert_eq!(discord.post(edit).await.expect("edits"), place);
    // An answer that comes too late for its response is a message of its own.
    let act = fake.command(ADA, TEXT, "ask", &[("question", "again?")]);
    let late = desk.nth(1).await;
    fake.age(act, Duration::from_secs(901));
    let key = format!("answer:{}", late.key);
    discord.post(draft(&key, TEXT, Content::text("Late."))).await.expect("answers");
    assert_eq!(fake.messages(TEXT).len(), 3);
}

#[tokio::test]
async fn answers_of_commands_are_for_the_person_who_used_them() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let act = fake.command(ADA, TEXT, "incident", &[("incident", "INC-1 x")]);
    let (response, _) = fake.response(act).await;
    assert_eq!(response, json!({ "type": 5, "data": { "flags": 64 } }));
    let heard = desk.nth(0).await;
    assert_eq!(said(&heard).0, "incident \"INC-1 x\"");
    discord.ephemeral(heard.address(), Content::text("No such incident.")).await.expect("says");
    assert_eq!(fake.whispered(act).await["content"], "No such incident.");
    assert!(fake.messages(TEXT).is_empty(), "nobody else sees it");
    // A question that is refused leaves no open response before everybody.
    let act = fake.command(ADA, TEXT, "ask", &[("question", "x")]);
    let heard = desk.nth(1).await;
    discord.ephemeral(heard.address(), Content::text("Too many questions.")).await.expect("says");
    assert_eq!(fake.whispered(act).await["content"], "Too many questions.");
    assert!(fake.messages(TEXT).is_empty());
    // A form that a command opens.
    let act = fake.command(ADA, TEXT, "declare", &[]);
    assert_eq!(fake.response(act).await.0["data"]["custom_id"], "v1:declare:none");
}

#[tokio::test]
async fn the_command_is_registered_once_and_its_options_are_completed() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_one, guard) = listening(&fake, &desk, config(&fake)).await;
    fake.until("the command", |w| (w.n_registered == 1).then_some(())).await;
    drop(guard);
    let (_two, _guard) = listening(&fake, &desk, config(&fake)).await;
    let act = fake.complete(TEXT, "silence", "service", "che");
    let (response, ms) = fake.response(act).await;
    let choices = response["data"]["choices"].as_array().expect("choices");
    assert_eq!((choices.len(), &choices[0]["value"]), (25, &json!("che-0")));
    assert_eq!(choices[0]["name"], "Service che-0");
    assert!(ms < FIRST_MS, "{ms} ms");
    fake.until("a second look", |w| {
        let looks =
            w.seen.iter().filter(|s| s.line.starts_with("GET") && s.line.ends_with("/commands"));
        (looks.count() >= 2).then_some(())
    })
    .await;
    assert_eq!(fake.world().n_registered, 1, "what is as it should be is not registered again");
}

#[tokio::test]
async fn a_broken_connection_is_resumed_and_nothing_that_was_said_is_lost() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    let mention = |n: usize| format!("<@{BOT}> question {n}");
    for (n, code) in [None, Some(4_000), Some(1_001)].into_iter().enumerate() {
        fake.hang_up(code);
        fake.say(ADA, TEXT, &mention(n));
        assert_eq!(said(&desk.nth(n).await).0, format!("question {n}"));
        fake.until("it resumed", |w| (w.n_resumed == n + 1).then_some(())).await;
    }
    fake.tell(&json!({ "op": 7, "d": null }));
    fake.until("it resumed", |w| (w.n_resumed == 4).then_some(())).await;
    assert_eq!(fake.world().n_identified, 1, "sessions are not begun anew without need");
    assert_eq!(fake.n_answered(429) + fake.n_answered(401) + fake.n_answered(403), 0);
    // A session that is over is begun anew.
    fake.hang_up(None);
    fake.forget_sessions();
    fake.until("a new session", |w| (w.n_identified == 2).then_some(())).await;
    let up = async || discord.health() == Health::Up;
    crate::support::eventually("it is up", Duration::from_secs(120), up).await;
}

#[tokio::test]
async fn a_gateway_that_acknowledges_nothing_is_left_and_resumed() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    (fake.world().heartbeat_ms, fake.world().deaf_to_heartbeats) = (100, true);
    let (_discord, _guard) = listening(&fake, &desk, config(&fake)).await;
    fake.until("it resumed", |w| (w.n_resumed > 0).then_some(())).await;
    fake.world().deaf_to_heartbeats = false;
    fake.say(ADA, TEXT, &format!("<@{BOT}> there?"));
    assert_eq!(said(&desk.nth(0).await).0, "there?");
}

#[tokio::test]
async fn nothing_is_said_to_be_taken_before_it_is_kept() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard, place) = with_card(&fake, &desk).await;
    desk.fail(2);
    let act = fake.press(ADA, TEXT, id(&place), "Acknowledge");
    assert_eq!(fake.response(act).await.0["type"], 6);
    assert_eq!(desk.heard().len(), 1, "it is kept by then");
    // Where that takes too long it is shown as being worked on, and its end is told.
    let waits = json!({ "type": 5, "data": { "flags": 64 } });
    desk.fail(4);
    let act = fake.press(ADA, TEXT, id(&place), "Acknowledge");
    let (response, ms) = fake.response(act).await;
    assert!(response == waits && ms < FIRST_MS, "{response} after {ms} ms");
    assert_eq!(fake.whispered(act).await["content"], "It was taken.");
    assert_eq!(desk.heard().len(), 2);
    desk.fail(100);
    let act = fake.press(ADA, TEXT, id(&place), "Acknowledge");
    assert_eq!(fake.response(act).await.0, waits);
    let words = fake.whispered(act).await;
    assert_eq!(words["content"], "This could not be taken: internal error. Do it again.");
}

#[tokio::test]
async fn a_first_response_that_failed_is_sent_once_more() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let (_discord, _guard, place) = with_card(&fake, &desk).await;
    fake.fail("/callback", Fail::Html(502));
    let act = fake.press(ADA, TEXT, id(&place), "Resolve");
    let (response, ms) = fake.response(act).await;
    assert!(response["type"] == 9 && ms < FIRST_MS, "{ms} ms");
}

#[tokio::test]
async fn a_token_or_intent_that_is_not_granted_is_told_and_not_hammered() {
    let (fake, desk) = (Fake::start().await, Desk::default());
    let settings = nightjar::chat::discord::Config { message_content: true, ..config(&fake) };
    crate::support::install_tls();
    let discord = nightjar::chat::discord::Discord::new(
        settings,
        std::sync::Arc::new(desk.clone()),
        std::sync::Arc::new(nightjar::model::clock::SystemClock),
    )
    .expect("good settings");
    let shutdown = tokio_util::sync::CancellationToken::new();
    let (one, ended) = (discord.clone(), shutdown.clone());
    crate::support::serve(async move { one.run(ended).await });
    let _guard = shutdown.drop_guard();
    crate::support::eventually("it is told", Duration::from_secs(120), async || {
        matches!(discord.health(), Health::Down { why } if why.contains("Message Content Intent"))
    })
    .await;
    assert_eq!(fake.world().n_identified, 0);
    assert_eq!(fake.seen("/gateway/bot").len(), 1);
}
