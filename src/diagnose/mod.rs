//! Diagnose: takes incidents, gives ranked hypotheses with their evidence, and says what it could
//! not read.
//!
//! Hears `Incident`, `Change` and sweeps; publishes `Diagnosis`. Guarantees: the ranking is pure
//! and deterministic (the same input gives the same order and figures); every hypothesis' score
//! splits into parts; the telemetry around an onset is weighed by [`weigh`](mod@weigh), here and for
//! recorded cases ([`case`]); what could not be read is a gap. Each revision is written with its evidence
//! in one transaction.
//!
//! # How a score is made
//!
//! Candidates are the entities with an alert, and those that changed shortly before and would
//! explain one. A candidate's score is a sum of parts, each with its reason:
//!
//! | part | how much |
//! |---|---|
//! | `graph` | the share of the trouble it explains (`explain.rs`), up to +2.0 |
//! | `graph` | −1.2 when something it depends on is in trouble that it does not explain |
//! | `graph` | down to −1.0 when a caller that changed, or that is asked for more itself, accounts for it: it is an effect |
//! | `onset` | +1.0 among the first, falling to 0 over three minutes; where only others' rules tell of it, which may have waited for ten minutes, what that is on average over when it may have begun |
//! | `change` | +2.2 right before its onset, halved with every quarter of an hour; for what a provider reports, with every hour, and full when reported up to an hour late; of what was over before the onset with every quarter of an hour since |
//! | `learned` | up to ±0.7, as near as its change is, by how often changes of that kind were the cause of earlier incidents here (`prior.rs`); nothing while there are fewer than five to go by |
//! | `resource` | +0.8 for a shortage of its own, +0.3 for mere use, half when it is an effect or hurts nobody |
//! | `graph` | −1.0 when the calls of all its callers in trouble take no longer than before |
//! | `logs` | +0.7 for a new or bursting error template near its onset, +0.5 for a warning |
//! | `traffic` | +1.0 where a rise of requests begins: at an entry, or at whom calls others more often than it is called |
//! | `requests` | up to +0.8 for the version, flag, node or zone that separates bad requests from good ones |
//! | `similar` | up to +0.8 when it was the cause of an incident that looks alike |
//! | `telemetry` | up to +1.0 by the chance that the telemetry around the onset gives it ([`weigh`](mod@weigh)), a fifth of that when a node below it is in trouble |
//! | `severity` | up to +0.5 by the greatest score, on a logarithmic scale |
//!
//! Of what is outside nothing may be measured but its callers. What its provider reports then stands
//! for trouble of its own: it hurts all who call it, and they don't explain it, unless their calls
//! take as long as ever.
//!
//! Trouble travels up to callers when something fails, and down when more is asked (`explain.rs`), by the
//! edges that were there when it began: one first seen later is no way of it, one that appeared within the
//! two hours before is told as new, one not seen for two days, while others at its caller were, counts half
//! (`ways.rs`). Where edges have no
//! dates, as declared ones and those of recorded cases, they were always there.
//! One curve with two constants makes chances of the scores, with one more hypothesis: none of them
//! (`belief.rs`). It was fitted on simulated faults and measured on those of another generator: what is
//! shown at 80 % is right about 80 % of the time there (figures in `benches/README.md`). A first look,
//! within ten seconds of the opening and of the first word on the trouble (`early.rs`), has constants of
//! its own and is called one.
//! "Inconclusive" is said when the first is less likely than all else together, or hardly leads. What
//! each piece of evidence does is told by ranking again without it ([`without`](fn@without)).
//!
//! Evidence is gathered side by side, each part within two seconds (one at a first look), waiting for a
//! reader of the store included; what fails or comes late is a gap, and the rest is ranked. Up to four
//! incidents are looked at side by side, first looks before all others.

mod active;
mod asked;
mod belief;
mod calls;
pub mod case;
mod course;
mod early;
mod explain;
mod faces;
mod gather;
mod input;
mod kept;
mod lines;
mod onset;
mod past;
mod prior;
mod rank;
mod requests;
mod separate;
mod signals;
mod spread;
mod stage;
mod symptom;
#[cfg(test)]
mod tests;
mod turns;
mod ways;
pub mod weigh;
mod weighed;
mod without;
mod words;

pub use asked::{Demand, Demands};
pub use belief::CALIBRATION;
pub use calls::{Calls, CallsByEdge};
pub use input::{Input, LogSign, Onset, Past, Proofs, Ranked, Separation};
pub use lines::Cut;
pub use rank::rank;
pub use stage::Diagnose;
pub use weighed::{Standing, Standings};
pub use without::without;
