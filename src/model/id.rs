//! Identifiers: ULIDs with a prefix, made at random or derived from what they name.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use super::Time;

/// A ULID whose time part is `at` and whose random part is the SHA-256 of `parts`: the same
/// input gives the same id, in live running, after a crash, and in replay.
fn derived(at: Time, parts: &[&str]) -> Ulid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut random = [0_u8; 16];
    random.copy_from_slice(&digest[..16]);
    Ulid::from_parts(at.ms().max(0).unsigned_abs(), u128::from_be_bytes(random))
}

fn random(at: Time) -> Ulid {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    Ulid::from_parts(at.ms().max(0).unsigned_abs(), u128::from_be_bytes(bytes))
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect()
}

/// The bytes of [`hex`]'s digits; `None` for any other text.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form {prefix}-<26 letters and digits>")]
pub struct BadId {
    text: String,
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// What stands before the dash.
            pub const PREFIX: &'static str = $prefix;

            /// An id derived from what it names; the same input gives the same id.
            #[must_use]
            pub fn derive(at: Time, parts: &[&str]) -> Self {
                Self(derived(at, parts))
            }

            /// A new random id.
            #[must_use]
            pub fn random(at: Time) -> Self {
                Self(random(at))
            }

            /// When it was made: the time it was derived or drawn at (ms).
            #[must_use]
            pub fn at(&self) -> Time {
                Time::from_ms(self.0.timestamp_ms().cast_signed())
            }

            /// The last six characters, enough to tell open things apart in a sentence.
            #[must_use]
            pub fn short(&self) -> String {
                self.0.to_string()[20..].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}-{}", $prefix, self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix(concat!($prefix, "-"))
                    .and_then(|rest| Ulid::from_string(rest).ok())
                    .map(Self)
                    .ok_or_else(|| BadId { text: text.chars().take(60).collect(), prefix: $prefix })
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }

        impl utoipa::ToSchema for $name {}
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }
    )*};
}

ids! {
    /// One episode of one series (or log template, or span group) outside its expected band.
    AnomalyId = "ANO";
    /// One alert episode.
    AlertId = "ALT";
    /// One incident.
    IncidentId = "INC";
    /// One piece of evidence: a query with its stored result.
    EvidenceId = "EVD";
    /// One hypothesis.
    HypothesisId = "HYP";
    /// One change (deploy, config, network policy, …).
    ChangeId = "CHG";
    /// One proposal of an action.
    ProposalId = "PRP";
    /// One execution of an approved action.
    RunId = "RUN";
    /// One silence or maintenance window.
    SilenceId = "SIL";
    /// One chat message or card.
    MessageId = "MSG";
    /// One timeline entry.
    EntryId = "TLE";
    /// One proposed change of detection.
    TuningId = "TUN";
    /// One pattern of alerts that was learned to be harmless.
    HarmlessId = "HRM";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_repeat_and_differ_by_part_boundaries() {
        let at = Time::from_ms(1_700_000_000_000);
        assert_eq!(AlertId::derive(at, &["a", "b"]), AlertId::derive(at, &["a", "b"]));
        assert_ne!(AlertId::derive(at, &["ab"]), AlertId::derive(at, &["a", "b"]));
    }

    #[test]
    fn digits_give_their_bytes_back_and_nothing_else_is_read() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&all)), Some(all));
        assert_eq!(unhex(""), Some(Vec::new()));
        for bad in ["0", "0g", "0A", "é0", " 00"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = AlertId::derive(Time::from_ms(1), &["x"]);
        assert_eq!(id.to_string().parse::<AlertId>(), Ok(id));
        assert!(id.to_string().parse::<IncidentId>().is_err());
        assert!("ALT-short".parse::<AlertId>().is_err());
    }
}
