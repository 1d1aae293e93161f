//! Executors within their lists, the measuring, and the stage.

mod door;
mod measuring;
mod programs;
mod running;

use std::collections::BTreeMap;

use super::*;

fn lists() -> Config {
    Config {
        hosts: vec![HostRule {
            host: "127.0.0.1:8443".into(),
            methods: vec![],
            path_prefix: "/api/".into(),
        }],
        commands: vec![CommandRule {
            program: "/bin/echo".into(),
            args: vec!["[a-z]+".into(), "--size=[0-9]{1,3}".into()],
        }],
        ..Config::default()
    }
}

#[test]
fn only_what_is_listed_is_called() {
    let config = lists();
    let allowed = |method: &str, url: &str| {
        config.allows_request(method, &url::Url::parse(url).expect("an address")).is_ok()
    };
    assert!(allowed("POST", "http://127.0.0.1:8443/api/x"));
    assert!(!allowed("DELETE", "http://127.0.0.1:8443/api/x"), "POST only");
    assert!(!allowed("POST", "http://127.0.0.1:8443/other"), "another path");
    assert!(!allowed("POST", "http://127.0.0.1:8444/api/x"), "another port");
    assert!(!allowed("POST", "http://127.0.0.1:8443@evil.example/api/x"), "another host");
    let empty = Config::default();
    let url = url::Url::parse("http://127.0.0.1:8443/api/x").expect("an address");
    assert!(empty.allows_request("POST", &url).is_err(), "nothing is allowed by default");
}

#[tokio::test]
async fn a_target_that_is_not_there_was_not_sent_to() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a free port")
        .port();
    let config = Config {
        hosts: vec![HostRule {
            host: format!("127.0.0.1:{port}"),
            methods: vec![],
            path_prefix: String::new(),
        }],
        ..Config::default()
    };
    let client = http::client().expect("a client");
    let url = format!("http://127.0.0.1:{port}/x");
    let headers = BTreeMap::new();
    let request =
        http::Request { method: "POST", url: &url, headers: &headers, body: &None, timeout_s: 2 };
    let result = http::send(&client, &config, &request, "key").await;
    assert!(matches!(result, Executed::NotSent { .. }), "{result:?}");
}
