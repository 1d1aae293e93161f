//! The shop's door: Prometheus' HTTP interface over its world, and the admin interface.

mod admin;

use std::collections::BTreeMap;
use std::future::Future;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Shop;
use super::promql::answer;
use super::promql::find::Wanted;
use super::promql::value::QueryError;
use super::series::FAMILIES;
use crate::model::{Fault, Time};

impl Shop {
    /// Serves until the token is cancelled.
    pub fn serve(
        &self,
        shutdown: CancellationToken,
    ) -> impl Future<Output = Result<(), Fault>> + Send + use<> {
        let shop = self.clone();
        async move {
            let listener =
                shop.inner.listener.lock().expect("nothing panics under this lock").take();
            let Some(listener) = listener else {
                return Err(Fault::because("the shop is already being served"));
            };
            let fail = |e| Fault::permanent("the shop can't be served", anyhow::Error::new(e));
            let listener = tokio::net::TcpListener::from_std(listener).map_err(fail)?;
            axum::serve(listener, router(shop))
                .with_graceful_shutdown(shutdown.cancelled_owned())
                .await
                .map_err(fail)
        }
    }
}

fn router(shop: Shop) -> Router {
    Router::new()
        .route("/api/v1/query", get(instant).post(instant))
        .route("/api/v1/query_range", get(range).post(range))
        .route("/api/v1/labels", get(label_names).post(label_names))
        .route("/api/v1/label/{name}/values", get(label_values))
        .route("/api/v1/series", get(series).post(series))
        .route("/api/v1/metadata", get(metadata))
        .route("/api/v1/status/buildinfo", get(buildinfo))
        .route("/api/v1/targets", get(targets))
        .route("/-/ready", get(|| async { "Ready.\n" }))
        .route("/metrics", get(exposition))
        .nest("/admin", admin::router())
        .with_state(shop)
}

/// Parameters of the address and of a form body together, as Prometheus reads them.
fn parameters(query: Option<String>, body: &Bytes) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for text in [query.unwrap_or_default().as_bytes(), body.as_ref()] {
        for (name, value) in url::form_urlencoded::parse(text) {
            all.insert(name.into_owned(), value.into_owned());
        }
    }
    all
}

fn json_answer(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn answered(result: Result<String, QueryError>) -> Response {
    match result {
        Ok(data) => json_answer(200, answer::success(&data)),
        Err(e) => {
            let (status, body) = answer::failure(&e);
            json_answer(status, body)
        }
    }
}

fn bad(name: &str, value: &str) -> QueryError {
    QueryError::BadData(format!("invalid parameter \"{name}\": cannot parse {value:?}"))
}

fn time_of(name: &str, text: &str) -> Result<Time, QueryError> {
    text.parse::<f64>()
        .ok()
        .and_then(Time::from_seconds)
        .or_else(|| Time::parse(text).ok())
        .ok_or_else(|| bad(name, text))
}

fn step_of(text: &str) -> Result<i64, QueryError> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok((seconds * 1_000.0) as i64);
    }
    let split = text.len().saturating_sub(1);
    let unit = match text.get(split..) {
        Some("s") => 1_000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        Some("d") => 86_400_000,
        _ => return Err(bad("step", text)),
    };
    text.get(..split)
        .and_then(|n| n.parse::<i64>().ok())
        .map(|n| n * unit)
        .ok_or_else(|| bad("step", text))
}

/// Evaluates on a thread for work that takes long.
async fn evaluated(
    shop: Shop,
    work: impl FnOnce(Shop) -> Result<String, QueryError> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(move || work(shop)).await {
        Ok(result) => answered(result),
        Err(e) => json_answer(
            500,
            json!({"status": "error", "errorType": "internal", "error": e.to_string()}).to_string(),
        ),
    }
}

async fn instant(State(shop): State<Shop>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let given = parameters(query, &body);
    evaluated(shop, move |shop| {
        let query = given.get("query").map(String::as_str).unwrap_or_default();
        let at = given.get("time").map_or(Ok(shop.now()), |t| time_of("time", t))?;
        let found = shop.engine().instant(query, at)?;
        Ok(answer::instant(&found, at))
    })
    .await
}

async fn range(State(shop): State<Shop>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let given = parameters(query, &body);
    evaluated(shop, move |shop| {
        let text = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
        let (since, until) = (time_of("start", text("start"))?, time_of("end", text("end"))?);
        let step = step_of(text("step"))?;
        let found = shop.engine().range(text("query"), since, until, step)?;
        Ok(answer::matrix(&found))
    })
    .await
}

/// What `match[]`, `start` and `end` ask for.
fn wanted(query: Option<String>, body: &Bytes) -> Result<Wanted, QueryError> {
    let mut wanted = Wanted::default();
    for text in [query.unwrap_or_default().as_bytes(), body.as_ref()] {
        for (name, value) in url::form_urlencoded::parse(text) {
            match &*name {
                "match[]" => wanted.selectors.push(value.into_owned()),
                "start" => wanted.since = Some(time_of("start", &value)?),
                "end" => wanted.until = Some(time_of("end", &value)?),
                _ => {}
            }
        }
    }
    Ok(wanted)
}

async fn label_names(State(shop): State<Shop>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    evaluated(shop, move |shop| {
        Ok(json!(shop.engine().label_names(&wanted(query, &body)?)?).to_string())
    })
    .await
}

async fn label_values(
    State(shop): State<Shop>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    evaluated(shop, move |shop| {
        let wanted = wanted(query, &Bytes::new())?;
        Ok(json!(shop.engine().label_values(&name, &wanted)?).to_string())
    })
    .await
}

async fn series(State(shop): State<Shop>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    evaluated(shop, move |shop| {
        let wanted = wanted(query, &body)?;
        if wanted.selectors.is_empty() {
            return Err(QueryError::BadData("no match[] parameter provided".into()));
        }
        Ok(json!(shop.engine().label_sets(&wanted)?).to_string())
    })
    .await
}

async fn metadata() -> Response {
    let all: BTreeMap<&str, Value> = FAMILIES
        .iter()
        .map(|f| (f.name, json!([{ "type": f.kind, "help": f.help, "unit": "" }])))
        .collect();
    answered(Ok(json!(all).to_string()))
}

async fn buildinfo() -> Response {
    answered(Ok(json!({ "version": "2.53.0", "revision": "shop", "goVersion": "" }).to_string()))
}

async fn targets() -> Response {
    let target = json!({
        "scrapePool": "shop", "scrapeInterval": "15s", "scrapeTimeout": "10s", "health": "up",
        "labels": { "job": "shop" },
    });
    answered(Ok(json!({ "activeTargets": [target], "droppedTargets": [] }).to_string()))
}

async fn exposition(State(shop): State<Shop>) -> Response {
    match tokio::task::spawn_blocking(move || shop.exposition()).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
            .into_response(),
        Err(e) => json_answer(500, json!({ "error": e.to_string() }).to_string()),
    }
}

#[cfg(test)]
mod tests;
