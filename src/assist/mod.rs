//! Answers questions from what is stored: takes a question, gives an answer with citations.
//!
//! It holds read-only doors and nothing else (invariant 5): whatever a question, a log line or a
//! model says can change the words of an answer, never anything that the bot does. Without a model
//! the offline planner answers; with one, every sentence is verified before it is shown. What
//! could not be read is a gap in the answer, not a failure.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::llm::Llm;
use crate::model::{Actor, Evidence, Fault, Gap, IncidentId, Time};
use crate::store::Reader;

mod converse;
mod draft;
mod ground;
mod ledger;
mod look;
mod offline;
mod plan;
#[cfg(test)]
mod tests;
mod tools;
mod when;

pub use ledger::Ledger;
use ledger::Trace;

/// A question as somebody asked it.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Their words.
    pub text: String,
    /// Who asks.
    pub actor: Actor,
    /// The incident in whose thread it was asked: "this" means it.
    pub incident: Option<IncidentId>,
    /// When (event time); "an hour ago" counts from here.
    pub now: Time,
}

/// What a `[n]` in an answer points to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// Its number in the text, from 1.
    pub n: u32,
    /// The query with the result that the sentence rests on.
    pub evidence: Evidence,
}

/// What an answer cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cost {
    /// Tokens sent.
    pub tokens_in: u64,
    /// Tokens received.
    pub tokens_out: u64,
    /// Money at the configured prices, in millionths of `currency`; 0 without prices.
    pub micros: u64,
    /// Its currency, such as `USD`.
    pub currency: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// Markdown with `[n]` where a citation supports it.
    pub text: String,
    /// What the question was taken for, such as `why` or `changes`; empty when a model read it.
    #[serde(default)]
    pub intent: String,
    /// What the numbers in brackets point to.
    pub citations: Vec<Citation>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// What the reader should know about how it was made: `No model used.`
    pub notes: Vec<String>,
    /// The model that worded it; `None` for the offline planner.
    pub model: Option<String>,
    /// What it cost.
    pub cost: Cost,
    /// How long it took, in milliseconds of wall time.
    pub took_ms: u64,
}

/// What can be shown while an answer is in the making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Progress {
    /// Something is being looked up.
    Step {
        /// What, in a few words.
        text: String,
    },
    /// A sentence that was verified; the finished answer repeats it.
    Sentence {
        /// Markdown.
        text: String,
    },
}

/// Settings of the assistant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time zone in which "yesterday" and "14:00" are understood, such as `Europe/Zurich`.
    pub time_zone: String,
    /// Rounds of look-ups that a model may make for one question.
    pub max_rounds: u32,
    /// Characters of one look-up's result that a model is shown.
    pub max_result_chars: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { time_zone: "UTC".into(), max_rounds: 6, max_result_chars: 6_000 }
    }
}

/// Answers questions. Cheap to clone.
#[derive(Clone)]
pub struct Assistant {
    reader: Reader,
    llm: Option<Arc<Llm>>,
    config: Config,
    ledger: Option<Ledger>,
}

impl Assistant {
    /// An assistant over a read-only store, with or without a model.
    #[must_use]
    pub fn new(reader: Reader, llm: Option<Arc<Llm>>, config: Config) -> Self {
        Self { reader, llm, config, ledger: None }
    }

    /// Records every answer in the audit log.
    #[must_use]
    pub fn audited(mut self, ledger: Ledger) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Answers a question. `progress` hears of look-ups and of sentences as they are verified; a
    /// closed or full channel harms nothing.
    ///
    /// # Errors
    /// The store can't be read at all.
    pub async fn ask(
        &self,
        question: Question,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Answer, Fault> {
        let started = std::time::Instant::now();
        let _ = progress.try_send(Progress::Step { text: "Reading the store".into() });
        let mut trace = Trace::default();
        let mut answer = match &self.llm {
            None => self.offline(&question, "No model used.").await?,
            Some(llm) => match self.converse(llm, &question, &progress, &mut trace).await {
                Ok(answer) => answer,
                Err(fault) => {
                    metrics::counter!("nightjar_assist_model_faults_total").increment(1);
                    tracing::warn!(error = fault.chain(), "answered without the model");
                    trace.fell_back = Some(fault.to_string());
                    let note = format!("Answered without the model: {fault}.");
                    self.offline(&question, &note).await?
                }
            },
        };
        answer.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(ledger) = &self.ledger
            && let Err(fault) = ledger.record(&question, &answer, &trace).await
        {
            // The answer stands; that it left no record must be seen.
            metrics::counter!("nightjar_assist_unrecorded_total").increment(1);
            tracing::error!(error = fault.chain(), "an answer could not be recorded");
        }
        Ok(answer)
    }

    async fn offline(&self, question: &Question, note: &str) -> Result<Answer, Fault> {
        let (question, config) = (question.clone(), self.config.clone());
        let read = self.reader.read(move |rows| offline::answer(rows, &question, &config));
        let mut answer = read.await?;
        answer.notes.push(note.to_owned());
        Ok(answer)
    }
}
