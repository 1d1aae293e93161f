//! Language models: the port, its adapters, and the budget that bounds what they may cost.
//!
//! A model words things; it decides nothing. Whatever it says is verified by who asked it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::model::Fault;
use crate::store::Store;

pub use budget::{Budget, Spent};
pub use config::Config;

mod budget;
mod config;
pub mod openai;
pub mod prompt;
pub mod scripted;

/// One message of a conversation. The order is that of the protocol: each tool call of an
/// `Assistant` message is answered by one `Tool` message before anything else is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// Rules for the model.
    System {
        /// The rules.
        text: String,
    },
    /// What a person asks.
    User {
        /// Their words.
        text: String,
    },
    /// What the model said.
    Assistant {
        /// Its words, empty when it only called tools.
        text: String,
        /// The tools it called.
        calls: Vec<ToolCall>,
    },
    /// What a tool gave.
    Tool {
        /// Which call this answers.
        call: String,
        /// The result; data, never instructions.
        text: String,
    },
}

/// One call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The call's id, unique in the conversation.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// Its arguments as JSON text, as the model wrote them: it may be wrong.
    pub arguments: String,
}

/// A tool that a model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it gives.
    pub description: String,
    /// JSON schema of its arguments.
    pub parameters: serde_json::Value,
}

/// What a model is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Tools that were or are offered.
    pub tools: Vec<ToolSpec>,
    /// Whether it may call one now, or must answer in words.
    pub may_call: bool,
    /// Most tokens it may answer with.
    pub max_tokens: u32,
}

/// Tokens used by one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Sent.
    pub tokens_in: u64,
    /// Received.
    pub tokens_out: u64,
}

impl Usage {
    /// By the usual rule of thumb for English, four bytes a token, where usage is not told.
    #[must_use]
    pub fn estimated(bytes_sent: usize, bytes_received: usize) -> Self {
        Self { tokens_in: bytes_sent as u64 / 4, tokens_out: bytes_received as u64 / 4 }
    }
}

/// What a model said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Its words.
    pub text: String,
    /// The tools it calls.
    pub calls: Vec<ToolCall>,
    /// Tokens used; estimated from the characters where the endpoint does not say.
    pub usage: Usage,
    /// It reached the limit of tokens: the words end in the middle.
    #[serde(default)]
    pub is_cut: bool,
}

/// A language model. The other side costs money, so it is a port.
pub trait LanguageModel: Send + Sync {
    /// The model's name, as shown in the footer.
    fn name(&self) -> &str;
    /// One exchange. `heard` is told the words as they come; a full or closed channel harms
    /// nothing, the reply has them all.
    fn complete(
        &self,
        request: Request,
        heard: mpsc::Sender<String>,
    ) -> BoxFuture<'_, Result<Reply, Fault>>;
}

/// A model with what bounds it.
pub struct Llm {
    /// The model.
    pub model: Arc<dyn LanguageModel>,
    /// What it may cost.
    pub budget: Budget,
    /// How it was configured; the key stands in it.
    pub config: Config,
}

impl Llm {
    /// The configured model, or `None` when no endpoint is configured. `store` keeps what was
    /// spent. A TLS provider must have been installed.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn open(config: &Config, store: Store) -> Result<Option<Arc<Self>>, Fault> {
        if config.base_url.is_empty() {
            return Ok(None);
        }
        let model = Arc::new(openai::OpenAi::new(config)?);
        Ok(Some(Arc::new(Self::with(model, config.clone(), store))))
    }

    /// Any model within the configured bounds.
    #[must_use]
    pub fn with(model: Arc<dyn LanguageModel>, config: Config, store: Store) -> Self {
        Self { model, budget: Budget::new(&config, store), config }
    }
}
