//! A mistake in the configuration, shown with its place, the line and a caret.

use std::fmt::Write as _;

use super::tree::Place;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was written.
    pub place: Place,
    /// Which setting: `prometheus[0].url`; empty where the file can't be read at all.
    pub path: String,
    /// What is wrong and what to do.
    pub text: String,
}

/// All mistakes as text for a terminal: `file:line:column: setting: what is wrong`, the line, a
/// caret. `hidden` are the byte ranges of the file that hold
/// secrets: they are masked; `None`: the file could not be read, so they are not known.
pub(super) fn render(
    mistakes: &[Mistake],
    file: &str,
    text: &str,
    hidden: Option<&[(usize, usize)]>,
) -> String {
    let mut out = String::new();
    for Mistake { place, path, text: said } in mistakes {
        let said = if path.is_empty() { said.clone() } else { format!("{path}: {said}") };
        match place {
            Place::File(from, until) => {
                excerpt(&mut out, (file, text), (*from, *until), &said, hidden);
            }
            Place::Variable(name) => {
                let _ = writeln!(out, "environment variable {name}: {said}\n");
            }
            Place::Nowhere => {
                let _ = writeln!(out, "{file}: {said}\n");
            }
        }
    }
    let n = mistakes.len();
    let _ =
        writeln!(out, "{n} {} in the configuration.", if n == 1 { "mistake" } else { "mistakes" });
    out
}

fn excerpt(
    out: &mut String,
    (file, text): (&str, &str),
    (from, until): (usize, usize),
    said: &str,
    hidden: Option<&[(usize, usize)]>,
) {
    let start = floor(text, from);
    let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let n = text[..start].matches('\n').count() + 1;
    let column = text[line_start..start].chars().count();
    let end = floor(text, until.min(line_start + line.len()).max(start));
    let width = text[start..end].chars().count().max(1);
    let gutter = " ".repeat(n.to_string().len());
    let shown = masked(line, line_start, hidden);
    let _ = write!(
        out,
        "{file}:{n}:{}: {said}\n{gutter} |\n{n} | {shown}\n{gutter} | {}{}\n\n",
        column + 1,
        " ".repeat(column),
        "^".repeat(width)
    );
}

/// The line with secrets as stars of the same width, so that carets stay where they belong.
fn masked(line: &str, line_start: usize, hidden: Option<&[(usize, usize)]>) -> String {
    // Where the file could not be read as TOML, nothing is known of its values: then the name of a
    // key is all there is to go by.
    let name = line.split('=').next().unwrap_or_default().to_lowercase();
    let suspect = ["secret", "token", "password", "key", "authorization"];
    let by_name = hidden.is_none() && suspect.iter().any(|s| name.contains(s));
    let value_at = line.find('=').map_or(line.len(), |i| i + 1);
    line.char_indices()
        .map(|(i, c)| {
            let at = line_start + i;
            let secret =
                hidden.into_iter().flatten().any(|(from, until)| (*from..*until).contains(&at));
            if secret || (by_name && i >= value_at && !c.is_whitespace()) { '*' } else { c }
        })
        .collect()
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
