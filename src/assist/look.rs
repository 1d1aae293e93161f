//! Answers that look at telemetry: errors, figures of a service, comparisons, slow services.

use std::collections::BTreeMap;

use crate::model::diagnosis::Finding;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{EntityRef, Fault, Indicator, Level, LogLine, Point, Series, Time, figure};
use crate::stats::median_and_sigma;
use crate::store::{LogFilter, SeriesFilter};
use crate::telemetry::blind;

use super::offline::{Baseline, Scene};
use super::when::Range;

/// Log lines read for one answer.
const MOST_LINES: usize = 2_000;
/// So many newest points say how a series is now, where they are so many times as high or as low as the
/// median of the time that is told of, and so many robust standard deviations away.
const NEWEST: usize = 3;
const TURNED: f64 = 1.5;
const ELSEWHERE: f64 = 5.0;

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

/// Lines that have the wanted words, newest first.
fn lines_with(scene: &mut Scene<'_>, text: String) -> Result<(), Fault> {
    let range = scene.range(24);
    let lines = scene.rows.logs(&LogFilter {
        entity: scene.plan.entity().cloned(),
        level: scene.wanted.level,
        text: Some(text),
        since: Some(range.since),
        until: Some(range.until),
        limit: 10,
    })?;
    let (a, b) = (range.since.minute_text(), range.until.minute_text());
    let some = if lines.is_empty() { "No line has" } else { "The newest lines with" };
    scene.draft.line(format!("{some} these words from {a} to {b}."));
    log_lines(scene, &lines);
    Ok(())
}

pub(super) fn errors(scene: &mut Scene<'_>) -> Result<(), Fault> {
    if let Some(text) = scene.wanted.text.clone() {
        return lines_with(scene, text);
    }
    let range = scene.range(1);
    let level = scene.wanted.level.unwrap_or(Level::Error);
    let span = range.until.ms_since(range.since);
    let read = |since: Time, until: Time| {
        scene.rows.logs(&LogFilter {
            entity: scene.plan.entity().cloned(),
            level: Some(level),
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
    let about = scene.plan.entity().map(|e| format!(" of {}", e.name()));
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

fn golden(scene: &mut Scene<'_>, entity: &EntityRef) -> Result<Vec<Series>, Fault> {
    let filter = SeriesFilter { entity: Some(entity.clone()), indicator: None };
    let mut all = scene.rows.list_series(&filter)?;
    if let Some(part) = scene.wanted.metric.as_ref().map(|m| m.to_lowercase()) {
        let with = |part: &str| -> Vec<Series> {
            all.iter().filter(|s| s.metric.to_lowercase().contains(part)).cloned().collect()
        };
        let mut named = with(&part);
        // Another percentile of the duration is nearer to what was asked than everything.
        if named.is_empty() && part.starts_with('p') {
            named = with("duration");
        }
        if named.is_empty() && !all.is_empty() {
            let text =
                format!("No metric of {} has `{part}` in its name; all are shown.", entity.name());
            scene.draft.note(text);
        } else {
            all = named;
        }
    }
    all.sort_by(|a, b| (a.indicator, &a.metric, a.id).cmp(&(b.indicator, &b.metric, b.id)));
    Ok(all.into_iter().take(8).collect())
}

/// What the newest points come to, where the median of all hides that they are plainly elsewhere.
fn by_now(points: &[Point]) -> Option<f64> {
    let values: Vec<f64> = points.iter().map(|p| p.value).collect();
    let (middle, sigma) = median_and_sigma(&values)?;
    let newest = median(&points[points.len().saturating_sub(NEWEST)..])?;
    let (least, most) = (newest.min(middle), newest.max(middle));
    (most > TURNED * least && most - least > ELSEWHERE * sigma).then_some(newest)
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
    let by_now = by_now(&points).filter(|_| now.until > scene.question.now);
    let by_now = by_now.map(|v| format!(" and {} by now", figure(v, &series.unit)));
    let newest = figure(new, &series.unit) + &by_now.unwrap_or_default();
    let fact = match old {
        Some(old) if old.abs() > 1e-12 => {
            let percent = (new - old) / old * 100.0;
            // Four digits of percent say less than the factor.
            let change = if percent.abs() < 1_000.0 {
                format!("{percent:+.0} %")
            } else {
                format!("{:.0} times", new / old)
            };
            format!("{name}: {newest}, {word} {} ({change})", figure(old, &series.unit))
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

/// Medians of every named entity's series in `now` and `then`.
fn compared(scene: &mut Scene<'_>, now: Range, then: Range, word: &str) -> Result<(), Fault> {
    let (a, b) = (now.since.minute_text(), now.until.minute_text());
    let mut said = false;
    for entity in scene.plan.entities.clone() {
        let all = golden(scene, &entity)?;
        if all.is_empty() {
            scene.draft.line(format!("No metrics of {} are stored.", entity.name()));
        } else if !said {
            scene.draft.line(format!("Medians from {a} to {b}:"));
            said = true;
        }
        all.iter().try_for_each(|s| against(scene, s, now, then, word))?;
    }
    Ok(())
}

fn back(range: Range, ms: i64) -> Range {
    Range { since: range.since.plus_ms(-ms), until: range.until.plus_ms(-ms) }
}

pub(super) fn compare(scene: &mut Scene<'_>) -> Result<(), Fault> {
    if scene.plan.entities.is_empty() {
        if scene.plan.unknown_name.is_none() {
            let text = "Name a service that has metrics, such as: compare orders with yesterday.";
            scene.draft.line(text);
        }
        return Ok(());
    }
    let now = scene.question.now;
    // The time named is what is compared with, so the figures of now are those of the last hour.
    let mut recent = Range { since: now.plus_ms(-60 * MINUTE_MS), until: now.plus_ms(1) };
    // Figures from before the onset of what is open would water down what is going on.
    let open = |i: &&crate::model::Incident| {
        i.state.is_active() && scene.plan.entities.iter().any(|e| i.entities.contains(e))
    };
    if let Some(i) = scene.incidents.iter().find(open) {
        recent.since = recent.since.max(i.onset_at.min(now.plus_ms(-2 * MINUTE_MS)));
    }
    match (scene.wanted.baseline, scene.plan.range) {
        (Baseline::Week, _) => compared(scene, recent, back(recent, 7 * DAY_MS), "a week before"),
        (Baseline::Range, Some(then)) => {
            let word = format!("from {} to {}", then.since.minute_text(), then.until.minute_text());
            compared(scene, recent, then, &word)
        }
        _ => compared(scene, recent, back(recent, DAY_MS), "a day before"),
    }
}

pub(super) fn health(scene: &mut Scene<'_>) -> Result<(), Fault> {
    let now = scene.question.now;
    let recent = Range { since: now.plus_ms(-15 * MINUTE_MS), until: now.plus_ms(1) };
    let mut range = scene.plan.range.unwrap_or(recent);
    if scene.plan.entities.is_empty() && scene.plan.unknown_name.is_none() {
        scene.draft.line("Name a service, such as: how is orders?");
    }
    let unseen = blind::now(scene.rows)?;
    for e in scene.plan.entities.clone() {
        if let Some(blind) = unseen.iter().find(|b| b.entity == e) {
            scene.draft.line(blind.text());
            scene.draft.gap(format!("data of {}", e.name()), blind.why.clone());
        }
        let hit = |i: &&crate::model::Incident| i.state.is_active() && i.entities.contains(&e);
        match scene.incidents.iter().find(hit).cloned() {
            Some(i) => {
                let fact = format!("{} is part of #{}: {}.", e.name(), i.number, i.title);
                let mark = scene.draft.record(i.id, fact.clone());
                scene.draft.line(format!("{fact} {mark}"));
                // Figures from before its onset would water down what is going on.
                if scene.plan.range.is_none() && i.onset_at > range.since {
                    range.since = i.onset_at.min(now.plus_ms(-2 * MINUTE_MS));
                }
            }
            None => scene.draft.line(format!("No incident is open on {}.", e.name())),
        }
    }
    let (ms, word) = match scene.wanted.baseline {
        Baseline::Week => (7 * DAY_MS, "a week before"),
        _ => (DAY_MS, "a day before"),
    };
    compared(scene, range, back(range, ms), word)?;
    unwatched_quantile(scene)
}

/// Says so where a percentile was asked for that no series of the entity has.
fn unwatched_quantile(scene: &mut Scene<'_>) -> Result<(), Fault> {
    const QUANTILES: [&str; 5] = ["p50", "p75", "p90", "p95", "p99"];
    let text = scene.question.text.to_lowercase();
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    let Some(asked) = words.find_map(|w| QUANTILES.into_iter().find(|q| *q == w)) else {
        return Ok(());
    };
    let mut known = Vec::new();
    for entity in scene.plan.entities.clone() {
        known.extend(golden(scene, &entity)?.into_iter().map(|s| s.metric));
    }
    let quantile = |metric: &String| QUANTILES.iter().any(|q| metric.ends_with(q));
    if known.iter().any(quantile) && !known.iter().any(|m| m.ends_with(asked)) {
        scene.draft.line(format!("No {asked} is watched; another percentile is shown."));
    }
    Ok(())
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
    let then = back(range, DAY_MS);
    found.iter().take(5).try_for_each(|(_, s)| against(scene, s, range, then, "a day before"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_that_the_median_hides_is_told_and_noise_is_not() {
        let points = |values: &[f64]| -> Vec<Point> {
            let at = |k: usize| Time::from_ms(1_700_000_000_000 + 15_000 * k as i64);
            values.iter().enumerate().map(|(k, v)| Point { at: at(k), value: *v }).collect()
        };
        let slow: Vec<f64> = (0..40).map(|k| 6.3 + 0.01 * f64::from(k % 5)).collect();
        assert_eq!(by_now(&points(&slow)), None);
        let over: Vec<f64> = slow.iter().copied().chain([0.4, 0.24, 0.23, 0.25]).collect();
        assert_eq!(by_now(&points(&over)), Some(0.24));
        // One point alone says nothing, nor does what goes up and down all the time.
        let one: Vec<f64> = slow.iter().copied().chain([0.24]).collect();
        assert_eq!(by_now(&points(&one)), None);
        let restless: Vec<f64> = (0..40).map(|k| f64::from(1 + k * 7 % 11)).collect();
        assert_eq!(by_now(&points(&restless)), None);
        assert_eq!(by_now(&[]), None);
    }
}
