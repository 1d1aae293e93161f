//! What the world promises: determinism, effects where they belong, fixes that help.

use super::frame::{Place, item};
use super::*;

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
