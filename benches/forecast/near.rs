//! Warnings of hours ahead: how often they are false on what is held for a while and given back, and
//! how early a leak in it is told: `cargo bench --bench forecast -- near`.
//!
//! Pools of connections (or workers, or sessions) are simulated: takers come at random, more by day
//! than by night, and each keeps its place for an exponential time (a queue of kind M/M/∞ under a
//! rhythm). Such counts wander for as long as a place is kept, so that neighbouring values are alike
//! and look like a rise. Samples each minute go through a whole shard of detectors; what counts is
//! the anomalies of the forecast.

use std::collections::BTreeSet;

use nightjar::detect::{Config, Shard};
use nightjar::model::signal::Direction;
use nightjar::model::time::{DAY_MS, MINUTE_MS};
use nightjar::model::{
    AnomalyId, Batch, EntityRef, Indicator, Labels, Point, Samples, Series, Time,
};
use nightjar::stats::Draws;

/// Monday 2025-11-03 00:00 UTC.
const START: i64 = 1_762_128_000_000;
/// Days of back-fill, and days that are judged.
const HISTORY: i64 = 14;
const JUDGED: i64 = 7;
/// Minutes that a leak takes from the usual level to the limit.
const LEAKS: [(i64, &str); 3] = [(0, "no leak"), (8 * 60, "8 h"), (24 * 60, "24 h")];

/// A pool: places, share of them that is taken on average, minutes that one is kept.
const POOLS: [(f64, f64, f64); 9] = [
    (20.0, 0.25, 10.0),
    (20.0, 0.25, 60.0),
    (20.0, 0.4, 30.0),
    (10.0, 0.3, 30.0),
    (50.0, 0.3, 30.0),
    (8.0, 0.2, 120.0),
    (100.0, 0.3, 60.0),
    (1_000.0, 0.3, 60.0),
    (1_000.0, 0.3, 600.0),
];

/// What became of one pool.
#[derive(Default)]
struct Seen {
    /// Warnings before any leak.
    falsely: usize,
    /// Days without a leak that were judged.
    days: f64,
    /// Hours from the first warning of the leak to its end at the limit, if it was told.
    ahead: Option<f64>,
}

fn poisson(mean: f64, draws: &mut Draws) -> f64 {
    if mean > 30.0 {
        return (mean + mean.sqrt() * draws.normal()).round().max(0.0);
    }
    let (mut n, mut waited) = (0.0, draws.exponential());
    while waited < mean {
        (n, waited) = (n + 1.0, waited + draws.exponential());
    }
    n
}

fn pool_series() -> Series {
    let (entity, labels) = (EntityRef::service("orders"), Labels::default());
    let metric = "db.client.connections.utilization".to_owned();
    Series {
        id: Series::identity("bench", &metric, &entity, &labels),
        source: "bench".into(),
        entity,
        metric,
        labels,
        indicator: Indicator::Utilization,
        unit: "1".into(),
        direction: Direction::High,
        query: None,
        limit: Some(1.0),
        step_ms: MINUTE_MS,
    }
}

fn follow((places, share, kept): (f64, f64, f64), leak: i64, seed: u64) -> Seen {
    let series = pool_series();
    let mut shard = Shard::new(Config::default());
    let mut draws = Draws::new(seed.wrapping_mul(97).wrapping_add(5));
    let (mut taken, mut lost) = (share * places, 0.0);
    let begins =
        if leak > 0 { (HISTORY + 2) * 1_440 + (seed as i64 * 397) % 1_440 } else { i64::MAX };
    let (mut told, mut seen) = (BTreeSet::<AnomalyId>::new(), Seen::default());
    let mut first = None;
    let mut learnt = Vec::new();
    for minute in 0..(HISTORY + JUDGED) * 1_440 {
        let day = (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
        let come = poisson(places * share * (1.0 + 0.3 * day) / kept, &mut draws);
        let go = poisson(taken * (1.0 - (-1.0 / kept).exp()), &mut draws).min(taken);
        taken += come - go;
        if minute > begins {
            lost += places * (1.0 - share) / leak as f64;
        }
        let at = Time::from_ms(START + minute * MINUTE_MS);
        let point = Point { at, value: ((taken + lost.floor()) / places).min(1.0) };
        let mut batch = Batch::new("bench", at);
        if minute < HISTORY * 1_440 {
            learnt.push(point);
            if learnt.len() < 1_440 {
                continue;
            }
            batch.backfill = true;
        }
        let points = if learnt.is_empty() { vec![point] } else { std::mem::take(&mut learnt) };
        batch.metrics.push(Samples { series: series.clone(), points });
        for anomaly in shard.observe(&batch) {
            if anomaly.detector != "forecast/1" || !told.insert(anomaly.id) {
                continue;
            }
            if minute < begins {
                seen.falsely += 1;
            } else {
                first.get_or_insert(minute);
            }
        }
        if minute > begins && point.value >= 1.0 {
            seen.ahead = first.map(|first| (minute - first) as f64 / 60.0);
            break;
        }
    }
    let until = begins.min((HISTORY + JUDGED) * 1_440);
    seen.days = (until - HISTORY * 1_440) as f64 * MINUTE_MS as f64 / DAY_MS as f64;
    seen
}

/// Prints a table, `n` pools of each kind.
pub(crate) fn run(n: u64) {
    println!(
        "{n} of each kind, {HISTORY} days of back-fill and up to {JUDGED} that are judged\n{:34}{}",
        "places, share taken, minutes kept",
        LEAKS.map(|(_, name)| format!("{name:>22}")).concat()
    );
    let (mut falsely, mut days) = (0, 0.0);
    for pool in POOLS {
        let mut line = format!("{:34}", format!("{}, {}, {}", pool.0, pool.1, pool.2));
        for (leak, _) in LEAKS {
            let all: Vec<Seen> = std::thread::scope(|scope| {
                let follow = |seed| scope.spawn(move || follow(pool, leak, seed));
                let running: Vec<_> = (0..n).map(follow).collect();
                running.into_iter().map(|t| t.join().expect("no thread panics")).collect()
            });
            let mut ahead: Vec<f64> = all.iter().filter_map(|s| s.ahead).collect();
            ahead.sort_by(f64::total_cmp);
            let (wrong, over) =
                all.iter().fold((0, 0.0), |(n, days), s| (n + s.falsely, days + s.days));
            (falsely, days) = (falsely + wrong, days + over);
            line += &if leak == 0 {
                format!("{:>22}", format!("{wrong} false in {over:.0} days"))
            } else {
                let middle = ahead.get(ahead.len() / 2).map_or("-".into(), |h| format!("{h:.1} h"));
                format!("{:>22}", format!("{} told, {middle}", ahead.len()))
            };
        }
        println!("{line}");
    }
    println!("{falsely} false warnings in {days:.0} days of one series, before the leaks too");
}
