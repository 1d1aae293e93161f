//! What the world promises: determinism, effects where they belong, fixes that help.

mod fixes;

use super::frame::{Place, item};
use super::*;
use crate::demo::scenario::Pattern;

fn start() -> Time {
    Time::parse("2026-11-18T10:00:00Z").expect("valid")
}

fn after(seconds: i64) -> Time {
    start().plus_ms(seconds * 1_000)
}

fn world(events: &[(i64, What)]) -> World {
    let events = events
        .iter()
        .map(|(s, what)| Event { at: after(*s), what: what.clone(), key: None })
        .collect();
    World::replay(7, start().plus_ms(-14 * DAY_MS), events)
}

fn mean_latency(world: &World, service: &str, at: Time) -> f64 {
    let frame = world.frame(Place::Service(service_index(service).expect("known")), at, false);
    frame[item::OK_SUM] / frame[item::OK]
}

#[test]
fn an_exhausted_pool_slows_its_service_and_its_caller_and_nobody_else() {
    let quiet = world(&[]);
    let hurt = world(&[(0, What::Inject("pool-exhaustion".into()))]);
    let at = after(180);
    assert!(mean_latency(&hurt, "orders", at) > 10.0 * mean_latency(&quiet, "orders", at));
    assert!(mean_latency(&hurt, "checkout", at) > 3.0 * mean_latency(&quiet, "checkout", at));
    for other in ["auth", "catalog", "pricing", "search", "inventory", "payments"] {
        assert_eq!(mean_latency(&hurt, other, at), mean_latency(&quiet, other, at), "{other}");
    }
    let orders = hurt.frame(Place::Service(service_index("orders").expect("known")), at, false);
    assert_eq!(orders[item::POOL_USED], orders[item::POOL_MAX]);
    assert!(orders[item::POOL_PENDING] > 20.0);
    let before = after(-60);
    assert_eq!(mean_latency(&hurt, "orders", before), mean_latency(&quiet, "orders", before));
}

#[test]
fn the_caller_feels_it_later_than_the_callee() {
    let hurt = world(&[(0, What::Inject("pool-exhaustion".into()))]);
    let onset =
        |service: usize| (0..300).find(|s| hurt.disturbance(service, after(*s)).slow_share > 0.05);
    let orders = onset(service_index("orders").expect("known"));
    let checkout = onset(service_index("checkout").expect("known"));
    assert!(orders.is_some() && checkout > orders, "{orders:?} {checkout:?}");
}

/// What goes wrong at a service: mean latency, share of failures and memory.
fn figures(world: &World, service: usize, at: Time) -> [f64; 3] {
    let frame = world.frame(Place::Service(service), at, false);
    let all = frame[item::OK] + frame[item::REFUSED] + frame[item::FAILED];
    [frame[item::OK_SUM] / frame[item::OK], frame[item::FAILED] / all, frame[item::MEMORY]]
}

/// Names of the services whose figures another world has changed by more than a tenth.
fn changed(quiet: &World, other: &World, at: Time) -> Vec<&'static str> {
    let differs = |s: usize| {
        let pairs = figures(quiet, s, at).into_iter().zip(figures(other, s, at));
        pairs.into_iter().any(|(a, b)| b > 1.1 * a + 1e-4)
    };
    (0..SERVICES.len()).filter(|s| differs(*s)).map(|s| SERVICES[s].name).collect()
}

/// When a scenario's effect is at its full strength, seconds after its start.
fn in_full(key: &str) -> i64 {
    if key == "slow-leak" { 3_600 } else { 240 }
}

#[test]
fn every_fault_is_felt_where_it_belongs_and_by_nobody_else() {
    let quiet = world(&[]);
    for (key, felt) in [
        ("pool-exhaustion", vec!["frontend", "checkout", "orders"]),
        (
            "policy-cut",
            vec![
                "frontend",
                "checkout",
                "cart",
                "orders",
                "payments",
                "auth",
                "users",
                "shipping",
                "notifications",
            ],
        ),
        ("noisy-neighbour", vec!["frontend", "search"]),
        ("missing-index", vec!["frontend", "catalog", "search", "recommendations", "inventory"]),
        ("slow-leak", vec!["recommendations"]),
        ("deploy-blip", vec![]),
        ("nightly-batch", vec![]),
        ("seasonal-surge", vec![]),
    ] {
        let hurt = world(&[(0, What::Inject(key.into()))]);
        assert_eq!(changed(&quiet, &hurt, after(in_full(key))), felt, "{key}");
        assert_eq!(changed(&quiet, &hurt, after(-60)), Vec::<&str>::new(), "{key}");
    }
}

#[test]
fn a_wrong_fix_does_not_help_and_every_right_one_does() {
    let quiet = world(&[]);
    for scenario in crate::demo::scenario::scenarios().iter().filter(|s| s.expected.opens()) {
        let hurt = |operation: Option<Operation>| {
            let mut events = vec![(0, What::Inject(scenario.key.clone()))];
            let fixed_at = in_full(&scenario.key);
            events.extend(operation.map(|o| (fixed_at, What::Operate(o))));
            let checked_at = fixed_at + i64::from(scenario.expected.recover_within_s);
            let world = world(&events);
            (changed(&quiet, &world, after(checked_at)), world.episodes()[0].mended)
        };
        let (left_alone, _) = hurt(None);
        assert!(!left_alone.is_empty(), "{}", scenario.key);
        assert!(!scenario.wrong.is_empty() && !scenario.fix.is_empty(), "{}", scenario.key);
        for wrong in &scenario.wrong {
            assert_eq!(hurt(Some(wrong.clone())), (left_alone.clone(), false), "{wrong:?}");
        }
        for fix in &scenario.fix {
            let right = carried_out(fix);
            assert_eq!(hurt(Some(right.clone())), (Vec::new(), true), "{right:?}");
        }
    }
}

/// An operation that a pattern accepts.
fn carried_out(pattern: &Pattern) -> Operation {
    match pattern.clone() {
        Pattern::Rollback { service } => Operation::Rollback { service, to: "0.9.0".into() },
        Pattern::Config { service, key, at_most } => {
            Operation::Config { service, key, value: at_most.to_string() }
        }
        Pattern::Restart { service } => Operation::Restart { service },
        Pattern::Move { service, .. } => Operation::Move { service, to: "node-3".into() },
        Pattern::RevertPolicy { policy } => Operation::RevertPolicy { policy },
        Pattern::Index { database, table, column } => Operation::Index { database, table, column },
    }
}

#[test]
fn a_noisy_neighbour_fills_its_node_and_no_other() {
    let quiet = world(&[]);
    let hurt = world(&[(0, What::Inject("noisy-neighbour".into()))]);
    for (node, name) in NODES.iter().enumerate() {
        let idle = |world: &World| world.frame(Place::Node(node), after(240), false)[item::IDLE];
        if *name == "node-2" {
            assert!(idle(&hurt) < 0.1 && idle(&quiet) > 0.3);
        } else {
            assert_eq!(idle(&hurt), idle(&quiet));
        }
    }
}

#[test]
fn two_worlds_with_the_same_events_are_equal() {
    let events = [(0, What::Inject("policy-cut".into()))];
    let (a, b) = (world(&events), world(&events));
    for s in 0..SERVICES.len() {
        for seconds in [-1_000, 30, 200, 6_000] {
            let frame = |w: &World| w.frame(Place::Service(s), after(seconds), true);
            assert_eq!(frame(&a), frame(&b));
        }
    }
}
