//! What an atom is by its letters, digits and joiners.

use super::class::{is_domain, is_file, is_literal};
use super::lex::Kind;

/// A longer atom is data: an encoded blob, not a word.
const LONGEST_WORD_BYTES: usize = 64;

/// What a scan over an atom's bytes has counted.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) digits: u32,
    pub(super) letters: u32,
    pub(super) joiners: u32,
    pub(super) slashes: u32,
    pub(super) dots: u32,
    pub(super) ats: u32,
}

#[inline]
pub(super) fn classify(text: &[u8], counts: Counts) -> Kind {
    let first = text[0];
    if counts.digits == 0 {
        if counts.joiners == 0 {
            if (4..=5).contains(&text.len()) && is_literal(text) {
                return Kind::Var;
            }
            if text.len() >= 8 && text.iter().all(u8::is_ascii_hexdigit) {
                return Kind::Var;
            }
            let plain = text.len() <= LONGEST_WORD_BYTES;
            return if plain { Kind::Word } else { Kind::Var };
        }
        return joined(text, counts);
    }
    if counts.letters == 0 || first.is_ascii_digit() || text.len() > LONGEST_WORD_BYTES {
        return Kind::Var;
    }
    if counts.digits >= 2 || counts.slashes > 0 || counts.ats > 0 {
        return Kind::Var;
    }
    if counts.dots > 0 {
        let label = text.rsplit(|&b| b == b'.').next().unwrap_or_default();
        if is_domain(label) || is_file(label) {
            return Kind::Var;
        }
    }
    // One digit: `ssh2` and `L3` are names; `node-3` and `core.7` are numbered things.
    let i = text.iter().position(u8::is_ascii_digit).unwrap_or(0);
    let joined_before = i == 0 || !text[i - 1].is_ascii_alphabetic();
    if joined_before || text[..i].contains(&b'-') {
        return Kind::Var;
    }
    if text.len() >= 5 && text.iter().all(u8::is_ascii_hexdigit) {
        return Kind::Var;
    }
    Kind::Name
}

/// An atom of letters and joiners without digits.
fn joined(text: &[u8], counts: Counts) -> Kind {
    let first = text[0];
    if matches!(first, b'/' | b'~' | b'\\') || counts.slashes >= 2 {
        return Kind::Var;
    }
    if counts.slashes == 1 && counts.dots > 0 {
        return Kind::Var;
    }
    if counts.ats > 0 && counts.letters > 1 && first != b'@' {
        return Kind::Var;
    }
    if counts.dots > 0 {
        let label = text.rsplit(|&b| b == b'.').next().unwrap_or_default();
        if is_domain(label) || is_file(label) {
            return Kind::Var;
        }
        return Kind::Name;
    }
    if text.len() > LONGEST_WORD_BYTES { Kind::Var } else { Kind::Word }
}
