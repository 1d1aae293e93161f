//! What the telemetry around the onset says of every service nearby: the store's series and spans
//! made into a scene for [`super::weigh`], which recorded cases go through as well.

use std::collections::BTreeMap;

use super::asked::{Demands, demands};
use super::weigh::{self, Kind, Measured, Scene, Verdict, kind};
use crate::model::time::{MINUTE_MS, SECOND_MS};
use crate::model::topology::EdgeKind;
use crate::model::{Alert, EntityRef, Fault, Graph, Incident, Indicator, Series, Time};
use crate::stats;
use crate::store::{Rows, SeriesFilter, SpanFilter};

/// Looked at before and since the onset (ms).
const AROUND_MS: (i64, i64) = (20 * MINUTE_MS, 10 * MINUTE_MS);
/// As far as spans go (ms).
const SPANS_MS: i64 = 5 * MINUTE_MS;
/// Since the onset there has to be this much (ms).
const LEAST_MS: i64 = 30 * SECOND_MS;
/// Entities that are weighed.
const MOST_ENTITIES: usize = 24;
/// Series of one entity.
const MOST_SERIES: usize = 5;
/// Spans on each side of the onset.
const MOST_SPANS: usize = 600;
/// Parts that are told of a candidate.
const TOLD: usize = 2;
/// Chances below this are not told.
const FAINT: f64 = 0.05;

/// What speaks for one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Chance that the fault sits there, by its telemetry alone.
    pub chance: f64,
    /// What says so, in words with figures.
    pub why: String,
}

/// By entity; those of which nothing speaks are left out.
pub type Standings = BTreeMap<EntityRef, Standing>;

/// Weighs the entities in trouble and those they call or are called by.
pub(super) fn read(
    rows: &Rows<'_>,
    (incident, alerts, graph): (&Incident, &[Alert], &Graph),
    suspects: &[EntityRef],
    onset: Time,
    now: Time,
) -> Result<(Standings, Demands), Fault> {
    if now.ms_since(onset) < LEAST_MS {
        return Ok(Default::default());
    }
    let entities = nearby(graph, suspects);
    let index: BTreeMap<&EntityRef, usize> =
        entities.iter().enumerate().map(|(i, e)| (e, i)).collect();
    let mut scene = Scene {
        services: entities.iter().map(|e| e.name().to_owned()).collect(),
        ..Scene::default()
    };
    for (from, caller) in entities.iter().enumerate() {
        let callees = graph.dependencies(caller).filter(|(_, kind)| *kind == EdgeKind::Calls);
        scene.calls.extend(callees.filter_map(|(e, _)| Some((from, *index.get(e)?))));
    }
    scene.symptom = symptom(incident, alerts).and_then(|(e, k)| Some((*index.get(e)?, k)));
    let (since, until) =
        (onset.plus_ms(-AROUND_MS.0), now.min(onset.plus_ms(AROUND_MS.1)).plus_ms(1));
    let mut gaps = Vec::new();
    for (service, entity) in entities.iter().enumerate() {
        let filter = SeriesFilter { entity: Some(entity.clone()), ..SeriesFilter::default() };
        let mut all = rows.list_series(&filter)?;
        all.sort_by_key(|s| (telling(s.indicator), s.id));
        for series in all.into_iter().take(MOST_SERIES) {
            let points: Vec<(f64, f64)> = rows
                .points(series.id, since, until)?
                .iter()
                .map(|p| (p.at.ms_since(onset) as f64 / 1e3, p.value))
                .collect();
            gaps.extend(points.windows(2).map(|w| w[1].0 - w[0].0));
            scene.series.push(measured(service, &series, points));
        }
    }
    scene.step = stats::median(&gaps).unwrap_or(30.0);
    spans(rows, &index, onset, until, &mut scene)?;
    let demands = demands(&entities, &scene, onset);
    let verdict = weigh::weigh(scene);
    Ok((standings(&entities, &verdict), demands))
}

/// Those in trouble first, then those beside them; nodes do not call and are not weighed.
pub(super) fn nearby(graph: &Graph, suspects: &[EntityRef]) -> Vec<EntityRef> {
    let mut found: Vec<EntityRef> = Vec::new();
    let own = suspects.iter().filter(|e| !e.is_host());
    let beside = own.clone().flat_map(|e| {
        let (down, up) = (graph.dependencies(e), graph.dependents(e));
        down.chain(up).filter(|(_, kind)| *kind == EdgeKind::Calls).map(|(e, _)| e)
    });
    for entity in own.clone().chain(beside) {
        if found.len() < MOST_ENTITIES && !found.contains(entity) {
            found.push(entity.clone());
        }
    }
    found
}

/// Where the incident is felt, and in what.
pub(super) fn symptom<'a>(
    incident: &Incident,
    alerts: &'a [Alert],
) -> Option<(&'a EntityRef, Option<Kind>)> {
    let alert = alerts.iter().find(|a| Some(a.id) == incident.leading)?;
    let felt = match alert.indicator? {
        Indicator::Duration => Kind::Latency,
        Indicator::Errors => Kind::Errors,
        Indicator::Availability => Kind::Success,
        _ => return None,
    };
    Some((&alert.entity, Some(felt)))
}

/// What callers feel before what a service uses up.
fn telling(indicator: Indicator) -> u8 {
    match indicator {
        Indicator::Duration | Indicator::Errors | Indicator::Availability => 0,
        Indicator::Rate => 1,
        Indicator::Saturation | Indicator::Utilization => 2,
        Indicator::Usage => 3,
        Indicator::Custom => 4,
    }
}

fn measured(service: usize, series: &Series, points: Vec<(f64, f64)>) -> Measured {
    let (by_name, outgoing) = kind::read(&series.metric);
    let kind = match series.indicator {
        Indicator::Duration => Kind::Latency,
        Indicator::Errors => Kind::Errors,
        Indicator::Availability => Kind::Success,
        Indicator::Rate => Kind::Traffic,
        _ => match by_name {
            Kind::Cpu | Kind::Memory | Kind::Disk | Kind::Network | Kind::Host => by_name,
            _ => Kind::Other,
        },
    };
    let (metric, stat) = series.metric.rsplit_once(' ').unwrap_or((&series.metric, ""));
    let name = (metric.to_owned(), stat.to_owned());
    Measured { service, name, unit: series.unit.clone(), kind, outgoing, points }
}

fn spans(
    rows: &Rows<'_>,
    index: &BTreeMap<&EntityRef, usize>,
    onset: Time,
    until: Time,
    scene: &mut Scene,
) -> Result<(), Fault> {
    let read = |since: Time, until: Time| {
        rows.spans(&SpanFilter {
            since: Some(since),
            until: Some(until),
            limit: MOST_SPANS,
            ..SpanFilter::default()
        })
    };
    let mut found = read(onset.plus_ms(-SPANS_MS), onset)?;
    found.extend(read(onset, until.min(onset.plus_ms(SPANS_MS)))?);
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut parents = Vec::new();
    for span in found {
        let Some(service) = index.get(&span.entity) else { continue };
        let name = *names.entry(span.name).or_insert_with_key(|name| {
            scene.names.push(name.clone());
            scene.names.len() - 1
        });
        ids.insert((span.trace_id.clone(), span.span_id), scene.spans.len());
        parents.push(span.parent_span_id.map(|p| (span.trace_id, p)));
        scene.spans.push(weigh::Span {
            parent: None,
            service: *service,
            name,
            at: span.at.ms_since(onset) as f64 / 1e3,
            seconds: span.duration_ms / 1e3,
            failed: span.failed,
        });
    }
    for (i, parent) in parents.into_iter().enumerate() {
        scene.spans[i].parent = parent.and_then(|p| ids.get(&p).copied()).filter(|p| *p != i);
    }
    Ok(())
}

pub(super) fn standings(entities: &[EntityRef], verdict: &Verdict) -> Standings {
    let told = verdict.ranked.iter().filter(|w| w.confidence >= FAINT);
    told.filter_map(|w| {
        let parts = w.parts.iter().filter(|p| p.name != "reach" && !p.why.is_empty());
        let why: Vec<&str> = parts.take(TOLD).map(|p| p.why.as_str()).collect();
        let standing = Standing { chance: w.confidence, why: why.join("; ") };
        (!why.is_empty()).then(|| (entities[w.service].clone(), standing))
    })
    .collect()
}
