//! A fault that shows at a caller and at what it calls in one step, whatever comes first: one
//! incident, and what the mending of it does elsewhere is none of it.

use super::*;

/// An alert of a replay: about what, its name, of which metric, how severe, and when it begins,
/// arrives and ends (s).
type Row = (&'static str, &'static str, &'static str, &'static str, [i64; 3]);

/// A catalog that asks its database too much since a deploy, as heard on a machine that is kept
/// busy: what the database shows comes late, and some of the catalog's first.
const INDEX: [Row; 13] = [
    ("catalog", "DurationHigh", "query p95", "critical", [15, 100, 465]),
    ("catalog-db", "UsageUnusual", "scans", "info", [0, 130, 525]),
    ("catalog", "SaturationHigh", "pending", "warning", [30, 130, 375]),
    ("catalog", "ShareUnusual", "pool", "info", [30, 135, 585]),
    ("catalog", "UtilizationHigh", "pool", "warning", [15, 140, 390]),
    ("search", "DurationHigh", "p95", "critical", [30, 140, 450]),
    ("catalog-db", "SaturationHigh", "connections", "info", [15, 145, 390]),
    ("catalog", "DurationHigh", "p95", "critical", [15, 145, 465]),
    ("catalog", "EventRateUnusual", "pending", "warning", [60, 145, 480]),
    ("frontend", "SaturationHigh", "active", "warning", [15, 150, 405]),
    ("recommendations", "DurationHigh", "p95", "critical", [45, 150, 420]),
    ("catalog", "HighRequestLatency", "", "warning", [108, 160, 425]),
    ("frontend", "DurationHigh", "p95", "critical", [30, 160, 450]),
];

/// A search that is starved on node-2 by another's job, and moved to node-3 after 150 s, which has
/// more to do from then on.
const NEIGHBOUR: [Row; 10] = [
    ("search", "DurationHigh", "p95", "critical", [0, 100, 360]),
    ("search", "NodeCPUSaturated", "", "warning", [78, 105, 260]),
    ("node-2", "SaturationHigh", "load", "warning", [0, 110, 270]),
    ("node-2", "UtilizationHigh", "cpu", "warning", [30, 110, 285]),
    ("search", "SaturationHigh", "throttled", "warning", [15, 120, 330]),
    ("frontend", "SaturationHigh", "active", "info", [15, 125, 270]),
    ("search", "ShareUnusual", "error ratio", "warning", [30, 125, 570]),
    ("frontend", "DurationHigh", "p95", "critical", [30, 125, 315]),
    ("node-2", "ShareUnusual", "cpu", "info", [60, 175, 360]),
    ("node-3", "UtilizationHigh", "cpu", "warning", [165, 275, 9_999]),
];

fn told(row: &Row) -> Alert {
    let (place, name, metric, severity, [begins, ..]) = *row;
    let mut made = alert(place, name, severity, begins);
    made.indicator = Some(match name {
        "DurationHigh" | "HighRequestLatency" => Indicator::Duration,
        "UsageUnusual" => Indicator::Usage,
        "ShareUnusual" if metric == "error ratio" => Indicator::Errors,
        "ShareUnusual" | "UtilizationHigh" => Indicator::Utilization,
        _ => Indicator::Saturation,
    });
    if place.starts_with("node") {
        made.entity = EntityRef::host(place);
    }
    if !metric.is_empty() {
        made.source = AlertSource::Detector { detector: "seasonal/1".into() };
        made.labels.set("metric", metric);
        made.fingerprint = made.labels.fingerprint();
        made.id = AlertId::derive(at(begins), &[&made.fingerprint.to_string()]);
        made.score = 60.0;
    }
    made
}

fn change(kind: &str, entity: &EntityRef, second: i64) -> Change {
    serde_json::from_value(serde_json::json!({
        "id": ChangeId::derive(at(second), &["c"]), "kind": kind,
        "entity": entity, "at": at(second), "title": "a change",
        "version": null, "previous": null, "author": null, "url": null, "source": "test",
        "status": "success", "attributes": {}
    }))
    .expect("a change")
}

/// The replay; each alert arrives this much later for whether it is of a caller or of what it calls.
fn replayed(rows: &[Row], change: Change, later: &dyn Fn(&str) -> i64) -> Book {
    let mut graph = shop();
    graph.add(EntityRef::service("search"), EntityRef::host("node-3"), EdgeKind::RunsOn);
    let mut c = Correlator::new(Config::default());
    c.learn(graph, vec![change], Vec::new());
    let mut alerts = Vec::new();
    for row in rows {
        let (alert, [_, arrives, ends]) = (told(row), row.4);
        alerts.push((arrives + later(row.0), alert.clone()));
        alerts.push((ends.max(arrives + later(row.0)), ended(alert, ends)));
    }
    play(&mut c, alerts, 1_500)
}

#[test]
fn a_deploy_that_troubles_its_database_at_once_is_one_incident() {
    let deploy = || change("deploy", &EntityRef::service("catalog"), -32);
    for late in [0, 30] {
        for place in ["catalog", "catalog-db", "nobody"] {
            let late_at = |p: &str| if p == place { late } else { 0 };
            let book = replayed(&INDEX, deploy(), &late_at);
            let standing = book.standing();
            assert_eq!(standing.len(), 1, "{place} {late} s late: {:?}", book.entries);
            assert_eq!(standing[0].alerts.len(), INDEX.len(), "{:?}", book.entries);
            assert_eq!(standing[0].state, IncidentState::Resolved);
        }
    }
}

#[test]
fn what_a_mending_does_to_another_node_does_not_keep_the_incident_open() {
    let job = || change("other", &EntityRef::host("node-2"), -42);
    let [.., after] = &NEIGHBOUR;
    for late in [0, 30] {
        for place in ["search", "node-2", "nobody"] {
            let late_at = |p: &str| if p == place { late } else { 0 };
            let book = replayed(&NEIGHBOUR, job(), &late_at);
            let home = |row: &Row| book.last(&told(row)).incident;
            let incident = home(&NEIGHBOUR[0]).expect("told");
            for row in &NEIGHBOUR[..9] {
                assert_eq!(home(row), Some(incident), "{row:?} {late} {:?}", book.entries);
            }
            assert_ne!(home(after), Some(incident), "{place} {late} s late: {:?}", book.entries);
            assert_eq!(book.incidents[&incident].state, IncidentState::Resolved);
        }
    }
}
