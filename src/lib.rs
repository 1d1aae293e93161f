//! nightjar: watches telemetry, explains incidents in chat, acts only after a button was pressed.
//!
//! # The flow
//!
//! Sources ([`telemetry`]) give redacted batches to the journal in the [`store`]; [`detect`] reads
//! the journal in order and writes anomalies and alerts; [`correlate`] groups alerts into
//! incidents; [`diagnose`] ranks hypotheses with evidence and gaps; [`notify`] wants one card per
//! incident on every [`chat`] platform, in a durable outbox ([`chat::outbox`]), and delivers what
//! anybody wants there; [`approve`] offers actions from [`runbook`]s and makes, after
//! people's decisions ([`command`]), the one [`approve::ApprovedAction`] that [`remediate`] carries
//! out and measures; [`learn`] lets what was measured order the next suggestions and proposes what
//! judgements of incidents say of detection, and [`impact`] says which business and cost series
//! followed. [`assist`] answers questions through read-only doors. What people say, press and send comes from every
//! platform through one counter in [`command`] and is handled once. [`web`] has the front doors, the
//! API and the console; [`app`] puts it all together; [`demo`] is a shop to try it on.
//!
//! # Who may use whom
//!
//! [`model`] uses nothing of ours; [`stats`] and [`templates`] only it; [`store`], [`bus`] and
//! [`stage`] lie above; stages use those and not each other, but for the edges that
//! `tests/it/tidy.rs` lists with their reason. Platform crates stay in the folder that adapts them.
//!
//! # Invariants
//!
//! 1. Nothing acts on the customer's systems except [`remediate::Executor::run`], and that takes
//!    an [`approve::ApprovedAction`] by value.
//! 2. Approval adds to policy and pre-checks; it never replaces them.
//! 3. A button carries the proposal's id and the digest of the whole plan; a changed plan is
//!    refused.
//! 4. An executor answers done, not sent or unknown; unknown is never retried.
//! 5. The assistant holds read-only doors; all that it can write is the record of its own answers
//!    ([`assist::Ledger`]) and what they cost ([`llm::Budget`]).
//! 6. Ranking is deterministic.
//! 7. Diagnosis and answers degrade, they don't fail: what could not be read is a gap.
//! 8. What was accepted is durable; what can't be taken is refused at once.
//! 9. Detection, grouping, ranking and rendering read no clock and do no I/O.
//! 10. Every automatic decision leaves a record that says why.

pub mod app;
pub mod approve;
pub mod assist;
pub mod backtest;
pub mod bus;
pub mod chart;
pub mod chat;
pub mod cli;
pub mod command;
pub mod config;
pub mod correlate;
pub mod demo;
pub mod detect;
pub mod diagnose;
pub mod impact;
pub mod learn;
pub mod llm;
pub mod model;
pub mod notify;
pub mod observe;
pub mod remediate;
pub mod runbook;
pub mod stage;
pub mod stats;
pub mod store;
pub mod telemetry;
pub mod templates;
pub mod web;
