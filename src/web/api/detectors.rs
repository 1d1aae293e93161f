//! How the detectors stand: the alert budget, whether their p-values hold, versions compared.

use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{APPROVER, Answer, Done, State, VIEWER};
use crate::detect::Detectors;
use crate::detect::drift::Stage;
use crate::model::{Batch, DetectorOrder, Refused};
use crate::web::Failure;
use crate::web::auth::Caller;
use crate::web::extract::{Body, Id};
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/detectors",
            VIEWER,
            "The alert budget, and how each detector version stands",
            list,
        )
        .gives::<Detectors>(),
        Route::post(
            "/api/v1/detectors/{name}/stage",
            APPROVER,
            "Moves a detector version to live or to shadow",
            place,
        )
        .takes::<Placing>()
        .gives::<Done>()
        .fails(&[409]),
    ]
}

async fn list(Shared(state): Shared<State>) -> Json<Detectors> {
    Json(state.shared.shard.detectors())
}

/// Where a version is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Placing {
    /// Live: people are told. Shadow: it is compared, and nobody is told.
    stage: Stage,
    /// Why; shown with it.
    #[serde(default)]
    reason: String,
}

/// The order goes through the journal like everything that detection hears, so that a start anew
/// or a replay comes to the same.
async fn place(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(name): Id<String>,
    Body(wanted): Body<Placing>,
) -> Answer<Done> {
    let shared = &state.shared;
    let standing = shared.shard.detectors();
    let Some(version) = standing.report.versions.iter().find(|v| v.name == name) else {
        return Err(Failure::not_found("detector"));
    };
    if version.stage == wanted.stage {
        let text = format!("{} is there already: {}", version.name, version.why);
        return Err(Refused::Conflict(text).into());
    }
    let now = shared.clock.now();
    let detail = json!({ "stage": wanted.stage, "reason": wanted.reason });
    let (by, about) = (actor.clone(), name.clone());
    shared.store.write(move |tx| tx.audit(now, &by, "detector.stage", &about, &detail)).await?;
    let mut batch = Batch::new("console", now);
    batch.orders.push(DetectorOrder {
        detector: name,
        live: wanted.stage == Stage::Live,
        by: actor,
        reason: wanted.reason,
    });
    shared.intake.accept(batch).await?;
    Ok(Json(Done { done: true }))
}
