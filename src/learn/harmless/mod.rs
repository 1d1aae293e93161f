//! Harmless: takes what people said of incidents and how incidents ended, gives patterns of alerts
//! that have been harmless; each counts in shadow first, then waits for a person's button.
//!
//! Hears `Incident`, `Run` and `Harmless`, and sweeps; publishes `Harmless`, and `Incident` where
//! one lifts a rule. The rule, in order:
//!
//! 1. An incident speaks for a pattern if one kind of alert of at least warning (a name on one
//!    entity) told it, and a person called it none (1), or it ended by itself: nobody took it,
//!    nothing ran (½). A sum of `least` proposes it; onsets that all lie within four hours of
//!    the day bind it to these. One confirmed incident of the same kind and hours forbids it.
//! 2. In **shadow** it counts the alerts that it would have kept quiet. After `shadow_days`, and
//!    `shadow_least` of them, it waits for a person. If a confirmed incident followed one of them
//!    within `follow_h` hours, on the same entity or within two hops of it in the graph, it is
//!    lifted instead.
//! 3. A person **confirms** it by a button: it holds `holds_days`, through the journal
//!    ([`crate::model::harmless::HarmlessOrder`]). What it keeps quiet opens no incident by itself,
//!    is listed with this reason, and joins an incident that a related alert opens. What is graver
//!    than all that was judged is never kept quiet.
//! 4. A confirmed incident that follows what it kept quiet **lifts** it at once; the incident's
//!    timeline, the audit log and the page say so. Else it **lapses**: its shadow begins anew, and
//!    it has to be confirmed anew.
//!
//! Guarantees: the same judgements and alerts give the same; nothing is kept quiet without a
//! button.

pub(super) mod gather;
mod rule;
mod stage;
#[cfg(test)]
mod tests;

pub use rule::{Candidate, Case, candidates};
pub use stage::Hush;
