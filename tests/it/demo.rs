//! The program with the simulated shop, over its real doors, as a person at its console has it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::SemaphorePermit;

use crate::support::slot;

/// The running program; killed when the test ends, however it ends.
pub(crate) struct Demo {
    child: Child,
    client: reqwest::Client,
    url: String,
    _slot: SemaphorePermit<'static>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    /// Starts it on a folder with one scenario, at sixty times the speed of the clock, and logs in.
    #[expect(clippy::disallowed_methods, reason = "starts the program under test")]
    pub(crate) async fn start(folder: &Path, scenario: &str) -> Self {
        let slot = slot().await;
        let mut child = Command::new(env!("CARGO_BIN_EXE_nightjar"))
            .args(["demo", "--no-browser", "--port", "0", "--speed", "60"])
            .args(["--scenario", scenario, "--data-dir"])
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
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client");
        Self { child, client, url, _slot: slot }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}/api/v1{path}", self.url)).send().await;
        answer.expect("answers").json().await.expect("is JSON")
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.client.post(format!("{}/api/v1{path}", self.url)).json(&body).send();
        let answer = answer.await.expect("answers");
        (answer.status().as_u16(), answer.json().await.expect("is JSON"))
    }

    /// The incident that has proposals, once there is one.
    pub(crate) async fn incident(&self) -> Option<Value> {
        for listed in self.get("/incidents").await["incidents"].as_array()? {
            let found = self.get(&format!("/incidents/{}", listed["id"].as_str()?)).await;
            if found["proposals"].as_array().is_some_and(|p| !p.is_empty()) {
                return Some(found);
            }
        }
        None
    }
}
