//! What happens in a future besides what the past did all along: new levels, passing peaks, and days whose
//! rhythm is higher or lower than usual. They are most of what lies outside an interval days ahead.

use super::outlook::Rhythm;
use crate::stats::Draws;

/// How much of the futures ignores which idea the past speaks for: as if it were that of so many hours
/// of it, and never more than half. What was learned from one week is another's sooner than what
/// was learned from three.
const ANY: f64 = 90.0;
const MOST_ANY: f64 = 0.5;
/// A change of level is as far as so many standard deviations of what so many steps changed so far.
const CHANGE: (f64, usize) = (3.0, 72);
/// Peaks higher than all before that are expected in as long a time as was seen. Of values in any
/// order it is one, whatever their distribution (Rényi 1962, "Théorie des éléments saillants d'une
/// suite d'observations"); the futures' own noise makes some of them.
const PEAKS: f64 = 0.7;
/// By how much of the highest so far another is higher still, on average.
const HIGHER: f64 = 0.5;
/// A peak is told by what came so many steps before it.
const BEFORE: usize = 24;
/// Steps of a day, and those of it that must have a value.
const DAY: usize = 24;
const LEAST_DAY: f64 = 20.0;
/// A day's rhythm is at most so many times higher than usual.
const MOST_SWELL: f64 = 2.0;
/// Share of the futures beyond each end of the interval: of those that hold changes, and of those
/// that do not. The mixture is wider than it need be on clean trends: with these edges nine of ten
/// intervals hold the truth (benches/forecast).
const EDGE: (f64, f64) = (0.14, 0.11);

/// What may happen.
pub(super) struct Changes {
    /// Share of the futures that ignores which idea the past speaks for.
    pub(super) any: f64,
    /// Share of the futures beyond each end of the interval.
    pub(super) edge: f64,
    /// Steps between two changes of the level on average; infinite: there are none.
    every: f64,
    /// Standard deviation of one.
    sigma: f64,
    /// How far the highest peak so far was above what came before it.
    peak: f64,
    /// Standard deviation of the rhythm's height from day to day, as a share of it.
    swell: f64,
}

impl Changes {
    /// One change is expected in as long a time as was seen, whether it held one or not. `rest` is what the
    /// rhythm `season` leaves of the values. Values whose rhythm is known are those of some hours, in
    /// which something rises plainly: what is asked of them is whether just that goes on.
    pub(super) fn of(rest: &[f64], season: &dyn Fn(usize) -> f64, rhythm: &Rhythm<'_>) -> Self {
        if matches!(rhythm, Rhythm::Known(_)) {
            let every = f64::INFINITY;
            return Self { any: 0.0, edge: EDGE.1, every, sigma: 0.0, peak: 0.0, swell: 0.0 };
        }
        let (times, lag) = CHANGE;
        let later = rest.iter().skip(lag);
        let moved = rest.iter().zip(later).map(|(from, to)| to - from).filter(|v| v.is_finite());
        let (sum, squares, n) =
            moved.fold((0.0, 0.0, 0.0), |(sum, squares, n), v| (sum + v, squares + v * v, n + 1.0));
        let n = f64::max(n, 1.0);
        let variance = squares / n - (sum / n).powi(2);
        let every = rest.len().max(1) as f64;
        Self {
            any: (ANY / every).min(MOST_ANY),
            edge: EDGE.0,
            every,
            sigma: times * variance.max(0.0).sqrt(),
            peak: highest(rest),
            swell: swell(rest, season),
        }
    }

    /// Steps until the next change of the level.
    pub(super) fn next(&self, draws: &mut Draws) -> f64 {
        if self.every.is_finite() { self.every * draws.exponential() } else { f64::INFINITY }
    }

    /// By how much it falls.
    pub(super) fn fall(&self, draws: &mut Draws) -> f64 {
        self.sigma * draws.normal()
    }

    /// Steps until the next peak.
    pub(super) fn next_peak(&self, draws: &mut Draws) -> f64 {
        self.next(draws) / PEAKS
    }

    /// How high it is.
    pub(super) fn peak(&self, draws: &mut Draws) -> f64 {
        self.peak * (1.0 + HIGHER * draws.exponential())
    }

    /// How many times as high as usual the rhythm is; `scale` is that of the future.
    pub(super) fn height(&self, draws: &mut Draws, scale: impl FnOnce(&mut Draws) -> f64) -> f64 {
        if self.swell > 0.0 { 1.0 + self.swell * draws.normal() * scale(draws) } else { 1.0 }
    }
}

/// How far the highest value is above the mean of those before it.
fn highest(rest: &[f64]) -> f64 {
    let (mut most, mut sum, mut n) = (0.0_f64, 0.0, 0.0);
    for (i, value) in rest.iter().enumerate() {
        if value.is_finite() {
            if n >= BEFORE as f64 / 2.0 {
                most = most.max(value - sum / n);
            }
            (sum, n) = (sum + value, n + 1.0);
        }
        if let Some(left) = i.checked_sub(BEFORE).map(|i| rest[i]).filter(|v| v.is_finite()) {
            (sum, n) = (sum - left, n - 1.0);
        }
    }
    most
}

/// By how much the height of the rhythm differs from day to day, as a share of it: what the rhythm
/// explains of what it left, less what it explains at another time of the day, which is chance.
fn swell(rest: &[f64], season: &dyn Fn(usize) -> f64) -> f64 {
    let (mut sum, mut days) = (0.0, 0.0);
    for (d, day) in rest.rchunks_exact(DAY).enumerate() {
        let first = rest.len() - (d + 1) * DAY;
        let shape: [f64; DAY] = std::array::from_fn(|i| season(first + i));
        let Some(own) = explained(day, &shape, 0) else { continue };
        let others = [DAY / 4, DAY * 3 / 4].map(|turn| explained(day, &shape, turn).unwrap_or(0.0));
        sum += own - f64::midpoint(others[0], others[1]);
        days += 1.0;
    }
    f64::sqrt(f64::max(sum, 0.0) / f64::max(days, 1.0))
}

/// The square of what must be added to a shape, turned by some hours, to fit a day best.
fn explained(day: &[f64], shape: &[f64; DAY], turn: usize) -> Option<f64> {
    let pairs = || {
        let turned = (0..DAY).map(|i| shape[(i + turn) % DAY]);
        turned.zip(day).filter(|(_, r)| r.is_finite())
    };
    let (s, r, n) = pairs().fold((0.0, 0.0, 0.0), |(x, y, n), (s, r)| (x + s, y + r, n + 1.0));
    if n < LEAST_DAY {
        return None;
    }
    let (s, r) = (s / n, r / n);
    let (both, own) = pairs().fold((0.0, 0.0), |(both, own), (x, y)| {
        (both + (x - s) * (y - r), own + (x - s) * (x - s))
    });
    (own > 0.0).then(|| (both / own).powi(2).min(MOST_SWELL * MOST_SWELL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(i: usize) -> f64 {
        (i as f64 / DAY as f64 * std::f64::consts::TAU).sin()
    }

    #[test]
    fn only_days_that_differ_make_the_rhythm_doubtful() {
        let mut draws = Draws::new(3);
        let noise: Vec<f64> = (0..408).map(|_| 0.3 * draws.normal()).collect();
        let even = swell(&noise, &rhythm);
        let wide = |i: usize| if (i / DAY).is_multiple_of(2) { 0.4 } else { -0.4 };
        let rest: Vec<f64> =
            noise.iter().enumerate().map(|(i, v)| v + wide(i) * rhythm(i)).collect();
        let uneven = swell(&rest, &rhythm);
        assert!(even < 0.1 && (0.2..0.5).contains(&uneven), "{even} {uneven}");
        assert!(swell(&rest, &|_| 0.0) == 0.0, "without a rhythm it has no height");
        assert!(swell(&[f64::NAN; 100], &rhythm) == 0.0);
    }

    #[test]
    fn a_peak_is_what_rose_above_the_day_before() {
        let mut rest: Vec<f64> = (0..200).map(|i| f64::from(i) * 0.001).collect();
        rest[100] += 2.0;
        rest[150] = f64::NAN;
        assert!((highest(&rest) - 2.0).abs() < 0.02, "{}", highest(&rest));
        assert!(highest(&[f64::NAN; 50]) == 0.0 && highest(&[]) == 0.0);
    }
}
