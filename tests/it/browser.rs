//! The console as a person uses it: Debian's Chromium, driven over WebDriver.

mod channels;
mod classifier;
mod held;
mod hostile;
mod kinds;
mod tuning;

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::support::{Program, eventually, free_port, installed, slot, start};

/// For things that the machine does while other tests keep it busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// Keys as WebDriver names them (section 17.4.2 of the recommendation).
const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Chromium's options: no screen, and no sandbox where root has none to give.
fn options(path: &Path, profile: &Path) -> serde_json::Map<String, Value> {
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

    /// Presses a key on an element.
    async fn press(&self, css: &str, key: &str) {
        eventually(&format!("`{css}` to take a key"), PATIENCE, async || {
            let Ok(found) = self.client.find(Locator::Css(css)).await else { return false };
            found.send_keys(key).await.is_ok()
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

/// Opens an address in a browser of its own, runs a person's steps, and closes the browser after
/// them, even where one of them fails.
async fn with_browser(path: (&Path, &Path), address: &str, steps: impl AsyncFnOnce(&Browser)) {
    let (driver, chromium) = path;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let listens = loopback(free_port());
    let args = [format!("--port={}", listens.port())];
    // Ended with all that it started when this function ends, whatever happens.
    let _driver: Program = start(driver, &args, folder.path(), listens).await;
    let client = ClientBuilder::new(HttpConnector::new())
        .capabilities(options(chromium, &folder.path().join("profile")))
        .connect(&format!("http://{listens}"))
        .await
        .expect("Chromium starts");
    let browser = Browser { client };
    let person = async {
        browser.client.goto(address).await.expect("the console opens");
        steps(&browser).await;
    };
    let ended = AssertUnwindSafe(person).catch_unwind().await;
    if ended.is_err() {
        println!("the page at the end:\n{}", browser.text("body").await);
    }
    let _ = browser.client.close().await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// The same before the demo, logged in with the link that it prints.
async fn with_demo(scenario: &str, steps: impl AsyncFnOnce(&Browser)) {
    let (Some(driver), Some(chromium)) = (installed("chromedriver"), installed("chromium")) else {
        return;
    };
    let _slot = slot().await;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let listens = loopback(free_port());
    let data = folder.path().join("data").display().to_string();
    let port = listens.port().to_string();
    let mut args = vec!["demo", "--no-browser", "--port", &port, "--data-dir", &data];
    args.extend(["--speed", "60", "--scenario", scenario]);
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let demo = Path::new(env!("CARGO_BIN_EXE_nightjar"));
    let _demo: Program = start(demo, &args, folder.path(), listens).await;
    let log = folder.path().join(format!("{port}.log"));
    let link = || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let path = said[said.find("/login?token=")?..].split_whitespace().next()?;
        Some(format!("http://{listens}{path}"))
    };
    eventually("the login link", PATIENCE, async || link().is_some()).await;
    let link = link().expect("it was there a moment ago");
    with_browser((&driver, &chromium), &link, steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_read_asked_about_fixed_and_seen_to_be_fixed() {
    with_demo("pool-exhaustion", async |b: &Browser| {
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

        // Without a mouse: to the question box, into a dialog and back to where one was.
        b.press("body", "/").await;
        b.holds("the box has the focus", "document.activeElement.id === 'say'").await;
        b.press("#card button[data-verb=why]", ENTER).await;
        b.see("dialog[open]", "What speaks for it").await;
        let read = "!document.querySelector('dialog[open]').innerText.includes('null') \
             && document.querySelector('dialog[open]').scrollTop === 0";
        b.holds("it begins at its top and shows nothing that is not there", read).await;
        b.press("dialog[open] .buttons button", ESCAPE).await;
        let back = "document.activeElement.dataset.verb === 'why'";
        b.holds("the focus is back", back).await;

        b.press("#card .menu summary", ENTER).await;
        b.press("#card .menu button[data-verb=note]", ENTER).await;
        b.see("dialog[open]", "Goes into the incident's thread").await;
        b.write("dialog[open] #f-text", "Looking at the pool of orders.").await;
        b.press("dialog[open] #confirm", ENTER).await;
        b.see(".thread", "Looking at the pool of orders.").await;
        let closed = "!document.querySelector('#card .menu').open \
             && document.activeElement.matches('#card .menu summary')";
        b.holds("the menu is closed and has the focus", closed).await;

        b.write("#say", "why is orders slow?").await;
        b.press("#say", ENTER).await;
        b.see(".thread .message.mine", "why is orders slow?").await;
        b.click(".thread .message .cite").await;
        b.see("dialog[open]", "Query").await;
        b.click("dialog[open] .buttons button").await;

        // Meanwhile somebody else changes the plan: what stands in the dialog is no more to be had.
        b.click("#card button[data-verb=approve]").await;
        b.see("dialog[open] pre", "POST").await;
        b.see("dialog[open]", "Risk").await;
        let script = "const [value, done] = arguments; \
             const id = document.querySelector('#card .offer').dataset.key; \
             const digest = document.querySelector('dialog dd code').textContent; \
             const headers = { 'X-Nightjar': '1', 'Content-Type': 'application/json' }; \
             const body = JSON.stringify({ digest, parameters: { value }, reason: 'fewer' }); \
             fetch(`/api/v1/proposals/${id}/edit`, { method: 'POST', headers, body }) \
                 .then(answer => done(answer.status))";
        let status = b.client.execute_async(script, vec![json!("15")]).await.expect("it runs");
        assert_eq!(status, json!(200));
        b.click("dialog[open] #confirm").await;
        b.see("dialog[open] form > .refused", "changed").await;
        b.holds("it can't be sent again", "!document.querySelector('#confirm')").await;
        b.press("dialog[open]", ESCAPE).await;

        // The card has the new plan by now; who changes it once more reads it once more.
        b.holds("the dialog is gone", "!document.querySelector('dialog[open]')").await;
        let fresh = "document.querySelector('#card .offer h3').textContent.includes('15')";
        b.holds("the card says what is offered now", fresh).await;
        b.click("#card button[data-verb=approve]").await;
        b.see("dialog[open] pre", "\"15\"").await;
        b.write("dialog[open] [name='parameter.value']", "1000").await;
        b.click("dialog[open] #confirm").await;
        b.see("[id='f-parameter.value-wrong']", "at most 256").await;
        b.write("dialog[open] [name='parameter.value']", "16").await;
        b.write("dialog[open] #f-reason", "orders has no connection left").await;
        b.click("dialog[open] #confirm").await;
        b.see("dialog[open] pre", "\"16\"").await;
        b.press("dialog[open] #f-reason", "\u{E009}\u{E007}").await;
        b.see("#card", "approved by operator").await;
        b.see("#card", "Helped:").await;
        b.see("#card h1 + p", "resolved").await;
    })
    .await;
}
