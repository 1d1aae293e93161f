//! Whom a change concerns beside what it was made to, and which changes are kept.

use super::*;

#[test]
fn a_change_of_a_workload_is_one_of_the_service_that_it_names_whatever_that_is_called() {
    let shop = service("shop");
    let alerts = || vec![alert(&shop, Indicator::Errors, 50.0, 0)];
    for workload in ["shop", "shop-web"] {
        let workload = EntityRef::new("k8s.deployment.name", workload);
        let mut deploy = change(&workload, ChangeKind::Deploy, -60);
        let without = rank(&input(Graph::default(), alerts(), vec![deploy.clone()]));
        let first = &without.hypotheses[0];
        assert!(first.entity != shop || first.change.is_none(), "{workload}");
        deploy.attributes.set("service", "shop");
        let ranked = rank(&input(Graph::default(), alerts(), vec![deploy.clone()]));
        let best = &ranked.hypotheses[0];
        assert_eq!((&best.entity, best.change), (&shop, Some(deploy.id)), "{workload}");
    }
}

#[test]
fn of_many_changes_those_stay_that_a_hypothesis_names_and_then_the_nearest() {
    let shop = service("shop");
    let alerts = vec![alert(&shop, Indicator::Errors, 50.0, 0)];
    let named = change(&shop, ChangeKind::Deploy, -6_000);
    let others =
        (1..=12).map(|n| change(&service(&format!("other{n}")), ChangeKind::Deploy, -60 * n));
    let mut changes: Vec<Change> = others.collect();
    let nearest: Vec<ChangeId> = changes.iter().take(7).map(|c| c.id).collect();
    changes.insert(5, named.clone());
    let ranked = rank(&input(Graph::default(), alerts, changes));
    assert_eq!(ranked.hypotheses[0].change, Some(named.id), "the farthest of all");
    let mut kept: Vec<ChangeId> = ranked.changes.iter().map(|c| c.id).collect();
    assert_eq!(kept.len(), 8);
    kept.retain(|id| *id != named.id);
    assert_eq!(kept, nearest);
}
