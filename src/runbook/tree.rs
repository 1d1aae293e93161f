//! Front matter as a tree whose every part knows its line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A part of the front matter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Its line in the file, counted from 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Key, the key's line, and what it holds.
    Map(Vec<(String, usize, Node)>),
    List(Vec<Node>),
    /// A text, number, truth value or nothing.
    Scalar(Value),
}

/// Lines of the file before the front matter: the `---` that opens it.
const BEFORE: usize = 1;

impl Node {
    /// Reads the text between the two `---`.
    pub(super) fn read(yaml: &str) -> Result<Self, serde_saphyr::Error> {
        serde_saphyr::from_str(yaml)
    }

    /// What a map holds under a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(k, ..)| k == key).map(|(.., node)| node),
            _ => None,
        }
    }

    /// The items of a list; none where it is no list.
    pub(super) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// A scalar's text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(value) => value.as_str(),
            _ => None,
        }
    }

    /// The line of what a path of keys leads to; where it ends early, the last line on the way.
    pub(super) fn line_at(&self, path: &[&str]) -> usize {
        let Some((key, rest)) = path.split_first() else { return self.line };
        if let Kind::Map(entries) = &self.kind
            && let Some((_, line, node)) = entries.iter().find(|(k, ..)| k == key)
        {
            return if rest.is_empty() { *line } else { node.line_at(rest) };
        }
        self.line
    }

    /// Without the lines.
    pub(super) fn value(&self) -> Value {
        match &self.kind {
            Kind::Map(entries) => {
                entries.iter().map(|(key, _, node)| (key.clone(), node.value())).collect()
            }
            Kind::List(items) => items.iter().map(Self::value).collect(),
            Kind::Scalar(value) => value.clone(),
        }
    }

    /// What it is, in words.
    pub(super) fn is(&self) -> &'static str {
        match &self.kind {
            Kind::Map(_) => "a map",
            Kind::List(_) => "a list",
            Kind::Scalar(Value::Null) => "empty",
            Kind::Scalar(Value::Bool(_)) => "a truth value",
            Kind::Scalar(Value::Number(_)) => "a number",
            Kind::Scalar(_) => "a text",
        }
    }
}

fn line_of<T>(spanned: &Spanned<T>) -> usize {
    spanned.referenced.line() as usize + BEFORE
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self { line: line_of(&spanned), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list, a text, a number or a truth value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, Node>()? {
            let line = line_of(&key);
            entries.push((key.value, line, node));
        }
        Ok(Kind::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(node) = seq.next_element()? {
            items.push(node);
        }
        Ok(Kind::List(items))
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::from(text)))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::from(truth)))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::from(n)))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::from(n)))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::from(n)))
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_knows_its_line() {
        let node = Node::read("a: 1\nb:\n  - c: x\n  - d: { e: true }\n").expect("YAML");
        assert_eq!(
            node.value(),
            serde_json::json!({"a": 1, "b": [{"c": "x"}, {"d": {"e": true}}]})
        );
        assert_eq!((node.line_at(&["a"]), node.line_at(&["b"])), (2, 3));
        let b = node.get("b").expect("there").items();
        assert_eq!((b[0].line_at(&["c"]), b[1].line_at(&["d", "e"])), (4, 5));
        assert_eq!(b[1].line_at(&["nothing"]), 5);
    }
}
