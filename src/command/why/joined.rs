//! Why an incident has the alerts that it has: which opened it, which brought a new entity in and by
//! what, and how many merely came on top.

use std::collections::BTreeMap;

use crate::model::figure::n_of;
use crate::model::{Alert, EntryKind, Incident, TimelineEntry};

/// Alerts whose decision is told.
const MOST_TOLD: usize = 6;
/// Entities named with how many more of their alerts joined.
const MOST_NAMED: usize = 6;
/// Merges and splits that are told.
const MOST_MOVES: usize = 4;

/// The alerts' decisions: the one that opened it first, then by onset. What joined because its
/// entity was in it already is counted.
pub(super) fn lines(incident: &Incident, alerts: &[Alert], story: &[TimelineEntry]) -> Vec<String> {
    let follows = |d: &str| d.contains("already belongs to the incident.");
    let mut told: Vec<(&Alert, &str)> = Vec::new();
    let mut more: BTreeMap<&str, u64> = BTreeMap::new();
    for alert in alerts {
        match alert.decision.as_deref() {
            Some(said) if !follows(said) => told.push((alert, said)),
            _ => *more.entry(alert.entity.name()).or_default() += 1,
        }
    }
    let opener = incident.alerts.first();
    told.sort_by_key(|(a, said)| {
        (opener != Some(&a.id), !said.starts_with(OPENED), a.starts_at, a.id)
    });
    let n_left = told.len().saturating_sub(MOST_TOLD) as u64;
    let mut lines: Vec<String> = told
        .iter()
        .take(MOST_TOLD)
        .map(|(a, said)| {
            let said = if opened_another(a, incident, story) {
                "Opened an incident that became part of this one."
            } else {
                said
            };
            format!("{} on {}: {said}", a.name(), a.entity.name())
        })
        .collect();
    if n_left > 0 {
        lines.push(format!("{} joined by relations like these.", n_of(n_left, "more alert")));
    }
    let n: u64 = more.values().sum();
    if n > 0 {
        let mut by: Vec<(&str, u64)> = more.into_iter().collect();
        by.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let rest = by.len().saturating_sub(MOST_NAMED) as u64;
        let named: Vec<String> =
            by.iter().take(MOST_NAMED).map(|(name, n)| format!("{name} {n}")).collect();
        let rest = if rest > 0 { format!(" and {rest} others") } else { String::new() };
        lines.push(format!(
            "{} of entities that were in it already: {}{rest}.",
            n_of(n, "more alert"),
            named.join(", ")
        ));
    }
    lines
}

/// How the decision of an alert that opens an incident begins.
const OPENED: &str = "Opened";
/// How a story tells that another incident became part of this one.
const MERGED: &str = "became part of this one";

/// Whether an alert opened another incident than the one it is in now, which was merged into that.
pub(super) fn opened_another(alert: &Alert, home: &Incident, story: &[TimelineEntry]) -> bool {
    alert.decision.as_ref().is_some_and(|d| d.starts_with(OPENED))
        && home.alerts.first() != Some(&alert.id)
        && story.iter().any(|e| e.text.contains(MERGED))
}

/// What was merged into it or split off from it, as its story tells.
pub(super) fn moves(story: &[TimelineEntry]) -> Vec<String> {
    const SAID: [&str; 6] = [
        MERGED,
        "part of incident #",
        "left the incident",
        "moved here from",
        "Split off",
        "split off",
    ];
    let states = story.iter().filter(|e| e.kind == EntryKind::State);
    let moved = states.filter(|e| SAID.iter().any(|said| e.text.contains(said)));
    let text = |e: &TimelineEntry| {
        let by = if e.actor.is_bot() { String::new() } else { format!(" (by {})", e.actor.name) };
        format!("{} UTC {}{by}.", e.at.clock_text(), e.text.trim_end_matches('.'))
    };
    let mut told: Vec<String> = moved.map(text).collect();
    // The newest say where it stands now.
    let older = told.len().saturating_sub(MOST_MOVES);
    if older > 0 {
        told.drain(..older);
        told.insert(
            0,
            format!("{} before; its timeline has them.", n_of(older as u64, "earlier move")),
        );
    }
    told
}
