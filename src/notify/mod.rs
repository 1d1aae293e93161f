//! Notify: takes incidents as the store has them, wants one card each on every platform, edited in
//! place, with the deltas and the chart in its thread; and delivers what anybody wants.
//!
//! [`Notify`] hears `Incident`, `Diagnosis`, `Proposal`, `Run`, sweeps, and writes to the outbox, as
//! [`Charts`] does for pictures; [`Rooms`] keeps the channels and thread names of incidents; [`Deliver`] hears `Outbox` and is the only one who posts to platforms. Guarantees: one message
//! per incident, platform and purpose, also across a crash, because the key of a message names it
//! for good; a thread entry is written once, because its key is the timeline entry's id; a platform
//! that is slow or down holds up no other and misses nothing.

mod card;
mod charts;
mod course;
mod deliver;
pub mod figures;
mod morning;
mod news;
mod pace;
mod picture;
mod rooms;
mod stage;
#[cfg(test)]
mod tests;

pub use crate::chat::{Route, Routing as Config};
pub use card::{Facts, alert_text, incident_card, run_text};
pub use charts::Charts;
pub use deliver::Deliver;
pub use pace::{Pace, QuietHours};
pub use picture::picture;
pub use rooms::Rooms;
pub use stage::{Notify, Platform};
