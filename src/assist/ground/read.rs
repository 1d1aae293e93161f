//! Reads what a text states: quantities with unit, moments, versions and other words with digits,
//! each bound to the entity that it is said of. The same reading serves sentences and evidence.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

/// What a quantity measures; only like is compared with like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    /// Seconds.
    Duration,
    /// Percent.
    Percent,
    /// Percentage points.
    Points,
    /// Bytes.
    Bytes,
    /// Per second.
    Rate,
    /// A number of something.
    Count,
    /// "3 times", "2.5x".
    Factor,
}

/// A number with its unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quantity {
    /// In the dimension's base unit.
    pub(super) value: f64,
    /// Half of the last digit shown, in the base unit.
    pub(super) half: f64,
    pub(super) dimension: Dimension,
    /// The words that follow a count: what is counted. At most two, in lower case.
    pub(super) nouns: Vec<String>,
    /// "by 900 ms", "900 ms more": an amount of change, not a level.
    pub(super) is_difference: bool,
}

/// A day, a time of day (UTC), or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) date: Option<String>,
    /// `HH:MM`.
    pub(super) clock: Option<String>,
    pub(super) seconds: Option<String>,
    /// "since", "between", "to": the end of a stretch of time rather than an event.
    pub(super) ends_range: bool,
}

/// One thing that is stated.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Claim {
    Quantity(Quantity),
    Moment(Moment),
    /// A version, an id, a name with digits: it must stand word for word.
    Word(String),
}

/// A claim, where it stands, and of whom it is said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stated {
    pub(super) claim: Claim,
    pub(super) text: String,
    /// The entities that it is bound to; empty when the text names none.
    pub(super) subjects: Vec<String>,
}

pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern compiles")
}

static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?P<date>\d{4}-\d{2}-\d{2})(?:[T ](?P<dclock>\d{2}:\d{2})(?::(?P<dsec>\d{2}))?(?:\.\d+)?Z?)?",
        r"|(?P<clock>\b\d{1,2}:\d{2})(?::(?P<sec>\d{2}))?(?:\.\d+)?",
        r"|(?P<word>#\d+|\b\d{1,3}(?:,\d{3})+(?:\.\d+)?[A-Za-zµ%]*|\b[A-Za-z]*\d[\w]*(?:[._:/+-]\w+)*|\b[A-Za-z]+(?:[-_.][A-Za-z]+)*[-_.]?\d[\w.-]*\w|\b[A-Za-z]+\d\b)",
    ))
});

/// A plain number with an optional magnitude and a unit that touches it.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?P<n>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<mag>k|M)?(?P<unit>[A-Za-zµ%×/]*)$",
    )
});
static UNIT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\s?(?P<u>percentage points?|pp\b|percent|%|milliseconds?|microseconds?|ms|µs|us|seconds?|secs?|s|minutes?|mins?|min|hours?|hrs?|h|days?|d|bytes?|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB|B|requests? per second|req/s|rps|qps|/s|per second|times|fold|x|×)(?:\W|$)",
    )
});

fn unit(text: &str) -> Option<(f64, Dimension)> {
    use Dimension as D;
    Some(match text {
        "ms" | "millisecond" | "milliseconds" => (1e-3, D::Duration),
        "µs" | "us" | "microsecond" | "microseconds" => (1e-6, D::Duration),
        "s" | "sec" | "secs" | "second" | "seconds" => (1.0, D::Duration),
        "m" | "min" | "mins" | "minute" | "minutes" => (60.0, D::Duration),
        "h" | "hr" | "hrs" | "hour" | "hours" => (3_600.0, D::Duration),
        "d" | "day" | "days" => (86_400.0, D::Duration),
        "%" | "percent" => (1.0, D::Percent),
        "pp" | "percentage point" | "percentage points" => (1.0, D::Points),
        "B" | "byte" | "bytes" => (1.0, D::Bytes),
        "kB" | "KB" => (1e3, D::Bytes),
        "MB" => (1e6, D::Bytes),
        "GB" => (1e9, D::Bytes),
        "TB" => (1e12, D::Bytes),
        "KiB" => (1024.0, D::Bytes),
        "MiB" => (1_048_576.0, D::Bytes),
        "GiB" => (1_073_741_824.0, D::Bytes),
        "TiB" => (1_099_511_627_776.0, D::Bytes),
        "/s"
        | "req/s"
        | "rps"
        | "qps"
        | "per second"
        | "request per second"
        | "requests per second" => (1.0, D::Rate),
        "x" | "×" | "times" | "fold" => (1.0, D::Factor),
        _ => return None,
    })
}

/// Words after a number that do not say what is counted.
const NOT_COUNTED: &[&str] = &[
    "a", "after", "ago", "also", "an", "and", "are", "as", "at", "before", "but", "by", "during",
    "each", "for", "from", "had", "has", "have", "higher", "in", "into", "is", "it", "its",
    "later", "lower", "more", "now", "of", "on", "or", "out", "over", "per", "since", "so", "than",
    "that", "the", "then", "to", "until", "was", "were", "when", "which", "while", "with",
    "within", "utc", "because", "against", "again", "earlier", "less", "fewer", "occurred",
    "appeared", "came",
];

/// The words that say what is counted.
fn nouns(after: &str) -> Vec<String> {
    let clause = after.split([',', ';', ':', '.', '(', ')', '[']).next().unwrap_or("");
    let words = clause.split_whitespace().map(|w| w.to_lowercase());
    words
        .take_while(|w| {
            w.chars().all(|c| c.is_alphabetic() || c == '-') && !NOT_COUNTED.contains(&w.as_str())
        })
        .take(2)
        .map(|w| stem(&w).to_owned())
        .collect()
}

/// A word without its plural ending.
pub(super) fn stem(word: &str) -> &str {
    let word = word.strip_suffix("'s").unwrap_or(word);
    match word.strip_suffix("ies").or_else(|| word.strip_suffix('y')) {
        Some(start) if start.len() > 2 => start,
        _ if word.len() > 3 => word.strip_suffix('s').unwrap_or(word),
        _ => word,
    }
}

/// Small numbers in words.
const SPELLED: &[(&str, f64)] = &[
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
    ("eleven", 11.0),
    ("twelve", 12.0),
];
static SPELLED_WORD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b")
});
static BY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\bby\s+(?:about|around|roughly|nearly|almost|approximately|some|~|≈)?\s*$")
});
static MORE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\s?(?:[a-zµ%]+\s+)?(?:more|less|longer|slower|faster|higher|lower|worse|extra|above|below)\b",
    )
});
static APPROXIMATE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)(?:about|around|roughly|nearly|almost|approximately|some|over|more than|~|≈)\s*$")
});

/// Half of the last digit shown; of the last digit but zeros where the number is rough.
fn half(digits: &str, rough: bool) -> f64 {
    let decimals = digits.split_once('.').map_or(0, |(_, d)| d.len() as i32);
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    if rough && decimals == 0 && zeros < digits.len() {
        0.5 * 10_f64.powi(zeros as i32)
    } else {
        0.5 * 10_f64.powi(-decimals)
    }
}

fn quantity(number: &str, before: &str, after: &str) -> Option<Quantity> {
    let c = NUMBER.captures(number)?;
    let digits = c["n"].replace(',', "");
    let magnitude = match c.name("mag").map(|m| m.as_str()) {
        Some("k") => 1e3,
        Some("M") => 1e6,
        _ => 1.0,
    };
    let rough = APPROXIMATE.is_match(before);
    let own = c.name("unit").map_or("", |u| u.as_str());
    let next = UNIT.captures(after).and_then(|u| u.name("u"));
    let (factor, dimension) = match (own, next) {
        ("", Some(next)) => unit(next.as_str())?,
        ("", None) => (1.0, Dimension::Count),
        (own, _) => unit(own)?,
    };
    let value: f64 = digits.parse().ok()?;
    let nouns = if dimension == Dimension::Count { nouns(after) } else { Vec::new() };
    let scale = magnitude * factor;
    let is_difference = BY.is_match(before) || MORE.is_match(after);
    let half = half(&digits, rough) * scale;
    Some(Quantity { value: value * scale, half, dimension, nouns, is_difference })
}

/// Where known names stand in a text: start, end, name. A longer name hides a shorter one in it.
pub(super) fn mentions(text: &str, names: &BTreeSet<String>) -> Vec<(usize, usize, String)> {
    let lower = text.to_ascii_lowercase();
    let mut by_length: Vec<&String> = names.iter().filter(|n| !n.is_empty()).collect();
    by_length.sort_by_key(|n| std::cmp::Reverse(n.len()));
    let mut found: Vec<(usize, usize, String)> = Vec::new();
    for name in by_length {
        for (start, _) in lower.match_indices(name.to_ascii_lowercase().as_str()) {
            let end = start + name.len();
            let part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
            let free = !lower[..start].chars().next_back().is_some_and(part)
                && !lower[end..].chars().next().is_some_and(part);
            if free && found.iter().all(|(s, e, _)| end <= *s || *e <= start) {
                found.push((start, end, name.clone()));
            }
        }
    }
    found.sort();
    found
}

static SAID_OF: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^[^,;:.()\[\]]{0,60}?\b(?:of|on|for|in|at|by|from|to|against|with)\s+(?:the\s+)?$")
});

/// Whom a claim between `start` and `end` is said of: the nearest name before it, or after it
/// when it is tied there by a preposition; both, when both are.
fn bound(
    text: &str,
    (start, end): (usize, usize),
    mentions: &[(usize, usize, String)],
) -> Vec<String> {
    let before = mentions.iter().rfind(|(_, e, _)| *e <= start);
    let after = mentions.iter().find(|(s, _, _)| *s >= end);
    let one_clause = |s: usize| {
        let between = &text[end..s];
        ![" and ", " but ", " while ", " whereas ", " or "].iter().any(|w| between.contains(w))
    };
    let tied = after.filter(|(s, _, _)| one_clause(*s) && SAID_OF.is_match(&text[end..*s]));
    match (before, tied, after) {
        // "p99 of 1.2 s on orders": what comes after is meant, whatever came before.
        (_, Some((_, _, name)), _)
        | (Some((_, _, name)), None, _)
        | (None, None, Some((_, _, name))) => {
            vec![name.clone()]
        }
        (None, None, None) => Vec::new(),
    }
}

static RANGE_END: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:since|from|between|to|until|till|and|through|by)\s+(?:at\s+)?(?:\d{4}-\d{2}-\d{2}\s+)?$",
    )
});

/// All that a text states.
pub(super) fn read(text: &str, names: &BTreeSet<String>) -> Vec<Stated> {
    let mentions = mentions(text, names);
    let mut found = Vec::new();
    for c in TOKEN.captures_iter(text) {
        let whole = c.get(0).expect("a match has a whole");
        let (start, end) = (whole.start(), whole.end());
        // The digits of a name that is known belong to the name.
        if mentions.iter().any(|(s, e, _)| *s <= start && end <= *e) {
            continue;
        }
        let subjects = bound(text, (start, end), &mentions);
        let own = |name: &str| c.name(name).map(|m| m.as_str().to_owned());
        let claim = if c.name("date").is_some() || c.name("clock").is_some() {
            let clock = own("dclock").or_else(|| own("clock"));
            Claim::Moment(Moment {
                date: own("date"),
                clock: clock.map(|t| if t.len() == 4 { format!("0{t}") } else { t }),
                seconds: own("dsec").or_else(|| own("sec")),
                ends_range: RANGE_END.is_match(&text[..start]),
            })
        } else {
            match quantity(whole.as_str(), &text[..start], &text[end..]) {
                Some(q) => Claim::Quantity(q),
                None => Claim::Word(whole.as_str().to_lowercase()),
            }
        };
        found.push(Stated { claim, text: whole.as_str().to_owned(), subjects });
    }
    for m in SPELLED_WORD.find_iter(text) {
        let Some((_, value)) = SPELLED.iter().find(|(w, _)| m.as_str().eq_ignore_ascii_case(w))
        else {
            continue;
        };
        let (start, end) = (m.start(), m.end());
        let spelled = quantity(&format!("{value}"), &text[..start], &text[end..]);
        if let Some(q) = spelled {
            let subjects = bound(text, (start, end), &mentions);
            found.push(Stated { claim: Claim::Quantity(q), text: m.as_str().into(), subjects });
        }
    }
    found
}
