//! The incident's state machine: moving on, merging, splitting. Pure: values in, values out.

use crate::model::{
    Actor, AlertId, EntryKind, Incident, IncidentId, IncidentState, Refused, Time, TimelineEntry,
};

/// Moves an incident to another state, with its timeline entry. `Open` from a resolved one is a
/// reopening.
///
/// # Errors
/// [`Refused::Conflict`] when that state can't follow.
pub fn transition(
    incident: &Incident,
    to: IncidentState,
    actor: &Actor,
    now: Time,
    reason: &str,
) -> Result<(Incident, TimelineEntry), Refused> {
    let from = incident.state;
    if !from.next().contains(&to) {
        return Err(Refused::Conflict(format!(
            "Incident #{} is {}, so it can't become {}. Possible now: {}.",
            incident.number,
            from.as_str(),
            to.as_str(),
            possible(from)
        )));
    }
    let mut next =
        Incident { state: to, updated_at: now.max(incident.updated_at), ..incident.clone() };
    match to {
        IncidentState::Acknowledged => {
            next.acknowledged_at = next.acknowledged_at.or(Some(now));
            if !actor.is_bot() {
                next.owner = Some(actor.clone());
            }
        }
        IncidentState::Resolved => {
            next.resolved_at = Some(now);
            next.closed_by = (!actor.is_bot()).then(|| actor.clone());
        }
        IncidentState::Open if !from.is_active() => {
            next.n_reopened += 1;
            next.reopened_at = Some(now);
            (next.resolved_at, next.quiet_since, next.category) = (None, None, None);
            next.closed_by = None;
        }
        _ => {}
    }
    let word =
        if to == IncidentState::Open && !from.is_active() { "reopened" } else { to.as_str() };
    let text = format!("Incident {word}: {reason}");
    let entry = TimelineEntry::by(actor.clone(), incident.id, now, EntryKind::State, text, None);
    Ok((next, entry))
}

fn possible(state: IncidentState) -> String {
    let words: Vec<&str> = state.next().iter().map(|s| s.as_str()).collect();
    if words.is_empty() { "nothing, it is part of another".to_owned() } else { words.join(", ") }
}

/// Two incidents after a merge, with an entry for each. The caller moves the alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// What was folded in; its state is `Merged`.
    pub from: Incident,
    /// What goes on.
    pub into: Incident,
    /// What is written in both timelines.
    pub entries: Vec<TimelineEntry>,
}

/// Folds one incident into another.
///
/// # Errors
/// [`Refused`] when both are the same, or one is already merged, or `into` is over: only the bot may
/// merge into a resolved one, which stays resolved.
pub fn merge(
    from: &Incident,
    into: &Incident,
    actor: &Actor,
    now: Time,
    reason: &str,
) -> Result<Merged, Refused> {
    if from.id == into.id {
        return Err(Refused::Invalid("An incident can't be merged into itself.".to_owned()));
    }
    // The bot may learn that two which are over were one; nothing is opened by that.
    let both_over = actor.is_bot()
        && into.state == IncidentState::Resolved
        && from.state == IncidentState::Resolved;
    if !into.state.is_active() && !both_over {
        return Err(Refused::Conflict(format!(
            "Incident #{} is {}; reopen it before merging into it.",
            into.number,
            into.state.as_str()
        )));
    }
    let text = format!("part of incident #{}: {reason}", into.number);
    let (mut gone, entry) = transition(from, IncidentState::Merged, actor, now, &text)?;
    gone.merged_into = Some(into.id);
    let mut whole = into.clone();
    whole.updated_at = now.max(whole.updated_at);
    for id in &from.alerts {
        if !whole.alerts.contains(id) {
            whole.alerts.push(*id);
        }
    }
    for entity in &from.entities {
        if !whole.entities.contains(entity) {
            whole.entities.push(entity.clone());
        }
    }
    whole.severity = whole.severity.max(from.severity);
    whole.onset_at = whole.onset_at.min(from.onset_at);
    whole.n_reports += from.n_reports;
    whole.quiet_since = match (into.quiet_since, from.quiet_since) {
        (Some(a), Some(b)) => Some(a.max(b)),
        _ => None,
    };
    let told = format!("Incident #{} became part of this one: {reason}", from.number);
    let told = TimelineEntry::by(
        actor.clone(),
        into.id,
        now,
        EntryKind::State,
        told,
        Some(from.id.to_string()),
    );
    Ok(Merged { from: gone, into: whole, entries: vec![entry, told] })
}

/// Whether a person split `new` off from `from`: its id follows from that. Such two stay apart.
#[must_use]
pub fn was_split(from: &Incident, new: &Incident) -> bool {
    new.alerts.first().is_some_and(|first| new.id == split_id(from.id, *first, new.opened_at))
}

fn split_id(from: IncidentId, first: AlertId, at: Time) -> IncidentId {
    IncidentId::derive(at, &[&from.to_string(), &first.to_string(), "split"])
}

/// Two incidents after a split, with an entry for each. The caller moves the alerts; correlation
/// then works out entities, severity and title of both anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// What is left.
    pub rest: Incident,
    /// The new one; its number is 0 until the store gives one.
    pub new: Incident,
    /// What is written in both timelines.
    pub entries: Vec<TimelineEntry>,
}

/// Takes alerts out of an incident into one of their own.
///
/// # Errors
/// [`Refused`] when the incident is over, an alert is not in it, or nothing would be left.
pub fn split(
    incident: &Incident,
    alerts: &[AlertId],
    actor: &Actor,
    now: Time,
    reason: &str,
) -> Result<Split, Refused> {
    if !incident.state.is_active() {
        return Err(Refused::Conflict(format!(
            "Incident #{} is {}; only an active one can be split.",
            incident.number,
            incident.state.as_str()
        )));
    }
    let number = incident.number;
    let Some(first) = alerts.first() else {
        return Err(Refused::Invalid(format!(
            "Name the alerts of incident #{number} to split off; none is named."
        )));
    };
    if let Some(foreign) = alerts.iter().find(|a| !incident.alerts.contains(a)) {
        return Err(Refused::Invalid(format!(
            "Name alerts of incident #{number} to split off; {foreign} is not one of them."
        )));
    }
    let mut rest = incident.clone();
    rest.alerts.retain(|a| !alerts.contains(a));
    if rest.alerts.is_empty() {
        return Err(Refused::Invalid(format!(
            "That is all of incident #{}; nothing would be left in it.",
            incident.number
        )));
    }
    rest.updated_at = now.max(rest.updated_at);
    let new = Incident {
        id: split_id(incident.id, *first, now),
        number: 0,
        alerts: alerts.to_vec(),
        opened_at: now,
        updated_at: now,
        closed_by: None,
        declared_by: None,
        n_reopened: 0,
        reopened_at: None,
        priority: None,
        taxonomy: None,
        untold: None,
        n_conditions: 0,
        state: IncidentState::Open,
        acknowledged_at: None,
        owner: None,
        leading: None,
        ..incident.clone()
    };
    let entries = [(incident.id, "Split off"), (new.id, "Split from another incident")]
        .map(|(id, what)| {
            let text = format!("{what}: {} alerts; {reason}", alerts.len());
            TimelineEntry::by(actor.clone(), id, now, EntryKind::State, text, None)
        })
        .to_vec();
    Ok(Split { rest, new, entries })
}
