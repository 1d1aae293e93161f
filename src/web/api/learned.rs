//! The routes that everything learned has alike: the list, one of it, and a decision with its reason.

use std::str::FromStr;

use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::{APPROVER, Answer, Failure, Reason, State, VIEWER, newest, words};
use crate::command::{Desk, Problem};
use crate::model::{Actor, Time};
use crate::store::Record;
use crate::web::auth::Caller;
use crate::web::extract::{Body, Id, found};
use crate::web::table::Route;

/// Those in the states named (each one of `S`'s), made before a time, newest first.
pub(super) async fn listed<T: Record, S: DeserializeOwned>(
    state: &State,
    states: Option<&str>,
    before: Option<Time>,
    limit: Option<usize>,
) -> Result<Vec<T>, Failure> {
    let mut filter = newest(limit, before);
    filter.states = words::<S>("state", states)?;
    Ok(state.shared.store.read(move |r| r.list::<T>(&filter)).await?)
}

/// The route that reads one; `what` it is, where there is none.
pub(super) fn one<I, T>(path: &'static str, summary: &'static str, what: &'static str) -> Route
where
    I: FromStr + ToString + Send + 'static,
    T: Record + ToSchema,
{
    let read = move |Shared(state): Shared<State>, Id(id): Id<I>| async move {
        let read = state.shared.store.read(move |r| r.get::<T>(id));
        Answer::<T>::Ok(Json(found(read.await?, what)?))
    };
    Route::get(path, VIEWER, summary, read).gives::<T>()
}

/// The route by which an approver decides on one.
pub(super) fn deed<I, T, D, F>(path: &'static str, summary: &'static str, decide: D) -> Route
where
    I: FromStr + Send + 'static,
    T: Serialize + ToSchema + Send + 'static,
    D: Fn(Desk, Actor, I, String) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<T, Problem>> + Send + 'static,
{
    let decided = move |Shared(state): Shared<State>,
                        Caller(actor): Caller,
                        Id(id): Id<I>,
                        Body(given): Body<Reason>| {
        let decided = decide(state.shared.desk.clone(), actor, id, given.reason);
        async move { Answer::<T>::Ok(Json(decided.await?)) }
    };
    Route::post(path, APPROVER, summary, decided).takes::<Reason>().gives::<T>().fails(&[409])
}
