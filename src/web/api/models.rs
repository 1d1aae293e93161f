//! The classifier of incidents: its versions with their cards, trained, promoted, rolled back.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{APPROVER, Answer, State, VIEWER};
use crate::learn::classify::Teachable;
use crate::model::Classifier;
use crate::store::Filter;
use crate::web::auth::Caller;
use crate::web::extract::{Body, Id, found};
use crate::web::table::Route;

/// Versions of one answer, the newest.
const MOST: usize = 100;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/models",
            VIEWER,
            "Versions of the classifier with their cards, newest first, and what could be learned",
            list,
        )
        .gives::<Models>(),
        Route::get("/api/v1/models/{version}", VIEWER, "One version with its card", one)
            .gives::<Classifier>(),
        Route::post(
            "/api/v1/models/train",
            APPROVER,
            "Trains a version on what was said of incidents; it is born in shadow",
            train,
        )
        .gives::<Classifier>()
        .fails(&[409]),
        Route::post(
            "/api/v1/models/promote",
            APPROVER,
            "Lets a version's answers be shown: the one named, or the newest in shadow",
            promote,
        )
        .takes::<Moving>()
        .gives::<Classifier>()
        .fails(&[409]),
        Route::post(
            "/api/v1/models/rollback",
            APPROVER,
            "Goes back to the version that was live before; without one, to showing nothing",
            rollback,
        )
        .takes::<Moving>()
        .gives::<Classifier>()
        .fails(&[409]),
    ]
}

/// The classifier's versions.
#[derive(Serialize, ToSchema)]
struct Models {
    /// The newest 100, newest first.
    versions: Vec<Classifier>,
    /// What could be learned now.
    standing: Teachable,
}

/// Which version, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Moving {
    /// Which version; left out: the one that comes next.
    #[serde(default)]
    version: Option<u32>,
    /// Kept with the version and in the audit log.
    #[serde(default)]
    reason: String,
}

async fn list(Shared(state): Shared<State>) -> Answer<Models> {
    let newest = Filter::all().newest(MOST);
    let versions = state.shared.store.read(move |r| r.list::<Classifier>(&newest)).await?;
    let standing = Teachable::clone(&*state.shared.classifier.standing().await?);
    Ok(Json(Models { versions, standing }))
}

async fn one(Shared(state): Shared<State>, Id(version): Id<u32>) -> Answer<Classifier> {
    let read = state.shared.store.read(move |r| r.get::<Classifier>(version));
    found(read.await?, "version of the classifier").map(Json)
}

async fn train(Shared(state): Shared<State>, Caller(actor): Caller) -> Answer<Classifier> {
    Ok(Json(state.shared.classifier.train(&actor).await??))
}

async fn promote(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Body(wanted): Body<Moving>,
) -> Answer<Classifier> {
    let Moving { version, reason } = wanted;
    Ok(Json(state.shared.classifier.promote(&actor, version, &reason).await??))
}

async fn rollback(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Body(wanted): Body<Moving>,
) -> Answer<Classifier> {
    let Moving { version, reason } = wanted;
    Ok(Json(state.shared.classifier.rollback(&actor, version, &reason).await??))
}
