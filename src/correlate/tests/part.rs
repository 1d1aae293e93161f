//! Revision: what was put together and turns out to be two faults is parted, once, with its reason.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::bus::{Bus, Event};
use crate::model::IncidentId;
use crate::model::clock::ManualClock;
use crate::stage::Stage as _;
use crate::store::{Filter, Store};

/// A fault at the catalogue's database, felt by three services.
const ONE: [(&str, i64); 4] =
    [("catalog-db", 0), ("catalog", 10), ("search", 20), ("recommendations", 25)];
/// A fault that has nothing to do with it.
const OTHER: [(&str, i64); 2] = [("notifications", 0), ("shipping", 15)];

fn alerts(fault: &[(&str, i64)], from: i64) -> Vec<Alert> {
    let made =
        |(service, onset): &(&str, i64)| alert(service, "HighErrorRate", "critical", from + onset);
    fault.iter().map(made).collect()
}

/// An incident of these alerts.
fn incident_of(number: u64, alerts: &[Alert]) -> Incident {
    let arrived = alerts.iter().map(|a| (30, a.clone())).collect();
    let book = play(&mut correlator(), arrived, 120);
    let mut incident = (*book.standing().first().expect("opened")).clone();
    incident.number = number;
    incident.alerts = alerts.iter().map(|a| a.id).collect();
    incident
}

/// Decides every five seconds.
fn run(c: &mut Correlator, from: i64, until: i64) -> Book {
    let mut book = Book::default();
    for now in (from..=until).step_by(5) {
        book.keep(c.decide(at(now)));
    }
    book
}

/// Both faults in one incident, as an earlier run left them.
fn mixed(from: i64) -> (Correlator, Incident, Vec<Alert>) {
    let mut all = alerts(&ONE, from);
    all.extend(alerts(&OTHER, from));
    let incident = incident_of(1, &all);
    (correlator(), incident, all)
}

fn with(texts: &[String], part: &str) -> Vec<String> {
    texts.iter().filter(|t| t.contains(part)).cloned().collect()
}

#[test]
fn two_faults_that_were_mixed_before_a_start_are_parted_once_with_one_line_and_a_reason() {
    let (mut c, incident, all) = mixed(0);
    c.load(incident.clone(), &all);
    let book = run(&mut c, 40, 1_500);
    let standing = book.standing();
    assert_eq!(standing.len(), 2, "{:?}", book.entries);
    let ids = |alerts: Vec<Alert>| alerts.into_iter().map(|a| a.id).collect::<BTreeSet<_>>();
    let parts: BTreeMap<IncidentId, BTreeSet<AlertId>> =
        standing.iter().map(|i| (i.id, i.alerts.iter().copied().collect())).collect();
    assert_eq!(parts[&incident.id], ids(alerts(&ONE, 0)), "the larger part stays");
    assert!(parts.values().any(|p| *p == ids(alerts(&OTHER, 0))));
    let left = with(&book.entries, "left the incident");
    assert_eq!(left.len(), 1, "{:?}", book.entries);
    assert!(left[0].starts_with("2 alerts left the incident: a fault of notifications since"));
    for moved in alerts(&OTHER, 0) {
        let said: Vec<_> = book.verdicts.iter().filter(|v| v.alert == moved.id).collect();
        assert_eq!(said.len(), 1, "moved once: {said:?}");
        assert!(said[0].decision.starts_with("Split off from incident #1: a fault of notific"));
    }
}

#[test]
fn an_alert_of_another_incidents_fault_moves_there_with_a_line_in_both_timelines() {
    let (one, other) = (alerts(&ONE, 0), alerts(&OTHER, 0));
    let mut all = one.clone();
    all.push(other[1].clone());
    let mut c = correlator();
    let (first, second) = (incident_of(1, &all), incident_of(2, &other[..1]));
    c.load(first.clone(), &all);
    c.load(second.clone(), &other[..1]);
    let book = run(&mut c, 40, 1_500);
    assert_eq!(book.incidents[&second.id].alerts.len(), 2, "{:?}", book.entries);
    assert_eq!(book.incidents[&first.id].alerts.len(), 4);
    let left = with(&book.entries, "left the incident for incident #2: a fault of notifications");
    let came = with(&book.entries, "moved here from incident #1: a fault of notifications");
    assert_eq!((left.len(), came.len()), (1, 1), "{:?}", book.entries);
    assert!(book.last(&other[1]).decision.starts_with("Moved here from incident #1: a fault of"));
}

#[test]
fn our_own_alert_that_no_fault_explains_any_more_stays_where_the_graph_relates_it() {
    let mut all = alerts(&ONE, 0);
    let measured = |service: &str| {
        let mut alert = alert(service, "SaturationHigh", "warning", 120);
        alert.source = AlertSource::Detector { detector: "seasonal/1".into() };
        alert
    };
    // At a place of the fault, where the fault leads, and where nothing leads from there.
    let (there, felt, elsewhere) =
        (measured("catalog-db"), measured("search"), measured("notifications"));
    all.extend([there.clone(), felt.clone(), elsewhere.clone()]);
    let mut c = correlator();
    let incident = incident_of(1, &all);
    c.load(incident.clone(), &all);
    let group = &c.groups[&incident.id];
    assert!(c.graph_keeps(&there, group));
    assert!(c.graph_keeps(&felt, group));
    assert!(!c.graph_keeps(&elsewhere, group));
    // Others' rules are more often something else, and what was put there alone has no company.
    assert!(!c.graph_keeps(&alert("catalog-db", "HighLatency", "warning", 700), group));
    c.load(incident.clone(), std::slice::from_ref(&there));
    assert!(!c.graph_keeps(&there, &c.groups[&incident.id]));
}

#[test]
fn what_the_graph_relates_stays_and_the_rest_leaves_once_no_fault_explains_it() {
    let one = alerts(&ONE, 0);
    let incident = incident_of(1, &one);
    let mut c = correlator();
    c.load(incident.clone(), &one);
    run(&mut c, 40, 1_600);
    let measured = |service: &str| {
        let mut alert = alert(service, "SaturationHigh", "warning", 1_605);
        alert.source = AlertSource::Detector { detector: "seasonal/1".into() };
        alert
    };
    let (there, elsewhere) = (measured("catalog-db"), measured("notifications"));
    for alert in [&there, &elsewhere] {
        c.evidence.begin(alert);
        let verdict = Verdict {
            alert: alert.id,
            incident: Some(incident.id),
            suppressed: None,
            decision: String::new(),
            witness: None,
        };
        c.rehome(alert.id, crate::correlate::group::Member::of(alert), incident.id, verdict);
        c.revision.keep(&alert.clone().into());
    }
    let book = run(&mut c, 1_610, 1_800);
    for alert in [&there, &elsewhere] {
        let kin = c.evidence.kin(alert.id);
        assert!(matches!(kin, Some(crate::correlate::fit::Kin::Own(_))), "{kin:?}");
    }
    let left = with(&book.entries, "left the incident");
    assert_eq!(left.len(), 1, "{:?}", book.entries);
    assert!(left[0].starts_with("notifications SaturationHigh left"), "{left:?}");
    assert!(c.groups[&incident.id].members.contains_key(&there.id));
}

#[test]
fn what_a_person_has_taken_in_hand_is_left_alone() {
    let acknowledge = |incident: &mut Incident| {
        incident.state = IncidentState::Acknowledged;
        incident.acknowledged_at = Some(at(35));
    };
    for wrote in [true, false] {
        let (mut c, mut incident, all) = mixed(0);
        if wrote {
            c.touch(incident.id);
        } else {
            acknowledge(&mut incident);
        }
        c.load(incident.clone(), &all);
        let book = run(&mut c, 40, 1_500);
        assert!(with(&book.entries, "left the incident").is_empty(), "{:?}", book.entries);
        assert!(book.incidents.values().all(|i| i.alerts.len() == all.len()));
    }
}

#[test]
fn what_was_settled_before_a_start_stays() {
    let (mut c, incident, all) = mixed(-3_000);
    c.load(incident, &all);
    let book = run(&mut c, 0, 600);
    assert!(with(&book.entries, "left the incident").is_empty(), "{:?}", book.entries);
}

#[test]
fn an_alert_that_ended_alone_is_put_to_its_fault_when_that_opens() {
    let felt = alert("shipping", "HighErrorRate", "warning", 15);
    let cause = alert("notifications", "HighErrorRate", "critical", 0);
    let told = vec![(16, felt.clone()), (25, ended(felt.clone(), 25)), (60, cause.clone())];
    let book = play(&mut correlator(), told, 400);
    let said: Vec<&str> = book
        .verdicts
        .iter()
        .filter(|v| v.alert == felt.id)
        .map(|v| v.decision.as_str())
        .skip_while(|said| said.starts_with("Waits"))
        .collect();
    assert!(said[0].starts_with("Opened no incident: it ended after 10 s"), "{said:?}");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].starts_with("Joined: a fault of notifications since"), "{said:?}");
    let path = "(behind notifications, which it depends on and which feels it since ";
    assert!(said[1].contains(path) && said[1].contains(" ×") && said[1].contains("; "), "{said:?}");
    assert!(said[1].ends_with(" against beginning by itself)."), "{said:?}");
    let [incident] = book.standing().try_into().expect("one incident");
    assert_eq!(incident.alerts, [cause.id, felt.id]);
}

#[test]
fn conditions_are_counted_the_same_after_a_start_when_their_alerts_have_ended() {
    let told = alert("orders", "HighLatency", "critical", 10);
    let mut own = told.clone();
    own.source = AlertSource::Detector { detector: "seasonal/1".into() };
    own.id = AlertId::derive(at(0), &["own"]);
    own.starts_at = at(0);
    let mut copy = told.clone();
    copy.id = AlertId::derive(at(12), &["copy"]);
    copy.source = AlertSource::External { system: "datadog".into() };
    let all = [own, told, copy];
    let mut c = correlator();
    let mut book = play(&mut c, all.iter().map(|a| (20, a.clone())).collect(), 60);
    let over: Vec<Alert> = all.iter().map(|a| ended(a.clone(), 70)).collect();
    for alert in &over {
        c.take(alert, at(75));
    }
    book.keep(c.decide(at(75)));
    let incident = book.standing()[0].clone();
    assert_eq!((incident.alerts.len(), incident.n_conditions), (3, 1));
    let mut c = correlator();
    c.load(incident, &over);
    let mut late = over[0].clone();
    late.n_reports = 5;
    c.take(&late, at(80));
    let again = c.decide(at(80));
    assert_eq!(again.incidents.last().map(|i| (i.n_reports, i.n_conditions)), Some((7, 1)));
}

#[tokio::test]
async fn an_alert_whose_first_incident_was_merged_away_opens_another_one() {
    for restart in [false, true] {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("part.sqlite")).expect("opens");
        let clock = ManualClock::new(at(0));
        let make =
            || Correlate::new(Config::default(), store.clone(), Bus::default(), clock.clone());
        let mut stage = make();
        let (x, y) = (
            alert("orders", "HighErrorRate", "critical", 0),
            alert("notifications", "HighErrorRate", "critical", 0),
        );
        for alert in [x.clone(), y.clone()] {
            store.write(move |tx| tx.put(&alert)).await.expect("writes");
        }
        for now in [0, 30, 32] {
            clock.set(at(now));
            stage.sweep().await.expect("sweeps");
        }
        let all = store.read(|r| r.list::<Incident>(&Filter::all())).await.expect("reads");
        let of = |alert: &Alert| {
            all.iter().find(|i| i.alerts.contains(&alert.id)).expect("opened").clone()
        };
        let (a, b) = (of(&x), of(&y));
        // The first became part of the other, which the alert has left since.
        let merged = machine::merge(&a, &b, &Actor::nightjar(), at(40), "one fault").expect("may");
        let (gone, id) = (merged.from, x.id);
        store
            .write(move |tx| {
                tx.put(&gone)?;
                let mut alert = tx.get::<Alert>(id)?.expect("is there");
                alert.incident = None;
                tx.put(&alert)
            })
            .await
            .expect("writes");
        if restart {
            stage = make();
        } else {
            stage.handle(Event::Incident(a.id)).await.expect("hears");
        }
        for now in (45..300).step_by(5) {
            clock.set(at(now));
            stage.sweep().await.expect("sweeps");
            for incident in store.read(|r| r.list::<Incident>(&Filter::all())).await.expect("reads")
            {
                stage.handle(Event::Incident(incident.id)).await.expect("hears");
            }
        }
        let now = store.read(|r| r.list::<Incident>(&Filter::all())).await.expect("reads");
        let old = now.iter().find(|i| i.id == a.id).expect("is kept");
        assert_eq!((old.state, old.merged_into), (IncidentState::Merged, Some(b.id)));
        let new: Vec<_> = now.iter().filter(|i| i.id != a.id && i.alerts.contains(&x.id)).collect();
        assert_eq!(new.len(), 1, "one in place of it");
        assert_eq!((new[0].state, new[0].number), (IncidentState::Open, 3));
        let stored = store.read(move |r| r.get::<Alert>(id)).await.expect("reads");
        assert_eq!(stored.and_then(|s| s.incident), Some(new[0].id));
        let place = new[0].id;
        let entries = store
            .read(move |r| r.list::<crate::model::TimelineEntry>(&Filter::parent(place)))
            .await
            .expect("reads");
        let opened = entries.iter().filter(|e| e.text.starts_with("Opened by")).count();
        assert_eq!(opened, 1, "{entries:?}");
    }
}

/// Two halves of one fault in incidents that are both over.
fn two_that_are_over() -> (Incident, Vec<Alert>, Incident, Vec<Alert>) {
    let over = |alerts: &[Alert], number: u64| {
        let mut incident = incident_of(number, alerts);
        (incident.state, incident.resolved_at) = (IncidentState::Resolved, Some(at(400)));
        incident.updated_at = at(400);
        (incident, alerts.iter().cloned().map(|a| ended(a, 100)).collect::<Vec<_>>())
    };
    let all = alerts(&ONE, 0);
    let ((first, firsts), (second, seconds)) = (over(&all[..2], 1), over(&all[2..], 2));
    (first, firsts, second, seconds)
}

#[test]
fn two_incidents_that_are_over_and_were_one_fault_become_one_that_is_over() {
    let (first, firsts, second, seconds) = two_that_are_over();
    let mut c = correlator();
    c.load(first.clone(), &firsts);
    c.load(second.clone(), &seconds);
    let book = run(&mut c, 405, 700);
    let [whole] = book.standing().try_into().expect("one is left");
    assert_eq!((whole.state, whole.alerts.len()), (IncidentState::Resolved, 4));
    assert_eq!((whole.n_reopened, book.incidents.len()), (0, 2), "nothing was opened by it");
    let gone = book.incidents.values().find(|i| i.id != whole.id).expect("the other");
    assert_eq!((gone.state, gone.merged_into), (IncidentState::Merged, Some(whole.id)));
    assert_eq!(with(&book.entries, "became part of this one").len(), 1, "{:?}", book.entries);
}

#[test]
fn of_two_that_are_over_the_bot_may_make_one_and_a_person_may_not() {
    let (first, _, second, _) = two_that_are_over();
    let person = Actor { via: "token".into(), name: "op".into(), ..Actor::nightjar() };
    let merge = |from: &Incident, into: &Incident, actor: &Actor| {
        machine::merge(from, into, actor, at(500), "one fault")
    };
    let merged = merge(&second, &first, &Actor::nightjar()).expect("the bot may");
    assert_eq!(merged.into.state, IncidentState::Resolved);
    assert_eq!(merged.into.resolved_at, first.resolved_at);
    assert_eq!((merged.into.alerts.len(), merged.into.n_reopened), (4, 0));
    assert_eq!(merged.from.merged_into, Some(first.id));
    let refused = merge(&second, &first, &person).expect_err("a person reopens it first");
    assert!(refused.to_string().contains("reopen it before merging into it"), "{refused}");
    let active = Incident { state: IncidentState::Open, resolved_at: None, ..second.clone() };
    merge(&active, &first, &Actor::nightjar()).expect_err("what goes on is not put to rest by it");
    let other = Incident { id: first.id, state: IncidentState::Open, ..first.clone() };
    merge(&second, &other, &person).expect("into one that goes on a person may");
    let reviewed = Incident { state: IncidentState::Reviewed, ..first.clone() };
    merge(&second, &reviewed, &Actor::nightjar()).expect_err("what people have gone through stays");
}

#[test]
fn the_id_of_what_was_merged_away_is_not_given_again() {
    let first = alert("auth", "HighErrorRate", "critical", 0);
    let id = play(&mut correlator(), vec![(10, first.clone())], 60).standing()[0].id;
    let mut c = correlator();
    c.folded.insert(id, at(5));
    let book = play(&mut c, vec![(10, first)], 60);
    let [opened] = book.standing().try_into().expect("one");
    assert_ne!(opened.id, id);
}

#[test]
fn a_new_fault_opens_its_own_though_its_condition_was_in_an_incident_that_ended() {
    let mut c = correlator();
    let early = alerts(&ONE, 0);
    let late = alerts(&ONE, 1_300);
    let mut all: Vec<(i64, Alert)> = early.iter().map(|a| (30, a.clone())).collect();
    all.extend(early.iter().map(|a| (300, ended(a.clone(), 300))));
    all.extend(late.iter().map(|a| (1_330, a.clone())));
    let book = play(&mut c, all, 1_500);
    let standing = book.standing();
    assert_eq!(standing.len(), 2, "{:?}", book.entries);
    assert!(standing.iter().all(|i| i.alerts.len() == 4 && i.n_reopened == 0));
}

#[test]
fn an_incident_with_a_few_alerts_of_another_fault_does_not_swallow_that_faults_own() {
    let (one, other) = (alerts(&ONE, 0), alerts(&OTHER, 0));
    let mut mixed = one.clone();
    mixed.push(other[1].clone());
    let (first, mut second) = (incident_of(1, &mixed), incident_of(2, &other[..1]));
    (second.state, second.resolved_at) = (IncidentState::Resolved, Some(at(390)));
    let mut c = correlator();
    c.load(first.clone(), &mixed);
    c.load(second.clone(), &[ended(other[0].clone(), 80)]);
    let book = run(&mut c, 395, 500);
    let merged = with(&book.entries, "became part of this one");
    assert!(merged.is_empty(), "{:?}", book.entries);
}

#[tokio::test]
async fn what_the_search_has_learned_is_in_the_store_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let clock = ManualClock::new(at(0));
    let make = || Correlate::new(Config::default(), store.clone(), Bus::default(), clock.clone());
    // It opens nothing, so that no incident is read at the start.
    let stray = alert("orders", "HighErrorRate", "info", 0);
    let id = stray.id;
    store.write(move |tx| tx.put(&stray)).await.expect("writes");
    let mut stage = make();
    stage.sweep().await.expect("sweeps");
    for minute in 1..30 {
        clock.set(at(minute * 60));
        stage.handle(Event::Tick).await.expect("decides");
    }
    let read = store.read(|r| r.value::<crate::correlate::Learned>("correlate.learned")).await;
    let learned = read.expect("reads").expect("was written");
    assert_ne!(learned, crate::correlate::Learned::default());
    // What came after the last time it was written is written when the process ends.
    let later = alert("cart", "HighLatency", "info", 1_745);
    let ids = [id, later.id];
    store.write(move |tx| tx.put(&later)).await.expect("writes");
    stage.handle(Event::Alert(ids[1])).await.expect("hears");
    clock.set(at(1_760));
    stage.handle(Event::Tick).await.expect("decides");
    let read = store.read(|r| r.value::<crate::correlate::Learned>("correlate.learned")).await;
    assert_eq!(read.expect("reads"), Some(learned.clone()), "it is not time yet");
    stage.stop().await.expect("is put down");
    let read = store.read(|r| r.value::<crate::correlate::Learned>("correlate.learned")).await;
    let before = learned;
    let learned = read.expect("reads").expect("was written");
    assert_ne!(learned, before);
    // They end, and a new process begins with what was learned.
    store
        .write(move |tx| {
            for id in ids {
                let stored = tx.get::<Alert>(id)?.map(|a| ended(a, 1_800));
                stored.map_or(Ok(()), |alert| tx.put(&alert))?;
            }
            Ok(())
        })
        .await
        .expect("writes");
    clock.set(at(20_000));
    let mut stage = make();
    stage.sweep().await.expect("sweeps");
    assert_eq!(stage.correlator.learned(), learned);
}
