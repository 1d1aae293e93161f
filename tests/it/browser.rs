//! The console as a person uses it: Debian's Chromium, driven over WebDriver, before the demo.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::bot::{Bot, TOKEN};
use crate::support::{Program, eventually, free_port, installed, start};

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
        b.see("dialog[open]", "because").await;
        b.press("dialog[open] .buttons button", ESCAPE).await;
        let back = "document.activeElement.dataset.verb === 'why'";
        b.holds("the focus is back", back).await;

        b.write("#say", "why is orders slow?").await;
        b.press("#say", ENTER).await;
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

/// What somebody would send who wants to run a script in an operator's browser.
const SCRIPT: &str = "<script>window.taken=1</script>";
const IMAGE: &str = "\"><img src=x onerror=window.taken=1>";

/// Alerts, log lines, spans and a change whose every word is hostile.
async fn send_hostile(bot: &Bot) {
    let service = format!("pay{SCRIPT}");
    let now = nightjar::model::wall_now();
    let nanos = |back_ms: i64| format!("{}000000", now.plus_ms(-back_ms).ms());
    let resource = json!({ "attributes": [
        { "key": "service.name", "value": { "stringValue": service } },
    ]});
    let lines: Vec<Value> = (0..5)
        .map(|i| {
            json!({ "timeUnixNano": nanos(i * 1_000), "severityText": "ERROR",
            "severityNumber": 17, "body": { "stringValue": format!("failed {IMAGE} {SCRIPT}") } })
        })
        .collect();
    let logs = json!({ "resourceLogs": [
        { "resource": resource, "scopeLogs": [{ "logRecords": lines }] }] });
    let span = json!({ "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331",
        "name": format!("GET {IMAGE}"), "kind": 3, "startTimeUnixNano": nanos(2_000),
        "endTimeUnixNano": nanos(1_000), "status": { "code": 2, "message": SCRIPT },
        "attributes": [{ "key": "peer.service", "value": { "stringValue": format!("db{IMAGE}") } }] });
    let traces = json!({ "resourceSpans": [
        { "resource": resource, "scopeSpans": [{ "spans": [span] }] }] });
    let labels = json!({ "alertname": format!("Down{IMAGE}"), "service": service,
        "severity": "critical", "team": SCRIPT });
    let alerts = json!({ "version": "4", "groupKey": SCRIPT, "status": "firing",
        "receiver": IMAGE, "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "javascript:window.taken=1", "alerts": [{
            "status": "firing", "labels": labels, "startsAt": now.to_string(),
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "javascript:window.taken=1",
            "fingerprint": "a1", "annotations": {
                "summary": format!("broken {SCRIPT}"), "description": IMAGE } }] });
    let change = json!({ "kind": "deploy", "service": service, "title": format!("ship {SCRIPT}"),
        "author": IMAGE, "version": IMAGE, "url": "javascript:window.taken=1",
        "at": now.plus_ms(-7_200_000).to_string() });
    let door = bot.door();
    for (path, body) in [
        ("/v1/logs", &logs),
        ("/v1/traces", &traces),
        ("/hooks/deploy", &change),
        ("/ingest/alertmanager", &alerts),
    ] {
        let status = door.send(path, body).await.expect("the bot answers");
        assert!((200..300).contains(&status), "{path}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_words_from_telemetry_stay_words_on_every_page() {
    let (Some(driver), Some(chromium)) = (installed("chromedriver"), installed("chromium")) else {
        return;
    };
    let bot = Bot::on(free_port(), "[correlate]\ngroup_wait_s = 1\n").await;
    send_hostile(&bot).await;
    eventually("an incident", PATIENCE, async || !bot.list("incidents").await.is_empty()).await;
    with_browser((&driver, &chromium), &bot.url("/"), async |b: &Browser| {
        b.write("#token", "not-a-real-token-at-all").await;
        b.click("form.login button").await;
        b.see("form.login", "not known").await;
        b.write("#token", TOKEN).await;
        b.click("form.login button").await;

        // Every control says what it is for, to those who can't see it too.
        let named = "[...document.querySelectorAll('input, select, textarea')].every(c => \
             c.labels.length > 0) && [...document.querySelectorAll('button, a, img')].every(e => \
             (e.ariaLabel || e.alt || e.textContent || '').trim() !== '')";
        // Neither markup of theirs, nor a handler, nor an address that runs something.
        let clean = "window.taken === undefined && document.scripts.length === 1 \
             && !document.querySelector('img:not(.chart), iframe, object, embed') \
             && [...document.querySelectorAll('a')].every(a => !/^javascript/i.test(a.href)) \
             && [...document.querySelectorAll('*')].every(e => \
                ![...e.attributes].some(a => a.name.startsWith('on')))";
        let seen = async |place: &str, words: &str| {
            let go = format!("location.hash = '#/{place}'");
            b.client.execute(&go, Vec::new()).await.expect("the page runs");
            b.see("main", words).await;
            b.holds(&format!("{place} is clean"), clean).await;
            b.holds(&format!("{place} has names"), named).await;
        };
        b.see("#card", SCRIPT).await;
        b.holds("the card is clean", clean).await;
        b.write("#say", &format!("what is {SCRIPT}?")).await;
        b.click("form.ask button").await;
        b.see(".message.mine", SCRIPT).await;
        b.click("#card button[data-verb=why]").await;
        b.see("dialog[open]", SCRIPT).await;
        b.holds("the dialog is clean", clean).await;
        b.click("dialog[open] .buttons button").await;
        b.click("#card button[data-verb=silence]").await;
        b.see("dialog[open]", "Matchers").await;
        b.holds("the form is clean", clean).await;
        b.holds("the form has names", named).await;
        b.click("dialog[open] .buttons button[type=button]").await;
        let place = "document.querySelector('.item').hash.slice(2)";
        let place = b.client.execute(&format!("return {place}"), Vec::new()).await;
        let place = place.expect("an incident").as_str().expect("an address").to_owned();
        for part in ["story", "alerts"] {
            seen(&format!("{place}/{part}"), SCRIPT).await;
        }
        seen("alerts", SCRIPT).await;
        seen("changes", SCRIPT).await;
        seen("services", SCRIPT).await;
        let one = format!("services/{}", "service.name%3Dpay%3Cscript%3Ewindow.taken%3D1%3C%2Fscript%3E");
        seen(&one, IMAGE).await;
        for (page, words) in [
            ("audit", "incident"),
            ("ask", "cited"),
            ("silences", "Silences"),
            ("runbooks", "pool"),
            ("status", "Version"),
        ] {
            seen(page, words).await;
        }

        // Even a script that found its way into the page would not run: the policy forbids it.
        let inject = "const s = document.createElement('script'); s.textContent = 'window.taken = 1'; \
             document.head.append(s); s.remove(); \
             const i = document.createElement('div'); i.setAttribute('onclick', 'window.taken = 1'); \
             document.body.append(i); i.click(); i.remove(); return window.taken === undefined";
        let held = b.client.execute(inject, Vec::new()).await.expect("the page runs");
        assert_eq!(held, json!(true), "the content policy holds");
    })
    .await;
}
