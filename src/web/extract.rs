//! What handlers take out of a request. Whatever does not fit is a [`Failure`] with a sentence,
//! never the framework's plain text.

use std::time::Duration;

use axum::body::{Body as Stream, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::{Failure, MAX_BODY_BYTES};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes beyond the limit that are still read and dropped, so that the sender, which writes
/// before it reads, gets to see the refusal.
const DRAINED_BYTES: usize = 4 * MAX_BODY_BYTES;

/// The whole body, at most [`MAX_BODY_BYTES`] after unpacking.
pub(super) struct Raw(pub(super) Bytes);

async fn collect(stream: Stream) -> Result<Bytes, Failure> {
    let (mut body, mut n) = (Vec::new(), 0_usize);
    let mut chunks = stream.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| {
            Failure::bad_request(format!(
                "The body can't be read: it ends early or its compression is broken ({e})."
            ))
        })?;
        n = n.saturating_add(chunk.len());
        if n > DRAINED_BYTES {
            break;
        }
        if n <= MAX_BODY_BYTES {
            body.extend_from_slice(&chunk);
        } else {
            body = Vec::new();
        }
    }
    if n > MAX_BODY_BYTES { Err(Failure::too_large()) } else { Ok(body.into()) }
}

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let collected = tokio::time::timeout(PATIENCE, collect(request.into_body())).await;
        let result = collected.unwrap_or_else(|_| {
            let text = format!("The body did not arrive within {} s.", PATIENCE.as_secs());
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", text))
        });
        if result.is_err() {
            metrics::counter!("nightjar_web_unreadable_bodies_total").increment(1);
        }
        result.map(Self)
    }
}

/// The body as JSON. An empty body stands for `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let is_json = kind.is_some_and(|k| k.starts_with("application/json"));
        let Raw(bytes) = Raw::from_request(request, state).await?;
        if !is_json && !bytes.is_empty() {
            let text = "The body must be JSON and say so: Content-Type: application/json.";
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", text));
        }
        read(&bytes).map(Self)
    }
}

/// Reads JSON, with a sentence for whoever sent it.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|e| {
        metrics::counter!("nightjar_web_rejected_total").increment(1);
        Failure::bad_request(format!("The body does not fit: {e}."))
    })
}

/// The query string.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(params)| Self(params)).map_err(|e| {
            metrics::counter!("nightjar_web_rejected_total").increment(1);
            Failure::bad_request(format!("The query does not fit: {}.", e.body_text()))
        })
    }
}

/// The one parameter of the path, as an id. What is no id names nothing: 404.
pub(super) struct Id<T>(pub(super) T);

impl<T: std::str::FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let text = path.map_err(|_| Failure::not_found("address"))?;
        text.parse().map(Self).map_err(|_| {
            let shown: String = text.chars().take(60).collect();
            Failure::not_found("id").instead(format!("`{shown}` is not an id of this kind."))
        })
    }
}

/// What is missing, as a failure.
pub(super) fn found<T>(thing: Option<T>, what: &str) -> Result<T, Failure> {
    thing.ok_or_else(|| Failure::not_found(what))
}
