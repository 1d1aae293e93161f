//! Why a front door turned something away, as the sender is told.

/// A request that was not taken. Nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejected {
    /// The HTTP status that says so.
    pub status: u16,
    /// What is wrong and where, for the sender's log.
    pub message: String,
}

impl Rejected {
    /// The input makes no sense (400).
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into() }
    }

    /// The signature is missing or wrong (401).
    #[must_use]
    pub fn unsigned(message: impl Into<String>) -> Self {
        Self { status: 401, message: message.into() }
    }

    /// It was delivered before (409).
    #[must_use]
    pub fn repeated(message: impl Into<String>) -> Self {
        Self { status: 409, message: message.into() }
    }
}
