//! Calls of chat platforms: the signature is theirs to judge, and the answer theirs to give.

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::extract::Raw;
use super::table::{Access, Route};
use super::{Failure, State};
use crate::chat::{Hook, Hooked};

pub(super) fn routes() -> Vec<Route> {
    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";
    let door = |path, door: &'static str, summary, takes, what| {
        Route::post(path, Access::Signed, summary, move |s, h, b| call(s, h, b, door))
            .takes_other(takes, what)
            .gives_other(JSON, "What Slack shows; nothing where there is nothing to show.")
    };
    vec![
        door(
            "/hooks/slack/events",
            "slack/events",
            "Takes events from Slack",
            JSON,
            "An event of the Events API, signed in X-Slack-Signature.",
        ),
        door(
            "/hooks/slack/interactive",
            "slack/interactive",
            "Takes clicks and forms from Slack",
            FORM,
            "A click, form or shortcut in the field `payload`, signed in X-Slack-Signature.",
        ),
        door(
            "/hooks/slack/commands",
            "slack/commands",
            "Takes commands from Slack",
            FORM,
            "A slash command, signed in X-Slack-Signature.",
        ),
    ]
}

/// Asks each platform in turn: a workspace knows its own signature.
async fn call(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    Raw(body): Raw,
    door: &'static str,
) -> Response {
    let text = |v: &axum::http::HeaderValue| v.to_str().unwrap_or_default().to_owned();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let hook = Hook { door: door.to_owned(), headers, body: body.to_vec() };
    let mut why = "No workspace is set up for calls by HTTP (chat.slack.signing_secret).";
    for chat in &state.shared.chats {
        match chat.hook(hook.clone()).await {
            None => {}
            Some(Hooked::Unsigned(reason)) => why = reason,
            Some(Hooked::Refused(reason)) => {
                metrics::counter!("nightjar_web_rejected_total").increment(1);
                return Failure::bad_request(reason).into_response();
            }
            Some(Hooked::Busy) => {
                let text = "So much is being done that this is to be sent again.";
                return Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).into_response();
            }
            Some(Hooked::Taken(Some(payload))) => return axum::Json(payload).into_response(),
            // Slack shows the body of an answer to a command: there is none.
            Some(Hooked::Taken(None)) => return StatusCode::OK.into_response(),
        }
    }
    metrics::counter!("nightjar_web_rejected_total").increment(1);
    Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", why).into_response()
}
