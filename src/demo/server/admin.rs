//! The shop's admin interface: what its platform can do to it, and the state that a plan is bound
//! to. Every operation takes `Idempotency-Key`: the same key with the same operation is done once,
//! with another one it is refused (409).

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::json_answer;
use crate::demo::Shop;
use crate::demo::scenario::{Operation, scenario, scenarios};
use crate::demo::shop::Operated;
use crate::demo::town::{DATABASES, NODES, database_index, node_index, service_index};

/// Most workers of one instance, and most instances, that can be asked for.
const MOST_WORKERS: u32 = 256;
const MOST_REPLICAS: u32 = 20;
/// Longest idempotency key.
const MOST_KEY: usize = 255;

pub(super) fn router() -> Router<Shop> {
    Router::new()
        .route("/services/{service}", get(target))
        .route("/services/{service}/{action}", post(service_action))
        .route("/network-policies/{policy}", get(policy))
        .route("/network-policies/{policy}/revert", post(revert))
        .route("/databases/{database}", get(database))
        .route("/databases/{database}/indexes", post(index))
        .route("/faults", get(faults).post(inject))
        .fallback(|| async { refuse(404, "the admin interface has no such path") })
        .method_not_allowed_fallback(|| async {
            refuse(405, "the admin interface takes GET for states and POST for operations")
        })
}

/// Why an operation is not taken: status and text.
type Refusal = (u16, String);

fn refuse(status: u16, text: impl Into<String>) -> Response {
    json_answer(status, json!({ "error": text.into() }).to_string())
}

fn bad(text: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST.as_u16(), text.into())
}

fn missing(kind: &str, name: &str) -> Refusal {
    (StatusCode::NOT_FOUND.as_u16(), format!("there is no {kind} {name}"))
}

async fn target(State(shop): State<Shop>, Path(service): Path<String>) -> Response {
    match service_index(&service) {
        Some(n) => json_answer(200, json!(shop.world().target(n, shop.now())).to_string()),
        None => refuse(404, format!("there is no service {service}")),
    }
}

async fn policy(State(shop): State<Shop>, Path(policy): Path<String>) -> Response {
    match shop.world().policy_revision(&policy, shop.now()) {
        Some(revision) => {
            json_answer(200, json!({ "policy": policy, "revision": revision }).to_string())
        }
        None => refuse(404, format!("there is no network policy {policy}")),
    }
}

async fn database(State(shop): State<Shop>, Path(database): Path<String>) -> Response {
    match database_index(&database) {
        Some(d) => {
            let indexes = shop.world().indexes(d, shop.now()).join(", ");
            json_answer(200, json!({ "database": database, "indexes": indexes }).to_string())
        }
        None => refuse(404, format!("there is no database {database}")),
    }
}

/// The body: an object that has no other fields than `known`, each a text or a number.
struct Fields(Map<String, Value>);

impl Fields {
    fn read(body: &Bytes, known: &[&str]) -> Result<Self, Refusal> {
        let value = if body.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(body).map_err(|e| bad(format!("the body is no JSON: {e}")))?
        };
        let Value::Object(fields) = value else {
            return Err(bad("the body must be a JSON object"));
        };
        match fields.keys().find(|k| !known.contains(&k.as_str())) {
            Some(other) if known.is_empty() => {
                Err(bad(format!("the body has `{other}`; this takes no fields")))
            }
            Some(other) => Err(bad(format!(
                "the body has `{other}`, which is not known here; it takes: {}",
                known.join(", ")
            ))),
            None => Ok(Self(fields)),
        }
    }

    fn given(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
            Some(Value::Number(n)) => Ok(Some(n.to_string())),
            Some(_) => Err(bad(format!("`{name}` must be a text that is not empty, or a number"))),
        }
    }

    fn text(&self, name: &str) -> Result<String, Refusal> {
        self.given(name)?.ok_or_else(|| bad(format!("the body has no `{name}`")))
    }

    fn number(&self, name: &str, most: u32) -> Result<u32, Refusal> {
        let text = self.text(name)?;
        let number = text.parse::<u32>().ok().filter(|n| (1..=most).contains(n));
        number.ok_or_else(|| {
            bad(format!("`{name}` is {text}; it must be a whole number from 1 to {most}"))
        })
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("Idempotency-Key") else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok(key) if !key.is_empty() && key.len() <= MOST_KEY => Ok(Some(key.to_owned())),
        _ => Err(bad(format!("Idempotency-Key must be 1 to {MOST_KEY} visible ASCII characters"))),
    }
}

/// Carries out what was read from a request, or says why not.
fn operated(
    shop: &Shop,
    headers: &HeaderMap,
    read: Result<(Operation, String), Refusal>,
) -> Response {
    let asked = read.and_then(|(operation, text)| Ok((operation, text, key_of(headers)?)));
    let (operation, text, key) = match asked {
        Ok(asked) => asked,
        Err((status, text)) => return refuse(status, text),
    };
    let done = |text: String| json_answer(200, json!({ "done": true, "text": text }).to_string());
    match shop.operate(operation, key) {
        Ok(Operated::Now) => done(text),
        Ok(Operated::Before) => done(format!("{text} (already done under this key)")),
        Ok(Operated::OtherUnderKey) => refuse(
            409,
            "another operation was carried out under this Idempotency-Key; use a new one",
        ),
        Err(e) => refuse(500, e.chain()),
    }
}

async fn service_action(
    State(shop): State<Shop>,
    Path((service, action)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let read = service_operation(&shop, &service, &action, &body);
    operated(&shop, &headers, read)
}

fn service_operation(
    shop: &Shop,
    name: &str,
    action: &str,
    body: &Bytes,
) -> Result<(Operation, String), Refusal> {
    let n = service_index(name).ok_or_else(|| missing("service", name))?;
    let service = name.to_owned();
    let now = shop.now();
    Ok(match action {
        "rollback" => {
            let to = Fields::read(body, &["to"])?.text("to")?;
            if !shop.world().versions(n, now).contains(&to) {
                return Err(bad(format!("{name} never ran version {to}")));
            }
            let text = format!("{name} runs {to}");
            (Operation::Rollback { service, to }, text)
        }
        "config" => {
            let fields = Fields::read(body, &["key", "value"])?;
            let key = fields.text("key")?;
            if key != "worker_concurrency" {
                return Err(bad(format!(
                    "{name} has no setting {key}; it has: worker_concurrency"
                )));
            }
            let value = fields.number("value", MOST_WORKERS)?.to_string();
            let text = format!("{key} of {name} is {value}");
            (Operation::Config { service, key, value }, text)
        }
        "restart" => {
            Fields::read(body, &[])?;
            (Operation::Restart { service }, format!("{name} restarts"))
        }
        "move" => {
            let to = destination(shop, n, &Fields::read(body, &["to", "away_from"])?)?;
            let text = format!("{name} moves to {to}");
            (Operation::Move { service, to }, text)
        }
        "scale" => {
            let fields = Fields::read(body, &["replicas"])?;
            let replicas = fields.number("replicas", MOST_REPLICAS)?;
            let text = format!("{name} has {replicas} replicas");
            (Operation::Scale { service, replicas }, text)
        }
        other => {
            return Err((
                404,
                format!(
                    "services have no action {other}; they have: rollback, config, restart, \
                     move, scale"
                ),
            ));
        }
    })
}

/// Where a service is to run: the node that was named, or the one with the most idle cores
/// besides the one that it is to leave.
fn destination(shop: &Shop, service: usize, fields: &Fields) -> Result<String, Refusal> {
    let known = |node: &str| node_index(node).ok_or_else(|| missing("node", node));
    match (fields.given("to")?, fields.given("away_from")?) {
        (Some(to), None) => known(&to).map(|_| to),
        (None, Some(from)) => {
            let (from, now, world) = (known(&from)?, shop.now(), shop.world());
            if !world.runs_on(service, from, now) {
                let text = format!("it does not run on {}", NODES[from]);
                return Err((409, text));
            }
            Ok(NODES[world.most_idle_node(from, now)].to_owned())
        }
        _ => Err(bad("the body must have either `to` or `away_from`: the name of a node")),
    }
}

async fn revert(
    State(shop): State<Shop>,
    Path(policy): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let read = Fields::read(&body, &[]).and_then(|_| {
        let known = shop.world().policy_revision(&policy, shop.now());
        known.ok_or_else(|| missing("network policy", &policy))?;
        let text = format!("{policy} is as it was before");
        Ok((Operation::RevertPolicy { policy }, text))
    });
    operated(&shop, &headers, read)
}

async fn index(
    State(shop): State<Shop>,
    Path(database): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let read = || {
        if !DATABASES.iter().any(|d| d.name == database) {
            return Err(missing("database", &database));
        }
        let fields = Fields::read(&body, &["table", "column"])?;
        let (table, column) = (fields.text("table")?, fields.text("column")?);
        for (what, name) in [("table", &table), ("column", &column)] {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.len() > 63 || !name.chars().all(plain) {
                return Err(bad(format!(
                    "`{what}` is `{name}`; it must be small letters, digits and _ (at most 63)"
                )));
            }
        }
        let text = format!("{database} has an index on {table}({column})");
        Ok((Operation::Index { database: database.clone(), table, column }, text))
    };
    operated(&shop, &headers, read())
}

async fn faults(State(shop): State<Shop>) -> Response {
    let world = shop.world();
    let episodes: Vec<Value> = world
        .episodes()
        .iter()
        .map(|e| {
            json!({
                "scenario": e.scenario.key, "from": e.from, "until": e.until, "mended": e.mended,
            })
        })
        .collect();
    let known: Vec<&str> = scenarios().iter().map(|s| s.key.as_str()).collect();
    json_answer(200, json!({ "scenarios": known, "episodes": episodes }).to_string())
}

async fn inject(State(shop): State<Shop>, headers: HeaderMap, body: Bytes) -> Response {
    let read = || {
        let name = Fields::read(&body, &["scenario"])?.text("scenario")?;
        let scenario = scenario(&name).ok_or_else(|| missing("scenario", &name))?;
        Ok((scenario, key_of(&headers)?))
    };
    match read() {
        Ok((scenario, key)) => match shop.inject_once(scenario, key) {
            Ok(Operated::OtherUnderKey) => {
                refuse(409, "something else was done under this Idempotency-Key; use a new one")
            }
            Ok(_) => json_answer(200, json!({ "done": true }).to_string()),
            Err(e) => refuse(500, e.chain()),
        },
        Err((status, text)) => refuse(status, text),
    }
}
