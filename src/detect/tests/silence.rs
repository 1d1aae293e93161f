//! Silence: what it says of an entity, of an open departure, and of what is kept.

use super::*;

/// Ticks every ten seconds for `minutes` and gives all that was said.
fn ticks(shard: &mut Shard, from: Time, minutes: i64) -> Vec<Anomaly> {
    (0..minutes * 6).flat_map(|i| shard.observe(&Batch::tick(from.plus_ms(i * 10_000)))).collect()
}

#[test]
fn a_dead_service_stays_missing_until_it_speaks_or_is_taken_for_removed() {
    let s = series(Indicator::Duration, "s");
    let (mut shard, now) = taught(&s, latency);
    assert_eq!(run(&mut shard, &s, now, 10, latency), []);
    let silent = now.plus_ms(10 * MINUTE_MS);
    let said = ticks(&mut shard, silent, 8 * 60);
    assert_eq!(said.len(), 1, "eight hours of silence are no recovery: {said:?}");
    let mut back = shard.clone();

    // Our own restart is no recovery of theirs.
    let deaf = silent.plus_ms(9 * HOUR_MS);
    assert_eq!(ticks(&mut back, deaf, 10), []);
    let spoken = run(&mut back, &s, deaf.plus_ms(10 * MINUTE_MS), 1, latency);
    assert_eq!(spoken.len(), 1);
    assert_eq!((spoken[0].id, spoken[0].until.is_some()), (said[0].id, true));
    assert!(!spoken[0].why.contains("removed"), "{}", spoken[0].why);

    let ended = ticks(&mut shard, silent.plus_ms(8 * HOUR_MS), 20 * 60);
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].id, said[0].id);
    let after_h = ended[0].until.expect("ended").ms_since(silent) / HOUR_MS;
    assert!((23..=24).contains(&after_h), "after {after_h} h");
    assert!(ended[0].why.contains("taken for removed"), "{}", ended[0].why);
}

#[test]
fn a_new_version_with_other_labels_is_no_silence() {
    let old = series(Indicator::Duration, "s");
    let mut new = old.clone();
    new.labels = [("version", "2")].into_iter().collect();
    new.id = Series::identity("test", &new.metric, &new.entity, &new.labels);
    let (mut shard, now) = taught(&old, latency);
    run(&mut shard, &old, now, 10, latency);
    // Slow enough that the new series is still young when the old one is past its patience.
    let said: Vec<Anomaly> = (1..=15)
        .flat_map(|i| {
            let at = now.plus_ms((10 + i) * MINUTE_MS);
            live(&mut shard, &new, at, latency(at))
        })
        .collect();
    assert_eq!(said, []);
}
