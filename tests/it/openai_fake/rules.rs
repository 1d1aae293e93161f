//! What the real endpoint refuses, and the words that it refuses it with (shortened).

use std::collections::BTreeSet;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{MODEL, NEW_MODEL};

/// Characters that fit into the fake models' context.
const MOST_CHARS: usize = 400_000;

/// An error in the protocol's shape.
pub(super) struct Error {
    status: StatusCode,
    kind: &'static str,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

impl Error {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), param: None, code: None }
    }

    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let error = json!({
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        });
        (self.status, axum::Json(json!({ "error": error }))).into_response()
    }
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
}

const KNOWN: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "tools",
    "tool_choice",
    "temperature",
    "top_p",
    "n",
    "stop",
    "seed",
    "user",
    "response_format",
    "parallel_tool_calls",
    "frequency_penalty",
    "presence_penalty",
];

/// Holds one request against the rules.
pub(super) fn check(headers: &HeaderMap, body: &[u8]) -> Result<(), Error> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if !kind.starts_with("application/json") {
        return Err(bad("We expect the Content-Type 'application/json'."));
    }
    let request: Value = serde_json::from_slice(body)
        .map_err(|_| bad("We could not parse the JSON body of your request."))?;
    let object = request.as_object().ok_or_else(|| bad("The body must be an object."))?;
    if let Some(unknown) = object.keys().find(|k| !KNOWN.contains(&k.as_str())) {
        return Err(bad(format!("Unrecognized request argument supplied: {unknown}")));
    }
    let model = request["model"]
        .as_str()
        .ok_or_else(|| bad("you must provide a model parameter").param("model"))?;
    if ![MODEL, NEW_MODEL].contains(&model) {
        let text = format!("The model `{model}` does not exist or you do not have access to it.");
        return Err(Error::new(StatusCode::NOT_FOUND, "invalid_request_error", text)
            .code("model_not_found"));
    }
    if model == NEW_MODEL && object.contains_key("max_tokens") {
        let text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                    'max_completion_tokens' instead.";
        return Err(bad(text).param("max_tokens").code("unsupported_parameter"));
    }
    if object.contains_key("stream_options") && request["stream"] != true {
        return Err(bad(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        ));
    }
    if body.len() > MOST_CHARS {
        let text = "This model's maximum context length is exceeded.";
        return Err(bad(text).param("messages").code("context_length_exceeded"));
    }
    tools(&request)?;
    messages(&request)
}

fn tools(request: &Value) -> Result<(), Error> {
    let Some(tools) = request.get("tools") else {
        if request.get("tool_choice").is_some() {
            return Err(bad("'tool_choice' is only allowed when 'tools' are specified."));
        }
        return Ok(());
    };
    let tools = tools.as_array().filter(|t| !t.is_empty() && t.len() <= 128);
    let tools = tools.ok_or_else(|| bad("Invalid 'tools': expected 1 to 128 items."))?;
    for (i, tool) in tools.iter().enumerate() {
        let function = &tool["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if tool["type"] != "function"
            || name.is_empty()
            || name.len() > 64
            || !name.chars().all(fits)
        {
            return Err(bad(format!("Invalid 'tools[{i}].function.name'.")).param("tools"));
        }
        if function["description"].as_str().is_some_and(|d| d.len() > 1_024) {
            return Err(bad(format!("Invalid 'tools[{i}].function.description': too long.")));
        }
        if function["strict"] == true {
            strict(name, &function["parameters"])?;
        }
    }
    Ok(())
}

/// Structured outputs: no further properties, and each of them required.
fn strict(name: &str, schema: &Value) -> Result<(), Error> {
    let wrong = |why: &str| {
        bad(format!("Invalid schema for function '{name}': In context=(), {why}"))
            .code("invalid_function_parameters")
    };
    if schema["additionalProperties"] != false {
        return Err(wrong("'additionalProperties' is required to be supplied and to be false."));
    }
    let properties: BTreeSet<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if properties != required {
        return Err(wrong("'required' is required to be an array including every key."));
    }
    for key in ["maxLength", "minLength", "format", "default"] {
        let used = schema["properties"].as_object().into_iter().flatten();
        if used.into_iter().any(|(_, p)| p.get(key).is_some()) {
            return Err(wrong(&format!("'{key}' is not permitted.")));
        }
    }
    Ok(())
}

fn messages(request: &Value) -> Result<(), Error> {
    let messages = request["messages"].as_array().filter(|m| !m.is_empty());
    let messages = messages.ok_or_else(|| bad("Invalid 'messages': expected at least 1 item."))?;
    let mut waiting: BTreeSet<&str> = BTreeSet::new();
    for (i, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" && !waiting.is_empty() {
            let ids: Vec<&str> = waiting.iter().copied().collect();
            return Err(bad(format!(
                "An assistant message with 'tool_calls' must be followed by tool messages \
                 responding to each 'tool_call_id'. The following tool_call_ids did not have \
                 response messages: {}",
                ids.join(", ")
            ))
            .param(format!("messages.[{i}].role")));
        }
        match role {
            "system" | "developer" | "user" if message["content"].is_string() => {}
            "assistant" => {
                let calls = message.get("tool_calls");
                if calls.is_some_and(|c| c.as_array().is_none_or(Vec::is_empty)) {
                    return Err(bad(format!("Invalid 'messages[{i}].tool_calls': empty array.")));
                }
                for call in calls.and_then(Value::as_array).into_iter().flatten() {
                    let function = &call["function"];
                    if call["type"] != "function" || !function["arguments"].is_string() {
                        return Err(bad(format!("Invalid 'messages[{i}].tool_calls'.")));
                    }
                    waiting.extend(call["id"].as_str());
                }
                if calls.is_none() && !message["content"].is_string() {
                    return Err(bad(format!("Invalid 'messages[{i}].content'.")));
                }
            }
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                if !waiting.remove(id) || !message["content"].is_string() {
                    return Err(bad(
                        "Invalid parameter: messages with role 'tool' must be a response to a \
                         preceeding message with 'tool_calls'.",
                    ));
                }
            }
            other => return Err(bad(format!("Invalid value: '{other}' at messages[{i}]."))),
        }
    }
    if waiting.is_empty() {
        Ok(())
    } else {
        Err(bad("An assistant message with 'tool_calls' must be followed by tool messages."))
    }
}
