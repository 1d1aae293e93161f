//! Putting tokens together: runs of variables, brackets around them and lists of them are one.

use super::class::is_calendar;
use super::lex::{Kind, Token, VAR_HASH, hash_bytes};

/// Pushes punctuation; an opening and closing bracket around nothing but a variable right after
/// a variable belongs to that: `10.0.0.1 (10.0.0.1)`.
pub(super) fn push_punct(
    tokens: &mut Vec<Token>,
    line: &[u8],
    start: usize,
    end: usize,
    spaced: bool,
) {
    if end - start == 1 && matches!(line[start], b')' | b']') {
        let open = if line[start] == b')' { b'(' } else { b'[' };
        fold_items(tokens, line, open);
        let n = tokens.len();
        let is_open = |t: &Token| t.kind == Kind::Punct && line[t.start as usize] == open;
        let is_var = |t: &Token| t.kind == Kind::Var;
        if n >= 3 && is_var(&tokens[n - 1]) && is_open(&tokens[n - 2]) && is_var(&tokens[n - 3]) {
            tokens.truncate(n - 2);
            tokens[n - 3].end = end as u32;
            return;
        }
        if n >= 2 && is_open(&tokens[n - 1]) && is_var(&tokens[n - 2]) {
            tokens.truncate(n - 1);
            tokens[n - 2].end = end as u32;
            return;
        }
    }
    let text = &line[start..end];
    // A leader of dots or dashes has any length.
    let text = if text.len() > 2 && text.iter().all(|b| *b == text[0]) { &text[..2] } else { text };
    tokens.push(Token {
        hash: hash_bytes(text),
        start: start as u32,
        end: end as u32,
        kind: Kind::Punct,
        spaced,
    });
}

/// Pushes a variable; runs of variables, joined by blanks or list marks, are one.
pub(super) fn push_var(
    tokens: &mut Vec<Token>,
    line: &[u8],
    start: usize,
    end: usize,
    spaced: bool,
) {
    let text = |t: &Token| &line[t.start as usize..t.end as usize];
    let mut spaced = spaced;
    let mut start = start as u32;
    // "Sun, Jul 17": the names before the number are part of the date.
    while line[start as usize].is_ascii_alphanumeric() {
        let n = tokens.len();
        let comma = n >= 2 && text(&tokens[n - 1]) == b",";
        let Some(name) = n.checked_sub(if comma { 2 } else { 1 }).map(|i| tokens[i]) else { break };
        if name.kind != Kind::Word || !is_calendar(text(&name)) {
            break;
        }
        (start, spaced) = (name.start, name.spaced);
        tokens.truncate(n - if comma { 2 } else { 1 });
    }
    let n = tokens.len();
    if n >= 1
        && tokens[n - 1].kind == Kind::Var
        && (!spaced
            || line[start as usize] == b'*'
            || (is_numeric(text(&tokens[n - 1])) && is_numeric(&line[start as usize..end])))
    {
        tokens[n - 1].end = end as u32;
        return;
    }
    if n >= 2
        && tokens[n - 2].kind == Kind::Var
        && tokens[n - 1].kind == Kind::Punct
        && matches!(
            text(&tokens[n - 1]),
            b"," | b":" | b"." | b"-" | b"/" | b"|" | b"+" | b"*" | b"#" | b"##"
        )
    {
        tokens.truncate(n - 1);
        tokens[n - 2].end = end as u32;
        return;
    }
    tokens.push(Token { hash: VAR_HASH, start, end: end as u32, kind: Kind::Var, spaced });
}

/// Makes one variable of a list of single words or variables, `[a, b, c]`, of which the closing
/// bracket comes next.
fn fold_items(tokens: &mut Vec<Token>, line: &[u8], open: u8) {
    let mut first = tokens.len();
    let mut item = true;
    while let Some(token) = first.checked_sub(1).map(|i| tokens[i]) {
        let byte = line[token.start as usize];
        match token.kind {
            Kind::Var | Kind::Word | Kind::Name if item => item = false,
            Kind::Punct if !item && byte == b',' => item = true,
            Kind::Punct if !item && byte == open => break,
            _ => return,
        }
        first -= 1;
    }
    if first > 0 && tokens.len() - first >= 3 {
        let (end, spaced) = (tokens[tokens.len() - 1].end, tokens[first].spaced);
        let start = tokens[first].start;
        tokens.truncate(first);
        tokens.push(Token { hash: VAR_HASH, start, end, kind: Kind::Var, spaced });
    }
}

/// Numbers, dates, times, sizes: ends in a digit or begins with one.
fn is_numeric(text: &[u8]) -> bool {
    text.get(..3).is_some_and(is_calendar)
        || text.first().is_some_and(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'<'))
        || text.iter().all(|b| !b.is_ascii_alphabetic() || b.is_ascii_hexdigit())
}

/// Leaves one of groups of tokens that repeat one after the other, with something in them that
/// varies: the items of a list, of which there may be any number. Looks for groups of up to 16
/// tokens; gives whether anything was left out.
pub(super) fn fold_lists(tokens: &mut Vec<Token>) -> bool {
    let before = tokens.len();
    for period in 1..=16_usize {
        let mut at = 0;
        while at + 2 * period <= tokens.len() {
            let same = (at..tokens.len() - period)
                .take_while(|&i| tokens[i].hash == tokens[i + period].hash)
                .count();
            // One more or less of the same kind may be another statement; three are a list.
            let copies = if period == 1 && same < 2 { 0 } else { same / period };
            let varies = tokens[at..at + period].iter().any(|t| t.kind == Kind::Var);
            if copies == 0 || !varies {
                at += 1;
                continue;
            }
            let cut = at + period;
            tokens.drain(cut..cut + copies * period);
            at = cut;
        }
    }
    tokens.len() < before
}
