//! Any endpoint that speaks the chat-completions protocol: a vendor's, or a local server.
//!
//! Answers are streamed; a stream that falls silent, breaks off or is none at all is a fault with
//! words for the reader. A busy endpoint is waited for once, if it asks for little; for longer it
//! is left alone until its time has passed. Nothing else is retried: whoever asks falls back.

use std::sync::Mutex;
use std::time::Duration;

use async_openai::{Client, config::OpenAIConfig, error::OpenAIError};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Config, LanguageModel, Reply, Request};
use crate::model::{Fault, Secret};

#[cfg(test)]
mod tests;
mod transport;
mod wire;

use transport::{Transport, Unfit};
use wire::{Growing, Quirks};

/// How long a busy endpoint is left alone that does not say for how long.
const DEFAULT_REST: Duration = Duration::from_secs(20);

/// The adapter.
pub struct OpenAi {
    client: Client<OpenAIConfig>,
    model: String,
    stall: Duration,
    most_wait: Duration,
    // Guards what was learned of the endpoint; held only while it is read or replaced.
    learned: Mutex<Learned>,
}

#[derive(Clone, Copy, Default)]
struct Learned {
    quirks: Quirks,
    /// Until when it asked to be left alone.
    rests_until: Option<Instant>,
}

impl OpenAi {
    /// An adapter for the endpoint. A TLS provider must have been installed.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn new(config: &Config) -> Result<Self, Fault> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(config.timeout_s.into()))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Fault::permanent("building the model's HTTP client", e))?;
        let base = config.base_url.trim_end_matches('/');
        let key = config.api_key.as_ref().map_or("", Secret::reveal);
        let endpoint = OpenAIConfig::new().with_api_base(base).with_api_key(key);
        // Our own service in place of the default one, which retries by itself.
        let client = Client::build(http.clone(), endpoint).with_http_service(Transport { http });
        // The vendor's own newest models know only the new name.
        let quirks =
            Quirks { completion_tokens: base.contains("://api.openai.com"), ..Quirks::default() };
        Ok(Self {
            client,
            model: config.model.clone(),
            stall: Duration::from_secs(config.stall_s.max(1).into()),
            most_wait: Duration::from_secs(config.max_wait_s.into()),
            learned: Mutex::new(Learned { quirks, rests_until: None }),
        })
    }

    fn learned(&self) -> Learned {
        *self.learned.lock().expect("nothing panics under this lock")
    }

    fn learn(&self, change: impl FnOnce(&mut Learned)) {
        change(&mut self.learned.lock().expect("nothing panics under this lock"));
    }

    fn silent(&self) -> Fault {
        let context = format!("the model sent nothing for {} s", self.stall.as_secs());
        Fault::Transient { context, after: None, source: None }
    }

    async fn once(&self, request: &Request, heard: &mpsc::Sender<String>) -> Result<Reply, Failed> {
        let body = wire::body(&self.model, request, self.learned().quirks);
        let n_sent = body.to_string().len();
        let mut growing = Growing::default();
        let chat = self.client.chat();
        let opening = chat.create_stream_byot::<_, Value>(body);
        let opened = tokio::time::timeout(self.stall, opening).await;
        let mut stream = match opened.map_err(|_| Failed::Fault(self.silent()))? {
            Ok(stream) => stream,
            Err(error) => match unfit(error) {
                Ok(whole) => {
                    growing.take(&whole);
                    growing.finish.get_or_insert_with(|| "stop".to_owned());
                    return finished(growing, n_sent);
                }
                Err(failed) => return Err(failed),
            },
        };
        loop {
            let next = tokio::time::timeout(self.stall, stream.next()).await;
            let Some(chunk) = next.map_err(|_| Failed::Fault(self.silent()))? else { break };
            let chunk = chunk.map_err(|e| Failed::Fault(broken(e)))?;
            if let Some(said) = chunk["error"]["message"].as_str().or(chunk["error"].as_str()) {
                let said: String = said.chars().take(200).collect();
                return Err(Failed::Fault(Fault::because(format!("the model failed: {said}"))));
            }
            let words = growing.take(&chunk);
            if !words.is_empty() {
                // Whoever listens late reads the whole reply.
                let _ = heard.try_send(words);
            }
        }
        finished(growing, n_sent)
    }
}

/// Why one exchange failed.
enum Failed {
    Fault(Fault),
    Refused { status: u16, after: Option<Duration>, said: String },
}

fn finished(growing: Growing, n_sent: usize) -> Result<Reply, Failed> {
    let fault = |text: &str| Err(Failed::Fault(Fault::because(text)));
    match growing.finish.as_deref() {
        // A stream that is cut ends without an error and without a reason.
        None => fault("the model's answer broke off"),
        Some("content_filter") => fault("the model's provider withheld the answer"),
        Some(_) if growing.refused => fault("the model refused to answer"),
        Some(_) => Ok(growing.reply(n_sent)),
    }
}

/// The whole answer of a server that does not stream, or why there is none.
fn unfit(error: OpenAIError) -> Result<Value, Failed> {
    let error = match error {
        OpenAIError::Boxed(inner) => match inner.downcast::<Unfit>() {
            Ok(unfit) => *unfit,
            Err(other) => return Err(Failed::Fault(broken(OpenAIError::Boxed(other)))),
        },
        other => return Err(Failed::Fault(broken(other))),
    };
    let because = |text: String| Err(Failed::Fault(Fault::because(text)));
    match error {
        Unfit::Refused { status, after, said } => Err(Failed::Refused { status, after, said }),
        Unfit::NotJson { kind } => {
            because(format!("the model's endpoint answered {kind}; check llm.base_url"))
        }
        Unfit::Whole { body } => {
            let value: Value = serde_json::from_slice(&body).unwrap_or_default();
            if value["choices"][0]["message"].is_object() {
                return Ok(value);
            }
            let said = value["error"]["message"].as_str().or(value["error"].as_str());
            let said: String = said.unwrap_or("no choices").chars().take(200).collect();
            because(format!("the model's endpoint answered: {said}"))
        }
    }
}

fn broken(error: OpenAIError) -> Fault {
    let context = match &error {
        OpenAIError::Reqwest(e) if e.is_timeout() => "the model did not answer in time",
        OpenAIError::Reqwest(e) if e.is_connect() => "the model's endpoint can't be reached",
        OpenAIError::JSONDeserialize(..) => "the model sent JSON that is cut short or wrong",
        OpenAIError::StreamError(_) => "the model's answer broke off",
        _ => "the model's endpoint failed",
    };
    Fault::transient(context, error)
}

/// A refusal in words for the reader.
fn refusal(status: u16, said: &str) -> String {
    match status {
        401 | 403 => {
            format!("the model's endpoint refused the key ({status}: {said}); check llm.api_key")
        }
        404 => format!(
            "the model's endpoint does not know it (404: {said}); check llm.model and llm.base_url"
        ),
        429 => format!("the model's endpoint is busy (429: {said})"),
        _ => format!("the model's endpoint answered {status}: {said}"),
    }
}

impl LanguageModel for OpenAi {
    fn name(&self) -> &str {
        &self.model
    }

    fn complete(
        &self,
        request: Request,
        heard: mpsc::Sender<String>,
    ) -> BoxFuture<'_, Result<Reply, Fault>> {
        Box::pin(async move {
            let mut waited = false;
            loop {
                let now = Instant::now();
                if let Some(until) = self.learned().rests_until.filter(|u| *u > now) {
                    let left = until - now;
                    let context = format!(
                        "the model's endpoint asked to be left alone for another {} s",
                        left.as_secs() + 1
                    );
                    return Err(Fault::Transient { context, after: Some(left), source: None });
                }
                let (status, after, said) = match self.once(&request, &heard).await {
                    Ok(reply) => return Ok(reply),
                    Err(Failed::Fault(fault)) => return Err(fault),
                    Err(Failed::Refused { status, after, said }) => (status, after, said),
                };
                if let (400, Some(quirks)) = (status, self.learned().quirks.learn(&said)) {
                    self.learn(|l| l.quirks = quirks);
                    continue;
                }
                let busy = matches!(status, 429 | 503 | 529);
                if let (true, false, Some(after)) = (busy, waited, after)
                    && after <= self.most_wait
                {
                    waited = true;
                    tokio::time::sleep(after).await;
                    continue;
                }
                if busy {
                    let rest = after.unwrap_or(DEFAULT_REST);
                    self.learn(|l| l.rests_until = Some(Instant::now() + rest));
                }
                let context = refusal(status, &said);
                return Err(if busy || status >= 500 {
                    Fault::Transient { context, after, source: None }
                } else {
                    Fault::because(context)
                });
            }
        })
    }
}
