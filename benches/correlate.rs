//! Alerts per second through correlation, on one core: fifty thousand made-up ones of a day, with
//! faults that spread along callers and strays, from the first to the last decision.

use divan::counter::ItemsCount;
use nightjar::correlate::{Config, Replay};
use nightjar::model::alert::AlertStatus;
use nightjar::model::topology::EdgeKind;
use nightjar::model::{
    Alert, AlertId, AlertSource, EntityRef, Graph, Indicator, Labels, Severity, Time,
};

const ALERTS: usize = 50_000;
const SERVICES: usize = 90;
/// Faults begin this often (ms).
const EVERY_MS: i64 = 500_000;

fn main() {
    divan::main();
}

/// A hash as a stream of draws.
fn draw(seed: usize) -> usize {
    let mut x = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 32)) as usize
}

fn service(n: usize) -> EntityRef {
    EntityRef::service(format!("service-{n}"))
}

/// Each service calls three others with greater numbers.
fn graph() -> Graph {
    let mut graph = Graph::default();
    for n in 0..SERVICES - 1 {
        for i in 0..3 {
            let callee = n + 1 + draw(n * 3 + i) % (SERVICES - n - 1).min(20);
            graph.add(service(n), service(callee), EdgeKind::Calls);
        }
    }
    graph
}

fn alert(n: usize, place: usize, at: i64) -> Alert {
    const NAMES: [&str; 6] = [
        "HighErrorRate",
        "HighLatencyP99",
        "QueueBacklog",
        "CPUThrottlingHigh",
        "PodCrashLooping",
        "DBConnectionsSaturated",
    ];
    let name = NAMES[draw(n) % NAMES.len()];
    let entity = service(place);
    let pod = format!("{}-{}", entity.name(), draw(n) % 3);
    let labels: Labels =
        [("alertname", name), ("service", entity.name()), ("pod", &pod)].into_iter().collect();
    let (fingerprint, at) = (labels.fingerprint(), Time::from_ms(at));
    Alert {
        id: AlertId::derive(at, &[&fingerprint.to_string()]),
        fingerprint,
        labels,
        annotations: Labels::default(),
        source: AlertSource::External { system: "alertmanager".into() },
        entity,
        indicator: name.contains("Error").then_some(Indicator::Errors),
        severity: Severity::Critical,
        starts_at: at,
        ends_at: None,
        known_at: None,
        updated_at: at,
        status: AlertStatus::Firing,
        anomaly: None,
        series: None,
        value: None,
        expected: None,
        score: 8.0,
        n_reports: 1,
        witnesses: Vec::new(),
        incident: None,
        suppressed: None,
        decision: None,
    }
}

/// Alerts with when they come, begun and ended, in order.
fn day() -> Vec<(Time, Alert)> {
    let n_faults = 86_400_000 / EVERY_MS;
    let mut all = Vec::with_capacity(ALERTS);
    for n in 0..ALERTS / 2 {
        let fault = draw(n ^ 0xfa17) as i64 % n_faults;
        let root = draw(fault as usize) % SERVICES;
        let stray = n.is_multiple_of(8);
        let above = draw(n ^ 0xab) % 12;
        let place = if stray { draw(n) % SERVICES } else { root.saturating_sub(above) };
        let lag = if stray { draw(n ^ 1) as i64 % EVERY_MS } else { 4_000 * above as i64 };
        let at = fault * EVERY_MS + lag + draw(n ^ 2) as i64 % 60_000;
        let begun = alert(n, place, at);
        let mut over = begun.clone();
        let ends = Time::from_ms(at + 120_000 + draw(n ^ 3) as i64 % 600_000);
        (over.status, over.ends_at, over.updated_at) = (AlertStatus::Resolved, Some(ends), ends);
        all.push((Time::from_ms(at + 20_000), begun));
        all.push((ends, over));
    }
    all.sort_by_key(|(at, alert)| (*at, alert.id));
    all
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn grouped(bencher: divan::Bencher<'_, '_>) {
    let (alerts, graph) = (day(), graph());
    bencher
        .counter(ItemsCount::new(alerts.len()))
        .with_inputs(|| Replay::new(Config::default(), graph.clone(), Vec::new()))
        .bench_local_values(|mut replay| {
            for (now, alert) in &alerts {
                replay.take(alert, *now);
            }
            replay.finish()
        });
}
