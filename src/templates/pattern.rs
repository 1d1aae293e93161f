//! One template's tokens, and what it costs a line to join it.

use serde::{Deserialize, Serialize};

use super::class::{is_lead_in, is_preposition};
use super::lex::{Kind, Token, VAR_HASH, mix};
use super::tree::Key;

/// A template's token: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) hash: u64,
    /// One past its last byte in the pattern's text.
    end: u16,
    pub(super) kind: Kind,
    spaced: bool,
}

/// A template's tokens with their text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pattern {
    pub(super) parts: Vec<Part>,
    bytes: String,
}

/// What stands for a variable in a template's text.
pub(super) const WILD: &str = "<*>";

/// A mismatch of two names, such as `com.a.b` and `com.c.d`, in a place.
const COST_NAMES: f64 = 0.25;
/// One side already varies.
const COST_VARIED: f64 = 0.3;
/// Two words after a word that leads in a value, such as `user`.
const COST_LED_IN: f64 = 0.5;
/// The most that may differ, relative to the words in common.
const MOST_COST: f64 = 0.2;

/// Words that a pattern must have to stand for lines of another shape.
const FEWEST_WORDS: u32 = 2;
/// What a mark in common says, against a word in common.
const MARK: f64 = 0.25;

impl Pattern {
    pub(super) fn new(message: &[u8], tokens: &[Token]) -> Self {
        let mut bytes = String::new();
        let parts = tokens
            .iter()
            .map(|t| {
                if t.kind != Kind::Var {
                    let text = &message[t.start as usize..t.end as usize];
                    bytes.extend(String::from_utf8_lossy(text).chars().map(shown));
                }
                let end = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
                Part { hash: t.hash, end, kind: t.kind, spaced: t.spaced }
            })
            .collect();
        bytes.shrink_to_fit();
        Self { parts, bytes }
    }

    fn word(&self, place: usize) -> &str {
        let start = if place == 0 { 0 } else { self.parts[place - 1].end };
        self.bytes.get(usize::from(start)..usize::from(self.parts[place].end)).unwrap_or_default()
    }

    /// What it costs a line with these tokens, of the same shape, to join: 0 when the pattern
    /// covers it; with how many words they share. `None` when they are too unlike.
    pub(super) fn cost(&self, tokens: &[Token]) -> Option<(f64, u32)> {
        let (mut same, mut marks, mut cost) = (0_u32, 0_u32, 0.0);
        for (place, (part, token)) in self.parts.iter().zip(tokens).enumerate() {
            if part.kind == Kind::Punct {
                marks += 1;
                continue;
            }
            if part.hash == token.hash {
                if part.kind != Kind::Var {
                    same += 1;
                }
                continue;
            }
            match (part.kind, token.kind) {
                (Kind::Key, _) | (_, Kind::Key) => return None,
                // Known to vary.
                (Kind::Var, _) => continue,
                _ => {}
            }
            cost += match (part.kind, token.kind) {
                (_, Kind::Var) => COST_VARIED,
                (Kind::Name, Kind::Name) => COST_NAMES,
                _ if self.is_led_in(place) => COST_LED_IN,
                _ => return None,
            };
        }
        if cost == 0.0 {
            return Some((0.0, same));
        }
        (same > 0 && cost <= MOST_COST * (f64::from(same) + MARK * f64::from(marks)))
            .then_some((cost, same))
    }

    /// How many words the line has in common when this covers it chunk by chunk, though its shape
    /// is another; `None` when it does not, or has too few words to tell.
    pub(super) fn covers_chunks(&self, tokens: &[Token]) -> Option<u32> {
        stands_for(&self.parts, tokens).filter(|n| *n >= FEWEST_WORDS)
    }

    /// The same for another pattern.
    pub(super) fn covers_chunks_of(&self, other: &Pattern) -> bool {
        stands_for(&self.parts, &other.parts).is_some_and(|n| n >= FEWEST_WORDS)
    }

    /// Whether the place is the value of something: after a word such as `user` or a programmer's
    /// name with a colon, such as `pageName: `.
    fn is_led_in(&self, place: usize) -> bool {
        if self.word_before(place).is_some_and(is_lead_in) {
            return true;
        }
        place >= 2
            && self.word(place - 1) == ":"
            && self.word_before(place - 1).is_some_and(|w| {
                w.iter().skip(1).any(|b| b.is_ascii_uppercase() || *b == b'_') || is_lead_in(w)
            })
    }

    /// Whether a preposition stands before the place.
    pub(super) fn is_after_preposition(&self, place: usize) -> bool {
        self.word_before(place).is_some_and(is_preposition)
    }

    fn word_before(&self, place: usize) -> Option<&[u8]> {
        let before = place.checked_sub(1).filter(|i| self.parts[*i].kind == Kind::Word)?;
        Some(self.word(before).as_bytes())
    }

    /// Makes every place vary in which the tokens differ.
    pub(super) fn widen(&mut self, tokens: &[Token]) {
        for (place, token) in tokens.iter().enumerate().take(self.parts.len()) {
            if self.parts[place].hash != token.hash {
                self.vary(place);
            }
        }
    }

    /// Whether every line of the other, of the same shape, is one of this.
    pub(super) fn covers(&self, other: &Pattern) -> bool {
        self.parts.len() == other.parts.len()
            && self
                .parts
                .iter()
                .zip(&other.parts)
                .all(|(a, b)| a.kind == Kind::Var || a.hash == b.hash)
    }

    /// Makes a place vary.
    pub(super) fn vary(&mut self, place: usize) {
        if self.parts[place].kind == Kind::Var {
            return;
        }
        let start = if place == 0 { 0 } else { self.parts[place - 1].end };
        let end = self.parts[place].end;
        if self.bytes.get(usize::from(start)..usize::from(end)).is_some() {
            self.bytes.replace_range(usize::from(start)..usize::from(end), "");
            for part in &mut self.parts[place..] {
                part.end = part.end.saturating_sub(end.saturating_sub(start));
            }
        }
        (self.parts[place].kind, self.parts[place].hash) = (Kind::Var, VAR_HASH);
    }

    /// The template's text, `<*>` for what varies.
    pub(super) fn text(&self) -> String {
        let mut out = String::with_capacity(self.bytes.len() + self.parts.len() * 2);
        for (place, part) in self.parts.iter().enumerate() {
            if part.spaced && !out.is_empty() {
                out.push(' ');
            }
            out.push_str(if part.kind == Kind::Var { WILD } else { self.word(place) });
        }
        out
    }

    pub(super) fn leading(&self) -> u64 {
        self.parts.first().map_or(0, |p| if p.kind == Kind::Var { 0 } else { p.hash })
    }
}

/// One word of a line with what is written against it: `(name,` is one.
trait Piece: Copy {
    fn hash(self) -> u64;
    fn kind(self) -> Kind;
    fn spaced(self) -> bool;
}

impl Piece for Part {
    fn hash(self) -> u64 {
        self.hash
    }
    fn kind(self) -> Kind {
        self.kind
    }
    fn spaced(self) -> bool {
        self.spaced
    }
}

impl Piece for Token {
    fn hash(self) -> u64 {
        self.hash
    }
    fn kind(self) -> Kind {
        self.kind
    }
    fn spaced(self) -> bool {
        self.spaced
    }
}

/// Pieces up to the next blank.
fn chunks<P: Piece>(pieces: &[P]) -> impl Iterator<Item = &[P]> {
    pieces.chunk_by(|_, next| !next.spaced())
}

/// How many words both have, if what varies in the pattern may stand for what the line has in its
/// place, up to a whole chunk: `<*>` for `ns:pod(7)`.
fn stands_for<P: Piece>(pattern: &[Part], line: &[P]) -> Option<u32> {
    // Most are told apart by their ends.
    let differ = |a: Option<&Part>, b: Option<&P>| {
        a.zip(b).is_none_or(|(a, b)| a.kind != Kind::Var && a.hash != b.hash())
    };
    if differ(pattern.first(), line.first()) || differ(pattern.last(), line.last()) {
        return None;
    }
    let (mut ours, mut theirs) = (chunks(pattern), chunks(line));
    let mut words = 0;
    loop {
        let (a, b) = match (ours.next(), theirs.next()) {
            (Some(a), Some(b)) => (a, b),
            (None, None) => return Some(words),
            _ => return None,
        };
        let before = a.iter().take_while(|p| p.kind != Kind::Var).count();
        let same = |a: &[Part], b: &[P]| a.iter().zip(b).all(|(a, b)| a.hash == b.hash());
        let fits = if before == a.len() {
            a.len() == b.len() && same(a, b)
        } else {
            let after = a.len() - before - 1;
            let only = a[before + 1..].iter().all(|p| p.kind == Kind::Punct);
            let marks = a[..before].iter().all(|p| p.kind == Kind::Punct);
            let keyless = b.iter().all(|p| p.kind() != Kind::Key);
            only && marks
                && keyless
                && b.len() > before + after
                && same(&a[..before], b)
                && same(&a[before + 1..], &b[b.len() - after..])
                || a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| {
                        a.kind == Kind::Var && b.kind() != Kind::Punct || a.hash == b.hash()
                    })
        };
        if !fits {
            return None;
        }
        words += a.iter().filter(|p| matches!(p.kind, Kind::Word | Kind::Name)).count() as u32;
    }
}

/// The character as it may be shown: none that controls a terminal or the direction of writing.
fn shown(c: char) -> char {
    let hidden = c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if hidden { char::REPLACEMENT_CHARACTER } else { c }
}

/// Hash of what the shape of a line is: its punctuation and where its words and variables stand.
fn shape(tokens: &[Token]) -> u64 {
    tokens.iter().fold(tokens.len() as u64, |hash, t| {
        mix(hash, if t.kind == Kind::Punct { t.hash } else { VAR_HASH })
    })
}

/// Where the tree has templates for such a line.
pub(super) fn key(tokens: &[Token]) -> Key {
    let chunks = chunks(tokens).count() as u64;
    Key { shape: shape(tokens), chunks, leading: leading(tokens) }
}

/// Hash of the first token, 0 when it varies.
fn leading(tokens: &[Token]) -> u64 {
    tokens.first().map_or(0, |t| if t.kind == Kind::Var { 0 } else { t.hash })
}
