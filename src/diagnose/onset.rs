//! When a series began to depart, by its own points. Pure.
//!
//! A detector says when it first saw a departure; that is late when the departure crept out of
//! the noise, and it never moves afterwards. Here the first departing point is looked for around
//! that time, in a stretch that is fixed by the alert: later points change nothing, so the order
//! of onsets does not change while an incident lasts.

use crate::model::time::MINUTE_MS;
use crate::model::{Point, Time};
use crate::stats;

/// Stretch before the alert (ms) that shows the usual level.
pub(super) const BEFORE_MS: i64 = 60 * MINUTE_MS;
/// Stretch after the alert's start (ms) that shows the new level.
pub(super) const AFTER_MS: i64 = 5 * MINUTE_MS;
/// The onset lies at most this long (ms) before the alert's start.
const BACK_MS: i64 = 8 * MINUTE_MS;
/// Points needed to know the usual level.
const FEWEST: usize = 8;

/// The first departing point near `starts_at`; `None` when the points do not show one.
///
/// The usual level and noise are the median and robust deviation of the hour before. From the
/// first point at or after `starts_at` the search goes back while points lie outside the noise
/// (three deviations, or a tenth of the shift) on the side of the shift; one point inside is
/// passed over.
pub(super) fn departure(points: &[Point], starts_at: Time) -> Option<Time> {
    let usual: Vec<f64> = points
        .iter()
        .filter(|p| {
            (BACK_MS..=BEFORE_MS).contains(&starts_at.ms_since(p.at)) && p.value.is_finite()
        })
        .map(|p| p.value)
        .collect();
    if usual.len() < FEWEST {
        return None;
    }
    let (mid, sigma) = stats::median_and_sigma(&usual)?;
    let then: Vec<f64> = points
        .iter()
        .filter(|p| (0..=AFTER_MS).contains(&p.at.ms_since(starts_at)) && p.value.is_finite())
        .map(|p| p.value)
        .collect();
    let shift = stats::median(&then)? - mid;
    if shift == 0.0 {
        return None;
    }
    let edge = (3.0 * sigma).max(shift.abs() * 0.1);
    let outside = |p: &Point| (p.value - mid) * shift.signum() > edge;
    let begin = points.iter().position(|p| p.at >= starts_at)?;
    if !points[begin..].iter().take(4).any(outside) {
        return None;
    }
    let (mut onset, mut inside) = (points[begin].at, 0);
    for point in points[..begin].iter().rev() {
        if starts_at.ms_since(point.at) > BACK_MS {
            break;
        }
        if outside(point) {
            (onset, inside) = (point.at, 0);
        } else {
            inside += 1;
            if inside > 1 {
                break;
            }
        }
    }
    Some(onset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(values: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let at = |i| Time::from_ms(1_700_000_000_000 + i as i64 * 15_000);
        values.into_iter().enumerate().map(|(i, value)| Point { at: at(i), value }).collect()
    }

    fn noise(i: usize) -> f64 {
        (i as f64 * 12.9898).sin() * 3.0
    }

    #[test]
    fn a_ramp_began_before_the_detector_saw_it() {
        let all = points((0..240).map(|i| 100.0 + (i as f64 - 200.0).max(0.0) * 5.0 + noise(i)));
        let onset = departure(&all, all[212].at).expect("a clear ramp");
        assert!((all[200].at..=all[205].at).contains(&onset));
    }

    #[test]
    fn a_step_stays_where_it_is_and_no_departure_is_none() {
        let step = points((0..240).map(|i| if i < 200 { 100.0 } else { 150.0 } + noise(i)));
        assert_eq!(departure(&step, step[200].at), Some(step[200].at));
        let calm = points((0..240).map(noise));
        assert_eq!(departure(&calm, calm[200].at), None);
        assert_eq!(departure(&calm[195..], calm[200].at), None);
    }

    proptest! {
        #[test]
        fn what_comes_later_changes_nothing(
            tail in prop::collection::vec(-1e3_f64..1e3, 0..200),
            ramp in 1.0_f64..20.0,
        ) {
            let head = |i: usize| 100.0 + (i as f64 - 200.0).max(0.0) * ramp + noise(i);
            let short = points((0..240).map(head));
            let long = points((0..240).map(head).chain(tail));
            let seen = short[205].at;
            prop_assert_eq!(departure(&short, seen), departure(&long, seen));
        }
    }
}
