//! Rates and quantiles against values worked out by hand, and against anything a sender may send.

use proptest::prelude::*;

use super::buckets::Buckets;
use super::memory::{FRESH_MS, Increase, Previous, Told, increase};
use super::quantile::Within;
use super::*;

fn at(s: f64) -> Time {
    Time::from_ms(1_800_000_000_000 + (s * 1_000.0) as i64)
}

fn count(s: f64, start: Option<f64>, value: f64) -> Previous {
    Previous { at: at(s), start: start.map(at), value, buckets: Buckets::None, sum: None }
}

fn rate(told: &Told) -> Option<f64> {
    match told {
        Told::Increase(i) => Some(i.count / i.seconds),
        _ => None,
    }
}

fn explicit(bounds: &[f64], counts: &[f64]) -> Buckets {
    Buckets::explicit(bounds.to_vec(), counts.to_vec()).expect("sound")
}

fn exponential(scale: i32, zero: (f64, f64), positive: &[(i32, f64)]) -> Buckets {
    Buckets::exponential(scale, zero, positive.to_vec(), Vec::new()).expect("sound")
}

#[test]
fn a_counter_grows_starts_anew_and_is_corrected() {
    let before = count(0.0, None, 1_000.0);
    let step = |value: f64| increase(Some(&before), &count(60.0, None, value));
    assert_eq!(rate(&step(1_600.0)), Some(10.0));
    // A restart counts from zero: 120 since, over the whole minute, as Prometheus has it.
    assert_eq!(rate(&step(120.0)), Some(2.0));
    // A small fall is no restart: 990 new ones in a minute would be a spike.
    assert_eq!(step(990.0), Told::Kept);
    assert_eq!(increase(Some(&before), &count(-5.0, None, 2_000.0)), Told::Late);
    assert_eq!(increase(Some(&before), &count(0.0, None, 1_000.0)), Told::Late);
    // The start says so: then even a small fall, and even a rise, is a restart.
    let known = count(0.0, Some(-900.0), 1_000.0);
    let anew = |value: f64| increase(Some(&known), &count(60.0, Some(30.0), value));
    assert_eq!((rate(&anew(990.0)), rate(&anew(1_200.0))), (Some(16.5), Some(20.0)));
}

#[test]
fn the_first_point_counts_only_from_a_start_that_is_near() {
    assert_eq!(increase(None, &count(0.0, None, 500.0)), Told::First);
    assert_eq!(rate(&increase(None, &count(0.0, Some(-50.0), 500.0))), Some(10.0));
    assert_eq!(increase(None, &count(0.0, Some(-FRESH_MS as f64), 500.0)), Told::First);
    // Some senders set the start to the time of the point: that is no interval.
    assert_eq!(increase(None, &count(0.0, Some(0.0), 500.0)), Told::First);
}

#[test]
fn classic_buckets_interpolate_as_prometheus_does() {
    // The example of the manual: 50 up to 0.1, 90 up to 0.2, 100 in all.
    let buckets = explicit(&[0.1, 0.2, 0.4], &[50.0, 40.0, 8.0, 2.0]);
    let q = |q: f64| buckets.quantile(q).expect("counts stand");
    assert!((q(0.5) - 0.1).abs() < 1e-12);
    assert!((q(0.25) - 0.05).abs() < 1e-12);
    assert!((q(0.7) - 0.15).abs() < 1e-12);
    assert!((q(0.94) - 0.3).abs() < 1e-12);
    // In the bucket without an end, its lower bound.
    assert!((q(0.99) - 0.4).abs() < 1e-12);
    // Nothing below zero is made up, and what ends below zero is told by its end.
    assert_eq!(explicit(&[-1.0, 1.0], &[10.0, 0.0, 0.0]).quantile(0.5), Some(-1.0));
    assert_eq!(explicit(&[1.0], &[0.0, 0.0]).quantile(0.5), None);
    assert_eq!(explicit(&[], &[7.0]).quantile(0.5), None);
}

#[test]
fn native_buckets_interpolate_on_a_logarithmic_scale() {
    // Scale 0: base 2. Index 0 is 1 to 2, index 1 is 2 to 4.
    let buckets = exponential(0, (0.001, 0.0), &[(0, 10.0), (1, 30.0)]);
    let q = |q: f64| buckets.quantile(q).expect("counts stand");
    // Rank 25 of 40: half-way through the second bucket, 2 · √2.
    assert!((q(0.625) - 2.0 * 2_f64.sqrt()).abs() < 1e-12);
    assert!((q(0.125) - 2_f64.sqrt()).abs() < 1e-12);
    assert!((buckets.quantile_within(0.625, Within::Linear).expect("stands") - 3.0).abs() < 1e-12);
    // Only positive values: the zero bucket lies between 0 and its threshold.
    let zero = exponential(0, (0.5, 10.0), &[(0, 10.0)]);
    assert!((zero.quantile(0.25).expect("stands") - 0.25).abs() < 1e-12);
    // On both sides it reaches to both; the negative side mirrors the positive one.
    let sides = |zero| Buckets::exponential(0, (0.5, zero), vec![(0, 10.0)], vec![(0, 10.0)]);
    let both = sides(10.0).expect("sound");
    assert!((both.quantile(0.5).expect("stands")).abs() < 1e-12);
    let no_zero = sides(0.0).expect("sound");
    assert!((no_zero.quantile(0.25).expect("stands") + 2_f64.sqrt()).abs() < 1e-12);
    assert_eq!((no_zero.quantile(0.0), no_zero.quantile(1.0)), (Some(-2.0), Some(2.0)));
    // Milliseconds told in seconds.
    assert!((buckets.in_unit(0.001).quantile(0.625).expect("stands") - 0.002_828).abs() < 1e-6);
}

#[test]
fn differing_layouts_meet_at_what_both_can_tell() {
    let old = explicit(&[0.1, 0.2, 0.4], &[5.0, 5.0, 5.0, 5.0]);
    let new = explicit(&[0.1, 0.3, 0.4], &[6.0, 9.0, 5.0, 5.0]);
    // Common: 0.1 and 0.4. 6-5, 14-10, 5-5.
    assert_eq!(new.since(&old), Some(explicit(&[0.1, 0.4], &[1.0, 4.0, 0.0])));
    // A sender that halves its scale has not begun anew.
    let fine = exponential(1, (0.0, 0.0), &[(0, 4.0), (1, 4.0), (2, 4.0)]);
    let coarse = exponential(0, (0.0, 0.0), &[(0, 10.0), (1, 5.0)]);
    assert_eq!(coarse.since(&fine), Some(exponential(0, (0.0, 0.0), &[(0, 2.0), (1, 1.0)])));
    assert_eq!(fine.since(&coarse), None, "counts fell");
    // A zero bucket that grew swallows what lies within, whole buckets at a time.
    let narrow = exponential(0, (0.0, 1.0), &[(-3, 2.0), (0, 4.0)]);
    let wide = exponential(0, (0.2, 5.0), &[(0, 6.0)]);
    assert_eq!(wide.since(&narrow), Some(exponential(0, (0.25, 2.0), &[(0, 2.0)])));
}

#[test]
fn impossible_buckets_are_refused() {
    let none = |bounds: &[f64], counts: &[f64]| {
        Buckets::explicit(bounds.to_vec(), counts.to_vec()).is_none()
    };
    assert!(none(&[1.0, 1.0], &[0.0; 3]) && none(&[1.0], &[0.0]) && none(&[f64::NAN], &[0.0; 2]));
    assert!(none(&[1.0], &[1.0, f64::NAN]) && none(&[1.0], &[1.0, -1.0]));
    assert!(!none(&[1.0, f64::INFINITY], &[1.0, 2.0]), "an infinite last bound is what it says");
    let side = |side: Vec<(i32, f64)>| Buckets::exponential(0, (0.0, 0.0), side, Vec::new());
    assert!(side(vec![(1, 1.0), (1, 1.0)]).is_none() && side(vec![(1, f64::NAN)]).is_none());
    assert!(Buckets::exponential(99, (0.0, 0.0), Vec::new(), Vec::new()).is_none());
    assert!(side(vec![(i32::MIN, 1.0), (i32::MAX, 1.0)]).is_some());
}

fn target(indicator: Indicator) -> Target {
    Target {
        source: "test",
        entity: EntityRef::service("orders"),
        labels: Labels::default(),
        metric: "x".into(),
        fold: Fold::Sum,
        indicator,
        unit: "s".into(),
        direction: Direction::High,
        step_ms: 60_000,
    }
}

fn stream(s: f64, value: Option<f64>, histogram: Option<Histogram>) -> Stream {
    Stream {
        at: at(s),
        key: Labels::default().fingerprint(),
        target: target(Indicator::Duration),
        kind: Kind::Cumulative,
        start: None,
        value,
        part: false,
        histogram,
    }
}

#[test]
fn a_histogram_becomes_rate_mean_and_quantiles() {
    let mut memory = Memory::new(10);
    let histogram = |counts: &[f64], sum: f64| {
        Some(Histogram { buckets: explicit(&[0.1, 0.2], counts), sum: Some(sum) })
    };
    let streams = vec![
        stream(60.0, Some(160.0), histogram(&[80.0, 70.0, 10.0], 21.0)),
        stream(0.0, Some(100.0), histogram(&[50.0, 40.0, 10.0], 15.0)),
    ];
    let folded = fold(streams, &mut memory);
    let told: BTreeMap<String, f64> = folded
        .metrics
        .iter()
        .map(|s| (s.series.metric.clone(), (s.points[0].value * 1e9).round() / 1e9))
        .collect();
    insta::assert_json_snapshot!(told, @r#"
    {
      "x errors": 0.0,
      "x mean": 0.1,
      "x p50": 0.1,
      "x p90": 0.18,
      "x p99": 0.198,
      "x rate": 1.0
    }
    "#);
    // The stream ends: nothing is told of it until it comes back.
    assert!(fold(vec![stream(120.0, None, None)], &mut memory).metrics.is_empty());
    let back = fold(vec![stream(180.0, Some(172.0), None)], &mut memory);
    assert!((back.metrics[0].points[0].value - 0.1).abs() < 1e-12, "12 in 120 s");
}

#[test]
fn streams_by_the_thousand_stay_within_their_bound_and_give_way_when_old() {
    let mut memory = Memory::new(100);
    let pod = |s: f64, n: u64| Stream {
        key: Fingerprint(n),
        kind: Kind::Level,
        ..stream(s, Some(1.0), None)
    };
    let many = fold((0..1_000).map(|n| pod(0.0, n)).collect(), &mut memory);
    assert_eq!((many.n_full, memory.len()), (900, 100));
    // Hours later the dead ones give way to new ones.
    let later = fold((5_000..5_050).map(|n| pod(7_200.0, n)).collect(), &mut memory);
    assert_eq!((later.n_full, memory.len()), (0, 50));
    assert!((later.metrics[0].points[0].value - 50.0).abs() < 1e-9, "the dead are not added");
}

fn any_buckets() -> impl Strategy<Value = Buckets> {
    let side = || {
        proptest::collection::btree_map(any::<i32>(), 0..1_000_000_u32, 0..8)
            .prop_map(|m| m.into_iter().map(|(i, n)| (i, f64::from(n))).collect::<Side>())
    };
    prop_oneof![
        Just(Buckets::None),
        (
            proptest::collection::vec(any::<f64>(), 0..6),
            proptest::collection::vec(0..1_000_000_u32, 0..7)
        )
            .prop_map(|(mut bounds, counts)| {
                let counts = counts.into_iter().map(f64::from).collect();
                bounds.sort_by(f64::total_cmp);
                Buckets::explicit(bounds, counts).unwrap_or_default()
            }),
        (-10..=20_i32, 0.0..10.0_f64, 0..100_u32, side(), side()).prop_map(
            |(scale, threshold, zero, p, n)| {
                Buckets::exponential(scale, (threshold, f64::from(zero)), p, n).unwrap_or_default()
            }
        ),
    ]
}

proptest! {
    #[test]
    fn whatever_is_sent_nothing_negative_comes_out(
        values in proptest::collection::vec((any::<i32>(), any::<f64>(), proptest::option::of(any::<i32>())), 1..40),
    ) {
        let mut before: Option<Previous> = None;
        for (s, value, start) in values.into_iter().filter(|v| v.1.is_finite() && v.1 >= 0.0) {
            let now = count(f64::from(s), start.map(f64::from), value);
            let told = increase(before.as_ref(), &now);
            if let Told::Increase(Increase { seconds, count, .. }) = &told {
                prop_assert!(*seconds > 0.0 && *count >= 0.0 && count.is_finite());
                // No more than the counter itself says.
                prop_assert!(*count <= now.value);
            }
            if !matches!(told, Told::Late | Told::Kept) {
                before = Some(now);
            }
        }
    }

    #[test]
    fn quantiles_rise_and_layouts_meet(a in any_buckets(), b in any_buckets()) {
        let all = a.plus(&b);
        let qs: Vec<f64> = (0..=20).filter_map(|i| all.quantile(f64::from(i) / 20.0)).collect();
        prop_assert!(qs.iter().all(|q| q.is_finite()));
        prop_assert!(qs.windows(2).all(|w| w[0] <= w[1] + w[1].abs() * 1e-9), "{qs:?}");
        if let Some(diff) = all.since(&a) {
            prop_assert!(diff.total() >= 0.0);
        }
        // Adding and taking away again gives what was added, where both are of one kind.
        if std::mem::discriminant(&a) == std::mem::discriminant(&b) && a != Buckets::None {
            let back = all.since(&a).map_or(f64::NAN, |d| d.total());
            prop_assert!((back - b.total()).abs() <= 1e-6 * all.total().max(1.0), "{back}");
        }
    }
}
