//! Where a varying thing ends that is more than an atom: quoted values, JSON, addresses, URLs.
//!
//! Each looks ahead a bounded number of bytes or uses up what it looked at, so that no line takes
//! quadratic time.

use super::class::{CLASS, DIGIT, JOINER, LETTER, SPACE, is_domain, is_source};

/// Furthest that the end of a value in brackets is looked for, in bytes.
const LONGEST_VALUE: usize = 256;

/// One past the quoted value or the JSON object that begins at `at`, if one does. A quoted HTTP
/// request is no value: its method says what was done.
pub(super) fn literal_end(line: &[u8], at: usize) -> Option<usize> {
    match line[at] {
        b'"' | b'\'' | b'`' if opens_quote(line, at) && !is_request(&line[at + 1..]) => {
            quote_end(line, at)
        }
        b'{' if matches!(line.get(at + 1), Some(b'"' | b'\'')) => Some(object_end(line, at)),
        b'{' => map_end(line, at),
        b'[' => address_end(line, at),
        b':' if line.get(at + 1) == Some(&b':') => {
            let n = line[at..]
                .iter()
                .take(48)
                .take_while(|b| b.is_ascii_hexdigit() || **b == b':')
                .count();
            let after = line.get(at + n).map(|b| CLASS[*b as usize]);
            (n > 2 && !matches!(after, Some(LETTER | JOINER))).then_some(at + n)
        }
        _ => None,
    }
}

/// One past a map `{key=value, key=value}`, whose keys may be anything. Pairs without commas are
/// fields of a known kind.
fn map_end(line: &[u8], at: usize) -> Option<usize> {
    let rest = &line[at + 1..line.len().min(at + 512)];
    let key = rest.iter().take_while(|b| CLASS[**b as usize] == LETTER).count();
    if key == 0 || rest.get(key) != Some(&b'=') {
        return None;
    }
    let mut depth = 1_u32;
    for (i, &b) in rest.iter().enumerate() {
        match b {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1 + i + 1),
            b'}' => depth -= 1,
            b' ' if rest[i - 1] != b',' => return None,
            _ => {}
        }
    }
    None
}

/// One past an address in brackets with its port: `[fe80::1]:443`.
fn address_end(line: &[u8], at: usize) -> Option<usize> {
    let inside = line[at + 1..].iter().take(48);
    let n = inside.take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'%')).count();
    let close = at + 1 + n;
    let groups = line[at + 1..close].split(|b| *b == b':').count();
    if groups < 3 || line.get(close) != Some(&b']') {
        return None;
    }
    let port = match line.get(close + 1) {
        Some(b':') => line[close + 2..].iter().take(6).take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    Some(if port > 0 { close + 2 + port } else { close + 1 })
}

fn is_request(rest: &[u8]) -> bool {
    let method = rest.iter().take(8).take_while(|b| b.is_ascii_uppercase()).count();
    rest.get(method) == Some(&b' ')
        && matches!(
            &rest[..method],
            b"GET" | b"POST" | b"PUT" | b"DELETE" | b"HEAD" | b"PATCH" | b"OPTIONS" | b"CONNECT"
        )
}

/// One past the bracket that closes the one at `at`.
pub(super) fn bracket_end(line: &[u8], at: usize) -> usize {
    let mut depth = 0_u32;
    for (i, &b) in line.iter().enumerate().skip(at) {
        match b {
            b'[' => depth += 1,
            b']' if depth <= 1 => return i + 1,
            b']' => depth -= 1,
            _ => {}
        }
    }
    line.len()
}

/// One past the brace that closes the one at `at`; the end of the line when none does. Text in
/// double quotes is passed over.
fn object_end(line: &[u8], at: usize) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for (i, &b) in line.iter().enumerate().skip(at) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' => depth += 1,
            b'}' if depth == 1 => return i + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    line.len()
}

/// Whether the quote at `at` opens a quoted value rather than standing inside a word ("can't").
fn opens_quote(line: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|i| CLASS[line[i] as usize]);
    !matches!(before, Some(LETTER | DIGIT))
        && line.get(at + 1).is_some_and(|b| CLASS[*b as usize] != SPACE)
}

/// One past the closing quote, if there is one soon enough.
fn quote_end(line: &[u8], at: usize) -> Option<usize> {
    const LONGEST: usize = 128;
    let quote = line[at];
    let from = at + 1;
    let part = &line[from..line.len().min(from + LONGEST)];
    let n = part.iter().position(|&b| b == quote)?;
    // "'it' is": the next character ends the word.
    let after = part.get(n + 1).map(|b| CLASS[*b as usize]);
    (!matches!(after, Some(LETTER | DIGIT))).then_some(from + n + 1)
}

pub(super) fn is_key(line: &[u8], end: usize) -> bool {
    line.get(end) == Some(&b'=') && line.get(end + 1) != Some(&b'=')
}

/// One past the value of `key=` whose first atom ends at `end`: up to a blank or list mark, with
/// brackets that close before it: `Lock{101}`.
pub(super) fn value_end(line: &[u8], end: usize) -> usize {
    let mut depth = 0_u32;
    let line = &line[..line.len().min(end + LONGEST_VALUE)];
    let mut at = end;
    while let Some(&b) = line.get(at) {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' | b',' | b';' | b'"' | b'\'' if depth == 0 => return at,
            b')' | b']' | b'}' => depth -= 1,
            _ if CLASS[b as usize] == SPACE => break,
            _ => {}
        }
        at += 1;
    }
    if depth == 0 {
        return at;
    }
    // An open bracket holds more than a word: only what stands before it is the value.
    let open = line[end..at].iter().position(|b| matches!(b, b'(' | b'[' | b'{'));
    end + open.unwrap_or(0)
}

/// One past what belongs to the atom `line[start..end]`, at whose end a colon stands, if that makes
/// it one varying thing: an address with a port, a place in a file, a URL, a hardware address.
pub(super) fn colon_end(line: &[u8], start: usize, end: usize) -> Option<usize> {
    let rest = &line[end..];
    if rest.starts_with(b"://")
        || matches!(&line[start..end], b"arn" | b"urn") && rest.len() > 1 && rest[1] != b' '
    {
        return Some(url_end(line, end));
    }
    if end == start + 1 && line[start].is_ascii_alphabetic() && rest.get(1) == Some(&b'\\') {
        return Some(url_end(line, end));
    }
    let digits = rest[1..].iter().take(6).take_while(|b| b.is_ascii_digit()).count();
    if (2..=5).contains(&digits) && is_place(&line[start..end]) {
        let after = rest.get(1 + digits).map(|b| CLASS[*b as usize]);
        if !matches!(after, Some(LETTER | JOINER)) {
            return Some(end + 1 + digits);
        }
    }
    if rest.starts_with(b"::")
        && line[start..end].iter().all(u8::is_ascii_hexdigit)
        && end - start <= 4
    {
        let n = rest.iter().take(48).take_while(|b| b.is_ascii_hexdigit() || **b == b':').count();
        let after = rest.get(n).map(|b| CLASS[*b as usize]);
        if !matches!(after, Some(LETTER | JOINER)) {
            return Some(end + n);
        }
    }
    let is_group = |g: &[u8]| (1..=4).contains(&g.len()) && g.iter().all(u8::is_ascii_hexdigit);
    if !is_group(&line[start..end]) {
        return None;
    }
    let (mut at, mut groups) = (end, 1);
    while line.get(at) == Some(&b':') {
        let n = line[at + 1..].iter().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
        if n > 4 || (n == 0 && line.get(at + 1) != Some(&b':')) {
            break;
        }
        at += 1 + n;
        groups += 1;
    }
    (groups >= 4).then_some(at)
}

/// Whether a number after a colon makes this a place: of a network or of a source file.
fn is_place(name: &[u8]) -> bool {
    let labels = name.split(|b| *b == b'.').count();
    let last = name.rsplit(|b| *b == b'.').next().unwrap_or_default();
    labels >= 3
        || (labels == 2 && (is_domain(last) || is_source(last)))
        || (labels == 1 && name.iter().any(u8::is_ascii_digit) && name[0].is_ascii_lowercase())
}

pub(super) fn url_end(line: &[u8], from: usize) -> usize {
    line[from..]
        .iter()
        .position(|&b| {
            CLASS[b as usize] == SPACE
                || matches!(b, b'"' | b'\'' | b',' | b')' | b']' | b'}' | b'>' | b';')
        })
        .map_or(line.len(), |n| from + n)
}
