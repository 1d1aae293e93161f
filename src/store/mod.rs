//! The one store: a SQLite file with a single writer thread and several read-only connections.
//!
//! Guarantees: [`Store::write`] returns after the transaction is on disk (`synchronous = FULL`);
//! a closure that fails leaves nothing behind; writes happen one after another, so a closure that
//! reads and then writes sees no other write in between. [`Reader`] can't change anything: its
//! connections are opened read-only. That is the door the assistant gets.

mod aside;
mod audit;
mod journal;
mod outline;
mod predictions;
mod records;
mod retention;
mod search;
mod series;
mod signals;
mod sql;
mod trim;

#[cfg(test)]
mod tests;

pub use aside::Aside;
pub use audit::{AuditBreak, AuditFilter, AuditRecord};
pub use journal::{Journaled, Snapshot};
pub use outline::{Outline, Tally};
pub use records::{Filter, Index, Record};
pub use retention::{AboveCap, Retention, Trimmed};
pub use search::{Document, Found};
pub use series::SeriesFilter;
pub use signals::{EdgeStats, LogFilter, SpanFilter};
pub use sql::{Reader, Rows, Store, Tx};
