//! Slack's Web API: one call with a time limit, and what its failures mean.
//!
//! Guarantees: a fault names the method, Slack's error and what to do, and never a token or an
//! answer's body; everything that Slack may take later is transient, with its `Retry-After`.

use std::time::Duration;

use serde_json::Value;
use slack_morphism::SlackApiToken;
use slack_morphism::errors::SlackClientError;
use slack_morphism::hyper_tokio::SlackHyperClient;
use slack_morphism::prelude::{
    SlackApiTokenValue, SlackClientHttpConnector as _, SlackClientHyperConnector,
};

use url::Url;

use super::advice::advice;
use crate::model::{Fault, Secret};

/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);
/// How long the bytes of a file may take.
const UPLOAD: Duration = Duration::from_secs(60);
/// Errors of Slack that pass by themselves.
const PASSING: [&str; 8] = [
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
    "message_limit_exceeded",
];
/// Errors that say that the token no longer counts.
const REVOKED: [&str; 6] = [
    "invalid_auth",
    "not_authed",
    "token_revoked",
    "token_expired",
    "account_inactive",
    "app_uninstalled",
];

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// Slack's word for it; empty where Slack said nothing that can be read.
    pub code: String,
    /// The same as every outside seam says it.
    pub fault: Fault,
}

impl Failure {
    /// Whether Slack said one of these.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code.as_str())
    }

    /// Whether the token no longer counts.
    pub(super) fn is_revoked(&self) -> bool {
        self.is(&REVOKED)
    }

    /// Whether Slack was reached and answered in its own words.
    pub(super) fn is_said_by_slack(&self) -> bool {
        !self.code.is_empty()
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        failure.fault
    }
}

/// The Web API with one token.
pub(super) struct Web {
    client: std::sync::Arc<SlackHyperClient>,
    token: SlackApiToken,
}

impl Web {
    /// The API at a base address, http or https.
    pub(super) fn new(api_url: &str, token: &Secret) -> Result<Self, Fault> {
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|e| Fault::permanent("no certificate authorities for https are installed", e))?
            .https_or_http()
            .enable_all_versions()
            .build();
        let connector = SlackClientHyperConnector::with_connector(https)
            .with_slack_api_url(api_url.trim_end_matches('/'));
        let client = std::sync::Arc::new(SlackHyperClient::new(connector));
        Ok(Self { client, token: self::token(token) })
    }

    /// The same connections with another token.
    pub(super) fn with(&self, token: &Secret) -> Self {
        Self { client: self.client.clone(), token: self::token(token) }
    }

    /// The library's client, for Socket Mode.
    pub(super) fn client(&self) -> (&std::sync::Arc<SlackHyperClient>, &SlackApiToken) {
        (&self.client, &self.token)
    }

    /// A method that takes JSON.
    pub(super) async fn post(&self, method: &str, body: &Value) -> Result<Value, Failure> {
        let session = self.client.open_session(&self.token);
        let call = session.http_session_api.http_post::<Value, Value>(method, body, None);
        answered(method, CALL, call).await
    }

    /// A method that takes its arguments in the address: those that read do not take JSON.
    pub(super) async fn get(
        &self,
        method: &str,
        arguments: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let session = self.client.open_session(&self.token);
        let arguments: Vec<(&str, Option<&str>)> =
            arguments.iter().map(|(k, v)| (*k, Some(*v))).collect();
        let call = session.http_session_api.http_get::<Value, _, _>(method, &arguments, None);
        answered(method, CALL, call).await
    }

    /// Brings a file's bytes to the address that Slack gave for them. The address itself is the
    /// permission: no token is sent.
    pub(super) async fn bytes(
        &self,
        url: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        const WHAT: &str = "the upload of a file";
        let url = Url::parse(url).map_err(|e| Failure {
            code: String::new(),
            fault: Fault::transient(format!("Slack gave no address for {WHAT}"), e),
        })?;
        let span = tracing::Span::none();
        let context = slack_morphism::SlackClientApiCallContext {
            rate_control_params: None,
            token: None,
            tracing_span: &span,
            is_sensitive_url: true,
        };
        let connector = &self.client.http_api.connector;
        let call =
            connector.http_post_uri_binary::<Value>(url, media_type.to_owned(), bytes, context);
        match tokio::time::timeout(UPLOAD, call).await {
            Err(_) => Err(silent(WHAT)),
            Ok(Err(error)) => Err(failure(WHAT, error)),
            Ok(Ok(_)) => Ok(()),
        }
    }
}

fn token(secret: &Secret) -> SlackApiToken {
    SlackApiToken::new(SlackApiTokenValue(secret.reveal().to_owned()))
}

async fn answered(
    method: &str,
    limit: Duration,
    call: impl Future<Output = Result<Value, SlackClientError>>,
) -> Result<Value, Failure> {
    let started = std::time::Instant::now();
    let result = match tokio::time::timeout(limit, call).await {
        Err(_) => Err(silent(method)),
        Ok(Err(error)) => Err(failure(method, error)),
        // The library takes whatever is not JSON for an empty success.
        Ok(Ok(value)) if value["ok"] != true => Err(unreadable(method)),
        Ok(Ok(value)) => Ok(value),
    };
    let outcome = match &result {
        Ok(_) => "ok",
        Err(f) if f.fault.is_transient() => "transient",
        Err(_) => "refused",
    };
    let seconds = started.elapsed().as_secs_f64();
    metrics::histogram!(
        "nightjar_chat_call_seconds",
        "platform" => "slack", "method" => method.to_owned(), "outcome" => outcome
    )
    .record(seconds);
    tracing::debug!(slack.method = method, outcome, duration_ms = seconds * 1_000.0, "a call");
    result
}

fn passing(text: String, after: Option<Duration>, code: &str) -> Failure {
    let fault = Fault::Transient { context: text, after, source: None };
    Failure { code: code.to_owned(), fault }
}

fn silent(method: &str) -> Failure {
    passing(format!("Slack did not answer {method} in time"), None, "")
}

fn unreadable(method: &str) -> Failure {
    passing(format!("what answered {method} is not Slack's API"), None, "")
}

fn failure(method: &str, error: SlackClientError) -> Failure {
    match error {
        SlackClientError::ApiError(error) if PASSING.contains(&error.code.as_str()) => {
            passing(format!("Slack can't do {method} now: {}", error.code), None, &error.code)
        }
        SlackClientError::ApiError(error) => {
            let body = error.http_response_body.unwrap_or_default();
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let needed = body["needed"].as_str();
            let details = error.errors.unwrap_or_default().join("; ");
            let text = advice(method, &error.code, needed, &details);
            if REVOKED.contains(&error.code.as_str()) {
                // Whatever waits can be sent once there is a new token.
                return passing(text, None, &error.code);
            }
            Failure { code: error.code, fault: Fault::because(text) }
        }
        SlackClientError::RateLimitError(error) => {
            let after = error.retry_after.unwrap_or(Duration::from_secs(1));
            passing(format!("Slack wants fewer calls of {method}"), Some(after), "ratelimited")
        }
        SlackClientError::HttpError(error) => {
            let status = error.status_code.as_u16();
            passing(format!("Slack answered {method} with status {status}"), None, "")
        }
        SlackClientError::ProtocolError(_) => unreadable(method),
        other => Failure {
            code: String::new(),
            fault: Fault::transient(
                format!("Slack was not reached for {method}"),
                anyhow::anyhow!("{other}"),
            ),
        },
    }
}
