//! A simulated site's past in the store of a bot, for what learns from history.

use nightjar::demo::sites::{Site, Told};
use nightjar::learn::classify::{Moment, Snapshot};
use nightjar::learn::{Lesson, Taught};
use nightjar::model::time::DAY_MS;
use nightjar::model::{Incident, IncidentState, wall_now};
use nightjar::store::Store;

/// Writes what happened at the shop within the last forty days: 80 incidents as they were known,
/// what became of them, and what was said.
pub(crate) async fn past(store: &Store) {
    let site = Site::shop();
    let history = site.history(80, wall_now().plus_ms(-40 * DAY_MS), 31);
    let write = move |tx: &nightjar::store::Tx<'_>| {
        for told in &history {
            let moment = Moment {
                at: told.incident.opened_at.plus_ms(60_000),
                incident: &told.incident,
                alerts: &told.alerts,
                graph: &site.graph,
                changes: &told.changes,
                diagnosis: None,
            };
            tx.put(&Snapshot::of(&moment, true))?;
            tx.put(&told.incident)?;
            told.alerts.iter().try_for_each(|a| tx.put(a))?;
            told.changes.iter().try_for_each(|c| tx.put(c))?;
            if let Some((fix, _)) = told.tried.iter().find(|(_, helped)| *helped) {
                tx.put(&Lesson {
                    key: format!("run of {}", told.incident.id),
                    at: told.incident.resolved_at.unwrap_or(told.incident.updated_at),
                    pattern: told.kind.pattern.into(),
                    entity: told.at.clone(),
                    actions: vec![(*fix).into()],
                    incident: told.incident.id,
                    run: None,
                    taught: Taught::Helped,
                    given: None,
                })?;
            }
        }
        Ok(())
    };
    store.write(write).await.expect("written");
}

/// Lets one of the shop's kinds happen now: an open incident with its alerts; gives it.
pub(crate) async fn happen(store: &Store, kind: &str) -> Incident {
    let now = wall_now();
    let found: Vec<Told> = Site::shop().history(200, now.plus_ms(-DAY_MS), 77);
    let told = found.into_iter().find(|t| t.kind.name == kind).expect("it comes about");
    let back = told.incident.opened_at.ms_since(now) + 70_000;
    let incident = Incident {
        number: 9_001,
        state: IncidentState::Open,
        onset_at: told.incident.onset_at.plus_ms(-back),
        opened_at: told.incident.opened_at.plus_ms(-back),
        updated_at: now,
        resolved_at: None,
        category: None,
        closed_by: None,
        ..told.incident
    };
    let (open, alerts) = (incident.clone(), told.alerts);
    let write = move |tx: &nightjar::store::Tx<'_>| {
        for mut alert in alerts {
            alert.starts_at = open.onset_at;
            alert.updated_at = now;
            tx.put(&alert)?;
        }
        tx.put(&open)
    };
    store.write(write).await.expect("written");
    incident
}
