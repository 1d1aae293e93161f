//! A storm: 2,000 alerts in 20 s with Slack taking one message a second in a channel.

use std::time::Instant;

use nightjar::model::wall_now;

use super::whole::{PATIENCE, cards, settings};
use super::*;
use crate::bot::Bot;
use crate::support::{eventually, free_port};

const ALERTS: usize = 2_000;
const A_CALL: usize = 20;
const EVERY: Duration = Duration::from_millis(200);

fn batch(call: usize) -> Value {
    let alert = |i: usize| {
        let n = call * A_CALL + i;
        let labels = json!({
            "alertname": format!("Slow{}", n % 7), "service": format!("service-{}", n % 40),
            "instance": format!("i-{n}"), "severity": "critical",
        });
        json!({ "status": "firing", "startsAt": wall_now(), "labels": labels })
    };
    json!({ "version": "4", "alerts": (0..A_CALL).map(alert).collect::<Vec<_>>() })
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_acknowledgements_stay_prompt_and_new_incidents_come_first() {
    install_tls();
    let fake = Fake::start().await;
    fake.look().paced = true;
    let bot = Bot::on(free_port(), &settings(&fake)).await;
    eventually("connections", PATIENCE, async || fake.n_sockets() == 2).await;

    let door = bot.door();
    let sends = async {
        let mut tick = tokio::time::interval(EVERY);
        for call in 0..ALERTS / A_CALL {
            tick.tick().await;
            let status = door.send("/ingest/alertmanager", &batch(call)).await;
            assert_eq!(status.ok(), Some(200));
        }
    };
    let talks = async {
        let (mut after, mut tick) = (Vec::new(), tokio::time::interval(EVERY));
        for n in 0..ALERTS / A_CALL {
            tick.tick().await;
            let command = fake.command([ANN, BO, CY][n % 3], CHANNEL, "help");
            let ack = fake.deliver("slash_commands", command).await;
            after.push(ack.expect("every envelope is acknowledged").after);
        }
        after
    };
    let opens = async {
        // In the middle of it somebody opens an incident by hand.
        tokio::time::sleep(Duration::from_secs(10)).await;
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
    let ((), mut after, card_after) = tokio::join!(sends, talks, opens);
    after.sort();
    let at = |share: usize| after[(after.len() - 1) * share / 100];
    println!(
        "acknowledged: p50 {:?}, p99 {:?}, most {:?}; a new incident's card after {card_after:?}",
        at(50),
        at(99),
        at(100)
    );
    assert!(at(100) < Duration::from_secs(1), "{:?}", at(100));
    assert!(card_after < Duration::from_secs(3), "{card_after:?}");

    // When it is over everything stands, once, in its newest form.
    bot.judged().await;
    eventually("nothing to be due", Duration::from_secs(60), async || {
        let outbox = bot.get("/api/v1/outbox?platform=slack").await;
        outbox["platforms"]
            .as_array()
            .is_some_and(|all| all.iter().all(|p| p["n_due"] == 0 && p["n_refused"] == 0))
    })
    .await;
    let incidents = bot.list("incidents").await;
    let stand = cards(&fake);
    assert_eq!(stand.len(), incidents.len());
    for incident in &incidents {
        let id = incident["id"].as_str().expect("a text");
        let n = stand.iter().filter(|c| c["metadata"].to_string().contains(id)).count();
        assert_eq!(n, 1, "{id}");
    }
    assert_eq!(fake.look().pinged, [""; 0]);
}
