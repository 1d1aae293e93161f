//! Plain text as Discord shows it verbatim: no markdown, no mention, no direction trick in it takes
//! effect, and it is cut with a note where it does not fit.

/// Length as the limits are held here: UTF-16 units, never fewer than the characters that the API
/// counts.
pub(super) fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The least room for which [`fit`] and [`plain`] are asked: a note and some words.
const NOTE: usize = 32;

/// Text for a place that reads markdown, escaped, of at most `room` units.
pub(super) fn fit(text: &str, room: usize) -> String {
    cut(text, room, pieces)
}

/// Text for a place that reads no markdown (labels, footers, titles of forms): one line of at
/// most `room` units.
pub(super) fn line(text: &str, room: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut whole = String::with_capacity(text.len());
    for (at, c) in text.char_indices().filter(|(_, c)| !unwanted(*c)) {
        whole.push(c);
        if c == '@' && names_people(&text[at + 1..]) {
            whole.push('\u{200b}');
        }
    }
    if length(&whole) <= room {
        return whole;
    }
    let mut line = String::new();
    let mut used = 0;
    for c in whole.chars() {
        used += c.len_utf16();
        if used + 1 > room {
            break;
        }
        line.push(c);
    }
    line.push('…');
    line
}

/// Several lines for a place that reads no markdown (inputs of forms).
pub(super) fn plain(text: &str, room: usize) -> String {
    cut(text, room, |text, take| {
        for c in text.chars() {
            let kept = !unwanted(c) || c == '\n';
            if !take(c.encode_utf8(&mut [0; 4]), 1, kept) {
                return;
            }
        }
    })
}

/// What is never passed on: control characters, and marks that reorder the text around them
/// (embeddings, overrides, isolates). Text that is itself right to left needs none of them.
fn unwanted(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Takes one escaped piece, the number of characters that it stands for and whether it is shown;
/// gives `false` where no more is wanted.
type Take<'a> = dyn FnMut(&str, usize, bool) -> bool + 'a;

fn cut(text: &str, room: usize, pieces: impl Fn(&str, &mut Take<'_>)) -> String {
    let (mut out, mut used, mut seen) = (String::new(), 0, 0);
    // Where the text is cut if it turns out too long: what is before leaves room for the note.
    let mut end = (0, 0);
    let mut whole = true;
    pieces(text, &mut |piece, n, shown| {
        let n_units = if shown { length(piece) } else { 0 };
        if used + n_units > room {
            whole = false;
            return false;
        }
        if shown {
            out.push_str(piece);
        }
        used += n_units;
        seen += n;
        if used + NOTE <= room {
            end = (out.len(), seen);
        }
        true
    });
    if whole {
        return out;
    }
    out.truncate(end.0);
    let n_left = text.chars().count() - end.1;
    let note = format!(" … ({n_left} more characters)");
    if length(&note) <= NOTE && room >= NOTE {
        out.truncate(out.trim_end().len());
        out + &note
    } else {
        out + if room > 0 { "…" } else { "" }
    }
}

/// A whole address may stand as it is, because escaping would break it; in angle brackets it
/// unfurls nothing.
fn address(word: &str) -> bool {
    let rest = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._/?#=&%:+,;".contains(c);
        !rest.is_empty() && word.len() <= 500 && rest.chars().all(plain)
    })
}

/// Whether what follows an `@` makes it a mention.
fn names_people(rest: &str) -> bool {
    let starts = |word: &str| rest.get(..word.len()).is_some_and(|r| r.eq_ignore_ascii_case(word));
    starts("everyone")
        || starts("here")
        || rest.trim_start_matches(['!', '&']).starts_with(|c: char| c.is_ascii_digit())
}

/// The escaped pieces of a text, so that a cut never falls into the middle of one.
fn pieces(text: &str, take: &mut Take<'_>) {
    for (i, row) in text.split('\n').enumerate() {
        if i > 0 && !take("\n", 1, true) {
            return;
        }
        let row = row.strip_suffix('\r').unwrap_or(row);
        let mut first = true;
        for word in row.split_inclusive([' ', '\t']) {
            let bare = word.trim_end_matches([' ', '\t']);
            if address(bare) {
                let n = word.chars().count();
                if !take(&format!("<{bare}>{}", &word[bare.len()..]), n, true) {
                    return;
                }
                first = false;
                continue;
            }
            for (at, c) in word.char_indices() {
                let piece = match c {
                    '\t' => " ".to_owned(),
                    '@' if names_people(&word[at + 1..]) => "@\u{200b}".to_owned(),
                    '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<' | '>' => format!("\\{c}"),
                    '#' | '-' | '+' if first => format!("\\{c}"),
                    c => c.to_string(),
                };
                let shown = c == '\t' || !unwanted(c);
                first &= c.is_whitespace() || !shown;
                if !take(&piece, 1, shown) {
                    return;
                }
            }
        }
    }
}
