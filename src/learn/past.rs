//! Incidents of late with what told them, each read once: what was read of one stands until it, or an
//! alert of it, is written again. What patterns and bars are learned from is the same history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Lesson, Taught};
use crate::model::alert::LOOKS_BACK;
use crate::model::{
    Alert, AlertSource, EntityRef, Fault, Incident, IncidentId, IncidentState, SeriesId, Severity,
    Time,
};
use crate::store::{Filter, Rows};

/// Incidents and lessons looked at, the newest first.
const MOST: usize = 2_000;
/// Detectors with rules of their own, which a bar does not move.
const OWN_RULES: [&str; 3] = ["flatline/1", "forecast/1", "expiry/1"];

/// A departure of a series that told an incident.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Departure {
    pub(super) series: SeriesId,
    pub(super) since: Time,
    pub(super) until: Time,
    pub(super) score: f64,
}

/// An incident and what of at least warning told it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// Without the list of its alerts.
    pub(super) incident: Incident,
    /// What told it: entity, name, and how grave at most.
    pub(super) kinds: BTreeMap<(EntityRef, String), Severity>,
    /// What a bar may move.
    pub(super) told: Vec<Departure>,
    /// Something told it that no bar moves.
    pub(super) others: bool,
}

/// What differs after an incident or an alert of it was written, came or went.
type Stamp = (u64, [u8; 32]);

/// What was read before. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Past {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    seen: BTreeMap<String, (Stamp, Arc<Seen>)>,
    /// Incidents that a fix helped, with what that follows from.
    helped: Option<([u8; 32], BTreeSet<IncidentId>)>,
    /// Incidents read so far.
    n_read: u64,
}

/// Incidents since a time, and which of them a fix helped.
pub(super) struct Late {
    /// Newest first.
    pub(super) incidents: Vec<Arc<Seen>>,
    pub(super) helped: BTreeSet<IncidentId>,
}

impl Past {
    /// All incidents since a time that are not part of another.
    pub(super) fn since(&self, rows: &Rows<'_>, since: Time) -> Result<Late, Fault> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut kept.seen);
        let mut incidents = Vec::new();
        for (id, revision) in
            rows.revisions::<Incident>(&Filter::all().since(since).newest(MOST))?
        {
            let stamp = (revision, rows.digest::<Alert>(&Filter::parent(&id))?);
            let seen = match before.remove(&id) {
                Some((known, seen)) if known == stamp => seen,
                _ => {
                    let Some(incident) = rows.get::<Incident>(&id)? else { continue };
                    kept.n_read += 1;
                    metrics::counter!("nightjar_learn_incidents_read_total").increment(1);
                    Arc::new(read(rows, incident)?)
                }
            };
            if seen.incident.state != IncidentState::Merged {
                incidents.push(seen.clone());
            }
            kept.seen.insert(id, (stamp, seen));
        }
        let runs = Filter::states(["run"]).since(since).newest(MOST);
        let of = rows.digest::<Lesson>(&runs)?;
        let helped = match kept.helped.take() {
            Some((known, helped)) if known == of => helped,
            _ => {
                let lessons = rows.list::<Lesson>(&runs)?.into_iter();
                lessons.filter(|l| l.taught == Taught::Helped).map(|l| l.incident).collect()
            }
        };
        kept.helped = Some((of, helped.clone()));
        Ok(Late { incidents, helped })
    }

    #[cfg(test)]
    fn n_read(&self) -> u64 {
        self.kept.lock().expect("nothing panics under it").n_read
    }
}

fn read(rows: &Rows<'_>, mut incident: Incident) -> Result<Seen, Fault> {
    incident.alerts = Vec::new();
    let mut kinds: BTreeMap<(EntityRef, String), Severity> = BTreeMap::new();
    let mut told = Vec::new();
    let mut others = false;
    for alert in rows.list::<Alert>(&Filter::parent(incident.id))? {
        if alert.severity < Severity::Warning {
            continue;
        }
        let worst = kinds.entry((alert.entity.clone(), alert.name().to_owned()));
        let worst = worst.or_insert(alert.severity);
        *worst = alert.severity.max(*worst);
        match series_of(&alert) {
            Some(series) => told.push(Departure {
                series,
                since: alert.starts_at,
                until: alert.ends_at.unwrap_or(alert.updated_at),
                score: alert.score,
            }),
            None => others = true,
        }
    }
    Ok(Seen { incident, kinds, told, others })
}

/// The series that a bar would move, where the alert is about one.
fn series_of(alert: &Alert) -> Option<SeriesId> {
    let AlertSource::Detector { detector } = &alert.source else { return None };
    let own = OWN_RULES.contains(&detector.as_str());
    alert.series.filter(|_| !own && alert.annotations.get(LOOKS_BACK).is_none())
}

#[cfg(test)]
mod tests;
