//! Which incidents the list shows, chosen by kind, and what an incident's page says of its priority
//! and kind.

use fantoccini::Locator;
use nightjar::model::wall_now;
use serde_json::{Value, json};

use super::{Browser, ENTER, PATIENCE, with_browser};
use crate::bot::{Bot, TOKEN};
use crate::support::{eventually, free_port, installed};

const LIST: &str = "nav[data-key=list]";

async fn tell(bot: &Bot, name: &str, service: &str, severity: &str) {
    let labels = json!({ "alertname": name, "service": service, "severity": severity });
    let alert = json!({ "status": "firing", "startsAt": wall_now(), "labels": labels });
    let body = json!({ "version": "4", "alerts": [alert] });
    assert_eq!(bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
}

/// Chooses a kind in the list's menu.
async fn choose(b: &Browser, kind: &str) {
    eventually(&format!("`{kind}` to be chosen"), PATIENCE, async || {
        let Ok(menu) = b.client.find(Locator::Css("#kinds")).await else { return false };
        menu.select_by_value(kind).await.is_ok()
            && b.client
                .execute("return document.querySelector('#kinds').value", Vec::new())
                .await
                .is_ok_and(|v| v == kind)
    })
    .await;
}

/// Waits until the list shows these services and not those.
async fn shows(b: &Browser, these: &[&str], not: &[&str]) {
    eventually(&format!("{these:?} and not {not:?} in the list"), PATIENCE, async || {
        let text = b.text(LIST).await;
        these.iter().all(|s| text.contains(s)) && !not.iter().any(|s| text.contains(s))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_narrowed_by_kind_and_a_page_says_priority_and_kind() {
    let (Some(driver), Some(chromium)) = (installed("chromedriver"), installed("chromium")) else {
        return;
    };
    let bot = Bot::on(free_port(), "[correlate]\ngroup_wait_s = 1\n").await;
    tell(&bot, "HighErrorRate", "checkout", "critical").await;
    tell(&bot, "HighLatency", "orders-db", "critical").await;
    let incidents = async |query: &str| -> Vec<Value> {
        let found = bot.get(&format!("/api/v1/incidents{query}")).await;
        found["incidents"].as_array().cloned().unwrap_or_default()
    };
    eventually("two incidents of their kinds", PATIENCE, async || {
        let all = incidents("").await;
        all.len() == 2 && all.iter().all(|i| i["taxonomy"].is_object() && i["priority"].is_object())
    })
    .await;
    assert_eq!(incidents("?category=errors").await.len(), 1);
    assert_eq!(incidents("?component=database&category=errors").await.len(), 0);
    let url = bot.url("/#/incidents");
    with_browser((&driver, &chromium), &url, async |b: &Browser| {
        b.write("#token", TOKEN).await;
        b.press("#token", ENTER).await;
        shows(b, &["checkout", "orders-db"], &[]).await;
        b.see("#kinds", "category: errors").await;
        choose(b, "category errors").await;
        shows(b, &["checkout"], &["orders-db"]).await;
        // What comes meanwhile is shown where it is of the kind that was chosen.
        tell(&bot, "HighLatency", "search", "critical").await;
        tell(&bot, "HighErrorRate", "payments", "critical").await;
        shows(b, &["checkout", "payments"], &["orders-db", "search"]).await;
        choose(b, "component database").await;
        shows(b, &["orders-db"], &["checkout", "payments", "search"]).await;
        choose(b, "category latency").await;
        shows(b, &["orders-db", "search"], &["checkout", "payments"]).await;
        choose(b, "").await;
        shows(b, &["orders-db", "search", "checkout", "payments"], &[]).await;

        let one = incidents("?component=database").await.remove(0);
        let id = one["id"].as_str().expect("an id");
        b.client.goto(&bot.url(&format!("/#/incidents/{id}/story"))).await.expect("it opens");
        b.see("#kind h1", "Priority and kind").await;
        for words in ["latency", "set off by unknown", "in a database"] {
            b.see("#kind", words).await;
        }
        let priority = &one["priority"];
        let summary = format!(
            "P{} {}: {} points, {} page",
            priority["level"],
            priority["attention"].as_str().expect("a word"),
            priority["points"],
            priority["page_from"]
        );
        b.see("#kind summary", &summary).await;
        b.press("#kind summary", ENTER).await;
        b.holds("its parts are shown", "document.querySelector('#kind details').open").await;
        for part in priority["parts"].as_array().expect("a list") {
            b.see("#kind ul", part["why"].as_str().expect("a reason")).await;
        }
    })
    .await;
}
