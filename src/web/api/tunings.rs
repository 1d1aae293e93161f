//! Proposed changes of detection that follow from people's judgements: shown with their backtest,
//! applied, declined, taken back.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::learned::{deed, listed, one};
use super::{Answer, State, VIEWER};
use crate::detect::Bar;
use crate::model::{Time, Tuning, TuningId, TuningState};
use crate::web::extract::Params;
use crate::web::table::Route;

macro_rules! at {
    ($rest:literal) => {
        concat!("/api/v1/detectors/proposals", $rest)
    };
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            at!(""),
            VIEWER,
            "Changes of detection that judgements speak for, newest first, and bars that stand",
            list,
        )
        .query::<Which>()
        .gives::<Tunings>(),
        one::<TuningId, Tuning>(
            at!("/{id}"),
            "One proposed change with its backtest",
            "proposed change of detection",
        ),
        deed(at!("/{id}/apply"), "Applies a proposed change", |desk, by, id, why| async move {
            desk.apply_tuning(&by, id, &why).await
        }),
        deed(at!("/{id}/decline"), "Declines a proposed change", |desk, by, id, why| async move {
            desk.decline_tuning(&by, id, &why).await
        }),
        deed(at!("/{id}/undo"), "Takes an applied change back", |desk, by, id, why| async move {
            desk.take_back_tuning(&by, id, &why).await
        }),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only in these states: `open,applied,not_made,declined,withdrawn,taken_back,replaced,lapsed`.
    state: Option<String>,
    /// Only made before.
    before: Option<Time>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

/// Proposed changes, newest first.
#[derive(Serialize, ToSchema)]
struct Tunings {
    proposals: Vec<Tuning>,
    /// Bars that stand now, as detection has them.
    bars: Vec<Bar>,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<Tunings> {
    let Which { state: states, before, limit } = which;
    let proposals = listed::<_, TuningState>(&state, states.as_deref(), before, limit).await?;
    Ok(Json(Tunings { proposals, bars: state.shared.shard.bars() }))
}
