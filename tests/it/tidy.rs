//! The house rules as tests: layering, confinement of foreign crates, file heads and lengths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a file may have.
const MOST_LINES: usize = 500;

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), ending, &mut found);
    found.sort();
    assert!(!found.is_empty(), "{folder} has no {ending} files: the rule checks nothing");
    found
}

fn short(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// The module of a source file: the first folder below `src`, or the file's own name.
fn module(path: &Path) -> String {
    let text = short(path);
    let rest = text.strip_prefix("src/").unwrap_or(&text);
    rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs").to_owned()
}

/// The file without its comments, so that words in prose break no rule.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file is UTF-8");
    let lines = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn report(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_short() {
    let mut broken = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in files(folder, ".rs") {
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            if !text.starts_with("//! ") {
                broken.push(format!("{} does not open with //!", short(&path)));
            }
            let n = text.lines().count();
            if n > MOST_LINES {
                broken.push(format!("{} has {n} lines", short(&path)));
            }
        }
    }
    report(&broken, "files open with //! and have at most 500 lines");
}

#[test]
fn foreign_crates_stay_in_their_folder() {
    let homes: [(&str, &[&str]); 12] = [
        ("rusqlite", &["store"]),
        ("axum", &["web", "demo"]),
        ("async_openai", &["llm"]),
        // `chat`: Slack tells the granted scopes in a header that its library does not show.
        ("reqwest", &["telemetry", "remediate", "llm", "demo", "cli", "app", "chat"]),
        ("opentelemetry_proto", &["telemetry", "demo"]),
        ("snap", &["telemetry"]),
        ("promql_parser", &["demo", "telemetry"]),
        ("resvg", &["chart"]),
        ("serenity", &["chat"]),
        ("serenity_transport", &["chat"]),
        ("slack_morphism", &["chat"]),
        ("tokio_tungstenite", &["chat"]),
    ];
    let mut broken = Vec::new();
    for path in files("src", ".rs") {
        let code = code(&path);
        let is_test = path.ends_with("tests.rs") || short(&path).contains("/tests/");
        for (name, allowed) in &homes {
            let used = code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
            // A test of a server is a client.
            let is_client = is_test && matches!(*name, "reqwest" | "snap");
            if used && !is_client && !allowed.contains(&module(&path).as_str()) {
                broken.push(format!("{} uses {name}", short(&path)));
            }
        }
    }
    report(&broken, "a foreign crate stays in the folder that adapts it");
}

#[test]
fn modules_use_only_what_lies_below_them() {
    const BASE: &[&str] = &["model", "stats", "templates", "stage", "bus", "store"];
    let rules: BTreeMap<&str, Vec<&str>> = [
        ("model", vec![]),
        ("stats", vec!["model"]),
        ("templates", vec!["model"]),
        ("bus", vec!["model", "templates"]),
        ("store", vec!["model", "templates"]),
        ("chat", vec!["model", "templates", "store", "bus"]),
        ("chart", vec!["model", "templates"]),
        ("llm", vec!["model", "store"]),
        ("runbook", vec!["model", "store"]),
        ("stage", vec!["model", "bus", "store"]),
        ("telemetry", [BASE, &["detect"]].concat()),
        ("detect", [BASE, &["telemetry"]].concat()),
        ("correlate", [BASE, &["telemetry", "learn"]].concat()),
        // Expected bands come from the detectors' shared, read-only state.
        ("diagnose", [BASE, &["telemetry", "llm", "runbook", "chart", "learn", "detect"]].concat()),
        ("assist", [BASE, &["telemetry", "llm", "runbook", "chart"]].concat()),
        ("notify", [BASE, &["chat", "chart"]].concat()),
        ("learn", [BASE, &["detect", "correlate", "diagnose", "backtest"]].concat()),
        // History is judged by the same code as live, and read by the same readers.
        ("backtest", [BASE, &["telemetry", "detect", "correlate", "diagnose", "chart"]].concat()),
        // Expected levels and declarations come from detection.
        ("impact", [BASE, &["detect"]].concat()),
        ("approve", [BASE, &["runbook", "learn"]].concat()),
        // The state machine of incidents is pure and has one home: `correlate::machine`.
        ("remediate", [BASE, &["approve", "correlate", "telemetry"]].concat()),
        (
            "command",
            vec!["model", "stage", "bus", "store", "chat", "approve", "assist", "correlate"],
        ),
        ("demo", vec!["model", "stats"]),
    ]
    .into();
    let mut broken = Vec::new();
    for path in files("src", ".rs") {
        let own = module(&path);
        let Some(allowed) = rules.get(own.as_str()) else { continue };
        // Tests may build their world from anything.
        if short(&path).ends_with("tests.rs") || short(&path).contains("/tests/") {
            continue;
        }
        let code = code(&path);
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        let used: BTreeSet<&str> = code
            .split("crate::")
            .skip(1)
            .flat_map(|rest| match rest.strip_prefix('{') {
                Some(list) => list.split([',', '}']).map(str::trim).collect::<Vec<_>>(),
                None => vec![rest],
            })
            .filter_map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next())
            .filter(|name| rules.contains_key(name) || matches!(*name, "web" | "app" | "cli"))
            .collect();
        for name in used {
            if name != own && !allowed.contains(&name) {
                broken.push(format!("{} uses crate::{name}", short(&path)));
            }
        }
    }
    report(&broken, "layering (src/lib.rs, \"Who may use whom\")");
}

#[test]
fn nothing_is_left_open() {
    let marks =
        ["todo!", "unimplemented!", "FIX\u{4d}E", "XX\u{58}", "#[ign\u{6f}re", "#[all\u{6f}w("];
    let mut broken = Vec::new();
    for folder in ["src", "tests"] {
        for path in files(folder, ".rs") {
            if short(&path) == "tests/it/tidy.rs" {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            for mark in marks {
                if text.contains(mark) {
                    broken.push(format!("{} has {mark}", short(&path)));
                }
            }
        }
    }
    report(&broken, "no mark of unfinished work");
}

#[test]
fn only_one_leaf_makes_an_approved_action() {
    let mut makers = Vec::new();
    for path in files("src", ".rs") {
        let code = code(&path);
        if code.split("ApprovedAction {").skip(1).any(|rest| !rest.trim_start().starts_with('}')) {
            makers.push(short(&path));
        }
    }
    makers.retain(|m| !m.ends_with("tests.rs"));
    assert_eq!(makers, ["src/approve/claim.rs"], "the gate is made in one file");
}

/// Invariant 5: whatever a model or a log line says, there is no way from it to a write.
#[test]
fn the_assistant_writes_only_what_it_answered_and_what_that_cost() {
    let mut writers = Vec::new();
    for folder in ["src/assist", "src/llm"] {
        for path in files(folder, ".rs") {
            let code = code(&path);
            let own = code.split("#[cfg(test)]").next().unwrap_or_default();
            if !short(&path).ends_with("tests.rs") && own.contains(".write(") {
                writers.push(short(&path));
            }
        }
    }
    assert_eq!(writers, ["src/assist/ledger.rs", "src/llm/budget.rs"]);
}
