//! Common causes: what runs on one node fails together.

use std::collections::BTreeSet;

use super::*;

/// Six services on one node and three on another, none of which calls any other.
fn nodes() -> Graph {
    let mut graph = Graph::default();
    for (service, node) in [
        ("billing", "node-1"),
        ("images", "node-1"),
        ("mail", "node-1"),
        ("reports", "node-1"),
        ("search", "node-1"),
        ("sessions", "node-1"),
        ("tax", "node-2"),
        ("theme", "node-2"),
        ("tickets", "node-2"),
    ] {
        graph.add(EntityRef::service(service), EntityRef::host(node), EdgeKind::RunsOn);
    }
    graph
}

fn on(graph: &Graph, alerts: &[(&str, i64)]) -> Vec<BTreeSet<String>> {
    told_on(graph, alerts, &[])
}

/// The same, with labels for alerts of a service.
fn told_on(
    graph: &Graph,
    alerts: &[(&str, i64)],
    labels: &[(&str, &[(&str, &str)])],
) -> Vec<BTreeSet<String>> {
    let mut c = Correlator::new(Config::default());
    c.learn(graph.clone(), Vec::new(), Vec::new());
    let made = |(service, onset): &(&str, i64)| {
        let mut made = alert(service, "HighErrorRate", "critical", *onset);
        let told = labels.iter().filter(|(of, _)| of == service);
        for (name, value) in told.flat_map(|(_, labels)| labels.iter()) {
            made.labels = made.labels.with(*name, *value);
        }
        made.fingerprint = made.labels.fingerprint();
        (onset + 20, made)
    };
    let book = play(&mut c, alerts.iter().map(made).collect(), 400);
    let name = |e: &EntityRef| e.name().to_owned();
    let mut found: Vec<BTreeSet<String>> =
        book.standing().iter().map(|i| i.entities.iter().map(name).collect()).collect();
    found.sort_by_key(|names| std::cmp::Reverse(names.len()));
    found
}

#[test]
fn services_on_one_node_that_fail_together_are_one_incident_and_the_rest_is_apart() {
    let alerts =
        [("billing", 0), ("images", 9), ("mail", 14), ("reports", 22), ("search", 31), ("tax", 12)];
    let found = on(&nodes(), &alerts);
    let together = ["billing", "images", "mail", "reports", "search"].map(str::to_owned);
    assert_eq!(found, [together.into(), BTreeSet::from(["tax".to_owned()])], "{found:?}");
}

/// Services that nobody tells anything of.
fn unknown() -> Graph {
    let mut graph = Graph::default();
    for name in ["billing", "images", "mail", "reports", "search", "tax", "theme", "tickets"] {
        graph.add(
            EntityRef::service(name),
            EntityRef::service(format!("{name}-db")),
            EdgeKind::Calls,
        );
    }
    graph
}

#[test]
fn the_node_that_alerts_name_is_what_they_share_though_the_graph_does_not_know_it() {
    let here: &[(&str, &str)] = &[("node", "node-1")];
    let there: &[(&str, &str)] = &[("node", "node-2")];
    let labels = [
        ("billing", here),
        ("images", here),
        ("mail", here),
        ("reports", here),
        ("search", here),
        ("tax", there),
    ];
    let alerts =
        [("billing", 0), ("images", 9), ("mail", 14), ("reports", 22), ("search", 31), ("tax", 12)];
    let found = told_on(&unknown(), &alerts, &labels);
    let together = ["billing", "images", "mail", "reports", "search"].map(str::to_owned);
    assert_eq!(found[0], BTreeSet::from(together), "{found:?}");
    assert!(found[1].contains("tax") && found.len() == 2, "{found:?}");
}

#[test]
fn a_zone_fails_though_it_and_its_nodes_are_silent() {
    let node = |n: &'static str, zone| -> [(&str, &str); 2] { [("node", n), ("zone", zone)] };
    let [one, two, three] = ["node-1", "node-2", "node-3"].map(|n| node(n, "east-1"));
    let labels: [(&str, &[(&str, &str)]); 7] = [
        ("billing", &one),
        ("images", &one),
        ("mail", &two),
        ("reports", &two),
        ("search", &three),
        ("tax", &three),
        ("theme", &node("node-4", "east-2")),
    ];
    let alerts =
        [("billing", 0), ("images", 9), ("mail", 14), ("reports", 22), ("search", 31), ("tax", 12)];
    let elsewhere = [alerts.as_slice(), &[("theme", 17)]].concat();
    let found = told_on(&unknown(), &elsewhere, &labels);
    assert_eq!((found.len(), found[0].len()), (2, 6), "{found:?}");
    // Where each alert carries the same zone, that says nothing.
    let found = told_on(&unknown(), &alerts, &labels);
    assert!(found.len() > 1, "{found:?}");
}

#[test]
fn a_node_is_known_by_the_name_that_labels_give_it_and_told_nodes_count_beside_unknown_ones() {
    let alerts =
        [("billing", 0), ("images", 9), ("mail", 14), ("reports", 22), ("search", 31), ("tax", 12)];
    let together =
        BTreeSet::from(["billing", "images", "mail", "reports", "search"].map(str::to_owned));
    let found = |graph: &Graph, one: &str, two: &str| {
        let (one, two) = ([("node", one)], [("node", two)]);
        let labels: [(&str, &[(&str, &str)]); 3] =
            [("billing", &one), ("images", &one), ("tax", &two)];
        told_on(graph, &alerts, &labels)[0].clone()
    };
    // Where some of them run only their labels say, and of the others the graph alone knows it.
    let mut half = unknown();
    for service in ["mail", "reports", "search"] {
        half.add(EntityRef::service(service), EntityRef::host("node-1"), EdgeKind::RunsOn);
    }
    assert_eq!(found(&half, "node-1.example.com", "node-2.example.com"), together);
    // A name that nobody else gives it is no reason to take it for another node.
    assert_eq!(found(&nodes(), "other-1", "other-2"), together);
}

#[test]
fn what_calls_the_one_thing_that_was_just_changed_is_one_incident_though_that_is_silent() {
    let found = |changed: Option<(&str, i64)>| -> Vec<Vec<String>> {
        let mut graph = unknown();
        for service in ["billing", "images", "mail"] {
            graph.add(EntityRef::service(service), EntityRef::service("pricing"), EdgeKind::Calls);
        }
        let change = changed.map(|(service, second)| Change {
            id: ChangeId::derive(at(second), &["c"]),
            kind: ChangeKind::Deploy,
            entity: EntityRef::service(service),
            at: at(second),
            title: "deploy 2.0.1".into(),
            version: None,
            previous: None,
            author: None,
            url: None,
            source: "test".into(),
            status: "success".into(),
            attributes: Labels::default(),
            diff: Vec::new(),
        });
        let mut c = Correlator::new(Config::default());
        c.learn(graph, change.into_iter().collect(), Vec::new());
        let alerts = [("billing", 0), ("mail", 9), ("images", 18)];
        let made = alerts
            .map(|(name, second)| (20 + second, alert(name, "HighErrorRate", "critical", second)));
        let book = play(&mut c, made.into(), 400);
        let names = |i: &Incident| i.entities.iter().map(|e| e.name().to_owned()).collect();
        let mut found: Vec<Vec<String>> = book
            .standing()
            .iter()
            .map(|i| {
                let mut all: Vec<String> = names(i);
                all.sort();
                all
            })
            .collect();
        found.sort();
        found
    };
    let apart = [["billing"], ["images"], ["mail"]];
    assert_eq!(found(Some(("pricing", -20))), [["billing", "images", "mail"]]);
    assert_eq!(found(None), apart, "nothing was changed");
    assert_eq!(found(Some(("theme", -20))), apart, "something else was changed");
    assert_eq!(found(Some(("pricing", -7_200))), apart, "that was two hours ago");
}
