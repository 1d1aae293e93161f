//! Splits a model's text into sentences with their citations. Pure.

use std::sync::LazyLock;

use regex::Regex;

use super::read::pattern;

static LISTED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*(?:[-*•>]\s+|\d{1,2}[.)]\s+|#+\s+)+"));
static MARKS_HERE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*(?:\[\d+(?:\s*,\s*\d+)*\]\s*)+[.;]?"));

/// The text without the mark of a list or heading before it.
pub(super) fn unlisted(line: &str) -> &str {
    LISTED.find(line).map_or(line, |m| &line[m.end()..])
}

/// Whether a line only names what comes below it.
fn is_heading(line: &str) -> bool {
    let bare = line.trim().trim_matches('*').trim();
    let short =
        bare.split_whitespace().count() <= 6 && !bare.contains(|c: char| c.is_ascii_digit());
    short && !bare.contains('[') && (line.trim_start().starts_with('#') || bare.ends_with(':'))
}

/// The sentences of a text, each with the citations that follow it; headings are left out.
pub(in crate::assist) fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().map(str::trim_end).filter(|l| !l.trim().is_empty() && !is_heading(l));
    for line in lines {
        let mut start = LISTED.find(line).map_or(0, |m| m.end());
        let lead = &line[..start];
        let mut first = true;
        let mut quoted = false;
        let mut at = start;
        while let Some(c) = line[at..].chars().next() {
            let next = at + c.len_utf8();
            quoted ^= c == '`';
            let ends = !quoted
                && matches!(c, '.' | '!' | '?' | ';')
                && line[next..].chars().next().is_none_or(|n| n.is_whitespace() || n == '[');
            if !ends {
                at = next;
                continue;
            }
            // Citations after the full stop belong to the sentence before it.
            let end = MARKS_HERE.find(&line[next..]).map_or(next, |m| next + m.end());
            push(&mut found, if first { lead } else { "" }, &line[start..end]);
            (first, start, at) = (false, end, end);
        }
        push(&mut found, if first { lead } else { "" }, &line[start..]);
    }
    found
}

fn push(found: &mut Vec<String>, lead: &str, sentence: &str) {
    let sentence = sentence.trim();
    if sentence.chars().any(char::is_alphanumeric) {
        let lead = if lead.trim_start().starts_with('#') { "" } else { lead };
        found.push(format!("{lead}{sentence}"));
    }
}

/// Capitalised words that are no names of things.
const COMMON: &[&str] = &[
    "UTC",
    "CPU",
    "HTTP",
    "HTTPS",
    "API",
    "SLO",
    "DB",
    "SQL",
    "TCP",
    "DNS",
    "TLS",
    "JSON",
    "ID",
    "I",
    "RAM",
    "OOM",
    "RPC",
    "GRPC",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
    "OK",
    "P",
    "MiB",
    "GiB",
    "KiB",
    "The",
];

/// Words inside the sentence that are written as names of things are.
pub(super) fn proper_name(words: &str) -> impl Iterator<Item = &str> {
    let mut starts = true;
    words.split_whitespace().filter_map(move |word| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let was_start = starts || word.starts_with(['"', '(', '*']);
        starts = word.ends_with([':', '.', '!', '?', '—']);
        let capital = bare.chars().next().is_some_and(char::is_uppercase);
        let letters = bare.chars().all(char::is_alphabetic);
        (!was_start && capital && letters && !COMMON.contains(&bare)).then_some(bare)
    })
}

/// Words that stand before a verb and name no particular thing.
const GENERAL: &[&str] = &[
    "a",
    "alert",
    "alerts",
    "all",
    "also",
    "and",
    "average",
    "before",
    "both",
    "but",
    "call",
    "calls",
    "cause",
    "change",
    "changes",
    "confidence",
    "connection",
    "connections",
    "cpu",
    "dependency",
    "deploy",
    "deployment",
    "deploys",
    "duration",
    "durations",
    "each",
    "effect",
    "error",
    "errors",
    "evidence",
    "failure",
    "failures",
    "fix",
    "has",
    "have",
    "hypothesis",
    "incident",
    "incidents",
    "increase",
    "it",
    "its",
    "latency",
    "level",
    "levels",
    "line",
    "lines",
    "load",
    "log",
    "logs",
    "median",
    "memory",
    "neither",
    "never",
    "no",
    "none",
    "not",
    "nothing",
    "now",
    "one",
    "onset",
    "other",
    "p",
    "peak",
    "percentile",
    "pool",
    "proposal",
    "proposals",
    "rate",
    "rates",
    "release",
    "request",
    "requests",
    "response",
    "rollback",
    "runbook",
    "runbooks",
    "service",
    "services",
    "share",
    "signal",
    "signals",
    "since",
    "still",
    "that",
    "the",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "time",
    "timeout",
    "timeouts",
    "traffic",
    "two",
    "usage",
    "utilization",
    "value",
    "values",
    "version",
    "what",
    "which",
    "who",
    "and",
    "or",
    "caller",
    "callers",
    "database",
    "node",
    "nodes",
    "queries",
    "query",
    "config",
    "configuration",
    "concurrency",
    "queue",
    "saturation",
    "throughput",
    "user-facing",
    "impact",
    "likely",
    "already",
    "currently",
    "recently",
    "today",
    "yesterday",
    "ago",
    "previously",
];

/// Whether a word names no particular thing.
pub(super) fn is_common(word: &str) -> bool {
    GENERAL.contains(&word)
}
