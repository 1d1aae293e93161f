//! Who is asking: one-time login links, sessions, bearer tokens. All times here are wall-clock.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Failure, State};
use crate::model::id::hex;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Actor, Role, Time, wall_now};

/// How long a login link can be used.
const LINK_MS: i64 = 12 * HOUR_MS;
/// How long a session lasts.
const SESSION_MS: i64 = 7 * DAY_MS;
const COOKIE: &str = "nightjar_session";

/// Login links and sessions. Only hashes are kept, and only in memory: a restart asks for a new
/// login.
#[derive(Default)]
pub struct Sessions {
    // Guards both maps: hash of a secret to its end (and the person).
    state: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    links: BTreeMap<String, (Time, Role)>,
    sessions: BTreeMap<String, (Time, Actor)>,
}

fn secret() -> String {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    hex(&bytes)
}

fn hashed(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

impl Sessions {
    /// The path of a login link that works once.
    #[must_use]
    pub fn login_path(&self, role: Role) -> String {
        let token = secret();
        let end = wall_now().plus_ms(LINK_MS);
        let mut known = self.state.lock().expect("nothing panics under this lock");
        known.links.insert(hashed(&token), (end, role));
        format!("/login?token={token}")
    }

    /// Uses a link up; gives the session's secret.
    fn login(&self, token: &str, now: Time) -> Option<String> {
        let mut known = self.state.lock().expect("nothing panics under this lock");
        known.links.retain(|_, (end, _)| *end > now);
        known.sessions.retain(|_, (end, _)| *end > now);
        let (_, role) = known.links.remove(&hashed(token))?;
        let session = secret();
        let actor =
            Actor { via: "console".into(), id: "operator".into(), name: "operator".into(), role };
        known.sessions.insert(hashed(&session), (now.plus_ms(SESSION_MS), actor));
        Some(session)
    }

    fn actor(&self, session: &str, now: Time) -> Option<Actor> {
        let known = self.state.lock().expect("nothing panics under this lock");
        let (end, actor) = known.sessions.get(&hashed(session))?;
        (*end > now).then(|| actor.clone())
    }

    fn logout(&self, session: &str) {
        let mut known = self.state.lock().expect("nothing panics under this lock");
        known.sessions.remove(&hashed(session));
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Whether a given secret is the configured one. Compared by hash, so that the time it takes says
/// nothing about the secret.
pub(super) fn same_secret(given: &str, configured: &str) -> bool {
    hashed(given) == hashed(configured)
}

/// The person or token behind a request.
pub(crate) struct Caller(pub(crate) Actor);

impl FromRequestParts<State> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        let shared = &state.shared;
        if let Some(given) = bearer(&parts.headers) {
            let known = shared.config.tokens.iter().find(|t| same_secret(given, t.secret.reveal()));
            let Some(token) = known else {
                let text = "This token is not known; check web.tokens.";
                return Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", text));
            };
            let name = token.name.clone();
            let actor = Actor { via: "token".into(), id: name.clone(), name, role: token.role };
            return Ok(Self(actor));
        }
        let actor = cookie(&parts.headers).and_then(|c| shared.sessions.actor(c, wall_now()));
        let Some(actor) = actor else {
            let text = "Log in with the link that nightjar printed at its start, or send a token.";
            return Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", text));
        };
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        // A page of another site can make a browser send the cookie, but not this header.
        if !reads && parts.headers.get("X-Nightjar").is_none() {
            let text = "Requests with a session that change something need the header X-Nightjar.";
            return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", text));
        }
        Ok(Self(actor))
    }
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

pub(super) fn routes() -> Router<State> {
    Router::new().route("/login", get(login)).route("/logout", post(logout))
}

async fn login(
    axum::extract::State(state): axum::extract::State<State>,
    Query(given): Query<Login>,
) -> Response {
    match state.shared.sessions.login(&given.token, wall_now()) {
        Some(session) => {
            let value = format!(
                "{COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}",
                SESSION_MS / 1_000
            );
            ([(header::SET_COOKIE, value)], Redirect::to("/")).into_response()
        }
        None => Failure::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "This link was used already or has expired; start nightjar again for a new one.",
        )
        .into_response(),
    }
}

async fn logout(
    axum::extract::State(state): axum::extract::State<State>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let _ = caller;
    if let Some(session) = cookie(&headers) {
        state.shared.sessions.logout(session);
    }
    let gone = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response()
}
