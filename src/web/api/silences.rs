//! Silences and maintenance windows.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, RESPONDER, State, VIEWER, newest};
use crate::chat::form::parse_duration;
use crate::command::NewSilence;
use crate::model::time::MINUTE_MS;
use crate::model::{Matcher, Refused, Silence, SilenceId, Time};
use crate::store::Filter;
use crate::web::auth::Caller;
use crate::web::extract::{Body, Id, Params};
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    const PATH: &str = "/api/v1/silences";
    vec![
        Route::get(PATH, VIEWER, "Silences and maintenance windows, newest first", list)
            .query::<Which>()
            .gives::<Silences>(),
        Route::post(PATH, RESPONDER, "Makes a silence or a maintenance window", make)
            .takes::<Wanted>()
            .gives::<Silence>()
            .fails(&[422]),
        Route::delete("/api/v1/silences/{id}", RESPONDER, "Ends one now", end).gives::<Silence>(),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only maintenance windows, or only silences.
    maintenance: Option<bool>,
    /// Only those that have begun and not ended.
    in_force: Option<bool>,
    /// Only begun before.
    before: Option<Time>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

/// Silences and maintenance windows, newest first.
#[derive(Serialize, ToSchema)]
struct Silences {
    silences: Vec<Silence>,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<Silences> {
    let filter = newest(which.limit, which.before);
    // What is in force may have been made long before the newest ones: the limit comes last.
    let (limit, all) = (filter.limit, Filter { limit: 0, ..filter });
    let mut silences = state.shared.store.read(move |r| r.list::<Silence>(&all)).await?;
    let now = state.shared.clock.now();
    silences.retain(|s| {
        let in_force = s.starts_at <= now && now < s.ends_at;
        which.maintenance.is_none_or(|wanted| s.maintenance == wanted)
            && which.in_force.is_none_or(|wanted| in_force == wanted)
    });
    silences.truncate(limit);
    Ok(Json(Silences { silences }))
}

/// A silence as somebody asks for it. Its length is said in one of three ways.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// All must match: `service="orders"`, `alertname=~"Disk.*"`.
    matchers: Vec<Matcher>,
    /// How long, in minutes.
    minutes: Option<i64>,
    /// How long, in words: `30 min`, `2 h`, `1 d`.
    duration: Option<String>,
    /// Until when (event time).
    ends_at: Option<Time>,
    /// From when (event time); left out: now.
    starts_at: Option<Time>,
    /// Why; shown with it.
    reason: String,
    /// Planned work rather than noise.
    #[serde(default)]
    maintenance: bool,
}

fn length(wanted: &Wanted, now: Time) -> Result<i64, Refused> {
    let said = (&wanted.minutes, &wanted.duration, &wanted.ends_at);
    match said {
        (Some(minutes), None, None) => Ok(minutes.saturating_mul(MINUTE_MS)),
        (None, Some(words), None) => {
            parse_duration(words).map_err(|why| Refused::Invalid(format!("{why}.")))
        }
        (None, None, Some(end)) => Ok(end.ms_since(wanted.starts_at.unwrap_or(now).max(now))),
        _ => Err(Refused::Invalid(
            "Say how long it lasts, in one way: minutes, duration, or ends_at.".into(),
        )),
    }
}

async fn make(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Body(wanted): Body<Wanted>,
) -> Answer<Silence> {
    let new = NewSilence {
        duration_ms: length(&wanted, state.shared.clock.now())?,
        matchers: wanted.matchers,
        starts_at: wanted.starts_at,
        reason: wanted.reason,
        maintenance: wanted.maintenance,
    };
    Ok(Json(state.shared.desk.silence(&actor, new).await?))
}

async fn end(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<SilenceId>,
) -> Answer<Silence> {
    Ok(Json(state.shared.desk.end_silence(&actor, id).await?))
}
