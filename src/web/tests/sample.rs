//! What the tests put into the store.

use serde_json::json;

use super::Server;
use crate::approve::tests::sample::{incident_as, t0};
use crate::model::{Alert, AlertId, EntityRef, Incident, IncidentId, IncidentState, Labels};

/// An incident with so many alerts; the same number gives the same one.
pub(super) fn incident(number: u64, state: IncidentState, n_alerts: usize) -> Incident {
    let id = IncidentId::derive(t0(), &["incident", &number.to_string()]);
    let alerts = (0..n_alerts).map(|i| alert_id(id, i)).collect();
    Incident { id, number, alerts, ..incident_as(None, state) }
}

fn alert_id(incident: IncidentId, n: usize) -> AlertId {
    AlertId::derive(t0(), &[&incident.to_string(), &n.to_string()])
}

/// The n-th alert of an incident.
pub(super) fn alert(incident: IncidentId, n: usize) -> Alert {
    let labels: Labels = serde_json::from_value(json!({
        "alertname": format!("Slow{n}"), "service": "orders",
    }))
    .expect("labels");
    serde_json::from_value(json!({
        "id": alert_id(incident, n), "fingerprint": labels.fingerprint(), "labels": labels,
        "annotations": { "summary": "orders is slow" },
        "source": { "kind": "external", "system": "alertmanager" },
        "entity": EntityRef::service("orders"), "indicator": null, "severity": "critical",
        "starts_at": t0(), "ends_at": null, "updated_at": t0(), "status": "firing",
        "anomaly": null, "series": null, "value": 4.2, "expected": null, "score": 0.0,
        "n_reports": 1, "witnesses": [], "incident": incident, "suppressed": null,
        "decision": "It opened the incident.",
    }))
    .expect("an alert")
}

/// Writes an incident and its alerts.
pub(super) async fn put(server: &Server, incident: &Incident) {
    let incident = incident.clone();
    server
        .store
        .write(move |tx| {
            for n in 0..incident.alerts.len() {
                tx.put(&alert(incident.id, n))?;
            }
            tx.put(&incident)
        })
        .await
        .expect("written");
}
