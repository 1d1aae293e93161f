//! What conclusions rest on: evidence, series with their points, log lines, traces, changes.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, MOST, State, USUAL, VIEWER, newest};
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{
    Change, ChangeId, EntityRef, Evidence, EvidenceId, Indicator, Level, LogLine, Point, Series,
    SeriesId, Span, Time,
};
use crate::store::{LogFilter, SeriesFilter, SpanFilter};
use crate::web::extract::{Id, Params, found};
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/evidence/{id}", VIEWER, "One piece of evidence", evidence)
            .gives::<Evidence>(),
        Route::get("/api/v1/series", VIEWER, "Metric series", list_series)
            .query::<WhichSeries>()
            .gives::<SeriesList>(),
        Route::get("/api/v1/series/{id}/points", VIEWER, "Points of a series, thinned", points)
            .query::<Range>()
            .gives::<SeriesPoints>(),
        Route::get("/api/v1/logs", VIEWER, "Log lines, newest first", logs)
            .query::<WhichLogs>()
            .gives::<LogLines>(),
        Route::get("/api/v1/traces/{id}", VIEWER, "The spans of a trace", trace).gives::<Spans>(),
        Route::get("/api/v1/changes", VIEWER, "Changes, newest first", changes)
            .query::<WhichChanges>()
            .gives::<Changes>(),
        Route::get("/api/v1/changes/{id}", VIEWER, "One change", change).gives::<Change>(),
    ]
}

async fn evidence(Shared(state): Shared<State>, Id(id): Id<EvidenceId>) -> Answer<Evidence> {
    found(state.shared.store.read(move |r| r.get::<Evidence>(id)).await?, "evidence").map(Json)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WhichSeries {
    /// Only of this entity: `service.name=orders`.
    entity: Option<EntityRef>,
    /// Only of this indicator: `rate`, `errors`, `duration`, …
    indicator: Option<Indicator>,
}

/// Series by entity and metric.
#[derive(Serialize, ToSchema)]
struct SeriesList {
    series: Vec<Series>,
}

async fn list_series(
    Shared(state): Shared<State>,
    Params(which): Params<WhichSeries>,
) -> Answer<SeriesList> {
    let filter = SeriesFilter { entity: which.entity, indicator: which.indicator };
    let series = state.shared.store.read(move |r| r.list_series(&filter)).await?;
    Ok(Json(SeriesList { series }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Range {
    /// From when; left out: an hour before `until`.
    since: Option<Time>,
    /// Until when; left out: now. At most 31 days after `since`.
    until: Option<Time>,
    /// At most so many points, up to 10,000; left out: 600.
    most: Option<usize>,
}

/// A series and its points.
#[derive(Serialize, ToSchema)]
struct SeriesPoints {
    series: Series,
    points: Vec<Point>,
    /// Points that the range has before thinning.
    n_points: usize,
}

async fn points(
    Shared(state): Shared<State>,
    Id(id): Id<SeriesId>,
    Params(range): Params<Range>,
) -> Answer<SeriesPoints> {
    let until = range.until.unwrap_or_else(|| state.shared.clock.now());
    let since = range.since.unwrap_or(until.plus_ms(-HOUR_MS));
    let until = until.min(since.plus_ms(31 * DAY_MS));
    let read = state.shared.store.read(move |r| {
        let Some(series) = r.series(id)? else { return Ok(None) };
        Ok(Some((series, r.points(id, since, until)?)))
    });
    let (series, all) = found(read.await?, "series")?;
    let points = thin(&all, range.most.unwrap_or(600).clamp(2, 10_000));
    Ok(Json(SeriesPoints { series, points, n_points: all.len() }))
}

/// At most `most` points that keep the shape: of each stretch the lowest and the highest, in their
/// order. What is drawn shows the same extremes.
fn thin(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil((most / 2).max(1));
    let mut kept = Vec::with_capacity(most);
    for part in points.chunks(stretch) {
        let by_value = |a: &&Point, b: &&Point| a.value.total_cmp(&b.value);
        let ends = [part.iter().min_by(by_value), part.iter().max_by(by_value)];
        let mut ends: Vec<Point> = ends.into_iter().flatten().copied().collect();
        ends.sort_by_key(|p| p.at);
        ends.dedup_by_key(|p| p.at);
        kept.extend(ends);
    }
    kept
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WhichLogs {
    /// Only of this entity: `service.name=orders`.
    entity: Option<EntityRef>,
    /// Words that must all occur.
    text: Option<String>,
    /// At least this severe: `trace`, `debug`, `info`, `warn`, `error`, `fatal`.
    level: Option<Level>,
    /// Not before.
    since: Option<Time>,
    /// Before.
    until: Option<Time>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

/// Log lines, newest first.
#[derive(Serialize, ToSchema)]
struct LogLines {
    lines: Vec<LogLine>,
}

async fn logs(Shared(state): Shared<State>, Params(which): Params<WhichLogs>) -> Answer<LogLines> {
    let filter = LogFilter {
        entity: which.entity,
        level: which.level,
        text: which.text,
        since: which.since,
        until: which.until,
        limit: which.limit.unwrap_or(USUAL).clamp(1, MOST),
    };
    let lines = state.shared.store.read(move |r| r.logs(&filter)).await?;
    Ok(Json(LogLines { lines }))
}

/// Spans, newest first.
#[derive(Serialize, ToSchema)]
struct Spans {
    spans: Vec<Span>,
}

async fn trace(Shared(state): Shared<State>, Id(id): Id<String>) -> Answer<Spans> {
    let filter = SpanFilter { trace_id: Some(id), limit: MOST, ..SpanFilter::default() };
    let spans = state.shared.store.read(move |r| r.spans(&filter)).await?;
    found((!spans.is_empty()).then_some(spans), "trace").map(|spans| Json(Spans { spans }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WhichChanges {
    /// Only of this entity: `service.name=orders`.
    entity: Option<EntityRef>,
    /// Not before.
    since: Option<Time>,
    /// Before.
    before: Option<Time>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

/// Changes, newest first.
#[derive(Serialize, ToSchema)]
struct Changes {
    changes: Vec<Change>,
}

async fn changes(
    Shared(state): Shared<State>,
    Params(which): Params<WhichChanges>,
) -> Answer<Changes> {
    let mut filter = newest(which.limit, which.before);
    filter.subject = which.entity.map(|e| e.to_string());
    filter.since = which.since;
    let changes = state.shared.store.read(move |r| r.list::<Change>(&filter)).await?;
    Ok(Json(Changes { changes }))
}

async fn change(Shared(state): Shared<State>, Id(id): Id<ChangeId>) -> Answer<Change> {
    found(state.shared.store.read(move |r| r.get::<Change>(id)).await?, "change").map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_extremes_in_order() {
        let points: Vec<Point> = (0..10_000)
            .map(|i| {
                let value = if i == 7_777 { 99.0 } else { f64::from(i % 7) };
                Point { at: Time::from_ms(i64::from(i) * 1_000), value }
            })
            .collect();
        let thinned = thin(&points, 500);
        assert!(thinned.len() <= 500, "{}", thinned.len());
        assert!(thinned.is_sorted_by_key(|p| p.at));
        assert!(thinned.iter().any(|p| p.value == 99.0), "the peak is kept");
        assert_eq!(thin(&points[..10], 500), points[..10]);
    }
}
