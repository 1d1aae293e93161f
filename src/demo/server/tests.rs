//! The shop's door over real HTTP: Prometheus' answers and errors, fixes, and what is found there.

use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::demo::{Options, Shop};
use crate::model::Time;
use crate::model::clock::ManualClock;
use crate::telemetry::discovery::{discover, inventory};
use crate::telemetry::prometheus::{Client, PrometheusConfig};

fn noon() -> Time {
    Time::parse("2026-11-18T12:00:00Z").expect("valid")
}

fn shop(clock: &std::sync::Arc<ManualClock>, folder: Option<&std::path::Path>) -> Shop {
    // Another test of the process may have chosen the provider before: then it stands.
    rustls::crypto::ring::default_provider().install_default().ok();
    Shop::bind(Options {
        seed: 7,
        clock: clock.clone(),
        scenario: None,
        data_dir: folder.map(Into::into),
        hook_secret: "not-a-real-secret".into(),
    })
    .expect("binds")
}

/// Runs a test beside the shop.
async fn beside(shop: &Shop, test: impl Future<Output = ()>) {
    tokio::select! {
        served = shop.serve(CancellationToken::new()) => panic!("the shop ended: {served:?}"),
        () = test => {}
    }
}

async fn get(shop: &Shop, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{}{path}", shop.url())).await.expect("answers");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

async fn post(shop: &Shop, path: &str, key: &str, body: Value) -> (u16, Value) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build();
    let request = client.expect("a client").post(format!("{}{path}", shop.url()));
    let answer = request.header("Idempotency-Key", key).json(&body).send().await.expect("answers");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn queries_are_answered_and_refused_as_prometheus_does() {
    let clock = ManualClock::new(noon());
    let shop = shop(&clock, None);
    beside(&shop, async {
        let (status, up) = get(&shop, "/api/v1/query?query=count(up)").await;
        assert_eq!((status, &up["data"]["resultType"]), (200, &json!("vector")));
        let (status, bad) = get(&shop, "/api/v1/query?query=sum(").await;
        assert_eq!((status, &bad["errorType"]), (400, &json!("bad_data")));
        let end = noon().seconds();
        let long = format!("/api/v1/query_range?query=up&start={}&end={end}&step=1", end - 86e3);
        let (status, refused) = get(&shop, &long).await;
        assert_eq!((status, &refused["errorType"]), (400, &json!("bad_data")));
        assert!(refused["error"].to_string().contains("11,000"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_fix_is_honoured_once_and_a_second_start_still_knows_it() {
    let clock = ManualClock::new(noon());
    let folder = tempfile::tempdir().expect("a folder");
    let first = shop(&clock, Some(folder.path()));
    beside(&first, async {
        let fault = json!({ "scenario": "pool-exhaustion" });
        assert_eq!(post(&first, "/admin/faults", "a", fault).await.0, 200);
        clock.set(noon().plus_ms(180_000));
        let (_, target) = get(&first, "/admin/services/orders").await;
        assert_eq!(target["worker_concurrency"], "64");
        let fix = json!({ "key": "worker_concurrency", "value": 16 });
        for _ in 0..2 {
            let (status, done) =
                post(&first, "/admin/services/orders/config", "b", fix.clone()).await;
            assert_eq!((status, &done["done"]), (200, &json!(true)));
        }
        let (status, no) = post(&first, "/admin/services/nobody/restart", "c", json!({})).await;
        assert_eq!((status, &no["error"]), (404, &json!("there is no service nobody")));
    })
    .await;
    let again = shop(&clock, Some(folder.path()));
    assert_eq!(again.addr(), first.addr(), "plans that name the door hold after a start");
    let third = shop(&clock, Some(folder.path()));
    assert_ne!(third.addr(), first.addr(), "the port is taken by the second");
    let again = again.world();
    assert_eq!(again.events(), first.world().events());
    assert_eq!(again.events().len(), 2);
    assert!(again.episodes()[0].mended);
}

#[tokio::test]
async fn discovery_finds_every_service_and_node_of_the_shop() {
    let clock = ManualClock::new(noon());
    let shop = shop(&clock, None);
    beside(&shop, async {
        let config =
            PrometheusConfig { name: "shop".into(), url: shop.url(), ..Default::default() };
        let client = Client::new(&config).expect("a client");
        let mut inventory = inventory(&client, 2).await.expect("an inventory");
        inventory.window_ms = 60_000;
        inventory.max_series = 5_000;
        let found = discover(&inventory);
        let names: Vec<String> = found.entities.iter().map(ToString::to_string).collect();
        for service in &crate::demo::town::SERVICES {
            assert!(names.iter().any(|n| n.contains(service.name)), "{}: {names:?}", service.name);
        }
        assert!(names.iter().any(|n| n.contains("node-2")), "{names:?}");
        assert!(found.watches.len() >= 10, "{:?}", found.table());
    })
    .await;
}
