//! A storm: 2,000 alerts in 60 s with Slack taking one message a second in a channel.

use std::time::Instant;

use nightjar::model::wall_now;

use super::whole::{PATIENCE, cards, settings};
use super::*;
use crate::bot::Bot;
use crate::support::{eventually, free_port};

fn alert(service: &str, name: &str) -> Value {
    let labels = json!({ "alertname": name, "service": service, "severity": "critical" });
    json!({ "status": "firing", "startsAt": wall_now(), "labels": labels })
}

async fn alerts(bot: &Bot, alerts: Vec<Value>) {
    let body = json!({ "version": "4", "alerts": alerts });
    assert_eq!(bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
}

/// The value at a share of the sorted figures.
fn share(figures: &mut [Duration], share: f64) -> Duration {
    figures.sort();
    figures[((figures.len() - 1) as f64 * share) as usize]
}

/// 2,000 alerts in 60 s while Slack takes one message a second in the channel: nothing that a
/// person does waits for it, the offer of a fix overtakes it, and the cards end up right.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_delays_no_click_and_no_offer() {
    const SERVICES: usize = 10;
    const BATCHES: usize = 60;
    let fake = Fake::start().await;
    fake.look().paced = true;
    let more = "[runbooks.settings]\nadmin_url = \"http://127.0.0.1:9/admin\"\n";
    let bot = Bot::on(free_port(), &format!("{}{more}", settings(&fake))).await;
    eventually("connections", PATIENCE, async || fake.n_sockets() == 2).await;

    let storm = async {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        for batch in 0..BATCHES {
            tick.tick().await;
            let n = 2_000 * (batch + 1) / BATCHES - 2_000 * batch / BATCHES;
            let many = (0..n).map(|i| {
                let service = format!("service-{}", (batch + i) % SERVICES);
                alert(&service, &format!("Wrong{batch}x{i}"))
            });
            alerts(&bot, many.collect()).await;
        }
    };
    let people = async {
        let mut waits = Vec::new();
        for n in 0..100 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let (kind, payload) = if n % 2 == 0 {
                ("slash_commands", fake.command(CY, CHANNEL, "incidents"))
            } else {
                let said = fake.say(CY, CHANNEL, None, "just talk");
                ("events_api", fake.event(&said))
            };
            waits.push(fake.deliver(kind, payload).await.expect("it is acknowledged").after);
        }
        waits
    };
    // In the midst of it a deploy goes wrong, and there is something to decide.
    let offer = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let deploy = json!({ "kind": "deploy", "service": "orders", "title": "orders 4.7.2",
            "version": "4.7.2", "previous": "4.7.1" });
        assert_eq!(bot.door().send("/hooks/deploy", &deploy).await.ok(), Some(200));
        alerts(&bot, vec![alert("orders", "TooSlow")]).await;
        eventually("a proposal", PATIENCE, async || !bot.list("proposals").await.is_empty()).await;
        let made = Instant::now();
        eventually("the offer in Slack", PATIENCE, async || {
            cards(&fake).iter().any(|c| c["blocks"].to_string().contains("v1:approve:"))
        })
        .await;
        made.elapsed()
    };
    let by_hand = async {
        // A new incident is opened by hand in the midst of it.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let values = json!({ "title": "It is slow by hand", "severity": "critical" });
        let form = json!({ "code": "v1:declare:none", "values": values, "key": "hand" });
        assert_eq!(bot.door().send("/api/v1/submit", &form).await.ok(), Some(200));
        let started = Instant::now();
        eventually("its card", PATIENCE, async || {
            cards(&fake).iter().any(|c| c["text"].as_str().is_some_and(|t| t.contains("by hand")))
        })
        .await;
        started.elapsed()
    };
    let ((), mut waits, offered, opened) = tokio::join!(storm, people, offer, by_hand);
    let (p50, p99) = (share(&mut waits, 0.5), share(&mut waits, 0.99));
    println!(
        "acknowledged: p50 {p50:?}, p99 {p99:?}; offer after {offered:?}, a new card after {opened:?}"
    );
    assert!(waits.iter().all(|w| *w < Duration::from_secs(1)), "{waits:?}");
    assert!(offered < Duration::from_secs(3), "{offered:?}");
    assert!(opened < Duration::from_secs(3), "{opened:?}");
    // When it is over everything stands, once, in its newest form.
    bot.judged().await;
    eventually("every card to be right", Duration::from_secs(120), async || {
        let stand = cards(&fake);
        bot.list("incidents").await.iter().all(|incident| {
            let word = |name: &str| incident[name].as_str().unwrap_or_default().to_owned();
            let own = stand.iter().filter(|c| c["metadata"].to_string().contains(&word("id")));
            let own: Vec<&str> = own.filter_map(|c| c["text"].as_str()).collect();
            own.len() == 1 && own[0].contains(&word("title")) && own[0].contains(&word("state"))
        })
    })
    .await;
    assert_eq!(cards(&fake).len(), bot.list("incidents").await.len());
    assert_eq!(fake.look().pinged, [""; 0]);
}
