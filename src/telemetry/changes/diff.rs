//! What a change turned into what: the lines that differ between its `before` and `after`. Pure.
//!
//! Objects (JSON, or a text that is JSON or YAML) are compared by path, other texts line by line.
//! Secrets are masked before anything is compared: a value under a name such as `password` is told
//! to have changed, and never what it was or is. Guarantees: at most [`MOST_SHOWN`] lines and one
//! that says how many are left out, each of at most [`MOST_CHARS`] characters.

use std::collections::BTreeMap;

use serde_json::Value;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::telemetry::Rejected;
use crate::telemetry::redact::{names_secret, redact};

/// Lines that are kept of one change.
const MOST_SHOWN: usize = 20;
/// Characters that are kept of a line.
const MOST_CHARS: usize = 160;
/// Bytes that are read of each side.
const MOST_BYTES: usize = 256 * 1_024;
/// Lines or values that are compared of each side: the comparison of lines takes at worst the product.
const MOST_READ: usize = 4_000;
/// What stands for a value that may not be shown.
const MASK: &str = "[redacted:password]";
/// What is said of it.
const HIDDEN: &str = "changed, not shown";

/// A line or value: as it may be shown, and as it is, which is only compared.
struct Piece {
    shown: String,
    raw: String,
}

impl Piece {
    fn of(raw: &str, secret: bool) -> Self {
        let shown = if secret && !raw.is_empty() {
            MASK.to_owned()
        } else if raw.contains('\n') {
            pieces(raw, false).into_iter().map(|p| p.shown).collect::<Vec<_>>().join(" ")
        } else {
            redact(raw).into_owned()
        };
        Self { shown, raw: raw.to_owned() }
    }

    /// Whether it has lines of its own, not too many to compare, that may be looked at.
    fn is_file(&self) -> bool {
        (2..=MOST_READ).contains(&self.raw.lines().count()) && self.shown != MASK
    }
}

enum Side {
    Tree(BTreeMap<String, Piece>),
    Lines(Vec<Piece>),
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// The lines that differ. `names` are what else the change says of which setting it is: where one
/// of them names a secret, no value is shown.
///
/// # Errors
/// A side is too large, or one is an object and the other a text.
pub(super) fn lines(
    before: Option<&Value>,
    after: Option<&Value>,
    names: &[&str],
) -> Result<Vec<String>, Rejected> {
    let given = |v: Option<&Value>| v.is_some_and(|v| !is_empty(v));
    if !given(before) && !given(after) {
        return Ok(Vec::new());
    }
    let secret = names.iter().any(|name| names_secret(name));
    let sides = (side("/before", before, secret)?, side("/after", after, secret)?);
    let all = match sides {
        (None, None) => Vec::new(),
        (Some(Side::Tree(old)), None) => by_path(&old, &BTreeMap::new()),
        (None, Some(Side::Tree(new))) => by_path(&BTreeMap::new(), &new),
        (Some(Side::Tree(old)), Some(Side::Tree(new))) => by_path(&old, &new),
        (Some(Side::Lines(old)), None) => by_line(&old, &[]),
        (None, Some(Side::Lines(new))) => by_line(&[], &new),
        (Some(Side::Lines(old)), Some(Side::Lines(new))) if old.len() == 1 && new.len() == 1 => {
            turned(&old[0], &new[0]).into_iter().collect()
        }
        (Some(Side::Lines(old)), Some(Side::Lines(new))) => by_line(&old, &new),
        _ => {
            return Err(Rejected::invalid(
                "/after: expected an object where /before is one, and a text where that is one",
            ));
        }
    };
    Ok(bounded(&all))
}

fn bounded(all: &[String]) -> Vec<String> {
    if all.is_empty() {
        return vec!["before and after are the same".to_owned()];
    }
    let cut = |line: &String| {
        let line = line.replace(char::is_control, " ");
        match line.char_indices().nth(MOST_CHARS - 1) {
            Some((at, _)) if line.chars().count() > MOST_CHARS => format!("{}…", &line[..at]),
            _ => line,
        }
    };
    let mut shown: Vec<String> = all.iter().take(MOST_SHOWN).map(cut).collect();
    let more = all.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        shown.push(format!("… and {more} more"));
    }
    shown
}

fn side(field: &str, value: Option<&Value>, secret: bool) -> Result<Option<Side>, Rejected> {
    let large = |n: usize, most: usize, what: &str| {
        if n <= most {
            return Ok(());
        }
        Err(Rejected::invalid(format!(
            "{field}: {n} {what}, at most {most} are compared; send only what changed"
        )))
    };
    let Some(value) = value.filter(|v| !is_empty(v)) else { return Ok(None) };
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    large(text.len(), MOST_BYTES, "bytes")?;
    let is_tree = |v: &Value| v.is_object() || v.is_array();
    let parsed = match value {
        Value::String(text) => serde_json::from_str(text)
            .ok()
            .filter(is_tree)
            .or_else(|| serde_saphyr::from_str(text).ok()),
        other => Some(other.clone()),
    };
    let side = if let Some(tree) = parsed.filter(is_tree) {
        let mut found = BTreeMap::new();
        flatten(&tree, "", secret, &mut found);
        large(found.len(), MOST_READ, "values")?;
        Side::Tree(found)
    } else {
        let found = pieces(&text, secret);
        large(found.len(), MOST_READ, "lines")?;
        Side::Lines(found)
    };
    Ok(Some(side))
}

/// Every value of a tree by its path. What stands below a name of a secret is one, and so is what
/// stands beside it where a list has pairs of name and value, as environments of containers do; of a
/// Kubernetes Secret all is.
fn flatten(value: &Value, path: &str, secret: bool, found: &mut BTreeMap<String, Piece>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let text = |key: &str| map.get(key).and_then(Value::as_str);
            let beside =
                ["name", "key", "id"].into_iter().find(|k| text(k).is_some_and(names_secret));
            let kept = text("kind") == Some("Secret");
            for (key, value) in map {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let is_secret = secret
                    || names_secret(key)
                    || (beside.is_some() && beside != Some(key.as_str()))
                    || (kept && ["data", "stringData"].contains(&key.as_str()));
                flatten(value, &below, is_secret, found);
            }
        }
        Value::Array(all) if !all.is_empty() => {
            for (n, value) in all.iter().enumerate() {
                flatten(value, &format!("{path}[{n}]"), secret, found);
            }
        }
        leaf => {
            let raw = match leaf {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            found.insert(redact(path).into_owned(), Piece::of(raw.trim_end(), secret));
        }
    }
}

/// What became of one value, if anything.
fn turned(was: &Piece, is: &Piece) -> Option<String> {
    let (old, new) = (&was.shown, &is.shown);
    let said = || if old == new { HIDDEN.to_owned() } else { format!("{old} → {new}") };
    (is.raw != was.raw).then(said)
}

fn by_path(old: &BTreeMap<String, Piece>, new: &BTreeMap<String, Piece>) -> Vec<String> {
    let mut found = Vec::new();
    for (path, was) in old {
        match new.get(path) {
            None => found.push(format!("- {path}: {}", was.shown)),
            // A file within a value is told by its lines.
            Some(is) if is.is_file() && was.is_file() => {
                let lines = by_line(&pieces(&was.raw, false), &pieces(&is.raw, false));
                found.extend(lines.into_iter().map(|line| format!("{path}: {line}")));
            }
            Some(is) => found.extend(turned(was, is).map(|said| format!("{path}: {said}"))),
        }
    }
    let added = new.iter().filter(|(path, _)| !old.contains_key(*path));
    found.extend(added.map(|(path, is)| format!("+ {path}: {}", is.shown)));
    found
}

fn by_line(old: &[Piece], new: &[Piece]) -> Vec<String> {
    let text = |all: &[Piece]| all.iter().map(|p| p.shown.clone()).collect::<Vec<_>>();
    let (was, is) = (text(old), text(new));
    let mut found = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &was, &is) {
        let (tag, from, to) = op.as_tag_tuple();
        if tag == DiffTag::Equal {
            let pairs = old[from].iter().zip(&new[to]);
            let hidden = pairs.filter(|(was, is)| was.raw != is.raw);
            found.extend(hidden.map(|(was, _)| format!("{}: {HIDDEN}", was.shown.trim())));
        } else {
            found.extend(was[from].iter().map(|line| format!("- {line}")));
            found.extend(is[to].iter().map(|line| format!("+ {line}")));
        }
    }
    found
}

/// The lines of a text. A secret over several lines, such as a private key, is one line.
fn pieces(text: &str, secret: bool) -> Vec<Piece> {
    let masked = redact(text);
    let (shown, raw): (Vec<&str>, Vec<&str>) = (masked.lines().collect(), text.lines().collect());
    if secret {
        return raw.into_iter().map(|line| Piece::of(line, true)).collect();
    }
    let hidden = secrets(&raw);
    if shown.len() == raw.len() {
        let each = shown.into_iter().zip(raw).zip(hidden);
        return each
            .map(|((shown, raw), hides)| {
                let shown = if hides { without_value(raw) } else { shown.to_owned() };
                Piece { shown, raw: raw.to_owned() }
            })
            .collect();
    }
    // Lines can't be paired any more: what goes for lines alone is told on what is left.
    let hidden = secrets(&shown);
    let mut all: Vec<Piece> = shown
        .into_iter()
        .zip(hidden)
        .map(|(line, hides)| Piece {
            shown: if hides { without_value(line) } else { line.to_owned() },
            raw: line.to_owned(),
        })
        .collect();
    // Whether what is masked changed is told by a piece of its own, equal to look at.
    all.push(Piece { shown: "secrets over several lines".to_owned(), raw: text.to_owned() });
    all
}

/// Key and value of a line `key = value`, `key: value` or `- key: value`.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(['=', ':'])?;
    let bare = |c: char| c.is_whitespace() || "\"'`-,;".contains(c);
    Some((key.trim_matches(bare), value.trim_matches(bare)))
}

fn without_value(line: &str) -> String {
    let at = line.find(['=', ':']).filter(|_| pair(line).is_some_and(|(key, _)| key.len() < 80));
    let lead = line.len() - line.trim_start().len();
    let kept = at.map_or(&line[..lead], |at| &line[..=at]);
    let space = if at.is_some() { " " } else { "" };
    format!("{}{space}{MASK}", redact(kept))
}

/// Which lines hold a secret by a name on them, on the line whose block they stand in, or, for a
/// value, on a line beside them.
fn secrets(lines: &[&str]) -> Vec<bool> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut hidden = vec![false; lines.len()];
    let mut within: Option<usize> = None;
    for (n, line) in lines.iter().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        if within.is_some_and(|outer| depth(line) > outer) {
            hidden[n] = true;
            continue;
        }
        within = None;
        let Some((key, value)) = pair(line) else { continue };
        if names_secret(key) {
            hidden[n] = !value.is_empty();
            within = Some(depth(line));
        } else if ["name", "key", "id"].contains(&key) && names_secret(value) {
            for beside in [n.wrapping_sub(1), n + 1, n + 2] {
                let other = lines.get(beside).and_then(|line| pair(line));
                if other.is_some_and(|(key, _)| key.starts_with("value")) {
                    hidden[beside] = true;
                }
            }
        }
    }
    hidden
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> Vec<String> {
        lines(Some(before), Some(after), &["worker_concurrency", "key"]).expect("is compared")
    }

    #[test]
    fn values_are_told_by_path_and_texts_by_line() {
        let old = json!({ "pool": { "max": 24, "hosts": ["a", "b"] }, "debug": false, "gone": 1 });
        let new = json!({ "pool": { "max": 48, "hosts": ["a", "c"] }, "debug": false, "new": "x" });
        let expected = ["- gone: 1", "pool.hosts[1]: b → c", "pool.max: 24 → 48", "+ new: x"];
        assert_eq!(told(&old, &new), expected);
        assert_eq!(told(&json!(old.to_string()), &json!(new.to_string())), expected);
        assert_eq!(
            told(&json!("pool:\n  max: 24\n"), &json!("pool:\n  max: 48")),
            ["pool.max: 24 → 48"]
        );
        assert_eq!(told(&json!(24), &json!(48)), ["24 → 48"]);
        assert_eq!(
            told(&json!("allow a\nallow b\ndeny all"), &json!("allow a\ndeny all\nlog")),
            ["- allow b", "+ log"]
        );
        let file = |n: u8| json!({ "app.ini": format!("[db]\nhost = a\npool = {n}\n") });
        assert_eq!(told(&file(1), &file(2)), ["app.ini: - pool = 1", "app.ini: + pool = 2"]);
        assert_eq!(told(&json!("a"), &Value::Null), ["- a"]);
        assert_eq!(told(&old, &old), ["before and after are the same"]);
        assert!(lines(None, Some(&Value::Null), &[]).expect("nothing").is_empty());
    }

    /// What is sent, with a secret in it, and what is told of it.
    type Case<'a> = (&'a dyn Fn(&str) -> Value, &'a str);

    #[test]
    fn a_secret_is_told_to_have_changed_and_never_what_it_was_or_is() {
        let (old, new) = ("hunter2old", "Tr0ub4dor&3new");
        let of = |f: &dyn Fn(&str) -> Value| told(&f(old), &f(new));
        let cases: [Case<'_>; 11] = [
            (&|s| json!({ "db": { "password": s } }), "db.password: changed"),
            (&|s| json!({ "db": { "password": { "value": s } } }), "db.password.value: changed"),
            (&|s| json!({ "api_token": [s, "x"] }), "api_token[0]: changed"),
            (
                &|s| json!({ "env": [{ "name": "DB_PASSWORD", "value": s }] }),
                "env[0].value: changed",
            ),
            (&|s| json!({ "kind": "Secret", "data": { "a": s } }), "data.a: changed"),
            (&|s| json!({ "url": format!("postgres://u:{s}@db/a") }), "url: changed"),
            (&|s| json!({ "f": format!("a = 1\ndb.password = {s}\n") }), "f: db.password"),
            (&|s| json!(format!("a: 1\npassword:\n  - {s}\n")), "password[0]: changed"),
            (&|s| json!(format!("[db]\npassword = \"{s}\"\n")), "password"),
            (&|s| json!(format!("set {{\n name = \"db.password\"\n value = \"{s}\"\n}}")), "value"),
            (
                &|s| {
                    json!(format!("a\n-----BEGIN PRIVATE KEY-----\n{s}\n-----END PRIVATE KEY-----"))
                },
                "secrets over several lines: changed",
            ),
        ];
        for (n, (made, says)) in cases.into_iter().enumerate() {
            let said = of(made).join("\n");
            assert!(said.contains(says) && said.contains("changed, not shown"), "{n}: {said}");
            let all = [said, lines(None, Some(&made(new)), &[]).expect("added").join("\n")];
            for shown in all {
                assert!(!shown.contains(old) && !shown.contains("Tr0ub"), "{n}: {shown}");
            }
        }
        // The name may stand beside it.
        let beside = lines(Some(&json!(old)), Some(&json!(new)), &["db_password"]).expect("told");
        assert_eq!(beside, ["changed, not shown"]);
    }

    #[test]
    fn it_is_bounded_and_what_is_cut_is_said() {
        let many = |c: &str| (0..500).map(|n| format!("{c} {n}\n")).collect::<Vec<_>>().concat();
        let said = told(&json!(many("a")), &json!(many("b")));
        assert_eq!((said.len(), said[20].as_str()), (21, "… and 980 more"));
        let long = told(&json!({ "a": "x" }), &json!({ "a": "é".repeat(1_000) }));
        assert_eq!((long[0].chars().count(), long[0].ends_with('…')), (MOST_CHARS, true));
        let refused = |v: Value| lines(None, Some(&v), &[]).expect_err("too large").to_string();
        assert!(refused(json!("x".repeat(MOST_BYTES + 1))).contains("/after: 262145 bytes"));
        assert!(refused(json!("x\n".repeat(MOST_READ + 1))).contains("4001 lines"));
        let mixed = lines(Some(&json!("a b")), Some(&json!({ "a": 1 })), &[]).expect_err("mixed");
        assert!(mixed.to_string().contains("/after: expected an object where /before is one"));
    }
}
