//! Requests and answers of the chat-completions protocol. Answers are read tolerantly, field by
//! field, since servers differ: ids left out, arguments as objects, usage not told.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::llm::{Message, Reply, Request, ToolCall, Usage};

/// Deviations of a server from the protocol's newest form, learned from its refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quirks {
    /// It wants `max_completion_tokens` in place of `max_tokens`.
    pub(super) completion_tokens: bool,
    /// It knows no `stream_options`.
    pub(super) no_stream_options: bool,
    /// It knows no strict schemas.
    pub(super) no_strict: bool,
}

impl Quirks {
    /// What a refusal teaches; `None` when it teaches nothing new.
    pub(super) fn learn(self, said: &str) -> Option<Self> {
        let mut learned = self;
        if said.contains("max_completion_tokens") {
            learned.completion_tokens = true;
        } else if said.contains("stream_options") {
            learned.no_stream_options = true;
        } else if said.contains("strict") {
            learned.no_strict = true;
        }
        (learned != self).then_some(learned)
    }
}

fn message(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({ "role": "system", "content": text }),
        Message::User { text } => json!({ "role": "user", "content": text }),
        Message::Tool { call, text } => {
            json!({ "role": "tool", "tool_call_id": call, "content": text })
        }
        Message::Assistant { text, calls } => {
            let mut message = json!({ "role": "assistant", "content": text });
            let calls = calls.iter().map(|c| {
                let function = json!({ "name": c.name, "arguments": c.arguments });
                json!({ "id": c.id, "type": "function", "function": function })
            });
            let calls: Vec<Value> = calls.collect();
            // The protocol refuses an empty list.
            if !calls.is_empty() {
                message["tool_calls"] = Value::Array(calls);
            }
            message
        }
    }
}

/// The body of one request.
pub(super) fn body(model: &str, request: &Request, quirks: Quirks) -> Value {
    let limit = if quirks.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    let messages: Vec<Value> = request.messages.iter().map(message).collect();
    let mut body = json!({ "model": model, "messages": messages, "stream": true });
    body[limit] = request.max_tokens.into();
    if !quirks.no_stream_options {
        body["stream_options"] = json!({ "include_usage": true });
    }
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|t| {
            let mut function = json!({
                "name": t.name, "description": t.description, "parameters": t.parameters,
            });
            if !quirks.no_strict {
                function["strict"] = true.into();
            }
            json!({ "type": "function", "function": function })
        });
        body["tools"] = tools.collect();
        if !request.may_call {
            body["tool_choice"] = "none".into();
        }
    }
    body
}

/// An answer in the making.
#[derive(Debug, Default)]
pub(super) struct Growing {
    pub(super) text: String,
    calls: BTreeMap<u64, ToolCall>,
    pub(super) finish: Option<String>,
    usage: Option<Usage>,
    pub(super) refused: bool,
}

fn arguments(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        // Some servers give arguments as an object.
        other => other.to_string(),
    }
}

impl Growing {
    /// Takes one chunk, or a whole answer; gives the words that it adds.
    pub(super) fn take(&mut self, chunk: &Value) -> String {
        if let Some(sent) = chunk["usage"]["prompt_tokens"].as_u64() {
            let tokens_out = chunk["usage"]["completion_tokens"].as_u64().unwrap_or(0);
            self.usage = Some(Usage { tokens_in: sent, tokens_out });
        }
        let choice = &chunk["choices"][0];
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish = Some(reason.to_owned());
        }
        let delta = if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] };
        self.refused |= delta["refusal"].as_str().is_some_and(|r| !r.is_empty());
        for (i, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let index = call["index"].as_u64().unwrap_or(i as u64);
            let growing = self.calls.entry(index).or_insert_with(|| ToolCall {
                id: String::new(),
                name: String::new(),
                arguments: String::new(),
            });
            let function = &call["function"];
            // Ids and names come once; a server that repeats them means the same call.
            for (part, given) in
                [(&mut growing.id, &call["id"]), (&mut growing.name, &function["name"])]
            {
                if let (true, Some(given)) = (part.is_empty(), given.as_str()) {
                    given.clone_into(part);
                }
            }
            growing.arguments.push_str(&arguments(&function["arguments"]));
        }
        let words = delta["content"].as_str().unwrap_or_default();
        self.text.push_str(words);
        words.to_owned()
    }

    /// The answer; `n_sent` bytes were sent, for an estimate where usage was not told.
    pub(super) fn reply(self, n_sent: usize) -> Reply {
        let mut calls: Vec<ToolCall> = self.calls.into_values().collect();
        for (i, call) in calls.iter_mut().enumerate() {
            if call.id.is_empty() {
                call.id = format!("call-{n_sent}-{i}");
            }
        }
        let n_received: usize =
            self.text.len() + calls.iter().map(|c| c.arguments.len()).sum::<usize>();
        let usage = self.usage.unwrap_or_else(|| Usage::estimated(n_sent, n_received));
        let is_cut = self.finish.as_deref() == Some("length");
        Reply { text: self.text, calls, usage, is_cut }
    }
}
