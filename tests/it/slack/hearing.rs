//! What people do in Slack, through Socket Mode, and how soon it is acknowledged.

use std::time::Instant;

use futures_util::future::join_all;
use nightjar::chat::Said;

use super::*;
use crate::support::eventually;

const PATIENCE: Duration = Duration::from_secs(120);
/// Within this Slack wants an acknowledgement.
const LIMIT: Duration = Duration::from_secs(3);

async fn connected() -> Stage {
    let stage = stage(Some(APP_TOKEN)).await;
    eventually("two connections", PATIENCE, async || stage.fake.n_sockets() == 2).await;
    eventually("health", PATIENCE, async || stage.slack.health() == Health::Up).await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_is_heard_once_however_often_it_comes() {
    let stage = connected().await;
    let Stage { fake, recorder, .. } = &stage;
    let mut said = fake.say(ANN, CHANNEL, None, "<@U0BOT> why is it &lt;slow&gt;?");
    let message = fake.event(&said);
    said["type"] = "app_mention".into();
    let mention = fake.event(&said);
    for (n, payload) in [&message, &mention, &mention, &message].into_iter().enumerate() {
        // The same envelope again, another one, and one whose first try was lost.
        let attempt = u32::try_from(n).expect("small") % 2;
        let envelope = format!("same-{}", n / 3);
        let ack = fake.deliver_as(&envelope, attempt, "events_api", payload.clone()).await;
        assert!(ack.expect("is acknowledged").after < LIMIT);
    }
    let heard = recorder.heard();
    assert_eq!(heard.len(), 1);
    let inbound = &heard[0];
    assert_eq!((inbound.actor.role, inbound.platform.as_str()), (Role::Viewer, "slack"));
    let ann = stage.who(inbound).await;
    assert_eq!((ann.role, ann.name.as_str()), (Role::Approver, "ann"), "by her group");
    assert_eq!(inbound.message.as_deref(), said["ts"].as_str());
    let words = Said::Message { text: "why is it <slow>?".into(), addressed: true };
    assert_eq!(inbound.said, words);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_in_threads_commands_and_direct_messages_are_heard() {
    let stage = connected().await;
    let Stage { fake, slack, recorder, .. } = &stage;
    let root = slack.post(draft("INC-1/card", "one")).await.expect("is posted");
    let reply = fake.say(BO, CHANNEL, Some(&root.message), "is it over?");
    let direct = fake.say(CY, "D0CY", None, "status");
    let chatter = fake.say(CY, CHANNEL, None, "lunch?");
    for said in [&reply, &direct, &chatter] {
        assert!(fake.deliver("events_api", fake.event(said)).await.is_some());
    }
    assert!(fake.deliver("slash_commands", fake.command(BO, OTHER, "oncall")).await.is_some());
    let heard = recorder.heard();
    let mut said = Vec::new();
    for h in &heard {
        said.push((stage.who(h).await.role, &h.said));
    }
    let message = |text: &str, addressed| Said::Message { text: text.into(), addressed };
    assert_eq!(
        said,
        [
            (Role::Responder, &message("is it over?", false)),
            (Role::Viewer, &message("status", true)),
            (Role::Responder, &Said::Command { text: "oncall".into() }),
        ]
    );
    assert_eq!(heard[0].thread.as_deref(), Some(&*root.message));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_that_asks_nothing_is_handed_on_once() {
    let Stage { fake, slack, recorder, .. } = &connected().await;
    let card = Card { buttons: vec![button(Verb::Acknowledge)], ..Card::words("a", "b") };
    let place = slack.post(Draft::new("k", CHANNEL, Content::card(card))).await.expect("is posted");
    let click = fake.click(CY, CHANNEL, &place.message, 0);
    for _ in 0..3 {
        assert!(fake.deliver("interactive", click.clone()).await.is_some());
    }
    let heard = recorder.heard();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].said, Said::Click { code: button(Verb::Acknowledge).code() });
    assert_eq!(heard[0].thread.as_deref(), Some(&*place.message));
    // What is answered to a click on a card in the channel is seen in the channel.
    slack.ephemeral(heard[0].address(), Content::text("Taken.")).await.expect("is said");
    assert_eq!(fake.look().ephemeral[0]["thread_ts"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_opens_at_once_shows_its_faults_and_is_handed_on() {
    let Stage { fake, slack, recorder, .. } = &connected().await;
    let card = Card { buttons: vec![button(Verb::Resolve)], ..Card::words("a", "b") };
    let place = slack.post(Draft::new("k", CHANNEL, Content::card(card))).await.expect("is posted");
    let click = fake.click(ANN, CHANNEL, &place.message, 0);
    assert!(fake.deliver("interactive", click).await.is_some());
    eventually("a form", PATIENCE, async || !fake.look().views.is_empty()).await;
    let text = |value: &str| json!({ "type": "plain_text_input", "value": value });
    let at = json!({ "type": "datetimepicker", "selected_date_time": 1_795_147_200 });
    let sent = fake.submit(ANN, &[("reason", text("x")), ("at", at.clone())]);
    let ack = fake.deliver("interactive", sent).await.expect("is acknowledged");
    let errors = json!({
        "response_action": "errors", "errors": { "reason": "Say more than that. And this." },
    });
    assert_eq!(ack.payload, Some(errors));
    assert_eq!(recorder.heard(), []);
    let sent = fake.submit(ANN, &[("reason", text("it was the cache")), ("at", at)]);
    let ack = fake.deliver("interactive", sent.clone()).await.expect("is acknowledged");
    assert_eq!(ack.payload, None, "the form closes");
    fake.deliver("interactive", sent).await.expect("is acknowledged");
    let heard = recorder.heard();
    assert_eq!(heard.len(), 1);
    let Said::Submit { code, values } = &heard[0].said else { panic!("a form") };
    assert_eq!(*code, button(Verb::Resolve).code());
    assert_eq!(values["reason"], "it was the cache");
    assert_eq!(values["at"], "2026-11-20T04:00:00.000Z");
    assert_eq!(heard[0].channel, CHANNEL);
    assert_eq!(heard[0].thread.as_deref(), Some(&*place.message));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_alone_and_a_late_form_is_explained() {
    let Stage { fake, slack, recorder, .. } = &connected().await;
    let card = Card { buttons: vec![button(Verb::Resolve)], ..Card::words("a", "b") };
    let place = slack.post(Draft::new("k", CHANNEL, Content::card(card))).await.expect("is posted");
    let click = fake.click(CY, CHANNEL, &place.message, 0);
    assert!(fake.deliver("interactive", click).await.is_some());
    eventually("a refusal", PATIENCE, async || !fake.look().ephemeral.is_empty()).await;
    let told = fake.look().ephemeral[0].clone();
    assert_eq!(
        (told["user"].as_str(), told["text"].as_str()),
        (Some(CY), Some("A viewer may not do this; ask a responder."))
    );
    let mut click = fake.click(ANN, CHANNEL, &place.message, 0);
    click["trigger_id"] = "T.long-gone".into();
    fake.trouble("views.open", Trouble::Error("expired_trigger_id"));
    assert!(fake.deliver("interactive", click).await.is_some());
    eventually("a word", PATIENCE, async || fake.look().ephemeral.len() == 2).await;
    let told = fake.look().ephemeral[1]["text"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("press the button again"), "{told}");
    assert_eq!(recorder.heard(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn shortcuts_home_and_links() {
    let Stage { fake, recorder, .. } = &connected().await;
    let said = fake.say(CY, CHANNEL, None, "the shop is slow");
    let shortcut = |callback: &str| {
        json!({
            "type": "message_action", "callback_id": callback, "user": { "id": ANN },
            "team": { "id": "T0" }, "channel": { "id": CHANNEL }, "message": said,
            "trigger_id": fake.trigger(), "action_ts": "5.000001",
        })
    };
    assert!(fake.deliver("interactive", shortcut("ask_about")).await.is_some());
    let heard = recorder.heard();
    assert_eq!(heard[0].said, Said::Message { text: "the shop is slow".into(), addressed: true });
    assert!(fake.deliver("interactive", shortcut("open_from")).await.is_some());
    eventually("a form", PATIENCE, async || !fake.look().views.is_empty()).await;
    let blocks = fake.look().views[0]["blocks"].clone();
    assert_eq!(blocks[1]["element"]["initial_value"], "the shop is slow");
    let home = json!({ "type": "app_home_opened", "user": BO, "channel": "D0BO", "tab": "home" });
    assert!(fake.deliver("events_api", fake.event(&home)).await.is_some());
    eventually("a home", PATIENCE, async || fake.look().homes.contains_key(BO)).await;
    let title = fake.look().homes[BO]["blocks"][0]["text"]["text"].clone();
    assert_eq!(title, "bo has the watch");
    let links = json!({
        "type": "link_shared", "user": BO, "channel": CHANNEL, "message_ts": said["ts"],
        "links": [
            { "url": "https://bot.example/incidents/INC-1", "domain": "bot.example" },
            { "url": "https://bot.example/other", "domain": "bot.example" },
        ],
    });
    assert!(fake.deliver("events_api", fake.event(&links)).await.is_some());
    eventually("a preview", PATIENCE, async || !fake.look().unfurls.is_empty()).await;
    let unfurls = fake.look().unfurls[0]["unfurls"].clone();
    assert_eq!(unfurls.as_object().map(serde_json::Map::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_prompt_and_none_comes_before_the_commit() {
    let Stage { fake, recorder, .. } = &connected().await;
    *recorder.slow.lock().expect("not poisoned") = Duration::from_millis(5);
    let direct = |n: usize| fake.event(&fake.say(ANN, "D0ANN", None, &format!("question {n}")));
    let payloads: Vec<Value> = (0..40).map(direct).collect();
    let started = Instant::now();
    let acks = join_all(payloads.into_iter().map(|p| fake.deliver("events_api", p))).await;
    let mut after: Vec<Duration> = acks.into_iter().flatten().map(|a| a.after).collect();
    after.sort();
    assert_eq!(after.len(), 40, "every envelope is acknowledged");
    println!(
        "acknowledged: p50 {:?}, p99 {:?}, all within {:?}",
        after[20],
        after[38],
        started.elapsed()
    );
    assert!(after[39] < LIMIT, "{:?}", after[39]);
    assert_eq!(recorder.heard().len(), 40, "all of it is kept by then");
    // What is not kept in time is not acknowledged, so that Slack sends it again; it is kept all
    // the same, once.
    *recorder.slow.lock().expect("not poisoned") = Duration::from_millis(1_500);
    *recorder.fails.lock().expect("not poisoned") = 1;
    let late = direct(40);
    assert!(fake.deliver("events_api", late.clone()).await.is_none());
    eventually("it to be kept", PATIENCE, async || recorder.heard().len() == 41).await;
    *recorder.slow.lock().expect("not poisoned") = Duration::ZERO;
    let ack = fake.deliver("events_api", late).await.expect("it is acknowledged now");
    assert!(ack.after < LIMIT, "{:?}", ack.after);
    assert_eq!(recorder.heard().len(), 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_renewed_or_cut_come_back() {
    let Stage { fake, slack, recorder, .. } = &connected().await;
    fake.renew();
    eventually("a new connection", PATIENCE, async || {
        fake.n_calls("apps.connections.open") >= 4 && fake.n_sockets() == 2
    })
    .await;
    assert_eq!(slack.health(), Health::Up, "the other connection stood");
    fake.drop_sockets();
    eventually("new connections", PATIENCE, async || fake.n_sockets() == 2).await;
    eventually("health", PATIENCE, async || slack.health() == Health::Up).await;
    let payload = fake.event(&fake.say(ANN, "D0ANN", None, "still there?"));
    assert!(fake.deliver("events_api", payload).await.is_some());
    assert_eq!(recorder.heard().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_renewed_before_slack_ends_them() {
    let Stage { fake, slack, recorder, .. } = &connected().await;
    fake.look().connection_s = 4;
    fake.drop_sockets();
    eventually("new connections", PATIENCE, async || fake.n_sockets() == 2).await;
    let n = fake.n_calls("apps.connections.open");
    eventually("each to be renewed", PATIENCE, async || {
        assert!(fake.n_sockets() > 0, "one stands at any time");
        fake.n_calls("apps.connections.open") >= n + 3
    })
    .await;
    eventually("two connections", PATIENCE, async || fake.n_sockets() == 2).await;
    fake.look().connection_s = 18_060;
    assert_eq!(slack.health(), Health::Up);
    let payload = fake.event(&fake.say(ANN, "D0ANN", None, "still there?"));
    assert!(fake.deliver("events_api", payload).await.is_some());
    assert_eq!(recorder.heard().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_token_revoked_while_it_runs_is_told() {
    let Stage { fake, slack, .. } = &connected().await;
    fake.look().app_revoked = true;
    fake.drop_sockets();
    eventually(
        "the reason",
        PATIENCE * 2,
        async || matches!(slack.health(), Health::Down { why } if why.contains("app_token")),
    )
    .await;
    fake.look().app_revoked = false;
    eventually("health", PATIENCE * 2, async || slack.health() == Health::Up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_app_token_is_told() {
    let stage = stage(Some(BOT_TOKEN)).await;
    eventually(
        "the reason",
        PATIENCE,
        async || matches!(stage.slack.health(), Health::Down { why } if why.contains("xapp-")),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_directory_keeps_no_click_waiting() {
    let stage = connected().await;
    let Stage { fake, slack, recorder, .. } = &stage;
    let card = Card { buttons: vec![button(Verb::Acknowledge)], ..Card::words("a", "b") };
    let place = slack.post(Draft::new("k", CHANNEL, Content::card(card))).await.expect("is posted");
    fake.trouble("users.info", Trouble::Late(Duration::from_secs(2)));
    let ack = fake.deliver("interactive", fake.click(ANN, CHANNEL, &place.message, 0)).await;
    assert!(ack.expect("is acknowledged").after < LIMIT);
    // It is kept by then, and nobody has guessed who she is.
    let heard = recorder.heard();
    assert_eq!((heard.len(), heard[0].actor.role), (1, Role::Viewer));
    fake.trouble("users.info", Trouble::Html(502));
    assert_eq!(stage.who(&heard[0]).await.role, Role::Approver, "late");
    // From now on it is known at once.
    let ack = fake.deliver("interactive", fake.click(ANN, CHANNEL, &place.message, 0)).await;
    assert!(ack.is_some());
    let second = recorder.heard().remove(1);
    assert_eq!((second.unresolved, second.actor.role), (false, Role::Approver));
    // Whom Slack can't tell now is asked for again; nobody's role follows from its silence.
    let ack = fake.deliver("interactive", fake.click(BO, CHANNEL, &place.message, 0)).await;
    assert!(ack.is_some());
    let third = recorder.heard().remove(2);
    assert!(slack.who(third.clone()).await.expect_err("a proxy answers").is_transient());
    assert_eq!(stage.who(&third).await.role, Role::Responder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_directory_refuses_nobody() {
    let stage = connected().await;
    let Stage { fake, slack, .. } = &stage;
    let card = Card { buttons: vec![button(Verb::Resolve)], ..Card::words("a", "b") };
    let place = slack.post(Draft::new("k", CHANNEL, Content::card(card))).await.expect("is posted");
    let press = async || {
        let click = fake.click(ANN, CHANNEL, &place.message, 0);
        assert!(fake.deliver("interactive", click).await.is_some());
    };
    fake.trouble("users.info", Trouble::Late(Duration::from_secs(2)));
    press().await;
    eventually("a word", PATIENCE, async || fake.look().ephemeral.len() == 1).await;
    let told = fake.look().ephemeral[0]["text"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("did not say in time who you are"), "{told}");
    assert!(told.contains("press again") && !told.contains("may not"), "{told}");
    // It was asked on, so that the next press finds her known.
    eventually("her name", PATIENCE, async || fake.n_calls("usergroups.users.list") == 1).await;
    press().await;
    eventually("a form", PATIENCE, async || !fake.look().views.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_asks_says_at_once_that_it_was_taken() {
    let Stage { fake, slack, .. } = &connected().await;
    let ack = async |text: &str| {
        let ack = fake.deliver("slash_commands", fake.command(ANN, CHANNEL, text)).await;
        ack.expect("is acknowledged").payload
    };
    let taken = json!({ "response_type": "ephemeral", "text": "Looking into it …" });
    assert_eq!(ack("ask is it slow?").await, Some(taken));
    assert_eq!(ack("oncall").await, None, "that is answered at once");
    // A command is no message that could bear a sign.
    slack.working(address(ANN, CHANNEL, None), String::new(), true).await.expect("nothing is done");
    assert_eq!(fake.n_calls("reactions.add"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_where_the_bot_is_not_reaches_its_asker() {
    let Stage { fake, slack, .. } = &stage(None).await;
    for (n, channel) in [OTHER, ARCHIVED, "C0NOWHERE"].into_iter().enumerate() {
        let thread = Place { channel: channel.into(), ..slack_place("1.1") };
        let answer = |words: &str| Draft {
            asker: Some(ANN.into()),
            thread: Some(thread.clone()),
            ..Draft::new(format!("answer:{n}"), channel, Content::text(words))
        };
        let place = slack.post(answer("It is slow.")).await.expect("she is told directly");
        assert_eq!(place.channel, "D0ANN");
        let edit = Draft { place: Some(place.clone()), ..answer("It was slow.") };
        assert_eq!(slack.post(edit).await.expect("is edited"), place);
        let messages = fake.messages("D0ANN");
        assert_eq!((messages.len(), &messages[n]["thread_ts"]), (n + 1, &Value::Null));
        let blocks = messages[n]["blocks"].to_string();
        assert!(
            blocks.contains("where the bot can't write") && blocks.contains(channel),
            "{blocks}"
        );
        // In doubt it is found there, and told again where that can't be looked up.
        let doubtful = |words: &str| Draft { doubtful: true, ..answer(words) };
        assert_eq!(slack.post(doubtful("It is slow.")).await.expect("is found"), place);
        assert_eq!(fake.messages("D0ANN").len(), n + 1);
        let scopes = fake.look().scopes.clone();
        fake.look().scopes.retain(|s| s != "im:write");
        slack.post(doubtful("x")).await.expect("she is told");
        fake.look().scopes = scopes;
        assert_eq!(fake.messages("D0ANN").len(), n + 2);
        fake.look().messages.entry("D0ANN".into()).or_default().truncate(n + 1);
    }
}

fn slack_place(message: &str) -> Place {
    Place { platform: "slack".into(), channel: CHANNEL.into(), message: message.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_is_shown_anew_after_what_was_done_there() {
    let Stage { fake, slack, recorder, .. } = &connected().await;
    let click = |n: u64| {
        json!({
            "type": "block_actions", "user": { "id": BO }, "team": { "id": "T0" },
            "container": { "type": "view", "view_id": "V1" }, "trigger_id": fake.trigger(),
            "actions": [{
                "type": "button", "value": button(Verb::Acknowledge).code(),
                "action_ts": format!("7.{n:06}"),
            }],
        })
    };
    for told_alone in [true, false] {
        let n = fake.n_calls("views.publish");
        let payload = click(u64::from(told_alone));
        assert!(fake.deliver("interactive", payload).await.is_some());
        assert_eq!(fake.n_calls("views.publish"), n, "it is not done yet");
        let inbound = recorder.heard().pop().expect("it was heard");
        let words = Content::text("Incident #1 is yours.");
        if told_alone {
            slack.ephemeral(inbound.address(), words).await.expect("is told");
        } else {
            let answer = Draft { asker: Some(BO.into()), ..Draft::new("answer:1", CHANNEL, words) };
            slack.post(answer).await.expect("is posted");
        }
        assert_eq!(fake.n_calls("views.publish"), n + 1);
        slack.ephemeral(address(BO, CHANNEL, None), Content::text("x")).await.expect("is told");
        assert_eq!(fake.n_calls("views.publish"), n + 1, "nothing was done there since");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_by_name_need_no_scope_for_private_ones() {
    let Stage { fake, slack, .. } = &stage(None).await;
    fake.look().scopes.remove("groups:read");
    let place = slack.post(draft("INC-1/card", "one")).await.expect("a public channel is found");
    assert_eq!(place.channel, CHANNEL);
    fake.look().scopes.remove("channels:read");
    let elsewhere = Draft { channel: "#other".into(), ..draft("k", "x") };
    let fault = slack.post(elsewhere).await.expect_err("this one is needed");
    assert!(fault.to_string().contains("channels:read"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_slack_will_not_tell_gives_no_role() {
    let stage = connected().await;
    let Stage { fake, recorder, .. } = &stage;
    for (n, user) in [ANN, BO].into_iter().enumerate() {
        fake.trouble("usergroups.users.list", Trouble::Error("missing_scope"));
        let command = fake.command(user, CHANNEL, "oncall");
        assert!(fake.deliver("slash_commands", command).await.is_some());
        let by_group = recorder.heard().remove(n);
        let role = stage.who(&by_group).await.role;
        assert_eq!(role, if user == ANN { Role::Viewer } else { Role::Responder });
    }
}
