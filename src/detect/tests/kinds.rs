//! What views beside the bands promise for any input, each on series of its kind: they survive it, go
//! on after a restore as if nothing had happened, and don't care in which order series come.

use super::*;

/// A value of a kind from two numbers between 0 and 1: rare events, a share, per cent, an amount,
/// anything.
fn value(kind: usize, a: f64, b: f64) -> f64 {
    match kind {
        0 => ((a - 0.9).max(0.0) * 40.0).floor(),
        1 => 1.0 - 0.01 * a,
        2 => 100.0 * a * b,
        3 => (3.0 * a * b).exp(),
        _ => a - b,
    }
}

fn of_each_kind() -> Vec<Series> {
    let kinds = [
        (Indicator::Saturation, "{error}"),
        (Indicator::Availability, "1"),
        (Indicator::Utilization, "%"),
        (Indicator::Duration, "s"),
        (Indicator::Custom, ""),
    ];
    kinds
        .into_iter()
        .enumerate()
        .map(|(i, (indicator, unit))| {
            let direction = [Direction::High, Direction::Low, Direction::Both][i % 3];
            let mut s = Series { direction, step_ms: 60_000, ..series(indicator, unit) };
            s.metric = format!("kind {i}");
            s.id = Series::identity(&s.source, &s.metric, &s.entity, &s.labels);
            s
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn kinds_survive_go_on_after_a_restore_and_come_in_any_order(
        draws in prop::collection::vec((0.0_f64..1.0, 0.0_f64..1.0), 40..60),
        wild in prop::collection::vec(
            (0_usize..600, 0_usize..5, prop::sample::select(vec![
                0.0, -0.0, -1.0, 1.5, 1e308, -1e308, 5e-324, f64::NAN, f64::INFINITY, 255.5,
            ])),
            0..12,
        ),
        (cut, gap_at, gap_ms) in (0_usize..600, 0_usize..600, 1_i64..200_000_000),
    ) {
        let all = of_each_kind();
        let (mut one, mut other) = (Shard::new(Config::default()), Shard::new(Config::default()));
        let mut at = start();
        for i in 0..600_usize {
            if i == cut {
                other = Shard::restore(Config::default(), &other.snapshot()).expect("reads its own");
            }
            at = at.plus_ms(if i == gap_at { gap_ms } else { 180_000 });
            let mut batch = Batch::new("test", at);
            for (kind, s) in all.iter().enumerate() {
                let (a, b) = draws[(i * (kind + 3) + i / 7) % draws.len()];
                // Towards the end all of them change.
                let (a, b) = if i > 560 { (1.0 - a * a * a, 0.97) } else { (a, b) };
                let odd = wild.iter().find(|(row, of, _)| (*row, *of) == (i, kind));
                let value = odd.map_or_else(|| value(kind, a, b), |(_, _, odd)| *odd);
                batch.metrics.push(Samples { series: s.clone(), points: vec![Point { at, value }] });
            }
            let mut turned = batch.clone();
            turned.metrics.reverse();
            let sorted = |mut said: Vec<Anomaly>| {
                said.sort_by_key(|a| (a.id.to_string(), a.at));
                said
            };
            let (a, b) = (sorted(one.observe(&batch)), sorted(other.observe(&turned)));
            for a in &a {
                let band = [a.expected.low, a.expected.mid, a.expected.high];
                prop_assert!(a.score.is_finite() && a.value.is_finite(), "{:?}", a);
                prop_assert!(band.iter().all(|edge| edge.is_finite()), "{:?}", a);
            }
            prop_assert_eq!(a, b, "row {}", i);
        }
        prop_assert_eq!(one.snapshot(), other.snapshot());
    }
}
