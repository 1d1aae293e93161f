//! When a series changed: the most likely change point in a stretch of points.

use super::{cliffs_delta, median, median_and_sigma};
use crate::model::{Point, Time};

/// A change point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Onset {
    /// First point of the new level.
    pub at: Time,
    /// Its index in the points given.
    pub index: usize,
    /// Median before it.
    pub before: f64,
    /// Median from it on.
    pub after: f64,
    /// Cliff's delta from before to after, −1 to 1.
    pub delta: f64,
    /// Approximate chance of such a change in unchanged data.
    pub p_value: f64,
}

/// Finds the one change point of `points` (in order of time) by Pettitt's rank test (Pettitt 1979,
/// "A non-parametric approach to the change-point problem"), then walks back along a ramp to the
/// first point outside the noise before. `None` when nothing changed at the 5 % level or there are
/// fewer than eight points.
#[must_use]
pub fn find_onset(points: &[Point]) -> Option<Onset> {
    let points: Vec<Point> = points.iter().copied().filter(|p| p.value.is_finite()).collect();
    let n = points.len();
    if n < 8 {
        return None;
    }
    let values: Vec<f64> = points.iter().map(|p| p.value).collect();
    // U(t) = 2 · Σ ranks up to t − t (n + 1); the split with the greatest |U| wins.
    let ranks = mid_ranks(&values);
    let mut sum = 0.0;
    let (mut split, mut most) = (0, 0.0_f64);
    for t in 1..n {
        sum += ranks[t - 1];
        let u = (2.0 * sum - t as f64 * (n as f64 + 1.0)).abs();
        if u > most {
            (split, most) = (t, u);
        }
    }
    let size = n as f64;
    let p_value = (2.0 * (-6.0 * most * most / (size.powi(3) + size.powi(2))).exp()).min(1.0);
    if split == 0 || p_value > 0.05 {
        return None;
    }
    // A ramp's rank split lies in its middle: walk back while points are outside the noise before.
    let calm = &values[..split.div_ceil(2)];
    let (mid, sigma) = median_and_sigma(calm)?;
    let shift = median(&values[split..])? - mid;
    let edge = (3.0 * sigma).max(shift.abs() * 0.1);
    while split > 1 && (values[split - 1] - mid) * shift.signum() > edge {
        split -= 1;
    }
    Some(Onset {
        at: points[split].at,
        index: split,
        before: median(&values[..split])?,
        after: median(&values[split..])?,
        delta: cliffs_delta(&values[..split], &values[split..])?,
        p_value,
    })
}

/// Ranks from 1; equal values share the middle of theirs.
fn mid_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut i = 0;
    while i < order.len() {
        let mut j = i;
        while j + 1 < order.len() && values[order[j + 1]] == values[order[i]] {
            j += 1;
        }
        for k in &order[i..=j] {
            ranks[*k] = (i + j) as f64 / 2.0 + 1.0;
        }
        i = j + 1;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let at = |i| Time::from_ms(1_700_000_000_000 + i as i64 * 15_000);
        values.into_iter().enumerate().map(|(i, value)| Point { at: at(i), value }).collect()
    }

    fn noise(i: usize) -> f64 {
        (i as f64 * 12.9898).sin() * 3.0
    }

    #[test]
    fn a_step_is_found_to_the_point() {
        let all = points((0..60).map(|i| if i < 41 { 100.0 } else { 140.0 } + noise(i)));
        let onset = find_onset(&all).expect("a clear step");
        assert_eq!(onset.index, 41);
        assert_eq!(onset.delta, 1.0);
        assert!((onset.after - onset.before - 40.0).abs() < 4.0);
    }

    #[test]
    fn a_ramp_starts_where_it_leaves_the_noise() {
        let all = points((0..60).map(|i| 100.0 + (i as f64 - 30.0).max(0.0) * 4.0 + noise(i)));
        let onset = find_onset(&all).expect("a clear ramp");
        assert!((30..=35).contains(&onset.index), "{onset:?}");
    }

    #[test]
    fn noise_and_a_flat_line_have_none() {
        assert_eq!(find_onset(&points((0..60).map(noise))), None);
        assert_eq!(find_onset(&points((0..60).map(|_| 5.0))), None);
        assert_eq!(find_onset(&points([f64::NAN; 20])), None);
    }
}
