//! Requests that nobody meant: any route, any body, any query. Nothing panics, nothing is "our
//! fault", and every refusal has its words.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ROLES, Server, sample, secret_of};
use crate::approve::tests::sample::proposal;
use crate::model::IncidentState;
use crate::web::routes;

/// One request.
#[derive(Clone, Debug)]
struct Odd {
    route: prop::sample::Index,
    role: Option<usize>,
    id: String,
    query: String,
    kind: &'static str,
    encoding: Option<&'static str>,
    body: Vec<u8>,
}

/// JSON with the names that bodies know and values that they may not.
fn json_body() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        prop::sample::select(vec![
            "service=\"orders\"",
            "a=~\"(\"",
            "viewer",
            "me",
            "2 h",
            "9999999999 d",
            "\u{0}",
            "2026-11-20T03:10:00Z",
            "9999-12-31T23:59:59Z",
            "INC-01KT0000000000000000000000",
        ])
        .prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4).prop_map(|m| json!(m)),
        ]
    });
    let name = prop::sample::select(vec![
        "digest",
        "reason",
        "text",
        "matchers",
        "minutes",
        "duration",
        "ends_at",
        "starts_at",
        "question",
        "incident",
        "name",
        "role",
        "days",
        "to",
        "into",
        "alerts",
        "parameters",
        "at",
        "key",
        "maintenance",
        "token",
        "resourceLogs",
        "resourceSpans",
        "resourceMetrics",
        "version",
    ]);
    prop::collection::btree_map(name, value, 0..5).prop_map(|m| json!(m))
}

fn odd(ids: Vec<String>) -> impl Strategy<Value = Odd> {
    let body = prop_oneof![
        3 => json_body().prop_map(|v| v.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let query = prop_oneof![
        2 => Just(String::new()),
        1 => "[a-z_]{1,8}=[ -~&&[^#]]{0,12}(&limit=[0-9]{1,25})?",
        1 => "(since|until|before|after|most|limit|state|q|text)=[0-9TZ:.-]{0,24}",
    ];
    let id = prop_oneof![
        3 => prop::sample::select(ids),
        1 => "[A-Z]{3}-[0-9A-Z]{20,30}",
        1 => "(%[0-9a-f]{2}|[a-z0-9.]){1,12}",
    ];
    let kind = prop::sample::select(vec![
        "application/json",
        "application/json",
        "application/x-protobuf",
        "text/plain",
        "",
    ]);
    let encoding = prop::option::weighted(0.1, prop::sample::select(vec!["gzip", "br", "x"]));
    let role = prop::option::weighted(0.9, 0..ROLES.len());
    (any::<prop::sample::Index>(), role, id, query, kind, encoding, body).prop_map(
        |(route, role, id, query, kind, encoding, body)| Odd {
            route,
            role,
            id,
            query,
            kind,
            encoding,
            body,
        },
    )
}

async fn send(server: &Server, odd: &Odd) -> Result<(), TestCaseError> {
    let routes = routes();
    let route = &routes[odd.route.index(routes.len())];
    let mut path = String::new();
    for (i, part) in route.path.split(['{', '}']).enumerate() {
        path.push_str(if i % 2 == 0 { part } else { &odd.id });
    }
    let query = odd.query.replace(' ', "%20").replace('"', "%22");
    let path = if query.is_empty() { path } else { format!("{path}?{query}") };
    let method: Method = route.method.to_uppercase().parse().expect("a method");
    let request = server.open(method.clone(), &path).body(odd.body.clone());
    let request = match odd.role {
        Some(role) => request.bearer_auth(secret_of(ROLES[role])),
        None => request,
    };
    let request = request.header("Content-Type", odd.kind);
    let request = odd.encoding.iter().fold(request, |r, e| r.header("Content-Encoding", *e));
    let Ok(answer) = request.send().await else {
        return Err(TestCaseError::fail(format!("{method} {path} was not answered: a panic")));
    };
    let status = answer.status();
    prop_assert!(status.as_u16() < 500, "{method} {path}: {status}");
    let is_json = answer.headers().get("content-type").is_some_and(|v| v == "application/json");
    // OTLP's doors speak their own protocol, and a login form is a page.
    let own = route.path.starts_with("/v1/") || route.path == "/login";
    if status.is_client_error() && status != StatusCode::UNSUPPORTED_MEDIA_TYPE && !own {
        prop_assert!(is_json, "{method} {path}: {status}");
        let body: Value = answer.json().await.expect("JSON");
        for word in ["code", "message", "what_to_do"] {
            prop_assert!(body["error"][word].is_string(), "{method} {path}: {body}");
        }
    }
    server.state.shared.keys.forget_failures();
    Ok(())
}

#[test]
fn no_request_is_our_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let server = runtime.block_on(Server::start());
    let incident = sample::incident(1, IncidentState::Open, 2);
    let mut ids = vec![incident.id.to_string(), incident.alerts[0].to_string()];
    runtime.block_on(async {
        sample::put(&server, &incident).await;
        let offered = crate::model::Proposal { incident: incident.id, ..proposal() };
        ids.extend([offered.id.to_string(), "connection-pool-exhausted".to_owned()]);
        server.store.write(move |tx| tx.put(&offered)).await.expect("written");
    });
    let mut runner = TestRunner::new(Config::with_cases(400));
    let result = runner.run(&odd(ids), |odd| runtime.block_on(send(&server, &odd)));
    result.expect("every request was answered in words");
    let whole = runtime.block_on(server.store.read(|r| r.audit_verify())).expect("readable");
    assert!(whole.is_ok(), "the audit log is whole after all that");
    runtime.block_on(server.end());
}
