//! From a Markdown file with YAML front matter to a checked runbook, or to all that is wrong with it.

use std::fmt;

use super::Runbook;
use super::schema::FrontMatter;
use super::tree::Node;
use super::{check, shape};

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// All mistakes of all files, one a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// Reads one file's text.
///
/// # Errors
/// All mistakes of the file in the order of its lines: first those of its shape, that is keys and
/// kinds of values; where that is right, those of what it says.
pub fn parse(file: &str, text: &str) -> Result<Runbook, Vec<Mistake>> {
    let one = |line: usize, text: String| vec![Mistake { file: file.to_owned(), line, text }];
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let Some(rest) = text.strip_prefix("---\n") else {
        return Err(one(1, "no front matter; the first line must be `---`".into()));
    };
    let Some(end) = rest.find("\n---\n") else {
        return Err(one(1, "the front matter has no end; close it with a line `---`".into()));
    };
    let (yaml, body) = (&rest[..=end], rest[end + 5..].trim());
    let unread = |e: &serde_saphyr::Error| {
        // The front matter starts on the file's second line.
        let line = e.location().map_or(1, |l| l.line() as usize + 1);
        let plain = e.without_snippet().to_string();
        let first = plain.lines().next().unwrap_or("it can't be read");
        // The reader's own place counts from the front matter, and its settings are not ours.
        let first = first.split(" at line ").next().unwrap_or(first);
        let first = first.split(", set ").next().unwrap_or(first);
        one(line, format!("the front matter is not YAML: {}", first.trim()))
    };
    let tree = Node::read(yaml).map_err(|e| unread(&e))?;
    let mut found = shape::mistakes(file, &tree);
    let front = if found.is_empty() {
        let front: FrontMatter = serde_json::from_value(tree.value())
            .map_err(|e| one(tree.line, format!("the front matter can't be read: {e}")))?;
        found.extend(check::mistakes(file, &tree, &front));
        Some(front)
    } else {
        None
    };
    if body.is_empty() {
        let line = yaml.lines().count() + 2;
        found.extend(one(
            line,
            "there is no text below the front matter; write the steps for people".into(),
        ));
    }
    found.sort();
    match front {
        Some(front) if found.is_empty() => {
            Ok(Runbook { front, body: body.to_owned(), file: file.to_owned() })
        }
        _ => Err(found),
    }
}
