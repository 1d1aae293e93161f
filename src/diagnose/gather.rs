//! Evidence from the store: the signals behind the alerts, the log lines, the changes.

use std::collections::BTreeSet;

use super::input::{Input, LogSign, Onset, Proofs};
use super::onset;
use super::symptom::is_forecast;
use crate::detect::SharedShard;
use crate::model::diagnosis::Finding;
use crate::model::figure::figure;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{
    Alert, Band, Change, EntityRef, Evidence, EvidenceId, Fault, Gap, Incident, Level, SeriesId,
    Time,
};
use crate::stats;
use crate::store::{Filter, LogFilter, Rows};
use crate::telemetry::{gaps, graph};

/// Signals looked at for one incident.
const MOST_SERIES: usize = 12;

/// What was gathered.
pub(super) struct Gathered {
    pub input: Input,
    pub evidence: Vec<Evidence>,
    pub charts: Vec<EvidenceId>,
    pub gaps: Vec<Gap>,
}

/// Reads everything that the ranking looks at.
pub(super) fn gather(
    rows: &Rows<'_>,
    incident: Incident,
    shard: &SharedShard,
    now: Time,
) -> Result<Gathered, Fault> {
    let alerts = rows.list::<Alert>(&Filter::parent(incident.id))?;
    let changes =
        rows.list::<Change>(&Filter::all().since(incident.onset_at.plus_ms(-6 * HOUR_MS)))?;
    let graph = graph::load(rows)?;
    let mut gaps = gaps::between(rows, incident.onset_at.plus_ms(-HOUR_MS), now)?;
    if graph.is_empty() {
        gaps.push(Gap {
            what: "the service graph".into(),
            why: "no spans were received and none is declared".into(),
            since: None,
            until: None,
        });
    }
    let mut all = Vec::new();
    let mut charts = Vec::new();
    let mut onsets = Onset::new();
    let mut proofs = Proofs::default();
    let mut logs_by_entity = std::collections::BTreeMap::new();
    let mut chosen: Vec<&Alert> = alerts.iter().filter(|a| a.series.is_some()).collect();
    chosen.sort_by_key(|a| (Some(a.id) != incident.leading, a.starts_at, a.id));
    for alert in chosen.into_iter().take(MOST_SERIES) {
        match metric(rows, &incident, alert, shard, now)? {
            Some((evidence, onset)) => {
                if let Some(at) = onset {
                    let known = onsets.entry(alert.entity.clone()).or_insert(at);
                    *known = (*known).min(at);
                }
                proofs.signals.entry(alert.entity.clone()).or_default().push(evidence.id);
                charts.push(evidence.id);
                all.push(evidence);
            }
            None => gaps.push(Gap {
                what: format!("the signal behind {} on {}", alert.name(), alert.entity.name()),
                why: "its points are not stored".into(),
                since: Some(alert.starts_at),
                until: None,
            }),
        }
    }
    let mut entities: Vec<&EntityRef> = alerts.iter().map(|a| &a.entity).collect();
    entities.sort();
    entities.dedup();
    for entity in entities.into_iter().take(MOST_SERIES) {
        if let Some((evidence, sign)) = logs(rows, &incident, entity, now)? {
            proofs.signals.entry(entity.clone()).or_default().push(evidence.id);
            if let Some(sign) = sign {
                logs_by_entity.insert(entity.clone(), vec![sign]);
            }
            all.push(evidence);
        }
    }
    for change in changes.iter().rev().take(5) {
        let id = evidence_id(&incident, &change.id.to_string());
        proofs.changes.insert(change.id, id);
        all.push(Evidence {
            id,
            incident: Some(incident.id),
            at: now,
            summary: format!("{} UTC {}", change.at.clock_text(), change.title),
            source: change.source.clone(),
            query: format!("change {}", change.id),
            since: change.at,
            until: change.at,
            finding: Finding::Change { change: change.clone() },
        });
    }
    let input = Input {
        incident,
        alerts,
        graph,
        changes,
        onsets,
        logs: logs_by_entity,
        similar: Vec::new(),
        measured: BTreeSet::new(),
        proofs,
    };
    Ok(Gathered { input, evidence: all, charts, gaps })
}

fn evidence_id(incident: &Incident, what: &str) -> EvidenceId {
    EvidenceId::derive(incident.onset_at, &[&incident.id.to_string(), what])
}

fn metric(
    rows: &Rows<'_>,
    incident: &Incident,
    alert: &Alert,
    shard: &SharedShard,
    now: Time,
) -> Result<Option<(Evidence, Option<Time>)>, Fault> {
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
    // A forecast's onset is where its trend begins; the detector has looked at more points.
    let onset = if is_forecast(alert) {
        Some(alert.starts_at)
    } else {
        let (from, to) = (
            alert.starts_at.plus_ms(-onset::BEFORE_MS),
            alert.starts_at.plus_ms(onset::AFTER_MS + 1),
        );
        onset::departure(&rows.points(id, from, to)?, alert.starts_at)
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
    Ok(Some((evidence, onset)))
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

fn logs(
    rows: &Rows<'_>,
    incident: &Incident,
    entity: &EntityRef,
    now: Time,
) -> Result<Option<(Evidence, Option<LogSign>)>, Fault> {
    let length = now.ms_since(incident.onset_at).clamp(5 * MINUTE_MS, HOUR_MS);
    let since = incident.onset_at.plus_ms(-MINUTE_MS);
    let errors = |from: Time, to: Time| {
        rows.logs(&LogFilter {
            entity: Some(entity.clone()),
            level: Some(Level::Error),
            text: None,
            since: Some(from),
            until: Some(to),
            limit: 1_000,
        })
    };
    let found = errors(since, since.plus_ms(length))?;
    let Some(newest) = found.first() else { return Ok(None) };
    let n_before = errors(since.plus_ms(-length), since)?.len() as u64;
    let n = found.len() as u64;
    let id = evidence_id(incident, &format!("logs {entity}"));
    let template = crate::templates::mask(&newest.body).join(" ");
    let sign = (n >= 3 && n >= 3 * n_before).then(|| LogSign {
        template: template.clone(),
        n,
        n_before,
        first_at: found.last().map_or(since, |l| l.at),
        evidence: id,
    });
    let evidence = Evidence {
        id,
        incident: Some(incident.id),
        at: now,
        summary: format!(
            "{} wrote {n} error lines, {n_before} in as long a time before: {}",
            entity.name(),
            newest.body.chars().take(160).collect::<String>()
        ),
        source: "store".into(),
        query: format!("log lines of {entity} at error or worse"),
        since,
        until: since.plus_ms(length),
        finding: Finding::Logs {
            template,
            n,
            n_before,
            examples: found.iter().take(5).cloned().collect(),
        },
    };
    Ok(Some((evidence, sign)))
}
