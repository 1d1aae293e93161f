//! The API's wishes: each goes to the desk with the caller's role.

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::routing::{delete, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Caller;
use super::{Failure, State};
use crate::command::NewSilence;
use crate::model::{IncidentId, Matcher, ProposalId, SilenceId, Time};

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/incidents/{id}/{action}", post(incident))
        .route("/proposals/{id}/{action}", post(proposal))
        .route("/silences", post(silence))
        .route("/silences/{id}", delete(end_silence))
}

/// Reads an id out of the address.
pub(super) fn id_of<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::not_found(what))
}

/// Reads a body, with a sentence for whoever sent it.
fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|e| {
        let text = format!("The body does not fit: {e}.");
        Failure::new(StatusCode::BAD_REQUEST, "invalid", text)
    })
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Words {
    reason: String,
    text: String,
}

async fn incident(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Path((id, action)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Result<Json<Value>, Failure> {
    let id: IncidentId = id_of(&id, "incident")?;
    let words: Words = read(&body)?;
    let desk = &state.shared.desk;
    let incident = match action.as_str() {
        "acknowledge" => desk.acknowledge(&actor, id).await?,
        "resolve" => desk.resolve(&actor, id, &words.reason).await?,
        "not-an-incident" => desk.not_an_incident(&actor, id, &words.reason).await?,
        "reopen" => desk.reopen(&actor, id, &words.reason).await?,
        "notes" => return Ok(Json(json!(desk.note(&actor, id, &words.text).await?))),
        _ => return Err(Failure::not_found("action")),
    };
    Ok(Json(json!(incident)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    digest: String,
    #[serde(default)]
    reason: String,
    at: Option<Time>,
}

async fn proposal(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Path((id, action)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Result<Json<Value>, Failure> {
    let id: ProposalId = id_of(&id, "proposal")?;
    let choice: Choice = read(&body)?;
    let desk = &state.shared.desk;
    let proposal = match action.as_str() {
        "approve" => desk.approve(&actor, id, &choice.digest, &choice.reason).await?,
        "ignore" => desk.ignore(&actor, id, &choice.digest, &choice.reason).await?,
        "schedule" => {
            let Some(at) = choice.at else {
                let text = "Say when: `at` as an RFC 3339 time.";
                return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text));
            };
            desk.schedule(&actor, id, &choice.digest, at).await?
        }
        _ => return Err(Failure::not_found("action")),
    };
    Ok(Json(json!(proposal)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Silencing {
    matchers: Vec<Matcher>,
    minutes: i64,
    reason: String,
    #[serde(default)]
    maintenance: bool,
    starts_at: Option<Time>,
}

async fn silence(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    body: axum::body::Bytes,
) -> Result<Json<Value>, Failure> {
    let given: Silencing = read(&body)?;
    let new = NewSilence {
        matchers: given.matchers,
        starts_at: given.starts_at,
        duration_ms: given.minutes.saturating_mul(60_000),
        reason: given.reason,
        maintenance: given.maintenance,
    };
    Ok(Json(json!(state.shared.desk.silence(&actor, new).await?)))
}

async fn end_silence(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let id: SilenceId = id_of(&id, "silence")?;
    Ok(Json(json!(state.shared.desk.end_silence(&actor, id).await?)))
}
