//! `tests/FEATURES.md` names a test in every cell, and every test that it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The tests below a folder, as cargo names them: modules from the path, and those within a file.
fn tests_in(folder: &Path, modules: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let inner = match name.as_str() {
            "mod" | "lib" | "main" => modules.to_owned(),
            _ if modules.is_empty() => name,
            _ => format!("{modules}::{name}"),
        };
        if path.is_dir() {
            tests_in(&path, &inner, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            tests_of(&text, &inner, found);
        }
    }
}

fn tests_of(text: &str, modules: &str, found: &mut BTreeSet<String>) {
    let (mut modules, mut is_test) = (modules.to_owned(), false);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("mod ").and_then(|m| m.strip_suffix(" {")) {
            modules = format!("{modules}::{name}");
        }
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let declared = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let (true, Some(rest)) = (is_test, declared) {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            found.insert(format!("{modules}::{name}"));
            is_test = false;
        }
    }
}

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("tests/FEATURES.md")).expect("the table is there")
}

/// The names of tests in a text: what stands in backticks and has modules.
fn names(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|n| n.contains("::")).collect()
}

#[test]
fn every_test_that_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    tests_in(&root.join("tests/it"), "", &mut known);
    tests_in(&root.join("src"), "", &mut known);
    assert!(known.contains("features::every_test_that_the_table_names_exists"), "{known:?}");
    let page = page();
    let named = names(&page);
    assert!(named.len() > 100, "{}", named.len());
    let gone: Vec<&&str> = named.iter().filter(|n| !known.contains(**n)).collect();
    assert!(gone.is_empty(), "the table names tests that are not there: {gone:#?}");
}

#[test]
fn every_cell_of_the_table_names_a_test() {
    let page = page();
    let rows = page.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| feature"));
    let (mut n, mut bare) = (0, Vec::new());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 4, "feature, Slack, Discord, console: {row}");
        n += 1;
        for (cell, of) in cells[1..].iter().zip(["Slack", "Discord", "console"]) {
            if names(cell).is_empty() {
                bare.push(format!("{of}: {}", cells[0].trim()));
            }
        }
    }
    assert!(n > 40 && bare.is_empty(), "{n} rows; without a test: {bare:#?}");
}
