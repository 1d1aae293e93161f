//! Verifies sentences against the evidence that they cite. Pure.
//!
//! A sentence stands when it cites evidence and every number, time, version and command in it
//! occurs there, rounded or in another unit of time at most. What can't be verified is cut.

use std::collections::BTreeSet;

use regex::Regex;

use crate::model::{Evidence, diagnosis::Finding};

use super::Citation;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern compiles")
}

/// All that may be quoted from evidence.
fn quotable(e: &Evidence) -> String {
    let mut text = e.summary.clone();
    match &e.finding {
        Finding::Logs { examples, .. } => {
            text.extend(examples.iter().map(|l| format!("\n{}", l.body)));
        }
        Finding::Change { change } => {
            for part in [Some(&change.title), change.version.as_ref(), change.previous.as_ref()] {
                text.extend(part.map(|p| format!("\n{p}")));
            }
        }
        Finding::Runbook { excerpt, .. } => text.push_str(&format!("\n{excerpt}")),
        _ => {}
    }
    text
}

/// A number with its unit: its size in the base unit, half of its last digit, the dimension.
fn quantity(digits: &str, unit: &str) -> Option<(f64, f64, String)> {
    let value: f64 = digits.parse().ok()?;
    let decimals = digits.split_once('.').map_or(0, |(_, d)| d.len());
    let half = 0.5 * 10_f64.powi(-(decimals as i32));
    let (factor, dimension) = match unit {
        "ms" => (0.001, "time"),
        "s" | "seconds" | "second" => (1.0, "time"),
        "min" | "minutes" | "minute" => (60.0, "time"),
        "h" | "hours" | "hour" => (3_600.0, "time"),
        "%" | "MiB" | "GiB" => (1.0, unit),
        _ => (1.0, ""),
    };
    Some((value * factor, half * factor, dimension.to_owned()))
}

/// Times, versions and other compounds as whole tokens, and plain numbers as quantities.
fn figures(text: &str) -> (BTreeSet<String>, Vec<(f64, f64, String)>) {
    let token = pattern(r"\d[\w]*(?:[.:/-]\w+)*");
    let plain = pattern(r"^(\d+(?:\.\d+)?)([A-Za-z%]*)$");
    let unit = pattern(r"^\s?(ms|s|seconds?|min|minutes?|h|hours?|%|MiB|GiB)(?:\W|$)");
    let (mut whole, mut numbers) = (BTreeSet::new(), Vec::new());
    for m in token.find_iter(text) {
        let alone = !text[..m.start()].ends_with(|c: char| c.is_alphanumeric() || c == '-');
        match plain.captures(m.as_str()).filter(|_| alone) {
            Some(c) => {
                let after = unit.captures(&text[m.end()..]);
                let after = after.as_ref().and_then(|u| u.get(1)).map_or("", |u| u.as_str());
                let own = c.get(2).map_or("", |u| u.as_str());
                numbers.extend(quantity(&c[1], if own.is_empty() { after } else { own }));
            }
            None => {
                whole.insert(m.as_str().to_owned());
            }
        }
    }
    (whole, numbers)
}

/// Why a sentence is cut; `Ok` when it stands.
pub(super) fn check(sentence: &str, citations: &[Citation]) -> Result<(), String> {
    let marks = pattern(r"\[(\d+)\]");
    let mut evidence = String::new();
    let mut n_cited = 0;
    for c in marks.captures_iter(sentence) {
        let n: u32 = c[1].parse().map_err(|_| "a citation is no number".to_owned())?;
        let cited = citations.iter().find(|c| c.n == n).ok_or(format!("[{n}] does not exist"))?;
        evidence.push_str(&quotable(&cited.evidence));
        evidence.push('\n');
        n_cited += 1;
    }
    if n_cited == 0 {
        return Err("it cites nothing".into());
    }
    let words = marks.replace_all(sentence, "");
    for c in pattern(r"`([^`]*)`").captures_iter(&words) {
        if !evidence.contains(&c[1]) {
            return Err(format!("`{}` is not in the evidence", &c[1]));
        }
    }
    let spelled = r"(?i)\b(two|three|four|five|six|seven|eight|nine|ten|dozens?|hundreds?|thousands?|millions?|half|twice|doubled?|tripled?)\b";
    for m in pattern(spelled).find_iter(&words) {
        if !evidence.to_lowercase().contains(&m.as_str().to_lowercase()) {
            return Err(format!("`{}` is not in the evidence", m.as_str()));
        }
    }
    let (whole, numbers) = figures(&words);
    let (known_whole, known) = figures(&evidence);
    if let Some(token) = whole
        .iter()
        .find(|t| !known_whole.iter().any(|k| k == *t || k.starts_with(&format!("{t}:"))))
    {
        return Err(format!("`{token}` is not in the evidence"));
    }
    for (value, half, dimension) in numbers {
        let fits = |k: &&(f64, f64, String)| {
            k.2 == dimension && (k.0 - value).abs() <= half.min(k.0.abs() * 0.05) + 1e-9
        };
        if !known.iter().any(|k| fits(&k)) {
            return Err(format!("the figure {value} is not in the evidence"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EvidenceId, Time};
    use proptest::prelude::*;

    fn cited(text: &str) -> Vec<Citation> {
        let at = Time::from_ms(1);
        let evidence = Evidence {
            id: EvidenceId::derive(at, &[text]),
            incident: None,
            at,
            summary: text.to_owned(),
            source: "store".into(),
            query: "test".into(),
            since: at,
            until: at,
            finding: Finding::Record { id: "x".into(), text: text.to_owned() },
        };
        vec![Citation { n: 1, evidence }]
    }

    #[test]
    fn what_the_evidence_says_stands_and_the_rest_is_cut() {
        let c = cited("2026-11-21 14:40 UTC orders: deploy 4.7.2; p99 1.234 s, 15 min, 12 lines");
        for good in [
            "Orders was deployed at 14:40 as 4.7.2 [1].",
            "Its p99 is 1.23 s [1].",
            "Its p99 is 1234 ms [1].",
            "12 lines in 900 s [1].",
        ] {
            assert_eq!(check(good, &c), Ok(()), "{good}");
        }
        for bad in [
            "Orders was deployed.",
            "Deployed at 14:41 [1].",
            "Version 4.7.3 [1].",
            "Its p99 is 1.23 min [1].",
            "Its p99 is 1.34 s [1].",
            "Run `rm -rf data` [1].",
            "It doubled [1].",
            "Quoted [2].",
        ] {
            assert!(check(bad, &c).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_invented_number_is_always_cut(n in 1_u32..100_000, m in 1_u32..100_000) {
            prop_assume!(n != m);
            let c = cited(&format!("{n} lines"));
            let (same, other) = (format!("{n} lines [1]."), format!("{m} lines [1]."));
            prop_assert!(check(&same, &c).is_ok());
            prop_assert!(check(&other, &c).is_err());
        }

        #[test]
        fn any_text_is_checked_without_a_panic(text in "\\PC{0,80}") {
            let _ = check(&format!("{text} [1]"), &cited(&text));
        }
    }
}
