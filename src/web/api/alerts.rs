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

/// Alerts among which those that reached nobody are looked for, the newest first.
const MOST_SEARCHED: usize = 5_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/alerts", VIEWER, "Alerts, newest first", list)
            .query::<Which>()
            .gives::<AlertList>(),
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
    /// Only those that reached nobody.
    held: Option<bool>,
    /// Only begun before.
    before: Option<Time>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

/// Alerts, newest first.
#[derive(Serialize, ToSchema)]
struct AlertList {
    alerts: Vec<Alert>,
    /// Where `held` was asked for: how many were found among the newest 5,000 that were searched.
    n_found: Option<usize>,
    /// There are, or may be, more than those listed: ask again with `before`.
    is_cut: bool,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<AlertList> {
    let mut filter = newest(which.limit, which.before);
    filter.states = words::<AlertStatus>("status", which.status.as_deref())?;
    filter.parent = which.incident.map(|id| id.to_string());
    let most = filter.limit;
    if let Some(held) = which.held {
        filter.limit = MOST_SEARCHED;
        // Those that reached nobody belong to no incident.
        if held && filter.parent.is_none() {
            filter.parent = Some(String::new());
        }
    }
    let searched = filter.limit;
    let mut alerts = state.shared.store.read(move |r| r.list::<Alert>(&filter)).await?;
    let mut is_cut = searched > 0 && alerts.len() >= searched;
    if let Some(held) = which.held {
        let is_held = |a: &Alert| a.incident.is_none() && a.decision.is_some();
        alerts.retain(|a| is_held(a) == held);
    }
    let n_found = which.held.map(|_| alerts.len());
    is_cut |= alerts.len() > most;
    alerts.truncate(most);
    Ok(Json(AlertList { alerts, n_found, is_cut }))
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
