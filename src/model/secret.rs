//! A secret of the configuration: it can be used, and it can't be shown by accident.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What every output has in a secret's place.
pub const MASK: &str = "***";

/// A token, key or shared secret. `{:?}`, `{}` and every serialisation give [`MASK`]; only
/// [`Secret::reveal`] gives the text, and whoever calls it sends or compares it.
///
/// In the file it is written `{ env = "NAME" }` or `{ file = "/path" }`; the configuration resolves
/// both before this type sees them; `<key>_file = "/path"` is the same as the second. A text is
/// taken too.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret of its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be sent or compared and never to be shown or kept.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let named = |by: &str, what: &str| {
            serde_json::json!({
                "type": "object",
                "description": what,
                "properties": { by: { "type": "string", "minLength": 1 } },
                "required": [by],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "description": "A secret: `{ env = \"NAME\" }` or `{ file = \"/path\" }`.",
            "writeOnly": true,
            "anyOf": [
                named("env", "The environment variable that holds it."),
                named("file", "The file that holds it; white space at its end is cut."),
                { "type": "string", "description": "The secret itself; better not." },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_reveal_shows_it() {
        let secret = Secret::from("not-a-real-secret");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(serde_json::to_string(&secret).expect("serialises"), "\"***\"");
        assert_eq!(secret.reveal(), "not-a-real-secret");
        let read: Secret = serde_json::from_str("\"abc\"").expect("a text is taken");
        assert_eq!(read.reveal(), "abc");
    }
}
