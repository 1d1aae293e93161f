//! Whether front matter has the keys it must have, none besides, and the right kind of value in
//! each: all that is wrong at once, each with its line.

use serde_json::Value;

use super::parse::Mistake;
use super::schema::{Condition, Seconds};
use super::tree::{Kind, Node};

/// What a value must look like.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Whole,
    /// One of these words.
    Word(&'static [&'static str]),
    Length,
    Condition,
    Texts,
    /// Keys of any name, each with a text.
    TextMap,
    List(&'static Shape),
    Record(&'static [Key]),
}

struct Key {
    name: &'static str,
    needed: bool,
    shape: Shape,
}

const fn must(name: &'static str, shape: Shape) -> Key {
    Key { name, needed: true, shape }
}

const fn may(name: &'static str, shape: Shape) -> Key {
    Key { name, needed: false, shape }
}

const FRONT: &[Key] = &[
    must("id", Shape::Text),
    must("title", Shape::Text),
    may("services", Shape::Texts),
    must("matchers", Shape::List(&Shape::Condition)),
    may("only_if", Shape::List(&Shape::Condition)),
    may("not_if", Shape::List(&Shape::Condition)),
    may("actions", Shape::List(&Shape::Record(ACTION))),
    may("preconditions", Shape::Texts),
    must("verification", Shape::Text),
    must("rollback", Shape::Text),
    must("owner", Shape::Text),
    must("reviewed", Shape::Text),
];

const ACTION: &[Key] = &[
    must("id", Shape::Text),
    must("title", Shape::Text),
    must("executor", Shape::Word(&["http", "command", "dry-run"])),
    may("target", Shape::Text),
    may("parameters", Shape::List(&Shape::Record(PARAMETER))),
    may("http", Shape::Record(HTTP)),
    may("command", Shape::Record(COMMAND)),
    may("observe", Shape::Record(OBSERVE)),
    must("risk", Shape::Word(&["low", "medium", "high"])),
    must("expected_effect", Shape::Text),
    may("lasts", Shape::Word(&["for-good", "for-a-while"])),
    must("verify", Shape::Record(VERIFY)),
    may("rollback", Shape::Record(ROLLBACK)),
    may("requires", Shape::Record(REQUIRES)),
];

const PARAMETER: &[Key] = &[
    must("name", Shape::Text),
    must("description", Shape::Text),
    must("type", Shape::Word(&["string", "integer", "choice"])),
    may("default", Shape::Text),
    may("pattern", Shape::Text),
    may("choices", Shape::Texts),
    may("min", Shape::Whole),
    may("max", Shape::Whole),
];

const HTTP: &[Key] = &[
    must("method", Shape::Word(&["POST", "PUT", "PATCH", "DELETE"])),
    must("url", Shape::Text),
    may("headers", Shape::TextMap),
    may("body", Shape::Text),
    may("timeout", Shape::Length),
];

const COMMAND: &[Key] =
    &[must("program", Shape::Text), may("args", Shape::Texts), may("timeout", Shape::Length)];

const OBSERVE: &[Key] =
    &[must("url", Shape::Text), may("headers", Shape::TextMap), must("keys", Shape::Texts)];

const VERIFY: &[Key] = &[must("after", Shape::Length), must("window", Shape::Length)];

const ROLLBACK: &[Key] = &[must("action", Shape::Text), may("parameters", Shape::TextMap)];

const REQUIRES: &[Key] = &[
    may("role", Shape::Word(&["viewer", "responder", "approver", "admin"])),
    may("approvals", Shape::Whole),
];

/// All that is wrong with the shape of the front matter.
pub(super) fn mistakes(file: &str, front: &Node) -> Vec<Mistake> {
    let mut check = Check { file, found: Vec::new() };
    check.record("the front matter", front.line, front, FRONT);
    check.found
}

struct Check<'a> {
    file: &'a str,
    found: Vec<Mistake>,
}

impl Check<'_> {
    fn add(&mut self, line: usize, text: String) {
        self.found.push(Mistake { file: self.file.to_owned(), line, text });
    }

    fn record(&mut self, name: &str, line: usize, node: &Node, keys: &[Key]) {
        let Kind::Map(entries) = &node.kind else {
            self.add(line, format!("{name} must have keys, and is {}", node.is()));
            return;
        };
        for (key, line, value) in entries {
            match keys.iter().find(|k| k.name == key) {
                Some(known) => self.value(key, *line, value, known.shape),
                None => self.unknown(name, key, *line, keys.iter().map(|k| k.name)),
            }
        }
        for key in keys.iter().filter(|k| k.needed) {
            if !entries.iter().any(|(name, ..)| name == key.name) {
                self.add(line, format!("{name} lacks `{}`", key.name));
            }
        }
    }

    fn unknown<'n>(
        &mut self,
        name: &str,
        key: &str,
        line: usize,
        known: impl Iterator<Item = &'n str>,
    ) {
        let known: Vec<&str> = known.collect();
        let near = known
            .iter()
            .map(|k| (strsim::jaro_winkler(k, key), *k))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = match near {
            Some((_, near)) => format!("did you mean `{near}`?"),
            None => format!("it takes: {}", known.join(", ")),
        };
        self.add(line, format!("{name} has an unknown key `{key}`; {hint}"));
    }

    fn value(&mut self, name: &str, line: usize, node: &Node, shape: Shape) {
        let quoted = format!("`{name}`");
        match shape {
            Shape::Text => {
                if node.text().is_none() {
                    self.add(line, format!("{quoted} must be a text, and is {}", node.is()));
                }
            }
            Shape::Whole => {
                if !matches!(&node.kind, Kind::Scalar(Value::Number(n)) if n.is_i64()) {
                    self.add(
                        line,
                        format!("{quoted} must be a whole number, and is {}", node.is()),
                    );
                }
            }
            Shape::Word(words) => {
                if !node.text().is_some_and(|t| words.contains(&t)) {
                    let given = node
                        .text()
                        .map_or_else(|| node.is().to_owned(), |text| format!("`{text}`"));
                    self.add(
                        line,
                        format!("{quoted} is {given}; it must be one of {}", words.join(", ")),
                    );
                }
            }
            Shape::Length => match node.text().map(Seconds::parse) {
                Some(Ok(_)) => {}
                Some(Err(text)) => self.add(line, format!("{quoted}: {text}")),
                None => self.add(
                    line,
                    format!("{quoted} is {}; write a length of time, such as 90s", node.is()),
                ),
            },
            Shape::Texts => self.list(name, line, node, &Shape::Text),
            Shape::List(shape) => self.list(name, line, node, shape),
            Shape::TextMap => {
                let Kind::Map(entries) = &node.kind else {
                    self.add(line, format!("{quoted} must have keys, and is {}", node.is()));
                    return;
                };
                for (key, line, value) in entries {
                    self.value(key, *line, value, Shape::Text);
                }
            }
            Shape::Condition => self.condition(name, line, node),
            Shape::Record(keys) => self.record(&quoted, line, node, keys),
        }
    }

    fn list(&mut self, name: &str, line: usize, node: &Node, shape: &Shape) {
        let Kind::List(items) = &node.kind else {
            self.add(line, format!("`{name}` must be a list, and is {}", node.is()));
            return;
        };
        for item in items {
            let of = match (shape, item.get("id").or(item.get("name")).and_then(Node::text)) {
                (Shape::Record(_), Some(id)) => format!("{name}: {id}"),
                _ => name.to_owned(),
            };
            self.value(&of, item.line, item, *shape);
        }
    }

    fn condition(&mut self, name: &str, line: usize, node: &Node) {
        const KINDS: [&str; 6] = ["alert", "indicator", "entity", "log", "change", "hypothesis"];
        let Kind::Map(entries) = &node.kind else {
            self.add(
                line,
                format!("an entry of `{name}` must be `kind: value`, and is {}", node.is()),
            );
            return;
        };
        let [(key, key_line, value)] = entries.as_slice() else {
            self.add(line, format!("an entry of `{name}` must have one key; start each with `- `"));
            return;
        };
        if !KINDS.contains(&key.as_str()) {
            self.unknown(&format!("`{name}`"), key, *key_line, KINDS.into_iter());
        } else if value.text().is_none_or(|t| t.trim().is_empty()) {
            self.add(*key_line, format!("`{key}` must be a text, and is {}", value.is()));
        } else if let Err(e) = serde_json::from_value::<Condition>(node.value()) {
            self.add(*key_line, format!("`{key}`: {}", plain(&e)));
        }
    }
}

/// A reader's complaint without its place, which is not that of the file.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    // The regular expressions' reader draws the place over several lines; the last says what.
    match text.split_once("regex parse error:") {
        Some((what, drawn)) => {
            let last = drawn.lines().last().unwrap_or_default().trim();
            format!("{what}{}", last.trim_start_matches("error: "))
        }
        None => text.to_owned(),
    }
}
