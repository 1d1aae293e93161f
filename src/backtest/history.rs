//! CSV files as history: series with their points in order of time, and the faults that a `label`
//! column tells of.
//!
//! A file is one entity, named by its path, and each value column one of its series. With a column
//! `series` and a column `value` the file is in long form: a row is a point of the series it names,
//! and an entity of that name.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::rows::{Broken, Form, Reader};
use super::score::{Failure, find};
use super::truth::{Group, Topic, Truth, Who};
use crate::model::signal::Direction;
use crate::model::time::DAY_MS;
use crate::model::{EntityRef, Indicator, Labels, Point, Samples, Series, Time};

/// The attribute that names what a file is about.
const ATTRIBUTE: &str = "file";
/// Name of the source in series.
const SOURCE: &str = "csv";
/// Points from the start of a series that say its unit and its usual step: what comes later is not
/// known when the first of them is judged.
const FIRST: usize = 100;
/// A hole in a file that is more likely a wrong time than a pause (ms).
const HOLE_MS: i64 = 366 * DAY_MS;

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Series with their points in order of time.
    pub tracks: Vec<Samples>,
    /// What the labels say.
    pub truth: Truth,
    /// Files that could not be read.
    pub failures: Vec<Failure>,
    /// What was taken in spite of its form.
    pub notes: Vec<String>,
}

impl History {
    /// Usual distance between points (ms): the median over the series.
    #[must_use]
    pub fn step_ms(&self) -> i64 {
        let mut steps: Vec<i64> = self.tracks.iter().map(|t| t.series.step_ms).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(60_000)
    }

    /// First and last time of all points.
    #[must_use]
    pub fn range(&self) -> Option<(Time, Time)> {
        let first = self.tracks.iter().filter_map(|t| Some(t.points.first()?.at)).min()?;
        let last = self.tracks.iter().filter_map(|t| Some(t.points.last()?.at)).max()?;
        Some((first, last))
    }

    /// When the history of each entity ends.
    #[must_use]
    pub fn ends(&self) -> BTreeMap<EntityRef, Time> {
        let mut ends = BTreeMap::new();
        for track in &self.tracks {
            let Some(last) = track.points.last() else { continue };
            let end = ends.entry(track.series.entity.clone()).or_insert(last.at);
            *end = last.at.max(*end);
        }
        ends
    }

    /// What each series is called.
    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        self.tracks.iter().map(|t| Topic::of(&t.series)).collect()
    }

    /// How many points there are.
    #[must_use]
    pub fn n_points(&self) -> usize {
        self.tracks.iter().map(|t| t.points.len()).sum()
    }
}

/// Reads every CSV file below a folder. `indicator` is what all series carry; without it, words of
/// their names tell.
///
/// # Errors
/// The folder can't be read.
pub fn read_csv(folder: &Path, indicator: Option<Indicator>) -> std::io::Result<History> {
    let mut history = History::default();
    for path in find(folder, None)? {
        match read_file(folder, &path, indicator, &mut history) {
            Ok(()) => {}
            Err(Broken { line, text }) => history.failures.push(Failure { file: path, line, text }),
        }
    }
    Ok(history)
}

/// One entity of a file under way.
#[derive(Default)]
struct Entity {
    columns: Vec<Vec<Point>>,
    faults: Stretches,
    unknown: Stretches,
}

/// Stretches of rows that share something.
#[derive(Default)]
struct Stretches {
    done: Vec<(Time, Time)>,
    open: Option<(Time, Time)>,
}

impl Stretches {
    fn step(&mut self, holds: bool, at: Time) {
        match (&mut self.open, holds) {
            (Some((_, until)), true) => *until = at.max(*until),
            (None, true) => self.open = Some((at, at)),
            (Some(_), false) => self.done.extend(self.open.take()),
            (None, false) => {}
        }
    }

    fn all(mut self) -> Vec<(Time, Time)> {
        self.done.extend(self.open.take());
        self.done
    }
}

fn read_file(
    folder: &Path,
    path: &Path,
    indicator: Option<Indicator>,
    history: &mut History,
) -> Result<(), Broken> {
    let opened = File::open(folder.join(path))
        .map_err(|e| Broken::new(None, format!("The file can't be opened: {e}.")))?;
    let mut reader = Reader::open(opened, Form::LongToo)?;
    let (n, has_label) = (reader.n_values(), reader.has_label());
    let stem = path.with_extension("").display().to_string();
    let mut entities: BTreeMap<String, Entity> = BTreeMap::new();
    while let Some(row) = reader.next_row()? {
        let at = Time::from_ms(row.at_ms);
        let name = match row.series {
            Some(name) => format!("{stem} {}", String::from_utf8_lossy(name).trim()),
            None => stem.clone(),
        };
        let entity = entities.entry(name).or_default();
        entity.columns.resize_with(n, Vec::new);
        for (points, value) in entity.columns.iter_mut().zip(row.values) {
            if value.is_finite() {
                points.push(Point { at, value: *value });
            }
        }
        entity.faults.step(row.is_anomalous() == Some(true), at);
        entity.unknown.step(row.is_anomalous().is_none(), at);
    }
    let file = path.display().to_string();
    history.notes.extend(reader.notes().sentences().into_iter().map(|n| format!("{file}: {n}")));
    let mut hole: Option<(Time, Time)> = None;
    for (name, found) in entities {
        let entity = EntityRef::new(ATTRIBUTE, &name);
        if has_label {
            history.truth.groups.push(Group {
                who: Who::Entity(entity.clone()),
                faults: found.faults.all(),
                unknown: found.unknown.all(),
            });
        }
        for (column, mut points) in reader.names().iter().zip(found.columns) {
            points.sort_by_key(|p| p.at);
            if !points.is_empty() {
                let widest = points.windows(2).map(|w| (w[0].at, w[1].at));
                hole = hole.into_iter().chain(widest).max_by_key(|(a, b)| b.ms_since(*a));
                let series = series(&entity, column, &points, indicator);
                history.tracks.push(Samples { series, points });
            }
        }
    }
    if let Some((from, to)) = hole.filter(|(from, to)| to.ms_since(*from) > HOLE_MS) {
        history.notes.push(format!(
            "{file}: nothing lies between {} and {}; if one of them is wrong, rates a day are \
             wrong too: mend it, or judge a part with --from and --to.",
            from.minute_text(),
            to.minute_text()
        ));
    }
    Ok(())
}

fn series(
    entity: &EntityRef,
    column: &str,
    points: &[Point],
    indicator: Option<Indicator>,
) -> Series {
    let labels = Labels::default();
    let first = &points[..points.len().min(FIRST)];
    let mut steps: Vec<i64> =
        first.windows(2).map(|w| w[1].at.ms_since(w[0].at)).filter(|s| *s > 0).collect();
    steps.sort_unstable();
    let indicator = indicator.unwrap_or_else(|| guessed(&format!("{} {column}", entity.name())));
    let unit = match indicator {
        Indicator::Utilization | Indicator::Errors | Indicator::Availability => {
            share_unit(&format!("{} {column}", entity.name()), first)
        }
        _ => "",
    };
    Series {
        id: Series::identity(SOURCE, column, entity, &labels),
        source: SOURCE.to_owned(),
        entity: entity.clone(),
        metric: column.to_owned(),
        labels,
        indicator,
        unit: unit.to_owned(),
        direction: direction(indicator),
        query: None,
        limit: None,
        step_ms: steps.get(steps.len() / 2).copied().unwrap_or(60_000),
    }
}

/// Whether a share counts from 0 to 1 or per cent: by its name, or by its first points.
fn share_unit(name: &str, first: &[Point]) -> &'static str {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
    if has(&["%", "percent", "pct"]) {
        "%"
    } else if has(&["ratio", "share", "fraction"]) || first.iter().all(|p| p.value <= 1.5) {
        "1"
    } else {
        "%"
    }
}

/// Which signal a name speaks of, as far as words tell.
fn guessed(name: &str) -> Indicator {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
    if has(&["error", "fail", "5xx", "crash"]) {
        Indicator::Errors
    } else if has(&["latency", "duration", "response_time", "p99", "p95"]) {
        Indicator::Duration
    } else if has(&["utilization", "utilisation", "cpu", "usage_percent"]) {
        Indicator::Utilization
    } else if has(&["queue", "backlog", "waiting", "saturation", "throttl"]) {
        Indicator::Saturation
    } else if has(&["availability", "up_ratio", "uptime"]) {
        Indicator::Availability
    } else if has(&["request", "rate", "count", "throughput", "traffic", "orders"]) {
        Indicator::Rate
    } else if has(&["memory", "bytes", "disk"]) {
        Indicator::Usage
    } else {
        Indicator::Custom
    }
}

fn direction(indicator: Indicator) -> Direction {
    match indicator {
        Indicator::Errors | Indicator::Duration | Indicator::Saturation => Direction::High,
        Indicator::Availability => Direction::Low,
        _ => Direction::Both,
    }
}
