//! What keeps an alert that no incident takes from opening one: the wait for company, a change that
//! was just made, and weakness.

use super::correlator::{Correlator, Waiting};
use super::group::Member;
use super::relate::Surroundings;
use crate::model::alert::{HELD_BACK, Suppression};
use crate::model::time::{MINUTE_MS, SECOND_MS, duration_text};
use crate::model::{Severity, Time};

/// A change this long (ms) before an onset may have caused a short departure.
const CHANGE_MS: i64 = 10 * MINUTE_MS;

impl Correlator {
    /// Whether an alert that no incident takes must wait before it may open one, and why.
    pub(super) fn held(
        &self,
        waiting: &Waiting,
        here: &Surroundings,
        now: Time,
    ) -> Option<(Option<Suppression>, String)> {
        let (alert, config) = (&waiting.alert, &self.config);
        let waited_ms = now.ms_since(waiting.since);
        let wait_ms = i64::from(config.group_wait_s) * SECOND_MS;
        if waited_ms < wait_ms {
            return Some((None, format!("Waits {} for related alerts.", duration_text(wait_ms))));
        }
        let related = here.above.keys().chain(here.below.keys());
        let company: usize = related.filter_map(|e| self.company.get(e)).sum();
        if let Some(suppression) = self.opens_nothing(alert, company, now) {
            let reason = suppression.reason.clone();
            return Some((Some(suppression), reason));
        }
        let tolerance_ms = i64::from(config.deploy_tolerance_s) * SECOND_MS;
        let change = self.changes.iter().filter(|c| c.entity == alert.entity).find(|c| {
            let lead = alert.starts_at.ms_since(c.at);
            (-MINUTE_MS..=CHANGE_MS).contains(&lead) && now.ms_since(c.at) < tolerance_ms
        });
        if let Some(change) = change
            && company == 0
            && alert.score < config.deploy_score
        {
            let until = change.at.plus_ms(tolerance_ms);
            let reason = format!(
                "Held until {} UTC: \"{}\" changed {} {} before, and short departures right after a \
                 change are tolerated. It opens if it lasts longer, if what depends on it alerts \
                 too, or at a score of {:.0} (now {:.1}).",
                until.clock_text(),
                change.title,
                change.entity.name(),
                duration_text(alert.starts_at.ms_since(change.at)),
                config.deploy_score,
                alert.score
            );
            let by = format!("deploy {}", change.id);
            return Some((
                Some(Suppression { by, reason: reason.clone(), until: Some(until) }),
                reason,
            ));
        }
        let member = Member::of(alert);
        if alert.severity == Severity::Info && !config.info_opens {
            let quiet = match alert.annotations.get(HELD_BACK) {
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
            };
            let reason = quiet.reason.clone();
            return Some((Some(quiet), reason));
        }
        let ahead = alert.name() == "LimitAhead";
        let strong = alert.severity == Severity::Critical || member.user_facing() || ahead;
        let weak_ms = i64::from(config.weak_hold_min) * MINUTE_MS;
        if !strong && company == 0 && member.system.is_none() && waited_ms < weak_ms {
            let reason = format!(
                "A single warning of a resource or of traffic waits {}; it opens if it lasts that \
                 long, grows critical, or a related alert fires.",
                duration_text(weak_ms)
            );
            let until = Some(waiting.since.plus_ms(weak_ms));
            let quiet = Suppression { by: "weak".into(), reason: reason.clone(), until };
            return Some((Some(quiet), reason));
        }
        None
    }
}

fn full_stop(text: &str) -> String {
    format!("{}.", text.trim_end().trim_end_matches('.'))
}
