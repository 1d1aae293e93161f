//! Patterns of alerts that were learned to be harmless: shown with what they counted, confirmed,
//! declined, taken back.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::learned::{deed, listed, one};
use super::{Answer, State, VIEWER};
use crate::model::{Harmless, HarmlessId, HarmlessState, Time};
use crate::web::extract::Params;
use crate::web::table::Route;

macro_rules! at {
    ($rest:literal) => {
        concat!("/api/v1/harmless", $rest)
    };
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            at!(""),
            VIEWER,
            "Patterns of alerts learned to be harmless, newest first",
            list,
        )
        .query::<Which>()
        .gives::<Patterns>(),
        one::<HarmlessId, Harmless>(
            at!("/{id}"),
            "One learned pattern with what it counted",
            "learned pattern",
        ),
        deed(at!("/{id}/confirm"), "Confirms a learned pattern", |desk, by, id, why| async move {
            desk.confirm_harmless(&by, id, &why).await
        }),
        deed(at!("/{id}/decline"), "Declines a learned pattern", |desk, by, id, why| async move {
            desk.decline_harmless(&by, id, &why).await
        }),
        deed(at!("/{id}/undo"), "Takes a confirmed pattern back", |desk, by, id, why| async move {
            desk.take_back_harmless(&by, id, &why).await
        }),
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
    let Which { state: states, before, limit } = which;
    let patterns = listed::<_, HarmlessState>(&state, states.as_deref(), before, limit).await?;
    Ok(Json(Patterns { patterns }))
}
