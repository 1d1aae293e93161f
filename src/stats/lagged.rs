//! Whether one series follows another after a while: correlation over lags, with what it is worth.
//!
//! Both series come deseasonalised and on one regular grid. What is told is the lag (0 or more) at
//! which the second follows the first most closely, Pearson's correlation there, an interval for
//! it, and how often so close a likeness comes about by chance.
//!
//! - *Chance.* Two series that both moved once always have a lag at which the moves meet, and
//!   textbook errors, which take points for independent, call that certain. So the greatest
//!   correlation within the lags allowed is held against the greatest one within equally many lags
//!   elsewhere: the series are turned against each other in circles, which leaves each one's own
//!   rhythm and outliers as they are (surrogates by circular shifts: Theiler et al., *Physica D* 58,
//!   1992; Quian Quiroga et al., *Phys. Rev. E* 65, 041903, 2002). Looking at many lags is paid for
//!   that way too. With `m` disjoint stretches of lags p is at least `1/(m+1)` (Davison and Hinkley,
//!   *Bootstrap Methods and their Application*, 1997, section 4.2).
//! - *Interval.* Fisher's z with the effective number of points
//!   `n / (1 + 2 Σ (1 - k/n) ρx(k) ρy(k))` (Bartlett, 1935; Bretherton et al., *J. Climate* 12,
//!   1999, eq. 30), Bonferroni over as many lags as are independent.
//! - Series are not differenced: a level that lasts would be left with one point of it.

use super::median_and_sigma;

/// Values further from the median than this many robust standard deviations are cut to it, so that
/// one wild point does not make a correlation.
const CUT: f64 = 8.0;
/// Least points that stand on both sides.
const LEAST: usize = 60;
/// Least effective points; an interval from fewer says nothing.
const LEAST_EFFECTIVE: f64 = 8.0;
/// Chance above which nothing is told.
const CHANCE: f64 = 0.05;
/// Half of what the interval leaves out.
const TAIL: f64 = 0.025;

/// One series that follows another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Following {
    /// Steps by which it follows.
    pub lag: usize,
    /// Pearson's correlation at that lag.
    pub r: f64,
    /// Ends of the 95 % interval of it.
    pub interval: (f64, f64),
    /// How often as close a likeness is found where there is none.
    pub p: f64,
    /// Pairs of points compared.
    pub n: usize,
    /// What they are worth, as independent ones.
    pub n_effective: f64,
}

impl Following {
    /// Whether it is worth telling: rare by chance, and an interval that leaves out zero.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.p <= CHANCE && self.interval.0 * self.interval.1 > 0.0
    }
}

/// How `after` follows `before` within `most` steps; the same length, values that are missing not finite.
/// `None` when there is too little to say.
#[must_use]
pub fn following(before: &[f64], after: &[f64], most: usize) -> Option<Following> {
    let length = before.len();
    let stretch = most + 1;
    // At least one stretch of lags must lie elsewhere.
    if length != after.len() || length < LEAST || length < 3 * stretch {
        return None;
    }
    let (before, after) = (prepared(before)?, prepared(after)?);
    let circular: Vec<f64> =
        (0..length).map(|lag| correlation(&before, &after, lag, true).0.abs()).collect();
    let greatest = |lags: &[f64]| lags.iter().copied().fold(0.0, f64::max);
    let observed = greatest(&circular[..stretch]);
    // The stretch just below lag 0 is left out: it is the same moment seen from the other side.
    let others = circular[stretch..length - most].chunks_exact(stretch);
    let n_others = others.len();
    let reached = others.filter(|lags| greatest(lags) >= observed).count();
    let chance = (reached + 1) as f64 / (n_others + 1) as f64;
    let (lag, (r, pairs)) = (0..stretch)
        .map(|lag| (lag, correlation(&before, &after, lag, false)))
        .max_by(|a, b| a.1.0.abs().total_cmp(&b.1.0.abs()).then(b.0.cmp(&a.0)))?;
    let inflation = inflation(&before, &after);
    let n_effective = (pairs as f64 / inflation).min(pairs as f64);
    if pairs < LEAST || n_effective < LEAST_EFFECTIVE {
        return None;
    }
    let independent = (stretch as f64 / inflation).max(1.0);
    let error = normal_tail(TAIL / independent) / (n_effective - 3.0).sqrt();
    let z = r.clamp(-0.999_999, 0.999_999).atanh();
    let interval = ((z - error).tanh(), (z + error).tanh());
    Some(Following { lag, r, interval, p: chance, n: pairs, n_effective })
}

/// Centred on its median and cut; missing values are `None`. `None` when it does not move.
fn prepared(values: &[f64]) -> Option<Vec<Option<f64>>> {
    // Beyond this, squares would not be finite.
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.abs() < 1e100).collect();
    let (median, sigma) = median_and_sigma(&finite)?;
    let most = if sigma > 0.0 { CUT * sigma } else { f64::INFINITY };
    let cut: Vec<Option<f64>> =
        values.iter().map(|v| (v.abs() < 1e100).then(|| (v - median).clamp(-most, most))).collect();
    let mean = cut.iter().flatten().sum::<f64>() / finite.len() as f64;
    let centred: Vec<Option<f64>> = cut.iter().map(|v| v.map(|v| v - mean)).collect();
    // In units of its own: then nothing overflows and nothing vanishes.
    let scale = centred.iter().flatten().fold(0.0_f64, |most, v| most.max(v.abs()));
    (scale > 0.0 && finite.len() >= LEAST)
        .then(|| centred.into_iter().map(|v| v.map(|v| v / scale)).collect())
}

/// Correlation of `x` with what `y` is `lag` steps later, and the pairs that it rests on; 0 where
/// there are too few.
fn correlation(x: &[Option<f64>], y: &[Option<f64>], lag: usize, circular: bool) -> (f64, usize) {
    let (head, tail) = y.split_at(lag);
    let rest = if circular { head } else { &[] };
    let (mut xy, mut xx, mut yy, mut n) = (0.0, 0.0, 0.0, 0_usize);
    for pair in x.iter().zip(tail.iter().chain(rest)) {
        if let (Some(a), Some(b)) = pair {
            xy += a * b;
            xx += a * a;
            yy += b * b;
            n += 1;
        }
    }
    let norm = (xx * yy).sqrt();
    let r = if n >= LEAST && norm > 0.0 { (xy / norm).clamp(-1.0, 1.0) } else { 0.0 };
    (r, n)
}

/// How many points are worth one independent one: `1 + 2 Σ (1 - k/n) ρx(k) ρy(k)`, up to the first
/// lag at which either has no memory left, where estimates of the rest are noise.
fn inflation(before: &[Option<f64>], after: &[Option<f64>]) -> f64 {
    let length = before.len();
    let memory = |series: &[Option<f64>], lag: usize| correlation(series, series, lag, false).0;
    let mut sum = 0.0;
    for lag in 1..=length / 3 {
        let (first, second) = (memory(before, lag), memory(after, lag));
        if first <= 0.0 || second <= 0.0 {
            break;
        }
        sum += (1.0 - lag as f64 / length as f64) * first * second;
    }
    1.0 + 2.0 * sum
}

/// The value that a standard normal one exceeds with probability `tail` (at most 0.5): Abramowitz
/// and Stegun, *Handbook of Mathematical Functions*, 26.2.23, right within 4.5e-4.
fn normal_tail(tail: f64) -> f64 {
    let t = (-2.0 * tail.max(1e-12).ln()).sqrt();
    let above = (0.010_328 * t + 0.802_853) * t + 2.515_517;
    let below = ((0.001_308 * t + 0.189_269) * t + 1.432_788) * t + 1.0;
    t - above / below
}

#[cfg(test)]
#[path = "lagged_tests.rs"]
mod tests;
