//! A judged candidate as a hypothesis: its pattern, its sentence, and how it reaches users.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::calls::Calls;
use super::input::Input;
use super::rank::Candidate;
use super::symptom::{Trouble, is_low};
use crate::model::topology::EdgeKind;
use crate::model::{
    Alert, ChangeKind, EntityRef, EvidenceId, Graph, Hypothesis, HypothesisId, Indicator,
};

/// The hypothesis that a candidate stands for.
pub(super) fn hypothesis(
    input: &Input,
    troubles: &BTreeMap<EntityRef, Trouble<'_>>,
    c: Candidate<'_>,
    confidence: f64,
) -> Hypothesis {
    let store = slow_store(input, &c);
    let slow = store.is_some() || slow_queries(&c);
    let pattern = if slow { "slow_queries" } else { pattern_of(&c) };
    let name = c.entity.name();
    let after = c.change.as_ref().map_or_else(String::new, |c| format!(" after {}", c.title));
    let cause = match (pattern, &c.change) {
        (_, Some(change)) if !change.kind.is_ours() => change.line(),
        ("saturation", _) if ahead(&c) => format!("{name} is running out of a resource{after}"),
        ("saturation", _) => format!("{name} ran out of a resource{after}"),
        ("slow_queries", _) => {
            let to = store.as_ref().map_or_else(String::new, |e| format!(" to {}", e.name()));
            format!("queries of {name}{to} became slow{after}")
        }
        ("resource_leak", _) => format!("{name} uses up its memory{after}"),
        ("noisy_neighbour", _) => format!("{name} is overloaded{after}"),
        (_, Some(change)) if change.title.contains(name) => change.title.clone(),
        (_, Some(change)) => format!("{} on {name}", change.title),
        ("traffic", None) => format!("the traffic of {name} changed"),
        _ => format!("a fault within {name}"),
    };
    let mut evidence: Vec<EvidenceId> = Vec::new();
    let own = input.proofs.signals.get(&c.entity).into_iter().flatten();
    for id in own.chain(c.parts.iter().flat_map(|p| &p.evidence)) {
        if !evidence.contains(id) {
            evidence.push(*id);
        }
    }
    let leading = input
        .incident
        .leading
        .and_then(|id| input.alerts.iter().find(|a| a.id == id))
        .map(|a| &a.entity)
        .or_else(|| input.incident.entities.first());
    let incident = input.incident.id;
    Hypothesis {
        id: HypothesisId::derive(
            input.incident.onset_at,
            &[&incident.to_string(), &c.entity.to_string(), pattern],
        ),
        statement: format!("{cause}, since {} UTC.", c.onset.clock_near(input.incident.opened_at)),
        pattern: pattern.into(),
        confidence,
        evidence,
        impact_chain: chain(&input.graph, troubles, &c, leading),
        parts: c.parts,
        change: c.change.map(|change| change.id),
        entity: c.entity,
    }
}

/// Whether a change of this kind may have made queries slow.
const fn made_queries(kind: ChangeKind) -> bool {
    kind.is_ours() && !matches!(kind, ChangeKind::NetworkPolicy)
}

/// The store whose calls from the candidate became slow, where the candidate and not the store is
/// to blame: it changed, and what it calls calls nothing further.
fn slow_store(input: &Input, c: &Candidate<'_>) -> Option<EntityRef> {
    let changed = c.change.as_ref().is_some_and(|c| made_queries(c.kind));
    let calls =
        |e: &EntityRef| input.graph.dependencies(e).any(|(_, kind)| kind == EdgeKind::Calls);
    let slow = input.calls.iter().filter(|((from, to), made)| {
        changed && *from == c.entity && made.slow() && !made.failing() && !calls(to)
    });
    slow.max_by(|a, b| {
        let times = |c: &Calls| c.mean_ms / c.mean_before_ms.max(0.1);
        times(a.1).total_cmp(&times(b.1)).then_with(|| b.0.cmp(a.0))
    })
    .map(|((_, to), _)| to.clone())
}

/// Whether the candidate changed and measures its own queries as slow (OpenTelemetry's metric of a
/// database client, <https://opentelemetry.io/docs/specs/semconv/database/database-metrics/>).
fn slow_queries(c: &Candidate<'_>) -> bool {
    let changed = c.change.as_ref().is_some_and(|c| made_queries(c.kind));
    let measured = |a: &Alert| {
        let metric = a.labels.get("metric").unwrap_or_default();
        a.indicator == Some(Indicator::Duration)
            && !is_low(a)
            && metric.starts_with("db.client.operation.duration")
    };
    changed && c.trouble.is_some_and(|t| t.alerts.iter().any(|a| measured(a)))
}

/// The stable name of the kind of cause, for learning and runbooks.
fn pattern_of(c: &Candidate<'_>) -> &'static str {
    let kind = c.change.as_ref().map(|c| c.kind);
    // Nothing was changed, and a rise of requests begins there.
    let surges = kind.is_none() && c.parts.iter().any(|p| p.name == "traffic");
    let Some(trouble) = c.trouble else {
        return match kind {
            None if surges => "traffic",
            Some(ChangeKind::NetworkPolicy) => "network_policy",
            Some(ChangeKind::Provider) => "dependency",
            Some(ChangeKind::Deploy) => "deploy",
            _ => "change",
        };
    };
    let resource = trouble.resource();
    let indicator = resource.and_then(|a| a.indicator);
    match (indicator, kind) {
        (_, Some(ChangeKind::NetworkPolicy)) => "network_policy",
        (_, Some(ChangeKind::Provider)) => "dependency",
        (_, None) if surges || (trouble.asked && c.explains.len() > 1) => "traffic",
        (Some(_), _) if leaks(trouble) => "resource_leak",
        (Some(Indicator::Saturation | Indicator::Utilization), _) if c.entity.is_host() => {
            "noisy_neighbour"
        }
        (Some(Indicator::Saturation | Indicator::Utilization), _) => "saturation",
        (_, Some(ChangeKind::Deploy)) => "deploy",
        (_, Some(_)) => "change",
        _ if trouble.asked && !trouble.fails => "traffic",
        _ => "dependency",
    }
}

/// Whether all that speaks of its resources tells of a limit that is still ahead.
fn ahead(c: &Candidate<'_>) -> bool {
    let uses = |a: &&Alert| {
        matches!(
            a.indicator,
            Some(Indicator::Saturation | Indicator::Utilization | Indicator::Usage)
        )
    };
    let mut all = c.trouble.iter().flat_map(|t| t.alerts.iter().copied()).filter(uses).peekable();
    all.peek().is_some() && all.all(Alert::is_forecast)
}

/// Whether what creeps up or is used up is memory.
fn leaks(trouble: &Trouble<'_>) -> bool {
    let memory = |a: &Alert| {
        let said = [Some(a.name()), a.annotations.get("summary"), a.labels.get("metric")];
        said.into_iter().flatten().any(|s| s.to_lowercase().contains("memory"))
    };
    let creeps = trouble.alerts.iter().any(|a| a.is_forecast() && memory(a));
    let uses = |a: &Alert| {
        matches!(a.indicator, Some(Indicator::Usage | Indicator::Utilization)) && memory(a)
    };
    creeps || trouble.resource().is_some_and(uses)
}

/// From the cause up to what leads the incident, through entities in trouble where there is such a
/// way; else any way; else up to the farthest that is explained.
fn chain(
    graph: &Graph,
    troubles: &BTreeMap<EntityRef, Trouble<'_>>,
    c: &Candidate<'_>,
    leading: Option<&EntityRef>,
) -> Vec<EntityRef> {
    let from = &c.entity;
    if let Some(top) = leading.filter(|top| *top != from) {
        if let Some(path) = climb(graph, from, top, &|e| troubles.contains_key(e)) {
            return path;
        }
        if let Some(path) = climb(graph, from, top, &|_| true) {
            return path;
        }
    }
    let through = |e: &EntityRef| troubles.contains_key(e);
    let ways = c.explains.iter().filter_map(|e| climb(graph, from, e, &through));
    ways.rev().max_by_key(Vec::len).unwrap_or_else(|| vec![from.clone()])
}

/// The shortest way up from `from` to `top` through entities that `may` be passed.
fn climb(
    graph: &Graph,
    from: &EntityRef,
    top: &EntityRef,
    may: &dyn Fn(&EntityRef) -> bool,
) -> Option<Vec<EntityRef>> {
    let mut seen: BTreeSet<EntityRef> = [from.clone()].into();
    let mut queue: VecDeque<Vec<EntityRef>> = [vec![from.clone()]].into();
    while let Some(path) = queue.pop_front() {
        let at = path.last()?;
        if at == top {
            return Some(path);
        }
        for (next, _) in graph.dependents(at) {
            if (next == top || may(next)) && seen.insert(next.clone()) {
                let mut longer = path.clone();
                longer.push(next.clone());
                queue.push_back(longer);
            }
        }
    }
    None
}
