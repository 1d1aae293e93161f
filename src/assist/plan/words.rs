//! Words of a question as people really type them: slips of the keys and short forms. Pure.

use std::collections::BTreeSet;

use crate::model::EntityRef;

/// Short forms and what they stand for, as whole words.
const SHORT: &[(&str, &str)] = &[
    ("whats", "what is"),
    ("what's", "what is"),
    ("wats", "what is"),
    ("wat", "what"),
    ("wht", "what"),
    ("waht", "what"),
    ("wot", "what"),
    ("wut", "what"),
    ("y", "why"),
    ("hwy", "why"),
    ("wy", "why"),
    ("hows", "how is"),
    ("how's", "how is"),
    ("whos", "who is"),
    ("who's", "who is"),
    ("isnt", "is not"),
    ("isn't", "is not"),
    ("didnt", "did not"),
    ("didn't", "did not"),
    ("wasnt", "was not"),
    ("wasn't", "was not"),
    ("werent", "were not"),
    ("weren't", "were not"),
    ("arent", "are not"),
    ("aren't", "are not"),
    ("dont", "do not"),
    ("don't", "do not"),
    ("doesnt", "does not"),
    ("doesn't", "does not"),
    ("wtf", "what is wrong"),
    ("tf", ""),
    ("pls", ""),
    ("plz", ""),
    ("please", ""),
    ("u", "you"),
    ("r", "are"),
    ("teh", "the"),
    ("hte", "the"),
    ("yday", "yesterday"),
    ("ystd", "yesterday"),
    ("b4", "before"),
    ("rn", "right now"),
    ("svc", "service"),
    ("svcs", "services"),
    ("errs", "errors"),
    ("lat", "latency"),
    ("prev", "previous"),
    ("mins", "minutes"),
    ("hrs", "hours"),
    ("btw", "between"),
    ("btwn", "between"),
    ("b/w", "between"),
    ("thx", ""),
];

/// Words that decide what is asked for. A word one slip away from one of them is read as it.
const DECISIVE: &[&str] = &[
    "afternoon",
    "again",
    "alert",
    "alerted",
    "alerts",
    "before",
    "between",
    "broken",
    "cause",
    "caused",
    "change",
    "changed",
    "changes",
    "compare",
    "compared",
    "culprit",
    "depend",
    "dependencies",
    "depends",
    "deploy",
    "deployed",
    "deploying",
    "deployment",
    "deploys",
    "downstream",
    "error",
    "errors",
    "evening",
    "exceptions",
    "failed",
    "failing",
    "failure",
    "faster",
    "friday",
    "going",
    "happen",
    "happened",
    "happening",
    "healthy",
    "hours",
    "incident",
    "incidents",
    "latency",
    "maintenance",
    "midnight",
    "minutes",
    "monday",
    "morning",
    "notified",
    "paged",
    "playbook",
    "previous",
    "release",
    "released",
    "releases",
    "rollback",
    "runbook",
    "runbooks",
    "saturday",
    "should",
    "show",
    "silence",
    "silenced",
    "silences",
    "similar",
    "since",
    "slow",
    "slower",
    "slowest",
    "status",
    "sunday",
    "thursday",
    "timeline",
    "today",
    "tuesday",
    "upstream",
    "versus",
    "wednesday",
    "weekend",
    "worse",
    "wrong",
    "yesterday",
];

/// Everyday words that look like a decisive one and are not.
const EVERYDAY: &[&str] = &[
    "around", "breaks", "broke", "charge", "charged", "charges", "could", "deployer", "every",
    "flow", "flowing", "golang", "goings", "hour", "knows", "last", "minute", "order", "other",
    "pages", "part", "raised", "ranged", "shop", "shot", "shows", "slot", "slows", "snow", "start",
    "state", "states", "statue", "stow", "terror", "those", "though", "toady", "today's", "wage",
    "worst", "would",
];

fn names(known: &[EntityRef]) -> BTreeSet<String> {
    let part = |e: &EntityRef| {
        let name = e.name().to_lowercase();
        let parts: Vec<String> = name.split(['-', '_', '.', '/']).map(str::to_owned).collect();
        parts.into_iter().chain([name.clone()])
    };
    known.iter().flat_map(part).flat_map(|w| [w.trim_end_matches('s').to_owned(), w]).collect()
}

fn mended(word: &str) -> Option<&'static str> {
    let most = match word.chars().count() {
        0..=3 => return None,
        4..=7 => 1,
        _ => 2,
    };
    let start = |w: &str| w.chars().next();
    DECISIVE
        .iter()
        .filter(|d| start(d) == start(word) || start(d) == word.chars().nth(1))
        .map(|d| (strsim::osa_distance(word, d), *d))
        .filter(|(slips, d)| *slips <= most && d.len() + 1 >= word.len())
        .min_by_key(|(slips, d)| {
            (*slips, !d.ends_with(&word[word.len() - 1..]), d.len().abs_diff(word.len()))
        })
        .map(|(_, d)| d)
}

/// The text in lower case with short forms written out and decisive words mended; names of known
/// entities, figures and times stay as they are.
pub(super) fn mend(text: &str, known: &[EntityRef]) -> String {
    let names = names(known);
    let lower = text.to_lowercase().replace(['’', '`', '´'], "'");
    let mut out = String::with_capacity(lower.len());
    for piece in lower.split_inclusive(|c: char| c.is_whitespace()) {
        let bare = piece.trim_matches(|c: char| !(c.is_alphanumeric() || c == '#'));
        let word = bare.trim_end_matches("'s");
        let given = SHORT.iter().find(|(short, _)| *short == bare).map(|(_, long)| *long);
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic());
        let taken = names.contains(word) || names.contains(word.trim_end_matches('s'));
        let plain = EVERYDAY.contains(&word) || DECISIVE.contains(&word);
        let better =
            given.or_else(|| if is_word && !taken && !plain { mended(word) } else { None });
        match better {
            Some(better) if !bare.is_empty() => out.push_str(&piece.replacen(bare, better, 1)),
            _ => out.push_str(piece),
        }
    }
    out
}

/// The words alone, one space between them and one at either end: phrases are found in it as
/// `" what changed "`.
pub(super) fn spaced(mended: &str) -> String {
    let words: Vec<&str> = mended
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '#' | '-' | '_')))
        .filter(|w| !w.is_empty())
        .collect();
    format!(" {} ", words.join(" "))
}

/// Whether one of the phrases (`a b|c*`) occurs; a star stands for any end of the word.
pub(super) fn has(spaced: &str, phrases: &str) -> bool {
    phrases.split('|').any(|p| match p.strip_suffix('*') {
        Some(stem) => spaced.contains(&format!(" {stem}")),
        None => spaced.contains(&format!(" {p} ")),
    })
}
