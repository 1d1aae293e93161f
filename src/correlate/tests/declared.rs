//! Incidents that a person opened: alerts join them, and what the person said stays.

use super::*;
use crate::model::Role;

fn ann() -> Actor {
    Actor { via: "console".into(), id: "ann".into(), name: "ann".into(), role: Role::Responder }
}

/// A correlator that knows an incident which ann opened about payments at second 0.
fn declared() -> (Correlator, Incident) {
    let mut correlator = Correlator::new(Config::default());
    correlator.learn(shop(), Vec::new(), Vec::new());
    let mut incident = crate::approve::tests::sample::incident_as(None, IncidentState::Open);
    (incident.onset_at, incident.opened_at, incident.updated_at) = (at(0), at(0), at(0));
    incident.title = "people can't pay".into();
    incident.entities = vec![EntityRef::service("payments")];
    incident.declared_by = Some(ann());
    assert!(correlator.refresh(&incident), "it is news");
    correlator.load(incident.clone(), &[]);
    (correlator, incident)
}

#[test]
fn alerts_join_what_a_person_opened_and_their_words_stay() {
    let (mut correlator, incident) = declared();
    for seconds in [10, 40, 7_200] {
        assert_eq!(correlator.decide(at(seconds)), Decisions::default(), "it does not end itself");
    }
    let (mut correlator, _) = (declared().0, correlator);
    let first = alert("payments", "HighLatency", "critical", 30);
    correlator.take(&first, at(30));
    let decisions: Vec<Decisions> = [30, 60, 90].map(|s| correlator.decide(at(s))).into();
    let verdict = decisions.iter().flat_map(|d| &d.verdicts).next_back().expect("a verdict");
    assert_eq!(verdict.incident, Some(incident.id), "{verdict:?}");
    assert!(
        verdict.decision.contains("ann opened the incident about payments"),
        "{}",
        verdict.decision
    );
    let joined = decisions.iter().flat_map(|d| &d.incidents).next_back().expect("it changed");
    assert_eq!((joined.title.as_str(), joined.alerts.len()), ("people can't pay", 1));
    assert_eq!(joined.entities, [EntityRef::service("payments")]);
    // Read anew from the store, it is still about payments.
    let mut next = Correlator::new(Config::default());
    next.learn(shop(), Vec::new(), Vec::new());
    next.load(joined.clone(), &[first]);
    next.take(&alert("checkout", "ErrorRate", "critical", 100), at(100));
    let later: Vec<Decisions> = [100, 130, 160].map(|s| next.decide(at(s))).into();
    let verdict = later.iter().flat_map(|d| &d.verdicts).next_back().expect("a verdict");
    assert_eq!(verdict.incident, Some(incident.id), "{verdict:?}");
}

/// Also about what depends on the service: a person's guess may be wrong.
#[test]
fn an_alert_elsewhere_opens_its_own() {
    for service in ["search", "checkout"] {
        let (mut correlator, incident) = declared();
        correlator.take(&alert(service, "HighLatency", "critical", 30), at(30));
        let decisions: Vec<Decisions> = [30, 60, 90].map(|s| correlator.decide(at(s))).into();
        let opened =
            decisions.iter().flat_map(|d| &d.incidents).next_back().expect("one is opened");
        assert_ne!(opened.id, incident.id);
        assert_eq!(opened.title, format!("{service} HighLatency"));
    }
}
