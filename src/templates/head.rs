//! The head that loggers write before a message: time, host, process, level, component.

use super::class::{CLASS, DIGIT, is_calendar, is_unit};

/// Longest head, in bytes; a longer one is not looked for.
pub(super) const LONGEST_HEAD: usize = 256;
/// Most words in front of the level.
const MOST_BEFORE_LEVEL: usize = 8;

/// Where the message starts and the level before it. A head may stand behind the name of what wrote
/// it (as container tools and readers of several files put it), and relays put their own before it.
pub(super) fn head(line: &[u8]) -> (usize, Option<&[u8]>) {
    let (start, level) = match plain_head(line) {
        (0, _) => named_head(line),
        found => found,
    };
    if start == 0 || level.is_some() {
        return (start, level);
    }
    let rest = &line[start..];
    let (more, inner) = if begins_with_time(rest) { plain_head(rest) } else { named_head(rest) };
    (start + more, inner)
}

/// A head behind one name that has more than letters, such as `web-1 |`.
fn named_head(line: &[u8]) -> (usize, Option<&[u8]>) {
    let mut words = Words { part: &line[..line.len().min(LONGEST_HEAD)], at: 0 };
    let is_name = |word: &[u8]| {
        word.last() != Some(&b':')
            && word.iter().any(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b'/'))
    };
    match (words.next(), words.next()) {
        (Some((_, name)), Some((start, _)))
            if is_name(name) && begins_with_time(&line[start..]) =>
        {
            match plain_head(&line[start..]) {
                (0, _) => (0, None),
                (more, level) => (start + more, level),
            }
        }
        _ => (0, None),
    }
}

/// Whether a date, a time of day, or a month or weekday with a number begins the line.
fn begins_with_time(line: &[u8]) -> bool {
    let first = line.iter().find(|b| **b != b'[');
    if !first.is_some_and(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) {
        return false;
    }
    let mut words = Words { part: &line[..line.len().min(LONGEST_HEAD)], at: 0 };
    let Some((_, word)) = words.next() else { return false };
    let mut next = || words.next().is_some_and(|(_, w)| core(w).iter().any(u8::is_ascii_digit));
    is_time(core(word)) || is_calendar(core(word)) && next()
}

/// Time, then level and component in several orders, or syslog's host and process.
fn plain_head(line: &[u8]) -> (usize, Option<&[u8]>) {
    const NONE: (usize, Option<&[u8]>) = (0, None);
    let first = line.iter().copied().find(|b| !matches!(b, b'[' | b'<' | b'-' | b' ' | b'('));
    let may = first.is_some_and(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    if !may {
        return NONE;
    }
    let part = &line[..line.len().min(LONGEST_HEAD)];
    if let Some(found) = glog(part).or_else(|| syslog(part)) {
        return found;
    }
    let mut words = Words { part, at: 0 };
    let mut end = 0;
    let (mut numbers, mut has_time) = (0, false);
    let mut next = words.next();
    // Time, process and thread numbers.
    while let Some((start, word)) = next {
        let core = core(word);
        let time = is_time(core);
        let zone = has_time && core.len() <= 4 && is_unit(core);
        if !(time
            || zone
            || is_number(core)
            || is_calendar(core)
            || (core.is_empty() && start == 0))
        {
            break;
        }
        has_time |= time;
        numbers += u32::from(!core.is_empty());
        end = start + word.len();
        next = words.next();
    }
    if numbers == 0 {
        return NONE;
    }
    // The level, a few words on.
    let (mut seek, mut probe) = (next, Words { part, at: words.at });
    for n in 0..MOST_BEFORE_LEVEL {
        let Some((start, word)) = seek else { break };
        let name = core(word);
        let bracketed = word.first() == Some(&b'[');
        if is_level(name, n == 0, bracketed) {
            return (component_end(line, start + word.len()), Some(name));
        }
        // A head has names and numbers; a sentence has begun at any other word.
        let ends = word.last() == Some(&b':');
        if ends || !(bracketed || is_head_word(name)) {
            break;
        }
        seek = probe.next();
    }
    if !has_time {
        return epoch_end(next, words).map_or(NONE, |end| (skip_blanks(line, end), None));
    }
    if line.get(end) == Some(&b'|') {
        return (bars_end(line, end), None);
    }
    // Syslog: host, process with its number, colon.
    if let (Some(_), Some((start, word))) = (next, words.next())
        && word.len() > 1
        && word.last() == Some(&b':')
    {
        return (skip_blanks(line, start + word.len()), None);
    }
    (skip_blanks(line, end), None)
}

/// One past a column that holds a time as seconds or milliseconds since 1970, behind a few columns
/// of names and numbers.
fn epoch_end(next: Option<(usize, &[u8])>, mut words: Words<'_>) -> Option<usize> {
    let mut next = next;
    for _ in 0..MOST_BEFORE_LEVEL {
        let (start, word) = next?;
        if is_epoch(word) {
            return Some(start + word.len());
        }
        if word.last() == Some(&b':') || !is_head_word(core(word)) {
            return None;
        }
        next = words.next();
    }
    None
}

/// Seconds or milliseconds since 1970, of the years 2001 to 2033.
fn is_epoch(word: &[u8]) -> bool {
    matches!(word.len(), 10 | 13) && word[0] == b'1' && word.iter().all(u8::is_ascii_digit)
}

/// The head of syslog's newer form (RFC 5424): priority, version, time, host, application, process,
/// message id, structured data.
fn syslog(part: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    let digits = part.strip_prefix(b"<")?.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || !part[1 + digits..].starts_with(b">1 ") {
        return None;
    }
    let mut words = Words { part, at: digits + 3 };
    for _ in 0..5 {
        words.next()?;
    }
    let (start, data) = words.next()?;
    let end = match data.first() {
        Some(b'[') => part[start..].windows(2).position(|w| w == b"] ").map(|n| start + n + 1)?,
        _ => start + data.len(),
    };
    Some((skip_blanks(part, end), None))
}

/// Past up to three short fields between bars: `|component|17|message`.
fn bars_end(line: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    for _ in 0..3 {
        let field = line[at..].iter().take(64).take_while(|b| !b.is_ascii_whitespace());
        match field.clone().position(|b| *b == b'|') {
            Some(n) => at += n + 1,
            None => break,
        }
    }
    skip_blanks(line, at)
}

/// The head that Google's loggers write: `I1121 10:00:00.123456 77 file.go:123] `.
fn glog(part: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    let level = part.get(..5)?;
    let day = level[1..].iter().all(u8::is_ascii_digit) && part.get(5) == Some(&b' ');
    if !day || !matches!(level[0], b'I' | b'W' | b'E' | b'F' | b'D') {
        return None;
    }
    let end = part.windows(2).position(|w| w == b"] ")?;
    Some((end + 2, Some(level)))
}

struct Words<'a> {
    part: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        let mut start = skip_blanks(self.part, self.at);
        while self.part.get(start) == Some(&b'|') {
            start = skip_blanks(self.part, start + 1);
        }
        let rest = &self.part[start..];
        let mut n = 0;
        while let Some(b) = rest.get(n)
            && !b.is_ascii_whitespace()
            && *b != b'|'
        {
            n += 1;
            // "[time][level]" are two.
            if *b == b']' && rest.get(n) == Some(&b'[') {
                break;
            }
        }
        self.at = start + n;
        (n > 0).then(|| (start, &self.part[start..start + n]))
    }
}

fn skip_blanks(line: &[u8], from: usize) -> usize {
    from + line[from..].iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// A word without the brackets and marks around it.
fn core(word: &[u8]) -> &[u8] {
    let is_mark = |b: &u8| {
        matches!(b, b'[' | b']' | b'(' | b')' | b'<' | b'>' | b':' | b',' | b'-' | b'|' | b';')
    };
    let start = word.iter().position(|b| !is_mark(b)).unwrap_or(word.len());
    let end = word.iter().rposition(|b| !is_mark(b)).map_or(start, |i| i + 1);
    &word[start..end]
}

fn is_number(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/' | b'-'))
}

/// A time of day, a date, or both in one word.
fn is_time(word: &[u8]) -> bool {
    if word.len() < 5 || !word[0].is_ascii_digit() {
        return false;
    }
    let plain = word.iter().all(|b| {
        CLASS[*b as usize] == DIGIT
            || matches!(b, b':' | b'.' | b',' | b'-' | b'/' | b'+' | b'T' | b'Z' | b'_')
    });
    if !plain {
        return false;
    }
    // Runs of digits and what stands between them.
    let mut runs = word.split(|b| !b.is_ascii_digit()).map(<[u8]>::len);
    let (mut colons, mut dates, mut last, mut clock) = (0, 0, runs.next().unwrap_or(0), false);
    let mut dotted = false;
    for mark in word.iter().filter(|b| !b.is_ascii_digit()) {
        let run = runs.next().unwrap_or(0);
        match mark {
            // 12:34, or 9:5:7 with two colons; a longer run, or one after dots, is a port.
            b':' if !dotted && (1..=2).contains(&last) && (1..=2).contains(&run) => {
                colons += 1;
                clock |= colons == 2 || (last == 2 && run == 2);
            }
            b'-' | b'/' => dates += 1,
            b'.' => dotted = true,
            _ => {}
        }
        last = run;
    }
    clock || (dates == 2 && word.len() >= 8)
}

fn is_level(word: &[u8], is_first: bool, is_bracketed: bool) -> bool {
    let letter =
        word.len() == 1 && is_first && matches!(word[0], b'V' | b'D' | b'I' | b'W' | b'E' | b'F');
    let full = matches!(
        word,
        b"INFO"
            | b"WARN"
            | b"WARNING"
            | b"ERROR"
            | b"DEBUG"
            | b"TRACE"
            | b"FATAL"
            | b"SEVERE"
            | b"NOTICE"
            | b"CRITICAL"
            | b"FAILURE"
            | b"CRIT"
            | b"ERR"
            | b"ALERT"
            | b"EMERG"
            | b"Info"
            | b"Warning"
            | b"Error"
            | b"INF"
            | b"WRN"
            | b"DBG"
            | b"VRB"
            | b"FTL"
            | b"PANIC"
            | b"LOG"
    );
    let small = (is_bracketed || is_first)
        && matches!(
            word,
            b"info"
                | b"warn"
                | b"warning"
                | b"error"
                | b"debug"
                | b"trace"
                | b"fatal"
                | b"notice"
                | b"crit"
                | b"alert"
                | b"emerg"
                | b"Note"
                | b"System"
        );
    letter || full || small
}

/// A name in upper case, with a digit or with dots: something a head may hold before the level.
fn is_head_word(word: &[u8]) -> bool {
    word.iter().any(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_'))
        || word.iter().all(|b| !b.is_ascii_lowercase())
}

/// Where the message starts after the level that ends at `from`: numbers, brackets, a component up
/// to a colon or dash, and marks are passed over.
fn component_end(line: &[u8], from: usize) -> usize {
    let limit = line.len().min(from + LONGEST_HEAD);
    let mut at = skip_marks(line, from);
    // Process number before dashes; thread, class or number in brackets.
    while at < limit {
        let digits = line[at..limit].iter().take_while(|b| b.is_ascii_digit()).count();
        let dashes = skip_blanks(line, at + digits);
        if digits > 0 && line[dashes..].starts_with(b"---") {
            at = skip_marks(line, dashes);
            continue;
        }
        if line[at] != b'[' {
            break;
        }
        let mut depth = 0_i32;
        let close = line[at..limit].iter().position(|b| {
            depth += i32::from(*b == b'[') - i32::from(*b == b']');
            depth == 0
        });
        let Some(n) = close else { break };
        at = skip_marks(line, at + n + 1);
    }
    let word = line.get(at..limit).unwrap_or_default();
    let word = &word[..word.iter().take_while(|b| !b.is_ascii_whitespace()).count()];
    let after = at + word.len();
    if let Some((b':', name)) = word.split_last()
        && is_component(name)
    {
        return skip_blanks(line, after);
    }
    let next = skip_blanks(line, after);
    let rest = &line[next..];
    if is_place(word) {
        return skip_marks(line, next);
    }
    if is_component(word) && (rest.starts_with(b"- ") || rest.starts_with(b": ")) {
        return skip_blanks(line, next + 1);
    }
    at
}

/// `file.go:12`.
fn is_place(word: &[u8]) -> bool {
    let digits = word.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let name = &word[..word.len() - digits];
    digits > 0
        && name.last() == Some(&b':')
        && name.contains(&b'.')
        && name[0].is_ascii_alphabetic()
}

fn skip_marks(line: &[u8], from: usize) -> usize {
    let mut at = skip_blanks(line, from);
    loop {
        let marks =
            line[at..].iter().take_while(|b| matches!(b, b'-' | b':' | b'|' | b']')).count();
        let apart = line.get(at + marks).is_none_or(|b| b.is_ascii_whitespace() || *b == b'[');
        if marks == 0 || !apart {
            return at;
        }
        at = skip_blanks(line, at + marks);
    }
}

/// A class, module or file rather than a word of a sentence.
fn is_component(name: &[u8]) -> bool {
    let inner = |b: &u8| {
        b.is_ascii_uppercase() || matches!(b, b'.' | b':' | b'_' | b'$' | b'/' | b'[' | b'(' | b'-')
    };
    name.len() > 1 && name[0].is_ascii_alphabetic() && name[1..].iter().any(inner)
}
