//! A real HTTP server that behaves badly in every way, and the executor in front of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::model::action::Step;
use crate::remediate::{Config, Executed, Executors, HostRule, read_state};

/// Requests as they came: first line, then headers, then the body.
type Log = Arc<Mutex<Vec<String>>>;

struct Door {
    port: u16,
    log: Log,
}

impl Door {
    #[expect(clippy::disallowed_methods, reason = "the test's own server beside the test")]
    async fn open() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let log = Log::default();
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, kept.clone()));
            }
        });
        Self { port, log }
    }

    fn requests(&self) -> Vec<String> {
        self.log.lock().expect("no panic").clone()
    }

    fn config(&self) -> Config {
        Config {
            hosts: vec![HostRule {
                host: format!("127.0.0.1:{}", self.port),
                methods: vec!["POST".into(), "PUT".into()],
                path_prefix: "/api".into(),
            }],
            secrets: [("token".to_owned(), "not-a-real-token-0123".into())].into(),
            ..Config::default()
        }
    }

    fn step(&self, path: &str) -> Step {
        Step::Http {
            method: "POST".into(),
            url: format!("http://127.0.0.1:{}{path}", self.port),
            headers: [("authorization".to_owned(), "Bearer ${token}".to_owned())].into(),
            body: Some("{\"value\":\"16\"}".into()),
            timeout_s: 1,
        }
    }

    async fn send(&self, path: &str) -> Executed {
        let executors = Executors::new(self.config()).expect("a client");
        executors.step(&self.step(path), "RUN-1-0").await
    }
}

async fn answer(mut stream: TcpStream, log: Log) {
    let mut head = vec![0_u8; 64 * 1024];
    let n = stream.read(&mut head).await.unwrap_or(0);
    let request = String::from_utf8_lossy(&head[..n]).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().expect("no panic").push(request);
    let plain = |status: &str, body: &str| {
        let n = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {n}\r\nconnection: close\r\n\r\n{body}")
    };
    let text = match path.as_str() {
        "/api/ok" => plain("200 OK", "done, with not-a-real-token-0123"),
        "/api/moved" => {
            "HTTP/1.1 302 Found\r\nlocation: /api/ok\r\ncontent-length: 0\r\n\r\n".into()
        }
        "/api/refuse" => plain("422 Unprocessable", "no such version"),
        "/api/late" => plain("408 Request Timeout", ""),
        "/api/fail" => plain("500 Internal Server Error", "half of it was done"),
        "/api/state" => plain("200 OK", "{\"version\":\"4.7.2\",\"replicas\":3,\"more\":{}}"),
        "/api/list" => plain("200 OK", "[1]"),
        "/api/html" => plain("200 OK", "<html>log in first</html>"),
        "/api/cut" => "HTTP/1.1 200 OK\r\ncontent-le".into(),
        "/api/huge" => {
            let size = 64 * 1024 * 1024;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok();
            // Until the other side has had enough of it.
            let part = vec![b'x'; 64 * 1024];
            while stream.write_all(&part).await.is_ok() {}
            return;
        }
        "/api/slow" => {
            // Held open until the other side gives up.
            while stream.read(&mut head).await.is_ok_and(|n| n > 0) {}
            return;
        }
        _ => plain("404 Not Found", ""),
    };
    stream.write_all(text.as_bytes()).await.ok();
}

#[tokio::test]
async fn what_is_sent_carries_key_secret_and_body_and_its_answer_is_kept_without_secrets() {
    let door = Door::open().await;
    let done = door.send("/api/ok").await;
    assert_eq!(done, Executed::Done { output: "200 OK: done, with [secret]".into() });
    let request = &door.requests()[0];
    for part in [
        "POST /api/ok HTTP/1.1\r\n",
        "idempotency-key: RUN-1-0\r\n",
        "authorization: Bearer not-a-real-token-0123\r\n",
        "content-type: application/json\r\n",
        "\r\n\r\n{\"value\":\"16\"}",
    ] {
        assert!(request.contains(part), "{part} is missing in {request}");
    }
}

#[tokio::test]
async fn each_end_of_a_request_is_done_not_sent_or_unknown_and_none_is_tried_twice() {
    for (path, kind, words) in [
        ("/api/refuse", "not sent", "no such version"),
        ("/api/nothing", "not sent", "404"),
        ("/api/late", "unknown", "408"),
        ("/api/fail", "unknown", "half of it was done"),
        ("/api/moved", "unknown", "302"),
        ("/api/cut", "unknown", "no answer came"),
        ("/api/slow", "unknown", "no answer came"),
        ("/api/huge", "done", "xxx"),
    ] {
        let door = Door::open().await;
        let (got, text) = match door.send(path).await {
            Executed::Done { output } => ("done", output),
            Executed::NotSent { reason } => ("not sent", reason),
            Executed::Unknown { reason } => ("unknown", reason),
        };
        assert_eq!(got, kind, "{path}: {text}");
        assert!(text.contains(words), "{path}: {text}");
        assert!(text.chars().count() < 700, "{path}: the record stays small");
        assert_eq!(door.requests().len(), 1, "{path}: one request, no redirect followed, no retry");
    }
}

#[tokio::test]
async fn nothing_leaves_for_an_address_that_is_not_listed() {
    let door = Door::open().await;
    let own = |url: String| Step::Http {
        method: "POST".into(),
        url,
        headers: BTreeMap::new(),
        body: None,
        timeout_s: 1,
    };
    let base = format!("127.0.0.1:{}", door.port);
    let mut steps = vec![
        own(format!("http://{base}/other")),
        own(format!("http://{base}/apix")),
        own(format!("http://{base}/api/../other")),
        own(format!("http://{base}/api/%2e%2e/other")),
        own(format!("http://{base}/api/..%2fother")),
        own(format!("http://{base}/api/x%5c..%5c..%5cother")),
        own(format!("http://user:pass@{base}/api/ok")),
        own(format!("http://localhost:{}/api/ok", door.port)),
        own(format!("ftp://{base}/api/ok")),
        own("no address".into()),
    ];
    for method in ["GET", "DELETE"] {
        steps.push(Step::Http {
            method: method.into(),
            url: format!("http://{base}/api/ok"),
            headers: BTreeMap::new(),
            body: None,
            timeout_s: 1,
        });
    }
    for (name, value) in [("x", "${other}"), ("x", "${token"), ("Host", "evil.example")] {
        steps.push(Step::Http {
            method: "POST".into(),
            url: format!("http://{base}/api/ok"),
            headers: [(name.to_owned(), value.to_owned())].into(),
            body: None,
            timeout_s: 1,
        });
    }
    steps.push(Step::Http {
        method: "POST".into(),
        url: format!("http://{base}/api/ok"),
        headers: BTreeMap::new(),
        body: Some("x".repeat(300_000)),
        timeout_s: 1,
    });
    let executors = Executors::new(door.config()).expect("a client");
    for step in steps {
        let result = executors.step(&step, "k").await;
        assert!(matches!(result, Executed::NotSent { .. }), "{step:?}: {result:?}");
    }
    assert_eq!(door.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_dry_run_sends_nothing_and_tells_what_the_lists_would_refuse() {
    let door = Door::open().await;
    let dry = Config { dry_run: true, ..door.config() };
    let executors = Executors::new(dry).expect("a client");
    let done = executors.step(&door.step("/api/ok"), "k").await;
    let url = format!("http://127.0.0.1:{}/api/ok", door.port);
    assert_eq!(done, Executed::Done { output: format!("Would send POST {url}") });
    let refused = executors.step(&door.step("/other"), "k").await;
    assert!(matches!(refused, Executed::NotSent { .. }), "{refused:?}");

    // Nothing is listed: nothing is sent.
    let bare = Executors::new(Config::default()).expect("a client");
    let done = bare.step(&door.step("/api/ok"), "k").await;
    assert!(matches!(done, Executed::Done { .. }), "{done:?}");
    assert!(Config::default().is_dry());
    assert_eq!(door.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_target_s_state_is_read_in_words_or_not_at_all() {
    let door = Door::open().await;
    let config = door.config();
    let keys = ["version", "replicas", "absent"].map(str::to_owned);
    let look = async |path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", door.port);
        read_state(&config, &url, &BTreeMap::new(), &keys).await
    };
    let state = look("/api/state").await.expect("read");
    let expected = [("version", "4.7.2"), ("replicas", "3")];
    assert_eq!(state, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    for path in ["/api/list", "/api/html", "/api/fail", "/api/moved", "/api/huge", "/api/cut"] {
        assert!(look(path).await.is_err(), "{path} is no state");
    }
    let n = door.requests().len();
    let other = look("/other").await.expect_err("not listed");
    assert!(other.chain().contains("[[remediate.hosts]]"), "{}", other.chain());
    assert_eq!(door.requests().len(), n, "it was not even asked");
}
