//! A pattern that was learned to be harmless, on the page Held back: confirmed by a button in the
//! running bot, listed with what it keeps quiet, and taken back.

use nightjar::model::{
    Alert, AlertId, EntityRef, Harmless, HarmlessId, HarmlessScope, HarmlessState, Labels,
    Severity, wall_now,
};
use nightjar::store::Store;
use serde_json::json;

use super::{Browser, ENTER, PATIENCE, with_browser};
use crate::bot::{Bot, TOKEN};
use crate::support::{eventually, free_port, installed};

/// Puts a pattern whose shadow is over into the store of a bot that is dead.
async fn write(bot: &Bot) {
    let now = wall_now();
    let pattern = Harmless {
        id: HarmlessId::derive(now, &["a test"]),
        at: now.plus_ms(-60 * 86_400_000),
        scope: HarmlessScope {
            entity: EntityRef::service("pricing"),
            name: "HighErrorRate".into(),
            most: Severity::Critical,
            hours: None,
        },
        state: HarmlessState::Open,
        since: now.plus_ms(-8 * 86_400_000),
        title: "HighErrorRate on pricing opens no incident by itself.".into(),
        why: "Confirmed before.".into(),
        judged: Vec::new(),
        n_dismissed: 3,
        kept: Vec::new(),
        n_kept: 4,
        counted_until: now,
        followed: Vec::new(),
        holds_days: 28,
        n_confirmed: 1,
        decided: None,
        until: None,
        taken_back: None,
    };
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens");
    store.write(move |tx| tx.put(&pattern)).await.expect("written");
}

/// Puts alerts that were kept quiet into the store of a bot that is dead, many of one time.
async fn keep_quiet(bot: &Bot, n: usize) {
    let t0 = wall_now().plus_ms(-3_600_000);
    let alerts: Vec<Alert> = (0..n)
        .map(|i| {
            let labels: Labels =
                [("alertname", format!("Held{i}")), ("service", "pricing".into())].into_iter().collect();
            let began = t0.plus_ms(-60_000 * i64::try_from(i / 7).expect("few"));
            serde_json::from_value(json!({
                "id": AlertId::derive(began, &[&i.to_string()]), "fingerprint": labels.fingerprint(),
                "labels": labels, "annotations": { "summary": format!("held number {i} of them") },
                "source": { "kind": "external", "system": "alertmanager" },
                "entity": EntityRef::service("pricing"), "indicator": null, "severity": "warning",
                "starts_at": began, "ends_at": began, "updated_at": began, "status": "resolved",
                "anomaly": null, "series": null, "value": null, "expected": null, "score": 0.0,
                "n_reports": 1, "witnesses": [], "incident": null, "suppressed": null,
                "decision": "Opened no incident: it ended at once.",
            }))
            .expect("an alert")
        })
        .collect();
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens");
    store.write(move |tx| alerts.iter().try_for_each(|a| tx.put(a))).await.expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_of_what_was_held_is_gone_through_page_by_page() {
    let (Some(driver), Some(chromium)) = (installed("chromedriver"), installed("chromium")) else {
        return;
    };
    let mut bot = Bot::on(free_port(), "").await;
    bot.kill();
    keep_quiet(&bot, 610).await;
    bot.again().await;
    let url = bot.url("/#/held");
    with_browser((&driver, &chromium), &url, async |b: &Browser| {
        b.write("#token", TOKEN).await;
        b.press("#token", ENTER).await;
        b.see("#pager", "The newest 300 alerts").await;
        b.see("#held", "held number 0 of them").await;
        b.press("#older", ENTER).await;
        b.see("#pager", "Older ones: 300 alerts").await;
        b.holds(
            "the newest are gone",
            "!document.querySelector('#held').innerText.includes('held number 0 of them')",
        )
        .await;
        b.press("#older", ENTER).await;
        b.see("#pager", "Older ones: 10 alerts").await;
        b.see("#held", "held number 609 of them").await;
        b.holds("there is no more", "!document.querySelector('#older')").await;
        b.press("#newest", ENTER).await;
        b.see("#held", "held number 0 of them").await;
    })
    .await;
}

/// Presses a button, gives the reason that is asked for, and confirms.
async fn decide(b: &Browser, button: &str, reason: &str) {
    b.press(button, ENTER).await;
    b.see("dialog[open]", "opens no incident by itself").await;
    b.write("dialog[open] #f-reason", reason).await;
    b.press("dialog[open] #confirm", ENTER).await;
    b.holds("the dialog is closed", "!document.querySelector('dialog[open]')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learned_pattern_is_confirmed_by_a_button_listed_and_taken_back() {
    let (Some(driver), Some(chromium)) = (installed("chromedriver"), installed("chromium")) else {
        return;
    };
    let mut bot = Bot::on(free_port(), "[correlate]\ngroup_wait_s = 1\n").await;
    bot.kill();
    write(&bot).await;
    bot.again().await;
    let url = bot.url("/#/held");
    with_browser((&driver, &chromium), &url, async |b: &Browser| {
        b.write("#token", TOKEN).await;
        b.press("#token", ENTER).await;
        b.see("#patterns .pattern.open", "it would have kept 4 alerts quiet").await;
        decide(b, "#patterns .pattern.open button.primary", "a cache refills").await;
        b.see("#patterns .pattern.applied", "Confirmed by test").await;

        let alert = json!({ "version": "4", "alerts": [{
            "status": "firing", "startsAt": wall_now(),
            "labels": { "alertname": "HighErrorRate", "service": "pricing", "severity": "critical" },
        }]});
        let sent = bot.door().send("/ingest/alertmanager", &alert).await.expect("it answers");
        assert_eq!(sent, 200);
        b.see("#held", "Confirmed harmless by test").await;
        assert_eq!(bot.get("/api/v1/incidents").await["incidents"], json!([]));

        decide(b, "#patterns .pattern.applied button.quiet", "it hid something").await;
        b.see("#patterns", "No pattern is known, and none holds").await;
        let opened = async || {
            let all = bot.get("/api/v1/incidents").await;
            all["incidents"].as_array().is_some_and(|i| i.len() == 1)
        };
        eventually("the alert to open an incident", PATIENCE, opened).await;
    })
    .await;
}
