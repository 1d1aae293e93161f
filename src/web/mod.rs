//! Web: the front doors for telemetry, the JSON API, and the console.
//!
//! Takes HTTP on one address. Guarantees: a 2xx for telemetry follows its commit to the journal;
//! every decision goes through the desk with the person's role; a request that changes something
//! carries a token or, with the session's cookie, a header that another site's page can't send;
//! binding to anything but loopback without tokens is refused at the start.

mod api;
mod auth;
mod document;
mod extract;
mod failure;
mod health;
mod hooks;
mod ingest;
mod login;
mod origin;
mod pages;
mod table;
#[cfg(test)]
mod tests;

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub use api::EventLog;
pub use auth::{Keys, people};
pub(crate) use failure::Failure;

use crate::assist::Assistant;
use crate::bus::Bus;
use crate::chat::Chat;
use crate::chat::console::Console;
use crate::command::{Clerk, Desk};
use crate::detect::SharedShard;
use crate::learn::classify::Keeper;
use crate::model::{Fault, Role, Secret, SharedClock};
use crate::runbook::Library;
use crate::stage::Tasks;
use crate::store::Store;
use crate::telemetry::changes::{self, Seen};
use crate::telemetry::intake::Intake;
use crate::telemetry::{otlp, remote_write};

/// Longest body that is read, decoded or not.
pub const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// Questions that are answered at once; with a model each may take a minute and money.
const MOST_QUESTIONS: usize = 16;

/// Settings of the web server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port.
    pub bind: String,
    /// The address that people use when it is another, such as behind a proxy:
    /// `https://nightjar.example.org`. With https, cookies are sent over https only.
    pub public_url: Option<String>,
    /// Tokens of the API.
    pub tokens: Vec<Token>,
    /// Token that telemetry must carry; without it, loopback alone may send.
    pub ingest_token: Option<Secret>,
    /// Secret of GitHub's webhooks.
    pub github_secret: Option<Secret>,
    /// Secret of the plain signed webhook.
    pub hook_secret: Option<Secret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:7878".into(),
            public_url: None,
            tokens: Vec::new(),
            ingest_token: None,
            github_secret: None,
            hook_secret: None,
        }
    }
}

/// One token of the API.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Whose it is, as records will say.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The token itself.
    pub secret: Secret,
}

/// Whether an address may be opened with this configuration.
///
/// # Errors
/// It is not on the loopback interface and nothing would ask callers who they are.
pub fn check_bind(addr: SocketAddr, config: &Config) -> Result<(), String> {
    if addr.ip().is_loopback() || (!config.tokens.is_empty() && config.ingest_token.is_some()) {
        return Ok(());
    }
    Err(format!(
        "{addr} can be reached from other machines and nobody would be asked who they are: set \
         web.tokens and web.ingest_token, or bind to 127.0.0.1"
    ))
}

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct State {
    pub(crate) shared: Arc<Shared>,
    // One permit for each question that is being answered.
    asking: Arc<Semaphore>,
}

/// The parts behind [`State`].
pub struct Shared {
    /// Settings.
    pub config: Config,
    /// The store.
    pub store: Store,
    /// The doorbells.
    pub bus: Bus,
    /// Event time.
    pub clock: SharedClock,
    /// The way into the journal.
    pub intake: Intake,
    /// Where wishes are brought.
    pub desk: Desk,
    /// Who handles what people say and press.
    pub clerk: Clerk,
    /// Who answers questions.
    pub assistant: Assistant,
    /// The console as a chat platform.
    pub console: Console,
    /// All chat platforms, the console too.
    pub chats: Vec<Arc<dyn Chat>>,
    /// Where answers in threads are made.
    pub tasks: Tasks,
    /// The runbooks.
    pub library: Arc<Library>,
    /// Login links and configured tokens.
    pub keys: Keys,
    /// The newest events, for clients that come back.
    pub events: EventLog,
    /// The OTLP decoder.
    pub otlp: otlp::Receiver,
    /// The remote-write decoder.
    pub remote_write: remote_write::Receiver,
    /// Settings of change webhooks.
    pub changes: changes::Config,
    /// Deliveries that were taken.
    pub seen: Seen,
    /// What detection knows: objectives, the budget, how detectors stand.
    pub shard: SharedShard,
    /// Who keeps the versions of the classifier.
    pub classifier: Keeper,
    /// What the status page says beyond what the store knows.
    pub status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// The metrics in Prometheus' text format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

impl State {
    /// State of its parts.
    #[must_use]
    pub fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), asking: Arc::new(Semaphore::new(MOST_QUESTIONS)) }
    }

    /// The right to have a question answered, as long as it is held.
    fn may_ask(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.asking.clone().try_acquire_owned().map_err(|_| {
            metrics::counter!("nightjar_web_refused_questions_total").increment(1);
            let text = format!("{MOST_QUESTIONS} questions are being answered already.");
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
        })
    }
}

/// Every route but the console's files.
fn routes() -> Vec<table::Route> {
    [ingest::routes(), hooks::routes(), api::routes(), login::routes(), health::routes()]
        .into_iter()
        .flatten()
        .collect()
}

/// The OpenAPI document of all routes.
fn document() -> serde_json::Value {
    document::document(&routes())
}

/// All routes.
pub fn router(state: State) -> Router {
    // The layer that unpacks gzip refuses what is packed with snappy.
    let (snappy, others) = routes().into_iter().partition(|r| r.path == ingest::WRITE);
    table::router(&state, others)
        .merge(pages::routes())
        .fallback(async || Failure::not_found("address"))
        .method_not_allowed_fallback(async || {
            let text = "This address does not take this method.";
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method", text)
        })
        .layer(
            tower_http::decompression::RequestDecompressionLayer::new()
                .no_br()
                .no_deflate()
                .no_zstd(),
        )
        .merge(table::router(&state, snappy))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn_with_state(state.clone(), origin::known_host))
        .layer(axum::middleware::map_response(secured))
        .with_state(state)
}

/// Headers that every answer carries.
async fn secured(mut response: Response) -> Response {
    // The layer that unpacks bodies refuses without a word.
    let silent = !response.headers().contains_key(header::CONTENT_TYPE);
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE && silent {
        let text = "The body is compressed in a way that is not taken.";
        let failure = Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", text);
        response = failure.instead("Send it with gzip or uncompressed.").into_response();
    }
    let headers = response.headers_mut();
    // Files that people sent bring a stricter one.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What is read with a key stays with whoever has it.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Serves until the token is cancelled.
///
/// # Errors
/// The listener can't be used, or the server failed.
pub async fn serve(
    listener: std::net::TcpListener,
    state: State,
    shutdown: CancellationToken,
) -> Result<(), Fault> {
    let fail = |e| Fault::permanent("the web server can't run", anyhow::Error::new(e));
    let listener = tokio::net::TcpListener::from_std(listener).map_err(fail)?;
    let shared = state.shared.clone();
    let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
    let server =
        axum::serve(listener, service).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let end = async {
        shutdown.cancelled().await;
        // Event streams end; whoever still sends gets a moment.
        shared.events.close();
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    };
    tokio::select! {
        result = server.into_future() => result.map_err(fail),
        () = end => Ok(()),
        () = async {
            shared.events.follow(&shared.bus).await;
            // The bus is gone, the server is not.
            std::future::pending::<()>().await;
        } => Ok(()),
    }
}
