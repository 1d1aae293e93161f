//! Samples per second through a detector shard: back-fill (learning) and live (judging); series per
//! second of its snapshot and its restore; and the memory that
//! the live state of a series takes: as detection counts it, as the process grew, and as a counting
//! allocator sees a copy of it being made (`held`, names included).

use divan::counter::ItemsCount;
use nightjar::detect::{Config, Shard};
use nightjar::model::signal::Direction;
use nightjar::model::{Batch, EntityRef, Indicator, Labels, Point, Samples, Series, Time};

const SERIES: usize = 200;
const STEP_MS: i64 = 15_000;
/// Steps of five minutes.
const TWO_WEEKS: i64 = 14 * 24 * 12;

/// Series whose memory is measured, and how many of them are taught at a time.
const MANY: usize = 10_000;
const AT_ONCE: usize = 100;

/// Counts what benches ask of it.
#[global_allocator]
static COUNTING: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    memory();
    let bytes = taught().snapshot().len() / SERIES;
    println!("all that a shard keeps of a series, in a snapshot: {bytes} bytes");
    divan::main();
}

/// Bytes of memory of this process that are in use (Linux).
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(f64::NAN) * 4_096.0
}

/// Prints the memory of ten thousand series that two weeks have been learned of.
fn memory() {
    let before = resident();
    let mut shard = Shard::new(Config::default());
    let all: Vec<Series> = (0..MANY).map(|n| series(n, None)).collect();
    let quarters = 14 * 24 * 4;
    for some in all.chunks(AT_ONCE) {
        for day in 0..14 {
            let mut batch = Batch::new("bench", Time::from_ms(1_762_128_000_000 + 15 * 86_400_000));
            batch.backfill = true;
            let points: Vec<Point> = (day * 96..(day + 1) * 96)
                .map(|i| Point {
                    at: Time::from_ms(1_762_128_000_000 + i * 900_000),
                    value: 0.3 + 0.1 * (i as f64 / 15.3).sin() + 0.02 * (i as f64 * 1.7).sin(),
                })
                .collect();
            batch.metrics = some
                .iter()
                .map(|s| Samples { series: s.clone(), points: points.clone() })
                .collect();
            shard.observe(&batch);
        }
    }
    let (f, n) = (shard.footprint(), MANY as f64);
    println!(
        "live state of {MANY} series of {quarters} points: {:.0} bytes each, of them the ensemble \
         {:.0}; names and query {:.0}; the process grew by {:.0} each",
        f.state(),
        f.ensemble,
        f.description,
        (resident() - before) / n
    );
}

/// One with a limit has a forecast too.
fn series(n: usize, limit: Option<f64>) -> Series {
    let entity = EntityRef::service(format!("service-{n}"));
    let (metric, labels) = ("http.server.request.duration p99".to_owned(), Labels::default());
    Series {
        id: Series::identity("bench", &metric, &entity, &labels),
        source: "bench".into(),
        entity,
        metric,
        labels,
        indicator: Indicator::Duration,
        unit: "s".into(),
        direction: Direction::High,
        query: None,
        limit,
        step_ms: STEP_MS,
    }
}

/// Batches of one point per series, as a poll brings them.
fn batches(from: i64, n: i64, step_ms: i64, backfill: bool) -> Vec<Batch> {
    limited(None, (from, n, step_ms), backfill)
}

/// The same of series with a limit: `n` batches from a time on (ms), so far apart (ms).
fn limited(limit: Option<f64>, (from, n, step_ms): (i64, i64, i64), backfill: bool) -> Vec<Batch> {
    let all: Vec<Series> = (0..SERIES).map(|n| series(n, limit)).collect();
    (0..n)
        .map(|i| {
            let at = Time::from_ms(1_762_128_000_000 + from + i * step_ms);
            let value = 0.3 + 0.01 * (i as f64 * 1.7).sin();
            let mut batch = Batch::new("bench", at);
            batch.backfill = backfill;
            batch.metrics = all
                .iter()
                .map(|s| Samples { series: s.clone(), points: vec![Point { at, value }] })
                .collect();
            batch
        })
        .collect()
}

/// A shard with two weeks of history.
fn taught() -> Shard {
    let mut shard = Shard::new(Config::default());
    for batch in batches(0, TWO_WEEKS, 300_000, true) {
        shard.observe(&batch);
    }
    shard
}

#[divan::bench(sample_count = 10)]
fn learn(bencher: divan::Bencher<'_, '_>) {
    let input = batches(0, 500, 300_000, true);
    bencher
        .counter(ItemsCount::new(500 * SERIES))
        .with_inputs(|| Shard::new(Config::default()))
        .bench_refs(|shard| {
            for batch in &input {
                divan::black_box(shard.observe(batch));
            }
        });
}

#[divan::bench(sample_count = 10)]
fn judge(bencher: divan::Bencher<'_, '_>) {
    let taught = taught();
    let input = batches(TWO_WEEKS * 300_000, 500, STEP_MS, false);
    bencher.counter(ItemsCount::new(500 * SERIES)).with_inputs(|| taught.clone()).bench_refs(
        |shard| {
            for batch in &input {
                divan::black_box(shard.observe(batch));
            }
        },
    );
}

/// A copy asks the allocator for all that the series hold, once; with a limit they have a forecast.
#[divan::bench(sample_count = 1, sample_size = 1, args = [false, true])]
fn held(bencher: divan::Bencher<'_, '_>, has_limit: bool) {
    let limit = has_limit.then_some(2.0);
    let mut shard = Shard::new(Config::default());
    for batch in limited(limit, (0, TWO_WEEKS, 300_000), true) {
        shard.observe(&batch);
    }
    for batch in limited(limit, (TWO_WEEKS * 300_000, 4 * 60 * 24, STEP_MS), false) {
        shard.observe(&batch);
    }
    let f = shard.footprint();
    println!(
        "after a day live: {:.0} bytes of state and {:.0} of names each, times {SERIES} series: {:.0}",
        f.state(),
        f.description,
        (f.state() + f.description) * SERIES as f64
    );
    bencher.counter(ItemsCount::new(SERIES)).bench_local(|| divan::black_box(shard.clone()));
}

#[divan::bench(sample_count = 10)]
fn snapshot(bencher: divan::Bencher<'_, '_>) {
    let taught = taught();
    bencher.counter(ItemsCount::new(SERIES)).bench_local(|| divan::black_box(taught.snapshot()));
}

#[divan::bench(sample_count = 10)]
fn restore(bencher: divan::Bencher<'_, '_>) {
    let bytes = taught().snapshot();
    bencher
        .counter(ItemsCount::new(SERIES))
        .bench_local(|| divan::black_box(Shard::restore(Config::default(), &bytes)));
}
