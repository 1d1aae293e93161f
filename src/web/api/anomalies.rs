//! What detectors claim, with its grounds and its figures as people write them.

use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, State, VIEWER};
use crate::model::alert::Subject;
use crate::model::{Alert, Anomaly, AnomalyId, IncidentId, SeriesId, figure};
use crate::store::Filter;
use crate::web::extract::{Id, found};
use crate::web::table::Route;

/// Anomalies of an incident that are given at most: the strongest.
const MOST: usize = 12;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/anomalies/{id}", VIEWER, "One anomaly with its grounds", one)
            .gives::<Claimed>(),
        Route::get(
            "/api/v1/incidents/{id}/anomalies",
            VIEWER,
            "What our detectors claim of an incident, the strongest first",
            of_incident,
        )
        .gives::<Claims>(),
    ]
}

/// An anomaly, and its figures with their units.
#[derive(Serialize, ToSchema)]
struct Claimed {
    anomaly: Anomaly,
    /// The series that it is about, where there is one: it has a chart.
    series: Option<SeriesId>,
    /// What departs.
    what: String,
    /// The newest value, and the most extreme one.
    value: String,
    /// See `value`.
    peak: String,
    /// The edges of the expected band.
    low: String,
    /// See `low`.
    high: String,
    /// Up to which values nothing would have been flagged.
    unflagged: Option<(String, String)>,
}

/// Anomalies, the strongest first.
#[derive(Serialize, ToSchema)]
struct Claims {
    anomalies: Vec<Claimed>,
}

impl Claimed {
    fn of(anomaly: Anomaly) -> Self {
        let (series, what, unit) = match &anomaly.subject {
            Subject::Series { series } => {
                (Some(series.id), series.metric.clone(), series.unit.clone())
            }
            Subject::LogTemplate { template, .. } => (None, template.clone(), String::new()),
            Subject::Edge { from, operation, .. } => {
                (None, format!("calls {operation} of {}", from.name()), String::new())
            }
            Subject::Missing { what, .. } => (None, what.clone(), String::new()),
            Subject::Objective { objective, series, .. } => {
                (*series, objective.clone(), String::new())
            }
        };
        let show = |value: f64| figure(value, &unit);
        let unflagged =
            anomaly.grounds.as_ref().map(|g| (show(g.unflagged.low), show(g.unflagged.high)));
        Self {
            series,
            what,
            value: show(anomaly.value),
            peak: show(anomaly.peak),
            low: show(anomaly.expected.low),
            high: show(anomaly.expected.high),
            unflagged,
            anomaly,
        }
    }
}

async fn one(Shared(state): Shared<State>, Id(id): Id<AnomalyId>) -> Answer<Claimed> {
    let read = state.shared.store.read(move |r| r.get::<Anomaly>(id)).await?;
    found(read, "anomaly").map(|a| Json(Claimed::of(a)))
}

async fn of_incident(Shared(state): Shared<State>, Id(id): Id<IncidentId>) -> Answer<Claims> {
    let read = state.shared.store.read(move |r| {
        let mut anomalies = Vec::new();
        for alert in r.list::<Alert>(&Filter::parent(id))? {
            if let Some(anomaly) = alert.anomaly {
                anomalies.extend(r.get::<Anomaly>(anomaly)?);
            }
        }
        Ok(anomalies)
    });
    let mut anomalies = read.await?;
    anomalies.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    let anomalies = anomalies.into_iter().take(MOST).map(Claimed::of).collect();
    Ok(Json(Claims { anomalies }))
}
