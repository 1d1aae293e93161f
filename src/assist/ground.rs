//! Verifies sentences against the evidence that they cite. Pure.
//!
//! A sentence stands when it cites evidence and everything checkable in it follows from what it
//! cites: every quantity (as it is, as a difference, a factor or a percentage of two that belong
//! together, within the digits shown), every time, version, name, command and address; and each of
//! them is said of the entity that the evidence says it of. Commands and advice must come from a
//! runbook or our own records: a log line can be quoted, it can't make the reader do anything.
//! What can't be verified is cut. The price is that some true sentences are cut too.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::Citation;

mod facts;
mod read;
mod split;
#[cfg(test)]
mod tests;

use facts::Facts;
use read::{Claim, Dimension, Moment, Quantity, Stated, mentions, pattern, read, stem};
pub(super) use split::sentences;

static MARKS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[(\d+(?:\s*,\s*\d+)*)\]"));
static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(r"`([^`]*)`"));
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\b(?:[a-z][a-z0-9+.-]*://|www\.|mailto:|javascript:)[^\s)>\]]*|\]\s*\(")
});
static MARKUP: LazyLock<Regex> = LazyLock::new(|| pattern(r"<[A-Za-z/!]|!\["));
/// Programs that change things; a sentence that names one must have it from the evidence.
static PROGRAM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:kubectl|helm|docker|podman|systemctl|service|sudo|rm|curl|wget|psql|mysql|redis-cli|ssh|scp|terraform|ansible(?:-playbook)?|git|aws|gcloud|az|kill|killall|pkill|reboot|shutdown|chmod|chown|iptables|bash|sh|drop\s+(?:table|index|database)|delete\s+from|truncate\s+table|alter\s+table)\s+[-\w./|=:\x22']+(?:\s+[-\w./=:]+)*",
    )
});
/// Names that look like those of machines: with an underscore, or with a usual ending.
static IDENTIFIER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:[a-z]+(?:_[a-z]+)+|[a-z][\w-]*-(?:db|api|svc|service|worker|cache|queue|proxy|gateway|server|node|job|batch|primary|replica)|[a-z]+(?:\.[a-z]+){2,})\b",
    )
});
/// "the billing service", "service billing".
static SERVICE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\b(?P<a>[a-z][\w-]+)\s+(?:service|database|node|cluster|pod)\b")
});
/// Whoever is or does something: the word right before a verb.
static ACTOR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?P<a>[a-z][a-z_-]*)\s+(?:is|was|were|are|has|had|have|fails?|failed|logs?|logged|runs?|ran|calls?|called|went|goes|rose|fell|rises|falls|causes?|caused|uses?|used|depends?|crashed|crashes|restarted|recovered|returns?|returned|stopped|started|timed|times|waits?|waited|got|gets|saw|sees|lost|needs|cannot|can't|did|does)\b",
    )
});
const NOT_A_NAME: &[&str] = &[
    "the",
    "a",
    "an",
    "this",
    "that",
    "its",
    "each",
    "every",
    "other",
    "another",
    "same",
    "which",
    "any",
    "no",
    "affected",
    "upstream",
    "downstream",
    "calling",
    "called",
    "whole",
    "our",
    "one",
    "shared",
    "single",
    "in",
    "of",
    "and",
    "on",
    "to",
    "from",
    "per",
    "web",
    "both",
    "all",
    "out",
    "slow",
    "failing",
    "entire",
    "dependent",
    "backend",
    "with",
    "is",
    "as",
    "for",
    "second",
];
static ADVICE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\W*(?:run|execute|apply|restart|roll\s?back|revert|delete|drop|disable|enable|scale|kill|approve|reject|ignore|click|press|visit|open|call|contact|email|send|set|stop|start|install|download|please|try|go|log\s?in|enter|type|paste|silence|resolve)\b|\b(?:should|must|ought to|need(?:s)? to|have to|recommend(?:ed|s)?|advis(?:e|ed|able)|please|safe to|it is best|best to|suggest(?:ed|s)?)\b",
    )
});
static UPWARD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:rose|risen|rises|rising|increas(?:e|ed|es|ing)|grew|grown|grows|climb(?:ed|s|ing)|jump(?:ed|s)|spiked?|doubled|tripled)\b",
    )
});
static DOWNWARD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:fell|fallen|falls|falling|drop(?:ped|s|ping)|decreas(?:e|ed|es|ing)|declin(?:ed|es|ing)|shr(?:ank|unk)|sank|improved|halved)\b",
    )
});
static BY_HOW_MUCH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:by|more|less|fewer|longer|slower|faster|higher|lower|above|below|increase|decrease|difference|rise|drop|extra|additional|added|over|beyond|exceed(?:s|ed)|change[sd]?|up|down)\b",
    )
});
static APART: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:after|before|later|earlier|within|for|lasted|lasting|took|apart|between|ago)\b",
    )
});
static VAGUE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:dozens?|hundreds?|thousands?|millions?|billions?|several|countless|a third|a quarter|two thirds|most (?:of the )?(?:users|customers|requests|traffic)|all (?:users|customers|traffic))\b",
    )
});
static FACTOR_WORD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?P<two>twice|doubled?|doubling)|(?P<three>tripled?|threefold)|(?P<four>quadrupled?|fourfold)|(?P<ten>tenfold)|(?P<half>half|halved)\b",
    )
});
static OTHER_ZONE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\d{1,2}:\d{2}(?::\d{2})?\s*(?:am|pm|AM|PM|CES?T|[ECMP][SD]T|BST|IST|JST|MESZ?|[+-]\d{2}:?\d{2})\b",
    )
});

/// Whether a text cites evidence `n`.
pub(super) fn cites(text: &str, n: u32) -> bool {
    MARKS.captures_iter(text).any(|c| c[1].split(',').any(|m| m.trim().parse() == Ok(n)))
}

/// Evidence to check against, read once for all sentences of an answer.
pub(super) struct Grounds {
    facts: Vec<(u32, Facts)>,
    names: BTreeSet<String>,
}

impl Grounds {
    /// `names` are the names of all entities that are known.
    pub(super) fn new(citations: &[Citation], names: &BTreeSet<String>) -> Self {
        let facts = citations.iter().map(|c| (c.n, Facts::of(&c.evidence, names))).collect();
        Self { facts, names: names.clone() }
    }

    /// Why a sentence is cut; `Ok` when it stands.
    pub(super) fn check(&self, sentence: &str) -> Result<(), String> {
        let cited = self.cited(sentence)?;
        let words = MARKS.replace_all(sentence, "");
        let words = split::unlisted(&words);
        Self::safe(words, &cited)?;
        self.named(words, &cited)?;
        let told = QUOTED.replace_all(words, " ");
        if OTHER_ZONE.is_match(&told) {
            return Err("its time is not in UTC, as the evidence is".into());
        }
        if let Some(m) = VAGUE.find(&told) {
            let word = m.as_str().to_lowercase();
            if !cited.iter().any(|f| f.text.to_lowercase().contains(&word)) {
                return Err(format!("`{}` is not in the evidence", m.as_str()));
            }
        }
        for stated in read(&told, &self.names) {
            if !supported(&stated, &told, &cited) {
                let of = stated.subjects.first().map(|s| format!(" of {s}")).unwrap_or_default();
                return Err(format!("`{}`{of} is not in the evidence", stated.text));
            }
        }
        factor_words(&told, &cited)?;
        self.direction(&told, &cited)
    }

    fn cited(&self, sentence: &str) -> Result<Vec<&Facts>, String> {
        let mut cited = Vec::new();
        for c in MARKS.captures_iter(sentence) {
            for n in c[1].split(',') {
                let n: u32 = n.trim().parse().map_err(|_| "a citation is no number".to_owned())?;
                let found = self.facts.iter().find(|(known, _)| *known == n);
                cited.push(&found.ok_or(format!("[{n}] does not exist"))?.1);
            }
        }
        if cited.is_empty() { Err("it cites nothing".into()) } else { Ok(cited) }
    }

    /// Commands, addresses and advice.
    fn safe(words: &str, cited: &[&Facts]) -> Result<(), String> {
        let advises = ADVICE.is_match(words);
        let from = |text: &str, commands: bool| {
            cited.iter().any(|f| (f.may_command || !commands) && f.text.contains(text))
        };
        if advises && !cited.iter().any(|f| f.may_advise) {
            return Err("advice must cite a runbook, a hypothesis or a proposal".into());
        }
        if MARKUP.is_match(&QUOTED.replace_all(words, " ")) {
            return Err("markup is not shown".into());
        }
        if let Some(m) = ADDRESS.find(words)
            && !from(m.as_str(), true)
        {
            return Err(format!("the address `{}` is in no runbook", m.as_str()));
        }
        for c in QUOTED.captures_iter(words) {
            let is_command = PROGRAM.is_match(&c[1]);
            if !from(&c[1], advises || is_command) {
                return Err(format!("`{}` is not in the evidence", &c[1]));
            }
        }
        let bare = QUOTED.replace_all(words, " ");
        for m in PROGRAM.find_iter(&bare) {
            let is_prose = m.as_str().to_lowercase().starts_with("service ");
            if !is_prose && !from(m.as_str().trim(), true) {
                return Err(format!("the command `{}` is in no runbook", m.as_str().trim()));
            }
        }
        Ok(())
    }

    /// Every entity, and whatever looks like the name of one.
    fn named(&self, words: &str, cited: &[&Facts]) -> Result<(), String> {
        let known = |name: &str| {
            let one: BTreeSet<String> = [name.to_lowercase()].into();
            cited.iter().any(|f| {
                !mentions(&f.text.to_lowercase(), &one).is_empty()
                    || f.words.contains(stem(&name.to_lowercase()))
            })
        };
        for (_, _, name) in mentions(words, &self.names) {
            if !known(&name) {
                return Err(format!("{name} is not in the evidence"));
            }
        }
        for m in IDENTIFIER.find_iter(words) {
            let quoted = cited.iter().any(|f| f.text.contains(m.as_str()));
            if !quoted && !known(m.as_str()) {
                return Err(format!("`{}` is not in the evidence", m.as_str()));
            }
        }
        for c in SERVICE.captures_iter(words) {
            let name = c["a"].to_lowercase();
            if !NOT_A_NAME.contains(&name.as_str()) && !known(&name) {
                return Err(format!("`{name}` is not in the evidence"));
            }
        }
        for c in ACTOR.captures_iter(words) {
            let name = c["a"].to_lowercase();
            if !split::is_common(&name) && !known(&name) {
                return Err(format!("`{name}` is not in the evidence"));
            }
        }
        match split::proper_name(words).find(|name| !known(name)) {
            Some(name) => Err(format!("`{name}` is not in the evidence")),
            None => Ok(()),
        }
    }

    /// Whether what is said to rise did rise.
    fn direction(&self, words: &str, cited: &[&Facts]) -> Result<(), String> {
        let (up, down) = (UPWARD.is_match(words), DOWNWARD.is_match(words));
        if up == down {
            return Ok(());
        }
        let named = mentions(words, &self.names);
        let moved: Vec<(f64, f64)> = cited
            .iter()
            .filter_map(|f| f.moved.as_ref())
            .filter(|(of, ..)| named.is_empty() || named.iter().any(|(_, _, n)| n == of))
            .map(|(_, before, after)| (*before, *after))
            .collect();
        let against = |(before, after): &(f64, f64)| {
            let margin = 0.02 * before.abs();
            if up { *after < before - margin } else { *after > before + margin }
        };
        if !moved.is_empty() && moved.iter().all(against) {
            return Err("the signal moved the other way".into());
        }
        Ok(())
    }
}

fn shares(a: &[String], b: &[String]) -> bool {
    a.iter().any(|x| b.contains(x))
}

/// Whether facts about `of` may support a claim about `subjects`.
fn fits(subjects: &[String], of: &[String], facts: &Facts) -> bool {
    subjects.is_empty() || shares(subjects, of) || (facts.is_general && of.is_empty())
}

fn near(claimed: &Quantity, value: f64) -> bool {
    let tolerance = claimed.half.min(value.abs() * 0.05).max(value.abs() * 1e-9);
    (claimed.value - value).abs() <= tolerance + 1e-12
}

fn counts(claimed: &Quantity, fact: &Quantity, facts: &Facts) -> bool {
    claimed.nouns.iter().all(|n| facts.words.contains(n))
        && (claimed.nouns.is_empty()
            || fact.nouns.is_empty()
            || claimed.nouns.iter().any(|n| fact.nouns.contains(n)))
}

fn supported(stated: &Stated, sentence: &str, cited: &[&Facts]) -> bool {
    match &stated.claim {
        Claim::Word(word) => cited.iter().any(|f| {
            let of_subject = f.stated.iter().any(|s| {
                matches!(&s.claim, Claim::Word(w) if w == word)
                    && fits(&stated.subjects, &s.subjects, f)
            });
            // A percentile names the measure; it belongs to no entity.
            of_subject || (is_percentile(word) && f.words.contains(word))
        }),
        Claim::Moment(moment) => cited.iter().any(|f| {
            f.moments().any(|(m, of)| {
                let subject = m.ends_range || fits(&stated.subjects, of, f);
                subject && same_moment(moment, m)
            })
        }),
        Claim::Quantity(q) => {
            let direct = cited.iter().any(|f| {
                f.quantities().any(|(k, of)| {
                    k.dimension == q.dimension
                        && (k.is_difference || !q.is_difference)
                        && near(q, k.value)
                        && fits(&stated.subjects, of, f)
                        && (q.dimension != Dimension::Count || counts(q, k, f))
                })
            });
            direct || derived(q, &stated.subjects, sentence, cited)
        }
    }
}

fn is_percentile(word: &str) -> bool {
    word.strip_prefix('p').is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_ascii_digit()))
}

fn same_moment(claimed: &Moment, fact: &Moment) -> bool {
    let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    // The end of a range is no event.
    let role = !fact.ends_range || claimed.ends_range;
    let told = claimed.clock.is_none() || fact.clock.is_some();
    let dated = claimed.date.is_none() || fact.date.is_some();
    role && told
        && dated
        && same(&claimed.date, &fact.date)
        && same(&claimed.clock, &fact.clock)
        && same(&claimed.seconds, &fact.seconds)
}

/// Pairs of quantities that belong together: of one evidence and the same subject.
fn pairs<'a>(subjects: &[String], cited: &[&'a Facts]) -> Vec<(&'a Quantity, &'a Quantity)> {
    let mut pairs = Vec::new();
    for f in cited {
        let all = f.derivable();
        for (i, (a, of_a)) in all.iter().enumerate() {
            for (b, of_b) in &all[i + 1..] {
                let together = of_a == of_b && fits(subjects, of_a, f);
                let alike = a.dimension == b.dimension
                    && (a.dimension != Dimension::Count
                        || a.nouns.is_empty()
                        || b.nouns.is_empty()
                        || a.nouns.iter().any(|n| b.nouns.contains(n)));
                if together && alike {
                    pairs.push((*a, *b));
                }
            }
        }
    }
    pairs
}

/// The same quantity of two subjects that two pieces of evidence tell, as in "twice that of auth".
fn across<'a>(sentence: &str, cited: &[&'a Facts]) -> Vec<(&'a Quantity, &'a Quantity)> {
    let compares =
        [" than ", " as ", " that of ", " compared "].iter().any(|w| sentence.contains(w));
    let (true, [a, b]) = (compares, cited) else { return Vec::new() };
    let (a, b) = (a.derivable(), b.derivable());
    a.iter()
        .flat_map(|(x, _)| b.iter().map(move |(y, _)| (*x, *y)))
        .filter(|(x, y)| x.dimension == y.dimension)
        .collect()
}

fn derived(q: &Quantity, subjects: &[String], sentence: &str, cited: &[&Facts]) -> bool {
    if q.dimension == Dimension::Duration && APART.is_match(sentence) {
        let events: Vec<i64> = cited.iter().flat_map(|f| &f.events).map(|t| t.ms()).collect();
        // Times are told by the minute, so each end may be half a minute off.
        let slack = q.half.max(30.0);
        let spans = events.iter().flat_map(|a| events.iter().map(move |b| (b - a) as f64 / 1e3));
        if spans.filter(|s| *s > 0.0).any(|s| (s - q.value).abs() <= slack.min(s * 0.2)) {
            return true;
        }
    }
    let differs = BY_HOW_MUCH.is_match(sentence);
    let mut pairs = pairs(subjects, cited);
    pairs.extend(across(sentence, cited));
    pairs.into_iter().any(|(a, b)| {
        let (a, b) = (a, b);
        let (low, high) = (a.value.min(b.value), a.value.max(b.value));
        match q.dimension {
            Dimension::Factor => low > 0.0 && near(q, high / low),
            Dimension::Points => a.dimension == Dimension::Percent && near(q, high - low),
            Dimension::Percent if a.dimension != Dimension::Percent || differs => {
                let share = !differs && high > 0.0 && near(q, low / high * 100.0);
                let change = differs
                    && [(a.value, b.value), (b.value, a.value)]
                        .iter()
                        .any(|(x, y)| *x > 0.0 && near(q, (y - x).abs() / x * 100.0));
                share || change
            }
            same => same == a.dimension && differs && near(q, high - low),
        }
    })
}

/// "Doubled", "half", "tripled".
fn factor_words(sentence: &str, cited: &[&Facts]) -> Result<(), String> {
    let Some(c) = FACTOR_WORD.captures(sentence) else { return Ok(()) };
    let told = c.get(0).map_or("", |m| m.as_str());
    let named = [("three", 3.0), ("four", 4.0), ("ten", 10.0)];
    let factor = named.iter().find(|(n, _)| c.name(n).is_some()).map_or(2.0, |(_, f)| *f);
    let mut pairs = pairs(&[], cited);
    pairs.extend(across(sentence, cited));
    let holds = pairs.iter().any(|(a, b)| {
        let (low, high) = (a.value.min(b.value), a.value.max(b.value));
        low > 0.0 && (high / low / factor - 1.0).abs() <= 0.1
    });
    let quoted = cited.iter().any(|f| f.text.to_lowercase().contains(&told.to_lowercase()));
    if holds || quoted { Ok(()) } else { Err(format!("`{told}` is not in the evidence")) }
}
