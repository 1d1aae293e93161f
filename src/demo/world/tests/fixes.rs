//! Every fault against everything that the platform can do: what mends it, what does not.

use super::*;

/// What a hasty or a knowing person may try, in words and as an operation.
fn tries() -> Vec<(&'static str, Operation)> {
    let service = |name: &str| name.to_owned();
    let config = |name: &str, value: &str| Operation::Config {
        service: name.to_owned(),
        key: "worker_concurrency".into(),
        value: value.to_owned(),
    };
    let index = |column: &str| Operation::Index {
        database: "catalog-db".into(),
        table: "products".into(),
        column: column.to_owned(),
    };
    let back = |name: &str, to: &str| Operation::Rollback { service: name.into(), to: to.into() };
    let away = |name: &str, to: &str| Operation::Move { service: name.into(), to: to.into() };
    vec![
        ("orders: 16 workers", config("orders", "16")),
        ("orders: 24 workers", config("orders", "24")),
        ("orders: 40 workers", config("orders", "40")),
        ("orders: back to 4.7.1", back("orders", "4.7.1")),
        ("orders: \"back\" to 4.7.2", back("orders", "4.7.2")),
        ("orders: restart", Operation::Restart { service: service("orders") }),
        ("orders: 6 replicas", Operation::Scale { service: service("orders"), replicas: 6 }),
        ("checkout: restart", Operation::Restart { service: service("checkout") }),
        ("auth-egress: revert", Operation::RevertPolicy { policy: "auth-egress".into() }),
        ("auth: restart", Operation::Restart { service: service("auth") }),
        ("auth: 6 replicas", Operation::Scale { service: service("auth"), replicas: 6 }),
        ("search: to node-3", away("search", "node-3")),
        ("search: to node-2", away("search", "node-2")),
        ("search: restart", Operation::Restart { service: service("search") }),
        ("frontend: to node-1", away("frontend", "node-1")),
        ("catalog: back to 12.0.3", back("catalog", "12.0.3")),
        ("catalog: restart", Operation::Restart { service: service("catalog") }),
        ("products(category_id): index", index("category_id")),
        ("products(name): index", index("name")),
        ("recommendations: back to 1.9.2", back("recommendations", "1.9.2")),
        ("recommendations: restart", Operation::Restart { service: service("recommendations") }),
        ("recommendations: to node-2", away("recommendations", "node-2")),
    ]
}

#[test]
fn each_fault_is_mended_by_its_own_fixes_and_by_nothing_else() {
    let quiet = world(&[]);
    let mut table = String::new();
    for scenario in crate::demo::scenario::scenarios().iter().filter(|s| s.expected.opens()) {
        let tried_at = in_full(&scenario.key);
        let looked_at = tried_at + i64::from(scenario.expected.recover_within_s);
        let inject = (0, What::Inject(scenario.key.clone()));
        let left_alone = changed(&quiet, &world(std::slice::from_ref(&inject)), after(looked_at));
        assert!(!left_alone.is_empty(), "{}", scenario.key);
        let mut mends = Vec::new();
        for (words, operation) in tries() {
            let tried = world(&[inject.clone(), (tried_at, What::Operate(operation))]);
            let now = changed(&quiet, &tried, after(looked_at));
            if now.is_empty() {
                mends.push(words);
            } else {
                assert_eq!(now, left_alone, "{}: {words} half helps", scenario.key);
            }
        }
        table.push_str(&format!("{}: {}\n", scenario.key, mends.join(", ")));
    }
    insta::assert_snapshot!(table, @r##"
    pool-exhaustion: orders: 16 workers, orders: 24 workers, orders: back to 4.7.1
    policy-cut: auth-egress: revert
    noisy-neighbour: search: to node-3
    missing-index: catalog: back to 12.0.3, products(category_id): index
    slow-leak: recommendations: back to 1.9.2, recommendations: restart
    "##);
}

#[test]
fn a_restart_gives_leaked_memory_back_and_the_leak_goes_on() {
    let n = service_index("recommendations").expect("known");
    let memory = |world: &World, s: i64| figures(world, n, after(s))[2];
    let leak = (0, What::Inject("slow-leak".into()));
    let restart = Operation::Restart { service: "recommendations".into() };
    let back = Operation::Rollback { service: "recommendations".into(), to: "1.9.2".into() };
    let (quiet, leaking) = (world(&[]), world(std::slice::from_ref(&leak)));
    let restarted = world(&[leak.clone(), (3_600, What::Operate(restart))]);
    let mended = world(&[leak, (3_600, What::Operate(back))]);
    assert!(memory(&leaking, 3_500) > 1.4 * memory(&quiet, 3_500));
    assert!(memory(&restarted, 3_700) < 1.05 * memory(&quiet, 3_700));
    assert!(memory(&restarted, 7_200) > 1.4 * memory(&quiet, 7_200));
    assert_eq!(memory(&mended, 7_200), memory(&quiet, 7_200));
    assert!(!restarted.episodes()[0].mended && mended.episodes()[0].mended);
}

#[test]
fn a_fix_before_the_fault_or_after_its_end_does_no_harm() {
    let quiet = world(&[]);
    for (_, operation) in tries() {
        let only = world(&[(0, What::Operate(operation.clone()))]);
        assert_eq!(changed(&quiet, &only, after(600)), Vec::<&str>::new(), "{operation:?}");
        let first = world(&[
            (-600, What::Operate(operation.clone())),
            (0, What::Inject("policy-cut".into())),
        ]);
        assert!(!first.episodes()[0].mended, "{operation:?}");
    }
}
