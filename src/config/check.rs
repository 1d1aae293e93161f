//! The file held against the schema: every unknown key and wrong type at once, with its place.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistake;

/// Collects what in `table` does not fit `schema`; `root` holds the definitions.
pub(super) fn table(
    table: &DeTable<'_>,
    schema: &Json,
    root: &Json,
    path: &str,
    found: &mut Vec<Mistake>,
) {
    let schema = resolve(schema, root);
    let properties = schema.get("properties").and_then(Json::as_object);
    let others = schema.get("additionalProperties");
    for (key, inner) in table {
        let name: &str = key.get_ref();
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if let Some(expected) = properties.and_then(|p| p.get(name)) {
            value(inner, expected, root, &path, found);
        } else if let Some(expected) = others.filter(|o| o.is_object()) {
            value(inner, expected, root, &path, found);
        } else if others == Some(&Json::Bool(false)) {
            let known = properties.into_iter().flat_map(|p| p.keys());
            let best = known
                .map(|k| (strsim::jaro_winkler(k, name), k))
                .filter(|(score, _)| *score > 0.8)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let hint = best.map(|(_, k)| format!("; did you mean `{k}`?")).unwrap_or_default();
            found.push(Mistake {
                span: Some(key.span()),
                message: format!("`{path}` is not a setting{hint}"),
            });
        }
    }
}

fn resolve<'a>(schema: &'a Json, root: &'a Json) -> &'a Json {
    let reference = schema.get("$ref").and_then(Json::as_str);
    let target = reference.and_then(|r| r.strip_prefix('#')).and_then(|r| root.pointer(r));
    match target {
        Some(target) => resolve(target, root),
        None => schema,
    }
}

fn value(
    value: &Spanned<DeValue<'_>>,
    schema: &Json,
    root: &Json,
    path: &str,
    found: &mut Vec<Mistake>,
) {
    let schema = resolve(schema, root);
    // Alternatives: the one whose type fits is checked further; serde has the last word.
    for key in ["anyOf", "oneOf"] {
        if let Some(options) = schema.get(key).and_then(Json::as_array) {
            let fitting = options.iter().map(|o| resolve(o, root)).find(|o| fits(value, o));
            if let Some(option) = fitting.filter(|o| o.get("properties").is_some()) {
                self::value(value, option, root, path, found);
            }
            return;
        }
    }
    if !fits(value, schema) {
        let expected = schema.get("type").map(Json::to_string).unwrap_or_default();
        found.push(Mistake {
            span: Some(value.span()),
            message: format!(
                "`{path}` is {}, expected {}",
                kind(value.get_ref()),
                expected.replace(['"', '[', ']'], "").replace(',', " or ")
            ),
        });
        return;
    }
    match value.get_ref() {
        DeValue::Table(inner) if schema.get("type").is_none_or(|t| t == "object") => {
            table(inner, schema, root, path, found);
        }
        DeValue::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for (i, item) in items.iter().enumerate() {
                    self::value(item, inner, root, &format!("{path}[{i}]"), found);
                }
            }
        }
        _ => {}
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

fn fits(value: &Spanned<DeValue<'_>>, schema: &Json) -> bool {
    let actual = kind(value.get_ref());
    let one = |wanted: &str| wanted == actual || (wanted == "number" && actual == "integer");
    // A text may be named rather than written: `{ env = … }`, `{ file = … }`.
    let named = match value.get_ref() {
        DeValue::Table(t) => t.len() == 1 && (t.contains_key("env") || t.contains_key("file")),
        _ => false,
    };
    let one = |wanted: &str| one(wanted) || (named && wanted == "string");
    match schema.get("type") {
        Some(Json::String(wanted)) => one(wanted),
        Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).any(one),
        _ => true,
    }
}
