//! The signals behind the alerts: their level before and after, and when they departed.

use std::collections::BTreeMap;

use super::gather::evidence_id;
use super::input::Onset;
use super::onset;
use crate::detect::SharedShard;
use crate::model::diagnosis::Finding;
use crate::model::figure::figure;
use crate::model::time::HOUR_MS;
use crate::model::{Alert, Band, EntityRef, Evidence, Fault, Gap, Incident, SeriesId, Time};
use crate::stats;
use crate::store::Rows;

/// Signals kept as evidence for one incident.
const MOST_SERIES: usize = 12;
/// Of one entity, at most so many while others have none yet.
const MOST_OF_ONE: usize = 3;
/// Signals whose onset is looked for.
const MOST_ONSETS: usize = 80;

/// Evidence by entity, onsets, and what is missing.
type Found = (Vec<(EntityRef, Evidence)>, Onset, Vec<Gap>);

/// Reads the signals behind the alerts, the leading one first.
pub(super) fn read(
    rows: &Rows<'_>,
    incident: &Incident,
    alerts: &[Alert],
    shard: &SharedShard,
    now: Time,
) -> Result<Found, Fault> {
    let mut chosen: Vec<&Alert> = alerts.iter().filter(|a| a.series.is_some()).collect();
    chosen.sort_by_key(|a| (Some(a.id) != incident.leading, a.starts_at, a.id));
    chosen.truncate(MOST_ONSETS);
    let mut onsets = Onset::new();
    let mut began: Vec<(&Alert, Option<Time>)> = Vec::new();
    for alert in chosen {
        let departed = departed(rows, alert)?;
        let at = departed.unwrap_or(alert.starts_at);
        let known = onsets.entry(alert.entity.clone()).or_insert(at);
        *known = (*known).min(at);
        began.push((alert, departed));
    }
    // A few of each entity first, then the rest.
    let mut n_of: BTreeMap<&EntityRef, usize> = BTreeMap::new();
    began.sort_by_cached_key(|(alert, _)| {
        let n = n_of.entry(&alert.entity).or_default();
        *n += 1;
        *n > MOST_OF_ONE
    });
    let (mut found, mut gaps) = (Vec::new(), Vec::new());
    for (alert, departed) in began.into_iter().take(MOST_SERIES) {
        match metric(rows, incident, alert, departed, shard, now)? {
            Some(evidence) => found.push((alert.entity.clone(), evidence)),
            None => gaps.push(Gap {
                what: format!("the signal behind {} on {}", alert.name(), alert.entity.name()),
                why: "its points are not stored".into(),
                since: Some(alert.starts_at),
                until: None,
            }),
        }
    }
    Ok((found, onsets, gaps))
}

/// When the series behind an alert departed. A forecast's onset is where its trend begins; the
/// detector has looked at more points than are looked at here.
fn departed(rows: &Rows<'_>, alert: &Alert) -> Result<Option<Time>, Fault> {
    let Some(id) = alert.series else { return Ok(None) };
    if alert.is_forecast() {
        return Ok(Some(alert.starts_at));
    }
    let from = alert.starts_at.plus_ms(-onset::BEFORE_MS);
    let to = alert.starts_at.plus_ms(onset::AFTER_MS + 1);
    Ok(onset::departure(&rows.points(id, from, to)?, alert.starts_at))
}

fn metric(
    rows: &Rows<'_>,
    incident: &Incident,
    alert: &Alert,
    onset: Option<Time>,
    shard: &SharedShard,
    now: Time,
) -> Result<Option<Evidence>, Fault> {
    let Some(id) = alert.series else { return Ok(None) };
    let Some(series) = rows.series(id)? else { return Ok(None) };
    let (since, until) = (incident.onset_at.plus_ms(-HOUR_MS), now.plus_ms(1));
    let points = rows.points(id, since, until)?;
    if points.is_empty() {
        return Ok(None);
    }
    let level = |from: Time, to: Time| {
        let part: Vec<f64> =
            points.iter().filter(|p| from <= p.at && p.at < to).map(|p| p.value).collect();
        stats::median(&part)
    };
    let start = onset.unwrap_or(alert.starts_at);
    let before = level(since, start).unwrap_or(points[0].value);
    let after = level(start, until).unwrap_or(before);
    let summary = format!(
        "{} of {} was {} and is {} since {} UTC",
        series.metric,
        series.entity.name(),
        figure(before, &series.unit),
        figure(after, &series.unit),
        start.clock_text()
    );
    let evidence = Evidence {
        id: evidence_id(incident, &id.to_string()),
        incident: Some(incident.id),
        at: now,
        summary,
        source: series.source.clone(),
        query: series.query.clone().unwrap_or_else(|| format!("series {id}")),
        since,
        until,
        finding: Finding::Metric {
            expected: alert.expected.or_else(|| shard.expected(id, now)),
            bands: bands(shard, id, since, until),
            points,
            before,
            after,
            onset: Some(start),
            series,
        },
    };
    Ok(Some(evidence))
}

/// What was expected along a range: often enough to show the curve of a day.
fn bands(shard: &SharedShard, id: SeriesId, since: Time, until: Time) -> Vec<(Time, Band)> {
    const MOST: i64 = 24;
    let step = until.ms_since(since) / MOST;
    (0..=MOST)
        .map(|i| since.plus_ms(i * step))
        .filter_map(|at| Some((at, shard.expected(id, at)?)))
        .collect()
}
