//! Evidence from the store: signals, log lines, calls, changes, earlier incidents; and what is
//! missing of them.

use std::collections::{BTreeMap, BTreeSet};

use super::input::{Input, LogSign, Past, Proofs};
use super::{calls, lines, past, signals, weighed};
use crate::detect::SharedShard;
use crate::model::diagnosis::{Finding, Similar};
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{
    Alert, Change, EntityRef, Evidence, EvidenceId, Fault, Gap, Graph, Incident, Time,
};
use crate::store::{Filter, LogFilter, Rows, SeriesFilter};
use crate::telemetry::{gaps as unread, graph};

/// Entities whose log lines are looked at.
const MOST_LOGS: usize = 16;
/// Changes that are kept as evidence.
const MOST_CHANGES: usize = 8;
/// Gaps that are told.
const MOST_GAPS: usize = 12;

/// What was gathered.
pub(super) struct Gathered {
    pub input: Input,
    pub evidence: Vec<Evidence>,
    pub charts: Vec<EvidenceId>,
    pub gaps: Vec<Gap>,
    pub similar: Vec<Similar>,
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
    let mut all = Vec::new();
    let mut proofs = Proofs::default();
    let (found, onsets, mut gaps) = signals::read(rows, &incident, &alerts, shard, now)?;
    let mut charts = Vec::new();
    for (entity, evidence) in found {
        proofs.signals.entry(entity).or_default().push(evidence.id);
        charts.push(evidence.id);
        all.push(evidence);
    }
    let suspects = suspects(&incident, &alerts, &graph, &changes);
    let mut logs: BTreeMap<EntityRef, Vec<LogSign>> = BTreeMap::new();
    for entity in suspects.iter().take(MOST_LOGS) {
        let onset = onsets.get(entity).copied().unwrap_or(incident.onset_at);
        for (sign, evidence) in lines::signs(rows, &incident, entity, onset, now)? {
            proofs.signals.entry(entity.clone()).or_default().push(evidence.id);
            logs.entry(entity.clone()).or_default().push(sign);
            all.push(evidence);
        }
        all.extend(lines::news(rows, &incident, entity, onset, now)?);
    }
    let first = onsets.values().min().copied().unwrap_or(incident.onset_at);
    let callers: BTreeSet<EntityRef> = suspects.iter().cloned().collect();
    let calls = calls::read(rows, &callers, first, now)?;
    let troubled: BTreeSet<EntityRef> = alerts.iter().map(|a| a.entity.clone()).collect();
    for evidence in calls::evidence(&incident, &calls, &troubled, now) {
        if let Finding::Edge { from, to, .. } = &evidence.finding {
            proofs.edges.insert((from.clone(), to.clone()), evidence.id);
        }
        all.push(evidence);
    }
    let lately = changes.iter().filter(|c| c.at <= now);
    let mut shown: Vec<&Change> = lately.collect();
    shown.sort_by_key(|c| (!suspects.contains(&c.entity), first.ms_since(c.at).abs(), c.id));
    for change in shown.into_iter().take(MOST_CHANGES) {
        let evidence = change_evidence(&incident, change, now);
        proofs.changes.insert(change.id, evidence.id);
        all.push(evidence);
    }
    let (mut earlier, mut similar): (Vec<Past>, Vec<Similar>) = (Vec::new(), Vec::new());
    for (past, like, evidence) in past::alike(rows, &incident, &alerts, now)? {
        earlier.push(past);
        similar.push(like);
        all.push(evidence);
    }
    gaps.extend(missing(rows, &alerts, &graph, first, now)?);
    gaps.truncate(MOST_GAPS);
    let measured = measured(rows, &graph, &suspects)?;
    let weighed = weighed::read(rows, (&incident, &alerts, &graph), &suspects, first, now)?;
    let input = Input {
        incident,
        alerts,
        graph,
        changes,
        onsets,
        logs,
        calls,
        weighed,
        similar: earlier,
        measured,
        proofs,
    };
    Ok(Gathered { input, evidence: all, charts, gaps, similar })
}

/// The id of a piece of evidence: it follows from the incident and what was looked at, so that a
/// later look replaces it.
pub(super) fn evidence_id(incident: &Incident, what: &str) -> EvidenceId {
    EvidenceId::derive(incident.onset_at, &[&incident.id.to_string(), what])
}

/// Entities in trouble, in order of onset; then those below or beside them that changed lately.
fn suspects(
    incident: &Incident,
    alerts: &[Alert],
    graph: &Graph,
    changes: &[Change],
) -> Vec<EntityRef> {
    let mut by_onset: Vec<(Time, &EntityRef)> =
        alerts.iter().map(|a| (a.starts_at, &a.entity)).collect();
    by_onset.sort();
    let mut found: Vec<EntityRef> = Vec::new();
    for (_, entity) in by_onset {
        if !found.contains(entity) {
            found.push(entity.clone());
        }
    }
    let n_troubled = found.len();
    for change in changes {
        let lead = incident.onset_at.ms_since(change.at);
        let near = (-MINUTE_MS..=2 * HOUR_MS).contains(&lead);
        if near && !found.contains(&change.entity) {
            let touches = |e: &EntityRef| graph.distance(e, &change.entity, 2).is_some();
            if found[..n_troubled].iter().any(touches) {
                found.push(change.entity.clone());
            }
        }
    }
    found
}

/// Which of the suspects and of what they depend on have any signal stored.
fn measured(
    rows: &Rows<'_>,
    graph: &Graph,
    suspects: &[EntityRef],
) -> Result<BTreeSet<EntityRef>, Fault> {
    let mut names: BTreeSet<&EntityRef> = suspects.iter().collect();
    for entity in suspects {
        names.extend(graph.dependencies(entity).map(|(e, _)| e));
    }
    let mut found = BTreeSet::new();
    for entity in names {
        let filter = SeriesFilter { entity: Some(entity.clone()), ..SeriesFilter::default() };
        if !rows.list_series(&filter)?.is_empty() {
            found.insert(entity.clone());
        }
    }
    Ok(found)
}

fn change_evidence(incident: &Incident, change: &Change, now: Time) -> Evidence {
    Evidence {
        id: evidence_id(incident, &change.id.to_string()),
        incident: Some(incident.id),
        at: now,
        summary: format!("{} UTC {}", change.at.clock_text(), change.title),
        source: change.source.clone(),
        query: format!("change {}", change.id),
        since: change.at,
        until: change.at,
        finding: Finding::Change { change: change.clone() },
    }
}

/// What the ranking would have looked at and could not.
fn missing(
    rows: &Rows<'_>,
    alerts: &[Alert],
    graph: &Graph,
    first: Time,
    now: Time,
) -> Result<Vec<Gap>, Fault> {
    let gap = |what: &str, why: &str| Gap {
        what: what.to_owned(),
        why: why.to_owned(),
        since: None,
        until: None,
    };
    let since = first.plus_ms(-HOUR_MS);
    let mut gaps = unread::between(rows, since, now)?;
    if graph.is_empty() {
        gaps.push(gap("the service graph", "no spans were received and none is declared"));
    } else {
        let alone: BTreeSet<&EntityRef> = alerts
            .iter()
            .map(|a| &a.entity)
            .filter(|e| {
                graph.dependencies(e).next().is_none() && graph.dependents(e).next().is_none()
            })
            .collect();
        for entity in alone {
            let what = format!("what {} depends on and who depends on it", entity.name());
            gaps.push(gap(&what, "neither spans nor configuration tell"));
        }
    }
    if rows.list::<Change>(&Filter::all().newest(1))?.is_empty() {
        gaps.push(gap("changes", "no deploy or configuration change was ever told"));
    }
    let heard = rows.logs(&LogFilter {
        since: Some(since),
        until: Some(now),
        limit: 1,
        ..LogFilter::default()
    })?;
    if heard.is_empty() {
        gaps.push(gap("log lines", "none were received in the hour before"));
    }

    Ok(gaps)
}
