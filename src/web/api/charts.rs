//! Pictures of metric evidence. Of an incident they are current: the points are read again up to
//! now, and the runs since then are marked.

use axum::extract::State as Shared;
use axum::http::{HeaderName, header};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{State, VIEWER};
use crate::chart::{self, Chart, Theme};
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Change, EvidenceId, Fault, SeriesId, Time};
use crate::notify::picture;
use crate::store::Filter;
use crate::web::Failure;
use crate::web::extract::{Id, Params, found};
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/evidence/{id}/chart.svg", VIEWER, "Chart of metric evidence", svg)
            .query::<Look>()
            .gives_other("image/svg+xml", "860 by 300 pixels; words are escaped."),
        Route::get("/api/v1/evidence/{id}/chart.png", VIEWER, "The same chart as a picture", png)
            .query::<Look>()
            .gives_other("image/png", "1720 by 600 pixels."),
        Route::get("/api/v1/series/{id}/chart.svg", VIEWER, "Chart of a series", series)
            .query::<SeriesLook>()
            .gives_other("image/svg+xml", "860 by 300 pixels; words are escaped."),
    ]
}

/// Times at which the expected band of a series is drawn.
const MOST_BANDS: usize = 240;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Look {
    /// `light` (the usual one) or `dark`.
    #[serde(default)]
    #[param(inline)]
    theme: Theme,
    /// Anything: a browser asks again where it changes.
    #[serde(rename = "v")]
    _version: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct SeriesLook {
    /// `light` (the usual one) or `dark`.
    #[serde(default)]
    #[param(inline)]
    theme: Theme,
    /// From when; left out: three hours before `until`.
    since: Option<Time>,
    /// Until when; left out: now. At most 31 days after `since`.
    until: Option<Time>,
    /// Anything: a browser asks again where it changes.
    #[serde(rename = "v")]
    _version: Option<String>,
}

type Picture<T> = Result<([(HeaderName, &'static str); 2], T), Failure>;

fn headers(kind: &'static str) -> [(HeaderName, &'static str); 2] {
    [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, no-cache")]
}

async fn svg(
    Shared(state): Shared<State>,
    Id(id): Id<EvidenceId>,
    Params(look): Params<Look>,
) -> Picture<String> {
    let chart = drawn_from(&state, id).await?;
    Ok((headers("image/svg+xml; charset=utf-8"), chart::svg(&chart, look.theme)))
}

async fn png(
    Shared(state): Shared<State>,
    Id(id): Id<EvidenceId>,
    Params(look): Params<Look>,
) -> Picture<Vec<u8>> {
    let chart = drawn_from(&state, id).await?;
    // Encoding takes tens of milliseconds: not on the threads that serve.
    let draw = move || chart::png(&chart::svg(&chart, look.theme), 2.0);
    let picture = tokio::task::spawn_blocking(draw).await;
    let picture = picture.map_err(|e| Fault::permanent("a chart can't be drawn", e))??;
    Ok((headers("image/png"), picture))
}

async fn series(
    Shared(state): Shared<State>,
    Id(id): Id<SeriesId>,
    Params(look): Params<SeriesLook>,
) -> Picture<String> {
    let until = look.until.unwrap_or_else(|| state.shared.clock.now());
    let since = look.since.unwrap_or(until.plus_ms(-3 * HOUR_MS));
    let until = until.min(since.plus_ms(31 * DAY_MS));
    let read = state.shared.store.read(move |r| {
        let Some(series) = r.series(id)? else { return Ok(None) };
        let points = r.points(id, since, until)?;
        let mut of = Filter::subject(&series.entity).newest(20);
        (of.since, of.until) = (Some(since), Some(until));
        Ok(Some((series, points, r.list::<Change>(&of)?)))
    });
    let (series, points, changes) = found(read.await?, "series")?;
    let mut chart = chart::of_series(&series, points, (since, until), &changes);
    // As expected by what is known now.
    let expected = |at: Time| Some((at, state.shared.shard.expected(id, at)?));
    let step = chart.points.len().div_ceil(MOST_BANDS).max(1);
    chart.bands = chart.points.iter().step_by(step).filter_map(|p| expected(p.at)).collect();
    Ok((headers("image/svg+xml; charset=utf-8"), chart::svg(&chart, look.theme)))
}

async fn drawn_from(state: &State, id: EvidenceId) -> Result<Chart, Failure> {
    let now = state.shared.clock.now();
    found(state.shared.store.read(move |r| picture(r, id, now)).await?, "chart")
}
