//! Whether a run helped: the signal that opened the incident, measured again. Pure.
//!
//! The level just before the run is compared with the level in the runbook's window after it,
//! against the band that was expected of the signal:
//! - Levels are medians, because one wild point on either side must not decide.
//! - What is judged is the *distance* from the band on the signal's bad side; inside it is 0.
//! - *Helped*: the distance fell to 0 or by at least 60 %. *Worse*: it grew by at least a
//!   quarter. Both only if the levels differ by more than twice the standard error of a difference
//!   of medians, 1.2533 · √(σ₁²/n₁ + σ₂²/n₂), with σ from the median absolute deviation (the
//!   asymptotic error of a median of normal values: Kenney and Keeping, *Mathematics of
//!   Statistics*, part 1, 3rd ed., section 14.5). Everything else is *no change*.
//! - Gaps: at least three points and half of those that the series' step promises must have come,
//!   with one in each third of the window. A signal that fell silent is *unmeasured*, never
//!   unchanged and never helped.

use crate::model::action::{Effect, Outcome};
use crate::model::alert::Band;
use crate::model::figure::figure;
use crate::model::signal::Direction;
use crate::model::time::duration_text;
use crate::model::{Alert, Point, Series, Time};
use crate::stats;

/// Least points on either side; with fewer nothing is said.
pub const LEAST: usize = 3;
/// Share of the way back to what is expected that counts as help.
const HELPED: f64 = 0.6;
/// Share of the distance by which it must have grown to count as worse.
const WORSE: f64 = 0.25;
/// Standard errors by which two levels must differ to be different.
const ERRORS: f64 = 2.0;
/// Standard error of a median in standard errors of a mean: √(π/2).
const MEDIAN_ERROR: f64 = 1.253_314_137_315_5;

/// What is compared.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which signal.
    pub series: Series,
    /// Points of the trouble just before the run.
    pub before: Vec<Point>,
    /// Points of the window after the run.
    pub after: Vec<Point>,
    /// That window, its end excluded.
    pub window: (Time, Time),
    /// What is expected of the signal.
    pub expected: Option<Band>,
}

impl Measured {
    /// What is missing for a judgement, in words; `None` when there is enough.
    #[must_use]
    pub fn gap(&self) -> Option<String> {
        let (since, until) = self.window;
        let length = until.ms_since(since).max(1);
        let promised = (length / self.series.step_ms.max(1)).max(LEAST as i64) as usize;
        let count = |points: &[Point]| points.iter().filter(|p| p.value.is_finite()).count();
        let (before, after) = (count(&self.before), count(&self.after));
        if before < LEAST {
            return Some(format!("{before} points from before the run, and {LEAST} are needed"));
        }
        if after < LEAST || after * 2 < promised {
            let span = duration_text(length);
            return Some(format!("{after} of about {promised} points came in the {span} after it"));
        }
        let third = |at: Time| (at.ms_since(since) * 3 / length).clamp(0, 2);
        let silent = (0..3).find(|n| !self.after.iter().any(|p| third(p.at) == *n));
        silent.map(|n| {
            let part = ["first", "second", "last"][n as usize];
            format!("no point came in the {part} third of the {}", duration_text(length))
        })
    }
}

struct Level {
    median: f64,
    sigma: f64,
    n: f64,
}

fn level(points: &[Point]) -> Option<Level> {
    let values: Vec<f64> = points.iter().map(|p| p.value).filter(|v| v.is_finite()).collect();
    let (median, sigma) = stats::median_and_sigma(&values)?;
    Some(Level { median, sigma, n: values.len() as f64 })
}

/// Whether two levels differ by more than their noise.
fn differ(a: &Level, b: &Level) -> bool {
    let error = MEDIAN_ERROR * (a.sigma.powi(2) / a.n + b.sigma.powi(2) / b.n).sqrt();
    (a.median - b.median).abs() > ERRORS * error
}

/// How far a value lies outside a band, on the side that is bad for its series; 0 inside it.
#[must_use]
pub(super) fn away(series: &Series, band: &Band, value: f64) -> f64 {
    match series.direction {
        Direction::High => (value - band.high).max(0.0),
        Direction::Low => (band.low - value).max(0.0),
        Direction::Both => (value - band.high).max(band.low - value).max(0.0),
    }
}

/// Judges a run.
#[must_use]
pub fn judge(measured: &Measured, now: Time) -> Outcome {
    let unit = &measured.series.unit;
    let signal = format!("{} of {}", measured.series.metric, measured.series.entity.name());
    let outcome = |effect, text: String, levels: Option<(f64, f64)>| Outcome {
        effect,
        signal: signal.clone(),
        before: levels.map(|l| l.0),
        after: levels.map(|l| l.1),
        expected: measured.expected.map(|b| b.mid),
        text,
        at: now,
    };
    if let Some(gap) = measured.gap() {
        let text = format!(
            "Not measured: {signal}: {gap}. A signal that was not read is not taken for unchanged."
        );
        return outcome(Effect::Unmeasured, text, None);
    }
    let (Some(before), Some(after)) = (level(&measured.before), level(&measured.after)) else {
        return outcome(Effect::Unmeasured, format!("Not measured: {signal}."), None);
    };
    let levels = Some((before.median, after.median));
    let moved = format!(
        "{signal} was {} and is {}",
        figure(before.median, unit),
        figure(after.median, unit)
    );
    let Some(band) = measured.expected else {
        let text = format!("Not judged: {moved}, and nothing is known of what is expected.");
        return outcome(Effect::Unmeasured, text, levels);
    };
    let away = |value: f64| away(&measured.series, &band, value);
    let (was, is) = (away(before.median), away(after.median));
    let (since, until) = measured.window;
    let basis = format!(
        "expected {} to {}; {} points over {} from {} UTC",
        figure(band.low, unit),
        figure(band.high, unit),
        measured.after.len(),
        duration_text(until.ms_since(since)),
        since.clock_text()
    );
    let moved_at_all = differ(&before, &after);
    let (effect, text) = if was == 0.0 && is == 0.0 {
        (
            Effect::NoChange,
            format!("No change: {moved}, inside its band before and after ({basis})."),
        )
    } else if !moved_at_all {
        (Effect::NoChange, format!("No change: {moved}, within its noise ({basis})."))
    } else if was > 0.0 && is == 0.0 {
        (Effect::Helped, format!("Helped: {moved}, inside its band again ({basis})."))
    } else if was > 0.0 && 1.0 - is / was >= HELPED {
        let share = (1.0 - is / was) * 100.0;
        (Effect::Helped, format!("Helped: {moved}, {share:.0} % of the way back ({basis})."))
    } else if is > was * (1.0 + WORSE) {
        (Effect::Worse, format!("Worse: {moved} ({basis})."))
    } else {
        (Effect::NoChange, format!("No change: {moved} ({basis})."))
    };
    outcome(effect, text, levels)
}

/// Judges a run by the alert that leads the incident, where no metric stands behind it: whether it
/// ended between the run and the end of the window.
#[must_use]
pub fn judge_alert(alert: &Alert, run_at: Time, window: (Time, Time), now: Time) -> Outcome {
    let signal = format!("the alert {} on {}", alert.name(), alert.entity.name());
    let (since, until) = window;
    let (effect, text) = match alert.ends_at {
        Some(end) if end < run_at => (
            Effect::Unmeasured,
            format!(
                "Not measured: {signal} had ended before the run, at {} UTC.",
                end.clock_text()
            ),
        ),
        // It ended because nothing is heard any more: that is no recovery.
        Some(end) if alert.ended_unseen() => (
            Effect::Unmeasured,
            format!(
                "Not measured: {signal} ended at {} UTC because no data came any more; whether it \
                 recovered is not known.",
                end.clock_text()
            ),
        ),
        Some(end) if end <= until => {
            (Effect::Helped, format!("Helped: {signal} ended at {} UTC.", end.clock_text()))
        }
        _ if alert.updated_at < since => (
            Effect::Unmeasured,
            format!(
                "Not measured: nothing was heard of {signal} since {} UTC.",
                alert.updated_at.clock_text()
            ),
        ),
        _ => (
            Effect::NoChange,
            format!("No change: {signal} still fired at {} UTC.", until.clock_text()),
        ),
    };
    Outcome { effect, signal, before: None, after: None, expected: None, text, at: now }
}
