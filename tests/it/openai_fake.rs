//! A server that speaks OpenAI's chat-completions protocol and is as strict as the real one: it
//! refuses what the real one refuses, with the same status and shape of error. What it says is
//! scripted; every body that it received is kept as bytes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::serve;

mod rules;

/// The only key that it takes; it is none.
pub(crate) const KEY: &str = "sk-not-a-real-key-0000";
/// A model that takes `max_tokens`, and one that wants `max_completion_tokens`.
pub(crate) const MODEL: &str = "small-1";
pub(crate) const NEW_MODEL: &str = "reason-1";

/// What it does next.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// Words.
    Text(String),
    /// Calls of tools: name and arguments.
    Calls(Vec<(&'static str, Value)>),
    /// A few words, and then nothing, with the connection open.
    Stall(&'static str),
    /// A few words, and then the connection ends.
    BreakOff(&'static str),
    /// 429 with this `Retry-After`.
    Busy(&'static str),
    /// 429 because the account is empty: without `Retry-After`.
    NoMoney,
    /// A page in place of an answer, as a proxy gives one.
    Html,
    /// The beginning of an answer.
    HalfJson,
    /// An error of the server.
    Broken,
    /// The provider's filter ended the answer.
    Filtered,
}

impl Say {
    /// Words.
    pub(crate) fn text(words: impl Into<String>) -> Self {
        Self::Text(words.into())
    }

    /// One call of a tool.
    pub(crate) fn call(name: &'static str, arguments: Value) -> Self {
        Self::Calls(vec![(name, arguments)])
    }
}

#[derive(Default)]
struct Heard {
    script: VecDeque<Say>,
    bodies: Vec<Vec<u8>>,
    n_answered: usize,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Fake {
    // Guards the script and what was received; held only while one of them is changed.
    heard: Arc<Mutex<Heard>>,
    port: u16,
}

impl Fake {
    /// Starts it with what it is to say, in order; afterwards it says "NO ANSWER".
    pub(crate) async fn start(script: impl IntoIterator<Item = Say>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        let script = script.into_iter().collect();
        let heard = Arc::new(Mutex::new(Heard { script, ..Heard::default() }));
        let fake = Self { heard, port };
        let app = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(models))
            .fallback(|| async {
                rules::Error::new(StatusCode::NOT_FOUND, "invalid_request_error", "Invalid URL")
            })
            .with_state(fake.clone());
        serve(async move { axum::serve(listener, app).await.expect("serves") });
        fake
    }

    /// Its base address, as a client is given it.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Adds to what it is to say.
    pub(crate) fn then(&self, say: Say) {
        self.heard.lock().expect("no panic").script.push_back(say);
    }

    /// Every body that it received, as bytes.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.heard.lock().expect("no panic").bodies.clone()
    }

    /// The newest body, as JSON.
    pub(crate) fn newest(&self) -> Value {
        let bodies = self.received();
        serde_json::from_slice(bodies.last().expect("something was received")).expect("JSON")
    }
}

fn authorized(headers: &HeaderMap) -> Result<(), rules::Error> {
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    if given == Some(&format!("Bearer {KEY}")) {
        return Ok(());
    }
    let text = "Incorrect API key provided.";
    Err(rules::Error::new(StatusCode::UNAUTHORIZED, "invalid_request_error", text)
        .code("invalid_api_key"))
}

async fn models(headers: HeaderMap) -> Response {
    if let Err(error) = authorized(&headers) {
        return error.into_response();
    }
    let model = |id| json!({ "id": id, "object": "model", "created": 1, "owned_by": "test" });
    axum::Json(json!({ "object": "list", "data": [model(MODEL), model(NEW_MODEL)] }))
        .into_response()
}

async fn complete(State(fake): State<Fake>, headers: HeaderMap, body: Bytes) -> Response {
    let next = {
        let mut heard = fake.heard.lock().expect("no panic");
        heard.bodies.push(body.to_vec());
        if let Err(error) = authorized(&headers).and_then(|()| rules::check(&headers, &body)) {
            return error.into_response();
        }
        heard.n_answered += 1;
        (heard.script.pop_front().unwrap_or(Say::text("NO ANSWER")), heard.n_answered)
    };
    let request: Value = serde_json::from_slice(&body).expect("the rules parsed it");
    answer(next.0, next.1, &request)
}

fn answer(say: Say, n: usize, request: &Value) -> Response {
    use rules::Error;
    let streams = request["stream"] == true;
    match say {
        Say::Busy(after) => {
            let text = "Rate limit reached for requests.";
            let error = Error::new(StatusCode::TOO_MANY_REQUESTS, "requests", text);
            let mut response = error.code("rate_limit_exceeded").into_response();
            response.headers_mut().insert(header::RETRY_AFTER, after.parse().expect("a header"));
            response
        }
        Say::NoMoney => {
            let text = "You exceeded your current quota, please check your plan.";
            Error::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", text)
                .code("insufficient_quota")
                .into_response()
        }
        Say::Broken => {
            let text = "The server had an error while processing your request.";
            Error::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", text).into_response()
        }
        Say::Html => {
            axum::response::Html("<html><body>Gateway login</body></html>").into_response()
        }
        Say::HalfJson => {
            let head = [(header::CONTENT_TYPE, "application/json")];
            (head, r#"{"id":"chatcmpl-1","choices":[{"message":{"role":"assis"#).into_response()
        }
        say if streams => streamed(&say, n, request),
        say => axum::Json(whole(&say, n, request)).into_response(),
    }
}

fn calls(say: &Say, n: usize) -> Vec<Value> {
    let Say::Calls(calls) = say else { return Vec::new() };
    calls
        .iter()
        .enumerate()
        .map(|(i, (name, arguments))| {
            let function = json!({ "name": name, "arguments": arguments.to_string() });
            json!({ "id": format!("call_{n}_{i}"), "type": "function", "function": function })
        })
        .collect()
}

fn words(say: &Say) -> (&str, &'static str) {
    match say {
        Say::Text(text) => (text.as_str(), "stop"),
        Say::Stall(text) | Say::BreakOff(text) => (text, ""),
        Say::Filtered => ("", "content_filter"),
        _ => ("", "tool_calls"),
    }
}

fn usage(request: &Value, text: &str) -> Value {
    let (sent, received) = (request.to_string().len() / 4, text.len() / 4 + 5);
    json!({ "prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received })
}

fn whole(say: &Say, n: usize, request: &Value) -> Value {
    let (text, reason) = words(say);
    let mut message = json!({ "role": "assistant", "content": text, "refusal": null });
    let calls = calls(say, n);
    if !calls.is_empty() {
        message["content"] = Value::Null;
        message["tool_calls"] = Value::Array(calls);
    }
    json!({
        "id": format!("chatcmpl-{n}"), "object": "chat.completion", "created": 1,
        "model": request["model"], "usage": usage(request, text),
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": reason }],
    })
}

/// The chunks of one answer, as the real one cuts them: the role alone, words in small pieces,
/// a call's name before its arguments in pieces, the reason alone, the usage without a choice.
fn streamed(say: &Say, n: usize, request: &Value) -> Response {
    let (text, reason) = words(say);
    let with_usage = request["stream_options"]["include_usage"] == true;
    let chunk = |delta: Value, reason: Value| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{n}"), "object": "chat.completion.chunk", "created": 1,
            "model": request["model"], "system_fingerprint": null,
            "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason }],
        });
        if with_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let mut chunks =
        vec![chunk(json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null)];
    let letters: Vec<char> = text.chars().collect();
    for piece in letters.chunks(7) {
        let piece: String = piece.iter().collect();
        chunks.push(chunk(json!({ "content": piece }), Value::Null));
    }
    for (index, call) in calls(say, n).iter().enumerate() {
        let function = json!({ "name": call["function"]["name"], "arguments": "" });
        let first = json!({
            "index": index, "id": call["id"], "type": "function", "function": function,
        });
        chunks.push(chunk(json!({ "tool_calls": [first] }), Value::Null));
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        for piece in arguments.as_bytes().chunks(5) {
            let piece = String::from_utf8_lossy(piece);
            let more = json!({ "index": index, "function": { "arguments": piece } });
            chunks.push(chunk(json!({ "tool_calls": [more] }), Value::Null));
        }
    }
    let mut lines: Vec<String> = Vec::new();
    let ends = !matches!(say, Say::Stall(_) | Say::BreakOff(_));
    if ends {
        chunks.push(chunk(json!({}), reason.into()));
        if with_usage {
            let mut last = chunk(json!({}), Value::Null);
            last["choices"] = json!([]);
            last["usage"] = usage(request, text);
            chunks.push(last);
        }
    }
    lines.extend(chunks.iter().map(|c| format!("data: {c}\n\n")));
    if ends {
        lines.push("data: [DONE]\n\n".to_owned());
    }
    let stalls = matches!(say, Say::Stall(_));
    let said = stream::iter(lines.into_iter().map(Ok::<_, Infallible>));
    let silence = stream::once(async move {
        if stalls {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        Ok(String::new())
    });
    let head = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    (head, Body::from_stream(said.chain(silence))).into_response()
}
