//! The HTTP hook below the client library: sees what the library does not pass on.
//!
//! The library drops `Retry-After`, gives no hint when an answer is no event stream at all, and
//! logs whole bodies of errors. Here an unfit response becomes one short error value instead.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures_util::StreamExt as _;
use reqwest::{Response, header};

/// Bytes that are read of an answer in one piece.
const MOST_BYTES: usize = 4 << 20;
/// Bytes that are read of an error.
const MOST_ERROR_BYTES: usize = 16 << 10;

/// A response that is no event stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// The endpoint refused.
    #[error("{status}: {said}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// When to come back, where it was told.
        after: Option<Duration>,
        /// What it said, shortened.
        said: String,
    },
    /// The whole answer in one piece, from a server that does not stream.
    #[error("an answer in one piece")]
    Whole {
        /// The body.
        body: Vec<u8>,
    },
    /// Neither an event stream nor JSON.
    #[error("the endpoint answered {kind}")]
    NotJson {
        /// Its content type.
        kind: String,
    },
}

/// Sends requests once, without retries.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
}

impl tower_service::Service<HttpRequestFactory> for Transport {
    type Response = Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let http = self.http.clone();
        Box::pin(async move {
            let response = http.execute(request.build().await?).await?;
            match unfit(response).await? {
                Ok(response) => Ok(response),
                Err(unfit) => Err(OpenAIError::Boxed(Box::new(unfit))),
            }
        })
    }
}

async fn unfit(response: Response) -> Result<Result<Response, Unfit>, OpenAIError> {
    let status = response.status();
    let head = |name: header::HeaderName| {
        response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned()
    };
    let kind = head(header::CONTENT_TYPE);
    if !status.is_success() {
        let after = retry_after(&head(header::RETRY_AFTER));
        let body = bounded(response, MOST_ERROR_BYTES).await?;
        let said = reason(&body, &kind);
        return Ok(Err(Unfit::Refused { status: status.as_u16(), after, said }));
    }
    if kind.starts_with("text/event-stream") {
        return Ok(Ok(response));
    }
    let body = bounded(response, MOST_BYTES).await?;
    let is_json = serde_json::from_slice::<serde_json::Value>(&body).is_ok_and(|v| v.is_object());
    let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
    let kind = if kind.contains("json") { "JSON that is cut short".to_owned() } else { kind };
    Ok(Err(if is_json { Unfit::Whole { body } } else { Unfit::NotJson { kind } }))
}

async fn bounded(response: Response, most: usize) -> Result<Vec<u8>, OpenAIError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        let room = most.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    Ok(body)
}

/// Seconds, as rate limits give them. A date is read too (RFC 9110, section 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return (0.0..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp().as_millisecond();
    let wait = at - crate::model::wall_now().ms();
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

/// What an error body says, in one line.
fn reason(body: &[u8], kind: &str) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &value["error"];
    let said = error["message"]
        .as_str()
        .or_else(|| error.as_str())
        .or_else(|| value["message"].as_str())
        .or_else(|| value["detail"].as_str());
    let said = match said {
        Some(said) => said.to_owned(),
        None if kind.contains("html") => "a page of HTML".to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "no reason given".to_owned() } else { line.chars().take(200).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_read_in_seconds_or_as_a_date() {
        assert_eq!(retry_after("2"), Some(Duration::from_secs(2)));
        assert_eq!(retry_after("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "1e99"] {
            assert_eq!(retry_after(bad), None, "{bad}");
        }
    }

    #[test]
    fn errors_of_all_shapes_give_one_short_line() {
        for (body, kind, said) in [
            (r#"{"error":{"message":"bad key"}}"#, "application/json", "bad key"),
            (r#"{"error":"model not found"}"#, "application/json", "model not found"),
            (r#"{"detail":"no route"}"#, "application/json", "no route"),
            ("<html><body>502", "text/html", "a page of HTML"),
            ("slow\n down", "text/plain", "slow down"),
            ("", "", "no reason given"),
        ] {
            assert_eq!(reason(body.as_bytes(), kind), said);
        }
    }
}
