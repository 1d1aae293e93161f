//! Who is asking: one-time login links, sessions, API tokens. All times here are wall-clock.
//!
//! Guarantees: secrets are kept as SHA-256 only and compared in constant time; a login link works
//! once and for half an hour; sessions survive a restart, and
//! end with the API token that opened them; a cookie authorises a change only for
//! our own page.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Config, Failure, State, origin};
use crate::command::{ApiToken, People, need, secret};
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{Actor, Fault, Role, Time, wall_now};
use crate::store::{Filter, Index, Record, Store};

/// How long a login link can be used.
pub(super) const LINK_MS: i64 = 30 * MINUTE_MS;
/// How long a session lasts.
pub(super) const SESSION_MS: i64 = 7 * DAY_MS;
/// Failed logins of one address within a minute, after which it has to wait.
const MOST_FAILURES: usize = 10;
/// Addresses whose failures are remembered.
const MOST_ADDRESSES: usize = 10_000;
/// The session's cookie.
pub(super) const COOKIE: &str = "nightjar_session";

/// A session as the store keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) hash: String,
    pub(super) actor: Actor,
    pub(super) made_at: Time,
    pub(super) ends_at: Time,
    /// Digest of the API token that opened it, with which it ends; none for a login link.
    #[serde(default)]
    pub(super) token: Option<String>,
}

impl Record for Session {
    const KIND: &'static str = "session";
    fn key(&self) -> String {
        self.hash.clone()
    }
    fn index(&self) -> Index {
        Index { at: self.made_at, subject: self.actor.id.clone(), ..Index::default() }
    }
}

/// Everybody who has a configured token, an API token that works, or a session that was opened with
/// a login link; for [`Desk::with_people`].
///
/// [`Desk::with_people`]: crate::command::Desk::with_people
#[must_use]
pub fn people(config: &Config) -> People {
    let configured = Keys::new(config).tokens.into_iter().map(|(_, actor)| actor);
    let configured: Vec<Actor> = configured.collect();
    Arc::new(move |rows| {
        let now = wall_now();
        let mut people = configured.clone();
        // Who came in with a token is known by that token, while it works.
        let sessions = rows.list::<Session>(&Filter::all())?.into_iter();
        let links = sessions.filter(|s| s.ends_at > now && s.token.is_none());
        people.extend(links.map(|s| s.actor));
        let tokens = rows.list::<ApiToken>(&Filter::all())?;
        people.extend(tokens.iter().filter(|t| t.works_at(now)).map(ApiToken::actor));
        people.sort_by(|a, b| (&a.name, &a.via, &a.id).cmp(&(&b.name, &b.via, &b.id)));
        people.dedup_by(|a, b| a.same_as(b));
        Ok(people)
    })
}

/// Configured tokens, login links that wait for their one use, and failed attempts.
pub struct Keys {
    tokens: Vec<(secret::Digest, Actor)>,
    ingest: Option<secret::Digest>,
    // Guards links that were not used yet: digest, end, and who they log in.
    links: Mutex<Vec<(secret::Digest, Time, Actor)>>,
    // Guards the times of failed attempts by address, oldest first.
    failures: Mutex<BTreeMap<IpAddr, Vec<Time>>>,
}

impl Keys {
    /// The keys of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let actor = |name: &str, role| Actor {
            via: "token".into(),
            id: name.into(),
            name: name.into(),
            role,
        };
        let tokens = config.tokens.iter();
        Self {
            tokens: tokens
                .map(|t| (secret::digest(t.secret.reveal()), actor(&t.name, t.role)))
                .collect(),
            ingest: config.ingest_token.as_ref().map(|t| secret::digest(t.reveal())),
            links: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// The path of a login link that works once, within 30 minutes of `now`.
    #[must_use]
    pub fn login_path(&self, name: &str, role: Role, now: Time) -> String {
        let token = secret::random();
        let actor = Actor { via: "console".into(), id: name.into(), name: name.into(), role };
        let mut links = self.links.lock().expect("nothing panics under this lock");
        links.retain(|(_, end, _)| *end > now);
        links.push((secret::digest(&token), now.plus_ms(LINK_MS), actor));
        format!("/login?token={token}")
    }

    /// Uses a link up; gives whom it logs in.
    pub(super) fn take_link(&self, token: &str, now: Time) -> Option<Actor> {
        let given = secret::digest(token);
        let mut links = self.links.lock().expect("nothing panics under this lock");
        links.retain(|(_, end, _)| *end > now);
        let place = links.iter().position(|(known, ..)| secret::same(known, &given))?;
        Some(links.swap_remove(place).2)
    }

    /// Whose configured token this is. All are compared, so that the time says nothing.
    fn configured(&self, given: &secret::Digest) -> Option<Actor> {
        let mut found = None;
        for (known, actor) in &self.tokens {
            if secret::same(known, given) {
                found = Some(actor.clone());
            }
        }
        found
    }

    /// Whose configured token has this digest in hexadecimal, as the store keeps it.
    fn kept(&self, hash: &str) -> Option<Actor> {
        let mut tokens = self.tokens.iter();
        tokens.find(|(known, _)| known.to_string() == hash).map(|(_, actor)| actor.clone())
    }

    /// People and programs that the configuration names.
    pub(super) fn names(&self) -> impl Iterator<Item = &Actor> {
        self.tokens.iter().map(|(_, actor)| actor)
    }

    /// Whether these headers carry the token for telemetry; without one set, anybody does.
    pub(super) fn may_ingest(&self, headers: &HeaderMap) -> bool {
        let Some(known) = &self.ingest else { return true };
        bearer(headers).is_some_and(|given| secret::same(known, &secret::digest(given)))
    }

    /// Whether telemetry needs a token.
    pub(super) fn guards_ingest(&self) -> bool {
        self.ingest.is_some()
    }

    /// Whether an address has to wait after too many failures.
    pub(super) fn must_wait(&self, from: IpAddr, now: Time) -> bool {
        let mut failures = self.failures.lock().expect("nothing panics under this lock");
        let Some(times) = failures.get_mut(&from) else { return false };
        times.retain(|at| now.ms_since(*at) < MINUTE_MS);
        times.len() >= MOST_FAILURES
    }

    /// As if nobody had failed.
    #[cfg(test)]
    pub(super) fn forget_failures(&self) {
        self.failures.lock().expect("nothing panics under this lock").clear();
    }

    /// Remembers a failure.
    pub(super) fn failed(&self, from: IpAddr, now: Time) {
        metrics::counter!("nightjar_web_failed_logins_total").increment(1);
        let mut failures = self.failures.lock().expect("nothing panics under this lock");
        if failures.len() >= MOST_ADDRESSES {
            failures.retain(|_, times| times.iter().any(|at| now.ms_since(*at) < MINUTE_MS));
        }
        if failures.len() < MOST_ADDRESSES || failures.contains_key(&from) {
            let times = failures.entry(from).or_default();
            if times.len() < MOST_FAILURES {
                times.push(now);
            }
        }
    }
}

/// What an address that failed too often is told.
pub(super) fn wait() -> Failure {
    let text = "Too many failed attempts from this address.";
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "busy", text)
        .instead("Wait a minute and try again.")
}

/// The address of whoever sent a request.
fn address(extensions: &axum::http::Extensions) -> IpAddr {
    let known = extensions.get::<ConnectInfo<SocketAddr>>();
    known.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

/// The address of whoever sent a request, for handlers.
pub(super) struct Sender(pub(super) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Sender {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(address(&parts.extensions)))
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Opens a session; gives the cookie's value. It ends with the API token of the digest `with`,
/// where one opened it. `at` is event time, for the audit log.
pub(super) async fn open(
    store: &Store,
    actor: Actor,
    with: Option<String>,
    at: Time,
) -> Result<String, Fault> {
    let (token, now) = (secret::random(), wall_now());
    let hash = secret::digest(&token).to_string();
    let ends_at = now.plus_ms(SESSION_MS);
    let session = Session { hash, actor, made_at: now, ends_at, token: with };
    store
        .write(move |tx| {
            for old in tx.list::<Session>(&crate::store::Filter::all())? {
                if old.ends_at <= now {
                    tx.remove::<Session>(&old.hash)?;
                }
            }
            let who = &session.actor;
            tx.audit(at, who, "session.open", &who.id, &json!({ "role": who.role }))?;
            tx.put(&session)
        })
        .await?;
    Ok(token)
}

/// Ends the session of these headers, where there is one.
pub(super) async fn close(store: &Store, headers: &HeaderMap) -> Result<(), Fault> {
    let Some(token) = cookie(headers) else { return Ok(()) };
    let hash = secret::digest(token).to_string();
    store.write(move |tx| tx.remove::<Session>(&hash).map(|_| ())).await
}

/// Whose API token this is: one of the configuration, or one made over the API.
pub(super) async fn token_holder(state: &State, given: &str) -> Result<Option<Actor>, Fault> {
    let shared = &state.shared;
    let digest = secret::digest(given);
    if let Some(actor) = shared.keys.configured(&digest) {
        return Ok(Some(actor));
    }
    let (hash, now) = (digest.to_string(), wall_now());
    let found = shared.store.read(move |r| r.get::<ApiToken>(&hash)).await?;
    let Some(mut token) = found.filter(|t| t.works_at(now)) else { return Ok(None) };
    let actor = token.actor();
    // Often enough to see what is in use, seldom enough to cost nothing.
    if token.last_used_at.is_none_or(|at| now.ms_since(at) > 5 * MINUTE_MS) {
        token.last_used_at = Some(now);
        let hash = token.hash.clone();
        shared
            .store
            .write(move |tx| match tx.get::<ApiToken>(&hash)? {
                // It may have been revoked meanwhile.
                Some(kept) if kept.revoked_at.is_none() => tx.put(&token),
                _ => Ok(()),
            })
            .await?;
    }
    Ok(Some(actor))
}

/// The person or program behind a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::unauthorized)
    }
}

/// What a request proved itself with, by digest. It can be asked again, while an answer lasts.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// An API token.
    Token(String),
    /// A session's cookie.
    Session(String),
}

impl Key {
    /// Whom it lets in now: nobody once it was revoked, has expired, or was logged out. A session
    /// that a token opened ends with that token, and may do what the token may do.
    pub(super) async fn holder(&self, state: &State) -> Result<Option<Actor>, Fault> {
        let (store, now) = (&state.shared.store, wall_now());
        let token = match self {
            Self::Token(hash) => hash.clone(),
            Self::Session(hash) => {
                let hash = hash.clone();
                let session = store.read(move |r| r.get::<Session>(&hash)).await?;
                let Some(session) = session.filter(|s| s.ends_at > now) else { return Ok(None) };
                match session.token {
                    Some(token) => token,
                    // Kept by a version that forgot which token it was.
                    None if session.actor.via == "token" => return Ok(None),
                    None => return Ok(Some(session.actor)),
                }
            }
        };
        if let Some(actor) = state.shared.keys.kept(&token) {
            return Ok(Some(actor));
        }
        let kept = store.read(move |r| r.get::<ApiToken>(&token)).await?;
        Ok(kept.filter(|t| t.works_at(now)).map(|t| t.actor()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::unauthorized)
    }
}

/// Whether the browser holds the cookie of a session that lasts.
pub(super) async fn has_session(state: &State, headers: &HeaderMap) -> Result<bool, Fault> {
    let Some(given) = cookie(headers) else { return Ok(false) };
    let key = Key::Session(secret::digest(given).to_string());
    Ok(key.holder(state).await?.is_some())
}

async fn identify(state: &State, request: &Parts) -> Result<(Actor, Key), Failure> {
    let headers = &request.headers;
    if let Some(given) = bearer(headers) {
        // Whoever has a key is let in also while somebody at the same address guesses.
        let Some(actor) = token_holder(state, given).await? else {
            let (from, now) = (address(&request.extensions), wall_now());
            if state.shared.keys.must_wait(from, now) {
                return Err(wait());
            }
            state.shared.keys.failed(from, now);
            return Err(Failure::unauthorized());
        };
        return Ok((actor, Key::Token(secret::digest(given).to_string())));
    }
    let hash = secret::digest(cookie(headers).ok_or_else(Failure::unauthorized)?).to_string();
    let key = Key::Session(hash);
    let actor = key.holder(state).await?.ok_or_else(Failure::unauthorized)?;
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    // A page of another site can make a browser send the cookie, but neither this header nor
    // another `Origin` than its own.
    let ours = headers.contains_key("x-nightjar") && origin::is_ours(state, headers);
    if !reads && !ours {
        metrics::counter!("nightjar_web_cross_site_total").increment(1);
        let text = "This change did not come from the console's own page: the header X-Nightjar \
                    is missing, or another site sent it.";
        return Err(Failure::new(StatusCode::FORBIDDEN, "cross_site", text));
    }
    Ok((actor, key))
}

/// Lets in whoever has the role, and leaves a [`Caller`] and its [`Key`] in the request.
pub(super) async fn guard(
    Shared((state, role)): Shared<(State, Role)>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let (actor, key) = identify(&state, &parts).await?;
    need(&actor, role, "do this")?;
    parts.extensions.insert(key);
    parts.extensions.insert(Caller(actor));
    Ok(next.run(Request::from_parts(parts, body)).await)
}
