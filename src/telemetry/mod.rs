//! Telemetry: takes what the customer's systems say, by pull and by push; gives redacted batches
//! to the journal. Publishes nothing by itself; a batch that was accepted is durable.

pub mod alertmanager;
pub mod blind;
pub mod changes;
pub mod datadog;
pub mod discovery;
mod fold;
pub mod gaps;
pub mod graph;
pub mod heartbeat;
pub mod intake;
pub mod otlp;
pub mod prometheus;
pub mod redact;
mod rejected;
pub mod remote_write;
mod weight;

pub use rejected::Rejected;
