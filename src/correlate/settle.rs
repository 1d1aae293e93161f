//! Quiet time, resolution, and firing again.

use super::correlator::Correlator;
use super::machine;
use crate::model::time::{SECOND_MS, duration_text};
use crate::model::{Actor, IncidentState, Time};

impl Correlator {
    /// Quiet time, resolution, and firing again.
    pub(super) fn move_on(&mut self, now: Time) {
        let quiet_ms = i64::from(self.config.quiet_s) * SECOND_MS;
        let bot = Actor::nightjar();
        for group in self.groups.values_mut().filter(|g| g.incident.state.is_active()) {
            let quiet = group.quiet_since();
            let was_quiet = group.incident.quiet_since.is_some();
            if group.incident.quiet_since != quiet {
                group.incident.quiet_since = quiet;
                group.dirty = true;
            }
            let state = group.incident.state;
            let step = match quiet {
                Some(since) if now.ms_since(since) >= quiet_ms => Some((
                    IncidentState::Resolved,
                    format!("no alert has fired for {}", duration_text(now.ms_since(since))),
                )),
                Some(_) if matches!(state, IncidentState::Open | IncidentState::Acknowledged) => {
                    let text =
                        format!("all alerts ended; quiet time of {} runs", duration_text(quiet_ms));
                    Some((IncidentState::Monitoring, text))
                }
                None if state == IncidentState::Monitoring && was_quiet => {
                    let to = if group.incident.acknowledged_at.is_some() {
                        IncidentState::Acknowledged
                    } else {
                        IncidentState::Open
                    };
                    Some((to, "an alert fires again".to_owned()))
                }
                _ => None,
            };
            let Some((to, why)) = step else { continue };
            if let Ok((mut incident, entry)) =
                machine::transition(&group.incident, to, &bot, now, &why)
            {
                if to == IncidentState::Resolved && incident.category.is_none() {
                    incident.category = Some("recovered".to_owned());
                }
                group.incident = incident;
                group.dirty = true;
                self.out.entries.push(entry);
            }
        }
    }
}
