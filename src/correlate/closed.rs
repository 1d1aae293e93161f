//! What a person closed stays closed for the alerts that it had, as long as they fire; so does what ended
//! by itself, for those of its alerts that look back over hours and fire on for what is over.

use std::sync::Arc;

use super::config::Config;
use super::correlator::Correlator;
use super::group::{Group, Member};
use crate::model::time::{MINUTE_MS, duration_text};
use crate::model::{Alert, Incident, IncidentId, Time};

/// The category that the button "Not an incident" gives.
const NO_INCIDENT: &str = "not_an_incident";

/// Whether a person ended it, or looked back at what a person had ended.
pub(super) fn by_person(incident: &Incident) -> bool {
    let over = !incident.state.is_active() && incident.merged_into.is_none();
    over && (incident.closed_by.is_some() || is_none(incident))
}

/// Whether a person said that it was no incident.
pub(super) fn is_none(incident: &Incident) -> bool {
    incident.category.as_deref() == Some(NO_INCIDENT)
}

impl Group {
    /// Whether it is over while alerts of it fire on that open nothing, because a person closed it or
    /// because they look back: it is kept in mind until they end.
    pub(super) fn is_held(&self) -> bool {
        let over = !self.incident.state.is_active() && self.incident.merged_into.is_none();
        over && self.sums.fires() && (by_person(&self.incident) || self.is_quiet())
    }

    /// Why an alert that fires on reopens nothing: it looks back over hours, and what it tells of ended. One
    /// that grew more severe since is news.
    fn lingers(&self, alert: &Alert) -> Option<String> {
        let member = self.members.get(&alert.id).filter(|m| m.looks_back)?;
        let incident = &self.incident;
        if by_person(incident) || alert.severity > member.severity {
            return None;
        }
        Some(format!(
            "Incident #{} ended at {} UTC, and this looks back over hours: it fires on for what is \
             over. It opens nothing until it grows worse, or has ended and fires again.",
            incident.number,
            incident.resolved_at.unwrap_or(incident.updated_at).clock_text()
        ))
    }

    /// Why a firing alert opens nothing: it is an episode that went on when a person closed the
    /// incident, or one of the same condition and no worse that begins while such an episode
    /// fires; of what is no incident also one that begins within the reopen window.
    fn shuts(&self, alert: &Alert, config: &Config) -> Option<String> {
        let incident = &self.incident;
        if !by_person(incident) {
            return None;
        }
        let closed_at = incident.resolved_at.unwrap_or(incident.updated_at);
        let window_ms = i64::from(config.reopen_min) * MINUTE_MS;
        let flaps = is_none(incident) && alert.starts_at.ms_since(closed_at) <= window_ms;
        let own = self.members.get(&alert.id).is_some_and(|m| m.ends_at.is_none());
        let told = Member::of(alert);
        let alike = |m: &Member| {
            let same = m.fingerprint == told.fingerprint
                || (m.indicator.is_some() && m.indicator == told.indicator);
            same && m.severity >= told.severity
        };
        let mut there = self.at(&told.entity);
        if !own && !there.any(|(_, m)| alike(m) && (flaps || m.ends_at.is_none())) {
            return None;
        }
        let (verb, rest) = if is_none(incident) {
            ("called no incident", format!(", {} or more after that", duration_text(window_ms)))
        } else {
            ("resolved", String::new())
        };
        let who = incident.closed_by.as_ref().map_or("a person", |a| a.name.as_str());
        let what = if alert.starts_at <= closed_at {
            "it fires still"
        } else {
            "this is the same condition"
        };
        Some(format!(
            "Incident #{} was {verb} by {who} at {} UTC; {what}. It opens nothing until it has \
             ended and fires again{rest}.",
            incident.number,
            closed_at.clock_text()
        ))
    }
}

impl Correlator {
    /// Whether a firing alert goes on in `home`, which is over. Its reason is said once.
    pub(super) fn stays_closed(&mut self, home: IncidentId, alert: &Alert) -> bool {
        let Some(group) = self.groups.get(&home) else { return false };
        // An alert that ended and fires again is a new episode, decided like any other.
        if group.members.get(&alert.id).is_none_or(|m| m.ends_at.is_some()) {
            return false;
        }
        let shut = group.shuts(alert, &self.config).or_else(|| group.lingers(alert));
        let Some(decision) = shut else { return false };
        if alert.decision.as_deref() != Some(decision.as_str()) {
            self.say(alert, Some(home), None, decision);
        }
        true
    }

    /// Puts a waiting alert into what a person closed, if that covers it.
    pub(super) fn join_closed(&mut self, alert: &Arc<Alert>, now: Time) -> bool {
        let found =
            self.groups.iter().find_map(|(id, g)| Some((*id, g.shuts(alert, &self.config)?)));
        let Some((home, decision)) = found else { return false };
        self.join(home, alert, &decision, now);
        self.revision.bind(alert.id);
        true
    }
}
