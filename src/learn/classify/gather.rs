//! History and moments, read from the store.

use super::config::Config;
use super::features::Moment;
use super::known::Snapshot;
use super::label::Label;
use super::rows::{Case, History};
use crate::learn::Lesson;
use crate::model::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::topology::Edge;
use crate::model::{Alert, Change, Diagnosis, Fault, Graph, Incident, IncidentState, Time};
use crate::store::{Filter, Rows};

/// Incidents that are looked at in one sweep, the newest.
const NEWEST: usize = 200;
/// How late (ms) after its time of decision a snapshot may be taken and still be one of it: later,
/// alerts carry what became of them.
const LATE_MS: i64 = 10 * MINUTE_MS;

/// All incidents with a snapshot, the newest `most`, with what was said of them by now.
pub(super) fn history(rows: &Rows<'_>, most: usize) -> Result<History, Fault> {
    let mut cases = Vec::new();
    for snapshot in rows.list::<Snapshot>(&Filter::all().newest(most))? {
        let label = match rows.get::<Incident>(snapshot.incident)? {
            Some(incident) => {
                Label::of(&incident, &rows.list::<Lesson>(&Filter::parent(incident.id))?)
            }
            None => None,
        };
        cases.push(Case { snapshot, label });
    }
    Ok(History::of(cases))
}

/// Snapshots that are due: of incidents that have reached their time of decision and have none.
pub(super) fn due(rows: &Rows<'_>, config: &Config, now: Time) -> Result<Vec<Snapshot>, Fault> {
    let wait = i64::from(config.decide_after_s) * SECOND_MS;
    let mut due = Vec::new();
    let mut world = None;
    // Of an older one it is too late to say what was known at the time.
    let young = Filter::all().since(now.plus_ms(-wait - LATE_MS)).newest(NEWEST);
    for incident in rows.list::<Incident>(&young)? {
        let waited = now.ms_since(incident.opened_at);
        let known = || rows.get::<Snapshot>(incident.id);
        if waited < wait || incident.state == IncidentState::Merged || known()?.is_some() {
            continue;
        }
        let graph = match &mut world {
            Some(graph) => graph,
            none => none.insert(Graph::new(&rows.list::<Edge>(&Filter::all())?)),
        };
        let in_time = incident.closed_by.is_none() && incident.declared_by.is_none();
        due.push(snapshot(rows, &incident, graph, (now, in_time))?);
    }
    Ok(due)
}

fn snapshot(
    rows: &Rows<'_>,
    incident: &Incident,
    graph: &Graph,
    (now, in_time): (Time, bool),
) -> Result<Snapshot, Fault> {
    let since = incident.onset_at.plus_ms(-6 * HOUR_MS);
    let changes = rows.list::<Change>(&Filter::all().since(since))?;
    let alerts = rows.list::<Alert>(&Filter::parent(incident.id))?;
    let diagnosis = rows.get::<Diagnosis>(incident.id)?;
    let moment = Moment {
        at: now,
        incident,
        alerts: &alerts,
        graph,
        changes: &changes,
        diagnosis: diagnosis.as_ref(),
    };
    Ok(Snapshot::of(&moment, in_time))
}
