//! Any endpoint that speaks the chat-completions protocol: a vendor's, or a local server.
//!
//! Answers are read tolerantly, field by field, since servers differ. Nothing is retried here:
//! whoever asks falls back instead. A slow server is cut off by the client's own time limits.

use std::time::Duration;

use async_openai::{Client, config::OpenAIConfig, error::OpenAIError, middleware::ReqwestService};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Config, LanguageModel, Message, Reply, Request, ToolCall, Usage};
use crate::model::{Fault, Secret};

/// The adapter.
pub struct OpenAi {
    client: Client<OpenAIConfig>,
    model: String,
}

impl OpenAi {
    /// An adapter for the endpoint. A TLS provider must have been installed.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn new(config: &Config) -> Result<Self, Fault> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(config.timeout_s.into()))
            .read_timeout(Duration::from_secs(config.stall_s.into()))
            .build()
            .map_err(|e| Fault::permanent("building the model's HTTP client", e))?;
        let base = config.base_url.trim_end_matches('/');
        let key = config.api_key.as_ref().map_or("", Secret::reveal);
        let endpoint = OpenAIConfig::new().with_api_base(base).with_api_key(key);
        // A bare service in place of the default one, which retries by itself.
        let client =
            Client::build(http.clone(), endpoint).with_http_service(ReqwestService::new(http));
        Ok(Self { client, model: config.model.clone() })
    }
}

fn wire(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({ "role": "system", "content": text }),
        Message::User { text } => json!({ "role": "user", "content": text }),
        Message::Tool { call, text } => {
            json!({ "role": "tool", "tool_call_id": call, "content": text })
        }
        Message::Assistant { text, calls } => {
            let calls: Vec<Value> = calls
                .iter()
                .map(|c| {
                    let function = json!({ "name": c.name, "arguments": c.arguments });
                    json!({ "id": c.id, "type": "function", "function": function })
                })
                .collect();
            let mut message = json!({ "role": "assistant", "content": text });
            // The protocol refuses an empty list.
            if !calls.is_empty() {
                message["tool_calls"] = Value::Array(calls);
            }
            message
        }
    }
}

fn body(model: &str, request: &Request) -> Value {
    let mut body = json!({
        "model": model,
        "max_tokens": request.max_tokens,
        "messages": request.messages.iter().map(wire).collect::<Vec<_>>(),
    });
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|t| json!({ "type": "function", "function": t }));
        body["tools"] = tools.collect();
    }
    body
}

/// Reads an answer; `n_sent` bytes were sent, for an estimate where usage is not told.
fn read(answer: &Value, n_sent: usize) -> Result<Reply, Fault> {
    let message = &answer["choices"][0]["message"];
    if !message.is_object() {
        let error = &answer["error"];
        let said = error.as_str().or_else(|| error["message"].as_str()).unwrap_or("no choices");
        let said: String = said.chars().take(200).collect();
        return Err(Fault::because(format!("the model's endpoint answered: {said}")));
    }
    let text = message["content"].as_str().unwrap_or_default().to_owned();
    let mut calls = Vec::new();
    for (i, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let function = &call["function"];
        // Some servers give arguments as an object and leave ids out.
        let arguments = match &function["arguments"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let id = call["id"].as_str().filter(|id| !id.is_empty());
        calls.push(ToolCall {
            id: id.map_or_else(|| format!("call-{n_sent}-{i}"), str::to_owned),
            name: function["name"].as_str().unwrap_or_default().to_owned(),
            arguments,
        });
    }
    // Four bytes a token is the usual rule of thumb for English.
    let tokens =
        |name: &str, bytes: usize| answer["usage"][name].as_u64().unwrap_or(bytes as u64 / 4);
    let usage = Usage {
        tokens_in: tokens("prompt_tokens", n_sent),
        tokens_out: tokens("completion_tokens", text.len()),
    };
    Ok(Reply { text, calls, usage })
}

fn failed(error: OpenAIError) -> Fault {
    let context = match &error {
        OpenAIError::Reqwest(e) if e.is_timeout() => "the model did not answer in time",
        OpenAIError::JSONDeserialize(..) => "the model's endpoint answered with no JSON",
        _ => "the model's endpoint failed",
    };
    match error {
        OpenAIError::JSONDeserialize(..) => Fault::permanent(context, error),
        _ => Fault::transient(context, error),
    }
}

impl LanguageModel for OpenAi {
    fn name(&self) -> &str {
        &self.model
    }

    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Reply, Fault>> {
        Box::pin(async move {
            let body = body(&self.model, &request);
            let n_sent = body.to_string().len();
            let answer: Value = self.client.chat().create_byot(body).await.map_err(failed)?;
            read(&answer, n_sent)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// One exchange with a server that answers once with these words.
    async fn exchange(status: &str, answer: &str) -> Result<Reply, Fault> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        let base_url = format!("http://127.0.0.1:{port}/v1/");
        let config = Config { base_url, model: "small".into(), ..Config::default() };
        let model = OpenAi::new(&config).expect("builds");
        let messages = vec![Message::User { text: "status".into() }];
        let serve = async {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            let mut head = [0_u8; 8_192];
            let n = socket.read(&mut head).await.expect("reads");
            assert!(head[..n].starts_with(b"POST /v1/chat/completions"));
            let text = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                answer.len()
            );
            socket.write_all(text.as_bytes()).await.expect("writes");
        };
        let request = Request { messages, tools: Vec::new(), max_tokens: 10 };
        tokio::join!(model.complete(request), serve).0
    }

    #[tokio::test]
    async fn answers_are_read_tolerantly() {
        let answer = r#"{"choices":[{"finish_reason":"odd","message":{"content":null,"tool_calls":
            [{"function":{"name":"look_up","arguments":{"question":"status"}}}]}}]}"#;
        let reply = exchange("200 OK", answer).await.expect("reads");
        assert_eq!(reply.calls[0].arguments, r#"{"question":"status"}"#);
        assert!(!reply.calls[0].id.is_empty());
        assert!(reply.usage.tokens_in > 0, "estimated where it is not told");
    }

    #[tokio::test]
    async fn errors_of_all_shapes_are_faults() {
        for (status, answer) in [
            ("200 OK", r#"{"error":"model not found"}"#),
            ("429 Too Many Requests", "slow down"),
            ("401 Unauthorized", r#"{"error":{"message":"bad key"}}"#),
            ("200 OK", "<html>"),
            ("500 Internal Server Error", ""),
        ] {
            assert!(exchange(status, answer).await.is_err(), "{status} {answer}");
        }
    }
}
