//! The console as a person uses it: Debian's Chromium, driven over WebDriver, before the demo.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::support::{Program, eventually, free_port, installed, start};

/// For things that the machine does while other tests keep it busy.
const PATIENCE: Duration = Duration::from_secs(180);

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Chromium's options: no screen, and no sandbox where root has none to give.
fn chromium(path: &Path, profile: &Path) -> serde_json::Map<String, Value> {
    let profile = format!("--user-data-dir={}", profile.display());
    let mut args = vec!["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", &profile];
    args.push("--window-size=1280,1000");
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if root {
        args.push("--no-sandbox");
    }
    let options = json!({ "goog:chromeOptions": { "binary": path, "args": args } });
    options.as_object().expect("it was written as one").clone()
}

/// A browser, as the person before it sees it. Every step waits for its condition: the page is
/// redrawn by live updates while the person reads.
struct Browser {
    client: Client,
}

impl Browser {
    /// What an element says now; empty where there is none.
    async fn text(&self, css: &str) -> String {
        let Ok(found) = self.client.find(Locator::Css(css)).await else { return String::new() };
        found.text().await.unwrap_or_default()
    }

    async fn see(&self, css: &str, words: &str) {
        let what = format!("`{css}` to say `{words}`");
        eventually(&what, PATIENCE, async || self.text(css).await.contains(words)).await;
    }

    /// Waits until an expression is true in the page.
    async fn holds(&self, what: &str, expression: &str) {
        let script = format!("return !!({expression})");
        eventually(what, PATIENCE, async || {
            self.client.execute(&script, Vec::new()).await.is_ok_and(|v| v == true)
        })
        .await;
    }

    async fn click(&self, css: &str) {
        eventually(&format!("`{css}` to be pressed"), PATIENCE, async || {
            let Ok(found) = self.client.find(Locator::Css(css)).await else { return false };
            found.click().await.is_ok()
        })
        .await;
    }

    /// Writes into a field; what stands there afterwards is exactly that.
    async fn write(&self, css: &str, words: &str) {
        eventually(&format!("`{css}` to take words"), PATIENCE, async || {
            let Ok(found) = self.client.find(Locator::Css(css)).await else { return false };
            let _ = found.clear().await;
            let _ = found.send_keys(words).await;
            found.prop("value").await.is_ok_and(|v| v.as_deref() == Some(words))
        })
        .await;
    }
}

/// The demo and a browser that has followed the demo's login link.
struct Console {
    browser: Browser,
    // Ended in this order, whatever happens.
    _driver: Program,
    _demo: Program,
    _folder: tempfile::TempDir,
}

async fn console(scenario: &str) -> Option<Console> {
    let (driver, path) = (installed("chromedriver")?, installed("chromium")?);
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (port, driver_port) = (free_port(), free_port());
    let data = folder.path().join("data").display().to_string();
    let (port_text, log) = (port.to_string(), folder.path().join(format!("{port}.log")));
    let mut args = vec!["demo", "--no-browser", "--port", &port_text, "--data-dir", &data];
    args.extend(["--speed", "60", "--scenario", scenario]);
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let demo = Path::new(env!("CARGO_BIN_EXE_nightjar"));
    let demo = start(demo, &args, folder.path(), loopback(port)).await;
    let login = async || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let at = said.find("/login?token=")?;
        let path = said[at..].split_whitespace().next()?;
        Some(format!("http://{}{path}", loopback(port)))
    };
    eventually("the login link", PATIENCE, async || login().await.is_some()).await;
    let args = [format!("--port={driver_port}")];
    let driver = start(&driver, &args, folder.path(), loopback(driver_port)).await;
    let client = ClientBuilder::new(HttpConnector::new())
        .capabilities(chromium(&path, &folder.path().join("profile")))
        .connect(&format!("http://{}", loopback(driver_port)))
        .await
        .expect("Chromium starts");
    let login = login().await.expect("it was there a moment ago");
    client.goto(&login).await.expect("the console opens");
    Some(Console { browser: Browser { client }, _driver: driver, _demo: demo, _folder: folder })
}

/// Runs a person's steps and closes the browser after them, even where one of them fails.
async fn with_console(scenario: &str, steps: impl AsyncFnOnce(&Browser)) {
    let Some(console) = console(scenario).await else { return };
    let ended = AssertUnwindSafe(steps(&console.browser)).catch_unwind().await;
    if ended.is_err() {
        let page = console.browser.text("body").await;
        println!("the page at the end:\n{page}");
    }
    // A browser that does not close is ended with its driver.
    let _ = console.browser.client.clone().close().await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_read_asked_about_fixed_and_seen_to_be_fixed() {
    with_console("pool-exhaustion", async |b: &Browser| {
        b.see("nav", "Incidents").await;
        // The link works once: the address no longer carries its secret.
        let address = b.client.current_url().await.expect("there is a page");
        assert!(!address.as_str().contains("token"), "{address} still carries the secret");

        b.see("#card", "critical").await;
        b.see("#card", "LIKELY CAUSE").await;
        b.see("#card", "orders").await;
        b.see("#card .offer", "risk").await;
        b.holds("the chart is drawn", "document.querySelector('#card img.chart').naturalWidth > 0")
            .await;

        b.write("#say", "why is orders slow?").await;
        b.click("form.ask button").await;
        b.see(".thread .message.mine", "why is orders slow?").await;
        b.click(".thread .message .cite").await;
        b.see("dialog[open]", "Query").await;
        b.click("dialog[open] .buttons button").await;

        b.click("#card button[data-verb=approve]").await;
        b.see("dialog[open] pre", "POST").await;
        b.see("dialog[open]", "Risk").await;
        b.write("dialog[open] #f-reason", "orders has no connection left").await;
        b.click("dialog[open] #confirm").await;
        b.see("#card", "approved by operator").await;
        b.see("#card", "Helped:").await;
        b.see("#card h1 + p", "resolved").await;
    })
    .await;
}
