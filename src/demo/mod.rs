//! The simulated shop: fourteen services that talk to the bot only through its real front doors.
//!
//! [`Shop::bind`] opens its own door (a Prometheus-compatible query interface, metrics for a
//! real Prometheus to scrape, and an admin interface that honours fixes); [`Shop::serve`] and [`Shop::push`] are futures that the
//! composition root runs. What was done to the shop is kept in a file, so that a second start
//! goes on where the first stopped.

mod alerts;
pub mod expected;
mod exposition;
mod otlp;
pub mod promql;
mod push;
pub mod scenario;
pub mod series;
mod server;
mod shop;
#[doc(hidden)]
pub mod sites;
pub mod town;
pub mod world;

pub use shop::{Options, Shop};
