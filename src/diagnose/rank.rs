//! The ranking: additive parts, then a softmax. Pure.
//!
//! Every entity with an alert is a candidate. Its score is a sum of parts: *graph* (+1.5 when
//! nothing it calls is in trouble, +0.3 if it shows nothing but more load or use, −1.2 when
//! something it calls is; +0.4 for each dependent in trouble, up to 1.6), *onset* (+1.0 for the earliest,
//! falling to 0 over two minutes), *change* (+2.2 right before the onset, falling to 0 over an
//! hour), *resource* (+0.8 when its own pool or processor stands out, +0.3 for mere use), *logs* (+0.7 for a
//! new or bursting error template), *severity* (up to +0.5 by score). `unknown` scores 0.5. The
//! confidences are the softmax of the scores.

use std::collections::BTreeMap;

use crate::model::diagnosis::ScorePart;
use crate::model::time::{HOUR_MS, MINUTE_MS, duration_text};
use crate::model::{
    Alert, Change, ChangeKind, EntityRef, EvidenceId, Graph, Hypothesis, HypothesisId, Incident,
    Indicator, Time,
};

/// Score of the hypothesis that none of the candidates is it.
const UNKNOWN: f64 = 0.5;
/// The first must lead the second by this much to be called likely.
const LEAD: f64 = 0.15;

/// When an entity's trouble began.
pub type Onset = BTreeMap<EntityRef, Time>;

/// What the ranking looks at.
#[derive(Clone, Debug)]
pub struct Input {
    /// The incident.
    pub incident: Incident,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// The service graph.
    pub graph: Graph,
    /// Changes of the last hours, any entity.
    pub changes: Vec<Change>,
    /// Onset by entity, better than the alerts' start where a change point was found.
    pub onsets: Onset,
    /// Evidence by entity.
    pub evidence: BTreeMap<EntityRef, Vec<EvidenceId>>,
}

/// The ranked hypotheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Most likely first.
    pub hypotheses: Vec<Hypothesis>,
    /// Whether the first stands out.
    pub conclusive: bool,
    /// Changes that may matter, nearest to the onset first.
    pub changes: Vec<Change>,
}

struct Candidate {
    entity: EntityRef,
    parts: Vec<ScorePart>,
    pattern: &'static str,
    change: Option<Change>,
    onset: Time,
}

/// Ranks the possible causes.
#[must_use]
pub fn rank(input: &Input) -> Ranked {
    let mut onsets = input.onsets.clone();
    for alert in &input.alerts {
        let at = onsets.entry(alert.entity.clone()).or_insert(alert.starts_at);
        *at = (*at).min(alert.starts_at);
    }
    let first = onsets.values().min().copied().unwrap_or(input.incident.onset_at);
    let mut candidates: Vec<Candidate> =
        onsets.iter().map(|(entity, at)| judge(input, &onsets, entity, *at, first)).collect();
    let score = |c: &Candidate| c.parts.iter().map(|p| p.contribution).sum::<f64>();
    candidates.sort_by(|a, b| score(b).total_cmp(&score(a)).then_with(|| a.entity.cmp(&b.entity)));
    let most = candidates.first().map_or(UNKNOWN, &score).max(UNKNOWN);
    let total: f64 =
        candidates.iter().map(|c| (score(c) - most).exp()).sum::<f64>() + (UNKNOWN - most).exp();
    let confidences: Vec<f64> =
        candidates.iter().map(|c| (score(c) - most).exp() / total).collect();
    let lead = confidences.first().copied().unwrap_or(0.0)
        - confidences.get(1).copied().unwrap_or(0.0).max((UNKNOWN - most).exp() / total);
    let mut changes: Vec<Change> = relevant(input, first);
    changes.truncate(5);
    let hypotheses = candidates
        .into_iter()
        .zip(confidences)
        .take(5)
        .map(|(c, confidence)| hypothesis(input, c, confidence))
        .collect();
    Ranked { hypotheses, conclusive: lead >= LEAD, changes }
}

/// Changes within an hour before the onset and five minutes after, nearest first.
fn relevant(input: &Input, onset: Time) -> Vec<Change> {
    let mut found: Vec<Change> = input
        .changes
        .iter()
        .filter(|c| (-5 * MINUTE_MS..=HOUR_MS).contains(&onset.ms_since(c.at)))
        .cloned()
        .collect();
    found.sort_by_key(|c| (onset.ms_since(c.at).abs(), c.id));
    found
}

fn part(name: &str, contribution: f64, why: String) -> ScorePart {
    ScorePart { name: name.into(), contribution, why, evidence: Vec::new() }
}

fn judge(input: &Input, onsets: &Onset, entity: &EntityRef, at: Time, first: Time) -> Candidate {
    let mut parts = Vec::new();
    // More load, more connections, more memory in use is also what callers do to whom they call:
    // by itself it does not make an entity a suspect.
    let strong = |e: &EntityRef| {
        input.alerts.iter().any(|a| {
            a.entity == *e && !matches!(a.indicator, Some(Indicator::Usage | Indicator::Rate))
        })
    };
    let troubled = |e: &EntityRef| onsets.contains_key(e) && e != entity && strong(e);
    let below: Vec<&EntityRef> =
        input.graph.dependencies(entity).map(|(e, _)| e).filter(|e| troubled(e)).collect();
    let above = input.graph.dependents(entity).filter(|(e, _)| troubled(e)).count();
    if below.is_empty() {
        let weight = if strong(entity) { 1.5 } else { 0.3 };
        parts.push(part("graph", weight, "nothing that it depends on is in trouble".into()));
    } else {
        let names: Vec<&str> = below.iter().map(|e| e.name()).collect();
        let why = format!("it depends on {}, which is in trouble too", names.join(" and "));
        parts.push(part("graph", -1.2, why));
    }
    if above > 0 {
        let why = format!("{above} of its direct dependents are in trouble");
        parts.push(part("graph", (0.4 * above as f64).min(1.6), why));
    }
    let late_ms = at.ms_since(first).max(0);
    let early = 1.0 - late_ms as f64 / (2 * MINUTE_MS) as f64;
    if early > 0.0 {
        let why = if late_ms == 0 {
            "its trouble began first".to_owned()
        } else {
            format!("its trouble began {} after the first", duration_text(late_ms))
        };
        parts.push(part("onset", early, why));
    }
    let own: Vec<&Alert> = input.alerts.iter().filter(|a| a.entity == *entity).collect();
    let resource = own.iter().find(|a| {
        matches!(
            a.indicator,
            Some(Indicator::Saturation | Indicator::Utilization | Indicator::Usage)
        )
    });
    if let Some(alert) = resource {
        let what = alert.annotations.get("summary").unwrap_or(alert.name());
        let weight = if alert.indicator == Some(Indicator::Usage) { 0.3 } else { 0.8 };
        parts.push(part("resource", weight, format!("a resource of its own stands out: {what}")));
    }
    if own.iter().any(|a| a.indicator.is_none() && a.annotations.get("template").is_some()) {
        parts.push(part("logs", 0.7, "its log has a new or bursting error".into()));
    }
    let score = own.iter().map(|a| a.score).fold(0.0, f64::max);
    if score > 0.0 {
        let weight = 0.5 * (score / 40.0).min(1.0);
        parts.push(part("severity", weight, format!("its greatest score is {score:.1}")));
    }
    let change = relevant(input, at).into_iter().find(|c| {
        c.entity == *entity
            || input
                .graph
                .dependencies(&c.entity)
                .any(|(e, _)| e == entity && c.kind == ChangeKind::NetworkPolicy)
    });
    if let Some(change) = &change {
        let before = at.ms_since(change.at).max(0);
        let weight = 2.2 * (1.0 - before as f64 / HOUR_MS as f64);
        let why = format!("{}, {} before its onset", change.title, duration_text(before));
        parts.push(part("change", weight, why));
    }
    let pattern = pattern_of(resource.copied(), change.as_ref(), &own);
    Candidate { entity: entity.clone(), parts, pattern, change, onset: at }
}

fn pattern_of(resource: Option<&Alert>, change: Option<&Change>, own: &[&Alert]) -> &'static str {
    let indicator = resource.and_then(|a| a.indicator);
    match (indicator, change.map(|c| c.kind)) {
        (_, Some(ChangeKind::NetworkPolicy)) => "network_policy",
        (Some(Indicator::Usage), _) if memory(own) => "resource_leak",
        (Some(Indicator::Utilization), _) if own.iter().any(|a| a.entity.is_host()) => {
            "noisy_neighbour"
        }
        (Some(Indicator::Saturation | Indicator::Utilization), _) => "saturation",
        (_, Some(ChangeKind::Deploy)) => "deploy",
        _ if own.iter().any(|a| a.indicator == Some(Indicator::Rate)) => "traffic",
        _ => "dependency",
    }
}

fn hypothesis(input: &Input, c: Candidate, confidence: f64) -> Hypothesis {
    let name = c.entity.name();
    let cause = match (c.pattern, &c.change) {
        ("saturation", Some(change)) => {
            format!("{name} ran out of a resource after {}", change.title)
        }
        ("saturation", None) => format!("{name} ran out of a resource"),
        (_, Some(change)) => format!("{} on {name}", change.title),
        ("resource_leak", None) => format!("{name} uses up its memory"),
        ("noisy_neighbour", None) => format!("{name} is overloaded"),
        ("traffic", None) => format!("the traffic of {name} changed"),
        _ => format!("a fault within {name}"),
    };
    let leading = input.incident.entities.first();
    let chain = leading
        .and_then(|top| input.graph.path(top, &c.entity))
        .map_or_else(|| vec![c.entity.clone()], |path| path.into_iter().rev().collect());
    let incident = input.incident.id;
    Hypothesis {
        id: HypothesisId::derive(
            input.incident.onset_at,
            &[&incident.to_string(), &c.entity.to_string(), c.pattern],
        ),
        statement: format!("{cause}, since {} UTC.", c.onset.clock_text()),
        pattern: c.pattern.into(),
        confidence,
        evidence: input.evidence.get(&c.entity).cloned().unwrap_or_default(),
        parts: c.parts,
        change: c.change.map(|change| change.id),
        entity: c.entity,
        impact_chain: chain,
    }
}

/// Whether what is used up is memory.
fn memory(own: &[&Alert]) -> bool {
    own.iter().any(|a| {
        let said = a.annotations.get("summary").unwrap_or_default();
        said.contains("memory") || a.name().to_lowercase().contains("memory")
    })
}
