//! Lexing with masking: one pass over a line's bytes to tokens, of which those that certainly vary
//! are [`Kind::Var`]. Looks at no byte more than a few times, whatever the line.

use serde::{Deserialize, Serialize};

use super::class::{CLASS, DIGIT, JOINER, LETTER, PUNCT, SPACE, is_unit};
use super::kind::{Counts, classify};
use super::runs::{push_punct, push_var};
use super::spans::{bracket_end, colon_end, is_key, literal_end, url_end, value_end};

/// Longest part of a message that is looked at, in bytes; what follows belongs to the message's data.
pub(super) const LONGEST_BYTES: usize = 2_048;
/// Most tokens that are kept of a message.
pub(super) const MOST_TOKENS: usize = 128;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Surely varies.
    Var,
    /// Letters only: probably part of the statement.
    Word,
    /// Word-like with a digit, dot, slash or underscore: a name, which may vary.
    Name,
    /// Stands before `=`: part of the statement.
    Key,
    /// Punctuation.
    Punct,
}

/// One token of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// Hash of kind and text; equal for all of [`Kind::Var`].
    pub(super) hash: u64,
    /// First byte in the message.
    pub(super) start: u32,
    /// One past the last byte in the message.
    pub(super) end: u32,
    /// What it is.
    pub(super) kind: Kind,
    /// A blank stands before it.
    pub(super) spaced: bool,
}

/// Hash of every variable token.
pub(super) const VAR_HASH: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes `value` into `hash`: multiply, then fold the halves (the step of wyhash, Wang Yi 2019).
#[inline]
pub(super) fn mix(hash: u64, value: u64) -> u64 {
    let wide =
        u128::from(hash ^ value) * u128::from(0xa076_1d64_78bd_642f_u64 ^ value.rotate_left(32));
    (wide as u64) ^ ((wide >> 64) as u64)
}

pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = 0xe703_7ed1_a0b4_28db ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0_u8; 8];
        word.copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut word = 0_u64;
        for &b in rest {
            word = (word << 8) | u64::from(b);
        }
        hash = mix(hash, word | 1 << 63);
    }
    hash
}

/// Cuts a message into masked tokens; `tokens` is emptied first and keeps its room. Gives the hash
/// of them all.
pub(super) fn lex(line: &[u8], tokens: &mut Vec<Token>) -> u64 {
    tokens.clear();
    scan(line, tokens);
    signature(tokens)
}

/// Hash of the tokens.
pub(super) fn signature(tokens: &[Token]) -> u64 {
    tokens.iter().fold(tokens.len() as u64, |hash, t| mix(hash, t.hash))
}

fn scan(line: &[u8], tokens: &mut Vec<Token>) {
    let line = &line[..line.len().min(LONGEST_BYTES)];
    let mut at = 0;
    let mut spaced = false;
    // The next atom is the value of `key=`.
    let mut value = false;
    while at < line.len() && tokens.len() < MOST_TOKENS {
        let byte = line[at];
        match CLASS[byte as usize] {
            SPACE => {
                spaced = true;
                at += 1;
                continue;
            }
            PUNCT => {
                if let Some(end) = literal_end(line, at) {
                    push_var(tokens, line, at, end, spaced);
                    (at, spaced, value) = (end, false, false);
                    continue;
                }
                if byte == b'<' && line.get(at + 1).is_some_and(u8::is_ascii_digit) {
                    // "<1 sec": belongs to the number.
                    at += 1;
                    continue;
                }
                if byte == b'=' && !spaced && closes_var(tokens, at) && !starts_value(line, at + 1)
                {
                    // The padding of base64.
                    if let Some(last) = tokens.last_mut() {
                        last.end += 1;
                    }
                    at += 1;
                    continue;
                }
                push_punct(tokens, line, at, at + 1, spaced);
                value = byte == b'='
                    && !matches!(line.get(at.wrapping_sub(1)), Some(b'=' | b'!' | b'<' | b'>'));
                at += 1;
            }
            _ => {
                let (end, counts) = atom(line, at);
                let whole = if value && !is_key(line, end) {
                    Some(value_end(line, end))
                } else if line.get(end) == Some(&b':') {
                    colon_end(line, at, end)
                } else if line.get(end) == Some(&b'[') && &line[at..end] == b"map" {
                    // A map as Go prints it.
                    Some(bracket_end(line, end))
                } else if byte == b'/' && end > at + 1 {
                    // A path, with its query.
                    Some(url_end(line, end))
                } else {
                    None
                };
                let end = if let Some(end) = whole {
                    push_var(tokens, line, at, end, spaced);
                    end
                } else {
                    take_atom(tokens, line, at, end, Around { counts, spaced })
                };
                at = end;
                value = false;
            }
        }
        spaced = false;
    }
}

fn closes_var(tokens: &[Token], at: usize) -> bool {
    tokens.last().is_some_and(|t| t.kind == Kind::Var && t.end as usize == at)
}

fn starts_value(line: &[u8], at: usize) -> bool {
    line.get(at).is_some_and(|b| {
        matches!(CLASS[*b as usize], LETTER | DIGIT | JOINER)
            || matches!(b, b'"' | b'\'' | b'[' | b'{' | b'(')
    })
}

/// Where an atom stands.
#[derive(Clone, Copy)]
struct Around {
    counts: Counts,
    spaced: bool,
}

/// Pushes the atom `line[start..end]`; gives where lexing goes on.
fn take_atom(
    tokens: &mut Vec<Token>,
    line: &[u8],
    start: usize,
    end: usize,
    around: Around,
) -> usize {
    let Around { counts, spaced } = around;
    if counts.digits == 0 && counts.letters == 0 {
        push_punct(tokens, line, start, end, spaced);
        return end;
    }
    // A sentence's full stop and the like are no part of the word.
    let mut stop = end;
    while stop > start && matches!(line[stop - 1], b'.' | b'-' | b'*' | b'+' | b'&') {
        stop -= 1;
    }
    let text = &line[start..stop];
    if stop < end && line.get(end) == Some(&b'[') {
        // "node-[3-7,9]": a range of numbered things.
        let inside = line[end + 1..].iter().take(64);
        let n = inside.take_while(|b| b.is_ascii_digit() || matches!(b, b'-' | b',')).count();
        if n > 0 && line.get(end + 1 + n) == Some(&b']') {
            push_var(tokens, line, start, end + n + 2, spaced);
            return end + n + 2;
        }
    }
    let kind = if is_key(line, stop) && counts.letters > 0 && !text[0].is_ascii_digit() {
        Kind::Key
    } else if text.len() >= 16 && line[stop..].starts_with(b"==") {
        // Base64 with its padding.
        Kind::Var
    } else {
        classify(text, counts)
    };
    match kind {
        Kind::Var => push_var(tokens, line, start, stop, spaced),
        kind => {
            let after_number = tokens.last().is_some_and(|t| t.kind == Kind::Var);
            if after_number && is_unit(text) && ends_in_number(tokens, line) {
                if let Some(last) = tokens.last_mut() {
                    last.end = stop as u32;
                }
            } else {
                let hash = hash_bytes(text);
                tokens.push(Token { hash, start: start as u32, end: stop as u32, kind, spaced });
            }
        }
    }
    if stop < end && tokens.len() < MOST_TOKENS {
        push_punct(tokens, line, stop, end, false);
    }
    end
}

fn ends_in_number(tokens: &[Token], line: &[u8]) -> bool {
    tokens.last().is_some_and(|t| {
        line[t.start as usize..t.end as usize].last().is_some_and(|b| b.is_ascii_digit())
    })
}

/// Scans from `start` over letters, digits and joiners; stops before two dots in a row.
#[inline]
fn atom(line: &[u8], start: usize) -> (usize, Counts) {
    let mut counts = Counts::default();
    let mut at = start;
    while at < line.len() {
        let byte = line[at];
        match CLASS[byte as usize] {
            LETTER => counts.letters += 1,
            DIGIT => counts.digits += 1,
            JOINER => {
                match byte {
                    b'.' => {
                        if line.get(at + 1) == Some(&b'.') {
                            if at == start {
                                while line.get(at) == Some(&b'.') {
                                    at += 1;
                                }
                            }
                            return (at, counts);
                        }
                        counts.dots += 1;
                    }
                    b'/' | b'\\' => counts.slashes += 1,
                    b'@' => counts.ats += 1,
                    _ => {}
                }
                counts.joiners += 1;
            }
            _ => break,
        }
        at += 1;
    }
    (at, counts)
}
