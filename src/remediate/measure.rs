//! The reading behind a verification: which signal, which windows, what was expected.

use super::verify::{self, LEAST, Measured};
use crate::model::action::{Effect, Outcome};
use crate::model::alert::{AlertSource, Band};
use crate::model::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{Alert, Fault, Incident, Point, Proposal, Run, Series, SeriesId, Time};
use crate::stats;
use crate::store::{Filter, Rows};

/// Shortest wait for late points beyond the window.
const GRACE_MS: i64 = 5 * MINUTE_MS;
/// Points of the hour before the onset that make an expectation where no detector has one.
const HISTORY: usize = 10;
/// Standard deviations on either side of that hour's level.
const WIDTH: f64 = 3.0;

/// What the look at the signal says.
pub(super) enum Verdict {
    /// Too early: look again then.
    Later(Time),
    /// This.
    Now(Box<Outcome>),
}

/// Measures a run's effect.
pub(super) fn measure(rows: &Rows<'_>, run: &Run, now: Time) -> Result<Verdict, Fault> {
    let nothing = |text: &str| {
        Ok(Verdict::Now(Box::new(Outcome {
            effect: Effect::Unmeasured,
            signal: String::new(),
            before: None,
            after: None,
            expected: None,
            text: format!("Not measured: {text}."),
            at: now,
        })))
    };
    let Some(proposal) = rows.get::<Proposal>(run.proposal)? else {
        return nothing("its proposal is gone");
    };
    let Some(incident) = whole(rows, run)? else { return nothing("its incident is gone") };
    let alerts = rows.list::<Alert>(&Filter::parent(incident.id))?;
    let plan = &proposal.plan.verify;
    let end = run.finished_at.unwrap_or(run.started_at);
    let since = end.plus_ms(i64::from(plan.after_s) * SECOND_MS);
    let asked = i64::from(plan.window_s) * SECOND_MS;
    let Some((id, alert)) = signal(&alerts, &incident, plan.series) else {
        let window = (since, since.plus_ms(asked));
        let leading = alerts.iter().find(|a| Some(a.id) == incident.leading).or(alerts.first());
        let Some(alert) = leading else { return nothing("the incident has no signal") };
        return Ok(Verdict::Now(Box::new(verify::judge_alert(alert, run.started_at, window, now))));
    };
    let Some(series) = rows.series(id)? else {
        return nothing("its signal is not stored any more");
    };
    // A series with a long step needs a longer window to have enough points.
    let length = asked.max(series.step_ms * (LEAST as i64 + 1));
    let window = (since, since.plus_ms(length));
    if now < window.1 {
        return Ok(Verdict::Later(window.1));
    }
    let onset = alert.map_or(incident.onset_at, |a| a.starts_at);
    let measured = Measured {
        before: before(rows, id, (onset, run.started_at), length)?,
        after: rows.points(id, window.0, window.1)?,
        window,
        expected: expected(rows, &series, alert, onset)?,
        series,
    };
    let patience = window.1.plus_ms(length.max(GRACE_MS));
    if measured.gap().is_some() && now < patience {
        return Ok(Verdict::Later(now.plus_ms(MINUTE_MS).min(patience)));
    }
    Ok(Verdict::Now(Box::new(verify::judge(&measured, now))))
}

/// Points in a row whose median must be as expected for a signal to count as recovered.
const IN_A_ROW: usize = 3;

/// When the signal that a run's effect is measured by was as expected again: the time of the
/// first of three points after its end whose median lies inside the band, on the side that is bad
/// for it. `None` when it was not, or when it has no such signal.
///
/// # Errors
/// The store failed.
pub fn recovered_at(rows: &Rows<'_>, run: &Run, now: Time) -> Result<Option<Time>, Fault> {
    let Some(end) = run.finished_at else { return Ok(None) };
    let Some(proposal) = rows.get::<Proposal>(run.proposal)? else { return Ok(None) };
    let Some(incident) = whole(rows, run)? else { return Ok(None) };
    let alerts = rows.list::<Alert>(&Filter::parent(incident.id))?;
    let named = proposal.plan.verify.series;
    let Some((id, alert)) = signal(&alerts, &incident, named) else { return Ok(None) };
    let Some(series) = rows.series(id)? else { return Ok(None) };
    let onset = alert.map_or(incident.onset_at, |a| a.starts_at);
    let Some(band) = expected(rows, &series, alert, onset)? else { return Ok(None) };
    let points = rows.points(id, end, now)?;
    let well = |three: &&[Point]| {
        let mut values: Vec<f64> = three.iter().map(|p| p.value).collect();
        values.sort_by(f64::total_cmp);
        verify::away(&series, &band, values[IN_A_ROW / 2]) == 0.0
    };
    Ok(points.windows(IN_A_ROW).find(well).map(|three| three[0].at))
}

/// What is expected of a signal, by its alert's detector or by the hour before the onset.
fn expected(
    rows: &Rows<'_>,
    series: &Series,
    alert: Option<&Alert>,
    onset: Time,
) -> Result<Option<Band>, Fault> {
    Ok(match alert.and_then(band_of) {
        Some(band) => Some(band),
        None => usual(rows, series, onset)?.or_else(|| alert.and_then(|a| a.expected)),
    })
}

/// The incident that the run belongs to now: the one that its own became part of.
fn whole(rows: &Rows<'_>, run: &Run) -> Result<Option<Incident>, Fault> {
    let mut incident = rows.get::<Incident>(run.incident)?;
    for _ in 0..8 {
        match incident.as_ref().and_then(|i| i.merged_into) {
            Some(into) => incident = rows.get::<Incident>(into)?,
            None => break,
        }
    }
    Ok(incident)
}

/// The series to measure, and the alert on it: what the runbook names, else what leads the
/// incident, else the earliest alert with a metric behind it.
fn signal<'a>(
    alerts: &'a [Alert],
    incident: &Incident,
    named: Option<SeriesId>,
) -> Option<(SeriesId, Option<&'a Alert>)> {
    if let Some(id) = named {
        return Some((id, alerts.iter().find(|a| a.series == Some(id))));
    }
    let leading = alerts.iter().find(|a| Some(a.id) == incident.leading && a.series.is_some());
    let alert = leading.or_else(|| alerts.iter().find(|a| a.series.is_some()))?;
    alert.series.map(|id| (id, Some(alert)))
}

/// Points of the trouble before the run: as long a time as is measured after it, or all since the
/// onset where that has too few.
fn before(
    rows: &Rows<'_>,
    id: SeriesId,
    (onset, run_at): (Time, Time),
    length: i64,
) -> Result<Vec<Point>, Fault> {
    let all = rows.points(id, onset, run_at)?;
    let near: Vec<Point> =
        all.iter().filter(|p| run_at.ms_since(p.at) <= length).copied().collect();
    Ok(if near.len() >= LEAST { near } else { all })
}

/// What the alert's detector expects of the signal. A forecast warns while the level is still as
/// expected of its hour: whether it was turned back is seen against the level before the rise.
fn band_of(alert: &Alert) -> Option<Band> {
    let is_ahead = matches!(
        &alert.source, AlertSource::Detector { detector } if detector.starts_with("forecast/")
    );
    alert.expected.filter(|_| !is_ahead)
}

/// What the hour before the onset lets expect.
fn usual(rows: &Rows<'_>, series: &Series, onset: Time) -> Result<Option<Band>, Fault> {
    let calm = rows.points(series.id, onset.plus_ms(-HOUR_MS), onset.plus_ms(-2 * MINUTE_MS))?;
    let values: Vec<f64> = calm.iter().map(|p| p.value).filter(|v| v.is_finite()).collect();
    if values.len() < HISTORY {
        return Ok(None);
    }
    Ok(stats::median_and_sigma(&values).map(|(mid, sigma)| Band {
        low: mid - WIDTH * sigma,
        mid,
        high: mid + WIDTH * sigma,
    }))
}
