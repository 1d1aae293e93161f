//! The tree held against the schema: every unknown key, wrong type, wrong word and number out of
//! range at once, each with its place.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Mistake;
use super::tree::{Entry, Kind, Node, Path, Place};

/// A mistake and the way to the part that makes it, so that reading can go on without that part.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) mistake: Mistake,
    pub(super) way: Path,
}

/// What checking needs beside the part at hand.
pub(super) struct Check<'a> {
    root: &'a Json,
    pub(super) found: Vec<Finding>,
}

impl<'a> Check<'a> {
    /// A check against the schema `root`.
    pub(super) fn new(root: &'a Json) -> Self {
        Self { root, found: Vec::new() }
    }

    fn say(&mut self, place: &Place, way: &Path, text: String) {
        let mistake = Mistake { place: place.clone(), path: way.to_string(), text };
        self.found.push(Finding { mistake, way: way.clone() });
    }

    /// Collects what in `node` does not fit `schema`.
    pub(super) fn node(&mut self, node: &Node, schema: &'a Json, path: &Path) {
        let schema = resolve(schema, self.root);
        if is_secret(schema, self.root) {
            // Its text is never shown, whatever else is wrong with it.
            if secret_named(node).is_none() && node.text().is_none() {
                let text = format!("expected {}, found {}", wanted(schema, self.root), node.kind());
                self.say(&node.place, path, text);
            } else if node.text() == Some("") {
                self.say(&node.place, path, "is empty".to_owned());
            }
            return;
        }
        if let Some(options) = alternatives(schema) {
            let fitting = options.iter().find(|o| fits(node, resolve(o, self.root)));
            match fitting {
                Some(option) => self.node(node, option, path),
                None => self.unfit(node, schema, path),
            }
            return;
        }
        if !fits(node, schema) {
            self.unfit(node, schema, path);
            return;
        }
        match &node.kind {
            Kind::Table(_) if named_text(node, schema) => {}
            Kind::Table(entries) => self.table(node, entries, schema, path),
            Kind::List(items) => {
                if let Some(inner) = schema.get("items") {
                    for (i, item) in items {
                        self.node(item, inner, &path.index(*i));
                    }
                }
            }
            Kind::Whole(n) => self.number(node, *n as f64, schema, path),
            Kind::Number(n) => self.number(node, *n, schema, path),
            Kind::Text(text) => {
                let least = schema.get("minLength").and_then(Json::as_u64).unwrap_or(0);
                if (text.chars().count() as u64) < least {
                    let text = if least == 1 {
                        "is empty".to_owned()
                    } else {
                        format!("is shorter than {least} characters")
                    };
                    self.say(&node.place, path, text);
                }
            }
            Kind::Truth(_) => {}
        }
    }

    fn table(
        &mut self,
        node: &Node,
        entries: &BTreeMap<String, Entry>,
        schema: &'a Json,
        path: &Path,
    ) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties");
        for (name, Entry { key, node }) in entries {
            let path = path.key(name);
            if let Some(expected) = properties.and_then(|p| p.get(name)) {
                self.node(node, expected, &path);
            } else if let Some(expected) = others.filter(|o| o.is_object()) {
                self.node(node, expected, &path);
            } else if others == Some(&Json::Bool(false)) {
                let known: Vec<&String> = properties.into_iter().flat_map(|p| p.keys()).collect();
                let text = format!("is not a setting{}", self.hint(name, &known));
                self.say(key, &path, text);
            }
        }
        for name in schema.get("required").and_then(Json::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !entries.contains_key(name) {
                self.say(&node.place, path, format!("`{name}` is missing"));
            }
        }
        for pair in schema.get("x-one-of").and_then(Json::as_array).into_iter().flatten() {
            let name = pair.as_str().unwrap_or_default();
            let file = format!("{name}_file");
            if !entries.contains_key(name) && !entries.contains_key(&file) {
                self.say(&node.place, path, format!("`{name}` or `{file}` is missing"));
            }
        }
    }

    /// What somebody may have meant by a key that is not known here.
    fn hint(&self, name: &str, known: &[&String]) -> String {
        if let Some(near) = nearest(name, known.iter().map(|k| k.as_str())) {
            return format!("; did you mean `{near}`?");
        }
        let sections = self.root.get("properties").and_then(Json::as_object);
        let home = sections.into_iter().flatten().find(|(_, section)| {
            let section = resolve(section, self.root);
            let section = section.get("items").map_or(section, |i| resolve(i, self.root));
            section.get("properties").is_some_and(|p| p.get(name).is_some())
        });
        match home {
            Some((section, _)) => format!("; it belongs to [{section}]"),
            None if known.len() <= 12 => {
                let known: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
                format!("; here can stand {}", known.join(", "))
            }
            None => String::new(),
        }
    }

    fn unfit(&mut self, node: &Node, schema: &Json, path: &Path) {
        let words = words(schema, self.root);
        let text = match node.text() {
            Some(given) if !words.is_empty() => {
                let near = nearest(given, words.iter().map(String::as_str));
                let hint = near.map(|n| format!("; did you mean \"{n}\"?")).unwrap_or_default();
                format!("\"{given}\" is not {}{hint}", wanted(schema, self.root))
            }
            _ => format!("expected {}, found {}", wanted(schema, self.root), node.kind()),
        };
        self.say(&node.place, path, text);
    }

    fn number(&mut self, node: &Node, value: f64, schema: &Json, path: &Path) {
        let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
        let (least, most) = (bound("minimum"), bound("maximum"));
        if !value.is_finite() {
            self.say(&node.place, path, format!("expected a finite number, found {value}"));
        } else if least.is_some_and(|l| value < l) || most.is_some_and(|m| value > m) {
            let text = format!("{value} is not {}", wanted(schema, self.root));
            self.say(&node.place, path, text);
        }
    }
}

/// Follows references.
pub(super) fn resolve<'a>(schema: &'a Json, root: &'a Json) -> &'a Json {
    let reference = schema.get("$ref").and_then(Json::as_str);
    let target = reference.and_then(|r| r.strip_prefix('#')).and_then(|r| root.pointer(r));
    target.map_or(schema, |target| resolve(target, root))
}

/// Whether a schema is that of a secret, or of one that may be left out.
pub(super) fn is_secret(schema: &Json, root: &Json) -> bool {
    resolve(schema, root).get("writeOnly") == Some(&Json::Bool(true))
        || alternatives(schema).is_some_and(|options| {
            options.iter().any(|o| resolve(o, root).get("writeOnly") == Some(&Json::Bool(true)))
        })
}

/// The variable or file that a table `{ env = … }` or `{ file = … }` names.
pub(super) fn secret_named(node: &Node) -> Option<(&'static str, &str)> {
    let Kind::Table(entries) = &node.kind else { return None };
    let (name, entry) = entries.first_key_value().filter(|_| entries.len() == 1)?;
    let kind = ["env", "file"].into_iter().find(|k| k == name)?;
    Some((kind, entry.node.text()?))
}

fn named_text(node: &Node, schema: &Json) -> bool {
    secret_named(node).is_some() && types(schema).contains(&"string")
}

/// The alternatives of a schema; those of a table with settings only say which may be left out.
fn alternatives(schema: &Json) -> Option<&Vec<Json>> {
    if schema.get("properties").is_some() {
        return None;
    }
    ["anyOf", "oneOf"].into_iter().find_map(|key| schema.get(key).and_then(Json::as_array))
}

fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The words that a schema lets stand.
fn words(schema: &Json, root: &Json) -> Vec<String> {
    let schema = resolve(schema, root);
    if let Some(word) = schema.get("const").and_then(Json::as_str) {
        return vec![word.to_owned()];
    }
    if let Some(list) = schema.get("enum").and_then(Json::as_array) {
        return list.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect();
    }
    alternatives(schema).into_iter().flatten().flat_map(|o| words(o, root)).collect()
}

fn fits(node: &Node, schema: &Json) -> bool {
    if let Some(text) = node.text()
        && (schema.get("const").is_some() || schema.get("enum").is_some())
    {
        return words(schema, schema).iter().any(|w| w == text);
    }
    let types = types(schema);
    let actual = match node.kind {
        Kind::Table(_) => "object",
        Kind::List(_) => "array",
        Kind::Text(_) => "string",
        Kind::Whole(_) => "integer",
        Kind::Number(_) => "number",
        Kind::Truth(_) => "boolean",
    };
    types.is_empty()
        || types.contains(&actual)
        || (actual == "integer" && types.contains(&"number"))
        || named_text(node, schema)
}

/// What a schema wants, in words.
fn wanted(schema: &Json, root: &Json) -> String {
    let schema = resolve(schema, root);
    if is_secret(schema, root) {
        return "a text, { env = \"NAME\" } or { file = \"path\" }".to_owned();
    }
    let words = words(schema, root);
    if !words.is_empty() {
        let words: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
        return format!("one of {}", words.join(", "));
    }
    if let Some(options) = alternatives(schema) {
        let mut all: Vec<String> = options.iter().map(|o| wanted(o, root)).collect();
        all.retain(|w| w != "nothing");
        return all.join(" or ");
    }
    let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
    let range = match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    };
    let names: Vec<String> = types(schema)
        .into_iter()
        .filter_map(|t| match t {
            "string" => Some("a text".to_owned()),
            "integer" => Some(format!("a whole number{range}")),
            "number" => Some(format!("a number{range}")),
            "boolean" => Some("true or false".to_owned()),
            "array" => Some("a list".to_owned()),
            "object" => Some("a table".to_owned()),
            _ => None,
        })
        .collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" or ") }
}

/// The known word that is nearest by edit distance, when it is near enough to be meant.
pub(super) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase().replace('-', "_");
    let most = (given.chars().count() / 3).max(1);
    known
        .map(|k| (strsim::osa_distance(k, &given), k))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, k)| k)
}
