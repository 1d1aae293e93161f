//! The program's own health, for probes and for Prometheus.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;

use super::State;

/// Batches behind which the program no longer calls itself ready.
const BEHIND: u64 = 5_000;

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

async fn ready(Shared(state): Shared<State>) -> Response {
    let backlog = state.shared.intake.backlog();
    let written = state.shared.store.write(|_| Ok(())).await;
    let mut wrong = Vec::new();
    if let Err(e) = &written {
        wrong.push(format!("the store can't be written: {e}"));
    }
    if backlog > BEHIND {
        wrong.push(format!("detection is {backlog} batches behind"));
    }
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": wrong.is_empty(), "wrong": wrong, "backlog": backlog });
    (status, axum::Json(body)).into_response()
}

async fn metrics(Shared(state): Shared<State>) -> Response {
    let text = (state.shared.metrics)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
