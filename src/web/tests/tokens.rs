//! API tokens, login links for others, and the people whom an incident can be given to.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Server, cookie_of, failure};
use crate::command::ApiToken;
use crate::model::time::DAY_MS;
use crate::model::{Role, wall_now};
use crate::store::{AuditFilter, Filter};

#[tokio::test]
async fn a_token_works_with_its_role_until_it_is_revoked() {
    let server = Server::start().await;
    let wanted = json!({ "name": "pager", "role": "responder", "days": 30 });
    let (status, made) = server.post("/api/v1/tokens", wanted.clone()).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    assert!(secret.starts_with("nj_") && secret.len() == 67, "256 bits behind a prefix");
    let me = || server.open(Method::GET, "/api/v1/me").bearer_auth(&secret);
    let who: Value = me().send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(who, json!({ "via": "token", "id": "pager", "name": "pager", "role": "responder" }));
    let halt = server.open(Method::POST, "/api/v1/halt").bearer_auth(&secret).json(&json!({}));
    assert_eq!(failure(halt.send().await.expect("an answer")).await.0, StatusCode::FORBIDDEN);
    let (status, taken) = server.post("/api/v1/tokens", wanted.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT, "{taken}");
    let configured = json!({ "name": "viewer", "role": "admin" });
    assert_eq!(server.post("/api/v1/tokens", configured).await.0, StatusCode::CONFLICT);

    let list = server.get("/api/v1/tokens").await;
    let text = list.to_string();
    assert!(!text.contains(&secret) && !text.contains("not-a-real"), "no secret is shown: {text}");
    let tokens = list["tokens"].as_array().expect("a list");
    assert_eq!(tokens.len(), 5, "four of the configuration and the new one");
    let own = tokens.iter().find(|t| t["name"] == "pager").expect("listed");
    assert_eq!(own["configured"], false);
    assert!(own["last_used_at"].is_string() && own["created_by"]["name"] == "admin", "{own}");
    let id = own["id"].as_str().expect("an id");
    assert!(!secret.contains(id));

    let path = format!("/api/v1/tokens/{id}");
    let revoke = || server.as_role(Role::Admin, Method::DELETE, &path);
    assert_eq!(revoke().send().await.expect("an answer").status(), StatusCode::OK);
    assert_eq!(failure(me().send().await.expect("an answer")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(failure(revoke().send().await.expect("an answer")).await.0, StatusCode::NOT_FOUND);
    // The name is free again, and nothing secret went into the audit log.
    assert_eq!(server.post("/api/v1/tokens", wanted).await.0, StatusCode::OK);
    let filter = AuditFilter { action: Some("token.".into()), limit: 9, ..AuditFilter::default() };
    let records = server.store.read(move |r| r.audit_records(&filter)).await.expect("records");
    let actions: Vec<&str> = records.iter().rev().map(|r| r.action.as_str()).collect();
    assert_eq!(actions, ["token.create", "token.revoke", "token.create"]);
    assert!(!format!("{records:?}").contains(&secret));
    server.end().await;
}

#[tokio::test]
async fn what_a_token_opened_ends_with_it() {
    let server = Server::start().await;
    let session = async |name: &str| {
        let wanted = json!({ "name": name, "role": "viewer", "days": 1 });
        let (_, made) = server.post("/api/v1/tokens", wanted).await;
        let secret = made["secret"].as_str().expect("a secret").to_owned();
        let login = server.open(Method::POST, "/login").json(&json!({ "token": secret }));
        let answer = login.send().await.expect("an answer");
        let cookie = answer.headers()["set-cookie"].to_str().expect("text");
        (secret, cookie.split(';').next().expect("a pair").to_owned())
    };
    let status = async |cookie: &str| {
        let me = server.open(Method::GET, "/api/v1/me").header("Cookie", cookie);
        me.send().await.expect("an answer").status()
    };
    let (_, timed) = session("timed").await;
    let (secret, revoked) = session("revoked").await;
    let other = cookie_of(&server, Role::Viewer).await;
    for cookie in [&timed, &revoked, &other] {
        assert_eq!(status(cookie).await, StatusCode::OK);
    }
    let streams = [
        server.open(Method::GET, "/api/v1/events").header("Cookie", &revoked),
        server.open(Method::GET, "/api/v1/events").bearer_auth(&secret),
    ];
    let mut open = Vec::new();
    for stream in streams {
        let stream = stream.send().await.expect("an answer");
        assert_eq!(stream.status(), StatusCode::OK);
        open.push(stream);
    }

    let list = server.get("/api/v1/tokens").await;
    let tokens = list["tokens"].as_array().expect("a list");
    let own = tokens.iter().find(|t| t["name"] == "revoked").expect("listed");
    let path = format!("/api/v1/tokens/{}", own["id"].as_str().expect("an id"));
    let revoke = server.as_role(Role::Admin, Method::DELETE, &path);
    assert_eq!(revoke.send().await.expect("an answer").status(), StatusCode::OK);
    server
        .store
        .write(|tx| {
            let all = tx.list::<ApiToken>(&Filter::subject("timed"))?;
            for token in all {
                tx.put(&ApiToken { expires_at: Some(wall_now()), ..token })?;
            }
            Ok(())
        })
        .await
        .expect("written");
    assert_eq!(status(&timed).await, StatusCode::UNAUTHORIZED, "expired");
    assert_eq!(status(&revoked).await, StatusCode::UNAUTHORIZED, "revoked");
    assert_eq!(status(&other).await, StatusCode::OK, "a login link is another key");
    // Streams that are open notice it within seconds: they end, and are not merely silent.
    for stream in open {
        let rest = tokio::time::timeout(Duration::from_secs(15), stream.bytes()).await;
        rest.expect("the stream ends").expect("it ends in order");
    }
    server.end().await;
}

#[tokio::test]
async fn a_token_ends_with_its_time() {
    let server = Server::start().await;
    let (_, made) = server
        .post("/api/v1/tokens", json!({ "name": "pager", "role": "viewer", "days": 1 }))
        .await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let me = || server.open(Method::GET, "/api/v1/me").bearer_auth(&secret);
    assert_eq!(me().send().await.expect("an answer").status(), StatusCode::OK);
    server
        .store
        .write(|tx| {
            for mut token in tx.list::<ApiToken>(&Filter::all())? {
                assert!(token.expires_at.is_some_and(|end| end.ms_since(wall_now()) <= DAY_MS));
                token.expires_at = Some(wall_now());
                tx.put(&token)?;
            }
            Ok(())
        })
        .await
        .expect("written");
    assert_eq!(failure(me().send().await.expect("an answer")).await.0, StatusCode::UNAUTHORIZED);
    server.end().await;
}

#[tokio::test]
async fn tokens_and_links_that_make_no_sense_are_refused_in_words() {
    let server = Server::start().await;
    let long = "x".repeat(61);
    for (path, body) in [
        ("/api/v1/tokens", json!({ "name": "  ", "role": "viewer" })),
        ("/api/v1/tokens", json!({ "name": long, "role": "viewer" })),
        ("/api/v1/tokens", json!({ "name": "a\nb", "role": "viewer" })),
        ("/api/v1/tokens", json!({ "name": "a", "role": "viewer", "days": 0 })),
        ("/api/v1/tokens", json!({ "name": "a", "role": "viewer", "days": 731 })),
        ("/api/v1/login-links", json!({ "name": "", "role": "viewer" })),
        ("/api/v1/login-links", json!({ "name": long, "role": "viewer" })),
    ] {
        let (status, words) = server.post(path, body.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {words}");
    }
    let unknown = server.post("/api/v1/tokens", json!({ "name": "a", "role": "root" })).await;
    assert_eq!(unknown.0, StatusCode::BAD_REQUEST);
    assert!(unknown.1["error"]["message"].as_str().is_some_and(|m| m.contains("responder")));
    server.end().await;
}

#[tokio::test]
async fn an_admin_lets_others_in_by_link_and_they_are_known_then() {
    let server = Server::start().await;
    let (_, made) =
        server.post("/api/v1/login-links", json!({ "name": "bea", "role": "responder" })).await;
    let path = made["path"].as_str().expect("a path");
    assert_eq!(made["url"], format!("{}{path}", server.url));
    let answer = server.open(Method::GET, path).send().await.expect("an answer");
    assert!(answer.headers().contains_key("set-cookie"));
    cookie_of(&server, Role::Viewer).await;
    let people = server.get("/api/v1/people").await;
    let names: Vec<&str> = people["people"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| p["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["ada", "admin", "approver", "bea", "responder", "viewer"]);
    server.end().await;
}
