//! What a change turned into what: the lines that differ between its `before` and `after`. Pure.
//!
//! Objects (JSON, or a text that is JSON or YAML) are compared by path, other texts line by line.
//! Secrets are masked before anything is compared: a value under a name such as `password` is told
//! to have changed, and never what it was or is. A text that is or names a secret anywhere shows
//! keys, short numbers and switches only: what stands for what in it can't be told for sure. Most of
//! what looks as if it was drawn by lot is masked whatever it is called (`drawn`).
//! Guarantees: at most [`MOST_SHOWN`] lines and one that says how many are left out, each of at most
//! [`MOST_CHARS`] characters.

mod drawn;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::Value;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use self::drawn::{NOT_DRAWN, holds_small_token, is_drawn};
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
/// Bytes of the paths of all values of a side.
const MOST_PATHS: usize = 1_024 * 1_024;
/// What stands for a value that may not be shown.
const MASK: &str = "[redacted:password]";
/// What is said of it.
const HIDDEN: &str = "changed, not shown";

/// A line or value: as it may be shown, and as it is, which is only compared.
struct Piece {
    shown: String,
    raw: String,
    /// It stands under a name of a secret.
    is_secret: bool,
}

impl Piece {
    fn of(raw: &str, secret: bool) -> Self {
        let shown = if raw.is_empty() {
            String::new()
        } else if secret
            || (raw.contains(char::is_whitespace) && holds_secret(raw))
            || raw.split(NOT_DRAWN).any(is_drawn)
            || holds_small_token(raw)
        {
            MASK.to_owned()
        } else {
            redact(&raw.replace('\n', " ")).into_owned()
        };
        Self { shown, raw: raw.to_owned(), is_secret: secret }
    }

    /// Another one of the same path.
    fn join(&mut self, other: Self) {
        for (text, more) in [(&mut self.shown, other.shown), (&mut self.raw, other.raw)] {
            text.push_str(", ");
            text.push_str(&more);
        }
        self.is_secret |= other.is_secret;
    }

    /// Whether it has lines of its own, not too many to compare, that may be looked at.
    fn is_file(&self) -> bool {
        self.raw.lines().count() > 1 && !self.is_secret
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
    let texts = before.is_some_and(Value::is_string) && after.is_some_and(Value::is_string);
    let mut sides = (side("/before", before, secret, true)?, side("/after", after, secret, true)?);
    let differ = |a: &Side, b: &Side| matches!(a, Side::Tree(_)) != matches!(b, Side::Tree(_));
    if texts && matches!(&sides, (Some(a), Some(b)) if differ(a, b)) {
        // One of two texts can't be read as the other: a broken file is what changed.
        sides = (side("/before", before, secret, false)?, side("/after", after, secret, false)?);
    }
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
    if all.is_empty() {
        let same = before == after;
        let said = if same { "before and after are the same" } else { "only how it is written" };
        return Ok(vec![said.to_owned()]);
    }
    Ok(bounded(&all))
}

fn bounded(all: &[String]) -> Vec<String> {
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

fn side(
    field: &str,
    value: Option<&Value>,
    secret: bool,
    read: bool,
) -> Result<Option<Side>, Rejected> {
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
        Value::String(text) if read => tree_of(text),
        Value::String(_) => None,
        other => Some(other.clone()),
    };
    let side = if let Some(tree) = parsed.filter(is_tree) {
        let mut tree_of = Tree::default();
        tree_of.flatten(&tree, "", secret);
        large(tree_of.n_lines, MOST_READ, "values and lines")?;
        large(tree_of.n_bytes, MOST_PATHS, "bytes of paths")?;
        Side::Tree(tree_of.found)
    } else {
        let found = pieces(&text, secret);
        large(found.len(), MOST_READ, "lines")?;
        Side::Lines(found)
    };
    Ok(Some(side))
}

/// An object or list that a text is, as JSON or YAML.
fn tree_of(text: &str) -> Option<Value> {
    let is_tree = |v: &Value| v.is_object() || v.is_array();
    let json = serde_json::from_str(text).ok().filter(is_tree);
    json.or_else(|| serde_saphyr::from_str(text).ok()).filter(is_tree)
}

/// Whether a text is or names a secret anywhere.
fn holds_secret(text: &str) -> bool {
    names_secret(text) || text.split(NOT_NAMES).any(names_secret) || redact(text) != text
}

/// What parts names in a text.
const NOT_NAMES: [char; 20] = [
    ' ', '\t', '\n', '\r', '"', '\'', '`', '=', ':', ',', ';', '(', ')', '{', '}', '[', ']', '<',
    '>', '|',
];

/// Every value of a tree by its path.
#[derive(Default)]
struct Tree {
    found: BTreeMap<String, Piece>,
    /// Lines of all values, one at least each, and bytes of all paths.
    n_lines: usize,
    n_bytes: usize,
}

impl Tree {
    /// What stands below a name of a secret is one, and so is what stands beside one where names
    /// are values, as in environments of containers and in arguments; of a Kubernetes Secret all is
    /// but what it is and is called. Stops where there is too much.
    fn flatten(&mut self, value: &Value, path: &str, secret: bool) {
        if self.n_lines > MOST_READ || self.n_bytes > MOST_PATHS {
            return;
        }
        match value {
            // Names within a secret may be secrets themselves: it is one piece.
            Value::Object(_) | Value::Array(_) if secret => {
                self.put(path, &value.to_string(), true);
            }
            Value::Object(map) if !map.is_empty() => {
                let text = |key: &str| map.get(key).and_then(Value::as_str);
                let beside = map.values().any(is_name_of_secret);
                let kept = text("kind").is_some_and(|kind| kind.eq_ignore_ascii_case("secret"));
                for (key, value) in map {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    let open = ["apiVersion", "kind", "type"].contains(&key.as_str());
                    // By its key, not by its look: a secret may well hold the word.
                    let is_secret =
                        names_secret(key) || (beside && !holds_names(key)) || (kept && !open);
                    self.flatten(value, &below, is_secret);
                }
            }
            Value::Array(all) if !all.is_empty() => {
                let beside = all.iter().any(is_name_of_secret);
                for (n, value) in all.iter().enumerate() {
                    let is_flag = value.as_str().is_some_and(|text| text.starts_with('-'));
                    let is_secret = beside && value.is_string() && !is_flag;
                    self.flatten(value, &format!("{path}[{n}]"), is_secret);
                }
            }
            Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
                match tree_of(text) {
                    Some(tree) => self.flatten(&tree, path, secret),
                    None => self.put(path, text, secret || holds_secret(text)),
                }
            }
            Value::String(text) => self.put(path, text, secret),
            leaf => self.put(path, &leaf.to_string(), secret),
        }
    }

    fn put(&mut self, path: &str, raw: &str, secret: bool) {
        self.n_lines += raw.lines().count().max(1);
        self.n_bytes += path.len();
        let path = if path.is_empty() { "all".into() } else { redact(path) };
        let piece = Piece::of(raw.trim_end(), secret);
        match self.found.entry(path.into_owned()) {
            Entry::Vacant(new) => drop(new.insert(piece)),
            // `a.b` may be a key, and `b` one below `a`.
            Entry::Occupied(known) => known.into_mut().join(piece),
        }
    }
}

/// Whether names stand under a key, as under `name`, `Key`, `ParameterKey` and `header`.
fn holds_names(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key == "id" || ["name", "key", "header"].iter().any(|end| key.ends_with(end))
}

/// Whether a value is itself the name of a secret, as `DB_PASSWORD` or `--password` is.
fn is_name_of_secret(value: &Value) -> bool {
    let part = |c: char| c.is_alphanumeric() || "_.-/".contains(c);
    let name = |text: &str| text.len() <= 80 && text.chars().all(part);
    value.as_str().is_some_and(|text| name(text) && names_secret(text))
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

/// The lines of a text.
fn pieces(text: &str, secret: bool) -> Vec<Piece> {
    let raw: Vec<&str> = text.lines().collect();
    if secret {
        return raw.into_iter().map(|line| Piece::of(line, true)).collect();
    }
    let (careful, hidden) = (holds_secret(text), secrets(&raw));
    let of_secrets = text.to_lowercase().contains("kind: secret");
    let each = raw.into_iter().zip(hidden);
    each.map(|(line, hides)| {
        let shows = !careful || line.trim().is_empty() || (!hides && !of_secrets && is_plain(line));
        let shown = if shows { line.to_owned() } else { without_value(line) };
        Piece { shown, raw: line.to_owned(), is_secret: false }
    })
    .collect()
}

/// Whether a line sets a number that is too short for a secret, or turns something on or off.
fn is_plain(line: &str) -> bool {
    let Some((key, value)) = pair(line) else { return false };
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let number = value.trim_start_matches('-');
    let (number, unit) = number
        .split_at(number.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(number.len()));
    let units =
        ["", "ms", "s", "m", "h", "d", "k", "m", "g", "kb", "mb", "gb", "ki", "mi", "gi", "%"];
    let is_number =
        !number.is_empty() && digits <= 5 && units.contains(&&*unit.to_ascii_lowercase());
    let switch =
        ["true", "false", "on", "off", "yes", "no"].contains(&&*value.to_ascii_lowercase());
    is_bare(key) && !names_secret(key) && (is_number || switch)
}

/// Whether something can be a key: short and without spaces.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.len() < 80 && !key.contains(char::is_whitespace)
}

/// Key and value of a line `key = value`, `key: value` or `- key: value`.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(['=', ':'])?;
    let bare = |c: char| c.is_whitespace() || "\"'`-,;{}[]".contains(c);
    Some((key.trim_matches(bare), value.trim_matches(bare)))
}

fn without_value(line: &str) -> String {
    let at = line.find(['=', ':']).filter(|_| pair(line).is_some_and(|(key, _)| is_bare(key)));
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
mod tests;
