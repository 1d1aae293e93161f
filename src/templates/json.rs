//! A reader of one JSON object a line: top-level fields only, without building a tree.

use std::borrow::Cow;

use super::record::{Record, take_field};

/// Most fields that are read.
const MOST_FIELDS: usize = 256;

/// The record of a line that is a JSON object; `None` when it is none. An object without a message
/// is described by its fields as `key=value`.
pub(super) fn read(line: &[u8]) -> Option<Record<'_>> {
    // Few have no message: those are read twice.
    read_fields(line, false)
}

fn read_fields(line: &[u8], describe: bool) -> Option<Record<'_>> {
    let mut described = Vec::new();
    let mut record = Record::default();
    let mut has_message = false;
    let mut at = skip(line, 1);
    if line.get(at) == Some(&b'}') {
        return None;
    }
    for _ in 0..MOST_FIELDS {
        let (key, used) = string(line.get(at..)?)?;
        at = skip(line, at + used);
        if line.get(at) != Some(&b':') {
            return None;
        }
        at = skip(line, at + 1);
        let rest = line.get(at..)?;
        if rest.first() == Some(&b'"') {
            let (value, used) = string(rest)?;
            at += used;
            has_message |= take_field(&mut record, &key, value);
        } else {
            at += value_len(rest)?;
        }
        if described.len() < super::lex::LONGEST_BYTES && describe {
            described.extend_from_slice(&key);
            described.extend_from_slice(b"=0 ");
        }
        at = skip(line, at);
        match line.get(at) {
            Some(b',') => at = skip(line, at + 1),
            Some(b'}') => break,
            _ => return None,
        }
    }
    if has_message && !record.message.is_empty() {
        return Some(record);
    }
    if !describe {
        return read_fields(line, true);
    }
    record.message = Cow::Owned(described);
    Some(record)
}

fn skip(line: &[u8], from: usize) -> usize {
    from + line.iter().skip(from).take_while(|b| b.is_ascii_whitespace()).count()
}

/// Length of a number, literal, array or object.
fn value_len(rest: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for (i, &b) in rest.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' if depth == 0 => return (i > 0).then_some(i),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The string in double quotes at the start of `rest`, escapes resolved, and how many bytes it
/// takes.
pub(super) fn string(rest: &[u8]) -> Option<(Cow<'_, [u8]>, usize)> {
    if rest.first() != Some(&b'"') {
        return None;
    }
    let body = &rest[1..];
    let plain = body.iter().position(|b| matches!(b, b'"' | b'\\'))?;
    if body[plain] == b'"' {
        return Some((Cow::Borrowed(&body[..plain]), plain + 2));
    }
    let mut out = body[..plain].to_vec();
    let mut at = plain;
    loop {
        match *body.get(at)? {
            b'"' => return Some((Cow::Owned(out), at + 2)),
            b'\\' => {
                let escape = *body.get(at + 1)?;
                at += 2;
                match escape {
                    b'n' | b'r' | b't' => out.push(if escape == b'n' { b'\n' } else { b' ' }),
                    b'u' => {
                        let code = body.get(at..at + 4).and_then(|h| std::str::from_utf8(h).ok());
                        let code = code.and_then(|h| u32::from_str_radix(h, 16).ok());
                        // Halves of pairs are of no use to a template.
                        let c = code.and_then(char::from_u32).unwrap_or('\u{fffd}');
                        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        at = (at + 4).min(body.len());
                    }
                    other => out.push(other),
                }
            }
            b => {
                out.push(b);
                at += 1;
            }
        }
    }
}
