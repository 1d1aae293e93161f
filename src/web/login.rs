//! Logging in and out. A login link works by being opened; an API token can be typed in instead.

use std::net::IpAddr;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::auth::{self, COOKIE, SESSION_MS, Sender};
use super::extract::{Params, Raw, read};
use super::table::{Access, Route};
use super::{Failure, State, origin};
use crate::model::{Role, wall_now};

pub(super) fn routes() -> Vec<Route> {
    const HTML: &str = "text/html";
    vec![
        Route::get("/login", Access::Public, "Uses a login link up and opens a session", follow)
            .query::<Link>()
            .gives_other(HTML, "A page that goes on to the console, or a form for a token.")
            .fails(&[401, 429]),
        Route::post(
            "/login",
            Access::Public,
            "Opens a session with a link's or an API token",
            enter,
        )
        .takes::<Login>()
        .takes_other("application/x-www-form-urlencoded", "The same as a form.")
        .gives_other(HTML, "A page that goes on to the console.")
        .fails(&[401, 403, 429]),
        Route::post("/api/v1/logout", Access::Role(Role::Viewer), "Ends the session", leave),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Link {
    /// The link's secret; without it, a form asks for a token.
    token: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// A login link's secret or an API token.
    token: String,
}

/// The cookie is strict: a browser that came here from another site's link would not send it
/// after a redirect, so the page itself goes on.
const ENTERED: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>nightjar</title>\
    <meta http-equiv=refresh content=\"0;url=/\"><p>Logged in. <a href=\"/\">Open the console</a>.";

fn form(status: StatusCode, words: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>nightjar: log in</title>\
         <h1>Log in</h1><p>{words}</p><form method=post action=/login>\
         <label>API token <input name=token type=password autocomplete=current-password required>\
         </label> <button>Log in</button></form>"
    );
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

async fn follow(
    Shared(state): Shared<State>,
    Sender(from): Sender,
    Params(link): Params<Link>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let ahead = headers
        .get("sec-purpose")
        .or_else(|| headers.get("purpose"))
        .is_some_and(|v| v.to_str().is_ok_and(|v| v.contains("prefetch")));
    // A browser that only looks ahead must not use the link up.
    let looks = method == Method::HEAD || ahead;
    match link.token {
        Some(token) if !looks => log_in(&state, &headers, from, &token).await,
        _ => Ok(form(StatusCode::OK, "Open the link that nightjar printed, or enter a token.")),
    }
}

async fn enter(
    Shared(state): Shared<State>,
    Sender(from): Sender,
    headers: HeaderMap,
    Raw(bytes): Raw,
) -> Result<Response, Failure> {
    if !origin::is_ours(&state, &headers) {
        let text = "Another site's page sent this login.";
        return Err(Failure::new(StatusCode::FORBIDDEN, "cross_site", text));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let token = if kind.is_some_and(|k| k.starts_with("application/json")) {
        read::<Login>(&bytes)?.token
    } else {
        let mut pairs = url::form_urlencoded::parse(&bytes);
        let token = pairs.find(|(name, _)| name == "token").map(|(_, token)| token.into_owned());
        token.ok_or_else(|| Failure::bad_request("The form has no field `token`."))?
    };
    log_in(&state, &headers, from, &token).await
}

async fn log_in(
    state: &State,
    headers: &HeaderMap,
    from: IpAddr,
    token: &str,
) -> Result<Response, Failure> {
    let (now, keys) = (wall_now(), &state.shared.keys);
    if keys.must_wait(from, now) {
        return Err(auth::wait());
    }
    let (actor, with) = match keys.take_link(token, now) {
        Some(actor) => (Some(actor), None),
        None => (
            auth::token_holder(state, token).await?,
            Some(crate::command::secret::digest(token).to_string()),
        ),
    };
    let Some(actor) = actor else {
        let accepts = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
        let page = accepts.is_some_and(|kinds| kinds.contains("text/html"));
        // Whoever opens their link once more is in already.
        if page && auth::has_session(state, headers).await? {
            let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
            return Ok(([kind], ENTERED).into_response());
        }
        keys.failed(from, now);
        let text = "This link was used already, has expired, or is wrong.";
        let next =
            "Get a new one with `nightjar login`, ask an admin for one, or use an API token.";
        if page {
            return Ok(form(StatusCode::UNAUTHORIZED, &format!("{text} {next}")));
        }
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", text).instead(next));
    };
    let session = auth::open(&state.shared.store, actor, with, state.shared.clock.now()).await?;
    let cookie = set_cookie(state, headers, &session, SESSION_MS / 1_000);
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned());
    Ok(([(header::SET_COOKIE, cookie), kind], ENTERED).into_response())
}

fn set_cookie(state: &State, headers: &HeaderMap, value: &str, seconds: i64) -> String {
    let secure = if origin::is_https(state, headers) { "; Secure" } else { "" };
    format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}")
}

async fn leave(Shared(state): Shared<State>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::close(&state.shared.store, &headers).await?;
    let cookie = set_cookie(&state, &headers, "", 0);
    let done = axum::Json(serde_json::json!({ "done": true }));
    Ok(([(header::SET_COOKIE, cookie)], done).into_response())
}
