//! What is kept of an incident's alerts as they come, change and go is what going through all of
//! them gives.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::correlate::group::{Group, Member};
use crate::correlate::priority::{Land, Rule};
use crate::correlate::sums::Sums;
use crate::model::topology::EdgeKind;

fn drawn(draw: &mut impl FnMut(usize) -> usize) -> Alert {
    let severity = ["info", "warning", "critical"][draw(3)];
    let place = format!("s{}", draw(6));
    let mut made = alert(&place, ["Slow", "Errors", "Full"][draw(3)], severity, draw(90) as i64);
    let names = [Indicator::Errors, Indicator::Duration, Indicator::Utilization];
    made.indicator = names.get(draw(4)).copied();
    made.score = [0.0, -0.0, 3.0, 7.5][draw(4)];
    made.n_reports = draw(5) as u64;
    if draw(3) == 0 {
        made.source = AlertSource::Detector { detector: "seasonal/1".into() };
    } else if draw(2) == 0 {
        made.source = AlertSource::External { system: "other".into() };
    }
    if draw(6) == 0 {
        made.annotations = made.annotations.clone().with("stake", "1 orders");
    }
    if draw(6) == 0 {
        made.annotations = made.annotations.clone().with(crate::model::alert::LOOKS_BACK, "6h");
    }
    if draw(7) == 0 {
        // What the graph doesn't know, and no service.
        made.entity = EntityRef::new("host.name", "node-1");
    }
    if draw(3) == 0 {
        made.status = crate::model::AlertStatus::Resolved;
        made.ends_at = Some(at(100 + draw(50) as i64));
    }
    made
}

/// The order in which one of all alerts leads, asked of each.
fn leads(graph: &Graph, land: &mut Land, all: &BTreeMap<AlertId, Member>) -> Option<AlertId> {
    let rank = |m: &Member, callers: i64| {
        let served = m.entity.is_service() || graph.dependencies(&m.entity).next().is_some();
        (m.user_facing() && served, m.measured, m.severity, -callers, m.score)
    };
    let ranked = all.iter().map(|(id, m)| (rank(m, land.n_callers(graph, &m.entity)), *id));
    ranked.max_by(|a, b| a.0.partial_cmp(&b.0).expect("numbers")).map(|(_, id)| id)
}

fn check(group: &Group, graph: &Graph, land: &mut Land) {
    let all = &group.members;
    let (sums, members) = (&group.sums, || all.values());
    let mut anew = Sums::default();
    for (id, m) in all {
        anew.add(*id, m);
    }
    assert_eq!(*sums, anew);
    assert_eq!(sums.leading(graph, land), leads(graph, land, all));
    assert_eq!(sums.worst(), members().map(|m| m.severity).max());
    assert_eq!(sums.onsets().map(|o| o.1).min(), members().map(|m| m.starts_at).min());
    assert_eq!(sums.fires(), members().any(|m| m.ends_at.is_none()));
    assert_eq!(sums.is_quiet(), members().all(|m| m.ends_at.is_some() || m.looks_back));
    assert_eq!(sums.last_end(), members().filter_map(|m| m.ends_at).max());
    assert_eq!(sums.n_reports, members().map(|m| m.n_reports).sum::<u64>());
    let entities: BTreeSet<&EntityRef> = members().map(|m| &m.entity).collect();
    assert!(sums.entities().eq(entities.iter().copied()));
    for entity in entities {
        let of = all.iter().filter(|(_, m)| m.entity == *entity).map(|(id, _)| *id);
        assert_eq!(sums.at(entity).collect::<BTreeSet<_>>(), of.collect::<BTreeSet<_>>());
    }
    let told = || members().filter(|m| m.severity > Severity::Info);
    let name = |m: &Member| m.indicator.is_none().then(|| m.weighs.name.clone());
    let signals: BTreeSet<_> = told().map(|m| (&m.entity, m.indicator, name(m))).collect();
    assert_eq!(sums.n_signals(), signals.len());
    let systems: BTreeSet<_> = told().map(|m| &m.system).collect();
    assert_eq!(sums.systems(), (systems.len(), systems.contains(&None)));
}

#[test]
fn what_is_kept_of_an_incidents_alerts_is_what_going_through_all_of_them_gives() {
    let mut seed = 11_u64;
    let mut draw = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    let config = Config::default();
    for _ in 0..40 {
        let mut graph = Graph::default();
        for _ in 0..draw(8) {
            let [a, b] = [draw(6), draw(6)].map(|n| EntityRef::service(format!("s{n}")));
            graph.add(a, b, EdgeKind::Calls);
        }
        let mut land = Land::of(&graph, &Rule::default());
        let first = drawn(&mut draw);
        let mut group = Group::open(first.id, &Member::of(&first), at(0));
        check(&group, &graph, &mut land);
        for _ in 0..60 {
            if draw(8) == 0 {
                let gone = group.members.keys().copied().filter(|_| draw(3) == 0).collect();
                group.take_out(&graph, &config, &gone);
            } else {
                // The same name, place and start again renews what is there.
                let made = drawn(&mut draw);
                group.put(&graph, &config, made.id, Member::of(&made));
            }
            check(&group, &graph, &mut land);
        }
    }
}
