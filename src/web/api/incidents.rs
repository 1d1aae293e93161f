//! Incidents: reading them, and everything that people do with them.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, RESPONDER, Reason, State, VIEWER, channels, newest, thread, words};
use crate::chat::Message;
use crate::model::{
    Actor, Alert, AlertId, Attention, Diagnosis, Fault, Incident, IncidentId, IncidentState,
    Proposal, Refused, Run, Taxonomy, Time, TimelineEntry,
};
use crate::store::{Filter, Rows};
use crate::web::auth::Caller;
use crate::web::extract::{Body, Id, Params, found};
use crate::web::table::Route;

/// Alerts that one answer carries; `n_alerts` says how many there are.
const MOST_ALERTS: usize = 200;

/// Incidents among which those of a kind are looked for, the newest first.
const MOST_SEARCHED: usize = 5_000;

/// Timeline entries that one answer carries; `n_timeline` says how many there are.
const MOST_ENTRIES: usize = 500;

pub(super) fn routes() -> Vec<Route> {
    const ONE: &str = "/api/v1/incidents/{id}";
    macro_rules! at {
        ($action:literal) => {
            concat!("/api/v1/incidents/{id}/", $action)
        };
    }
    vec![
        Route::get("/api/v1/incidents", VIEWER, "Incidents, newest first", list)
            .query::<Which>()
            .gives::<Incidents>(),
        Route::get(ONE, VIEWER, "One incident with all that is known of it", one)
            .gives::<WholeIncident>(),
        Route::post(at!("acknowledge"), RESPONDER, "Takes an incident", acknowledge)
            .gives::<Incident>()
            .fails(&[409]),
        Route::post(at!("assign"), RESPONDER, "Gives an incident to somebody", assign)
            .takes::<Assign>()
            .gives::<Incident>()
            .fails(&[409, 422]),
        Route::post(at!("resolve"), RESPONDER, "Ends an incident", resolve)
            .takes::<Reason>()
            .gives::<Incident>()
            .fails(&[409]),
        Route::post(at!("not-an-incident"), RESPONDER, "Ends it as a false alarm", not_an_incident)
            .takes::<Reason>()
            .gives::<Incident>()
            .fails(&[409]),
        Route::post(at!("reopen"), RESPONDER, "Opens a resolved incident again", reopen)
            .takes::<Reason>()
            .gives::<Incident>()
            .fails(&[409]),
        Route::post(at!("review"), RESPONDER, "Closes the review of a resolved incident", review)
            .takes::<Words>()
            .gives::<Incident>()
            .fails(&[409]),
        Route::post(at!("merge"), RESPONDER, "Folds it into another; gives that one", merge)
            .takes::<Merge>()
            .gives::<Incident>()
            .fails(&[409, 422]),
        Route::post(at!("split"), RESPONDER, "Takes alerts out; gives the new incident", split)
            .takes::<Split>()
            .gives::<Incident>()
            .fails(&[409, 422]),
        Route::post(at!("notes"), RESPONDER, "Writes into its timeline", note)
            .takes::<Words>()
            .gives::<TimelineEntry>()
            .fails(&[422]),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only in these states: `open,acknowledged`.
    state: Option<String>,
    /// Only those that people still work on.
    active: Option<bool>,
    /// `page` or `ticket`.
    attention: Option<String>,
    /// Only of this category: `errors`, `latency`, `saturation`, …
    category: Option<String>,
    /// Only set off by this: `deploy`, `config`, `dependency`, …
    trigger: Option<String>,
    /// Only in this kind of component: `service`, `database`, `node`, …
    component: Option<String>,
    /// Only those whose cards stand in this channel of the console.
    channel: Option<String>,
    /// Only opened before.
    before: Option<Time>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

impl Which {
    /// Whether a kind is asked for.
    fn narrows(&self) -> bool {
        self.category.is_some() || self.trigger.is_some() || self.component.is_some()
    }

    fn takes(&self, incident: &Incident) -> bool {
        let is = |wanted: &Option<String>, of: fn(&Taxonomy) -> &String| {
            wanted.as_ref().is_none_or(|w| incident.taxonomy.as_ref().is_some_and(|t| of(t) == w))
        };
        is(&self.category, |t| &t.category)
            && is(&self.trigger, |t| &t.trigger)
            && is(&self.component, |t| &t.component)
    }
}

/// Incidents, newest first.
#[derive(Serialize, ToSchema)]
struct Incidents {
    incidents: Vec<Incident>,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<Incidents> {
    let mut filter = newest(which.limit, which.before);
    filter.states = words::<IncidentState>("state", which.state.as_deref())?;
    if which.active == Some(true) && filter.states.is_empty() {
        filter.states = channels::active().states;
    }
    let attention = words::<Attention>("attention", which.attention.as_deref())?;
    let most = filter.limit;
    let narrows = which.narrows() || !attention.is_empty();
    if narrows {
        filter.limit = MOST_SEARCHED;
    }
    let channel = which.channel.clone();
    let read = state.shared.store.read(move |r| match &channel {
        Some(channel) => channels::incidents_of(r, channel, &filter),
        None => r.list::<Incident>(&filter),
    });
    let mut incidents = read.await?;
    if narrows {
        incidents.retain(|i| which.takes(i));
        incidents.retain(|i| {
            let own = i.priority.as_ref().map(|p| p.attention.as_str());
            attention.is_empty() || own.is_some_and(|own| attention.iter().any(|a| a == own))
        });
        incidents.truncate(most);
    }
    Ok(Json(Incidents { incidents }))
}

/// One incident with all that is known of it.
#[derive(Serialize, ToSchema)]
struct WholeIncident {
    incident: Incident,
    /// The first 200 of its alerts.
    alerts: Vec<Alert>,
    /// How many alerts it has.
    n_alerts: usize,
    /// The newest 500 entries of its story, in order.
    timeline: Vec<TimelineEntry>,
    /// How many entries it has.
    n_timeline: u64,
    diagnosis: Option<Diagnosis>,
    proposals: Vec<Proposal>,
    runs: Vec<Run>,
    /// Its card and its thread, as far as the caller may see them.
    messages: Vec<Message>,
}

async fn one(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
) -> Answer<WholeIncident> {
    let whole = state
        .shared
        .store
        .read(move |r| {
            let Some(incident) = r.get::<Incident>(id)? else { return Ok(None) };
            let own = Filter::parent(id);
            let mut alerts = r.list::<Alert>(&own)?;
            let n_alerts = alerts.len();
            alerts.truncate(MOST_ALERTS);
            Ok(Some(WholeIncident {
                incident,
                alerts,
                n_alerts,
                n_timeline: r.count::<TimelineEntry>(&own)?,
                timeline: newest_in_order(r, &own)?,
                diagnosis: r.get(id)?,
                proposals: r.list(&own)?,
                runs: r.list(&own)?,
                messages: thread::messages(r, id, &actor)?,
            }))
        })
        .await?;
    found(whole, "incident").map(Json)
}

/// The newest entries of a story, oldest first: an incident of a thousand alerts stays readable.
fn newest_in_order(rows: &Rows<'_>, own: &Filter) -> Result<Vec<TimelineEntry>, Fault> {
    let mut newest = rows.list::<TimelineEntry>(&own.clone().newest(MOST_ENTRIES))?;
    newest.reverse();
    Ok(newest)
}

async fn acknowledge(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
) -> Answer<Incident> {
    Ok(Json(state.shared.desk.acknowledge(&actor, id).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Assign {
    /// `me`, `nobody`, or a person of `/api/v1/people` as `via:id`.
    #[serde(default = "me")]
    to: String,
}

fn me() -> String {
    "me".to_owned()
}

async fn assign(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
    Body(given): Body<Assign>,
) -> Answer<Incident> {
    let to: Option<Actor> = match given.to.as_str() {
        "me" => Some(actor.clone()),
        "nobody" => None,
        name => {
            let known = super::keys::known_people(&state).await?;
            let found = known.into_iter().find(|p| format!("{}:{}", p.via, p.id) == name);
            Some(found.ok_or_else(|| {
                let shown: String = name.chars().take(60).collect();
                Refused::Invalid(format!(
                    "Nobody is known as `{shown}`; choose one of /api/v1/people, me, or nobody."
                ))
            })?)
        }
    };
    Ok(Json(state.shared.desk.assign(&actor, id, to).await?))
}

async fn resolve(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
    Body(given): Body<Reason>,
) -> Answer<Incident> {
    Ok(Json(state.shared.desk.resolve(&actor, id, &given.reason).await?))
}

async fn not_an_incident(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
    Body(given): Body<Reason>,
) -> Answer<Incident> {
    Ok(Json(state.shared.desk.not_an_incident(&actor, id, &given.reason).await?))
}

async fn reopen(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
    Body(given): Body<Reason>,
) -> Answer<Incident> {
    Ok(Json(state.shared.desk.reopen(&actor, id, &given.reason).await?))
}

/// What somebody writes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Words {
    #[serde(default)]
    text: String,
}

async fn review(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
    Body(given): Body<Words>,
) -> Answer<Incident> {
    Ok(Json(state.shared.desk.review(&actor, id, &given.text).await?))
}

async fn note(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
    Body(given): Body<Words>,
) -> Answer<TimelineEntry> {
    Ok(Json(state.shared.desk.note(&actor, id, &given.text).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Merge {
    /// What it becomes part of.
    into: IncidentId,
    /// Why.
    #[serde(default)]
    reason: String,
}

async fn merge(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
    Body(given): Body<Merge>,
) -> Answer<Incident> {
    Ok(Json(state.shared.desk.merge(&actor, (id, given.into), &given.reason).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Split {
    /// What is taken out.
    alerts: Vec<AlertId>,
    /// Why.
    #[serde(default)]
    reason: String,
}

async fn split(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
    Body(given): Body<Split>,
) -> Answer<Incident> {
    Ok(Json(state.shared.desk.split(&actor, id, given.alerts, &given.reason).await?))
}
