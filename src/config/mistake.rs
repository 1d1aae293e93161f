//! A mistake in the configuration file, shown with its line, an excerpt and a caret.

use std::fmt::Write as _;
use std::ops::Range;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Byte range in the file; `None` for what came from the environment.
    pub span: Option<Range<usize>>,
    /// What is wrong and what to do.
    pub message: String,
}

/// All mistakes as text for a terminal: `file:line:column: message`, the line, a caret.
#[must_use]
pub fn render(mistakes: &[Mistake], file: &str, text: &str) -> String {
    let mut out = String::new();
    for mistake in mistakes {
        let Some(span) = &mistake.span else {
            out.push_str(&format!("{}\n\n", mistake.message));
            continue;
        };
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        let n = text[..start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count();
        let end = floor(text, span.end.min(line_start + line.len()).max(start));
        let width = text[start..end].chars().count().max(1);
        let gutter = " ".repeat(n.to_string().len());
        let _ = write!(
            out,
            "{file}:{n}:{}: {}\n{gutter} |\n{n} | {line}\n{gutter} | {}{}\n\n",
            column + 1,
            mistake.message,
            " ".repeat(column),
            "^".repeat(width)
        );
    }
    out
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
