//! What only other systems' rules tell of may have begun before they fired.

use super::*;
use crate::diagnose::rank::early;

/// The shop calls its store. The shop's own series show trouble at 0, and the store's is told at `told`
/// seconds: by a rule of another system, or by our detector with or without a series that dates it.
fn told(by: &str, told: i64) -> Input {
    let (shop, store) = (service("shop"), service("store"));
    let mut late = alert(&store, Indicator::Errors, 60.0, told);
    if by == "rule" {
        late.source = AlertSource::External { system: "alertmanager".into() };
        (late.anomaly, late.value, late.expected, late.score) = (None, None, None, 0.0);
    }
    let alerts = vec![alert(&shop, Indicator::Errors, 60.0, 0), late];
    let mut with = input(graph(&[("shop", "store")], &[]), alerts, Vec::new());
    with.onsets.insert(shop, at(0));
    if by == "series" {
        with.onsets.insert(store, at(told));
    }
    with
}

#[test]
fn a_rule_that_waited_does_not_make_the_cause_an_effect() {
    assert_eq!(first(&told("rule", 300)).0, "store", "the rule waits for five minutes");
    assert_eq!(first(&told("rule", 900)).0, "shop", "no rule waits for so long");
    assert_eq!(first(&told("series", 300)).0, "shop", "it began five minutes later");
    assert_eq!(first(&told("detector", 120)).0, "store", "it was noticed a minute later");
    assert_eq!(first(&told("detector", 300)).0, "shop", "it is noticed sooner than that");
    let ranked = rank(&told("rule", 300));
    let onset = ranked.hypotheses[0].parts.iter().find(|p| p.name == "onset").expect("it has one");
    assert_eq!(
        onset.why,
        "its trouble was told 5 min after the first, and may have begun before that"
    );
    // Evenly between the first and five minutes later: half a minute in full, two and a half by half.
    assert!((onset.contribution - (30.0 + 75.0) / 300.0).abs() < 1e-9, "{}", onset.contribution);
}

#[test]
fn the_weight_of_an_onset_is_the_mean_over_when_it_may_lie() {
    let (s, exact) = (SECOND_MS, |ms: i64| early(ms, ms));
    assert_eq!([0, 30, 105, 180, 600].map(|at| exact(at * s)), [1.0, 1.0, 0.5, 0.0, 0.0]);
    for (least, most) in [(0, 20), (0, 60), (10, 170), (50, 400), (200, 300)] {
        let steps = 10_000;
        let at = |i: i64| least * s + (most - least) * s * (2 * i + 1) / (2 * steps);
        let mean = (0..steps).map(|i| exact(at(i))).sum::<f64>() / steps as f64;
        let told = early(least * s, most * s);
        assert!((told - mean).abs() < 1e-4, "{least} to {most}: {told} and {mean}");
    }
}

#[test]
fn a_way_that_may_be_gone_is_held_against_its_caller_by_half() {
    let held = |fades: bool| {
        let (orders, pay) = (service("orders"), service("pay"));
        let mut graph = graph(&[("orders", "pay")], &[]);
        if fades {
            graph.fade(orders.clone(), pay.clone());
        }
        let alerts = vec![
            alert(&pay, Indicator::Errors, 90.0, 0),
            alert(&orders, Indicator::Errors, 9.0, 30),
        ];
        let ranked = rank(&input(graph, alerts, Vec::new()));
        let own = ranked.hypotheses.iter().find(|h| h.entity == orders).expect("in trouble");
        own.parts.iter().map(|p| p.contribution).filter(|c| *c < 0.0).sum::<f64>()
    };
    assert!((held(false) + 1.2).abs() < 1e-9 && (held(true) + 0.6).abs() < 1e-9);
}
