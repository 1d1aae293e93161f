//! The real binary under `run --config`, and what tests ask of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nightjar::model::wall_now;
use nightjar::store::{LogFilter, SpanFilter, Store};
use nightjar::telemetry::changes::sign;
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::{Program, eventually, install_tls, start};

/// Secrets of the test's bot; none is real.
pub(crate) const TOKEN: &str = "not-a-real-token";
pub(crate) const GITHUB_SECRET: &str = "not-a-real-github-secret";
pub(crate) const HOOK_SECRET: &str = "not-a-real-hook-secret";

/// A way to the bot's front doors that does not care whether the bot still lives.
pub(crate) struct Door {
    url: String,
    client: reqwest::Client,
}

impl Door {
    /// Sends JSON with the token, signed where the door wants it; gives the status once the
    /// answer was read whole.
    pub(crate) async fn send(&self, path: &str, body: &Value) -> Result<u16, reqwest::Error> {
        let (body, stamp) = (body.to_string(), (wall_now().ms() / 1_000).to_string());
        let signature = sign(HOOK_SECRET.as_bytes(), &[stamp.as_bytes(), b".", body.as_bytes()]);
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(TOKEN);
        let answer = request
            .header("Content-Type", "application/json")
            .header("X-Nightjar-Timestamp", stamp)
            .header("X-Nightjar-Signature", signature)
            .body(body)
            .send()
            .await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }
}

/// A running bot with a folder of its own, which outlives a kill.
pub(crate) struct Bot {
    program: Option<Program>,
    folder: tempfile::TempDir,
    addr: SocketAddr,
    client: reqwest::Client,
}

impl Bot {
    /// Starts the binary on a port with further settings after the usual ones.
    pub(crate) async fn on(port: u16, settings: &str) -> Self {
        install_tls();
        let folder = tempfile::tempdir().expect("a scratch folder");
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let config = format!(
            "data_dir = \"{}\"\n[web]\nbind = \"{addr}\"\ngithub_secret = {GITHUB_SECRET:?}\n\
             hook_secret = {HOOK_SECRET:?}\n\
             tokens = [{{ name = \"test\", role = \"admin\", secret = {TOKEN:?} }}]\n{settings}",
            folder.path().join("data").display()
        );
        std::fs::write(folder.path().join("nightjar.toml"), config).expect("written");
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build();
        let client = client.expect("a client");
        let mut bot = Self { program: None, folder, addr, client };
        bot.again().await;
        bot
    }

    /// Starts it again in the same folder.
    pub(crate) async fn again(&mut self) {
        let args = ["run", "--config", "nightjar.toml"].map(str::to_owned);
        let binary = Path::new(env!("CARGO_BIN_EXE_nightjar"));
        self.program = Some(start(binary, &args, self.folder.path(), self.addr).await);
    }

    /// SIGKILL: nothing is finished, flushed or said.
    pub(crate) fn kill(&mut self) {
        self.program = None;
    }

    /// The folder of its store.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn door(&self) -> Door {
        Door { url: self.url(""), client: self.client.clone() }
    }

    /// What the API answers to a question.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = self.client.get(self.url(path)).bearer_auth(TOKEN);
        let answer = request.send().await.expect("the bot answers");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.expect("JSON")
    }

    /// Asks a question; gives status and answer.
    pub(crate) async fn ask(&self, question: &str) -> (u16, String) {
        let token = format!("Bearer {TOKEN}");
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        self.post("/api/v1/ask", &headers, question.to_owned()).await
    }

    /// Sends a body with headers; gives status and text.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> (u16, String) {
        let request = self.client.post(self.url(path)).body(body);
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        let answer = request.send().await.expect("the bot answers");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    }

    /// Everything that has this name at the API: `incidents`, `alerts`, `changes`, …
    pub(crate) async fn list(&self, name: &str) -> Vec<Value> {
        let mut all = self.get(&format!("/api/v1/{name}?limit=1000")).await;
        match all[name].take() {
            Value::Array(all) => all,
            other => panic!("{name}: {other}"),
        }
    }

    /// The sum of a metric over the label sets that contain `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let answer = self.client.get(self.url("/metrics")).send().await.expect("the bot answers");
        let text = answer.text().await.expect("a text");
        text.lines()
            .filter(|l| l.split(['{', ' ']).next() == Some(name) && l.contains(labels))
            .map(|l| l.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok()).expect("a number"))
            .sum()
    }

    /// Ends it by a kill and reads the text of every stored log line, in order of storing. A panic
    /// in its log fails the test.
    pub(crate) async fn stored_lines(&mut self) -> Vec<String> {
        self.kill();
        let said = std::fs::read_to_string(self.log()).expect("a log");
        assert!(!said.contains("panicked"), "{said}");
        let store = Store::open(&self.data().join("nightjar.sqlite")).expect("opens");
        let filter = LogFilter { limit: 1_000_000, ..LogFilter::default() };
        let mut lines = store.read(move |r| r.logs(&filter)).await.expect("reads");
        lines.reverse();
        lines.into_iter().map(|l| l.body).collect()
    }

    /// The names of all stored spans, once it is dead.
    pub(crate) async fn stored_spans(&self) -> Vec<String> {
        let store = Store::open(&self.data().join("nightjar.sqlite")).expect("opens");
        let filter = SpanFilter { limit: 1_000_000, ..SpanFilter::default() };
        let spans = store.read(move |r| r.spans(&filter)).await.expect("reads");
        spans.into_iter().map(|s| s.name).collect()
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join(format!("{}.log", self.addr.port()))
    }

    /// Waits until everything accepted was judged.
    pub(crate) async fn judged(&self) {
        eventually("the journal to be judged", Duration::from_secs(120), async || {
            self.get("/api/v1/status").await["backlog"] == 0
        })
        .await;
    }
}
