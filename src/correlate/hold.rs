//! What keeps an alert that no incident takes from opening one: the wait for company, a change that
//! was just made, and weakness.
//!
//! The wait for company is for what can wait. What is critical, would be a page by itself, or is
//! confirmed by a related alert opens an incident at once, so that its diagnosis stands within
//! seconds; what belongs to it comes later and joins, or is merged into it with one line. It waits
//! all the same where that brings something: beside an incident that was just opened about what
//! depends on the same things, because their common cause may be about to be told of. So a cascade
//! opens one incident at once and not one for each service that feels it.

use std::collections::BTreeMap;

use super::correlator::{Correlator, Waiting};
use super::group::{Group, Member};
use super::priority::alone;
use super::relate::Surroundings;
use crate::model::alert::{HELD_BACK, Suppression};
use crate::model::time::{MINUTE_MS, SECOND_MS, duration_text};
use crate::model::{Alert, AlertSource, Change, EntityRef, Severity, Time};

/// A change this long (ms) before an onset may have caused a short departure.
const CHANGE_MS: i64 = 10 * MINUTE_MS;

/// What incidents that were opened within the last wait for company stand on: what their alerts are
/// about, and near things that these depend on, each with whose it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Fresh(BTreeMap<EntityRef, EntityRef>);

impl Fresh {
    fn add<'a>(&mut self, entity: &'a EntityRef, near: impl Iterator<Item = &'a EntityRef>) {
        for below in std::iter::once(entity).chain(near) {
            self.0.entry(below.clone()).or_insert_with(|| entity.clone());
        }
    }
}

/// Why an alert goes on waiting.
pub(super) type Held = (Option<Suppression>, String);

impl Correlator {
    /// Whether an alert that no incident takes must wait before it may open one, and why; else what
    /// is to be said of that when it opens one.
    pub(super) fn held(
        &self,
        waiting: &Waiting,
        here: &Surroundings,
        now: Time,
    ) -> Result<String, Held> {
        let (alert, config) = (&waiting.alert, &self.config);
        let related = here.above.keys().chain(here.below.keys());
        let company: usize = related.filter_map(|e| self.company.get(e)).sum();
        let quiet = self.quiet_by_rule(waiting, company, now);
        let wait_ms = i64::from(config.group_wait_s) * SECOND_MS;
        let mut said = String::new();
        if now.ms_since(waiting.since) < wait_ms {
            let wait = duration_text(wait_ms);
            let urgent = if quiet.is_none() { self.urgent(alert, here, company) } else { None };
            let Some(why) = urgent else {
                return Err((None, format!("Waits {wait} for related alerts.")));
            };
            if let Some(but) = self.waits_all_the_same(alert, here) {
                return Err((None, format!("Waits {wait} for related alerts: {but}.")));
            }
            said = format!(" It did not wait {wait} for others: {why}.");
        }
        if let Some(suppression) = quiet {
            let reason = suppression.reason.clone();
            return Err((Some(suppression), reason));
        }
        if let Some(change) = self.change_before(alert, company, now) {
            said += &format!(
                " \"{}\" changed {} {} before; a critical alert of another system is not held for \
                 that.",
                change.title,
                changed(change, &alert.entity),
                duration_text(alert.starts_at.ms_since(change.at))
            );
        }
        Ok(said)
    }

    /// What makes an alert one to open an incident for at once.
    fn urgent(&self, alert: &Alert, here: &Surroundings, company: usize) -> Option<&'static str> {
        match alert.severity {
            Severity::Info => None,
            Severity::Critical => Some("it is critical"),
            Severity::Warning if company > 0 => Some("a related alert confirms it"),
            Severity::Warning => {
                let points = alone(&Member::of(alert)) + here.points;
                let pages = points >= self.config.priority.page_from;
                pages.then_some("it would be a page by itself")
            }
        }
    }

    /// Whether an alert waits to be looked at that by itself would open an incident at once.
    pub(super) fn waits_urgently(&self) -> bool {
        self.waiting.values().map(|w| &w.alert).any(|alert| {
            let urgent = |here: &Surroundings| self.urgent(alert, here, 0).is_some();
            alert.is_firing()
                && self.evidence.is_due(alert.id)
                && self.around.get(&alert.entity).is_some_and(urgent)
        })
    }

    /// What waiting may bring to an alert that is urgent: the common cause of it and of what an
    /// incident was just opened for.
    fn waits_all_the_same(&self, alert: &Alert, here: &Surroundings) -> Option<String> {
        let mut near = std::iter::once(&alert.entity).chain(here.below.keys());
        let (cause, other) = near.find_map(|e| self.fresh.0.get_key_value(e))?;
        Some(format!(
            "an incident of {} was opened just before, and {} may be what troubles both",
            other.name(),
            cause.name()
        ))
    }

    /// Works out what incidents that were opened lately stand on.
    pub(super) fn freshen(&mut self, now: Time) {
        let wait_ms = i64::from(self.config.group_wait_s) * SECOND_MS;
        let young = |g: &&Group| {
            g.incident.state.is_active() && now.ms_since(g.incident.opened_at) < wait_ms
        };
        let young = self.groups.values().filter(young);
        let about: Vec<EntityRef> = young.flat_map(|g| g.entities.keys().cloned()).collect();
        self.fresh = Fresh::default();
        for entity in about {
            // What surrounded it is forgotten when the graph is learned anew.
            self.surround(&entity);
            self.opened_about(&entity);
        }
    }

    /// Notes that an incident was just opened about an entity.
    pub(super) fn opened_about(&mut self, entity: &EntityRef) {
        let near = self.around.get(entity).into_iter().flat_map(|a| a.below.keys());
        self.fresh.add(entity, near);
    }

    /// For how long (ms) after a change short departures of an entity are tolerated: of what was
    /// changed as the settings say, of what the change only names half as long, else not at all.
    fn tolerance_ms(&self, change: &Change, entity: &EntityRef) -> Option<i64> {
        let full_ms = i64::from(self.config.deploy_tolerance_s) * SECOND_MS;
        if change.entity == *entity {
            Some(full_ms)
        } else if change.names().any(|name| name == entity.name()) {
            Some(full_ms / 2)
        } else {
            None
        }
    }

    /// The change of its entity, or that names it, shortly before an alert, if only that departs and
    /// not by much.
    fn change_before(&self, alert: &Alert, company: usize, now: Time) -> Option<&Change> {
        if company > 0 || alert.score >= self.config.deploy_score {
            return None;
        }
        // Times first: of many changes few are of now, and it is asked of all that waits.
        let tolerated = |c: &&Change| {
            let lead = alert.starts_at.ms_since(c.at);
            (-MINUTE_MS..=CHANGE_MS).contains(&lead)
                && self.tolerance_ms(c, &alert.entity).is_some_and(|ms| now.ms_since(c.at) < ms)
                // What a provider reports does not pass by itself like the restarts of a deploy.
                && c.kind.is_ours()
        };
        // What was changed itself is tolerated for longer than what the change names.
        let own = |c: &&Change| c.entity == alert.entity && tolerated(c);
        self.changes.iter().find(own).or_else(|| self.changes.iter().find(tolerated))
    }

    /// What keeps an alert quiet that is not only waiting for company.
    fn quiet_by_rule(&self, waiting: &Waiting, company: usize, now: Time) -> Option<Suppression> {
        let (alert, config) = (&waiting.alert, &self.config);
        if let Some(suppression) = self.opens_nothing(alert, company, now) {
            return Some(suppression);
        }
        // Somebody wrote a critical rule so that they are told at once.
        let ours = matches!(alert.source, AlertSource::Detector { .. });
        let tolerable = ours || alert.severity < Severity::Critical;
        if tolerable && let Some(change) = self.change_before(alert, company, now) {
            let tolerance_ms = self.tolerance_ms(change, &alert.entity).unwrap_or_default();
            let until = change.at.plus_ms(tolerance_ms);
            let reason = format!(
                "Held until {} UTC: \"{}\" changed {} {} before, and short departures right after a \
                 change are tolerated. It opens if it lasts longer, if what depends on it alerts \
                 too, or at a score of {:.0} (now {:.1}){}.",
                until.clock_text(),
                change.title,
                changed(change, &alert.entity),
                duration_text(alert.starts_at.ms_since(change.at)),
                config.deploy_score,
                alert.score,
                if ours { "" } else { ", or once it is critical" }
            );
            let by = format!("deploy {}", change.id);
            return Some(Suppression { by, reason, until: Some(until) });
        }
        let member = Member::of(alert);
        if alert.severity == Severity::Info && !config.info_opens {
            return Some(match alert.annotations.get(HELD_BACK) {
                Some(why) => Suppression {
                    by: "budget".into(),
                    reason: format!(
                        "{} It opens no incident by itself, and joins one when a related alert \
                         opens it.",
                        full_stop(why)
                    ),
                    until: None,
                },
                None => Suppression {
                    by: "info".into(),
                    reason: "Severity info opens no incident by itself (correlate.info_opens); it \
                             joins one when a related alert opens it."
                        .into(),
                    until: None,
                },
            });
        }
        let ahead = alert.is_forecast();
        let strong = alert.severity == Severity::Critical || member.user_facing() || ahead;
        let weak_ms = i64::from(config.weak_hold_min) * MINUTE_MS;
        let waited_ms = now.ms_since(waiting.since);
        if !strong && company == 0 && member.system.is_none() && waited_ms < weak_ms {
            let reason = format!(
                "A single warning of a resource or of traffic waits {}; it opens if it lasts that \
                 long, grows critical, or a related alert fires.",
                duration_text(weak_ms)
            );
            let until = Some(waiting.since.plus_ms(weak_ms));
            return Some(Suppression { by: "weak".into(), reason, until });
        }
        None
    }
}

/// What was changed, and that it names an entity where that is another.
fn changed(change: &Change, entity: &EntityRef) -> String {
    let name = change.entity.name();
    if change.entity == *entity { name.into() } else { format!("{name} for {}", entity.name()) }
}

fn full_stop(text: &str) -> String {
    format!("{}.", text.trim_end().trim_end_matches('.'))
}
