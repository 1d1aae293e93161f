//! Why something was told, or was not, in words that can be checked.

use super::{World, alert, person, refusal, t0};
use crate::approve::tests::sample::{diagnosis, proposal, run};
use crate::command::About;
use crate::correlate::Correlate;
use crate::detect::lifecycle::alert_of_external;
use crate::model::action::Effect;
use crate::model::alert::{Band, HARMLESS, HELD_BACK, Suppression};
use crate::model::priority::PriorityPart;
use crate::model::signal::ExternalAlert;
use crate::model::topology::{Edge, EdgeKind};
use crate::model::tuning::TuningDeed;
use crate::model::{
    Alert, AlertId, AlertSource, AlertStatus, Attention, Change, ChangeId, ChangeKind, EntityRef,
    Harmless, HarmlessId, HarmlessScope, HarmlessState, IncidentId, IncidentState, Labels,
    Priority, Refused, Role, Severity, Silence, SilenceId, Taxonomy, Time,
};
use crate::stage::Stage as _;

#[tokio::test]
async fn an_alert_that_nobody_heard_of_says_what_held_it_back() {
    let world = World::new();
    let mut held = alert(IncidentId::derive(t0(), &["none"]), 0);
    held.incident = None;
    held.source = AlertSource::Detector { detector: "seasonal/1".into() };
    (held.value, held.score) = (Some(4.2), 9.1);
    held.expected = Some(Band { low: 0.1, mid: 0.3, high: 0.5 });
    held.suppressed = Some(Suppression {
        by: "silence SIL-X".into(),
        reason: "until 04:00 UTC, by bea: noisy".into(),
        until: None,
    });
    held.decision = Some("Not opened: it is silenced.".into());
    held.witnesses = vec!["alertmanager".into(), "pager".into()];
    let (id, put) = (held.id, held.clone());
    world.store.write(move |tx| tx.put(&put)).await.expect("written");
    let why = world.desk.why_alert(id).await.expect("it is there");
    insta::assert_snapshot!(format!("{}\n{}", why.title, why.lines.join("\n")), @r"
    Slow0 on orders
    Raised by the detector seasonal/1 at 03:00:00 UTC: 4.2 where 0.1 to 0.5 was expected (score 9.1).
    Held back by silence SIL-X: until 04:00 UTC, by bea: noisy
    Not opened: it is silenced.
    It belongs to no incident, so nobody was told of it.
    Also reported by alertmanager, pager.
    ");
    // What ended while held says why once.
    let mut over = held.clone();
    over.decision = Some(
        "Opened no incident: it ended after 20 s, while held: until 04:00 UTC, by bea: noisy"
            .into(),
    );
    world.store.write(move |tx| tx.put(&over)).await.expect("written");
    let why = world.desk.why_alert(id).await.expect("it is there");
    assert_eq!(why.lines[1], "Held back by silence SIL-X.");
    assert_eq!(why.lines.iter().filter(|l| l.contains("by bea: noisy")).count(), 1);
    // Once it is back, its newest value is not told as what it was raised for.
    let mut back = held.clone();
    (back.value, back.suppressed) = (Some(0.4), None);
    world.store.write(move |tx| tx.put(&back)).await.expect("written");
    let why = world.desk.why_alert(id).await.expect("it is there");
    assert_eq!(
        why.lines[0],
        "Raised by the detector seasonal/1 at 03:00:00 UTC (score 9.1); when last seen it was back \
         at 0.4, where 0.1 to 0.5 is expected."
    );
    let nothing = AlertId::derive(t0(), &["nothing"]);
    assert!(matches!(refusal(world.desk.why_alert(nothing).await), Refused::NotFound(_)));
}

#[tokio::test]
async fn an_incident_says_why_it_was_opened_and_what_is_thought_of_it() {
    let world = World::new();
    let incident = world.incident(7, IncidentState::Open, 15).await;
    let mut thought = diagnosis("unknown");
    thought.incident = incident.id;
    world.store.write(move |tx| tx.put(&thought)).await.expect("written");
    world.desk.acknowledge(&person("bea", Role::Responder), incident.id).await.expect("taken");
    let why = world.desk.why_incident(incident.id).await.expect("it is there");
    assert_eq!(why.title, "#7 orders is slow");
    let of_alerts = why.lines.iter().filter(|l| l.contains("decision ")).count();
    assert_eq!(of_alerts, 6);
    let more = "9 more alerts joined by relations like these.".to_owned();
    assert!(why.lines.contains(&more), "{:#?}", why.lines);
    assert!(why.lines.iter().any(|l| l.contains("What speaks for it (+)")), "{:#?}", why.lines);
    assert_eq!(why.records.len(), 1);
    assert_eq!(why.records[0].action, "incident.acknowledged");
    let nothing = IncidentId::derive(t0(), &["nothing"]);
    assert!(matches!(refusal(world.desk.why_incident(nothing).await), Refused::NotFound(_)));
}

/// Another system's alert, as detection makes it.
fn told(service: &str, name: &str, severity: &str, since: Time) -> Alert {
    let labels = [("alertname", name), ("service", service), ("severity", severity)];
    let external = ExternalAlert {
        system: "alertmanager".into(),
        labels: labels.into_iter().collect(),
        annotations: Labels::default(),
        starts_at: since,
        ends_at: None,
        generator_url: None,
        episode: None,
        said_at: None,
    };
    alert_of_external(&external, since)
}

fn silence(service: &str, maintenance: bool) -> Silence {
    Silence {
        id: SilenceId::derive(t0(), &[service]),
        matchers: vec![format!("service=\"{service}\"").parse().expect("a matcher")],
        starts_at: t0().plus_ms(-60_000),
        ends_at: t0().plus_ms(3_600_000),
        author: person("bea", Role::Responder),
        reason: "planned".into(),
        maintenance,
    }
}

const RULES: &str = r#"
    [[inhibit]]
    name = "cluster down"
    source = ['alertname="ClusterDown"']
    target = ['alertname="ProbeFailed"']
    [[hold]]
    name = "spikes"
    matchers = ['alertname="QueueHigh"']
    times = 3
"#;

fn learned() -> Harmless {
    let deed = TuningDeed { by: person("kim", Role::Approver), at: t0(), reason: String::new() };
    Harmless {
        id: HarmlessId::derive(t0(), &["a test"]),
        at: t0(),
        scope: HarmlessScope {
            entity: EntityRef::service("pricing"),
            name: "HighErrorRate".into(),
            most: Severity::Critical,
            hours: None,
        },
        state: HarmlessState::Applied,
        since: t0(),
        title: "HighErrorRate on pricing opens no incident by itself.".into(),
        why: String::new(),
        judged: Vec::new(),
        n_dismissed: 3,
        kept: Vec::new(),
        n_kept: 0,
        counted_until: t0(),
        followed: Vec::new(),
        holds_days: 28,
        n_confirmed: 1,
        decided: Some(deed),
        until: Some(t0().plus_ms(86_400_000)),
        taken_back: None,
    }
}

#[tokio::test]
async fn every_rule_that_keeps_an_alert_quiet_is_named_with_what_would_have_had_to_differ() {
    let world = World::new();
    let mut marked = told("pricing", "HighErrorRate", "critical", t0());
    marked.annotations.set(HARMLESS, learned().id.to_string());
    let mut over_budget = told("inventory", "HighErrorRate", "info", t0());
    over_budget.annotations.set(HELD_BACK, "The budget of 10 a day is spent");
    let mut weak = told("payments", "CpuHigh", "warning", t0());
    weak.source = AlertSource::Detector { detector: "seasonal/1".into() };
    let cases = [
        (
            told("cart", "HighErrorRate", "critical", t0()),
            "silence SIL-",
            "without it, it would be grouped",
        ),
        (
            told("users", "HighErrorRate", "critical", t0()),
            "maintenance SIL-",
            "without it, it would be grouped",
        ),
        (
            told("reports", "ProbeFailed", "critical", t0()),
            "inhibit cluster down",
            "while ClusterDown on auth fires",
        ),
        (
            told("orders", "QueueHigh", "critical", t0()),
            "hold spikes",
            "once it has begun 3 times within 60 min (now 1)",
        ),
        (
            told("shipping", "HighErrorRate", "critical", t0()),
            "flap",
            "once it fires for 10 min on end",
        ),
        (
            told("search", "HighErrorRate", "warning", t0()),
            "deploy CHG-",
            "It opens if it lasts longer",
        ),
        (weak, "weak", "it opens if it lasts that long"),
        (
            told("catalog", "HighErrorRate", "info", t0()),
            "info",
            "joins one when a related alert opens it",
        ),
        (over_budget, "budget", "The budget of 10 a day is spent."),
        (marked, "learned HRM-", "Confirmed harmless by kim"),
    ];
    let change = Change {
        id: ChangeId::derive(t0(), &["search"]),
        kind: ChangeKind::Deploy,
        entity: EntityRef::service("search"),
        at: t0().plus_ms(-60_000),
        title: "deploy 2.1".into(),
        version: None,
        previous: None,
        author: None,
        url: None,
        source: "webhook".into(),
        status: "success".into(),
        attributes: Labels::default(),
        diff: Vec::new(),
    };
    let mut alerts: Vec<Alert> = cases.iter().map(|(alert, ..)| alert.clone()).collect();
    let opens = told("auth", "ClusterDown", "critical", t0());
    alerts.push(opens.clone());
    for minutes in 1..6 {
        let mut before =
            told("shipping", "HighErrorRate", "critical", t0().plus_ms(-minutes * 360_000));
        (before.status, before.ends_at) =
            (AlertStatus::Resolved, Some(before.starts_at.plus_ms(9_000)));
        alerts.push(before);
    }
    // Each stands alone in the graph, so that none is related to another.
    let edges: Vec<Edge> = alerts
        .iter()
        .map(|alert| Edge {
            from: alert.entity.clone(),
            to: EntityRef::service(format!("{}-db", alert.entity.name())),
            kind: EdgeKind::Calls,
            first_seen: t0(),
            last_seen: t0(),
            declared: true,
            learned: false,
        })
        .collect();
    let write = move |tx: &crate::store::Tx<'_>| {
        alerts.iter().try_for_each(|a| tx.put(a))?;
        edges.iter().try_for_each(|e| tx.put(e))?;
        [silence("cart", false), silence("users", true)].iter().try_for_each(|s| tx.put(s))?;
        tx.put(&change)?;
        tx.put(&learned())
    };
    world.store.write(write).await.expect("written");
    let config = toml::from_str(RULES).expect("settings");
    let (store, bus, clock) = (world.store.clone(), world.bus.clone(), world.clock.clone());
    let mut correlate = Correlate::new(config, store, bus, clock);
    for seconds in [0, 15, 30] {
        world.clock.set(t0().plus_ms(seconds * 1_000));
        correlate.sweep().await.expect("it correlates");
    }
    for (alert, by, words) in cases {
        let why = world.desk.why_alert(alert.id).await.expect("it is there").lines.join("\n");
        assert!(why.contains(&format!("Held back by {by}")), "{by}: {why}");
        assert!(why.contains(words), "{words}: {why}");
        assert!(
            why.contains("It belongs to no incident, so nobody was told of it."),
            "{by}: {why}"
        );
    }
    let why = world.desk.why_alert(opens.id).await.expect("it is there").lines.join("\n");
    assert!(why.contains("It belongs to incident #1"), "{why}");
}

#[tokio::test]
async fn an_incident_that_waits_for_the_morning_says_so_with_its_priority_and_kind() {
    let world = World::new();
    let mut incident = world.incident(7, IncidentState::Open, 1).await;
    let part =
        |name: &str, points, why: &str| PriorityPart { name: name.into(), points, why: why.into() };
    let parts = vec![
        part("users", 2, "users reach it (frontend is 1 hop up)"),
        part("severity", 1, "a warning"),
    ];
    let attention = Attention::Ticket;
    incident.priority = Some(Priority { attention, level: 3, points: 3, page_from: 4, parts });
    incident.taxonomy = Some(Taxonomy {
        category: "latency".into(),
        trigger: "deploy".into(),
        component: "service".into(),
    });
    incident.untold = Some(Suppression {
        by: "quiet-hours night".into(),
        reason: "Not told in chats until 07:00.".into(),
        until: None,
    });
    let (id, put) = (incident.id, incident.clone());
    world.store.write(move |tx| tx.put(&put)).await.expect("written");
    let why = world.desk.why_incident(id).await.expect("it is there").lines;
    let said = [
        "Priority: ticket (P3, 3 points, 4 needed for a page): users reach it (frontend is 1 hop up); a warning.",
        "Kind: latency, set off by deploy, in a service.",
        "Not told in chats until 07:00.",
    ];
    for line in said {
        assert!(why.iter().any(|l| l == line), "{line}: {why:#?}");
    }
}

#[tokio::test]
async fn an_action_says_why_it_was_offered_and_what_it_did() {
    let world = World::new();
    let (mut offered, ran) = (proposal(), run(Some(Effect::Helped)));
    offered.run = Some(ran.id);
    let (of, about) = (About::Proposal(offered.id), About::Run(ran.id));
    let put = (offered.clone(), ran.clone());
    world
        .store
        .write(move |tx| {
            tx.put(&put.0)?;
            tx.put(&put.1)
        })
        .await
        .expect("written");
    let why = world.desk.why(of).await.expect("it is there").lines;
    assert!(why[0].starts_with("Offered at "), "{why:#?}");
    assert!(why[1].starts_with(offered.why.trim()), "{why:#?}");
    assert!(why[2].contains("approval by role"), "{why:#?}");
    let said = |all: &[String], text: &str| all.iter().any(|l| l.contains(text));
    assert!(said(&why, &ran.action), "{why:#?}");
    assert!(said(&why, &ran.outcome.expect("measured").text), "{why:#?}");
    assert_eq!(world.desk.why(about).await.expect("it is there").lines, why);
    for id in [of.to_string(), about.to_string()] {
        assert_eq!(id.parse::<About>().map(|a| a.to_string()), Ok(id));
    }
    offered.run = None;
    world.store.write(move |tx| tx.put(&offered)).await.expect("written");
    let waits = world.desk.why(of).await.expect("it is there").lines;
    assert_eq!(waits.last().map(String::as_str), Some("It waits for a decision."));
    let text = super::commands::shown(&world, Role::Viewer, &format!("why {of}")).await;
    assert!(text.contains("Why: ") && text.contains("Offered at "), "{text}");
}
