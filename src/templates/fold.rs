//! Folding: the lines of a stack trace belong to the line before them.
//!
//! Takes lines one at a time, gives an event when the next one has begun. Knows the traces of Java
//! and its kin, Python, Go, JavaScript, .NET and Rust. What is kept of an event is bounded.

use serde::{Deserialize, Serialize};

use super::record;

/// Lines of one event; a longer trace is cut in two.
const MOST_LINES: u32 = 2_000;
/// Bytes that are kept of a line.
const LONGEST_LINE: usize = 8_192;

/// One or several lines that say one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The line that names it, cut to 8 KiB.
    pub text: Vec<u8>,
    /// How many lines it has.
    pub lines: u32,
}

/// Which trace the last line was part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Trace {
    #[default]
    None,
    /// Frames, indented or begun with `at`.
    Frames,
    /// Python: its last line is the exception and is not indented.
    Python,
    /// Go: frames are not indented, their places are.
    Go,
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Folder {
    /// The event that may go on; it has no lines when there is none.
    event: Event,
    /// The one before it; kept for its room.
    #[serde(skip)]
    done: Event,
    trace: Trace,
    /// The event began with a trace, of which the last line is to name it.
    unnamed: bool,
}

impl Folder {
    /// Takes the next line; gives whether it belongs to the event before it.
    pub fn joins(&mut self, line: &[u8]) -> bool {
        let before = self.event.lines;
        self.push(line);
        self.event.lines > before.max(1)
    }

    /// Takes the next line; gives the event before it when this one does not belong to it.
    pub fn push(&mut self, line: &[u8]) -> Option<&Event> {
        if (1..MOST_LINES).contains(&self.event.lines)
            && let Some(trace) = continues(self.trace, &self.event.text, line)
        {
            self.event.lines += 1;
            if self.unnamed && self.trace == Trace::Python && !is_indented(line) && !line.is_empty()
            {
                self.event.name(line);
            }
            self.trace = trace;
            return None;
        }
        self.unnamed = line.starts_with(PYTHON);
        self.trace = match () {
            () if self.unnamed => Trace::Python,
            () if line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ") => Trace::Go,
            () => Trace::None,
        };
        std::mem::swap(&mut self.event, &mut self.done);
        self.event.name(line);
        self.event.lines = 1;
        (self.done.lines > 0).then_some(&self.done)
    }

    /// The last event.
    pub fn finish(&mut self) -> Option<&Event> {
        self.trace = Trace::None;
        std::mem::swap(&mut self.event, &mut self.done);
        self.event.lines = 0;
        (self.done.lines > 0).then_some(&self.done)
    }
}

impl Event {
    fn name(&mut self, line: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(&line[..line.len().min(LONGEST_LINE)]);
    }
}

const PYTHON: &[u8] = b"Traceback (most recent call last)";

fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// The trace after this line if it belongs to the event before it.
fn continues(trace: Trace, text: &[u8], line: &[u8]) -> Option<Trace> {
    let body = line.trim_ascii_start();
    if body.is_empty() {
        return Some(trace);
    }
    let starts = |prefixes: &[&[u8]]| prefixes.iter().any(|p| body.starts_with(p));
    if is_indented(line) {
        let is_frame = starts(&[b"at ", b"... ", b"File \"", b"--- End of"]) || is_numbered(body);
        return match trace {
            Trace::None if is_frame => Some(Trace::Frames),
            Trace::None => None,
            within => Some(within),
        };
    }
    // Every further case starts with one of these.
    if !line[0].is_ascii_alphabetic() {
        return None;
    }
    if starts(&[
        b"Caused by: ",
        b"Suppressed: ",
        b"stack backtrace:",
        b"note: run with `RUST_BACKTRACE",
    ]) {
        return Some(Trace::Frames);
    }
    match trace {
        Trace::Python => return Some(Trace::None).filter(|_| !body.starts_with(PYTHON)),
        Trace::Go if is_go(body) => return Some(Trace::Go),
        _ => {}
    }
    if body.starts_with(b"goroutine ") && body.ends_with(b"]:") {
        return Some(Trace::Go);
    }
    if starts(&[b"During handling of the above exception", b"The above exception was"]) {
        return Some(Trace::Frames);
    }
    if body.starts_with(PYTHON) {
        return (trace == Trace::Frames || tells_of_error(text)).then_some(Trace::Python);
    }
    (is_exception(body) && record::read(text).has_head).then_some(Trace::Frames)
}

/// `0: name` of a Rust backtrace.
fn is_numbered(body: &[u8]) -> bool {
    let digits = body.iter().take_while(|b| b.is_ascii_digit()).count();
    (1..=4).contains(&digits) && body[digits..].starts_with(b": ")
}

/// A frame of Go: `main.run(0x1, ...)`, or where the goroutine came from.
fn is_go(body: &[u8]) -> bool {
    let call = body.ends_with(b")") && body.contains(&b'.') && !body.contains(&b' ');
    call || [&b"goroutine "[..], b"created by ", b"exit status ", b"main.", b"[signal "]
        .iter()
        .any(|p| body.starts_with(p))
}

fn tells_of_error(text: &[u8]) -> bool {
    let text = &text[..text.len().min(256)];
    [&b"ERROR"[..], b"CRITICAL", b"Exception", b"exception", b"error"]
        .iter()
        .any(|w| text.windows(w.len()).any(|t| t == *w))
}

/// `java.io.IOException: …` by itself.
fn is_exception(body: &[u8]) -> bool {
    let name = body.iter().take_while(|b| in_name(**b)).count();
    let (name, rest) = body.split_at(name);
    name.contains(&b'.')
        && (rest.is_empty() || rest[0] == b':')
        && [&b"Exception"[..], b"Error", b"Throwable"].iter().any(|e| name.ends_with(e))
}

fn in_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$')
}
