//! Login links, sessions, and what they are worth.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Server, cookie_of, failure, secret_of};
use crate::command::secret;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{Actor, Role, wall_now};
use crate::store::{AuditFilter, Filter};
use crate::web::auth::{Keys, Session};
use crate::web::{Config, State};

fn link(state: &State) -> String {
    state.shared.keys.login_path("ada", Role::Responder, wall_now())
}

#[tokio::test]
async fn a_login_link_opens_one_session_with_its_name_and_role() {
    let server = Server::start().await;
    let path = link(&server.state);
    // Looking at it, as previews and browsers do, does not use it up.
    let looked = server.open(Method::HEAD, &path).send().await.expect("an answer");
    assert!(looked.headers().get("set-cookie").is_none());
    let ahead = server.open(Method::GET, &path).header("Sec-Purpose", "prefetch;prerender");
    assert!(ahead.send().await.expect("an answer").headers().get("set-cookie").is_none());
    let answer = server.open(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = answer.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
    assert!(!cookie.contains("Secure"), "loopback is not https: {cookie}");
    assert!(answer.text().await.expect("a page").contains("url=/"));
    let again = server.open(Method::GET, &path).send().await.expect("an answer");
    let (status, code, message) = failure(again).await;
    // Who opens the link once more in the browser that it let in is in already.
    let session = cookie.split(';').next().expect("a cookie");
    let opened = |cookie: &str| {
        let request = server.open(Method::GET, &path).header("Accept", "text/html");
        request.header("Cookie", cookie.to_owned()).send()
    };
    let back = opened(session).await.expect("an answer");
    assert!(back.status().is_success() && back.headers().get("set-cookie").is_none());
    assert!(back.text().await.expect("a page").contains("url=/"));
    let other = opened("nightjar_session=0123456789abcdef").await.expect("an answer");
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED, "not with just any cookie");
    assert_eq!((status, code.as_str()), (StatusCode::UNAUTHORIZED, "unauthorized"));
    assert!(message.contains("used already"), "{message}");
    let page = server.open(Method::GET, &path).header("Accept", "text/html,*/*");
    let page = page.send().await.expect("an answer");
    assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
    assert!(page.text().await.expect("a page").contains("<form method=post action=/login>"));
    let pair = cookie.split(';').next().expect("a pair");
    let me = server.open(Method::GET, "/api/v1/me").header("Cookie", format!("theme=dark; {pair}"));
    let me: Value = me.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(me, json!({ "via": "console", "id": "ada", "name": "ada", "role": "responder" }));
    let opened = AuditFilter { action: Some("session.".into()), limit: 9, ..Default::default() };
    let opened = server.store.read(move |r| r.audit_records(&opened)).await.expect("records");
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].actor.name, "ada");
    server.end().await;
}

#[test]
fn a_link_works_once_and_for_half_an_hour() {
    let (keys, now) = (Keys::new(&Config::default()), wall_now());
    let token = |path: String| path.split_once("token=").expect("a token").1.to_owned();
    let first = token(keys.login_path("ada", Role::Viewer, now));
    let second = token(keys.login_path("bea", Role::Admin, now));
    assert_ne!(first, second);
    assert_eq!(first.len(), 64, "256 bits");
    assert!(keys.take_link("not-a-link", now).is_none());
    let actor = keys.take_link(&first, now.plus_ms(30 * MINUTE_MS - 1)).expect("in time");
    assert_eq!((actor.name.as_str(), actor.role), ("ada", Role::Viewer));
    assert!(keys.take_link(&first, now).is_none(), "used up");
    assert!(keys.take_link(&second, now.plus_ms(30 * MINUTE_MS)).is_none(), "too late");
    assert!(keys.take_link(&second, now).is_none(), "and then forgotten");
}

#[tokio::test]
async fn a_token_can_be_typed_in_as_a_form_or_sent_as_json() {
    let server = Server::start().await;
    let form = server
        .open(Method::POST, "/login")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("token={}", secret_of(Role::Approver)));
    let answer = form.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().contains_key("set-cookie"));
    let body = json!({ "token": secret_of(Role::Viewer) });
    let answer = server.open(Method::POST, "/login").json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let body = json!({ "token": "not-a-real-wrong-token" });
    let answer = server.open(Method::POST, "/login").json(&body).send().await.expect("an answer");
    assert_eq!(failure(answer).await.0, StatusCode::UNAUTHORIZED);
    let empty = server.open(Method::POST, "/login").send().await.expect("an answer");
    assert_eq!(failure(empty).await.0, StatusCode::BAD_REQUEST);
    let foreign = server
        .open(Method::POST, "/login")
        .header("Origin", "https://evil.example")
        .json(&json!({ "token": secret_of(Role::Viewer) }));
    let (status, code, _) = failure(foreign.send().await.expect("an answer")).await;
    assert_eq!((status, code.as_str()), (StatusCode::FORBIDDEN, "cross_site"));
    server.end().await;
}

#[tokio::test]
async fn a_session_outlives_a_restart_and_ends_with_its_time_or_its_logout() {
    let server = Server::start().await;
    let cookie = cookie_of(&server, Role::Viewer).await;
    let folder = server.end().await;
    let server = Server::over(folder, |_| {}).await;
    let me = || server.open(Method::GET, "/api/v1/me").header("Cookie", &cookie);
    assert_eq!(me().send().await.expect("an answer").status(), StatusCode::OK);
    let out = server.open(Method::POST, "/api/v1/logout").header("Cookie", &cookie);
    let out = out.header("X-Nightjar", "1").send().await.expect("an answer");
    assert!(out.headers()["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
    assert_eq!(failure(me().send().await.expect("an answer")).await.0, StatusCode::UNAUTHORIZED);
    // One that ended a moment ago, and is swept away with the next login.
    let (token, now) = ("not-a-real-session", wall_now());
    let actor =
        Actor { via: "console".into(), id: "old".into(), name: "old".into(), role: Role::Admin };
    let hash = secret::digest(token).to_string();
    let old = Session { hash, actor, made_at: now.plus_ms(-8 * DAY_MS), ends_at: now, token: None };
    server.store.write(move |tx| tx.put(&old)).await.expect("written");
    let late = server.open(Method::GET, "/api/v1/me");
    let late = late.header("Cookie", format!("nightjar_session={token}"));
    assert_eq!(failure(late.send().await.expect("an answer")).await.0, StatusCode::UNAUTHORIZED);
    cookie_of(&server, Role::Viewer).await;
    let all = server.store.read(|r| r.list::<Session>(&Filter::all())).await.expect("sessions");
    assert_eq!(all.len(), 1, "only the newest is left");
    server.end().await;
}

#[tokio::test]
async fn whoever_guesses_has_to_wait() {
    let server = Server::start().await;
    let guess = || server.open(Method::GET, "/login?token=not-a-real-guess");
    for _ in 0..10 {
        let answer = guess().send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let answer = guess().send().await.expect("an answer");
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(failure(answer).await.0, StatusCode::TOO_MANY_REQUESTS);
    // So does a guessed token; whoever has one goes on.
    let guessed = server.open(Method::GET, "/api/v1/me").bearer_auth("not-a-real-guess");
    let status = failure(guessed.send().await.expect("an answer")).await.0;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let known = server.as_role(Role::Viewer, Method::GET, "/api/v1/me");
    assert_eq!(known.send().await.expect("an answer").status(), StatusCode::OK);
    // Even the right link waits, and is not used up by that.
    let path = link(&server.state);
    let right = server.open(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(failure(right).await.0, StatusCode::TOO_MANY_REQUESTS);
    let keys = &server.state.shared.keys;
    let here = std::net::IpAddr::from([127, 0, 0, 1]);
    assert!(keys.must_wait(here, wall_now()));
    assert!(!keys.must_wait(std::net::IpAddr::from([127, 0, 0, 2]), wall_now()));
    assert!(!keys.must_wait(here, wall_now().plus_ms(MINUTE_MS)), "a minute later");
    let right = server.open(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(right.status(), StatusCode::OK);
    server.end().await;
}

#[tokio::test]
async fn a_cookie_changes_something_only_from_our_own_page() {
    let server = Server::start().await;
    let cookie = cookie_of(&server, Role::Approver).await;
    let halt = |headers: &[(&str, &str)]| {
        let request = server.open(Method::POST, "/api/v1/halt").header("Cookie", &cookie);
        headers.iter().fold(request, |r, (name, value)| r.header(*name, *value)).json(&json!({}))
    };
    let ours = ("X-Nightjar", "1");
    let own = server.url.clone();
    for headers in [
        vec![],
        vec![ours, ("Origin", "https://evil.example")],
        vec![ours, ("Origin", "null")],
        vec![ours, ("Sec-Fetch-Site", "cross-site")],
        vec![ours, ("Sec-Fetch-Site", "same-site")],
        vec![("Origin", own.as_str())],
    ] {
        let (status, code, _) = failure(halt(&headers).send().await.expect("an answer")).await;
        assert_eq!((status, code.as_str()), (StatusCode::FORBIDDEN, "cross_site"), "{headers:?}");
    }
    for headers in
        [vec![ours], vec![ours, ("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")]]
    {
        let status = halt(&headers).send().await.expect("an answer").status();
        assert_eq!(status, StatusCode::OK, "{headers:?}");
    }
    let read = server.open(Method::GET, "/api/v1/halt").header("Cookie", &cookie);
    let read: Value = read.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(read["halt"]["by"]["name"], "ada");
    server.end().await;
}
