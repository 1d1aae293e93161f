//! What a storm in one incident costs: walks of the graph, counted.

use super::*;
use crate::correlate::group::{Group, Member};
use crate::correlate::relate::{self, WALKS};
use crate::model::topology::EdgeKind;

fn place(n: usize) -> EntityRef {
    EntityRef::service(format!("s{n}"))
}

fn felt(n: usize, onset: i64) -> Alert {
    let mut made = alert(&format!("s{n}"), "HighErrorRate", "critical", onset);
    made.source = AlertSource::Detector { detector: "seasonal/1".into() };
    made
}

fn put(group: &mut Group, graph: &Graph, alert: &Alert) {
    group.put(graph, &Config::default(), alert.id, Member::of(alert));
}

fn walked(work: impl FnOnce()) -> usize {
    WALKS.set(0);
    work();
    WALKS.get()
}

#[test]
fn who_joins_an_incident_of_hundreds_costs_a_few_walks_of_the_graph() {
    const N: usize = 300;
    let mut graph = Graph::default();
    for n in 0..N {
        graph.add(place(n), EntityRef::service("db"), EdgeKind::Calls);
    }
    let first = alert("db", "ConnectionsSaturated", "critical", 0);
    let mut group = Group::open(first.id, &Member::of(&first), at(0));
    put(&mut group, &graph, &first);
    let walks = walked(|| (0..N).for_each(|n| put(&mut group, &graph, &felt(n, n as i64))));
    assert!(walks <= 2 * N, "{walks} walks for {N}");
    assert_eq!(group.explained.len(), N, "all but the root");
    // Whether one of them may stay is asked of each.
    let mut c = Correlator::new(Config::default());
    c.learn(graph, Vec::new(), Vec::new());
    let walks = walked(|| assert!((0..N).all(|n| c.graph_keeps(&felt(n, n as i64), &group))));
    assert!(walks <= 4 * N, "{walks} walks for {N}");
}

#[test]
fn what_is_explained_follows_each_that_joins_and_is_what_a_look_at_all_would_give() {
    let mut seed = 7_u64;
    let mut draw = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    for _ in 0..20 {
        let mut graph = Graph::default();
        for _ in 0..40 {
            graph.add(place(draw(25)), place(draw(25)), EdgeKind::Calls);
        }
        let first = felt(draw(25), 0);
        let mut group = Group::open(first.id, &Member::of(&first), at(0));
        put(&mut group, &graph, &first);
        for _ in 0..60 {
            // Also earlier ones of who is in it.
            let joins = felt(draw(25), 1_200 - draw(2_400) as i64);
            put(&mut group, &graph, &joins);
            let all = relate::explained(&graph, &Config::default(), &group.entities);
            assert_eq!(group.explained, all);
        }
    }
}
