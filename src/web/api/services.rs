//! The service graph with what fires on it.

use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, MOST, State, VIEWER};
use crate::model::time::HOUR_MS;
use crate::model::topology::Edge;
use crate::model::{Alert, AlertId, EntityRef, Series, Severity};
use crate::store::{EdgeStats, Filter, SeriesFilter};
use crate::telemetry::blind::{self, Blind};
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/services", VIEWER, "The service graph, its series, what fires", graph)
            .gives::<Services>(),
    ]
}

/// The service graph, its series, the last hour's calls, and what fires.
#[derive(Serialize, ToSchema)]
struct Services {
    series: Vec<Series>,
    edges: Vec<Edge>,
    /// Calls of the last hour, busiest edge first.
    calls: Vec<EdgeStats>,
    firing: Vec<Firing>,
    /// What can't be seen: that nothing fires on it says nothing.
    blind: Vec<Blind>,
}

/// An alert that fires, in short.
#[derive(Serialize, ToSchema)]
struct Firing {
    alert: AlertId,
    entity: EntityRef,
    name: String,
    severity: Severity,
}

async fn graph(Shared(state): Shared<State>) -> Answer<Services> {
    let now = state.shared.clock.now();
    let read = state.shared.store.read(move |r| {
        let firing = r.list::<Alert>(&Filter::states(["firing"]).newest(MOST))?;
        let series = r.list_series(&SeriesFilter::default())?;
        Ok(Services {
            blind: blind::now(r)?,
            series,
            edges: r.list(&Filter::all())?,
            calls: r.edge_stats(now.plus_ms(-HOUR_MS), now)?,
            firing: firing
                .iter()
                .map(|a| Firing {
                    alert: a.id,
                    entity: a.entity.clone(),
                    name: a.name().to_owned(),
                    severity: a.severity,
                })
                .collect(),
        })
    });
    Ok(Json(read.await?))
}
