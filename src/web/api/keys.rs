//! Who may come in: the caller, known people, API tokens, login links.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{ADMIN, Answer, Done, RESPONDER, State, VIEWER};
use crate::command::{ApiToken, NewToken};
use crate::model::{Actor, Fault, Refused, Role, Time, wall_now};
use crate::store::Filter;
use crate::web::auth::{Caller, LINK_MS};
use crate::web::extract::{Body, Id};
use crate::web::origin;
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/me", VIEWER, "Who the caller is", me).gives::<Actor>(),
        Route::get("/api/v1/people", RESPONDER, "Whom an incident can be given to", people)
            .gives::<People>(),
        Route::get("/api/v1/tokens", ADMIN, "API tokens, without their secrets", list)
            .gives::<Tokens>(),
        Route::post("/api/v1/tokens", ADMIN, "Makes an API token", create)
            .takes::<NewToken>()
            .gives::<CreatedToken>()
            .fails(&[409, 422]),
        Route::delete("/api/v1/tokens/{id}", ADMIN, "Revokes an API token", revoke).gives::<Done>(),
        Route::post("/api/v1/login-links", ADMIN, "Makes a one-time login link", link)
            .takes::<NewLink>()
            .gives::<LoginLink>()
            .fails(&[422]),
    ]
}

async fn me(Caller(actor): Caller) -> Json<Actor> {
    Json(actor)
}

/// People and programs.
#[derive(Serialize, ToSchema)]
struct People {
    people: Vec<Actor>,
}

/// Everybody who has a token or a session, each once, by name.
pub(super) async fn known_people(state: &State) -> Result<Vec<Actor>, Fault> {
    // The command line's own token is nobody: it is not in the configuration.
    let known = crate::web::people(&state.shared.config);
    state.shared.store.read(move |r| known(r)).await
}

async fn people(Shared(state): Shared<State>) -> Answer<People> {
    Ok(Json(People { people: known_people(&state).await? }))
}

/// API tokens, those of the configuration first.
#[derive(Serialize, ToSchema)]
struct Tokens {
    tokens: Vec<TokenInfo>,
}

/// An API token without its secret. Times are wall-clock.
#[derive(Serialize, ToSchema)]
struct TokenInfo {
    /// Its id; empty for a token of the configuration, which is removed there.
    id: String,
    name: String,
    role: Role,
    created_at: Option<Time>,
    created_by: Option<Actor>,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
    revoked_at: Option<Time>,
    /// Whether it stands in the configuration.
    configured: bool,
}

impl From<ApiToken> for TokenInfo {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id(),
            name: token.name,
            role: token.role,
            created_at: Some(token.created_at),
            created_by: Some(token.created_by),
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at: token.revoked_at,
            configured: false,
        }
    }
}

async fn list(Shared(state): Shared<State>) -> Answer<Tokens> {
    let configured = state.shared.keys.names().map(|actor| TokenInfo {
        id: String::new(),
        name: actor.name.clone(),
        role: actor.role,
        created_at: None,
        created_by: None,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
        configured: true,
    });
    let mut tokens: Vec<TokenInfo> = configured.collect();
    let stored = state.shared.store.read(|r| r.list::<ApiToken>(&Filter::all())).await?;
    tokens.extend(stored.into_iter().map(Into::into));
    Ok(Json(Tokens { tokens }))
}

/// A new API token.
#[derive(Serialize, ToSchema)]
struct CreatedToken {
    token: TokenInfo,
    /// The secret, shown this once.
    secret: String,
}

async fn create(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<CreatedToken>), crate::web::Failure> {
    let taken: Vec<String> = state.shared.keys.names().map(|a| a.name.clone()).collect();
    let (token, secret) = state.shared.desk.create_token(&actor, new, &taken).await?;
    Ok((StatusCode::OK, Json(CreatedToken { token: token.into(), secret })))
}

async fn revoke(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<String>,
) -> Answer<Done> {
    state.shared.desk.revoke_token(&actor, &id).await?;
    Ok(Json(Done { done: true }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLink {
    /// Whom it logs in, as records will say.
    name: String,
    /// What they may do.
    role: Role,
}

/// A login link.
#[derive(Serialize, ToSchema)]
struct LoginLink {
    /// Path and query; it works once.
    path: String,
    /// The whole address.
    url: String,
    /// When it stops working (wall clock).
    expires_at: Time,
}

async fn link(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Body(new): Body<NewLink>,
) -> Answer<LoginLink> {
    let name = new.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        let text = "Name whom the link is for, in at most 60 characters.";
        return Err(Refused::Invalid(text.into()).into());
    }
    let now = wall_now();
    let path = state.shared.keys.login_path(&name, new.role, now);
    let at = state.shared.clock.now();
    let detail = json!({ "role": new.role });
    state.shared.store.write(move |tx| tx.audit(at, &actor, "login.link", &name, &detail)).await?;
    let url = format!("{}{path}", origin::base(&state, &headers));
    Ok(Json(LoginLink { path, url, expires_at: now.plus_ms(LINK_MS) }))
}
