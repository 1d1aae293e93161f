//! One technical and one declared series held against each other, and the sentence about it. Pure.

use crate::model::time::{DAY_MS, MINUTE_MS, duration_text};
use crate::model::{Point, Time};
use crate::stats::{following, shift_in_sigmas};

/// How far back is looked: so that a move that both made once is rare among what each does.
pub(super) const SPAN_MS: i64 = DAY_MS;
/// Distance of the common grid.
pub(super) const GRID_MS: i64 = 2 * MINUTE_MS;
/// Most steps of it by which one may follow the other: half an hour.
pub(super) const MOST_LAG: usize = 15;
/// Times further than this from any point are missing.
const NEAR_MS: i64 = 10 * MINUTE_MS;
/// Robust standard deviations by which the declared series must have moved since the onset.
const MOVED: f64 = 2.0;

/// One of the two series.
pub(super) struct Side<'a> {
    /// What it is called: `orders of shop`, `checkout p99`.
    pub(super) name: &'a str,
    /// Without its rhythm, one value for each step of the grid, oldest first; missing is NaN.
    pub(super) residuals: Vec<f64>,
}

/// Points on the common grid that ends at `now`, less what was expected: the mean of the points in
/// each step; between points that are near each other, a straight line.
pub(super) fn on_grid(
    points: &[Point],
    now: Time,
    expected: impl Fn(Time) -> Option<f64>,
) -> Vec<f64> {
    let start = now.plus_ms(-SPAN_MS);
    let steps = (SPAN_MS / GRID_MS) as usize;
    let mut sums = vec![(0.0, 0_u32); steps];
    for point in points.iter().filter(|p| p.value.is_finite()) {
        let place = usize::try_from(point.at.ms_since(start).div_euclid(GRID_MS)).ok();
        if let Some(cell) = place.and_then(|p| sums.get_mut(p)) {
            *cell = (cell.0 + point.value, cell.1 + 1);
        }
    }
    let mut values: Vec<f64> =
        sums.iter().map(|(sum, n)| if *n > 0 { sum / f64::from(*n) } else { f64::NAN }).collect();
    let most = (NEAR_MS / GRID_MS) as usize;
    let mut last: Option<usize> = None;
    for i in 0..steps {
        if values[i].is_nan() {
            continue;
        }
        if let Some(from) = last.filter(|from| i - from > 1 && i - from <= most) {
            let (low, rise) = (values[from], (values[i] - values[from]) / (i - from) as f64);
            for (n, value) in values[from + 1..i].iter_mut().enumerate() {
                *value = low + rise * (n + 1) as f64;
            }
        }
        last = Some(i);
    }
    // All or nothing: a series half of which is told without its rhythm would jump.
    let at = |i: usize| start.plus_ms(i as i64 * GRID_MS + GRID_MS / 2);
    let mids: Option<Vec<f64>> = (0..steps).map(|i| expected(at(i))).collect();
    if let Some(mids) = mids {
        values.iter_mut().zip(mids).for_each(|(value, mid)| *value -= mid);
    }
    values
}

/// What is told of two series, if it is worth telling. `rose` says which way the technical one
/// went; the incident began at `onset`.
pub(super) fn judge(
    technical: &Side<'_>,
    declared: &Side<'_>,
    rose: bool,
    (onset, now): (Time, Time),
) -> Option<String> {
    let found = following(&technical.residuals, &declared.residuals, MOST_LAG)?;
    if !found.is_significant() {
        return None;
    }
    let since = (now.ms_since(onset).max(0) / GRID_MS) as usize;
    let steps = declared.residuals.len();
    let (before, after) = declared.residuals.split_at(steps - (since + 1).min(steps));
    let after = after.get(found.lag..).unwrap_or_default();
    let moved = shift_in_sigmas(before, after, 0.0)?;
    // It must have moved, and the way that the correlation says.
    if moved.abs() < MOVED || (moved > 0.0) != (rose == (found.r > 0.0)) {
        return None;
    }
    let word = |up: bool| if up { "rose" } else { "fell" };
    let lag_ms = found.lag as i64 * GRID_MS;
    let when = if found.lag == 0 {
        format!("within {} of when", duration_text(GRID_MS))
    } else {
        format!("{} after", duration_text(lag_ms))
    };
    Some(format!(
        "{} {} {when} {} {}; correlation {} (95 %: {} to {}) over {}, by chance in {:.0} % of cases \
         or fewer.",
        declared.name,
        word(moved > 0.0),
        technical.name,
        word(rose),
        signed(found.r),
        signed(found.interval.0),
        signed(found.interval.1),
        duration_text(SPAN_MS),
        (found.p * 100.0).ceil()
    ))
}

/// Two decimals with a true minus sign.
fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{:.2}", value.abs())
}
