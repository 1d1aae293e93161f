//! The services that users call, and what users feel there: errors, requests and durations before
//! the onset and since.

use std::collections::BTreeSet;

use crate::model::time::MINUTE_MS;
use crate::model::{EntityRef, Fault, Indicator, Series, Time};
use crate::stats;
use crate::store::{Rows, SeriesFilter};

/// Looked at before the onset (ms).
const BEFORE_MS: i64 = 30 * MINUTE_MS;
/// Points needed on either side.
const FEWEST: usize = 3;
/// Services that are read.
const MOST: usize = 4;

/// What a service that users call shows, before the onset and since: medians before, means since.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Face {
    /// Which.
    pub entity: EntityRef,
    /// Share of requests that fail, 0 to 1.
    pub errors: Option<(f64, f64)>,
    /// Requests a second.
    pub rate: Option<(f64, f64)>,
    /// How long requests take, with the metric's name and unit.
    pub duration: Option<(f64, f64, String, String)>,
}

/// What a series' values are multiplied by to be what users feel: shares of 1, requests a second.
/// `None` when its unit says that it is something else, for what is told of users is not guessed.
fn factor(series: &Series) -> Option<f64> {
    match (series.indicator, series.unit.as_str()) {
        (Indicator::Errors, "%") => Some(0.01),
        (Indicator::Errors, "1")
        | (Indicator::Rate, "{request}/s" | "{call}/s" | "{requests}/s" | "1/s" | "req/s")
        | (Indicator::Duration, _) => Some(1.0),
        _ => None,
    }
}

/// Whether a level is one that such a series can have: a share is never above 1.
fn possible(kind: Indicator, level: f64) -> bool {
    kind != Indicator::Errors || (0.0..=1.0).contains(&level)
}

/// Reads what users feel at the services by which they come in.
pub(super) fn read(
    rows: &Rows<'_>,
    entries: &BTreeSet<EntityRef>,
    (onset, now): (Time, Time),
) -> Result<Vec<Face>, Fault> {
    let mut found = Vec::new();
    for entity in entries.iter().take(MOST).cloned() {
        let filter = SeriesFilter { entity: Some(entity.clone()), ..SeriesFilter::default() };
        let mut all = rows.list_series(&filter)?;
        all.sort_by_key(|s| (s.metric.len(), s.id));
        let level = |kind: Indicator| -> Result<Option<(Series, f64, f64)>, Fault> {
            for series in all.iter().filter(|s| s.indicator == kind) {
                let Some(factor) = factor(series) else { continue };
                let points = |from: Time, to: Time| -> Result<Vec<f64>, Fault> {
                    let points = rows.points(series.id, from, to)?;
                    Ok(points.iter().map(|p| p.value * factor).filter(|v| v.is_finite()).collect())
                };
                let before = points(onset.plus_ms(-BEFORE_MS), onset)?;
                let since = points(onset, now.plus_ms(1))?;
                if before.len() >= FEWEST && since.len() >= FEWEST {
                    let mean = since.iter().sum::<f64>() / since.len() as f64;
                    let Some(usual) = stats::median(&before) else { continue };
                    if [usual, mean].iter().all(|level| possible(kind, *level)) {
                        return Ok(Some((series.clone(), usual, mean)));
                    }
                }
            }
            Ok(None)
        };
        let pair = |found: Option<(Series, f64, f64)>| found.map(|(_, b, s)| (b, s));
        found.push(Face {
            errors: pair(level(Indicator::Errors)?),
            rate: pair(level(Indicator::Rate)?),
            duration: level(Indicator::Duration)?.map(|(s, before, since)| {
                let unit = s.unit.clone();
                (before, since, s.metric, unit)
            }),
            entity,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::signal::Direction;
    use crate::model::{Labels, Point, Samples};
    use crate::store::Store;

    /// What is read of one service whose series leaves `low` for `high` at the onset.
    async fn felt(indicator: Indicator, unit: &str, low: f64, high: f64) -> Face {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
        let (entity, onset) = (EntityRef::service("web"), Time::from_ms(1_700_000_000_000));
        let labels = Labels::default();
        let series = Series {
            id: Series::identity("main", "http", &entity, &labels),
            source: "main".into(),
            entity: entity.clone(),
            metric: "http".into(),
            labels,
            indicator,
            unit: unit.into(),
            direction: Direction::High,
            query: None,
            limit: None,
            step_ms: 15_000,
        };
        let points = (-20..8).map(|i: i64| Point {
            at: onset.plus_ms(i * 15_000),
            value: if i < 0 { low } else { high },
        });
        let samples = Samples { series, points: points.collect() };
        store.write(move |tx| tx.append_points(&samples)).await.expect("written");
        let (entries, now) = ([entity].into(), onset.plus_ms(2 * MINUTE_MS));
        let faces = store.read(move |rows| read(rows, &entries, (onset, now))).await;
        faces.expect("read").remove(0)
    }

    #[tokio::test]
    async fn only_shares_and_requests_a_second_are_told_of_users() {
        assert_eq!(felt(Indicator::Errors, "1", 0.0, 0.25).await.errors, Some((0.0, 0.25)));
        assert_eq!(felt(Indicator::Errors, "%", 0.0, 25.0).await.errors, Some((0.0, 0.25)));
        for unit in ["{error}/s", "{error}", "", "By/s"] {
            assert_eq!(felt(Indicator::Errors, unit, 0.0, 0.25).await.errors, None, "{unit}");
        }
        assert_eq!(felt(Indicator::Errors, "1", 0.0, 25.0).await.errors, None, "not a share");
        assert_eq!(felt(Indicator::Rate, "{request}/s", 5.0, 9.0).await.rate, Some((5.0, 9.0)));
        for unit in ["{request}/min", "By/s", "1"] {
            assert_eq!(felt(Indicator::Rate, unit, 5.0, 9.0).await.rate, None, "{unit}");
        }
    }
}
