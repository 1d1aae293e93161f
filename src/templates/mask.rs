//! Masking: what certainly varies becomes `<*>` before a line is compared with templates.

/// Longest part of a line that is looked at, in bytes; stack traces and dumps follow after it.
const LONGEST: usize = 512;
/// Most tokens that are looked at.
const TOKENS: usize = 48;

/// The tokens of a line's first row with what varies masked as `<*>`: tokens with digits, ids,
/// addresses, paths with digits and quoted values. `key=value` keeps its key.
#[must_use]
pub fn mask(line: &str) -> Vec<String> {
    let row = line.lines().find(|l| !l.trim().is_empty()).unwrap_or("");
    let mut end = row.len().min(LONGEST);
    while !row.is_char_boundary(end) {
        end -= 1;
    }
    let mut tokens = Vec::new();
    let mut quote: Option<char> = None;
    for word in row[..end].split_whitespace().take(TOKENS) {
        if let Some(q) = quote {
            // Inside a quoted value: it ends with the word that carries the closing quote.
            if word.trim_end_matches([',', ';', ':', ')', '.']).ends_with(q) {
                quote = None;
            }
            continue;
        }
        let (token, open) = masked(word);
        quote = open;
        // Runs of varying tokens say no more than one.
        if token == "<*>" && tokens.last().is_some_and(|t| t == "<*>") {
            continue;
        }
        tokens.push(token);
    }
    tokens
}

/// One word masked, and the quote that it leaves open.
fn masked(word: &str) -> (String, Option<char>) {
    let core = word.trim_matches(|c: char| matches!(c, ',' | ';' | ':' | '(' | ')' | '[' | ']'));
    if core.is_empty() {
        return (word.to_owned(), None);
    }
    if let Some((key, value)) = core.split_once('=')
        && !key.is_empty()
        && !varies(key)
    {
        return (format!("{key}=<*>"), open_quote(value));
    }
    if core.starts_with(['"', '\'']) {
        return ("<*>".to_owned(), open_quote(core));
    }
    if varies(core) {
        return ("<*>".to_owned(), None);
    }
    (core.to_owned(), None)
}

fn open_quote(value: &str) -> Option<char> {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let closed = value.len() > 1 && value.ends_with(quote);
    (!closed).then_some(quote)
}

fn varies(token: &str) -> bool {
    token.bytes().any(|b| b.is_ascii_digit())
        || token.contains("://")
        || token.contains('@')
        || (token.len() >= 16
            && token.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'-' | b'_')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_masked_and_words_stay() {
        for (line, expected) in [
            (
                "2026-11-20T10:00:00Z connection to 10.0.0.7:5432 refused after 30ms",
                "<*> connection to <*> refused after <*>",
            ),
            (
                "timeout user=anna order_id=8812 msg=\"no free connection\"",
                "timeout user=<*> order_id=<*> msg=<*>",
            ),
            ("GET /orders/81 took 4.2 s", "GET <*> took <*> s"),
            ("key deadbeefdeadbeefdead missing (retry)", "key <*> missing retry"),
            ("", ""),
            ("\n  first row\nsecond row", "first row"),
        ] {
            assert_eq!(mask(line).join(" "), expected, "{line}");
        }
    }

    #[test]
    fn long_and_strange_lines_are_cut_at_a_character() {
        let line = "ä".repeat(5_000);
        assert!(mask(&line)[0].len() <= LONGEST);
        assert!(mask(&"word ".repeat(10_000)).len() <= TOKENS);
    }
}
