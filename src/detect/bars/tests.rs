//! Bars put, taken back and lapsed in a running shard; which scope counts; and bounds.

use proptest::prelude::*;

use super::*;
use crate::detect::{Config, Shard};
use crate::model::signal::Direction;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{Actor, Anomaly, Batch, EntityRef, Indicator, Labels, Point, Samples};

const T0: Time = Time::from_ms(1_800_000_000_000);

fn series(metric: &str) -> Series {
    let (entity, labels) = (EntityRef::service("orders"), Labels::default());
    Series {
        id: Series::identity("main", metric, &entity, &labels),
        source: "main".into(),
        entity,
        metric: metric.into(),
        labels,
        indicator: Indicator::Errors,
        unit: "1".into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: 15_000,
    }
}

fn order(scope: BarScope, factor: f64, until: Time) -> BarOrder {
    let tuning = TuningId::derive(T0, &["a test"]);
    BarOrder { scope, factor, until, tuning, by: Actor::nightjar() }
}

/// A point every 15 s around 0.4; from minute 20 of each hour for three minutes a bump to `high`.
fn batch(i: i64, high: f64) -> Batch {
    let at = T0.plus_ms(i * 15_000);
    let noise = ((i * 7_919) % 97) as f64 / 97.0 * 0.04;
    let bump = (80..92).contains(&(i % 240)) && i > 1_200;
    let mut batch = Batch::new("main", at);
    let value = if bump { high } else { 0.4 } + noise;
    batch.metrics.push(Samples { series: series("p95"), points: vec![Point { at, value }] });
    batch
}

/// Hours (of those with a bump) in which something was called.
fn called(shard: &mut Shard, hours: std::ops::Range<i64>, orders: &[(i64, BarOrder)]) -> Vec<i64> {
    let mut found = Vec::new();
    for i in hours.start * 240..hours.end * 240 {
        let mut batch = batch(i, 0.88);
        batch.bars = orders.iter().filter(|(at, _)| *at == i).map(|(_, o)| o.clone()).collect();
        let told: Vec<Anomaly> = shard.observe(&batch);
        if !told.is_empty() && found.last() != Some(&(i / 240)) {
            found.push(i / 240);
        }
    }
    found
}

#[test]
fn a_raised_bar_quietens_taken_back_it_does_not_and_a_lapse_ends_it() {
    let scope = BarScope::series(&series("p95"));
    let far = T0.plus_ms(60 * DAY_MS);
    let all: Vec<i64> = (5..12).collect();
    let mut plain = Shard::new(Config::default());
    assert_eq!(called(&mut plain, 0..12, &[]), all, "as configured every bump is called");

    let raised = (7 * 240, order(scope.clone(), 2.5, far));
    let back = (10 * 240, order(scope.clone(), 1.0, far));
    let mut shard = Shard::new(Config::default());
    assert_eq!(called(&mut shard, 0..9, std::slice::from_ref(&raised)), [5, 6]);
    let [bar] = shard.bars().try_into().expect("one stands");
    assert!((bar.factor - 2.5).abs() < f64::EPSILON && bar.scope == scope);
    // A restored shard goes on alike, and shows the wide band at once.
    let mut restored = Shard::restore(Config::default(), &shard.snapshot()).expect("sound");
    let at = T0.plus_ms(9 * 240 * 15_000);
    let width = |shard: &Shard| {
        let band = shard.expected(series("p95").id, at).expect("known");
        band.high - band.mid
    };
    assert!((width(&restored) - width(&shard)).abs() < 1e-12);
    assert!(width(&shard) > 2.4 * width(&plain), "{} {}", width(&shard), width(&plain));
    for shard in [&mut shard, &mut restored] {
        assert_eq!(called(shard, 9..12, std::slice::from_ref(&back)), [10, 11]);
        assert_eq!(shard.bars(), []);
    }

    let brief = order(scope, 2.5, T0.plus_ms(9 * 60 * MINUTE_MS));
    let mut shard = Shard::new(Config::default());
    assert_eq!(called(&mut shard, 0..12, &[(7 * 240, brief)]), [5, 6, 9, 10, 11]);
}

#[test]
fn the_narrowest_scope_counts_and_others_are_not_touched() {
    let (p95, p99) = (series("p95"), series("p99"));
    let entity = p95.entity.clone();
    let mut bars = Bars::default();
    let until = T0.plus_ms(DAY_MS);
    bars.obey(&order(BarScope::entity(entity.clone()), 1.25, until), T0);
    bars.obey(&order(BarScope::indicator(entity, Indicator::Errors), 1.5, until), T0);
    bars.obey(&order(BarScope::series(&p99), 0.8, until), T0);
    assert_eq!([bars.factor(&p95), bars.factor(&p99)], [1.5, 0.8]);
    assert_eq!(bars.factor(&Series { indicator: Indicator::Rate, ..p95.clone() }), 1.25);
    let other = Series { entity: EntityRef::service("orders-db"), ..p95 };
    assert_eq!(bars.factor(&other), 1.0);
}

proptest! {
    /// Whatever an order says, what is called stays within the bounds.
    #[test]
    fn factors_stay_within_bounds(factor in proptest::num::f64::ANY, days in -9_i64..99) {
        let mut bars = Bars::default();
        let p95 = series("p95");
        bars.obey(&order(BarScope::series(&p95), factor, T0.plus_ms(days * DAY_MS)), T0);
        let got = bars.factor(&p95);
        prop_assert!((LEAST_FACTOR..=MOST_FACTOR).contains(&got), "{got}");
        prop_assert!(bars.all().len() <= 1);
    }
}
