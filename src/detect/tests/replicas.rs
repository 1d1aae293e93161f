//! Replicas: one unlike its siblings, all of them as a whole, and what a new one begins with.

use super::*;

/// Pods of one deployment whose values wander together so widely that no band of their own is
/// narrow; `change` may alter what a pod shows.
fn pods(
    shard: &mut Shard,
    from: Time,
    minutes: i64,
    names: &[&str],
    change: impl Fn(usize, Time, f64) -> f64,
) -> Vec<Anomaly> {
    let mut said = Vec::new();
    for i in 0..minutes * 2 {
        let at = from.plus_ms(i * 30_000);
        let hour = at.ms() as f64 / HOUR_MS as f64;
        let together = 2.0 + (hour * 2.1).sin() + 0.7 * (hour * 5.3).cos();
        let mut batch = Batch::new("test", at);
        for (n, name) in names.iter().enumerate() {
            let mut s = series(Indicator::Duration, "s");
            s.entity = EntityRef::new("k8s.pod.name", *name);
            s.id = Series::identity(&s.source, &s.metric, &s.entity, &s.labels);
            let value = together + 0.02 * noise(at.plus_ms(n as i64));
            let points = vec![Point { at, value: change(n, at, value) }];
            batch.metrics.push(Samples { series: s, points });
        }
        said.extend(shard.observe(&batch));
    }
    said
}

const PODS: [&str; 4] = [
    "cart-7d9f8b6c5-x2x4z",
    "cart-7d9f8b6c5-b7k9q",
    "cart-7d9f8b6c5-m4n8t",
    "cart-7d9f8b6c5-w6c2r",
];

#[test]
fn one_replica_unlike_its_siblings_is_told_of_by_that_view_alone() {
    let mut shard = Shard::new(Config::default());
    assert_eq!(pods(&mut shard, start(), 24 * 60, &PODS, |_, _, v| v), [], "they move together");
    let later = start().plus_ms(DAY_MS);
    let said = pods(&mut shard, later, 30, &PODS, |n, _, v| if n == 1 { 4.4 - v } else { v });
    let who: std::collections::BTreeSet<_> =
        said.iter().map(|a| (a.detector.as_str(), a.subject.entity().name())).collect();
    assert_eq!(who.into_iter().collect::<Vec<_>>(), [("peers/1", PODS[1])]);
    let alert = lifecycle::alert_of(&said[0], 4.0);
    assert_eq!((alert.name(), alert.severity), ("ReplicaUnlike", crate::model::Severity::Warning));
    assert!(said[0].why.contains("The other replicas do not show it."), "{}", said[0].why);
    let after = pods(&mut shard, later.plus_ms(30 * MINUTE_MS), 5, &PODS, |_, _, v| v);
    assert!(after.last().is_some_and(|a| a.until.is_some()), "it ends when it is like them again");
}

#[test]
fn a_deployment_is_judged_as_a_whole_and_new_pods_know_what_it_knew() {
    let mut shard = Shard::new(Config::default());
    let now = start().plus_ms(6 * HOUR_MS);
    assert_eq!(pods(&mut shard, start(), 6 * 60, &PODS, |_, at, _| latency(at)), []);
    let fresh = ["cart-66bc9d4f7-hh5kp", "cart-66bc9d4f7-zz7wq", "cart-66bc9d4f7-dd3xn"];
    assert_eq!(
        pods(&mut shard, now, 3, &fresh, |_, at, _| latency(at)),
        [],
        "a roll-out is no news"
    );
    // Pods of three minutes would still be warming up by themselves.
    let said =
        pods(&mut shard, now.plus_ms(3 * MINUTE_MS), 4, &fresh, |_, at, _| latency(at) + 4.0);
    let names: std::collections::BTreeSet<&str> =
        said.iter().map(|a| a.subject.entity().name()).collect();
    assert!(names.contains("cart"), "the deployment: {names:?}");
    assert!(fresh.iter().all(|pod| names.contains(pod)), "and its pods: {names:?}");
    assert!(said.iter().all(|a| a.detector != "peers/1"), "none is unlike the others");
}

#[test]
fn thousands_of_pods_that_come_and_go_leave_nothing_behind() {
    let mut shard = Shard::new(Config::default());
    for day in 0..3 {
        for turn in 0..24 {
            let names: Vec<String> =
                (0..10).map(|n| format!("job-{day:03}b4-{n}x7k{turn:02}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let at = start().plus_ms(day * DAY_MS + turn * HOUR_MS);
            pods(&mut shard, at, 60, &names, |_, _, v| v);
        }
    }
    assert!(shard.n_series() <= 26 * 10, "{} series of 720", shard.n_series());
}
