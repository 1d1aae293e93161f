//! The configuration: one TOML file, overridden by the environment, checked as a whole.
//!
//! Every mistake is found at once and carries its place in the file. A text setting may be written
//! `{ env = "NAME" }` or `{ file = "path" }`, and a secret `key` also `key_file = "path"`: secrets
//! need not stand in the file. An environment variable `NIGHTJAR__SECTION__KEY` overrides
//! `section.key` (`NIGHTJAR__LIST__0__KEY` in a list); its value is read as TOML where its setting
//! wants a number, truth value, list or table, and else as text. Only this folder reads the
//! environment.
//!
//! The way of a setting: the file and the environment become one tree that knows its places; the
//! tree is held against the schema, secrets are put in, and what is right is read; what the types
//! can't say is judged last.

#[cfg(test)]
mod chat_tests;
mod check;
#[cfg(test)]
mod example_tests;
mod mistake;
mod read;
mod rules;
mod secrets;
#[cfg(test)]
mod tests;
mod tree;
mod variables;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use check::Finding;
pub use mistake::Mistake;

pub use tree::Place;
use tree::{Node, Path};

use crate::store::Retention;
use crate::telemetry::prometheus::PrometheusConfig;
use crate::telemetry::{changes, graph, otlp, remote_write};
use crate::{
    approve, assist, chat, command, correlate, detect, learn, llm, notify, remediate, web,
};

/// Mistakes of values, such as a date that is none, that are told of at once.
const MOST_READS: usize = 100;

/// The whole file: every folder's own settings under its name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the database.
    pub data_dir: PathBuf,
    /// How much is kept.
    pub retention: Retention,
    /// Detection.
    pub detect: detect::Config,
    /// Service level objectives.
    pub slo: Vec<detect::slo::Objective>,
    /// Correlation.
    pub correlate: correlate::Config,
    /// What follows from people's judgements.
    pub learn: learn::Config,
    /// The assistant.
    pub assist: assist::Config,
    /// The language model; without an endpoint answers are made offline.
    pub llm: llm::Config,
    /// Policy of silences.
    pub silences: command::Silences,
    /// Maintenance windows.
    pub maintenance: Vec<correlate::Maintenance>,
    /// What is taken over OTLP.
    pub otlp: otlp::Config,
    /// What is taken over Prometheus' remote-write.
    pub remote_write: remote_write::Config,
    /// The service graph, where no spans tell of it.
    pub graph: graph::Config,
    /// Changes by webhook.
    pub changes: changes::Config,
    /// Where incidents are told.
    pub notify: notify::Config,
    /// When new incidents are told in chats.
    pub pace: notify::Pace,
    /// Chat platforms besides the console.
    pub chat: chat::Config,
    /// Policy of approvals.
    pub approve: approve::Config,
    /// What executors may touch.
    pub remediate: remediate::Config,
    /// Runbooks.
    pub runbooks: Runbooks,
    /// The web server.
    pub web: web::Config,
    /// Prometheus servers to poll.
    pub prometheus: Vec<PrometheusConfig>,
}

/// Where runbooks are, and the values that they name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Runbooks {
    /// Folders of your own runbooks; the shipped ones are always there.
    pub folders: Vec<PathBuf>,
    /// Values that runbooks name as `{{ settings.… }}`.
    pub settings: std::collections::BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("nightjar-data"),
            retention: Retention::default(),
            detect: detect::Config::default(),
            slo: Vec::new(),
            correlate: correlate::Config::default(),
            learn: learn::Config::default(),
            assist: assist::Config::default(),
            llm: llm::Config::default(),
            silences: command::Silences::default(),
            maintenance: Vec::new(),
            otlp: otlp::Config::default(),
            remote_write: remote_write::Config::default(),
            graph: graph::Config::default(),
            changes: changes::Config::default(),
            notify: notify::Config::default(),
            pace: notify::Pace::default(),
            chat: chat::Config::default(),
            approve: approve::Config::default(),
            remediate: remediate::Config::default(),
            runbooks: Runbooks::default(),
            web: web::Config::default(),
            prometheus: Vec::new(),
        }
    }
}

/// A complete example: every setting with what it means and its default.
pub const EXAMPLE: &str = include_str!("../../deploy/nightjar.toml");

/// The JSON Schema of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    let root = schemars::schema_for!(Config).to_value();
    let mut schema = root.clone();
    secrets::extend(&mut schema, &root);
    schema
}

/// The process's environment.
pub fn environment() -> Vec<(String, String)> {
    // Names and values that are not UTF-8 can't be meant for us.
    std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect()
}

/// Names and values of environment variables.
pub type Environment<'a> = &'a [(String, String)];

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// In the order of their places: first those of the file.
    pub mistakes: Vec<Mistake>,
    /// Where the file holds secrets; `None` where it could not be read.
    hidden: Option<Vec<(usize, usize)>>,
}

impl Wrong {
    /// As text for a terminal, with line, column and an excerpt that shows no secret.
    #[must_use]
    pub fn render(&self, file: &str, text: &str) -> String {
        mistake::render(&self.mistakes, file, text, self.hidden.as_deref())
    }
}

/// Reads a configuration from its text and the environment.
///
/// # Errors
/// Every mistake that was found.
pub fn load(text: &str, environment: Environment<'_>) -> Result<Config, Wrong> {
    let schema = schema();
    let (parsed, errors) = DeTable::parse_recoverable(text);
    let mut found: Vec<Mistake> = errors
        .into_iter()
        .map(|e| Mistake {
            place: e.span().map_or(Place::Nowhere, Place::from),
            path: String::new(),
            text: e.message().to_owned(),
        })
        .collect();
    if !found.is_empty() {
        found.extend(certain(text, parsed.get_ref(), &schema, &found));
        found.sort_by(|a, b| (&a.place, &a.path).cmp(&(&b.place, &b.path)));
        return Err(Wrong { mistakes: found, hidden: None });
    }
    let mut tree = Node::of_table(parsed.get_ref(), Place::Nowhere, &mut found);
    let mut overrides: Vec<&(String, String)> =
        environment.iter().filter(|(name, _)| name.starts_with(variables::PREFIX)).collect();
    overrides.sort();
    for (name, value) in overrides {
        if let Err(text) = variables::set(&mut tree, &schema, name, value) {
            found.push(Mistake { place: Place::Variable(name.clone()), path: String::new(), text });
        }
    }
    let (config, hidden) = settle(&mut tree, &schema, environment, &mut found);
    match config {
        Some(config) if found.is_empty() => Ok(config),
        _ => {
            found.sort_by(|a, b| (&a.place, &a.path).cmp(&(&b.place, &b.path)));
            found.dedup();
            Err(Wrong { mistakes: found, hidden: Some(hidden) })
        }
    }
}

/// Where in the file, from byte to byte, secrets are written out instead of named.
#[must_use]
pub fn written_secrets(text: &str) -> Vec<(usize, usize)> {
    let schema = schema();
    let Ok(parsed) = DeTable::parse(text) else { return Vec::new() };
    let mut tree = Node::of_table(parsed.get_ref(), Place::Nowhere, &mut Vec::new());
    let mut secrets =
        secrets::Secrets { root: &schema, environment: &[], found: Vec::new(), hidden: Vec::new() };
    secrets.node(&mut tree, &schema, &Path::default());
    secrets.hidden
}

/// What else is certainly wrong in a file with mistakes of syntax. A broken line may hide what it
/// sets, and a broken heading may give its keys to another table: nothing is said then, so that
/// nobody mends what is right.
fn certain(
    text: &str,
    parsed: &DeTable<'_>,
    schema: &serde_json::Value,
    broken: &[Mistake],
) -> Vec<Mistake> {
    let line_of = |place: &Place| match place {
        Place::File(from, _) => text.as_bytes().iter().take(*from).filter(|b| **b == b'\n').count(),
        _ => 0,
    };
    let lines: Vec<usize> = broken.iter().map(|m| line_of(&m.place)).collect();
    let heading = |n: &usize| text.lines().nth(*n).is_none_or(|l| l.trim_start().starts_with('['));
    if lines.iter().any(heading) {
        return Vec::new();
    }
    let tree = Node::of_table(parsed, Place::Nowhere, &mut Vec::new());
    let mut check = check::Check::new(schema);
    check.node(&tree, schema, &Path::default());
    let mut found: Vec<Mistake> = check.found.into_iter().map(|f| f.mistake).collect();
    found.retain(|m| !lines.contains(&line_of(&m.place)) && !m.text.ends_with("is missing"));
    found
}

type Hidden = Vec<(usize, usize)>;

/// Checks, resolves and reads the tree. What is wrong is told and taken out, so that the rest is
/// still read and judged.
fn settle(
    tree: &mut Node,
    schema: &serde_json::Value,
    environment: Environment<'_>,
    found: &mut Vec<Mistake>,
) -> (Option<Config>, Hidden) {
    let mut check = check::Check::new(schema);
    check.node(tree, schema, &Path::default());
    let mut secrets =
        secrets::Secrets { root: schema, environment, found: check.found, hidden: Vec::new() };
    secrets.node(tree, schema, &Path::default());
    let (findings, hidden) = (secrets.found, secrets.hidden);
    let mut taken = Vec::new();
    for Finding { mistake, way } in findings {
        found.push(mistake);
        tree.remove(&way.0);
        taken.push(way);
    }
    let sound = found.is_empty();
    for _ in 0..MOST_READS {
        let mut unread = match Config::deserialize(&*tree) {
            Ok(mut config) => {
                standing(&mut config, environment);
                rules::judge(&config, |path, text| {
                    let way = tree.as_written(&Path::of(path));
                    // What lacks a part that was taken out may only be wrong for that.
                    if !taken.iter().any(|t| t.0.starts_with(&way.0)) {
                        let place = tree.place_of(&way);
                        found.push(Mistake { place, path: way.to_string(), text });
                    }
                });
                return (Some(config), hidden);
            }
            Err(unread) => unread,
        };
        unread.way.reverse();
        let way = Path(unread.way);
        // A part may be missing because it was wrong and told of already.
        if sound || !unread.message.starts_with("missing field") {
            let place = tree.place_of(&way);
            let text = one_line(unread.message.trim_start_matches("invalid value: "));
            found.push(Mistake { place, path: way.to_string(), text });
        }
        if !tree.remove(&way.0) {
            break;
        }
        taken.push(way);
    }
    (None, hidden)
}

/// A message of several lines, as regular expressions have them, without the drawing in its midst.
fn one_line(text: &str) -> String {
    match (text.lines().next(), text.lines().last()) {
        (Some(first), Some(last)) if first != last => {
            let first = first.trim_end_matches(':').trim_end_matches("regex parse error");
            format!("{first}{}", last.trim_start_matches("error: "))
        }
        _ => text.to_owned(),
    }
}

/// What the environment gives under names that everybody knows.
fn standing(config: &mut Config, environment: Environment<'_>) {
    if config.llm.api_key.is_none() {
        let key = environment.iter().find(|(name, _)| name == "OPENAI_API_KEY");
        config.llm.api_key = key.filter(|(_, v)| !v.is_empty()).map(|(_, v)| v.as_str().into());
    }
}
