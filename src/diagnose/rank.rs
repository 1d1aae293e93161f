//! The ranking: additive parts, then a curve that makes chances of them ([`super::belief`]). Pure.
//!
//! Which parts there are, and how much each brings, stands in [`super`].

use std::collections::{BTreeMap, BTreeSet};

use super::belief;
use super::explain::{AS_USUAL, SLACK_MS, Scene};
use super::input::{Input, Ranked, Separation};
use super::symptom::{Trouble, is_log, troubles};
use super::{prior, words};
use crate::model::diagnosis::{Hypothesis, ScorePart};
use crate::model::time::{HOUR_MS, MINUTE_MS, SECOND_MS, duration_text};
use crate::model::{Change, ChangeId, ChangeKind, EntityRef, EvidenceId, Time};

/// Onsets this near (ms) are the same: signals come every 15 to 30 s and are smoothed.
const SAME_MS: i64 = 30 * SECOND_MS;
/// A later onset adds nothing from here on (ms).
const LATE_MS: i64 = 3 * MINUTE_MS;
/// Weight of a change made right before the onset.
const CHANGE: f64 = 2.2;
/// Weight of the chance that the telemetry gives.
const TELEMETRY: f64 = 1.0;
/// Share of it for what runs on a node in trouble: the node accounts for it as well.
const ON_NODE: f64 = 0.2;
/// A change that weighs less than this (13 minutes before) is too old to turn the direction of a
/// fault.
const CHANGED: f64 = 1.2;
/// Hypotheses that are kept, and changes that are shown.
const MOST: usize = 5;
const MOST_CHANGES: usize = 8;

/// One possible cause, judged.
pub(super) struct Candidate<'a> {
    pub entity: EntityRef,
    pub parts: Vec<ScorePart>,
    pub trouble: Option<&'a Trouble<'a>>,
    pub change: Option<Change>,
    pub onset: Time,
    /// What it explains, most first.
    pub explains: Vec<EntityRef>,
}

impl Candidate<'_> {
    fn score(&self) -> f64 {
        self.parts.iter().map(|p| p.contribution).sum()
    }
}

/// A change as it speaks for one entity.
#[derive(Clone, Copy)]
struct Made<'a> {
    change: &'a Change,
    /// How much by its nearness.
    weight: f64,
    /// How much more or less by its kind.
    learned: f64,
}

impl Made<'_> {
    fn order(&self) -> (f64, ChangeId) {
        (self.weight + self.learned, self.change.id)
    }
}

/// Ranks the possible causes.
#[must_use]
pub fn rank(input: &Input) -> Ranked {
    let troubles = troubles(&input.alerts, &input.onsets);
    let first = troubles.values().map(|t| t.onset).min().unwrap_or(input.incident.onset_at);
    let mut best: BTreeMap<EntityRef, Made<'_>> = BTreeMap::new();
    // What was learned of kinds of change does not make one younger.
    let mut changed: BTreeSet<EntityRef> = BTreeSet::new();
    for change in &input.changes {
        for entity in concerned(change, input, &troubles) {
            let weight = weight_of(change, troubles.get(&entity), first);
            let learned = prior::weight(&input.causes, change.kind, weight / CHANGE);
            let made = Made { change, weight, learned };
            if weight >= CHANGED {
                changed.insert(entity.clone());
            }
            if weight > 0.0 && best.get(&entity).is_none_or(|b| b.order() < made.order()) {
                best.insert(entity, made);
            }
        }
    }
    let (graph, calls) = (&input.graph, &input.calls);
    let demands = &input.demands;
    // What is measured and well is not in trouble here, whatever is reported of it.
    let well = |e: &EntityRef| input.measured.contains(e) && !troubles.contains_key(e);
    let reports = |e: &EntityRef| best.get(e).is_some_and(|m| !m.change.kind.is_ours());
    let reported: BTreeSet<EntityRef> =
        changed.iter().filter(|e| reports(e) && !well(e)).cloned().collect();
    let scene = Scene {
        troubles: &troubles,
        graph,
        changed: &changed,
        reported: &reported,
        calls,
        demands,
    };
    let mut names: BTreeSet<&EntityRef> = troubles.keys().chain(&changed).collect();
    // Where a rise of requests begins may itself be well.
    names.extend(demands.keys().filter(|e| asks_more(&scene, e).is_some()));
    let mut candidates: Vec<Candidate<'_>> = names
        .into_iter()
        .filter_map(|entity| judge(input, &scene, entity, first, best.get(entity).copied()))
        .collect();
    candidates
        .sort_by(|a, b| b.score().total_cmp(&a.score()).then_with(|| a.entity.cmp(&b.entity)));
    let scores: Vec<f64> = candidates.iter().map(Candidate::score).collect();
    let chances = belief::chances(&scores, input.early);
    let conclusive = chances.conclusive;
    let hypotheses: Vec<Hypothesis> = candidates
        .into_iter()
        .zip(chances.each)
        .take(MOST)
        .map(|(c, confidence)| words::hypothesis(input, &troubles, c, confidence))
        .collect();
    let mut changes: Vec<Change> = input
        .changes
        .iter()
        .filter(|c| {
            let after_ms = c.kind.late_ms().max(5 * MINUTE_MS);
            (-after_ms..=2 * HOUR_MS).contains(&first.ms_since(c.at))
        })
        .cloned()
        .collect();
    changes.sort_by_key(|c| (first.ms_since(c.at).abs(), c.id));
    // A change that a hypothesis names is shown, however long before the onset it was.
    for Made { change, .. } in best.values() {
        if !changes.iter().any(|c| c.id == change.id) {
            changes.push((*change).clone());
        }
    }
    // Where there are too many, those go that no hypothesis that is kept names, the farthest first.
    let named: BTreeSet<ChangeId> = hypotheses.iter().filter_map(|h| h.change).collect();
    let mut free = MOST_CHANGES.saturating_sub(named.len());
    changes.retain(|c| {
        let kept = named.contains(&c.id) || free > 0;
        free -= usize::from(kept && !named.contains(&c.id));
        kept
    });
    Ranked { hypotheses, conclusive, changes }
}

/// Entities that a change was made to: the one it names, and those its attributes name.
fn concerned(
    change: &Change,
    input: &Input,
    troubles: &BTreeMap<EntityRef, Trouble<'_>>,
) -> BTreeSet<EntityRef> {
    let mut found: BTreeSet<EntityRef> = [change.entity.clone()].into();
    let values: BTreeSet<&str> = change.names().collect();
    if !values.is_empty() {
        let all = input.graph.entities().chain(troubles.keys());
        found.extend(all.filter(|e| values.contains(e.name())).cloned());
    }
    found
}

/// In so much time (ms) after its end what a provider reported counts half.
const OVER_HALF_MS: i64 = 15 * MINUTE_MS;

/// How much a change speaks for an entity with this trouble.
fn weight_of(change: &Change, trouble: Option<&Trouble<'_>>, first: Time) -> f64 {
    let onset = trouble.map_or(first, |t| t.onset);
    let creeping = trouble.is_some_and(|t| t.alerts.first().is_some_and(|a| a.is_forecast()));
    // What creeps has no sharp onset, so a change counts for longer, and also shortly after.
    // An incident of a provider lasts for hours, and is felt here when it comes to be used.
    let (after_ms, half_ms, most_ms) = if change.kind == ChangeKind::Provider {
        (change.kind.late_ms(), HOUR_MS, 6 * HOUR_MS)
    } else if creeping {
        (20 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS)
    } else {
        (change.kind.late_ms(), 15 * MINUTE_MS, 2 * HOUR_MS)
    };
    let lead_ms = onset.ms_since(change.at);
    if !(-after_ms..=most_ms).contains(&lead_ms) {
        return 0.0;
    }
    let likely = if change.kind == ChangeKind::Other { 0.9 } else { 1.0 };
    // What was over before says less the longer it was over; some minutes more or less are how late
    // a provider says so.
    let over_ms = change.ended_at().map_or(0, |ended| onset.ms_since(ended).max(0));
    let over = 0.5_f64.powf(over_ms as f64 / OVER_HALF_MS as f64);
    CHANGE * likely * over * 0.5_f64.powf(lead_ms.max(0) as f64 / half_ms as f64)
}

/// Weight of being what separates bad requests from good ones.
const SEPARATES: f64 = 0.8;
/// Bad so many times as often (at the lower bound) is as clear as it gets.
const CLEAR: f64 = 8.0;
/// Weight of being where a rise of requests begins.
const TRAFFIC: f64 = 1.0;

/// What an entity does that more is asked of others: it is asked for more itself, from outside, or
/// it alone asks more of whom it calls.
fn asks_more(scene: &Scene<'_>, entity: &EntityRef) -> Option<String> {
    let times = |e: &EntityRef| scene.demands.get(e).map(|d| d.times());
    if scene.source(entity) {
        let how = times(entity).map_or_else(String::new, |t| format!(" ({t:.1} times as many)"));
        return Some(format!("more requests come in there{how}, and no known service calls it"));
    }
    let mut calls = scene.graph.dependencies(entity).map(|(e, _)| e);
    let below = calls.find(|below| scene.amplifies(entity, below))?;
    let how = times(below).map_or_else(String::new, |t| format!(" ({t:.1} times as often)"));
    let name = below.name();
    Some(format!("it calls {name} more often than before{how}, and is not called more itself"))
}

fn part(name: &str, contribution: f64, why: String, evidence: Vec<EvidenceId>) -> ScorePart {
    ScorePart { name: name.into(), contribution, why, evidence }
}

fn judge<'a>(
    input: &Input,
    scene: &Scene<'a>,
    entity: &EntityRef,
    first: Time,
    made: Option<Made<'_>>,
) -> Option<Candidate<'a>> {
    let explained = scene.explained_by(entity);
    if explained.is_empty() {
        return None;
    }
    let trouble = scene.troubles.get(entity);
    let onset = trouble.map_or(first, |t| t.onset);
    let mut parts = position(input, scene, entity, &explained);
    let signals = |e: &EntityRef| input.proofs.signals.get(e).cloned().unwrap_or_default();
    let caused = caller_to_blame(scene, entity);
    if let Some((caller, share)) = &caused {
        let name = caller.name();
        let why = if scene.asks(caller, entity) {
            format!("{name}, which calls it, asks more of it than before")
        } else {
            format!(
                "{name}, which puts load on it, changed shortly before; its own trouble is of the \
                 kind that follows from that"
            )
        };
        parts.push(part("graph", -share, why, signals(caller)));
    }
    let cleared = scene.cleared(entity);
    if let Some((caller, words)) = cleared.clone() {
        let why = format!("calls to it are as usual: {words}, from {}", caller.name());
        let proof = input.proofs.edges.get(&(caller, entity.clone())).copied();
        parts.push(part("graph", -1.0, why, proof.into_iter().collect()));
    }
    if let Some(trouble) = trouble {
        parts.extend(when(trouble, first, signals(entity)));
    } else if asks_more(scene, entity).is_none() && !scene.reported.contains(entity) {
        let (weight, why) = if input.measured.contains(entity) {
            (-0.9, "none of its signals is out of the ordinary")
        } else {
            (-0.4, "none of its signals is known")
        };
        parts.push(part("graph", weight, why.to_owned(), Vec::new()));
    }
    let change = made.map(|m| m.change);
    if let Some(Made { change, weight, learned }) = made {
        let lead = onset.ms_since(change.at);
        let (ours, title) = (change.kind.is_ours(), &change.title);
        let lasts = duration_text(lead.abs());
        let why = match (ours, lead >= 0) {
            (true, true) => format!("{title}, {lasts} before its onset"),
            (true, false) => format!("{title}, at its onset"),
            (false, true) => {
                let over = change.ended_at().map_or(0, |ended| onset.ms_since(ended));
                let over = if over > 0 {
                    format!(", and that it was over {} before it", duration_text(over))
                } else {
                    String::new()
                };
                format!("its provider reports \"{title}\", {lasts} before the onset{over}")
            }
            (false, false) => {
                format!("its provider reports \"{title}\", {lasts} after the onset; such come late")
            }
        };
        let proof = input.proofs.changes.get(&change.id).copied().into_iter().collect();
        parts.push(part("change", weight, why, proof));
        parts.extend(prior::part(input, change.kind, learned));
    }
    if let Some(trouble) = trouble {
        parts.extend(resource(trouble, caused.is_some() || cleared.is_some(), signals(entity)));
        parts.extend(logs(input, entity, trouble));
        let score = trouble.alerts.iter().map(|a| a.score).fold(0.0, f64::max);
        if score > 0.0 {
            // 1 at a score of 100: beyond that, differences say more of units than of causes.
            let weight = 0.5 * ((1.0 + score).ln() / 101.0_f64.ln()).min(1.0);
            let why = format!("its strongest alert scores {score:.1}");
            parts.push(part("severity", weight, why, signals(entity)));
        }
    }
    if let Some(why) = asks_more(scene, entity).filter(|_| caused.is_none()) {
        parts.push(part("traffic", TRAFFIC, why, signals(entity)));
    }
    parts.extend(separated(input, entity, change));
    parts.extend(telemetry(input, scene, entity, signals(entity)));
    parts.extend(similar(input, entity));
    let mut explains: Vec<(EntityRef, f64)> = explained.into_iter().collect();
    explains.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Some(Candidate {
        entity: entity.clone(),
        parts,
        trouble,
        change: change.cloned(),
        onset,
        explains: explains.into_iter().map(|(e, _)| e).collect(),
    })
}

/// How much it explains, and what below it it does not.
fn position(
    input: &Input,
    scene: &Scene<'_>,
    entity: &EntityRef,
    explained: &BTreeMap<EntityRef, f64>,
) -> Vec<ScorePart> {
    let all = scene.troubles.len().max(1);
    let share = explained.values().sum::<f64>() / all as f64;
    let n = explained.values().filter(|s| **s >= 0.5).count();
    let own: Vec<EvidenceId> = input.proofs.signals.get(entity).cloned().unwrap_or_default();
    let why = format!("it would explain the trouble of {n} of {all} entities");
    let mut parts = vec![part("graph", 2.0 * share, why, own)];
    let below: Vec<&EntityRef> = input
        .graph
        .dependencies(entity)
        .map(|(e, _)| e)
        .filter(|e| {
            let fails = scene.troubles.get(*e).is_some_and(|t| {
                t.strong()
                    && scene
                        .troubles
                        .get(entity)
                        .is_none_or(|own| t.earliest.ms_since(own.onset) <= SLACK_MS)
            });
            (fails || scene.reported.contains(*e))
                && scene.passes(entity, e) > AS_USUAL
                && explained.get(*e).is_none_or(|s| *s < 0.5)
        })
        .collect();
    if !below.is_empty() {
        let names: Vec<&str> = below.iter().map(|e| e.name()).collect();
        let (is, that) = if names.len() == 1 { ("is", "that") } else { ("are", "those") };
        let why = format!(
            "it depends on {}, which {is} in trouble too, and does not explain {that}",
            names.join(" and ")
        );
        let proofs = below
            .iter()
            .flat_map(|e| input.proofs.signals.get(*e).into_iter().flatten().copied())
            .collect();
        let left = below.iter().map(|e| scene.passes(entity, e)).fold(0.0, f64::max);
        parts.push(part("graph", -1.2 * left, why, proofs));
    }
    parts
}

/// The caller, changed or asked for more itself, that accounts most for this entity's trouble.
fn caller_to_blame(scene: &Scene<'_>, entity: &EntityRef) -> Option<(EntityRef, f64)> {
    scene
        .graph
        .dependents(entity)
        .filter(|(caller, _)| scene.changed.contains(*caller) || scene.asks(caller, entity))
        .map(|(caller, _)| (caller.clone(), scene.loads(caller, entity)))
        .filter(|(_, share)| *share >= 0.5)
        .max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.cmp(&a.0)))
}

/// Weight of an onset so long (ms) after the first: 1 at first, none from [`LATE_MS`] on; on average,
/// where it lies anywhere between two times.
pub(super) fn early(least_ms: i64, most_ms: i64) -> f64 {
    let fall = (LATE_MS - SAME_MS) as f64;
    // What stands under the weight up to there.
    let below = |ms: i64| {
        let falling = (ms.min(LATE_MS) - SAME_MS).max(0) as f64;
        ms.min(SAME_MS) as f64 + falling - falling * falling / (2.0 * fall)
    };
    if most_ms > least_ms {
        return (below(most_ms) - below(least_ms)) / (most_ms - least_ms) as f64;
    }
    (1.0 - (most_ms - SAME_MS) as f64 / fall).clamp(0.0, 1.0)
}

fn when(trouble: &Trouble<'_>, first: Time, proofs: Vec<EvidenceId>) -> Option<ScorePart> {
    let late_ms = trouble.onset.ms_since(first).max(0);
    let least_ms = trouble.earliest.ms_since(first).max(0);
    let early = early(least_ms, late_ms);
    if early <= 0.0 {
        return None;
    }
    let why = if late_ms <= SAME_MS {
        "its trouble is among the first".to_owned()
    } else if least_ms < late_ms {
        let late = duration_text(late_ms);
        format!("its trouble was told {late} after the first, and may have begun before that")
    } else {
        format!("its trouble began {} after the first", duration_text(late_ms))
    };
    Some(part("onset", early, why, proofs))
}

fn resource(trouble: &Trouble<'_>, effect: bool, proofs: Vec<EvidenceId>) -> Option<ScorePart> {
    let alert = trouble.resource()?;
    let what = alert.annotations.get("summary").unwrap_or(alert.name());
    let full = if trouble.short { 0.8 } else { 0.3 };
    let weight = if effect { full / 2.0 } else { full };
    let why = format!("a resource of its own stands out: {what}");
    Some(part("resource", weight, why, proofs))
}

/// New or bursting error templates near the onset: as found in the stored lines, or as alerted.
fn logs(input: &Input, entity: &EntityRef, trouble: &Trouble<'_>) -> Option<ScorePart> {
    if let Some(sign) = input.logs.get(entity).and_then(|signs| signs.first()) {
        let why = format!(
            "its log says {} from {} to {} UTC, {}: {}",
            sign.cut.times(sign.n),
            sign.first_at.clock_text(),
            sign.until.clock_text(),
            sign.cut.before(sign.n_before),
            sign.template
        );
        let weight = if sign.is_error { 0.7 } else { 0.5 };
        return Some(part("logs", weight, why, vec![sign.evidence]));
    }
    let alert = trouble.alerts.iter().find(|a| is_log(a))?;
    let why = format!("its log has a new or bursting error: {}", alert.labels.get("template")?);
    Some(part("logs", 0.7, why, Vec::new()))
}

/// Whether what separates bad requests from good ones is this candidate: the version that its change
/// brought, the flag that was turned, or the node or zone itself.
fn separated(input: &Input, entity: &EntityRef, change: Option<&Change>) -> Option<ScorePart> {
    let names = |service: &EntityRef, s: &Separation| match s.attribute.as_str() {
        "service.version" => {
            service == entity && change.is_some_and(|c| c.version.as_ref() == Some(&s.value))
        }
        "feature_flag.variant" => {
            service == entity && change.is_some_and(|c| c.kind == ChangeKind::Flag)
        }
        "host.name" | "k8s.node.name" => entity.is_host() && entity.name() == s.value,
        other => entity.attribute() == other && entity.name() == s.value,
    };
    let all = input.separates.iter().flat_map(|(e, of)| of.iter().map(move |s| (e, s)));
    let own = all.filter(|(service, s)| names(service, s)).map(|(_, s)| s);
    let best = own.max_by(|a, b| {
        a.at_least.total_cmp(&b.at_least).then_with(|| b.evidence.cmp(&a.evidence))
    })?;
    let clear = (best.at_least.ln() / CLEAR.ln()).clamp(0.0, 1.0);
    Some(part("requests", SEPARATES * clear, best.said.clone(), vec![best.evidence]))
}

/// What its series and spans say, weighed with those of everybody near.
fn telemetry(
    input: &Input,
    scene: &Scene<'_>,
    entity: &EntityRef,
    proofs: Vec<EvidenceId>,
) -> Option<ScorePart> {
    let standing = input.weighed.get(entity)?;
    let below = input.graph.dependencies(entity);
    let shares = below.filter(|(e, _)| e.is_host()).any(|(e, _)| scene.troubles.contains_key(e));
    let (weight, but) = if shares {
        (ON_NODE, ", counted a fifth because its node is in trouble")
    } else {
        (1.0, "")
    };
    let weight = TELEMETRY * weight * standing.chance;
    let chance = standing.chance * 100.0;
    let why = format!("its telemetry alone makes it {chance:.0} %{but}: {}", standing.why);
    Some(part("telemetry", weight, why, proofs))
}

/// Earlier incidents with their cause here. A cause that a fix proved counts fully.
fn similar(input: &Input, entity: &EntityRef) -> Option<ScorePart> {
    let past = input.similar.iter().find(|p| p.entity == *entity)?;
    let proven = if past.fixed_by.is_some() { 1.0 } else { 0.5 };
    let weight = 0.8 * past.similarity * proven;
    let fixed =
        past.fixed_by.as_ref().map_or_else(String::new, |f| format!(", which \"{f}\" ended"));
    let why = format!(
        "it was the cause of incident #{} ({:.0} % alike){fixed}",
        past.number,
        past.similarity * 100.0
    );
    Some(part("similar", weight, why, vec![past.evidence]))
}
