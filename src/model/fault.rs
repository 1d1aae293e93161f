//! The two ways to fail: a fault of ours or of the outside, and a refusal that a person can act on.

use std::fmt;
use std::time::Duration;

/// The error of every outside seam and of every stage.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It may work later: the other side is slow, down, or busy.
    #[error("{context}")]
    Transient {
        /// What was tried.
        context: String,
        /// When to try again, where the other side said so.
        after: Option<Duration>,
        /// Why it failed.
        #[source]
        source: Option<anyhow::Error>,
    },
    /// It will fail again the same way.
    #[error("{context}")]
    Permanent {
        /// What was tried.
        context: String,
        /// Why it failed.
        #[source]
        source: Option<anyhow::Error>,
    },
}

impl Fault {
    /// A fault that may pass.
    #[must_use]
    pub fn transient(context: impl fmt::Display, source: impl Into<anyhow::Error>) -> Self {
        Self::Transient { context: context.to_string(), after: None, source: Some(source.into()) }
    }

    /// A fault that will not pass by itself.
    #[must_use]
    pub fn permanent(context: impl fmt::Display, source: impl Into<anyhow::Error>) -> Self {
        Self::Permanent { context: context.to_string(), source: Some(source.into()) }
    }

    /// A permanent fault with nothing beneath it.
    #[must_use]
    pub fn because(context: impl fmt::Display) -> Self {
        Self::Permanent { context: context.to_string(), source: None }
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    /// The whole chain on one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

/// What a person asked for and can't have; its text is shown to them as it stands: what happened,
/// why, what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Their role does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// It does not exist.
    #[error("{0}")]
    NotFound(String),
    /// It has changed, expired, or was already decided.
    #[error("{0}")]
    Conflict(String),
    /// What they sent makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Too much at once; try later.
    #[error("{0}")]
    Busy(String),
}
