//! Channels of their own for incidents: made once, told apart, kept up, closed; and what is said
//! where Slack refuses one.

use nightjar::chat::Room;
use nightjar::chat::room::{Keep, RoomState};
use nightjar::chat::slack::ROOMS;

use super::whole::{PATIENCE, alert, cards, nth, settings};
use super::*;
use crate::bot::Bot;
use crate::support::{eventually, free_port};

fn room(title: &str) -> Room {
    let incident = IncidentId::derive(Time::from_ms(1), &["x"]);
    Room {
        incident,
        platform: "slack".into(),
        name: Room::named(7, title, incident),
        title: title.into(),
        topic: format!("🔴 critical · open · nobody has it yet · {title}"),
        url: Some("https://nightjar.example/#/incidents/INC-1".into()),
        is_over: false,
        channel: None,
        is_settled: false,
        state: RoomState::Due,
        error: None,
        at: Time::from_ms(1),
    }
}

fn grant(fake: &Fake) {
    fake.look().scopes.extend(ROOMS.iter().map(|s| s.name.to_owned()));
}

/// The same workspace with channels for incidents that Ann's group and Bo are invited to.
fn with_rooms(stage: &Stage) -> Slack {
    let mut config = config(&stage.fake, None);
    let own = json!({ "severities": ["critical"], "invite": [GROUP, BO], "archive": true });
    config.incident_channels = serde_json::from_value(own).expect("settings");
    Slack::new(config, stage.recorder.clone(), Arc::new(SystemClock)).expect("is set up")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incidents_channel_is_made_once_whatever_is_lost() {
    let stage = stage(None).await;
    let (fake, slack) = (&stage.fake, with_rooms(&stage));
    grant(fake);
    let card = slack.post(draft("INC-1/card", "one")).await.expect("is posted");
    let keep = Keep { room: room("Checkout <b> & more is slow"), card, close: false };
    // Each answer is lost once; what was done by then is found again.
    for method in [
        "conversations.create",
        "conversations.setTopic",
        "conversations.invite",
        "bookmarks.add",
        "bookmarks.add",
    ] {
        fake.trouble(method, Trouble::DoneUnsaid);
        let fault = slack.room(keep.clone()).await.expect_err("the answer is lost");
        assert!(fault.is_transient(), "{}", fault.chain());
    }
    let kept = slack.room(keep.clone()).await.expect("is kept");
    assert_eq!(kept.lacks, [""; 0]);
    let channel = kept.channel.clone().expect("it is a channel");
    {
        let look = fake.look();
        assert_eq!(look.rooms.len(), 1);
        let made = &look.rooms[&channel];
        assert_eq!(made.people, [BOT_USER, ANN, BO]);
        let titles: Vec<&Value> = made.bookmarks.iter().map(|b| &b["title"]).collect();
        assert_eq!(titles, ["Console", "Incident message"]);
        assert_eq!(
            made.topic,
            ":red_circle: critical · open · nobody has it yet · Checkout  b    more is slow"
        );
        let told = look.messages[&channel].iter().filter(|m| m["subtype"] == "channel_topic");
        assert_eq!(told.count(), 1, "the channel is told of its topic once");
    }
    // Known by its id nothing is made or set again but what changed.
    let settled = Room { channel: kept.channel, is_settled: true, ..keep.room.clone() };
    let taken = Room { topic: "🟡 critical · acknowledged · ann".into(), ..settled };
    for close in [false, false, true, true] {
        let keep = Keep { room: taken.clone(), close, ..keep.clone() };
        let kept = slack.room(keep).await.expect("is kept");
        assert_eq!(kept.channel.as_ref(), Some(&channel));
    }
    let look = fake.look();
    let told = look.messages[&channel].iter().filter(|m| m["subtype"] == "channel_topic");
    assert_eq!((told.count(), look.rooms[&channel].archived), (2, true));
    assert_eq!(look.calls.iter().filter(|(m, _)| m == "conversations.invite").count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_somebody_elses_is_left_to_them() {
    let stage = stage(None).await;
    let (fake, slack) = (&stage.fake, with_rooms(&stage));
    grant(fake);
    let card = slack.post(draft("INC-1/card", "one")).await.expect("is posted");
    let keep = Keep { room: room("Checkout"), card, close: false };
    let name = keep.room.name.clone();
    let theirs = crate::slack_fake::Room { name, creator: CY.into(), ..Default::default() };
    fake.look().rooms.insert("C0THEIRS".into(), theirs);
    let kept = slack.room(keep.clone()).await.expect("is kept");
    let channel = kept.channel.expect("it is a channel");
    assert_eq!(fake.look().rooms[&channel].name, format!("{}-2", keep.room.name));
    assert_eq!(fake.look().rooms["C0THEIRS"].topic, "");
    // Somebody who can't be invited and a bookmark that may not be set are said, not more.
    fake.look().scopes.remove("bookmarks:read");
    let again = Keep { room: Room { channel: Some(channel), ..keep.room }, ..keep };
    let kept = slack.room(again).await.expect("is kept");
    assert!(kept.lacks[0].contains("bookmarks:read (bookmarks in an incident's channel"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_names_the_scopes_of_channels_only_where_they_are_wanted() {
    let stage = stage(None).await;
    let lost = |found: Vec<nightjar::chat::slack::Finding>| -> Vec<String> {
        let lost = found.into_iter().filter(|f| f.result.is_err() && f.what.contains("scope"));
        lost.map(|f| format!("{} {}", f.what, f.result.unwrap_err())).collect()
    };
    assert_eq!(lost(stage.slack.check().await), [""; 0]);
    let slack = with_rooms(&stage);
    let found = lost(slack.check().await);
    assert_eq!(found.len(), ROOMS.len(), "{found:?}");
    assert!(found[2].contains("channels:manage it is not granted; without it are lost: a channel"));
    grant(&stage.fake);
    assert_eq!(lost(slack.check().await), [""; 0]);
}

fn with_channels(fake: &Fake) -> String {
    let own = "[chat.slack.incident_channels]\nseverities = [\"critical\"]\narchive = true\n";
    format!("{}{own}invite = [{GROUP:?}]\n", settings(fake))
}

/// The newest topic, the cards and the pins of the only channel that was made.
fn seen(fake: &Fake) -> Option<(String, Vec<Value>, usize)> {
    let look = fake.look();
    let (id, room) = look.rooms.iter().next()?;
    let mut told = look.messages.get(id).cloned().unwrap_or_default();
    told.retain(|m| m["metadata"]["event_payload"]["key"].is_string());
    Some((room.topic.clone(), told, look.pins.iter().filter(|(c, _)| c == id).count()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_incident_has_its_channel_from_opening_to_archive_across_kill_9() {
    install_tls();
    let fake = Fake::start().await;
    grant(&fake);
    // The process dies between Slack's making of the channel and our knowing.
    fake.trouble("conversations.create", Trouble::DoneUnsaid);
    let mut bot = Bot::on(free_port(), &with_channels(&fake)).await;
    alert(&bot, "CheckoutSlow", "checkout").await;
    eventually("a channel", PATIENCE, async || !fake.look().rooms.is_empty()).await;
    bot.kill();
    bot.again().await;
    eventually("a pinned card in it", PATIENCE, async || {
        seen(&fake).is_some_and(|(topic, told, n_pins)| {
            topic.contains("nobody has it yet") && told.len() == 1 && n_pins == 1
        })
    })
    .await;
    assert!(fake.look().rooms.keys().all(|id| id.starts_with("C0ROOM")));
    assert_eq!(cards(&fake).len(), 1, "the card in the routed channel stands too");

    // Taken there by its button, said in both places and in the topic.
    let id = fake.look().rooms.keys().next().expect("one").clone();
    let card = seen(&fake).expect("one").1.remove(0);
    let ts = card["ts"].as_str().expect("a text").to_owned();
    eventually("connections", PATIENCE, async || fake.n_sockets() == 2).await;
    let click = fake.click(ANN, &id, &ts, nth(&card, Verb::Acknowledge));
    assert!(fake.deliver("interactive", click).await.is_some());
    eventually("the topic to say so", PATIENCE, async || {
        seen(&fake).is_some_and(|s| s.0.contains("acknowledged · ann"))
    })
    .await;

    // A mention there is about the incident.
    let asked = fake.say(ANN, &id, None, &format!("<@{BOT_USER}> what is known?"));
    assert!(fake.deliver("events_api", fake.event(&asked)).await.is_some());
    eventually("an answer", PATIENCE, async || {
        fake.messages(&id).iter().any(|m| m["thread_ts"] == asked["ts"])
    })
    .await;
    let said = fake.messages(&id).iter().map(Value::to_string).collect::<String>();
    assert!(said.contains("CheckoutSlow"), "{said}");

    // It is told to the end, then closed.
    eventually("the card to say so too", PATIENCE, async || {
        seen(&fake).is_some_and(|s| s.1[0]["blocks"].to_string().contains("· ann"))
    })
    .await;
    let card = seen(&fake).expect("one").1.remove(0);
    let click = fake.click(ANN, &id, &ts, nth(&card, Verb::Resolve));
    assert!(fake.deliver("interactive", click).await.is_some());
    eventually("a form", PATIENCE, async || !fake.look().views.is_empty()).await;
    let sent = fake.submit(ANN, &[]);
    assert!(fake.deliver("interactive", sent).await.is_some());
    eventually("the archive", PATIENCE, async || fake.look().rooms[&id].archived).await;
    let (topic, told, n_pins) = seen(&fake).expect("one");
    assert!(topic.contains("resolved"), "{topic}");
    assert!(told[0]["blocks"].to_string().contains("🟢") && n_pins == 0, "{told:?}");
    assert_eq!(fake.look().rooms.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_the_card_stands_and_its_thread_says_why() {
    install_tls();
    let fake = Fake::start().await;
    let bot = Bot::on(free_port(), &with_channels(&fake)).await;
    alert(&bot, "CheckoutSlow", "checkout").await;
    eventually("a card", PATIENCE, async || cards(&fake).len() == 1).await;
    eventually("the reason", PATIENCE, async || {
        let said = fake.messages(CHANNEL).iter().map(Value::to_string).collect::<String>();
        said.contains("No channel of its own was opened") && said.contains("channels:manage")
    })
    .await;
    assert!(fake.look().rooms.is_empty());
}
