//! The front doors for telemetry: read, decode, accept; a 2xx follows the commit.

use axum::extract::{FromRequestParts, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::Raw;
use super::table::{Access, Route};
use super::{Failure, State, origin};
use crate::model::{Batch, Fault, Secret, wall_now};
use crate::telemetry::changes::{GithubHeaders, PlainHeaders, decode_github, decode_plain};
use crate::telemetry::otlp::{self, Encoding, Signal};
use crate::telemetry::{Rejected, alertmanager, datadog, heartbeat};

/// The status with which a decoder tells of what was delivered before.
const REPEATED: u16 = StatusCode::CONFLICT.as_u16();

/// The address of the door for Prometheus' remote-write.
pub(super) const WRITE: &str = "/api/v1/write";

pub(super) fn routes() -> Vec<Route> {
    const PROTOBUF: &str = "application/x-protobuf";
    const JSON: &str = "application/json";
    let otlp = |path, summary, signal| {
        Route::post(path, Access::Ingest, summary, move |s, d, h, b| otlp_door(s, d, h, b, signal))
            .takes_other(PROTOBUF, "An OTLP export request, gzip allowed.")
            .takes_other(JSON, "The same as OTLP/JSON.")
            .gives_other(PROTOBUF, "An OTLP export response, in the request's encoding.")
            .fails(&[403, 415])
    };
    vec![
        otlp("/v1/logs", "Takes logs over OTLP/HTTP", Signal::Logs),
        otlp("/v1/traces", "Takes spans over OTLP/HTTP", Signal::Traces),
        otlp("/v1/metrics", "Takes metrics over OTLP/HTTP", Signal::Metrics),
        Route::post(
            "/ingest/alertmanager",
            Access::Ingest,
            "Takes alerts from Alertmanager's webhook (version 4)",
            alertmanager_door,
        )
        .takes_other(JSON, "Alertmanager's webhook message.")
        .gives::<Accepted>()
        .fails(&[403]),
        Route::post(
            "/ingest/datadog",
            Access::Ingest,
            "Takes what Datadog's monitors say, by its webhook",
            datadog_door,
        )
        .takes_other(JSON, "The payload of deploy/connect/datadog-webhook.json, filled in by Datadog.")
        .gives::<Accepted>()
        .fails(&[403]),
        Route::post(
            "/ingest/heartbeat",
            Access::Ingest,
            "Takes a sign of life; when the next one is late, that is told",
            heartbeat_door,
        )
        .takes_other(JSON, "name, every (90s, 15m, 6h, 1d), grace, service or entity, status (ok, failed, ended), text.")
        .gives::<Accepted>()
        .fails(&[403]),
        Route::post(
            WRITE,
            Access::Ingest,
            "Takes metrics by Prometheus' remote-write, versions 1 and 2",
            remote_write_door,
        )
        .takes_other(PROTOBUF, "A write request, packed with snappy.")
        .gives_other("text/plain", "Nothing; the counts taken stand in the headers.")
        .fails(&[403, 415]),
        Route::post("/hooks/github", Access::Signed, "Takes changes from GitHub", github_door)
            .takes_other(JSON, "GitHub's event, signed in X-Hub-Signature-256.")
            .gives::<FromGithub>(),
        Route::post("/hooks/deploy", Access::Signed, "Takes a change from anywhere", deploy_door)
            .takes_other(
                JSON,
                "A change, signed in X-Nightjar-Signature over X-Nightjar-Timestamp and body: kind \
                 (deploy, config, network_policy, scale, flag, migration, schema, provider, other), \
                 service or entity, title, at, version, previous, author, url, status, attributes; before and after, \
                 texts or objects, whose differences are kept.",
            )
            .gives::<Accepted>(),
    ]
}

/// What was sent is in the journal.
#[derive(Serialize, ToSchema)]
struct Accepted {
    /// Always true.
    accepted: bool,
    /// Its place in the journal; 0 when there was nothing in it.
    place: u64,
}

/// What GitHub is told. A repeated delivery is no failure: GitHub would show it as one.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum FromGithub {
    /// It was taken.
    #[schema(title = "Taken")]
    Taken(Accepted),
    /// It was taken before, and nothing was added.
    #[schema(title = "Repeated")]
    Repeated {
        /// Always false.
        accepted: bool,
        /// Why: `delivered before`.
        why: &'static str,
    },
}

/// Proof that the sender may send telemetry.
struct Door;

impl FromRequestParts<State> for Door {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        let keys = &state.shared.keys;
        if !keys.may_ingest(&parts.headers) {
            metrics::counter!("nightjar_web_rejected_total").increment(1);
            let text = "Telemetry needs the token of web.ingest_token.";
            let failure = Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", text);
            return Err(failure.instead("Send it as `Authorization: Bearer …`."));
        }
        // Without a token, any page that a browser on this machine shows could send.
        if !keys.guards_ingest() && !origin::is_ours(state, &parts.headers) {
            metrics::counter!("nightjar_web_cross_site_total").increment(1);
            let text = "Another site's page sent this.";
            let failure = Failure::new(StatusCode::FORBIDDEN, "cross_site", text);
            return Err(failure.instead("Set web.ingest_token to take telemetry from browsers."));
        }
        Ok(Self)
    }
}

type Body = Result<Raw, Failure>;

fn refused(rejected: &Rejected) -> Response {
    metrics::counter!("nightjar_web_rejected_total").increment(1);
    let status = StatusCode::from_u16(rejected.status).unwrap_or(StatusCode::BAD_REQUEST);
    Failure::new(status, "rejected", rejected.message.clone()).into_response()
}

fn failed(fault: Fault) -> Response {
    let mut response = Failure::from(fault).into_response();
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

async fn place(state: &State, batch: Batch) -> Result<Accepted, Fault> {
    let place = if batch.is_tick() { 0 } else { state.shared.intake.accept(batch).await? };
    Ok(Accepted { accepted: true, place })
}

async fn accepted(state: &State, batch: Batch) -> Result<Response, Fault> {
    place(state, batch).await.map(|taken| axum::Json(taken).into_response())
}

async fn otlp_door(
    Shared(state): Shared<State>,
    _: Door,
    headers: HeaderMap,
    body: Body,
    signal: Signal,
) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let encoding = match Encoding::from_content_type(kind) {
        Ok(encoding) => encoding,
        Err(rejected) => return refused(&rejected),
    };
    let say = |status: u16, message: &str| {
        metrics::counter!("nightjar_web_rejected_total").increment(1);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let body = otlp::error_answer(encoding, status.as_u16(), message);
        (status, [(header::CONTENT_TYPE, encoding.content_type())], body).into_response()
    };
    let now = state.shared.clock.now();
    let Raw(body) = match body {
        Ok(body) => body,
        Err(failure) => return say(failure.status().as_u16(), failure.message()),
    };
    let mut decoded = match state.shared.otlp.decode(signal, encoding, &body, now) {
        Ok(decoded) => decoded,
        Err(rejected) => return say(rejected.status, &rejected.message),
    };
    let batch = std::mem::take(&mut decoded.batch);
    if let Err(fault) = accepted(&state, batch).await {
        state.shared.otlp.give_back(decoded);
        let mut response = say(503, &fault.to_string());
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        return response;
    }
    let answer = otlp::answer(signal, encoding, decoded.rejected, &decoded.message);
    ([(header::CONTENT_TYPE, encoding.content_type())], answer).into_response()
}

async fn alertmanager_door(Shared(state): Shared<State>, _: Door, Raw(body): Raw) -> Response {
    let now = state.shared.clock.now();
    match alertmanager::decode(&body, now) {
        Ok(batch) => accepted(&state, batch).await.unwrap_or_else(failed),
        Err(rejected) => refused(&rejected),
    }
}

async fn datadog_door(Shared(state): Shared<State>, _: Door, Raw(body): Raw) -> Response {
    match datadog::decode(&body, state.shared.clock.now()) {
        Ok(batch) => accepted(&state, batch).await.unwrap_or_else(failed),
        Err(fields) => {
            metrics::counter!("nightjar_web_rejected_total").increment(1);
            let each: Vec<String> =
                fields.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            Failure::new(StatusCode::BAD_REQUEST, "rejected", format!("{}.", each.join("; ")))
                .about(fields)
                .instead(
                    "Correct these fields in the payload of the webhook (Datadog: Integrations, \
                     Webhooks); deploy/connect/datadog-webhook.json is one that fits.",
                )
                .into_response()
        }
    }
}

async fn remote_write_door(
    Shared(state): Shared<State>,
    _: Door,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Response {
    let receiver = &state.shared.remote_write;
    let kind = text(&headers, header::CONTENT_TYPE.as_str());
    let encoding = text(&headers, header::CONTENT_ENCODING.as_str());
    let mut decoded = match receiver.decode(kind, encoding, &body, state.shared.clock.now()) {
        Ok(decoded) => decoded,
        Err(rejected) => return refused(&rejected),
    };
    let batch = std::mem::take(&mut decoded.batch);
    if let Err(fault) = place(&state, batch).await {
        receiver.give_back(decoded);
        return failed(fault);
    }
    // Version 2 asks for these counts, so that the sender knows that the message was understood.
    let counts = [
        ("x-prometheus-remote-write-samples-written", decoded.n_samples),
        ("x-prometheus-remote-write-histograms-written", decoded.n_histograms),
        ("x-prometheus-remote-write-exemplars-written", 0),
    ];
    let counts = counts.map(|(name, n)| (name, n.to_string()));
    (StatusCode::NO_CONTENT, counts).into_response()
}

async fn heartbeat_door(Shared(state): Shared<State>, _: Door, Raw(body): Raw) -> Response {
    match heartbeat::decode(&body, state.shared.clock.now()) {
        Ok(batch) => accepted(&state, batch).await.unwrap_or_else(failed),
        Err(rejected) => refused(&rejected),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

async fn github_door(Shared(state): Shared<State>, headers: HeaderMap, Raw(body): Raw) -> Response {
    let shared = &state.shared;
    let given = GithubHeaders {
        event: text(&headers, "X-GitHub-Event"),
        delivery: text(&headers, "X-GitHub-Delivery"),
        signature: text(&headers, "X-Hub-Signature-256"),
    };
    let repeated = FromGithub::Repeated { accepted: false, why: "delivered before" };
    let secret = shared.config.github_secret.as_ref().map_or("", Secret::reveal).as_bytes();
    let now = shared.clock.now();
    match decode_github(given, &body, now, (secret, &shared.changes), &shared.seen) {
        Err(rejected) if rejected.status == REPEATED => axum::Json(repeated).into_response(),
        Err(rejected) => refused(&rejected),
        Ok(batch) => match place(&state, batch).await {
            Ok(taken) => axum::Json(FromGithub::Taken(taken)).into_response(),
            Err(fault) => {
                shared.seen.forget(text(&headers, "X-GitHub-Delivery").unwrap_or_default());
                failed(fault)
            }
        },
    }
}

async fn deploy_door(Shared(state): Shared<State>, headers: HeaderMap, Raw(body): Raw) -> Response {
    let shared = &state.shared;
    let given = PlainHeaders {
        timestamp: text(&headers, "X-Nightjar-Timestamp"),
        signature: text(&headers, "X-Nightjar-Signature"),
    };
    let secret = shared.config.hook_secret.as_ref().map_or("", Secret::reveal).as_bytes();
    let times = (shared.clock.now(), wall_now());
    match decode_plain(given, &body, times, secret, &shared.seen) {
        Err(rejected) => refused(&rejected),
        Ok(batch) => match accepted(&state, batch).await {
            Ok(response) => response,
            Err(fault) => {
                shared.seen.forget(text(&headers, "X-Nightjar-Signature").unwrap_or_default());
                failed(fault)
            }
        },
    }
}
