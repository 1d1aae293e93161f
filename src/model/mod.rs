//! The nouns that every stage shares: plain values with no I/O and no clock.

pub mod action;
pub mod alert;
pub mod classify;
pub mod clock;
pub mod day;
pub mod diagnosis;
pub mod fault;
pub mod figure;
pub mod follower;
pub mod harmless;
pub mod id;
pub mod incident;
pub mod labels;
pub mod past;
pub mod person;
pub mod priority;
pub mod secret;
pub mod signal;
pub mod time;
pub mod topology;
pub mod tuning;

pub use action::{
    Decision, Digest, Outcome, Plan, Proposal, ProposalState, Risk, Run, RunState, Verdict,
};
pub use alert::{Alert, AlertSource, AlertStatus, Anomaly, Band, Severity, Silence};
pub use classify::{Classifier, ClassifierState, Prediction};
pub use clock::{Clock, SharedClock, wall_now};
pub use day::Day;
pub use diagnosis::{Change, ChangeKind, Diagnosis, Evidence, Gap, Hypothesis};
pub use fault::{Fault, Refused};
pub use figure::figure;
pub use harmless::{Harmless, HarmlessScope, HarmlessState};
pub use id::{
    AlertId, AnomalyId, ChangeId, EntryId, EvidenceId, HarmlessId, HypothesisId, IncidentId,
    MessageId, ProposalId, RunId, SilenceId, TuningId,
};
pub use incident::{EntryKind, Incident, IncidentState, TimelineEntry};
pub use labels::{Fingerprint, Labels, Matcher};
pub use person::{Actor, Role};
pub use priority::{Attention, Priority, Taxonomy};
pub use secret::Secret;
pub use signal::{
    Batch, DetectorOrder, EntityRef, Indicator, Level, LogLine, Point, Samples, Series, SeriesId,
    Span,
};
pub use time::Time;
pub use topology::Graph;
pub use tuning::{BarOrder, BarScope, Tuning, TuningState};
