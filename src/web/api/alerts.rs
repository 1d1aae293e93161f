//! Alerts, and why each of them did or did not reach anybody.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, State, VIEWER, newest, words};
use crate::command::Explanation;
use crate::model::{Alert, AlertId, AlertStatus, IncidentId, Time};
use crate::web::Failure;
use crate::web::extract::{Id, Params, found};
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/alerts", VIEWER, "Alerts, newest first", list)
            .query::<Which>()
            .gives::<Alerts>(),
        Route::get("/api/v1/alerts/{id}", VIEWER, "One alert", one).gives::<Alert>(),
        Route::get(
            "/api/v1/why/{id}",
            VIEWER,
            "Why an alert (ALT-…) or an incident (INC-…) is as it is",
            why,
        )
        .gives::<Explanation>(),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Which {
    /// `firing` or `resolved`.
    status: Option<String>,
    /// Only of this incident.
    incident: Option<IncidentId>,
    /// Only begun before.
    before: Option<Time>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

/// Alerts, newest first.
#[derive(Serialize, ToSchema)]
struct Alerts {
    alerts: Vec<Alert>,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<Alerts> {
    let mut filter = newest(which.limit, which.before);
    filter.states = words::<AlertStatus>("status", which.status.as_deref())?;
    filter.parent = which.incident.map(|id| id.to_string());
    let alerts = state.shared.store.read(move |r| r.list::<Alert>(&filter)).await?;
    Ok(Json(Alerts { alerts }))
}

async fn one(Shared(state): Shared<State>, Id(id): Id<AlertId>) -> Answer<Alert> {
    found(state.shared.store.read(move |r| r.get::<Alert>(id)).await?, "alert").map(Json)
}

async fn why(Shared(state): Shared<State>, Id(id): Id<String>) -> Answer<Explanation> {
    let desk = &state.shared.desk;
    if let Ok(alert) = id.parse::<AlertId>() {
        return Ok(Json(desk.why_alert(alert).await?));
    }
    let incident = id.parse().map_err(|_| Failure::not_found("alert or incident"))?;
    Ok(Json(desk.why_incident(incident).await?))
}
