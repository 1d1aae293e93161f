//! The main job from end to end: the program itself with the simulated shop, over its real doors,
//! with a hard stop and a new start in the middle of the incident.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{eventually, install_tls};

/// The running program; killed when the test ends, however it ends.
struct Demo {
    child: Child,
    client: reqwest::Client,
    url: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "starts the program under test")]
async fn start(folder: &Path) -> Demo {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nightjar"))
        .args(["demo", "--no-browser", "--port", "0", "--speed", "60"])
        .args(["--scenario", "pool-exhaustion", "--data-dir"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let out = BufReader::new(child.stdout.take().expect("its output is ours"));
    let login = tokio::task::spawn_blocking(move || {
        let mut lines = out.lines().map_while(Result::ok);
        let found = lines.find_map(|l| {
            l.split_whitespace().find(|w| w.contains("/login?token=")).map(str::to_owned)
        });
        // The rest is read away, so that the program never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        found
    });
    let login = login.await.expect("reads").expect("it prints a login link");
    let url = login.split("/login").next().expect("an address").to_owned();
    let session = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client")
        .get(&login)
        .send()
        .await
        .expect("the link works");
    let cookie = session.headers()["set-cookie"].to_str().expect("text");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("cookie", cookie.parse().expect("a header"));
    headers.insert("x-nightjar", "1".parse().expect("a header"));
    let client = reqwest::Client::builder()
        .default_headers(headers)
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client");
    Demo { child, client, url }
}

impl Demo {
    async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}/api/v1{path}", self.url)).send().await;
        answer.expect("answers").json().await.expect("is JSON")
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.client.post(format!("{}/api/v1{path}", self.url)).json(&body).send();
        let answer = answer.await.expect("answers");
        (answer.status().as_u16(), answer.json().await.expect("is JSON"))
    }

    /// The incident that has proposals, once there is one.
    async fn incident(&self) -> Option<Value> {
        for listed in self.get("/incidents").await["incidents"].as_array()? {
            let found = self.get(&format!("/incidents/{}", listed["id"].as_str()?)).await;
            if found["proposals"].as_array().is_some_and(|p| !p.is_empty()) {
                return Some(found);
            }
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_found_explained_fixed_after_a_decision_and_measured() {
    install_tls();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let demo = start(folder.path()).await;
    let patience = Duration::from_secs(180);
    eventually("an incident with a proposal", patience, async || demo.incident().await.is_some())
        .await;
    let before = demo.incident().await.expect("it is there");
    let id = before["incident"]["id"].as_str().expect("an id").to_owned();

    // The process dies at once and starts anew: nothing that was told is lost or told twice.
    drop(demo);
    let demo = start(folder.path()).await;
    let found = demo.get(&format!("/incidents/{id}")).await;
    assert_eq!(found["incident"]["number"], before["incident"]["number"]);
    let cards = found["messages"].as_array().expect("a list");
    assert_eq!(cards.iter().filter(|m| m["content"]["content"] == "card").count(), 1);

    let first = &found["diagnosis"]["hypotheses"][0];
    assert_eq!(first["entity"], "service.name=orders", "{first:#}");
    let titles = found["proposals"].as_array().expect("a list");
    let fix = titles
        .iter()
        .find(|p| p["plan"]["action"] == "restore-concurrency")
        .expect("the right fix is offered");
    assert_eq!(fix["plan"]["observed"]["version"], "4.7.2");

    let (status, answer) =
        demo.post("/ask", json!({ "question": "what changed in the last 2 hours?" })).await;
    assert_eq!(status, 200);
    assert!(answer["text"].as_str().is_some_and(|t| t.contains("4.7.2")), "{answer:#}");

    let path = format!("/proposals/{}/approve", fix["id"].as_str().expect("an id"));
    let (status, refused) = demo.post(&path, json!({ "digest": "0123456789abcdef" })).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("conflict")));
    let choice = json!({ "digest": fix["digest"], "reason": "test" });
    let (status, approved) = demo.post(&path, choice.clone()).await;
    assert_eq!(status, 200, "{approved:#}");
    assert_eq!(demo.post(&path, choice).await.0, 409, "a second press changes nothing");

    eventually("the effect was measured", patience, async || {
        let runs = demo.get(&format!("/incidents/{id}")).await;
        !runs["runs"][0]["outcome"].is_null()
    })
    .await;
    let found = demo.get(&format!("/incidents/{id}")).await;
    assert_eq!(found["runs"].as_array().map(Vec::len), Some(1), "one approval, one run");
    assert_eq!(found["runs"][0]["outcome"]["effect"], "helped", "{:#}", found["runs"]);
    assert_eq!(demo.get("/audit/verify").await["whole"], true);
}
