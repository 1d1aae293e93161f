//! Whether a rise of some hours is news: further than the series goes up and down anyway, above where
//! it usually is, and a rise rather than one step.
//!
//! A test for a trend (Mann and Kendall) takes values as independent. What holds connections, work or
//! memory for a while is not: it wanders up for hours and comes back, many times a week. So a rise is
//! held against the series' own past.

use super::season::Season;

/// Hours of the past, and pairs of them, without which nothing is known of what is usual.
const LEAST_PAST: usize = 24;
/// A rise is news when it is so many times what nine of ten moves over as long a time came to, and
/// ends so many times as far above the middle as nine of ten hours do not get. Of normal values
/// nine of ten moves are within 1.64 and nine of ten hours below 1.28 standard deviations, so that
/// these are 3.0 and 3.8 (benches/forecast: false warnings, and how early leaks are told).
const MOVES: f64 = 1.8;
const HEIGHT: f64 = 3.0;
/// Hourly means hide what goes on within an hour: both are so much of the usual distance from an
/// hour's mean to its highest point further.
pub(super) const WITHIN: f64 = 0.5;
/// Share within: some past leaks and incidents do not make a rise usual.
const SHARE: (usize, usize) = (9, 10);
/// Points that stand on each side of a step at least.
const SIDE: usize = 2;

/// How a series moved beyond its rhythm.
#[derive(Debug)]
pub(super) struct Swings {
    /// Hourly values without their rhythm, oldest first; NaN where there was none.
    rest: Vec<f64>,
    /// What the rhythm adds in the running hour.
    now: f64,
    /// By how much the highest point of an hour usually exceeds its mean.
    excess: f64,
}

impl Swings {
    /// Of hourly values (NaN where there was none), the first at the hour `first`; `excess` is by how much
    /// the highest point of an hour usually exceeds its mean.
    pub(super) fn of(values: &[f64], first: i64, excess: f64) -> Self {
        let season = Season::of(values, first);
        let hour = |i: usize| first + i as i64;
        let rest = values.iter().enumerate().map(|(i, v)| v - season.at(hour(i))).collect();
        Self { rest, now: season.at(hour(values.len())), excess }
    }

    /// Whether a rise by so much within the last `hours`, up to `value` now, is none of those that
    /// come and go. Nothing is news to one who has seen less than a day.
    pub(super) fn is_news(&self, hours: f64, rise: f64, value: f64) -> bool {
        let lag = (hours.round() as usize).max(1);
        // What is asked about is no part of what is usual.
        let past = &self.rest[..self.rest.len().saturating_sub(lag)];
        let later = past.get(lag..).unwrap_or_default();
        let moves = sorted(past.iter().zip(later).map(|(from, to)| (to - from).abs()));
        let levels = sorted(past.iter().copied());
        if moves.len().min(levels.len()) < LEAST_PAST {
            return false;
        }
        let within = |all: &[f64]| all[all.len() * SHARE.0 / SHARE.1];
        let middle = levels[levels.len() / 2];
        let above = value - self.now - middle;
        let within_an_hour = WITHIN * self.excess;
        rise >= MOVES * within(&moves) + within_an_hour
            && above >= HEIGHT * (within(&levels) - middle) + within_an_hour
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Whether one step explains points (time, value) better than any rise that begins among them and
/// goes on to their end: by the squares that each leaves.
pub(super) fn is_step(points: &[(f64, f64)]) -> bool {
    let n = points.len();
    if n < 2 * SIDE {
        return false;
    }
    let sum =
        |part: &[(f64, f64)]| part.iter().fold((0.0, 0.0), |(s, q), (_, y)| (s + y, q + y * y));
    let left = |(s, q): (f64, f64), n: usize| (q - s * s / n as f64).max(0.0);
    let all = sum(points);
    let (mut step, mut before) = (f64::INFINITY, (0.0, 0.0));
    for (k, (_, y)) in points.iter().enumerate().take(n - SIDE) {
        before = (before.0 + y, before.1 + y * y);
        if k + 1 >= SIDE {
            let behind = (all.0 - before.0, all.1 - before.1);
            step = step.min(left(before, k + 1) + left(behind, n - k - 1));
        }
    }
    let flat = left(all, n);
    let ramp = points[..n - SIDE]
        .iter()
        .map(|(begun, _)| {
            let risen = |x: f64| (x - begun).max(0.0);
            let (sx, sxx, sxy) = points.iter().fold((0.0, 0.0, 0.0), |(sx, sxx, sxy), (x, y)| {
                let u = risen(*x);
                (sx + u, sxx + u * u, sxy + u * y)
            });
            let (own, both) = (sxx - sx * sx / n as f64, sxy - sx * all.0 / n as f64);
            if own > 0.0 { (flat - both * both / own).max(0.0) } else { flat }
        })
        .fold(flat, f64::min);
    step < ramp
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Draws;

    fn points(of: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let mut draws = Draws::new(5);
        (0..36).map(|i| (f64::from(i), of(f64::from(i)) + 0.1 * draws.normal())).collect()
    }

    #[test]
    fn a_step_is_told_from_a_rise_wherever_either_begins() {
        for at in [6.0, 12.0, 18.0, 24.0, 30.0] {
            assert!(is_step(&points(|x| if x < at { 0.0 } else { 1.0 })), "a step at {at}");
            assert!(!is_step(&points(|x| (x - at).max(0.0) * 0.2)), "a rise from {at} on");
        }
        assert!(!is_step(&points(|x| 0.1 * x)), "a rise all along");
        assert!(!is_step(&points(|x| (x / 6.0).floor())), "a rise in six steps");
        assert!(!is_step(&points(|x| (x / 12.0).exp())), "one that grows");
        assert!(!is_step(&[]) && !is_step(&[(0.0, 1.0); 3]));
        assert!(!is_step(&[(0.0, f64::NAN); 9]), "nothing is known");
    }

    #[test]
    fn what_wanders_anyway_is_no_news_and_what_is_steady_is() {
        let mut draws = Draws::new(9);
        let mut level = 0.0;
        let hours: Vec<f64> = (0..400)
            .map(|_| {
                level = 0.7 * level + 0.05 * draws.normal();
                0.3 + level
            })
            .collect();
        let wanders = Swings::of(&hours, 0, 0.0);
        let calm: Vec<f64> = hours.iter().map(|v| 0.3 + (v - 0.3) / 20.0).collect();
        let steady = Swings::of(&calm, 0, 0.0);
        for lag in [1.0, 3.0, 8.0] {
            assert!(!wanders.is_news(lag, 0.15, 0.45), "{lag} h");
            assert!(steady.is_news(lag, 0.15, 0.45), "{lag} h");
            assert!(wanders.is_news(lag, 0.5, 0.8), "{lag} h");
            // As far, but from a trough back to the middle.
            assert!(!steady.is_news(lag, 0.15, 0.3), "{lag} h");
            // As far as its points go within any hour.
            let busy = Swings { excess: 0.4, ..Swings::of(&calm, 0, 0.0) };
            assert!(!busy.is_news(lag, 0.15, 0.45), "{lag} h");
        }
    }

    #[test]
    fn with_less_than_a_day_nothing_is_news() {
        let few = Swings::of(&[0.3; 24], 0, 0.0);
        assert!(!few.is_news(1.0, 0.5, 0.8));
        assert!(!Swings::of(&[], 0, 0.0).is_news(8.0, 0.5, 0.8));
        assert!(Swings::of(&[0.3; 48], 0, 0.0).is_news(8.0, 0.5, 0.8));
    }
}
