//! What detection on logs says, and under which names.

use crate::model::alert::{Band, Subject};
use crate::model::signal::Direction;
use crate::model::{Anomaly, AnomalyId, EntityRef, Time};

/// Detectors and their versions.
pub(super) const NEW: &str = "log-new/1";
pub(super) const BURST: &str = "log-burst/1";
pub(super) const RATE: &str = "log-rate/1";
pub(super) const VANISHED: &str = "log-vanished/1";
pub(super) const MIXTURE: &str = "log-mixture/1";
pub(super) const ERRORS: &str = "log-errors/1";

/// What is said.
pub(super) struct Said {
    pub(super) kind: &'static str,
    pub(super) since: Time,
    pub(super) at: Time,
    pub(super) value: f64,
    pub(super) expected: Band,
    pub(super) score: f64,
    pub(super) why: String,
}

impl Said {
    /// The anomaly of an entity's template.
    pub(super) fn about(
        self,
        entity: &EntityRef,
        template: String,
        direction: Direction,
    ) -> Anomaly {
        Anomaly {
            id: AnomalyId::derive(self.since, &[&entity.to_string(), &template, self.kind]),
            subject: Subject::LogTemplate { entity: entity.clone(), template },
            detector: self.kind.to_owned(),
            since: self.since,
            at: self.at,
            until: None,
            value: self.value,
            peak: self.value,
            expected: self.expected,
            score: self.score,
            direction,
            why: self.why,
            unseen: false,
            grounds: None,
        }
    }
}
