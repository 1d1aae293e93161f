//! Whether a run helped: the signal that opened the incident, measured again. Pure.

use crate::model::action::{Effect, Outcome};
use crate::model::alert::Band;
use crate::model::figure::figure;
use crate::model::signal::Direction;
use crate::model::{Point, Series, Time};
use crate::stats;

/// Least points on either side; with fewer nothing is said.
const LEAST: usize = 3;
/// Share of the way back to what is expected that counts as help.
const HELPED: f64 = 0.6;
/// Share of the distance by which it must have grown to count as worse.
const WORSE: f64 = 0.25;

/// What is compared.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which signal.
    pub series: Series,
    /// Points of the trouble before the run.
    pub before: Vec<Point>,
    /// Points of the window after the run.
    pub after: Vec<Point>,
    /// What is expected of the signal.
    pub expected: Option<Band>,
}

/// Judges a run by the medians before and after it against what is expected. Medians, because one
/// wild point on either side must not decide; the noise is the median absolute deviation before.
#[must_use]
pub fn judge(measured: &Measured, now: Time) -> Outcome {
    let unit = &measured.series.unit;
    let signal = format!("{} of {}", measured.series.metric, measured.series.entity.name());
    let values = |points: &[Point]| points.iter().map(|p| p.value).collect::<Vec<f64>>();
    let (before, after) = (values(&measured.before), values(&measured.after));
    let outcome = |effect, text: String, levels: Option<(f64, f64)>| Outcome {
        effect,
        signal: signal.clone(),
        before: levels.map(|l| l.0),
        after: levels.map(|l| l.1),
        expected: measured.expected.map(|b| b.mid),
        text,
        at: now,
    };
    if before.len() < LEAST || after.len() < LEAST {
        let text = format!(
            "Not measured: {signal} has {} points before and {} after.",
            before.len(),
            after.len()
        );
        return outcome(Effect::Unmeasured, text, None);
    }
    let (Some((low, noise)), Some(high)) =
        (stats::median_and_sigma(&before), stats::median(&after))
    else {
        return outcome(Effect::Unmeasured, format!("Not measured: {signal}."), None);
    };
    let levels = Some((low, high));
    let moved = format!("{signal} was {} and is {}", figure(low, unit), figure(high, unit));
    let Some(band) = measured.expected else {
        let text = format!("Not judged: {moved}, and nothing is known of what is expected.");
        return outcome(Effect::Unmeasured, text, levels);
    };
    let away = |value: f64| match measured.series.direction {
        Direction::High => (value - band.high).max(0.0),
        Direction::Low => (band.low - value).max(0.0),
        Direction::Both => (value - band.high).max(band.low - value).max(0.0),
    };
    let (was, is) = (away(low), away(high));
    let expected = format!("expected {} to {}", figure(band.low, unit), figure(band.high, unit));
    if is == 0.0 && was > 0.0 {
        return outcome(Effect::Helped, format!("Helped: {moved} ({expected})."), levels);
    }
    if was == 0.0 && is == 0.0 {
        let text = format!("No change: {moved}, inside what is expected before and after.");
        return outcome(Effect::NoChange, text, levels);
    }
    let way_back = if was > 0.0 { 1.0 - is / was } else { -1.0 };
    if way_back >= HELPED {
        let text =
            format!("Helped: {moved}, {:.0} % of the way back ({expected}).", way_back * 100.0);
        outcome(Effect::Helped, text, levels)
    } else if is > was * (1.0 + WORSE) && (high - low).abs() > 2.0 * noise {
        outcome(Effect::Worse, format!("Worse: {moved} ({expected})."), levels)
    } else {
        outcome(Effect::NoChange, format!("No change: {moved} ({expected})."), levels)
    }
}
