//! The pool learns the same whatever the order of series, leaves faults out, and stays in bounds.

use super::*;
use crate::detect::ensemble::{Age, Kind, Told};
use crate::detect::tests::series;
use crate::model::alert::Band;
use crate::model::signal::Direction;
use crate::model::{AnomalyId, Indicator};
use crate::stats::Draws;

const CLASS: crate::detect::ensemble::Class =
    crate::detect::ensemble::Class { kind: Kind::Plain, age: Age::Old };

fn at(minute: i64) -> Time {
    Time::from_ms(1_762_128_000_000 + minute * MINUTE_MS)
}

fn verdict(own: Option<f32>) -> Verdict {
    let told = Told { onset_surprise: own, ..Told::default() };
    Verdict { told, class: CLASS, ..Verdict::default() }
}

fn departure(entity: &EntityRef, since: Time) -> Anomaly {
    let series =
        crate::model::Series { entity: entity.clone(), ..series(Indicator::Duration, "s") };
    Anomaly {
        id: AnomalyId::derive(since, &[entity.name()]),
        subject: Subject::Series { series },
        detector: "seasonal/1".into(),
        since,
        at: since.plus_ms(MINUTE_MS),
        until: None,
        value: 2.0,
        peak: 2.0,
        expected: Band { low: 0.1, mid: 0.2, high: 0.3 },
        score: 20.0,
        direction: Direction::High,
        why: "It is 2 s.".into(),
        unseen: false,
        grounds: None,
    }
}

/// Hours of a site of 40 services, whose own surprises are `scale` times too large.
fn taught(hours: i64, scale: f64, turned: bool) -> Pooled {
    let (mut pooled, mut draws) = (Pooled::default(), Draws::new(7));
    let mut all: Vec<EntityRef> =
        (0..40).map(|i| EntityRef::service(format!("service-{i}"))).collect();
    for minute in 0..hours * 60 {
        let mut rows: Vec<(EntityRef, Option<f32>)> = Vec::new();
        for entity in &all {
            for _ in 0..20 {
                // One row in a hundred is an onset: 4.6 nats and more where it is right.
                let own = 4.605 + scale * draws.exponential();
                let own = (draws.uniform() < 0.01).then_some(own as f32);
                rows.push((entity.clone(), own));
            }
        }
        if turned {
            rows.reverse();
        }
        for (entity, own) in rows {
            let heard = pooled.hear(&verdict(own));
            pooled.row(&entity, at(minute), &heard);
        }
        pooled.close(at(minute), &[]);
        if turned {
            let bytes = rmp_serde::to_vec(&pooled).expect("it can be written");
            pooled = rmp_serde::from_slice(&bytes).expect("it reads its own");
        }
    }
    all.clear();
    pooled
}

#[test]
fn neither_the_order_of_series_nor_restores_change_what_is_learned() {
    assert_eq!(taught(2, 1.3, false), taught(2, 1.3, true));
}

#[test]
fn surprises_that_are_too_large_come_down_and_never_by_more_than_the_bound() {
    let pooled = taught(40, 1.6, false);
    let report = pooled.report(true);
    let rate = report.rates[2];
    assert!(rate.before > 2.0, "the default tells too many: {rate:?}");
    assert!(rate.after < 0.75 * rate.before, "{rate:?}");
    assert!(report.text.contains("times as learned. What it learned is told."), "{}", report.text);
    for own in 0..120 {
        let heard = pooled.hear(&verdict(Some(own as f32 / 4.0)));
        let moved = (heard.learned - heard.default).abs();
        assert!(moved <= MOST_TIMES.ln() + 1e-4, "{own}: {heard:?}");
        assert_eq!(heard.nats(false), Some(heard.default));
    }
    assert_eq!(pooled.hear(&verdict(None)).nats(true), None);
}

#[test]
fn what_an_entity_shows_around_a_fault_is_left_out() {
    let mut pooled = Pooled::default();
    let (ill, well) = (EntityRef::service("ill"), EntityRef::service("well"));
    let onset = pooled.hear(&verdict(Some(20.0)));
    pooled.close(at(0), &[]);
    for entity in [&ill, &well] {
        pooled.row(entity, at(1), &onset);
    }
    pooled.close(at(3), &[departure(&ill, at(2))]);
    pooled.row(&ill, at(4), &onset);
    for minute in 4..60 {
        pooled.close(at(minute), &[]);
    }
    assert_eq!((pooled.n_onsets, pooled.n_left_out), (1, 2));
    // Later it counts again.
    pooled.row(&ill, at(60), &onset);
    for minute in 60..120 {
        pooled.close(at(minute), &[]);
    }
    assert_eq!((pooled.n_onsets, pooled.n_left_out), (2, 2));
}
