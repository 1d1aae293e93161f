//! The configuration: one TOML file, overridden by the environment, checked as a whole.
//!
//! Every mistake is found at once and carries its place in the file. A text setting may be written
//! `{ env = "NAME" }` or `{ file = "path" }`: secrets need not stand in the file. An environment
//! variable `NIGHTJAR__SECTION__KEY` overrides `section.key`; its value is read as TOML (number,
//! truth value, list) and else as text. Only this folder reads the environment.

mod check;
mod mistake;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use mistake::{Mistake, render};

use crate::store::Retention;
use crate::telemetry::prometheus::PrometheusConfig;
use crate::telemetry::{changes, graph, otlp};
use crate::{approve, assist, correlate, detect, notify, remediate, web};

/// What every override starts with.
const PREFIX: &str = "NIGHTJAR__";

/// The whole file: every folder's own settings under its name.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the database.
    pub data_dir: PathBuf,
    /// How much is kept.
    pub retention: Retention,
    /// Detection.
    pub detect: detect::Config,
    /// Correlation.
    pub correlate: correlate::Config,
    /// The assistant.
    pub assist: assist::Config,
    /// What is taken over OTLP.
    pub otlp: otlp::Config,
    /// The service graph, where no spans tell of it.
    pub graph: graph::Config,
    /// Changes by webhook.
    pub changes: changes::Config,
    /// Where incidents are told.
    pub notify: notify::Config,
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
            correlate: correlate::Config::default(),
            assist: assist::Config::default(),
            otlp: otlp::Config::default(),
            graph: graph::Config::default(),
            changes: changes::Config::default(),
            notify: notify::Config::default(),
            approve: approve::Config::default(),
            remediate: remediate::Config::default(),
            runbooks: Runbooks::default(),
            web: web::Config::default(),
            prometheus: Vec::new(),
        }
    }
}

/// The JSON Schema of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

/// The process's environment.
pub fn environment() -> Vec<(String, String)> {
    // Names and values that are not UTF-8 can't be meant for us.
    std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect()
}

/// Reads a configuration from its text and the environment.
///
/// # Errors
/// Every mistake that was found, in order of its place.
pub fn load(text: &str, environment: &[(String, String)]) -> Result<Config, Vec<Mistake>> {
    let mut found = Vec::new();
    let (parsed, errors) = toml::de::DeTable::parse_recoverable(text);
    found.extend(
        errors.into_iter().map(|e| Mistake { span: e.span(), message: e.message().to_owned() }),
    );
    if !found.is_empty() {
        return Err(found);
    }
    let schema = schema();
    check::table(parsed.get_ref(), &schema, &schema, "", &mut found);
    let mut table: Table = toml::from_str(text)
        .map_err(|e| vec![Mistake { span: e.span(), message: e.message().to_owned() }])?;
    for (name, value) in environment {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        if let Err(message) = set(&mut table, &path.to_lowercase(), value) {
            found.push(Mistake { span: None, message: format!("{name}: {message}") });
        }
    }
    for (key, value) in &mut table {
        resolve(value, key, environment, &mut found);
    }
    if found.is_empty() {
        match Config::deserialize(Value::Table(table)) {
            Ok(config) => {
                semantic(&config, &mut found);
                if found.is_empty() {
                    return Ok(config);
                }
            }
            Err(e) => {
                // The file itself knows the place, unless an override is what is wrong.
                let placed = toml::from_str::<Config>(text).err().and_then(|e| e.span());
                found.push(Mistake { span: placed, message: e.message().to_owned() });
            }
        }
    }
    found.sort_by_key(|m| m.span.as_ref().map(|s| s.start));
    Err(found)
}

fn set(table: &mut Table, path: &str, value: &str) -> Result<(), String> {
    let (first, rest) = path.split_once("__").map_or((path, None), |(a, b)| (a, Some(b)));
    if first.is_empty() {
        return Err("the name has an empty part".to_owned());
    }
    if let Some(rest) = rest {
        let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
        let inner = inner.as_table_mut().ok_or_else(|| format!("`{first}` is not a section"))?;
        return set(inner, rest, value);
    }
    let read =
        toml::from_str::<Table>(&format!("v = {value}")).ok().and_then(|mut t| t.remove("v"));
    table.insert(first.to_owned(), read.unwrap_or_else(|| Value::String(value.to_owned())));
    Ok(())
}

/// Replaces `{ env = … }` and `{ file = … }` by what they name.
fn resolve(value: &mut Value, path: &str, env: &[(String, String)], found: &mut Vec<Mistake>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|v| resolve(v, path, env, found)),
        Value::Table(table) if table.len() == 1 => {
            let (kind, name) = match (table.get("env"), table.get("file")) {
                (Some(Value::String(name)), _) => ("environment variable", name.clone()),
                (_, Some(Value::String(name))) => ("file", name.clone()),
                _ => return inner(table, path, env, found),
            };
            let text = match kind {
                "file" => std::fs::read_to_string(&name).map_err(|e| e.to_string()),
                _ => env
                    .iter()
                    .find(|(k, _)| *k == name)
                    .map(|(_, v)| v.clone())
                    .ok_or_else(|| "it is not set".to_owned()),
            };
            match text {
                Ok(text) => *value = Value::String(text.trim_end().to_owned()),
                Err(why) => found.push(Mistake {
                    span: None,
                    message: format!("`{path}` names the {kind} {name}: {why}"),
                }),
            }
        }
        Value::Table(table) => inner(table, path, env, found),
        _ => {}
    }
}

fn inner(table: &mut Table, path: &str, env: &[(String, String)], found: &mut Vec<Mistake>) {
    for (key, value) in table {
        resolve(value, &format!("{path}.{key}"), env, found);
    }
}

/// What the types can't say.
fn semantic(config: &Config, found: &mut Vec<Mistake>) {
    let mut say = |message: String| found.push(Mistake { span: None, message });
    for (i, source) in config.prometheus.iter().enumerate() {
        if config.prometheus[..i].iter().any(|other| other.name == source.name) {
            say(format!("prometheus[{i}].name: `{}` is used twice", source.name));
        }
        match url::Url::parse(&source.url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {}
            _ => say(format!("prometheus[{i}].url: expected an http or https address")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_come_at_once_with_place_and_suggestion() {
        let text = "[detect]\ntreshold = 4.0\nhold_s = \"long\"\n[corelate]\n";
        let found = load(text, &[]).err().expect("wrong");
        let shown = render(&found, "nightjar.toml", text);
        assert!(
            shown.contains(
                "nightjar.toml:2:1: `detect.treshold` is not a setting; did you mean `threshold`?"
            ),
            "{shown}"
        );
        assert!(
            shown.contains("nightjar.toml:3:10: `detect.hold_s` is string, expected integer"),
            "{shown}"
        );
        assert!(shown.contains("did you mean `correlate`?"), "{shown}");
    }

    #[test]
    fn the_environment_overrides_and_gives_secrets() {
        let text = "[[prometheus]]\nname = \"main\"\nurl = \"http://localhost:9090\"\nbearer_token = { env = \"FAKE_TOKEN\" }\n";
        let env = [("NIGHTJAR__DETECT__HOLD_S", "7"), ("FAKE_TOKEN", "not-a-real-token")];
        let env = env.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let Ok(config) = load(text, &env) else { panic!("loads") };
        assert_eq!(config.detect.hold_s, 7);
        assert_eq!(config.prometheus[0].bearer_token, Some("not-a-real-token".into()));
        assert!(load(text, &[]).is_err_and(|m| m[0].message.contains("FAKE_TOKEN")));
    }
}
