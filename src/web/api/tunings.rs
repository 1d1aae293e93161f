//! Proposed changes of detection that follow from people's judgements: shown with their backtest,
//! applied, declined, taken back.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{APPROVER, Answer, Reason, State, VIEWER, newest, words};
use crate::detect::Bar;
use crate::model::{Time, Tuning, TuningId, TuningState};
use crate::web::auth::Caller;
use crate::web::extract::{Body, Id, Params, found};
use crate::web::table::Route;

macro_rules! at {
    ($rest:literal) => {
        concat!("/api/v1/detectors/proposals", $rest)
    };
}

pub(super) fn routes() -> Vec<Route> {
    let deed = |route: Route| route.takes::<Reason>().gives::<Tuning>().fails(&[409]);
    vec![
        Route::get(
            at!(""),
            VIEWER,
            "Changes of detection that judgements speak for, newest first, and bars that stand",
            list,
        )
        .query::<Which>()
        .gives::<Tunings>(),
        Route::get(at!("/{id}"), VIEWER, "One proposed change with its backtest", one)
            .gives::<Tuning>(),
        deed(Route::post(at!("/{id}/apply"), APPROVER, "Applies a proposed change", apply)),
        deed(Route::post(at!("/{id}/decline"), APPROVER, "Declines a proposed change", decline)),
        deed(Route::post(at!("/{id}/undo"), APPROVER, "Takes an applied change back", undo)),
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
    let mut filter = newest(which.limit, which.before);
    filter.states = words::<TuningState>("state", which.state.as_deref())?;
    let proposals = state.shared.store.read(move |r| r.list::<Tuning>(&filter)).await?;
    Ok(Json(Tunings { proposals, bars: state.shared.shard.bars() }))
}

async fn one(Shared(state): Shared<State>, Id(id): Id<TuningId>) -> Answer<Tuning> {
    let read = state.shared.store.read(move |r| r.get::<Tuning>(id));
    found(read.await?, "proposed change of detection").map(Json)
}

async fn apply(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<TuningId>,
    Body(given): Body<Reason>,
) -> Answer<Tuning> {
    Ok(Json(state.shared.desk.apply_tuning(&actor, id, &given.reason).await?))
}

async fn decline(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<TuningId>,
    Body(given): Body<Reason>,
) -> Answer<Tuning> {
    Ok(Json(state.shared.desk.decline_tuning(&actor, id, &given.reason).await?))
}

async fn undo(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<TuningId>,
    Body(given): Body<Reason>,
) -> Answer<Tuning> {
    Ok(Json(state.shared.desk.take_back_tuning(&actor, id, &given.reason).await?))
}
