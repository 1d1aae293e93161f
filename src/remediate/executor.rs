//! The port to the customer's systems.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Config, command, http};
use crate::approve::ApprovedAction;
use crate::model::action::Step;

/// How an execution ended. There is no "failed": either it certainly did not happen, or it
/// happened, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Executed {
    /// The target says that it is done.
    Done {
        /// What it said.
        output: String,
    },
    /// It certainly had no effect: refused before it was sent, or refused by the target.
    NotSent {
        /// Why.
        reason: String,
    },
    /// It may or may not have happened. Never retried.
    Unknown {
        /// What is known.
        reason: String,
    },
}

/// Whoever carries out an approved action.
pub trait Executor: Send + Sync + 'static {
    /// Carries it out, once. Takes the action by value: it can't be carried out again.
    fn run(&self, action: ApprovedAction) -> BoxFuture<'_, Vec<Executed>>;

    /// Whether nothing is ever really sent.
    fn is_dry(&self) -> bool;
}

/// The executor of the program: each step by its kind; the first that is not done ends the run.
pub struct Executors {
    config: Config,
    client: reqwest::Client,
}

impl Executors {
    /// Executors within the lists of the configuration.
    ///
    /// # Errors
    /// The HTTP client can't be made.
    pub fn new(config: Config) -> Result<Self, crate::model::Fault> {
        Ok(Self { config, client: http::client()? })
    }

    /// What a step would do, or why it would be refused, without doing it. Where nothing is listed
    /// at all there is nothing to be refused by.
    fn rehearse(&self, step: &Step) -> Executed {
        let listed = !self.config.hosts.is_empty() || !self.config.commands.is_empty();
        let (allowed, output) = match step {
            Step::DryRun { text } => (Ok(()), format!("Would do: {text}")),
            Step::Http { method, url, .. } => (
                url::Url::parse(url)
                    .map_err(|e| format!("no valid address: {e}"))
                    .and_then(|url| self.config.allows_request(method, &url)),
                format!("Would send {method} {url}"),
            ),
            Step::Command { program, args, .. } => (
                self.config.allows_command(program, args),
                format!("Would run {program} {}", args.join(" ")),
            ),
        };
        match allowed {
            Err(reason) if listed => Executed::NotSent { reason },
            _ => Executed::Done { output: self.config.redacted(&output) },
        }
    }

    /// Carries out one step. `key` is sent as the idempotency key.
    pub(super) async fn step(&self, step: &Step, key: &str) -> Executed {
        match step {
            _ if self.config.is_dry() => self.rehearse(step),
            Step::DryRun { .. } => self.rehearse(step),
            Step::Http { method, url, headers, body, timeout_s } => {
                let request = http::Request { method, url, headers, body, timeout_s: *timeout_s };
                http::send(&self.client, &self.config, &request, key).await
            }
            Step::Command { program, args, timeout_s } => {
                command::run(&self.config, program, args, *timeout_s).await
            }
        }
    }
}

impl Executor for Executors {
    fn is_dry(&self) -> bool {
        self.config.is_dry()
    }

    fn run(&self, action: ApprovedAction) -> BoxFuture<'_, Vec<Executed>> {
        async move {
            let mut results = Vec::new();
            for (n, step) in action.plan().steps.iter().enumerate() {
                let key = format!("{}-{n}", action.run());
                let result = self.step(step, &key).await;
                let done = matches!(result, Executed::Done { .. });
                results.push(result);
                if !done {
                    break;
                }
            }
            results
        }
        .boxed()
    }
}
