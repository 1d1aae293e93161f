//! Robust trends and the time until a limit is reached.

use super::quantile_of_sorted;

/// A straight line through noisy points, with an interval for its slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Median of the slopes of all pairs, per unit of x.
    pub slope: f64,
    /// Lower end of the slope's interval.
    pub slope_low: f64,
    /// Upper end of the slope's interval.
    pub slope_high: f64,
    /// Median of y − slope · x.
    pub intercept: f64,
    /// Mann-Kendall statistic in standard deviations: how monotone the points are, with sign.
    pub z: f64,
    /// How many points it rests on.
    pub n: usize,
}

/// When a limit will be reached, in units of x from now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossing {
    /// With the steepest slope of the interval.
    pub earliest: f64,
    /// With the median slope.
    pub expected: f64,
    /// With the flattest slope; `None` when that one never gets there within the horizon.
    pub latest: Option<f64>,
}

/// Theil-Sen line through `(x, y)` with Sen's interval (Sen 1968, "Estimates of the regression
/// coefficient based on Kendall's tau"). `z` is the half width of the interval in standard
/// deviations, already widened by the caller for autocorrelated points. O(n²): meant for at most
/// some hundred points. `None` with fewer than five points of distinct x.
#[must_use]
pub fn theil_sen(points: &[(f64, f64)], z: f64) -> Option<Trend> {
    let points: Vec<(f64, f64)> =
        points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    if points.len() < 5 {
        return None;
    }
    let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
    let mut s = 0_i64;
    for (i, (x1, y1)) in points.iter().enumerate() {
        for (x2, y2) in &points[i + 1..] {
            if x1 != x2 {
                let slope = (y2 - y1) / (x2 - x1);
                slopes.push(slope);
                s += i64::from(slope > 0.0) - i64::from(slope < 0.0);
            }
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let slope = quantile_of_sorted(&slopes, 0.5)?;
    let n = points.len() as f64;
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let half = z * deviation / slopes.len() as f64 / 2.0;
    let offsets: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    Some(Trend {
        slope,
        slope_low: quantile_of_sorted(&slopes, 0.5 - half)?,
        slope_high: quantile_of_sorted(&slopes, 0.5 + half)?,
        intercept: super::median(&offsets)?,
        z: (s - s.signum()) as f64 / deviation,
        n: points.len(),
    })
}

/// When `level` (now, without its season) plus slope · x plus `season(x)` first reaches `limit`,
/// looking `horizon` ahead in steps of `step` (both in units of x, > 0). `None` when the median
/// slope does not get there.
#[must_use]
pub fn time_to_limit(
    trend: &Trend,
    level: f64,
    limit: f64,
    (horizon, step): (f64, f64),
    season: impl Fn(f64) -> f64,
) -> Option<Crossing> {
    let first = |slope: f64| {
        if slope <= 0.0 {
            return None;
        }
        let n = (horizon / step).ceil() as usize;
        (0..=n).map(|i| i as f64 * step).find(|x| level + slope * x + season(*x) >= limit)
    };
    let expected = first(trend.slope)?;
    Some(Crossing {
        earliest: first(trend.slope_high).unwrap_or(expected).min(expected),
        expected,
        latest: first(trend.slope_low),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn outliers_do_not_bend_the_line() {
        let mut points: Vec<(f64, f64)> =
            (0..40).map(|i| (f64::from(i), 3.0 + 2.0 * f64::from(i))).collect();
        points[7].1 = 1e9;
        points[30].1 = -1e9;
        let trend = theil_sen(&points, 1.96).expect("enough points");
        assert!((trend.slope - 2.0).abs() < 1e-9 && (trend.intercept - 3.0).abs() < 1e-9);
        assert!(trend.z > 5.0);
        let crossing = time_to_limit(&trend, 83.0, 103.0, (100.0, 0.5), |_| 0.0).expect("rises");
        assert_eq!(crossing.expected, 10.0);
    }

    #[test]
    fn the_season_ahead_counts() {
        let points: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i), f64::from(i))).collect();
        let trend = theil_sen(&points, 1.96).expect("enough points");
        let plain = time_to_limit(&trend, 20.0, 40.0, (50.0, 0.25), |_| 0.0).expect("rises");
        let noon = |x: f64| if (5.0..8.0).contains(&x) { 15.0 } else { 0.0 };
        let sooner = time_to_limit(&trend, 20.0, 40.0, (50.0, 0.25), noon).expect("rises");
        assert!(sooner.expected < plain.expected && sooner.expected == 5.0);
        assert_eq!(time_to_limit(&trend, 20.0, 1e6, (50.0, 0.25), |_| 0.0), None);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_slope(ys in prop::collection::vec(-1e6_f64..1e6, 5..60)) {
            let points: Vec<(f64, f64)> = ys.iter().enumerate().map(|(i, y)| (i as f64, *y)).collect();
            let t = theil_sen(&points, 1.96).expect("enough points");
            prop_assert!(t.slope_low <= t.slope && t.slope <= t.slope_high);
        }
    }
}
