//! What people may do, what is left behind when they do it, and that nothing is when they may not.

mod askers;
mod attend;
mod cards;
mod commands;
mod failing;
mod forms;
mod harmless;
mod incidents;
mod parts;
mod policy;
mod signs;
mod submits;
mod talk;
mod tuning;
mod why;

use std::sync::Arc;

use crate::approve::tests::sample::{incident_as, person, t0};
use crate::bus::{Bus, Event, Heard, Subscription};
use crate::command::{Desk, Problem};
use crate::model::clock::ManualClock;
use crate::model::{
    Actor, Alert, AlertId, Incident, IncidentId, IncidentState, Refused, Role, TimelineEntry,
};
use crate::store::{AuditFilter, AuditRecord, Filter, Store};

const ROLES: [Role; 4] = [Role::Viewer, Role::Responder, Role::Approver, Role::Admin];

/// A desk over a store of its own.
struct World {
    desk: Desk,
    store: Store,
    bus: Bus,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("c.sqlite")).expect("a store");
        let (bus, clock) = (Bus::default(), ManualClock::new(t0()));
        let desk = Desk::new(store.clone(), bus.clone(), clock.clone());
        Self { desk, store, bus, clock, _folder: folder }
    }

    /// An incident with so many firing alerts.
    async fn incident(&self, number: u64, state: IncidentState, n_alerts: usize) -> Incident {
        let id = IncidentId::derive(t0(), &["incident", &number.to_string()]);
        let alerts: Vec<Alert> = (0..n_alerts).map(|n| alert(id, n)).collect();
        let ids = alerts.iter().map(|a| a.id).collect();
        let incident = Incident { id, number, alerts: ids, ..incident_as(None, state) };
        let put = incident.clone();
        self.store
            .write(move |tx| {
                tx.put_value("incident", &10_u64)?;
                alerts.iter().try_for_each(|a| tx.put(a))?;
                tx.put(&put)
            })
            .await
            .expect("written");
        incident
    }

    async fn audit(&self) -> Vec<AuditRecord> {
        let filter = AuditFilter { limit: 10_000, ..AuditFilter::default() };
        self.store.read(move |r| r.audit_records(&filter)).await.expect("records")
    }

    async fn timeline(&self, id: IncidentId) -> Vec<TimelineEntry> {
        let own = Filter::parent(id);
        self.store.read(move |r| r.list(&own)).await.expect("a timeline")
    }

    async fn read(&self, id: IncidentId) -> Incident {
        let found = self.store.read(move |r| r.get::<Incident>(id)).await.expect("the store works");
        found.expect("it is there")
    }
}

fn alert(incident: IncidentId, n: usize) -> Alert {
    let labels: crate::model::Labels = serde_json::from_value(serde_json::json!({
        "alertname": format!("Slow{n}"), "service": "orders",
    }))
    .expect("labels");
    serde_json::from_value(serde_json::json!({
        "id": AlertId::derive(t0(), &[&incident.to_string(), &n.to_string()]),
        "fingerprint": labels.fingerprint(), "labels": labels,
        "annotations": {}, "source": { "kind": "external", "system": "alertmanager" },
        "entity": "service.name=orders", "indicator": null, "severity": "critical",
        "starts_at": t0(), "ends_at": null, "updated_at": t0(), "status": "firing",
        "anomaly": null, "series": null, "value": null, "expected": null, "score": 0.0,
        "n_reports": 1, "witnesses": [], "incident": incident, "suppressed": null,
        "decision": format!("decision {n}"),
    }))
    .expect("an alert")
}

/// The refusal's words; anything else fails the test.
fn refusal<T: std::fmt::Debug>(result: Result<T, Problem>) -> Refused {
    match result {
        Err(Problem::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

/// Everything that was rung until now.
async fn rung(heard: &mut Subscription, bus: &Bus) -> Vec<Event> {
    bus.publish(Event::Tick);
    let mut all = Vec::new();
    loop {
        match heard.next().await {
            Heard::Event(Event::Tick) => return all,
            Heard::Event(event) => all.push(event),
            other => panic!("{other:?}"),
        }
    }
}

fn actors() -> [Actor; 4] {
    ROLES.map(|role| person(&role.to_string(), role))
}
