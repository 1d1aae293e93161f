//! The rhythm of hourly values: a daily one, a weekly one where the weeks agree, or none; found
//! in spite of a trend and of refills.

/// Hours of a day and of a week.
const DAY: usize = 24;
const WEEK: usize = 168;
/// How alike the weeks must be for a weekly rhythm (correlation).
const ALIKE: f64 = 0.3;

/// What an hour of the day or of the week adds to the level.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Season {
    /// 0, 24 or 168 values, by hour since an epoch.
    cells: Vec<f64>,
}

impl Season {
    /// What is added at an hour, counted from the epoch.
    pub(super) fn at(&self, hour: i64) -> f64 {
        if self.cells.is_empty() {
            return 0.0;
        }
        self.cells[hour.rem_euclid(self.cells.len() as i64) as usize]
    }

    /// Between two hours.
    pub(super) fn between(&self, hours: f64) -> f64 {
        // A cell stands for the middle of its hour.
        let (low, part) = ((hours - 0.5).floor(), (hours - 0.5) - (hours - 0.5).floor());
        self.at(low as i64) * (1.0 - part) + self.at(low as i64 + 1) * part
    }

    /// The rhythm of values (NaN where there was none), the first at the hour `first`.
    pub(super) fn of(values: &[f64], first: i64) -> Self {
        let n = values.len();
        if n >= 2 * WEEK {
            let around = moving_mean(values, WEEK);
            let rest: Vec<f64> = values.iter().zip(&around).map(|(v, m)| v - m).collect();
            let alike = correlation(&rest, WEEK);
            let daily = profile(&rest, first, DAY);
            let beyond: Vec<f64> =
                rest.iter().enumerate().map(|(i, r)| r - cell(&daily, first + i as i64)).collect();
            // Weeks are alike for their days alone as well; only what days leave over is asked.
            let weekly = correlation(&beyond, WEEK);
            if alike > ALIKE && weekly > ALIKE {
                let cells = profile(&beyond, first, WEEK);
                let cells = (0..WEEK).map(|h| cell(&daily, h as i64) + weekly * cells[h]).collect();
                return Self { cells };
            }
        }
        if n < 2 * DAY {
            return Self::default();
        }
        let around = moving_mean(values, DAY);
        let rest: Vec<f64> = values.iter().zip(&around).map(|(v, m)| v - m).collect();
        let cells = profile(&rest, first, DAY);
        // What chance alone makes of so few days is taken off (James and Stein 1961).
        let days = (n / DAY) as f64;
        let left: Vec<f64> =
            rest.iter().enumerate().map(|(i, r)| r - cell(&cells, first + i as i64)).collect();
        let noise = mean_square(&left) * 1.57 / days;
        let keep = (1.0 - noise / mean_square(&cells).max(f64::MIN_POSITIVE)).max(0.0);
        Self { cells: cells.into_iter().map(|c| c * keep).collect() }
    }
}

fn cell(cells: &[f64], hour: i64) -> f64 {
    cells[hour.rem_euclid(cells.len() as i64) as usize]
}

fn mean_square(values: &[f64]) -> f64 {
    let (sum, n) =
        values.iter().filter(|v| v.is_finite()).fold((0.0, 0.0), |(s, n), v| (s + v * v, n + 1.0));
    if n > 0.0 { sum / n } else { 0.0 }
}

/// The mean of a whole period around each value; towards the ends it goes on as the trend of the
/// nearest two periods does.
fn moving_mean(values: &[f64], period: usize) -> Vec<f64> {
    let n = values.len();
    let mut sums = vec![(0.0, 0.0); n + 1];
    for (i, v) in values.iter().enumerate() {
        let (s, c) = sums[i];
        sums[i + 1] = if v.is_finite() { (s + v, c + 1.0) } else { (s, c) };
    }
    let mean = |from: usize, until: usize| {
        let (s, c) = (sums[until].0 - sums[from].0, sums[until].1 - sums[from].1);
        if c > 0.0 { s / c } else { f64::NAN }
    };
    let half = period / 2;
    let inner = |i: usize| mean(i - half, i - half + period);
    // From here to there a whole period lies around a value.
    let (low, high) = (half, n - (period - half));
    // Differences of whole periods hold no rhythm.
    let slope = |from: usize| {
        if from + 2 * period > n {
            return 0.0;
        }
        (mean(from + period, from + 2 * period) - mean(from, from + period)) / period as f64
    };
    let early = slope(0);
    let late = slope(n.saturating_sub(2 * period));
    (0..n)
        .map(|i| {
            if i < low {
                inner(low) - early * (low - i) as f64
            } else if i > high {
                inner(high) + late * (i - high) as f64
            } else {
                inner(i)
            }
        })
        .collect()
}

/// The median by phase, moved so that its mean is zero.
fn profile(rest: &[f64], first: i64, period: usize) -> Vec<f64> {
    let mut by_phase: Vec<Vec<f64>> = vec![Vec::new(); period];
    for (i, r) in rest.iter().enumerate().filter(|(_, r)| r.is_finite()) {
        by_phase[(first + i as i64).rem_euclid(period as i64) as usize].push(*r);
    }
    let mut cells: Vec<f64> = by_phase
        .into_iter()
        .map(|mut values| {
            values.sort_unstable_by(f64::total_cmp);
            let n = values.len();
            match n {
                0 => 0.0,
                _ if n % 2 == 1 => values[n / 2],
                _ => f64::midpoint(values[n / 2 - 1], values[n / 2]),
            }
        })
        .collect();
    let mean = cells.iter().sum::<f64>() / period as f64;
    for cell in &mut cells {
        *cell -= mean;
    }
    cells
}

/// Correlation of values with those of `lag` before.
fn correlation(values: &[f64], lag: usize) -> f64 {
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in values.iter().zip(&values[lag..]).filter(|(x, y)| (*x * *y).is_finite()) {
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}
