//! When a limit is reached, as a distribution: many futures are drawn from what the past allows,
//! and each says when it first touches the limit.

use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::filter::{Opinion, opinions, past_error};
use super::refill::{End, Fall, Refills, falls, joined};
use super::season::Season;
use crate::stats::Draws;

/// What is out of the reach of all that the past did is less likely than this: changes and ideas that it does
/// not speak for alone get there.
const SELDOM: f64 = 0.25;
/// Futures drawn.
const FUTURES: usize = 400;
/// Share of the futures that are sooner than the interval of a rise that is known to have begun: what
/// is drawn from some hours knows little of how slowly their noise wanders, and errs towards later.
const NEAR_EDGE: f64 = 0.04;
/// Least standard deviation of noise as a share of the limit: counters of bytes and connections
/// are no finer.
const LEAST_NOISE: f64 = 1e-4;
/// Bounds of the factor by which past errors widen the spread. It is never narrowed: the ideas and
/// the rhythm were found in the same past, so that its errors look smaller than those to come.
const SPREAD: (f64, f64) = (1.0, 2.0);
/// Beyond the horizon it is looked no further ahead than this many times the past, and no further
/// than a second horizon.
const REACH: f64 = 1.5;

/// Behind a fall a rise is given so many values and hours to go on before it is said to have ended,
/// and has gone on at this share of its slope; what it should have risen by must be so many usual
/// steps. So many of the newest values are looked at.
const LEAST_SINCE: usize = 3;
const MOST_SINCE: usize = 12;
const SINCE_H: f64 = 3.0;
const GOES_ON: f64 = 0.25;
const PLAINLY: f64 = 4.0;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The limit, in the values' unit, > 0.
    pub limit: f64,
    /// The chance is that of reaching it within so many steps.
    pub horizon: usize,
    /// Hours a step.
    pub step_h: f64,
    /// Step of the first value, counted from an epoch at midnight on a Monday.
    pub first: i64,
    /// Chances below this, 0 to 1, are of no interest. From a quarter on, limits out of the reach of what
    /// the past did are not looked at any closer.
    pub least: f64,
    /// How many steps ago the trend began, where that is known.
    pub began: Option<usize>,
}

/// What is to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Chance that the limit is reached within the horizon, 0 to 1.
    pub chance: f64,
    /// Hours until it is reached, at the early end of the interval that holds 90 of 100 as measured
    /// (benches/forecast); that of hours ahead is one step earlier, since steps are named by their end.
    /// `None`: later than was looked.
    pub earliest_h: Option<f64>,
    /// Half of the futures are sooner; of hours ahead the middle of that step.
    pub expected_h: Option<f64>,
    /// At the late end of that interval.
    pub latest_h: Option<f64>,
    /// Rise beyond its rhythm, an hour.
    pub slope_h: f64,
    /// Chance that it rises at all, 0 to 1; none where the rise ended with its last fall.
    pub rises: f64,
    /// Hours of the past since which the trend has been as it is.
    pub hours: f64,
    /// How many refills were seen.
    pub n_refills: usize,
}

/// Where the rhythm comes from.
pub enum Rhythm<'a> {
    /// From the values, which are hourly.
    Found,
    /// It is known: what a time in hours since the epoch adds.
    Known(&'a dyn Fn(f64) -> f64),
}

/// The outlook of values (oldest first, NaN where there was none). Refills are found in the values
/// where they are not known from a longer past. `None` while the values are too few, or the limit
/// is out of any reach.
#[must_use]
pub fn outlook(
    values: &[f64],
    question: &Question,
    rhythm: &Rhythm<'_>,
    habit: Option<&Refills>,
) -> Option<Outlook> {
    looked(values, falls(values, question.limit), question, rhythm, habit)
}

/// The same with these refills.
pub(super) fn looked(
    values: &[f64],
    fallen: Vec<Fall>,
    question: &Question,
    rhythm: &Rhythm<'_>,
    habit: Option<&Refills>,
) -> Option<Outlook> {
    let limit = question.limit;
    let whole = joined(values, &fallen);
    let season = match rhythm {
        Rhythm::Found => Season::of(&whole, question.first),
        Rhythm::Known(_) => Season::default(),
    };
    let at = |i: usize| {
        let hours = (question.first as f64 + i as f64 + 0.5) * question.step_h;
        match rhythm {
            Rhythm::Found => season.between(hours),
            Rhythm::Known(known) => known(hours),
        }
    };
    let rest: Vec<f64> = whole.iter().enumerate().map(|(i, v)| v - at(i)).collect();
    let changes = Changes::of(&rest, &at, rhythm);
    if question.least >= SELDOM && out_of_reach(&rest, &at, question) {
        return None;
    }
    let floor = (LEAST_NOISE * limit).powi(2);
    let all = opinions(&rest, floor, changes.any, question.began);
    let first = all.first()?;
    let spread = past_error(first, &rest).unwrap_or(1.0).clamp(SPREAD.0, SPREAD.1);
    let refills = habit.cloned().unwrap_or_else(|| Refills::of(&fallen, values.len()));
    let past = (values.len() as f64 * REACH) as usize;
    let reach = past.clamp(question.horizon, 2 * question.horizon);
    let drawn = (spread, reach, values.len());
    let mut crossings = futures(&all, drawn, (&refills, &changes), (question, &at));
    crossings.sort_unstable_by(f64::total_cmp);
    let within = |steps: f64| crossings.partition_point(|c| *c <= steps) as f64 / FUTURES as f64;
    let early = if question.began.is_some() { NEAR_EDGE } else { changes.edge };
    let quantile = |q: f64| {
        let steps = crossings[((q * FUTURES as f64) as usize).min(FUTURES - 1)];
        steps.is_finite().then_some(steps * question.step_h)
    };
    let mean = |f: fn(&Opinion) -> f64| all.iter().map(|o| o.weight * f(o)).sum::<f64>();
    let over = fallen.last().is_some_and(|f| ended_with(f, &rest, mean(Opinion::slope), question));
    let rising = |o: &Opinion| normal_share(o.slope() / o.slope_sigma().max(1e-12));
    let rises = if over { 0.0 } else { all.iter().map(|o| o.weight * rising(o)).sum::<f64>() };
    let began = mean(|o| if o.began() > 0 { o.began() as f64 } else { f64::from(u16::MAX) });
    Some(Outlook {
        chance: within(question.horizon as f64),
        earliest_h: quantile(early),
        expected_h: quantile(0.5),
        latest_h: quantile(1.0 - changes.edge),
        slope_h: mean(Opinion::slope) / question.step_h,
        rises,
        hours: began.min(values.len() as f64) * question.step_h,
        n_refills: fallen.len(),
    })
}

/// A look that spares the rest: even the steepest rise of the past would not get there.
fn out_of_reach(rest: &[f64], season: &dyn Fn(usize) -> f64, question: &Question) -> bool {
    let finite: Vec<(usize, f64)> =
        rest.iter().copied().enumerate().filter(|(_, v)| v.is_finite()).collect();
    let Some((_, last)) = finite.last().copied() else { return true };
    let crest = (0..question.horizon).map(|i| season(rest.len() + i)).fold(0.0, f64::max);
    let mut steepest = 0.0_f64;
    let mut scatter = 0.0_f64;
    for window in [6, 24, 96, 336] {
        let from = finite.len().saturating_sub(window);
        let part = &finite[from..];
        let half = part.len() / 2;
        if half < 3 {
            continue;
        }
        let mean = |p: &[(usize, f64)]| {
            let n = p.len() as f64;
            let (x, y) = p.iter().fold((0.0, 0.0), |(x, y), (i, v)| (x + *i as f64, y + v));
            (x / n, y / n)
        };
        let ((x0, y0), (x1, y1)) = (mean(&part[..half]), mean(&part[half..]));
        let slope = (y1 - y0) / (x1 - x0).max(1.0);
        let square = part.iter().map(|(i, v)| (v - y0 - slope * (*i as f64 - x0)).powi(2));
        let sigma = (square.sum::<f64>() / part.len() as f64).sqrt();
        scatter = scatter.max(sigma);
        steepest = steepest.max(slope + 3.0 * sigma / part.len() as f64);
    }
    let ahead = last + crest + steepest * question.horizon as f64 + 4.0 * scatter;
    ahead < question.limit
}

/// By how much the scale of one future differs from that of the past: the root of an inverse
/// gamma variable, which makes the errors of all futures together those of Student's distribution
/// with four degrees of freedom (West and Harrison 1997, "Bayesian Forecasting and Dynamic Models",
/// 4.5: what is predicted where the variance is not known either). Real series are quiet for weeks
/// and then not; a normal distribution with the past's variance does not foresee that.
fn another_scale(draws: &mut Draws) -> f64 {
    // Half of a chi-square variable of four degrees is the sum of two exponential ones.
    (2.0 / (draws.exponential() + draws.exponential()).max(1e-6)).sqrt()
}

/// Whether a rise ended with its last fall: it was no refill, behind which the rise goes on, but the
/// end of something that passed. For some hours since then the values rose by less than a quarter
/// of what such a slope would have them rise, and that is plainly more than their noise.
fn ended_with(fall: &Fall, rest: &[f64], slope: f64, question: &Question) -> bool {
    let since: Vec<(f64, f64)> = rest[fall.at..]
        .iter()
        .enumerate()
        .filter(|(_, v)| v.is_finite())
        .map(|(i, v)| (i as f64, *v))
        .collect();
    if since.len() < LEAST_SINCE || since.len() as f64 * question.step_h < SINCE_H {
        return false;
    }
    // The newest only: a leak may begin long after a fall.
    let since = &since[since.len().saturating_sub(MOST_SINCE)..];
    let part = since.len().div_ceil(3);
    let mean = |part: &[(f64, f64)]| {
        let (x, y) = part.iter().fold((0.0, 0.0), |(x, y), (i, v)| (x + i, y + v));
        (x / part.len() as f64, y / part.len() as f64)
    };
    let ((x0, y0), (x1, y1)) = (mean(&since[..part]), mean(&since[since.len() - part..]));
    let mut steps: Vec<f64> =
        rest.windows(2).map(|w| (w[1] - w[0]).abs()).filter(|s| s.is_finite()).collect();
    steps.sort_unstable_by(f64::total_cmp);
    let usual =
        steps.get(steps.len() / 2).copied().unwrap_or(0.0).max(LEAST_NOISE * question.limit);
    let due = slope * (x1 - x0);
    due > PLAINLY * usual && y1 - y0 < GOES_ON * due
}

/// Steps until each future touches the limit; infinite where it does not.
fn futures(
    all: &[Opinion],
    (spread, reach, n): (f64, usize, usize),
    (refills, changes): (&Refills, &Changes),
    (question, season): (&Question, &dyn Fn(usize) -> f64),
) -> Vec<f64> {
    let mut draws = Draws::new(n as u64 ^ 0x6e69_6768_746a_6172);
    let mut shares = all.iter().map(|o| o.share).scan(0.0, |sum, w| {
        *sum += w;
        Some(*sum)
    });
    let (mut opinion, mut upto) = (0, shares.next().unwrap_or(1.0));
    let ahead: Vec<f64> = (0..reach).map(|i| season(n + i)).collect();
    (0..FUTURES)
        .map(|k| {
            // Every idea gets its share of the futures, without chance.
            let place = (k as f64 + 0.5) / FUTURES as f64;
            while place > upto && opinion + 1 < all.len() {
                opinion += 1;
                upto = shares.next().unwrap_or(1.0);
            }
            let spread = spread * another_scale(&mut draws);
            let mut walker = all[opinion].walker(spread, || draws.normal());
            let mut end = refills.next(draws.uniform());
            let mut gone = 0.0;
            let height = changes.height(&mut draws, another_scale);
            let mut change = changes.next(&mut draws);
            let mut peak = changes.next_peak(&mut draws);
            for (i, rhythm) in ahead.iter().enumerate() {
                while change <= (i + 1) as f64 {
                    walker.fall(changes.fall(&mut draws));
                    change += changes.next(&mut draws);
                }
                let mut value = walker.step(|| draws.normal()) + height * rhythm;
                while peak <= (i + 1) as f64 {
                    value += changes.peak(&mut draws);
                    peak += changes.next_peak(&mut draws);
                }
                gone += question.step_h;
                let by = match end {
                    End::Never => None,
                    End::Height(height, by) => {
                        (value >= height && height < question.limit).then_some(by)
                    }
                    End::After(hours, by) => (gone >= hours).then_some(by),
                };
                // What rises past a refill's height and the limit at once has touched it.
                if value >= question.limit {
                    return (i + 1) as f64;
                }
                if let Some(by) = by {
                    walker.fall(by);
                    gone = 0.0;
                    end = match refills.next(draws.uniform()) {
                        End::After(_, by) => End::After(refills.span(draws.uniform()), by),
                        other => other,
                    };
                }
            }
            f64::INFINITY
        })
        .collect()
}

/// The standard normal distribution (Abramowitz and Stegun 1964, 26.2.17; error below 1e-7).
fn normal_share(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let tail = density
        * t
        * (0.319_381_530
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    if x >= 0.0 { 1.0 - tail } else { tail }
}
