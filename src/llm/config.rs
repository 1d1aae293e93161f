//! Settings of the language model: where it is, and what it may cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Secret;

/// Settings of the endpoint and its budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Base address with the version, such as `http://127.0.0.1:11434/v1`. Empty: no model is
    /// used.
    pub base_url: String,
    /// The model's name, as the endpoint knows it.
    pub model: String,
    /// Key of the endpoint; local servers need none. Without it the environment variable
    /// `OPENAI_API_KEY` is taken.
    pub api_key: Option<Secret>,
    /// Seconds that one exchange with the endpoint may take.
    #[schemars(range(min = 1))]
    pub timeout_s: u32,
    /// Seconds without a token after which an exchange is given up.
    #[schemars(range(min = 1))]
    pub stall_s: u32,
    /// Most seconds that a busy endpoint's `Retry-After` is waited for, once per answer.
    pub max_wait_s: u32,
    /// Most tokens, sent and received, for one answer; past it the answer is made offline.
    #[schemars(range(min = 1))]
    pub max_tokens_per_answer: u32,
    /// Most tokens for the questions about one incident; 0: no limit.
    pub budget_per_incident: u64,
    /// Most tokens in one day (UTC); 0: no limit.
    pub budget_per_day: u64,
    /// Price of a million tokens sent, in `currency`; 0: not shown.
    pub price_in: u32,
    /// Price of a million tokens received, in `currency`; 0: not shown.
    pub price_out: u32,
    /// Currency of the prices.
    pub currency: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            model: String::new(),
            api_key: None,
            timeout_s: 60,
            stall_s: 20,
            max_wait_s: 5,
            max_tokens_per_answer: 50_000,
            budget_per_incident: 400_000,
            budget_per_day: 2_000_000,
            price_in: 0,
            price_out: 0,
            currency: "USD".into(),
        }
    }
}
