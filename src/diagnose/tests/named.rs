//! Whom a change concerns beside what it was made to.

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
