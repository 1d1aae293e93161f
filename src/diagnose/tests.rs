//! The ranking on hand-made faults.

mod again;
mod chance;
mod faults;
mod looks;
pub(super) mod made;
mod named;
mod priors;
mod provider;
mod separate;
mod sweeps;
mod waited;
mod whole;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::alert::{AlertStatus, Band};
use crate::model::time::SECOND_MS;
use crate::model::topology::EdgeKind;
use crate::model::{
    Alert, AlertId, AlertSource, AnomalyId, Change, ChangeId, ChangeKind, EntityRef, Graph,
    Incident, IncidentId, IncidentState, Indicator, Labels, Severity, Time,
};
use made::Dice;

pub(super) fn at(seconds: i64) -> Time {
    Time::parse("2026-11-20T03:00:00Z").expect("valid").plus_ms(seconds * SECOND_MS)
}

pub(super) fn service(name: &str) -> EntityRef {
    EntityRef::service(name)
}

/// One of our own alerts; a negative score means that the value is below its band.
pub(super) fn alert(entity: &EntityRef, indicator: Indicator, score: f64, onset: i64) -> Alert {
    let name = match indicator {
        Indicator::Duration => "DurationHigh",
        Indicator::Errors => "ErrorsHigh",
        Indicator::Saturation => "SaturationHigh",
        Indicator::Utilization => "UtilizationHigh",
        Indicator::Rate => "TrafficHigh",
        _ => "UsageUnusual",
    };
    let labels = Labels::default()
        .with("alertname", name)
        .with("entity", entity.to_string())
        .with("metric", format!("{indicator:?}"));
    let fingerprint = labels.fingerprint();
    let word = fingerprint.to_string();
    Alert {
        id: AlertId::derive(at(onset), &[&word]),
        fingerprint,
        annotations: Labels::default().with("summary", format!("{} {name}", entity.name())),
        source: AlertSource::Detector { detector: "seasonal/1".into() },
        entity: entity.clone(),
        indicator: Some(indicator),
        severity: Severity::Warning,
        starts_at: at(onset),
        ends_at: None,
        known_at: None,
        updated_at: at(onset + 60),
        status: AlertStatus::Firing,
        anomaly: Some(AnomalyId::derive(at(onset), &[&word])),
        series: None,
        value: Some(if score < 0.0 { -100.0 } else { 100.0 }),
        expected: Some(Band { low: -1.0, mid: 0.0, high: 1.0 }),
        score: score.abs(),
        n_reports: 1,
        witnesses: Vec::new(),
        incident: None,
        suppressed: None,
        decision: None,
        labels,
    }
}

pub(super) fn change(entity: &EntityRef, kind: ChangeKind, seconds: i64) -> Change {
    let title = format!("{kind:?} of {}", entity.name());
    Change {
        id: ChangeId::derive(at(seconds), &[&entity.to_string(), &title]),
        kind,
        entity: entity.clone(),
        at: at(seconds),
        title,
        version: None,
        previous: None,
        author: None,
        url: None,
        source: "webhook".into(),
        status: "success".into(),
        attributes: Labels::default(),
        diff: Vec::new(),
    }
}

fn graph(calls: &[(&str, &str)], runs: &[(&str, &str)]) -> Graph {
    let mut graph = Graph::default();
    for (from, to) in calls {
        graph.add(service(from), service(to), EdgeKind::Calls);
    }
    for (from, to) in runs {
        graph.add(service(from), EntityRef::host(*to), EdgeKind::RunsOn);
    }
    graph
}

pub(super) fn input(graph: Graph, alerts: Vec<Alert>, changes: Vec<Change>) -> Input {
    let onset_at = alerts.iter().map(|a| a.starts_at).min().unwrap_or(at(0));
    let mut entities: Vec<EntityRef> = alerts.iter().map(|a| a.entity.clone()).collect();
    entities.dedup();
    let incident = Incident {
        id: IncidentId::derive(onset_at, &["test"]),
        number: 1,
        title: "checkout slow".into(),
        state: IncidentState::Open,
        severity: Severity::Critical,
        onset_at,
        opened_at: onset_at,
        updated_at: onset_at,
        acknowledged_at: None,
        quiet_since: None,
        resolved_at: None,
        owner: None,
        entities,
        alerts: alerts.iter().map(|a| a.id).collect(),
        n_reports: alerts.len() as u64,
        leading: alerts.first().map(|a| a.id),
        merged_into: None,
        category: None,
        closed_by: None,
        declared_by: None,
        n_reopened: 0,
        reopened_at: None,
        priority: None,
        taxonomy: None,
        untold: None,
        n_conditions: 0,
    };
    Input {
        incident,
        alerts,
        graph,
        changes,
        onsets: BTreeMap::new(),
        logs: BTreeMap::new(),
        calls: CallsByEdge::new(),
        similar: Vec::new(),
        causes: crate::learn::Causes::default(),
        weighed: Standings::new(),
        demands: Demands::new(),
        early: false,
        separates: BTreeMap::new(),
        measured: std::collections::BTreeSet::new(),
        proofs: Proofs::default(),
    }
}

/// What stands first, with its pattern, and whether it stands out.
fn first(input: &Input) -> (String, String, bool) {
    let ranked = rank(input);
    let known = |p: &str| crate::model::diagnosis::PATTERNS.contains(&p);
    assert!(ranked.hypotheses.iter().all(|h| known(&h.pattern)), "{ranked:?}");
    let h = ranked.hypotheses.first().expect("there is trouble");
    (h.entity.name().to_owned(), h.pattern.clone(), ranked.conclusive)
}

pub(super) fn chain() -> Graph {
    graph(&[("web", "shop"), ("shop", "stock"), ("stock", "store"), ("web", "other")], &[])
}

#[test]
fn a_database_that_its_changed_caller_loads_is_an_effect() {
    use Indicator::{Duration, Saturation, Usage};
    let (web, shop, stock, store) =
        (service("web"), service("shop"), service("stock"), service("store"));
    let alerts = vec![
        alert(&web, Duration, 60.0, 60),
        alert(&shop, Duration, 150.0, 15),
        alert(&stock, Duration, 395.0, 0),
        alert(&stock, Saturation, 2_900.0, 0),
        alert(&store, Saturation, 14.0, 0),
        alert(&store, Usage, 440.0, 0),
    ];
    let deploy = change(&stock, ChangeKind::Deploy, -40);
    let with = input(chain(), alerts.clone(), vec![deploy.clone()]);
    assert_eq!(first(&with), ("stock".into(), "saturation".into(), true));
    let ranked = rank(&with);
    assert_eq!(ranked.hypotheses[0].change, Some(deploy.id));
    let way: Vec<&str> = ranked.hypotheses[0].impact_chain.iter().map(EntityRef::name).collect();
    assert_eq!(way, ["stock", "shop", "web"]);
    // Even where the database got slow itself.
    let mut slow = alerts.clone();
    slow.push(alert(&store, Duration, 30.0, 0));
    assert_eq!(first(&input(chain(), slow.clone(), vec![deploy])).0, "stock");
    // Without the change, a database that is slow is the cause of those who wait for it.
    assert_eq!(first(&input(chain(), slow, Vec::new())).0, "store");
}

#[test]
fn a_database_that_changed_itself_or_hurts_others_too_is_the_cause() {
    use Indicator::{Duration, Saturation};
    let (stock, store, mail) = (service("stock"), service("store"), service("mail"));
    let mut calls = chain();
    calls.add(mail.clone(), store.clone(), EdgeKind::Calls);
    let alerts = vec![
        alert(&stock, Duration, 200.0, 5),
        alert(&mail, Duration, 200.0, 5),
        alert(&store, Duration, 100.0, 0),
        alert(&store, Saturation, 100.0, 0),
    ];
    let deploy = change(&stock, ChangeKind::Deploy, -600);
    assert_eq!(first(&input(calls.clone(), alerts.clone(), vec![deploy.clone()])).0, "store");
    let own = change(&store, ChangeKind::Schema, -30);
    assert_eq!(first(&input(calls, alerts, vec![own, deploy])).0, "store");
}

#[test]
fn a_cut_below_a_service_spares_whom_it_no_longer_reaches() {
    use Indicator::{Errors, Usage};
    let users = ["web", "cart", "pay", "mail", "ship"];
    let mut calls: Vec<(&str, &str)> = users.iter().map(|u| (*u, "auth")).collect();
    calls.extend([("auth", "auth-store"), ("web", "cart")]);
    let mut alerts: Vec<Alert> =
        users.iter().map(|u| alert(&service(u), Errors, 300.0, 20)).collect();
    alerts.push(alert(&service("auth"), Errors, 200.0, 0));
    alerts.push(alert(&service("auth-store"), Usage, -50.0, 0));
    let policy = change(&service("auth"), ChangeKind::NetworkPolicy, -20);
    let with = input(graph(&calls, &[]), alerts.clone(), vec![policy]);
    assert_eq!(first(&with), ("auth".into(), "network_policy".into(), true));
    assert_eq!(first(&input(graph(&calls, &[]), alerts, Vec::new())).0, "auth");
}

#[test]
fn a_shared_host_is_the_cause_unless_its_tenant_changed() {
    use Indicator::{Duration, Usage, Utilization};
    let (search, mail, node) = (service("search"), service("mail"), EntityRef::host("n2"));
    let g = || graph(&[("web", "search")], &[("search", "n2"), ("mail", "n2")]);
    let alerts = vec![
        alert(&search, Duration, 300.0, 10),
        alert(&node, Utilization, 30.0, 0),
        alert(&service("web"), Duration, 40.0, 30),
    ];
    let job = change(&node, ChangeKind::Other, -20);
    assert_eq!(
        first(&input(g(), alerts.clone(), vec![job])),
        ("n2".into(), "noisy_neighbour".into(), true)
    );
    assert_eq!(first(&input(g(), alerts.clone(), Vec::new())).0, "n2");
    let mut busy = alerts;
    busy.push(alert(&search, Usage, 90.0, 0));
    let deploy = change(&search, ChangeKind::Deploy, -20);
    assert_eq!(first(&input(g(), busy, vec![deploy])).0, "search");
    assert!(mail.is_service());
}

#[test]
fn unrelated_trouble_is_inconclusive_and_a_stale_or_later_change_does_not_count() {
    let alerts: Vec<Alert> =
        ["a", "b", "c"].iter().map(|n| alert(&service(n), Indicator::Duration, 20.0, 0)).collect();
    assert!(!rank(&input(Graph::default(), alerts.clone(), Vec::new())).conclusive);
    let late = change(&service("a"), ChangeKind::Deploy, 180);
    let old = change(&service("b"), ChangeKind::Deploy, -3 * 3_600);
    let ranked = rank(&input(Graph::default(), alerts.clone(), vec![late, old]));
    assert!(ranked.hypotheses.iter().all(|h| h.change.is_none()));
    let near = change(&service("c"), ChangeKind::Deploy, -30);
    assert_eq!(first(&input(Graph::default(), alerts, vec![near])).0, "c");
}

fn calls(mean_ms: f64, mean_before_ms: f64, n_failed: u64) -> Calls {
    Calls { n: 100, n_failed, mean_ms, n_before: 200, n_failed_before: 0, mean_before_ms }
}

#[test]
fn what_its_callers_do_not_wait_for_is_cleared_and_slow_queries_are_named() {
    use Indicator::{Duration, Saturation};
    let (stock, store) = (service("stock"), service("store"));
    let alerts = vec![alert(&stock, Duration, 200.0, 0), alert(&store, Saturation, 20.0, 0)];
    let mut with = input(chain(), alerts.clone(), Vec::new());
    let edge = (stock.clone(), store.clone());
    assert_eq!(first(&with).0, "store", "short of something, and nothing speaks for it");
    with.calls.insert(edge.clone(), calls(6.5, 6.0, 0));
    assert_eq!(first(&with).0, "stock", "its calls take no longer than before");
    let deploy = change(&stock, ChangeKind::Deploy, -40);
    let mut slow = input(chain(), alerts, vec![deploy]);
    slow.calls.insert(edge.clone(), calls(112.0, 8.0, 0));
    assert_eq!(first(&slow), ("stock".into(), "slow_queries".into(), true));
    let said = &rank(&slow).hypotheses[0].statement;
    assert!(
        said.starts_with("queries of stock to store became slow after Deploy of stock"),
        "{said}"
    );
    slow.calls.insert(edge, calls(7.0, 6.0, 0));
    assert_eq!(first(&slow).1, "deploy");
    let mut measured = slow.clone();
    let mut queries = alert(&stock, Duration, 50.0, 0);
    queries.labels.set("metric", "db.client.operation.duration p95");
    measured.alerts.push(queries);
    assert_eq!(first(&measured).1, "slow_queries");
}

#[test]
fn logs_and_earlier_incidents_add_their_share_with_their_evidence() {
    use Indicator::Duration;
    let (a, b) = (service("a"), service("b"));
    let alerts = vec![alert(&a, Duration, 50.0, 0), alert(&b, Duration, 50.0, 0)];
    let mut with = input(Graph::default(), alerts, Vec::new());
    assert!(!rank(&with).conclusive);
    let log = crate::model::EvidenceId::derive(at(0), &["log"]);
    let sign = LogSign {
        template: "no space left on <*>".into(),
        n: 40,
        n_before: 0,
        first_at: at(0),
        until: at(60),
        cut: Cut::default(),
        is_error: true,
        evidence: log,
    };
    with.logs.insert(b.clone(), vec![sign]);
    let old = crate::model::EvidenceId::derive(at(0), &["old"]);
    with.similar.push(Past {
        incident: IncidentId::derive(at(-90_000), &["old"]),
        number: 3,
        similarity: 0.9,
        entity: b.clone(),
        pattern: "saturation".into(),
        fixed_by: Some("pool/restore on b: helped".into()),
        evidence: old,
    });
    let ranked = rank(&with);
    let best = &ranked.hypotheses[0];
    assert_eq!((&best.entity, ranked.conclusive), (&b, true));
    assert!(best.evidence.contains(&log) && best.evidence.contains(&old));
    let of = |name: &str| best.parts.iter().find(|p| p.name == name).expect("it has that part");
    assert_eq!((of("logs").contribution, of("logs").evidence.as_slice()), (0.7, &[log][..]));
    assert!((of("similar").contribution - 0.72).abs() < 1e-9);
    assert!(of("similar").why.contains("incident #3 (90 % alike)"), "{}", of("similar").why);
}

#[test]
fn a_leak_ahead_names_the_deploy_that_it_began_with() {
    let shop = service("shop");
    let mut ahead = alert(&shop, Indicator::Usage, 4.0, 300);
    ahead.labels.set("alertname", "LimitAhead");
    ahead.labels.set("metric", "container.memory.working_set");
    let deploy = change(&shop, ChangeKind::Deploy, 0);
    let with = input(chain(), vec![ahead.clone()], vec![deploy.clone()]);
    assert_eq!(first(&with), ("shop".into(), "resource_leak".into(), true));
    assert_eq!(rank(&with).hypotheses[0].change, Some(deploy.id));
    // Later signs of the same do not make the change count less.
    let weight = |i: &Input| {
        let parts = rank(i).hypotheses[0].parts.clone();
        parts.iter().find(|p| p.name == "change").map(|p| p.contribution)
    };
    let later = alert(&shop, Indicator::Usage, 20.0, 3_000);
    assert_eq!(weight(&input(chain(), vec![ahead, later], vec![deploy])), weight(&with));
}

#[test]
fn a_change_without_a_sign_of_its_own_is_a_weaker_suspect_than_the_troubled() {
    use Indicator::Duration;
    let (shop, stock) = (service("shop"), service("stock"));
    let flag = change(&stock, ChangeKind::Flag, -60);
    let mut with = input(chain(), vec![alert(&shop, Duration, 80.0, 0)], vec![flag.clone()]);
    with.measured = [shop.clone(), stock.clone()].into();
    let ranked = rank(&with);
    assert_eq!(ranked.hypotheses[0].entity, shop);
    let other = ranked.hypotheses.iter().find(|h| h.entity == stock).expect("it is a candidate");
    assert_eq!(other.change, Some(flag.id));
    assert!(other.parts.iter().any(|p| p.why.contains("none of its signals is out")));
    // Named by an attribute, it concerns the troubled one itself.
    let mut named =
        change(&EntityRef::new("k8s.networkpolicy.name", "egress"), ChangeKind::NetworkPolicy, -30);
    named.attributes.set("target", "shop");
    let config = change(&shop, ChangeKind::Config, -30);
    let set = input(chain(), vec![alert(&shop, Duration, 80.0, 0)], vec![config]);
    assert_eq!(first(&set).1, "change");
    let said = rank(&set).hypotheses[0].statement.clone();
    assert_eq!(said, "Config of shop, since 03:00:00 UTC.", "its name is said once");
    let with = input(chain(), vec![alert(&shop, Duration, 80.0, 0)], vec![named]);
    assert_eq!(first(&with), ("shop".into(), "network_policy".into(), true));
}

proptest! {
    #[test]
    fn order_of_arrival_changes_nothing_and_shares_add_up(
        what in prop::collection::vec((0..6_usize, 0..6_usize, 1.0_f64..500.0, 0..300_i64), 1..24),
        deploys in prop::collection::vec((0..6_usize, -3_000..100_i64), 0..4),
        seed in any::<u64>(),
    ) {
        use Indicator::{Duration, Errors, Rate, Saturation, Usage, Utilization};
        let names = ["web", "shop", "stock", "store", "other", "alone"];
        let kinds = [Duration, Errors, Rate, Saturation, Usage, Utilization];
        let mut alerts: Vec<Alert> = what
            .iter()
            .map(|(e, k, score, onset)| alert(&service(names[*e]), kinds[*k], *score, *onset))
            .collect();
        let mut changes: Vec<Change> = deploys
            .iter()
            .map(|(e, s)| change(&service(names[*e]), ChangeKind::Deploy, *s))
            .collect();
        let leading = alerts.iter().map(|a| a.id).min();
        let make = |alerts: &[Alert], changes: &[Change]| {
            let mut made = input(chain(), alerts.to_vec(), changes.to_vec());
            made.incident.leading = leading;
            rank(&made)
        };
        let before = make(&alerts, &changes);
        let turn = seed as usize % alerts.len();
        alerts.rotate_left(turn);
        alerts.reverse();
        changes.reverse();
        let after = make(&alerts, &changes);
        prop_assert_eq!(&before.hypotheses, &after.hypotheses);
        let sum: f64 = before.hypotheses.iter().map(|h| h.confidence).sum();
        prop_assert!(sum > 0.0 && sum <= 1.0 + 1e-9);
        let score = |h: &crate::model::Hypothesis| {
            h.parts.iter().map(|p| p.contribution).sum::<f64>()
        };
        for pair in before.hypotheses.windows(2) {
            prop_assert!(score(&pair[0]) >= score(&pair[1]) - 1e-9);
            prop_assert!(pair[0].confidence >= pair[1].confidence - 1e-9);
        }
        prop_assert!(before.hypotheses.iter().all(|h| h.impact_chain.first() == Some(&h.entity)));
    }
}

#[test]
fn what_is_asked_for_more_from_outside_is_traffic_and_who_asks_more_by_itself_is_the_cause() {
    use Indicator::Duration;
    let (shop, stock) = (service("shop"), service("stock"));
    let alerts = vec![alert(&stock, Duration, 90.0, 0), alert(&shop, Duration, 60.0, 10)];
    let demand = |rose: bool| {
        let since = if rose { 24.0 } else { 10.0 };
        Demand { before: 10.0, since, rose, since_when: None }
    };
    let demands = |rose: &[&str]| -> Demands {
        let each = |n: &&str| (service(n), demand(rose.contains(n)));
        ["web", "shop", "stock", "store"].iter().map(each).collect()
    };
    let mut with = input(chain(), alerts, Vec::new());
    assert_eq!(first(&with).0, "stock", "nothing is known of requests");
    // The entry shows no trouble of its own.
    with.demands = demands(&["web", "shop", "stock", "store"]);
    let (entity, pattern, _) = first(&with);
    assert_eq!((entity.as_str(), pattern.as_str()), ("web", "traffic"));
    let best = rank(&with).hypotheses.remove(0);
    let part = best.parts.iter().find(|p| p.name == "traffic").expect("it has that part");
    assert_eq!(
        part.why,
        "more requests come in there (2.4 times as many), and no known service calls it"
    );
    let (told, _) = without(&with, &rank(&with));
    assert!(told.iter().any(|c| c.part == "traffic" && c.place != Some(1)), "{told:#?}");
    with.demands = demands(&["stock", "store"]);
    assert_eq!(first(&with).0, "shop", "it calls stock more often, and is not called more itself");
    with.demands = demands(&[]);
    assert_eq!(first(&with).0, "stock");
}

#[test]
fn what_separates_bad_requests_speaks_for_the_change_that_brought_it() {
    use Indicator::Duration;
    let names = ["a", "b"].map(service);
    let alerts = names.iter().map(|e| alert(e, Duration, 50.0, 0)).collect();
    let deploys = names.iter().map(|e| {
        let version = Some("2.1".to_owned());
        Change { version, ..change(e, ChangeKind::Deploy, -60) }
    });
    let mut with = input(Graph::default(), alerts, deploys.collect());
    assert!(!rank(&with).conclusive);
    let evidence = crate::model::EvidenceId::derive(at(0), &["separates"]);
    let separation = |attribute: &str, value: &str| Separation {
        attribute: attribute.into(),
        value: value.into(),
        at_least: 9.0,
        said: "62 % of the 196 requests of b with it fail, 0 % of 153 others".into(),
        evidence,
    };
    let b = names[1].clone();
    with.separates.insert(b.clone(), vec![separation("service.version", "2.1")]);
    let ranked = rank(&with);
    assert_eq!(ranked.hypotheses[0].entity, b);
    let part = ranked.hypotheses[0].parts.iter().find(|p| p.name == "requests").expect("there");
    assert_eq!((part.contribution, part.evidence.as_slice()), (0.8, &[evidence][..]));
    let (told, _) = without(&with, &ranked);
    assert!(told.iter().any(|c| c.part == "requests"), "{told:#?}");
    // Another version than the one that was brought, or a tenant, speaks for no candidate.
    for (attribute, value) in [("service.version", "2.0"), ("tenant.id", "b")] {
        with.separates.insert(b.clone(), vec![separation(attribute, value)]);
        let parts = |h: &crate::model::Hypothesis| h.parts.iter().any(|p| p.name == "requests");
        assert!(!rank(&with).hypotheses.iter().any(parts), "{attribute}");
    }
}
