//! Which runbooks apply to a situation, how strongly, and why.

use std::collections::BTreeMap;

use regex::Regex;

use super::Runbook;
use super::schema::Condition;
use crate::model::diagnosis::Finding;
use crate::model::{Alert, Change, ChangeKind, EntityRef, Evidence, Hypothesis, Incident};

/// What is known when a runbook is looked for or an action is filled in.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// The incident.
    pub incident: Option<Incident>,
    /// The hypothesis to act on.
    pub hypothesis: Option<Hypothesis>,
    /// The change that the hypothesis names.
    pub change: Option<Change>,
    /// The incident's alerts.
    pub alerts: Vec<Alert>,
    /// Log templates that matter.
    pub logs: Vec<String>,
    /// `[runbooks.settings]` of the configuration.
    pub settings: BTreeMap<String, String>,
}

impl Situation {
    /// What is known about an incident: its alerts, the hypothesis to act on, and which of the
    /// `changes` that names. Log templates are those of the alerts, as label or as annotation.
    #[must_use]
    pub fn of(
        incident: &Incident,
        hypothesis: Option<&Hypothesis>,
        changes: &[Change],
        alerts: &[Alert],
    ) -> Self {
        let named = hypothesis.and_then(|h| h.change);
        let template = |a: &Alert| {
            a.labels.get("template").or_else(|| a.annotations.get("template")).map(str::to_owned)
        };
        Self {
            incident: Some(incident.clone()),
            hypothesis: hypothesis.cloned(),
            change: named.and_then(|id| changes.iter().find(|c| c.id == id).cloned()),
            alerts: alerts.to_vec(),
            logs: alerts.iter().filter_map(template).collect(),
            settings: BTreeMap::new(),
        }
    }

    /// The same with the log templates that were found as evidence.
    #[must_use]
    pub fn with_evidence(mut self, evidence: &[Evidence]) -> Self {
        let found = evidence.iter().filter_map(|e| match &e.finding {
            Finding::Logs { template, .. } => Some(template.clone()),
            _ => None,
        });
        self.logs.extend(found);
        self
    }

    /// The service nearest to the cause: the hypothesis' entity where that is a service, else the
    /// first service that it impacts, else the service whose alert began first.
    #[must_use]
    pub fn service(&self) -> Option<&EntityRef> {
        let cause =
            self.hypothesis.iter().flat_map(|h| std::iter::once(&h.entity).chain(&h.impact_chain));
        let mut first: Vec<&Alert> = self.alerts.iter().filter(|a| a.entity.is_service()).collect();
        first.sort_by_key(|a| (a.starts_at, &a.entity));
        cause.chain(first.into_iter().map(|a| &a.entity)).find(|e| e.is_service())
    }
}

/// A runbook that applies.
#[derive(Clone, Debug)]
pub struct Match<'a> {
    /// Which.
    pub runbook: &'a Runbook,
    /// Sum of the weights of the kinds of condition that hold.
    pub score: f64,
    /// Which conditions hold, in words.
    pub reason: String,
}

/// How much each kind of condition says. The cause's pattern says most, since it is itself drawn
/// from all evidence; an indicator or the kind of entity alone says next to nothing.
fn weight(condition: &Condition) -> (usize, f64) {
    match condition {
        Condition::Hypothesis(_) => (0, 4.0),
        Condition::Log(_) => (1, 2.0),
        Condition::Alert(_) => (2, 1.5),
        Condition::Change(_) => (3, 1.5),
        Condition::Indicator(_) => (4, 0.5),
        Condition::Entity(_) => (5, 0.5),
    }
}

/// Least score that is offered: an indicator alone or the kind of entity alone is not enough.
const LEAST: f64 = 1.5;

/// A condition's words, for search.
pub(super) fn words(condition: &Condition) -> String {
    match condition {
        Condition::Alert(m) => m.value.clone(),
        Condition::Indicator(i) => format!("{i:?}").to_lowercase(),
        Condition::Entity(e) => e.clone(),
        Condition::Log(l) => l.clone(),
        Condition::Change(c) => format!("{c:?}").to_lowercase(),
        Condition::Hypothesis(h) => h.replace('_', " "),
    }
}

/// Whether `name` fits `pattern`, where `*` stands for any run of characters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Why a condition holds, if it does.
fn holds(condition: &Condition, s: &Situation) -> Option<String> {
    match condition {
        Condition::Hypothesis(pattern) => s
            .hypothesis
            .as_ref()
            .filter(|h| h.pattern == *pattern)
            .map(|_| format!("the likely cause is of the kind {}", pattern.replace('_', " "))),
        Condition::Log(pattern) => {
            let regex = Regex::new(pattern).ok()?;
            let found = s.logs.iter().find(|l| regex.is_match(l))?;
            let short: String = found.chars().take(80).collect();
            Some(format!("the logs say \"{short}\""))
        }
        Condition::Alert(matcher) => s
            .alerts
            .iter()
            .find(|a| matcher.matches(&a.labels))
            .map(|a| format!("the alert {} matches {matcher}", a.name())),
        Condition::Change(kind) => {
            s.change.as_ref().filter(|c| c.kind == *kind).map(|c| match c.kind {
                ChangeKind::Provider => format!("of {}", c.line()),
                _ => format!("the change \"{}\" came before", c.title),
            })
        }
        Condition::Indicator(indicator) => s
            .alerts
            .iter()
            .find(|a| a.indicator == Some(*indicator))
            .map(|a| format!("{} is abnormal", a.name())),
        Condition::Entity(attribute) => s
            .hypothesis
            .as_ref()
            .filter(|h| h.entity.attribute() == attribute)
            .map(|h| format!("the cause sits in {}", h.entity)),
    }
}

/// What its preconditions for machines say against a runbook: nothing of `only_if` holds, or
/// something of `not_if` does.
fn bar(runbook: &Runbook, s: &Situation) -> Option<String> {
    let front = &runbook.front;
    if let Some(why) = front.not_if.iter().find_map(|c| holds(c, s)) {
        return Some(format!("it is not for this: {why}"));
    }
    if front.only_if.is_empty() || front.only_if.iter().any(|c| holds(c, s).is_some()) {
        return None;
    }
    let needs: Vec<String> = front.only_if.iter().map(said).collect();
    Some(format!("nothing of what it is for is seen: {}", needs.join(", or ")))
}

/// A condition in words.
fn said(condition: &Condition) -> String {
    let kind = match condition {
        Condition::Alert(m) => return format!("an alert {m}"),
        Condition::Indicator(_) => "abnormal",
        Condition::Entity(_) => "a cause in a",
        Condition::Log(_) => "a log line like",
        Condition::Change(_) => "a change of the kind",
        Condition::Hypothesis(_) => "a cause of the kind",
    };
    format!("{kind} {}", words(condition))
}

/// A runbook that would apply, but for its preconditions, with what they say.
pub(super) fn barred<'a>(runbook: &'a Runbook, s: &Situation) -> Option<(Match<'a>, String)> {
    let why = bar(runbook, s)?;
    weigh(runbook, s).map(|m| (m, why))
}

/// How strongly a runbook applies.
pub(super) fn judge<'a>(runbook: &'a Runbook, s: &Situation) -> Option<Match<'a>> {
    if bar(runbook, s).is_some() { None } else { weigh(runbook, s) }
}

/// How well a runbook fits, whatever its preconditions say.
fn weigh<'a>(runbook: &'a Runbook, s: &Situation) -> Option<Match<'a>> {
    let front = &runbook.front;
    let names: Vec<&str> = s
        .hypothesis
        .iter()
        .map(|h| h.entity.name())
        .chain(
            s.hypothesis
                .is_none()
                .then_some(&s.alerts)
                .into_iter()
                .flatten()
                .map(|a| a.entity.name()),
        )
        .collect();
    let for_it = front.services.is_empty()
        || front.services.iter().any(|p| names.iter().any(|n| fits(p, n)));
    if !for_it {
        return None;
    }
    let mut best: BTreeMap<usize, (f64, String)> = BTreeMap::new();
    for condition in front.conditions() {
        let (kind, weight) = weight(condition);
        if let Some(why) = holds(condition, s) {
            best.entry(kind).or_insert((weight, why));
        }
    }
    let mut score: f64 = best.values().map(|(w, _)| w).sum();
    // A runbook that is for other causes than the one at hand is second choice.
    let wants_cause = front.conditions().any(|c| matches!(c, Condition::Hypothesis(_)));
    if wants_cause && s.hypothesis.is_some() && !best.contains_key(&0) {
        score *= 0.4;
    }
    if !front.services.is_empty() {
        score += 0.25;
    }
    let reasons: Vec<String> = best.into_values().map(|(_, why)| why).collect();
    (score >= LEAST).then(|| Match { runbook, score, reason: reasons.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("orders", "orders", true),
            ("orders", "orders-db", false),
            ("orders*", "orders-db", true),
            ("*-db", "orders-db", true),
            ("*-db", "orders-dbx", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXc", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
