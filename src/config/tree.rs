//! The configuration as a tree whose every part knows where it was written: a place in the file, or
//! an environment variable.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistake;

/// Where a part was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// From this byte to that of the file.
    File(usize, usize),
    /// In this environment variable.
    Variable(String),
    /// Nowhere: what is wrong is that nothing was written.
    Nowhere,
}

impl From<Range<usize>> for Place {
    fn from(range: Range<usize>) -> Self {
        Self::File(range.start, range.end)
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Table(BTreeMap<String, Entry>),
    /// Each entry with its number as written: taking one out renumbers none.
    List(Vec<(usize, Node)>),
    Text(String),
    Whole(i64),
    Number(f64),
    Truth(bool),
}

/// A value with its key's place.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Place,
    pub(super) node: Node,
}

/// One step from a table or list to what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The way to a setting, shown as `prometheus[0].url`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

impl Path {
    pub(super) fn key(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(name.to_owned()));
        Self(steps)
    }

    pub(super) fn index(&self, at: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(at));
        Self(steps)
    }

    /// Reads what [`fmt::Display`] writes.
    pub(super) fn of(text: &str) -> Self {
        let parts = text.split(['.', '[']).filter(|p| !p.is_empty());
        Self(
            parts
                .map(|part| match part.strip_suffix(']').map(str::parse) {
                    Some(Ok(at)) => Step::Index(at),
                    _ => Step::Key(part.to_owned()),
                })
                .collect(),
        )
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(name) if i == 0 => write!(f, "{name}")?,
                Step::Key(name) => write!(f, ".{name}")?,
                Step::Index(at) => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}

impl Node {
    /// A tree of a parsed file; numbers that fit no type of ours are told of.
    pub(super) fn of_table(table: &DeTable<'_>, place: Place, found: &mut Vec<Mistake>) -> Self {
        let entries = table.iter().map(|(key, value)| {
            let name: &str = key.get_ref();
            let entry = Entry { key: key.span().into(), node: Self::of_value(value, found) };
            (name.to_owned(), entry)
        });
        Self { place, kind: Kind::Table(entries.collect()) }
    }

    /// A tree of one parsed value.
    pub(super) fn of_value(value: &Spanned<DeValue<'_>>, found: &mut Vec<Mistake>) -> Self {
        let place = Place::from(value.span());
        let mut wrong = |text: &str| {
            found.push(Mistake {
                place: place.clone(),
                path: String::new(),
                text: format!("{text} is out of range"),
            });
        };
        let kind = match value.get_ref() {
            DeValue::String(text) => Kind::Text(text.to_string()),
            DeValue::Integer(digits) => {
                let read = i64::from_str_radix(digits.as_str(), digits.radix());
                Kind::Whole(read.unwrap_or_else(|_| {
                    wrong(digits.as_str());
                    0
                }))
            }
            DeValue::Float(digits) => {
                let read = digits.as_str().parse::<f64>();
                Kind::Number(read.unwrap_or_else(|_| {
                    wrong(digits.as_str());
                    0.0
                }))
            }
            DeValue::Boolean(truth) => Kind::Truth(*truth),
            DeValue::Datetime(time) => Kind::Text(time.to_string()),
            DeValue::Array(items) => {
                Kind::List(items.iter().map(|i| Self::of_value(i, found)).enumerate().collect())
            }
            DeValue::Table(table) => return Self::of_table(table, place, found),
        };
        Self { place, kind }
    }

    /// A text from an environment variable.
    pub(super) fn of_variable(name: &str, text: &str) -> Self {
        Self { place: Place::Variable(name.to_owned()), kind: Kind::Text(text.to_owned()) }
    }

    /// Says of the whole tree that it comes from a variable.
    pub(super) fn moved_to(mut self, place: &Place) -> Self {
        self.place = place.clone();
        self.kind = match self.kind {
            Kind::Table(entries) => Kind::Table(
                entries
                    .into_iter()
                    .map(|(name, e)| {
                        (name, Entry { key: place.clone(), node: e.node.moved_to(place) })
                    })
                    .collect(),
            ),
            Kind::List(items) => {
                Kind::List(items.into_iter().map(|(n, i)| (n, i.moved_to(place))).collect())
            }
            leaf => leaf,
        };
        self
    }

    /// What kind of value it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Table(_) => "a table",
            Kind::List(_) => "a list",
            Kind::Text(_) => "a text",
            Kind::Whole(_) => "a whole number",
            Kind::Number(_) => "a number",
            Kind::Truth(_) => "true or false",
        }
    }

    /// Its text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What is in it at this step.
    pub(super) fn child(&self, step: &Step) -> Option<&Node> {
        match (&self.kind, step) {
            (Kind::Table(entries), Step::Key(name)) => entries.get(name).map(|e| &e.node),
            (Kind::List(items), Step::Index(at)) => {
                items.iter().find(|(n, _)| n == at).map(|(_, item)| item)
            }
            _ => None,
        }
    }

    /// The place of a path, or of the nearest part above it that was written.
    pub(super) fn place_of(&self, path: &Path) -> Place {
        let mut at = self;
        let mut place = Place::Nowhere;
        for step in &path.0 {
            if let (Kind::Table(entries), Step::Key(name)) = (&at.kind, step)
                && let Some(entry) = entries.get(name)
            {
                place = match entry.node.kind {
                    Kind::Table(_) | Kind::List(_) => entry.key.clone(),
                    _ => entry.node.place.clone(),
                };
                at = &entry.node;
            } else if let Some(next) = at.child(step) {
                place = next.place.clone();
                at = next;
            } else {
                return place;
            }
        }
        place
    }

    /// Takes the part at a path out; whether there was one.
    pub(super) fn remove(&mut self, path: &[Step]) -> bool {
        match (path, &mut self.kind) {
            ([Step::Key(name)], Kind::Table(entries)) => entries.remove(name).is_some(),
            ([Step::Key(name), rest @ ..], Kind::Table(entries)) => {
                entries.get_mut(name).is_some_and(|e| e.node.remove(rest))
            }
            ([Step::Index(at)], Kind::List(items)) => {
                let before = items.len();
                items.retain(|(n, _)| n != at);
                items.len() < before
            }
            ([Step::Index(at), rest @ ..], Kind::List(items)) => {
                items.iter_mut().any(|(n, item)| n == at && item.remove(rest))
            }
            _ => false,
        }
    }

    /// The way as written to a part whose entries of lists are counted as they are left.
    pub(super) fn as_written(&self, left: &Path) -> Path {
        let (mut at, mut way) = (Some(self), Path::default());
        for step in &left.0 {
            let step = match (step, at.map(|n| &n.kind)) {
                (Step::Index(i), Some(Kind::List(items))) => {
                    Step::Index(items.get(*i).map_or(*i, |(n, _)| *n))
                }
                _ => step.clone(),
            };
            at = at.and_then(|n| n.child(&step));
            way.0.push(step);
        }
        way
    }
}
