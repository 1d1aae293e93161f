//! From a raw line to its message: takes off the head that loggers write (time, host, process,
//! level, component) and reads JSON and logfmt; level, trace, span and service are kept.

use std::borrow::Cow;

use super::class::{CLASS, LETTER};
use super::head::{LONGEST_HEAD, head};
use super::json;

/// What a line says, apart from when and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// The part that templates are mined from.
    pub message: Cow<'a, [u8]>,
    /// Its level as written.
    pub level: Option<Cow<'a, [u8]>>,
    /// Id of the trace it belongs to.
    pub trace: Option<Cow<'a, [u8]>>,
    /// Id of the span it belongs to.
    pub span: Option<Cow<'a, [u8]>>,
    /// The service that it names.
    pub service: Option<Cow<'a, [u8]>>,
    /// A head with time or level stood before the message.
    pub has_head: bool,
}

impl Record<'_> {
    fn into_owned(self) -> Record<'static> {
        let own = |b: Option<Cow<'_, [u8]>>| b.map(|b| Cow::Owned(b.into_owned()));
        Record {
            message: Cow::Owned(self.message.into_owned()),
            level: own(self.level),
            trace: own(self.trace),
            span: own(self.span),
            service: own(self.service),
            has_head: self.has_head,
        }
    }
}

/// Reads a line of any form; bytes that are no known form are the message as they are.
#[must_use]
pub fn read(line: &[u8]) -> Record<'_> {
    if line.contains(&ESCAPE) {
        return read_plain(&without_colours(line)).into_owned();
    }
    read_plain(line)
}

/// Starts a sequence that colours text on a terminal.
const ESCAPE: u8 = 0x1b;

fn without_colours(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.iter().position(|b| *b == ESCAPE) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if rest.first() == Some(&b'[') {
            let codes = rest[1..].iter().take(16);
            let n = codes.take_while(|b| b.is_ascii_digit() || **b == b';').count();
            rest = &rest[rest.len().min(n + 2)..];
        }
    }
    out.extend_from_slice(rest);
    out
}

fn read_plain(line: &[u8]) -> Record<'_> {
    let line = line.trim_ascii_end();
    if let Some(record) = fields(line) {
        return without_head(record);
    }
    let (mut start, mut level) = head(line);
    if start > 0 && is_container(&line[start..]) {
        start += CONTAINER_BYTES;
        let (more, inner) = head(&line[start..]);
        (start, level) = (start + more, inner);
    }
    let rest = &line[start..];
    if start > 0
        && let Some(mut record) = fields(rest)
    {
        record.has_head = true;
        record.level = record.level.or(level.map(Cow::Borrowed));
        return record;
    }
    Record {
        message: Cow::Borrowed(rest),
        level: level.map(Cow::Borrowed),
        has_head: start > 0,
        ..Record::default()
    }
}

/// Takes the head off a message that was a field: container runtimes wrap whole lines in JSON.
fn without_head(mut record: Record<'_>) -> Record<'_> {
    let (start, level) = head(&record.message);
    if start == 0 {
        return record;
    }
    record.has_head = true;
    record.level = record.level.or_else(|| level.map(|l| Cow::Owned(l.to_vec())));
    record.message = match record.message {
        Cow::Borrowed(message) => Cow::Borrowed(message[start..].trim_ascii_end()),
        Cow::Owned(message) => Cow::Owned(message[start..].trim_ascii_end().to_vec()),
    };
    record
}

/// Bytes of `stdout F `, as container runtimes write after the time.
const CONTAINER_BYTES: usize = 9;

fn is_container(rest: &[u8]) -> bool {
    [&b"stdout F "[..], b"stderr F ", b"stdout P ", b"stderr P "]
        .iter()
        .any(|p| rest.starts_with(p))
}

/// JSON or logfmt.
fn fields(line: &[u8]) -> Option<Record<'_>> {
    match line.first()? {
        b'{' => json::read(line),
        b if CLASS[*b as usize] == LETTER => logfmt(line),
        _ => None,
    }
}

/// Takes in a field by its name; `true` when it is the message.
pub(super) fn take_field<'a>(record: &mut Record<'a>, key: &[u8], value: Cow<'a, [u8]>) -> bool {
    match key {
        b"msg" | b"message" | b"log" | b"body" | b"text" | b"event" | b"MESSAGE" | b"@message" => {
            // The first by rank would be better than the first by place, but lines have one.
            if record.message.is_empty() {
                record.message = value;
            }
            return true;
        }
        b"level" | b"lvl" | b"severity" | b"log.level" | b"levelname" => record.level = Some(value),
        b"trace_id" | b"traceId" | b"traceID" | b"trace.id" | b"traceid" | b"dd.trace_id" => {
            record.trace = Some(value);
        }
        b"span_id" | b"spanId" | b"spanID" | b"span.id" | b"spanid" => record.span = Some(value),
        b"service" | b"service.name" | b"service_name" | b"app" => record.service = Some(value),
        _ => {}
    }
    false
}

/// `key=value` pairs separated by blanks, of which one is the message.
fn logfmt(line: &[u8]) -> Option<Record<'_>> {
    let mut record = Record::default();
    let mut at = 0;
    let mut has_message = false;
    let mut pairs = 0;
    while at < line.len() {
        let rest = &line[at..];
        let blanks = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if blanks > 0 {
            at += blanks;
            continue;
        }
        let key = rest
            .iter()
            .take(LONGEST_HEAD)
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@'))
            .count();
        if key == 0 || rest.get(key) != Some(&b'=') {
            // Pairs up to here; what follows is no longer logfmt.
            break;
        }
        pairs += 1;
        let value = &rest[key + 1..];
        let (value, used) = if value.first() == Some(&b'"') {
            json::string(value)?
        } else {
            let n = value.iter().take_while(|b| !b.is_ascii_whitespace()).count();
            (Cow::Borrowed(&value[..n]), n)
        };
        has_message |= take_field(&mut record, &rest[..key], value);
        at += key + 1 + used;
    }
    (pairs >= 2 && has_message && !record.message.is_empty()).then_some(record)
}
