//! What a question asks for: its intent, the entity and incident it names, and its time. Pure.

use jiff::tz::TimeZone;

use crate::model::{EntityRef, Time};

use super::when::{self, Range};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Status,
    Why,
    Changes,
    Happened,
    Errors,
    Compare,
    SeenBefore,
    WhatToDo,
    Runbook,
    Paged,
    Deploy,
    Slowest,
    Graph,
    Health,
    Show,
    Count,
    Silenced,
    Help,
    Unknown,
}

/// A question, understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) intent: Intent,
    pub(super) entity: Option<EntityRef>,
    /// `#12`.
    pub(super) number: Option<u64>,
    pub(super) range: Option<Range>,
}

/// Phrases in order of precedence: the first whose words all occur decides.
const PHRASES: &[(Intent, &[&str])] = &[
    (Intent::Deploy, &["deploy", "if we"]),
    (Intent::Deploy, &["safe to", "deploy"]),
    (Intent::Deploy, &["can", "deploy", "now"]),
    (Intent::Deploy, &["should we deploy"]),
    (Intent::SeenBefore, &["before", "seen"]),
    (Intent::SeenBefore, &["happened before"]),
    (Intent::SeenBefore, &["similar"]),
    (Intent::SeenBefore, &["last time"]),
    (Intent::Runbook, &["runbook"]),
    (Intent::Runbook, &["playbook"]),
    (Intent::Paged, &["paged"]),
    (Intent::Paged, &["page me"]),
    (Intent::Paged, &["alerted"]),
    (Intent::Paged, &["why", "no alert"]),
    (Intent::Paged, &["notified"]),
    (Intent::WhatToDo, &["what should i do"]),
    (Intent::WhatToDo, &["what should we do"]),
    (Intent::WhatToDo, &["what now"]),
    (Intent::WhatToDo, &["what can i do"]),
    (Intent::WhatToDo, &["how", "fix"]),
    (Intent::WhatToDo, &["next step"]),
    (Intent::Help, &["what can you do"]),
    (Intent::Help, &["what can i ask"]),
    (Intent::Silenced, &["silence"]),
    (Intent::Silenced, &["muted"]),
    (Intent::Silenced, &["maintenance"]),
    (Intent::Count, &["how many incidents"]),
    (Intent::Count, &["number of incidents"]),
    (Intent::Count, &["list", "incidents"]),
    (Intent::Compare, &["compare"]),
    (Intent::Compare, &["than yesterday"]),
    (Intent::Compare, &["than last week"]),
    (Intent::Compare, &["versus"]),
    (Intent::Compare, &[" vs "]),
    (Intent::Changes, &["what changed"]),
    (Intent::Changes, &["changes"]),
    (Intent::Changes, &["deploys"]),
    (Intent::Changes, &["deployed"]),
    (Intent::Changes, &["what's new"]),
    (Intent::Graph, &["depend"]),
    (Intent::Graph, &["what does", "call"]),
    (Intent::Graph, &["who calls"]),
    (Intent::Graph, &["upstream"]),
    (Intent::Graph, &["downstream"]),
    (Intent::Slowest, &["slowest"]),
    (Intent::Why, &["why"]),
    (Intent::Why, &["root cause"]),
    (Intent::Why, &["what caused"]),
    (Intent::Why, &["cause of"]),
    (Intent::Why, &["what's wrong with"]),
    (Intent::Why, &["what is wrong with"]),
    (Intent::Happened, &["what happened"]),
    (Intent::Happened, &["timeline"]),
    (Intent::Happened, &["what went on"]),
    (Intent::Errors, &["error"]),
    (Intent::Errors, &["logs"]),
    (Intent::Errors, &["exceptions"]),
    (Intent::Show, &["p99"]),
    (Intent::Show, &["p95"]),
    (Intent::Show, &["plot"]),
    (Intent::Show, &["latency"]),
    (Intent::Show, &["graph of"]),
    (Intent::Health, &["healthy"]),
    (Intent::Health, &["is", "ok"]),
    (Intent::Health, &["is", "up"]),
    (Intent::Health, &["is", "down"]),
    (Intent::Health, &["how is"]),
    (Intent::Status, &["status"]),
    (Intent::Status, &["what's going on"]),
    (Intent::Status, &["what is going on"]),
    (Intent::Status, &["what is broken"]),
    (Intent::Status, &["what's broken"]),
    (Intent::Status, &["anything wrong"]),
    (Intent::Status, &["open incidents"]),
    (Intent::Status, &["on fire"]),
    (Intent::Help, &["help"]),
    (Intent::Show, &["show"]),
];

fn holds(text: &str, phrase: &str) -> bool {
    // Short words must stand alone; longer phrases may be the start of a word ("silenced").
    text.match_indices(phrase).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + phrase.len()..].chars().next();
        let free = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '-');
        phrase.starts_with(' ') || free(before) && (phrase.len() > 3 || free(after))
    })
}

/// The known entity that the words name best: its name, without or with a plural `s`, a part of
/// it between dashes, or a name one slip away.
pub(super) fn entity(text: &str, known: &[EntityRef]) -> Option<EntityRef> {
    let words: Vec<String> = text
        .to_lowercase()
        .split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'))
        .filter(|w| w.len() > 2)
        .map(str::to_owned)
        .collect();
    let stem = |w: &str| w.trim_end_matches('s').to_owned();
    let mut best: Option<(u32, &EntityRef)> = None;
    for e in known {
        let name = e.name().to_lowercase();
        let score = words.iter().map(|w| {
            let part = name.split(['-', '_', '.', '/']).any(|p| p.len() > 3 && stem(p) == stem(w));
            match () {
                () if *w == name => 100,
                () if stem(w) == stem(&name) => 90,
                () if part => 70,
                () if w.len() > 4 && name.starts_with(w.as_str()) => 60,
                () if w.len() > 4 && strsim::damerau_levenshtein(w, &name) == 1 => 50,
                () if w.len() > 6 && strsim::damerau_levenshtein(w, &name) == 2 => 40,
                () => 0,
            }
        });
        let score = score.max().unwrap_or(0);
        let score = if score > 0 { score + u32::from(e.is_service()) } else { 0 };
        if score > 0 && best.is_none_or(|(s, _)| score > s) {
            best = Some((score, e));
        }
    }
    best.map(|(_, e)| e.clone())
}

/// Understands a question.
pub(super) fn understand(text: &str, known: &[EntityRef], now: Time, zone: &TimeZone) -> Plan {
    let lower = text.to_lowercase().replace('’', "'");
    let intent = PHRASES
        .iter()
        .find(|(_, words)| words.iter().all(|w| holds(&lower, w)))
        .map_or(Intent::Unknown, |(intent, _)| *intent);
    let digits = lower.split('#').nth(1).unwrap_or("");
    let number = digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let entity = entity(text, known);
    let intent = match intent {
        Intent::Unknown if number.is_some() => Intent::Status,
        Intent::Unknown if entity.is_some() => Intent::Health,
        other => other,
    };
    Plan { intent, entity, number, range: when::parse(text, now, zone) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrasings_are_understood() {
        use Intent as I;
        let known: Vec<EntityRef> = [
            "checkout",
            "orders",
            "orders-db",
            "auth",
            "auth-db",
            "payments",
            "search",
            "recommendations",
        ]
        .map(EntityRef::service)
        .into();
        let now = Time::parse("2026-11-21T15:00:00Z").expect("valid");
        for (text, intent, name) in [
            ("status", I::Status, ""),
            ("what is broken?", I::Status, ""),
            ("What's going on", I::Status, ""),
            ("is anything wrong right now", I::Status, ""),
            ("#12", I::Status, ""),
            ("why is checkout slow", I::Why, "checkout"),
            ("why is order failing?", I::Why, "orders"),
            ("why is chekout slow", I::Why, "checkout"),
            ("root cause of this", I::Why, ""),
            ("what caused #3", I::Why, ""),
            ("what's wrong with payment", I::Why, "payments"),
            ("what changed since 14:00", I::Changes, ""),
            ("what changed on orders yesterday", I::Changes, "orders"),
            ("deploys in the last 2 hours", I::Changes, ""),
            ("what was deployed today", I::Changes, ""),
            ("what happened between 14:00 and 14:30", I::Happened, ""),
            ("timeline of #4", I::Happened, ""),
            ("show errors of orders", I::Errors, "orders"),
            ("top errors", I::Errors, ""),
            ("logs of auth-db", I::Errors, "auth-db"),
            ("compare checkout with yesterday", I::Compare, "checkout"),
            ("is search slower than last week", I::Compare, "search"),
            ("have we seen this before", I::SeenBefore, ""),
            ("has this happened before?", I::SeenBefore, ""),
            ("similar incidents", I::SeenBefore, ""),
            ("what should I do", I::WhatToDo, ""),
            ("how do I fix this", I::WhatToDo, ""),
            ("which runbook", I::Runbook, ""),
            ("is there a runbook for pool exhaustion", I::Runbook, ""),
            ("who was paged and why", I::Paged, ""),
            ("why was I not paged for auth", I::Paged, "auth"),
            ("what would happen if we deployed orders now", I::Deploy, "orders"),
            ("is it safe to deploy payments", I::Deploy, "payments"),
            ("slowest services", I::Slowest, ""),
            ("which services depend on auth", I::Graph, "auth"),
            ("what does checkout call", I::Graph, "checkout"),
            ("is search healthy", I::Health, "search"),
            ("recommendation", I::Health, "recommendations"),
            ("plot p99 of checkout", I::Show, "checkout"),
            ("how many incidents this week", I::Count, ""),
            ("what is silenced", I::Silenced, ""),
            ("what can you do", I::Help, ""),
            ("help", I::Help, ""),
            ("sing a song", I::Unknown, ""),
        ] {
            let plan = understand(text, &known, now, &TimeZone::UTC);
            assert_eq!(plan.intent, intent, "{text}");
            assert_eq!(plan.entity.as_ref().map_or("", |e| e.name()), name, "{text}");
        }
    }
}
