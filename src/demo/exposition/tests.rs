//! The text that a real Prometheus scrapes.

use std::collections::BTreeSet;

use super::super::series::{catalogue, family};
use super::*;
use crate::demo::scenario::Operation;
use crate::demo::world::{Event, What};

fn noon() -> Time {
    Time::parse("2026-11-18T12:00:00Z").expect("valid")
}

fn world() -> World {
    World::new(7, noon().plus_ms(-86_400_000))
}

fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find(|l| l.starts_with(sample));
    let line = line.unwrap_or_else(|| panic!("{sample} is missing"));
    line.rsplit(' ').next().and_then(|v| v.parse().ok()).expect("a number")
}

#[test]
fn families_stand_together_and_every_sample_once() {
    let (world, series) = (world(), catalogue(7));
    let text = Meters::default().read(&world, &series, noon());
    let mut seen = BTreeSet::new();
    let mut ended = BTreeSet::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().expect("a name").to_owned();
            assert!(ended.insert(name.clone()), "{name} stands in two places");
            current = name;
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (sample, number) = line.rsplit_once(' ').expect("a value");
        assert!(number.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
        assert!(seen.insert(sample.to_owned()), "{sample} twice");
        let name = sample.split('{').next().expect("a name");
        assert_eq!(family(name).expect("known").name, current, "{line}");
    }
    let lives = |s: &&Series| s.only_on.is_none_or(|(s, r, n)| world.node_of(s, r, noon()) == n);
    assert_eq!(seen.len(), series.iter().filter(lives).count());
}

#[test]
fn counters_begin_at_zero_and_grow_by_their_rate() {
    let (world, series) = (world(), catalogue(7));
    let mut meters = Meters::default();
    let name = "node_cpu_seconds_total{cpu=\"0\",instance=\"node-1:9100\",job=\"node-exporter\",\
                mode=\"idle\"";
    assert_eq!(value(&meters.read(&world, &series, noon()), name), 0.0);
    let mut last = 0.0;
    for second in 1..=30 {
        let text = meters.read(&world, &series, noon().plus_ms(second * 1_000));
        let now = value(&text, name);
        assert!(now > last, "{now} after {last}");
        last = now;
    }
    let at = |s: i64| world.frame(Place::Node(0), noon().plus_ms(s * 1_000), false)[0];
    let expected: f64 = (0..30).map(|s| f64::midpoint(at(s), at(s + 1))).sum();
    assert!((last - expected).abs() < 1e-9, "{last} {expected}");
    // A reading in the past, or at the same time, changes nothing.
    let again = meters.read(&world, &series, noon());
    assert_eq!(value(&again, name), last);
}

#[test]
fn buckets_are_cumulative_and_in_order() {
    let (world, series) = (world(), catalogue(7));
    let mut meters = Meters::default();
    meters.read(&world, &series, noon());
    let text = meters.read(&world, &series, noon().plus_ms(3_600_000));
    let buckets: Vec<&str> =
        text.lines().filter(|l| l.starts_with("grpc_server_handling_seconds_bucket")).collect();
    assert!(buckets.len() > 30);
    for of_one in buckets.chunks(15) {
        assert!(of_one[14].contains("le=\"+Inf\""), "{}", of_one[14]);
        let counts: Vec<f64> = of_one
            .iter()
            .map(|l| l.rsplit(' ').next().expect("a value").parse().expect("a number"))
            .collect();
        assert!(counts.is_sorted(), "{counts:?}");
        let count = of_one[14].replace("_bucket", "_count").replace(",le=\"+Inf\"", "");
        let count = count.rsplit_once(' ').expect("a value").0.to_owned();
        assert_eq!(value(&text, &count), counts[14]);
    }
}

#[test]
fn what_moved_is_found_on_its_new_node_only() {
    let (mut world, series) = (world(), catalogue(7));
    let on = |world: &World, node: &str| {
        let text = Meters::default().read(world, &series, noon());
        text.lines().any(|l| {
            l.starts_with("container_memory_working_set_bytes{container=\"search\"")
                && l.contains(&format!("node=\"{node}\""))
        })
    };
    assert!(on(&world, "node-2") && !on(&world, "node-3"));
    let to = Operation::Move { service: "search".into(), to: "node-3".into() };
    world.record(Event { at: noon().plus_ms(-1_000), what: What::Operate(to), key: None });
    assert!(!on(&world, "node-2") && on(&world, "node-3"));
}

#[test]
fn texts_are_escaped() {
    assert_eq!(escaped("a\\b\n\"c\"", true), "a\\\\b\\n\\\"c\\\"");
    assert_eq!(escaped("a \"b\"", false), "a \"b\"");
}
