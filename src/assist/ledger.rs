//! The record of answers: what was asked, what the answer rests on, which prompt made it.
//!
//! It appends to the audit log and does nothing else; the assistant has no other way to write.

use serde_json::json;

use super::{Answer, Question};
use crate::llm::prompt::Prompt;
use crate::model::Fault;
use crate::store::Store;
use crate::telemetry::redact::redact;

/// How an answer came about, beside what is shown of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trace {
    /// The prompt that the model was given.
    pub(super) prompt: Option<Prompt>,
    /// The look-ups that it made: tool and arguments.
    pub(super) calls: Vec<String>,
    /// Sentences that were shown, and why others were cut.
    pub(super) n_kept: usize,
    /// Why sentences were cut.
    pub(super) cut: Vec<String>,
    /// Why the model's answer was not used.
    pub(super) fell_back: Option<String>,
}

/// Appends answers to the audit log.
#[derive(Clone)]
pub struct Ledger(Store);

impl Ledger {
    /// The record of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    pub(super) async fn record(
        &self,
        question: &Question,
        answer: &Answer,
        trace: &Trace,
    ) -> Result<(), Fault> {
        let evidence: Vec<String> =
            answer.citations.iter().map(|c| c.evidence.id.to_string()).collect();
        let prompt = trace.prompt.as_ref().map(|p| {
            json!({
                "file": p.file, "version": p.version, "sha256": p.sha256,
                // Names and notes of people may stand in it.
                "text": redact(&p.text),
            })
        });
        let detail = json!({
            "question": redact(&question.text),
            "intent": answer.intent,
            "evidence": evidence,
            "n_gaps": answer.gaps.len(),
            "model": answer.model,
            "prompt": prompt,
            "calls": trace.calls,
            "n_kept": trace.n_kept,
            "cut": trace.cut,
            "fell_back": trace.fell_back,
            "tokens_in": answer.cost.tokens_in,
            "tokens_out": answer.cost.tokens_out,
        });
        let subject = question.incident.map_or_else(|| "ask".to_owned(), |i| i.to_string());
        let (at, actor) = (question.now, question.actor.clone());
        self.0.write(move |tx| tx.audit(at, &actor, "answer.give", &subject, &detail)).await
    }
}
