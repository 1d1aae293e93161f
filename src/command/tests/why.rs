//! Why something was told, or was not, in words that can be checked.

use super::{World, alert, person, refusal, t0};
use crate::approve::tests::sample::diagnosis;
use crate::model::alert::{Band, Suppression};
use crate::model::{AlertId, AlertSource, IncidentId, IncidentState, Refused, Role};

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
    assert_eq!(of_alerts, 12);
    assert!(why.lines.contains(&"… and 3 more alerts.".to_owned()), "{:#?}", why.lines);
    assert!(why.lines.iter().any(|l| l.ends_with(" %), because:")), "{:#?}", why.lines);
    assert_eq!(why.records.len(), 1);
    assert_eq!(why.records[0].action, "incident.acknowledged");
    let nothing = IncidentId::derive(t0(), &["nothing"]);
    assert!(matches!(refusal(world.desk.why_incident(nothing).await), Refused::NotFound(_)));
}
