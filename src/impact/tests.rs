//! What is told of orders after a latency, and what is not.

use super::pair::{GRID_MS, SPAN_MS, Side, judge, on_grid};
use crate::model::{Point, Time};

const NOW: Time = Time::from_ms(1_800_000_000_000);

/// A day of points every `step_s` seconds: a level with some noise, another level from `since_min`
/// minutes before now on.
fn points(step_s: i64, seed: i64, level: f64, (since_min, to): (i64, f64)) -> Vec<Point> {
    let n = SPAN_MS / 1_000 / step_s;
    (0..n)
        .map(|i| {
            let at = NOW.plus_ms(-SPAN_MS + i * step_s * 1_000);
            // Numbers that look random: bits of a product.
            let mixed = ((i + seed) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let noise = ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64
                / f64::from(1 << 24)
                - 0.5;
            let changed = NOW.ms_since(at) < since_min * 60_000;
            let value = if changed { to } else { level };
            Point { at, value: value + noise * 0.2 * level }
        })
        .collect()
}

fn side(name: &str, points: Vec<Point>) -> Side<'_> {
    Side { name, residuals: on_grid(&points, NOW, |_| None) }
}

#[test]
fn orders_that_fell_after_a_latency_rose_are_told_with_their_uncertainty() {
    let slow = side("checkout p99", points(30, 1, 0.2, (40, 3.0)));
    let orders = side("orders of shop", points(60, 900, 20.0, (28, 8.0)));
    let onset = NOW.plus_ms(-40 * 60_000);
    let text = judge(&slow, &orders, true, (onset, NOW)).expect("it is plain");
    assert!(
        text.starts_with("orders of shop fell 12 min after checkout p99 rose; correlation −0."),
        "{text}"
    );
    assert!(text.contains("(95 %: −0.") && text.contains("by chance in 3 % of cases"), "{text}");
    // Orders that went on as ever followed nothing.
    let steady = side("orders of shop", points(60, 900, 20.0, (0, 0.0)));
    assert_eq!(judge(&slow, &steady, true, (onset, NOW)), None);
}

#[test]
fn a_grid_takes_means_fills_short_gaps_and_takes_the_rhythm_off() {
    let at = |min: i64| NOW.plus_ms(-SPAN_MS + min * 60_000);
    let point = |min: i64, value: f64| Point { at: at(min), value };
    let all = [point(0, 1.0), point(1, 3.0), point(6, 8.0), point(60, 5.0), point(61, f64::NAN)];
    let grid = on_grid(&all, NOW, |_| None);
    assert_eq!(grid.len() as i64, SPAN_MS / GRID_MS);
    assert_eq!(grid[..4], [2.0, 4.0, 6.0, 8.0]);
    assert!(grid[4].is_nan() && grid[29].is_nan());
    assert!((grid[30] - 5.0).abs() < 1e-12);
    assert!((on_grid(&all, NOW, |_| Some(5.0))[30]).abs() < 1e-12);
}
