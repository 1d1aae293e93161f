//! Words of whoever attacks the person before the console.

use serde_json::{Value, json};

use super::{Browser, PATIENCE, with_browser};
use crate::bot::{Bot, TOKEN};
use crate::support::{eventually, free_port, installed};

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
