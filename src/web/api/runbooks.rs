//! Runbooks: what people read, and what machines could do.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, State, VIEWER};
use crate::model::Risk;
use crate::runbook::Runbook;
use crate::runbook::schema::Parameter;
use crate::web::extract::{Id, Params, found};
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/runbooks", VIEWER, "Runbooks, by id or by what fits best", list)
            .query::<Search>()
            .gives::<Runbooks>(),
        Route::get("/api/v1/runbooks/{id}", VIEWER, "One runbook with its text", one)
            .gives::<WholeRunbook>(),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Search {
    /// Words to be found; left out: all runbooks by id.
    q: Option<String>,
}

/// Runbooks.
#[derive(Serialize, ToSchema)]
struct Runbooks {
    runbooks: Vec<RunbookHead>,
}

/// A runbook without its text.
#[derive(Serialize, ToSchema)]
struct RunbookHead {
    id: String,
    title: String,
    /// Names of services that it is for; empty: any.
    services: Vec<String>,
    /// The team that keeps it right.
    owner: String,
    /// When it was last checked: `YYYY-MM-DD`.
    reviewed: String,
    /// Where the words were found, hits marked with `[` and `]`.
    excerpt: String,
}

fn head(runbook: &Runbook, excerpt: String) -> RunbookHead {
    let front = &runbook.front;
    RunbookHead {
        id: front.id.clone(),
        title: front.title.clone(),
        services: front.services.clone(),
        owner: front.owner.clone(),
        reviewed: front.reviewed.clone(),
        excerpt,
    }
}

async fn list(Shared(state): Shared<State>, Params(search): Params<Search>) -> Answer<Runbooks> {
    let library = &state.shared.library;
    let Some(words) = search.q.filter(|q| !q.trim().is_empty()) else {
        let runbooks = library.iter().map(|r| head(r, String::new())).collect();
        return Ok(Json(Runbooks { runbooks }));
    };
    let found = state.shared.store.read(move |r| r.search(&words, Some("runbook"), 50)).await?;
    let runbooks =
        found.into_iter().filter_map(|f| Some(head(library.get(&f.id)?, f.excerpt))).collect();
    Ok(Json(Runbooks { runbooks }))
}

/// A runbook with its text.
#[derive(Serialize, ToSchema)]
struct WholeRunbook {
    #[serde(flatten)]
    head: RunbookHead,
    /// What must be true before any of it is done.
    preconditions: Vec<String>,
    /// How people see that it worked.
    verification: String,
    /// How it is undone.
    rollback: String,
    actions: Vec<RunbookAction>,
    /// Markdown.
    body: String,
    /// Where it came from.
    file: String,
}

/// What machines could do.
#[derive(Serialize, ToSchema)]
struct RunbookAction {
    id: String,
    /// One line; `{{ … }}` is filled in when it is offered.
    title: String,
    risk: Risk,
    expected_effect: String,
    /// What a person may change before it is approved, with its bounds.
    parameters: Vec<Parameter>,
}

async fn one(Shared(state): Shared<State>, Id(id): Id<String>) -> Answer<WholeRunbook> {
    let runbook = found(state.shared.library.get(&id), "runbook")?;
    let front = &runbook.front;
    let actions = front.actions.iter().map(|a| RunbookAction {
        id: a.id.clone(),
        title: a.title.clone(),
        risk: a.risk,
        expected_effect: a.expected_effect.clone(),
        parameters: a.parameters.clone(),
    });
    Ok(Json(WholeRunbook {
        head: head(runbook, String::new()),
        preconditions: front.preconditions.clone(),
        verification: front.verification.clone(),
        rollback: front.rollback.clone(),
        actions: actions.collect(),
        body: runbook.body.clone(),
        file: runbook.file.clone(),
    }))
}
