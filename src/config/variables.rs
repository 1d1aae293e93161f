//! Overrides from the environment: `NIGHTJAR__SECTION__KEY` stands for `section.key`, and a number
//! for a place in a list (`NIGHTJAR__PROMETHEUS__0__URL`).

use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml::de::DeTable;

use super::check::{Check, is_secret, resolve};
use super::tree::{Entry, Kind, Node, Path, Place};

/// What every override starts with.
pub(super) const PREFIX: &str = "NIGHTJAR__";

/// Puts one override into the tree.
///
/// # Errors
/// The name leads nowhere, in words.
pub(super) fn set(tree: &mut Node, root: &Json, name: &str, value: &str) -> Result<(), String> {
    let parts: Vec<String> =
        name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
    if parts.iter().any(String::is_empty) {
        return Err("the name has an empty part; write NIGHTJAR__SECTION__KEY".to_owned());
    }
    let given = Given { root, name, value };
    given.put(tree, root, &parts)
}

struct Given<'a> {
    root: &'a Json,
    name: &'a str,
    value: &'a str,
}

impl Given<'_> {
    fn put(&self, node: &mut Node, schema: &Json, parts: &[String]) -> Result<(), String> {
        let place = Place::Variable(self.name.to_owned());
        let schema = resolve(schema, self.root);
        let (first, rest) = parts.split_first().expect("a name has at least one part");
        match &mut node.kind {
            Kind::Table(entries) => {
                let own = schema.get("properties").and_then(|p| p.get(first));
                let others = || schema.get("additionalProperties").filter(|o| o.is_object());
                let inner = own.or_else(others).unwrap_or(&Json::Null);
                if rest.is_empty() {
                    let node = self.leaf(inner);
                    entries.insert(first.clone(), Entry { key: place, node });
                    return Ok(());
                }
                let fresh = || Entry {
                    key: place.clone(),
                    node: empty(resolve(inner, self.root), place.clone()),
                };
                let entry = entries.entry(first.clone()).or_insert_with(fresh);
                self.put(&mut entry.node, inner, rest)
            }
            Kind::List(items) => {
                let inner = schema.get("items").unwrap_or(&Json::Null);
                let n = items.len();
                let at: usize = first.parse().map_err(|_| {
                    format!("`{first}` must be a place in a list: a number from 0 to {n}")
                })?;
                if at > n {
                    return Err(format!("the list has {n} entries; the next one is number {n}"));
                }
                if at == n {
                    items.push((at, empty(resolve(inner, self.root), place)));
                }
                if rest.is_empty() {
                    items[at].1 = self.leaf(inner);
                    return Ok(());
                }
                self.put(&mut items[at].1, inner, rest)
            }
            _ => Err(format!("`{first}` would have to be in what is no section and no list")),
        }
    }

    /// The value as its setting wants it: read as TOML where that fits, else as text.
    fn leaf(&self, schema: &Json) -> Node {
        let text = Node::of_variable(self.name, self.value);
        if is_secret(schema, self.root) {
            return text;
        }
        let whole = format!("v = {}", self.value);
        let mut unread = Vec::new();
        let read = DeTable::parse(&whole).ok().and_then(|table| {
            let value = table.get_ref().get("v")?;
            Some(Node::of_value(value, &mut unread).moved_to(&text.place))
        });
        let fits = |node: &Node| {
            let mut check = Check::new(self.root);
            check.node(node, schema, &Path::default());
            check.found.is_empty()
        };
        match read.filter(|_| unread.is_empty()) {
            Some(read) if fits(&read) || !fits(&text) => read,
            _ => text,
        }
    }
}

fn empty(schema: &Json, place: Place) -> Node {
    let list = schema.get("type").is_some_and(|t| t == "array");
    let kind = if list { Kind::List(Vec::new()) } else { Kind::Table(BTreeMap::new()) };
    Node { place, kind }
}
