//! Changes told by webhook: GitHub's, and a plain signed one. Both are checked by HMAC-SHA256 in
//! constant time before a byte of the body is believed.

mod diff;
mod github;
mod plain;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use hmac::{Hmac, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

use super::Rejected;

pub use github::{GithubHeaders, decode_github};
pub use plain::{PlainHeaders, decode_plain};

/// How deliveries are mapped. Secrets are passed beside it, not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Service of a repository (`owner/name`); the default is the repository's name.
    pub repositories: BTreeMap<String, String>,
}

impl Config {
    fn service(&self, full_name: &str) -> String {
        let mapped = self.repositories.get(full_name).cloned();
        mapped.unwrap_or_else(|| full_name.rsplit('/').next().unwrap_or(full_name).to_owned())
    }
}

/// Deliveries remembered: enough for days of deploys, bounded against a flood.
const MOST_SEEN: usize = 10_000;

/// Which deliveries were taken already. Changes have ids derived from their content, so what falls
/// out of this memory (or a restart) is recognised again by the store.
#[derive(Debug, Default)]
pub struct Seen {
    // Guards the ring of delivery ids, newest at the back.
    ids: Mutex<VecDeque<String>>,
}

impl Seen {
    /// Notes a delivery.
    ///
    /// # Errors
    /// 409 when it was noted before.
    pub fn note(&self, id: &str) -> Result<(), Rejected> {
        let mut ids = self.ids.lock().unwrap_or_else(|broken| broken.into_inner());
        if ids.iter().any(|known| known == id) {
            metrics::counter!("nightjar_changes_repeated_total").increment(1);
            return Err(Rejected::repeated("this delivery was taken before"));
        }
        if ids.len() >= MOST_SEEN {
            ids.pop_front();
        }
        ids.push_back(id.to_owned());
        Ok(())
    }

    /// Forgets a delivery that was not taken after all, so that it may be repeated.
    pub fn forget(&self, id: &str) {
        let mut ids = self.ids.lock().unwrap_or_else(|broken| broken.into_inner());
        ids.retain(|known| known != id);
    }
}

/// Checks `sha256=<hex>` over the parts, in constant time.
fn verify(secret: &[u8], parts: &[&[u8]], signature: Option<&str>) -> Result<(), Rejected> {
    let wrong = |why: &str| {
        metrics::counter!("nightjar_changes_unsigned_total").increment(1);
        Err(Rejected::unsigned(why))
    };
    if secret.is_empty() {
        return wrong("no secret is configured for this webhook; set one and sign with it");
    }
    let Some(digits) = signature.and_then(|s| s.strip_prefix("sha256=")) else {
        return wrong("the signature header is missing or does not start with sha256=");
    };
    let Some(given) = unhex(digits) else {
        return wrong("the signature is not hexadecimal");
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    match mac.verify_slice(&given) {
        Ok(()) => Ok(()),
        Err(_) => wrong("the signature does not match: check that both sides have one secret"),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..64).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

/// `sha256=<hex>` over the parts: what a sender puts into its header.
#[must_use]
pub fn sign(secret: &[u8], parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    format!("sha256={}", crate::model::id::hex(&mac.finalize().into_bytes()))
}

fn json(body: &[u8]) -> Result<Value, Rejected> {
    serde_json::from_slice(body).map_err(|e| {
        // GitHub's default, which its settings call `application/x-www-form-urlencoded`.
        let hint = if body.starts_with(b"payload=") {
            "; set the webhook's content type to application/json"
        } else {
            ""
        };
        Rejected::invalid(format!("not JSON: {e}{hint}"))
    })
}

/// The text at a JSON pointer; `None` when it is absent or null.
fn text(value: &Value, pointer: &str) -> Result<Option<String>, Rejected> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|t| !t.is_empty())),
        Some(_) => Err(Rejected::invalid(format!("{pointer}: expected a text"))),
    }
}

#[cfg(test)]
mod tests;
