//! The end that people ask for: Ctrl-C and SIGTERM finish what is under way, and the next start
//! goes on from there.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nightjar::model::Time;
use nightjar::store::Store;

use serde_json::json;

use crate::support::{eventually, install_tls, piped, serve, slot};

/// How long an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the program is.
const BINARY: &str = env!("CARGO_BIN_EXE_nightjar");

/// The running program and all that it has said so far; killed when the test ends early.
struct Running {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    said: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has usually ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "starts the program under test")]
    fn start(args: &[&str], folder: &Path) -> Self {
        let mut child = Command::new(BINARY)
            .args(args)
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("its output is ours"));
        Self { child, out, said: String::new() }
    }

    /// Reads on until a line has the word; gives that line.
    fn until(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            let n = self.out.read_line(&mut line).expect("text");
            assert!(n > 0, "it ended before `{word}`: {}", self.said);
            self.said.push_str(&line);
            if line.contains(word) {
                return line;
            }
        }
    }

    /// The address in the line of the login link.
    fn url(&mut self) -> String {
        let line = self.until("/login?token=");
        let link = line.split_whitespace().find(|w| w.contains("/login?")).expect("a link");
        link.split("/login").next().expect("an address").to_owned()
    }

    /// Sends a signal, and waits for an orderly end.
    #[expect(clippy::disallowed_methods, reason = "the standard library sends no signals")]
    async fn end(mut self, signal: &str) {
        let asked = Instant::now();
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(sent.success());
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(asked.elapsed() < PATIENCE, "{signal}: it runs after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("text");
        self.said.push_str(&rest);
        assert_eq!(status.code(), Some(0), "{signal}: {}", self.said);
        assert!(
            self.said.contains("Ending: what is under way is finished first."),
            "{}",
            self.said
        );
    }
}

/// The program's own metric, as far as it is there.
async fn metric(url: &str, name: &str) -> f64 {
    let Ok(answer) = reqwest::get(format!("{url}/metrics")).await else { return 0.0 };
    let text = answer.text().await.expect("a text");
    let own = text.lines().filter(|l| l.split(['{', ' ']).next() == Some(name));
    own.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Waits until batches come in.
async fn flows(url: &str) {
    let name = "nightjar_intake_batches_total";
    let before = metric(url, name).await;
    eventually("batches to come in", Duration::from_secs(120), async || {
        metric(url, name).await > before + 3.0
    })
    .await;
}

/// The store opens whole, its audit log's chain too; gives the demo's event time in it.
async fn whole(folder: &Path) -> Option<Time> {
    let place = folder.to_str().expect("a text");
    let (code, said) = piped(Path::new(BINARY), &["audit", "verify", "--data-dir", place], "");
    assert_eq!(code, 0, "{said}");
    let store = Store::open(&folder.join("nightjar.sqlite")).expect("it opens");
    store.write(|_| Ok(())).await.expect("it can be written");
    store.read(|r| r.value::<Time>("demo/clock")).await.expect("it can be read")
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_demo_in_order_and_the_next_start_goes_on() {
    install_tls();
    let _slot = slot().await;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let args = ["demo", "--no-browser", "--port", "0", "--speed", "60", "--data-dir"];
    let mut first = Running::start(&args, folder.path());
    let url = first.url();
    flows(&url).await;
    first.end("-INT").await;
    let ended = whole(folder.path()).await.expect("event time is kept");

    let mut second = Running::start(&args, folder.path());
    let url = second.url();
    let said = format!("It goes on from {}, where it ended.", ended.minute_text());
    assert!(second.said.contains(&said), "{said}: {}", second.said);
    flows(&url).await;
    second.end("-INT").await;
    let later = whole(folder.path()).await.expect("event time is kept");
    assert!(later > ended, "event time went on from {ended:?} to {later:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_bot_in_order_while_alerts_come_in() {
    install_tls();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let data = folder.path().join("data");
    let config = folder.path().join("nightjar.toml");
    let text = format!("data_dir = \"{}\"\n[web]\nbind = \"127.0.0.1:0\"\n", data.display());
    std::fs::write(&config, text).expect("written");
    for _ in 0..2 {
        let mut bot = Running::start(&["run", "--config"], &config);
        let url = bot.url();
        let door = format!("{url}/ingest/alertmanager");
        serve(async move {
            let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
            for n in 0.. {
                let body = json!({
                    "version": "4", "status": "firing", "groupKey": "g", "alerts": [{
                        "status": "firing", "startsAt": "2026-07-01T10:00:00Z",
                        "labels": { "alertname": "Slow", "service": format!("s{n}") },
                    }],
                });
                // The door closes at the end.
                if client.post(&door).json(&body).send().await.is_err() {
                    return;
                }
            }
        });
        flows(&url).await;
        bot.end("-TERM").await;
        whole(&data).await;
    }
}
