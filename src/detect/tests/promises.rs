//! What detection promises for any input: it survives it, goes on after a restore as if nothing
//! had happened, does not care in which order series come, and not for the unit of a value.

use super::*;

/// Values as they come from outside: ordinary, special and extreme.
fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -10.0_f64..1_000.0,
        2 => any::<f64>(),
        1 => prop::sample::select(vec![0.0, -0.0, 1e308, -1e308, 5e-324, f64::NAN, f64::INFINITY]),
    ]
}

/// Times relative to the one before, in ms: forwards, at once, back, and absurd.
fn any_step() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 1_i64..600_000, 1 => -600_000_i64..1, 1 => any::<i64>()]
}

fn replicas(n: usize) -> Vec<Series> {
    (0..n)
        .map(|i| {
            let mut s = series(Indicator::Custom, "");
            s.labels.set("pod", format!("checkout-{i}"));
            s.id = Series::identity(&s.source, &s.metric, &s.entity, &s.labels);
            s
        })
        .collect()
}

/// What was said, without the order in which it was said.
fn sorted(mut said: Vec<Anomaly>) -> Vec<Anomaly> {
    said.sort_by_key(|a| (a.id.to_string(), a.at));
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_values_and_times_are_survived_with_finite_scores(
        points in prop::collection::vec((any_step(), any_value(), any::<bool>()), 1..400),
    ) {
        let s = series(Indicator::Usage, "By");
        let mut shard = Shard::new(Config::default());
        let mut at = start();
        for (step, value, backfill) in points {
            at = Time::from_ms(at.ms().saturating_add(step));
            let mut batch = Batch::new("test", if step > 600_000 { start() } else { at });
            batch.backfill = backfill;
            batch.metrics.push(Samples { series: s.clone(), points: vec![Point { at, value }] });
            for a in shard.observe(&batch) {
                prop_assert!(a.score.is_finite() && a.value.is_finite() && !a.why.is_empty());
                prop_assert!(a.grounds.is_none_or(|g| (0.0..=1.0).contains(&g.p_value)));
            }
        }
        Shard::restore(Config::default(), &shard.snapshot()).expect("reads its own");
    }

    #[test]
    fn a_restore_and_the_order_of_series_change_nothing(
        values in prop::collection::vec(0.0_f64..10.0, 60..200), cut in 0_usize..200,
    ) {
        let all = replicas(4);
        let (mut one, mut other) =
            (Shard::new(Config::default()), Shard::new(Config::default()));
        for (i, value) in values.iter().enumerate() {
            if i == cut {
                other = Shard::restore(Config::default(), &other.snapshot()).expect("reads its own");
            }
            let at = start().plus_ms(i as i64 * 30_000);
            let mut batch = Batch::new("test", at);
            batch.metrics = all
                .iter()
                .enumerate()
                .map(|(n, s)| {
                    let apart = if n == 2 && i > 100 { 50.0 } else { 0.0 };
                    let value = value + apart + noise(at.plus_ms(n as i64));
                    Samples { series: s.clone(), points: vec![Point { at, value }] }
                })
                .collect();
            let mut turned = batch.clone();
            turned.metrics.reverse();
            prop_assert_eq!(sorted(one.observe(&batch)), sorted(other.observe(&turned)));
        }
        prop_assert_eq!(one.snapshot(), other.snapshot());
    }

    #[test]
    fn the_unit_of_a_value_does_not_change_scores(by in -20_i32..20, size in 2.0_f64..9.0) {
        // Where nothing absolute is asked of a departure; powers of two are exact.
        let s = series(Indicator::Custom, "");
        let told = |factor: f64| -> Vec<(Time, f64, Option<f64>)> {
            let value = |at: Time| factor * (3.0 + 0.5 * daily(at) + 0.1 * noise(at));
            let (mut shard, now) = taught(&s, value);
            let fault = |at| value(at) * size;
            run(&mut shard, &s, now, 6, fault)
                .into_iter()
                .map(|a| (a.since, a.score, a.grounds.map(|g| g.p_value)))
                .collect()
        };
        let (plain, scaled) = (told(1.0), told(2.0_f64.powi(by)));
        prop_assert!(!plain.is_empty());
        prop_assert_eq!(plain, scaled);
    }
}

#[test]
fn an_ensemble_in_another_form_starts_anew_and_nothing_else_does() {
    let s = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&s, latency);
    let mut same = crate::detect::ensemble::Entity::default();
    let mut at = start();
    while at < now {
        same.push(at.ms(), &[latency(at)]);
        at = at.plus_ms(5 * MINUTE_MS);
    }
    let blob = rmp_serde::to_vec(&same).expect("numbers only");
    let snapshot = shard.snapshot();
    let place = snapshot.windows(blob.len()).position(|w| w == blob).expect("it is in there");
    assert_eq!(
        Shard::restore(Config::default(), &snapshot).expect("reads its own").lost().len(),
        0
    );
    let band = shard.expected(s.id, now);
    assert!(band.is_some());
    // A newer program's bytes, and an older one's, which were not packed by themselves.
    let mut newer = snapshot.clone();
    newer[place] = 0xc1;
    let older = [&snapshot[..place - 3], &snapshot[place..]].concat();
    for bytes in [newer, older] {
        let mut other = Shard::restore(Config::default(), &bytes).expect("the rest is read");
        assert_eq!(other.lost(), ["how surprising points are by their series' own past"]);
        assert_eq!(other.expected(s.id, now), band);
        let said = run(&mut other, &s, now, 6, |at| latency(at) + 3.0);
        assert!(said.first().is_some_and(|a| a.grounds.is_none()), "{said:?}");
    }
    let said = run(&mut shard, &s, now, 6, |at| latency(at) + 3.0);
    assert!(said.first().is_some_and(|a| a.grounds.is_some()), "{said:?}");
}

/// Batches that are read at once are judged with the lock free between them: whoever asks meanwhile sees
/// some of them judged and not the others.
#[tokio::test]
async fn a_read_of_the_detectors_waits_for_one_batch_and_not_for_all_that_were_read_at_once() {
    use tokio_util::sync::CancellationToken;

    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = crate::store::Store::open(&folder.path().join("n.sqlite")).expect("opens");
    let (bus, config) = (crate::bus::Bus::default(), Config::default());
    let intake = crate::telemetry::intake::Intake::open(store.clone(), bus.clone()).await;
    let intake = intake.expect("opens");
    let s = series(Indicator::Duration, "s");
    for i in 0..20 {
        let at = start().plus_ms(i * 15_000);
        let mut batch = Batch::new("test", at);
        batch.metrics.push(Samples { series: s.clone(), points: vec![Point { at, value: 0.3 }] });
        intake.accept(batch).await.expect("is taken");
    }
    let shard = SharedShard::new(config.clone());
    let stop = CancellationToken::new();
    stop.cancel();
    let run = Detect::new(config, store, bus, intake, shard.clone()).run(stop);
    let read = async {
        let mut seen = std::collections::BTreeSet::new();
        while seen.last() != Some(&20) {
            seen.insert(shard.figures().1.judged);
            tokio::task::yield_now().await;
        }
        seen
    };
    let (ran, seen) = tokio::join!(run, read);
    ran.expect("drains");
    assert!(seen.len() > 10, "only {seen:?} was seen");
}
