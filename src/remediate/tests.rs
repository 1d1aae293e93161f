//! Executors within their lists, the measuring, and the stage.

mod measuring;

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
async fn programs_run_without_a_shell_and_only_as_listed() {
    let config = lists();
    let words = |args: &[&str]| args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    let done = command::run(&config, "/bin/echo", &words(&["scale", "--size=3"]), 5).await;
    assert_eq!(done, Executed::Done { output: "scale --size=3\n".into() });
    for args in
        [words(&["scale", "--size=3; id"]), words(&["scale"]), words(&["$(id)", "--size=3"])]
    {
        let result = command::run(&config, "/bin/echo", &args, 5).await;
        assert!(matches!(result, Executed::NotSent { .. }), "{args:?}: {result:?}");
    }
    let other = command::run(&config, "/bin/cat", &words(&["scale", "--size=3"]), 5).await;
    assert!(matches!(other, Executed::NotSent { .. }));
}

#[tokio::test]
async fn a_program_that_says_much_or_fails_is_told_apart() {
    let mut config = lists();
    config.commands = vec![
        CommandRule { program: "/usr/bin/seq".into(), args: vec!["[0-9]+".into()] },
        CommandRule { program: "/bin/false".into(), args: vec![] },
        CommandRule { program: "/bin/sleep".into(), args: vec!["[0-9]+".into()] },
    ];
    let much = command::run(&config, "/usr/bin/seq", &["200000".to_owned()], 20).await;
    let Executed::Done { output } = much else { panic!("{much:?}") };
    assert_eq!(output.len(), 16 * 1024);
    let failed = command::run(&config, "/bin/false", &[], 5).await;
    assert!(matches!(failed, Executed::Unknown { .. }), "it may have done half of its work");
    let late = command::run(&config, "/bin/sleep", &["60".to_owned()], 1).await;
    assert!(matches!(late, Executed::Unknown { .. }));
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
