//! Forecasts on series of one's own: the highest value of the next hours against the interval that
//! was said for it, at places all along every series of a tree of CSV files.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nightjar::backtest::read_csv;
use nightjar::detect::forecast::{Question, Rhythm, outlook};
use nightjar::model::Samples;
use nightjar::model::time::HOUR_MS;

/// Hours ahead.
const AHEAD: [usize; 3] = [6, 24, 72];
/// Hours of history before the first look, between looks, and that are looked back at most.
const HISTORY: usize = 168;
const EVERY: usize = 24;
const MEMORY: usize = 504;
/// The interval is from the 5th to the 95th of a hundred.
const EDGES: [f64; 2] = [0.05, 0.95];
/// Halvings in the search for a limit of a given chance: to a hundredth of the range.
const HALVINGS: usize = 8;
/// Share of the hours that must have a value.
const FULL: f64 = 0.9;

/// What became of the looks at one distance.
#[derive(Clone, Copy, Default)]
struct Seen {
    n: usize,
    above: usize,
    below: usize,
    /// Widths in units of the series' own range so far.
    width: f64,
    /// Whether it was above the last value's naive interval, for comparison.
    naive: usize,
}

/// Reads the tree, looks, and prints the table.
pub(crate) fn run(folder: &str) {
    let started = Instant::now();
    let history =
        read_csv(Path::new(folder), None).unwrap_or_else(|e| panic!("{folder} can't be read: {e}"));
    let all: Vec<(i64, Vec<f64>)> = history.tracks.iter().filter_map(hourly).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new([Seen::default(); AHEAD.len()]));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((first, values)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seen = follow(*first, values);
                    let mut sum = done.lock().expect("no thread panics");
                    for (sum, seen) in sum.iter_mut().zip(seen) {
                        sum.n += seen.n;
                        sum.above += seen.above;
                        sum.below += seen.below;
                        sum.width += seen.width;
                        sum.naive += seen.naive;
                    }
                }
            });
        }
    });
    println!(
        "{} of {} series have {HISTORY} h and more, hour by hour; looked at every {EVERY} h; 90 % \
         intervals of the highest value ahead ({:.0} s)",
        all.len(),
        history.tracks.len(),
        started.elapsed().as_secs_f64()
    );
    println!(
        "{:>8}{:>8}{:>10}{:>8}{:>8}{:>16}{:>24}",
        "hours", "looks", "covered", "above", "below", "width / range", "covered by last day's"
    );
    for (hours, seen) in AHEAD.iter().zip(done.into_inner().expect("no thread panics")) {
        let percent = |n: usize| format!("{:.1} %", 100.0 * n as f64 / (seen.n as f64).max(1.0));
        println!(
            "{hours:>8}{:>8}{:>10}{:>8}{:>8}{:>16.2}{:>24}",
            seen.n,
            percent(seen.n - seen.above - seen.below),
            percent(seen.above),
            percent(seen.below),
            seen.width / (seen.n as f64).max(1.0),
            percent(seen.naive)
        );
    }
}

/// Means by the hour, NaN where there is none, with the hour of the first since the Monday before
/// the epoch; `None` where there are too few.
fn hourly(track: &Samples) -> Option<(i64, Vec<f64>)> {
    let hour = |p: &nightjar::model::Point| p.at.ms().div_euclid(HOUR_MS);
    let (first, last) = (hour(track.points.first()?), hour(track.points.last()?));
    let n = usize::try_from(last - first).ok()?;
    // The first and the last hour are seldom whole.
    if !(HISTORY + AHEAD[0]..200_000).contains(&n) {
        return None;
    }
    let mut sums = vec![(0.0, 0.0); n];
    for point in &track.points {
        if let Some((sum, n)) =
            usize::try_from(hour(point) - first).ok().and_then(|i| sums.get_mut(i))
        {
            *sum += point.value;
            *n += 1.0;
        }
    }
    let values: Vec<f64> = sums.into_iter().map(|(sum, n)| sum / n).collect();
    let full = values.iter().filter(|v| v.is_finite()).count() as f64 >= FULL * n as f64;
    // The epoch began on a Thursday.
    full.then_some((first + 72, values))
}

fn follow(first: i64, values: &[f64]) -> [Seen; AHEAD.len()] {
    let mut all = [Seen::default(); AHEAD.len()];
    for now in (HISTORY..values.len()).step_by(EVERY) {
        let from = now.saturating_sub(MEMORY);
        let past = &values[from..now];
        let finite = || past.iter().copied().filter(|v| v.is_finite());
        let (low, high) =
            finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let range = high - low;
        if range <= 0.0 {
            continue;
        }
        // Limits are above 0, and noise is looked for no finer than a share of them.
        let shifted: Vec<f64> = past.iter().map(|v| (v - low) / range + 1.0).collect();
        for (seen, hours) in all.iter_mut().zip(AHEAD) {
            let Some(coming) = values.get(now..now + hours) else { continue };
            let most = coming.iter().copied().filter(|v| v.is_finite()).fold(f64::NAN, f64::max);
            if most.is_nan() {
                continue;
            }
            let chance = |limit: f64| {
                let first = first + from as i64;
                let question =
                    Question { limit, horizon: hours, step_h: 1.0, first, least: 0.0, began: None };
                outlook(&shifted, &question, &Rhythm::Found, None).map_or(0.0, |o| o.chance)
            };
            let [lower, upper] = EDGES.map(|share| limit_of(1.0 - share, &chance));
            let most = (most - low) / range + 1.0;
            seen.n += 1;
            seen.above += usize::from(most > upper);
            seen.below += usize::from(most < lower);
            seen.width += upper - lower;
            let day = finite().rev().take(24);
            let (l, h) =
                day.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            let within = (l - low) / range + 1.0..=(h - low) / range + 1.0;
            seen.naive += usize::from(within.contains(&most));
        }
    }
    all
}

/// The limit that is reached with this chance: chances fall as limits rise.
fn limit_of(wanted: f64, chance: &dyn Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.5, 3.0);
    for _ in 0..HALVINGS {
        let mid = f64::midpoint(low, high);
        if chance(mid) > wanted {
            low = mid;
        } else {
            high = mid;
        }
    }
    f64::midpoint(low, high)
}
