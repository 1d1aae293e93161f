//! An answer in the making: lines of Markdown and the evidence that they cite.

use crate::model::diagnosis::Finding;
use crate::model::{Evidence, EvidenceId, Gap, IncidentId, Time};

use super::{Answer, Citation, Cost};

/// Lines and citations, in the order in which they were added.
#[derive(Debug)]
pub(super) struct Draft {
    now: Time,
    incident: Option<IncidentId>,
    lines: Vec<String>,
    citations: Vec<Citation>,
    gaps: Vec<Gap>,
    notes: Vec<String>,
}

impl Draft {
    pub(super) fn new(now: Time, incident: Option<IncidentId>) -> Self {
        let (lines, citations, gaps, notes) = Default::default();
        Self { now, incident, lines, citations, gaps, notes }
    }

    /// Adds a line of Markdown.
    pub(super) fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    /// Says something about how the answer was made.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Names what could not be read.
    pub(super) fn gap(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.gaps.push(Gap { what: what.into(), why: why.into(), since: None, until: None });
    }

    /// Cites evidence and gives its mark, such as `[2]`. The same evidence keeps its number.
    pub(super) fn cite(&mut self, evidence: &Evidence) -> String {
        let known = self.citations.iter().find(|c| c.evidence.id == evidence.id).map(|c| c.n);
        let n = known.unwrap_or_else(|| {
            let n = self.citations.len() as u32 + 1;
            self.citations.push(Citation { n, evidence: evidence.clone() });
            n
        });
        format!("[{n}]")
    }

    /// Cites what a query of ours found between two times.
    pub(super) fn found(
        &mut self,
        query: &str,
        range: (Time, Time),
        summary: impl Into<String>,
        finding: Finding,
    ) -> String {
        let evidence = self.evidence(query, range, summary.into(), finding);
        self.cite(&evidence)
    }

    /// Cites a stored record by its id.
    pub(super) fn record(&mut self, id: impl ToString, text: impl Into<String>) -> String {
        let (id, text) = (id.to_string(), text.into());
        let query = format!("record {id}");
        let range = (Time::MIN, self.now);
        self.found(&query, range, text.clone(), Finding::Record { id, text })
    }

    fn evidence(
        &self,
        query: &str,
        (since, until): (Time, Time),
        summary: String,
        finding: Finding,
    ) -> Evidence {
        let words = [query, &since.to_string(), &until.to_string(), &summary];
        Evidence {
            id: EvidenceId::derive(self.now, &words),
            incident: self.incident,
            at: self.now,
            summary,
            source: "store".into(),
            query: query.to_owned(),
            since,
            until,
            finding,
        }
    }

    /// The finished answer; the caller fills in what it cost and how long it took.
    pub(super) fn finish(self, intent: &str) -> Answer {
        Answer {
            text: self.lines.join("\n"),
            intent: intent.to_owned(),
            citations: self.citations,
            gaps: self.gaps,
            notes: self.notes,
            model: None,
            cost: Cost::default(),
            took_ms: 0,
        }
    }
}
