//! Finds known entities in a question: exact, in the plural, spoken, shortened, misspelled. Pure.

use crate::model::EntityRef;

/// One entity that the words name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) entity: EntityRef,
    /// The words that were read as it.
    pub(super) words: String,
    /// Whether that took a guess worth telling.
    pub(super) guessed: bool,
}

/// Words that are never taken for a misspelled or shortened name.
const NOT_NAMES: &[&str] = &[
    "about",
    "after",
    "against",
    "again",
    "any",
    "auto",
    "back",
    "been",
    "before",
    "between",
    "call",
    "calls",
    "car",
    "care",
    "cat",
    "change",
    "changed",
    "changes",
    "charge",
    "check",
    "compare",
    "could",
    "database",
    "deploy",
    "deployed",
    "does",
    "down",
    "error",
    "errors",
    "fire",
    "from",
    "have",
    "health",
    "healthy",
    "hour",
    "hours",
    "house",
    "incident",
    "incidents",
    "invent",
    "just",
    "latency",
    "like",
    "long",
    "many",
    "minutes",
    "month",
    "more",
    "most",
    "much",
    "node",
    "not",
    "note",
    "notes",
    "offer",
    "other",
    "others",
    "part",
    "past",
    "price",
    "pray",
    "rate",
    "recent",
    "recently",
    "request",
    "requests",
    "right",
    "runs",
    "seen",
    "service",
    "services",
    "ship",
    "see",
    "should",
    "show",
    "shop",
    "similar",
    "since",
    "slow",
    "slower",
    "slowest",
    "start",
    "started",
    "status",
    "than",
    "that",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "time",
    "today",
    "use",
    "used",
    "uses",
    "using",
    "very",
    "want",
    "week",
    "were",
    "what",
    "when",
    "where",
    "which",
    "will",
    "with",
    "would",
    "yesterday",
    "your",
];

const NUMBERS: &[(&str, &str)] = &[
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
];

fn stem(word: &str) -> &str {
    let word = word.strip_suffix("'s").unwrap_or(word);
    word.strip_suffix("ies").or_else(|| word.strip_suffix('s')).unwrap_or(word)
}

/// The name without its separators.
fn packed(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// A word as it may stand in a name: `database` for `db`, `two` for `2`.
fn spoken(word: &str) -> &str {
    match word {
        "database" | "postgres" | "databse" | "datbase" => "db",
        _ => NUMBERS.iter().find(|(w, _)| *w == word).map_or(word, |(_, digit)| digit),
    }
}

/// How well `words` name `name`, 0 for not at all.
fn score(words: &[&str], name: &str) -> u32 {
    let joined = words.concat();
    let name_packed = packed(name);
    if words.len() == 1 && words[0] == name {
        return 100;
    }
    if packed(&joined) == name_packed {
        return 95;
    }
    let said: String = words.iter().map(|w| spoken(w)).collect();
    let stems: String = words.iter().map(|w| stem(spoken(w))).collect();
    let name_stems: String = name.split(['-', '_', '.', '/']).map(stem).collect();
    if said == name_packed || stems == name_stems || stem(&joined) == stem(&name_packed) {
        return 90;
    }
    let [word] = words else {
        // "recomendation service" is one word; "chek out" is two that belong together.
        let slips = strsim::osa_distance(&packed(&joined), &name_packed);
        return if name_packed.len() > 6 && slips == 1 { 45 } else { 0 };
    };
    if NOT_NAMES.contains(word) || word.len() < 3 || word.chars().all(|c| c.is_ascii_digit()) {
        return 0;
    }
    let parts: Vec<&str> = name.split(['-', '_', '.', '/']).collect();
    if parts.len() > 1 && parts.iter().any(|p| p.len() > 3 && stem(p) == stem(word)) {
        return 70;
    }
    let short = stem(word);
    if short.len() >= 3 && name.len() >= short.len() + 3 && name.starts_with(short) {
        return 60;
    }
    let slips = strsim::osa_distance(word, name).min(strsim::osa_distance(stem(word), stem(name)));
    let first = word.chars().next() == name.chars().next();
    match (slips, word.len().min(name.len())) {
        (1, 5..) => 50,
        (1, 4) if first || word.len() > name.len() => 48,
        (2, 7..) => 40,
        (3, 11..) => 35,
        _ => 0,
    }
}

/// The known entities that the words name, in the order of the text; the better reading of the
/// same words wins, a longer run of words before a shorter one, a service before anything else.
pub(super) fn find(spaced: &str, known: &[EntityRef]) -> Vec<Named> {
    let words: Vec<&str> = spaced.split_whitespace().collect();
    // (score, start, length, entity).
    let mut hits: Vec<(u32, usize, usize, &EntityRef)> = Vec::new();
    for length in 1..=3 {
        for (start, window) in words.windows(length).enumerate() {
            for e in known {
                let found = score(window, &e.name().to_lowercase());
                if found > 0 {
                    let longer = 20 * (length as u32 - 1);
                    hits.push((found + longer + u32::from(e.is_service()), start, length, e));
                }
            }
        }
    }
    hits.sort_by(|a, b| {
        b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.3.name().len().cmp(&b.3.name().len()))
    });
    let mut taken = vec![false; words.len()];
    let mut named: Vec<(usize, Named)> = Vec::new();
    for (found, start, length, e) in hits {
        if taken[start..start + length].iter().any(|t| *t) {
            continue;
        }
        taken[start..start + length].fill(true);
        if named.iter().any(|(_, n)| n.entity == *e) {
            continue;
        }
        let words = words[start..start + length].join(" ");
        let guessed = found < 70 + 20 * (length as u32 - 1);
        named.push((start, Named { entity: e.clone(), words, guessed }));
    }
    named.sort_by_key(|(start, _)| *start);
    named.into_iter().map(|(_, n)| n).collect()
}

/// Words that stand where a name could stand and are none.
const NEVER_A_NAME: &[&str] = &[
    "a",
    "all",
    "an",
    "and",
    "any",
    "anyone",
    "anything",
    "are",
    "it",
    "its",
    "me",
    "my",
    "no",
    "nothing",
    "one",
    "our",
    "own",
    "people",
    "prod",
    "production",
    "site",
    "so",
    "some",
    "someone",
    "stuff",
    "system",
    "systems",
    "that",
    "the",
    "there",
    "they",
    "thing",
    "things",
    "this",
    "us",
    "users",
    "we",
    "what",
    "you",
    "everything",
    "everyone",
    "everybody",
    "nobody",
    "things",
    "website",
    "page",
    "app",
    "latency",
    "traffic",
    "memory",
    "cpu",
    "pages",
    "load",
    "response",
    "requests",
    "error",
    "errors",
    "incident",
    "incidents",
    "alert",
    "alerts",
    "right",
    "now",
    "not",
    "today",
    "yesterday",
    "last",
    "with",
    "on",
    "in",
    "of",
    "for",
    "since",
    "still",
    "always",
    "really",
    "here",
    "be",
    "is",
    "was",
    "slow",
    "down",
    "broken",
    "failing",
    "wrong",
    "going",
    "happening",
    "up",
    "ok",
    "bad",
    "high",
    "service",
    "services",
    "database",
    "new",
    "i",
    "he",
    "she",
    "them",
    "these",
    "those",
    "to",
    "from",
    "at",
    "shop",
    "customers",
];

/// The word that stands where a service's name would stand and is not known, such as `billing`
/// in "why is billing slow".
pub(super) fn unknown(spaced: &str) -> Option<String> {
    const BEFORE: &[&str] = &[
        "why is",
        "why are",
        "why was",
        "errors of",
        "errors for",
        "errors from",
        "errors in",
        "logs of",
        "logs for",
        "logs from",
        "compare",
        "deployed",
        "deploy",
        "wrong with",
        "status of",
        "how is",
        "health of",
        "latency of",
        "p99 of",
        "paged for",
        "is",
        "depend on",
        "depends on",
        "changed on",
        "changed in",
        "changes on",
        "changes to",
        "runbook for",
    ];
    let words: Vec<&str> = spaced.split_whitespace().collect();
    for before in BEFORE {
        let lead: Vec<&str> = before.split(' ').collect();
        for start in 0..words.len() {
            if !words[start..].starts_with(&lead) {
                continue;
            }
            // "is" alone says little: only "is billing up" and the like.
            let mut at = start + lead.len();
            if words.get(at) == Some(&"the") {
                at += 1;
            }
            let Some(word) = words.get(at) else { continue };
            let after = words.get(at + 1).copied().unwrap_or("");
            let state = ["up", "down", "ok", "okay", "healthy", "alive", "slow", "broken", "fine"];
            if *before == "is" && (start != 0 || !state.contains(&after)) {
                continue;
            }
            let named = word.len() > 2
                && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
                && word.chars().any(char::is_alphabetic)
                && !NEVER_A_NAME.contains(word)
                && !word.chars().next().is_some_and(|c| c.is_ascii_digit());
            if named {
                return Some((*word).to_owned());
            }
        }
    }
    None
}
