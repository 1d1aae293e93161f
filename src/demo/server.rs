//! The shop's door: Prometheus' HTTP interface over its world, and the admin interface.

use std::collections::BTreeMap;
use std::future::Future;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Shop;
use super::promql::answer;
use super::promql::value::QueryError;
use super::scenario::{Operation, scenario, scenarios};
use super::series::FAMILIES;
use super::town::{DATABASES, NODES, service_index};
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
        .route("/admin/services/{service}", get(target))
        .route("/admin/services/{service}/{action}", post(service_action))
        .route("/admin/network-policies/{policy}/revert", post(revert))
        .route("/admin/databases/{database}/indexes", post(index))
        .route("/admin/faults", get(faults).post(inject))
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

async fn label_names(State(shop): State<Shop>) -> Response {
    let mut names: Vec<&str> = vec!["__name__"];
    for series in shop.inner.series.iter() {
        names.extend(series.labels.iter().map(|(name, _)| name));
    }
    names.sort_unstable();
    names.dedup();
    answered(Ok(json!(names).to_string()))
}

async fn label_values(State(shop): State<Shop>, Path(name): Path<String>) -> Response {
    let mut values: Vec<&str> = shop
        .inner
        .series
        .iter()
        .filter_map(|s| if name == "__name__" { Some(s.name) } else { s.labels.get(&name) })
        .collect();
    values.sort_unstable();
    values.dedup();
    answered(Ok(json!(values).to_string()))
}

async fn series(State(shop): State<Shop>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let given: Vec<String> = [query.unwrap_or_default().as_bytes(), body.as_ref()]
        .iter()
        .flat_map(|text| url::form_urlencoded::parse(text))
        .filter(|(name, _)| name == "match[]")
        .map(|(_, value)| value.into_owned())
        .collect();
    evaluated(shop, move |shop| {
        if given.is_empty() {
            return Err(QueryError::BadData("no match[] parameter provided".into()));
        }
        let (engine, now) = (shop.engine(), shop.now());
        let mut found = Vec::new();
        for selector in given {
            if let super::promql::Instant::Vector(rows) = engine.instant(&selector, now)? {
                found.extend(rows.into_iter().map(|r| r.labels));
            }
        }
        Ok(json!(found).to_string())
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
        Err(e) => refuse(500, e.to_string()),
    }
}

fn refuse(status: u16, text: impl Into<String>) -> Response {
    json_answer(status, json!({ "error": text.into() }).to_string())
}

async fn target(State(shop): State<Shop>, Path(service): Path<String>) -> Response {
    match service_index(&service) {
        Some(n) => json_answer(200, json!(shop.world().target(n, shop.now())).to_string()),
        None => refuse(404, format!("there is no service {service}")),
    }
}

fn operated(shop: &Shop, headers: &HeaderMap, operation: Operation, text: String) -> Response {
    let key = headers.get("Idempotency-Key").and_then(|v| v.to_str().ok()).map(str::to_owned);
    match shop.operate(operation, key) {
        Ok(new) => {
            let text = if new { text } else { format!("{text} (already done under this key)") };
            json_answer(200, json!({ "done": true, "text": text }).to_string())
        }
        Err(e) => refuse(500, e.chain()),
    }
}

/// A text or number of the body, as text.
fn field(body: &Value, name: &str) -> Result<String, String> {
    match body.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(n)) => Ok(n.to_string()),
        _ => Err(format!("the body has no `{name}`")),
    }
}

fn object(body: &Bytes) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|e| format!("the body is no JSON: {e}"))
}

async fn service_action(
    State(shop): State<Shop>,
    Path((service, action)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(n) = service_index(&service) else {
        return refuse(404, format!("there is no service {service}"));
    };
    let parsed = || -> Result<(Operation, String), String> {
        let body = object(&body)?;
        Ok(match action.as_str() {
            "rollback" => {
                let to = field(&body, "to")?;
                if !shop.world().versions(n, shop.now()).contains(&to) {
                    return Err(format!("{service} never ran {to}"));
                }
                let text = format!("{service} runs {to}");
                (Operation::Rollback { service: service.clone(), to }, text)
            }
            "config" => {
                let (key, value) = (field(&body, "key")?, field(&body, "value")?);
                if key != "worker_concurrency" || !value.parse::<u32>().is_ok_and(|v| v > 0) {
                    return Err("only worker_concurrency can be set, to a positive number".into());
                }
                let text = format!("{key} of {service} is {value}");
                (Operation::Config { service: service.clone(), key, value }, text)
            }
            "restart" => {
                (Operation::Restart { service: service.clone() }, format!("{service} restarts"))
            }
            "move" => {
                let to = field(&body, "to")?;
                if !NODES.contains(&to.as_str()) {
                    return Err(format!("there is no node {to}"));
                }
                let text = format!("{service} moves to {to}");
                (Operation::Move { service: service.clone(), to }, text)
            }
            "scale" => {
                let replicas = field(&body, "replicas")?;
                let replicas = replicas.parse::<u32>().ok().filter(|r| (1..=20).contains(r));
                let replicas = replicas.ok_or("replicas must be between 1 and 20")?;
                let text = format!("{service} has {replicas} replicas");
                (Operation::Scale { service: service.clone(), replicas }, text)
            }
            other => return Err(format!("{service} has no action {other}")),
        })
    };
    match parsed() {
        Ok((operation, text)) => operated(&shop, &headers, operation, text),
        Err(text) => refuse(400, text),
    }
}

async fn revert(
    State(shop): State<Shop>,
    Path(policy): Path<String>,
    headers: HeaderMap,
) -> Response {
    let known = scenarios()
        .iter()
        .filter_map(|s| s.change.as_ref()?.policy.as_deref())
        .any(|p| p == policy);
    if !known {
        return refuse(404, format!("there is no network policy {policy}"));
    }
    let text = format!("{policy} is as it was before");
    operated(&shop, &headers, Operation::RevertPolicy { policy }, text)
}

async fn index(
    State(shop): State<Shop>,
    Path(database): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !DATABASES.iter().any(|d| d.name == database) {
        return refuse(404, format!("there is no database {database}"));
    }
    let parsed = object(&body).and_then(|b| Ok((field(&b, "table")?, field(&b, "column")?)));
    match parsed {
        Ok((table, column)) => {
            let text = format!("{database} has an index on {table}({column})");
            operated(&shop, &headers, Operation::Index { database, table, column }, text)
        }
        Err(text) => refuse(400, text),
    }
}

async fn faults(State(shop): State<Shop>) -> Response {
    let world = shop.world();
    let episodes: Vec<Value> = world
        .episodes()
        .iter()
        .map(|e| json!({ "scenario": e.scenario.key, "from": e.from, "until": e.until, "mended": e.mended }))
        .collect();
    let known: Vec<&str> = scenarios().iter().map(|s| s.key.as_str()).collect();
    json_answer(200, json!({ "scenarios": known, "episodes": episodes }).to_string())
}

async fn inject(State(shop): State<Shop>, body: Bytes) -> Response {
    let name = object(&body).and_then(|b| field(&b, "scenario"));
    match name.map(|n| (scenario(&n), n)) {
        Ok((Some(scenario), _)) => match shop.inject(scenario) {
            Ok(()) => json_answer(200, json!({ "done": true }).to_string()),
            Err(e) => refuse(500, e.chain()),
        },
        Ok((None, name)) => refuse(404, format!("there is no scenario {name}")),
        Err(text) => refuse(400, text),
    }
}

#[cfg(test)]
mod tests;
