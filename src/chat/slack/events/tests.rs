//! Slack's payloads as what happened.

use serde_json::json;

use super::*;

fn me() -> Me {
    Me { user: "UBOT".into(), bot: "BBOT".into(), team: "T0".into() }
}

#[test]
fn a_payload_is_ours_where_any_of_its_workspaces_is() {
    let whose = |payload: serde_json::Value| whose(&payload, &me());
    assert_eq!(whose(json!({ "type": "event_callback", "team_id": "T0" })), Whose::Ours);
    assert_eq!(whose(json!({ "type": "event_callback", "team_id": "T1" })), Whose::Foreign);
    assert_eq!(whose(json!({ "type": "url_verification" })), Whose::Ours);
    // Somebody of another organisation, in a shared channel.
    let shared = json!({ "team_id": "T1", "authorizations": [{ "team_id": "T0" }] });
    assert_eq!(whose(shared), Whose::Ours);
    let click = json!({ "team": { "id": "T1" }, "message": { "team": "T0" } });
    assert_eq!(whose(click), Whose::Ours);
    // An app of a whole organisation names no team, but where the person is.
    let click = json!({ "team": null, "user": { "team_id": "T1" } });
    assert_eq!(whose(click.clone()), Whose::Foreign);
    assert_eq!(super::whose(&click, &Me::default()), Whose::Unsure);
}

fn said(event: Value) -> Happened {
    super::event(&json!({ "event": event, "event_id": "Ev1" }), &me())
}

fn key(happened: &Happened) -> &str {
    match happened {
        Happened::Said { spot, .. }
        | Happened::Command { spot, .. }
        | Happened::Pressed { spot, .. }
        | Happened::Submitted { spot, .. }
        | Happened::Declare { spot, .. }
        | Happened::Links { spot, .. } => &spot.key,
        Happened::Home { .. } | Happened::Nothing => "",
    }
}

#[test]
fn a_mention_is_the_same_as_event_and_as_message() {
    let text = "<@UBOT> why is <https://shop.example/a|the shop> slow &amp; who is <@U2|ann>?";
    let mention = json!({
        "type": "app_mention", "user": "U1", "channel": "C1", "ts": "1763607600.000100",
        "text": text,
    });
    let mut message = mention.clone();
    message["type"] = "message".into();
    message["channel_type"] = "channel".into();
    let (mention, message) = (said(mention), said(message));
    assert_eq!(mention, message);
    assert_eq!(key(&mention), "message:C1:1763607600.000100");
    let Happened::Said { spot, text, addressed } = mention else { panic!("{mention:?}") };
    assert!(addressed);
    assert_eq!(text, "why is https://shop.example/a slow & who is @ann?");
    assert_eq!(spot.thread, None);
    assert_eq!(spot.message.as_deref(), Some("1763607600.000100"));
    assert_eq!(spot.at, Some(Time::from_ms(1_763_607_600_000)));
}

#[test]
fn what_is_said_in_a_thread_or_directly_is_heard_and_the_rest_of_a_channel_is_not() {
    let base = json!({ "type": "message", "user": "U1", "channel": "C1", "ts": "2.000001",
                       "text": "is it over?", "channel_type": "channel" });
    assert_eq!(said(base.clone()), Happened::Nothing);
    let mut thread = base.clone();
    thread["thread_ts"] = "1.000001".into();
    let Happened::Said { spot, addressed, .. } = said(thread.clone()) else { panic!("heard") };
    assert!(!addressed);
    assert_eq!(spot.thread.as_deref(), Some("1.000001"));
    let mut direct = base;
    direct["channel_type"] = "im".into();
    direct["channel"] = "D1".into();
    assert!(matches!(said(direct), Happened::Said { addressed: true, .. }));
    for (name, value) in [
        ("bot_id", json!("BBOT")),
        ("subtype", json!("message_changed")),
        ("subtype", json!("channel_join")),
        ("user", json!("UBOT")),
    ] {
        let mut other = thread.clone();
        other[name] = value;
        assert_eq!(said(other), Happened::Nothing, "{name}");
    }
}

#[test]
fn a_click_on_a_card_and_one_within_a_thread() {
    let mut payload = json!({
        "type": "block_actions", "user": { "id": "U1" }, "trigger_id": "T.1",
        "channel": { "id": "C1" }, "container": { "type": "message", "message_ts": "5.000001" },
        "message": { "ts": "5.000001" },
        "actions": [{ "type": "button", "action_id": "nightjar:0", "value": "v1:x",
                      "action_ts": "9.000002" }],
    });
    let clicked = interactive(&payload);
    assert_eq!(key(&clicked), "click:U1:9.000002:v1:x");
    let Happened::Pressed { spot, .. } = &clicked else { panic!("{clicked:?}") };
    assert!(spot.in_channel);
    assert_eq!(spot.thread.as_deref(), Some("5.000001"));
    // The same click with another trigger is the same click.
    payload["trigger_id"] = "T.2".into();
    assert_eq!(key(&interactive(&payload)), key(&clicked));
    payload["container"]["thread_ts"] = "4.000001".into();
    let Happened::Pressed { spot, .. } = interactive(&payload) else { panic!("pressed") };
    assert!(!spot.in_channel);
    assert_eq!(
        (spot.thread.as_deref(), spot.message.as_deref()),
        (Some("4.000001"), Some("5.000001"))
    );
}

#[test]
fn what_is_chosen_in_a_menu_is_a_click_and_a_link_is_nothing() {
    for kind in ["overflow", "static_select"] {
        let click = json!({
            "type": "block_actions", "user": { "id": "U1" }, "channel": { "id": "C1" },
            "container": { "message_ts": "1.5" }, "actions": [{
                "type": kind, "action_id": "nightjar:more", "action_ts": "9.9",
                "selected_option": { "text": { "text": "Merge…" }, "value": "v1:merge:INC-1" },
            }],
        });
        let Happened::Pressed { spot, code } = interactive(&click) else { panic!("a click") };
        assert_eq!(
            (code.as_str(), spot.key.as_str()),
            ("v1:merge:INC-1", "click:U1:9.9:v1:merge:INC-1")
        );
    }
    let link = json!({
        "type": "block_actions", "user": { "id": "U1" },
        "actions": [{ "type": "button", "url": "https://nightjar.example", "action_ts": "9.9" }],
    });
    assert_eq!(interactive(&link), Happened::Nothing);
}

#[test]
fn a_form_brings_back_its_code_and_plain_values() {
    let metadata =
        Metadata { code: "v1:y".into(), channel: "C1".into(), thread: Some("1.2".into()) };
    let view = json!({
        "id": "V1", "hash": "h", "private_metadata": serde_json::to_string(&metadata).expect("ours"),
        "state": { "values": {
            "reason": { "value": { "type": "plain_text_input", "value": "because" } },
            "who": { "value": { "type": "static_select", "selected_option": { "value": "a" } } },
            "at": { "value": { "type": "datetimepicker", "selected_date_time": 1_795_147_200 } },
            "empty": { "value": { "type": "plain_text_input", "value": null } },
        } },
    });
    let payload = json!({ "type": "view_submission", "user": { "id": "U1" }, "view": view });
    let happened = interactive(&payload);
    assert_eq!(key(&happened), "submit:V1:h:01ed7391e6af:U1");
    // Values that were mended after a failure are another wish; the same ones are the same.
    assert_eq!(key(&interactive(&payload)), key(&happened));
    let mut mended = payload.clone();
    mended["view"]["state"]["values"]["reason"]["value"]["value"] = "for a reason".into();
    assert_ne!(key(&interactive(&mended)), key(&happened));
    let Happened::Submitted { spot, code, values } = happened else { panic!("a form") };
    assert_eq!(
        (code.as_str(), spot.channel.as_str(), spot.thread.as_deref()),
        ("v1:y", "C1", Some("1.2"))
    );
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (&**k, &**v)).collect();
    let at = "2026-11-20T04:00:00.000Z";
    assert_eq!(values, [("at", at), ("empty", ""), ("reason", "because"), ("who", "a")]);
}

#[test]
fn commands_shortcuts_homes_and_links() {
    let payload = json!({ "command": "/nightjar", "text": "ask why &lt;orders&gt; is slow",
        "user_id": "U1", "channel_id": "C1", "trigger_id": "T.3" });
    let Happened::Command { spot, text } = command(&payload) else { panic!("a command") };
    assert_eq!((spot.key.as_str(), text.as_str()), ("command:T.3", "ask why <orders> is slow"));
    let mut shortcut = json!({
        "type": "message_action", "callback_id": "ask_about", "user": { "id": "U1" },
        "trigger_id": "T.4", "action_ts": "7.000000", "channel": { "id": "C1" },
        "message": { "ts": "6.000000", "text": "the shop is slow" },
    });
    let Happened::Said { spot, addressed: true, .. } = interactive(&shortcut) else {
        panic!("said")
    };
    assert_eq!(spot.thread.as_deref(), Some("6.000000"));
    shortcut["callback_id"] = "open_from".into();
    assert!(
        matches!(interactive(&shortcut), Happened::Declare { text, .. } if text == "the shop is slow")
    );
    let home = said(json!({ "type": "app_home_opened", "user": "U1", "tab": "home" }));
    assert_eq!(home, Happened::Home { user: "U1".into() });
    let links = said(json!({ "type": "link_shared", "user": "U1", "channel": "C1",
        "message_ts": "8.000000", "links": [{ "url": "https://bot.example/i/INC-1" }] }));
    assert!(matches!(links, Happened::Links { urls, .. } if urls.len() == 1));
}

#[test]
fn what_makes_no_sense_is_nothing() {
    for payload in [json!(null), json!({}), json!({ "type": "block_actions", "actions": [] })] {
        assert_eq!(interactive(&payload), Happened::Nothing);
        assert_eq!(command(&payload), Happened::Nothing);
        assert_eq!(super::event(&payload, &me()), Happened::Nothing);
    }
    assert_eq!(time("x"), None);
    assert_eq!(time("99999999999999999999.1"), None);
    assert_eq!(words("a <b and <not closed", ""), "a <b and <not closed");
}
