//! Each part of the ensemble has a series on which it is surprised, and no other part is.
//!
//! A part is surprised when it costs more than on all but one in a thousand of the quiet rows of the
//! same series. Most are code lengths of the same rows, so that an event which stands
//! out clearly is seen by several; the series here are made so that what happens is ordinary to all
//! but one: it lies within the range so far, and lasts for no longer than that part looks at.

use super::super::track::{VIEW_NAMES, VIEWS};
use super::{Entity, noise};

/// Rows, and the row of the event: late enough for every part to know what is usual.
const ROWS: usize = 12_000;
const EVENT: usize = 9_000;

/// An event of `rows` rows on a quiet series: `quiet` gives a row from its number, what it remembers
/// and a generator, `change` what becomes of it in the event, from the row within it.
struct Case {
    part: &'static str,
    rows: usize,
    quiet: fn(usize, &mut f64, &mut u64) -> f64,
    change: fn(f64, usize) -> f64,
}

/// About normal, with a standard deviation of 0.58.
fn white(_: usize, _: &mut f64, state: &mut u64) -> f64 {
    (0..4).map(|_| noise(state)).sum()
}

/// Autocorrelated: half of it is gone after two rows.
fn wandering(_: usize, x: &mut f64, state: &mut u64) -> f64 {
    *x = 0.7 * *x + 0.5 * noise(state);
    *x
}

/// Minutes of a service that is switched on and off by day and rests at night.
fn by_day(row: usize, on: &mut f64, state: &mut u64) -> f64 {
    // The first row is at 22:13 UTC.
    let hour = (22 * 60 + 13 + row) / 60 % 24;
    if noise(state) > 0.45 {
        *on = 1.0 - *on;
    }
    if (8..20).contains(&hour) { *on + 0.2 * noise(state) } else { 0.2 * noise(state) }
}

/// A rare spike that makes all else small.
fn spiky(row: usize, _: &mut f64, state: &mut u64) -> f64 {
    if row % 1_250 == 700 { 1_000.0 } else { 1.0 + 0.2 * noise(state) }
}

/// A cycle of eight rows.
fn cycle(row: usize, _: &mut f64, state: &mut u64) -> f64 {
    [1.0, 3.0, 9.0, 7.0, 2.0, 8.0, 4.0, 6.0][row % 8] + noise(state)
}

/// Heavy tails, in the manner of Pareto.
fn heavy(_: usize, _: &mut f64, state: &mut u64) -> f64 {
    0.3 * (noise(state) + 0.500_001).powf(-0.6)
}

/// Whole numbers that stay for some rows.
fn sticky(_: usize, x: &mut f64, state: &mut u64) -> f64 {
    if noise(state) > 0.2 {
        *x = (6.0 * noise(state)).round();
    }
    *x
}

/// Up and down by turns.
fn turn(row: usize) -> f64 {
    if row.is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// 1 for the rows of a range, 0 for others.
fn within(row: usize, range: std::ops::Range<usize>) -> f64 {
    f64::from(u8::from(range.contains(&row)))
}

const CASES: [Case; VIEWS] = [
    Case { part: "value", rows: 8, quiet: cycle, change: |x, i| x + 0.8 * turn(i) },
    Case { part: "mean of 16 points", rows: 16, quiet: wandering, change: |x, _| x + 0.3 },
    Case { part: "mean of 48 points", rows: 16, quiet: sticky, change: |x, _| x + 0.3 },
    Case { part: "step", rows: 8, quiet: white, change: |x, i| x + within(i, 3..7) },
    Case { part: "trend", rows: 48, quiet: cycle, change: |x, _| x + 0.5 },
    // 04:13 UTC.
    Case { part: "time of day", rows: 20, quiet: by_day, change: |x, i| x + within(i, 4..12) },
    Case { part: "variance", rows: 32, quiet: cycle, change: |x, i| x + 0.5 * turn(i) },
    Case { part: "level", rows: 16, quiet: heavy, change: |x, _| x + 3.0 },
    Case { part: "unrest", rows: 8, quiet: spiky, change: |x, _| 1.0 + 0.1 * (x - 1.0) },
    Case { part: "standstill", rows: 8, quiet: white, change: |_, _| 0.5 },
    Case { part: "season", rows: 1, quiet: white, change: |x, _| x + 3.0 },
];

/// The most that each part was surprised in the event and the row after it, and what it costs on
/// all but one in a thousand quiet rows.
fn surprises(case: &Case) -> [(f32, f32); VIEWS] {
    let mut entity = Entity::new(1);
    let (mut state, mut x) = (42, 0.0);
    let mut usual: [Vec<f32>; VIEWS] = Default::default();
    let mut most = [0.0_f32; VIEWS];
    for row in 0..ROWS {
        let value = (case.quiet)(row, &mut x, &mut state);
        let is_event = (EVENT..EVENT + case.rows).contains(&row);
        let value = if is_event { (case.change)(value, row - EVENT) } else { value };
        let at_ms = 1_700_000_000_000 + row as i64 * 60_000;
        let judged = entity.push(at_ms, &[value]).expect("a finite value").judgement.surprises;
        for (part, surprise) in judged.into_iter().enumerate() {
            if (ROWS / 4..EVENT).contains(&row) {
                usual[part].push(surprise);
            } else if (EVENT..EVENT + case.rows + 2).contains(&row) {
                most[part] = most[part].max(surprise);
            }
        }
    }
    std::array::from_fn(|part| {
        usual[part].sort_by(f32::total_cmp);
        (most[part], usual[part][usual[part].len() * 999 / 1_000])
    })
}

#[test]
fn each_part_has_a_series_on_which_it_alone_is_surprised() {
    for (case, part) in CASES.iter().zip(VIEW_NAMES) {
        assert_eq!(case.part, part, "in the order of the parts");
        let all = surprises(case);
        let fired: Vec<&str> = all
            .iter()
            .zip(VIEW_NAMES)
            .filter(|((s, usual), _)| s > usual)
            .map(|(_, p)| p)
            .collect();
        assert_eq!(fired, [part], "{all:.1?}");
    }
}
