//! Notify: takes incidents as the store has them, gives one card each, edited in place, and the
//! deltas in its thread.
//!
//! Hears `Incident`, `Diagnosis`, `Proposal`, `Run` and sweeps; publishes nothing itself (the chat
//! adapters ring for their messages). Guarantees: one message per incident, platform and purpose,
//! also across a crash, because the key of a message names it for good; a thread entry is written
//! once, because its key is the timeline entry's id.

mod card;
mod deliver;
pub mod figures;
mod stage;
#[cfg(test)]
mod tests;

pub use crate::chat::{Route, Routing as Config};
pub use deliver::Deliver;
pub use card::{Facts, alert_text, incident_card, run_text};
pub use stage::Notify;
