//! Secrets that people and programs show: made at random, kept as SHA-256, compared in constant
//! time.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::model::id::hex;

/// What is kept of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// Lower-case hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A new secret of 256 bits, as hexadecimal digits.
#[must_use]
pub fn random() -> String {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    hex(&bytes)
}

/// The digest of a secret.
#[must_use]
pub fn digest(text: &str) -> Digest {
    Digest(Sha256::digest(text.as_bytes()).into())
}

/// Whether both are the same, without telling by the time it takes where they differ.
#[must_use]
pub fn same(a: &Digest, b: &Digest) -> bool {
    a.0.iter().zip(b.0).fold(0, |differing, (x, y)| differing | (x ^ y)) == 0
}
