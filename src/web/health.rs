//! The program's own health, for probes and for Prometheus.

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::State;
use super::api::outbox;
use super::table::{Access, Route};
use crate::command::GivenUp;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::telemetry::gaps;

/// Batches behind which the program no longer calls itself ready.
const BEHIND: u64 = 5_000;
/// How long (ms of event time) a source may be silent before it is named.
const DEAD_MS: i64 = 5 * MINUTE_MS;

pub(super) fn routes() -> Vec<Route> {
    const TEXT: &str = "text/plain";
    vec![
        Route::get("/healthz", Access::Public, "Whether the process lives", async || "ok\n")
            .gives_other(TEXT, "`ok`"),
        Route::get("/readyz", Access::Public, "Whether it can do its work", ready)
            .gives::<Readiness>()
            .fails(&[503]),
        Route::get("/metrics", Access::Public, "Its own metrics, for Prometheus", metrics)
            .gives_other(TEXT, "Prometheus' text format."),
    ]
}

/// Whether the bot can do its work.
#[derive(Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    /// What stands in the way.
    wrong: Vec<String>,
    /// What it does without meanwhile: sources that can't be read, tasks that keep failing,
    /// chat platforms that take no messages, and within the last day what they refused for good
    /// and what people asked for that was given up.
    degraded: Vec<String>,
    /// Batches accepted and not yet judged.
    backlog: u64,
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
    let mut degraded: Vec<String> = Vec::new();
    for task in state.shared.tasks.restarting() {
        degraded.push(format!("the task {task} fails again and again; the log says why"));
    }
    let now = state.shared.clock.now();
    let dead = state.shared.store.read(move |r| gaps::dead(r, now, DEAD_MS)).await;
    for (source, since) in dead.unwrap_or_default() {
        degraded.push(format!("{source} can't be read since {}", since.minute_text()));
    }
    if let Ok(Some(above)) = state.shared.store.read(|r| r.above_cap()).await {
        degraded.push(above.to_string());
    }
    // Incidents are found and mended all the same, so a platform that is down leaves it ready.
    let platforms = outbox::platforms(&state).await.unwrap_or_default();
    degraded.extend(platforms.iter().filter_map(outbox::ChatStanding::trouble));
    let lately = now.plus_ms(-DAY_MS);
    degraded.extend(outbox::refused(&state, lately).await.unwrap_or_default());
    if let Ok(Some(given_up)) = state.shared.store.read(GivenUp::last).await
        && given_up.at >= lately
    {
        degraded.push(given_up.to_string());
    }
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Readiness { ready: wrong.is_empty(), wrong, degraded, backlog };
    (status, axum::Json(body)).into_response()
}

async fn metrics(Shared(state): Shared<State>) -> Response {
    let text = (state.shared.metrics)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
