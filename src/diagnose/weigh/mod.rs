//! Weighs the telemetry around an onset: how much speaks for the fault sitting in each service.
//!
//! Takes a [`Scene`] of series, spans, lines, changes and who calls whom; gives every candidate a
//! score that is a sum of [`Part`]s, each with its sentence, and a confidence. Pure and
//! deterministic; the running bot and `nightjar diagnose --case` call the same [`weigh`].
//!
//! How the score is made. Every part is a figure from 0 to 1 times the weight in `score.rs`:
//!
//! | part | what it measures | source |
//! |---|---|---|
//! | `latency`, `failures` | how far the service's own series departed, less the share that those it calls account for | effect against a pre-fault baseline as in BARO (Pham, Ha, Zhang 2024); conditioning on callees as in CIRCA (Li et al. 2022) |
//! | `share` | the share of the symptom's added seconds or failed requests that begins here | accounting along the calls |
//! | `cpu`, `memory`, `disk`, `network`, `traffic`, `other` | how far other series departed | as above |
//! | `own_time` | the share of the time added to requests that is spent in its own work | self time of spans |
//! | `way` | the share that is spent on the way to it, or from it to several others | client span less server span |
//! | `steps` | requests that no longer take a step or write a line, or do so anew | likelihood ratio of two shares; unseen shapes by Good 1953 |
//! | `callers` | callers stop, or fail, right after they called it | as above |
//! | `logs` | templates that appear, burst or fall silent, where lines belong to no span | likelihood ratio of two rates |
//! | `change` | something was changed on it shortly before | halved with every quarter of an hour |
//! | `reach` | a fault here can reach the symptom along the calls | call graph |
//!
//! A departure is measured against what the series' own past does in as many rows, and only as far
//! as it was not there right before the onset. A step that callees account for is not the
//! caller's; a mix of requests that changed is not the callee's. The weights were set by hand and
//! held against a regularised conditional logit by cross-validation (`benches/README.md`).

mod belief;
mod departures;
mod effect;
pub mod kind;
mod lines;
mod onset;
mod requests;
mod score;
#[cfg(test)]
mod tests;
mod times;
mod words;

pub use kind::Kind;
pub use score::weigh;

/// A series of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Index into [`Scene::services`].
    pub service: usize,
    /// The metric's name, and its statistic or unit where it has one.
    pub name: (String, String),
    /// The unit of its values, empty where it is not known.
    pub unit: String,
    /// What it measures.
    pub kind: Kind,
    /// Whether a service measures here what it calls, not what it does.
    pub outgoing: bool,
    /// Seconds since the alert and value, in order of time.
    pub points: Vec<(f64, f64)>,
}

/// A span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Index of its parent in [`Scene::spans`].
    pub parent: Option<usize>,
    /// Index into [`Scene::services`].
    pub service: usize,
    /// Index into [`Scene::names`].
    pub name: usize,
    /// Start, in seconds since the alert.
    pub at: f64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Whether it failed.
    pub failed: bool,
}

/// A log line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Index into [`Scene::services`].
    pub service: usize,
    /// The span that wrote it, where known.
    pub span: Option<usize>,
    /// Indices into [`Scene::templates`]: what it says, and where in the code it stands.
    pub templates: Vec<usize>,
    /// Seconds since the alert.
    pub at: f64,
    /// Whether it is an error or worse.
    pub is_error: bool,
}

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Index into [`Scene::services`].
    pub service: usize,
    /// Seconds since the alert.
    pub at: f64,
    /// One line.
    pub title: String,
}

/// What is weighed. Times are seconds since the alert, earlier ones negative.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// The candidates.
    pub services: Vec<String>,
    /// Caller and callee.
    pub calls: Vec<(usize, usize)>,
    /// Where the trouble is felt and in what, where that is known.
    pub symptom: Option<(usize, Option<Kind>)>,
    /// Seconds between two points of a series.
    pub step: f64,
    /// Series.
    pub series: Vec<Measured>,
    /// Names of operations.
    pub names: Vec<String>,
    /// Spans.
    pub spans: Vec<Span>,
    /// Templates of log lines.
    pub templates: Vec<String>,
    /// Log lines.
    pub lines: Vec<Line>,
    /// Changes.
    pub changes: Vec<Made>,
}

impl Scene {
    /// Makes `zero`, in seconds since the alert, the origin of all times.
    fn shift(&mut self, zero: f64) {
        for series in &mut self.series {
            series.points.iter_mut().for_each(|p| p.0 -= zero);
        }
        self.spans.iter_mut().for_each(|s| s.at -= zero);
        self.lines.iter_mut().for_each(|l| l.at -= zero);
        self.changes.iter_mut().for_each(|c| c.at -= zero);
    }
}

/// One part of a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// As in the table above.
    pub name: &'static str,
    /// How much it adds, 0 or more.
    pub contribution: f64,
    /// Why, in one sentence with figures.
    pub why: String,
}

/// A candidate with what speaks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// Index into [`Scene::services`].
    pub service: usize,
    /// The sum of its parts.
    pub score: f64,
    /// Chance that the fault sits here, 0 to 1; what is left of 1 is that none of the candidates
    /// is it.
    pub confidence: f64,
    /// What the score is made of, greatest first.
    pub parts: Vec<Part>,
}

/// What the weighing gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// All candidates, most likely first.
    pub ranked: Vec<Weighed>,
    /// When it began, in seconds since the alert (0 or less).
    pub onset: f64,
    /// Whether the first stands out.
    pub conclusive: bool,
}
