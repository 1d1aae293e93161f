//! Robust statistics: pure functions and small streaming estimators that detect, diagnose, verify
//! and the store's writer share. Nothing here reads a clock; values that are not finite are
//! refused or ignored, never propagated.

pub mod draw;
pub mod ewma;
pub mod few;
pub mod lagged;
pub mod narrow;
pub mod onset;
pub mod quantile;
pub mod seasonal;
pub mod trend;
pub mod window;

pub use draw::{Draws, draw};
pub use ewma::RobustMean;
pub use few::Few;
pub use lagged::{Following, following};
pub use onset::{Onset, find_onset};
pub use quantile::StreamingQuantile;
pub use seasonal::{Expectation, Profile};
pub use trend::{Crossing, Trend, theil_sen, time_to_limit};
pub use window::Window;

/// Makes the median absolute deviation of a normal distribution its standard deviation:
/// 1 / Φ⁻¹(3/4) (Rousseeuw and Croux 1993, "Alternatives to the Median Absolute Deviation").
pub const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// Makes the interquartile range of a normal distribution its standard deviation: 1 / (2 Φ⁻¹(3/4)).
pub const IQR_TO_SIGMA: f64 = 0.741_301_109_252_801;

/// The finite values, ascending.
#[must_use]
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    finite.sort_unstable_by(f64::total_cmp);
    finite
}

/// The `q` quantile (0 to 1) of ascending values with linear interpolation (type 7 of Hyndman and
/// Fan 1996). `None` when there are no values.
#[must_use]
pub fn quantile_of_sorted(ascending: &[f64], q: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(last);
    Some(ascending[low] + (ascending[high] - ascending[low]) * (at - low as f64))
}

/// The `q` quantile of finite values in any order.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    quantile_of_sorted(&sorted(values), q)
}

/// The median of the finite values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Median and robust standard deviation (scaled median absolute deviation) of the finite values.
#[must_use]
pub fn median_and_sigma(values: &[f64]) -> Option<(f64, f64)> {
    let mid = median(values)?;
    let deviations: Vec<f64> = values.iter().map(|v| (v - mid).abs()).collect();
    Some((mid, median(&deviations)? * MAD_TO_SIGMA))
}

/// Cliff's delta (Cliff 1993): the chance that a value of `after` exceeds one of `before` minus the
/// chance of the opposite, −1 to 1. It needs no assumption on distributions. By convention 0.147 is
/// small, 0.33 medium, 0.474 large (Romano et al. 2006). `None` when either side has no finite value.
#[must_use]
pub fn cliffs_delta(before: &[f64], after: &[f64]) -> Option<f64> {
    let (before, after) = (sorted(before), sorted(after));
    if before.is_empty() || after.is_empty() {
        return None;
    }
    let sum: i64 = after
        .iter()
        .map(|v| {
            let below = before.partition_point(|b| b < v);
            let not_above = before.partition_point(|b| b <= v);
            below as i64 - (before.len() - not_above) as i64
        })
        .sum();
    Some(sum as f64 / (before.len() as f64 * after.len() as f64))
}

/// How far the median moved from `before` to `after` in robust standard deviations of `before`,
/// which are at least `least_sigma` (> 0), so that a flat past does not make a mountain of a mole-hill.
#[must_use]
pub fn shift_in_sigmas(before: &[f64], after: &[f64], least_sigma: f64) -> Option<f64> {
    let (mid, sigma) = median_and_sigma(before)?;
    Some((median(after)? - mid) / sigma.max(least_sigma).max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_interpolate_and_ignore_what_is_not_finite() {
        assert_eq!(quantile(&[4.0, 1.0, f64::NAN, 3.0, 2.0], 0.5), Some(2.5));
        assert_eq!(quantile(&[1.0], 0.99), Some(1.0));
        assert_eq!(median(&[f64::INFINITY]), None);
    }

    #[test]
    fn one_outlier_does_not_move_the_robust_sigma() {
        let calm: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
        let mut spiked = calm.clone();
        spiked[50] = 1e9;
        let (_, a) = median_and_sigma(&calm).expect("values");
        let (_, b) = median_and_sigma(&spiked).expect("values");
        assert!((a - b).abs() < 0.8, "{a} and {b}");
    }

    #[test]
    fn effect_sizes_have_sign_and_bounds() {
        assert_eq!(cliffs_delta(&[1.0, 2.0], &[3.0, 4.0]), Some(1.0));
        assert_eq!(cliffs_delta(&[3.0, 4.0], &[1.0, 2.0]), Some(-1.0));
        assert_eq!(cliffs_delta(&[1.0, 2.0], &[1.0, 2.0]), Some(0.0));
        assert_eq!(cliffs_delta(&[], &[1.0]), None);
        assert_eq!(shift_in_sigmas(&[5.0, 5.0, 5.0], &[7.0], 1.0), Some(2.0));
    }

    proptest! {
        #[test]
        fn a_quantile_lies_between_the_extremes_and_grows_with_q(
            values in prop::collection::vec(-1e12_f64..1e12, 1..80), a in 0.0_f64..1.0, b in 0.0_f64..1.0,
        ) {
            let all = sorted(&values);
            let (low, high) = (a.min(b), a.max(b));
            let (x, y) = (
                quantile_of_sorted(&all, low).expect("not empty"),
                quantile_of_sorted(&all, high).expect("not empty"),
            );
            prop_assert!(all[0] <= x && x <= y && y <= all[all.len() - 1]);
        }
    }
}
