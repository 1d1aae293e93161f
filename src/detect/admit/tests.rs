//! What the budget lets pass becomes an alert of its own; what it holds back only strengthens.

use super::*;
use crate::detect::lifecycle::alert_of;
use crate::model::alert::Band;
use crate::model::signal::Direction;
use crate::model::{Actor, Labels, Role};

fn now(minute: i64) -> Time {
    Time::from_ms(1_762_128_000_000 + minute * 60_000)
}

fn series(service: &str, indicator: Indicator) -> Series {
    let (entity, labels) = (EntityRef::service(service), Labels::default());
    let metric = "http.server.request.duration p99".to_owned();
    Series {
        id: Series::identity("test", &metric, &entity, &labels),
        source: "test".into(),
        entity,
        metric,
        labels,
        indicator,
        unit: "s".into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: 15_000,
    }
}

fn departure(service: &str, minute: i64, score: f64) -> Anomaly {
    let series = series(service, Indicator::Duration);
    let id = AnomalyId::derive(now(minute), &[&series.id.to_string()]);
    Anomaly {
        id,
        subject: Subject::Series { series },
        detector: "seasonal/1".into(),
        since: now(minute),
        at: now(minute + 1),
        until: None,
        value: 2.0,
        peak: 2.0,
        expected: Band { low: 0.1, mid: 0.2, high: 0.3 },
        score,
        direction: Direction::High,
        why: "It is 2 s.".into(),
        unseen: false,
        grounds: None,
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.budget.anomalies_per_day = 2.0;
    config
}

fn held(admit: &Admit, anomalies: &[Anomaly]) -> Vec<bool> {
    anomalies.iter().map(|a| admit.held(a.id).is_some()).collect()
}

#[test]
fn beyond_the_budget_a_departure_only_strengthens_and_a_critical_one_still_passes() {
    let (config, mut admit) = (config(), Admit::default());
    let mut anomalies: Vec<Anomaly> =
        (0..5).map(|i| departure(&format!("service-{i}"), 0, 4.5)).collect();
    anomalies.push(departure("checkout", 0, 16.0));
    admit.judge(&config, (now(1), &Bars::default()), Seen::default(), &anomalies);
    assert!(admit.held(anomalies[5].id).is_none(), "critical and strong");
    let ordinary = held(&admit, &anomalies[..5]);
    // Two of six are told on the budget; the critical one may be one of them.
    let n_held = ordinary.iter().filter(|held| **held).count();
    assert!((3..=4).contains(&n_held), "{n_held} of five are held back");
    let at = ordinary.iter().position(|held| *held).expect("three are held");
    let mut alert = alert_of(&anomalies[at], config.threshold);
    assert_eq!(alert.severity, Severity::Warning);
    quieten(&mut alert, admit.held(anomalies[at].id).expect("held"));
    assert_eq!(alert.severity, Severity::Info);
    let why = alert.annotations.get(HELD_BACK).expect("why");
    assert!(why.starts_with("Held back: weighed like a chance of"), "{why}");
    assert_eq!(admit.report(&config).held_back.len(), n_held);
    // It grows: then it is told.
    anomalies[at].score = 20.0;
    admit.judge(&config, (now(2), &Bars::default()), Seen::default(), &anomalies[at..=at]);
    assert!(admit.held(anomalies[at].id).is_none());
}

#[test]
fn an_end_is_as_quiet_as_what_it_ends_and_is_forgotten_then() {
    let (config, mut admit) = (config(), Admit::default());
    let mut anomalies: Vec<Anomaly> =
        (0..5).map(|i| departure(&format!("service-{i}"), 0, 4.5)).collect();
    admit.judge(&config, (now(1), &Bars::default()), Seen::default(), &anomalies);
    let before = held(&admit, &anomalies);
    for anomaly in &mut anomalies {
        anomaly.until = Some(now(5));
    }
    admit.judge(&config, (now(6), &Bars::default()), Seen::default(), &anomalies);
    assert_eq!(held(&admit, &anomalies), before);
    admit.judge(&config, (now(7), &Bars::default()), Seen::default(), &[]);
    assert_eq!(admit.asked.len(), 0);
}

#[test]
fn the_order_of_series_in_a_batch_does_not_matter() {
    let config = config();
    let names: Vec<String> = (0..30).map(|i| format!("service-{i}")).collect();
    let run = |names: Vec<&String>| {
        let mut admit = Admit::default();
        for minute in 0..90 {
            let mut seen = Seen::default();
            let mut called = Vec::new();
            for name in &names {
                let digit = (name.len() as i64 * 7 + i64::from(name.as_bytes()[8]) * minute) % 97;
                let row = Row {
                    onset_surprise: Some(digit as f64 / 9.0),
                    departure: digit as f64,
                    step_ms: 60_000,
                    repeats: digit % 2 == 0,
                    ..Row::default()
                };
                seen.row(&series(name, Indicator::Errors), now(minute), &row);
                if digit == 3 {
                    called.push(departure(name, minute, 4.0 + digit as f64));
                }
            }
            admit.judge(&config, (now(minute), &Bars::default()), seen, &called);
        }
        admit
    };
    assert_eq!(run(names.iter().collect()), run(names.iter().rev().collect()));
}

#[test]
fn a_persons_word_puts_the_ensemble_into_shadow() {
    let (config, mut admit) = (config(), Admit::default());
    assert!(admit.heeds_ensemble());
    admit.judge(&config, (now(0), &Bars::default()), Seen::default(), &[]);
    let by =
        Actor { via: "console".into(), id: "o".into(), name: "operator".into(), role: Role::Admin };
    admit.obey(&DetectorOrder {
        detector: ENSEMBLE.into(),
        live: false,
        by,
        reason: "a test".into(),
    });
    assert!(!admit.heeds_ensemble());
    let report = admit.report(&config).report;
    assert_eq!(report.news.len(), 1);
    assert!(report.news[0].text.contains("operator moved it: a test"), "{}", report.news[0].text);
}
