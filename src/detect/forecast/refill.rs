//! Falls that begin anew: restarts, rotated logs, emptied disks, collected garbage. The rise goes on
//! behind them, and where it always ended before the limit it will end so again.

use std::ops::Range;

use super::season::Season;

/// A fall of more than this many usual steps between hours, and of more than this share of the
/// limit, is a refill.
const FALL_STEPS: f64 = 8.0;
const LEAST_FALL: f64 = 0.04;
/// So many refills are a habit that can be relied on.
const HABIT: usize = 3;
/// Falls that recur at one hour are a rhythm and no refill: so many per day of history.
const RHYTHM: f64 = 0.7;
/// What rose at once by this share of a fall, at most so many values before it, and fell back to where it
/// was, was a passing peak: an incident that ended, and nothing that filled up. What rose so within as
/// many values behind the fall, to where it fell from or further, was a passing dip.
const PASSING: (f64, usize) = (0.8, 12);
/// As far as so much of the fall is where it was: what comes after an incident is often not quite what
/// was before it.
const BACK: f64 = 0.2;
/// At once: within so many values, since the hour in which it rises has its mean between.
const AT_ONCE: usize = 2;

/// One refill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fall {
    /// Index of the first value after it.
    pub(super) at: usize,
    /// Value before it.
    pub(super) from: f64,
    /// How far it fell.
    pub(super) by: f64,
}

/// The refills among values (NaN where there was none), oldest first.
pub(super) fn falls(values: &[f64], limit: f64) -> Vec<Fall> {
    let mut steps: Vec<f64> =
        values.windows(2).map(|w| (w[1] - w[0]).abs()).filter(|s| s.is_finite()).collect();
    if steps.len() < 8 {
        return Vec::new();
    }
    steps.sort_unstable_by(f64::total_cmp);
    let usual = steps[steps.len() / 2];
    let least = (FALL_STEPS * usual).max(LEAST_FALL * limit);
    let mut found: Vec<Fall> = Vec::new();
    let mut before: Option<(usize, f64)> = None;
    for (i, value) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
        if let Some((j, last)) = before {
            // The hour of a fall has its mean between: two hours together make it.
            let two = found.last().is_some_and(|f| f.at == j && i == j + 1);
            if last - value > least || (two && last - value > usual * FALL_STEPS / 2.0) {
                match found.last_mut().filter(|_| two) {
                    Some(fall) => (fall.at, fall.by) = (i, fall.by + last - value),
                    None => found.push(Fall { at: i, from: last, by: last - value }),
                }
            }
        }
        before = Some((i, *value));
    }
    let mut by_hour = [0_u32; 24];
    for fall in &found {
        by_hour[fall.at % 24] += 1;
    }
    let days = values.len() as f64 / 24.0;
    found.retain(|f| f64::from(by_hour[f.at % 24]) < (RHYTHM * days).max(4.0));
    found
}

/// The values without what merely passed, peaks and dips (NaN instead), and the refills among them but
/// those that ended a peak or began a dip; `first` is the hour of the first value, since what
/// lasts some hours ends at another place of the day's rhythm than it began at.
pub(super) fn without_passing(values: &[f64], limit: f64, first: i64) -> (Vec<f64>, Vec<Fall>) {
    let (mut without, mut found) = (values.to_vec(), falls(values, limit));
    if !found.is_empty() {
        let season = Season::of(values, first);
        let rest: Vec<f64> =
            values.iter().enumerate().map(|(i, v)| v - season.at(first + i as i64)).collect();
        found.retain(|fall| {
            let passed = peak(&rest, fall).or_else(|| dip(&rest, fall));
            if let Some(passed) = &passed {
                without[passed.clone()].fill(f64::NAN);
            }
            passed.is_none()
        });
    }
    (without, found)
}

/// What had only just risen from where it fell to.
fn peak(rest: &[f64], fall: &Fall) -> Option<Range<usize>> {
    let from = fall.at.saturating_sub(PASSING.1 + AT_ONCE);
    let is_back = |low: f64| (low - rest[fall.at]).abs() <= BACK * fall.by;
    (from..fall.at).rev().filter(|low| is_back(rest[*low])).find_map(|low| {
        let mut soon = low + 1..fall.at.min(low + 1 + AT_ONCE);
        let rose = soon.any(|high| rest[high] - rest[low] >= PASSING.0 * fall.by);
        rose.then_some(low + 1..fall.at)
    })
}

/// What soon rose again to where it fell from.
fn dip(rest: &[f64], fall: &Fall) -> Option<Range<usize>> {
    // A fall of two hours has its middle at the hour before.
    let began = (fall.at.saturating_sub(AT_ONCE)..fall.at)
        .rev()
        .find(|i| rest[*i] - rest[fall.at] >= PASSING.0 * fall.by)?;
    let until = rest.len().min(fall.at + PASSING.1 + AT_ONCE);
    let is_back = |high: f64| high - rest[began] >= -BACK * fall.by;
    (fall.at + 1..until).filter(|high| is_back(rest[*high])).find_map(|high| {
        let mut soon = high.saturating_sub(AT_ONCE).max(fall.at)..high;
        let rose = soon.any(|low| rest[high] - rest[low] >= PASSING.0 * fall.by);
        rose.then_some(began + 1..high)
    })
}

/// The values with what fell put back: what lies before a fall is moved down to its end.
pub(super) fn joined(values: &[f64], falls: &[Fall]) -> Vec<f64> {
    let mut moved = values.to_vec();
    for fall in falls {
        for value in &mut moved[..fall.at] {
            *value -= fall.by;
        }
    }
    moved
}

/// What refills did so far, for drawing the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refills {
    /// Height before each.
    heights: Vec<f64>,
    /// Hours between them.
    spans: Vec<f64>,
    /// How far each fell.
    falls: Vec<f64>,
    /// Hours since the last.
    pub(super) age: f64,
    /// They come at one height rather than after one time.
    by_height: bool,
}

/// What ends a rise in one future.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// Nothing that is known.
    Never,
    /// At this height.
    Height(f64, f64),
    /// After so many hours from now.
    After(f64, f64),
}

impl Refills {
    /// Those of falls in `n` hours. One fall is no habit.
    pub(super) fn of(falls: &[Fall], n: usize) -> Self {
        let Some(last) = falls.last() else { return Self::default() };
        let age = (n - last.at) as f64;
        if falls.len() < 2 {
            return Self { age, ..Self::default() };
        }
        let heights: Vec<f64> = falls.iter().map(|f| f.from).collect();
        let spans: Vec<f64> = falls.windows(2).map(|w| (w[1].at - w[0].at) as f64).collect();
        let relative = |all: &[f64]| {
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let square = all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64;
            square.sqrt() / mean.abs().max(f64::MIN_POSITIVE)
        };
        let by_height = relative(&heights) < 0.5 * relative(&spans) || spans.len() < 2;
        Self { by_height, age, falls: falls.iter().map(|f| f.by).collect(), heights, spans }
    }

    /// Whether what rises has always been refilled well before the limit, and is not higher now.
    pub(super) fn ends_before(&self, limit: f64, value: f64) -> bool {
        let highest = self.heights.iter().copied().fold(f64::MIN, f64::max);
        self.heights.len() >= HABIT && highest < (1.0 - LEAST_FALL) * limit && value <= highest
    }

    /// When the next comes in a future that `pick` (0 to 1) chooses.
    pub(super) fn next(&self, pick: f64) -> End {
        let n = self.heights.len();
        if n == 0 {
            return End::Never;
        }
        let choose = |all: &[f64]| all[((pick * all.len() as f64) as usize).min(all.len() - 1)];
        let fall = choose(&self.falls);
        if self.by_height {
            // Heights scatter as they did; a few make their scatter look smaller than it is.
            let mean = self.heights.iter().sum::<f64>() / n as f64;
            let spread = 1.0 + 1.0 / n as f64;
            return End::Height(mean + (choose(&self.heights) - mean) * spread, fall);
        }
        let left: Vec<f64> = self.spans.iter().copied().filter(|s| *s > self.age).collect();
        if left.is_empty() {
            // It is overdue: the habit may have ended.
            let usual = self.spans.iter().sum::<f64>() / self.spans.len() as f64;
            End::After(usual * pick * 2.0, fall)
        } else {
            End::After(choose(&left) - self.age, fall)
        }
    }

    /// After how many hours the one after the next comes.
    pub(super) fn span(&self, pick: f64) -> f64 {
        let n = self.spans.len();
        if n == 0 { f64::INFINITY } else { self.spans[((pick * n as f64) as usize).min(n - 1)] }
    }
}
