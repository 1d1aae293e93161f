//! Page or ticket with its parts, and the kind of an incident.

use super::*;
use crate::model::alert::Band;
use crate::model::{Attention, Diagnosis, Hypothesis, Priority};

fn only(book: &Book) -> Incident {
    let [one] = book.standing().try_into().expect("one incident");
    one.clone()
}

fn priority(book: &Book) -> Priority {
    only(book).priority.expect("it was weighed")
}

/// A warning of ours, told by one series.
fn ours(service: &str, indicator: Indicator, severity: &str) -> Alert {
    let mut made = alert(service, "Departure", severity, 0);
    made.source = AlertSource::Detector { detector: "seasonal/1".into() };
    made.series = Some(crate::model::Fingerprint(1));
    made.indicator = Some(indicator);
    made
}

#[test]
fn what_users_reach_is_a_page_and_what_nobody_calls_is_a_ticket_with_their_parts() {
    let near = ours("checkout", Indicator::Errors, "critical");
    let page = priority(&play(&mut correlator(), vec![(1, near)], 60));
    insta::assert_snapshot!(page.text(), @"page (P2, 5 points, 4 needed for a page): critical; users reach it (frontend is 1 hop up); 2 of 17 services may feel it; one signal alone says so.");

    let mut graph = shop();
    graph.add(EntityRef::service("reports"), EntityRef::service("reports-db"), EdgeKind::Calls);
    let settings = "[priority]\nuser_facing = [\"frontend\"]";
    let mut c = Correlator::new(toml::from_str(settings).expect("settings"));
    c.learn(graph, Vec::new(), Vec::new());
    let far = ours("reports", Indicator::Errors, "critical");
    let ticket = priority(&play(&mut c, vec![(1, far)], 60));
    assert_eq!((ticket.attention, ticket.level), (Attention::Ticket, 3), "{}", ticket.text());
    assert!(ticket.text().contains("no service that users reach calls it"), "{}", ticket.text());
    assert_eq!(ticket.points, ticket.parts.iter().map(|p| p.points).sum::<i32>());
}

#[test]
fn a_fast_burn_and_lost_orders_raise_it_and_say_by_how_much() {
    let mut burn = ours("auth", Indicator::Errors, "critical");
    burn.labels.set("objective", "checkout-availability");
    burn.labels.set("urgency", "page");
    burn.value = Some(14.2);
    let mut orders = ours("checkout", Indicator::Custom, "critical");
    orders.labels.set("alertname", "Unusual");
    orders.annotations.set("stake", "business orders");
    (orders.value, orders.expected) =
        (Some(69.0), Some(Band { low: 90.0, mid: 100.0, high: 110.0 }));
    orders.id = AlertId::derive(at(0), &["orders"]);
    let book = play(&mut correlator(), vec![(1, burn), (1, orders)], 60);
    let told = priority(&book).text();
    assert!(told.starts_with("page (P1, "), "{told}");
    for part in ["checkout-availability burns 14×", "orders −31 %", "frontend is 1 hop up"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_lone_rule_of_another_system_in_an_unknown_place_pages_as_its_owner_says() {
    let told = |severity| {
        let alert = alert("legacy", "HighErrorRate", severity, 0);
        priority(&play(&mut correlator(), vec![(1, alert)], 60)).attention
    };
    assert_eq!((told("critical"), told("warning")), (Attention::Page, Attention::Ticket));
}

fn diagnosis(incident: &Incident, change: &Change) -> Diagnosis {
    let sample = crate::approve::tests::sample::diagnosis("change");
    let first = sample.hypotheses.first().expect("it has one").clone();
    let entity = EntityRef::service("auth-db");
    Diagnosis {
        incident: incident.id,
        hypotheses: vec![Hypothesis { entity, change: Some(change.id), ..first }],
        conclusive: true,
        first_look: false,
        changes: vec![change.clone()],
        ..sample
    }
}

#[test]
fn the_kind_follows_from_the_alerts_and_then_from_the_diagnosis() {
    let change = |kind, entity: &str, seconds| Change {
        id: ChangeId::derive(at(seconds), &[entity]),
        kind,
        entity: EntityRef::service(entity),
        at: at(seconds),
        title: "a change".into(),
        version: None,
        previous: None,
        author: None,
        url: None,
        source: "webhook".into(),
        status: "success".into(),
        attributes: Labels::default(),
        diff: Vec::new(),
    };
    let deploy = change(ChangeKind::Deploy, "pricing", -120);
    let policy = change(ChangeKind::NetworkPolicy, "auth-db", -60);
    let kind = |incident: &Incident| {
        let kind = incident.taxonomy.clone().expect("it has one");
        [kind.category, kind.trigger, kind.component]
    };
    let mut c = Correlator::new(Config { deploy_tolerance_s: 0, ..Config::default() });
    c.learn(shop(), vec![deploy.clone()], Vec::new());
    let slow = alert("cart", "HighLatency", "critical", 0);
    let mut book = play(&mut c, vec![(1, slow)], 60);
    assert_eq!(kind(&only(&book)), ["latency", "deploy", "service"]);

    let made = diagnosis(&only(&book), &policy);
    c.diagnosed(&made);
    book.keep(c.decide(at(65)));
    assert_eq!(kind(&only(&book)), ["latency", "network_policy", "database"]);
    c.diagnosed(&made);
    assert!(c.decide(at(70)).incidents.is_empty(), "the same says nothing new");
}
