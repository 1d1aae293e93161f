//! Tune: takes what people said of incidents, gives proposals to raise or lower the bar of a
//! detector for a series, a signal of an entity, or an entity, each with its backtest.
//!
//! Hears `Incident` and `Run`, and sweeps; publishes `Tuning`. The rule, in order:
//!
//! 1. A judgement is an incident that somebody called none, or confirmed: resolved as fixed or as
//!    caused elsewhere, opened by hand, or helped by a fix. It speaks for a scope: the narrowest
//!    that holds all series of one entity that told it. It counts once: not again after somebody
//!    decided on a change of that scope that it spoke for.
//! 2. At least `judgements` of them must speak for the same change: dismissed ones for a higher bar,
//!    confirmed ones that our series did not tell, though others did, for a lower one.
//! 3. The rungs of [`RUNGS`] are tried on the stored points, from the nearest on and at most twice
//!    as far as now ([`crate::model::tuning`] has the bounds). A higher bar is proposed with the
//!    first rung that would have told two thirds of the dismissed no more, provided that no
//!    confirmed incident would be lost; a lower one with the first that would have told two thirds
//!    of those missed, provided that it tells nothing again that was dismissed and at most
//!    `new_per_week` more a week. Else nothing is proposed, and the reason is kept and shown.
//! 4. One change at a time for an entity. It waits `decide_days`, holds `holds_days` once applied,
//!    and then lapses: it has to be earned anew.
//!
//! Guarantees: the same judgements and points give the same proposals; nothing is applied by
//! itself, only by `command::Desk`, whose order goes through the journal.

pub(super) mod gather;
mod rule;
mod stage;
#[cfg(test)]
mod tests;
mod trial;
mod words;

pub(in crate::learn) use gather::judgement;
pub use gather::{Case, Told};
pub use rule::{Candidate, RUNGS, Way, candidates};
pub use stage::Tune;
