//! Proposals and what people decide on them, runs, and the halt switch.

use axum::Json;
use axum::extract::State as Shared;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ADMIN, APPROVER, Answer, Done, RESPONDER, Reason, State, VIEWER, newest, words};
use crate::approve::{HALT, Halt};
use crate::model::{
    Actor, IncidentId, Proposal, ProposalId, ProposalState, Run, RunId, RunState, Time, Verdict,
};
use crate::web::Failure;
use crate::web::auth::Caller;
use crate::web::extract::{Body, Id, Params, found};
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/proposals", VIEWER, "Proposals, newest first", list)
            .query::<Which>()
            .gives::<Proposals>(),
        Route::get("/api/v1/proposals/{id}", VIEWER, "One proposal", one).gives::<Proposal>(),
        // Policy asks for more than the least role, for each proposal on its own.
        Route::post("/api/v1/proposals/{id}/approve", RESPONDER, "Approves a plan", approve)
            .takes::<Decide>()
            .gives::<Proposal>()
            .fails(&[409]),
        Route::post("/api/v1/proposals/{id}/schedule", RESPONDER, "Approves it for later", later)
            .takes::<Schedule>()
            .gives::<Proposal>()
            .fails(&[409, 422]),
        Route::post("/api/v1/proposals/{id}/edit", RESPONDER, "Changes its parameters", edit)
            .takes::<Edit>()
            .gives::<Proposal>()
            .fails(&[409, 422]),
        Route::post("/api/v1/proposals/{id}/ignore", RESPONDER, "Declines a plan", ignore)
            .takes::<Decide>()
            .gives::<Proposal>()
            .fails(&[409]),
        Route::get("/api/v1/runs", VIEWER, "Runs, newest first", runs)
            .query::<Which>()
            .gives::<Runs>(),
        Route::get("/api/v1/runs/{id}", VIEWER, "One run", run).gives::<Run>(),
        Route::get("/api/v1/halt", VIEWER, "Whether all actions are halted", halted)
            .gives::<Halted>(),
        Route::post("/api/v1/halt", APPROVER, "Halts all actions", halt)
            .takes::<Reason>()
            .gives::<Halted>(),
        Route::delete("/api/v1/halt", ADMIN, "Lets actions run again", unhalt).gives::<Done>(),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only in these states: `open,scheduled` of proposals, `running,unknown` of runs.
    state: Option<String>,
    /// Only of this incident.
    incident: Option<IncidentId>,
    /// Only made before.
    before: Option<Time>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

impl Which {
    /// The filter; `S` are the states that there are.
    fn filter<S: DeserializeOwned>(&self) -> Result<crate::store::Filter, Failure> {
        let mut filter = newest(self.limit, self.before);
        filter.states = words::<S>("state", self.state.as_deref())?;
        filter.parent = self.incident.map(|id| id.to_string());
        Ok(filter)
    }
}

/// Proposals, newest first.
#[derive(Serialize, ToSchema)]
struct Proposals {
    proposals: Vec<Proposal>,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<Proposals> {
    let filter = which.filter::<ProposalState>()?;
    let proposals = state.shared.store.read(move |r| r.list::<Proposal>(&filter)).await?;
    Ok(Json(Proposals { proposals }))
}

async fn one(Shared(state): Shared<State>, Id(id): Id<ProposalId>) -> Answer<Proposal> {
    found(state.shared.store.read(move |r| r.get::<Proposal>(id)).await?, "proposal").map(Json)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Decide {
    /// Digest of the plan that was read: whole, or its first 16 digits and more.
    digest: String,
    /// Why; kept in the timeline and the audit log.
    #[serde(default)]
    reason: String,
}

async fn approve(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<ProposalId>,
    Body(given): Body<Decide>,
) -> Answer<Proposal> {
    Ok(Json(state.shared.desk.approve(&actor, id, &given.digest, &given.reason).await?))
}

async fn ignore(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<ProposalId>,
    Body(given): Body<Decide>,
) -> Answer<Proposal> {
    Ok(Json(state.shared.desk.ignore(&actor, id, &given.digest, &given.reason).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Schedule {
    /// Digest of the plan that was read: whole, or its first 16 digits and more.
    digest: String,
    /// When it is to be done, before the proposal's expiry (event time).
    at: Time,
    /// Why; kept in the timeline and the audit log.
    #[serde(default)]
    reason: String,
}

async fn later(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<ProposalId>,
    Body(given): Body<Schedule>,
) -> Answer<Proposal> {
    let verdict = Verdict::Schedule { at: given.at };
    let desk = &state.shared.desk;
    Ok(Json(desk.decide(&actor, id, verdict, &given.digest, &given.reason).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// Digest of the plan that was read: whole, or its first 16 digits and more.
    digest: String,
    /// The parameters to change, within the bounds that the runbook declares; others stay.
    parameters: std::collections::BTreeMap<String, String>,
    /// Why; kept in the timeline and the audit log.
    #[serde(default)]
    reason: String,
}

async fn edit(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<ProposalId>,
    Body(given): Body<Edit>,
) -> Answer<Proposal> {
    let desk = &state.shared.desk;
    let (digest, reason) = (&given.digest, &given.reason);
    Ok(Json(desk.edit(&actor, id, digest, given.parameters, reason).await?))
}

/// Runs, newest first.
#[derive(Serialize, ToSchema)]
struct Runs {
    runs: Vec<Run>,
}

async fn runs(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<Runs> {
    let filter = which.filter::<RunState>()?;
    let runs = state.shared.store.read(move |r| r.list::<Run>(&filter)).await?;
    Ok(Json(Runs { runs }))
}

async fn run(Shared(state): Shared<State>, Id(id): Id<RunId>) -> Answer<Run> {
    found(state.shared.store.read(move |r| r.get::<Run>(id)).await?, "run").map(Json)
}

/// Who halted all actions, and why.
#[derive(Serialize, ToSchema)]
pub(super) struct HaltWords {
    by: Actor,
    reason: String,
    at: Time,
}

impl From<Halt> for HaltWords {
    fn from(halt: Halt) -> Self {
        Self { by: halt.by, reason: halt.reason, at: halt.at }
    }
}

/// Whether all actions are halted.
#[derive(Serialize, ToSchema)]
struct Halted {
    halt: Option<HaltWords>,
}

/// The halt switch as it stands.
pub(super) async fn read_halt(state: &State) -> Result<Option<HaltWords>, crate::model::Fault> {
    let stored = state.shared.store.read(|r| r.value::<Option<Halt>>(HALT)).await?;
    Ok(stored.flatten().map(Into::into))
}

async fn halted(Shared(state): Shared<State>) -> Answer<Halted> {
    Ok(Json(Halted { halt: read_halt(&state).await? }))
}

async fn halt(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Body(given): Body<Reason>,
) -> Answer<Halted> {
    let halt = state.shared.desk.halt(&actor, &given.reason).await?;
    Ok(Json(Halted { halt: Some(halt.into()) }))
}

async fn unhalt(Shared(state): Shared<State>, Caller(actor): Caller) -> Answer<Done> {
    state.shared.desk.unhalt(&actor).await?;
    Ok(Json(Done { done: true }))
}
