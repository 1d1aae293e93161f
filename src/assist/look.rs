//! Answers that look at telemetry: errors, figures of a service, comparisons, slow services.

use std::collections::BTreeMap;

use crate::model::diagnosis::Finding;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{Fault, Indicator, Level, LogLine, Point, Series, Time};
use crate::store::{LogFilter, SeriesFilter};

use super::offline::Scene;
use super::when::Range;

/// Log lines read for one answer.
const MOST_LINES: usize = 2_000;

/// A figure with its unit as people read it.
pub(super) fn figure(value: f64, unit: &str) -> String {
    match unit {
        "s" if value.abs() < 1.0 => format!("{:.0} ms", value * 1_000.0),
        "s" => format!("{value:.2} s"),
        "ms" => format!("{value:.0} ms"),
        "1" => format!("{:.1}%", value * 100.0),
        "By" => format!("{:.0} MiB", value / 1_048_576.0),
        _ => {
            let unit = unit.replace(['{', '}'], "");
            format!("{value:.1} {unit}").trim_end().to_owned()
        }
    }
}

/// The middle value; `None` without points.
fn median(points: &[Point]) -> Option<f64> {
    let mut values: Vec<f64> = points.iter().map(|p| p.value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The text with its digits and hexadecimal ids masked: lines of one pattern become equal.
fn shape(body: &str) -> String {
    let varies = |w: &str| w.chars().any(|c| c.is_ascii_digit());
    let word = |w: &str| if varies(w) { "<*>".to_owned() } else { w.to_owned() };
    body.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Quotes log lines one by one.
pub(super) fn log_lines(scene: &mut Scene<'_>, lines: &[LogLine]) {
    for l in lines {
        let finding = Finding::Logs {
            template: shape(&l.body),
            n: 1,
            n_before: 0,
            examples: vec![l.clone()],
        };
        let mark = scene.draft.found("log search", (l.at, l.at), l.body.clone(), finding);
        let body: String = l.body.chars().take(200).collect();
        scene.draft.line(format!("- {} {}: `{body}` {mark}", l.at.minute_text(), l.entity.name()));
    }
}

pub(super) fn errors(scene: &mut Scene<'_>) -> Result<(), Fault> {
    let range = scene.range(1);
    let span = range.until.ms_since(range.since);
    let read = |since: Time, until: Time| {
        scene.rows.logs(&LogFilter {
            entity: scene.plan.entity.clone(),
            level: Some(Level::Error),
            since: Some(since),
            until: Some(until),
            limit: MOST_LINES,
            ..LogFilter::default()
        })
    };
    let lines = read(range.since, range.until)?;
    let mut before: BTreeMap<String, u64> = BTreeMap::new();
    for l in read(range.since.plus_ms(-span), range.since)? {
        *before.entry(shape(&l.body)).or_default() += 1;
    }
    let mut groups: BTreeMap<String, Vec<&LogLine>> = BTreeMap::new();
    for l in &lines {
        groups.entry(shape(&l.body)).or_default().push(l);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, of)| std::cmp::Reverse(of.len()));
    let about = scene.plan.entity.as_ref().map(|e| format!(" of {}", e.name()));
    let (a, b) = (range.since.minute_text(), range.until.minute_text());
    scene.draft.line(format!("Errors{} from {a} to {b}:", about.unwrap_or_default()));
    if lines.is_empty() {
        scene.draft.line("None was logged.");
    }
    if lines.len() == MOST_LINES {
        scene.draft.note(format!("Only the newest {MOST_LINES} lines were counted."));
    }
    for (template, of) in groups.into_iter().take(5) {
        let n_before = before.get(&template).copied().unwrap_or(0);
        let fact = format!("{} lines, {n_before} in as long a time before", of.len());
        let example: String = of[0].body.chars().take(200).collect();
        let finding = Finding::Logs {
            template,
            n: of.len() as u64,
            n_before,
            examples: of.iter().take(3).map(|l| (*l).clone()).collect(),
        };
        let at = (range.since, range.until);
        let mark = scene.draft.found("error logs by template", at, fact.clone(), finding);
        scene
            .draft
            .line(format!("- {fact}, such as `{example}` from {}. {mark}", of[0].entity.name()));
    }
    Ok(())
}

fn golden(scene: &Scene<'_>) -> Result<Vec<Series>, Fault> {
    let filter = SeriesFilter { entity: scene.plan.entity.clone(), indicator: None };
    let mut all = scene.rows.list_series(&filter)?;
    all.sort_by_key(|s| s.indicator);
    Ok(all.into_iter().take(8).collect())
}

/// One line: now against another time.
fn against(
    scene: &mut Scene<'_>,
    series: &Series,
    now: Range,
    then: Range,
    word: &str,
) -> Result<(), Fault> {
    let points = scene.rows.points(series.id, now.since, now.until)?;
    let (new, old) =
        (median(&points), median(&scene.rows.points(series.id, then.since, then.until)?));
    let Some(new) = new else {
        let what = format!("{} {}", series.entity.name(), series.metric);
        scene.draft.gap(what, "no points are stored for the time asked about");
        return Ok(());
    };
    let name = format!("{} {}", series.entity.name(), series.metric);
    let newest = figure(new, &series.unit);
    let fact = match old {
        Some(old) if old.abs() > 1e-12 => {
            let percent = (new - old) / old * 100.0;
            format!("{name}: {newest}, {word} {} ({percent:+.0}%)", figure(old, &series.unit))
        }
        Some(old) => format!("{name}: {newest}, {word} {}", figure(old, &series.unit)),
        None => format!("{name}: {newest}; nothing is stored to compare with"),
    };
    let finding = Finding::Metric {
        series: series.clone(),
        points,
        expected: None,
        bands: Vec::new(),
        before: old.unwrap_or(new),
        after: new,
        onset: None,
    };
    let query = series.query.clone().unwrap_or_else(|| format!("points of {}", series.id));
    let mark = scene.draft.found(&query, (now.since, now.until), fact.clone(), finding);
    scene.draft.line(format!("- {fact}. {mark}"));
    Ok(())
}

fn compared(scene: &mut Scene<'_>, back_ms: i64, word: &str, now: Range) -> Result<(), Fault> {
    let all = golden(scene)?;
    if all.is_empty() || scene.plan.entity.is_none() {
        scene
            .draft
            .line("Name a service that has metrics, such as: compare orders with yesterday.");
        return Ok(());
    }
    let then = Range { since: now.since.plus_ms(-back_ms), until: now.until.plus_ms(-back_ms) };
    scene.draft.line(format!(
        "Medians from {} to {}:",
        now.since.minute_text(),
        now.until.minute_text()
    ));
    all.iter().try_for_each(|s| against(scene, s, now, then, word))
}

pub(super) fn compare(scene: &mut Scene<'_>) -> Result<(), Fault> {
    let week = scene.question.text.to_lowercase().contains("week");
    let (back, word) = if week { (7 * DAY_MS, "a week before") } else { (DAY_MS, "a day before") };
    let now = scene.question.now;
    // The time named is what is compared with, so the figures of now are those of the last hour.
    let range = Range { since: now.plus_ms(-60 * MINUTE_MS), until: now.plus_ms(1) };
    compared(scene, back, word, range)
}

pub(super) fn health(scene: &mut Scene<'_>) -> Result<(), Fault> {
    let now = scene.question.now;
    let recent = Range { since: now.plus_ms(-15 * MINUTE_MS), until: now.plus_ms(1) };
    let range = scene.plan.range.unwrap_or(recent);
    let open = scene.plan.entity.clone().map(|e| {
        let hit = |i: &&crate::model::Incident| i.state.is_active() && i.entities.contains(&e);
        (e.clone(), scene.incidents.iter().find(hit).cloned())
    });
    match open {
        Some((e, Some(i))) => {
            let fact = format!("{} is part of #{}: {}.", e.name(), i.number, i.title);
            let mark = scene.draft.record(i.id, fact.clone());
            scene.draft.line(format!("{fact} {mark}"));
        }
        Some((e, None)) => scene.draft.line(format!("No incident is open on {}.", e.name())),
        None => {}
    }
    compared(scene, DAY_MS, "a day before", range)
}

pub(super) fn slowest(scene: &mut Scene<'_>) -> Result<(), Fault> {
    let range = scene.range(1);
    let filter = SeriesFilter { entity: None, indicator: Some(Indicator::Duration) };
    let mut found = Vec::new();
    for s in scene.rows.list_series(&filter)? {
        let points = scene.rows.points(s.id, range.since, range.until)?;
        let seconds = if s.unit == "ms" { 0.001 } else { 1.0 };
        found.extend(median(&points).map(|m| (m * seconds, s)));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    if found.is_empty() {
        scene.draft.line("No durations are stored for that time.");
    }
    let then = Range { since: range.since.plus_ms(-DAY_MS), until: range.until.plus_ms(-DAY_MS) };
    found.iter().take(5).try_for_each(|(_, s)| against(scene, s, range, then, "a day before"))
}
