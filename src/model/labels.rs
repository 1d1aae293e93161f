//! Label sets, their fingerprints, and matchers as Alertmanager has them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

/// A set of labels, ordered by name.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    ToSchema,
)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a label.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// This set with one more label.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// This set without the labels named.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(k, _)| !names.contains(&k.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        )
    }

    /// Names and values in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// The set's identity: the first 8 bytes of SHA-256 over names and values.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint_of(|_| true)
    }

    /// The identity of the set of those labels whose names are taken.
    #[must_use]
    pub fn fingerprint_of(&self, takes: impl Fn(&str) -> bool) -> Fingerprint {
        let mut hash = Sha256::new();
        for (name, value) in self.iter().filter(|(name, _)| takes(name)) {
            for text in [name, value] {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
        let digest = hash.finalize();
        Fingerprint(u64::from_be_bytes(digest[..8].try_into().expect("SHA-256 has 32 bytes")))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl fmt::Display for Labels {
    /// `{a="b",c="d"}`, as in PromQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if i == 0 { "" } else { "," })?;
        }
        f.write_str("}")
    }
}

/// The identity of a label set, shown and serialised as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|e| format!("`{text}` is not a fingerprint: {e}"))
    }
}

impl From<Fingerprint> for String {
    fn from(f: Fingerprint) -> Self {
        f.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl ToSchema for Fingerprint {}
impl utoipa::PartialSchema for Fingerprint {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
pub enum MatchOp {
    /// Equal.
    #[serde(rename = "=")]
    Equal,
    /// Not equal.
    #[serde(rename = "!=")]
    NotEqual,
    /// Matches the regular expression, anchored at both ends.
    #[serde(rename = "=~")]
    Regex,
    /// Does not match the regular expression.
    #[serde(rename = "!~")]
    NotRegex,
}

/// A condition on one label: `name="value"`, `!=`, `=~`, `!~`. A missing label is an empty value.
///
/// Serialised as text; parsing proves the regular expression valid.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// How it is compared.
    pub op: MatchOp,
    /// The value or regular expression.
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher; `Err` says why the regular expression is refused.
    ///
    /// # Errors
    /// A regular expression that does not compile (or is too large).
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, String> {
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(
                regex::RegexBuilder::new(&format!("^(?:{value})$"))
                    .size_limit(1 << 20)
                    .build()
                    .map_err(|e| format!("`{value}` is not a regular expression: {e}"))?,
            ),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Self { name: name.to_owned(), op, value: value.to_owned(), regex })
    }

    /// Whether the label set satisfies this matcher.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let found = labels.get(&self.name).unwrap_or("");
        let hit = match &self.regex {
            Some(regex) => regex.is_match(found),
            None => found == self.value,
        };
        hit == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}

impl FromStr for Matcher {
    type Err = String;
    /// Reads `name="value"`; the quotes may be left out.
    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['=', '!']).ok_or_else(|| {
            format!("`{text}` has no operator; write name=\"value\", with =, !=, =~ or !~")
        })?;
        let (name, rest) = text.split_at(at);
        let (op, value) = [
            ("=~", MatchOp::Regex),
            ("!~", MatchOp::NotRegex),
            ("!=", MatchOp::NotEqual),
            ("=", MatchOp::Equal),
        ]
        .into_iter()
        .find_map(|(sign, op)| rest.strip_prefix(sign).map(|v| (op, v)))
        .ok_or_else(|| format!("`{text}` has no operator; write name=\"value\""))?;
        let name = name.trim();
        if name.is_empty() {
            return Err(format!("`{text}` has no label name before the operator"));
        }
        let value = value.trim();
        let value = if value.starts_with('"') {
            serde_json::from_str::<String>(value).map_err(|e| format!("`{text}`: {e}"))?
        } else {
            value.to_owned()
        };
        Self::new(name, op, &value)
    }
}

impl From<Matcher> for String {
    fn from(m: Matcher) -> Self {
        m.to_string()
    }
}

impl TryFrom<String> for Matcher {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl JsonSchema for Matcher {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Matcher".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "name=\"value\", with =, !=, =~ or !~" })
    }
}

impl ToSchema for Matcher {}
impl utoipa::PartialSchema for Matcher {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_compare_as_alertmanager_does() {
        let labels: Labels = [("service", "checkout"), ("env", "prod")].into_iter().collect();
        for (text, expected) in [
            ("service=checkout", true),
            ("service=\"check\"", false),
            ("service!=cart", true),
            ("service=~\"check.*|cart\"", true),
            ("service=~check", false),
            ("missing=\"\"", true),
            ("missing!~.+", true),
            ("env!~prod", false),
        ] {
            let matcher: Matcher = text.parse().expect(text);
            assert_eq!(matcher.matches(&labels), expected, "{text}");
            assert_eq!(matcher.to_string().parse::<Matcher>().expect("round trip"), matcher);
        }
        assert!("no operator".parse::<Matcher>().is_err());
        assert!("a=~(".parse::<Matcher>().is_err());
    }

    #[test]
    fn fingerprints_do_not_confuse_boundaries() {
        let a: Labels = [("a", "bc")].into_iter().collect();
        let b: Labels = [("ab", "c")].into_iter().collect();
        assert_ne!(a.fingerprint(), b.fingerprint());
        assert_eq!(a.fingerprint().to_string().parse(), Ok(a.fingerprint()));
    }
}
