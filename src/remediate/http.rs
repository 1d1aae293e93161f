//! HTTP calls to allow-listed hosts, and the read-only look at a target's state.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Config, Executed};
use crate::model::{Fault, Secret};

/// Bytes of an answer that are read; the rest is left.
const MOST_BYTES: usize = 64 * 1024;
/// Bytes of a body that is sent.
const MOST_SENT: usize = 256 * 1024;
/// Characters of an answer that are kept.
const MOST_CHARS: usize = 500;

/// One request.
pub(super) struct Request<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: &'a BTreeMap<String, String>,
    pub body: &'a Option<String>,
    pub timeout_s: u32,
}

/// A client that follows no redirect: a redirect could lead off the list.
pub(super) fn client() -> Result<reqwest::Client, Fault> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // What is sent goes to the listed host and to nobody between.
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .user_agent("nightjar")
        .build()
        .map_err(|e| Fault::permanent("can't make the HTTP client of the executors", e))
}

/// Fills `${name}` in with secrets.
fn filled(text: &str, secrets: &BTreeMap<String, Secret>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let Some((name, tail)) = after[2..].split_once('}') else {
            return Err("a header has ${ without }".into());
        };
        let secret = secrets.get(name);
        let secret = secret.ok_or_else(|| {
            format!("the secret `{name}` is not configured; add it to [remediate.secrets]")
        })?;
        out.push_str(secret.reveal());
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// Sends one request. What fails before a connection stands is *not sent*; a 4xx is a refusal by
/// the target and *not sent* too; everything else after the connection (redirects, which are not
/// followed, 408 and 5xx among it) is *unknown*.
pub(super) async fn send(
    client: &reqwest::Client,
    config: &Config,
    request: &Request<'_>,
    key: &str,
) -> Executed {
    match prepare(client, config, request, key) {
        Err(reason) => Executed::NotSent { reason },
        Ok(prepared) => match prepared.send().await {
            Err(e) if e.is_connect() || e.is_builder() => {
                Executed::NotSent { reason: format!("no connection to the target: {}", chain(&e)) }
            }
            Err(e) => Executed::Unknown {
                reason: format!("the request went out and no answer came: {}", chain(&e)),
            },
            Ok(response) => {
                let status = response.status();
                let text = short(&config.redacted(&body_of(response).await));
                if status.is_success() {
                    Executed::Done { output: format!("{status}: {text}") }
                } else if !status.is_client_error()
                    || status == reqwest::StatusCode::REQUEST_TIMEOUT
                {
                    Executed::Unknown { reason: format!("the target answered {status}: {text}") }
                } else {
                    Executed::NotSent { reason: format!("the target refused, {status}: {text}") }
                }
            }
        },
    }
}

fn prepare(
    client: &reqwest::Client,
    config: &Config,
    request: &Request<'_>,
    key: &str,
) -> Result<reqwest::RequestBuilder, String> {
    let url = url::Url::parse(request.url).map_err(|e| format!("no valid address: {e}"))?;
    config.allows_request(request.method, &url)?;
    let method = reqwest::Method::from_bytes(request.method.as_bytes())
        .map_err(|_| format!("`{}` is no HTTP method", request.method))?;
    let mut builder = client
        .request(method, url)
        .timeout(Duration::from_secs(u64::from(request.timeout_s.clamp(1, 300))))
        .header("Idempotency-Key", key);
    if let Some(name) = request.headers.keys().find(|k| is_ours(k)) {
        return Err(format!("the header {name} is set by nightjar; take it out of the runbook"));
    }
    if let Some(n) = request.body.as_ref().map(String::len).filter(|n| *n > MOST_SENT) {
        return Err(format!("the body has {n} bytes; at most {MOST_SENT} are sent"));
    }
    let has_type = request.headers.keys().any(|k| k.eq_ignore_ascii_case("content-type"));
    for (name, value) in request.headers {
        builder = builder.header(name, filled(value, &config.secrets)?);
    }
    if let Some(body) = request.body {
        if !has_type {
            builder = builder.header("Content-Type", "application/json");
        }
        builder = builder.body(body.clone());
    }
    Ok(builder)
}

/// Headers that say where a request goes, where it ends and that it is the same one.
fn is_ours(name: &str) -> bool {
    let ours = ["host", "content-length", "transfer-encoding", "connection", "idempotency-key"];
    ours.iter().any(|h| name.eq_ignore_ascii_case(h))
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    crate::telemetry::redact::redact(&text).into_owned()
}

async fn body_of(mut response: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MOST_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(MOST_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The beginning of a text. Cut after it was redacted: half a secret would not be recognised.
fn short(text: &str) -> String {
    text.chars().take(MOST_CHARS).collect()
}

/// Reads a target's state: a GET whose JSON answer's `keys` matter. Only hosts that are on the
/// list for actions are read.
///
/// # Errors
/// The host is not on the list, does not answer, or says something else than a JSON object.
pub async fn read_state(
    config: &Config,
    url: &str,
    headers: &BTreeMap<String, String>,
    keys: &[String],
) -> Result<BTreeMap<String, String>, Fault> {
    let parsed = url::Url::parse(url).map_err(|e| Fault::permanent("no valid address", e))?;
    config.allows_look(&parsed).map_err(Fault::because)?;
    let mut request = client()?.get(parsed).timeout(Duration::from_secs(10));
    for (name, value) in headers {
        request = request.header(name, filled(value, &config.secrets).map_err(Fault::because)?);
    }
    let response = request
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|e| Fault::transient("the target's state can't be read", e))?;
    if !response.status().is_success() {
        let text = format!("the target's state can't be read: it answered {}", response.status());
        return Err(Fault::because(text));
    }
    let value: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&body_of(response).await)
            .map_err(|e| Fault::transient("the target's state is no JSON object", e))?;
    let mut state = BTreeMap::new();
    for key in keys {
        if let Some(found) = value.get(key) {
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            state.insert(key.clone(), text);
        }
    }
    Ok(state)
}
