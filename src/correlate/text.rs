//! What an alert's text says: which things it names, and which phrases and error codes it has once
//! what varies is masked. Pure.

use std::collections::BTreeSet;

use crate::model::{Alert, AlertSource};
use crate::templates::{Piece, masked};

/// Annotations, and labels, that hold text. A log detector's alert has its template in a label.
const TEXTS: [&str; 4] = ["summary", "description", "message", "error"];
const TEXT_LABELS: [&str; 5] = ["template", "error", "error_message", "reason", "message"];
/// So much (bytes) of each is looked at.
const LONGEST_BYTES: usize = 500;
/// Phrases and named things that are kept of one alert.
const MOST_PHRASES: usize = 40;
const MOST_NAMED: usize = 6;
/// Words between words: two phrases that differ in them are one.
const SMALL: [&str; 24] = [
    "the", "a", "an", "of", "to", "in", "on", "at", "for", "is", "are", "was", "were", "has",
    "have", "with", "and", "or", "by", "from", "than", "its", "this", "that",
];
/// After these words a number is a code and no measure: `SQLSTATE 53300`, `exit code 137`.
const LEAD_IN: [&str; 5] = ["sqlstate", "errno", "code", "error", "status"];

/// What a text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Pairs of words that follow each other, and codes.
    pub(super) phrases: Vec<String>,
    /// What it names beside what the alert is about.
    pub(super) named: Vec<String>,
}

/// Reads the texts of an alert; `known` tells what is known under a name. What the labels say
/// already, such as the alert's own service, its pod and its cluster, is nothing that the text adds.
pub(super) fn said(alert: &Alert, place: &str, known: &dyn Fn(&str) -> Option<String>) -> Said {
    let labels = alert.labels.iter().filter(|(name, _)| !TEXT_LABELS.contains(name));
    let mut own: BTreeSet<String> = BTreeSet::new();
    for value in labels.map(|(_, value)| value).chain([alert.entity.name()]) {
        let value = value.to_ascii_lowercase();
        own.extend(value.split(is_cut).map(str::to_owned));
        own.insert(value);
    }
    // What our own detectors describe are their reasons, in words that all of them share.
    let ours = matches!(alert.source, AlertSource::Detector { .. });
    let texts = TEXTS.iter().filter(|name| !(ours && **name == "description"));
    let texts = texts.filter_map(|name| alert.annotations.get(name));
    let texts = texts.chain(TEXT_LABELS.iter().filter_map(|name| alert.labels.get(name)));
    let mut seen: Vec<&str> = Vec::new();
    let mut said = Said::default();
    for text in texts {
        let end = (0..=text.len().min(LONGEST_BYTES)).rev().find(|end| text.is_char_boundary(*end));
        let text = &text[..end.unwrap_or(0)];
        if !seen.contains(&text) {
            seen.push(text);
            said.read(text, &own);
            said.name(text, &own, known);
        }
    }
    said.named.retain(|named| named != place);
    said
}

/// Where a value of a label is cut into what a text may repeat of it.
fn is_cut(c: char) -> bool {
    matches!(c, '-' | '_' | '.' | '/' | ':')
}

/// A code that stands for one kind of error: `ORA-12541`, `E1045`, `x509`. What has small letters
/// or more digits is an id of one thing.
fn is_code(text: &str) -> bool {
    let letters = text.bytes().take_while(|b| b.is_ascii_uppercase()).count();
    let rest = text[letters..].trim_start_matches(['-', '_']);
    let digits = (2..=6).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit());
    text == "x509" || ((1..=5).contains(&letters) && digits)
}

impl Said {
    /// Takes in the phrases and codes of a text.
    fn read(&mut self, text: &str, own: &BTreeSet<String>) {
        // The word before in the same phrase, and the last one at all.
        let (mut before, mut last): (Option<String>, Option<String>) = (None, None);
        for piece in masked(text) {
            match piece {
                Piece::Mark => before = None,
                Piece::Varies(what) => {
                    for code in what.split(|c: char| c.is_whitespace() || c == ':' || c == ',') {
                        let lead = last.as_deref().filter(|w| LEAD_IN.contains(w));
                        let is_number = (2..=6).contains(&code.len())
                            && code.bytes().all(|b| b.is_ascii_digit());
                        match lead.filter(|_| is_number) {
                            Some(lead) => self.put(format!("{lead} {code}")),
                            None if is_code(code) && !own.contains(&code.to_ascii_lowercase()) => {
                                self.put(code.to_ascii_lowercase());
                            }
                            None => {}
                        }
                    }
                    (before, last) = (None, None);
                }
                Piece::Word(word) => {
                    let word = word.to_ascii_lowercase();
                    if SMALL.contains(&word.as_str()) {
                        continue;
                    }
                    if own.contains(&word) {
                        before = None;
                        continue;
                    }
                    if let Some(before) = before {
                        self.put(format!("{before} {word}"));
                    }
                    last = Some(word.clone());
                    before = Some(word);
                }
            }
        }
    }

    fn put(&mut self, phrase: String) {
        if self.phrases.len() < MOST_PHRASES && !self.phrases.contains(&phrase) {
            self.phrases.push(phrase);
        }
    }

    /// Takes in what a text names. A host's name may have its domain behind it, a pod's what is drawn
    /// for it: what is cut off of a name must have a digit in it, for `pay-db` is not `pay`.
    fn name(&mut self, text: &str, own: &BTreeSet<String>, known: &dyn Fn(&str) -> Option<String>) {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        for word in text.split(|c: char| !is_part(c)) {
            let word = word.trim_matches(['.', '-', '_']);
            if word.len() < 2 || own.contains(&word.to_ascii_lowercase()) {
                continue;
            }
            let host = word.split_once('.').map(|(host, _)| host);
            let mut names = vec![word];
            names.extend(host);
            let mut rest = host.unwrap_or(word);
            while let Some((stem, tail)) = rest.rsplit_once('-')
                && tail.bytes().any(|b| b.is_ascii_digit())
            {
                names.push(stem);
                rest = stem;
            }
            let is_own = |name: &&str| own.contains(&name.to_ascii_lowercase());
            if names.iter().any(is_own) || self.named.len() >= MOST_NAMED {
                continue;
            }
            let found = names.into_iter().find_map(known);
            self.named.extend(found.filter(|f| !self.named.contains(f)));
        }
    }
}
