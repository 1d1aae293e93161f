//! Words in Slack's mark-up: escaped, cut and packed by the length that Slack counts.

/// The length of a text as Slack's limits count it. Slack does not say whether it counts
/// characters or UTF-16 units; the units are never fewer.
pub(super) fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The text without what changes how other text is read: control characters and the marks that
/// turn the direction of writing (U+202A to U+202E, U+2066 to U+2069). Line ends stay.
pub(super) fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|&c| c == '\n' || !(c.is_control() || turns(c)))
        .collect()
}

/// Cleaned and with `&`, `<` and `>` escaped, the only characters with which a link, a user or a
/// whole channel can be named in Slack's mark-up.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

/// The longest beginning of an escaped text within `most`, never in the middle of an entity.
fn beginning(escaped: &str, most: usize) -> &str {
    let (mut used, mut end, mut rest) = (0, 0, escaped);
    while let Some(c) = rest.chars().next() {
        let entity = ["&amp;", "&lt;", "&gt;"].into_iter().find(|e| rest.starts_with(e));
        let step = entity.map_or(c.len_utf8(), str::len);
        used += entity.map_or(c.len_utf16(), str::len);
        if used > most {
            break;
        }
        end += step;
        rest = &rest[step..];
    }
    &escaped[..end]
}

/// An escaped or plain text within `most`; what is cut leaves `…`.
pub(super) fn cut(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    format!("{}…", beginning(text, most.saturating_sub(1)).trim_end())
}

/// As [`cut`], and says how many characters are missing.
pub(super) fn cut_telling(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    let head = beginning(text, most.saturating_sub(36)).trim_end();
    let missing = text[head.len()..].chars().count();
    format!("{head} … ({missing} more characters)")
}

/// A text in pieces of at most `most`, broken at line ends where there are some, else at spaces.
pub(super) fn pieces(text: &str, most: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        loop {
            let mut head = beginning(rest, most);
            if head.len() < rest.len() {
                // A space in the last quarter is a better place than the middle of a word.
                let space = head.rfind(' ').filter(|at| *at > head.len() / 4 * 3);
                head = space.map_or(head, |at| &head[..at]);
            }
            pieces.push(head.to_owned());
            rest = rest[head.len()..].trim_start_matches(' ');
            if rest.is_empty() || head.is_empty() {
                break;
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_is_never_cut_in_two() {
        let text = escape("a<b>&c");
        assert_eq!(text, "a&lt;b&gt;&amp;c");
        assert_eq!(cut(&text, 4), "a…");
        assert_eq!(cut(&text, 6), "a&lt;…");
        assert_eq!(cut(&text, 200), text);
        assert_eq!(cut_telling(&"x".repeat(100), 40), "xxxx … (96 more characters)");
    }

    #[test]
    fn marks_that_turn_writing_are_taken_out_and_the_writing_stays() {
        assert_eq!(clean("a\u{202e}b\u{7}\tc\nשלום"), "ab c\nשלום");
    }

    #[test]
    fn pieces_break_at_lines_and_spaces_and_lose_no_word() {
        assert_eq!(pieces("one\n\ntwo", 10), ["one", "", "two"]);
        let words = "alpha beta gamma delta ".repeat(20);
        let parts = pieces(&words, 50);
        assert!(parts.iter().all(|p| length(p) <= 50), "{parts:?}");
        let all = parts.join(" ");
        assert_eq!(all.split_whitespace().count(), 80);
    }
}
