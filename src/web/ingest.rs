//! The front doors for telemetry: read, decode, accept; a 2xx follows the commit.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::json;

use super::auth::same_secret;
use super::{Failure, State};
use crate::model::{Batch, Fault, Secret, wall_now};
use crate::telemetry::changes::{GithubHeaders, PlainHeaders, decode_github, decode_plain};
use crate::telemetry::otlp::{self, Encoding, Signal};
use crate::telemetry::{Rejected, alertmanager};

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/logs", post(|s, d, h, b| otlp_door(s, d, h, b, Signal::Logs)))
        .route("/v1/traces", post(|s, d, h, b| otlp_door(s, d, h, b, Signal::Traces)))
        .route("/v1/metrics", post(|s, d, h, b| otlp_door(s, d, h, b, Signal::Metrics)))
        .route("/ingest/alertmanager", post(alertmanager_door))
        .route("/hooks/github", post(github_door))
        .route("/hooks/deploy", post(deploy_door))
}

/// Proof that the sender may send telemetry.
struct Door;

impl FromRequestParts<State> for Door {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        let Some(wanted) = &state.shared.config.ingest_token else { return Ok(Self) };
        let given = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
        if given.is_some_and(|g| same_secret(g, wanted.reveal())) {
            return Ok(Self);
        }
        let text = "Telemetry needs the token of web.ingest_token as a bearer token.";
        Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", text))
    }
}

type Body = Result<Bytes, BytesRejection>;

/// The body, or why it could not be read: too large, or its compression broken.
fn readable(body: Body) -> Result<Bytes, Rejected> {
    body.map_err(|e| {
        metrics::counter!("nightjar_web_unreadable_bodies_total").increment(1);
        if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let message = format!("the body is larger than {} bytes", super::MAX_BODY_BYTES);
            Rejected { status: 413, message }
        } else {
            Rejected::invalid(format!("the body can't be read: {}", e.body_text()))
        }
    })
}

fn refused(rejected: &Rejected) -> Response {
    metrics::counter!("nightjar_web_rejected_total").increment(1);
    let status = StatusCode::from_u16(rejected.status).unwrap_or(StatusCode::BAD_REQUEST);
    Failure::new(status, "rejected", rejected.message.clone()).into_response()
}

fn failed(fault: Fault) -> Response {
    let mut response = Failure::from(fault).into_response();
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

async fn accepted(state: &State, batch: Batch) -> Result<Response, Fault> {
    let seq = if batch.is_tick() { 0 } else { state.shared.intake.accept(batch).await? };
    Ok(axum::Json(json!({ "accepted": true, "place": seq })).into_response())
}

async fn otlp_door(
    Shared(state): Shared<State>,
    _: Door,
    headers: HeaderMap,
    body: Body,
    signal: Signal,
) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let encoding = match Encoding::from_content_type(kind) {
        Ok(encoding) => encoding,
        Err(rejected) => return refused(&rejected),
    };
    let say = |status: u16, message: &str| {
        metrics::counter!("nightjar_web_rejected_total").increment(1);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let body = otlp::error_answer(encoding, status.as_u16(), message);
        (status, [(header::CONTENT_TYPE, encoding.content_type())], body).into_response()
    };
    let now = state.shared.clock.now();
    let decoded =
        readable(body).and_then(|body| state.shared.otlp.decode(signal, encoding, &body, now));
    let mut decoded = match decoded {
        Ok(decoded) => decoded,
        Err(rejected) => return say(rejected.status, &rejected.message),
    };
    let batch = std::mem::take(&mut decoded.batch);
    if let Err(fault) = accepted(&state, batch).await {
        state.shared.otlp.give_back(decoded);
        let mut response = say(503, &fault.to_string());
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        return response;
    }
    let answer = otlp::answer(signal, encoding, decoded.rejected, &decoded.message);
    ([(header::CONTENT_TYPE, encoding.content_type())], answer).into_response()
}

async fn alertmanager_door(Shared(state): Shared<State>, _: Door, body: Body) -> Response {
    let now = state.shared.clock.now();
    match readable(body).and_then(|body| alertmanager::decode(&body, now)) {
        Ok(batch) => accepted(&state, batch).await.unwrap_or_else(failed),
        Err(rejected) => refused(&rejected),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

async fn github_door(Shared(state): Shared<State>, headers: HeaderMap, body: Body) -> Response {
    let shared = &state.shared;
    let given = GithubHeaders {
        event: text(&headers, "X-GitHub-Event"),
        delivery: text(&headers, "X-GitHub-Delivery"),
        signature: text(&headers, "X-Hub-Signature-256"),
    };
    let secret = shared.config.github_secret.as_ref().map_or("", Secret::reveal).as_bytes();
    let decoded = readable(body).and_then(|body| {
        decode_github(given, &body, shared.clock.now(), (secret, &shared.changes), &shared.seen)
    });
    match decoded {
        Err(rejected) => refused(&rejected),
        Ok(batch) => match accepted(&state, batch).await {
            Ok(response) => response,
            Err(fault) => {
                shared.seen.forget(text(&headers, "X-GitHub-Delivery").unwrap_or_default());
                failed(fault)
            }
        },
    }
}

async fn deploy_door(Shared(state): Shared<State>, headers: HeaderMap, body: Body) -> Response {
    let shared = &state.shared;
    let given = PlainHeaders {
        timestamp: text(&headers, "X-Nightjar-Timestamp"),
        signature: text(&headers, "X-Nightjar-Signature"),
    };
    let secret = shared.config.hook_secret.as_ref().map_or("", Secret::reveal).as_bytes();
    let times = (shared.clock.now(), wall_now());
    let decoded =
        readable(body).and_then(|body| decode_plain(given, &body, times, secret, &shared.seen));
    match decoded {
        Err(rejected) => refused(&rejected),
        Ok(batch) => match accepted(&state, batch).await {
            Ok(response) => response,
            Err(fault) => {
                shared.seen.forget(text(&headers, "X-Nightjar-Signature").unwrap_or_default());
                failed(fault)
            }
        },
    }
}
