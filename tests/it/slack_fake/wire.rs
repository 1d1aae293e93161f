//! HTTP of the fake: tokens, arguments in each of the ways that Slack takes, and trouble.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Map, Value, json};

use super::{APP_TOKEN, BOT_TOKEN, Fake, Trouble, api, read, rooms, streams};

/// Arguments of a call.
pub(super) type Args = Map<String, Value>;

/// Methods that do not read JSON.
const NO_JSON: [&str; 8] = [
    "chat.getPermalink",
    "conversations.info",
    "conversations.list",
    "conversations.history",
    "conversations.replies",
    "users.info",
    "usergroups.users.list",
    "files.getUploadURLExternal",
];

/// The scope that a method needs; several: one of them.
fn needed(method: &str) -> &'static [&'static str] {
    match method {
        "chat.postMessage" | "chat.update" | "chat.postEphemeral" | "chat.startStream"
        | "chat.appendStream" | "chat.stopStream" => &["chat:write"],
        "conversations.history" | "conversations.replies" => {
            &["channels:history", "groups:history", "im:history"]
        }
        "conversations.list" | "conversations.info" => &["channels:read", "groups:read"],
        "conversations.create"
        | "conversations.archive"
        | "conversations.invite"
        | "conversations.setTopic" => &["channels:manage"],
        "conversations.open" => &["im:write"],
        "bookmarks.add" => &["bookmarks:write"],
        "bookmarks.list" => &["bookmarks:read"],
        "users.info" => &["users:read"],
        "usergroups.users.list" => &["usergroups:read"],
        "files.getUploadURLExternal" | "files.completeUploadExternal" => &["files:write"],
        "pins.add" | "pins.remove" => &["pins:write"],
        "reactions.add" | "reactions.remove" => &["reactions:write"],
        "assistant.threads.setStatus" => &["assistant:write"],
        "chat.unfurl" => &["links:write"],
        _ => &[],
    }
}

fn answer(value: &Value) -> Response {
    axum::Json(value).into_response()
}

fn error(code: &str) -> Value {
    json!({ "ok": false, "error": code })
}

/// One call of the Web API.
pub(super) async fn call(
    State(fake): State<Fake>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let trouble = {
        let mut workspace = fake.look();
        workspace.calls.push((method.clone(), Instant::now()));
        let slow = workspace.slow.get(&*method).copied();
        workspace.take_trouble(&method).or(slow.map(Trouble::Late))
    };
    match &trouble {
        Some(Trouble::Limited(seconds)) => {
            let body = axum::Json(error("ratelimited"));
            let after = [(header::RETRY_AFTER, seconds.to_string())];
            return (StatusCode::TOO_MANY_REQUESTS, after, body).into_response();
        }
        Some(Trouble::Html(status)) => {
            let status = StatusCode::from_u16(*status).expect("a status");
            let page = "<html><body>Bad gateway</body></html>";
            return (status, [(header::CONTENT_TYPE, "text/html")], page).into_response();
        }
        Some(Trouble::Error(code)) => return answer(&error(code)),
        Some(Trouble::Late(by)) => tokio::time::sleep(*by).await,
        Some(Trouble::DoneUnsaid) | None => {}
    }
    let args = arguments(&method, query.as_deref(), &headers, &body);
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let given = given.and_then(|v| v.strip_prefix("Bearer ")).map(str::to_owned);
    let given = given.or_else(|| args.get("token").and_then(Value::as_str).map(str::to_owned));
    let said = done(&fake, &method, given.as_deref(), &args);
    if matches!(trouble, Some(Trouble::DoneUnsaid)) {
        let cut = stream::iter([Err::<Bytes, _>(std::io::Error::other("the line is cut"))]);
        return Body::from_stream(cut).into_response();
    }
    let limited = said["error"] == "ratelimited";
    let mut response = answer(&said);
    if limited {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let scopes: Vec<String> = fake.look().scopes.iter().cloned().collect();
    let scopes = HeaderValue::from_str(&scopes.join(",")).expect("scopes are plain");
    response.headers_mut().insert("x-oauth-scopes", scopes);
    response
}

fn done(fake: &Fake, method: &str, token: Option<&str>, args: &Args) -> Value {
    let mut workspace = fake.look();
    let wanted = if method == "apps.connections.open" { APP_TOKEN } else { BOT_TOKEN };
    match token {
        None => return error("not_authed"),
        Some(given) if workspace.revoked || (workspace.app_revoked && given == APP_TOKEN) => {
            return error("token_revoked");
        }
        Some(given) if given != wanted => {
            let other = [APP_TOKEN, BOT_TOKEN].contains(&given);
            return error(if other { "not_allowed_token_type" } else { "invalid_auth" });
        }
        Some(_) => {}
    }
    let needs = needed(method);
    if !needs.is_empty() && !needs.iter().any(|s| workspace.scopes.contains(*s)) {
        let provided: Vec<&String> = workspace.scopes.iter().collect();
        return json!({
            "ok": false, "error": "missing_scope", "needed": needs[0], "provided": provided,
        });
    }
    if method == "apps.connections.open" {
        let ticket = format!("ticket-{}", workspace.next());
        workspace.tickets.insert(ticket.clone());
        let url = format!("ws://127.0.0.1:{}/link/?ticket={ticket}", fake.socket_port);
        return json!({ "ok": true, "url": url });
    }
    if method == "files.getUploadURLExternal" {
        return api::upload_address(&mut workspace, args, fake.port);
    }
    read::call(&mut workspace, method, args)
        .or_else(|| rooms::call(&mut workspace, method, args))
        .or_else(|| streams::call(&mut workspace, method, args))
        .or_else(|| api::call(&mut workspace, method, args))
        .unwrap_or_else(|| error("unknown_method"))
}

/// Arguments from the address, a form or JSON; a form's blocks and metadata are JSON in text.
fn arguments(method: &str, query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Args {
    let mut args = Args::new();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut pairs: BTreeMap<String, String> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    if kind.starts_with("application/json") {
        if !NO_JSON.contains(&method)
            && let Ok(Value::Object(map)) = serde_json::from_slice(body)
        {
            args.extend(map);
        }
    } else {
        pairs.extend(url::form_urlencoded::parse(body).into_owned());
    }
    for (name, text) in pairs {
        let structured = ["blocks", "metadata", "view", "files", "unfurls"].contains(&&*name);
        let value = match serde_json::from_str(&text) {
            Ok(value) if structured => value,
            _ => text.into(),
        };
        args.insert(name, value);
    }
    args
}

/// The bytes of a file. No token comes with them.
pub(super) async fn upload(
    State(fake): State<Fake>,
    Path(file): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut workspace = fake.look();
    workspace.calls.push(("upload".into(), Instant::now()));
    let trouble = workspace.take_trouble("upload");
    let told = headers.contains_key(header::AUTHORIZATION);
    let Some(length) = workspace.files.get(&file).map(|f| f["length"].clone()) else {
        return (StatusCode::NOT_FOUND, "no such upload").into_response();
    };
    if matches!(trouble, Some(Trouble::Html(_))) {
        return (StatusCode::BAD_GATEWAY, "<html>").into_response();
    }
    if told || length != body.len() as u64 {
        return (StatusCode::BAD_REQUEST, "a token or a wrong length").into_response();
    }
    workspace.bytes.insert(file, body.to_vec());
    format!("OK - {}", body.len()).into_response()
}

/// For a script that has no other hand in here: somebody says something or clicks.
pub(super) async fn control(
    State(fake): State<Fake>,
    Path(what): Path<String>,
    body: Bytes,
) -> Response {
    let given: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
    let (kind, payload) = match what.as_str() {
        "say" => {
            let message = fake.say(&text("user"), &text("channel"), None, &text("text"));
            ("events_api", fake.event(&message))
        }
        "click" => {
            let payload = fake.click(&text("user"), &text("channel"), &text("ts"), 0);
            ("interactive", payload)
        }
        "command" => {
            ("slash_commands", fake.command(&text("user"), &text("channel"), &text("text")))
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let ack = fake.deliver(kind, payload).await;
    answer(&json!({ "acknowledged": ack.is_some(), "payload": ack.and_then(|a| a.payload) }))
}
