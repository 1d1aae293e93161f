//! Grouping on made-up storms: one fault one incident, two faults two, and why.

mod apart;
mod closed;
mod common;
mod declared;
mod ends;
mod haste;
mod pairs;
mod part;
mod priority;
mod quiet;
mod sums;
mod text;
mod told;
mod walks;

use proptest::prelude::*;

use super::*;
use crate::model::alert::AlertStatus;
use crate::model::time::SECOND_MS;
use crate::model::topology::EdgeKind;
use crate::model::{
    Actor, Alert, AlertId, AlertSource, Change, ChangeId, ChangeKind, EntityRef, Graph, Incident,
    IncidentState, Indicator, Labels, Severity, Silence, SilenceId, Time,
};

/// A shop of fourteen services, three databases and four nodes.
const CALLS: [(&str, &str); 24] = [
    ("frontend", "checkout"),
    ("frontend", "catalog"),
    ("frontend", "search"),
    ("frontend", "cart"),
    ("frontend", "users"),
    ("frontend", "recommendations"),
    ("checkout", "orders"),
    ("checkout", "payments"),
    ("checkout", "cart"),
    ("checkout", "shipping"),
    ("checkout", "auth"),
    ("cart", "pricing"),
    ("cart", "auth"),
    ("catalog", "catalog-db"),
    ("catalog", "pricing"),
    ("search", "catalog"),
    ("orders", "orders-db"),
    ("orders", "inventory"),
    ("orders", "auth"),
    ("users", "auth"),
    ("auth", "auth-db"),
    ("shipping", "notifications"),
    ("recommendations", "catalog"),
    ("payments", "auth"),
];

fn shop() -> Graph {
    let mut graph = Graph::default();
    for (from, to) in CALLS {
        graph.add(EntityRef::service(from), EntityRef::service(to), EdgeKind::Calls);
    }
    graph.add(EntityRef::service("search"), EntityRef::host("node-2"), EdgeKind::RunsOn);
    graph
}

fn t0() -> Time {
    Time::parse("2026-11-20T03:00:00Z").expect("valid")
}

fn at(seconds: i64) -> Time {
    t0().plus_ms(seconds * SECOND_MS)
}

fn alert(service: &str, name: &str, severity: &str, onset: i64) -> Alert {
    let labels: Labels =
        [("alertname", name), ("service", service), ("severity", severity)].into_iter().collect();
    let fingerprint = labels.fingerprint();
    let word = name.to_ascii_lowercase();
    Alert {
        id: AlertId::derive(at(onset), &[&fingerprint.to_string()]),
        fingerprint,
        labels,
        annotations: Labels::default().with("summary", format!("{service} {name}")),
        source: AlertSource::External { system: "alertmanager".into() },
        entity: EntityRef::service(service),
        indicator: if word.contains("error") {
            Some(Indicator::Errors)
        } else if word.contains("latency") {
            Some(Indicator::Duration)
        } else {
            None
        },
        severity: match severity {
            "info" => Severity::Info,
            "warning" => Severity::Warning,
            _ => Severity::Critical,
        },
        starts_at: at(onset),
        ends_at: None,
        known_at: None,
        updated_at: at(onset),
        status: AlertStatus::Firing,
        anomaly: None,
        series: None,
        value: None,
        expected: None,
        score: 8.0,
        n_reports: 1,
        witnesses: Vec::new(),
        incident: None,
        suppressed: None,
        decision: None,
    }
}

fn ended(mut alert: Alert, seconds: i64) -> Alert {
    alert.status = AlertStatus::Resolved;
    (alert.ends_at, alert.updated_at) = (Some(at(seconds)), at(seconds));
    alert
}

fn correlator() -> Correlator {
    let mut c = Correlator::new(Config::default());
    c.learn(shop(), Vec::new(), Vec::new());
    c
}

/// Keeps the newest state of everything written.
#[derive(Debug, Default)]
struct Book {
    incidents: std::collections::BTreeMap<crate::model::IncidentId, Incident>,
    verdicts: Vec<Verdict>,
    entries: Vec<String>,
}

impl Book {
    fn keep(&mut self, d: Decisions) {
        for i in d.incidents {
            self.incidents.insert(i.id, i);
        }
        self.verdicts.extend(d.verdicts);
        self.entries.extend(d.entries.into_iter().map(|e| e.text));
    }

    fn standing(&self) -> Vec<&Incident> {
        self.incidents.values().filter(|i| i.state != IncidentState::Merged).collect()
    }

    fn last(&self, alert: &Alert) -> &Verdict {
        self.verdicts.iter().rev().find(|v| v.alert == alert.id).expect("decided")
    }
}

/// Alerts arrive in the order given at their onset plus `late` seconds; decided every 5 s.
fn play(c: &mut Correlator, mut alerts: Vec<(i64, Alert)>, until: i64) -> Book {
    alerts.sort_by_key(|(arrives, _)| *arrives);
    let (mut book, mut next) = (Book::default(), 0);
    for now in (0..=until).step_by(5) {
        while next < alerts.len() && alerts[next].0 <= now {
            c.take(&alerts[next].1, at(now));
            next += 1;
        }
        book.keep(c.decide(at(now)));
    }
    book
}

/// A cascade from auth's cut to its database: twelve entities, over a thousand alerts.
fn storm() -> Vec<(i64, Alert)> {
    let services = [
        "auth",
        "checkout",
        "cart",
        "orders",
        "users",
        "payments",
        "frontend",
        "search",
        "catalog",
        "recommendations",
        "pricing",
        "inventory",
    ];
    let hit: Vec<(&str, i64)> =
        services.iter().take(7).map(|s| (*s, if *s == "auth" { 0 } else { 20 })).collect();
    let mut all = Vec::new();
    for (service, onset) in hit {
        for i in 0..180 {
            let name = format!("Rule{i}ErrorRate");
            all.push((
                onset + 30 + (i * 37) % 200,
                alert(service, &name, "critical", onset + i % 60),
            ));
        }
    }
    all
}

#[test]
fn a_cascade_of_a_thousand_alerts_is_one_incident() {
    let alerts = storm();
    assert!(alerts.len() > 1_000);
    let (n, mut c) = (alerts.len(), correlator());
    let book = play(&mut c, alerts, 400);
    let standing = book.standing();
    assert_eq!(standing.len(), 1, "{:?}", book.entries);
    assert_eq!(standing[0].alerts.len(), n);
    assert_eq!(standing[0].entities.len(), 7);
    assert_eq!(standing[0].entities[0], EntityRef::service("frontend"), "what users feel leads");
    assert!(book.entries.len() < 30, "the timeline stays readable");
    assert_eq!(c.n_waiting(), 0);
}

#[test]
fn two_faults_far_apart_are_two_incidents() {
    let mut alerts = Vec::new();
    for (service, onset) in [
        ("notifications", 0),
        ("shipping", 10),
        ("catalog-db", 0),
        ("catalog", 10),
        ("search", 20),
        ("recommendations", 25),
    ] {
        alerts.push((onset + 30, alert(service, "HighErrorRate", "critical", onset)));
    }
    let book = play(&mut correlator(), alerts, 300);
    assert_eq!(book.standing().len(), 2, "{:?}", book.entries);
}

#[test]
fn a_symptom_that_came_first_and_its_cause_become_one() {
    let first = alert("frontend", "HighLatency", "critical", 0);
    let cause = alert("search", "HighLatency", "critical", 10);
    let node = {
        let mut a = alert("x", "CpuHigh", "warning", 5);
        a.entity = EntityRef::host("node-2");
        a
    };
    let book = play(&mut correlator(), vec![(20, first), (90, cause.clone()), (100, node)], 300);
    assert_eq!(book.standing().len(), 1, "{:?}", book.entries);
    assert!(book.last(&cause).decision.contains("nothing else explains it"));
}

#[test]
fn a_late_common_cause_merges_what_it_explains() {
    let alerts = vec![
        (10, alert("users", "HighErrorRate", "critical", 0)),
        (12, alert("payments", "HighErrorRate", "critical", 2)),
        (120, alert("auth", "HighErrorRate", "critical", -10)),
    ];
    let book = play(&mut correlator(), alerts, 300);
    assert_eq!(book.standing().len(), 1, "{:?}", book.entries);
    assert_eq!(book.incidents.len(), 2, "one was merged away");
}

#[test]
fn it_resolves_after_quiet_time_reopens_within_its_window_and_not_after() {
    let mut c = correlator();
    let a = alert("orders", "HighErrorRate", "critical", 0);
    let again = alert("orders", "HighErrorRate", "critical", 900);
    let late = alert("orders", "HighErrorRate", "critical", 9_000);
    let book = play(
        &mut c,
        vec![
            (20, a.clone()),
            (300, ended(a, 300)),
            (920, again.clone()),
            (1_500, ended(again.clone(), 1_500)),
            (9_020, late.clone()),
        ],
        9_200,
    );
    let mut standing = book.standing();
    standing.sort_by_key(|i| i.opened_at);
    assert_eq!(standing.len(), 2, "{:?}", book.entries);
    assert_eq!((standing[0].state, standing[0].n_reopened), (IncidentState::Resolved, 1));
    assert_eq!(standing[0].alerts.len(), 2);
    assert_eq!(standing[1].alerts, [late.id], "an incident that is over takes nothing by mistake");
    assert!(book.last(&again).decision.starts_with("Reopened"));
}

#[test]
fn silence_deploy_tolerance_and_weak_alerts_keep_quiet_and_say_why() {
    let mut c = correlator();
    let silence = Silence {
        id: SilenceId::derive(t0(), &["s"]),
        matchers: vec!["service=pricing".parse().expect("valid")],
        starts_at: t0(),
        ends_at: at(3_600),
        author: Actor::nightjar(),
        reason: "price import".into(),
        maintenance: true,
    };
    let change = Change {
        id: ChangeId::derive(t0(), &["c"]),
        kind: ChangeKind::Deploy,
        entity: EntityRef::service("inventory"),
        at: t0(),
        title: "deploy 2.0.1".into(),
        version: None,
        previous: None,
        author: None,
        url: None,
        source: "test".into(),
        status: "success".into(),
        attributes: Labels::default(),
        diff: Vec::new(),
    };
    c.learn(shop(), vec![change], vec![silence]);
    let silenced = alert("pricing", "HighErrorRate", "critical", 0);
    let mut blip = alert("inventory", "HighLatency", "critical", 30);
    blip.source = AlertSource::Detector { detector: "seasonal/1".into() };
    let weak = alert("notifications", "Chatty", "info", 0);
    let book = play(
        &mut c,
        vec![
            (5, silenced.clone()),
            (60, blip.clone()),
            (150, ended(blip.clone(), 140)),
            (5, weak.clone()),
        ],
        900,
    );
    assert_eq!(book.incidents.len(), 0, "{:?}", book.entries);
    let held = book.last(&silenced);
    assert!(held.suppressed.as_ref().expect("kept quiet").by.starts_with("maintenance SIL-"));
    assert!(
        book.last(&blip).decision.contains("ended after 110 s"),
        "{}",
        book.last(&blip).decision
    );
    assert!(book.last(&weak).decision.contains("info_opens"));
}

#[test]
fn a_departure_that_outlasts_the_tolerance_opens() {
    let mut c = correlator();
    let mut change: Change = serde_json::from_value(serde_json::json!({
        "id": ChangeId::derive(t0(), &["c"]), "kind": "deploy", "entity": "service.name=inventory",
        "at": t0(), "title": "deploy", "version": null, "previous": null, "author": null,
        "url": null, "source": "test", "status": "success", "attributes": {}
    }))
    .expect("a change");
    change.at = t0();
    c.learn(shop(), vec![change], Vec::new());
    let book = play(&mut c, vec![(60, alert("inventory", "HighLatency", "warning", 30))], 400);
    assert_eq!(book.standing().len(), 1);
    assert!(book.standing()[0].opened_at >= at(240));
}

#[test]
fn the_same_condition_from_two_systems_is_one_incident_with_a_witness() {
    let mut ours = alert("orders", "DurationHigh", "critical", 0);
    ours.source = AlertSource::Detector { detector: "seasonal/1".into() };
    ours.series = Some(crate::model::Fingerprint(7));
    ours.indicator = Some(Indicator::Duration);
    let theirs = alert("orders", "HighLatency", "warning", 60);
    let book = play(&mut correlator(), vec![(20, ours.clone()), (80, theirs.clone())], 200);
    assert_eq!(book.standing().len(), 1);
    assert_eq!(book.standing()[0].leading, Some(ours.id));
    let witness = book.verdicts.iter().find(|v| v.witness.is_some()).expect("a witness");
    assert_eq!((witness.alert, witness.witness.as_deref()), (ours.id, Some("alertmanager")));
    let said = &book.last(&theirs).decision;
    assert!(
        said.ends_with(
            "Same condition as DurationHigh of orders, told by nightjar: counted as its witness."
        ),
        "{said}"
    );
}

#[test]
fn people_move_merge_and_split_and_are_told_why_not() {
    let book = play(
        &mut correlator(),
        vec![
            (5, alert("orders", "A", "critical", 0)),
            (6, alert("orders", "B", "critical", 0)),
            (5, alert("notifications", "HighErrorRate", "critical", 0)),
        ],
        120,
    );
    let (a, b) = {
        let mut all = book.standing();
        all.sort_by_key(|i| std::cmp::Reverse(i.alerts.len()));
        (all[0].clone(), all[1].clone())
    };
    let who = Actor {
        via: "console".into(),
        id: "1".into(),
        name: "op".into(),
        role: crate::model::Role::Responder,
    };
    let (acked, _) = machine::transition(&a, IncidentState::Acknowledged, &who, at(200), "looking")
        .expect("may");
    assert_eq!(acked.owner, Some(who.clone()));
    let refused =
        machine::transition(&a, IncidentState::Reviewed, &who, at(200), "x").expect_err("not yet");
    assert!(refused.to_string().contains("Possible now: acknowledged"));
    let merged = machine::merge(&b, &a, &who, at(210), "same cause").expect("may");
    assert_eq!(merged.into.alerts.len(), 3);
    assert_eq!(merged.from.merged_into, Some(a.id));
    assert!(machine::merge(&merged.from, &a, &who, at(211), "again").is_err());
    let split = machine::split(&merged.into, &a.alerts[..1], &who, at(220), "other").expect("may");
    assert_eq!((split.rest.alerts.len(), split.new.alerts.len()), (2, 1));
    assert!(machine::split(&a, &a.alerts, &who, at(220), "all").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn arrival_order_does_not_change_the_number_of_incidents(delays in prop::collection::vec(0_i64..15, 7)) {
        let services = ["auth", "checkout", "cart", "orders", "users", "payments", "frontend"];
        let alerts: Vec<(i64, Alert)> = services
            .iter()
            .zip(&delays)
            .map(|(s, d)| (60 + d, alert(s, "HighErrorRate", "critical", i64::from(*s != "auth") * 20)))
            .collect();
        let book = play(&mut correlator(), alerts, 300);
        prop_assert_eq!(book.standing().len(), 1, "{:?}", book.entries);
        let told = |a: &crate::model::AlertId| {
            book.verdicts.iter().any(|v| v.alert == *a && v.incident.is_some())
        };
        let all_told = book.incidents.values().flat_map(|i| &i.alerts).all(told);
        prop_assert!(all_told);
    }

    #[test]
    fn any_stream_is_survived_and_each_alert_has_at_most_one_active_home(
        steps in prop::collection::vec((0_usize..14, 0_usize..3, 0_i64..600, any::<bool>()), 1..60),
    ) {
        let names = ["frontend", "checkout", "cart", "catalog", "search", "recommendations", "orders",
            "payments", "auth", "users", "inventory", "shipping", "notifications", "elsewhere"];
        let mut c = correlator();
        let mut book = Book::default();
        for (i, (service, severity, onset, end)) in steps.iter().enumerate() {
            let now = i as i64 * 20;
            let a = alert(names[*service], "HighErrorRate", ["info", "warning", "critical"][*severity], now - onset);
            c.take(&if *end { ended(a, now) } else { a }, at(now));
            book.keep(c.decide(at(now)));
        }
        let mut homes = std::collections::BTreeMap::new();
        for i in book.incidents.values().filter(|i| i.state.is_active()) {
            for a in &i.alerts {
                prop_assert!(homes.insert(*a, i.id).is_none(), "alert in two active incidents");
            }
        }
    }
}

#[tokio::test]
async fn the_stage_writes_one_incident_and_goes_on_after_a_restart() {
    use crate::bus::{Bus, Event};
    use crate::model::clock::ManualClock;
    use crate::stage::Stage as _;
    use crate::store::{Filter, Store};

    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let clock = ManualClock::new(at(0));
    let make = || Correlate::new(Config::default(), store.clone(), Bus::default(), clock.clone());
    let a = alert("orders", "HighErrorRate", "critical", 0);
    let b = alert("orders", "HighLatency", "critical", 5);
    let first = a.clone();
    store.write(move |tx| tx.put(&first)).await.expect("writes");
    let mut stage = make();
    stage.sweep().await.expect("sweeps");
    clock.set(at(30));
    stage.handle(Event::Tick).await.expect("decides");
    let second = b.clone();
    store.write(move |tx| tx.put(&second)).await.expect("writes");
    // A new process: it knows only what the store says.
    let mut stage = make();
    stage.sweep().await.expect("sweeps");
    stage.sweep().await.expect("sweeping twice leaves the same");
    let incidents = store.read(|r| r.list::<Incident>(&Filter::all())).await.expect("reads");
    assert_eq!(incidents.len(), 1);
    assert_eq!((incidents[0].number, &incidents[0].alerts), (1, &vec![a.id, b.id]));
    let stored = store.read(move |r| r.get::<Alert>(b.id)).await.expect("reads").expect("is there");
    assert_eq!(stored.incident, Some(incidents[0].id));
    assert!(stored.decision.expect("has a reason").starts_with("Joined"));
    // Both end while no doorbell is heard; the sweep sees it, quiet time passes, it resolves.
    let over = [ended(a, 60), ended(b, 60)];
    store
        .write(move |tx| {
            for mut alert in over {
                alert.incident = tx.get::<Alert>(alert.id)?.and_then(|o| o.incident);
                tx.put(&alert)?;
            }
            Ok(())
        })
        .await
        .expect("writes");
    clock.set(at(400));
    stage.sweep().await.expect("sweeps");
    let incidents = store.read(|r| r.list::<Incident>(&Filter::all())).await.expect("reads");
    assert_eq!(incidents[0].state, IncidentState::Resolved);
}
