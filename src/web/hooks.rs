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

/// What a call is told that is signed for none of the workspaces that are connected.
const ELSEWHERE: &str = "The signature fits, but the call is of another Slack workspace (team) than \
those that are connected: connect it as one more [[chat.slack]] with its own bot token, or remove \
the app from it.";

/// Asks each platform in turn: a workspace knows its own signature and its own id. Workspaces that
/// one app is installed in have one signing secret: until such a workspace was told its id, it takes
/// only what can be for no other.
async fn call(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    Raw(body): Raw,
    door: &'static str,
) -> Response {
    let text = |v: &axum::http::HeaderValue| v.to_str().unwrap_or_default().to_owned();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let hook = Hook { door: door.to_owned(), headers, body: body.to_vec(), sole: false };
    let mut why = "No workspace is set up for calls by HTTP (chat.slack.signing_secret).";
    let (mut n_fitting, mut unsure) = (0, None);
    for chat in &state.shared.chats {
        match chat.hook(hook.clone()).await {
            Some(Hooked::Unsigned(reason)) if n_fitting == 0 => why = reason,
            None | Some(Hooked::Unsigned(_)) => {}
            Some(Hooked::Elsewhere) => (n_fitting, why) = (n_fitting + 1, ELSEWHERE),
            Some(Hooked::Unsure) => (n_fitting, unsure) = (n_fitting + 1, Some(chat)),
            Some(said) => return answer(said),
        }
    }
    match unsure {
        Some(chat) if n_fitting == 1 => {
            if let Some(said) = chat.hook(Hook { sole: true, ..hook }).await {
                return answer(said);
            }
        }
        Some(_) => return answer(Hooked::Busy),
        None => {}
    }
    metrics::counter!("nightjar_web_rejected_total").increment(1);
    Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", why).into_response()
}

/// What the platform is told.
fn answer(said: Hooked) -> Response {
    match said {
        Hooked::Taken(Some(payload)) => axum::Json(payload).into_response(),
        // Slack shows the body of an answer to a command: there is none.
        Hooked::Taken(None) => StatusCode::OK.into_response(),
        Hooked::Refused(reason) => {
            metrics::counter!("nightjar_web_rejected_total").increment(1);
            Failure::bad_request(reason).into_response()
        }
        Hooked::Unsigned(why) => {
            metrics::counter!("nightjar_web_rejected_total").increment(1);
            Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", why).into_response()
        }
        Hooked::Elsewhere => answer(Hooked::Unsigned(ELSEWHERE)),
        Hooked::Busy | Hooked::Unsure => {
            let text = "So much is being done that this is to be sent again.";
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).into_response()
        }
    }
}
