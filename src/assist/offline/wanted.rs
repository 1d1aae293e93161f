//! What narrows a look-up beyond its plan. Pure.

use crate::model::Level;

/// What figures are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::assist) enum Baseline {
    #[default]
    Day,
    Week,
    /// The time that the plan names.
    Range,
}

/// What narrows a look-up beyond its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::assist) struct Wanted {
    pub(in crate::assist) baseline: Baseline,
    /// Words that log lines must have, or that runbooks are searched by.
    pub(in crate::assist) text: Option<String>,
    pub(in crate::assist) level: Option<Level>,
    /// A part of the metric's name.
    pub(in crate::assist) metric: Option<String>,
}

impl Wanted {
    /// What the words of a question narrow it to.
    pub(super) fn by(text: &str) -> Self {
        let text = text.to_lowercase();
        let baseline = match () {
            () if text.contains("week") => Baseline::Week,
            () if text.contains("yesterday") || text.contains("yday") => Baseline::Day,
            () => Baseline::Range,
        };
        // What people call a signal, and a part of the metric's name.
        let signals = [
            ("p99", "p99"),
            ("p95", "p95"),
            ("p50", "p50"),
            ("latenc", "duration"),
            ("response time", "duration"),
            ("error rate", "error"),
            ("failure rate", "error"),
            ("cpu", "cpu"),
            ("memory", "memory"),
            ("connection", "connection"),
            ("throughput", "rate"),
            ("traffic", "rate"),
            ("request rate", "rate"),
        ];
        let named = signals.iter().find(|(word, _)| text.contains(word));
        let metric = named.map(|(_, metric)| (*metric).to_owned());
        Self { baseline, metric, ..Self::default() }
    }
}
