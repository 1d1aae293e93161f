//! `nightjar check`: tries everything that a configuration names, and says of each whether it
//! works and how to mend it.
//!
//! It changes nothing but for one file of a few bytes that is written to the data folder and
//! removed again; a model is asked for one word.

mod chat;
mod local;
mod remote;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::config::Config;

/// How many lines of details are shown of one check; the rest is in `--json`.
const MOST_DETAILS: usize = 60;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It works.
    Ok,
    /// It is not used.
    Off,
    /// It works, with a doubt.
    Warning,
    /// It does not work.
    Failed,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    /// What was tried.
    pub(super) what: String,
    /// How it went.
    pub(super) state: State,
    /// What was seen.
    pub(super) said: String,
    /// What to do; empty where nothing is to be done.
    pub(super) mend: String,
    /// What was found, line by line.
    pub(super) details: Vec<String>,
}

impl Row {
    fn new(what: impl Into<String>, state: State, said: impl Into<String>) -> Self {
        let (what, said) = (what.into(), said.into());
        Self { what, state, said, mend: String::new(), details: Vec::new() }
    }

    fn ok(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(what, State::Ok, said)
    }

    fn off(what: impl Into<String>, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(what, State::Off, said).mend(mend)
    }

    fn warning(what: impl Into<String>, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(what, State::Warning, said).mend(mend)
    }

    fn failed(what: impl Into<String>, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(what, State::Failed, said).mend(mend)
    }

    fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = mend.into();
        self
    }

    fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }
}

/// Tries everything; no answer from outside is waited for longer than `patience`.
pub(super) async fn all(config: &Config, file: &Path, patience: Duration) -> Vec<Row> {
    let mut rows = vec![local::file(file)];
    rows.extend(local::data_folder(config));
    rows.extend(local::doors(config));
    let (runbooks, library) = local::runbooks(config);
    let (servers, model, hosts, slack, discord) = tokio::join!(
        remote::prometheus(config, patience),
        remote::model(config, patience),
        remote::hosts(config, patience),
        chat::slack(config, patience),
        chat::discord(config, patience),
    );
    rows.extend(servers);
    rows.extend(model);
    rows.extend(runbooks);
    rows.extend(hosts);
    rows.extend(slack);
    rows.extend(discord);
    rows.extend(local::programs(config));
    rows.extend(library.iter().flat_map(|library| local::actions(config, library)));
    rows
}

/// Whether anything failed.
pub(super) fn any_failed(rows: &[Row]) -> bool {
    rows.iter().any(|r| r.state == State::Failed)
}

/// The table for a terminal.
pub(super) fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|r| r.what.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for row in rows {
        let state = match row.state {
            State::Ok => "ok  ",
            State::Off => "off ",
            State::Warning => "warn",
            State::Failed => "FAIL",
        };
        let _ = writeln!(out, "{state}  {:width$}  {}", row.what, row.said);
        for line in row.details.iter().take(MOST_DETAILS) {
            let _ = writeln!(out, "      {:width$}  - {line}", "");
        }
        if row.details.len() > MOST_DETAILS {
            let more = row.details.len() - MOST_DETAILS;
            let _ = writeln!(out, "      {:width$}  - and {more} more; --json has all", "");
        }
        if !row.mend.is_empty() {
            let _ = writeln!(out, "      {:width$}  → {}", "", row.mend);
        }
    }
    let count = |state: State| rows.iter().filter(|r| r.state == state).count();
    let _ = writeln!(
        out,
        "\n{} checked: {} ok, {} off, {} with a warning, {} failed.",
        rows.len(),
        count(State::Ok),
        count(State::Off),
        count(State::Warning),
        count(State::Failed)
    );
    out
}

/// The same for machines.
pub(super) fn json(rows: &[Row]) -> serde_json::Value {
    serde_json::json!({ "ok": !any_failed(rows), "checks": rows })
}
