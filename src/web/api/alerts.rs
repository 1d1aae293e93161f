//! Alerts, and why each of them did or did not reach anybody.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, State, VIEWER, cursor, newest, past, words};
use crate::command::{About, Explanation};
use crate::model::{Alert, AlertId, AlertStatus, IncidentId, Time};
use crate::web::Failure;
use crate::web::extract::{Id, Params, found};
use crate::web::table::Route;

/// Alerts among which one page looks for those that reached nobody.
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
            "Why an alert (ALT-…), incident (INC-…), proposal (PRP-…) or run (RUN-…) is as it is",
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
    /// Where the page before ended: its `next`.
    cursor: Option<String>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

/// Alerts, newest first.
#[derive(Serialize, ToSchema)]
struct AlertList {
    alerts: Vec<Alert>,
    /// Where `held` was asked for: how many were found among the 5,000 that one page searches.
    n_found: Option<usize>,
    /// There are, or may be, more than those listed.
    is_cut: bool,
    /// Then it is asked for them with this as `cursor`; a page may be empty and yet not the last.
    next: Option<String>,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<AlertList> {
    let mut filter = newest(which.limit, which.before);
    filter.states = words::<AlertStatus>("status", which.status.as_deref())?;
    filter.parent = which.incident.map(|id| id.to_string());
    filter.past = past(which.cursor.as_deref())?;
    let most = filter.limit;
    if let Some(held) = which.held {
        filter.limit = MOST_SEARCHED;
        // Those that reached nobody belong to no incident.
        if held && filter.parent.is_none() {
            filter.parent = Some(String::new());
        }
    }
    let searched = filter.limit;
    // One more tells whether there are more.
    filter.limit += 1;
    let mut alerts = state.shared.store.read(move |r| r.list::<Alert>(&filter)).await?;
    let goes_on = alerts.len() > searched;
    alerts.truncate(searched);
    let mut next = alerts.last().filter(|_| goes_on).map(cursor);
    if let Some(held) = which.held {
        let is_held = |a: &Alert| a.incident.is_none() && a.decision.is_some();
        alerts.retain(|a| is_held(a) == held);
    }
    let n_found = which.held.map(|_| alerts.len());
    if alerts.len() > most {
        alerts.truncate(most);
        next = alerts.last().map(cursor);
    }
    Ok(Json(AlertList { alerts, n_found, is_cut: next.is_some(), next }))
}

async fn one(Shared(state): Shared<State>, Id(id): Id<AlertId>) -> Answer<Alert> {
    found(state.shared.store.read(move |r| r.get::<Alert>(id)).await?, "alert").map(Json)
}

async fn why(Shared(state): Shared<State>, Id(id): Id<String>) -> Answer<Explanation> {
    let desk = &state.shared.desk;
    let about: About =
        id.parse().map_err(|()| Failure::not_found("alert, incident, proposal or run"))?;
    Ok(Json(desk.why(about).await?))
}
