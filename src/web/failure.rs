//! Why a request was not served: one JSON shape for every error, with what to do next.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::command::Problem;
use crate::model::{Fault, MessageId, Refused, wall_now};

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What went wrong.
    error: ErrorWords,
}

/// What went wrong, for machines and for people.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorWords {
    /// A word for machines.
    code: &'static str,
    /// What happened and why, in a sentence.
    message: String,
    /// What to do next, in a sentence.
    what_to_do: String,
    /// What is wrong with what was sent, by field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, String>,
}

/// Why a request was not served.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    words: ErrorWords,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let what_to_do = next_step(code).to_owned();
        let (message, fields) = (message.into(), BTreeMap::new());
        Self { status, words: ErrorWords { code, message, what_to_do, fields } }
    }

    /// A form whose answers don't fit, by field.
    pub(crate) fn fields(fields: BTreeMap<String, String>) -> Self {
        let message: Vec<&str> = fields.values().map(String::as_str).collect();
        let mut failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message.join(" "));
        failure.words.fields = fields;
        failure
    }

    /// The same with what is wrong, by field.
    pub(crate) fn about(mut self, fields: BTreeMap<String, String>) -> Self {
        self.words.fields = fields;
        self
    }

    /// The same with another next step.
    pub(crate) fn instead(mut self, what_to_do: impl Into<String>) -> Self {
        self.words.what_to_do = what_to_do.into();
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("There is no such {what}."))
    }

    pub(crate) fn unauthorized() -> Self {
        let text = "You are not logged in, or the session or token has ended.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", text)
    }

    pub(crate) fn too_large() -> Self {
        let most = super::MAX_BODY_BYTES >> 20;
        let text = format!("The body is larger than {most} MiB, or becomes so when unpacked.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.words.message
    }

    /// The body, for answers that are written otherwise (server-sent events).
    pub(crate) fn body(self) -> impl Serialize {
        ErrorBody { error: self.words }
    }
}

/// What people do about an error of a kind.
fn next_step(code: &str) -> &'static str {
    match code {
        "bad_request" | "media_type" => "See /api/v1/openapi.json for what this address takes.",
        "unauthorized" => {
            "Open a login link (`nightjar login` writes one), or send an API token as \
             `Authorization: Bearer …`."
        }
        "forbidden" => "Ask somebody who has that role.",
        "cross_site" => "Use the console's own page, or an API token.",
        "not_found" => "Look at the list for the right one.",
        "method" => "Use one of the methods in the Allow header.",
        "conflict" => "Read it again and decide on what it says now.",
        "too_large" => "Send it in parts.",
        "timeout" | "busy" => "Try again in a few seconds.",
        "host" => "Set web.public_url to the address that you use, or use the IP address.",
        "rejected" | "invalid" => "Correct what the message names and send it again.",
        _ => "Look into the log for the reference, or tell whoever runs nightjar.",
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status;
        metrics::counter!("nightjar_web_failures_total", "code" => self.words.code).increment(1);
        let mut response = (status, axum::Json(ErrorBody { error: self.words })).into_response();
        let headers = response.headers_mut();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let reference = MessageId::random(wall_now()).short();
        tracing::error!(reference, error = fault.chain(), "a request failed");
        if fault.is_transient() {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", format!("{fault}."));
        }
        let text = format!("Internal error, reference {reference}.");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let (status, code) = match &refused {
            Refused::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Refused::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Refused::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Refused::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Refused::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        };
        Self::new(status, code, refused.to_string())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Refused(refused) => refused.into(),
            Problem::Fault(fault) => fault.into(),
        }
    }
}
