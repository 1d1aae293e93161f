//! What belongs together becomes one whenever that is learned; what does not stays apart.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::correlate::people::Topic;

#[test]
fn a_dependency_that_is_learned_late_makes_two_incidents_one() {
    let alerts = vec![
        (20, alert("shipping", "HighErrorRate", "critical", 10)),
        (20, alert("notifications", "HighErrorRate", "critical", 0)),
        (25, alert("search", "HighErrorRate", "critical", 5)),
    ];
    let blind = |c: &mut Correlator| {
        let mut graph = Graph::default();
        for (from, to) in CALLS.iter().filter(|(from, _)| *from != "shipping") {
            graph.add(EntityRef::service(*from), EntityRef::service(*to), EdgeKind::Calls);
        }
        // Known by another edge, so that nearness in time does not relate it.
        graph.add(EntityRef::service("shipping"), EntityRef::host("node-9"), EdgeKind::RunsOn);
        graph.add(EntityRef::service("notifications"), EntityRef::host("node-8"), EdgeKind::RunsOn);
        c.learn(graph, Vec::new(), Vec::new());
    };
    let mut c = Correlator::new(Config::default());
    blind(&mut c);
    let mut book = play(&mut c, alerts, 120);
    assert_eq!(book.standing().len(), 3, "{:?}", book.entries);
    c.learn(shop(), Vec::new(), Vec::new());
    book.keep(c.decide(at(130)));
    assert_eq!(book.standing().len(), 2, "{:?}", book.entries);
    let whole = book.standing().into_iter().find(|i| i.alerts.len() == 2).expect("merged");
    let names: std::collections::BTreeSet<&str> =
        whole.entities.iter().map(EntityRef::name).collect();
    assert_eq!(names, ["notifications", "shipping"].into(), "search stays on its own");
    let moved = book.verdicts.iter().rev().find(|v| v.decision.starts_with("Moved here"));
    assert!(moved.expect("a reason").decision.contains("shipping depends on notifications"));
    assert_eq!(c.decide(at(140)), Decisions::default(), "once is enough");
}

#[test]
fn what_a_person_parted_or_took_stays_apart() {
    let mut c = correlator();
    let (a, b) = (
        alert("auth", "HighErrorRate", "critical", 0),
        alert("users", "HighErrorRate", "critical", 5),
    );
    let book = play(&mut c, vec![(10, a.clone()), (10, b.clone())], 60);
    let whole = book.standing()[0].clone();
    assert_eq!(whole.alerts.len(), 2);
    let split = machine::split(&whole, &[b.id], &Actor::nightjar(), at(70), "two faults");
    let split = split.expect("may");
    assert!(machine::was_split(&split.rest, &split.new) && !machine::was_split(&whole, &whole));
    c.load(split.rest, std::slice::from_ref(&a));
    c.load(split.new, std::slice::from_ref(&b));
    let again = c.decide(at(75));
    assert!(again.incidents.iter().all(|i| i.state != IncidentState::Merged), "{again:?}");
    assert_eq!(c.n_waiting(), 0);
}

#[test]
fn what_people_have_split_opens_apart_and_says_so() {
    let topics = |place: &str| [Topic::of("HighErrorRate", &EntityRef::service(place))].into();
    let (one, other) = (topics("auth"), topics("users"));
    let mut lessons = Lessons::default();
    lessons.note(&one, &other, Deed::Split, at(-100));
    let mut c = correlator();
    c.learn_lessons(lessons);
    let cause = alert("auth", "HighErrorRate", "critical", 0);
    let felt = alert("users", "HighErrorRate", "critical", 5);
    let book = play(&mut c, vec![(10, cause), (10, felt.clone())], 120);
    assert_eq!(book.standing().len(), 2, "{:?}", book.entries);
    let said = &book.last(&felt).decision;
    assert!(said.contains("but people have split HighErrorRate of users"), "{said}");
}

#[test]
fn a_crowd_of_alerts_of_several_faults_is_one_incident_for_each() {
    const EACH: i64 = 1_500;
    let faults: [&[(&str, i64)]; 3] = [
        &[("notifications", 0), ("shipping", 15)],
        &[("catalog-db", 0), ("catalog", 10), ("search", 20)],
        &[("auth-db", 0), ("auth", 10), ("users", 20)],
    ];
    let mut alerts = Vec::new();
    let mut expected = BTreeMap::new();
    for (service, onset) in faults.concat() {
        for i in 0..EACH {
            let onset = onset + i % 5;
            let name = format!("Rule{i}ErrorRate");
            alerts.push((onset + 30 + i % 60, alert(service, &name, "critical", onset)));
        }
    }
    for fault in faults {
        let names: Vec<&str> = fault.iter().map(|(service, _)| *service).collect();
        expected.insert(names[0], (names.len(), EACH as usize * names.len()));
    }
    let book = play(&mut correlator(), alerts, 300);
    let found: BTreeMap<&str, (usize, usize)> = book
        .standing()
        .into_iter()
        .map(|i| {
            let root = i.entities.iter().map(EntityRef::name).find(|e| expected.contains_key(e));
            (root.unwrap_or("nothing known"), (i.entities.len(), i.alerts.len()))
        })
        .collect();
    assert_eq!(book.standing().len(), faults.len(), "{:?}", book.entries);
    assert_eq!(found, expected);
}

/// Faults that have nothing to do with each other, each with those who feel it; onsets in seconds
/// after the root's.
const FAULTS: [&[(&str, i64)]; 3] = [
    &[("notifications", 0), ("shipping", 15)],
    &[("catalog-db", 0), ("catalog", 10), ("search", 20), ("recommendations", 25)],
    &[("orders-db", 0), ("orders", 10)],
];

/// Entities of each standing incident.
fn parts(book: &Book) -> BTreeSet<BTreeSet<String>> {
    let names = |i: &Incident| i.entities.iter().map(|e| e.name().to_owned()).collect();
    book.standing().into_iter().map(names).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn independent_faults_stay_apart_in_any_order_of_arrival(
        delays in prop::collection::vec(0_i64..90, 8),
        starts in prop::collection::vec(0_i64..600, 3),
        order in any::<u64>(),
    ) {
        let mut alerts = Vec::new();
        let mut expected = BTreeSet::new();
        let mut n = 0;
        for (fault, start) in FAULTS.iter().zip(&starts) {
            for (service, onset) in *fault {
                let onset = start + onset;
                let made = alert(service, "HighErrorRate", "critical", onset);
                alerts.push((onset + 20 + delays[n], made));
                n += 1;
            }
            expected.insert(fault.iter().map(|(s, _)| (*s).to_owned()).collect::<BTreeSet<_>>());
        }
        // The sort by arrival is stable: this is the order of what comes at one time.
        let turn = order as usize % alerts.len();
        alerts.rotate_left(turn);
        let book = play(&mut correlator(), alerts, 900);
        prop_assert_eq!(parts(&book), expected, "{:?}", book.entries);
    }

    #[test]
    fn what_comes_at_one_time_is_grouped_the_same_in_any_order(order in prop::collection::vec(any::<u32>(), 8)) {
        let mut alerts: Vec<(u32, Alert)> = FAULTS
            .iter()
            .flat_map(|fault| fault.iter())
            .zip(&order)
            .map(|((service, onset), key)| (*key, alert(service, "HighErrorRate", "critical", *onset)))
            .collect();
        let run = |alerts: &[(u32, Alert)]| {
            let mut c = correlator();
            for (_, a) in alerts {
                c.take(a, at(60));
            }
            let (first, last) = (c.decide(at(60)), c.decide(at(90)));
            let incidents = first.incidents.iter().chain(&last.incidents);
            let whole: BTreeMap<_, _> = incidents
                .map(|i| (i.id, (i.title.clone(), i.alerts.iter().copied().collect::<BTreeSet<_>>())))
                .collect();
            let verdicts = first.verdicts.into_iter().chain(last.verdicts);
            let said: BTreeMap<_, _> = verdicts.map(|v| (v.alert, v.decision)).collect();
            (whole, said)
        };
        let before = run(&alerts);
        prop_assert_eq!(before.0.len(), FAULTS.len());
        alerts.sort_by_key(|(key, _)| *key);
        prop_assert_eq!(before, run(&alerts));
    }
}

#[test]
fn bursts_of_one_fault_that_come_in_the_wrong_order_are_one_incident() {
    // Rules that wait for a minute are heard first; what a detector saw at once comes after them.
    let feel = ["auth", "checkout", "cart", "orders", "payments", "users"];
    let mut alerts = Vec::new();
    for (n, service) in feel.into_iter().enumerate() {
        let n = n as i64;
        alerts.push((70, alert(service, "HighErrorRate", "critical", 56)));
        alerts.push((80 + n, alert(service, "HighRequestLatency", "warning", 71)));
        alerts.push((100, alert(service, "SaturationHigh", "warning", 0)));
        alerts.push((102, alert(service, "ErrorsHigh", "critical", n % 2 * 5)));
    }
    let book = play(&mut correlator(), alerts, 400);
    let standing = book.standing();
    assert_eq!(standing.len(), 1, "{:?}", book.entries);
    assert_eq!(standing[0].alerts.len(), 4 * feel.len());
    let merged = book.incidents.values().filter(|i| i.merged_into.is_some()).count();
    assert_eq!(merged, 0, "never a second card: {:?}", book.entries);
}

#[test]
fn a_limit_that_was_crept_to_since_long_before_is_no_part_of_an_incident_at_its_place() {
    let limit = |onset: i64| {
        let mut ahead = alert("orders", "LimitAhead", "warning", onset);
        ahead.source = AlertSource::Detector { detector: "forecast/1".into() };
        ahead.indicator = Some(Indicator::Utilization);
        ahead
    };
    let told = |onset: i64| {
        let failing = alert("orders", "HighErrorRate", "critical", 0);
        let book = play(&mut correlator(), vec![(10, failing), (300, limit(onset))], 600);
        let standing = book.standing();
        (standing.len(), standing.iter().map(|i| i.onset_at).max())
    };
    // It rises for fourteen hours: an incident of its own, and the other keeps its onset.
    assert_eq!(told(-14 * 3_600), (2, Some(at(0))));
    // What the trouble itself fills up belongs to it.
    assert_eq!(told(60), (1, Some(at(0))));
    assert_eq!(told(-600), (1, Some(at(-600))));
}
