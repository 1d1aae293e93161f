//! Forms: what a person is asked before something is done, and how their answers are read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::Time;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// What kind of answer a field takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FormKind {
    /// One line.
    Text,
    /// Several lines.
    Lines,
    /// One of several: value and label.
    Choice {
        /// In order.
        options: Vec<(String, String)>,
    },
    /// A point in time; see [`parse_time`].
    DateTime,
    /// A length of time; see [`parse_duration`].
    Duration,
    /// Text to read, not an input.
    Fixed,
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FormField {
    /// The name under which its value comes back.
    pub name: String,
    /// What stands above it (at most 45 characters).
    pub label: String,
    /// What kind of answer.
    pub kind: FormKind,
    /// Whether it may stay empty.
    pub required: bool,
    /// What stands in it at first; for [`FormKind::Fixed`] the text to read.
    pub value: String,
    /// A word of help.
    pub hint: String,
}

impl FormField {
    /// An input of a kind.
    #[must_use]
    pub fn input(name: &str, label: &str, kind: FormKind) -> Self {
        let (value, hint) = (String::new(), String::new());
        Self { name: name.into(), label: label.into(), kind, required: false, value, hint }
    }

    /// Text to read.
    #[must_use]
    pub fn fixed(label: &str, text: impl Into<String>) -> Self {
        Self { value: text.into(), ..Self::input("", label, FormKind::Fixed) }
    }

    /// The same, not to be left empty.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, with something in it.
    #[must_use]
    pub fn with(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }

    /// The same, with a word of help.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

/// A form. Sending it brings back `code` and the values by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Form {
    /// The code of the button that opened it.
    pub code: String,
    /// What it is for (at most 24 characters, Slack's limit).
    pub title: String,
    /// In order; at most [`Form::MAX_FIELDS`] inputs.
    pub fields: Vec<FormField>,
    /// What stands on the button that sends it.
    pub submit: String,
    /// Whether sending it has an effect on the customer's systems.
    pub danger: bool,
}

/// Characters of a first line that a form begins with.
const MOST_BEGUN: usize = 150;

impl Form {
    /// The most inputs that every platform takes (Discord's modal).
    pub const MAX_FIELDS: usize = 5;

    /// The form with words to begin with: its first empty text takes their first line, and where
    /// that is not all of them, the first empty text of several lines takes them whole.
    #[must_use]
    pub fn beginning_with(mut self, words: &str) -> Self {
        let words = words.trim();
        let line: String =
            words.lines().next().unwrap_or_default().chars().take(MOST_BEGUN).collect();
        let mut empty = self.fields.iter_mut().filter(|f| f.value.is_empty());
        match empty.find(|f| matches!(f.kind, FormKind::Text | FormKind::Lines)) {
            Some(first) if first.kind == FormKind::Text => {
                let is_cut = line != words;
                first.value = line;
                let more = empty.find(|f| f.kind == FormKind::Lines).filter(|_| is_cut);
                if let Some(more) = more {
                    words.clone_into(&mut more.value);
                }
            }
            Some(first) => words.clone_into(&mut first.value),
            None => {}
        }
        self
    }
}

/// Reads a length of time in milliseconds: `30 min`, `2h`, `1 d`, `45s`, and sums such as
/// `1h 30m`.
///
/// # Errors
/// Anything else, or more than a year, with a sentence for the person.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let bad = || format!("`{text}` is not a length of time; write for example 30 min, 2 h or 1 d");
    let mut rest = text.trim();
    let mut total = 0_i64;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let n: i64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = rest[digits..].trim_start();
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = match rest[..letters].to_ascii_lowercase().as_str() {
            "s" | "sec" | "second" | "seconds" => SECOND_MS,
            "m" | "min" | "minute" | "minutes" => MINUTE_MS,
            "h" | "hour" | "hours" => HOUR_MS,
            "d" | "day" | "days" => DAY_MS,
            _ => return Err(bad()),
        };
        rest = rest[letters..].trim_start();
        total = n.checked_mul(unit).and_then(|ms| total.checked_add(ms)).ok_or_else(bad)?;
    }
    if total == 0 || total > 366 * DAY_MS {
        return Err(format!("`{text}` is not between one second and one year"));
    }
    Ok(total)
}

/// Reads a point in time: RFC 3339, `2026-11-24 14:30` (UTC), or `in 30 min`.
///
/// # Errors
/// Anything else, with a sentence for the person.
pub fn parse_time(text: &str, now: Time) -> Result<Time, String> {
    let text = text.trim();
    if let Some(length) = text.strip_prefix("in ") {
        return parse_duration(length).map(|ms| now.plus_ms(ms));
    }
    let civil = text.trim_end_matches(" UTC").replacen(' ', "T", 1);
    let with_seconds = if civil.len() == 16 { format!("{civil}:00Z") } else { format!("{civil}Z") };
    Time::parse(text).or_else(|_| Time::parse(&with_seconds)).map_err(|_| {
        format!("`{text}` is not a time; write for example 2026-11-24 14:30 (UTC) or in 30 min")
    })
}
