//! Patterns of alerts that were learned to be harmless: shown with what they counted, confirmed,
//! declined, taken back.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{APPROVER, Answer, Reason, State, VIEWER, newest, words};
use crate::model::{Harmless, HarmlessId, HarmlessState, Time};
use crate::web::auth::Caller;
use crate::web::extract::{Body, Id, Params, found};
use crate::web::table::Route;

macro_rules! at {
    ($rest:literal) => {
        concat!("/api/v1/harmless", $rest)
    };
}

pub(super) fn routes() -> Vec<Route> {
    let deed = |route: Route| route.takes::<Reason>().gives::<Harmless>().fails(&[409]);
    vec![
        Route::get(
            at!(""),
            VIEWER,
            "Patterns of alerts learned to be harmless, newest first",
            list,
        )
        .query::<Which>()
        .gives::<Patterns>(),
        Route::get(at!("/{id}"), VIEWER, "One learned pattern with what it counted", one)
            .gives::<Harmless>(),
        deed(Route::post(at!("/{id}/confirm"), APPROVER, "Confirms a learned pattern", confirm)),
        deed(Route::post(at!("/{id}/decline"), APPROVER, "Declines a learned pattern", decline)),
        deed(Route::post(at!("/{id}/undo"), APPROVER, "Takes a confirmed pattern back", undo)),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only in these states: `shadow,open,applied,declined,lifted,taken_back,withdrawn`.
    state: Option<String>,
    /// Only made before.
    before: Option<Time>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

/// Learned patterns, newest first.
#[derive(Serialize, ToSchema)]
struct Patterns {
    patterns: Vec<Harmless>,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<Patterns> {
    let mut filter = newest(which.limit, which.before);
    filter.states = words::<HarmlessState>("state", which.state.as_deref())?;
    let patterns = state.shared.store.read(move |r| r.list::<Harmless>(&filter)).await?;
    Ok(Json(Patterns { patterns }))
}

async fn one(Shared(state): Shared<State>, Id(id): Id<HarmlessId>) -> Answer<Harmless> {
    let read = state.shared.store.read(move |r| r.get::<Harmless>(id));
    found(read.await?, "learned pattern").map(Json)
}

async fn confirm(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<HarmlessId>,
    Body(given): Body<Reason>,
) -> Answer<Harmless> {
    Ok(Json(state.shared.desk.confirm_harmless(&actor, id, &given.reason).await?))
}

async fn decline(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<HarmlessId>,
    Body(given): Body<Reason>,
) -> Answer<Harmless> {
    Ok(Json(state.shared.desk.decline_harmless(&actor, id, &given.reason).await?))
}

async fn undo(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<HarmlessId>,
    Body(given): Body<Reason>,
) -> Answer<Harmless> {
    Ok(Json(state.shared.desk.take_back_harmless(&actor, id, &given.reason).await?))
}
