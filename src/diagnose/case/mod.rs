//! A case read from a folder's files: an incident that somebody recorded, in a layout that names no
//! product.
//!
//! | file | what |
//! |---|---|
//! | `case.json` | `alert_time` (Unix seconds), `services` (the candidates), `symptom` (`service`, `metric`) or null |
//! | `topology.json` | pairs of caller and callee; optional |
//! | `metrics.csv` | a column of Unix seconds, then one for each `service\|metric\|unit or statistic` |
//! | `traces.ndjson` | spans: `trace_id`, `span_id`, `parent`, `service`, `name`, `start`, `duration` (seconds), `status`; optional |
//! | `logs.ndjson` | lines: `ts`, `service`, `level`, `msg`, and `logger`, `trace_id`, `span_id` where known; optional |
//! | `events.ndjson` | changes: `ts`, `service`, `title`; optional |
//!
//! What belongs to no candidate is left out. Anything that can't be read is an error that names
//! file and line: a diagnosis of half a case would look like one of the whole.

mod metrics;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::weigh::{Kind, Scene, kind};

/// The texts of a case's files.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// `case.json`.
    pub case: String,
    /// `topology.json`.
    pub topology: Option<String>,
    /// `metrics.csv`.
    pub metrics: Option<String>,
    /// `traces.ndjson`.
    pub traces: Option<String>,
    /// `logs.ndjson`.
    pub logs: Option<String>,
    /// `events.ndjson`.
    pub events: Option<String>,
}

/// Why a case can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which file.
    pub file: &'static str,
    /// The line, from 1, where one can be named.
    pub line: Option<usize>,
    /// What is wrong and what is expected.
    pub text: String,
}

impl Broken {
    fn new(file: &'static str, line: impl Into<Option<usize>>, text: impl Into<String>) -> Self {
        Self { file, line: line.into(), text: text.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}.", self.file, self.text),
            None => write!(f, "{}: {}.", self.file, self.text),
        }
    }
}

#[derive(Deserialize)]
struct Head {
    alert_time: f64,
    services: Vec<String>,
    #[serde(default)]
    symptom: Option<Felt>,
}

#[derive(Deserialize)]
struct Felt {
    service: String,
    #[serde(default)]
    metric: Option<String>,
}

/// What all files are read against.
struct Known {
    /// Unix seconds of the alert.
    at: f64,
    index: BTreeMap<String, usize>,
}

impl Known {
    fn service(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }
}

/// Reads a case.
///
/// # Errors
/// [`Broken`] for the first file and line that can't be read.
pub fn read(texts: &Texts) -> Result<Scene, Broken> {
    const FILE: &str = "case.json";
    let head: Head = serde_json::from_str(&texts.case).map_err(|e| {
        let text = format!(
            "{e}; expected is an object with `alert_time` in Unix seconds and the list `services`"
        );
        Broken::new(FILE, (e.line() > 0).then_some(e.line()), text)
    })?;
    if !head.alert_time.is_finite() {
        return Err(Broken::new(FILE, None, "`alert_time` is no number of seconds"));
    }
    if head.services.is_empty() {
        return Err(Broken::new(FILE, None, "`services` is empty: there is nobody to rank"));
    }
    let mut index = BTreeMap::new();
    for (i, name) in head.services.iter().enumerate() {
        if index.insert(name.clone(), i).is_some() {
            return Err(Broken::new(FILE, None, format!("`services` names {name} twice")));
        }
    }
    let known = Known { at: head.alert_time, index };
    let mut scene = Scene { services: head.services, ..Scene::default() };
    if let Some(felt) = head.symptom {
        let kind = felt.metric.as_deref().map(|m| kind::read(m).0);
        let felt_in = kind.filter(|k| matches!(k, Kind::Latency | Kind::Errors | Kind::Success));
        scene.symptom = known.service(&felt.service).map(|service| (service, felt_in));
    }
    if let Some(text) = &texts.topology {
        scene.calls = calls(text, &known)?;
    }
    if let Some(text) = &texts.metrics {
        metrics::read(text, &known, &mut scene)?;
    }
    let spans = match &texts.traces {
        Some(text) => records::spans(text, &known, &mut scene)?,
        None => BTreeMap::new(),
    };
    if scene.calls.is_empty() {
        scene.calls = records::calls(&scene);
    }
    if let Some(text) = &texts.logs {
        records::lines(text, &known, &spans, &mut scene)?;
    }
    if let Some(text) = &texts.events {
        records::changes(text, &known, &mut scene)?;
    }
    Ok(scene)
}

fn calls(text: &str, known: &Known) -> Result<Vec<(usize, usize)>, Broken> {
    const FILE: &str = "topology.json";
    let pairs: Vec<(String, String)> = serde_json::from_str(text).map_err(|e| {
        let text = format!("{e}; expected is a list of pairs of caller and callee");
        Broken::new(FILE, (e.line() > 0).then_some(e.line()), text)
    })?;
    let mut found: Vec<(usize, usize)> = pairs
        .iter()
        .filter_map(|(from, to)| Some((known.service(from)?, known.service(to)?)))
        .filter(|(from, to)| from != to)
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
