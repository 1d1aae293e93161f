//! The API's reads: incidents, evidence, alerts, changes, services, audit, answers, events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, Query, State as Shared};
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::act::id_of;
use super::auth::Caller;
use super::{Failure, State};
use crate::assist::Question;
use crate::bus::Heard;
use crate::chat::Message;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::topology::Edge;
use crate::model::{
    Alert, AlertId, Change, Diagnosis, Evidence, EvidenceId, Incident, IncidentId, Proposal, Run,
    Silence, Time, TimelineEntry,
};
use crate::store::{AuditFilter, Filter, SeriesFilter};

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/incidents", get(incidents))
        .route("/incidents/{id}", get(incident))
        .route("/evidence/{id}", get(evidence))
        .route("/alerts", get(alerts))
        .route("/changes", get(changes))
        .route("/services", get(services))
        .route("/silences", get(silences))
        .route("/audit", get(audit))
        .route("/audit/verify", get(audit_verify))
        .route("/runbooks", get(runbooks))
        .route("/series/{id}/points", get(points))
        .route("/why/{id}", get(why))
        .route("/status", get(status))
        .route("/me", get(me))
        .route("/ask", axum::routing::post(ask))
        .route("/events", get(events))
}

type Answer = Result<Json<Value>, Failure>;

#[derive(Deserialize)]
#[serde(default)]
struct Page {
    limit: usize,
    before: Option<u64>,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 100, before: None }
    }
}

impl Page {
    fn newest(&self) -> Filter {
        Filter::all().newest(self.limit.clamp(1, 1_000))
    }
}

async fn incidents(Shared(state): Shared<State>, _: Caller, Query(page): Query<Page>) -> Answer {
    let filter = page.newest();
    let found = state.shared.store.read(move |r| r.list::<Incident>(&filter)).await?;
    Ok(Json(json!({ "incidents": found })))
}

async fn incident(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answer {
    let id: IncidentId = id_of(&id, "incident")?;
    let found = state
        .shared
        .store
        .read(move |r| {
            let Some(incident) = r.get::<Incident>(id)? else { return Ok(None) };
            let own = Filter::parent(id);
            let root = crate::chat::console::message_id(&format!("{id}/card"));
            let mut messages: Vec<Message> = r.get::<Message>(root)?.into_iter().collect();
            messages.extend(r.list::<Message>(&Filter::subject(root))?);
            messages.retain(|m| m.visible_to(&actor));
            let mut alerts = r.list::<Alert>(&own)?;
            let n_alerts = alerts.len();
            alerts.truncate(200);
            Ok(Some(json!({
                "incident": incident, "alerts": alerts, "n_alerts": n_alerts,
                "timeline": r.list::<TimelineEntry>(&own)?,
                "diagnosis": r.get::<Diagnosis>(id)?,
                "proposals": r.list::<Proposal>(&own)?,
                "runs": r.list::<Run>(&own)?,
                "messages": messages,
            })))
        })
        .await?;
    found.map(Json).ok_or_else(|| Failure::not_found("incident"))
}

async fn evidence(Shared(state): Shared<State>, _: Caller, Path(id): Path<String>) -> Answer {
    let id: EvidenceId = id_of(&id, "evidence")?;
    let found = state.shared.store.read(move |r| r.get::<Evidence>(id)).await?;
    found.map(|e| Json(json!(e))).ok_or_else(|| Failure::not_found("evidence"))
}

async fn alerts(Shared(state): Shared<State>, _: Caller, Query(page): Query<Page>) -> Answer {
    let filter = page.newest();
    let found = state.shared.store.read(move |r| r.list::<Alert>(&filter)).await?;
    Ok(Json(json!({ "alerts": found })))
}

async fn changes(Shared(state): Shared<State>, _: Caller, Query(page): Query<Page>) -> Answer {
    let filter = page.newest();
    let found = state.shared.store.read(move |r| r.list::<Change>(&filter)).await?;
    Ok(Json(json!({ "changes": found })))
}

async fn services(Shared(state): Shared<State>, _: Caller) -> Answer {
    let now = state.shared.clock.now();
    let value = state
        .shared
        .store
        .read(move |r| {
            let firing = r.list::<Alert>(&Filter::states(["firing"]).newest(1_000))?;
            Ok(json!({
                "series": r.list_series(&SeriesFilter::default())?,
                "edges": r.list::<Edge>(&Filter::all())?,
                "calls": r.edge_stats(now.plus_ms(-HOUR_MS), now)?,
                "firing": firing.iter().map(|a| json!({
                    "entity": a.entity, "name": a.name(), "severity": a.severity,
                })).collect::<Vec<_>>(),
            }))
        })
        .await?;
    Ok(Json(value))
}

async fn silences(Shared(state): Shared<State>, _: Caller) -> Answer {
    let found = state.shared.store.read(|r| r.list::<Silence>(&Filter::all().newest(200))).await?;
    Ok(Json(json!({ "silences": found })))
}

async fn audit(Shared(state): Shared<State>, _: Caller, Query(page): Query<Page>) -> Answer {
    let filter =
        AuditFilter { subject: None, before: page.before, limit: page.limit.clamp(1, 1_000) };
    let found = state.shared.store.read(move |r| r.audit_records(&filter)).await?;
    Ok(Json(json!({ "records": found })))
}

async fn audit_verify(Shared(state): Shared<State>, _: Caller) -> Answer {
    Ok(Json(match state.shared.store.read(|r| r.audit_verify()).await? {
        Ok((n, hash)) => json!({ "whole": true, "n": n, "hash": hash }),
        Err(broken) => json!({ "whole": false, "reason": broken.to_string() }),
    }))
}

async fn runbooks(Shared(state): Shared<State>, _: Caller, Query(asked): Query<Search>) -> Answer {
    let text = asked.q;
    let found = state.shared.store.read(move |r| r.search(&text, Some("runbook"), 50)).await?;
    let found: Vec<Value> = found
        .into_iter()
        .map(|f| json!({ "id": f.id, "title": f.title, "excerpt": f.excerpt }))
        .collect();
    Ok(Json(json!({ "runbooks": found })))
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Range {
    since: Option<Time>,
    until: Option<Time>,
}

async fn points(
    Shared(state): Shared<State>,
    _: Caller,
    Path(id): Path<String>,
    Query(range): Query<Range>,
) -> Answer {
    let id = id_of(&id, "series")?;
    let now = state.shared.clock.now();
    let since = range.since.unwrap_or(now.plus_ms(-HOUR_MS));
    let until = range.until.unwrap_or(now).min(since.plus_ms(31 * DAY_MS));
    let found =
        state.shared.store.read(move |r| Ok((r.series(id)?, r.points(id, since, until)?))).await?;
    Ok(Json(json!({ "series": found.0, "points": found.1 })))
}

async fn why(Shared(state): Shared<State>, _: Caller, Path(id): Path<String>) -> Answer {
    let desk = &state.shared.desk;
    let explained = if let Ok(alert) = id.parse::<AlertId>() {
        desk.why_alert(alert).await?
    } else {
        desk.why_incident(id_of(&id, "alert or incident")?).await?
    };
    Ok(Json(json!(explained)))
}

async fn status(Shared(state): Shared<State>, _: Caller) -> Answer {
    let mut value = (state.shared.status)();
    value["now"] = json!(state.shared.clock.now());
    value["backlog"] = json!(state.shared.intake.backlog());
    value["store_bytes"] = json!(state.shared.store.reader().size_bytes());
    Ok(Json(value))
}

async fn me(Caller(actor): Caller) -> Answer {
    Ok(Json(json!(actor)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    question: String,
    incident: Option<IncidentId>,
}

/// Longest question, in characters.
const MOST_CHARS: usize = 2_000;

async fn ask(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Json(asked): Json<Asked>,
) -> Result<Response, Failure> {
    if asked.question.trim().is_empty() || asked.question.chars().count() > MOST_CHARS {
        let text = format!("Ask something, in at most {MOST_CHARS} characters.");
        return Err(crate::model::Refused::Invalid(text).into());
    }
    let now = state.shared.clock.now();
    let question = Question { text: asked.question, actor, incident: asked.incident, now };
    // Nobody reads the progress of an answer that is given in one piece.
    let (progress, _) = tokio::sync::mpsc::channel(1);
    let answer = state.shared.assistant.ask(question, progress).await?;
    Ok(Json(json!(answer)).into_response())
}

async fn events(Shared(state): Shared<State>, _: Caller) -> Response {
    let heard = state.shared.bus.subscribe();
    let stream = stream::unfold(heard, |mut heard| async move {
        loop {
            let event = match heard.next().await {
                // The tick is news to nobody.
                Heard::Event(crate::bus::Event::Tick) => continue,
                Heard::Event(event) => Sse::default().json_data(event),
                Heard::Lagged => Sse::default().json_data(json!({ "event": "lagged" })),
                Heard::Closed => return None,
            };
            let event = event.unwrap_or_else(|_| Sse::default().comment("unreadable"));
            return Some((Ok::<_, Infallible>(event), heard));
        }
    });
    axum::response::Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response()
}
