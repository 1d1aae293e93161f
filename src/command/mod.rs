//! Command: what people ask for, from chat, the console or the API: parse, authorise, do, reply.
//!
//! Takes an actor and a wish; gives the changed thing, or a [`Refused`] whose text is shown as it
//! stands. Publishes the doorbells of what changed. Guarantees: a decision, its timeline entry
//! and its audit record are one transaction; what a role may not do is refused, naming who may.
//!
//! Every platform comes in the same way, the web console included. [`Counter`] opens forms at once
//! and keeps what is said; [`Clerk`] handles each thing that was kept, once: deeds through the
//! [`Desk`], marked as handled in the transaction of the deed; questions through the assistant,
//! marked with the answer's place in the outbox. [`Attend`], which hears `Inbound` and sweeps, has
//! the clerk handle what is due, so that what a dead process left is done by the next one.

mod answer;
mod asked;
mod asker;
mod attend;
mod carry;
mod claims;
mod clerk;
mod counter;
mod declare;
mod desk;
mod forms;
mod harmless;
mod heard;
mod judged;
mod lists;
mod page;
mod parts;
mod people;
mod plan;
mod proposals;
pub mod secret;
mod silences;
mod submit;
#[cfg(test)]
mod tests;
mod tokens;
mod tunings;
mod unfold;
mod why;
mod wish;
mod words;

pub use answer::{answer_card, keep_evidence};
pub use attend::Attend;
pub use carry::Done;
pub use claims::Claim;
pub use clerk::Clerk;
pub use counter::Counter;
pub use declare::NewIncident;
pub use desk::{Category, Desk};
pub use heard::GivenUp;
pub use parts::Parts;
pub use people::People;
pub use silences::{NewSilence, Silences};
pub use submit::{channel_of, root};
pub use tokens::{ApiToken, NewToken};
pub use why::{About, Explanation, explain, explain_alert, explain_incident};

use crate::model::{Actor, Fault, Refused, Role};
use crate::telemetry::redact::redact;

/// Why a wish was not done.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The person can't have it; the text is for them.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// We failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a person wrote, as it is kept: trimmed, at most `most` characters, and without the secrets
/// that people paste into chats.
#[must_use]
pub fn said(text: &str, most: usize) -> String {
    redact(&text.trim().chars().take(most).collect::<String>()).into_owned()
}

/// Whether the actor has at least a role.
///
/// # Errors
/// [`Refused::Forbidden`], naming who may.
pub fn need(actor: &Actor, role: Role, what: &str) -> Result<(), Refused> {
    if actor.role >= role {
        return Ok(());
    }
    Err(Refused::Forbidden(format!(
        "To {what} you need the role {role}; you have {}. Ask somebody with that role.",
        actor.role
    )))
}
