//! What one record says: its naming line without head, JSON and logfmt read, level and trace found.

use std::borrow::Cow;

use crate::model::{Level, LogLine};
use crate::templates::{Folder, record};

/// A record as detection sees it.
pub(super) struct Event<'a> {
    /// How severe: as the record says, or its text where the record says nothing of note.
    pub(super) level: Level,
    /// What templates are mined from.
    pub(super) message: Cow<'a, [u8]>,
    /// The trace it belongs to.
    pub(super) trace: Option<Cow<'a, str>>,
}

/// The line of a body that names it: a stack trace below it belongs to it.
pub(super) fn naming(body: &str) -> Cow<'_, [u8]> {
    if !body.trim_end().contains('\n') {
        return Cow::Borrowed(body.as_bytes());
    }
    let mut folder = Folder::default();
    for line in body.lines().skip_while(|l| l.trim().is_empty()) {
        if let Some(event) = folder.push(line.as_bytes()) {
            return Cow::Owned(event.text.clone());
        }
    }
    Cow::Owned(folder.finish().map(|e| e.text.clone()).unwrap_or_default())
}

/// Reads a record whose naming line is known.
pub(super) fn read<'a>(line: &'a LogLine, naming: &'a [u8]) -> Event<'a> {
    let read = record::read(naming);
    // `info` is also what a record has that says nothing of its level.
    let level = match read.level.as_deref().and_then(level_of) {
        Some(level) if line.level == Level::Info => level,
        _ => line.level,
    };
    let trace = match (&line.trace_id, read.trace) {
        (Some(id), _) => Some(Cow::Borrowed(id.as_str())),
        (None, Some(id)) => Some(Cow::Owned(String::from_utf8_lossy(&id).into_owned())),
        (None, None) => None,
    };
    Event { level, message: read.message, trace }
}

/// The level of a word as loggers write it, or of glog's letter (`E1121`).
fn level_of(word: &[u8]) -> Option<Level> {
    let word = word.to_ascii_lowercase();
    Some(match word.as_slice() {
        b"trace" | b"verbose" | b"vrb" | b"v" => Level::Trace,
        b"debug" | b"dbg" | b"d" => Level::Debug,
        b"info" | b"inf" | b"notice" | b"i" | b"log" => Level::Info,
        b"warn" | b"warning" | b"wrn" | b"w" => Level::Warn,
        b"error" | b"err" | b"severe" | b"e" | b"failure" => Level::Error,
        b"fatal" | b"critical" | b"crit" | b"panic" | b"alert" | b"emerg" | b"ftl" | b"f" => {
            Level::Fatal
        }
        [letter, digits @ ..] if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit) => {
            return level_of(&[*letter]);
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EntityRef, Labels, Time};

    fn seen(level: Level, body: &str) -> (Level, String, Option<String>) {
        let (entity, attributes) = (EntityRef::service("a"), Labels::default());
        let (at, body) = (Time::from_ms(1_700_000_000_000), body.to_owned());
        let line = LogLine { at, entity, level, body, trace_id: None, attributes };
        let naming = naming(&line.body);
        let event = read(&line, &naming);
        let message = String::from_utf8_lossy(&event.message).into_owned();
        (event.level, message, event.trace.map(Cow::into_owned))
    }

    #[test]
    fn json_logfmt_and_traces_are_understood() {
        let json = r#"{"level":"error","msg":"no route","trace_id":"ab12"}"#;
        let told = (Level::Error, "no route".to_owned(), Some("ab12".to_owned()));
        assert_eq!(seen(Level::Info, json), told);
        let logfmt = "ts=1 level=warn msg=\"disk nearly full\" free=3";
        assert_eq!(seen(Level::Info, logfmt), (Level::Warn, "disk nearly full".into(), None));
        let glog = "E1121 10:00:00.123456    77 file.go:123] not synced";
        assert_eq!(seen(Level::Info, glog).0, Level::Error);
        // What the record says of itself is stronger than its text.
        assert_eq!(seen(Level::Error, "level=info msg=\"x y\" a=b").0, Level::Error);
        let java = "order 7 failed\njava.io.IOException: x\n\tat a.B.c(B.java:1)";
        assert_eq!(seen(Level::Error, java).1, "order 7 failed");
        let python = "Traceback (most recent call last):\n  File \"a.py\", line 1\nValueError: bad";
        assert_eq!(seen(Level::Error, python).1, "ValueError: bad");
    }
}
