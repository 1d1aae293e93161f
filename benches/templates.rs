//! Lines per second of the template miner on one core: messages alone, whole raw lines with their
//! heads, and JSON lines; all made up. Templates per second of its snapshot and its restore.

use divan::counter::ItemsCount;
use nightjar::templates::{Folder, Miner, record};

const LINES: usize = 20_000;
const CAPACITY: u32 = 10_000;

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

/// The message of the n-th line: thirty statements, some common and most rare.
fn message(n: usize) -> String {
    const THINGS: [&str; 5] = ["order", "cart", "invoice", "parcel", "refund"];
    let (drawn, thing) = (draw(n), THINGS[draw(n ^ 0xff) % THINGS.len()]);
    let (id, small, ms) = (drawn % 90_000, (drawn >> 20) % 250, (drawn >> 40) % 977);
    match drawn % 64 {
        0..24 => format!("GET /{thing}s/{id} HTTP/1.1 200 {ms} bytes in {small} ms"),
        24..40 => format!("{thing} {id} stored by worker-{} in {ms} ms", small % 16),
        40..50 => format!("connection from 10.0.{small}.{} port {id} accepted", ms % 250),
        50..58 => format!("cache hit for key {thing}:{id:08x}, ttl={ms} s"),
        58..62 => {
            format!("retrying {thing} {id}: attempt {} of 5 failed with code {small}", ms % 5)
        }
        62 => format!("no free connection in pool {thing}s-db after {ms} ms, {small} waiters"),
        _ => format!("node node-{} joined the group, {ms} members, epoch {id}", small % 40),
    }
}

fn raw(n: usize) -> String {
    let (s, ms) = (n / 50 % 60, n % 1_000);
    let level = if n.is_multiple_of(17) { "WARN" } else { "INFO" };
    format!(
        "2026-11-21 10:{:02}:{s:02},{ms:03} {level}  [pool-{}] shop.Orders - {}",
        n / 3_000 % 60,
        n % 8,
        message(n)
    )
}

fn json(n: usize) -> String {
    let trace = draw(n);
    format!(
        "{{\"ts\":\"2026-11-21T10:00:00.{:03}Z\",\"level\":\"info\",\"logger\":\"shop.orders\",\
         \"trace_id\":\"{trace:032x}\",\"span_id\":\"{:016x}\",\"service\":\"orders\",\
         \"msg\":\"{}\",\"host\":\"node-{}\",\"thread\":{}}}",
        n % 1_000,
        trace >> 3,
        message(n),
        n % 4,
        n % 16
    )
}

fn mine(bencher: divan::Bencher<'_, '_>, line: fn(usize) -> String, whole: bool) {
    let lines: Vec<String> = (0..LINES).map(line).collect();
    bencher
        .counter(ItemsCount::new(LINES))
        .with_inputs(|| (Miner::new(CAPACITY), Folder::default()))
        .bench_refs(|(miner, folder)| {
            for line in &lines {
                if !whole {
                    divan::black_box(miner.learn(line.as_bytes()));
                } else if let Some(event) = folder.push(line.as_bytes()) {
                    divan::black_box(miner.learn(&record::read(&event.text).message));
                }
            }
        });
}

#[divan::bench(sample_count = 20)]
fn messages(bencher: divan::Bencher<'_, '_>) {
    mine(bencher, message, false);
}

#[divan::bench(sample_count = 20)]
fn raw_lines(bencher: divan::Bencher<'_, '_>) {
    mine(bencher, raw, true);
}

#[divan::bench(sample_count = 20)]
fn json_lines(bencher: divan::Bencher<'_, '_>) {
    mine(bencher, json, true);
}

/// A miner that knows what it needs to know.
fn taught() -> Miner {
    let mut miner = Miner::new(CAPACITY);
    for n in 0..LINES {
        divan::black_box(miner.learn(raw(n).as_bytes()));
    }
    miner
}

#[divan::bench(sample_count = 20)]
fn snapshot(bencher: divan::Bencher<'_, '_>) {
    let miner = taught();
    bencher
        .counter(ItemsCount::new(miner.iter().count()))
        .bench_local(|| divan::black_box(rmp_serde::to_vec(&miner)));
}

#[divan::bench(sample_count = 20)]
fn restore(bencher: divan::Bencher<'_, '_>) {
    let miner = taught();
    let bytes = rmp_serde::to_vec(&miner).expect("numbers, texts and lists only");
    bencher
        .counter(ItemsCount::new(miner.iter().count()))
        .bench_local(|| divan::black_box(rmp_serde::from_slice::<Miner>(&bytes)));
}
