//! Who asks again for what failed is told from who asks for more.

use super::*;

/// The gateway alone calls orders, which fails; it is called `times` as often since `rise` seconds after
/// that, and of a hundred calls so many fail.
fn called(times: f64, rise: i64, failed: Option<u64>, what: Indicator) -> Input {
    let (gateway, orders) = (service("gateway"), service("orders"));
    let alerts = vec![alert(&orders, what, 60.0, 0), alert(&gateway, what, 40.0, 5)];
    let mut with = input(graph(&[("gateway", "orders")], &[]), alerts, Vec::new());
    let demand = |times: f64, since_when: Option<Time>| Demand {
        before: 10.0,
        since: 10.0 * times,
        rose: times > 1.25,
        since_when,
    };
    with.demands.insert(orders.clone(), demand(times, Some(at(rise))));
    with.demands.insert(gateway.clone(), demand(1.0, None));
    if let Some(failed) = failed {
        let calls = Calls {
            n: 100,
            n_failed: failed,
            mean_ms: 90.0,
            n_before: 200,
            n_failed_before: 0,
            mean_before_ms: 10.0,
        };
        with.calls.insert((gateway, orders), calls);
    }
    with
}

#[test]
fn a_caller_that_repeats_what_failed_is_not_the_cause() {
    use Indicator::{Duration, Errors};
    // Times as often, seconds from the trouble to the rise, failed of a hundred, what is felt; the cause.
    let cases = [
        (2.5, 0, Some(60), Errors, "orders", "as many answers as before"),
        (2.5, 0, Some(20), Errors, "gateway", "twice as many answers: it has more to ask"),
        (2.5, 0, None, Errors, "orders", "it fails, and nothing tells of answers"),
        (2.5, -240, None, Errors, "gateway", "the rise came minutes before"),
        (2.5, 240, None, Duration, "orders", "the rise came minutes after"),
        (2.5, 0, None, Duration, "gateway", "it is slow, since more is asked of it"),
        (2.5, 0, Some(0), Duration, "gateway", "all are answered"),
    ];
    for (times, rise, failed, what, cause, why) in cases {
        let with = called(times, rise, failed, what);
        assert_eq!(first(&with).0, cause, "{why}");
    }
}

#[test]
fn a_deploy_of_who_repeats_what_failed_does_not_turn_the_fault_round() {
    let mut with = called(2.5, 0, Some(60), Indicator::Errors);
    let before = rank(&with).hypotheses[0].parts.len();
    with.changes.push(change(&service("gateway"), ChangeKind::Deploy, -600));
    let ranked = rank(&with);
    let orders = ranked.hypotheses.iter().find(|h| h.entity == service("orders"));
    let orders = orders.expect("it is a candidate");
    assert_eq!(orders.parts.len(), before, "nothing is held against it: {:#?}", orders.parts);
}
