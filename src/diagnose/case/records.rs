//! `traces.ndjson`, `logs.ndjson`, `events.ndjson`: one JSON object a line.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Broken, Known};
use crate::diagnose::weigh::{Line, Made, Scene, Span};
use crate::model::Time;
use crate::templates::Miner;

/// Templates kept of one service.
const TEMPLATES: u32 = 512;
/// Levels of errors, in lower case.
const ERRORS: [&str; 8] =
    ["error", "err", "fatal", "critical", "crit", "severe", "panic", "emergency"];

/// Spans by trace and span id.
pub(super) type SpanIds = BTreeMap<(String, String), usize>;

/// The objects of a file with their line numbers.
fn objects<'a>(
    file: &'static str,
    text: &'a str,
) -> impl Iterator<Item = Result<(usize, Value), Broken>> + 'a {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(move |(i, line)| match serde_json::from_str::<Value>(line) {
        Ok(value @ Value::Object(_)) => Ok((i + 1, value)),
        Ok(_) => Err(Broken::new(file, i + 1, "a JSON object is expected on every line")),
        Err(e) => Err(Broken::new(file, i + 1, format!("no JSON: {e}"))),
    })
}

fn text(value: &Value, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| value.get(key)?.as_str().map(str::to_owned))
}

/// Seconds since the alert: from a number of Unix seconds, or a time as in RFC 3339.
fn seconds(value: &Value, keys: &[&str], known: &Known) -> Option<f64> {
    let found = keys.iter().find_map(|key| value.get(key))?;
    let at = match found {
        Value::Number(n) => n.as_f64()?,
        Value::String(s) => {
            serde_json::from_value::<Time>(Value::String(s.clone())).ok()?.seconds()
        }
        _ => return None,
    };
    at.is_finite().then_some(at - known.at)
}

/// Whether a status tells failure: a word, a gRPC or OpenTelemetry code, an HTTP status.
fn failed(status: Option<&Value>) -> bool {
    match status {
        Some(Value::String(s)) => {
            let lower = s.to_lowercase();
            lower.contains("err") || lower.contains("fail") || s.parse().is_ok_and(is_bad_code)
        }
        Some(Value::Number(n)) => n.as_u64().is_some_and(is_bad_code),
        Some(Value::Bool(is_error)) => *is_error,
        _ => false,
    }
}

/// Codes of gRPC from 2 to 16 (2 is also OpenTelemetry's error, as 1 is its ok) and HTTP from 500.
fn is_bad_code(code: u64) -> bool {
    (2..=16).contains(&code) || (500..600).contains(&code)
}

/// Reads spans; gives their ids.
pub(super) fn spans(text_: &str, known: &Known, scene: &mut Scene) -> Result<SpanIds, Broken> {
    const FILE: &str = "traces.ndjson";
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids = SpanIds::new();
    let mut parents: Vec<Option<(String, String)>> = Vec::new();
    for object in objects(FILE, text_) {
        let (line, span) = object?;
        let Some(service) = text(&span, &["service"]).and_then(|s| known.service(&s)) else {
            continue;
        };
        let Some(at) = seconds(&span, &["start", "ts", "timestamp"], known) else {
            return Err(Broken::new(FILE, line, "`start` is no time in Unix seconds"));
        };
        let Some(length) = span.get("duration").and_then(Value::as_f64) else {
            return Err(Broken::new(FILE, line, "`duration` is no number of seconds"));
        };
        let name = text(&span, &["name", "operation"]).unwrap_or_default();
        let name = *names.entry(name).or_insert_with_key(|name| {
            scene.names.push(name.clone());
            scene.names.len() - 1
        });
        let trace = text(&span, &["trace_id"]).unwrap_or_default();
        if let Some(id) = text(&span, &["span_id"]) {
            ids.insert((trace.clone(), id), scene.spans.len());
        }
        parents.push(text(&span, &["parent", "parent_id", "parent_span_id"]).map(|p| (trace, p)));
        let failed = failed(span.get("status"));
        let seconds = length.max(0.0);
        scene.spans.push(Span { parent: None, service, name, at, seconds, failed });
    }
    for (i, parent) in parents.into_iter().enumerate() {
        scene.spans[i].parent = parent.and_then(|p| ids.get(&p).copied()).filter(|p| *p != i);
    }
    Ok(ids)
}

/// Who calls whom, by the spans.
pub(super) fn calls(scene: &Scene) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = scene
        .spans
        .iter()
        .filter_map(|s| Some((scene.spans[s.parent?].service, s.service)))
        .filter(|(from, to)| from != to)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

struct Raw {
    service: usize,
    template: u32,
    logger: Option<String>,
    span: Option<usize>,
    at: f64,
    is_error: bool,
}

/// Reads log lines and mines their templates, service by service.
pub(super) fn lines(
    text_: &str,
    known: &Known,
    ids: &SpanIds,
    scene: &mut Scene,
) -> Result<(), Broken> {
    const FILE: &str = "logs.ndjson";
    let mut miners: BTreeMap<usize, Miner> = BTreeMap::new();
    let mut raw: Vec<Raw> = Vec::new();
    for object in objects(FILE, text_) {
        let (number, line) = object?;
        let Some(service) = text(&line, &["service"]).and_then(|s| known.service(&s)) else {
            continue;
        };
        let Some(at) = seconds(&line, &["ts", "timestamp", "time", "at"], known) else {
            return Err(Broken::new(FILE, number, "`ts` is no time in Unix seconds"));
        };
        let message = text(&line, &["msg", "message", "body"]).unwrap_or_default();
        let miner = miners.entry(service).or_insert_with(|| Miner::new(TEMPLATES));
        let template = miner.learn(message.as_bytes()).id;
        let level = text(&line, &["level", "severity"]).unwrap_or_default().to_lowercase();
        let span = text(&line, &["trace_id"]).zip(text(&line, &["span_id"]));
        raw.push(Raw {
            service,
            template,
            // A place in the code tells more than a class does.
            logger: text(&line, &["logger"]).filter(|l| l.contains('#')),
            span: span.and_then(|key| ids.get(&key).copied()),
            at,
            is_error: ERRORS.contains(&level.as_str()),
        });
    }
    let mut merged: BTreeMap<(usize, u32), u32> = BTreeMap::new();
    for (service, miner) in &mut miners {
        let merges = miner.take_merges();
        merged.extend(merges.into_iter().map(|m| ((*service, m.from), m.into)));
    }
    let mut numbers: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for line in raw {
        let mut id = line.template;
        while let Some(into) = merged.get(&(line.service, id)) {
            id = *into;
        }
        // What was evicted has no text any more: its lines stand together.
        let mined = miners[&line.service].text(id).unwrap_or_default();
        let mut templates = Vec::new();
        for text in [Some(mined), line.logger].into_iter().flatten() {
            let number = numbers.entry((line.service, text)).or_insert_with_key(|(_, text)| {
                scene.templates.push(text.clone());
                scene.templates.len() - 1
            });
            templates.push(*number);
        }
        let (service, span, at, is_error) = (line.service, line.span, line.at, line.is_error);
        scene.lines.push(Line { service, span, templates, at, is_error });
    }
    Ok(())
}

/// Reads changes.
pub(super) fn changes(text_: &str, known: &Known, scene: &mut Scene) -> Result<(), Broken> {
    const FILE: &str = "events.ndjson";
    for object in objects(FILE, text_) {
        let (line, event) = object?;
        let named = text(&event, &["service", "entity", "target"]);
        let Some(service) = named.and_then(|s| known.service(&s)) else { continue };
        let Some(at) = seconds(&event, &["ts", "at", "timestamp", "time"], known) else {
            return Err(Broken::new(FILE, line, "`ts` is no time in Unix seconds"));
        };
        let title = text(&event, &["title", "message", "text", "kind", "type"]);
        let title = title.unwrap_or_else(|| "a change".to_owned());
        scene.changes.push(Made { service, at, title });
    }
    Ok(())
}
