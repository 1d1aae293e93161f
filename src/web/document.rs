//! The OpenAPI document, written from the table of routes.

use serde_json::{Map, Value, json};

use super::failure::ErrorBody;
use super::table::{Access, Content, Route, Shape};

fn what_failed(status: u16) -> &'static str {
    match status {
        400 => "The request can't be read or does not fit.",
        401 => "Nobody is logged in, or the token or signature is wrong.",
        403 => "The role does not allow it, or the request came from another site.",
        404 => "There is no such thing.",
        409 => "It has changed, expired or was decided already.",
        413 => "The body is too large.",
        415 => "The body is not of a media type that is taken.",
        422 => "It can be read but makes no sense.",
        429 => "Too many attempts.",
        503 => "Busy; try again.",
        _ => "It failed.",
    }
}

fn note(schemas: &mut Map<String, Value>, shape: &Shape) -> Value {
    for (name, schema) in &shape.schemas {
        let schema = serde_json::to_value(schema).unwrap_or_default();
        schemas.entry(name.clone()).or_insert(schema);
    }
    json!({ "$ref": format!("#/components/schemas/{}", shape.name) })
}

fn content(schemas: &mut Map<String, Value>, contents: &[Content]) -> (Map<String, Value>, String) {
    let (mut by_media, mut words) = (Map::new(), Vec::new());
    for one in contents {
        match one {
            Content::Json(shape) => {
                let schema = note(schemas, shape);
                by_media.insert("application/json".into(), json!({ "schema": schema }));
                words.push(format!("{} as JSON.", shape.name));
            }
            Content::Other(media, what) => {
                by_media.insert((*media).into(), json!({ "schema": { "type": "string" } }));
                words.push((*what).to_owned());
            }
        }
    }
    (by_media, words.join(" "))
}

fn access_words(access: Access) -> (String, Value) {
    match access {
        Access::Public => ("Open to anybody.".into(), json!([])),
        Access::Ingest => (
            "Needs the token of web.ingest_token where one is set.".into(),
            json!([{ "token": [] }, {}]),
        ),
        Access::Signed => ("The body is signed.".into(), json!([])),
        Access::Role(role) => {
            (format!("Needs the role {role} or more."), json!([{ "token": [] }, { "session": [] }]))
        }
    }
}

fn operation(schemas: &mut Map<String, Value>, route: &Route) -> Value {
    let (access, security) = access_words(route.access);
    let mut parameters: Vec<Value> =
        route.params.iter().map(|p| serde_json::to_value(p).unwrap_or_default()).collect();
    for name in route.path.split(['{', '}']).skip(1).step_by(2) {
        parameters.insert(
            0,
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        );
    }
    let (answer, words) = content(schemas, &route.answer);
    let mut responses = Map::new();
    let good = if answer.is_empty() {
        json!({ "description": "Done." })
    } else {
        json!({ "description": words, "content": answer })
    };
    responses.insert("200".into(), good);
    let error = note(schemas, &Shape::of::<ErrorBody>());
    for status in route.all_errors() {
        responses.insert(
            status.to_string(),
            json!({
                "description": what_failed(status),
                "content": { "application/json": { "schema": error } },
            }),
        );
    }
    let name = format!("{}{}", route.method, route.path.replace(['/', '{', '}', '.', '-'], "_"));
    let mut operation = json!({
        "summary": route.summary,
        "description": access,
        "operationId": name,
        "parameters": parameters,
        "responses": responses,
        "security": security,
    });
    if let Access::Role(role) = route.access {
        operation["x-role"] = json!(role);
    }
    if !route.body.is_empty() {
        let (body, words) = content(schemas, &route.body);
        operation["requestBody"] = json!({ "description": words, "content": body });
    }
    operation
}

/// The document of a table.
pub(super) fn document(routes: &[Route]) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for route in routes {
        let operation = operation(&mut schemas, route);
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        entry[route.method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "nightjar",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that the console shows and does. Errors carry a word for \
                            machines, a sentence for people, and what to do next. Changes that a \
                            session authorises need the header X-Nightjar.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": super::auth::COOKIE },
            },
        },
    })
}
