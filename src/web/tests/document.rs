//! The document, the router and the roles say the same, because they come from one table.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{ROLES, Server, failure};
use crate::model::Role;
use crate::web::routes;
use crate::web::table::Access;

/// A path of the document with something in the place of its parameters.
fn filled(path: &str) -> String {
    let id = "INC-01KT0000000000000000000000";
    let mut parts = path.split(['{', '}']);
    let mut filled = parts.next().unwrap_or_default().to_owned();
    while let (Some(_), Some(rest)) = (parts.next(), parts.next()) {
        filled.push_str(id);
        filled.push_str(rest);
    }
    filled
}

fn operations(document: &Value) -> Vec<(String, Method, &Value)> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let method = method.to_uppercase().parse().expect("a method");
            all.push((path.clone(), method, operation));
        }
    }
    all
}

#[tokio::test]
async fn every_route_is_documented_whole_and_every_documented_route_is_there() {
    let server = Server::start().await;
    let answer = server.open(Method::GET, "/api/v1/openapi.json").send().await.expect("an answer");
    let document: Value = answer.json().await.expect("JSON");
    let operations = operations(&document);
    let table: BTreeSet<(String, String)> =
        routes().iter().map(|r| (r.path.to_owned(), r.method.to_uppercase())).collect();
    let written: BTreeSet<(String, String)> =
        operations.iter().map(|(path, method, _)| (path.clone(), method.to_string())).collect();
    assert_eq!(table, written);
    assert!(written.len() > 60, "{}", written.len());
    let mut names = BTreeSet::new();
    for (path, method, operation) in &operations {
        let what = format!("{method} {path}: {operation}");
        assert!(operation["summary"].as_str().is_some_and(|s| s.len() > 5), "{what}");
        assert!(operation["description"].is_string() && operation["security"].is_array(), "{what}");
        assert!(names.insert(operation["operationId"].to_string()), "{what}");
        let good = &operation["responses"]["200"];
        let gives = good["content"].as_object().is_some_and(|c| !c.is_empty());
        let silent = path == "/api/v1/logout";
        assert!(gives || silent, "{what} says what it gives");
        for parameter in operation["parameters"].as_array().expect("parameters") {
            let described = parameter["description"].is_string() || parameter["in"] == "path";
            assert!(described, "{what}");
        }
        if operation["x-role"].is_string() {
            let codes = operation["responses"].as_object().expect("responses");
            assert!(codes.contains_key("401"), "{what}");
            // These name what they are about in their bodies.
            let named = ["/api/v1/ask", "/api/v1/press", "/api/v1/submit"].contains(&path.as_str());
            assert!(codes.contains_key("404") == (path.contains('{') || named), "{what}");
        }
        // It is there: whatever it says to an empty request, it is not "no such address".
        let request = server.as_role(Role::Admin, method.clone(), &filled(path));
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{what}");
        assert!(status.as_u16() < 500, "{what}: {status}");
        if status == StatusCode::NOT_FOUND {
            let (_, _, message) = failure(answer).await;
            assert_ne!(message, "There is no such address.", "{what}");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|v| references(v, found));
            }
            Value::Array(list) => list.iter().for_each(|v| references(v, found)),
            _ => {}
        }
    }
    let document = crate::web::document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for reference in found {
        let name = reference.strip_prefix("#/components/schemas/").expect("within the document");
        assert!(document["components"]["schemas"][name].is_object(), "{reference}");
    }
}

/// The same name for two shapes would make one of them a lie.
#[test]
fn a_name_stands_for_one_schema() {
    let mut seen = std::collections::BTreeMap::new();
    for route in routes() {
        for content in route.body.iter().chain(&route.answer) {
            let crate::web::table::Content::Json(shape) = content else { continue };
            for (name, schema) in &shape.schemas {
                let text = serde_json::to_string(schema).expect("a schema");
                let before = seen.entry(name.clone()).or_insert_with(|| text.clone());
                assert_eq!(*before, text, "two schemas are called {name}");
            }
        }
    }
}

#[tokio::test]
async fn each_route_takes_its_role_and_no_less() {
    let server = Server::start().await;
    let mut checked = 0;
    for route in routes() {
        let Access::Role(least) = route.access else { continue };
        let (method, path) = (route.method.to_uppercase(), filled(route.path));
        let method: Method = method.parse().expect("a method");
        let what = format!("{method} {path}");
        let answer = server.open(method.clone(), &path).send().await.expect("an answer");
        assert_eq!(failure(answer).await.0, StatusCode::UNAUTHORIZED, "{what}");
        let wrong = server.open(method.clone(), &path).bearer_auth("not-a-real-wrong-token");
        let status = wrong.send().await.expect("an answer").status();
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
        assert!(refused.contains(&status), "{what}: {status}");
        server.state.shared.keys.forget_failures();
        for role in ROLES {
            let request = server.as_role(role, method.clone(), &path);
            let answer = request.send().await.expect("an answer");
            let status = answer.status();
            if role < least {
                let (status, code, message) = failure(answer).await;
                assert_eq!(status, StatusCode::FORBIDDEN, "{what} as {role}");
                assert_eq!(code, "forbidden");
                assert!(message.contains(&least.to_string()), "{message}");
            } else {
                assert_ne!(status, StatusCode::FORBIDDEN, "{what} as {role}");
                assert_ne!(status, StatusCode::UNAUTHORIZED, "{what} as {role}");
            }
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked}");
    server.end().await;
}
