//! Who is a witness of whom, what silences hold and for how long, and what is written down.

use super::*;
use crate::bus::{Bus, Event};
use crate::model::clock::ManualClock;
use crate::stage::Stage as _;
use crate::store::{AuditFilter, Filter, Store};

fn ours(service: &str, indicator: Indicator, onset: i64) -> Alert {
    let mut made = alert(service, &format!("{indicator:?}High"), "critical", onset);
    made.source = AlertSource::Detector { detector: "seasonal/1".into() };
    made.series = Some(crate::model::Fingerprint(onset.unsigned_abs() + 1));
    made.indicator = Some(indicator);
    made
}

fn silence(matcher: &str, (from, to): (i64, i64)) -> Silence {
    Silence {
        id: SilenceId::derive(at(from), &[matcher]),
        matchers: vec![matcher.parse().expect("valid")],
        starts_at: at(from),
        ends_at: at(to),
        author: Actor {
            via: "console".into(),
            id: "1".into(),
            name: "op".into(),
            role: crate::model::Role::Responder,
        },
        reason: "index rebuild".into(),
        maintenance: false,
    }
}

#[test]
fn whoever_speaks_first_the_other_system_is_the_witness() {
    for (own_arrives, other_arrives) in [(20, 90), (90, 20)] {
        let own = ours("orders", Indicator::Duration, 0);
        let other = alert("orders", "HighLatency", "warning", 10);
        let errors = alert("orders", "HighErrorRate", "warning", 10);
        let alerts = vec![
            (own_arrives, own.clone()),
            (other_arrives, other.clone()),
            (other_arrives, errors.clone()),
        ];
        let book = play(&mut correlator(), alerts, 200);
        assert_eq!(book.standing().len(), 1, "{:?}", book.entries);
        let told: Vec<_> = book.verdicts.iter().filter(|v| v.witness.is_some()).collect();
        assert_eq!(told.len(), 1, "one condition, one witness: {told:?}");
        assert_eq!((told[0].alert, told[0].witness.as_deref()), (own.id, Some("alertmanager")));
    }
}

/// The same alert as another system tells it, under another name.
fn from(system: &str, mut alert: Alert, name: &str) -> Alert {
    alert.source = AlertSource::External { system: system.into() };
    alert.labels.set("alertname", name);
    alert.fingerprint = alert.labels.fingerprint();
    alert.id = AlertId::derive(alert.starts_at, &[&alert.fingerprint.to_string(), system]);
    alert
}

#[test]
fn one_condition_of_three_systems_is_one_with_two_witnesses_in_whatever_order() {
    let own = ours("orders", Indicator::Duration, 0);
    let told = alert("orders", "HighLatency", "warning", 10);
    let dog = from("datadog", told.clone(), "p95 latency of orders");
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        let all = [own.clone(), told.clone(), dog.clone()];
        let alerts = order.iter().zip(0..).map(|(n, i)| (20 + 30 * i, all[*n].clone())).collect();
        let mut c = correlator();
        let book = play(&mut c, alerts, 200);
        let [incident] = book.standing().try_into().expect("one incident");
        assert_eq!((incident.alerts.len(), incident.n_conditions), (3, 1), "{order:?}");
        let mut witnesses: Vec<_> = book
            .verdicts
            .iter()
            .filter(|v| v.alert == own.id)
            .filter_map(|v| v.witness.clone())
            .collect();
        witnesses.sort();
        witnesses.dedup();
        assert_eq!(witnesses, ["alertmanager", "datadog"], "{order:?}");
    }
}

#[test]
fn two_systems_without_ours_are_one_condition_and_two_signals_of_one_system_are_two() {
    let told = alert("orders", "HighLatency", "critical", 0);
    let dog = from("datadog", told.clone(), "p95 latency of orders");
    let errors = alert("orders", "HighErrorRate", "critical", 0);
    let p99 = alert("orders", "HighLatencyP99", "critical", 0);
    let alerts = [&told, &dog, &errors, &p99].map(|a| (20, a.clone())).to_vec();
    let book = play(&mut correlator(), alerts, 100);
    let [incident] = book.standing().try_into().expect("one incident");
    assert_eq!((incident.alerts.len(), incident.n_conditions), (4, 3));
    let seen: Vec<_> = book.verdicts.iter().filter(|v| v.witness.is_some()).collect();
    let [one] = seen.try_into().expect("one witness");
    assert_eq!(one.witness.as_deref(), Some("datadog"));
    assert!([told.id, p99.id].contains(&one.alert), "of the same signal");
}

#[test]
fn witnesses_find_each_other_where_nothing_is_known_of_the_system() {
    let told = alert("orders", "OrdersDown", "critical", 0);
    let told = Alert { indicator: Some(Indicator::Availability), ..told };
    let mut dog = from("datadog", told.clone(), "Orders is down");
    // Datadog says which copy it speaks of; Alertmanager does not.
    dog.labels.set("environment", "prod");
    let mut own = ours("orders", Indicator::Availability, 30);
    own.labels.set("alertname", "AvailabilityLow");
    let mut elsewhere = from("datadog", told.clone(), "Orders is down");
    elsewhere.labels.set("environment", "staging");
    elsewhere.id = AlertId::derive(at(0), &["staging"]);
    let homes = |alerts: &[(i64, &Alert)]| {
        let mut c = Correlator::new(Config { group_wait_s: 1, ..Config::default() });
        let alerts = alerts.iter().map(|(s, a)| (*s, (*a).clone())).collect();
        let book = play(&mut c, alerts, 120);
        book.standing().into_iter().cloned().collect::<Vec<_>>()
    };
    for order in [[5, 10, 40], [10, 5, 40], [5, 45, 40], [45, 5, 40], [45, 50, 35]] {
        let found = homes(&[(order[0], &told), (order[1], &dog), (order[2], &own)]);
        assert_eq!(found.len(), 1, "{order:?}: {found:?}");
        assert_eq!((found[0].alerts.len(), found[0].n_conditions), (3, 1), "{order:?}");
    }
    assert_eq!(homes(&[(5, &dog), (10, &elsewhere)]).len(), 2, "another copy of the system");
}

#[test]
fn labels_that_make_no_other_condition_can_be_chosen() {
    let labels = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Labels>();
    let a = labels(&[("alertname", "Slow"), ("service", "orders"), ("replica", "a"), ("pod", "x")]);
    let b = labels(&[("alertname", "Slow"), ("service", "orders"), ("replica", "b"), ("pod", "y")]);
    let same = |text: &str| {
        let config: Config = toml::from_str(text).expect("settings");
        config.condition().of(&a) == config.condition().of(&b)
    };
    assert!(!same(""), "another pod");
    assert!(same("same_without = [\"replica\", \"pod\"]"));
    assert!(same("same_by = [\"alertname\", \"service\"]"));
    let other = labels(&[("rule", "x")]);
    let config: Config = toml::from_str("same_by = [\"alertname\"]").expect("settings");
    let (one, two) =
        (config.condition().of(&other), config.condition().of(&labels(&[("rule", "y")])));
    assert_ne!(one, two, "where none of them is there, all labels count");
}

#[test]
fn the_chosen_labels_make_a_condition_for_the_search_too() {
    // A rule that tells of its state by different names.
    let told = |name: &str, onset: i64| {
        let mut alert = alert("orders", name, "critical", onset);
        alert.labels.set("rule", "orders-7");
        alert
    };
    let same = |text: &str| {
        let mut c = Correlator::new(toml::from_str(text).expect("settings"));
        c.learn(shop(), Vec::new(), Vec::new());
        let (a, b) = (told("Slow", 0), told("VerySlow", 500));
        play(&mut c, vec![(5, a.clone()), (505, b.clone())], 560);
        let kin = |alert: &Alert| c.evidence.kin(alert.id).expect("looked at");
        kin(&a) == kin(&b)
    };
    assert!(!same(""), "other names, other conditions");
    assert!(same("same_by = [\"rule\"]"), "the later one repeats the earlier");
}

#[test]
fn a_silence_holds_until_it_ends_and_says_who_made_it() {
    let mut c = correlator();
    c.learn(shop(), Vec::new(), vec![silence("service=orders", (0, 300))]);
    let a = alert("orders", "HighErrorRate", "critical", 10);
    let book = play(&mut c, vec![(15, a.clone())], 295);
    assert!(book.incidents.is_empty());
    let held = book.last(&a);
    let why = held.suppressed.as_ref().expect("kept quiet");
    assert_eq!(why.until, Some(at(300)));
    assert!(why.reason.contains("of op until 2026-11-20 03:05 UTC (index rebuild)"), "{why:?}");
    let after = c.decide(at(300));
    assert_eq!(after.incidents.len(), 1, "it still fires when the silence is over");
    assert_eq!(after.verdicts[0].suppressed, None);
}

#[tokio::test]
async fn what_is_held_opened_and_ended_stands_in_the_audit_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let clock = ManualClock::new(at(5));
    let mut stage = Correlate::new(Config::default(), store.clone(), Bus::default(), clock.clone());
    let quiet = alert("pricing", "HighErrorRate", "critical", 0);
    let loud = alert("orders", "HighErrorRate", "warning", 0);
    let (a, b) = (quiet.clone(), loud.clone());
    store
        .write(move |tx| {
            tx.put(&silence("service=pricing", (0, 3_600)))?;
            tx.put(&a)?;
            tx.put(&b)
        })
        .await
        .expect("writes");
    stage.sweep().await.expect("sweeps");
    clock.set(at(40));
    stage.handle(Event::Tick).await.expect("decides");
    let over = [ended(quiet.clone(), 60), ended(loud.clone(), 60)];
    store
        .write(move |tx| {
            for mut alert in over {
                let old = tx.get::<Alert>(alert.id)?.expect("is there");
                (alert.incident, alert.decision) = (old.incident, old.decision);
                tx.put(&alert)?;
            }
            Ok(())
        })
        .await
        .expect("writes");
    for now in [65, 400] {
        clock.set(at(now));
        stage.sweep().await.expect("sweeps");
    }
    let all = AuditFilter { limit: 100, ..AuditFilter::default() };
    let (records, alert) = store
        .read(move |r| Ok((r.audit_records(&all)?, r.get::<Alert>(quiet.id)?)))
        .await
        .expect("reads");
    let texts: Vec<String> =
        records.iter().rev().map(|r| format!("{} {}", r.action, r.detail)).collect();
    let place = |what: &str| texts.iter().position(|t| t.contains(what));
    let order = [
        place("Kept quiet by the silence of op"),
        place("Opened by orders HighErrorRate"),
        place("Opened no incident: it ended after 60 s, while held: Kept quiet"),
        place("Incident resolved: no alert has fired for"),
    ];
    assert!(order.iter().all(Option::is_some), "{texts:#?}");
    assert!(order.windows(2).all(|w| w[0] < w[1]), "{texts:#?}");
    let joins: Vec<&String> = texts.iter().filter(|t| t.starts_with("alert.join")).collect();
    assert_eq!(joins.len(), 1, "{texts:#?}");
    assert!(joins[0].contains(&loud.id.to_string()) && joins[0].contains("Opened"), "{joins:?}");
    assert!(alert.expect("is there").decision.expect("why").starts_with("Opened no incident"));
    assert!(store.read(|r| r.list::<Incident>(&Filter::all())).await.expect("reads").len() == 1);
}
