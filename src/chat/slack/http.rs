//! The way without Socket Mode: what Slack sends by HTTP, signed with the signing secret.
//!
//! The signature is an HMAC-SHA256 over `v0:<timestamp>:<body>`, and a call older than five minutes
//! is refused (docs.slack.dev/authentication/verifying-requests-from-slack). What is taken is
//! acknowledged like a frame of Socket Mode.

use std::time::Duration;

use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::Slack;
use super::events::{Happened, Whose, command, event, interactive, whose};
use crate::chat::{Hook, Hooked};
use crate::model::{Secret, Time, wall_now};

/// How far a call's time may be from ours, in seconds.
const SKEW_S: i64 = 300;
/// How long an acknowledgement may wait for the commit; Slack gives 3 s.
const PATIENCE: Duration = Duration::from_millis(900);

/// Whether a call was signed with this secret, and just now.
///
/// # Errors
/// It was not, with the reason.
pub fn verify(
    timestamp: Option<&str>,
    signature: Option<&str>,
    body: &[u8],
    secret: &Secret,
    now: Time,
) -> Result<(), &'static str> {
    let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
        return Err("The call carries no signature of Slack's.");
    };
    let digits = signature.strip_prefix("v0=").and_then(crate::model::id::unhex);
    let given = digits.ok_or("The signature is not one of version 0.")?;
    if secret.is_empty() {
        return Err("No signing secret is set.");
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .expect("an HMAC takes a key of any length");
    for part in [b"v0:", timestamp.as_bytes(), b":", body] {
        mac.update(part);
    }
    mac.verify_slice(&given).map_err(|_| "The signature does not fit the signing secret.")?;
    let at: i64 = timestamp.parse().map_err(|_| "The call's time is no number.")?;
    if (now.ms() / 1_000).abs_diff(at) > SKEW_S.unsigned_abs() {
        return Err("The call is more than five minutes old, or this machine's clock is wrong.");
    }
    Ok(())
}

impl Slack {
    /// A call at `/hooks/slack/…`; `None`: this workspace takes none.
    pub(super) async fn called(&self, hook: Hook) -> Option<Hooked> {
        let door = hook.door.strip_prefix("slack/")?;
        let secret = self.inner.config.signing_secret.as_ref()?;
        let header = |name: &str| hook.headers.get(name).map(String::as_str);
        let (at, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
        if let Err(why) = verify(at, signature, &hook.body, secret, wall_now()) {
            return Some(Hooked::Unsigned(why));
        }
        let payload = match decode(door, &hook.body) {
            Ok(payload) => payload,
            Err(why) => return Some(Hooked::Refused(why)),
        };
        if payload["type"] == "url_verification" {
            return Some(Hooked::Taken(Some(json!({ "challenge": payload["challenge"] }))));
        }
        let me = self.me();
        match whose(&payload, &me) {
            Whose::Foreign => return Some(Hooked::Elsewhere),
            Whose::Unsure if !hook.sole => return Some(Hooked::Unsure),
            Whose::Ours | Whose::Unsure => {}
        }
        let happened = match door {
            "events" => event(&payload, &me),
            "interactive" => interactive(&payload),
            "commands" => command(&payload),
            _ => Happened::Nothing,
        };
        let taken = self.queue(happened, &payload["view"], PATIENCE).await;
        Some(taken.map_or(Hooked::Busy, Hooked::Taken))
    }
}

/// The payload: events are JSON, clicks are JSON in a form, a command is a form.
fn decode(door: &str, body: &[u8]) -> Result<Value, &'static str> {
    let form = || url::form_urlencoded::parse(body).into_owned();
    match door {
        "events" => serde_json::from_slice(body).map_err(|_| "The event is not JSON."),
        "interactive" => {
            let payload = form().find(|(name, _)| name == "payload");
            let (_, payload) = payload.ok_or("The form has no field `payload`.")?;
            serde_json::from_str(&payload).map_err(|_| "The field `payload` is not JSON.")
        }
        "commands" => {
            let fields: Map<String, Value> = form().map(|(k, v)| (k, v.into())).collect();
            Ok(Value::Object(fields))
        }
        _ => Err("There is no such door for Slack."),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::id::hex;

    fn signed(secret: &str, timestamp: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
        mac.update(format!("v0:{timestamp}:").as_bytes());
        mac.update(body);
        format!("v0={}", hex(&mac.finalize().into_bytes()))
    }

    /// The signature is what Slack's own client (`slack_sdk.signature`) made of it.
    #[test]
    fn a_signature_of_the_official_client_is_taken() {
        let body = b"command=%2Fnightjar&text=status";
        let secret = Secret::from("not-a-real-signing-secret");
        let signature = "v0=87634e233e21ffb055e27be9a5e7dacea10a193e46ad66291b60a494093b3021";
        let now = Time::from_ms(1_700_000_000_000);
        let check =
            |body: &[u8], now| verify(Some("1700000000"), Some(signature), body, &secret, now);
        assert_eq!(check(body, now), Ok(()));
        assert!(check(b"other", now).is_err());
        assert!(check(body, now.plus_ms(299_000)).is_ok());
        assert!(check(body, now.plus_ms(301_000)).is_err());
        assert!(check(body, now.plus_ms(-301_000)).is_err());
    }

    #[test]
    fn what_is_not_signed_says_why() {
        let secret = Secret::from("not-a-real-secret");
        let now = Time::from_ms(1_700_000_000_000);
        let good = signed("not-a-real-secret", "1700000000", b"x");
        let why = |at, signature, secret: &Secret| {
            verify(at, signature, b"x", secret, now).expect_err("not signed")
        };
        assert!(why(None, Some(&good), &secret).contains("no signature"));
        assert!(why(Some("1700000000"), None, &secret).contains("no signature"));
        assert!(why(Some("1700000000"), Some("v1=00"), &secret).contains("version 0"));
        assert!(why(Some("1700000000"), Some(&good), &Secret::from("")).contains("No signing"));
        assert!(why(Some("1700000001"), Some(&good), &secret).contains("does not fit"));
        let odd = signed("not-a-real-secret", "soon", b"x");
        assert!(why(Some("soon"), Some(&odd), &secret).contains("no number"));
    }

    #[test]
    fn each_door_has_its_form() {
        let text = |v: &Value, name: &str| v[name].as_str().unwrap_or_default().to_owned();
        let event = decode("events", br#"{"type":"a"}"#).expect("JSON");
        assert_eq!(text(&event, "type"), "a");
        let click = decode("interactive", b"payload=%7B%22type%22%3A%22b%22%7D").expect("a form");
        assert_eq!(text(&click, "type"), "b");
        let command = decode("commands", b"command=%2Fnightjar&text=why+so").expect("a form");
        assert_eq!(text(&command, "text"), "why so");
        assert!(decode("interactive", b"x=1").is_err() && decode("other", b"").is_err());
    }

    proptest! {
        #[test]
        fn anything_is_decoded_or_refused(body: Vec<u8>, door in 0..3_usize) {
            let door = ["events", "interactive", "commands"][door];
            if let Ok(payload) = decode(door, &body) {
                let me = super::super::events::Me::default();
                let _ = (event(&payload, &me), interactive(&payload), command(&payload));
            }
            prop_assert!(verify(Some("1"), Some("v0=00"), &body, &"s".into(), Time::from_ms(0)).is_err());
        }
    }
}
