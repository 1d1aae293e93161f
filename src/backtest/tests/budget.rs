//! The budget's books in a report.

use super::super::*;
use crate::detect::budget::{Budget, Config, Offer};
use crate::detect::{Config as Detect, Shard};
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{Batch, EntityRef, Time};

/// The books of ten days on which an entity an hour departs, each rarer than the one before, and
/// three a day are asked for.
fn spending() -> Spending {
    let config = Config { anomalies_per_day: 3.0, ..Config::default() };
    let (start, mut budget) =
        (Time::from_ms(1_790_000_000_000).floor_to(DAY_MS), Budget::default());
    let at = |hours: i64| start.plus_ms(hours * HOUR_MS);
    for hour in 0..240 {
        let entity = EntityRef::service(format!("service-{}", hour % 40));
        let surprise = 8.0 + (hour % 24) as f64 / 4.0;
        let offer =
            Offer { at: at(hour), entity: &entity, what: "latency", surprise, critical: false };
        budget.offer(&config, &offer);
        for minute in 0..60 {
            budget.tick(&config, at(hour).plus_ms(minute * MINUTE_MS));
        }
    }
    // A shard that has judged something has the version whose word is told; its books are these.
    let mut shard = Shard::new(Detect::default());
    shard.observe(&Batch::new("test", start));
    let mut detectors = shard.detectors();
    let told_by = detectors.told_by.clone();
    let version = detectors.report.versions.iter_mut().find(|v| v.name == told_by);
    version.expect("it is known").budget = budget.spent(&config);
    detectors.held_back = budget.next(5);
    Spending::of(detectors, 10.0).expect("there are books")
}

#[test]
fn the_report_says_what_was_spent_how_the_controller_stands_and_what_the_next_unit_buys() {
    let spending = spending();
    let sum: u64 = spending.books.days.iter().map(|d| d.ordinary + d.reserved).sum();
    assert_eq!(spending.n_told, sum);
    assert!(spending.n_held > 0 && spending.n_told >= 20, "{spending:?}");
    let ratio = spending.spent_ratio.expect("there is a budget");
    assert!((ratio - sum as f64 / 30.0).abs() < 1e-9);
    assert!(spending.books.next_threshold <= spending.books.threshold);
    assert!(!spending.next.is_empty());

    let figures = Figures { budget: Some(spending), days: 10.0, ..Figures::default() };
    let side = Side { figures, ..Side::default() };
    let report = Report { sides: vec![side], ..Report::default() };
    let (text, html) = (report.text(), report.html(Time::from_ms(1_790_000_000_000)));
    for wanted in ["3 a day asked for; ", " told in 10 days, ", "at the end: told at a chance of "]
    {
        assert!(text.contains(wanted) && html.contains(wanted), "{wanted}: {text}");
    }
    assert!(text.contains("with one more a day: a chance of "), "{text}");
    assert!(text.contains("held back on the last day: 5, 2026-"), "{text}");
    assert!(html.contains("<h2>Alert budget</h2>") && html.contains("told at a day"));
    assert!(report.json()["configurations"][0]["figures"]["budget"]["books"]["days"].is_array());
}

#[test]
fn without_a_budget_only_what_was_told_is_said() {
    let mut shard = Shard::new(Detect::default());
    assert!(Spending::of(shard.detectors(), 1.0).is_none(), "nothing was judged yet");
    shard.observe(&Batch::new("test", Time::from_ms(1_790_000_000_000)));
    let mut spending = Spending::of(shard.detectors(), 60.0).expect("there are books");
    assert_eq!(spending.days, 35.0);
    assert!(spending.lines()[0].ends_with("; more on 0 of the last 35 days"), "{spending:?}");
    (spending.spent_ratio, spending.books.asked_per_day) = (None, 0.0);
    assert_eq!(spending.lines().len(), 2);
    assert!(spending.lines()[0].starts_with("budget     none asked for; 0 told in "));
}
