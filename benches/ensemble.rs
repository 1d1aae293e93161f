//! Samples per second of the ensemble on one core over ten thousand series, taken round robin as
//! live data comes (so that no series' state stays in the nearest cache), and bytes of its state.

use divan::counter::ItemsCount;
use nightjar::detect::ensemble::{BYTES, Entity};

const SERIES: usize = 10_000;
/// Rows that each series has seen before it is measured: past warm-up, sketches filled.
const LEARNED: i64 = 1_500;
const STEP_MS: i64 = 60_000;

fn main() {
    let bytes = rmp_serde::to_vec(&taught(1)[0]).map_or(0, |b| b.len());
    println!("state of a series in a snapshot: {bytes} bytes");
    println!("state of a series in memory: {BYTES} bytes");
    divan::main();
}

/// Deterministic noise between −0.5 and 0.5 (xorshift64, Marsaglia 2003).
fn noise(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}

/// A load with a rhythm of some hours and a heavy tail.
fn row(i: i64, state: &mut u64, to: &mut [f64]) {
    let hour = (i as f64 / 60.0).sin() * 10.0;
    to.fill_with(|| {
        let n = noise(state);
        50.0 + hour + 8.0 * n * (1.0 + 10.0 * n.powi(5).abs())
    });
}

fn taught(n: usize) -> Vec<Entity> {
    let mut entities = vec![Entity::new(1); n];
    let (mut state, mut values) = (88_172_645_463_325_252, vec![0.0; n]);
    for i in 0..LEARNED {
        row(i, &mut state, &mut values);
        for (entity, value) in entities.iter_mut().zip(&values) {
            entity.push(i * STEP_MS, std::slice::from_ref(value));
        }
    }
    entities
}

/// One row of each of ten thousand series a round. The memory of each is asked for while the one
/// before is judged.
#[divan::bench(sample_count = 200, sample_size = 1)]
fn judge(bencher: divan::Bencher<'_, '_>) {
    let mut entities = taught(SERIES);
    let (mut state, mut i) = (4_101_842_887_655_102_017, LEARNED);
    bencher
        .counter(ItemsCount::new(SERIES))
        .with_inputs(|| {
            i += 1;
            let mut values = vec![0.0; SERIES];
            row(i, &mut state, &mut values);
            (i * STEP_MS, values)
        })
        .bench_local_refs(|(at_ms, values)| {
            let mut sum = 0.0;
            let mut rest = entities.iter_mut().zip(values.iter()).peekable();
            while let Some((entity, value)) = rest.next() {
                if let Some((next, _)) = rest.peek() {
                    next.fetch();
                }
                let verdict = entity.push_fetched(*at_ms, std::slice::from_ref(value));
                sum += verdict.map_or(0.0, |v| v.score);
            }
            divan::black_box(sum)
        });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn snapshot(bencher: divan::Bencher<'_, '_>) {
    let entities = taught(1_000);
    bencher
        .counter(ItemsCount::new(1_000_usize))
        .bench_local(|| divan::black_box(rmp_serde::to_vec(&entities)));
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn restore(bencher: divan::Bencher<'_, '_>) {
    let bytes = rmp_serde::to_vec(&taught(1_000)).expect("numbers only");
    bencher
        .counter(ItemsCount::new(1_000_usize))
        .bench_local(|| divan::black_box(rmp_serde::from_slice::<Vec<Entity>>(&bytes)));
}
