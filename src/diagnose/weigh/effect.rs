//! How far a series departed from its own past at the onset.

use crate::stats::{IQR_TO_SIGMA, MAD_TO_SIGMA, quantile_of_sorted, sorted};

/// How a series changed at the onset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Effect {
    /// Rise in units of what its own past does in as many rows: 1 is as far as one stretch in
    /// twenty went before.
    pub up: f64,
    /// The same for a fall.
    pub down: f64,
    /// Its level before.
    pub before: f64,
    /// The level that half of the rows since the onset reach.
    pub after: f64,
}

/// Rows needed before the onset.
const FEWEST: usize = 6;
/// Rows that are told apart on each side; longer recordings are averaged.
const ROWS: usize = 30;
/// Least scale, as a share of the series' level: of a share such as an availability, and of others.
const FLOOR: (f64, f64) = (0.001, 0.02);
/// Weight of a single row where there should be more.
const ALONE: f64 = 0.3;

/// The value that half of the values reach: the upper one of the two in the middle.
fn reached(values: &[f64]) -> f64 {
    let ascending = sorted(values);
    ascending[ascending.len() - ascending.len().div_ceil(2)]
}

fn quantile(values: &[f64], q: f64) -> f64 {
    quantile_of_sorted(&sorted(values), q).unwrap_or(0.0)
}

fn folded(values: &[f64], by: usize) -> Vec<f64> {
    values.chunks(by).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect()
}

/// Judges points (seconds since the onset, value) taken every `step` seconds; a share, such as an
/// availability, moves by small figures. `None` where there is too little to compare.
pub(super) fn effect(points: &[(f64, f64)], step: f64, is_share: bool) -> Option<Effect> {
    let side = |late: bool| -> Vec<f64> {
        // A row stands for the time before it or after it: the one right before the onset is late.
        let of = points.iter().filter(|(t, v)| (*t > -step) == late && v.is_finite());
        of.map(|(_, v)| *v).collect()
    };
    let (mut pre, mut post) = (side(false), side(true));
    if pre.len() < FEWEST || post.is_empty() {
        return None;
    }
    let alone = post.len() == 1 && points.iter().filter(|(t, _)| *t > -step).count() > 2;
    let fold = (post.len() / 5).min(pre.len() / ROWS).max(1);
    if fold > 1 {
        pre = folded(&pre[pre.len() % fold..], fold);
        post = folded(&post, fold);
    }
    post.truncate(ROWS);
    let mid = quantile(&pre, 0.5);
    let off: Vec<f64> = pre.iter().map(|v| (v - mid).abs()).collect();
    let are_counts = !is_share && fold == 1 && pre.iter().chain(&post).all(|v| v.fract() == 0.0);
    let floor = if is_share { FLOOR.0 } else { FLOOR.1 };
    let scale = (MAD_TO_SIGMA * quantile(&off, 0.5))
        .max(IQR_TO_SIGMA * (quantile(&pre, 0.75) - quantile(&pre, 0.25)))
        .max(floor * quantile(&off, 0.9).max(mid.abs()))
        .max(if are_counts { mid.abs().max(1.0).sqrt() } else { 0.0 })
        .max(1e-3 * post.iter().fold(0.0_f64, |most, v| most.max(v.abs())))
        .max(1e-12);
    let departed = |rows: &[f64]| -> (f64, f64) {
        let up: Vec<f64> = rows.iter().map(|v| (v - mid) / scale).collect();
        let down: Vec<f64> = up.iter().map(|z| -z).collect();
        (reached(&up), reached(&down))
    };
    let (up, down) = departed(&post);
    let width = post.len().min(pre.len() / 2).max(1);
    let past: Vec<(f64, f64)> = pre.windows(width).map(departed).collect();
    let usual = |of: fn(&(f64, f64)) -> f64| {
        quantile(&past.iter().map(of).collect::<Vec<_>>(), 0.95).max(1.0)
    };
    // What was already so right before the onset did not begin with it.
    // Rows that were averaged may reach over an onset before the alert: the ones before tell.
    let just = pre[pre.len() - if fold > 1 { 2 } else { 1 }];
    let already = (just - mid) / scale;
    let weight = if alone { ALONE } else { 1.0 };
    let up = weight * ((up - already.max(0.0)) / usual(|p| p.0)).max(0.0);
    let down = weight * ((down + already.min(0.0)) / usual(|p| p.1)).max(0.0);
    let (before, after) = if up >= down {
        (mid.max(just), reached(&post))
    } else {
        (mid.min(just), -reached(&post.iter().map(|v| -v).collect::<Vec<_>>()))
    };
    Some(Effect { up, down, before, after })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: impl Fn(i64) -> f64) -> Vec<(f64, f64)> {
        (-40..4).map(|i| (i as f64 * 60.0 + 20.0, values(i))).collect()
    }

    fn noise(i: i64) -> f64 {
        (i as f64 * 12.9898).sin()
    }

    #[test]
    fn a_step_is_far_outside_and_noise_is_not() {
        let calm = effect(&rows(|i| 100.0 + noise(i)), 60.0, false).expect("enough rows");
        assert!(calm.up < 2.0 && calm.down < 2.0, "{calm:?}");
        let step = |i: i64| if i >= 0 { 150.0 } else { 100.0 } + noise(i);
        let hit = effect(&rows(step), 60.0, false).expect("enough rows");
        assert!(hit.up > 10.0 && hit.down == 0.0, "{hit:?}");
        assert!((hit.after - 150.0).abs() < 2.0);
    }

    #[test]
    fn what_its_past_does_too_is_not_much_and_what_was_so_before_is_nothing() {
        let spiky = |i: i64| if i.rem_euclid(4) < 2 { 150.0 } else { 100.0 } + noise(i);
        assert!(effect(&rows(spiky), 60.0, false).expect("enough rows").up < 2.0);
        let earlier = |i: i64| if i >= -3 { 150.0 } else { 100.0 } + noise(i);
        assert!(effect(&rows(earlier), 60.0, false).expect("enough rows").up < 2.0);
    }

    #[test]
    fn shares_move_by_small_figures_and_too_little_is_nothing() {
        let share = |i: i64| if i >= 0 { 98.0 } else { 100.0 };
        assert!(effect(&rows(share), 60.0, true).expect("enough rows").down > 10.0);
        assert_eq!(effect(&[(0.0, 1.0)], 60.0, false), None);
        assert_eq!(effect(&rows(|_| f64::NAN), 60.0, false), None);
    }
}
