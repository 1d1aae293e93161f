//! The fields of a delivery, read one after another; what is wrong with any is kept.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::VARIABLES;
use crate::model::Time;

/// Epoch times below this are seconds, above it milliseconds: as milliseconds it is March 1973.
const LEAST_MS: i64 = 100_000_000_000;

/// Latest time that is one: the year 3000.
const MOST_MS: i64 = 32_503_680_000_000;

/// The fields, and what is wrong with them.
pub(super) struct Fields {
    given: Map<String, Value>,
    wrong: BTreeMap<String, String>,
}

impl Fields {
    pub(super) fn of(given: Map<String, Value>) -> Self {
        Self { given, wrong: BTreeMap::new() }
    }

    pub(super) fn wrong(&mut self, name: &str, why: String) {
        self.wrong.entry(name.to_owned()).or_insert(why);
    }

    pub(super) fn all_wrong(self) -> BTreeMap<String, String> {
        self.wrong
    }

    /// A text or number as text; `None` where Datadog had nothing to fill in.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let text = match self.given.get(name) {
            None | Some(Value::Null) => return None,
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(n)) => n.to_string(),
            Some(_) => {
                self.wrong(name, format!("expected a text: put {} there", wanted(name)));
                return None;
            }
        };
        (!text.is_empty() && text != "null" && !is_unfilled(&text)).then_some(text)
    }

    /// A text that must be there; empty where it is not, and that is wrong.
    pub(super) fn needed(&mut self, name: &str) -> String {
        if let Some(text) = self.text(name) {
            return text;
        }
        let why = match self.given.get(name) {
            None => format!("missing: add {} to the payload", as_line(name)),
            Some(Value::String(text)) if is_unfilled(text.trim()) => format!(
                "`{}` was not filled in: the variable is {}, and only monitors fill it",
                text.trim(),
                variable(name)
            ),
            Some(_) => format!(
                "empty: put {} there; if it is, what sent this is no monitor, and only monitors are \
                 taken",
                wanted(name)
            ),
        };
        self.wrong(name, why);
        String::new()
    }

    /// A list of texts, as a list or with commas between them.
    pub(super) fn texts(&mut self, name: &str) -> String {
        let Some(Value::Array(all)) = self.given.get(name) else {
            return self.text(name).unwrap_or_default();
        };
        let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
        if let Some(texts) = texts {
            return texts.join(",");
        }
        self.wrong(name, format!("expected texts: put {} there", wanted(name)));
        String::new()
    }

    /// A time that must be there.
    pub(super) fn time(&mut self, name: &str) -> Option<Time> {
        let text = self.needed(name);
        let at = time_of(&text);
        if at.is_none() && !text.is_empty() {
            let shown: String = text.chars().take(40).collect();
            let why = format!(
                "`{shown}` is no time: put {} there, which Datadog fills with milliseconds since 1970",
                wanted(name)
            );
            self.wrong(name, why);
        }
        at
    }

    /// A time that may be there. One that can't be read is passed over: an alert is worth more.
    pub(super) fn maybe_time(&mut self, name: &str) -> Option<Time> {
        time_of(&self.text(name)?)
    }
}

/// Epoch milliseconds or seconds, or a time as RFC 3339 writes it.
fn time_of(text: &str) -> Option<Time> {
    let Ok(n) = text.parse::<i64>() else { return Time::parse(text).ok() };
    let ms = if n < LEAST_MS { n.saturating_mul(1_000) } else { n };
    (n > 0 && ms <= MOST_MS).then(|| Time::from_ms(ms))
}

fn variable(name: &str) -> &'static str {
    VARIABLES.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| v)
}

fn wanted(name: &str) -> String {
    format!("\"{}\"", variable(name))
}

fn as_line(name: &str) -> String {
    format!("\"{name}\": {}", wanted(name))
}

/// Whether a value is the name of a variable: Datadog leaves what it does not know as it stands.
fn is_unfilled(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    text.strip_prefix('$').is_some_and(|t| !t.is_empty() && t.chars().all(is_name))
}
