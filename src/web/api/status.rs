//! How the bot itself is doing, and the API's own document.

use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::outbox::{self, ChatStanding};
use super::proposals::{HaltWords, read_halt};
use super::{Answer, State, VIEWER};
use crate::model::time::HOUR_MS;
use crate::model::{Gap, Harmless, HarmlessState, Incident, Time, Tuning, TuningState};
use crate::store::Filter;
use crate::telemetry::blind::{self, Blind};
use crate::telemetry::gaps;
use crate::web::table::{Access, Route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/status", VIEWER, "How the bot itself is doing", status)
            .gives::<Status>(),
        Route::get("/api/v1/openapi.json", Access::Public, "This document", document)
            .gives_other("application/json", "The OpenAPI document."),
    ]
}

/// How the bot itself is doing. Further fields come from what it runs: `sources` with the progress
/// of each, `n_series`, `speed` of event time.
#[derive(Serialize, ToSchema)]
struct Status {
    /// Its version.
    version: &'static str,
    /// Event time.
    now: Time,
    /// Batches accepted and not yet judged.
    backlog: u64,
    /// Size of the database file.
    store_bytes: u64,
    /// Incidents that people still work on.
    n_active: u64,
    /// Proposed changes of detection that wait for a person.
    n_tunings: u64,
    /// Patterns learned to be harmless that wait for a person.
    n_harmless: u64,
    /// Set while all actions are halted.
    halt: Option<HaltWords>,
    /// What sources could not read within the last hour, or still can't.
    gaps: Vec<Gap>,
    /// What can't be seen now: that nothing fires on it says nothing.
    blind: Vec<Blind>,
    /// How each chat platform stands, the console first.
    platforms: Vec<ChatStanding>,
    #[serde(flatten)]
    more: Value,
}

async fn status(Shared(state): Shared<State>) -> Answer<Status> {
    let shared = &state.shared;
    let n_active = shared.store.read(|r| r.count::<Incident>(&super::channels::active())).await?;
    let now = shared.clock.now();
    let gaps = shared.store.read(move |r| gaps::between(r, now.plus_ms(-HOUR_MS), now)).await?;
    let open = Filter::states([TuningState::Open.as_str()]);
    let patterns = Filter::states([HarmlessState::Open.as_str()]);
    Ok(Json(Status {
        n_tunings: shared.store.read(move |r| r.count::<Tuning>(&open)).await?,
        n_harmless: shared.store.read(move |r| r.count::<Harmless>(&patterns)).await?,
        version: env!("CARGO_PKG_VERSION"),
        now,
        backlog: shared.intake.backlog(),
        store_bytes: shared.store.reader().size_bytes(),
        n_active,
        halt: read_halt(&state).await?,
        gaps,
        blind: shared.store.read(blind::now).await?,
        platforms: outbox::platforms(&state).await?,
        more: (shared.status)(),
    }))
}

async fn document() -> Json<Value> {
    Json(crate::web::document())
}
