//! What the command line says, made of the API's JSON.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::figure::figure;
use crate::model::time::duration_text;
use crate::model::{Diagnosis, Incident, Proposal, Run, Silence, Time, TimelineEntry};

/// Newest entries of a timeline that are shown.
const MOST_ENTRIES: usize = 20;

/// A part of an answer as its type; `None` where another version says it otherwise.
fn read<T: DeserializeOwned>(value: &Value, key: &str) -> Option<T> {
    T::deserialize(value.get(key)?).ok()
}

/// The word that the API has for something.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// `nightjar status`.
pub(super) fn status(value: &Value) -> String {
    let mut out = String::new();
    if let Some(version) = value["version"].as_str() {
        let _ = writeln!(out, "nightjar {version} is running.");
    } else {
        out.push_str("nightjar is not running.\n");
    }
    if let Some(now) = read::<Time>(value, "now") {
        let _ = writeln!(out, "Event time: {}", now.minute_text());
    }
    if let Some(speed) = value["speed"].as_f64().filter(|s| (s - 1.0).abs() > f64::EPSILON) {
        let _ = writeln!(out, "Speed: {speed} times real time");
    }
    let _ = writeln!(out, "Active incidents: {}", value["n_active"]);
    if let Some(n) = value["n_tunings"].as_u64().filter(|n| *n > 0) {
        let _ =
            writeln!(out, "Proposed changes of detection: {n}; decide on the page of detectors");
    }
    if let Some(n) = value["n_harmless"].as_u64().filter(|n| *n > 0) {
        let _ = writeln!(out, "Patterns learned to be harmless: {n}; decide on the page Held back");
    }
    match value["halt"]["reason"].as_str() {
        Some(reason) => {
            let _ = writeln!(out, "Actions: HALTED ({reason})");
        }
        None if value["version"].is_string() => out.push_str("Actions: not halted\n"),
        None => {}
    }
    if let Some(n) = value["n_series"].as_u64() {
        let _ = writeln!(out, "Watched series: {n}");
    }
    if let (Some(told), Some(asked)) =
        (value["budget"]["told"].as_u64(), value["budget"]["asked"].as_f64())
    {
        let held = value["budget"]["held"].as_u64().unwrap_or_default();
        let _ = if asked > 0.0 {
            writeln!(out, "Anomalies told in 24 h: {told} of about {asked} ({held} held back)")
        } else {
            writeln!(out, "Anomalies told in 24 h: {told}, without a budget")
        };
    }
    if let Some(n) = value["backlog"].as_u64() {
        let _ = writeln!(out, "Batches to judge: {n}");
    }
    if let Some(bytes) = value["store_bytes"].as_f64() {
        let _ = writeln!(out, "Store: {}", figure(bytes, "By"));
    }
    for source in value["sources"].as_array().into_iter().flatten() {
        let name = source["source"].as_str().unwrap_or("?");
        let ratio = source["done_ratio"].as_f64().unwrap_or(1.0) * 100.0;
        let doing = if source["backfill"] == true {
            format!("reads history, {ratio:.0} % done")
        } else {
            "is read as it comes".to_owned()
        };
        let at = read::<Time>(source, "at").map(|t| format!(", up to {}", t.minute_text()));
        let n = &source["n_series"];
        let _ = writeln!(out, "Source {name}: {doing}, {n} series{}", at.unwrap_or_default());
    }
    out
}

/// `nightjar incidents`.
pub(super) fn incidents(value: &Value, all: bool, now: Time) -> String {
    let Some(list) = read::<Vec<Incident>>(value, "incidents") else {
        return format!("{value:#}\n");
    };
    if list.is_empty() {
        return if all { "No incidents yet.\n" } else { "No active incidents.\n" }.to_owned();
    }
    let rows = list.iter().map(|i| {
        let end = i.resolved_at.unwrap_or(now);
        [
            format!("#{}", i.number),
            i.state.as_str().to_owned(),
            word(&i.severity),
            duration_text(end.ms_since(i.onset_at)),
            i.owner.as_ref().map_or("-", |o| o.name.as_str()).to_owned(),
            i.title.clone(),
        ]
    });
    let head = ["", "state", "severity", "for", "owner", "what"].map(str::to_owned);
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// Rows of equal length, their columns aligned.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |n: usize| rows.iter().map(|r| r[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, w)| format!("{cell:w$}", w = *w)).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

/// `nightjar incidents <one>`.
pub(super) fn incident(value: &Value) -> String {
    let Some(i) = read::<Incident>(value, "incident") else { return format!("{value:#}\n") };
    let mut out = format!(
        "#{} {}\n{}, {}, since {}, {} alerts, {}\n",
        i.number,
        i.title,
        i.state.as_str(),
        word(&i.severity),
        i.onset_at.minute_text(),
        value["n_alerts"],
        i.owner.as_ref().map_or("nobody has it".to_owned(), |o| format!("{} has it", o.name)),
    );
    if let Some(diagnosis) = read::<Diagnosis>(value, "diagnosis") {
        cause(&mut out, &diagnosis);
    }
    let proposals = read::<Vec<Proposal>>(value, "proposals").unwrap_or_default();
    if !proposals.is_empty() {
        out.push_str("\nSuggested (decide in the console):\n");
    }
    for p in proposals {
        let _ = writeln!(out, "- {} ({} risk, {})", p.title, word(&p.risk), p.state.as_str());
    }
    let runs = read::<Vec<Run>>(value, "runs").unwrap_or_default();
    if !runs.is_empty() {
        out.push_str("\nDone:\n");
    }
    for run in runs {
        let said = run.outcome.as_ref().map(|o| format!(": {}", o.text)).unwrap_or_default();
        let dry = if run.dry_run { ", a dry run" } else { "" };
        let at = run.started_at.minute_text();
        let _ = writeln!(out, "- {at} {} on {}{dry}{said}", run.action, run.target.name());
    }
    let timeline = read::<Vec<TimelineEntry>>(value, "timeline").unwrap_or_default();
    let n = timeline.len();
    if n > 0 {
        out.push_str("\nTimeline:\n");
    }
    if n > MOST_ENTRIES {
        let _ = writeln!(out, "  … {} earlier entries; --json has all", n - MOST_ENTRIES);
    }
    for entry in timeline.iter().skip(n.saturating_sub(MOST_ENTRIES)) {
        let text = entry.text.replace('\n', "\n    ");
        let _ = writeln!(out, "  {} {text}", entry.at.minute_text());
    }
    out
}

fn cause(out: &mut String, diagnosis: &Diagnosis) {
    let _ = writeln!(out, "\n{}", diagnosis.summary);
    if let Some(first) = diagnosis.hypotheses.first() {
        let word = if diagnosis.conclusive { "Likely cause" } else { "Perhaps" };
        let sure = first.confidence * 100.0;
        let _ = writeln!(out, "{word} ({sure:.0} %): {}", first.statement);
        let chain: Vec<&str> = first.impact_chain.iter().map(|e| e.name()).collect();
        if chain.len() > 1 {
            let _ = writeln!(out, "It spreads: {}", chain.join(" → "));
        }
    }
    for change in &diagnosis.changes {
        let (at, name) = (change.at.minute_text(), change.entity.name());
        let _ = if change.kind.is_ours() {
            writeln!(out, "Changed {at}: {} on {name}", change.title)
        } else {
            writeln!(out, "Reported {at}: {}", change.line())
        };
    }
    for gap in &diagnosis.gaps {
        let _ = writeln!(out, "Not known: {} ({}).", gap.what, gap.why);
    }
}

/// `nightjar why`.
pub(super) fn why(value: &Value) -> String {
    let mut out = format!("{}\n", value["title"].as_str().unwrap_or_default());
    for line in value["lines"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(out, "- {line}");
    }
    let n = value["records"].as_array().map_or(0, Vec::len);
    if n > 0 {
        let records =
            if n == 1 { "1 audit record stands" } else { &format!("{n} audit records stand") };
        let _ = writeln!(out, "{records} behind it; --json shows more.");
    }
    out
}

/// `nightjar ask`.
pub(super) fn answer(value: &Value) -> String {
    let mut out = format!("{}\n", value["text"].as_str().unwrap_or_default());
    let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    let citations = list("citations");
    if !citations.is_empty() {
        out.push('\n');
    }
    let text = value["text"].as_str().unwrap_or_default();
    for citation in citations {
        let evidence = &citation["evidence"];
        let word = |key: &str| evidence[key].as_str().unwrap_or_default();
        // What the answer says already is not said again: what stands here is how to look it up.
        let said = text.contains(word("summary"));
        let summary = if said { String::new() } else { format!("{} - ", word("summary")) };
        let (n, source, query) = (&citation["n"], word("source"), word("query"));
        let _ = writeln!(out, "[{n}] {summary}{source}: {query}{}", looked_at(evidence));
    }
    for gap in list("gaps") {
        let (what, why) = (gap["what"].as_str(), gap["why"].as_str());
        let _ =
            writeln!(out, "Not known: {} ({}).", what.unwrap_or("?"), why.unwrap_or("not said"));
    }
    for note in list("notes") {
        let _ = writeln!(out, "{}", note.as_str().unwrap_or_default());
    }
    out
}

/// The range that a piece of evidence looks at, where it is one; the query of a record has none.
fn looked_at(evidence: &Value) -> String {
    let time = |key: &str| evidence[key].as_str().and_then(|t| Time::parse(t).ok());
    match (time("since"), time("until")) {
        (Some(a), Some(b)) if a > Time::from_ms(0) && a < b => {
            format!(" ({} to {})", a.minute_text(), b.minute_text())
        }
        _ => String::new(),
    }
}

/// One silence on a line.
pub(super) fn silence(value: &Value) -> String {
    let Ok(s) = serde_json::from_value::<Silence>(value.clone()) else {
        return format!("{value:#}\n");
    };
    let matchers: Vec<String> = s.matchers.iter().map(ToString::to_string).collect();
    format!(
        "{} {} {{{}}} from {} until {} by {}: {}\n",
        s.id,
        if s.maintenance { "maintenance" } else { "silence" },
        matchers.join(", "),
        s.starts_at.minute_text(),
        s.ends_at.minute_text(),
        s.author.name,
        s.reason
    )
}

/// `nightjar silence list`.
pub(super) fn silences(value: &Value) -> String {
    let list = value["silences"].as_array().cloned().unwrap_or_default();
    if list.is_empty() {
        return "No silences.\n".to_owned();
    }
    list.iter().map(silence).collect()
}

/// `nightjar audit verify`.
pub(super) fn verified(value: &Value) -> String {
    if value["whole"] == true {
        let hash = value["hash"].as_str().unwrap_or_default();
        format!("The chain is whole: {} records, last hash {hash}.\n", value["n"])
    } else {
        format!("The chain is broken: {}\n", value["reason"].as_str().unwrap_or("no reason given"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_says_how_to_look_it_up_and_repeats_nothing() {
        let evidence = |summary: &str, since: &str| {
            serde_json::json!({
                "summary": summary, "source": "shop", "query": "up{service=\"orders\"}",
                "since": since, "until": "2026-11-21T12:30:00.000Z",
            })
        };
        let value = serde_json::json!({
            "text": "orders is up. [1][2]",
            "citations": [
                { "n": 1, "evidence": evidence("orders is up", "2026-11-21T12:00:00.000Z") },
                { "n": 2, "evidence": evidence("it was down", "1970-01-01T00:00:00.000Z") },
            ],
            "notes": ["No model used."],
        });
        insta::assert_snapshot!(answer(&value), @r#"
        orders is up. [1][2]

        [1] shop: up{service="orders"} (2026-11-21 12:00 UTC to 2026-11-21 12:30 UTC)
        [2] it was down - shop: up{service="orders"}
        No model used.
        "#);
    }
}
