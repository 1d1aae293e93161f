//! Service level objectives: how each stands.

use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, State, VIEWER};
use crate::detect::slo::Standing;
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/objectives", VIEWER, "How each service level objective stands", list)
            .gives::<Objectives>(),
    ]
}

/// All objectives, in the order of the configuration.
#[derive(Serialize, ToSchema)]
struct Objectives {
    objectives: Vec<Standing>,
}

async fn list(Shared(state): Shared<State>) -> Answer<Objectives> {
    Ok(Json(Objectives { objectives: state.shared.shard.standings() }))
}
