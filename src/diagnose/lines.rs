//! Log templates that are new or burst around the onset of an entity's trouble.

use std::collections::BTreeMap;

use super::gather::evidence_id;
use super::input::LogSign;
use crate::model::diagnosis::Finding;
use crate::model::figure::count_text;
use crate::model::time::{MINUTE_MS, SECOND_MS};
use crate::model::{EntityRef, Evidence, Fault, Incident, Level, LogLine, Time};
use crate::store::{LogFilter, Rows};
use crate::templates::{Miner, record};

/// Looked at since the onset, at least and at most (ms).
const LENGTH_MS: (i64, i64) = (2 * MINUTE_MS, 10 * MINUTE_MS);
/// A line may be written this much (ms) before its effect is seen in a sampled signal.
const LEAD_MS: i64 = 45 * SECOND_MS;
/// Lines read on each side of the onset, the newest; where there are more, that is said.
const LINES: usize = 1_500;
/// Templates told apart in one entity's lines.
const TEMPLATES: u32 = 64;
/// Lines from which a template says something.
const FEWEST: u64 = 3;
/// The same of one below a warning that was not written before.
const FEWEST_NEW: u64 = 5;
/// A template bursts when it is written this many times as often as before.
const BURST: u64 = 4;
/// Templates kept for one entity.
const MOST: usize = 2;
/// Lines kept of a template.
const EXAMPLES: usize = 5;

struct Counted {
    n: u64,
    n_before: u64,
    first_at: Time,
    level: Level,
    examples: Vec<LogLine>,
}

impl Counted {
    fn new() -> Self {
        let (first_at, level) = (Time::MAX, Level::Trace);
        Self { n: 0, n_before: 0, first_at, level, examples: Vec::new() }
    }

    fn count(&mut self, line: &LogLine, since: bool) {
        self.level = self.level.max(line.level);
        if !since {
            self.n_before += 1;
            return;
        }
        self.first_at = self.first_at.min(line.at);
        self.n += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(line.clone());
        }
    }

    /// Takes in what was counted of a template that turned out to be this one.
    fn take_in(&mut self, from: Self) {
        self.level = self.level.max(from.level);
        self.n += from.n;
        self.n_before += from.n_before;
        self.first_at = self.first_at.min(from.first_at);
        self.examples.extend(from.examples);
        self.examples.sort_by_key(|l| l.at);
        self.examples.truncate(EXAMPLES);
    }
}

/// Whether there were more lines than were read, before the onset and since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Before the onset.
    pub before: bool,
    /// Since.
    pub since: bool,
}

impl Cut {
    /// How often a template was written since the onset, in words.
    pub(super) fn times(self, n: u64) -> String {
        let least = if self.since { "at least " } else { "" };
        format!("{least}{n} times")
    }

    /// How often it was written before, in words.
    pub(super) fn before(self, n: u64) -> String {
        if self.before {
            format!("{} in the {} lines before", never(n), count_text(LINES as u64))
        } else {
            format!("{} in as long before", never(n))
        }
    }
}

/// New and bursting templates of warnings and errors, most telling first: errors before warnings,
/// then the most frequent. Each with its evidence.
pub(super) fn signs(
    rows: &Rows<'_>,
    incident: &Incident,
    entity: &EntityRef,
    onset: Time,
    now: Time,
) -> Result<Vec<(LogSign, Evidence)>, Fault> {
    let since = onset.plus_ms(-LEAD_MS);
    let length = now.ms_since(since).clamp(LENGTH_MS.0, LENGTH_MS.1);
    let window = (since, since.plus_ms(length), now);
    let (counted, cut) = count_around(rows, entity, Level::Warn, window)?;
    let mut found: Vec<(String, Counted)> =
        counted.into_iter().filter(|(_, c)| c.n >= FEWEST && c.n >= BURST * c.n_before).collect();
    found.sort_by(|(a, x), (b, y)| {
        let errs = |c: &Counted| c.level >= Level::Error;
        errs(y).cmp(&errs(x)).then(y.n.cmp(&x.n)).then_with(|| a.cmp(b))
    });
    found.truncate(MOST);
    Ok(found.into_iter().map(|(t, c)| sign(incident, entity, t, (c, cut), window)).collect())
}

/// The template below a warning that is new since the onset and most frequent: worth a look, and
/// no sign of trouble by itself.
pub(super) fn news(
    rows: &Rows<'_>,
    incident: &Incident,
    entity: &EntityRef,
    onset: Time,
    now: Time,
) -> Result<Option<Evidence>, Fault> {
    let since = onset.plus_ms(-LEAD_MS);
    let length = now.ms_since(since).clamp(LENGTH_MS.0, LENGTH_MS.1);
    let window = (since, since.plus_ms(length), now);
    let (counted, cut) = count_around(rows, entity, Level::Info, window)?;
    let found = newcomer(counted);
    Ok(found.map(|(template, c)| sign(incident, entity, template, (c, cut), window).1))
}

fn newcomer(counted: BTreeMap<String, Counted>) -> Option<(String, Counted)> {
    // Nothing is new where nothing was written before.
    if counted.values().all(|c| c.n_before == 0) {
        return None;
    }
    let new = |c: &Counted| c.level < Level::Warn && c.n_before == 0 && c.n >= FEWEST_NEW;
    let found = counted.into_iter().filter(|(_, c)| new(c));
    found.max_by(|(a, x), (b, y)| x.n.cmp(&y.n).then_with(|| b.cmp(a)))
}

/// Lines of a level and worse by template, in a stretch of time and in as long before it.
fn count_around(
    rows: &Rows<'_>,
    entity: &EntityRef,
    level: Level,
    (since, until, _): (Time, Time, Time),
) -> Result<(BTreeMap<String, Counted>, Cut), Fault> {
    let read = |from: Time, to: Time| -> Result<(Vec<LogLine>, bool), Fault> {
        let mut lines = rows.logs(&LogFilter {
            entity: Some(entity.clone()),
            level: Some(level),
            text: None,
            since: Some(from),
            until: Some(to),
            limit: LINES + 1,
        })?;
        let more = lines.len() > LINES;
        lines.truncate(LINES);
        Ok((lines, more))
    };
    let (after, cut_since) = read(since, until)?;
    if after.is_empty() {
        return Ok(Default::default());
    }
    let (before, cut_before) = read(since.plus_ms(-until.ms_since(since)), since)?;
    Ok((count(&before, &after), Cut { before: cut_before, since: cut_since }))
}

/// Lines by template, on both sides of the onset. Lines come newest first.
fn count(before: &[LogLine], after: &[LogLine]) -> BTreeMap<String, Counted> {
    let mut miner = Miner::new(TEMPLATES);
    let mut by_id: BTreeMap<u32, Counted> = BTreeMap::new();
    let sides =
        before.iter().rev().map(|l| (l, false)).chain(after.iter().rev().map(|l| (l, true)));
    for (line, since) in sides {
        let found = miner.learn(&record::read(line.body.as_bytes()).message);
        if let Some(gone) = found.evicted {
            by_id.remove(&gone);
        }
        for merge in miner.take_merges() {
            if let Some(from) = by_id.remove(&merge.from) {
                by_id.entry(merge.into).or_insert_with(Counted::new).take_in(from);
            }
        }
        by_id.entry(found.id).or_insert_with(Counted::new).count(line, since);
    }
    by_id.into_iter().filter_map(|(id, c)| Some((miner.text(id)?, c))).collect()
}

fn sign(
    incident: &Incident,
    entity: &EntityRef,
    template: String,
    (c, cut): (Counted, Cut),
    (since, until, now): (Time, Time, Time),
) -> (LogSign, Evidence) {
    let id = evidence_id(incident, &format!("logs {entity} {template}"));
    let shown: String = c
        .examples
        .first()
        .map_or(template.as_str(), |l| l.body.as_str())
        .chars()
        .take(160)
        .collect();
    let worst = if c.level < Level::Warn { "info" } else { "warn" };
    let evidence = Evidence {
        id,
        incident: Some(incident.id),
        at: now,
        summary: format!(
            "{} wrote this line {} from {} to {} UTC, first at {}{}, {}: {shown}",
            entity.name(),
            cut.times(c.n),
            since.clock_text(),
            now.min(until).clock_text(),
            c.first_at.clock_text(),
            if cut.since { " or sooner" } else { "" },
            cut.before(c.n_before)
        ),
        source: "store".into(),
        query: format!("log lines of {entity} at {worst} or worse like \"{template}\""),
        since,
        until,
        finding: Finding::Logs {
            template: template.clone(),
            n: c.n,
            n_before: c.n_before,
            examples: c.examples,
        },
    };
    let is_error = c.level >= Level::Error;
    let (n, n_before, first_at) = (c.n, c.n_before, c.first_at);
    let until = now.min(until);
    (LogSign { template, n, n_before, first_at, until, cut, is_error, evidence: id }, evidence)
}

/// How often, in words.
fn never(n: u64) -> String {
    if n == 0 { "never".to_owned() } else { format!("{n} times") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    fn line(second: i64, level: Level, body: String) -> LogLine {
        let at = Time::from_ms(1_700_000_000_000 + second * 1_000);
        let entity = EntityRef::service("a");
        LogLine { at, entity, level, body, trace_id: None, attributes: Labels::default() }
    }

    #[test]
    fn lines_are_counted_by_template_on_each_side() {
        let usual = |s: i64| line(s, Level::Warn, format!("cache miss for key {s}"));
        let failed =
            |s: i64| line(s, Level::Error, format!("no connection to db within {} ms", 3_000 + s));
        let before: Vec<LogLine> = (0..20).rev().map(usual).collect();
        let mut after: Vec<LogLine> = (20..40).rev().map(usual).collect();
        after.extend((25..33).rev().map(failed));
        after.sort_by_key(|l| std::cmp::Reverse(l.at));
        let counted = count(&before, &after);
        assert_eq!(counted.len(), 2);
        let (_, fault) =
            counted.iter().find(|(t, _)| t.contains("no connection")).expect("it is there");
        assert_eq!((fault.n, fault.n_before, fault.level), (8, 0, Level::Error));
        assert_eq!(fault.first_at, failed(25).at);
        let (_, rest) = counted.iter().find(|(t, _)| t.contains("cache")).expect("it is there");
        assert_eq!((rest.n, rest.n_before), (20, 20));
    }

    #[test]
    fn a_new_line_below_a_warning_is_found_where_others_were_written_before() {
        let usual = |s: i64| line(s, Level::Info, format!("request {s} served"));
        let new = |s: i64| line(s, Level::Info, format!("primary moved to replica {s}"));
        let before: Vec<LogLine> = (0..20).rev().map(usual).collect();
        let after: Vec<LogLine> =
            (20..40).rev().map(usual).chain((20..26).rev().map(new)).collect();
        let (template, c) = newcomer(count(&before, &after)).expect("there is one");
        assert_eq!((template.as_str(), c.n), ("primary moved to replica <*>", 6));
        assert!(newcomer(count(&[], &after)).is_none(), "it may have been there all along");
        assert!(newcomer(count(&before, &before)).is_none());
    }
}
