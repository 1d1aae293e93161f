//! Which incidents speak for which pattern, and what a pattern's alerts led to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::learn::config::Patterns;
use crate::model::harmless::{Followed, Hours, Kept};
use crate::model::time::{DAY_MS, HOUR_MS, duration_text};
use crate::model::tuning::Judgement;
use crate::model::{
    Alert, EntityRef, Graph, Harmless, HarmlessScope, HarmlessState, IncidentId, Severity, Time,
};

/// A pattern is bound to a time of day where all onsets lie within so many hours of it.
const MOST_HOURS: u8 = 4;
/// Alerts that a pattern lists.
const MOST_KEPT: usize = 100;

/// An incident as patterns see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Which.
    pub incident: IncidentId,
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// When it began.
    pub onset_at: Time,
    /// What was said of it.
    pub judgement: Judgement,
    /// It is over, and nobody had to do anything for that.
    pub by_itself: bool,
    /// Whom it was about.
    pub entities: Vec<EntityRef>,
    /// What of at least warning told it: entity, name, and how grave at most.
    pub kinds: BTreeMap<(EntityRef, String), Severity>,
    /// Something else told it too, which is no alert: a person opened it.
    pub declared: bool,
}

impl Case {
    /// Whether it speaks for a kind being harmless.
    pub(super) fn speaks(&self) -> bool {
        self.halves() > 0 && !self.declared && self.kinds.len() == 1
    }

    /// How much it speaks for its kind being harmless, in halves.
    fn halves(&self) -> usize {
        match self.judgement {
            Judgement::Dismissed => 2,
            Judgement::Unsaid if self.by_itself => 1,
            Judgement::Unsaid | Judgement::Confirmed => 0,
        }
    }
}

/// A pattern that enough incidents speak for.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Which alerts.
    pub scope: HarmlessScope,
    /// The incidents, in order.
    pub judged: Vec<IncidentId>,
    /// Their numbers, in the same order.
    pub numbers: Vec<u64>,
    /// How many of them a person called none.
    pub n_dismissed: usize,
    /// When the newest of them began.
    pub newest: Time,
}

/// All patterns that incidents speak for, by scope. `counted` says whether an incident has spoken
/// for one of that kind before which a person declined or an incident lifted.
#[must_use]
pub fn candidates(
    cases: &[Case],
    config: &Patterns,
    counted: impl Fn(&EntityRef, &str, IncidentId) -> bool,
) -> Vec<Candidate> {
    let mut speaking: BTreeMap<&(EntityRef, String), Vec<&Case>> = BTreeMap::new();
    for case in cases.iter().filter(|c| c.speaks()) {
        for kind in case.kinds.keys().filter(|(e, name)| !counted(e, name, case.incident)) {
            speaking.entry(kind).or_default().push(case);
        }
    }
    let mut found = Vec::new();
    for (kind, mut all) in speaking {
        let halves: usize = all.iter().map(|c| c.halves()).sum();
        if halves < 2 * config.least.max(2) as usize {
            continue;
        }
        all.sort_by_key(|c| c.incident);
        let onsets: Vec<Time> = all.iter().map(|c| c.onset_at).collect();
        let most = all.iter().filter_map(|c| c.kinds.get(kind)).max();
        let scope = HarmlessScope {
            entity: kind.0.clone(),
            name: kind.1.clone(),
            most: most.copied().unwrap_or(Severity::Warning),
            hours: hours_of(&onsets),
        };
        let forbids = |c: &&Case| {
            c.judgement == Judgement::Confirmed
                && c.kinds.contains_key(kind)
                && scope.hours.is_none_or(|hours| hours.holds(c.onset_at))
        };
        if cases.iter().any(|c| forbids(&c)) {
            continue;
        }
        found.push(Candidate {
            judged: all.iter().map(|c| c.incident).collect(),
            numbers: all.iter().map(|c| c.number).collect(),
            n_dismissed: all.iter().filter(|c| c.judgement == Judgement::Dismissed).count(),
            newest: onsets.iter().copied().max().unwrap_or(Time::MIN),
            scope,
        });
    }
    found
}

/// The hours of the day that hold all onsets, if they are few and the onsets of several days.
fn hours_of(onsets: &[Time]) -> Option<Hours> {
    let days: BTreeSet<i64> = onsets.iter().map(|t| t.ms().div_euclid(DAY_MS)).collect();
    if days.len() < 2 {
        return None;
    }
    let narrowest = (0..24_u8).filter_map(|from| {
        (1..=MOST_HOURS)
            .map(|hours| Hours { from, hours })
            .find(|h| onsets.iter().all(|t| h.holds(*t)))
    });
    narrowest.min_by_key(|h| (h.hours, h.from))
}

/// What a pattern would keep quiet, in a sentence.
pub(super) fn title(scope: &HarmlessScope) -> String {
    let most = match scope.most {
        Severity::Critical => "",
        _ => ", unless it grows critical",
    };
    format!("{scope} opens no incident by itself{most}.")
}

/// What it follows from.
pub(super) fn because(candidate: &Candidate) -> String {
    let list: Vec<String> = candidate.numbers.iter().map(|n| format!("#{n}")).collect();
    let (n, dismissed) = (candidate.numbers.len(), candidate.n_dismissed);
    format!(
        "{n} incidents were told by nothing else ({}): {dismissed} called no incident, {} ended by \
         themselves without anybody doing anything; none was confirmed.",
        list.join(", "),
        n - dismissed
    )
}

/// What is known when a pattern is looked at.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) cases: &'a [Case],
    pub(super) graph: &'a Graph,
    pub(super) now: Time,
    /// Alerts of the pattern before or in confirmed incidents, beside those that it lists.
    pub(super) before: &'a [Kept],
}

/// What of the stored alerts is looked at for one confirmed incident.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    pub(super) incident: IncidentId,
    pub(super) onset_at: Time,
    /// It took an alert of this kind in.
    pub(super) is_home: bool,
    /// Alerts that began from then until its onset, where it is near.
    pub(super) since: Option<Time>,
}

/// The confirmed incidents that may have followed an alert of the pattern since it stands as it does.
pub(super) fn asks(rule: &Harmless, config: &Patterns, cases: &[Case], graph: &Graph) -> Vec<Ask> {
    let near = near(graph, &rule.scope.entity);
    let kind = (rule.scope.entity.clone(), rule.scope.name.clone());
    let follow_ms = i64::from(config.follow_h) * HOUR_MS;
    let asked = cases.iter().filter(|c| c.judgement == Judgement::Confirmed).map(|case| {
        let close = case.onset_at >= rule.since && case.entities.iter().any(|e| near.contains(e));
        Ask {
            incident: case.incident,
            onset_at: case.onset_at,
            is_home: case.kinds.contains_key(&kind),
            since: close.then(|| rule.since.max(case.onset_at.plus_ms(-follow_ms))),
        }
    });
    asked.filter(|a| a.is_home || a.since.is_some()).collect()
}

/// An alert as one of the pattern's, if it is one and began since the pattern stands as it does.
pub(super) fn as_kept(rule: &Harmless, alert: &Alert) -> Option<Kept> {
    let counts = alert.starts_at >= rule.since
        && alert.severity > Severity::Info
        && rule.scope.covers(alert);
    counts.then_some(Kept { alert: alert.id, at: alert.starts_at, incident: alert.incident })
}

/// Counts alerts of the pattern that began before `until`, oldest first.
pub(super) fn count(rule: &mut Harmless, alerts: &[Alert], until: Time) {
    for alert in alerts {
        let fresh = rule.counted_until <= alert.starts_at && alert.starts_at < until;
        let counts = fresh && alert.severity > Severity::Info && rule.scope.covers(alert);
        if counts {
            rule.n_kept += 1;
            let incident = alert.incident;
            rule.kept.push(Kept { alert: alert.id, at: alert.starts_at, incident });
        }
    }
    let more = rule.kept.len().saturating_sub(MOST_KEPT);
    rule.kept.drain(..more);
    rule.counted_until = rule.counted_until.max(until);
}

/// Where the pattern stands after what has happened; the same where nothing moves it.
pub(super) fn judge(rule: &Harmless, config: &Patterns, known: &Known<'_>) -> Harmless {
    let mut next = rule.clone();
    let live =
        matches!(rule.state, HarmlessState::Shadow | HarmlessState::Open | HarmlessState::Applied);
    if !live {
        return next;
    }
    next.followed = followed(rule, config, known);
    let now = known.now;
    if let Some(first) = next.followed.first() {
        let did = if rule.state == HarmlessState::Applied { "kept" } else { "would have kept" };
        next.why = format!(
            "#{} {} was confirmed; it began {} after an alert that this rule {did} quiet ({}).",
            first.number,
            first.title,
            duration_text(first.after_ms.max(0)),
            first.alert
        );
        (next.state, next.since) = (HarmlessState::Lifted, now);
        return next;
    }
    let shadow_ms = i64::from(config.shadow_days) * DAY_MS;
    match rule.state {
        HarmlessState::Shadow
            if now.ms_since(rule.since) >= shadow_ms
                && rule.n_kept >= u64::from(config.shadow_least) =>
        {
            next.state = HarmlessState::Open;
        }
        HarmlessState::Applied if rule.until.is_some_and(|until| until <= now) => {
            (next.state, next.since) = (HarmlessState::Shadow, now);
            (next.kept, next.n_kept) = (Vec::new(), 0);
            (next.counted_until, next.decided, next.until) = (now, None, None);
            next.why = format!(
                "Confirmed before; its time is over, and nothing that it kept quiet led to an \
                 incident. It counts in shadow for {} again before it is asked for anew.",
                duration_text(shadow_ms)
            );
        }
        _ => {}
    }
    next
}

/// Confirmed incidents that took one of the pattern's alerts in, or began soon after one near it.
fn followed(rule: &Harmless, config: &Patterns, known: &Known<'_>) -> Vec<Followed> {
    let follow_ms = i64::from(config.follow_h) * HOUR_MS;
    let near = near(known.graph, &rule.scope.entity);
    let mut found = Vec::new();
    for case in known.cases.iter().filter(|c| c.judgement == Judgement::Confirmed) {
        let close = case.entities.iter().any(|e| near.contains(e));
        let before = rule.kept.iter().chain(known.before).filter(|kept| {
            let after_ms = case.onset_at.ms_since(kept.at);
            kept.incident == Some(case.incident) || (close && (0..=follow_ms).contains(&after_ms))
        });
        if let Some(kept) = before.max_by_key(|kept| (kept.at, kept.alert)) {
            found.push(Followed {
                incident: case.incident,
                number: case.number,
                title: case.title.clone(),
                alert: kept.alert,
                after_ms: case.onset_at.ms_since(kept.at),
            });
        }
    }
    found.sort_by_key(|f| (f.number, f.incident));
    found
}

/// An entity and what lies within two hops of it, up and down.
fn near(graph: &Graph, from: &EntityRef) -> BTreeSet<EntityRef> {
    let mut found: BTreeSet<EntityRef> = [from.clone()].into();
    for _ in 0..2 {
        let edge: Vec<EntityRef> = found.iter().cloned().collect();
        for at in &edge {
            found.extend(graph.dependencies(at).map(|(e, _)| e.clone()));
            found.extend(graph.dependents(at).map(|(e, _)| e.clone()));
        }
    }
    found
}
