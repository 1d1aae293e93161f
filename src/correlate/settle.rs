//! Quiet time, resolution, and firing again.

use super::correlator::Correlator;
use super::machine;
use crate::model::time::{SECOND_MS, duration_text};
use crate::model::{Actor, EntityRef, IncidentState, Time};

/// The category of what ended by itself, its signals back in their range.
const RECOVERED: &str = "recovered";
/// The category of what ended because nothing is heard any more of who was in it.
const NOT_SEEN: &str = "not_seen_to_recover";
/// Entities named in a sentence; the rest are counted.
const NAMED: usize = 3;

/// What the reason of an end adds where a recovery was not seen.
fn unseen_text(unseen: &[&EntityRef]) -> String {
    if unseen.is_empty() {
        return String::new();
    }
    let mut names: Vec<String> = unseen.iter().take(NAMED).map(|e| e.name().to_owned()).collect();
    if unseen.len() > NAMED {
        names.push(format!("{} more", unseen.len() - NAMED));
    }
    format!(
        "; nothing is heard of {} any more, so a recovery was not seen and it may have been removed",
        names.join(", ")
    )
}

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
            // Whoever reopened it wants it open although its alerts were quiet long before.
            let calm = quiet.map(|since| since.max(group.incident.reopened_at.unwrap_or(since)));
            let step = match quiet {
                Some(since) if calm.is_some_and(|c| now.ms_since(c) >= quiet_ms) => {
                    let mut text =
                        format!("no alert has fired for {}", duration_text(now.ms_since(since)));
                    text.push_str(&unseen_text(&group.not_seen_to_recover()));
                    Some((IncidentState::Resolved, text))
                }
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
                    let seen = group.not_seen_to_recover().is_empty();
                    let word = if seen { RECOVERED } else { NOT_SEEN };
                    incident.category = Some(word.to_owned());
                }
                group.incident = incident;
                group.dirty = true;
                self.out.entries.push(entry);
            }
        }
    }
}
