//! Evidence from the store: signals, log lines, calls, changes, earlier incidents; and what is
//! missing of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::calls::{CallsByEdge, Flows};
use super::early::is_early;
use super::faces::Face;
use super::input::{Input, LogSign, Onset, Proofs, Separation};
use super::spread::{KeptHistory, Known};
use super::symptom::in_trouble;
use super::ways::Ways;
use super::{calls, faces, lines, past, prior, requests, signals, ways, weighed};
use crate::detect::SharedShard;
use crate::learn::KeptCauses;
use crate::model::diagnosis::{Finding, Similar};
use crate::model::time::HOUR_MS;
use crate::model::topology::Edge;
use crate::model::{
    Alert, Change, EntityRef, EntryKind, Evidence, EvidenceId, Fault, Gap, Graph, Incident, Time,
    TimelineEntry,
};
use crate::store::{Filter, LogFilter, Rows, Store};
use crate::telemetry::gaps as unread;

/// Entities whose log lines are looked at.
const MOST_LOGS: usize = 16;
/// Changes that are kept as evidence.
const MOST_CHANGES: usize = 8;
/// What one part of the evidence may take (wall time), waiting for a reader included: the alert is
/// there, somebody waits.
pub(super) const MOST_TIME: Duration = Duration::from_secs(2);
/// The same at a first look: what comes late is there for the next, ten seconds later.
pub(super) const MOST_FIRST: Duration = Duration::from_secs(1);
/// Attributes of a change that are told in its sentence.
const MOST_ATTRIBUTES: usize = 5;
/// Lines of what it turned into what that are told of a change in one line.
const MOST_DIFFERENCES: usize = 4;
/// Gaps that are told.
const MOST_GAPS: usize = 12;

/// What was gathered.
pub(super) struct Gathered {
    pub input: Input,
    /// The services by which users come in.
    pub entries: BTreeSet<EntityRef>,
    pub evidence: Vec<Evidence>,
    pub charts: Vec<EvidenceId>,
    pub gaps: Vec<Gap>,
    pub similar: Vec<Similar>,
    /// What users feel.
    pub faces: Vec<Face>,
    /// What declared business series did, as it was told.
    pub business: Vec<String>,
    /// What is known of how trouble spreads.
    pub known: Known,
}

/// What was read before, of which only what is new is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// Which kinds of change were the cause.
    pub causes: KeptCauses,
    /// Who was in trouble.
    pub history: KeptHistory,
    /// What earlier incidents looked like.
    pub looks: past::KeptLooks,
}

/// What everything else starts from.
struct Base {
    incident: Incident,
    alerts: Vec<Alert>,
    changes: Vec<Change>,
    /// All edges, and those by which the fault may have come.
    edges: Vec<Edge>,
    graph: Graph,
    /// The services by which users come in.
    entries: BTreeSet<EntityRef>,
    now: Time,
}

/// What the signals behind the alerts gave, and where to look further.
struct Begun {
    base: Arc<Base>,
    suspects: Vec<EntityRef>,
    onsets: Onset,
    /// The first onset of all.
    first: Time,
}

/// Reads everything that the ranking looks at: what it can't do without, then the signals behind the
/// alerts, which say when it began, then all else side by side. Each of these has the time `most`, in
/// which it may also have to wait for one of the store's readers; what is not there then or fails is
/// a gap.
///
/// # Errors
/// The incident's alerts, the changes or the graph can't be read.
pub(super) async fn gather(
    store: &Store,
    incident: Incident,
    (shard, user_facing, kept): (&SharedShard, Vec<String>, &Kept),
    (now, most): (Time, Duration),
) -> Result<Gathered, Fault> {
    let base =
        store.read(move |rows| Ok(Arc::new(base(rows, incident, &user_facing, now)?))).await?;
    let mut gaps = Vec::new();
    let signals = {
        let (base, shard) = (base.clone(), shard.clone());
        store.read(move |rows| signals::read(rows, &base.incident, &base.alerts, &shard, now))
    };
    let signals = in_time("the signals behind the alerts", most, signals, &mut gaps).await;
    let (found, onsets, unstored) = signals.unwrap_or_default();
    gaps.extend(unstored);
    let begun = Arc::new(Begun {
        suspects: suspects(&base),
        first: onsets.values().min().copied().unwrap_or(base.incident.onset_at),
        base,
        onsets,
    });
    let [b1, b2, b3, b4, b5, b6, b7, b8] = std::array::from_fn(|_| begun.clone());
    let mut late: [Vec<Gap>; 9] = Default::default();
    let [g1, g2, g3, g4, g5, g6, g7, g8, g9] = &mut late;
    let Kept { causes, history, looks } = kept.clone();
    let (lines, calls, past, weighed, known, separates, felt, causes, history) = tokio::join!(
        in_time("log lines", most, store.read(move |rows| lines_of(rows, &b1)), g1),
        in_time("calls between services", most, store.read(move |rows| calls_of(rows, &b2)), g2),
        in_time(
            "earlier incidents",
            most,
            store.read(move |rows| {
                let base = &b3.base;
                let of = (&base.incident, base.alerts.as_slice());
                past::alike(rows, &looks, of, (&base.graph, &base.changes), base.now)
            }),
            g3
        ),
        in_time(
            "the weighing of the telemetry",
            most,
            store.read(move |rows| {
                let base = &b4.base;
                let of = (&base.incident, base.alerts.as_slice(), &base.graph);
                weighed::read(rows, of, &b4.suspects, b4.first, base.now)
            }),
            g4
        ),
        in_time("what is stored at all", most, store.read(move |rows| known(rows, &b5)), g5),
        in_time(
            "what separates bad requests from good ones",
            most,
            store.read(move |rows| {
                let range = (b6.first, b6.base.now);
                requests::read(rows, &b6.base.incident, &b6.suspects, range)
            }),
            g6
        ),
        in_time("what users feel", most, store.read(move |rows| felt(rows, &b7)), g7),
        in_time(
            "which kinds of change were the cause before",
            most,
            store.read(move |rows| causes.read(rows)),
            g8
        ),
        in_time(
            "who followed whom in earlier incidents",
            most,
            store.read(move |rows| history.read(rows, &b8.base.incident)),
            g9
        ),
    );
    let mut all = Vec::new();
    let mut proofs = Proofs::default();
    let mut charts = Vec::new();
    for (entity, evidence) in found {
        proofs.signals.entry(entity).or_default().push(evidence.id);
        charts.push(evidence.id);
        all.push(evidence);
    }
    let (signs, news) = lines.unwrap_or_default();
    let mut logs: BTreeMap<EntityRef, Vec<LogSign>> = BTreeMap::new();
    for (entity, sign, evidence) in signs {
        proofs.signals.entry(entity.clone()).or_default().push(evidence.id);
        logs.entry(entity).or_default().push(sign);
        all.push(evidence);
    }
    all.extend(news);
    let (calls, edges, flows) = calls.unwrap_or_default();
    for evidence in edges {
        if let Finding::Edge { from, to, .. } = &evidence.finding {
            proofs.edges.insert((from.clone(), to.clone()), evidence.id);
        }
        all.push(evidence);
    }
    let (separates, cut) = separates.unwrap_or_default();
    let mut separations: BTreeMap<EntityRef, Vec<Separation>> = BTreeMap::new();
    for (entity, evidence) in separates {
        if let Finding::Requests { attribute, value, at_least, .. } = &evidence.finding {
            separations.entry(entity.clone()).or_default().push(Separation {
                attribute: attribute.clone(),
                value: value.clone(),
                at_least: *at_least,
                said: evidence.summary.clone(),
                evidence: evidence.id,
            });
        }
        proofs.signals.entry(entity).or_default().push(evidence.id);
        all.push(evidence);
    }
    for change in shown(&begun) {
        let evidence = change_evidence(&begun.base.incident, change, now);
        proofs.changes.insert(change.id, evidence.id);
        all.push(evidence);
    }
    let causes = causes.unwrap_or_default();
    for (kind, evidence) in prior::evidence(&begun.base.incident, &begun.base.changes, &causes, now)
    {
        proofs.kinds.insert(kind, evidence.id);
        all.push(evidence);
    }
    let past = past.unwrap_or_default();
    all.extend(past.evidence);
    let (measured, missing) = known.unwrap_or_default();
    gaps.extend(late.into_iter().flatten().chain(cut).chain(missing));
    gaps.truncate(MOST_GAPS);
    let base = &begun.base;
    // The series tell better when it began than the alerts do.
    let ways = Ways::at(&base.edges, begun.first, &in_trouble(&base.alerts, &begun.onsets));
    let troubled: BTreeSet<EntityRef> = base.alerts.iter().map(|a| a.entity.clone()).collect();
    all.extend(ways::evidence(&base.incident, &ways, &troubled, (begun.first, now)));
    let graph_now = ways.has_more_now().then(|| Graph::new(&base.edges));
    let (weighed, demands) = weighed.unwrap_or_default();
    let input = Input {
        incident: base.incident.clone(),
        alerts: base.alerts.clone(),
        graph: ways.graph,
        changes: base.changes.clone(),
        onsets: begun.onsets.clone(),
        logs,
        calls,
        weighed,
        demands,
        separates: separations,
        similar: past.past,
        causes,
        measured,
        early: is_early(&base.incident, &base.alerts, now),
        proofs,
    };
    let (faces, business) = felt.unwrap_or_default();
    let similar = past.similar;
    let entries = base.entries.clone();
    let known = Known { history: history.unwrap_or_default(), flows, graph_now };
    Ok(Gathered { input, entries, evidence: all, charts, gaps, similar, faces, business, known })
}

/// Waits for a part of the evidence as long as it may take; what does not come is a gap.
async fn in_time<T>(
    what: &str,
    most: Duration,
    part: impl Future<Output = Result<T, Fault>>,
    gaps: &mut Vec<Gap>,
) -> Option<T> {
    let (reason, why) = match tokio::time::timeout(most, part).await {
        Ok(Ok(found)) => return Some(found),
        Ok(Err(fault)) => ("failed", format!("reading it failed: {fault}")),
        Err(_) => ("late", format!("it could not be read within {} s", most.as_secs())),
    };
    metrics::counter!("nightjar_diagnose_gaps_total", "reason" => reason).increment(1);
    gaps.push(Gap { what: what.to_owned(), why, since: None, until: None });
    None
}

fn base(
    rows: &Rows<'_>,
    incident: Incident,
    user_facing: &[String],
    now: Time,
) -> Result<Base, Fault> {
    let alerts = rows.list::<Alert>(&Filter::parent(incident.id))?;
    let since = incident.onset_at.plus_ms(-6 * HOUR_MS);
    let changes = rows.list::<Change>(&Filter::all().since(since))?;
    let edges = rows.list::<Edge>(&Filter::all())?;
    let entries = Graph::new(&edges).entries(user_facing);
    let graph = Ways::at(&edges, incident.onset_at, &in_trouble(&alerts, &Onset::new())).graph;
    Ok(Base { incident, alerts, changes, edges, graph, entries, now })
}

/// What users feel, and what was told of declared business series.
fn felt(rows: &Rows<'_>, begun: &Begun) -> Result<(Vec<Face>, Vec<String>), Fault> {
    let base = &begun.base;
    let faces = faces::read(rows, &base.entries, (begun.first, base.now))?;
    let story = rows.list::<TimelineEntry>(&Filter::parent(base.incident.id))?;
    let impacts = story.into_iter().filter(|e| e.kind == EntryKind::Impact);
    Ok((faces, impacts.map(|e| e.text).collect()))
}

/// Log signs with their evidence, and the news below a warning.
type Lines = (Vec<(EntityRef, LogSign, Evidence)>, Vec<Evidence>);

fn lines_of(rows: &Rows<'_>, begun: &Begun) -> Result<Lines, Fault> {
    let (incident, now) = (&begun.base.incident, begun.base.now);
    let (mut signs, mut news) = (Vec::new(), Vec::new());
    for entity in begun.suspects.iter().take(MOST_LOGS) {
        let onset = begun.onsets.get(entity).copied().unwrap_or(incident.onset_at);
        for (sign, evidence) in lines::signs(rows, incident, entity, onset, now)? {
            signs.push((entity.clone(), sign, evidence));
        }
        news.extend(lines::news(rows, incident, entity, onset, now)?);
    }
    Ok((signs, news))
}

/// Calls of the suspects with their evidence, and those of all.
type Called = (CallsByEdge, Vec<Evidence>, Flows);

fn calls_of(rows: &Rows<'_>, begun: &Begun) -> Result<Called, Fault> {
    let base = &begun.base;
    let callers: BTreeSet<&EntityRef> = begun.suspects.iter().collect();
    let flows = calls::read(rows, begun.first, base.now)?;
    let made = flows.by_edge.iter().filter(|((from, _), _)| callers.contains(from));
    let calls = made.map(|(edge, calls)| (edge.clone(), *calls)).collect();
    let troubled: BTreeSet<EntityRef> = base.alerts.iter().map(|a| a.entity.clone()).collect();
    let evidence = calls::evidence(&base.incident, &calls, &troubled, base.now);
    Ok((calls, evidence, flows))
}

/// Which suspects are measured at all, and what is missing.
fn known(rows: &Rows<'_>, begun: &Begun) -> Result<(BTreeSet<EntityRef>, Vec<Gap>), Fault> {
    let base = &begun.base;
    let gaps = missing(rows, &base.alerts, &base.graph, begun.first, base.now)?;
    Ok((measured(rows, &base.graph, &begun.suspects)?, gaps))
}

/// The changes that are kept as evidence: those of suspects first, then the nearest.
fn shown(begun: &Begun) -> Vec<&Change> {
    let mut shown: Vec<&Change> =
        begun.base.changes.iter().filter(|c| c.at <= begun.base.now).collect();
    let first = begun.first;
    shown.sort_by_key(|c| (!begun.suspects.contains(&c.entity), first.ms_since(c.at).abs(), c.id));
    shown.truncate(MOST_CHANGES);
    shown
}

/// The id of a piece of evidence: it follows from the incident and what was looked at, so that a
/// later look replaces it.
pub(super) fn evidence_id(incident: &Incident, what: &str) -> EvidenceId {
    EvidenceId::derive(incident.onset_at, &[&incident.id.to_string(), what])
}

/// Entities in trouble, in order of onset; then those below or beside them that changed lately.
fn suspects(Base { incident, alerts, changes, graph, .. }: &Base) -> Vec<EntityRef> {
    let mut by_onset: Vec<(Time, &EntityRef)> =
        alerts.iter().map(|a| (a.starts_at, &a.entity)).collect();
    by_onset.sort();
    let mut troubled: BTreeSet<&EntityRef> = BTreeSet::new();
    by_onset.retain(|(_, entity)| troubled.insert(*entity));
    let mut found: Vec<EntityRef> = by_onset.into_iter().map(|(_, e)| e.clone()).collect();
    // Around the change, of which there are few, and not around everybody in trouble.
    let beside = |e: &EntityRef| {
        graph.dependencies(e).chain(graph.dependents(e)).map(|(e, _)| e.clone()).collect::<Vec<_>>()
    };
    let touches = |e: &EntityRef| {
        let near = beside(e);
        near.iter().any(|n| troubled.contains(n))
            || near.iter().flat_map(beside).any(|n| troubled.contains(&n))
    };
    let mut changed: BTreeSet<&EntityRef> = BTreeSet::new();
    for change in changes {
        let lead = incident.onset_at.ms_since(change.at);
        let near = (-change.kind.late_ms()..=2 * HOUR_MS).contains(&lead);
        let is_new = !troubled.contains(&change.entity) && !changed.contains(&change.entity);
        if near && is_new && touches(&change.entity) {
            changed.insert(&change.entity);
            found.push(change.entity.clone());
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
        if rows.is_measured(entity)? {
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
        summary: change_text(change),
        source: change.source.clone(),
        query: format!("change {}", change.id),
        since: change.at,
        until: change.at,
        finding: Finding::Change { change: change.clone() },
    }
}

/// A change in one line: when, what, where, by whom, from which version to which, which commit, and
/// what its source says of it.
fn change_text(change: &Change) -> String {
    const COMMIT: &str = "vcs.ref.head.revision";
    let mut more = Vec::new();
    more.extend(change.author.as_ref().map(|a| format!("by {a}")));
    match (&change.previous, &change.version) {
        (Some(from), Some(to)) => more.push(format!("{from} → {to}")),
        (None, Some(to)) => more.push(format!("version {to}")),
        _ => {}
    }
    let commit = change.attributes.get(COMMIT);
    more.extend(commit.map(|c| format!("commit {}", c.chars().take(12).collect::<String>())));
    let told = change.attributes.iter().filter(|(k, v)| *k != COMMIT && !v.is_empty());
    more.extend(told.take(MOST_ATTRIBUTES).map(|(k, v)| format!("{k} {v}")));
    let (at, name) = (change.at.clock_text(), change.entity.name());
    if !change.kind.is_ours() {
        more.push(format!("status {}", change.status));
        return format!("{at} UTC {} ({})", change.line(), more.join(", "));
    }
    let on = if change.title.contains(name) { String::new() } else { format!(" on {name}") };
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
    let shown = change.diff.iter().take(MOST_DIFFERENCES).map(String::as_str);
    let mut differs = shown.collect::<Vec<_>>().join("; ");
    let left = change.diff.len().saturating_sub(MOST_DIFFERENCES);
    if left > 0 {
        differs.push_str(&format!("; and {left} more"));
    }
    let colon = if differs.is_empty() { "" } else { ": " };
    format!("{at} UTC {}{on}{more}{colon}{differs}", change.title)
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
