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
    let mut c = Correlator::new(Config::default());
    c.learn(graph.clone(), Vec::new(), Vec::new());
    let made = |(service, onset): &(&str, i64)| {
        (onset + 20, alert(service, "HighErrorRate", "critical", *onset))
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
