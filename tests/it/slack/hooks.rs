//! The way by HTTP: signed calls are taken like frames of Socket Mode, others are refused.

use hmac::{Hmac, Mac as _};
use nightjar::chat::{Hook, Hooked, Said};
use nightjar::model::id::hex;
use nightjar::model::wall_now;
use sha2::Sha256;

use super::*;
use crate::support::eventually;

pub(crate) fn hook(door: &str, body: &str, secret: &str) -> Hook {
    let at = (wall_now().ms() / 1_000).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(format!("v0:{at}:{body}").as_bytes());
    let signature = format!("v0={}", hex(&mac.finalize().into_bytes()));
    let headers = BTreeMap::from([
        ("x-slack-request-timestamp".to_owned(), at),
        ("x-slack-signature".to_owned(), signature),
    ]);
    Hook { door: format!("slack/{door}"), headers, body: body.as_bytes().to_vec(), sole: true }
}

pub(crate) fn form(name: &str, payload: &Value) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, &payload.to_string())
        .finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_calls_are_heard_and_others_refused() {
    let Stage { fake, slack, recorder, .. } = &stage(None).await;
    let send = async |door: &str, body: &str| {
        slack.hook(hook(door, body, "not-a-real-secret")).await.expect("it is for Slack")
    };
    let challenge = json!({ "type": "url_verification", "challenge": "abc" }).to_string();
    let taken = send("events", &challenge).await;
    assert_eq!(taken, Hooked::Taken(Some(json!({ "challenge": "abc" }))));
    let wrong = slack.hook(hook("events", &challenge, "another")).await.expect("for Slack");
    assert!(matches!(wrong, Hooked::Unsigned(why) if why.contains("does not fit")));
    assert_eq!(
        slack.hook(hook("x", "", "y")).await.map(|h| matches!(h, Hooked::Unsigned(_))),
        Some(true)
    );

    let direct = fake.event(&fake.say(ANN, "D0ANN", None, "status")).to_string();
    for _ in 0..2 {
        assert_eq!(send("events", &direct).await, Hooked::Taken(None));
    }
    let command = "command=%2Fnightjar&text=oncall&user_id=U0BO&channel_id=C0OTHER&trigger_id=T.9";
    assert_eq!(send("commands", command).await, Hooked::Taken(None));
    let heard: Vec<Said> = recorder.heard().into_iter().map(|h| h.said).collect();
    let said = Said::Message { text: "status".into(), addressed: true };
    assert_eq!(heard, [said, Said::Command { text: "oncall".into() }]);

    let card = Card { buttons: vec![button(Verb::Resolve)], ..Card::words("a", "b") };
    let place = slack.post(Draft::new("k", CHANNEL, Content::card(card))).await.expect("is posted");
    let click = fake.click(ANN, CHANNEL, &place.message, 0);
    assert_eq!(send("interactive", &form("payload", &click)).await, Hooked::Taken(None));
    eventually("a form", Duration::from_secs(120), async || !fake.look().views.is_empty()).await;
    let reason = json!({ "type": "plain_text_input", "value": "x" });
    let sent = fake.submit(ANN, &[("reason", reason)]);
    let Hooked::Taken(Some(payload)) = send("interactive", &form("payload", &sent)).await else {
        panic!("the faults are shown in the form");
    };
    assert_eq!(payload["response_action"], "errors");
    let broken = send("interactive", "nothing=1").await;
    assert_eq!(broken, Hooked::Refused("The form has no field `payload`."));
}
