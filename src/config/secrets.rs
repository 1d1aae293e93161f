//! Secrets of the tree: what `{ env = … }`, `{ file = … }` and `<key>_file` name is put in its
//! place, and where secrets stand in the file is noted, so that no excerpt shows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::check::{Finding, is_secret, resolve, secret_named};
use super::tree::{Entry, Kind, Node, Path, Place};
use super::{Environment, Mistake};

/// Says in the schema what is true of every secret: `<key>_file` may stand for `<key>`.
pub(super) fn extend(schema: &mut Json, root: &Json) {
    match schema {
        Json::Object(object) => {
            object.values_mut().for_each(|inner| extend(inner, root));
            let names: Vec<String> = object
                .get("properties")
                .and_then(Json::as_object)
                .into_iter()
                .flatten()
                .filter(|(_, inner)| is_secret(inner, root))
                .map(|(name, _)| name.clone())
                .collect();
            for name in names {
                extend_one(object, &name);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|inner| extend(inner, root)),
        _ => {}
    }
}

fn extend_one(object: &mut Map<String, Json>, name: &str) {
    let file = format!("{name}_file");
    let description = format!("File that holds `{name}`; white space at its end is cut.");
    object["properties"][&file] =
        json!({ "type": "string", "minLength": 1, "description": description, "x-file-of": name });
    let required = object.get_mut("required").and_then(Json::as_array_mut);
    if let Some(required) = required.filter(|r| r.iter().any(|n| n == name)) {
        required.retain(|n| n != name);
        object.insert("x-one-of".to_owned(), json!([name]));
        object.insert("oneOf".to_owned(), json!([{ "required": [name] }, { "required": [file] }]));
    }
}

/// Puts named texts in their places.
pub(super) struct Secrets<'a> {
    pub(super) root: &'a Json,
    pub(super) environment: Environment<'a>,
    pub(super) found: Vec<Finding>,
    /// Where in the file secrets are written out.
    pub(super) hidden: Vec<(usize, usize)>,
}

impl Secrets<'_> {
    /// Walks the tree along its schema.
    pub(super) fn node(&mut self, node: &mut Node, schema: &Json, path: &Path) {
        let schema = resolve(schema, self.root);
        let secret = is_secret(schema, self.root);
        if secret
            && !matches!(node.kind, Kind::Table(_) | Kind::List(_))
            && let Place::File(from, until) = node.place
        {
            self.hidden.push((from, until));
        }
        let texts = schema.get("type").is_some_and(|t| {
            t == "string" || t.as_array().is_some_and(|all| all.iter().any(|t| t == "string"))
        });
        if (secret || texts)
            && let Some((kind, name)) = secret_named(node).map(|(k, n)| (k, n.to_owned()))
        {
            match self.named(kind, &name) {
                Ok(text) => node.kind = Kind::Text(text),
                Err(text) => self.say(&node.place, path, text),
            }
            return;
        }
        match &mut node.kind {
            Kind::Table(entries) => self.table(entries, schema, path),
            Kind::List(items) => {
                let Some(inner) = schema.get("items") else { return };
                for (i, item) in items {
                    self.node(item, inner, &path.index(*i));
                }
            }
            _ => {}
        }
    }

    fn table(&mut self, entries: &mut BTreeMap<String, Entry>, schema: &Json, path: &Path) {
        let property = |name: &str| schema.get("properties").and_then(|p| p.get(name));
        let files: Vec<(String, String)> = entries
            .keys()
            .filter_map(|k| Some((k.clone(), property(k)?.get("x-file-of")?.as_str()?.to_owned())))
            .collect();
        for (file, name) in files {
            let Some(Entry { key, node }) = entries.remove(&file) else { continue };
            let Some(path_of_file) = node.text() else { continue };
            let place = node.place.clone();
            if entries.contains_key(&name) {
                let text = format!("`{name}` stands there too; keep one of them");
                self.say(&key, &path.key(&file), text);
                continue;
            }
            match self.named("file", path_of_file) {
                Ok(text) => {
                    let node = Node { place, kind: Kind::Text(text) };
                    entries.insert(name, Entry { key, node });
                }
                Err(text) => {
                    self.say(&place, &path.key(&file), text);
                    // Something must stand there, or it would be called missing too.
                    let node = Node { place: Place::Nowhere, kind: Kind::Text(String::new()) };
                    entries.insert(name, Entry { key, node });
                }
            }
        }
        for (name, entry) in entries {
            let inner = property(name).or_else(|| schema.get("additionalProperties"));
            if let Some(inner) = inner.filter(|i| i.is_object()) {
                // What came from a file stands in no line of the configuration.
                self.node(&mut entry.node, inner, &path.key(name));
            }
        }
    }

    fn named(&self, kind: &str, name: &str) -> Result<String, String> {
        let (what, text) = if kind == "file" {
            let read = std::fs::read_to_string(name);
            (format!("the file {name}"), read.map_err(|e| format!("can't be read: {e}")))
        } else {
            let value = self.environment.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
            let value = value.ok_or_else(|| "is not set".to_owned());
            (format!("the environment variable {name}"), value)
        };
        match text.map(|t| t.trim_end().to_owned()) {
            Ok(text) if text.is_empty() => Err(format!("{what} is empty")),
            Ok(text) => Ok(text),
            Err(why) => Err(format!("{what} {why}")),
        }
    }

    fn say(&mut self, place: &Place, way: &Path, text: String) {
        let mistake = Mistake { place: place.clone(), path: way.to_string(), text };
        self.found.push(Finding { mistake, way: way.clone() });
    }
}
