//! Buttons and their forms: the console's own way through the counter that every platform uses.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, State, VIEWER};
use crate::chat::{Card, Form};
use crate::model::IncidentId;
use crate::web::Failure;
use crate::web::auth::Caller;
use crate::web::extract::Body;
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    // Each button asks for its own role, and policy for more.
    vec![
        Route::post("/api/v1/press", VIEWER, "What a button asks before it is done", press)
            .takes::<Press>()
            .gives::<Opened>()
            .fails(&[404, 409, 422]),
        Route::post("/api/v1/submit", VIEWER, "Does what a button or its form asks for", submit)
            .takes::<Submit>()
            .gives::<Submitted>()
            .fails(&[404, 409, 422]),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Press {
    /// What the button carries.
    code: String,
}

/// What a button opens.
#[derive(Serialize, ToSchema)]
struct Opened {
    /// The form to fill in; null: nothing is asked, send the button's code with no values.
    form: Option<Form>,
}

async fn press(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Body(given): Body<Press>,
) -> Answer<Opened> {
    let form = state.shared.clerk.counter().open(&actor, &given.code).await?;
    Ok(Json(Opened { form }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Submit {
    /// The code of the form, or of a button that asks nothing.
    code: String,
    /// The form's answers by field name.
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// Chosen by the sender: the same key does it once.
    #[serde(default)]
    key: String,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
struct Submitted {
    /// What was done, in a sentence.
    words: String,
    /// The incident that it is about.
    incident: Option<IncidentId>,
    /// What was asked for, such as an explanation.
    card: Option<Card>,
}

async fn submit(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Body(given): Body<Submit>,
) -> Answer<Submitted> {
    let clerk = &state.shared.clerk;
    let faults = clerk.counter().check(&given.code, &given.values).await?;
    if !faults.is_empty() {
        return Err(Failure::fields(faults));
    }
    let done = clerk.submit(&actor, (&given.code, given.values), &given.key).await?;
    Ok(Json(Submitted { words: done.words, incident: done.incident, card: done.card }))
}
