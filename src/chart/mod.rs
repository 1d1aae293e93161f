//! Charts: one drawing routine for a signal with its expected band and what happened, as SVG for
//! the web and as PNG, with an embedded font, for chats.
//!
//! Takes values, gives text or bytes; reads no clock and does no I/O: the same chart is the same
//! picture. All words come from telemetry and are escaped.

mod draw;
mod png;
mod scale;
#[cfg(test)]
mod tests;

pub use draw::{HEIGHT, WIDTH, svg};
pub use png::png;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::model::diagnosis::Finding;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Band, Change, Evidence, Point, Run, Series, Time};

/// Colours for a light or a dark ground.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Dark lines on white.
    #[default]
    Light,
    /// Light lines on near-black.
    Dark,
}

/// What a mark on the time axis stands for. Each has its own shape and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    /// The signal departed from what was expected.
    Onset,
    /// Something was changed.
    Change,
    /// An action ran.
    Run,
}

/// Something that happened at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Time,
    /// What kind.
    pub kind: MarkKind,
    /// A few words.
    pub text: String,
}

/// One signal over a range of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// One line: whose signal, and which.
    pub title: String,
    /// Unit of the values, as a series names it.
    pub unit: String,
    /// Start of the time axis.
    pub since: Time,
    /// End of the time axis.
    pub until: Time,
    /// Usual distance between points in milliseconds: a greater one is a hole in the line.
    pub step_ms: i64,
    /// Oldest first.
    pub points: Vec<Point>,
    /// What was expected, oldest first; a single one holds for the whole range.
    pub bands: Vec<(Time, Band)>,
    /// The limit of the resource, in the same unit.
    pub limit: Option<f64>,
    /// What happened.
    pub marks: Vec<Mark>,
}

/// The most marks of changes and runs that a chart shows.
const MOST_MARKS: usize = 6;

/// The chart of metric evidence with the changes and runs that fall into it; `None` where the
/// evidence is no metric or has no points.
#[must_use]
pub fn of_evidence(evidence: &Evidence, changes: &[Change], runs: &[Run]) -> Option<Chart> {
    let Finding::Metric { series, points, expected, bands, onset, .. } = &evidence.finding else {
        return None;
    };
    let (first, last) = (points.first()?, points.last()?);
    let (since, until) = (first.at.max(evidence.since), last.at.max(first.at.plus_ms(MINUTE_MS)));
    let bands = match (bands.is_empty(), expected) {
        (true, Some(band)) => vec![(since, *band)],
        _ => bands.clone(),
    };
    let mark = |at, kind, text: String| Mark { at, kind, text };
    let mut marks: Vec<Mark> = changes
        .iter()
        .map(|c| mark(c.at, MarkKind::Change, format!("{} {}", c.entity.name(), c.title)))
        .chain(runs.iter().map(|r| {
            // `runbook/action`: the action is what people recognise.
            let action = r.action.rsplit('/').next().unwrap_or(&r.action);
            mark(r.started_at, MarkKind::Run, format!("{} {action}", r.target.name()))
        }))
        .filter(|m| since <= m.at && m.at <= until)
        .collect();
    // Of many, those nearest to the onset tell most.
    let centre = onset.unwrap_or(until);
    marks.sort_by_key(|m| (m.at.ms_since(centre).abs(), m.kind, m.text.clone()));
    marks.truncate(MOST_MARKS);
    let shown = onset.filter(|at| since <= *at && *at <= until);
    marks.extend(shown.map(|at| mark(at, MarkKind::Onset, "onset".into())));
    marks.sort_by_key(|m| (m.at, m.kind));
    Some(Chart {
        title: format!("{} · {}", series.entity.name(), series.metric),
        unit: series.unit.clone(),
        since,
        until,
        step_ms: series.step_ms.max(1),
        points: points.clone(),
        bands,
        limit: series.limit,
        marks,
    })
}

/// The chart of a series over a range, with the changes to its entity that fall into it.
#[must_use]
pub fn of_series(
    series: &Series,
    points: Vec<Point>,
    (since, until): (Time, Time),
    changes: &[Change],
) -> Chart {
    let marks = changes.iter().filter(|c| since <= c.at && c.at <= until).take(MOST_MARKS);
    Chart {
        title: format!("{} · {}", series.entity.name(), series.metric),
        unit: series.unit.clone(),
        since,
        until,
        step_ms: series.step_ms.max(1),
        points,
        bands: Vec::new(),
        limit: series.limit,
        marks: marks
            .map(|c| Mark { at: c.at, kind: MarkKind::Change, text: c.title.clone() })
            .collect(),
    }
}

/// The range that an incident's chart covers: an hour before its onset to now, or to half an hour
/// after its end.
#[must_use]
pub fn range(onset: Time, resolved: Option<Time>, now: Time) -> (Time, Time) {
    let end = resolved.map_or(now, |at| at.plus_ms(HOUR_MS / 2).min(now));
    (onset.plus_ms(-HOUR_MS), end.max(onset))
}
