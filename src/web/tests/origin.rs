//! Names that are ours, https, and what every answer carries.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Server, failure, secret_of};
use crate::model::{Role, wall_now};

#[tokio::test]
async fn a_foreign_name_is_turned_away_before_anything_else() {
    let server = Server::with(|c| c.public_url = Some("https://nightjar.example.org".into())).await;
    let status = async |path: &str, host: &str| {
        let request = server.open(Method::GET, path).header("Host", host);
        request.send().await.expect("an answer").status()
    };
    for path in ["/", "/login", "/api/v1/openapi.json", "/api/v1/incidents", "/nowhere"] {
        assert_eq!(status(path, "evil.example:7878").await, StatusCode::MISDIRECTED_REQUEST);
    }
    let refused = server.open(Method::GET, "/").header("Host", "evil.example");
    let (_, code, message) = failure(refused.send().await.expect("an answer")).await;
    assert_eq!(code, "host");
    assert!(message.contains("evil.example"), "{message}");
    for host in ["localhost:7878", "127.0.0.1", "[::1]:7878", "10.1.2.3", "Nightjar.Example.org"] {
        assert_eq!(status("/", host).await, StatusCode::OK, "{host}");
    }
    // Probes come by any name, signed webhooks too, and whoever knows a token is no page.
    assert_eq!(status("/healthz", "evil.example").await, StatusCode::OK);
    assert_eq!(status("/hooks/github", "bot.example").await, StatusCode::METHOD_NOT_ALLOWED);
    let known =
        server.as_role(Role::Viewer, Method::GET, "/api/v1/me").header("Host", "bot.example");
    assert_eq!(known.send().await.expect("an answer").status(), StatusCode::OK);
    server.end().await;
}

#[tokio::test]
async fn behind_https_the_cookie_is_sent_over_https_only() {
    let cookie = async |server: &Server, proto: Option<&str>| {
        let link = server.state.shared.keys.login_path("ada", Role::Viewer, wall_now());
        let request = server.open(Method::GET, &link);
        let request = proto.iter().fold(request, |r, p| r.header("X-Forwarded-Proto", *p));
        let answer = request.send().await.expect("an answer");
        answer.headers()["set-cookie"].to_str().expect("text").to_owned()
    };
    let server = Server::start().await;
    assert!(!cookie(&server, None).await.contains("Secure"));
    assert!(!cookie(&server, Some("http")).await.contains("Secure"));
    assert!(cookie(&server, Some("https")).await.ends_with("; Secure"));
    server.end().await;
    let server = Server::with(|c| c.public_url = Some("https://nightjar.example.org".into())).await;
    assert!(cookie(&server, None).await.ends_with("; Secure"));
    // The browser's origin is then the public one, whatever name the proxy speaks to us by.
    let form = server
        .open(Method::POST, "/login")
        .header("Origin", "https://nightjar.example.org")
        .json(&json!({ "token": secret_of(Role::Viewer) }));
    assert_eq!(form.send().await.expect("an answer").status(), StatusCode::OK);
    server.end().await;
}

#[tokio::test]
async fn every_answer_forbids_what_the_console_does_not_need() {
    let server = Server::start().await;
    for path in ["/", "/assets/app.js", "/api/v1/me", "/nowhere", "/healthz", "/login"] {
        let answer = server.open(Method::GET, path).send().await.expect("an answer");
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
        let kept = if path.starts_with("/assets") || path == "/" { "no-cache" } else { "no-store" };
        assert_eq!(headers["cache-control"], kept, "{path}");
    }
    server.end().await;
}

#[tokio::test]
async fn a_browser_finds_an_icon_on_pages_that_name_none() {
    let server = Server::start().await;
    let icon = server.open(Method::GET, "/favicon.ico").send().await.expect("an answer");
    assert_eq!(icon.status(), StatusCode::OK);
    assert_eq!(icon.headers()["content-type"], "image/svg+xml");
    assert!(icon.text().await.expect("text").starts_with("<svg"));
    server.end().await;
}

#[tokio::test]
async fn telemetry_needs_its_token_or_at_least_no_foreign_page() {
    let batch = json!({ "version": "4", "alerts": [] });
    let send = async |server: &Server, headers: &[(&str, &str)]| {
        let request = server.open(Method::POST, "/ingest/alertmanager").json(&batch);
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        request.send().await.expect("an answer")
    };
    let server = Server::start().await;
    assert_eq!(send(&server, &[]).await.status(), StatusCode::OK);
    for foreign in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        let (status, code, _) = failure(send(&server, &[foreign]).await).await;
        assert_eq!((status, code.as_str()), (StatusCode::FORBIDDEN, "cross_site"));
    }
    server.end().await;
    let token = "not-a-real-ingest-token";
    let server = Server::with(|c| c.ingest_token = Some(token.to_owned().into())).await;
    assert_eq!(failure(send(&server, &[]).await).await.0, StatusCode::UNAUTHORIZED);
    let wrong = [("Authorization", "Bearer not-a-real-other-token")];
    assert_eq!(failure(send(&server, &wrong).await).await.0, StatusCode::UNAUTHORIZED);
    let right = [("Authorization", "bearer not-a-real-ingest-token")];
    assert_eq!(send(&server, &right).await.status(), StatusCode::OK);
    let browser = [right[0], ("Origin", "https://shop.example")];
    assert_eq!(send(&server, &browser).await.status(), StatusCode::OK);
    // It opens nothing else.
    let other = server.open(Method::GET, "/api/v1/incidents").bearer_auth(token);
    assert_eq!(failure(other.send().await.expect("an answer")).await.0, StatusCode::UNAUTHORIZED);
    server.end().await;
}

/// A chat that draws a preview of a link asks for the page without a login.
#[tokio::test]
async fn a_preview_of_a_link_tells_nothing_that_needs_a_login() {
    let server = Server::start().await;
    let incident = super::sample::incident(1, crate::model::IncidentState::Open, 1);
    super::sample::put(&server, &incident).await;
    let answer = server.open(Method::GET, "/").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.text().await.expect("a page");
    for word in ["<title>nightjar</title>", "og:title", "Log in to read."] {
        assert!(page.contains(word), "{word}: {page}");
    }
    let id = incident.id.to_string();
    for word in [id.as_str(), incident.title.as_str(), "orders"] {
        assert!(!page.contains(word), "{word}: {page}");
    }
    // What the address names is behind the login.
    let behind = server.open(Method::GET, &format!("/api/v1/incidents/{id}"));
    assert_eq!(failure(behind.send().await.expect("an answer")).await.0, StatusCode::UNAUTHORIZED);
    server.end().await;
}
